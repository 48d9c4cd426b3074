//! Operations on sockets, each with the memory it needs.

use std::rc::Rc;

use io_uring::{opcode, types};

use super::operation::Listener;
use super::{Descriptor, Hold, Operation, Outgoing, Ring, provided};
use crate::buffer::Block;
use crate::limits::TRANSFER_BYTES_MAX;
use crate::net::{Acceptor, Socket};
use crate::slab::Key;

/// Accepts connections until it is cancelled or fails.
pub(crate) fn accept_multi(ring: &Ring, acceptor: &Rc<Acceptor>) -> Key {
    let fd = acceptor.descriptor();
    let entry = opcode::AcceptMulti::new(types::Fd(fd.raw())).flags(libc::SOCK_CLOEXEC).build();
    let listener = Listener::Accept(acceptor.clone());
    // SAFETY: no memory.
    unsafe { ring.start_for(entry, fd, Hold::Nothing, listener) }
}

/// Receives into provided buffers until it is cancelled, fails or the buffers are used up.
pub(crate) fn receive_multi(ring: &Ring, socket: &Rc<Socket>) -> Key {
    let fd = socket.descriptor();
    let entry = opcode::RecvMulti::new(types::Fd(fd.raw()), provided::GROUP).build();
    let listener = Listener::Receive(socket.clone());
    // SAFETY: the kernel writes to provided buffers only, which live as long as the ring.
    unsafe { ring.start_for(entry, fd, Hold::Nothing, listener) }
}

/// Receives into one provided buffer.
pub(crate) fn receive_once(ring: &Ring, socket: &Rc<Socket>) -> Key {
    let fd = socket.descriptor();
    let nowhere = std::ptr::null_mut();
    let entry = opcode::Recv::new(types::Fd(fd.raw()), nowhere, 0).buf_group(provided::GROUP);
    let entry = entry.build().flags(io_uring::squeue::Flags::BUFFER_SELECT);
    let listener = Listener::Receive(socket.clone());
    // SAFETY: as in `receive_multi`.
    unsafe { ring.start_for(entry, fd, Hold::Nothing, listener) }
}

/// Receives into `from..to` of `block` until that is full or the stream ends.
pub(crate) fn receive_exact(
    ring: &Ring,
    fd: &Rc<Descriptor>,
    mut block: Block,
    from: usize,
    to: usize,
) -> Operation {
    let part = &mut block[from..to];
    let (address, len) = (part.as_mut_ptr(), part.len().min(TRANSFER_BYTES_MAX) as u32);
    let entry =
        opcode::Recv::new(types::Fd(fd.raw()), address, len).flags(libc::MSG_WAITALL).build();
    // SAFETY: the address lies in the block, which the operation owns exclusively.
    unsafe { ring.start(entry, Some(fd.clone()), Hold::Block(block), false) }
}

/// Sends what is left of `outgoing` (at most `limits::IOVECS_MAX` pieces at a time).
///
/// An `inline` send takes what fits into the socket's buffer now and completes during its submission: with
/// MSG_DONTWAIT the kernel neither arms a poll nor hands it to a worker. The other kind
/// waits for room until all is sent. MSG_WAITALL makes the kernel retry short sends by itself.
pub(crate) fn send(
    ring: &Ring,
    socket: &Rc<Socket>,
    mut outgoing: Box<Outgoing>,
    inline: bool,
) -> Key {
    let fd = socket.descriptor();
    let wait = if inline { libc::MSG_DONTWAIT } else { 0 };
    let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL | wait;
    let message = outgoing.prepare();
    let entry = match outgoing.single() {
        Some(only) if only.iov_len <= TRANSFER_BYTES_MAX => {
            let len = only.iov_len as u32;
            opcode::Send::new(types::Fd(fd.raw()), only.iov_base.cast(), len).flags(flags).build()
        }
        _ => opcode::SendMsg::new(types::Fd(fd.raw()), message).flags(flags as u32).build(),
    };
    let listener = Listener::Send(socket.clone());
    let foreign = outgoing.is_foreign();
    let hold = Hold::Outgoing(outgoing);
    if inline {
        // SAFETY: the message, its vectors and the pieces live in the box that the operation owns; the
        // flags are those that an inline send needs.
        unsafe { ring.start_inline(entry, fd, hold, listener, foreign) }
    } else {
        // SAFETY: as above.
        unsafe { ring.start_for(entry, fd, hold, listener) }
    }
}

/// Connects a socket.
pub(crate) fn connect(
    ring: &Ring,
    fd: &Rc<Descriptor>,
    address: Box<libc::sockaddr_storage>,
    len: libc::socklen_t,
) -> Operation {
    let pointer = std::ptr::from_ref(&*address).cast();
    let entry = opcode::Connect::new(types::Fd(fd.raw()), pointer, len).build();
    // SAFETY: the address lies on the heap and belongs to the operation.
    unsafe { ring.start(entry, Some(fd.clone()), Hold::Address(address), false) }
}
