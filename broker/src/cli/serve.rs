//! `heddle serve`, and `heddle` alone: runs a broker in the foreground.

use std::path::PathBuf;

use clap::Args;
use storage::superblock::FlushPrimitive;

use super::args::Common;
use super::banner::{self, Facts};
use super::failure::Failure;
use super::logs::{self, LogFormat};
use super::{host, output};
use crate::config::{self, BrokerConfig, Flag, Note, Sources};
use crate::server::{self, ServerError, Started};

/// Where a client looks without `-b`.
const DEFAULT_ADDRESSES: [&str; 2] = ["127.0.0.1:9092", "localhost:9092"];

/// Arguments of `heddle serve`. All of them can stand in the configuration file as well.
#[derive(Debug, Default, Args)]
pub struct ServeArgs {
    /// A configuration file in the syntax of Kafka's server.properties
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The address to listen on, several separated by commas: sets listeners
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// The address clients are told: sets advertised.listeners
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Option<String>,
    /// Where metrics and health are served over HTTP: sets admin.listener
    #[arg(long, value_name = "HOST:PORT")]
    admin: Option<String>,
    /// The data directory: sets log.dirs
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How many shards, each on a core of its own; 0 is one per core: sets shards
    #[arg(long, value_name = "N")]
    shards: Option<u16>,
    /// Any property, several times if need be
    #[arg(long = "override", value_name = "NAME=VALUE", value_parser = super::topic::name_value)]
    overrides: Vec<(String, String)>,
}

impl ServeArgs {
    /// Whether anything was given.
    pub fn is_empty(&self) -> bool {
        let ServeArgs { config, listen, advertise, admin, data, shards, overrides } = self;
        let network = listen.is_some() || advertise.is_some() || admin.is_some();
        let options = config.is_some() || network;
        !(options || data.is_some() || shards.is_some() || !overrides.is_empty())
    }

    fn flags(&self) -> Vec<Flag> {
        let flag = |option: &str, name: &str, value: Option<String>| {
            value.map(|value| Flag { name: name.into(), text: format!("{option} {value}"), value })
        };
        let data = self.data.as_ref().map(|dir| dir.display().to_string());
        let mut flags: Vec<Flag> = [
            flag("--listen", "listeners", self.listen.clone()),
            flag("--advertise", "advertised.listeners", self.advertise.clone()),
            flag("--admin", "admin.listener", self.admin.clone()),
            flag("--data", "log.dirs", data),
            flag("--shards", "shards", self.shards.map(|shards| shards.to_string())),
        ]
        .into_iter()
        .flatten()
        .collect();
        flags.extend(self.overrides.iter().map(|(name, value)| Flag::over(name, value)));
        flags
    }
}

/// Runs a broker until SIGTERM or SIGINT.
///
/// # Errors
/// The configuration is wrong, or the broker could not start or could not stop cleanly.
pub fn run(args: &ServeArgs, common: &Common) -> Result<u8, Failure> {
    let sources = Sources {
        file: args.config.clone(),
        environment: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        flags: args.flags(),
    };
    let loaded = config::load(&sources)?;
    // Before the log starts its thread, which would otherwise take the signals.
    engine::signal::block();
    let log = logs::open_for_server(common.log_format);
    for Note { warn, text } in &loaded.notes {
        match warn {
            true => tracing::warn!("{text}"),
            false => tracing::info!("{text}"),
        }
    }
    let config = loaded.config.clone();
    let (format, quiet) = (common.log_format, common.quiet);
    // Asked here, as a shard may use one core only.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let result = server::run(loaded.config, move |started| {
        for line in &started.offline {
            tracing::error!("offline: {line}");
        }
        match quiet || format == LogFormat::Json {
            true => log_ready(started),
            // One write: log lines of other threads do not get in between.
            false => output::stderr(&banner::banner(&facts(&config, started, cores))),
        }
    });
    if result.is_ok() {
        tracing::info!("stopped; everything is on the device");
    }
    drop(log);
    result.map(|()| 0).map_err(|error| match error {
        ServerError::Host(error) => Failure::from(error),
        ServerError::Node(error) => Failure::from(error),
        error => Failure::from_text(&error.to_string()),
    })
}

/// Says that clients are served, as an event of the log.
fn log_ready(started: &Started) {
    let listening: Vec<_> = started.listeners.iter().map(|l| l.address.to_string()).collect();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        revision = env!("GIT_REVISION"),
        node = started.node_id,
        cluster = started.cluster_id,
        generation = started.generation,
        shards = started.shards,
        listening = listening.join(","),
        admin = started.admin.as_ref().ok().copied().flatten().map(tracing::field::display),
        took_ms = started.took.as_millis() as u64,
        "ready"
    );
}

fn facts(config: &BrokerConfig, started: &Started, cores: usize) -> Facts {
    let block = &started.superblock;
    let calibration = &block.calibration;
    let median = match block.flush {
        FlushPrimitive::Dsync => calibration.dsync_p50_us,
        FlushPrimitive::WriteThenSync => calibration.sync_p50_us,
    };
    let file_system = started.file_system.as_ref();
    let first = started.listeners.first().map(|listener| listener.advertised.to_string());
    let registered = config.shard_registered_bytes as u64 * started.shards as u64;
    Facts {
        node_id: started.node_id,
        cluster_id: started.cluster_id.clone(),
        listeners: started
            .listeners
            .iter()
            .map(|l| (l.name.clone(), l.address, l.advertised.to_string()))
            .collect(),
        admin: started.admin.clone(),
        data_dir: config.data_dir.clone(),
        file_system: file_system.map(|found| (found.kind.clone(), found.device.clone())),
        free_bytes: started.free_bytes,
        shards: started.shards,
        cores,
        shard_memory_bytes: config.shard_memory_bytes as u64,
        durability: config.ack_durability.name().to_owned(),
        flush: Some((block.flush.name().to_owned(), median)),
        topics: started.topics as u64,
        partitions: started.partitions,
        is_new: started.is_new,
        replayed_batches: started.replayed_batches,
        offline: started.offline.clone(),
        warnings: host::warnings(file_system.map(|found| found.kind.as_str()), registered),
        took: started.took,
        example: first.filter(|address| !DEFAULT_ADDRESSES.contains(&address.as_str())),
    }
}
