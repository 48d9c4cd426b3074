//! The broker's configuration, typed, with every setting's source beside it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use storage::durability::Durability;
use storage::limits::JOURNAL_FILES_MIN;

use super::error::ConfigError;
use super::listener::{self, Endpoint, Listener};
use super::property::{Property, Value};
use super::registry;
use super::source::{Setting, Source};
use super::topic::{Validation, durability};

/// The journals of a node unless configured: this much, at most, a start after a crash reads.
const JOURNAL_BYTES: u64 = 1 << 30;
/// A journal file unless configured, and the smallest that is chosen without being asked for.
const JOURNAL_FILE_BYTES: u64 = 64 << 20;
const JOURNAL_FILE_BYTES_LEAST: u64 = 16 << 20;
/// The smallest that can be configured, as the registry says too.
const JOURNAL_FILE_BYTES_MIN: u64 = 4 << 20;

/// Everything the broker was told. Values that topics can override are read through
/// [`TopicConfig::resolve`](super::TopicConfig::resolve).
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// This node's number.
    pub node_id: i32,
    /// The cluster id to insist on; `None` takes what the data directory says.
    pub cluster_id: Option<String>,
    /// What to bind and what to advertise, at least one.
    pub listeners: Vec<Listener>,
    /// Where the admin port is; `None` without one.
    pub admin_listener: Option<Endpoint>,
    /// Whether that was said, and not only the default.
    pub admin_is_set: bool,
    /// The data directory.
    pub data_dir: PathBuf,
    /// How many shards; 0 is one per core.
    pub shards: usize,
    /// Cores to pin the shards to, in shard order; empty means those the process may use.
    pub shard_cores: Vec<usize>,
    /// Whether shards are pinned.
    pub shard_pin: bool,
    /// Memory per shard.
    pub shard_memory_bytes: usize,
    /// Memory per shard to register with its ring.
    pub shard_registered_bytes: usize,
    /// How long an idle shard spins before it sleeps.
    pub shard_spin: Duration,
    /// Partitions of a topic created without a number.
    pub num_partitions: i32,
    /// Replication factor of a topic created without one.
    pub default_replication_factor: i16,
    /// Whether Metadata creates topics.
    pub auto_create_topics: bool,
    /// Whether topics can be deleted.
    pub delete_topics: bool,
    /// The largest request.
    pub socket_request_max_bytes: usize,
    /// A connection silent for this long is closed.
    pub connections_max_idle: Duration,
    /// The most connections.
    pub connections_max: usize,
    /// The most connections from one address.
    pub connections_max_per_ip: usize,
    /// The most bytes in a fetch response.
    pub fetch_max_bytes: usize,
    /// The most fetch sessions.
    pub fetch_session_slots: usize,
    /// How long silent producers are remembered.
    pub producer_id_expiration_ms: i64,
    /// How often retention is looked at.
    pub retention_check_interval: Duration,
    /// The durability class of topics that name none.
    pub ack_durability: Durability,
    /// How deep compressed batches are checked on topics that do not say.
    pub produce_validation: Validation,
    /// The size of one journal file.
    pub journal_file_bytes: u64,
    /// The size of all journals of this node.
    pub journal_bytes_max: u64,
    /// The longest a commit waits for company.
    pub journal_gap_max: Duration,
    settings: BTreeMap<&'static str, Setting>,
    /// What dynamic settings lie over, the strongest first.
    covered: BTreeMap<&'static str, Vec<Setting>>,
}

