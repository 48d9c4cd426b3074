//! What a fetch decides, without I/O: sessions, and how the bytes of a response are shared out.

pub mod plan;
pub mod session;
pub mod sessions;
