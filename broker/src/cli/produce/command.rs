//! The options of `heddle produce`, and the loop from lines to the summary.

use std::path::PathBuf;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use protocol::ErrorCode;
use serde_json::json;
use storage::batch::{Codec, NewRecord};

use super::accumulate::{Accumulator, Batch};
use super::input::{self, Block};
use super::partitioner::Partitioner;
use super::record::{Shape, parse_delimiter, parse_header};
use super::sender::{Options, Sender};
use crate::cli::args::Bootstrap;
use crate::cli::failure::{EXIT_INTERRUPTED, Failure};
use crate::cli::interrupt::Interrupt;
use crate::cli::output::{Output, plural};
use crate::cli::progress::{Progress, Total};

const EXAMPLES: &str = "\
EXAMPLES:
  heddle produce events < lines.txt             one record per line
  heddle produce events access.log error.log    files, one after the other
  tail -f access.log | heddle produce events    a pipe, as it comes
  heddle produce users -K: <<< 'ann:{\"age\":7}'  key before the first colon
  heddle produce events -p 0 -z zstd -H source=web < lines.txt

A line is sent once and acknowledged by the broker, or the command fails and says how many were.
With --acks all (the default) it is stored exactly once, even if the broker restarts in between.";

/// Arguments of `heddle produce`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ProduceArgs {
    /// The topic
    topic: String,
    /// Files to send, - for standard input
    #[arg(value_name = "FILE", default_value = "-")]
    files: Vec<PathBuf>,
    /// Text between key and value; \t and \xHH are understood
    #[arg(short = 'K', long, value_name = "DELIMITER", value_parser = DelimiterParser)]
    key_delimiter: Option<Delimiter>,
    /// Send an empty value as null
    #[arg(short = 'Z', long)]
    null: bool,
    /// A header for every record, several times if need be
    #[arg(short = 'H', long, value_name = "NAME=VALUE", value_parser = parse_header)]
    header: Vec<(String, Option<String>)>,
    /// Send everything to this partition
    #[arg(short, long, value_name = "N")]
    partition: Option<u32>,
    /// Compress batches
    #[arg(short = 'z', long, value_name = "CODEC", default_value = "none", value_parser = parse_codec)]
    compression: Codec,
    /// Whose acknowledgement counts: all, 1 (the leader) or 0 (nobody; losses go unnoticed)
    #[arg(long, value_name = "ACKS", default_value = "all", value_parser = parse_acks)]
    acks: i16,
    /// Send without sequence numbers; a retry may then store lines twice
    #[arg(long)]
    no_idempotence: bool,
    /// Close a batch at this size, before compression
    #[arg(long, value_name = "BYTES", default_value_t = 256 << 10, value_parser = clap::value_parser!(u32).range(1..=100 << 20))]
    batch_bytes: u32,
    /// Close a batch at this age, in ms
    #[arg(long, value_name = "MS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    linger: u64,
    /// Give up when nothing was acknowledged for this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    give_up_after: u64,
    /// Fail when the topic is not there, even if the broker would create it
    #[arg(long)]
    no_create: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

/// A key delimiter. A type of its own, because clap takes a `Vec` for a repeated option.
#[derive(Debug, Clone)]
struct Delimiter(Vec<u8>);

#[derive(Clone)]
struct DelimiterParser;

impl clap::builder::TypedValueParser for DelimiterParser {
    type Value = Delimiter;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<Delimiter, clap::Error> {
        let parser = |text: &str| parse_delimiter(text).map(Delimiter);
        clap::builder::TypedValueParser::parse_ref(&parser, command, arg, value)
    }
}

fn parse_codec(text: &str) -> Result<Codec, String> {
    text.parse::<Codec>().map_err(|_| "write none, gzip, snappy, lz4 or zstd".to_owned())
}

fn parse_acks(text: &str) -> Result<i16, String> {
    match text {
        "all" | "-1" => Ok(-1),
        "1" => Ok(1),
        "0" => Ok(0),
        _ => Err("write all, 1 or 0".into()),
    }
}

/// Runs the command.
///
/// # Errors
/// Some line was not acknowledged. What was is said before.
pub fn run(args: &ProduceArgs, output: &Output) -> Result<u8, Failure> {
    let mut cluster = args.bootstrap.cluster()?;
    let topic = cluster.topic(&args.topic, !args.no_create).map_err(|error| {
        let missing = error.code() == Some(ErrorCode::UnknownTopicOrPartition);
        let failure = Failure::from(error);
        match missing {
            true => failure.fix(format!("create it: heddle topic create {}", args.topic)),
            false => failure,
        }
    })?;
    let partitions = topic.leaders.len() as u32;
    if let Some(partition) = args.partition.filter(|&partition| partition >= partitions) {
        return Err(Failure::usage(format!("topic `{}` has no partition {partition}", args.topic))
            .why(format!("its partitions are 0 to {}", partitions - 1)));
    }
    let options = Options {
        acks: args.acks,
        idempotent: args.acks == -1 && !args.no_idempotence,
        give_up_after: Duration::from_secs(args.give_up_after),
    };
    let total = total_bytes(&args.files);
    let progress = Progress::start(output, "sent", total.map(Total::Bytes));
    let mut sender = Sender::new(cluster, topic, options, output, progress);
    let identity = if options.idempotent { Some(sender.identify()?) } else { None };
    let mut source = Source {
        args,
        shape: Shape {
            key_delimiter: args.key_delimiter.as_ref().map(|delimiter| delimiter.0.clone()),
            empty_is_null: args.null,
        },
        partitioner: Partitioner::new(partitions, args.partition, unix_ms() as u64),
        accumulator: Accumulator::new(
            partitions,
            args.compression,
            args.batch_bytes as usize,
            identity,
        ),
        lines: 0,
    };
    let interrupt = Interrupt::watch();
    let result = source.send_all(&mut sender, &interrupt);
    sender.progress.finish();
    summary(args, &source, &sender, output);
    result.map(|()| if interrupt.asked() { EXIT_INTERRUPTED } else { 0 })
}