/// One property as DescribeConfigs answers it.
#[derive(Debug, Clone, PartialEq)]
pub struct Described {
    /// The property.
    pub property: &'static Property,
    /// Its value in force; `None` is null.
    pub value: Option<String>,
    /// Where that value comes from.
    pub source: Source,
    /// Every place the property takes its value from that has one, the winner first.
    pub synonyms: Vec<(&'static str, Option<String>, Source)>,
}

impl BrokerConfig {
    /// Types the settings of all broker properties, for a host with this name and so many cores.
    ///
    /// # Errors
    /// Every value that is fine alone and cannot be served.
    pub(super) fn from_settings(
        settings: BTreeMap<&'static str, Setting>,
        host_name: &str,
        cores: usize,
    ) -> Result<Self, Vec<ConfigError>> {
        let reader = Reader { settings: &settings };
        let mut errors = Vec::new();
        let listeners = reader.listeners(host_name).unwrap_or_else(|error| {
            errors.push(error);
            Vec::new()
        });
        let admin_listener = reader.admin().unwrap_or_else(|error| {
            errors.push(error);
            None
        });
        let data_dir = reader.data_dir().unwrap_or_else(|error| {
            errors.push(error);
            PathBuf::new()
        });
        let shard_cores = reader.cores().unwrap_or_else(|error| {
            errors.push(error);
            Vec::new()
        });
        errors.extend(reader.check_alone());
        let shards = match reader.size("shards") {
            0 => cores,
            shards => shards,
        };
        let (journal_file_bytes, journal_bytes_max) =
            reader.journal(shards.max(1) as u64).unwrap_or_else(|error| {
                errors.push(error);
                (0, 0)
            });
        if !errors.is_empty() {
            return Err(errors);
        }
        let ms = |name| Duration::from_millis(reader.size(name) as u64);
        let us = |name| Duration::from_micros(reader.size(name) as u64);
        Ok(BrokerConfig {
            node_id: reader.number("node.id") as i32,
            cluster_id: reader.text("cluster.id").map(str::to_owned),
            listeners,
            admin_listener,
            admin_is_set: reader.source("admin.listener") != Source::Default,
            data_dir,
            shards: reader.size("shards"),
            shard_cores,
            shard_pin: reader.flag("shard.pin"),
            shard_memory_bytes: reader.size("shard.memory.bytes"),
            shard_registered_bytes: reader.size("shard.registered.bytes"),
            shard_spin: us("shard.spin.us"),
            num_partitions: reader.number("num.partitions") as i32,
            default_replication_factor: reader.number("default.replication.factor") as i16,
            auto_create_topics: reader.flag("auto.create.topics.enable"),
            delete_topics: reader.flag("delete.topic.enable"),
            socket_request_max_bytes: reader.size("socket.request.max.bytes"),
            connections_max_idle: ms("connections.max.idle.ms"),
            connections_max: reader.size("max.connections"),
            connections_max_per_ip: reader.size("max.connections.per.ip"),
            fetch_max_bytes: reader.size("fetch.max.bytes"),
            fetch_session_slots: reader.size("max.incremental.fetch.session.cache.slots"),
            producer_id_expiration_ms: reader.number("producer.id.expiration.ms"),
            retention_check_interval: ms("log.retention.check.interval.ms"),
            ack_durability: durability(reader.word("ack.durability")),
            produce_validation: Validation::parse(reader.word("produce.validation")),
            journal_file_bytes,
            journal_bytes_max,
            journal_gap_max: us("journal.gap.max.us"),
            settings,
            covered: BTreeMap::new(),
        })
    }

    /// A configuration of built-in defaults but for the given properties: for tests and for tools.
    ///
    /// # Errors
    /// What is wrong with the given properties.
    pub fn with(properties: &[(&str, &str)]) -> Result<Self, Vec<ConfigError>> {
        let flags = properties.iter().map(|(key, value)| super::Flag::over(key, value)).collect();
        let sources = super::Sources { flags, ..super::Sources::default() };
        super::load(&sources).map(|loaded| loaded.config)
    }

    /// The setting of a broker property; `None` when no property has this name.
    pub fn setting(&self, name: &str) -> Option<&Setting> {
        let property = registry::find_broker(name)?;
        self.settings.get(property.name)
    }

    /// The setting of a broker property and those it goes before, the strongest first.
    pub(super) fn layers(&self, name: &str) -> impl Iterator<Item = &Setting> {
        let name = registry::find_broker(name).map_or(name, |property| property.name);
        self.settings.get(name).into_iter().chain(self.covered.get(name).into_iter().flatten())
    }

