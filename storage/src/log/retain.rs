//! When old segments go: by age, by size, or because the log's start has passed them. Computes, deletes nothing.
//!
//! The rules are Kafka's: a segment is old when its *newest* record is; the oldest segment goes when what remains is
//! still at least `retention.bytes`; nothing at or above what readers may see is ever deleted.

use crate::ids::Offset;
use crate::log::config::LogConfig;
use crate::log::segment::Segment;

/// What retention wants of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retain {
    /// The new first offset of the log. Segments that end at or before it may be deleted once this is durable.
    pub log_start: Offset,
    /// The segment that takes appends has expired as well: a new one must be begun at the log's end first.
    pub close_active: bool,
}

/// The offset after the last record of each segment, oldest first.
fn ends(segments: &[Segment], log_end: Offset) -> impl Iterator<Item = (&Segment, Offset)> {
    let next = segments.iter().skip(1).map(|segment| segment.base).chain([log_end]);
    segments.iter().zip(next)
}

/// What the age and size settings ask for, if anything.
pub fn plan(
    segments: &[Segment],
    visible_end: Offset,
    log_end: Offset,
    config: &LogConfig,
    now_ms: i64,
) -> Option<Retain> {
    if config.forever {
        return None;
    }
    let mut remaining: u64 = segments.iter().map(|segment| segment.bytes).sum();
    let mut retain = None;
    for (at, (segment, end)) in ends(segments, log_end).enumerate() {
        let too_old = config.retention_ms.is_some_and(|ms| {
            // Records without timestamps age with their segment.
            let newest =
                if segment.max_timestamp >= 0 { segment.max_timestamp } else { segment.created_ms };
            now_ms.saturating_sub(newest) > ms
        });
        let too_large =
            config.retention_bytes.is_some_and(|bytes| remaining - segment.bytes >= bytes);
        let active = at + 1 == segments.len();
        if segment.bytes == 0 || end > visible_end || !(too_old || too_large) {
            break;
        }
        remaining -= segment.bytes;
        retain = Some(Retain { log_start: end, close_active: active });
    }
    retain
}

/// How many of the oldest segments lie wholly before `log_start`. Never all of them: the last one takes appends.
pub fn dead_segments(segments: &[Segment], log_start: Offset) -> usize {
    segments.iter().skip(1).take_while(|segment| segment.base <= log_start).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments() -> Vec<Segment> {
        // Three segments of 100 bytes: offsets 0..10, 10..20, 20..30; newest records at 1000, 2000, 3000 ms.
        (0..3)
            .map(|at| {
                let mut segment = Segment::new(Offset(at * 10), 0);
                segment.on_append(100, (at + 1) * 1000, Offset(at * 10 + 9));
                segment
            })
            .collect()
    }

    fn check(config: LogConfig, visible_end: i64, now_ms: i64, expected: Option<(i64, bool)>) {
        let plan = plan(&segments(), Offset(visible_end), Offset(30), &config, now_ms);
        assert_eq!(plan.map(|plan| (plan.log_start.0, plan.close_active)), expected);
    }

    fn by_age(ms: i64) -> LogConfig {
        LogConfig { retention_ms: Some(ms), ..LogConfig::default() }
    }

    fn by_size(bytes: u64) -> LogConfig {
        LogConfig { retention_ms: None, retention_bytes: Some(bytes), ..LogConfig::default() }
    }

    #[test]
    fn age_counts_from_the_newest_record() {
        check(by_age(500), 30, 1500, None);
        check(by_age(500), 30, 1501, Some((10, false)));
        check(by_age(500), 30, 2501, Some((20, false)));
        check(by_age(500), 30, 9999, Some((30, true)));
    }

    #[test]
    fn size_leaves_at_least_the_bound() {
        check(by_size(300), 30, 0, None);
        check(by_size(201), 30, 0, None);
        check(by_size(200), 30, 0, Some((10, false)));
        check(by_size(150), 30, 0, Some((10, false)));
        check(by_size(100), 30, 0, Some((20, false)));
    }

    #[test]
    fn nothing_invisible_goes() {
        check(by_age(1), 29, 9999, Some((20, false)));
        check(by_age(1), 9, 9999, None);
    }

    #[test]
    fn forever_keeps_all() {
        check(LogConfig { forever: true, ..by_age(1) }, 30, 1 << 40, None);
    }

    #[test]
    fn the_last_segment_survives_the_start() {
        assert_eq!(dead_segments(&segments(), Offset(9)), 0);
        assert_eq!(dead_segments(&segments(), Offset(10)), 1);
        assert_eq!(dead_segments(&segments(), Offset(25)), 2);
        assert_eq!(dead_segments(&segments(), Offset(30)), 2);
    }
}
