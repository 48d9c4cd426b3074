//! `heddle bench`: one file per command.
//!
//! | file | holds |
//! |---|---|
//! | [`args`] | the commands below `bench`, and what they are given |
//! | [`list`] | `heddle bench list` |

pub mod args;
pub mod list;

pub use args::{BenchArgs, Io, run};
