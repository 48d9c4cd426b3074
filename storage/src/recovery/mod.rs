//! From the journals of one generation to the state of the next.
//!
//! Recovery is the node's, not a shard's: it reads the journals of all shards of generation g, however many there
//! were, brings each log's segments up to its journal, syncs everything, and writes the base checkpoint of generation
//! g + 1. Then the superblock names g + 1. Until then everything can be done again: no step reads what a later one
//! changed, but for segments, whose bytes come out the same.
//!
//! `rebuild` is one log and `logs` all of them (pure), `source` reads journal files for the walker, `replay` brings both
//! together, `segments` looks at and writes segment files, `base` is the base checkpoint's file, `quarantine` keeps what
//! has no place. `rehearse` is the pure half alone.

mod base;
mod logs;
mod quarantine;
mod rebuild;
mod rehearse;
mod replay;
mod segments;
mod source;
mod truncate;

pub use rebuild::SegmentWrite;
pub use rehearse::{Rehearsal, Rehearsed};
pub use replay::{DamageReport, RecoveryReport};

pub(crate) use base::{base_name, read_base, write_base};
pub(crate) use replay::{Replayer, perform_later};
pub(crate) use source::FoundFile;
