//! The primitive types of the wire: a borrowed reader that cannot panic, and writers onto a `Vec<u8>`.
//!
//! *Flexible* encodings (KIP-482) write lengths as unsigned varints of the length plus one, 0 meaning null, and end
//! every struct with a section of tagged fields. The older encodings write lengths as `i16` (strings) or `i32`
//! (bytes, arrays), -1 meaning null. Which of the two a message uses follows from its version alone.

mod malformed;
mod read;
mod topic;
mod write;

pub use malformed::{Malformed, Why};
pub use read::{Reader, Tags};
pub use topic::{LeaderIdAndEpoch, NodeEndpoint, TopicRef};
pub use write::{Writer, uvarint_len};
