//! Decides commands against the image. Pure: no clock, no disk, and randomness only through the
//! source of topic ids it is given.
//!
//! A decision is made on a *draft*: each item's records are replayed into it at once, so that the
//! next item of the same command (or the next command of the same append) sees what came before
//! it, and the draft is exactly the image that the records make.

mod configs;
mod planner;
mod rules;
mod topics;

pub use planner::Planner;
pub use rules::Rules;
