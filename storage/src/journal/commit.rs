//! The journal's one task that writes: gathers, writes, tells, and starts over.

use super::building::Touched;
use super::entry::Commit;
use super::file_pool::Current;
use super::frame::{Purpose, round_up};
use super::state::Plan;
use super::writer::Journal;
use crate::durability::Durability;
use crate::ids::{Lsn, Offset};
use crate::limits::EXIT_STORAGE;
use crate::planted::{self, Bug};
use crate::superblock::FlushPrimitive;
use engine::buffer::Slice;
use engine::file::File;
use engine::task;
use engine::time::{self, Instant};
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// How long after the last acknowledgement an idle frame says that it was one.
const IDLE_AFTER: Duration = Duration::from_millis(10);

impl Journal {
    /// Writes until the journal is stopped.
    pub(super) async fn run(self: Rc<Journal>) {
        let mut last_commit = time::now();
        loop {
            let plan = self.state.borrow().plan();
            match plan {
                Plan::Wait { idle } => self.wait(idle).await,
                Plan::Write { queued } => {
                    if !queued {
                        self.gather(last_commit).await;
                    }
                    self.write(&mut last_commit).await;
                }
                Plan::Flush => self.sync_current().await,
                Plan::Close => {
                    if self.push_bare(Purpose::Closing) {
                        self.write(&mut last_commit).await;
                    }
                    break;
                }
            }
        }
        self.files.stop().await;
        self.state.borrow_mut().stopped = true;
        self.progress.notify_all();
    }

    /// Waits for something to write; an idle frame is due when nothing comes for a while.
    async fn wait(&self, idle: bool) {
        if !idle {
            self.wake.notified().await;
        } else if time::timeout(IDLE_AFTER, self.wake.notified()).await.is_err() {
            if !self.push_bare(Purpose::Idle) {
                // No space or memory for it now: it is not worth waiting for.
                self.state.borrow_mut().unproven = false;
            }
            return;
        }
        // Pushes of this loop turn share the frame.
        task::yield_now().await;
    }

    /// A frame without entries, if it can go out at once.
    fn push_bare(&self, purpose: Purpose) -> bool {
        let mut state = self.state.borrow_mut();
        if state.is_urgent() && purpose == Purpose::Idle {
            return true;
        }
        let bytes = round_up(super::building::frame_bytes(0, 0, state.last_touched.len()));
        self.files.can_place(bytes as u64) && state.push_bare(purpose)
    }

    /// Waits for company where a commit would carry one record: see [`super::group_commit`].
    async fn gather(&self, last_commit: Instant) {
        let deadline = last_commit + self.state.borrow().group.gap();
        loop {
            let wake = self.wake.notified();
            let left = deadline.since(time::now());
            if left.is_zero() || self.state.borrow().is_urgent() {
                return;
            }
            let _ = time::timeout(left, wake).await;
        }
    }

    /// Writes the next frame, and those queued behind it, and tells of their completion.
    async fn write(&self, last_commit: &mut Instant) {
        let Some((bytes, lsn)) = self.state.borrow_mut().next_frame() else { return };
        let current = self.files.place(bytes, lsn, async |file| self.leave(file).await).await;
        let batch = self.take_batch(&current);
        let started = time::now();
        if planted::is(Bug::AcknowledgeAtSubmission) {
            self.tell_upto(&batch, batch.end);
        }
        if let Err(error) = self.write_batch(&current, &batch).await {
            self.fail("write to", &error);
        }
        let now = time::now();
        let entries = batch.touched.iter().map(|(_, entries)| *entries as usize).sum::<usize>();
        self.files.on_written(batch.bytes);
        {
            let mut state = self.state.borrow_mut();
            state.on_written(batch.end, batch.bytes, batch.flush, entries == 0);
            state.group.on_commit(now.since(*last_commit), now.since(started), entries);
        }
        *last_commit = now;
        self.count(|stats| {
            stats.writes += 1;
            stats.flushes += u64::from(batch.flush);
            stats.frames += batch.touched.len() as u64;
            stats.entries += entries as u64;
            stats.bytes += batch.bytes;
        });
        for (touched, _) in &batch.touched {
            self.tell(&touched.slots, batch.flush, batch.bytes);
        }
        self.progress.notify_all();
    }

