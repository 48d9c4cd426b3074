//! The identity of a topic, never used again after the topic is gone.
//!
//! Sixteen bytes, shown as Kafka shows them: base64url without padding (22 characters). Zero means "no id" on the wire.

use std::fmt;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Identity of a topic: a version 4 UUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TopicId(pub [u8; 16]);

impl TopicId {
    /// What the wire says when a topic has no id.
    pub const ZERO: TopicId = TopicId([0; 16]);

    /// Makes an id out of 16 random bytes: the UUID version and variant are set (so that it can never be one of
    /// Kafka's reserved small ids) and the text never starts with `-`, which command lines would take for an option.
    pub fn from_random(mut bytes: [u8; 16]) -> TopicId {
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        if bytes[0] >> 2 == 62 {
            bytes[0] &= 0x7f;
        }
        TopicId(bytes)
    }

    /// Whether this is the wire's "no id".
    pub fn is_zero(self) -> bool {
        self == TopicId::ZERO
    }
}

impl From<uuid::Uuid> for TopicId {
    fn from(uuid: uuid::Uuid) -> TopicId {
        TopicId(uuid.into_bytes())
    }
}

impl From<TopicId> for uuid::Uuid {
    fn from(id: TopicId) -> uuid::Uuid {
        uuid::Uuid::from_bytes(id.0)
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = u128::from_be_bytes(self.0);
        let mut text = String::with_capacity(22);
        // 128 bits are 21 groups of six and one of two, which the encoding pads on the right.
        for group in 0..21 {
            let six = (bits >> (122 - 6 * group)) & 0x3f;
            text.push(char::from(ALPHABET[six as usize]));
        }
        text.push(char::from(ALPHABET[((bits & 0x3) << 4) as usize]));
        f.write_str(&text)
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_what_kafka_prints() {
        assert_eq!(TopicId::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(TopicId([0xff; 16]).to_string(), "_____________________w");
        let ascending = TopicId([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
        assert_eq!(ascending.to_string(), "AAECAwQFBgcICQoLDA0ODw");
    }

    #[test]
    fn made_ids_are_never_reserved_and_never_look_like_an_option() {
        assert!(!TopicId::from_random([0; 16]).is_zero());
        for first in 0..=255 {
            assert!(!TopicId::from_random([first; 16]).to_string().starts_with('-'));
        }
    }
}
