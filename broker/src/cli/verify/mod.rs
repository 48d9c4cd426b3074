//! `heddle verify`: checks everything in a data directory whose broker is down. Reads only.
//!
//! | file | holds |
//! |---|---|
//! | `command` | the options, the lock, and running the check |
//! | `metadata` | the metadata log: records, and the image they give |
//! | `print` | the report as text or JSON |

mod command;
mod metadata;
mod print;

pub use command::{VerifyArgs, run};
