//! What happened in the scenarios that were run, so that a suite can show what it went through.

use std::fmt;

macro_rules! coverage {
    ($($(#[doc = $doc:literal])* $name:ident),* $(,)?) => {
        /// How often each thing happened in one world, or over all: in how many worlds.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Coverage {
            $($(#[doc = $doc])* pub $name: u64,)*
        }

        impl Coverage {
            /// Notes for each thing that happened that it did so in one world more.
            pub fn add_world(&mut self, world: &Coverage) {
                $(self.$name += u64::from(world.$name > 0);)*
            }

            /// Adds what was counted elsewhere.
            pub fn add(&mut self, other: &Coverage) {
                $(self.$name += other.$name;)*
            }

            /// All of it, by name.
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name)),*]
            }
        }
    };
}

coverage! {
    /// Processes that were started.
    starts,
    /// Batches appended.
    appended,
    /// Batches acknowledged.
    acknowledged,
    /// Reads from segments.
    cold_reads,
    /// Journal files used again.
    journal_recycled,
    /// Segments completed and followed by another.
    segment_rolled,
    /// A topic created under the name of one that was deleted.
    recreated,
    /// A log's start moved by retention.
    retention,
    /// Starts with another number of shards.
    shards_changed,
    /// Appends refused because the disk was full.
    disk_full,
    /// Processes ended by a failed sync.
    sync_failed,
    /// Processes ended by a failed write.
    write_failed,
    /// Duplicates of batches that were not acknowledged yet.
    duplicate_in_flight,
    /// Duplicates of batches that were.
    duplicate_acknowledged,
    /// Batches refused for their sequence number or epoch.
    sequence_refused,
    /// Records deleted on request.
    records_deleted,
    /// Truncations acknowledged.
    truncated,
    /// Settings changed.
    configured,
    /// Batches larger than a block of the journal.
    large_batches,
    /// Parts of segments that could not be read.
    latent_errors,
    /// Logs offline.
    offline,
    /// Processes killed.
    kills,
    /// Power cuts.
    power_cuts,
    /// Crashes before a process served.
    crashes_while_starting,
    /// Clean ends.
    clean_ends,
    /// Starts refused on a full disk.
    starts_refused_full,
    /// Starts refused for a write or sync that failed.
    starts_refused_io,
    /// Acknowledged batches of class `written` that a power cut took.
    written_lost,
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in self.all() {
            writeln!(f, "  {name:<24} {count}")?;
        }
        Ok(())
    }
}
