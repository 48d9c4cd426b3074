//! How much room a segment's file is given ahead of its appends.
//!
//! Bytes are reserved on the disk before an offset or a sequence is assigned, so that a full disk refuses an append
//! instead of losing an acknowledged one. Small logs reserve little, busy ones in large steps.

/// The first reservation of a segment: ten thousand logs with one record each take 640 MB.
pub const STEP_MIN: u64 = 64 << 10;

/// The largest single reservation. Allocating more at once was seen to take up to 820 ms on a fragmented XFS.
pub const STEP_MAX: u64 = 16 << 20;

/// The file system's block, and the alignment of direct I/O.
pub const BLOCK: u64 = 4096;

/// `bytes` rounded up to whole blocks.
pub fn block_end(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK) * BLOCK
}

/// `bytes` rounded down to whole blocks.
pub fn block_start(bytes: u64) -> u64 {
    bytes / BLOCK * BLOCK
}

/// What to reserve beyond `reserved` so that the file can hold `need` bytes: doubling from [`STEP_MIN`] to
/// [`STEP_MAX`], not past `segment_bytes` unless the need itself is.
pub fn grow(reserved: u64, need: u64, segment_bytes: u64) -> u64 {
    let step = reserved.clamp(STEP_MIN, STEP_MAX);
    let wanted = (reserved + step).min(block_end(segment_bytes));
    wanted.max(block_end(need)).saturating_sub(reserved)
}

/// The least that must be reserved so that the file can hold `need` bytes: tried when a whole step does not fit.
pub fn grow_least(reserved: u64, need: u64) -> u64 {
    block_end(need).saturating_sub(reserved)
}

/// Whether it is time to reserve the next step in the background: less than half of the last step is left.
pub fn should_grow_ahead(reserved: u64, used: u64, segment_bytes: u64) -> bool {
    let left = reserved.saturating_sub(used);
    let last_step = (reserved / 2).clamp(STEP_MIN / 2, STEP_MAX);
    left < last_step / 2 && reserved < block_end(segment_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_double_up_to_the_largest() {
        let mut reserved = 0;
        let mut steps = Vec::new();
        for _ in 0..11 {
            let step = grow(reserved, reserved + 1, 1 << 30);
            steps.push(step >> 10);
            reserved += step;
        }
        assert_eq!(steps, [64, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 16384]);
    }

    #[test]
    fn a_segment_is_not_reserved_past_its_size() {
        assert_eq!(grow(0, 100, 5_000), 8192);
        assert_eq!(grow(8192, 8193, 8192), 4096, "a need beyond the size is met all the same");
        assert_eq!(grow(0, 1 << 20, 1 << 30), 1 << 20, "a large batch gets its room at once");
        assert_eq!(grow_least(4096, 4097), 4096);
    }

    #[test]
    fn grows_ahead_when_half_of_the_last_step_is_used() {
        let segment = 1 << 30;
        assert!(should_grow_ahead(64 << 10, 60 << 10, segment));
        assert!(!should_grow_ahead(64 << 10, 1, segment));
        assert!(should_grow_ahead(32 << 20, 30 << 20, segment));
        assert!(!should_grow_ahead(segment, segment - 1, segment), "whole segment reserved");
    }
}
