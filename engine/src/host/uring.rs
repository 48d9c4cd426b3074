//! The io_uring host: what it provides, listed in one place.
//!
//! | need | provided by |
//! |---|---|
//! | sleep until something completes | `Ring::enter`, one `io_uring_enter` per turn |
//! | hand completions out | `Ring::dispatch` |
//! | operations that own their memory | `file_ops`, `socket_ops`, over `Ring::start*` |
//! | end another shard's sleep | `Ring::send_wake` (MSG_RING), or its eventfd from plain threads |
//! | memory fit for it | `Ring::register_buffers`, `Provided` |
//! | the end | `Ring::drain`: no memory is freed that the kernel may still write to |

/// Name of the host in logs and reports.
pub const NAME: &str = "uring";
