//! Faults: which bytes of which file become what, and whom that may hurt.

use super::Dice;
use super::image::{BLOCK, Image, is_zeros};
use super::template::{ALIGNED, LiveFrame, Template, live_frames};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    JournalLive,
    /// Files kept ready and free, and what lies behind the last frame.
    JournalUnused,
    SegmentSealed,
    SegmentActive,
    Index,
    CheckpointLog,
    CheckpointBase,
    SuperblockSlot,
    SuperblockBoth,
    MetaProperties,
    MetadataLog,
    /// Both copies of one frame of a record log, which are more than one block.
    RecordsBoth,
}

/// All kinds with how many of each hundred faults they get.
pub const KINDS: [(Kind, u64); 12] = [
    (Kind::JournalLive, 30),
    (Kind::JournalUnused, 5),
    (Kind::SegmentSealed, 18),
    (Kind::SegmentActive, 10),
    (Kind::Index, 8),
    (Kind::CheckpointLog, 8),
    (Kind::CheckpointBase, 6),
    (Kind::SuperblockSlot, 5),
    (Kind::SuperblockBoth, 1),
    (Kind::MetaProperties, 1),
    (Kind::MetadataLog, 6),
    (Kind::RecordsBoth, 2),
];

/// How it is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum How {
    Bit,
    Zeros,
    Garbage,
    /// A block of another place of the same file.
    OtherPlace,
    /// A block of another file of the same kind.
    OtherFile,
    /// What stood there some time before.
    Stale,
}

const HOWS: [How; 6] =
    [How::Bit, How::Zeros, How::Garbage, How::OtherPlace, How::OtherFile, How::Stale];

pub struct Fault {
    pub kind: Kind,
    pub how: How,
    pub path: PathBuf,
    /// Bytes to be put at positions.
    pub writes: Vec<(usize, Vec<u8>)>,
    /// Logs that may say that something of theirs is lost.
    pub may_hurt: BTreeSet<u32>,
    pub may_refuse: bool,
}

impl Fault {
    pub fn text(&self) -> String {
        let at: Vec<_> = self.writes.iter().map(|(at, bytes)| (*at, bytes.len())).collect();
        format!("{:?} {:?} of {} at {at:?}", self.kind, self.how, self.path.display())
    }

    /// The image with the fault, and whether it changed anything.
    pub fn apply(&self, image: &Image) -> (Image, bool) {
        let mut damaged = image.clone();
        let before = image.bytes(&self.path);
        let mut bytes = before.clone();
        for (at, with) in &self.writes {
            let end = (at + with.len()).min(bytes.len());
            bytes[*at..end].copy_from_slice(&with[..end - at]);
        }
        damaged.set(&self.path, &bytes);
        (damaged, bytes != before)
    }
}

/// Where faults can be, found once.
pub struct Targets<'a> {
    template: &'a Template,
    pub frames: Vec<LiveFrame>,
    unused: Vec<PathBuf>,
    sealed: Vec<PathBuf>,
    active: Vec<PathBuf>,
    indexes: Vec<PathBuf>,
    checkpoint_logs: Vec<PathBuf>,
    bases: Vec<PathBuf>,
    metadata: Vec<PathBuf>,
}

