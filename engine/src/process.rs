//! What the kernel says about this process.

use std::fs;
use std::io;
use std::time::Duration;

use crate::blocking;

/// What the process uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Process {
    /// Processor time of all its threads, kernel workers of its rings included.
    pub cpu: Duration,
    /// Memory that is resident.
    pub resident_bytes: u64,
    /// Addresses that are mapped.
    pub virtual_bytes: u64,
    /// File descriptors that are open.
    pub open_files: u64,
    /// The most there may be.
    pub open_files_max: u64,
    /// When it was started, in seconds since 1970.
    pub started: f64,
}

/// Asks for it, in the blocking pool.
pub async fn read() -> io::Result<Process> {
    blocking::run(ask).await
}

fn ask() -> io::Result<Process> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let system = fs::read_to_string("/proc/stat")?;
    let open_files = fs::read_dir("/proc/self/fd")?.count() as u64;
    // SAFETY: sysconf takes no pointers.
    let (tick, page) =
        unsafe { (libc::sysconf(libc::_SC_CLK_TCK), libc::sysconf(libc::_SC_PAGESIZE)) };
    let mut files = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `files` is writable for the length of the call.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut files) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let booted = system.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok());
    parse(&stat, booted.unwrap_or(0.0), tick as f64, page as u64)
        .map(|process| Process { open_files, open_files_max: files.rlim_cur, ..process })
        .ok_or_else(|| io::Error::other("/proc/self/stat is not what proc(5) says"))
}

/// The fields of `/proc/self/stat`, counted from behind the name, which may hold anything.
fn parse(stat: &str, booted: f64, tick: f64, page: u64) -> Option<Process> {
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    // proc(5) counts from 1 and has the process id and the name before.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Process {
        cpu: Duration::from_secs_f64((field(14)? + field(15)?) as f64 / tick),
        resident_bytes: field(24)? * page,
        virtual_bytes: field(23)?,
        open_files: 0,
        open_files_max: 0,
        started: booted + field(22)? as f64 / tick,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found() {
        let process = ask().expect("the kernel tells");
        assert!(process.resident_bytes > 100_000 && process.virtual_bytes > process.resident_bytes);
        assert!(process.open_files > 2 && process.open_files_max >= process.open_files);
        assert!(process.started > 1e9, "{}", process.started);
    }

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "7 (a) b) S 1 1 1 0 -1 0 1 2 3 4 250 50 0 0 20 0 9 0 1000 4096 3 9";
        let process = parse(stat, 50.0, 100.0, 4096).expect("it has all fields");
        assert_eq!(process.cpu, Duration::from_secs(3));
        assert_eq!((process.resident_bytes, process.virtual_bytes), (3 * 4096, 4096));
        assert_eq!(process.started, 60.0);
        assert!(parse("7 (a) S 1", 0.0, 100.0, 4096).is_none());
    }
}
