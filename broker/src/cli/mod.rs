//! The command line: one file or folder per command.
//!
//! | file | holds |
//! |---|---|
//! | [`args`] | the command tree and the options all commands share |
//! | [`failure`] | what a person sees when a command fails |
//! | [`output`] | text or JSON, tables, numbers for people |
//! | [`progress`] | progress of long work |
//! | [`logs`] | the log on standard error |
//! | [`client`] | the blocking Kafka client |
//! | [`topic`] | `heddle topic` |
//! | [`produce`] | `heddle produce` |
//! | [`consume`] | `heddle consume` |
//! | [`generate`] | `heddle generate` |

pub mod args;
pub mod client;
pub mod consume;
pub mod failure;
pub mod generate;
pub mod logs;
pub mod output;
pub mod produce;
pub mod progress;
pub mod topic;

pub use args::main;
