//! Writers of the primitive types onto a `Vec<u8>`.

use super::{NodeEndpoint, TopicRef};

/// Writes the primitive types of the wire. Implemented for `Vec<u8>` only.
pub trait Writer {
    /// Writes raw bytes.
    fn raw(&mut self, bytes: &[u8]);

    /// Writes an `i8`.
    fn i8(&mut self, value: i8) {
        self.raw(&value.to_be_bytes());
    }
    /// Writes a big-endian `i16`.
    fn i16(&mut self, value: i16) {
        self.raw(&value.to_be_bytes());
    }
    /// Writes a big-endian `i32`.
    fn i32(&mut self, value: i32) {
        self.raw(&value.to_be_bytes());
    }
    /// Writes a big-endian `i64`.
    fn i64(&mut self, value: i64) {
        self.raw(&value.to_be_bytes());
    }
    /// Writes an unsigned varint.
    fn uvarint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.raw(&[value as u8 | 0x80]);
            value >>= 7;
        }
        self.raw(&[value as u8]);
    }
    /// Writes a length or count: a varint of it plus one when flexible, else an `i32`.
    ///
    /// # Panics
    /// If it does not fit an `i32`: what we send is bounded far below.
    fn length(&mut self, length: usize, flexible: bool) {
        let length = i32::try_from(length).expect("a length on the wire fits an i32");
        if flexible { self.uvarint(length as u32 + 1) } else { self.i32(length) }
    }
    /// Writes a null array or null bytes.
    fn null(&mut self, flexible: bool) {
        if flexible { self.uvarint(0) } else { self.i32(-1) }
    }
    /// Writes a nullable string. One longer than Kafka allows (32,767 bytes) is cut at a character boundary.
    fn nullable_string(&mut self, text: Option<&str>, flexible: bool) {
        match text {
            Some(text) => self.string(text, flexible),
            None if flexible => self.uvarint(0),
            None => self.i16(-1),
        }
    }
    /// Writes a string. One longer than Kafka allows (32,767 bytes) is cut at a character boundary.
    fn string(&mut self, text: &str, flexible: bool) {
        let text = &text[..text.floor_char_boundary(crate::limits::STRING_BYTES_MAX)];
        if flexible {
            self.uvarint(text.len() as u32 + 1)
        } else {
            self.i16(text.len() as i16)
        }
        self.raw(text.as_bytes());
    }
    /// Writes an empty tag section when flexible, nothing otherwise.
    fn no_tags(&mut self, flexible: bool) {
        if flexible {
            self.uvarint(0);
        }
    }
    /// Writes a topic's name, or its 16 id bytes, as the version asks for. The two never mix: a message of a version
    /// with ids is built from ids.
    fn topic(&mut self, topic: TopicRef<'_>, flexible: bool) {
        match topic {
            TopicRef::Name(name) => self.string(name, flexible),
            TopicRef::Id(id) => self.raw(&id),
        }
    }
    /// Writes an array of node endpoints (always flexible), as the contents of a tagged field.
    fn node_endpoints(&mut self, nodes: &[NodeEndpoint]) {
        self.length(nodes.len(), true);
        for node in nodes {
            self.i32(node.node_id);
            self.string(&node.host, true);
            self.i32(node.port);
            self.nullable_string(node.rack.as_deref(), true);
            self.no_tags(true);
        }
    }
}

impl Writer for Vec<u8> {
    fn raw(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// How many bytes the unsigned varint of `value` takes: 1 to 5.
#[must_use]
pub fn uvarint_len(value: u32) -> usize {
    (38 - value.leading_zeros() as usize).max(7) / 7
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_strings_are_cut_at_a_character() {
        let mut bytes = Vec::new();
        bytes.string(&"ü".repeat(20_000), false);
        assert_eq!(bytes.len(), 2 + 32_766);
        assert_eq!(bytes[..2], 32_766i16.to_be_bytes());
    }
}
