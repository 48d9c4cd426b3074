//! `heddle consume`: prints records, byte for byte or in a format of one's own.
//!
//! | file | holds |
//! |---|---|
//! | `command` | the options, and the loop from fetches to printed records |
//! | `offset` | where to start: start, end, an offset, a time |
//! | `time` | times as people write them |
//! | `template` | `-f '%t %p %o %k %s\n'`, as in kcat |
//! | `fetcher` | requests in flight, offsets, retries |

mod command;
mod fetcher;
mod offset;
mod template;
mod time;

pub use command::{ConsumeArgs, run};
pub use offset::Start;
pub use template::{Template, print_json};
pub use time::{civil_from_days, parse as parse_time};
