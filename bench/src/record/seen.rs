//! What consumers saw: the other half of the delivery audit.
//!
//! Of each producer and lane the next number is known, so a record that comes in order costs one comparison. A number that
//! is skipped becomes a gap; a number that comes late fills its gap and is counted as out of order; a number that is
//! neither next nor missing was seen before. Offsets must ascend.

use std::collections::BTreeMap;

use crate::record::stamp::{Altered, Stamp};

/// Gaps that are remembered, of all producers and lanes together: some 16 MiB. A healthy broker leaves one for each run
/// of records that producers gave up.
pub const GAPS_MAX: usize = 262_144;

/// Faults that are described, of each kind of witness.
pub const FAULTS_MAX: usize = 20;

/// Not a lane of this consumer.
const NO_SLOT: u32 = u32::MAX;

/// What one consumer saw of the lanes it reads. Memory: 8 bytes for each producer and lane, and [`GAPS_MAX`] gaps.
#[derive(Clone, Debug)]
pub struct Seen {
    run: u32,
    set: u32,
    producers: u32,
    /// By lane: its place among those that are read here.
    slots: Vec<u32>,
    lanes: Vec<u32>,
    /// By place: the last offset, -1 before the first.
    offsets: Vec<i64>,
    /// By place and producer: the number that comes next.
    next: Vec<u64>,
    /// By place and producer, and first missing number.
    gaps: BTreeMap<(u64, u64), Gap>,
    counts: Counts,
    faults: Vec<Fault>,
}

/// Numbers that were skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first number behind it.
    pub to: u64,
    /// The offset of the record that came instead.
    pub offset: i64,
}

/// How many records were seen, and in what way they were wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Seen.
    pub checked: u64,
    /// Seen again.
    pub duplicated: u64,
    /// Seen after a later one.
    pub reordered: u64,
    /// Not what was produced.
    pub altered: u64,
    /// Could not be judged, because there were too many gaps already.
    pub unjudged: u64,
}

/// A record that should not be where it is, or not be as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where it was read.
    pub lane: u32,
    /// At which offset.
    pub offset: i64,
    /// What is wrong.
    pub what: Wrong,
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It was seen before.
    Duplicated(Stamp),
    /// The record `before` of its producer and lane was seen already.
    Reordered {
        /// Its stamp.
        stamp: Stamp,
        /// The last that came before it.
        before: u64,
    },
    /// Its offset is not above the last one.
    OffsetBack {
        /// Its stamp.
        stamp: Stamp,
        /// The last one.
        last: i64,
    },
    /// Its bytes are not those that were produced.
    Altered(Altered),
    /// It belongs to another run, producer or lane.
    Misplaced(Stamp),
}

impl Seen {
    /// Nothing yet: a consumer of `set`, which alone reads `lanes`, of a run with so many producers.
    pub fn new(run: u32, set: u32, lanes: &[u32], producers: u32) -> Seen {
        let highest = lanes.iter().max().map_or(0, |lane| *lane as usize + 1);
        let mut slots = vec![NO_SLOT; highest];
        for (slot, lane) in lanes.iter().enumerate() {
            slots[*lane as usize] = slot as u32;
        }
        Seen {
            run,
            set,
            producers,
            slots,
            lanes: lanes.to_vec(),
            offsets: vec![-1; lanes.len()],
            next: vec![0; lanes.len() * producers as usize],
            gaps: BTreeMap::new(),
            counts: Counts::default(),
            faults: Vec::new(),
        }
    }

    /// A record was read from `lane`; `found` is what [`crate::record::Pool::check`] said of its value. Gives the
    /// stamp of a record that counts: it was produced in this run for this lane, and this is the first time it is seen.
    ///
    /// # Panics
    /// When `lane` is not one of those given to [`Seen::new`].
    #[inline]
    pub fn on_record(
        &mut self,
        lane: u32,
        offset: i64,
        found: Result<Stamp, Altered>,
    ) -> Option<Stamp> {
        let slot = self.slots[lane as usize] as usize;
        self.counts.checked += 1;
        let last = std::mem::replace(&mut self.offsets[slot], offset);
        if let Ok(stamp) = found {
            let ours =
                stamp.run == self.run && stamp.lane == lane && stamp.producer < self.producers;
            if ours {
                let cell = slot * self.producers as usize + stamp.producer as usize;
                if stamp.number == self.next[cell] && offset > last {
                    self.next[cell] += 1;
                    return Some(stamp);
                }
            }
        }
        self.on_unexpected(lane, slot, offset, last, found)
    }

