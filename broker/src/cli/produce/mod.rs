//! `heddle produce`: every line of files or of standard input becomes a record.
//!
//! | file | holds |
//! |---|---|
//! | `command` | the options, and the loop from lines to the summary |
//! | `input` | reading files and pipes in blocks of whole lines |
//! | `record` | a line's key and value, and the headers |
//! | `partitioner` | which partition a record goes to |
//! | `accumulate` | open batches, and the sequence numbers of closed ones |
//! | `sender` | requests in flight, acknowledgements, retries |
//!
//! No line is lost silently: a line is either acknowledged, or the command fails and says how many
//! were. With idempotence (the default) none is duplicated either, whatever connection or broker
//! fails in between.

mod accumulate;
mod command;
mod input;
mod partitioner;
mod record;
mod sender;

pub use command::{ProduceArgs, run};
pub use input::lines;
pub use record::{Shape, parse_delimiter, parse_header};
