//! The timer wheel: four levels of 64 slots, and a heap for what is due within the current tick.
//!
//! A tick is 2^20 ns (about 1.05 ms); the levels reach 64, 64^2, 64^3 and 64^4 ticks (4.9 hours), later
//! deadlines wait in the last slot and are placed again. When the wheel reaches a slot its timers move
//! to the heap, which orders them to the nanosecond: a sleep of 50 us is as exact as the kernel's wait,
//! and timers fire in the order of their deadlines. Insert and cancel are O(1) but for that last tick.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::task::Waker;

use crate::slab::{Key, Slab};

const TICK_BITS: u32 = 20;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const LEVELS: usize = 4;

enum Place {
    Slot { level: usize, slot: usize, position: usize },
    Heap,
}

struct Timer {
    deadline_ns: u64,
    order: u64,
    waker: Waker,
    place: Place,
}

/// Deadlines and the tasks that wait for them.
pub(crate) struct Timers {
    timers: Slab<Timer>,
    wheel: [[Vec<Key>; SLOTS]; LEVELS],
    /// Which slots hold something, a bit each.
    occupied: [u64; LEVELS],
    /// Timers whose tick has come, by deadline and then by order of insertion.
    due: BinaryHeap<Reverse<(u64, u64, Key)>>,
    /// The tick the wheel stands at; every slot before it is empty.
    tick: u64,
    inserted: u64,
}

impl Timers {
    pub fn new(now_ns: u64) -> Self {
        Timers {
            timers: Slab::new(),
            wheel: std::array::from_fn(|_| std::array::from_fn(|_| Vec::new())),
            occupied: [0; LEVELS],
            due: BinaryHeap::new(),
            tick: now_ns >> TICK_BITS,
            inserted: 0,
        }
    }

    pub fn insert(&mut self, deadline_ns: u64, waker: Waker) -> Key {
        self.inserted += 1;
        let order = self.inserted;
        let timer = Timer { deadline_ns, order, waker, place: Place::Heap };
        let key = self.timers.insert(timer);
        self.place(key);
        key
    }

    /// Whether the timer still waits; if so its waker becomes `waker`.
    pub fn refresh(&mut self, key: Key, waker: &Waker) -> bool {
        match self.timers.get_mut(key) {
            Some(timer) => {
                timer.waker.clone_from(waker);
                true
            }
            None => false,
        }
    }

    pub fn cancel(&mut self, key: Key) {
        let Some(timer) = self.timers.remove(key) else { return };
        if let Place::Slot { level, slot, position } = timer.place {
            let keys = &mut self.wheel[level][slot];
            keys.swap_remove(position);
            if let Some(moved) = keys.get(position).copied() {
                let moved = self.timers.get_mut(moved).expect("a slot holds live timers only");
                moved.place = Place::Slot { level, slot, position };
            }
            if keys.is_empty() {
                self.occupied[level] &= !(1 << slot);
            }
        }
    }

    /// Takes the wakers of every timer due at `now_ns`, in order of their deadlines.
    pub fn take_due(&mut self, now_ns: u64, woken: &mut Vec<Waker>) {
        self.advance(now_ns >> TICK_BITS);
        while let Some(Reverse((deadline_ns, _, key))) = self.due.peek().copied() {
            let live = self.timers.get_mut(key).is_some();
            if live && deadline_ns > now_ns {
                break;
            }
            self.due.pop();
            if let Some(timer) = self.timers.remove(key) {
                woken.push(timer.waker);
            }
        }
    }

    /// When the wheel must be looked at next: the earliest deadline, or the time at which a slot must
    /// be emptied to know it. None without timers.
    pub fn next_ns(&mut self) -> Option<u64> {
        while let Some(Reverse((deadline_ns, _, key))) = self.due.peek().copied() {
            if self.timers.get_mut(key).is_some() {
                return Some(deadline_ns);
            }
            self.due.pop();
        }
        (0..LEVELS).filter_map(|level| self.next_slot_tick(level)).min().map(|t| t << TICK_BITS)
    }