/// How often an idle producer looks whether it should end.
const INTERRUPT_EVERY: Duration = Duration::from_millis(100);

struct Source<'a> {
    args: &'a ProduceArgs,
    shape: Shape,
    partitioner: Partitioner,
    accumulator: Accumulator,
    lines: u64,
}

impl Source<'_> {
    /// Sends until the input ends or an interrupt asks to stop reading; what was read is sent.
    fn send_all(&mut self, sender: &mut Sender<'_>, interrupt: &Interrupt) -> Result<(), Failure> {
        let blocks = input::read(self.args.files.clone());
        let linger = Duration::from_millis(self.args.linger);
        let broken = loop {
            if interrupt.asked() {
                break None;
            }
            let wait = if self.accumulator.has_open() { linger } else { INTERRUPT_EVERY };
            match blocks.recv_timeout(wait) {
                Ok(Block::Lines(block)) => {
                    self.send_lines(&block, sender)?;
                    self.close(linger, sender)?;
                }
                Ok(Block::Broken(name, error)) => break Some((name, error)),
                Err(RecvTimeoutError::Timeout) => {
                    // Nothing more to send for now: see that what was read is acknowledged.
                    self.close(Duration::ZERO, sender)?;
                    sender.drain()?;
                }
                Err(RecvTimeoutError::Disconnected) => break None,
            }
        };
        self.close(Duration::ZERO, sender)?;
        sender.drain()?;
        match broken {
            None => Ok(()),
            Some((name, error)) => {
                Err(Failure::new("HDL-PRODUCE-005", format!("cannot read {name}"))
                    .why(error.to_string())
                    .fix("everything before it was sent"))
            }
        }
    }

    fn send_lines(&mut self, block: &[u8], sender: &mut Sender<'_>) -> Result<(), Failure> {
        let now = unix_ms();
        for line in input::lines(block) {
            self.lines += 1;
            let (key, value) = self.shape.split(line);
            let mut record = match value {
                Some(value) => NewRecord::of(value),
                None => NewRecord::null(),
            };
            record = record.at(now);
            if let Some(key) = key {
                record = record.key(key);
            }
            let mut payload = line.len();
            for (name, value) in &self.args.header {
                record = record.header(name.as_bytes(), value.as_deref().map(str::as_bytes));
                payload += name.len() + value.as_ref().map_or(0, String::len) + 10;
            }
            let partition = self.partitioner.choose(key);
            let closed = self.accumulator.add(partition, record, payload, self.lines)?;
            if let Some(batch) = closed {
                self.submit(batch, sender)?;
            }
        }
        Ok(())
    }

    fn close(&mut self, age: Duration, sender: &mut Sender<'_>) -> Result<(), Failure> {
        for batch in self.accumulator.close_older(age)? {
            self.submit(batch, sender)?;
        }
        Ok(())
    }

    fn submit(&mut self, batch: Batch, sender: &mut Sender<'_>) -> Result<(), Failure> {
        self.partitioner.on_batch_closed(batch.partition);
        sender.submit(batch)
    }
}

fn summary(args: &ProduceArgs, source: &Source<'_>, sender: &Sender<'_>, output: &Output) {
    let progress = &sender.progress;
    let unacknowledged = source.lines - progress.records();
    let acks = match args.acks {
        -1 => "all".to_owned(),
        acks => acks.to_string(),
    };
    if output.is_json() {
        let partitions: Vec<_> = sender
            .acknowledged()
            .iter()
            .enumerate()
            .filter(|(_, acknowledged)| acknowledged.records > 0)
            .map(|(partition, acknowledged)| {
                json!({
                    "partition": partition,
                    "records": acknowledged.records,
                    "first_offset": acknowledged.first_offset,
                    "last_offset": acknowledged.last_offset,
                })
            })
            .collect();
        output.json(&json!({
            "topic": args.topic,
            "records": progress.records(),
            "bytes": progress.bytes(),
            "seconds": progress.elapsed().as_secs_f64(),
            "acks": acks,
            "retries": sender.retries(),
            "unacknowledged": unacknowledged,
            "partitions": partitions,
        }));
        return;
    }
    let retries = match sender.retries() {
        0 => String::new(),
        retries => {
            format!(", {} sent again", plural(retries, "batch").replace("batchs", "batches"))
        }
    };
    output.say(&format!("{}, acks={acks}{retries}", progress.text()));
    if unacknowledged > 0 {
        let lines = plural(unacknowledged, "line");
        output.say(&format!("{lines} read and not acknowledged"));
    }
}

/// The size of all files, if every one has one.
fn total_bytes(files: &[PathBuf]) -> Option<u64> {
    let size = |path: &PathBuf| {
        let metadata = match path.as_os_str() == "-" {
            true => std::fs::metadata("/dev/stdin"),
            false => std::fs::metadata(path),
        };
        metadata.ok().filter(|metadata| metadata.is_file()).map(|metadata| metadata.len())
    };
    files.iter().map(size).sum()
}

fn unix_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