    fn take_batch(&self, current: &Current) -> Batch {
        let mut state = self.state.borrow_mut();
        let frames = state.take_frames(current.remaining());
        let (durable_upto, written_ms) = (state.durable_upto, time::unix_ms());
        let mut batch = Batch {
            slices: Vec::with_capacity(frames.len()),
            touched: Vec::with_capacity(frames.len()),
            bytes: 0,
            end: state.written_upto,
            flush: state.flush_wanted > state.durable_upto,
            dirty: state.written_upto > state.durable_upto,
        };
        for frame in frames {
            let (slice, header, touched) = frame.finish(current.sequence, durable_upto, written_ms);
            batch.bytes += u64::from(header.total_len);
            batch.end = header.next_lsn();
            batch.flush |= header.durability == Durability::Device;
            batch.slices.push(slice);
            batch.touched.push((touched, header.entries));
        }
        batch
    }

    async fn write_batch(&self, current: &Current, batch: &Batch) -> io::Result<()> {
        let position = current.position;
        let at_once = self.config.flush == FlushPrimitive::Dsync && !batch.dirty;
        let file = if batch.flush && at_once { &current.dsync } else { &current.plain };
        let sync = batch.flush && !at_once;
        if planted::is(Bug::SkipFlush) {
            return self.write_unflushed(current, batch).await;
        }
        match batch.slices.as_slice() {
            [one] if sync => file.write_at_synced(position, one.clone()).await,
            [one] => file.write_at(position, one.clone()).await,
            several => {
                file.write_vectored_at(position, several.to_vec()).await?;
                if sync { file.sync_data().await } else { Ok(()) }
            }
        }
    }

    /// What [`Bug::SkipFlush`] does instead.
    async fn write_unflushed(&self, current: &Current, batch: &Batch) -> io::Result<()> {
        current.plain.write_vectored_at(current.position, batch.slices.clone()).await
    }

    /// What [`Bug::AcknowledgeAtSubmission`] does too early.
    fn tell_upto(&self, batch: &Batch, upto: Lsn) {
        for (touched, _) in &batch.touched {
            let touched = touched.slots.as_slice();
            let durable = batch.flush;
            let durable_upto = if durable { upto } else { self.durable_upto() };
            let bytes = batch.bytes;
            (self.on_commit)(&Commit { written_upto: upto, durable_upto, touched, durable, bytes });
        }
    }

    /// Leaves a file for the next: what was written to it without a flush is flushed now, because later flushes are
    /// of the next file.
    async fn leave(&self, file: &File) {
        let dirty = {
            let state = self.state.borrow();
            state.written_upto > state.durable_upto
        };
        if dirty {
            self.sync(file).await;
        }
    }

    async fn sync_current(&self) {
        if let Some(current) = self.files.current() {
            self.sync(&current.plain).await;
        }
    }

    async fn sync(&self, file: &File) {
        if !planted::is(Bug::SkipFlush)
            && let Err(error) = file.sync_data().await
        {
            self.fail("sync", &error);
        }
        self.state.borrow_mut().on_flushed();
        self.count(|stats| stats.flushes += 1);
        self.tell(&[], true, 0);
        self.progress.notify_all();
    }

    fn tell(&self, touched: &[(u32, Offset)], durable: bool, bytes: u64) {
        let (written_upto, durable_upto) = {
            let state = self.state.borrow();
            (state.written_upto, state.durable_upto)
        };
        (self.on_commit)(&Commit { written_upto, durable_upto, touched, durable, bytes });
    }

    /// A failed write or sync is not tried again: after one, the system may report success for data it has dropped.
    fn fail(&self, what: &str, error: &io::Error) -> ! {
        engine::exit_now(
            EXIT_STORAGE,
            &format!(
                "HDL-ST-001: failed to {what} the journal in {}: {error}. Nothing unacknowledged was lost; what was \
                 acknowledged is in the journal and will be replayed. Check the device and its file system \
                 (dmesg), then start again.",
                self.config.dir.display()
            ),
        )
    }
}

/// Frames written together.
struct Batch {
    slices: Vec<Slice>,
    /// What each frame touched, and how many entries it has.
    touched: Vec<(Touched, u32)>,
    bytes: u64,
    end: Lsn,
    /// To be flushed with this write.
    flush: bool,
    /// Earlier frames were written without a flush.
    dirty: bool,
}
