//! A connection.

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::Poll;

use super::address;
use super::chunk::Chunk;
use super::socket::{End, Socket};
use crate::buffer::{Block, Piece};
use crate::local;
use crate::remote::owned;
use crate::time::Instant;
use crate::uring::{self, Descriptor, Hold, Outgoing};

struct Inner {
    socket: Rc<Socket>,
    peer: SocketAddr,
    local: SocketAddr,
}

/// A TCP connection of this shard. Clones are the same connection: one task may receive while another
/// sends. When the last clone is dropped the connection is closed without waiting: see [`Stream::close`].
#[derive(Clone)]
pub struct Stream {
    inner: Rc<Inner>,
}

impl Stream {
    pub(super) fn new(fd: OwnedFd, peer: SocketAddr, local: SocketAddr) -> Stream {
        let socket = Socket::new(Descriptor::new(fd));
        Stream { inner: Rc::new(Inner { socket, peer, local }) }
    }

    /// Connects to `address`. Nagle's algorithm is off.
    pub async fn connect(address: SocketAddr) -> io::Result<Stream> {
        let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
        // SAFETY: socket takes no pointers; the descriptor it returns is ours.
        let fd = unsafe { owned(libc::socket(address::family(address), kind, 0)) }?;
        let fd = Rc::new(Descriptor::new(fd));
        let (kernel, len) = address::to_kernel(address);
        let (result, _) = local::with(|l| uring::connect(l.ring(), &fd, kernel, len)).await;
        check(result)?;
        let fd = Rc::into_inner(fd).expect("a finished operation has let go of its descriptor");
        let plain = TcpStream::from(fd.into_owned());
        plain.set_nodelay(true)?;
        let (peer, local) = (plain.peer_addr()?, plain.local_addr()?);
        Ok(Stream::new(plain.into(), peer, local))
    }

    /// The other side's address.
    pub fn peer_addr(&self) -> SocketAddr {
        self.inner.peer
    }

    /// This side's address.
    pub fn local_addr(&self) -> SocketAddr {
        self.inner.local
    }

    /// The next bytes of the stream; an empty chunk at its end. One task receives at a time. Dropping the
    /// future loses nothing: what arrives meanwhile waits, up to a few chunks, and is not read
    /// beyond that.
    pub async fn recv(&self) -> io::Result<Chunk> {
        let socket = &self.inner.socket;
        poll_fn(|cx| {
            local::with(|l| socket.poll_receive(l.ring(), cx.waker()))
                .map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Receives the next `to - from` bytes of the stream into `from..to` of `buf`.
    ///
    /// It goes on exactly behind the last chunk that [`Stream::recv`] returned: the caller copies what
    /// it holds of the body to the front of `buf` and passes that length as `from`. A multishot
    /// receive in flight is stopped first; what it has already brought in is copied; the rest the
    /// kernel writes straight into the block. Fails with `UnexpectedEof` if the stream ends before. If
    /// the future is dropped before it ends, the place in the stream is lost and every
    /// later receive fails with `ConnectionAborted`.
    ///
    /// # Panics
    /// If `from..to` is not a range within the block.
    pub async fn recv_exact(
        &self,
        mut buf: Block,
        from: usize,
        to: usize,
    ) -> (io::Result<()>, Block) {
        assert!(from <= to && to <= buf.len(), "the received range lies within the block");
        let socket = &self.inner.socket;
        let mut at = from + socket.take_arrived(&mut buf[from..to]);
        if at == to {
            return (Ok(()), buf);
        }
        poll_fn(|cx| match local::with(|l| socket.poll_stopped(l.ring(), cx.waker())) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
        at += socket.take_arrived(&mut buf[at..to]);
        if at == to {
            return (Ok(()), buf);
        }
        if let Err(error) = socket.begin_exact() {
            return (Err(error), buf);
        }
        let mut place = Exact { socket, end: Some(End::Failed(libc::ECONNABORTED)) };
        while at < to {
            let fd = socket.descriptor();
            let op = local::with(|l| uring::receive_exact(l.ring(), fd, buf, at, to));
            let (result, hold) = op.await;
            let Hold::Block(back) = hold else { unreachable!("an exact receive holds its block") };
            buf = back;
            match result {
                1.. => at += result as usize,
                0 => {
                    place.end = Some(End::Closed);
                    return (Err(io::ErrorKind::UnexpectedEof.into()), buf);
                }
                _ if -result == libc::EINTR => {}
                _ => {
                    place.end = Some(End::Failed(-result));
                    return (Err(io::Error::from_raw_os_error(-result)), buf);
                }
            }
        }
        place.end = None;
        (Ok(()), buf)
    }

    /// Sends all of `pieces`, in order, as one unit among sends.
    ///
    /// It ends when the pieces are on their way in the ring and every earlier send is complete, much as a
    /// write to a socket ends when the kernel has taken the bytes: so at most one send per connection is
    /// in flight, its pieces are held until the socket has taken them, and a slow peer holds up the next
    /// send. An error shows in the next send (or [`Stream::flush`]), and in every later one. Dropping
    /// the future before it ends sends nothing.
    pub async fn send(&self, pieces: Vec<Piece>) -> io::Result<()> {
        self.turn().await;
        let socket = &self.inner.socket;
        let error = socket.send_error();
        match Outgoing::new(pieces) {
            Some(outgoing) if error.is_ok() => {
                local::with(|local| socket.start_send(local.ring(), outgoing));
            }
            _ => socket.pass_turn(),
        }
        error
    }

    /// Waits until the socket has taken everything that was sent.
    pub async fn flush(&self) -> io::Result<()> {
        self.turn().await;
        self.inner.socket.pass_turn();
        self.inner.socket.send_error()
    }

    /// When the kernel had taken all bytes of the last send; `None` while a send is in flight, after one
    /// failed, and before the first. Small sends are submitted with the loop's next call and leave during it:
    /// for them it is the moment before that call.
    pub fn sent_at(&self) -> Option<Instant> {
        self.inner.socket.sent_at()
    }

    /// Waits until this is the first in line and no send is in flight. The caller sends or passes the turn.
    async fn turn(&self) {
        let socket = &self.inner.socket;
        let mut turn = Turn { socket, ticket: None };
        poll_fn(|cx| {
            let ready =
                local::with(|l| socket.poll_send_ready(l.ring(), &mut turn.ticket, cx.waker()));
            if ready { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Shuts the connection down, both ways, after what is already on its way in the ring: a pending
    /// receive ends, later sends fail.
    pub fn shutdown(&self) {
        local::with(|local| local.ring().shutdown(self.inner.socket.descriptor()));
    }

    /// Waits until everything sent has left, then closes this handle. Put a time limit on it: a peer that
    /// does not read can make it wait.
    pub async fn close(self) {
        // A broken connection has nothing left to wait for.
        let _ = self.flush().await;
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        local::try_with(|local| self.socket.abandon(local.ring()));
    }
}

/// The exact receive under way; leaves the socket as `end` says.
struct Exact<'a> {
    socket: &'a Socket,
    end: Option<End>,
}

impl Drop for Exact<'_> {
    fn drop(&mut self) {
        self.socket.finish_exact(self.end);
    }
}

/// A sender's place in line.
struct Turn<'a> {
    socket: &'a Socket,
    ticket: Option<u64>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.socket.leave_send(ticket);
        }
    }
}

/// A system call's result as the ring gives it.
pub(super) fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(result) }
}