    /// First tick at which `level` has a slot to empty.
    fn next_slot_tick(&self, level: usize) -> Option<u64> {
        if self.occupied[level] == 0 {
            return None;
        }
        let shift = SLOT_BITS * level as u32;
        let here = self.tick >> shift;
        let turned = self.occupied[level].rotate_right((here % SLOTS as u64) as u32);
        let ahead = u64::from(turned.trailing_zeros());
        // Slot zero ahead is the one the wheel stands in: a full turn away.
        let ahead = if ahead == 0 {
            let rest = turned & !1;
            if rest == 0 { SLOTS as u64 } else { u64::from(rest.trailing_zeros()) }
        } else {
            ahead
        };
        Some((here + ahead) << shift)
    }

    fn advance(&mut self, to: u64) {
        while self.tick < to {
            let next = (0..LEVELS).filter_map(|level| self.next_slot_tick(level)).min();
            let Some(next) = next.filter(|next| *next <= to) else {
                self.tick = to;
                return;
            };
            self.tick = next;
            for level in 0..LEVELS {
                let shift = SLOT_BITS * level as u32;
                if next & ((1 << shift) - 1) != 0 {
                    break;
                }
                let slot = ((next >> shift) % SLOTS as u64) as usize;
                if self.occupied[level] & (1 << slot) == 0 {
                    continue;
                }
                self.occupied[level] &= !(1 << slot);
                for key in std::mem::take(&mut self.wheel[level][slot]) {
                    self.place(key);
                }
            }
        }
    }

