//! The walk along a schema.

use super::schema::{Field, Fields, Kind, struct_bytes_min, text_bytes_min};
use crate::limits::{REQUEST_ELEMENTS_MAX, REQUEST_TAGS_MAX};
use crate::versions::Api;
use crate::wire::{Malformed, Reader, Why};

/// What a walk found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Walked {
    /// How many bytes the message takes. Kafka ignores what follows, and so do we.
    pub bytes: usize,
    /// How many array elements it has, nested ones included.
    pub elements: usize,
    /// How many tagged fields it has.
    pub tags: usize,
}

impl Walked {
    /// A bound of the memory that decoding takes beyond the bytes themselves, which are shared: what a connection
    /// reserves.
    #[must_use]
    pub const fn decoded_bytes_max(&self) -> usize {
        // The largest element struct of any message has under 200 bytes; a map of tags takes a node of under 460 even
        // for a single one. `tests/bounded.rs` measures it.
        256 + self.elements * 200 + self.tags * 460
    }
}

struct Walk<'a> {
    reader: Reader<'a>,
    version: i16,
    flexible: bool,
    elements_left: usize,
    tags_left: usize,
}

pub(super) fn walk(
    schema: Fields,
    api: &Api,
    version: i16,
    body: &[u8],
) -> Result<Walked, Malformed> {
    let flexible = api.flexible(version);
    let reader = Reader::new(body, flexible);
    if !api.serves(version) {
        return Err(reader.malformed("version", Why::Version { version }));
    }
    let mut walk = Walk {
        reader,
        version,
        flexible,
        elements_left: REQUEST_ELEMENTS_MAX,
        tags_left: REQUEST_TAGS_MAX,
    };
    walk.fields(schema)?;
    Ok(Walked {
        bytes: walk.reader.position(),
        elements: REQUEST_ELEMENTS_MAX - walk.elements_left,
        tags: REQUEST_TAGS_MAX - walk.tags_left,
    })
}

impl Walk<'_> {
    /// Recursion is as deep as the schema, which is at most four.
    fn fields(&mut self, fields: Fields) -> Result<(), Malformed> {
        let version = self.version;
        for field in fields.iter().filter(|field| field.is_in(version) && field.tag.is_none()) {
            self.field(field)?;
        }
        self.tags(fields)
    }

    fn field(&mut self, field: &Field) -> Result<(), Malformed> {
        let name = field.name;
        let nullable = self.version >= field.nullable_from;
        match field.kind {
            Kind::Fixed(bytes) => {
                self.reader.take(bytes, name)?;
            }
            Kind::Text => {
                if self.reader.nullable_string(name)?.is_none() && !nullable {
                    return Err(self.reader.malformed(name, Why::Null));
                }
            }
            Kind::Structs(fields) => {
                let bytes_min = struct_bytes_min(fields, self.version, self.flexible);
                for _ in 0..self.count(bytes_min, nullable, name)? {
                    self.fields(fields)?;
                }
            }
            Kind::Numbers(bytes) => {
                let count = self.count(bytes, nullable, name)?;
                self.reader.take(count * bytes, name)?;
            }
            Kind::Texts => {
                for _ in 0..self.count(text_bytes_min(self.flexible), nullable, name)? {
                    self.reader.string(name)?;
                }
            }
        }
        Ok(())
    }

    fn count(
        &mut self,
        bytes_min: usize,
        nullable: bool,
        name: &'static str,
    ) -> Result<usize, Malformed> {
        let count = match self.reader.nullable_count(bytes_min, name)? {
            Some(count) => count,
            None if nullable => 0,
            None => return Err(self.reader.malformed(name, Why::Null)),
        };
        let max = self.elements_left;
        self.elements_left = max
            .checked_sub(count)
            .ok_or(self.reader.malformed(name, Why::TooManyElements { count, max }))?;
        Ok(count)
    }

    fn tags(&mut self, fields: Fields) -> Result<(), Malformed> {
        let mut tags = self.reader.tags()?;
        let (count, max) = (tags.left(), self.tags_left);
        self.tags_left = max
            .checked_sub(count)
            .ok_or(self.reader.malformed("tagged fields", Why::TooManyTags { count, max }))?;
        while let Some((tag, contents)) = tags.next(&mut self.reader)? {
            let known = |field: &&Field| field.tag == Some(tag) && field.is_in(self.version);
            let Some(field) = fields.iter().find(known) else { continue };
            let after = std::mem::replace(&mut self.reader, contents);
            self.field(field)?;
            if self.reader.remaining() > 0 {
                return Err(self.reader.malformed(field.name, Why::TagSize { tag }));
            }
            self.reader = after;
        }
        Ok(())
    }
}
