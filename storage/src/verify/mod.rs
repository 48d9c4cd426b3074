//! The offline check of a data directory: everything on disk is read, nothing is written, nothing is trusted.
//!
//! It asks what recovery would find, and then what recovery does not ask: whether every byte below the checkpoints is
//! what was once acknowledged. It shares the decoders of the formats with the rest of this crate, and none of the
//! judgements: that two independent readings of the same bytes agree is worth something.
//!
//! Reading order: `code` (everything that can be found, with what it means), `finding` (where it was found, and the
//! report), `promise` (pure: what a log must hold, by its checkpoint and the journal), `batches` (pure: the batches of
//! one segment against that), `read` (files, also those that do not read), then what walks the directory: `identity`,
//! `checkpoints`, `record_logs`, `journal`, `logs`, `leftovers`, and `check`, which calls them in turn.

mod batches;
mod check;
mod checkpoints;
mod code;
mod finding;
mod identity;
mod journal;
mod leftovers;
mod logs;
mod promise;
mod read;
mod record_logs;

pub use check::{Accepts, Options, check};
pub use code::{Code, Severity};
pub use finding::{Checked, FINDINGS_MAX, Finding, Progress, Report};
