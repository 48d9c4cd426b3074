//! Processor time, memory and threads of a process, from `/proc`.
//!
//! Kernel workers of io_uring are threads of the process that owns the ring, so they count. Everything here is `None` or
//! empty for a process that is gone or belongs to somebody else.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use crate::processor::{TICK, ticks};

/// User and system time since it began, of all its threads, dead or alive.
///
/// Exact to the nanosecond as long as no thread has ended, to 10 ms otherwise: the kernel keeps the one for threads
/// that live, the other for the whole.
pub fn cpu(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let whole = TICK * ticks(&stat)?;
    let living: u64 = cpu_by_thread(pid).values().sum();
    Some(whole.max(Duration::from_nanos(living)))
}

/// Processor time of its living threads in nanoseconds, by their names. Threads of the same name count together.
pub fn cpu_by_thread(pid: u32) -> BTreeMap<String, u64> {
    let mut by_name = BTreeMap::new();
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return by_name };
    for thread in threads.flatten() {
        let read = |file: &str| fs::read_to_string(thread.path().join(file));
        // A thread may end between these lines.
        let (Ok(name), Ok(stat)) = (read("comm"), read("schedstat")) else { continue };
        let ran = stat.split(' ').next().and_then(|ns| ns.trim().parse::<u64>().ok());
        *by_name.entry(name.trim().to_owned()).or_default() += ran.unwrap_or(0);
    }
    by_name
}

/// Resident memory in bytes.
pub fn resident(pid: u32) -> Option<u64> {
    status(pid, "VmRSS:").map(|kib| kib << 10)
}

/// Threads.
pub fn threads(pid: u32) -> Option<u64> {
    status(pid, "Threads:")
}

/// Its state as one letter (proc(5)): `R` runs, `S` sleeps, `T` is stopped, `Z` has ended and was not waited for.
pub fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

fn status(pid: u32, field: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_seen() {
        let pid = std::process::id();
        let before = cpu(pid).expect("it lives");
        let mut sum = 0u64;
        // Until the kernel has seen it work: however fast the machine, it ends.
        while cpu(pid).expect("it lives") < before + Duration::from_millis(20) {
            sum = (0..100_000u64).fold(sum, |sum, n| std::hint::black_box(sum ^ n));
        }
        assert!(resident(pid).expect("it lives") > 1 << 20, "a test takes more than a MiB");
        assert!(threads(pid).expect("it lives") >= 1);
        let total: u64 = cpu_by_thread(pid).values().sum();
        assert!(total >= 10_000_000, "{total} ns");
    }

    #[test]
    fn a_process_that_is_gone_has_nothing() {
        // Above the largest number the kernel gives out.
        let pid = (1 << 22) + 1;
        assert_eq!((cpu(pid), resident(pid), threads(pid)), (None, None, None));
        assert!(cpu_by_thread(pid).is_empty());
    }
}
