//! Journal files: frames at multiples of 4 KiB, behind them what recycling left of older ones.

use std::io;
use std::path::Path;

use storage::batch::BatchView;
use storage::ids::Generation;
use storage::journal::file_name::parse_live;
use storage::journal::frame::{Broken, FRAME_ALIGN, Frame, Header};

use super::report::{Fact, Report};

/// Prints the frames of a file that fit one another, then says what stands behind them.
///
/// # Errors
/// The file cannot be read.
pub fn dump(path: &Path, entries: bool, report: &mut Report) -> io::Result<()> {
    let bytes = std::fs::read(path)?;
    // A recycled file has a new name while its frames are still the old ones.
    let named = path.file_name().and_then(|name| parse_live(&name.to_string_lossy()));
    let mut position = 0;
    let mut last: Option<Header> = None;
    let mut frames = 0u64;
    let end = loop {
        if position >= bytes.len() {
            break None;
        }
        match Frame::check(&bytes[position..]) {
            Ok(frame) if follows(last.as_ref(), named, frame.header()) => {
                print_frame(&frame, position, entries, report);
                frames += 1;
                position += frame.header().total_len as usize;
                last = Some(*frame.header());
            }
            Ok(_) => break Some(Broken::Foreign),
            Err(broken) => break Some(broken),
        }
    };
    judge_rest(&bytes, position, last.as_ref(), end, report);
    let fact = Fact::new("total").with("frames", frames).with("bytes", position);
    report.print(1, fact.with("next_lsn", last.map(|header| header.next_lsn().0)));
    Ok(())
}

fn follows(last: Option<&Header>, named: Option<(Generation, u16, u64)>, header: &Header) -> bool {
    let fits = named.is_none_or(|(generation, shard, sequence)| {
        header.identity.generation == generation
            && header.identity.shard == shard
            && header.file_sequence == sequence
    });
    fits && last.is_none_or(|last| {
        header.identity == last.identity
            && header.file_sequence == last.file_sequence
            && header.lsn == last.next_lsn()
    })
}

fn print_frame(frame: &Frame<'_>, position: usize, entries: bool, report: &mut Report) {
    let header = frame.header();
    let fact = Fact::new("frame")
        .with("position", position)
        .with("bytes", header.total_len)
        .with("used", header.used_len)
        .with("generation", header.identity.generation.0)
        .with("shard", header.identity.shard)
        .with("file", header.file_sequence)
        .with("lsn", header.lsn.0)
        .with("purpose", format!("{:?}", header.purpose).to_lowercase())
        .with("entries", header.entries)
        .with("durability", header.durability.name())
        .with("durable_upto", header.durable_upto.0)
        .with("written_ms", header.written_ms)
        .with("crc", "ok");
    report.print(1, fact);
    for entry in frame.entries() {
        let head = &entry.head;
        let sound = head.payload_len == 0
            || BatchView::first(entry.payload)
                .is_ok_and(|batch| batch.len() == entry.payload.len() && batch.check_crc());
        let fact = Fact::new("entry")
            .with("lsn", entry.lsn.0)
            .with("what", format!("{:?}", head.kind).to_lowercase())
            .with("log", head.log.to_string())
            .with("base_offset", head.base_offset.0)
            .with("next_offset", head.next_offset.0)
            .with("bytes", head.payload_len)
            .with("durability", head.durability.name())
            .with("roll", head.roll.then_some(true))
            .with("batch", if sound { "ok" } else { "damaged" });
        match (sound, entries) {
            (false, _) => report.damage(2, fact),
            (true, true) => report.print(2, fact),
            (true, false) => {}
        }
    }
}

/// Says why the frames end: at the end of the file, before unused space, before frames of an older
/// use of the file, or at damage that a later frame of the same use proves.
fn judge_rest(
    bytes: &[u8],
    position: usize,
    last: Option<&Header>,
    end: Option<Broken>,
    report: &mut Report,
) {
    let Some(broken) = end else { return };
    let rest = &bytes[position..];
    let fact = Fact::new("end").with("position", position);
    if rest.iter().all(|&byte| byte == 0) {
        return report.print(1, fact.with("why", "unused space follows"));
    }
    let same_use = |header: &Header| match last {
        Some(last) => {
            header.identity == last.identity
                && header.file_sequence == last.file_sequence
                && header.lsn >= last.next_lsn()
        }
        None => broken != Broken::Foreign,
    };
    let mut at = FRAME_ALIGN;
    while at < rest.len() {
        if let Ok(frame) = Frame::check(&rest[at..])
            && same_use(frame.header())
        {
            let header = frame.header();
            let acknowledged = last.is_some_and(|last| header.durable_upto > last.next_lsn());
            let fact = fact
                .with("why", broken.to_string())
                .with("next_frame", position + at)
                .with("next_lsn", header.lsn.0)
                .with("was_acknowledged", acknowledged);
            return report.damage(1, fact);
        }
        at += FRAME_ALIGN;
    }
    let why = match broken {
        Broken::NoMagic | Broken::Foreign => "frames of an older use of the file follow".to_owned(),
        broken => format!("{broken}: a write that was cut short, or the file is in use"),
    };
    report.print(1, fact.with("why", why));
}
