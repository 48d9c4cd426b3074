//! Every maximum of the wire, in one place.

/// Largest frame accepted once a connection may use all APIs, without its length prefix. Kafka's
/// `socket.request.max.bytes`.
pub const FRAME_BYTES_MAX: usize = 100 * 1024 * 1024;

/// Largest frame accepted before a connection has authenticated: room for the largest SASL token, little for an
/// attacker.
pub const FRAME_BYTES_MAX_BEFORE_AUTHENTICATION: usize = 512 * 1024;

/// Smallest request frame: API key, version and correlation id (a header of version 0).
pub const REQUEST_FRAME_BYTES_MIN: usize = 8;

/// Smallest response frame: the correlation id.
pub const RESPONSE_FRAME_BYTES_MIN: usize = 4;

/// Frames longer than this are announced as large, so that the connection receives them straight into an aligned
/// block.
pub const SMALL_FRAME_BYTES_MAX: usize = 16 * 1024;

/// Longest string, as in Kafka's generated readers: more than an `i16` cannot be said in the older encodings.
pub const STRING_BYTES_MAX: usize = 0x7fff;

/// Most elements of one array, the limit of Kafka 4.4's readers.
pub const ARRAY_ELEMENTS_MAX: usize = 1_000_000;

/// Most array elements in one whole request decoded by the `kafka-protocol` crate, nested ones included.
///
/// An element of two bytes becomes a struct of up to 160, so this bounds what a request can make us allocate to about
/// 40 MiB whatever its size. Produce and Fetch are decoded by hand at a far smaller ratio and are not counted here.
pub const REQUEST_ELEMENTS_MAX: usize = 262_144;

/// Most tagged fields in one tag section, the limit of Kafka 4.4's readers.
pub const TAGS_MAX: usize = 10_000;

/// Most tagged fields in one whole request: no client sends more than a handful.
pub const REQUEST_TAGS_MAX: usize = 10_000;

const _: () = assert!(SMALL_FRAME_BYTES_MAX < FRAME_BYTES_MAX_BEFORE_AUTHENTICATION);
const _: () = assert!(FRAME_BYTES_MAX <= i32::MAX as usize);
