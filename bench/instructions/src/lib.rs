//! Instructions per request of the produce and the fetch path, counted under callgrind.
//!
//! A shard with its real ring, journal and connection code serves one client of its own thread over loopback, one
//! request after the other; valgrind counts what the thread executes between two marks. What belongs to no request
//! (write-behind, checkpoints, retention) is put off beyond the end of the run. Reading order: [`case`] (what is
//! asked), [`stand`] (the shard), [`client`], [`drive`] (the program that valgrind runs), [`count`] (runs it and reads
//! the counts), [`functions`] (where they go), [`table`]
//! (compares them with those that are kept).

pub mod case;
pub mod client;
pub mod count;
pub mod drive;
pub mod functions;
pub mod stand;
pub mod table;
