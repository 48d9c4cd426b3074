//! How the node of a scenario is set up, and the settings that its topics may have.

use std::time::Duration;

use storage::durability::Durability;
use storage::log::LogConfig;

use crate::dice::Dice;

const MIB: u64 = 1 << 20;
const HOUR_MS: i64 = 3_600_000;

/// The node's settings: those of a small machine, so that everything has an end that is reached.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bytes of the disk.
    pub disk_bytes: u64,
    /// Memory of a shard.
    pub memory_bytes: usize,
    /// Bytes of a journal file.
    pub journal_file_bytes: u64,
    /// Journal files of a shard.
    pub journal_files: u64,
    /// Bytes of a checkpoint log's file to begin with.
    pub checkpoint_log_bytes: u64,
    /// Bytes of the metadata log's file to begin with.
    pub metadata_bytes: u64,
    /// Tail cache.
    pub cache_bytes: usize,
    /// Cold cache.
    pub cold_cache_bytes: usize,
    /// Segment files held open.
    pub open_files_max: usize,
    /// The longest a batch waits for its segment.
    pub write_behind_age: Duration,
    /// Unwritten bytes above which nothing waits.
    pub write_behind_bytes: usize,
    /// Between two checkpoints.
    pub checkpoint_interval: Duration,
    /// How full the journal is before a checkpoint comes earlier.
    pub checkpoint_fill: f32,
    /// Between two looks at retention.
    pub retention_interval: Duration,
    /// The longest a commit waits for company.
    pub gap_max: Duration,
    /// Operations that are under way at the same time.
    pub window: usize,
    /// Shards of the first process.
    pub shards: u8,
    /// Bytes of the largest batch that scenarios send.
    pub batch_bytes_max: u32,
}

impl Settings {
    /// Draws settings.
    pub fn draw(dice: &mut Dice) -> Settings {
        // Most journals are as small as they may be; some hold batches larger than a journal's block.
        let large = dice.one_in(12);
        let settings = Settings::draw_evenly(dice, large);
        if dice.one_in(4) {
            // Segments lag far behind the journal, and checkpoints come often: the journal is all that there is.
            return Settings {
                write_behind_age: Duration::from_secs(2),
                write_behind_bytes: 16 << 20,
                checkpoint_interval: Duration::from_millis(5),
                checkpoint_fill: 0.6,
                journal_files: 6,
                ..settings
            };
        }
        settings
    }

    fn draw_evenly(dice: &mut Dice, large: bool) -> Settings {
        Settings {
            disk_bytes: 256 * MIB,
            memory_bytes: (if large { 24 } else { dice.pick(&[8, 12, 16]) } as usize) << 20,
            journal_file_bytes: if large { 3 * MIB } else { MIB },
            journal_files: dice.between(4, 6),
            checkpoint_log_bytes: dice.pick(&[64 << 10, 128 << 10]),
            metadata_bytes: dice.pick(&[16 << 10, 32 << 10, 64 << 10]),
            cache_bytes: dice.pick(&[0, 64 << 10, MIB as usize]),
            cold_cache_bytes: dice.pick(&[64 << 10, MIB as usize]),
            open_files_max: dice.pick(&[2, 8, 64]),
            write_behind_age: Duration::from_millis(dice.pick(&[1, 5, 20, 100, 2_000])),
            write_behind_bytes: dice.pick(&[64 << 10, MIB as usize, 16 * MIB as usize]),
            checkpoint_interval: Duration::from_millis(dice.pick(&[5, 20, 100, 1_000])),
            checkpoint_fill: dice.pick(&[0.2, 0.33, 0.6]),
            retention_interval: Duration::from_secs(dice.pick(&[60, 600])),
            gap_max: Duration::from_micros(dice.pick(&[0, 1_000])),
            window: dice.pick(&[1, 4, 8, 16, 32]),
            shards: dice.between(1, 3) as u8,
            batch_bytes_max: if large { 1_400_000 } else { 400_000 },
        }
    }
}

/// How many profiles there are.
pub const PROFILES: u8 = 8;

/// The settings of a topic, by number.
pub fn profile(number: u8) -> LogConfig {
    let base = LogConfig {
        max_message_bytes: 4 << 20,
        segment_bytes: 2 << 20,
        retention_ms: None,
        producer_id_expiration_ms: i64::MAX,
        ..LogConfig::default()
    };
    match number % PROFILES {
        0 => base,
        1 => LogConfig { segment_bytes: 256 << 10, ..base },
        2 => LogConfig { segment_bytes: 48 << 10, ..base },
        3 => LogConfig { durability: Durability::Written, segment_bytes: 128 << 10, ..base },
        4 => LogConfig { segment_bytes: 32 << 10, retention_bytes: Some(96 << 10), ..base },
        5 => LogConfig { segment_bytes: 64 << 10, retention_ms: Some(3 * HOUR_MS), ..base },
        6 => LogConfig {
            segment_ms: 500,
            segment_bytes: 512 << 10,
            producer_id_expiration_ms: 6 * HOUR_MS,
            ..base
        },
        _ => LogConfig {
            durability: Durability::Written,
            segment_bytes: 64 << 10,
            retention_ms: Some(6 * HOUR_MS),
            ..base
        },
    }
}
