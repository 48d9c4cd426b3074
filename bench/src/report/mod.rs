//! One or several results as one HTML page that needs no network, no other file and no script.
//!
//! | module | holds |
//! |---|---|
//! | [`page`] | the page: what stands where |
//! | [`headline`] | the figures that are looked at first |
//! | [`percentile_curve`] | latency by percentile, several results on one another |
//! | [`heat_map`], [`throughput`], [`processor_time`] | what went on second by second |
//! | [`stage_bars`] | where requests spent their time in the broker |
//! | [`client_spread`] | whether some clients fared worse than others |
//! | [`facts`] | the audit, settings, the machine |
//! | [`timeline`] | seconds of all runs in a row, as columns |
//! | [`figure`], [`svg`], [`scale`], [`escape`] | a drawing with its legend and its table; shapes; axes; text |

pub mod client_spread;
pub mod escape;
pub mod facts;
pub mod figure;
pub mod headline;
pub mod heat_map;
pub mod page;
pub mod percentile_curve;
pub mod processor_time;
pub mod scale;
pub mod stage_bars;
pub mod svg;
pub mod throughput;
pub mod timeline;

pub use page::html;
