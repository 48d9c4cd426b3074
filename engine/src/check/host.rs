//! Can this host run a ring, and if not, what stands in the way.

use std::fs;
use std::io;

use super::StartError;
use crate::limits::KERNEL_MIN;
use crate::uring::Ring;

/// What was found about the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFacts {
    /// The kernel's release, as `uname -r` prints it.
    pub kernel: String,
    /// Limit on locked memory, in bytes; None is unlimited (or does not apply to this process).
    pub memlock_bytes: Option<u64>,
    /// Cores this process may run on.
    pub cores: usize,
}

/// Makes a ring and throws it away. Call it before [`crate::shard::launch`], from a thread that is not a
/// shard, to fail early with the cause.
pub fn host() -> Result<HostFacts, StartError> {
    drop(Ring::new().map_err(|e| no_ring(&e))?);
    let memlock_bytes = memlock();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(HostFacts { kernel: kernel_release(), memlock_bytes, cores })
}

fn kernel_release() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    release.trim().to_owned()
}

/// Major and minor version out of a release such as `6.1.0-18-amd64`.
fn version_of(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn memlock() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is writable for the length of the call.
    let failed = unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut limit) };
    (failed == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

/// A line of `/proc/self/status`, as a number.
fn status(field: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix(field)?.strip_prefix(':'))?;
    line.trim().parse().ok()
}

/// Names the reason why a ring could not be made.
pub(crate) fn no_ring(error: &io::Error) -> StartError {
    let disabled = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok();
    let facts = RingFailure {
        errno: error.raw_os_error().unwrap_or(0),
        disabled: disabled.and_then(|d| d.trim().parse().ok()).unwrap_or(0),
        seccomp: status("Seccomp").unwrap_or(0),
        release: kernel_release(),
        memlock: memlock(),
    };
    explain(&facts, error)
}

struct RingFailure {
    errno: i32,
    disabled: u32,
    seccomp: u64,
    release: String,
    memlock: Option<u64>,
}

fn explain(facts: &RingFailure, error: &io::Error) -> StartError {
    const WHAT: &str = "io_uring is not available";
    let (major, minor) = KERNEL_MIN;
    let old = version_of(&facts.release).is_some_and(|v| v < KERNEL_MIN);
    match (facts.errno, facts.disabled) {
        (libc::EPERM, 2) => StartError::new(
            "HDL-IO-001",
            WHAT,
            "the sysctl kernel.io_uring_disabled is 2: nobody may use io_uring",
            "run `sysctl -w kernel.io_uring_disabled=0` (and set it in /etc/sysctl.d)",
        ),
        (libc::EPERM, 1) => StartError::new(
            "HDL-IO-001",
            WHAT,
            "the sysctl kernel.io_uring_disabled is 1: only the group kernel.io_uring_group and CAP_SYS_ADMIN may \
             use io_uring",
            "run `sysctl -w kernel.io_uring_disabled=0`, or put this user's group into \
             kernel.io_uring_group",
        ),
        (libc::EPERM | libc::EACCES, _) | (libc::ENOSYS, _) if facts.seccomp > 0 => {
            StartError::new(
                "HDL-IO-002",
                WHAT,
                format!(
                    "a seccomp filter refuses io_uring_setup ({error}); containers do so by default"
                ),
                "allow io_uring_setup, io_uring_enter and io_uring_register in the seccomp profile: docker run \
             --security-opt seccomp=PROFILE, or seccompProfile in the pod's securityContext",
            )
        }
        (libc::EINVAL | libc::ENOSYS, _) if old => StartError::new(
            "HDL-IO-003",
            "this kernel is too old",
            format!(
                "it is {}; io_uring with deferred task work needs {major}.{minor}",
                facts.release
            ),
            format!("run it on Linux {major}.{minor} or newer"),
        ),
        (libc::ENOSYS, _) => StartError::new(
            "HDL-IO-004",
            WHAT,
            format!("the kernel ({}) was built without io_uring", facts.release),
            "run it on a kernel with CONFIG_IO_URING=y",
        ),
        (libc::ENOMEM, _) => StartError::new(
            "HDL-IO-005",
            "there is no memory for a ring",
            match facts.memlock {
                Some(bytes) => format!("{error}; the limit on locked memory is {bytes} bytes"),
                None => format!("{error}"),
            },
            "raise the limit on locked memory (`ulimit -l`, LimitMEMLOCK= in the systemd unit), or give \
             the process more memory",
        ),
        (libc::EMFILE | libc::ENFILE, _) => StartError::new(
            "HDL-IO-006",
            "there is no file descriptor left for a ring",
            error.to_string(),
            "raise the limit on open files (`ulimit -n`, LimitNOFILE= in the systemd unit)",
        ),
        _ => StartError::new(
            "HDL-IO-007",
            WHAT,
            format!("io_uring_setup: {error} (kernel {})", facts.release),
            "look for a security module or sandbox that restricts io_uring",
        ),
    }
}

