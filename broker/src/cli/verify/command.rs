//! The options of `heddle verify`, the lock on the directory, and running the check.

use std::cell::RefCell;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Args;
use engine::shard::Launch;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use storage::superblock::Superblock;
use storage::verify::{Accepts, Options, Progress, Report, check};

use super::metadata;
use super::print::{self, Result as Checked};
use crate::cli::failure::{EXIT_FAILED, EXIT_USAGE, Failure};
use crate::cli::output::{self, Format, Output};

const EXAMPLES: &str = "\
EXAMPLES:
  heddle verify ./data                     after a crash, or before a backup
  heddle verify --deep ./data              unpack every batch as well
  heddle verify --json ./data | jq .sound

It writes nothing, and refuses a directory whose broker runs. What each code means is in
docs/operate/verify.md.

EXIT CODES:
  0 sound (notes and warnings aside) · 1 something acknowledged is missing or damaged · 2 usage, or
  the directory cannot be read";

/// Arguments of `heddle verify`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct VerifyArgs {
    /// The data directory
    #[arg(value_name = "DATA_DIR")]
    data: PathBuf,
    /// Unpack every batch and read all of its records
    #[arg(long)]
    deep: bool,
    /// Read only the segments of this topic; may be given several times
    #[arg(long, value_name = "NAME")]
    topic: Vec<String>,
    /// Print one JSON document, as `--format json` does
    #[arg(long)]
    json: bool,
}

/// The pause between two plain lines of progress.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// Runs the command.
///
/// # Errors
/// The directory cannot be read, or a broker has it.
pub fn run(args: &VerifyArgs, output: &Output) -> Result<u8, Failure> {
    let format = if args.json { Format::Json } else { output.format };
    let output = &Output { format, ..*output };
    match verify(args, output) {
        Err(failure) if args.json => {
            output.failure(&failure);
            Ok(failure.exit)
        }
        result => result,
    }
}

fn verify(args: &VerifyArgs, output: &Output) -> Result<u8, Failure> {
    let began = Instant::now();
    let _lock = lock(&args.data)?;
    let superblock = std::fs::read(args.data.join("superblock"));
    let superblock = superblock.ok().and_then(|bytes| Superblock::decode_newest(&bytes).ok());
    let (report, topics) = check_all(args, superblock.clone(), *output)?;
    let result =
        Checked { data: &args.data, superblock, report: &report, topics, took: began.elapsed() };
    match output.is_json() {
        true => output.json(&print::json(&result)),
        false => output::line(&print::text(&result)),
    }
    Ok(if report.is_sound() { 0 } else { EXIT_FAILED })
}

/// Holds the directory's lock for as long as it is read, so that no broker starts meanwhile. The lock file is neither
/// made nor written.
fn lock(data: &Path) -> Result<Option<File>, Failure> {
    let dir = data.display();
    let unreadable = |path: &Path, error: std::io::Error| {
        Failure::new("HDL-VERIFY-001", format!("{dir} cannot be read"))
            .why(format!("{}: {error}", path.display()))
            .exit(EXIT_USAGE)
    };
    let entries = std::fs::read_dir(data).map_err(|error| unreadable(data, error))?;
    let ours = ["superblock", "journal", "checkpoints", "metadata", "topics"];
    let is_ours = entries.flatten().any(|entry| ours.iter().any(|name| entry.file_name() == *name));
    if !is_ours {
        return Err(Failure::new("HDL-VERIFY-002", format!("{dir} is not a data directory"))
            .why(format!("it has none of {}", ours.join(", ")))
            .fix("name the directory that `heddle serve --data` was given")
            .exit(EXIT_USAGE));
    }
    let path = data.join("lock");
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(&path, error)),
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::Error(error)) => Err(unreadable(&path, error)),
        Err(TryLockError::WouldBlock) => {
            let holder = match engine::check::lock_holder(&path) {
                Some((pid, name)) => format!("{name} (pid {pid})"),
                None => "another process".to_owned(),
            };
            Err(Failure::new("HDL-VERIFY-003", format!("{dir} is in use by {holder}"))
                .why("what a running broker writes cannot be checked from outside")
                .fix("stop that process first")
                .exit(EXIT_USAGE))
        }
    }
}

/// The metadata, then everything else, on a shard of its own. Also gives the number of topics.
fn check_all(
    args: &VerifyArgs,
    superblock: Option<Superblock>,
    output: Output,
) -> Result<(Report, usize), Failure> {
    let (data, deep, topics) = (args.data.clone(), args.deep, args.topic.clone());
    let work = async move {
        let metadata = metadata::read(&data, superblock.as_ref()).await;
        let shown = Rc::new(RefCell::new(Shown::new(&output)));
        let shows = shown.clone();
        let options = Options {
            known: metadata.known,
            deep,
            only: (!topics.is_empty()).then(|| only(topics)),
            on_progress: Some(Rc::new(move |progress| shows.borrow_mut().on_progress(progress))),
        };
        let mut report = Report::default();
        metadata.findings.into_iter().for_each(|finding| report.add(finding));
        let rest = check(&data, &options).await;
        shown.borrow_mut().finish();
        report.extend(rest);
        (report, metadata.topics)
    };
    Ok(engine::shard::block_on(&Launch::default(), work)?)
}

/// Accepts the directories of these topics: `<name>.<id>/<partition>`.
fn only(topics: Vec<String>) -> Accepts {
    Rc::new(move |dir| {
        let name = dir.rsplit_once('.').map_or(dir, |(name, _)| name);
        topics.iter().any(|topic| topic == name)
    })
}

/// The progress line.
struct Shown {
    bar: Option<ProgressBar>,
    plain: bool,
    began: Instant,
    told: Instant,
}

impl Shown {
    fn new(output: &Output) -> Shown {
        let moving = output.progress && output.terminal;
        let bar = moving.then(|| {
            let bar = ProgressBar::new(0);
            let template =
                "{wide_bar} {percent:>3} %  {bytes} of {total_bytes}, {bytes_per_sec}  eta {eta}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
            bar
        });
        let began = Instant::now();
        Shown { bar, plain: output.progress && !moving, began, told: began }
    }

    fn on_progress(&mut self, progress: Progress) {
        if let Some(bar) = &self.bar {
            bar.set_length(progress.total);
            bar.set_position(progress.bytes);
        } else if self.plain && self.told.elapsed() >= PLAIN_EVERY {
            self.told = Instant::now();
            let seconds = self.began.elapsed().as_secs_f64();
            let rate = output::bytes((progress.bytes as f64 / seconds) as u64);
            let (done, total) = (output::bytes(progress.bytes), output::bytes(progress.total));
            output::stderr(&format!("{done} of {total} read ({rate}/s)"));
        }
    }

    fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
