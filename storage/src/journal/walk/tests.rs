//! The walker against journals in memory: whole, torn, damaged, stale.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
use super::*;
use crate::ids::{Generation, Offset};
use crate::journal::frame::tests::{Plain, append, header, log_id};
use proptest::prelude::*;

const FILE_BYTES: usize = 64 * 1024;

/// A journal in memory, written as the writer does it: one frame after the other, the next file when one is full.
struct Medium {
    files: Vec<Vec<u8>>,
    /// (file, position, length, lsn) of each frame.
    frames: Vec<(usize, usize, usize, u64)>,
    next: u64,
    previous: u64,
    position: usize,
    touched: Vec<Named>,
}

fn identity() -> Identity {
    Identity { generation: Generation(2), shard: 0, salt: 0xfeed }
}

impl Medium {
    fn new() -> Medium {
        Medium {
            files: vec![vec![0; FILE_BYTES]],
            frames: vec![],
            next: 1,
            previous: 1,
            position: 0,
            touched: vec![],
        }
    }

    /// Writes a frame with one batch for each log, of `bytes` bytes; `durable` says what its header claims.
    fn frame(&mut self, logs: &[u32], bytes: usize, durable: u64, purpose: Purpose) {
        let sequence = self.files.len() as u64;
        let entries: Vec<_> = logs
            .iter()
            .enumerate()
            .map(|(at, log)| {
                (append(*log, (self.next + at as u64) as i64, 1), vec![*log as u8; bytes])
            })
            .collect();
        let mut plain = Plain {
            header: Header {
                previous_lsn: Lsn(self.previous),
                durable_upto: Lsn(durable),
                purpose,
                ..header(identity(), sequence, self.next)
            },
            entries,
            named: self.touched.clone(),
        };
        let mut encoded = plain.encode();
        if self.position + encoded.len() > FILE_BYTES {
            self.files.push(vec![0; FILE_BYTES]);
            self.position = 0;
            plain.header.file_sequence += 1;
            encoded = plain.encode();
        }
        let file = self.files.len() - 1;
        self.files[file][self.position..self.position + encoded.len()].copy_from_slice(&encoded);
        self.frames.push((file, self.position, encoded.len(), self.next));
        self.position += encoded.len();
        self.previous = self.next;
        self.next += (logs.len() as u64).max(1);
        self.touched = plain
            .entries
            .iter()
            .map(|(head, _)| Named { log: head.log, next_offset: head.next_offset })
            .collect();
    }

    /// `count` durable frames of one batch each, logs 0, 1, 2 in turn.
    fn fill(&mut self, count: usize) {
        for _ in 0..count {
            let (log, durable) = (self.next as u32 % 3, self.next);
            self.frame(&[log], 300, durable, Purpose::Entries);
        }
    }

    fn walk(&self, from: u64) -> (Vec<u64>, Vec<Gap>, End) {
        self.walk_to(from, 0)
    }

    fn walk_to(&self, from: u64, durable: u64) -> (Vec<u64>, Vec<Gap>, End) {
        let facts = (1..)
            .zip(&self.files)
            .map(|(sequence, file)| FileFacts { sequence, len: file.len() as u64 })
            .collect();
        let mut walker = Walker::new(identity(), facts, Lsn(from), Lsn(durable));
        let (mut lsns, mut gaps) = (vec![], vec![]);
        let mut window = Window::default();
        for _ in 0..10_000 {
            match walker.step(window) {
                Step::Read { file, position, len } => {
                    let at = position as usize;
                    window = Window { file, position, bytes: &self.files[file][at..at + len] };
                }
                Step::Frame { frame, .. } => lsns.push(frame.header().lsn.0),
                Step::Gap(gap) => gaps.push(gap),
                Step::End(end) => return (lsns, gaps, end),
            }
        }
        panic!("the walk does not end");
    }
}

#[test]
fn a_whole_journal_is_walked_across_files() {
    let mut medium = Medium::new();
    medium.fill(40);
    medium.frame(&[], 0, 41, Purpose::Closing);
    assert!(medium.files.len() > 1);
    let (lsns, gaps, end) = medium.walk(0);
    assert_eq!(lsns, (1..=41).collect::<Vec<_>>());
    assert!(gaps.is_empty());
    assert!(end.closed);
    assert_eq!((end.upto, end.broken), (Lsn(42), None));
}

#[test]
fn an_empty_journal_ends_at_once() {
    let (lsns, gaps, end) = Medium::new().walk(0);
    assert!(lsns.is_empty() && gaps.is_empty() && !end.closed);
}

/// Cuts the last frame at each sector: what stands behind the cut is zeros, or an old frame's bytes.
#[test]
fn a_torn_tail_ends_the_walk_wherever_it_is_torn() {
    for stale in [0u8, 0xa5] {
        for sector in 0..6 {
            let mut medium = Medium::new();
            medium.fill(5);
            medium.frame(&[1], 2000, 6, Purpose::Entries);
            let (file, at, len, _) = *medium.frames.last().unwrap();
            medium.files[file][at + sector * 512..at + len].fill(stale);
            let (lsns, gaps, end) = medium.walk(0);
            let whole = sector * 512 >= 96 + 2000 + 56 + 32;
            assert_eq!(lsns.len(), if whole { 6 } else { 5 }, "sector {sector}");
            assert!(gaps.is_empty());
            assert_eq!(end.upto, Lsn(if whole { 7 } else { 6 }));
        }
    }
}

