//! What is wrong with bytes that are not the message they claim to be.

use std::fmt;

/// Bytes that are not the message they claim to be: where, in which field, and why.
///
/// Kafka closes the connection on such a request; so do we. The text is for the log of the broker, it never travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// Offset in the bytes given to the decoder.
    pub at: usize,
    /// The field being read.
    pub field: &'static str,
    /// The reason.
    pub why: Why,
}

/// The reason why bytes are malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The field needs more bytes than remain.
    Truncated {
        /// Bytes needed.
        need: usize,
        /// Bytes left.
        have: usize,
    },
    /// A length or count below -1, or -1 where null is not allowed in this version.
    Negative {
        /// The length as read.
        length: i64,
    },
    /// Null in a field that is not nullable in this version.
    Null,
    /// An array that says it has more elements than the remaining bytes could hold, or than the limit.
    TooManyElements {
        /// The count as read.
        count: usize,
        /// The most that is possible.
        max: usize,
    },
    /// A tag section that says it has more fields than the remaining bytes could hold, or than the limit.
    TooManyTags {
        /// The count as read.
        count: usize,
        /// The most that is possible.
        max: usize,
    },
    /// A string longer than Kafka allows.
    StringTooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// A string that is not UTF-8.
    NotUtf8,
    /// A varint of more than five bytes, or whose value does not fit 32 bits.
    Varint,
    /// A known tagged field whose contents do not fill the size it declares.
    TagSize {
        /// The tag.
        tag: u32,
    },
    /// The version is not one this decoder knows.
    Version {
        /// The version asked for.
        version: i16,
    },
    /// Accepted by the guard, refused by the decoder behind it: the two disagree. The connection closes as for any
    /// other malformed request.
    Refused,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: ", self.field, self.at)?;
        match self.why {
            Why::Truncated { need, have } => write!(f, "needs {need} bytes, {have} are left"),
            Why::Negative { length } => write!(f, "length {length} is negative"),
            Why::Null => write!(f, "is null, which this version does not allow"),
            Why::TooManyElements { count, max } => {
                write!(f, "claims {count} elements, at most {max} are possible")
            }
            Why::TooManyTags { count, max } => {
                write!(f, "claims {count} tagged fields, at most {max} are possible")
            }
            Why::StringTooLong { length } => write!(f, "string of {length} bytes, at most 32767"),
            Why::NotUtf8 => write!(f, "string is not UTF-8"),
            Why::Varint => write!(f, "varint does not fit 32 bits"),
            Why::TagSize { tag } => write!(f, "tagged field {tag} does not fill its size"),
            Why::Version { version } => write!(f, "version {version} is not supported"),
            Why::Refused => write!(f, "refused by the message decoder"),
        }
    }
}

impl std::error::Error for Malformed {}
