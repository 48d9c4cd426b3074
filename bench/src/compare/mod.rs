//! Comparisons: two brokers in pairs of runs, and a verdict that needs significance and size.
//!
//! | module | holds |
//! |---|---|
//! | [`pairs`] | pairs of runs until there is a verdict |
//! | [`comparison`] | what was found, as JSON and as a table |
//! | [`metric`] | the figures of a run that are compared |
//! | [`verdict`] | from figures to verdicts |
//! | [`statistics`], [`interval`] | exact tests, estimates and bootstrap intervals of a shift |
//! | [`chance`] | repeatable chance |

pub mod chance;
pub mod comparison;
pub mod interval;
pub mod metric;
pub mod pairs;
pub mod statistics;
pub mod verdict;

pub use comparison::Comparison;
pub use pairs::{Measured, Side, in_pairs};
pub use verdict::{Rules, Verdict};
