//! TCP connections on the ring.
//!
//! Receives come in [`Chunk`]s out of buffers that the kernel fills without being asked again (multishot
//! receive); large bodies of known size go straight into a [`crate::buffer::Block`]. Sends are
//! vectored and own what they send.

mod address;
mod chunk;
mod listener;
mod socket;
mod stream;

pub use chunk::Chunk;
pub use listener::{Accepted, Listener};
pub use stream::Stream;

pub(crate) use listener::Acceptor;
pub(crate) use socket::Socket;
