//! The command line: one file or folder per command.
//!
//! | file | holds |
//! |---|---|
//! | [`args`] | the command tree and the options all commands share |
//! | [`failure`] | what a person sees when a command fails |
//! | [`output`] | text or JSON, tables, numbers for people |
//! | [`progress`] | progress of long work |
//! | [`banner`] | what a broker says when it serves |
//! | [`host`] | what about this host costs performance |
//! | [`interrupt`] | Ctrl-C in client commands |
//! | [`logs`] | the log on standard error |
//! | [`client`] | the blocking Kafka client |
//! | [`storage`] | `heddle storage` |
//! | [`serve`] | `heddle serve` |
//! | [`topic`] | `heddle topic` |
//! | [`produce`] | `heddle produce` |
//! | [`consume`] | `heddle consume` |
//! | [`dump`] | `heddle dump` |
//! | [`verify`] | `heddle verify` |
//! | [`mod@bench`] | `heddle bench` |
//! | [`generate`] | `heddle generate` |

pub mod args;
pub mod banner;
pub mod bench;
pub mod client;
pub mod consume;
pub mod dump;
pub mod failure;
pub mod generate;
pub mod host;
pub mod interrupt;
pub mod logs;
pub mod output;
pub mod produce;
pub mod progress;
pub mod serve;
pub mod storage;
pub mod topic;
pub mod verify;

pub use args::main;