    fn place(&mut self, key: Key) {
        let now = self.tick;
        let timer = self.timers.get_mut(key).expect("only live timers are placed");
        let tick = timer.deadline_ns >> TICK_BITS;
        if tick <= now {
            timer.place = Place::Heap;
            self.due.push(Reverse((timer.deadline_ns, timer.order, key)));
            return;
        }
        let ahead = tick - now;
        let level = (0..LEVELS).find(|l| ahead < 1 << (SLOT_BITS * (*l as u32 + 1)));
        let (level, tick) = match level {
            Some(level) => (level, tick),
            // Beyond the wheel: the furthest slot there is, and placed again from there.
            None => (LEVELS - 1, now + (1 << (SLOT_BITS * LEVELS as u32)) - 1),
        };
        let slot = ((tick >> (SLOT_BITS * level as u32)) % SLOTS as u64) as usize;
        let position = self.wheel[level][slot].len();
        timer.place = Place::Slot { level, slot, position };
        self.wheel[level][slot].push(key);
        self.occupied[level] |= 1 << slot;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::Mutex;
    use std::task::Wake;

    struct Mark(u64, Arc<Mutex<Vec<u64>>>);

    impl Wake for Mark {
        fn wake(self: Arc<Self>) {
            self.1.lock().expect("no panic under the lock").push(self.0);
        }
    }

    const MS: u64 = 1_000_000;

    /// Runs a wheel from event to event and returns (deadline, time fired) in firing order.
    fn run(start: u64, deadlines: &[u64]) -> Vec<(u64, u64)> {
        let fired = Arc::new(Mutex::new(Vec::new()));
        let mut timers = Timers::new(start);
        for d in deadlines {
            timers.insert(*d, Arc::new(Mark(*d, fired.clone())).into());
        }
        let (mut out, mut now, mut steps) = (Vec::new(), start, 0);
        while let Some(next) = timers.next_ns() {
            now = now.max(next);
            let mut woken = Vec::new();
            timers.take_due(now, &mut woken);
            woken.into_iter().for_each(Waker::wake);
            out.extend(fired.lock().expect("no panic").drain(..).map(|d| (d, now)));
            steps += 1;
            assert!(steps < 100 * deadlines.len() + 100, "the wheel does not advance");
        }
        out
    }

    #[test]
    fn every_distance_fires_exactly_and_in_order() {
        for start in [0, 12_345_678_901, 77 * MS, (64 * 64 - 1) << 20] {
            let mut ahead =
                vec![0, 1, 50_000, 999_999, MS, 2 * MS, 63 * MS, 64 * MS, 65 * MS, 70 * MS];
            ahead.extend([1000 * MS, 4300 * MS, 60_000 * MS, 3_600_000 * MS, 100_000_000 * MS]);
            ahead.extend((0..200).map(|i| i * i * 1_234_567));
            let deadlines: Vec<u64> = ahead.iter().map(|a| start + a).collect();
            let fired = run(start, &deadlines);
            let mut sorted = deadlines.clone();
            sorted.sort_unstable();
            assert_eq!(fired.iter().map(|f| f.0).collect::<Vec<_>>(), sorted);
            assert!(fired.iter().all(|(deadline, now)| deadline == now), "{fired:?}");
        }
    }

    #[test]
    fn a_late_look_fires_everything_in_order() {
        let fired = Arc::new(Mutex::new(Vec::new()));
        let mut timers = Timers::new(0);
        for d in [900 * MS, 3 * MS, 5000 * MS, 70 * MS, 3 * MS + 1] {
            timers.insert(d, Arc::new(Mark(d, fired.clone())).into());
        }
        let mut woken = Vec::new();
        timers.take_due(10_000 * MS, &mut woken);
        woken.into_iter().for_each(Waker::wake);
        let order = [3 * MS, 3 * MS + 1, 70 * MS, 900 * MS, 5000 * MS];
        assert_eq!(*fired.lock().expect("no panic"), order);
        assert_eq!(timers.next_ns(), None);
    }

    #[test]
    fn cancelled_timers_leave_nothing() {
        let mut timers = Timers::new(0);
        let at = |timers: &mut Timers, d| timers.insert(d, Waker::noop().clone());
        let keys: Vec<Key> = (0..100).map(|i| at(&mut timers, i * 3 * MS)).collect();
        let kept = at(&mut timers, 500 * MS);
        keys.iter().for_each(|k| timers.cancel(*k));
        assert!(timers.next_ns().is_some_and(|n| n > 300 * MS));
        timers.cancel(kept);
        assert_eq!(timers.next_ns(), None);
        assert_eq!(timers.timers.len(), 0);
    }

    proptest::proptest! {
        #[test]
        fn the_wheel_agrees_with_a_sorted_list(
            start in 0u64..(1 << 44),
            steps in proptest::collection::vec((0u8..4, 0u32..46, 0u64..u64::MAX), 1..200),
        ) {
            let fired = Arc::new(Mutex::new(Vec::new()));
            let mut timers = Timers::new(start);
            let (mut now, mut inserted) = (start, 0);
            let mut expected: Vec<(u64, u64, Key)> = Vec::new();
            for (what, bits, random) in steps {
                let distance = random & ((1 << bits) - 1);
                if what < 2 {
                    inserted += 1;
                    let waker = Arc::new(Mark(inserted, fired.clone())).into();
                    let key = timers.insert(now + distance, waker);
                    expected.push((now + distance, inserted, key));
                } else if what == 2 && !expected.is_empty() {
                    let gone = expected.swap_remove(random as usize % expected.len());
                    timers.cancel(gone.2);
                } else {
                    now += distance;
                    let mut woken = Vec::new();
                    timers.take_due(now, &mut woken);
                    woken.into_iter().for_each(Waker::wake);
                    expected.sort_unstable();
                    let due = expected.partition_point(|timer| timer.0 <= now);
                    let due: Vec<u64> = expected.drain(..due).map(|timer| timer.1).collect();
                    proptest::prop_assert_eq!(&*fired.lock().expect("no panic"), &due);
                    fired.lock().expect("no panic").clear();
                }
                // Never later than the first deadline, never in the past while nothing is due.
                let first = expected.iter().map(|timer| timer.0).min();
                let next = timers.next_ns();
                proptest::prop_assert_eq!(first.is_some(), next.is_some());
                proptest::prop_assert!(next <= first);
            }
        }
    }
}
