//! The options of `heddle consume`, and the loop from fetches to printed records.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use protocol::ErrorCode;
use storage::batch::{BatchView, Records, split};

use super::fetcher::{Fetched, Fetcher};
use super::offset::Start;
use super::template::{Template, print_json};
use crate::cli::args::Bootstrap;
use crate::cli::failure::{EXIT_INTERRUPTED, Failure};
use crate::cli::interrupt::Interrupt;
use crate::cli::output::Output;
use crate::cli::progress::{Progress, Total};

const EXAMPLES: &str = "\
EXAMPLES:
  heddle consume events                        what comes from now on
  heddle consume events -o start -e            everything there is, then stop
  heddle consume events -o start -e > copy     byte for byte, with a line feed after each value
  heddle consume events -o -10 -e              the last ten of each partition
  heddle consume events -o @-15m -f '%T %k %s\\n'
  heddle consume events -p 0 -o 1000 -c 5 --format json

FORMAT:
  %t topic · %p partition · %o offset · %T timestamp · %k key · %K its length · %s value ·
  %S its length · %h headers · %% · \\n \\t \\r \\0 \\xHH";

/// Arguments of `heddle consume`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ConsumeArgs {
    /// The topic
    topic: String,
    /// Where to start: start, end, an offset N, -N (from the end), or @TIME
    #[arg(short, long, value_name = "OFFSET", default_value = "end", allow_hyphen_values = true, value_parser = parse_start)]
    offset: Start,
    /// Stop at the end as it is now
    #[arg(short, long)]
    exit: bool,
    /// Stop after this many records
    #[arg(short, long, value_name = "N")]
    count: Option<u64>,
    /// Read only this partition, several times for several
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Vec<i32>,
    /// How to print a record, see FORMAT below
    #[arg(short = 'f', long, value_name = "FORMAT", value_parser = Template::parse)]
    print: Option<Template>,
    /// Give up when no broker could be reached for this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    give_up_after: u64,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

fn parse_start(text: &str) -> Result<Start, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    Start::parse(text, now.map_or(0, |since| since.as_millis() as i64))
}

/// Runs the command.
///
/// # Errors
/// The topic cannot be read, or a batch is damaged.
pub fn run(args: &ConsumeArgs, output: &Output) -> Result<u8, Failure> {
    let mut cluster = args.bootstrap.cluster()?;
    let topic = cluster.topic(&args.topic, false).map_err(|error| {
        let missing = error.code() == Some(ErrorCode::UnknownTopicOrPartition);
        let failure = Failure::from(error);
        match missing {
            true => failure.fix("`heddle topic list` shows all topics"),
            false => failure,
        }
    })?;
    let count = topic.leaders.len() as i32;
    let partitions: Vec<i32> = match args.partition.is_empty() {
        true => (0..count).collect(),
        false => args.partition.clone(),
    };
    if let Some(partition) = partitions.iter().find(|&&partition| partition >= count) {
        return Err(Failure::usage(format!("topic `{}` has no partition {partition}", args.topic))
            .why(format!("its partitions are 0 to {}", count - 1)));
    }
    let give_up_after = Duration::from_secs(args.give_up_after);
    let mut fetcher =
        Fetcher::start(cluster, topic, &partitions, args.offset, args.exit, give_up_after, output)?;
    let total = match (fetcher.left(), args.count) {
        (Some(left), Some(count)) => Some(left.min(count)),
        (left, count) => left.or(count),
    };
    // On a terminal the records themselves are the progress.
    let quiet = Output { progress: output.progress && !io::stdout().is_terminal(), ..*output };
    let mut printer = Printer {
        topic: &args.topic,
        template: args.print.clone(),
        json: output.is_json(),
        left: args.count,
        out: Vec::with_capacity(OUT_BYTES + (64 << 10)),
        progress: Progress::start(&quiet, "read", total.map(Total::Records)),
    };
    let interrupt = Interrupt::watch();
    let result = read_all(&mut fetcher, &mut printer, &interrupt);
    printer.progress.finish();
    match result {
        Err(Stop::ReaderGone) => return Ok(0),
        Err(Stop::Failed(failure)) => return Err(failure),
        Ok(()) => {}
    }
    output.say(&printer.progress.text());
    Ok(if interrupt.asked() { EXIT_INTERRUPTED } else { 0 })
}

