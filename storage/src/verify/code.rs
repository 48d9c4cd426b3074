//! Everything the check can find: a stable code each, how bad it is, what it means, and what to do.

use std::fmt;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// What a crash or a power cut leaves behind, and recovery deals with. Nothing is lost.
    Note,
    /// Something is not as it was written, and nothing acknowledged is lost by it.
    Warning,
    /// Something acknowledged is missing or altered, or the broker does not start from it.
    Error,
}

impl Severity {
    /// `error`, `warning` or `note`.
    pub const fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident $number:literal $severity:ident
        => $consequence:literal, $fix:literal;)+) => {
        /// What was found. The numbers are stable: one that is no longer used is not given out again.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Code {
            /// All of them, by number.
            pub const ALL: &'static [Code] = &[$(Code::$name),+];

            /// The number in `HDL-VF-nnn`.
            pub const fn number(self) -> u16 {
                match self { $(Code::$name => $number,)+ }
            }

            /// How bad it is.
            pub const fn severity(self) -> Severity {
                match self { $(Code::$name => Severity::$severity,)+ }
            }

            /// What it is, for the table of codes.
            pub fn title(self) -> &'static str {
                match self { $(Code::$name => concat!($($doc),+).trim(),)+ }
            }

            /// What follows from it.
            pub const fn consequence(self) -> &'static str {
                match self { $(Code::$name => $consequence,)+ }
            }

            /// What to do.
            pub const fn fix(self) -> &'static str {
                match self { $(Code::$name => $fix,)+ }
            }
        }
    };
}

