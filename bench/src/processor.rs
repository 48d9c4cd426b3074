//! Processor time of this process, its kernel workers included.

use std::time::Duration;

/// The kernel reports in hundredths of a second (`USER_HZ` is 100 on every Linux this runs on).
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// User and system time since the process began, of all its threads, those of io_uring included, dead or alive.
/// Exact to 10 ms each. Zero where `/proc` is missing.
pub fn used() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    ticks(&stat).map_or(Duration::ZERO, |ticks| TICK * ticks)
}

/// Fields 14 and 15 (proc(5)), counted behind the name, which may contain anything.
pub(crate) fn ticks(stat: &str) -> Option<u32> {
    let fields = stat.rsplit_once(')')?.1;
    let mut times = fields.split_ascii_whitespace().skip(11);
    let (user, system) = (times.next()?, times.next()?);
    Some(user.parse::<u32>().ok()? + system.parse::<u32>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_an_odd_name() {
        let stat = "42 (a ) b) S 1 2 3 4 5 6 7 8 9 10 700 11 0 0 20";
        assert_eq!(ticks(stat), Some(711));
        assert_eq!(ticks(""), None);
    }
}
