//! Comparisons: two brokers in pairs of runs, and a verdict that needs significance and size.
//!
//! | module | holds |
//! |---|---|
//! | [`metric`] | the figures of a run that are compared |
//! | [`verdict`] | from figures to verdicts |
//! | [`statistics`], [`interval`] | exact tests, estimates and bootstrap intervals of a shift |
//! | [`chance`] | repeatable chance |

pub mod chance;
pub mod interval;
pub mod metric;
pub mod statistics;
pub mod verdict;
