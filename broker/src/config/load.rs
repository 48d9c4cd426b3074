//! Gathering settings from all sources into one configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::broker::BrokerConfig;
use super::environment::{self, Meaning};
use super::error::ConfigError;
use super::file::{Entry, parse_properties};
use super::property::{Effect, Property};
use super::registry;
use super::source::{Setting, Source};

/// The largest configuration file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where to take settings from.
#[derive(Debug, Default)]
pub struct Sources {
    /// The `server.properties` file.
    pub file: Option<PathBuf>,
    /// The environment's variables.
    pub environment: Vec<(String, String)>,
    /// The flags, in the order typed.
    pub flags: Vec<Flag>,
}

/// A property set by a flag.
#[derive(Debug, Clone)]
pub struct Flag {
    /// The property's name.
    pub name: String,
    /// The value.
    pub value: String,
    /// The flag as it was typed.
    pub text: String,
}

impl Flag {
    /// `--override name=value`.
    pub fn over(name: &str, value: &str) -> Self {
        let text = format!("--override {name}={value}");
        Flag { name: name.into(), value: value.into(), text }
    }
}

/// Something to say in the log once it is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Whether it deserves a warning.
    pub warn: bool,
    /// The sentence.
    pub text: String,
}

/// A configuration and what there is to say about how it came to be.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: BrokerConfig,
    /// What to log.
    pub notes: Vec<Note>,
}

/// Loads a configuration.
///
/// # Errors
/// Everything that is wrong, not only the first.
pub fn load(sources: &Sources) -> Result<Loaded, Vec<ConfigError>> {
    let mut gathered = Gathered::default();
    if let Some(path) = &sources.file {
        match read_file(path) {
            Ok(entries) => gathered.file(path, entries),
            Err(error) => gathered.errors.push(error),
        }
    }
    for (variable, value) in &sources.environment {
        gathered.variable(variable, value);
    }
    for flag in &sources.flags {
        let source = Source::Flag { text: flag.text.clone() };
        gathered.set(&flag.name, &flag.value, source.clone(), source);
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let Gathered { settings, notes, mut errors, .. } = gathered;
    match BrokerConfig::from_settings(settings, &host_name(), cores) {
        Ok(config) if errors.is_empty() => Ok(Loaded { config, notes }),
        Ok(_) => Err(errors),
        Err(more) => {
            errors.extend(more);
            Err(errors)
        }
    }
}

fn read_file(path: &Path) -> Result<Vec<Entry>, ConfigError> {
    let place = |line, column| Source::File { path: path.to_owned(), line, column };
    let flag = Source::Flag { text: format!("--config {}", path.display()) };
    let cannot = |why: String, fix: &str| {
        ConfigError::file("cannot read the configuration file", why, flag.clone()).fix(fix)
    };
    let bytes = std::fs::metadata(path)
        .and_then(|meta| {
            if meta.is_file() && meta.len() > FILE_BYTES_MAX {
                return Err(std::io::Error::other(format!(
                    "it is larger than {FILE_BYTES_MAX} bytes"
                )));
            }
            std::fs::read(path)
        })
        .map_err(|error| cannot(error.to_string(), "check the path and its permissions"))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        cannot(format!("byte {at} is not UTF-8"), "save the file as UTF-8")
    })?;
    parse_properties(&text).map_err(|(line, column, why)| {
        ConfigError::file("the configuration file is malformed", why, place(line, column))
    })
}

struct Gathered {
    settings: BTreeMap<&'static str, Setting>,
    /// The spelling under which a property was set from one source: `log.dir` and `log.dirs` in
    /// one file contradict each other.
    notes: Vec<Note>,
    errors: Vec<ConfigError>,
}

impl Default for Gathered {
    fn default() -> Self {
        let default = |property: &'static Property| {
            (property.name, Setting { value: property.default_value(), source: Source::Default })
        };
        Gathered {
            settings: registry::broker_properties().map(default).collect(),
            notes: Vec::new(),
            errors: Vec::new(),
        }
    }
}

impl Gathered {
    fn file(&mut self, path: &Path, entries: Vec<Entry>) {
        let mut lines: BTreeMap<String, u32> = BTreeMap::new();
        for entry in entries {
            let place = |line, column| Source::File { path: path.to_owned(), line, column };
            let canonical = registry::find_broker(&entry.key).map_or(&*entry.key, |p| p.name);
            if let Some(before) = lines.insert(canonical.to_owned(), entry.line) {
                self.warn(format!(
                    "{}: line {} sets `{}` again; line {before} is ignored",
                    path.display(),
                    entry.line,
                    entry.key
                ));
            }
            let key = place(entry.line, entry.key_column);
            let value = place(entry.value_line, entry.value_column);
            self.set(&entry.key, &entry.value, key, value);
        }
    }