#[test]
fn a_broken_frame_that_was_acknowledged_is_a_gap_and_names_its_logs() {
    let mut medium = Medium::new();
    medium.fill(3);
    medium.frame(&[7, 8], 200, 4, Purpose::Entries);
    medium.fill(3);
    let (file, at, _, lsn) = medium.frames[3];
    medium.files[file][at + 200] ^= 4;
    let (lsns, gaps, end) = medium.walk(0);
    assert_eq!(lsns, [1, 2, 3, 6, 7, 8]);
    let [gap] = gaps.as_slice() else { panic!("{gaps:?}") };
    assert_eq!((gap.from, gap.to, gap.complete), (Lsn(lsn), Some(Lsn(6)), true));
    let logs: Vec<_> = gap.named.iter().map(|named| named.log).collect();
    assert_eq!(logs, [log_id(7), log_id(8)]);
    assert_eq!(gap.named[1].next_offset, Offset(6));
    assert_eq!(end.upto, Lsn(9));
}

#[test]
fn an_idle_frame_alone_proves_the_last_frame_acknowledged() {
    let mut medium = Medium::new();
    medium.fill(3);
    medium.frame(&[], 0, 4, Purpose::Idle);
    let (file, at, len, _) = medium.frames[2];
    medium.files[file][at..at + len].fill(0);
    let (lsns, gaps, _) = medium.walk(0);
    assert_eq!(lsns, [1, 2, 4]);
    assert_eq!(gaps[0].named, [Named { log: log_id(0), next_offset: Offset(4) }]);
}

#[test]
fn frames_behind_an_unflushed_one_do_not_prove_it() {
    let mut medium = Medium::new();
    medium.fill(2);
    for _ in 0..3 {
        medium.frame(&[1], 100, 3, Purpose::Entries);
    }
    let (file, at, len, _) = medium.frames[2];
    medium.files[file][at..at + len].fill(0);
    let (lsns, gaps, end) = medium.walk(0);
    assert_eq!(lsns, [1, 2]);
    assert!(gaps.is_empty());
    assert_eq!((end.upto, end.discarded), (Lsn(3), 2));
    // A later frame that was flushed proves it.
    medium.frame(&[1], 100, 6, Purpose::Entries);
    let (lsns, gaps, _) = medium.walk(0);
    assert_eq!(lsns, [1, 2, 4, 5, 6]);
    assert_eq!((gaps[0].from, gaps[0].to, gaps[0].complete), (Lsn(3), Some(Lsn(4)), true));
}

#[test]
fn several_frames_missing_leave_the_list_incomplete() {
    let mut medium = Medium::new();
    medium.fill(8);
    for broken in [3, 4] {
        let (file, at, ..) = medium.frames[broken];
        medium.files[file][at + 20] ^= 1;
    }
    let (lsns, gaps, _) = medium.walk(0);
    assert_eq!(lsns, [1, 2, 3, 6, 7, 8]);
    assert_eq!((gaps.len(), gaps[0].complete), (1, false));
}

#[test]
fn the_last_frame_of_a_file_and_a_whole_file_can_be_missed() {
    let mut medium = Medium::new();
    medium.fill(40);
    let last = medium.frames.iter().rposition(|frame| frame.0 == 0).unwrap();
    let (file, at, len, lsn) = medium.frames[last];
    medium.files[file][at..at + len].fill(0);
    let (_, gaps, _) = medium.walk(0);
    assert_eq!((gaps[0].from, gaps[0].to), (Lsn(lsn), Some(Lsn(lsn + 1))));
    medium.files[1].fill(0);
    let (_, gaps, end) = medium.walk(0);
    assert_eq!(gaps.len(), 1);
    assert_eq!(end.upto, Lsn(41));
}

#[test]
fn a_checkpoint_proves_how_far_the_journal_had_come() {
    let mut medium = Medium::new();
    medium.fill(5);
    assert!(medium.walk_to(6, 6).1.is_empty());
    assert!(medium.walk_to(9, 6).1.is_empty(), "what is missing is in checkpoints");
    assert!(medium.walk_to(9, 9).1.is_empty(), "what is missing is in checkpoints");
    let (lsns, gaps, end) = medium.walk_to(4, 9);
    assert_eq!(lsns, [1, 2, 3, 4, 5]);
    assert_eq!((gaps[0].from, gaps[0].to), (Lsn(6), None));
    assert_eq!(end.upto, Lsn(6));
}

