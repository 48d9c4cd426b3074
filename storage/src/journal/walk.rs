//! Walks the frames of one shard's journal and judges where it ends. Pure: it says which bytes it needs next.
//!
//! The writer has one write in flight. So when a frame does not check, there are two cases:
//!
//! - It is the end: the write was cut short and nobody was told that it was done. Frames behind it prove nothing to
//!   the contrary. The walk ends there.
//! - A frame behind it says `durable_upto` beyond it: it was on the device and acknowledged, and the medium has lost it
//!   since. The walk reports the gap with what the next frame says of its predecessor, and goes on behind it, because
//!   the other partitions' acknowledged records are there.
//!
//! A device may also have put a block where another belongs, with a whole frame in it. So the frame that was expected is
//! looked for before a gap is reported, and of those behind a gap the one with the lowest LSN, not the first.
//!
//! ```text
//!              fits                         nothing proves it acknowledged
//!          +--------+      does not fit     +----------> End
//!          v        |                       |
//!   +--> Walk ------+-------> Probe ---> Scan
//!   |      ^                    |           |
//!   |      +--- next file fits -+           | a successor proves it acknowledged
//!   |      +--- found further behind -------+
//!   +------------------------- Gap <--------+
//! ```

use super::frame::{
    Broken, FIRST_LSN, FRAME_ALIGN, Frame, HEADER_BYTES, Header, Identity, Named, Purpose,
};
use crate::ids::Lsn;

/// One journal file as found in the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// Its place in the journal, from its name.
    pub sequence: u64,
    /// Its bytes.
    pub len: u64,
}

/// Bytes of one file that the caller holds.
#[derive(Clone, Copy, Default)]
pub struct Window<'a> {
    /// Index into the walker's files.
    pub file: usize,
    /// Where in the file `bytes` starts.
    pub position: u64,
    /// What stands there.
    pub bytes: &'a [u8],
}

/// What the walk needs or found.
pub enum Step<'a> {
    /// Call again with a window that covers these bytes of a file.
    Read {
        /// Index into the walker's files.
        file: usize,
        /// First byte, a multiple of 4,096.
        position: u64,
        /// Bytes needed; more is welcome.
        len: usize,
    },
    /// The next frame.
    Frame {
        /// The checked frame.
        frame: Frame<'a>,
        /// Index into the walker's files.
        file: usize,
        /// Where it starts.
        position: u64,
    },
    /// Acknowledged frames are damaged or missing; the walk goes on behind them unless `to` is `None`.
    Gap(Gap),
    /// The journal ends.
    End(End),
}

/// Frames that were acknowledged and cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first LSN missing.
    pub from: Lsn,
    /// The LSN at which the journal goes on; `None` when nothing readable follows.
    pub to: Option<Lsn>,
    /// The logs the last missing frame touched.
    pub named: Vec<Named>,
    /// Exactly one frame is missing, so `named` says it all.
    pub complete: bool,
    /// Index of the file in which the damage begins.
    pub file: usize,
    /// Where in that file.
    pub position: u64,
}

/// How the journal ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Exclusive: everything below was found (gaps aside).
    pub upto: Lsn,
    /// The last frame said that the stop was clean.
    pub closed: bool,
    /// Valid frames behind the end that do not prove the broken one acknowledged. They are not replayed: a power cut
    /// may leave such frames when a weaker class than `device` is in force.
    pub discarded: u32,
    /// Why the bytes at the end are no frame.
    pub broken: Option<Broken>,
    /// Index of the file in which it ends.
    pub file: usize,
    /// Where in that file.
    pub position: u64,
}

impl End {
    /// The gap that it is if acknowledged frames are missing here: nothing follows, and nobody names what was in them.
    pub(crate) fn as_gap(&self) -> Gap {
        let (from, file, position) = (self.upto, self.file, self.position);
        Gap { from, to: None, named: Vec::new(), complete: false, file, position }
    }
}

#[derive(Clone, Copy, Debug)]
enum Expected {
    /// The first frame: any that starts at or below this LSN.
    Start(Lsn),
    /// Exactly this frame, behind the frame with that LSN if it was seen.
    At { lsn: Lsn, behind: Option<Lsn> },
}

impl Expected {
    fn fits(self, header: &Header) -> bool {
        match self {
            Expected::Start(from) => header.lsn <= from,
            Expected::At { lsn, behind } => {
                header.lsn == lsn && behind.is_none_or(|previous| header.previous_lsn == previous)
            }
        }
    }