    fn variable(&mut self, variable: &str, value: &str) {
        let source = Source::Environment { variable: variable.into() };
        match environment::meaning(variable) {
            Meaning::Property(name) => self.set(&name, value, source.clone(), source),
            Meaning::Unknown { closest } => {
                let hint = closest
                    .and_then(registry::find_broker)
                    .map(|p| {
                        format!("; {} sets `{}`", environment::variable_name(p.name, p.own), p.name)
                    })
                    .unwrap_or_default();
                self.warn(format!("environment variable {variable} sets no property{hint}"));
            }
            Meaning::Foreign | Meaning::Other => {}
        }
    }

    /// Takes one setting. An empty text leaves a property unset, as in Kafka's files.
    fn set(&mut self, name: &str, text: &str, key: Source, value: Source) {
        let Some(property) = registry::find_broker(name) else {
            if let Some(refused) = registry::refusal(name) {
                self.errors.push(ConfigError::refused(name, refused.why, refused.fix, key));
            } else if registry::is_jvm_hook(name) {
                self.warn(format!(
                    "`{name}` configures Java classes and has no effect here ({key})"
                ));
            } else {
                let closest = registry::closest_broker(name);
                self.errors.push(ConfigError::unknown(name, closest, key));
            }
            return;
        };
        let parsed = match (text.trim(), property.default) {
            ("", None) => None,
            (text, _) => match property.parse(text) {
                Ok(parsed) => Some(parsed),
                Err(why) => {
                    self.errors.push(ConfigError::bad_value(property, why, value));
                    return;
                }
            },
        };
        match property.effect {
            Effect::Honoured => {}
            Effect::Mapped(how) => {
                let text = format!("`{}` is accepted and not needed. {how}", property.name);
                self.notes.push(Note { warn: false, text });
            }
            Effect::NoEffect(why) => {
                self.warn(format!("`{}` is accepted and has no effect. {why}", property.name));
            }
        }
        self.settings.insert(property.name, Setting { value: parsed, source: value });
    }

    fn warn(&mut self, text: String) {
        self.notes.push(Note { warn: true, text });
    }
}

/// This host's name, for listeners on all interfaces.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty() && name != "(none)")
        .unwrap_or_else(|| "localhost".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_text(text: &str) -> Result<Loaded, String> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("server.properties");
        std::fs::write(&path, text).expect("a file in it");
        let sources = Sources { file: Some(path), ..Sources::default() };
        load(&sources).map_err(|errors| {
            let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
            errors.join("\n").replace(&format!("{}/", dir.path().display()), "")
        })
    }

    #[test]
    fn kafkas_own_file_starts_a_node() {
        let loaded =
            load_text(include_str!("golden/kafka_server.properties")).expect("it is valid");
        assert_eq!(loaded.config.node_id, 1);
        assert_eq!(loaded.config.listeners.len(), 1);
        assert_eq!(loaded.config.listeners[0].advertised.to_string(), "localhost:9092");
        assert_eq!(loaded.config.data_dir, Path::new("/tmp/kraft-combined-logs"));
        let notes: Vec<_> = loaded.notes.iter().map(|note| note.text.as_str()).collect();
        assert!(notes[0].starts_with("`controller.quorum.bootstrap.servers` is accepted"));
    }

    #[test]
    fn everything_wrong_is_reported_at_once_with_its_place() {
        let text = include_str!("golden/wrong.properties");
        let report = load_text(text).expect_err("everything in it is wrong");
        assert_eq!(report.trim_end(), include_str!("golden/wrong.txt").trim_end());
    }

    #[test]
    fn later_sources_go_before_earlier_ones() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("c");
        std::fs::write(&path, "num.partitions=2\nmessage.max.bytes=5\nlog.dir=/f\n")
            .expect("a file");
        let sources = Sources {
            file: Some(path),
            environment: vec![
                ("KAFKA_NUM_PARTITIONS".into(), "3".into()),
                ("KAFKA_MESSAGE_MAX_BYTES".into(), "6".into()),
                ("KAFKA_NUM_PARTITION".into(), "9".into()),
                ("HOME".into(), "/root".into()),
            ],
            flags: vec![Flag::over("num.partitions", "4")],
        };
        let loaded = load(&sources).expect("valid sources");
        assert_eq!(loaded.config.num_partitions, 4);
        assert_eq!(loaded.config.data_dir, Path::new("/f"));
        let setting = loaded.config.setting("message.max.bytes").expect("declared");
        assert_eq!(setting.source.to_string(), "environment variable KAFKA_MESSAGE_MAX_BYTES");
        assert_eq!(
            loaded.notes,
            [Note {
                warn: true,
                text: "environment variable KAFKA_NUM_PARTITION sets no property; \
                   KAFKA_NUM_PARTITIONS sets `num.partitions`"
                    .into(),
            }]
        );
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error() {
        let sources = Sources { file: Some("/nonexistent/x".into()), ..Sources::default() };
        let errors = load(&sources).expect_err("there is no such file");
        assert_eq!(errors[0].code, "HDL-CFG-005");
        assert_eq!(errors[0].why, "No such file or directory (os error 2)");
    }
}