#[test]
fn frames_of_another_generation_salt_or_file_are_not_followed() {
    let foreign = [
        Identity { generation: Generation(1), ..identity() },
        Identity { salt: 1, ..identity() },
        Identity { shard: 1, ..identity() },
    ];
    for (case, other) in foreign.into_iter().enumerate() {
        let mut medium = Medium::new();
        medium.fill(2);
        let plain = Plain { header: header(other, 1, 3), entries: vec![], named: vec![] }.encode();
        let at = medium.position;
        medium.files[0][at..at + plain.len()].copy_from_slice(&plain);
        assert_eq!(medium.walk(0).0, [1, 2], "case {case}");
    }
    let mut medium = Medium::new();
    medium.fill(2);
    let stale = Plain { header: header(identity(), 0, 3), entries: vec![], named: vec![] };
    let at = medium.position;
    medium.files[0][at..at + 4096].copy_from_slice(&stale.encode());
    let (lsns, gaps, end) = medium.walk(0);
    assert_eq!((lsns.len(), gaps.len(), end.broken), (2, 0, Some(Broken::Foreign)));
}

proptest! {
    /// One flipped bit anywhere: nothing acknowledged vanishes without a gap, and nothing is made up.
    #[test]
    fn one_flipped_bit_never_loses_a_record_silently(
        sizes in proptest::collection::vec((0u32..4, 1usize..9000), 2..30),
        victim in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), bit in 0u8..8,
    ) {
        let mut medium = Medium::new();
        for (log, bytes) in &sizes {
            let durable = medium.next;
            medium.frame(&[*log], *bytes, durable, Purpose::Entries);
        }
        let durable = medium.next;
        medium.frame(&[], 0, durable, Purpose::Idle);
        let victim = victim.index(sizes.len());
        let (file, start, len, lsn) = medium.frames[victim];
        medium.files[file][start + at.index(len)] ^= 1 << bit;
        let (lsns, gaps, end) = medium.walk(0);
        let all: Vec<u64> = (1..=sizes.len() as u64 + 1).collect();
        if lsns == all {
            prop_assert!(gaps.is_empty());
        } else {
            let rest: Vec<u64> = all.iter().copied().filter(|one| *one != lsn).collect();
            prop_assert_eq!(lsns, rest);
            prop_assert_eq!(gaps.len(), 1);
            prop_assert!(gaps[0].complete);
            prop_assert_eq!(gaps[0].named[0].log, log_id(sizes[victim].0));
        }
        prop_assert_eq!(end.upto, Lsn(sizes.len() as u64 + 2));
    }

    /// Any bytes behind the good frames: the walk ends and keeps what was good.
    #[test]
    fn garbage_behind_the_end_does_no_harm(junk in proptest::collection::vec(any::<u8>(), 0..20000)) {
        let mut medium = Medium::new();
        medium.fill(3);
        let at = medium.position;
        medium.files[0][at..at + junk.len()].copy_from_slice(&junk);
        let (lsns, gaps, _) = medium.walk(0);
        prop_assert_eq!(lsns, [1, 2, 3]);
        prop_assert!(gaps.is_empty());
    }
}

impl Medium {
    /// Puts a frame's bytes where another one's begin, as a device does that writes to the wrong place.
    fn misplace(&mut self, from: u64, to: u64) {
        let (file, at, len, _) = self.frames[from as usize - 1];
        let bytes = self.files[file][at..at + len].to_vec();
        let (file, at, room, _) = self.frames[to as usize - 1];
        assert!(len <= room, "it hits one frame");
        self.files[file][at..at + len].copy_from_slice(&bytes);
    }
}

/// A whole frame stands where an earlier one was. It used to be taken for the place to go on from, and its own place,
/// behind it, for a break: the frame after it was then lost, without a word if it was the last.
#[test]
fn a_frame_at_the_wrong_place_costs_only_the_one_it_covers() {
    for (covered, misplaced) in [(3, 4), (3, 5), (3, 9), (5, 2), (5, 4), (1, 6), (8, 9)] {
        let mut medium = Medium::new();
        medium.fill(9);
        medium.misplace(misplaced, covered);
        let (lsns, gaps, end) = medium.walk(1);
        let expected: Vec<_> = (1..=9).filter(|lsn| *lsn != covered).collect();
        let case = format!("frame {misplaced} at the place of {covered}");
        assert_eq!(lsns, expected, "{case}");
        assert_eq!(gaps.len(), 1, "{case}");
        let (from, to) = (gaps[0].from.0, gaps[0].to.map(|lsn| lsn.0));
        assert_eq!((from, to, gaps[0].complete), (covered, Some(covered + 1), true), "{case}");
        assert_eq!(gaps[0].named[0].log, log_id(covered as u32 % 3), "{case}");
        assert_eq!(end.upto, Lsn(10), "{case}");
    }
}

/// The first frame of what is left is broken, and checkpoints hold it: what stands behind it, up to where checkpoints
/// end, is still found.
#[test]
fn a_broken_first_frame_that_checkpoints_hold_costs_nothing() {
    let mut medium = Medium::new();
    medium.fill(9);
    let (file, at, _, _) = medium.frames[0];
    medium.files[file][at + 200] ^= 1;
    let (lsns, gaps, _) = medium.walk(5);
    assert_eq!(lsns, (2..=9).collect::<Vec<_>>());
    assert_eq!(gaps, []);
}
