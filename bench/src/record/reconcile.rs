//! The delivery audit's verdict: what was acknowledged against what was seen.

use crate::record::acked::Acked;
use crate::record::ranges::Ranges;
use crate::record::seen::{FAULTS_MAX, Fault, Seen, Wrong};
use crate::record::stamp::{Altered, Stamp};
use crate::result::model::Audit;

/// The topics of a run, so that a lane has a name.
#[derive(Clone, Debug)]
pub struct Lanes {
    /// Names of the topics.
    pub topics: Vec<String>,
    /// Partitions of each.
    pub partitions: u32,
}

impl Lanes {
    /// The lane of a partition.
    pub fn lane(&self, topic: u32, partition: u32) -> u32 {
        topic * self.partitions + partition
    }

    /// How many lanes there are.
    pub fn count(&self) -> u32 {
        self.topics.len() as u32 * self.partitions
    }

    /// Topic and partition, as `topic-partition`; of a number that is no lane, the number.
    pub fn name(&self, lane: u32) -> String {
        match self.topics.get((lane / self.partitions.max(1)) as usize) {
            Some(topic) => format!("{topic}-{}", lane % self.partitions),
            None => format!("partition number {lane}, which is none"),
        }
    }
}

/// Compares what was acknowledged with what was seen.
///
/// A record of which nothing can be read (its stamp is damaged) is altered, and the number it had is lost as well.
pub fn reconcile(acked: &[Acked], seen: &[Seen], lanes: &Lanes) -> Audit {
    let mut audit = Audit::default();
    let mut losses = Vec::new();
    for seen in seen {
        let counts = seen.counts();
        audit.checked += counts.checked;
        audit.duplicated += counts.duplicated;
        audit.reordered += counts.reordered;
        audit.altered += counts.altered;
        audit.unjudged += counts.unjudged;
        for lane in seen.lanes() {
            for acked in acked {
                compare(&mut audit, &mut losses, acked, seen, *lane, lanes);
            }
        }
        for acked in acked {
            audit.unjudged += acked.unjudged();
        }
    }
    let told = seen.iter().flat_map(|seen| {
        seen.faults().iter().map(|fault| format!("{}{}", reader(seen), sentence(fault, lanes)))
    });
    // Losses last of all would be crowded out by what a loss brings with it.
    let mut faults: Vec<String> = losses;
    faults.truncate(FAULTS_MAX / 2);
    faults.extend(told);
    if audit.unjudged > 0 {
        let sentence = format!(
            "{} records could not be judged: there are more gaps than the audit has room for",
            audit.unjudged
        );
        faults.insert(0, sentence);
    }
    faults.truncate(FAULTS_MAX);
    audit.faults = faults;
    audit
}

/// One producer and lane.
fn compare(
    audit: &mut Audit,
    losses: &mut Vec<String>,
    acked: &Acked,
    seen: &Seen,
    lane: u32,
    lanes: &Lanes,
) {
    let (producer, acknowledged) = (acked.producer(), acked.on_lane(lane));
    let next = seen.next_number(lane, producer);
    let expected = acknowledged.count();
    let (mut lost, mut missing) = (0, 0);
    let behind = [(next, u64::MAX, None)];
    let gaps = seen.gaps(lane, producer).map(|(from, gap)| (from, gap.to, Some(gap.offset)));
    for (from, to, offset) in gaps.chain(behind) {
        if offset.is_some() {
            missing += to - from;
        }
        for range in acknowledged.intersection(&Ranges::from(from..to)).iter() {
            lost += range.end - range.start;
            if losses.len() < FAULTS_MAX {
                let place = match offset {
                    Some(offset) => format!("record {to} stands in their place at offset {offset}"),
                    None => match seen.last_offset(lane) {
                        -1 => "nothing was read".to_owned(),
                        last => format!("the last record read has offset {last}"),
                    },
                };
                losses.push(format!(
                    "{}{} of producer {producer} to {} acknowledged and lost: {place}",
                    reader(seen),
                    records(range.start, range.end),
                    lanes.name(lane),
                ));
            }
        }
    }
    audit.expected += expected;
    audit.lost += lost;
    audit.unacknowledged_seen += (next - missing).saturating_sub(expected - lost);
}

fn records(from: u64, to: u64) -> String {
    match to - from {
        1 => format!("record {from}"),
        count => format!("records {from} to {} ({count})", to - 1),
    }
}

fn reader(seen: &Seen) -> String {
    format!("consumer set {}: ", seen.set())
}

fn sentence(fault: &Fault, lanes: &Lanes) -> String {
    let at = format!("{} offset {}", lanes.name(fault.lane), fault.offset);
    let name = |stamp: &Stamp| format!("record {} of producer {}", stamp.number, stamp.producer);
    match &fault.what {
        Wrong::Duplicated(stamp) => format!("{at}: {} was seen before", name(stamp)),
        Wrong::Reordered { stamp, before } => {
            format!("{at}: {} comes after its record {before}", name(stamp))
        }
        Wrong::OffsetBack { stamp, last } => {
            format!("{at}: {} comes after offset {last}", name(stamp))
        }
        Wrong::Altered(Altered::Stamp) => {
            format!("{at}: altered, its stamp is damaged or was never one")
        }
        Wrong::Altered(Altered::Length { stamp, found }) => {
            format!("{at}: {} is altered, {found} bytes instead of {}", name(stamp), stamp.length)
        }
        Wrong::Altered(Altered::Bytes { stamp, at: byte }) => {
            format!("{at}: {} is altered from its byte {byte} on", name(stamp))
        }
        Wrong::Misplaced(stamp) => {
            let (run, lane) = (stamp.run, lanes.name(stamp.lane));
            format!("{at}: {} was produced to {lane} by run {run:08x}", name(stamp))
        }
    }
}