codes! {
    /// A file or directory cannot be read.
    Unreadable 1 Error
        => "what stands there is not known",
           "look into the kernel's log for errors of the device; copy what can be read to another disk";
    /// Neither slot of the superblock is valid.
    SuperblockInvalid 2 Error
        => "the broker does not start, and which journals are in force is not known",
           "restore `superblock` from a backup of this directory";
    /// The superblock was written by a later build.
    SuperblockVersion 3 Error
        => "this build cannot tell what the directory holds", "use the build that wrote it";
    /// One slot of the superblock is damaged.
    SuperblockSlot 4 Warning
        => "the other slot is used, as after a power cut in the middle of a write",
           "nothing; the next start writes it again";
    /// `meta.properties` is missing or says something else than the superblock.
    MetaProperties 5 Warning
        => "the superblock counts; tools that read meta.properties are misled",
           "nothing; the next start writes it again";
    /// The last stop was not a clean one, or the broker never ran.
    NotClean 6 Note
        => "the next start replays the journal", "nothing";
    /// A file that is not part of the data.
    Leftover 7 Note
        => "it takes space and is not read", "nothing; the broker removes its own";
    /// The quarantine is not empty.
    Quarantine 8 Note
        => "an earlier recovery kept something that it had no place for",
           "look into it with `heddle dump`, then delete it";

    /// The metadata log is damaged or gone.
    MetadataLog 20 Error
        => "the broker does not start", "restore `metadata` from a backup of this directory";
    /// A metadata record does not decode.
    MetadataRecord 21 Error
        => "the broker does not start", "use the build that wrote it, or restore `metadata` from a backup";
    /// A metadata record contradicts those before it.
    MetadataContradiction 22 Error
        => "the broker does not start", "restore `metadata` from a backup of this directory";
    /// The metadata is of another cluster than the superblock.
    MetadataCluster 23 Error
        => "the broker does not start", "put the files back where they came from";
    /// A log has data and the metadata does not know its topic.
    LogUnlisted 24 Error
        => "its records are kept and not served", "restore `metadata` from a backup that knows the topic";
    /// A directory of a topic that the metadata does not know.
    TopicUnknown 25 Note
        => "it is not read", "move it away once you know that nobody misses it";
    /// A deleted topic's files are still there.
    TopicDeleted 26 Note
        => "they take space", "nothing; the next start removes them";
    /// Partitions without a directory.
    TopicWithoutFiles 27 Note
        => "nothing was written to them yet", "nothing";
    /// A frame of metadata or checkpoints has one damaged copy.
    RecordCopy 28 Warning
        => "none: the other copy is read; the device has damaged what was written to it",
           "look into the kernel's log for errors of the device; the next start writes the log anew";

    /// The base checkpoint is missing or damaged.
    BaseCheckpoint 30 Error
        => "the broker does not start", "restore `checkpoints` from a backup of this directory";
    /// A checkpoint log is damaged or gone.
    CheckpointLog 31 Error
        => "the broker does not start", "restore `checkpoints` from a backup of this directory";
    /// A checkpoint contradicts itself.
    CheckpointSense 32 Error
        => "recovery cannot rely on it; the partition may go offline",
           "export what can be read with `heddle dump --export`, then delete the topic";
    /// A partition is marked offline.
    Offline 33 Error
        => "it is not served; its data is kept as it is",
           "if segment files are missing, put them back while the broker is down; otherwise save what can be \
            read and delete the topic";
    /// A producer snapshot does not decode, or says something else than the batches.
    ProducerSnapshot 34 Error
        => "a producer's duplicate may be taken twice, or its next batch be refused",
           "delete and create the topic anew once its records are copied";
    /// The leader epochs do not decode, or say something else than the batches.
    LeaderEpochs 35 Error
        => "consumers that ask where an epoch ended get a wrong answer",
           "delete and create the topic anew once its records are copied";

    /// Acknowledged frames of the journal are damaged or missing.
    JournalDamaged 40 Error
        => "the partitions that lose records by it go offline at the next start; all others serve",
           "see the findings of the partitions; look into the kernel's log for errors of the device";
    /// A partition's acknowledged records were in a damaged part of the journal.
    RecordsLost 41 Error
        => "the partition goes offline at the next start",
           "keep a copy of `journal`; save what can be read of the partition, then delete the topic";
    /// The journal's last frame was cut short.
    TornTail 42 Note
        => "none: nobody was told that it was written", "nothing";
    /// Damaged frames whose entries all are in checkpoints.
    JournalDamagedCovered 43 Warning
        => "none for the data; the device has damaged what was written to it",
           "look into the kernel's log for errors of the device";
    /// Whole frames behind the end of the journal.
    FramesDropped 44 Note
        => "recovery drops them: they were written under a weaker class than `device` and not flushed",
           "nothing";
    /// An entry of the journal contradicts its log.
    EntryContradicts 45 Error
        => "acknowledged records are missing; the partition goes offline at the next start",
           "keep a copy of `journal`; save what can be read of the partition, then delete the topic";
    /// The journal has entries of a log that the metadata does not know.
    EntryUnknownLog 46 Error
        => "recovery keeps their frames in quarantine; they are not served",
           "restore `metadata` from a backup that knows the topic";
    /// A frame contradicts those before it.
    FrameContradicts 47 Error
        => "what recovery concludes from it may be wrong",
           "keep a copy of `journal`, and report it: the checksum is right, so it was written so";
    /// The superblock says that the stop was clean, and a journal does not end so.
    NotClosed 48 Warning
        => "the end of the journal may have been damaged after the stop",
           "look into the kernel's log for errors of the device";
    /// Journal files of another generation than the one in force.
    JournalOfOther 49 Note
        => "they are not read", "nothing; the next start uses them again";
    /// Journal files of a generation later than the superblock names.
    JournalOfLater 50 Error
        => "the superblock is older than the journals: what they hold would be lost",
           "restore `superblock` from the same moment as `journal`";
    /// A journal file's length is not a whole number of blocks.
    JournalCut 51 Error
        => "it was cut: acknowledged frames behind its end may be gone, and nothing there can say so",
           "restore `journal` from the same moment, and look for what cuts files";

    /// A segment file is missing.
    SegmentMissing 60 Error
        => "its records are gone; the partition goes offline at the next start",
           "put the file back from a backup while the broker is down";
    /// A segment file is shorter than what is synced in it.
    SegmentShort 61 Error
        => "records at its end are gone; the partition goes offline at the next start",
           "put the file back from a backup while the broker is down";
    /// No batch where one must be.
    BatchFraming 62 Error
        => "fetches of these offsets get a storage error",
           "put the file back from a backup while the broker is down, or save what can be read and delete the topic";
    /// A batch's checksum does not match.
    BatchChecksum 63 Error
        => "consumers refuse the batch",
           "put the file back from a backup while the broker is down, or save what can be read and delete the topic";
    /// A batch's offsets do not go on where the batch before ended.
    BatchOffsets 64 Error
        => "records are missing or twice there, or the header is damaged",
           "put the file back from a backup while the broker is down, or save what can be read and delete the topic";
    /// Something else than zeros behind the last batch of a segment, after a clean stop.
    Padding 65 Warning
        => "none: it is not read", "nothing";
    /// A complete segment was not cut to its length.
    NotCut 66 Note
        => "none for clients; Apache Kafka's dump tool refuses the zeros", "nothing; the next start cuts it";
    /// Records that are in the journal and not yet, or not whole, in their segment.
    NotWrittenBehind 67 Note
        => "none: the next start writes them from the journal", "nothing";
    /// A segment file that no checkpoint and no journal entry names.
    SegmentUnlisted 68 Note
        => "it is not read; recovery removes it or moves it to quarantine", "nothing";
    /// A batch's records contradict its header, or do not unpack.
    BatchRecords 69 Error
        => "consumers fail on the batch",
           "put the file back from a backup while the broker is down, or save what can be read and delete the topic";
    /// The checkpoint's account of a segment is not what the segment holds.
    SegmentAccount 70 Error
        => "recovery would append at the wrong place or with the wrong offset",
           "keep a copy of the directory, and report it";
    /// The checkpoint's times of a segment are not those of its batches.
    SegmentTimes 71 Warning
        => "retention by time may remove the segment early or late", "nothing";
    /// The partial block at a segment's end differs from the checkpoint's image of it.
    TailBlock 72 Note
        => "none: a crash interrupted the block's rewriting, and the next start writes it again", "nothing";
    /// The partial block at a segment's end is damaged, and the checkpoint has an image of it.
    TailBlockDamaged 73 Warning
        => "none: the next start writes the block again from the image",
           "look into the kernel's log for errors of the device";
    /// Something else than zeros behind the last batch of a segment, after a stop that was not clean.
    StaleTail 74 Note
        => "none: records that were taken back, or never acknowledged; the next start cuts them off",
           "nothing";

    /// An index file is damaged.
    IndexDamaged 80 Warning
        => "none: the broker builds it again when it is needed", "nothing";
    /// An index file's checksum is right and its places are wrong.
    IndexWrong 81 Error
        => "look-ups by offset or time miss records", "delete the index file: the broker builds it again";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("HDL-VF-{:03}", self.number()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_and_every_code_says_what_to_do() {
        assert!(Code::ALL.is_sorted_by(|a, b| a.number() < b.number()));
        for code in Code::ALL {
            assert!(code.title().ends_with('.'), "{code}: {}", code.title());
            assert!(!code.consequence().is_empty() && !code.fix().is_empty(), "{code}");
        }
        assert_eq!(Code::BatchChecksum.to_string(), "HDL-VF-063");
        assert!(Severity::Error > Severity::Warning && Severity::Warning > Severity::Note);
    }
}
