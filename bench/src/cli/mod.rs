//! `heddle bench`: one file per command.
//!
//! | file | holds |
//! |---|---|
//! | [`args`] | the commands below `bench`, and what they are given |
//! | [`run`](mod@run), [`progress`] | `heddle bench run`, and what it shows meanwhile |
//! | [`compare`] | `heddle bench compare` |
//! | [`versus`] | `heddle bench versus` |
//! | [`place`] | where results are kept |
//! | [`list`] | `heddle bench list` |
//! | [`report`] | `heddle bench report` |

pub mod args;
pub mod compare;
pub mod list;
pub mod place;
pub mod progress;
pub mod report;
pub mod run;
pub mod versus;

pub use args::{BenchArgs, Io, run};
