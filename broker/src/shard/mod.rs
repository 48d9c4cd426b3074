//! Shards: one thread each with its connections and its partitions, exchanging mail.
//!
//! Only this module knows that there is more than one shard.

mod appends;
mod calls;
pub mod logs;
mod mail;
mod offsets;
mod read;
pub mod route;
#[expect(clippy::module_inception, reason = "the struct that gives the module its name")]
mod shard;
mod waits;
mod watching;

pub use appends::{Appending, Produced};
pub use calls::{Pending, Window};
pub use mail::{
    Answer, Call, DeleteUpto, Found, ListedOffset, LogError, Mail, OffsetQuery, ProduceCall,
    ProduceError, ReadCall, ReadItem, Records, Start, StopPhase,
};
pub use read::Reading;
pub use shard::{CONTROLLER, Parts, Shard};
pub use watching::Watching;
