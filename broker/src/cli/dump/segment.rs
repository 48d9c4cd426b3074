//! Segments: record batches back to back, zeros behind the last while the segment is active.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use storage::batch::{BATCH_HEADER_BYTES, BatchView, FramingError, Records};

use super::report::{Fact, Report, escaped};

/// How much is read at a time.
const READ_BYTES: usize = 1 << 20;

/// What to do with a segment.
pub struct Wish<'a> {
    /// Print every record.
    pub records: bool,
    /// Write the whole batches to this file, without padding.
    pub export: Option<&'a Path>,
}

/// Reads a segment batch by batch.
///
/// # Errors
/// The file cannot be read, or the export cannot be written.
pub fn dump(path: &Path, wish: &Wish<'_>, report: &mut Report) -> io::Result<()> {
    let mut input =
        Input { file: File::open(path)?, buffer: Vec::new(), at: 0, position: 0, ended: false };
    let mut export = wish.export.map(File::create_new).transpose()?;
    let (mut batches, mut records, mut next_offset) = (0u64, 0u64, None);
    loop {
        input.fill(BATCH_HEADER_BYTES)?;
        let rest = input.rest();
        if rest.is_empty() {
            break;
        }
        let batch = match BatchView::first(rest) {
            Ok(batch) => batch,
            // The length fields make a batch of almost any bytes: only its own can be read.
            Err(FramingError::Truncated { need, .. }) if !input.ended => {
                input.fill(need)?;
                continue;
            }
            Err(error) => {
                let position = input.position;
                match input.only_zeros()? {
                    Some(zeros) => {
                        let fact = Fact::new("padding").with("position", position);
                        report.print(1, fact.with("bytes", zeros));
                    }
                    None => {
                        let fact = Fact::new("damage").with("position", position);
                        report.damage(1, fact.with("why", error.to_string()));
                    }
                }
                break;
            }
        };
        let sound = print_batch(&batch, input.position, next_offset, report);
        if sound && wish.records {
            print_records(&batch, report);
        }
        batches += 1;
        records += u64::try_from(batch.count()).unwrap_or(0);
        next_offset = Some(batch.next_offset().0);
        if let (Some(export), true) = (&mut export, sound) {
            export.write_all(batch.bytes())?;
        }
        let length = batch.len();
        input.skip(length);
    }
    let fact = Fact::new("total").with("batches", batches).with("records", records);
    report.print(1, fact.with("bytes", input.position).with("next_offset", next_offset));
    Ok(())
}

/// Prints a batch's header; false when its checksum is wrong.
pub fn print_batch(
    batch: &BatchView<'_>,
    position: u64,
    expected_offset: Option<i64>,
    report: &mut Report,
) -> bool {
    let sound = batch.check_crc();
    let attributes = batch.attributes();
    let codec = match attributes.codec() {
        Ok(codec) => codec.to_string(),
        Err(number) => format!("unknown({number})"),
    };
    let producer = batch.producer_id().map(|id| {
        let last = batch.last_sequence();
        format!("{}/{} sequence={}..{last}", id.0, batch.producer_epoch(), batch.base_sequence())
    });
    let gap = expected_offset.filter(|&expected| expected != batch.base_offset().0);
    let fact = Fact::new("batch")
        .with("position", position)
        .with("bytes", batch.len())
        .with("offsets", format!("{}..{}", batch.base_offset().0, batch.last_offset().0))
        .with("records", batch.count())
        .with("codec", codec)
        .with("epoch", batch.leader_epoch().0)
        .with("producer", producer)
        .with("max_timestamp", batch.max_timestamp())
        .with(
            "log_append_time",
            matches!(batch.timestamp_type(), storage::batch::TimestampType::LogAppendTime)
                .then_some(true),
        )
        .with("control", attributes.is_control().then_some(true))
        .with("expected_offset", gap)
        .with(
            "crc",
            if sound {
                "ok".to_owned()
            } else {
                format!("{:#010x} should be {:#010x}", batch.crc(), batch.computed_crc())
            },
        );
    match sound {
        true => report.print(1, fact),
        false => report.damage(1, fact),
    }
    sound
}

fn print_records(batch: &BatchView<'_>, report: &mut Report) {
    let records = match Records::of(batch) {
        Ok(records) => records,
        Err(error) => {
            return report.damage(2, Fact::new("damage").with("why", error.to_string()));
        }
    };
    for record in records.iter() {
        match record {
            Ok(record) => {
                let headers: Vec<_> = record
                    .headers
                    .map(|(name, value)| {
                        let value =
                            value.map_or("null".into(), |value| value.escape_ascii().to_string());
                        format!("{}={value}", name.escape_ascii())
                    })
                    .collect();
                let headers = (!headers.is_empty()).then(|| headers.join(","));
                let fact = Fact::new("record")
                    .with("offset", record.offset.0)
                    .with("timestamp", record.timestamp)
                    .with("key", escaped(record.key))
                    .with("value", escaped(record.value))
                    .with("headers", headers);
                report.print(2, fact);
            }
            Err(error) => report.damage(2, Fact::new("damage").with("why", error.to_string())),
        }
    }
}

/// A file read front to back, with the unread part in memory.
struct Input {
    file: File,
    buffer: Vec<u8>,
    at: usize,
    position: u64,
    ended: bool,
}

impl Input {
    fn rest(&self) -> &[u8] {
        &self.buffer[self.at..]
    }

    fn skip(&mut self, bytes: usize) {
        self.at += bytes;
        self.position += bytes as u64;
    }

    /// Reads until `need` bytes are in memory, or the file ends. A length that damage made up costs
    /// no memory, as nothing is allocated for bytes that are not there.
    fn fill(&mut self, need: usize) -> io::Result<()> {
        if self.at > READ_BYTES {
            self.buffer.drain(..self.at);
            self.at = 0;
        }
        while !self.ended && self.rest().len() < need {
            let read = (&self.file).take(READ_BYTES as u64).read_to_end(&mut self.buffer)?;
            self.ended = read == 0;
        }
        Ok(())
    }

    /// How many bytes are left, if all of them are zero.
    fn only_zeros(&mut self) -> io::Result<Option<u64>> {
        let mut zeros = 0;
        loop {
            let rest = self.rest();
            if rest.iter().any(|&byte| byte != 0) {
                return Ok(None);
            }
            let seen = rest.len();
            zeros += seen as u64;
            self.at += seen;
            if self.ended {
                return Ok(Some(zeros));
            }
            self.fill(1)?;
        }
    }
}
