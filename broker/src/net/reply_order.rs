//! Replies of one connection, put back into the order of their requests.
//!
//! Kafka clients match responses to requests by position, so a response may leave only when every earlier one has
//! left. Requests may finish in any order (a parked fetch, a produce that waits for its flush); this is where the
//! early ones wait. A request that has no response at all (Produce with acks=0) finishes with `None` and takes no place
//! on the wire.
//!
//! Pure: holds no socket and no waker. Invariant: `first` is the sequence of `slots[0]`; the slots behind it are
//! consecutive, and the first one is unfinished after [`ReplyOrder::take_ready`].

use std::collections::VecDeque;

/// The place of one request in its connection's order, given out by [`ReplyOrder::reserve`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

enum Slot<T> {
    Waiting,
    Finished(Option<T>),
}

/// The queue of replies of one connection.
pub struct ReplyOrder<T> {
    first: u64,
    slots: VecDeque<Slot<T>>,
    unfinished: usize,
}

impl<T> Default for ReplyOrder<T> {
    fn default() -> Self {
        ReplyOrder { first: 0, slots: VecDeque::new(), unfinished: 0 }
    }
}

impl<T> ReplyOrder<T> {
    /// Gives the next request its place. Called in the order in which requests arrive.
    pub fn reserve(&mut self) -> Ticket {
        let ticket = Ticket(self.first + self.slots.len() as u64);
        self.slots.push_back(Slot::Waiting);
        self.unfinished += 1;
        ticket
    }

    /// Hands in the reply of a request, or `None` when it has none. True when a reply may now leave.
    ///
    /// # Panics
    /// When the ticket was finished before: one request has one reply.
    pub fn finish(&mut self, ticket: Ticket, reply: Option<T>) -> bool {
        let index = ticket.0.checked_sub(self.first).expect("a ticket is finished once") as usize;
        let slot = self.slots.get_mut(index).expect("a ticket comes from this queue");
        assert!(matches!(slot, Slot::Waiting), "a ticket is finished once");
        *slot = Slot::Finished(reply);
        self.unfinished -= 1;
        index == 0
    }

    /// Moves the replies that may leave now into `ready`, oldest first.
    pub fn take_ready(&mut self, ready: &mut Vec<T>) {
        while matches!(self.slots.front(), Some(Slot::Finished(_))) {
            let Some(Slot::Finished(reply)) = self.slots.pop_front() else { break };
            self.first += 1;
            ready.extend(reply);
        }
    }

    /// Requests that have a place and have not finished.
    pub fn unfinished(&self) -> usize {
        self.unfinished
    }

    /// Requests whose place is still taken: unfinished ones and finished ones that wait for an earlier one.
    pub fn outstanding(&self) -> usize {
        self.slots.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ready<T>(order: &mut ReplyOrder<T>) -> Vec<T> {
        let mut out = Vec::new();
        order.take_ready(&mut out);
        out
    }

    #[test]
    fn an_early_reply_waits_for_the_one_before_it() {
        let mut order = ReplyOrder::default();
        let (a, b) = (order.reserve(), order.reserve());
        assert!(!order.finish(b, Some("b")));
        assert!(ready(&mut order).is_empty());
        assert!(order.finish(a, Some("a")));
        assert_eq!(ready(&mut order), ["a", "b"]);
        assert_eq!(order.outstanding(), 0);
    }

    #[test]
    fn a_request_without_response_takes_no_place_on_the_wire() {
        let mut order = ReplyOrder::default();
        let (a, b) = (order.reserve(), order.reserve());
        assert!(!order.finish(b, Some("b")));
        assert!(order.finish(a, None));
        assert_eq!(ready(&mut order), ["b"]);
    }

    #[test]
    #[should_panic(expected = "finished once")]
    fn a_second_reply_to_one_request_is_a_bug() {
        let mut order = ReplyOrder::default();
        let (a, _b) = (order.reserve(), order.reserve());
        order.finish(a, Some(1));
        order.finish(a, Some(2));
    }

    proptest! {
        /// Whatever the order of completion, replies leave in the order of the requests and none is lost.
        #[test]
        fn replies_leave_in_request_order(finish_order in Just((0..40usize).collect::<Vec<_>>()).prop_shuffle(), silent in any::<u64>()) {
            let mut order = ReplyOrder::default();
            let tickets: Vec<_> = (0..40).map(|_| order.reserve()).collect();
            let mut left = Vec::new();
            for index in finish_order {
                let reply = (silent >> index & 1 == 0).then_some(index);
                order.finish(tickets[index], reply);
                order.take_ready(&mut left);
            }
            let expected: Vec<usize> = (0..40).filter(|index| silent >> index & 1 == 0).collect();
            prop_assert_eq!(left, expected);
            prop_assert_eq!((order.unfinished(), order.outstanding()), (0, 0));
        }
    }
}