    #[cold]
    fn on_unexpected(
        &mut self,
        lane: u32,
        slot: usize,
        offset: i64,
        last: i64,
        found: Result<Stamp, Altered>,
    ) -> Option<Stamp> {
        self.offsets[slot] = last.max(offset);
        let stamp = match found {
            Ok(stamp) => stamp,
            Err(altered) => {
                self.counts.altered += 1;
                self.tell(lane, offset, Wrong::Altered(altered));
                // Its bytes are wrong, but it is here: not lost as well.
                match altered {
                    Altered::Stamp => return None,
                    Altered::Length { stamp, .. } | Altered::Bytes { stamp, .. } => stamp,
                }
            }
        };
        if stamp.run != self.run || stamp.lane != lane || stamp.producer >= self.producers {
            if found.is_ok() {
                self.counts.altered += 1;
                self.tell(lane, offset, Wrong::Misplaced(stamp));
            }
            return None;
        }
        let place = slot * self.producers as usize + stamp.producer as usize;
        let (cell, number, next) = (place as u64, stamp.number, self.next[place]);
        if number >= next {
            if number > next {
                self.skip(cell, next, Gap { to: number, offset });
            }
            self.next[place] = number + 1;
            if offset <= last {
                self.counts.reordered += 1;
                self.tell(lane, offset, Wrong::OffsetBack { stamp, last });
            }
        } else if self.fill(cell, number) {
            self.counts.reordered += 1;
            self.tell(lane, offset, Wrong::Reordered { stamp, before: next - 1 });
        } else if self.gaps.len() >= GAPS_MAX {
            self.counts.unjudged += 1;
            return None;
        } else {
            self.counts.duplicated += 1;
            self.tell(lane, offset, Wrong::Duplicated(stamp));
            return None;
        }
        found.ok()
    }

    fn skip(&mut self, cell: u64, from: u64, gap: Gap) {
        match self.gaps.len() < GAPS_MAX {
            true => {
                self.gaps.insert((cell, from), gap);
            }
            false => self.counts.unjudged += gap.to - from,
        }
    }

    /// Takes a number out of its gap. `false` when it is in none.
    fn fill(&mut self, cell: u64, number: u64) -> bool {
        let below = self.gaps.range((cell, 0)..=(cell, number)).next_back();
        let Some((&key, &gap)) = below.filter(|(_, gap)| number < gap.to) else { return false };
        self.gaps.remove(&key);
        if key.1 < number {
            self.skip(cell, key.1, Gap { to: number, ..gap });
        }
        if number + 1 < gap.to {
            self.skip(cell, number + 1, gap);
        }
        true
    }

    fn tell(&mut self, lane: u32, offset: i64, what: Wrong) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault { lane, offset, what });
        }
    }

    /// The set of consumers it belongs to.
    pub fn set(&self) -> u32 {
        self.set
    }

    /// The lanes it reads.
    pub fn lanes(&self) -> &[u32] {
        &self.lanes
    }

    /// How many records were seen, and in what way they were wrong.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The first faults.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// The last offset seen on a lane of its own; -1 before the first.
    pub fn last_offset(&self, lane: u32) -> i64 {
        self.offsets[self.slots[lane as usize] as usize]
    }

    /// The number that comes next of a producer on a lane of its own: one more than the highest seen.
    pub fn next_number(&self, lane: u32, producer: u32) -> u64 {
        self.next[self.cell(lane, producer) as usize]
    }

    /// Numbers of a producer below the next that were never seen on a lane of its own, ascending, by their first.
    pub fn gaps(&self, lane: u32, producer: u32) -> impl Iterator<Item = (u64, Gap)> {
        let cell = self.cell(lane, producer);
        self.gaps.range((cell, 0)..(cell + 1, 0)).map(|(key, gap)| (key.1, *gap))
    }

    fn cell(&self, lane: u32, producer: u32) -> u64 {
        let slot = u64::from(self.slots[lane as usize]);
        slot * u64::from(self.producers) + u64::from(producer)
    }
}
