//! The fatal end of the process.

use std::io::Write;

/// Ends the process at once with exit status `code`, after one line on standard error. For failures
/// after which nothing may be acknowledged any more, such as a failed sync: no destructor runs, no
/// shard does another step. Works on every thread.
pub fn exit_now(code: i32, message: &str) -> ! {
    #[cfg(feature = "sim")]
    if crate::sim::is_running() {
        crate::sim::exit(code, message);
    }
    tracing::error!("{message}");
    let line = format!("{message}\n");
    // A closed standard error must not keep the process alive.
    let _ = std::io::stderr().write_all(line.as_bytes());
    // SAFETY: _exit takes any status and runs no code of this process.
    unsafe { libc::_exit(code) }
}
