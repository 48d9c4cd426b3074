//! What a scenario is made of. An operation stands for itself: what it needs and does not find, it does without, so that
//! any operation can be taken out of a scenario and the rest still means something.

use engine::sim::Crash;

/// A log, as an operation names it: the topic of that name, if it is there, and a partition modulo how many it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Number of the topic's name.
    pub name: u8,
    /// Number of the partition.
    pub partition: u8,
}

/// Which of a producer's batches is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sending {
    /// Without a producer id.
    Plain,
    /// The next in the sequence.
    Next(u8),
    /// One that was sent before, this many back: 0 is the last one.
    Again(u8, u8),
    /// The next with this many sequence numbers left out before it.
    Gap(u8, u8),
    /// The first batch of the next epoch.
    NextEpoch(u8),
    /// A batch of the epoch before.
    OldEpoch(u8),
}

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every shard writes everything behind and says so.
    Shutdown,
    /// At once.
    Now(Crash),
}

/// A crash some I/O steps from a moment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashAt {
    /// Steps from now.
    pub ios: u64,
    /// What happens then.
    pub crash: Crash,
}

/// Which files a fault is aimed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Journal files.
    Journal,
    /// Segments.
    Segments,
    /// Checkpoints.
    Checkpoints,
    /// The metadata log.
    Metadata,
    /// Whatever comes.
    Any,
}

impl Target {
    /// What a path contains that is meant.
    pub fn pattern(self) -> &'static str {
        match self {
            Target::Journal => "/journal",
            Target::Segments => "/topics",
            Target::Checkpoints => "/checkpoints",
            Target::Metadata => "/metadata",
            Target::Any => "",
        }
    }
}

/// One step of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Creates the topic, unless it is there.
    Create {
        /// Number of its name.
        name: u8,
        /// How many partitions.
        partitions: u8,
        /// Number of its settings.
        profile: u8,
    },
    /// Deletes the topic.
    Delete {
        /// Number of its name.
        name: u8,
    },
    /// Gives the topic other settings.
    Configure {
        /// Number of its name.
        name: u8,
        /// Number of its settings.
        profile: u8,
    },
    /// Sends a batch; its acknowledgement is awaited by a task of its own.
    Produce {
        /// Where.
        place: Place,
        /// Whose, and which.
        sending: Sending,
        /// Records in it.
        records: u16,
        /// Bytes of each value.
        value_bytes: u32,
    },
    /// Reads from an offset.
    Read {
        /// Where.
        place: Place,
        /// How far between the log's start and its visible end, in 1/255.
        at: u8,
        /// Most bytes.
        max_bytes: u32,
        /// One batch even if it is larger.
        one_at_least: bool,
    },
    /// Reads everything that is visible.
    ReadAll {
        /// Where.
        place: Place,
        /// Bytes at a time.
        step_bytes: u32,
    },
    /// Moves the log's start.
    DeleteRecords {
        /// Where.
        place: Place,
        /// How far between the log's start and its visible end, in 1/255.
        at: u8,
    },
    /// Cuts the log's end off.
    Truncate {
        /// Where.
        place: Place,
        /// How far between the log's start and its end, in 1/255.
        at: u8,
    },
    /// Lets time pass.
    Sleep {
        /// How much.
        micros: u64,
    },
    /// Lets hours pass, so that retention has something to do.
    Jump {
        /// How many.
        hours: u8,
    },
    /// Waits until everything that was begun has ended.
    Settle,
    /// The disk has only this much room left.
    Fill {
        /// 4 KiB blocks.
        blocks: u32,
    },
    /// The disk has room again.
    Room,
    /// One of the next writes fails.
    FailWrite {
        /// Which of them.
        after: u8,
        /// Of which files.
        target: Target,
    },
    /// One of the next syncs fails.
    FailSync {
        /// Which of them.
        after: u8,
        /// Of which files.
        target: Target,
    },
    /// A part of one of the log's segments can no longer be read.
    Latent {
        /// Where.
        place: Place,
    },
    /// The disk is slow for a while.
    Slow {
        /// How many times slower.
        factor: u8,
        /// For how long.
        millis: u16,
    },
    /// The process will end some I/O steps from now.
    Arm(CrashAt),
    /// The process ends; another one is started.
    End {
        /// How.
        ending: Ending,
        /// Shards of the next process.
        shards: u8,
        /// Time until it is started.
        pause_ms: u32,
        /// Crashes while it starts, one after the other.
        while_starting: Vec<CrashAt>,
    },
}
