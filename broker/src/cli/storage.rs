//! `heddle storage`: ids, formatting a data directory, and saying what one holds.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use engine::shard::Launch;
use serde_json::json;
use storage::node::{Node, NodeOptions};
use storage::superblock::Superblock;

use super::failure::Failure;
use super::logs::timestamp;
use super::output::{Output, base64_url, line};
use crate::config::{self, BrokerConfig, Flag, Sources};

const EXAMPLES: &str = "\
EXAMPLES:
  heddle storage random-uuid
  heddle storage format --data ./data -t $(heddle storage random-uuid)
  heddle storage info --data ./data

`heddle serve` formats an empty directory by itself; formatting first fixes the cluster id.";

/// Arguments of `heddle storage`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct StorageArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print a new random cluster id
    RandomUuid,
    /// Format a data directory, so that its cluster id is known before the first start
    Format {
        /// The cluster's id; a random one without it
        #[arg(long, short = 't', value_name = "ID")]
        cluster_id: Option<String>,
        /// Succeed when the directory is formatted already
        #[arg(long, short = 'g')]
        ignore_formatted: bool,
        /// Taken for the sake of Kafka's scripts: a node is always its own controller
        #[arg(long, short = 's', hide = true)]
        standalone: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Measure again how writes are made durable fastest, and keep the answer
    Calibrate {
        #[command(flatten)]
        place: Place,
    },
    /// Show what a data directory holds
    Info {
        #[command(flatten)]
        place: Place,
    },
}

/// Which data directory is meant.
#[derive(Debug, Args)]
struct Place {
    /// The data directory
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The configuration file that names it
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Place {
    fn load(&self, more: &[(&str, &str)]) -> Result<BrokerConfig, Failure> {
        let mut flags: Vec<_> = more.iter().map(|(name, value)| Flag::over(name, value)).collect();
        if let Some(dir) = &self.data {
            let value = dir.display().to_string();
            flags.push(Flag { name: "log.dirs".into(), text: format!("--data {value}"), value });
        }
        let sources =
            Sources { file: self.config.clone(), environment: std::env::vars().collect(), flags };
        Ok(config::load(&sources)?.config)
    }
}

/// Runs the command.
///
/// # Errors
/// The directory cannot be read or written.
pub fn run(args: &StorageArgs, output: &Output) -> Result<u8, Failure> {
    match &args.action {
        Action::RandomUuid => random_uuid(output),
        Action::Format { cluster_id, ignore_formatted, place, .. } => {
            let id: Vec<_> = cluster_id.iter().map(|id| ("cluster.id", id.as_str())).collect();
            format(&place.load(&id)?, *ignore_formatted, output)?;
        }
        Action::Calibrate { place } => {
            let config = place.load(&[])?;
            // Opening would format an empty directory, which nobody asked for.
            read_superblock(&config.data_dir)?;
            open(&config, true)?;
            info(&config.data_dir, output)?;
        }
        Action::Info { place } => info(&place.load(&[])?.data_dir, output)?,
    }
    Ok(0)
}

fn random_uuid(output: &Output) {
    // As in Kafka: an id that begins with a dash would be taken for an option.
    let id = loop {
        let id = base64_url(uuid::Uuid::new_v4().as_bytes());
        if !id.starts_with('-') {
            break id;
        }
    };
    match output.is_json() {
        true => output.json(&json!({ "id": id })),
        false => line(&id),
    }
}

/// Opens the directory on a shard of its own, which formats it if it is empty. Says whether it did.
fn open(config: &BrokerConfig, recalibrate: bool) -> Result<bool, Failure> {
    let dir = config.data_dir.clone();
    let options =
        NodeOptions { cluster_id: config.cluster_id.clone(), node_id: config.node_id, recalibrate };
    let opened = engine::shard::block_on(&Launch::default(), async move {
        Node::open(&dir, &options).await.map(|opened| opened.formatted)
    })?;
    Ok(opened?)
}

fn format(config: &BrokerConfig, ignore_formatted: bool, output: &Output) -> Result<(), Failure> {
    let formatted = open(config, false)?;
    if !formatted && !ignore_formatted {
        let dir = config.data_dir.display();
        return Err(Failure::new("HDL-STORAGE-003", format!("{dir} is formatted already")).fix(
            "add --ignore-formatted if that is fine; `heddle storage info` shows whose it is",
        ));
    }
    info(&config.data_dir, output)
}

fn info(dir: &Path, output: &Output) -> Result<(), Failure> {
    let block = read_superblock(dir)?;
    print_info(dir, &block, output);
    Ok(())
}

fn read_superblock(dir: &Path) -> Result<Superblock, Failure> {
    let path = dir.join("superblock");
    let bytes = std::fs::read(&path).map_err(|error| {
        let failure =
            Failure::new("HDL-STORAGE-001", format!("{} is not formatted", dir.display()))
                .why(format!("{}: {error}", path.display()));
        match error.kind() {
            std::io::ErrorKind::NotFound => {
                failure.fix("`heddle serve` formats it by itself, or run `heddle storage format`")
            }
            _ => failure,
        }
    })?;
    Superblock::decode_newest(&bytes).map_err(|error| {
        Failure::new(
            "HDL-STORAGE-002",
            format!("the superblock of {} cannot be read", dir.display()),
        )
        .why(error.to_string())
        .fix(format!("heddle dump {}", path.display()))
    })
}

fn print_info(dir: &Path, block: &Superblock, output: &Output) {
    let formatted = timestamp(u64::try_from(block.formatted_ms).unwrap_or(0));
    let directory = base64_url(&block.directory_id);
    let c = &block.calibration;
    if output.is_json() {
        output.json(&json!({
            "directory": dir.display().to_string(),
            "cluster_id": block.cluster_id,
            "node_id": block.node_id,
            "directory_id": directory,
            "formatted": formatted,
            "generation": block.generation.0,
            "shards": block.shards,
            "stopped_cleanly": block.clean,
            "flush": block.flush.name(),
            "calibration": {
                "writes": c.writes,
                "dsync_p50_us": c.dsync_p50_us,
                "dsync_p99_us": c.dsync_p99_us,
                "write_fdatasync_p50_us": c.sync_p50_us,
                "write_fdatasync_p99_us": c.sync_p99_us,
            },
        }));
        return;
    }
    let row = |name: &str, value: String| line(&format!("{name:<12} {value}"));
    row("directory", dir.display().to_string());
    row("cluster", block.cluster_id.clone());
    row("node", block.node_id.to_string());
    row("id", directory);
    row("formatted", formatted);
    let stop = match (block.generation.0, block.clean) {
        (0, _) => "never started".to_owned(),
        (_, true) => "stopped cleanly".to_owned(),
        (_, false) => "running, or stopped without notice".to_owned(),
    };
    row("starts", format!("{} with {} shard(s) last, {stop}", block.generation.0, block.shards));
    row(
        "flush",
        format!(
            "{} (O_DSYNC p50 {} us p99 {} us; write+fdatasync p50 {} us p99 {} us; {} writes each)",
            block.flush.name(),
            c.dsync_p50_us,
            c.dsync_p99_us,
            c.sync_p50_us,
            c.sync_p99_us,
            c.writes
        ),
    );
}
