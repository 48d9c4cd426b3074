//! Scenarios: settings and a list of operations, both drawn from one seed.

use engine::sim::Crash;

use crate::dice::Dice;
use crate::operation::{CrashAt, Ending, Operation, Place, Sending, Target};
use crate::settings::{PROFILES, Settings};

/// Operations of the shortest scenario.
pub const OPERATIONS_MIN: u64 = 520;

/// Names that topics have.
const NAMES: u64 = 4;
/// Producers that scenarios know.
pub const PRODUCERS: u64 = 4;

/// Everything that happens in one simulated world, but for what its own dice decide.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The seed, also that of the world.
    pub seed: u64,
    /// The node.
    pub settings: Settings,
    /// Crashes while the first process starts, one after the other.
    pub while_formatting: Vec<CrashAt>,
    /// In order.
    pub operations: Vec<Operation>,
}

/// What a scenario is about: how often each kind of operation is drawn.
struct Theme {
    produce: u64,
    read: u64,
    topics: u64,
    delete_records: u64,
    truncate: u64,
    time: u64,
    faults: u64,
    ends: u64,
    /// Of producer's batches: without an id, next, again, gap, next epoch, old epoch.
    sending: [u64; 6],
    /// Of value sizes: none, small, a block, some blocks, large.
    sizes: [u64; 5],
}

const EVEN: Theme = Theme {
    produce: 600,
    read: 90,
    topics: 40,
    delete_records: 16,
    truncate: 12,
    time: 100,
    faults: 12,
    ends: 8,
    sending: [30, 50, 14, 3, 3, 2],
    sizes: [8, 60, 16, 14, 2],
};

fn theme(dice: &mut Dice) -> Theme {
    match dice.below(8) {
        // Much data: journals go round, segments roll.
        0 => Theme { produce: 800, topics: 12, sizes: [2, 20, 20, 45, 13], ..EVEN },
        // Topics come and go.
        1 => Theme { topics: 200, delete_records: 40, ..EVEN },
        // Producers send again and again.
        2 => Theme { sending: [5, 50, 35, 5, 5, 4], read: 50, ..EVEN },
        // The disk is not well.
        3 => Theme { faults: 60, ..EVEN },
        // One crash after the other.
        4 => Theme { ends: 30, ..EVEN },
        // Logs are cut at both ends.
        5 => Theme { delete_records: 60, truncate: 60, ..EVEN },
        _ => EVEN,
    }
}

impl Scenario {
    /// The scenario of a seed.
    pub fn draw(seed: u64) -> Scenario {
        let mut dice = Dice::new(seed);
        let settings = Settings::draw(&mut dice);
        let theme = theme(&mut dice);
        let mut operations = Vec::new();
        for name in 0..dice.between(1, NAMES) as u8 {
            let (partitions, profile) = (dice.between(1, 3) as u8, profile_of(&mut dice));
            operations.push(Operation::Create { name, partitions, profile });
        }
        let count = OPERATIONS_MIN + dice.below(120);
        while (operations.len() as u64) < count {
            draw(&mut dice, &theme, &settings, &mut operations);
        }
        operations.push(end(&mut dice, Ending::Now(Crash::PowerCut)));
        let times = if dice.one_in(4) { dice.between(1, 3) } else { 0 };
        let while_formatting = (0..times).map(|_| crash_at(&mut dice, 250)).collect();
        Scenario { seed, settings, while_formatting, operations }
    }
}

fn profile_of(dice: &mut Dice) -> u8 {
    dice.below(u64::from(PROFILES)) as u8
}

fn place(dice: &mut Dice) -> Place {
    // The first names and partitions more often, so that some logs grow.
    let name = dice.below(NAMES).min(dice.below(NAMES)) as u8;
    Place { name, partition: dice.below(3) as u8 }
}

fn draw(dice: &mut Dice, theme: &Theme, settings: &Settings, to: &mut Vec<Operation>) {
    let weights = [
        theme.produce,
        theme.read,
        theme.topics,
        theme.delete_records,
        theme.truncate,
        theme.time,
        theme.faults,
        theme.ends,
    ];
    match dice.weighted(&weights) {
        0 => produce(dice, theme, settings, to),
        1 => to.push(read(dice)),
        2 => to.push(topics(dice)),
        3 => to.push(Operation::DeleteRecords { place: place(dice), at: dice.below(256) as u8 }),
        4 => to.push(Operation::Truncate { place: place(dice), at: dice.below(256) as u8 }),
        5 => to.push(time(dice)),
        6 => fault(dice, to),
        _ => {
            let ending = match dice.below(4) {
                0 => Ending::Shutdown,
                1 => Ending::Now(Crash::Kill),
                _ => Ending::Now(Crash::PowerCut),
            };
            if dice.one_in(2) && ending != Ending::Shutdown {
                // The crash comes in the middle of what follows, not between two operations.
                to.push(Operation::Arm(crash_at(dice, 400)));
                for _ in 0..dice.below(24) {
                    produce(dice, theme, settings, to);
                }
            }
            if dice.one_in(4) {
                burst(dice, to);
            }
            to.push(end(dice, ending));
        }
    }
}

