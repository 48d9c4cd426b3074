//! What has happened to a simulated disk.

use super::content::Fate;

/// What a disk has done and suffered since its world began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskCounters {
    /// Reads completed.
    pub reads: u64,
    /// Bytes they gave.
    pub bytes_read: u64,
    /// Writes completed, also those that failed.
    pub writes: u64,
    /// Bytes they were to write.
    pub bytes_written: u64,
    /// Of the writes, those to files open with `dsync`.
    pub dsync_writes: u64,
    /// Syncs of files.
    pub syncs: u64,
    /// Syncs of directories.
    pub dir_syncs: u64,
    /// Syncs of the whole file system.
    pub fs_syncs: u64,
    /// Files and directories created.
    pub creates: u64,
    /// Renames.
    pub renames: u64,
    /// Files and directories removed.
    pub removes: u64,
    /// Lengths set and space reserved.
    pub resizes: u64,
    /// Operations refused for want of space.
    pub no_space: u64,
    /// Direct reads and writes refused because they were not aligned.
    pub unaligned: u64,
    /// Reads of sectors that could not be read.
    pub read_errors: u64,
    /// Writes made to fail.
    pub write_errors: u64,
    /// Syncs made to fail.
    pub sync_errors: u64,
    /// Operations cancelled by dropping their futures before they had an effect.
    pub cancelled: u64,
    /// Power cuts.
    pub power_cuts: u64,
    /// Ends of a process that left the power on.
    pub kills: u64,
    /// Writes, not yet durable, that a power cut kept.
    pub kept: u64,
    /// Writes that a power cut took back.
    pub dropped: u64,
    /// Writes of which a power cut left some sectors.
    pub torn: u64,
    /// Writes that survived a power cut though one before them, of the same file, did not.
    pub reordered: u64,
    /// Creations, renames and removals that a power cut took back.
    pub names_lost: u64,
    /// Writes in flight at the end of a process that left some of their sectors.
    pub torn_in_flight: u64,
}

impl DiskCounters {
    pub(super) fn note(&mut self, fate: Fate, dropped_before: bool) {
        match fate {
            Fate::Kept => self.kept += 1,
            Fate::Dropped => self.dropped += 1,
            Fate::Torn => self.torn += 1,
        }
        self.reordered += u64::from(dropped_before && fate != Fate::Dropped);
    }
}