    /// Puts a dynamic setting over what there is.
    pub(super) fn cover(&mut self, name: &'static str, setting: Setting) {
        if let Some(before) = self.settings.insert(name, setting) {
            self.covered.entry(name).or_default().insert(0, before);
        }
    }

    /// Every broker property with its value and source, in the order of the registry.
    pub fn describe(&self) -> impl Iterator<Item = Described> + '_ {
        registry::broker_properties().map(|property| {
            let setting = &self.settings[property.name];
            let value = setting.value.as_ref().map(Value::to_string);
            let mut synonyms: Vec<_> = self
                .layers(property.name)
                .filter(|layer| layer.source != Source::Default)
                .map(|layer| {
                    let value = layer.value.as_ref().map(Value::to_string);
                    (property.name, value, layer.source.clone())
                })
                .collect();
            if let Some(default) = property.default_value() {
                synonyms.push((property.name, Some(default.to_string()), Source::Default));
            }
            Described { property, value, source: setting.source.clone(), synonyms }
        })
    }
}

/// Reads settings whose types the registry has checked.
struct Reader<'a> {
    settings: &'a BTreeMap<&'static str, Setting>,
}

impl Reader<'_> {
    fn value(&self, name: &str) -> Option<&Value> {
        self.settings.get(name).expect("every declared property has a setting").value.as_ref()
    }

    fn source(&self, name: &str) -> Source {
        self.settings[name].source.clone()
    }

    fn number(&self, name: &str) -> i64 {
        match self.value(name) {
            Some(Value::Number(number)) => *number,
            other => unreachable!("{name} is a number with a default, not {other:?}"),
        }
    }

    /// A number that its bounds keep from being negative.
    fn size(&self, name: &str) -> usize {
        usize::try_from(self.number(name)).expect("the property's lower bound is 0 or more")
    }

    fn flag(&self, name: &str) -> bool {
        matches!(self.value(name), Some(Value::Bool(true)))
    }

    fn text(&self, name: &str) -> Option<&str> {
        match self.value(name) {
            Some(Value::Text(text)) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    fn word(&self, name: &str) -> &str {
        self.text(name).expect("a choice with a default is never empty")
    }

    fn list(&self, name: &str) -> Option<&[String]> {
        match self.value(name) {
            Some(Value::List(list)) => Some(list),
            _ => None,
        }
    }

    fn listeners(&self, host_name: &str) -> Result<Vec<Listener>, ConfigError> {
        const MAP: &str = "listener.security.protocol.map";
        let mut protocols = BTreeMap::new();
        for pair in self.list(MAP).unwrap_or_default() {
            let Some((name, protocol)) = pair.split_once(':') else {
                let property = registry::find_broker(MAP).expect("it is declared");
                let why = format!("`{pair}` is not NAME:PROTOCOL");
                return Err(ConfigError::bad_value(property, why, self.source(MAP)));
            };
            protocols.insert(name.to_ascii_uppercase(), protocol.to_ascii_uppercase());
        }
        let controllers: Vec<String> = self
            .list("controller.listener.names")
            .unwrap_or_default()
            .iter()
            .map(|name| name.to_ascii_uppercase())
            .collect();
        listener::resolve(
            self.list("listeners").unwrap_or_default(),
            self.list("advertised.listeners"),
            &controllers,
            &protocols,
            host_name,
        )
        .map_err(|(name, why)| {
            let property = registry::find_broker(name).expect("it is declared");
            ConfigError::bad_value(property, why, self.source(name))
        })
    }

    fn admin(&self) -> Result<Option<Endpoint>, ConfigError> {
        const NAME: &str = "admin.listener";
        let Some(text) = self.text(NAME) else { return Ok(None) };
        let endpoint = Endpoint::parse(text, None).map_err(|why| {
            let property = registry::find_broker(NAME).expect("it is declared");
            ConfigError::bad_value(property, why, self.source(NAME))
        })?;
        Ok(Some(endpoint))
    }

    fn data_dir(&self) -> Result<PathBuf, ConfigError> {
        match self.list("log.dirs").unwrap_or_default() {
            [one] => Ok(one.into()),
            [] => Err(ConfigError::conflict(
                "`log.dirs` names no directory",
                "the broker needs one to keep its data in",
                self.source("log.dirs"),
            )),
            several => Err(ConfigError::conflict(
                format!("`log.dirs` names {} directories", several.len()),
                "a node keeps its data in one directory and spreads its load over shards",
                self.source("log.dirs"),
            )
            .fix("name one directory; join several disks below it (RAID 0, LVM)")),
        }
    }

    fn cores(&self) -> Result<Vec<usize>, ConfigError> {
        let cores = self.list("shard.cores").unwrap_or_default();
        cores
            .iter()
            .map(|core| {
                core.parse().ok().filter(|&core: &usize| core < 4_096).ok_or_else(|| {
                    ConfigError::conflict(
                        "bad value for `shard.cores`",
                        format!("`{core}` is not the number of a core"),
                        self.source("shard.cores"),
                    )
                    .fix("write numbers separated by commas, as in 0,2,4")
                })
            })
            .collect()
    }

    /// Refuses what asks for a cluster of several nodes.
    fn check_alone(&self) -> Vec<ConfigError> {
        let mut errors = Vec::new();
        for name in ["controller.quorum.voters", "controller.quorum.bootstrap.servers"] {
            let several = self.list(name).unwrap_or_default().len();
            if several > 1 {
                errors.push(
                    ConfigError::conflict(
                        format!("`{name}` names {several} controllers"),
                        "clusters of several nodes are not there yet; this node would start alone",
                        self.source(name),
                    )
                    .fix("remove the line to run a single node"),
                );
            }
        }
        let roles = self.list("process.roles").unwrap_or_default();
        if !roles.is_empty() && !roles.iter().any(|role| role == "broker") {
            errors.push(
                ConfigError::conflict(
                    "`process.roles` leaves out `broker`",
                    "every node is broker and controller; there is nothing to start without one",
                    self.source("process.roles"),
                )
                .fix("write process.roles=broker,controller, or remove the line"),
            );
        }
        errors
    }

    /// The size of a journal file and of all journals together, for a number of shards.
    ///
    /// What is not configured adapts: a host with many cores starts with the same file as one with
    /// two, and its journals stay as small as they can be.
    fn journal(&self, shards: u64) -> Result<(u64, u64), ConfigError> {
        const FILE: &str = "journal.file.bytes";
        const ALL: &str = "journal.bytes.max";
        let file = self.optional(FILE);
        if let Some(bytes) = file.filter(|bytes| !bytes.is_multiple_of(4_096)) {
            let why = format!("{bytes} is not a multiple of 4096, the unit of direct writes");
            let what = "bad value for `journal.file.bytes`";
            return Err(ConfigError::conflict(what, why, self.source(FILE)));
        }
        let least = JOURNAL_FILES_MIN * shards * file.unwrap_or(JOURNAL_FILE_BYTES_LEAST);
        let all = self.optional(ALL).unwrap_or_else(|| JOURNAL_BYTES.max(least));
        let share = all / shards / JOURNAL_FILES_MIN;
        let file = file.unwrap_or((share - share % (1 << 20)).min(JOURNAL_FILE_BYTES));
        if file >= JOURNAL_FILE_BYTES_MIN && share >= file {
            return Ok((file, all));
        }
        let least = JOURNAL_FILES_MIN * shards * file.max(JOURNAL_FILE_BYTES_MIN);
        Err(ConfigError::conflict(
            "`journal.bytes.max` is too small",
            format!(
                "each of {shards} shard(s) needs {JOURNAL_FILES_MIN} journal files, {least} bytes \
                 together"
            ),
            self.source(ALL),
        )
        .fix(format!("set journal.bytes.max to {least} or more, or shrink journal.file.bytes")))
    }

    /// A size that may be unset.
    fn optional(&self, name: &str) -> Option<u64> {
        match self.value(name) {
            Some(Value::Number(number)) => u64::try_from(*number).ok(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(properties: &[(&str, &str)]) -> Vec<String> {
        match BrokerConfig::with(properties) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.iter().map(ConfigError::message).collect(),
        }
    }

    #[test]
    fn defaults_are_a_configuration() {
        let config = BrokerConfig::with(&[]).expect("defaults are valid");
        assert_eq!(config.listeners[0].bind.to_string(), "127.0.0.1:9092");
        assert_eq!(config.data_dir, PathBuf::from("./data"));
        let admin = config.admin_listener.as_ref().expect("the default has one");
        assert_eq!((admin.to_string().as_str(), config.admin_is_set), ("127.0.0.1:9644", false));
        assert_eq!(config.ack_durability, Durability::Device);
        assert_eq!(config.setting("broker.id").expect("an alias").source, Source::Default);
    }

    #[test]
    fn the_admin_port_is_what_was_said() {
        let admin = |value: &str| {
            let config = BrokerConfig::with(&[("admin.listener", value)]).expect("a valid value");
            (config.admin_listener.map(|endpoint| endpoint.to_string()), config.admin_is_set)
        };
        assert_eq!(admin("[::1]:0"), (Some("[::1]:0".into()), true));
        assert_eq!(admin("127.0.0.1:9644"), (Some("127.0.0.1:9644".into()), true));
        assert_eq!(admin(""), (None, true));
        let refused = why(&[("admin.listener", "somewhere")]);
        assert!(refused[0].contains("`somewhere` has no port: write host:port"), "{refused:?}");
    }

    #[test]
    fn what_cannot_be_served_is_refused_together() {
        assert_eq!(
            why(&[("log.dirs", "/a,/b"), ("process.roles", "controller")]),
            [
                "`log.dirs` names 2 directories: a node keeps its data in one directory and \
                 spreads its load over shards; name one directory; join several disks below it \
                 (RAID 0, LVM)",
                "`process.roles` leaves out `broker`: every node is broker and controller; there \
                 is nothing to start without one; write process.roles=broker,controller, or \
                 remove the line",
            ]
        );
        assert_eq!(
            why(&[("journal.bytes.max", "64MiB"), ("shards", "8")]),
            [
                "`journal.bytes.max` is too small: each of 8 shard(s) needs 4 journal files, 134217728 \
              bytes together; set journal.bytes.max to 134217728 or more, or shrink \
              journal.file.bytes"
            ]
        );
        assert_eq!(
            why(&[("shard.cores", "0,x")]),
            ["bad value for `shard.cores`: `x` is not the number of a core; write numbers \
              separated by commas, as in 0,2,4"]
        );
    }

    #[test]
    fn journals_fit_any_number_of_shards() {
        let check = |properties: &[(&str, &str)], file_mib: u64, all_mib: u64| {
            let config = BrokerConfig::with(properties).expect("a valid configuration");
            let got = (config.journal_file_bytes >> 20, config.journal_bytes_max >> 20);
            assert_eq!(got, (file_mib, all_mib), "{properties:?}");
        };
        check(&[("shards", "1")], 64, 1_024);
        check(&[("shards", "4")], 64, 1_024);
        check(&[("shards", "6")], 42, 1_024);
        check(&[("shards", "16")], 16, 1_024);
        check(&[("shards", "64")], 16, 4_096);
        check(&[("shards", "2"), ("journal.file.bytes", "256MiB")], 256, 2_048);
        check(&[("shards", "2"), ("journal.bytes.max", "64MiB")], 8, 64);
    }

    #[test]
    fn every_setting_remembers_its_source() {
        let config = BrokerConfig::with(&[("num.partitions", "3")]).expect("a valid value");
        let described = config.describe().find(|d| d.property.name == "num.partitions");
        let described = described.expect("a declared property");
        assert_eq!(described.value.as_deref(), Some("3"));
        assert_eq!(described.source.code(), 4);
        assert_eq!(described.synonyms.len(), 2);
        assert_eq!(described.synonyms[1].1.as_deref(), Some("1"));
    }
}