pub(crate) fn no_memory(error: &io::Error) -> StartError {
    let fix = "give the process more memory, or shards a smaller budget";
    StartError::new("HDL-IO-008", "a shard's memory cannot be mapped", error.to_string(), fix)
}

pub(crate) fn no_thread(error: &io::Error) -> StartError {
    let fix = "raise the limit on processes (`ulimit -u`, TasksMax= in the systemd unit)";
    StartError::new("HDL-IO-009", "a shard's thread cannot be started", error.to_string(), fix)
}

/// Registered buffers are an optimisation: without them one line says so.
pub(crate) fn warn_unregistered(error: &io::Error, bytes: usize) {
    let limit = memlock().map_or("unlimited".to_owned(), |b| format!("{b} bytes"));
    tracing::warn!(
        "HDL-IO-020: registered buffers are off: cannot lock {bytes} bytes ({error}, limit on locked \
         memory: {limit}); direct I/O costs a little more CPU. Raise it with `ulimit -l` or \
         LimitMEMLOCK=."
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(errno: i32, disabled: u32, seccomp: u64, release: &str, code: &str, word: &str) {
        let facts = RingFailure {
            errno,
            disabled,
            seccomp,
            release: release.to_owned(),
            memlock: Some(65536),
        };
        let error = explain(&facts, &io::Error::from_raw_os_error(errno));
        assert_eq!(error.code, code);
        assert!(error.to_string().contains(word), "{error} does not say {word:?}");
    }

    #[test]
    fn every_cause_has_its_code() {
        check(libc::EPERM, 2, 0, "6.8.0", "HDL-IO-001", "is 2");
        check(libc::EPERM, 1, 2, "6.8.0", "HDL-IO-001", "io_uring_group");
        check(libc::EPERM, 0, 2, "6.8.0", "HDL-IO-002", "seccomp");
        check(libc::ENOSYS, 0, 2, "6.8.0", "HDL-IO-002", "seccomp");
        check(libc::EINVAL, 0, 0, "5.15.0-91-generic", "HDL-IO-003", "needs 6.1");
        check(libc::ENOSYS, 0, 0, "4.18.0-el8", "HDL-IO-003", "4.18.0-el8");
        check(libc::ENOSYS, 0, 0, "6.8.0", "HDL-IO-004", "CONFIG_IO_URING");
        check(libc::ENOMEM, 0, 0, "6.8.0", "HDL-IO-005", "65536");
        check(libc::EMFILE, 0, 0, "6.8.0", "HDL-IO-006", "ulimit -n");
        check(libc::EPERM, 0, 0, "6.8.0", "HDL-IO-007", "security module");
    }

    #[test]
    fn versions_are_read_out_of_releases() {
        assert_eq!(version_of("6.1.0-18-amd64"), Some((6, 1)));
        assert_eq!(version_of("5.15.153.1-microsoft"), Some((5, 15)));
        assert_eq!(version_of("nonsense"), None);
    }

    #[test]
    fn this_host_passes() {
        let facts = host().expect("the tests run where io_uring works");
        assert!(version_of(&facts.kernel) >= Some(KERNEL_MIN), "{facts:?}");
    }
}
