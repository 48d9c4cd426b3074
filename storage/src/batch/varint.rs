//! The zigzag varints inside records. (Kafka's protocol headers use plain unsigned ones: other code, other crate.)

/// Reads fields from the front of a slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

/// Why a field could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldFault {
    /// The bytes end inside the field.
    Cut,
    /// More continuation bytes than the type has bits.
    Overlong,
}

impl<'a> Reader<'a> {
    /// Nothing to read.
    pub(crate) const EMPTY: Reader<'static> = Reader { rest: &[] };

    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// What has not been read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline(always)]
    pub(crate) fn byte(&mut self) -> Result<u8, FieldFault> {
        let (&byte, rest) = self.rest.split_first().ok_or(FieldFault::Cut)?;
        self.rest = rest;
        Ok(byte)
    }

    #[inline(always)]
    pub(crate) fn take(&mut self, bytes: usize) -> Result<&'a [u8], FieldFault> {
        let (taken, rest) = self.rest.split_at_checked(bytes).ok_or(FieldFault::Cut)?;
        self.rest = rest;
        Ok(taken)
    }

    /// A signed 32-bit varint: at most five bytes. One and two bytes, nearly all there are, take no loop.
    #[inline(always)]
    pub(crate) fn varint(&mut self) -> Result<i32, FieldFault> {
        match *self.rest {
            [first, ref rest @ ..] if first < 0x80 => {
                self.rest = rest;
                Ok(unzigzag32(u32::from(first)))
            }
            [first, second, ref rest @ ..] if second < 0x80 => {
                self.rest = rest;
                Ok(unzigzag32(u32::from(first & 0x7f) | u32::from(second) << 7))
            }
            // As in Kafka, bits beyond the 32nd of a fifth byte are dropped.
            _ => Ok(unzigzag32(self.unsigned(5)? as u32)),
        }
    }

    /// A signed 64-bit varint: at most ten bytes.
    #[inline(always)]
    pub(crate) fn varlong(&mut self) -> Result<i64, FieldFault> {
        match *self.rest {
            [first, ref rest @ ..] if first < 0x80 => {
                self.rest = rest;
                Ok(unzigzag64(u64::from(first)))
            }
            _ => Ok(unzigzag64(self.unsigned(10)?)),
        }
    }

    /// A number of any length up to `bytes_max`.
    fn unsigned(&mut self, bytes_max: usize) -> Result<u64, FieldFault> {
        let mut value = 0;
        for (index, byte) in self.rest.iter().take(bytes_max).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if *byte < 0x80 {
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        if self.rest.len() < bytes_max { Err(FieldFault::Cut) } else { Err(FieldFault::Overlong) }
    }
}

const fn unzigzag32(raw: u32) -> i32 {
    (raw >> 1) as i32 ^ -((raw & 1) as i32)
}

const fn unzigzag64(raw: u64) -> i64 {
    (raw >> 1) as i64 ^ -((raw & 1) as i64)
}

/// Appends a signed varint. A 32-bit value takes the same bytes as a 64-bit one.
pub(crate) fn put(out: &mut Vec<u8>, value: i64) {
    let mut raw = ((value << 1) ^ (value >> 63)) as u64;
    while raw >= 0x80 {
        out.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
}

/// Bytes that [`put`] appends for `value`.
pub(crate) const fn len(value: i64) -> usize {
    let raw = ((value << 1) ^ (value >> 63)) as u64;
    // One byte for each seven bits, and one for zero.
    (64 - (raw | 1).leading_zeros() as usize).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(value: i64) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, value);
        out
    }

    #[test]
    fn known_vectors() {
        // From Kafka's ByteUtilsTest.
        let cases: [(i64, &[u8]); 8] = [
            (0, &[0]),
            (-1, &[1]),
            (1, &[2]),
            (63, &[0x7e]),
            (-64, &[0x7f]),
            (64, &[0x80, 1]),
            (i64::from(i32::MAX), &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
            (i64::from(i32::MIN), &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        ];
        for (value, bytes) in cases {
            assert_eq!(encoded(value), bytes, "{value}");
            assert_eq!(Reader::new(bytes).varint().map(i64::from), Ok(value));
        }
    }

    #[test]
    fn refuses_cut_and_overlong_numbers() {
        assert_eq!(Reader::new(&[]).varint(), Err(FieldFault::Cut));
        assert_eq!(Reader::new(&[0x80]).varint(), Err(FieldFault::Cut));
        assert_eq!(Reader::new(&[0xff; 5]).varint(), Err(FieldFault::Overlong));
        assert_eq!(Reader::new(&[0xff; 10]).varlong(), Err(FieldFault::Overlong));
    }

    proptest! {
        #[test]
        fn numbers_round_trip(value in any::<i64>(), small in any::<i32>()) {
            prop_assert_eq!(Reader::new(&encoded(value)).varlong(), Ok(value));
            prop_assert_eq!(encoded(value).len(), len(value));
            prop_assert_eq!(Reader::new(&encoded(small.into())).varint(), Ok(small));
        }
    }
}