/// More than a journal file holds, at once and to few logs, and time for a checkpoint, but not for the segments.
fn burst(dice: &mut Dice, to: &mut Vec<Operation>) {
    let places = [place(dice), place(dice)];
    let crash = dice.below(60);
    for at in 0..dice.between(40, 100) {
        if at == crash {
            // Journal files are wanted as fast as checkpoints give them back: a good time to stop.
            to.push(Operation::Arm(crash_at(dice, 600)));
        }
        let value_bytes = dice.between(10_000, 45_000) as u32;
        let (place, sending) = (dice.pick(&places), Sending::Plain);
        to.push(Operation::Produce { place, sending, records: 1, value_bytes });
        if dice.one_in(12) {
            to.push(Operation::Sleep { micros: dice.between(20_000, 120_000) });
        }
    }
}

fn produce(dice: &mut Dice, theme: &Theme, settings: &Settings, to: &mut Vec<Operation>) {
    let place = place(dice);
    let producer = dice.below(PRODUCERS) as u8;
    let sending = match dice.weighted(&theme.sending) {
        0 => Sending::Plain,
        1 => Sending::Next(producer),
        2 => Sending::Again(producer, dice.below(6) as u8),
        3 => Sending::Gap(producer, dice.between(1, 9) as u8),
        4 => Sending::NextEpoch(producer),
        _ => Sending::OldEpoch(producer),
    };
    let mut value_bytes = match dice.weighted(&theme.sizes) {
        0 => 0,
        1 => dice.below(600),
        2 => dice.between(3_600, 4_400),
        3 => dice.between(8_000, 70_000),
        _ => dice.between(70_000, u64::from(settings.batch_bytes_max)),
    } as u32;
    let records = if value_bytes > 5_000 { dice.between(1, 2) } else { dice.between(1, 9) } as u16;
    value_bytes = value_bytes.min(settings.batch_bytes_max / u32::from(records));
    let batch = Operation::Produce { place, sending, records, value_bytes };
    if let Sending::Next(producer) = sending
        && dice.one_in(6)
    {
        // Sent again at once, while the first is most likely still in flight.
        to.push(batch.clone());
        let sending = Sending::Again(producer, 0);
        to.push(Operation::Produce { place, sending, records, value_bytes });
    } else {
        to.push(batch);
    }
}

fn read(dice: &mut Dice) -> Operation {
    let place = place(dice);
    if dice.one_in(8) {
        let step_bytes = dice.pick(&[1, 5_000, 100_000, 1 << 20]);
        return Operation::ReadAll { place, step_bytes };
    }
    Operation::Read {
        place,
        at: dice.below(256) as u8,
        max_bytes: dice.pick(&[0, 100, 4_096, 20_000, 200_000, 1 << 20]),
        one_at_least: !dice.one_in(5),
    }
}

fn topics(dice: &mut Dice) -> Operation {
    let name = dice.below(NAMES) as u8;
    match dice.below(5) {
        0 => Operation::Delete { name },
        1 => Operation::Configure { name, profile: profile_of(dice) },
        _ => {
            let (partitions, profile) = (dice.between(1, 3) as u8, profile_of(dice));
            Operation::Create { name, partitions, profile }
        }
    }
}

fn time(dice: &mut Dice) -> Operation {
    match dice.below(24) {
        0 => Operation::Jump { hours: dice.between(1, 12) as u8 },
        1..=4 => Operation::Settle,
        5..=14 => Operation::Sleep { micros: dice.between(10, 2_000) },
        15..=20 => Operation::Sleep { micros: dice.between(2_000, 50_000) },
        _ => Operation::Sleep { micros: dice.between(50_000, 3_000_000) },
    }
}

fn fault(dice: &mut Dice, to: &mut Vec<Operation>) {
    let target = dice.pick(&[
        Target::Journal,
        Target::Segments,
        Target::Checkpoints,
        Target::Metadata,
        Target::Any,
    ]);
    let after = dice.below(20) as u8;
    to.push(match dice.below(14) {
        0..=2 => Operation::Fill { blocks: dice.below(800) as u32 },
        3..=5 => Operation::Room,
        6 => Operation::FailWrite { after, target },
        7..=8 => Operation::FailSync { after, target },
        9 => Operation::Latent { place: place(dice) },
        10..=12 => Operation::Slow {
            factor: dice.between(2, 40) as u8,
            millis: dice.between(1, 2_000) as u16,
        },
        _ => Operation::Arm(crash_at(dice, 3_000)),
    });
}

fn crash_at(dice: &mut Dice, ios_max: u64) -> CrashAt {
    let crash = if dice.one_in(3) { Crash::Kill } else { Crash::PowerCut };
    let ios = if dice.one_in(3) { dice.below(30) } else { dice.below(ios_max) };
    CrashAt { ios: ios + 1, crash }
}

fn end(dice: &mut Dice, ending: Ending) -> Operation {
    let times = if dice.one_in(3) { dice.between(1, 3) } else { 0 };
    Operation::End {
        ending,
        shards: dice.between(1, 3) as u8,
        pause_ms: if dice.one_in(4) { dice.below(100_000) as u32 } else { dice.below(50) as u32 },
        while_starting: (0..times).map(|_| crash_at(dice, 250)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_one_scenario() {
        let one = Scenario::draw(7);
        assert_eq!(one.operations, Scenario::draw(7).operations);
        assert_ne!(one.operations, Scenario::draw(8).operations);
    }

    #[test]
    fn every_scenario_is_long_enough_and_ends_with_a_crash() {
        for seed in 0..50 {
            let scenario = Scenario::draw(seed);
            assert!(scenario.operations.len() as u64 >= 500);
            assert!(matches!(
                scenario.operations.last(),
                Some(Operation::End { ending: Ending::Now(Crash::PowerCut), .. })
            ));
        }
    }
}
