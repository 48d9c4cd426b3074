//! A cursor over borrowed bytes whose every step is checked.

use std::ops::Range;

use super::{Malformed, Why};
use crate::limits::{ARRAY_ELEMENTS_MAX, STRING_BYTES_MAX, TAGS_MAX};

/// A cursor over borrowed bytes. Each read names the field it reads, for the error.
///
/// `flexible` is fixed per message version and selects the encoding of lengths and whether structs end with tags.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    flexible: bool,
}

macro_rules! fixed {
    ($($name:ident: $type:ty),*) => {$(
        #[doc = concat!("Reads a big-endian `", stringify!($type), "`.")]
        ///
        /// # Errors
        /// [`Why::Truncated`].
        #[inline]
        pub fn $name(&mut self, field: &'static str) -> Result<$type, Malformed> {
            Ok(<$type>::from_be_bytes(self.array(field)?))
        }
    )*};
}

impl<'a> Reader<'a> {
    /// A cursor at the start of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8], flexible: bool) -> Self {
        Self { bytes, at: 0, flexible }
    }

    /// How far the cursor is.
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// An error at the cursor.
    #[must_use]
    pub fn malformed(&self, field: &'static str, why: Why) -> Malformed {
        Malformed { at: self.at, field, why }
    }

    /// Takes `length` bytes and gives their range in the whole input.
    ///
    /// # Errors
    /// [`Why::Truncated`].
    #[inline]
    pub fn take(&mut self, length: usize, field: &'static str) -> Result<Range<usize>, Malformed> {
        let have = self.remaining();
        if length > have {
            return Err(self.malformed(field, Why::Truncated { need: length, have }));
        }
        let from = self.at;
        self.at += length;
        Ok(from..self.at)
    }

    #[inline]
    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Malformed> {
        match self.bytes[self.at..].first_chunk::<N>() {
            Some(bytes) => {
                self.at += N;
                Ok(*bytes)
            }
            None => Err(self.malformed(field, Why::Truncated { need: N, have: self.remaining() })),
        }
    }

    fixed!(i8: i8, i16: i16, i32: i32, i64: i64, u8: u8);

    /// Reads a boolean: any byte but 0 is true, as in Kafka.
    ///
    /// # Errors
    /// [`Why::Truncated`].
    pub fn bool(&mut self, field: &'static str) -> Result<bool, Malformed> {
        Ok(self.u8(field)? != 0)
    }

    /// Reads the 16 bytes of a UUID.
    ///
    /// # Errors
    /// [`Why::Truncated`].
    pub fn uuid(&mut self, field: &'static str) -> Result<[u8; 16], Malformed> {
        self.array(field)
    }

    /// Reads an unsigned varint of at most five bytes.
    ///
    /// # Errors
    /// [`Why::Truncated`], [`Why::Varint`].
    #[inline]
    pub fn uvarint(&mut self, field: &'static str) -> Result<u32, Malformed> {
        // Nearly all of them are counts of tags and short lengths.
        if let Some(&byte) = self.bytes.get(self.at)
            && byte < 0x80
        {
            self.at += 1;
            return Ok(u32::from(byte));
        }
        self.long_uvarint(field)
    }

    fn long_uvarint(&mut self, field: &'static str) -> Result<u32, Malformed> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.u8(field)?;
            if shift == 28 && byte > 0x0f {
                return Err(self.malformed(field, Why::Varint));
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        Ok(value)
    }

    /// Reads the length of an `i16` string or of a compact one; `None` is null.
    fn string_length(&mut self, field: &'static str) -> Result<Option<usize>, Malformed> {
        let length = if self.flexible {
            match self.uvarint(field)? {
                0 => return Ok(None),
                n => n as usize - 1,
            }
        } else {
            match self.i16(field)? {
                -1 => return Ok(None),
                n => usize::try_from(n)
                    .map_err(|_| self.malformed(field, Why::Negative { length: i64::from(n) }))?,
            }
        };
        if length > STRING_BYTES_MAX {
            return Err(self.malformed(field, Why::StringTooLong { length }));
        }
        Ok(Some(length))
    }

    /// Reads the length of an `i32` byte string or array, or of a compact one; `None` is null.
    fn length(&mut self, field: &'static str) -> Result<Option<usize>, Malformed> {
        if self.flexible {
            return Ok(self.uvarint(field)?.checked_sub(1).map(|n| n as usize));
        }
        match self.i32(field)? {
            -1 => Ok(None),
            n => usize::try_from(n)
                .map(Some)
                .map_err(|_| self.malformed(field, Why::Negative { length: i64::from(n) })),
        }
    }

    /// Reads a nullable string.
    ///
    /// # Errors
    /// [`Why::Truncated`], [`Why::Negative`], [`Why::StringTooLong`], [`Why::NotUtf8`], [`Why::Varint`].
    pub fn nullable_string(&mut self, field: &'static str) -> Result<Option<&'a str>, Malformed> {
        let Some(length) = self.string_length(field)? else { return Ok(None) };
        let range = self.take(length, field)?;
        match std::str::from_utf8(&self.bytes[range.clone()]) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(Malformed { at: range.start, field, why: Why::NotUtf8 }),
        }
    }

    /// Reads a string that may not be null.
    ///
    /// # Errors
    /// As [`Reader::nullable_string`], and [`Why::Null`].
    pub fn string(&mut self, field: &'static str) -> Result<&'a str, Malformed> {
        self.nullable_string(field)?.ok_or(self.malformed(field, Why::Null))
    }

    /// Reads a nullable byte string and gives its range in the whole input, nothing copied.
    ///
    /// # Errors
    /// [`Why::Truncated`], [`Why::Negative`], [`Why::Varint`].
    pub fn nullable_bytes(
        &mut self,
        field: &'static str,
    ) -> Result<Option<Range<usize>>, Malformed> {
        match self.length(field)? {
            Some(length) => self.take(length, field).map(Some),
            None => Ok(None),
        }
    }

    /// Reads the count of a nullable array whose elements take at least `element_bytes_min` bytes each.
    ///
    /// A count that the remaining bytes cannot hold is refused here, before anybody allocates for it.
    ///
    /// # Errors
    /// [`Why::Truncated`], [`Why::Negative`], [`Why::Varint`], [`Why::TooManyElements`].
    pub fn nullable_count(
        &mut self,
        element_bytes_min: usize,
        field: &'static str,
    ) -> Result<Option<usize>, Malformed> {
        let Some(count) = self.length(field)? else { return Ok(None) };
        let max = (self.remaining() / element_bytes_min.max(1)).min(ARRAY_ELEMENTS_MAX);
        if count > max {
            return Err(self.malformed(field, Why::TooManyElements { count, max }));
        }
        Ok(Some(count))
    }

    /// Reads the count of an array that may not be null.
    ///
    /// # Errors
    /// As [`Reader::nullable_count`], and [`Why::Null`].
    pub fn count(
        &mut self,
        element_bytes_min: usize,
        field: &'static str,
    ) -> Result<usize, Malformed> {
        self.nullable_count(element_bytes_min, field)?.ok_or(self.malformed(field, Why::Null))
    }

    /// Opens the tag section that ends a struct; in the older encodings there is none and it is empty.
    ///
    /// # Errors
    /// [`Why::Truncated`], [`Why::Varint`], [`Why::TooManyTags`].
    #[inline]
    pub fn tags(&mut self) -> Result<Tags, Malformed> {
        if !self.flexible {
            return Ok(Tags { left: 0 });
        }
        let count = self.uvarint("tagged fields")? as usize;
        let max = (self.remaining() / 2).min(TAGS_MAX); // a tag and a size take a byte each
        if count > max {
            return Err(self.malformed("tagged fields", Why::TooManyTags { count, max }));
        }
        Ok(Tags { left: count })
    }

    /// Skips a whole tag section and says how many fields it had.
    ///
    /// # Errors
    /// As [`Reader::tags`].
    #[inline]
    pub fn skip_tags(&mut self) -> Result<usize, Malformed> {
        let mut tags = self.tags()?;
        let count = tags.left;
        while tags.next(self)?.is_some() {}
        Ok(count)
    }
}

/// A tag section being read. The fields borrow nothing from it, so the caller keeps using the reader it came from.
#[derive(Debug)]
pub struct Tags {
    left: usize,
}

impl Tags {
    /// How many fields are still to come.
    #[must_use]
    pub fn left(&self) -> usize {
        self.left
    }

    /// Moves `reader` past the next field and gives its tag and a reader of exactly its contents, whose positions are
    /// those of the whole input.
    ///
    /// # Errors
    /// [`Why::Truncated`], [`Why::Varint`].
    pub fn next<'a>(
        &mut self,
        reader: &mut Reader<'a>,
    ) -> Result<Option<(u32, Reader<'a>)>, Malformed> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        let tag = reader.uvarint("tag")?;
        let size = reader.uvarint("size of a tagged field")? as usize;
        let range = reader.take(size, "tagged field")?;
        let bytes = &reader.bytes[..range.end];
        Ok(Some((tag, Reader { bytes, at: range.start, flexible: reader.flexible })))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::wire::Writer;

    #[test]
    fn varints_are_read_as_written_and_refused_beyond_32_bits() {
        for value in [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, 0x1f_ffff, 0x20_0000, u32::MAX] {
            let mut bytes = Vec::new();
            bytes.uvarint(value);
            assert_eq!(bytes.len(), crate::wire::uvarint_len(value));
            assert_eq!(Reader::new(&bytes, true).uvarint("x").unwrap(), value);
        }
        for bytes in [&[0xff, 0xff, 0xff, 0xff, 0x10][..], &[0x80, 0x80, 0x80, 0x80, 0x80, 0]] {
            assert_eq!(Reader::new(bytes, true).uvarint("x").unwrap_err().why, Why::Varint);
        }
    }

    #[test]
    fn counts_are_bounded_by_the_bytes_that_remain() {
        let bytes = [0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0];
        let error = Reader::new(&bytes, false).count(3, "topics").unwrap_err();
        assert_eq!(error.why, Why::TooManyElements { count: 0x7fff_ffff, max: 2 });
        let error = Reader::new(&[0xff; 4], false).count(1, "topics").unwrap_err();
        assert_eq!(error.why, Why::Null);
        let error = Reader::new(&[0xff, 0xff, 0xff, 0xfe], false).count(1, "x").unwrap_err();
        assert_eq!(error.why, Why::Negative { length: -2 });
    }

    #[test]
    fn strings_of_both_encodings() {
        assert_eq!(Reader::new(&[0, 2, b'h', b'i'], false).string("x").unwrap(), "hi");
        assert_eq!(Reader::new(&[3, b'h', b'i'], true).string("x").unwrap(), "hi");
        assert_eq!(Reader::new(&[0], true).nullable_string("x").unwrap(), None);
        assert_eq!(Reader::new(&[0], true).string("x").unwrap_err().why, Why::Null);
        assert_eq!(Reader::new(&[2, 0xff], true).string("x").unwrap_err().why, Why::NotUtf8);
        let why = Reader::new(&[0, 9, b'h'], false).string("x").unwrap_err().why;
        assert_eq!(why, Why::Truncated { need: 9, have: 1 });
    }

    #[test]
    fn tags_are_skipped_and_bounded() {
        let bytes = [2, 0, 1, 0xaa, 5, 0, 9];
        let mut reader = Reader::new(&bytes, true);
        assert_eq!(reader.skip_tags().unwrap(), 2);
        assert_eq!(reader.position(), 6);
        let why = Reader::new(&[0x90, 0x4e, 0, 0], true).skip_tags().unwrap_err().why;
        assert_eq!(why, Why::TooManyTags { count: 10_000, max: 1 });
        assert_eq!(Reader::new(&bytes, false).skip_tags().unwrap(), 0);
    }
}
