//! The options of `heddle dump`, and telling the kinds of files apart.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;

use super::node::{self, RecordsOf};
use super::report::{Fact, Report};
use super::{journal, segment};
use crate::cli::failure::Failure;
use crate::cli::output::Output;

const EXAMPLES: &str = "\
EXAMPLES:
  heddle dump data/topics/events.*/0/*.log             every batch of a partition, checksums verified
  heddle dump --records data/topics/events.*/0/*.log   every record too
  heddle dump data/superblock data/journal/*           who the directory is, what the journal holds
  heddle dump --export copy data/topics/events.*/0/*.log
                                   whole batches only, as Apache Kafka's own dump tool reads them

Exit code 1 when something is damaged.";

/// Arguments of `heddle dump`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DumpArgs {
    /// Segments, indexes, journal files, superblocks, checkpoints, metadata
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print the records of batches, the entries of frames, the contents of checkpoints
    #[arg(long)]
    records: bool,
    /// Write copies of segments into this directory, cut to the end of their last batch
    #[arg(long, value_name = "DIR")]
    export: Option<PathBuf>,
}

/// The largest file that is read whole: journals and the rest have lower bounds of their own.
const WHOLE_BYTES_MAX: u64 = 2 << 30;

enum Kind {
    Segment,
    Index,
    Journal,
    Superblock,
    Records(RecordsOf),
    /// A file that holds nothing to verify.
    Plain,
}

/// Runs the command.
///
/// # Errors
/// A file cannot be read, or something is damaged.
pub fn run(args: &DumpArgs, output: &Output) -> Result<u8, Failure> {
    if let Some(dir) = &args.export {
        std::fs::create_dir_all(dir).map_err(|error| {
            Failure::new("HDL-DUMP-003", format!("cannot make {}", dir.display()))
                .why(error.to_string())
        })?;
    }
    let mut report = Report::new(output);
    for path in &args.files {
        let result = dump(path, args, &mut report);
        report.flush();
        result.map_err(|error| {
            Failure::new("HDL-DUMP-001", format!("cannot dump {}", path.display()))
                .why(error.to_string())
        })?;
    }
    match report.damaged() {
        0 => Ok(0),
        damaged => {
            Err(Failure::new("HDL-DUMP-002", format!("damage was found in {damaged} place(s)"))
                .why("the lines above that say so name the file and the position"))
        }
    }
}

fn dump(path: &Path, args: &DumpArgs, report: &mut Report) -> io::Result<()> {
    let kind = kind(path)?;
    let name = match kind {
        Kind::Segment => "segment",
        Kind::Index => "index",
        Kind::Journal => "journal",
        Kind::Superblock => "superblock",
        Kind::Plain => "plain",
        Kind::Records(RecordsOf::Metadata) => "metadata",
        Kind::Records(RecordsOf::Checkpoints | RecordsOf::Base) => "checkpoints",
    };
    let length = std::fs::metadata(path)?.len();
    let fact = Fact::new("file").with("path", path.display().to_string());
    report.print(0, fact.with("is", name).with("bytes", length));
    match kind {
        Kind::Segment => {
            let export = args.export.as_ref().and_then(|dir| Some(dir.join(path.file_name()?)));
            let wish = segment::Wish { records: args.records, export: export.as_deref() };
            segment::dump(path, &wish, report)
        }
        Kind::Journal => journal::dump(path, args.records, report),
        Kind::Index => whole(path).map(|bytes| node::index(&bytes, report)),
        Kind::Plain => Ok(()),
        Kind::Superblock => whole(path).map(|bytes| node::superblock(&bytes, report)),
        Kind::Records(what) => {
            whole(path).map(|bytes| node::records(&bytes, what, args.records, report))
        }
    }
}

fn whole(path: &Path) -> io::Result<Vec<u8>> {
    match std::fs::metadata(path)?.len() {
        length if length > WHOLE_BYTES_MAX => {
            Err(io::Error::other(format!("{length} bytes are more than any file of this kind has")))
        }
        _ => std::fs::read(path),
    }
}

/// By the magic number; files that may begin with zeros, by their name.
fn kind(path: &Path) -> io::Result<Kind> {
    let mut magic = Vec::new();
    File::open(path)?.take(8).read_to_end(&mut magic)?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let records_of = || match name.as_str() {
        name if name.ends_with(".base") => RecordsOf::Base,
        name if name.starts_with('g') && name.contains("-s") => RecordsOf::Checkpoints,
        _ => RecordsOf::Metadata,
    };
    Ok(match (magic.as_slice(), name.as_str()) {
        (b"HDLSUPER", _) | (_, "superblock") => Kind::Superblock,
        (b"HEDDLEIX", _) => Kind::Index,
        (b"HDLRECRD", _) => Kind::Records(records_of()),
        (b"HDLFRAME", _) => Kind::Journal,
        (_, name) if name.ends_with(".journal") || name.ends_with(".free") => Kind::Journal,
        (_, "lock" | "reserve" | "meta.properties") => Kind::Plain,
        (_, name) if name.ends_with(".records") => Kind::Records(records_of()),
        (_, name) if name.ends_with(".hindex") => Kind::Index,
        _ => Kind::Segment,
    })
}
