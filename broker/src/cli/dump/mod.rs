//! `heddle dump`: reads the broker's files, verifies every checksum and prints what they hold.
//!
//! | file | holds |
//! |---|---|
//! | `command` | the options, and telling the kinds of files apart |
//! | `report` | printing facts as text or JSON |
//! | `segment` | segments: batches and records |
//! | `journal` | journal files: frames and their entries |
//! | `node` | the superblock, checkpoints, indexes, metadata |
//!
//! It opens files for reading only and takes no lock, so it works on a running broker's directory
//! as well: what is being written may then be cut short at the end.

mod command;
mod journal;
mod node;
mod report;
mod segment;

pub use command::{DumpArgs, run};
