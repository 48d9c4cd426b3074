//! Signals that ask the process to end.

use std::rc::Rc;

use crate::remote::owned;
use crate::uring::{self, Descriptor, Hold};

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