    fn lsn(self) -> Lsn {
        match self {
            Expected::Start(lsn) | Expected::At { lsn, .. } => lsn,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum State {
    Walk,
    Probe { broken: Broken },
    Scan { broken: Broken, file: usize, position: u64, lead: Option<Lead>, found: u32 },
    Found(Lead),
    MissingEnd(End),
    Done(End),
}

/// The valid frame with the lowest LSN behind a break.
#[derive(Clone, Copy, Debug)]
struct Lead {
    file: usize,
    position: u64,
    lsn: Lsn,
    previous_lsn: Lsn,
    /// It, or another frame behind the break, proves that what is broken was acknowledged.
    proven: bool,
}

enum Look<'a> {
    Need(usize),
    Bad(Broken),
    Good(Frame<'a>),
}

/// The walk over one shard's files.
pub struct Walker {
    identity: Identity,
    files: Vec<FileFacts>,
    file: usize,
    position: u64,
    expected: Expected,
    /// Where entries are needed from: a checkpoint holds those below.
    from: Lsn,
    /// Everything below was once on the device, flushed.
    durable: Lsn,
    closed: bool,
    state: State,
}

impl Walker {
    /// `files` rise by sequence. `from`: checkpoints cover everything below; the first file may begin anywhere at or
    /// below it. `durable`: checkpoints say that everything below was on the device, so it must be found.
    pub fn new(identity: Identity, files: Vec<FileFacts>, from: Lsn, durable: Lsn) -> Walker {
        let from = from.max(FIRST_LSN);
        assert!(files.is_sorted_by(|a, b| a.sequence < b.sequence), "files rise by sequence");
        Walker {
            identity,
            files,
            file: 0,
            position: 0,
            expected: Expected::Start(from),
            from,
            durable,
            closed: false,
            state: State::Walk,
        }
    }

    /// The files given to [`Walker::new`].
    pub fn files(&self) -> &[FileFacts] {
        &self.files
    }

    /// The next step, using the bytes in `window` where they are the ones needed.
    pub fn step<'a>(&mut self, window: Window<'a>) -> Step<'a> {
        loop {
            match self.state {
                State::Walk => match self.look(window, self.file, self.position) {
                    Look::Need(len) => return read(self.file, self.position, len),
                    Look::Good(frame) if self.expected.fits(frame.header()) => {
                        return self.on_frame(frame);
                    }
                    Look::Good(_) => self.state = State::Probe { broken: Broken::Foreign },
                    Look::Bad(broken) => self.state = State::Probe { broken },
                },
                State::Probe { broken } => match self.look(window, self.file + 1, 0) {
                    Look::Need(len) => return read(self.file + 1, 0, len),
                    Look::Good(frame) if self.expected.fits(frame.header()) => {
                        self.file += 1;
                        self.position = 0;
                        self.state = State::Walk;
                    }
                    Look::Good(_) | Look::Bad(_) => {
                        self.state = State::Scan {
                            broken,
                            file: self.file,
                            position: self.position,
                            lead: None,
                            found: 0,
                        }
                    }
                },
                State::Scan { broken, file, position, lead, found } => {
                    // What is missing in front of the lead may stand elsewhere in its file, not further.
                    let passed = lead.is_some_and(|lead| lead.proven && file > lead.file);
                    if file >= self.files.len() || passed {
                        match lead.filter(|lead| lead.proven) {
                            Some(lead) => self.state = State::Found(lead),
                            None => self.on_scan_end(broken, found),
                        }
                        continue;
                    }
                    if position >= self.files[file].len {
                        let (file, position) = (file + 1, 0);
                        self.state = State::Scan { broken, file, position, lead, found };
                        continue;
                    }
                    match self.look(window, file, position) {
                        Look::Need(len) => return read(file, position, len),
                        Look::Good(frame) if self.expected.fits(frame.header()) => {
                            (self.file, self.position) = (file, position);
                            self.state = State::Walk;
                        }
                        Look::Good(frame) if frame.header().lsn > self.expected.lsn() => {
                            self.on_lead(broken, (file, position), lead, found, frame.header());
                        }
                        Look::Good(_) | Look::Bad(_) => {
                            let position = position + FRAME_ALIGN as u64;
                            self.state = State::Scan { broken, file, position, lead, found };
                        }
                    }
                }
                State::Found(lead) => match self.look(window, lead.file, lead.position) {
                    Look::Good(frame) => return self.on_gap(lead, frame),
                    Look::Need(len) => return read(lead.file, lead.position, len),
                    // It was good a moment ago: the medium answers differently each time. Do without its list.
                    Look::Bad(broken) => self.on_scan_end(broken, 0),
                },
                State::MissingEnd(end) => {
                    self.state = State::Done(end);
                    return Step::Gap(end.as_gap());
                }
                State::Done(end) => return Step::End(end),
            }
        }
    }

    fn on_frame<'a>(&mut self, frame: Frame<'a>) -> Step<'a> {
        let header = frame.header();
        let at = (self.file, self.position);
        self.position += u64::from(header.total_len);
        self.expected = Expected::At { lsn: header.next_lsn(), behind: Some(header.lsn) };
        self.closed = header.purpose == Purpose::Closing;
        Step::Frame { frame, file: at.0, position: at.1 }
    }

    /// A valid frame of a later LSN stands behind the break.
    fn on_lead(
        &mut self,
        broken: Broken,
        at: (usize, u64),
        before: Option<Lead>,
        found: u32,
        header: &Header,
    ) {
        let (file, position) = at;
        let this = Lead {
            file,
            position,
            lsn: header.lsn,
            previous_lsn: header.previous_lsn,
            proven: header.durable_upto.max(self.durable) > self.expected.lsn(),
        };
        let mut lead = before.filter(|before| before.lsn <= this.lsn).unwrap_or(this);
        lead.proven = this.proven || before.is_some_and(|before| before.proven);
        // Nothing fits between the last good frame and this one: no need to look further.
        let adjacent = lead.previous_lsn <= self.expected.lsn();
        self.state = if lead.proven && adjacent {
            State::Found(lead)
        } else {
            let position = position + FRAME_ALIGN as u64;
            State::Scan { broken, file, position, lead: Some(lead), found: found + 1 }
        };
    }

    fn on_gap<'a>(&mut self, lead: Lead, frame: Frame<'_>) -> Step<'a> {
        let gap = Gap {
            from: self.expected.lsn(),
            to: Some(lead.lsn),
            named: frame.predecessor().collect(),
            complete: lead.previous_lsn <= self.expected.lsn(),
            file: self.file,
            position: self.position,
        };
        self.file = lead.file;
        self.position = lead.position;
        self.expected = Expected::At { lsn: lead.lsn, behind: None };
        self.state = State::Walk;
        Step::Gap(gap)
    }

    fn on_scan_end(&mut self, broken: Broken, discarded: u32) {
        let end = End {
            upto: self.expected.lsn(),
            closed: self.closed,
            discarded,
            broken: (broken != Broken::NoMagic).then_some(broken),
            file: self.file,
            position: self.position,
        };
        // What is missing below `from` is in checkpoints: that alone loses nothing.
        let short = end.upto.max(self.from) < self.durable;
        self.state = if short { State::MissingEnd(end) } else { State::Done(end) };
    }

    fn look<'a>(&self, window: Window<'a>, file: usize, position: u64) -> Look<'a> {
        let Some(facts) = self.files.get(file) else { return Look::Bad(Broken::NoMagic) };
        let rest = facts.len.saturating_sub(position);
        if rest < HEADER_BYTES as u64 {
            return Look::Bad(Broken::NoMagic);
        }
        let first = rest.min(FRAME_ALIGN as u64) as usize;
        let Some(bytes) = window.covers(file, position, first) else { return Look::Need(first) };
        let header = match Header::decode(bytes) {
            Ok(header) => header,
            Err(broken) => return Look::Bad(broken),
        };
        if !header.is_of(&self.identity) || header.file_sequence != facts.sequence {
            return Look::Bad(Broken::Foreign);
        }
        if u64::from(header.total_len) > rest {
            return Look::Bad(Broken::Lengths);
        }
        let total = header.total_len as usize;
        let Some(bytes) = window.covers(file, position, total) else { return Look::Need(total) };
        match Frame::check(bytes) {
            Ok(frame) => Look::Good(frame),
            Err(broken) => Look::Bad(broken),
        }
    }
}

impl<'a> Window<'a> {
    /// The bytes from `position` of `file` on, if at least `len` of them are here.
    fn covers(&self, file: usize, position: u64, len: usize) -> Option<&'a [u8]> {
        if file != self.file {
            return None;
        }
        let at = usize::try_from(position.checked_sub(self.position)?).ok()?;
        self.bytes.get(at..).filter(|rest| rest.len() >= len)
    }
}

fn read<'a>(file: usize, position: u64, len: usize) -> Step<'a> {
    Step::Read { file, position, len }
}

#[cfg(test)]
mod tests;
