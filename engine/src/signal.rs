//! Signals that ask the process to end.

use std::rc::Rc;

use crate::remote::owned;
use crate::uring::{self, Descriptor, Hold};

/// Keeps SIGTERM and SIGINT from this thread and from all it starts from now on. A process that starts
/// threads of its own before [`crate::shard::launch`] (a log writer) calls this first: a signal goes
/// to any thread that does not block it, and ends the process there and then.
pub fn block() {
    crate::shard::block_signals(&[libc::SIGTERM, libc::SIGINT]);
}

/// SIGTERM or SIGINT has come to this process, which blocks them, and nobody has taken it yet.
pub fn is_pending() -> bool {
    // SAFETY: sigset_t is plain integers; the calls write and read the local set.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        let failed = libc::sigpending(&mut set) != 0;
        !failed && [libc::SIGTERM, libc::SIGINT].iter().any(|s| libc::sigismember(&set, *s) == 1)
    }
}

/// Waits for SIGTERM or SIGINT and names it. Call it on one shard of a [`crate::shard::launch`], which
/// blocks both signals for this purpose.
pub async fn terminate() -> &'static str {
    // SAFETY: sigset_t is plain integers; the calls write the local set; signalfd reads it.
    let fd = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGTERM);
        libc::sigaddset(&mut set, libc::SIGINT);
        owned(libc::signalfd(-1, &set, libc::SFD_CLOEXEC))
    };
    let fd = Rc::new(Descriptor::new(fd.expect("a signalfd needs a descriptor only")));
    loop {
        let (result, hold) = uring::read_signal(&fd).await;
        if let (1.., Hold::Signal(info)) = (result, hold) {
            return if info.ssi_signo == libc::SIGINT as u32 { "SIGINT" } else { "SIGTERM" };
        }
    }
}
