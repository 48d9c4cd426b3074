//! What a run measured, as plain data, and the forms in which it is kept and shown.
//!
//! | module | holds |
//! |---|---|
//! | [`model`] | the types, which are also the JSON format |
//! | [`figures`] | percentiles that may be said, and numbers as people read them |
//! | [`whole`] | several runs of one plan together, merged exactly |
//! | [`stages`] | where requests spent their time in the broker |
//! | [`workload`] | a plan in a line, and setting by setting |
//! | [`doubts`] | why a run should not be trusted |
//! | [`table`] | the result on a terminal |
//! | [`keep`] | the files of a result, written and read again |
//! | [`percentile_table`], [`interval_log`] | two of them, for HdrHistogram's tools |

pub mod doubts;
pub mod figures;
pub mod interval_log;
pub mod keep;
pub mod model;
pub mod percentile_table;
pub mod stages;
pub mod table;
pub mod whole;
pub mod workload;
