//! Records of a run: what their values hold, how they become batches, and whether they all came back. No I/O and no clock.
//!
//! | file | holds |
//! |---|---|
//! | [`stamp`] | the first 40 bytes of each value: who produced it, as which of its records, meant for when |
//! | [`pool`] | the bytes behind the stamp, made once per run and compared byte by byte |
//! | [`batch`] | records written straight into the bytes of a batch |
//! | [`ranges`] | sets of numbers that mostly follow each other |
//! | [`acked`], [`seen`], [`reconcile`](mod@reconcile) | the delivery audit: what was acknowledged, what was seen, and the difference |
//! | [`random`], [`sizes`], [`keys`], [`arrivals`] | dice that fall the same way in every run of a plan |

pub mod acked;
pub mod arrivals;
pub mod batch;
pub mod keys;
pub mod pool;
pub mod random;
pub mod ranges;
pub mod reconcile;
pub mod seen;
pub mod sizes;
pub mod stamp;

#[cfg(test)]
mod audit_model;

pub use acked::Acked;
pub use arrivals::ArrivalDice;
pub use batch::{BatchWriter, Sequence};
pub use keys::{KEY_BYTES, Key, KeyDice};
pub use pool::{Cursor, Pool};
pub use reconcile::{Lanes, reconcile};
pub use seen::Seen;
pub use sizes::SizeDice;
pub use stamp::{Altered, STAMP_BYTES, Stamp};
