//! Kafka record batches (magic 2): seen, checked, patched, built and unpacked.
//!
//! Stored bytes are wire bytes: a batch is checked once when it arrives, its base offset and leader epoch are patched
//! in place (both lie outside its CRC), and from then on it is only ever copied whole.
//! Everything here is total: any bytes give a value or a refusal, never a panic.

pub mod attributes;
pub mod crc;
pub mod view;

pub mod check;
pub mod patch;
pub mod refusal;

pub mod build;
pub mod compress;
pub mod records;
pub mod xerial;

mod varint;

pub use attributes::{Attributes, Codec, TimestampType};
pub use build::{Builder, NO_TIMESTAMP, NewRecord};
pub use check::{Checked, ProducerStamp, Rules, check_produced};
pub use compress::{UnpackError, pack, unpack};
pub use patch::{Stamp, copy_patched, patch};
pub use records::{Headers, Record, RecordFault, Records, RecordsError};
pub use refusal::{BatchError, BatchRefusal};
pub use view::{BATCH_HEADER_BYTES, BatchHeader, BatchView, FramingError, Split, split};
