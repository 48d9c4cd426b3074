//! Listening for connections.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::stream::Stream;
use crate::limits::{ACCEPT_PAUSE, ACCEPTED_MAX, LISTEN_BACKLOG};
use crate::slab::Key;
use crate::uring::{self, Descriptor, Ring};
use crate::{local, time};

/// A listening socket of this shard; dropping it stops listening.
pub struct Listener {
    acceptor: Rc<Acceptor>,
    local: SocketAddr,
}

/// A connection that no shard has taken yet: send it to the one that should have it.
#[derive(Debug)]
pub struct Accepted {
    fd: OwnedFd,
    peer: SocketAddr,
    local: SocketAddr,
}

#[derive(Default)]
struct State {
    armed: Option<Key>,
    stopping: bool,
    ready: VecDeque<OwnedFd>,
    error: Option<i32>,
    waker: Option<Waker>,
}

/// The side of a listener that the ring reports to.
pub(crate) struct Acceptor {
    fd: Rc<Descriptor>,
    state: RefCell<State>,
}

impl Listener {
    /// Listens on `address` (port 0 takes a free one) with SO_REUSEADDR; [`crate::check::bind`] turns the
    /// error into one that names the holder of the port.
    pub fn bind(address: SocketAddr) -> io::Result<Listener> {
        let plain = TcpListener::bind(address)?;
        let on: libc::c_int = 1;
        let len = size_of::<libc::c_int>() as libc::socklen_t;
        // SAFETY: the descriptor is open, `on` is readable for `len` bytes during the call. Accepted
        // connections inherit the option.
        let set = unsafe {
            let value = std::ptr::from_ref(&on).cast();
            libc::setsockopt(plain.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_NODELAY, value, len)
        };
        // SAFETY: listening again only changes the length of the backlog.
        let listening = unsafe { libc::listen(plain.as_raw_fd(), LISTEN_BACKLOG) };
        if set < 0 || listening < 0 {
            return Err(io::Error::last_os_error());
        }
        let local = plain.local_addr()?;
        let fd = Rc::new(Descriptor::new(plain.into()));
        Ok(Listener { acceptor: Rc::new(Acceptor { fd, state: RefCell::default() }), local })
    }

    /// The address it listens on, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The next connection. Fails when the process is out of descriptors, among others, and then after
    /// [`ACCEPT_PAUSE`], so that a caller may just go on. Dropping the future loses no connection.
    pub async fn accept(&self) -> io::Result<Accepted> {
        loop {
            let fd = poll_fn(|cx| {
                let polled = local::with(|l| self.acceptor.poll(l.ring(), cx.waker()));
                polled.map_or(Poll::Pending, Poll::Ready)
            });
            let fd = match fd.await {
                Ok(fd) => fd,
                Err(error) => {
                    time::sleep(ACCEPT_PAUSE).await;
                    return Err(error);
                }
            };
            let plain = TcpStream::from(fd);
            // One that has gone already has no peer: not worth an error.
            if let (Ok(peer), Ok(local)) = (plain.peer_addr(), plain.local_addr()) {
                return Ok(Accepted { fd: plain.into(), peer, local });
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut state = self.acceptor.state.borrow_mut();
        state.stopping = true;
        let ready = std::mem::take(&mut state.ready);
        if let Some(key) = state.armed {
            local::try_with(|local| local.ring().cancel(key));
        }
        drop(state);
        drop(ready);
    }
}

impl Accepted {
    /// The other side's address.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// This side's address.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Makes it a connection of the calling shard.
    pub fn into_stream(self) -> Stream {
        Stream::new(self.fd, self.peer, self.local)
    }
}

impl Acceptor {
    pub fn descriptor(&self) -> &Rc<Descriptor> {
        &self.fd
    }

    fn poll(self: &Rc<Self>, ring: &Ring, waker: &Waker) -> Option<io::Result<OwnedFd>> {
        let mut state = self.state.borrow_mut();
        if let Some(fd) = state.ready.pop_front() {
            return Some(Ok(fd));
        }
        if let Some(errno) = state.error.take() {
            return Some(Err(io::Error::from_raw_os_error(errno)));
        }
        if state.armed.is_none() {
            state.stopping = false;
            state.armed = Some(uring::accept_multi(ring, self));
        }
        state.waker = Some(waker.clone());
        None
    }

    pub(crate) fn on_accepted(&self, ring: &Ring, fd: Result<OwnedFd, i32>, last: bool) {
        let mut state = self.state.borrow_mut();
        if last {
            state.armed = None;
        }
        match fd {
            Ok(fd) => state.ready.push_back(fd),
            Err(libc::ECANCELED | libc::EINTR | libc::EAGAIN | libc::ECONNABORTED) => {}
            Err(errno) => state.error = Some(errno),
        }
        if state.ready.len() >= ACCEPTED_MAX
            && !state.stopping
            && let Some(key) = state.armed
        {
            state.stopping = true;
            ring.cancel(key);
        }
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