/// Printed bytes are written when there are this many, or nothing more to print.
const OUT_BYTES: usize = 256 << 10;

enum Stop {
    /// Whoever read our output has gone (`| head`): nothing is wrong.
    ReaderGone,
    Failed(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Stop::Failed(failure)
    }
}

fn read_all(
    fetcher: &mut Fetcher<'_>,
    printer: &mut Printer<'_>,
    interrupt: &Interrupt,
) -> Result<(), Stop> {
    while !fetcher.is_done() && printer.left != Some(0) && !interrupt.asked() {
        for fetched in fetcher.next()? {
            printer.print(&fetched)?;
        }
        printer.write()?;
    }
    Ok(())
}

struct Printer<'a> {
    topic: &'a str,
    template: Option<Template>,
    json: bool,
    left: Option<u64>,
    out: Vec<u8>,
    progress: Progress,
}

impl Printer<'_> {
    fn print(&mut self, fetched: &Fetched) -> Result<(), Stop> {
        for batch in split(&fetched.batches) {
            let batch = batch.map_err(|error| damaged(fetched.partition, fetched.from, error))?;
            self.print_batch(fetched, &batch)?;
            if self.left == Some(0) {
                break;
            }
        }
        Ok(())
    }

    fn print_batch(&mut self, fetched: &Fetched, batch: &BatchView<'_>) -> Result<(), Stop> {
        let header = batch.header();
        let offset = header.base_offset().0;
        if !batch.check_crc() {
            return Err(damaged(fetched.partition, offset, "its checksum is wrong").into());
        }
        // Marks of transactions are the broker's, not the producer's.
        if header.attributes().is_control() {
            return Ok(());
        }
        let records =
            Records::of(batch).map_err(|error| damaged(fetched.partition, offset, error))?;
        let stop = fetched.stop.unwrap_or(i64::MAX);
        let (mut printed, mut bytes) = (0, 0);
        for record in records.iter() {
            let record = record.map_err(|error| damaged(fetched.partition, offset, error))?;
            if record.offset.0 < fetched.from || record.offset.0 >= stop {
                continue;
            }
            match (&self.template, self.json) {
                (Some(template), _) => {
                    template.print(&mut self.out, self.topic, fetched.partition, &record);
                }
                (None, true) => print_json(&mut self.out, self.topic, fetched.partition, &record),
                (None, false) => {
                    self.out.extend_from_slice(record.value.unwrap_or_default());
                    self.out.push(b'\n');
                }
            }
            printed += 1;
            bytes +=
                (record.value.map_or(0, <[u8]>::len) + record.key.map_or(0, <[u8]>::len)) as u64;
            if self.out.len() >= OUT_BYTES {
                self.write()?;
            }
            if let Some(left) = &mut self.left {
                *left -= 1;
                if *left == 0 {
                    break;
                }
            }
        }
        self.progress.add(printed, bytes);
        Ok(())
    }

    fn write(&mut self) -> Result<(), Stop> {
        // The raw descriptor: standard output's own buffer would look at every line.
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(&self.out).and_then(|()| stdout.flush());
        self.out.clear();
        match written {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Stop::ReaderGone),
            Err(error) => Err(Failure::new("HDL-CONSUME-003", "cannot write the records")
                .why(error.to_string())
                .into()),
        }
    }
}

fn damaged(partition: i32, offset: i64, why: impl ToString) -> Failure {
    let what = format!("the batch at offset {offset} of partition {partition} is damaged");
    Failure::new("HDL-CONSUME-002", what)
        .why(why.to_string())
        .fix("read on behind it with -o, and check the broker's disk: heddle dump")
}
