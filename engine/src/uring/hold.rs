//! What an operation owns while the kernel may touch it.

use std::ffi::CString;
use std::ptr;

use crate::buffer::{Block, Piece, Slice};
use crate::limits::IOVECS_MAX;

/// The memory of one operation. Everything the kernel sees lies on the heap or in a mapping, so that
/// moving a `Hold` moves no byte of it.
#[expect(dead_code, reason = "several kinds are owned for the kernel's sake and never read again")]
pub(crate) enum Hold {
    Nothing,
    Block(Block),
    Slice(Slice),
    Gather(Vec<libc::iovec>, Vec<Slice>),
    Outgoing(Box<Outgoing>),
    Path(CString),
    Paths(CString, CString),
    Statx(CString, Box<libc::statx>),
    Address(Box<libc::sockaddr_storage>),
    Word(Box<u64>),
    Signal(Box<libc::signalfd_siginfo>),
}

/// A send of many pieces, as far as it has come.
pub(crate) struct Outgoing {
    /// Own the bytes; not touched until all are sent.
    pieces: Vec<Piece>,
    iovecs: Vec<libc::iovec>,
    header: libc::msghdr,
    /// The first I/O vector that is not all sent.
    next: usize,
    /// Bytes in the attempt that is in flight.
    attempted: usize,
}

impl Outgoing {
    /// None if there is no byte to send.
    pub fn new(mut pieces: Vec<Piece>) -> Option<Box<Outgoing>> {
        pieces.retain(|piece| !piece.is_empty());
        if pieces.is_empty() {
            return None;
        }
        let iovec =
            |p: &Piece| libc::iovec { iov_base: p.as_ptr().cast_mut().cast(), iov_len: p.len() };
        let iovecs = pieces.iter().map(iovec).collect();
        // SAFETY: a msghdr is integers and pointers, for which zero is "none".
        let header = unsafe { std::mem::zeroed() };
        Some(Box::new(Outgoing { pieces, iovecs, header, next: 0, attempted: 0 }))
    }

    /// Prepares the next attempt: the message to send. It stays valid while this box lives unchanged.
    pub fn prepare(&mut self) -> *const libc::msghdr {
        let count = (self.iovecs.len() - self.next).min(IOVECS_MAX);
        let part = &mut self.iovecs[self.next..self.next + count];
        self.attempted = part.iter().map(|v| v.iov_len).sum();
        self.header.msg_iov = part.as_mut_ptr();
        self.header.msg_iovlen = count as _;
        ptr::from_ref(&self.header)
    }

    /// The only vector left, if it is only one: a plain send does.
    pub fn single(&self) -> Option<libc::iovec> {
        (self.iovecs.len() - self.next == 1).then(|| self.iovecs[self.next])
    }

    /// Takes off what was sent; whether the attempt was sent whole.
    pub fn advance(&mut self, mut sent: usize) -> bool {
        let whole = sent >= self.attempted;
        while let Some(first) = self.iovecs.get_mut(self.next) {
            if sent < first.iov_len {
                // SAFETY: sent < iov_len, so the address stays inside the piece.
                first.iov_base = unsafe { first.iov_base.cast::<u8>().add(sent) }.cast();
                first.iov_len -= sent;
                break;
            }
            sent -= first.iov_len;
            self.next += 1;
        }
        whole
    }

    /// Bytes of the attempt that was prepared last.
    pub fn attempted(&self) -> usize {
        self.attempted
    }

    /// Some of the memory is another shard's, which may wait for it.
    pub fn is_foreign(&self) -> bool {
        self.pieces.iter().any(Piece::is_foreign)
    }

    /// Bytes not sent yet, however many attempts they take.
    pub fn left(&self) -> usize {
        self.iovecs[self.next..].iter().map(|v| v.iov_len).sum()
    }

    pub fn is_done(&self) -> bool {
        self.next == self.iovecs.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outgoing_message_advances_over_any_cut() {
        let make = || Outgoing::new(vec![vec![1; 3].into(), vec![].into(), vec![2; 5].into()]);
        for cut in 0..=8 {
            let mut out = make().expect("eight bytes");
            out.prepare();
            assert_eq!(out.attempted, 8);
            assert_eq!(out.advance(cut), cut == 8);
            assert_eq!(out.is_done(), cut == 8);
            assert_eq!(out.left(), 8 - cut);
        }
        assert!(Outgoing::new(vec![vec![].into()]).is_none());
    }

    #[test]
    fn long_messages_are_split_at_the_kernels_limit() {
        let pieces = (0..2 * IOVECS_MAX + 1).map(|_| vec![7; 2].into()).collect();
        let mut out = Outgoing::new(pieces).expect("not empty");
        let mut attempts = Vec::new();
        while !out.is_done() {
            out.prepare();
            attempts.push(out.attempted);
            assert!(out.advance(out.attempted));
        }
        assert_eq!(attempts, [2 * IOVECS_MAX, 2 * IOVECS_MAX, 2]);
    }
}