impl<'a> Targets<'a> {
    pub fn of(template: &'a Template) -> Targets<'a> {
        let image = &template.image;
        let frames = live_frames(image);
        let ends_with = |dir: &str, end: &str| -> Vec<PathBuf> {
            let wanted =
                |path: &&Path| path.starts_with(dir) && path.to_string_lossy().ends_with(end);
            image.paths().filter(wanted).map(Path::to_owned).collect()
        };
        let live: BTreeSet<_> = frames.iter().map(|frame| frame.path.clone()).collect();
        let segments = ends_with("topics", ".log");
        let is_last = |path: &PathBuf| {
            !segments.iter().any(|other| other.parent() == path.parent() && other > path)
        };
        let filled = |path: &PathBuf| !is_zeros(&image.bytes(path));
        let (active, sealed) =
            segments.iter().filter(|path| filled(path)).cloned().partition(is_last);
        let unused = image
            .paths()
            .filter(|path| path.starts_with("journal") && !live.contains(*path))
            .map(Path::to_owned)
            .collect();
        let targets = Targets {
            template,
            unused,
            sealed,
            active,
            indexes: ends_with("topics", ".hindex"),
            checkpoint_logs: ends_with("checkpoints", ".records"),
            bases: ends_with("checkpoints", ".base"),
            metadata: ends_with("metadata", ".records"),
            frames,
        };
        targets.assert_all_there();
        targets
    }

    /// A template without something would let the test pass without testing it.
    fn assert_all_there(&self) {
        for (what, paths, least) in [
            ("unused journal files", &self.unused, 1),
            ("sealed segments", &self.sealed, 12),
            ("active segments", &self.active, 6),
            ("indexes", &self.indexes, 2),
            ("checkpoint logs", &self.checkpoint_logs, 1),
            ("base checkpoints", &self.bases, 1),
            ("metadata logs", &self.metadata, 1),
        ] {
            assert!(paths.len() >= least, "{} {what}: {paths:?}", paths.len());
        }
        assert!(self.frames.len() > 150, "{} frames", self.frames.len());
    }

    /// The fault of these dice.
    pub fn fault(&self, kind: Kind, dice: &mut Dice) -> Fault {
        let image = &self.template.image;
        let how = dice.pick(&HOWS);
        match kind {
            Kind::JournalLive => self.journal(how, dice),
            Kind::JournalUnused => {
                if dice.chance(50) {
                    let path = dice.pick(&self.unused);
                    return self.block_or_bit(kind, how, path, None, dice);
                }
                // Behind the last frame.
                let last = self.frames.last().expect("there are frames");
                let end = last.at + last.len;
                let len = image.bytes(&last.path).len();
                self.block_or_bit(kind, how, last.path.clone(), Some((end, len)), dice)
            }
            Kind::SegmentSealed => self.segment(kind, &self.sealed, how, dice),
            Kind::SegmentActive => self.segment(kind, &self.active, how, dice),
            Kind::Index => {
                let path = dice.pick(&self.indexes);
                self.block_or_bit(kind, how, path, None, dice)
            }
            Kind::CheckpointLog => self.used(kind, &self.checkpoint_logs, how, dice),
            Kind::CheckpointBase => self.used(kind, &self.bases, how, dice),
            Kind::MetadataLog => self.used(kind, &self.metadata, how, dice),
            Kind::SuperblockSlot => {
                let slot = dice.below(2) as usize * BLOCK;
                let path = PathBuf::from("superblock");
                self.block_or_bit(kind, how, path, Some((slot, slot + BLOCK)), dice)
            }
            Kind::SuperblockBoth => {
                let writes = (0..2).map(|slot| (slot * BLOCK + 40, dice.bytes(16))).collect();
                Fault { may_refuse: true, ..plain(kind, How::Garbage, "superblock".into(), writes) }
            }
            Kind::MetaProperties => {
                let path = PathBuf::from("meta.properties");
                self.block_or_bit(kind, how, path, None, dice)
            }
            Kind::RecordsBoth => self.both_copies(dice),
        }
    }

    fn journal(&self, how: How, dice: &mut Dice) -> Fault {
        let frame = dice.pick(&self.frames);
        let named = self.template.image.bytes(&frame.path);
        let range = (frame.at, frame.at + frame.len);
        let mut fault = if how == How::Bit {
            // As often in the header and the table as in the payloads.
            let at = match dice.below(3) {
                0 => frame.at + dice.below(96) as usize,
                1 => {
                    frame.at
                        + frame.table_at
                        + dice.below((frame.used - frame.table_at).max(1) as u64) as usize
                }
                _ => frame.at + dice.below(frame.len as u64) as usize,
            };
            let at = at.min(range.1 - 1);
            let bit = named[at] ^ (1 << dice.below(8));
            plain(Kind::JournalLive, how, frame.path.clone(), vec![(at, vec![bit])])
        } else {
            self.block_or_bit(Kind::JournalLive, how, frame.path.clone(), Some(range), dice)
        };
        fault.may_hurt = frame.logs.iter().copied().collect();
        fault
    }

    fn segment(&self, kind: Kind, paths: &[PathBuf], how: How, dice: &mut Dice) -> Fault {
        let path = dice.pick(paths);
        let bytes = self.template.image.bytes(&path);
        let number = log_of(&path);
        let mut fault = if how == How::Bit && dice.chance(60) {
            // A header: what no checksum covers is there.
            let batches: Vec<usize> = storage::batch::split(&bytes)
                .map_while(Result::ok)
                .scan(0, |at, batch| {
                    let begin = *at;
                    *at += batch.len();
                    Some(begin)
                })
                .collect();
            let at = dice.pick(&batches) + dice.below(61) as usize;
            plain(kind, how, path, vec![(at, vec![bytes[at] ^ (1 << dice.below(8))])])
        } else {
            self.block_or_bit(kind, how, path, None, dice)
        };
        fault.may_hurt = [number].into();
        fault
    }

    /// A place that is not zeros.
    fn used(&self, kind: Kind, paths: &[PathBuf], how: How, dice: &mut Dice) -> Fault {
        let path = dice.pick(paths);
        let bytes = self.template.image.bytes(&path);
        let used =
            bytes.chunks(BLOCK).rposition(|block| !is_zeros(block)).map_or(1, |last| last + 1);
        let range = (0, (used * BLOCK).min(bytes.len()));
        self.block_or_bit(kind, how, path, Some(range), dice)
    }

    fn block_or_bit(
        &self,
        kind: Kind,
        how: How,
        path: PathBuf,
        range: Option<(usize, usize)>,
        dice: &mut Dice,
    ) -> Fault {
        let bytes = self.template.image.bytes(&path);
        let (from, upto) = range.unwrap_or((0, bytes.len()));
        if how == How::Bit {
            let at = from + dice.below((upto - from) as u64) as usize;
            let bit = bytes[at] ^ (1 << dice.below(8));
            return plain(kind, how, path, vec![(at, vec![bit])]);
        }
        let blocks = (upto - from).div_ceil(BLOCK) as u64;
        let at = from + dice.below(blocks) as usize * BLOCK;
        let with = match how {
            How::Bit | How::Garbage => dice.bytes(BLOCK),
            How::Zeros => vec![0; BLOCK],
            How::OtherPlace => block_of(&bytes, dice),
            How::OtherFile => self.other_file(&path, at, dice),
            How::Stale => self.stale(&path, at, dice),
        };
        plain(kind, how, path, vec![(at, with)])
    }

    /// A block of a file of the same directory or kind: as often as not from the same position.
    fn other_file(&self, path: &Path, at: usize, dice: &mut Dice) -> Vec<u8> {
        let kind = path.extension();
        let top = path.components().next();
        let others: Vec<&Path> = self
            .template
            .image
            .paths()
            .filter(|other| *other != path && other.components().next() == top)
            .filter(|other| other.extension() == kind)
            .collect();
        if others.is_empty() {
            return dice.bytes(BLOCK);
        }
        let from = dice.pick(&others);
        let other = self.template.image.bytes(from);
        // What two logs with the same layout keep at one place cannot be told apart: the test of that gap has it.
        let twins = ALIGNED.map(|number| format!("topic-{number}.id"));
        let is_twin = |path: &Path| twins.iter().any(|twin| path.to_string_lossy().contains(twin));
        if is_twin(path) && is_twin(from) && path.file_name() == from.file_name() {
            let before = at.saturating_sub(BLOCK).min(other.len());
            return block_of(&other[..before], dice);
        }
        match other.get(at..at + BLOCK).filter(|_| dice.chance(50)) {
            Some(there) => there.to_vec(),
            None => block_of(&other, dice),
        }
    }

    /// What stood at the place before, where that is known; for journal files a file of before.
    fn stale(&self, path: &Path, at: usize, dice: &mut Dice) -> Vec<u8> {
        let earlier = &self.template.earlier;
        let source = if earlier.has(path) && !path.starts_with("journal") {
            earlier.bytes(path)
        } else {
            let files: Vec<&Path> = earlier
                .paths()
                .filter(|other| other.extension() == path.extension())
                .filter(|other| other.components().next() == path.components().next())
                .collect();
            if files.is_empty() {
                return vec![0; BLOCK];
            }
            earlier.bytes(dice.pick(&files))
        };
        let mut block = source.get(at..).unwrap_or(&[]).to_vec();
        block.resize(BLOCK, 0);
        block
    }

    /// Both copies of a frame that is not the last: no other place has what it held.
    fn both_copies(&self, dice: &mut Dice) -> Fault {
        let logs: Vec<PathBuf> =
            self.metadata.iter().chain(&self.bases).chain(&self.checkpoint_logs).cloned().collect();
        loop {
            let path = dice.pick(&logs);
            let bytes = self.template.image.bytes(&path);
            let sequence = bytes.get(16..24).map(<[u8]>::to_vec);
            let mut frames = Vec::new();
            let mut at = 0;
            // The frames of the file's own sequence, each there twice.
            while bytes.get(at..at + 8) == Some(b"HDLRECRD") {
                if Some(bytes[at + 16..at + 24].to_vec()) != sequence {
                    break;
                }
                let total = u32::from_le_bytes(bytes[at + 40..at + 44].try_into().unwrap());
                frames.push((at, total as usize));
                at += 2 * total as usize;
            }
            let is_base = path.extension().is_some_and(|end| end == "base");
            let choice = if is_base { frames.len() } else { frames.len().saturating_sub(1) };
            if choice == 0 || !self.is_in_force(&path) {
                continue;
            }
            let (at, total) = frames[dice.below(choice as u64) as usize];
            let writes = vec![(at + 16, dice.bytes(16)), (at + total + 16, dice.bytes(16))];
            return Fault {
                may_refuse: true,
                ..plain(Kind::RecordsBoth, How::Garbage, path, writes)
            };
        }
    }

    /// Of a record log's two files the one with the higher sequence whose first frame carries it.
    fn is_in_force(&self, path: &Path) -> bool {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let Some((_, sequence)) = name.rsplit_once('.') else { return true };
        let bytes = self.template.image.bytes(path);
        let own = u64::from_str_radix(sequence, 16).unwrap();
        bytes[16..24] == own.to_le_bytes()
    }
}

fn plain(kind: Kind, how: How, path: PathBuf, writes: Vec<(usize, Vec<u8>)>) -> Fault {
    Fault { kind, how, path, writes, may_hurt: BTreeSet::new(), may_refuse: false }
}

/// A block that is not zeros, if there is one.
fn block_of(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let blocks: Vec<&[u8]> = bytes.chunks_exact(BLOCK).filter(|block| !is_zeros(block)).collect();
    if blocks.is_empty() {
        return vec![0; BLOCK];
    }
    dice.pick(&blocks).to_vec()
}

/// The number of the log whose segment this is: its directory's name.
fn log_of(path: &Path) -> u32 {
    path.parent().unwrap().file_name().unwrap().to_str().unwrap().parse().unwrap()
}
