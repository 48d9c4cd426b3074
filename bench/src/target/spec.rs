//! What to measure, as it is written in options.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::BenchError;

/// The grammar, for `--help`.
pub const GRAMMAR: &str = "\
heddle[=PATH] | kafka | kafka-sync | HOST:PORT[,HOST:PORT..] | cmd=NAME:COMMAND, each but the last with ,KEY=VALUE settings";

/// A broker to measure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spec {
    /// One that runs already and is left running.
    Running {
        /// Its addresses, `HOST:PORT`.
        bootstrap: Vec<String>,
        /// Its process on this machine, sampled for processor time and memory.
        pid: Option<u32>,
        /// The address of its admin port, if it is Heddle.
        admin: Option<String>,
    },
    /// Heddle, started from a binary on an empty directory.
    Heddle {
        /// The program.
        binary: PathBuf,
        /// Properties; a name that begins with `env:` sets a variable of its environment instead.
        settings: Vec<(String, String)>,
        /// Processors it may use; empty for all.
        cores: Vec<usize>,
    },
    /// Apache Kafka as a single KRaft node, with the JVM flags of its own start script.
    Kafka {
        /// `log.flush.interval.messages=1`: an acknowledgement then survives a power cut, as Heddle's does by default.
        sync: bool,
        /// Properties.
        settings: Vec<(String, String)>,
        /// Processors it may use; empty for all.
        cores: Vec<usize>,
    },
    /// Any other broker that speaks the Kafka protocol.
    Command {
        /// What it is called in tables.
        name: String,
        /// A command for `sh`, in which `{port}`, `{data}` and `{admin}` are replaced.
        command: String,
        /// Processors it may use; empty for all.
        cores: Vec<usize>,
    },
}

impl Spec {
    /// This very program as a broker.
    ///
    /// # Errors
    /// The kernel does not say where the program lies.
    pub fn this_heddle() -> Result<Spec, BenchError> {
        let binary = std::env::current_exe()
            .map_err(|error| BenchError::failed(format!("this program is not found: {error}")))?;
        Ok(Spec::Heddle { binary, settings: Vec::new(), cores: Vec::new() })
    }

    /// What it is called in tables: without the path of a binary and without settings.
    pub fn label(&self) -> String {
        match self {
            Spec::Running { bootstrap, .. } => bootstrap.join(","),
            Spec::Heddle { .. } => "heddle".into(),
            Spec::Kafka { sync: false, .. } => "kafka".into(),
            Spec::Kafka { sync: true, .. } => "kafka-sync".into(),
            Spec::Command { name, .. } => name.clone(),
        }
    }

    /// The same on these processors, unless it says itself which.
    pub fn on_cores(mut self, wanted: &[usize]) -> Spec {
        match &mut self {
            Spec::Running { .. } => {}
            Spec::Heddle { cores, .. }
            | Spec::Kafka { cores, .. }
            | Spec::Command { cores, .. } => {
                if cores.is_empty() {
                    *cores = wanted.to_vec();
                }
            }
        }
        self
    }

    /// The same with one more setting; one that runs or is a command of its own has none.
    pub fn with(mut self, key: &str, value: &str) -> Spec {
        if let Spec::Heddle { settings, .. } | Spec::Kafka { settings, .. } = &mut self {
            settings.push((key.into(), value.into()));
        }
        self
    }
}

impl FromStr for Spec {
    type Err = BenchError;

    fn from_str(text: &str) -> Result<Spec, BenchError> {
        if let Some(rest) = text.strip_prefix("cmd=") {
            return command(text, rest);
        }
        let mut parts = text.split(',');
        let head = parts.next().unwrap_or_default();
        if let Some((name, rest)) = head.split_once('=')
            && name != "heddle"
        {
            let words = format!("`{text}`: `{name}={rest}` is no broker");
            return Err(BenchError::usage(words).fix(format!("one of: {GRAMMAR}")));
        }
        let mut settings = Vec::new();
        let mut more = Vec::new();
        for part in parts {
            match part.split_once('=') {
                Some((key, value)) if !key.is_empty() => settings.push((key.into(), value.into())),
                _ => more.push(part),
            }
        }
        if head.contains(':') && !head.contains('=') {
            return running(text, head, &more, settings);
        }
        if let Some(part) = more.first() {
            let words = format!("`{text}`: `{part}` is no setting");
            return Err(BenchError::usage(words).fix("settings are written KEY=VALUE"));
        }
        let cores = take_cores(text, &mut settings)?;
        match head {
            "heddle" => match Spec::this_heddle()? {
                Spec::Heddle { binary, .. } => Ok(Spec::Heddle { binary, settings, cores }),
                other => Ok(other),
            },
            "kafka" | "kafka-sync" => {
                Ok(Spec::Kafka { sync: head == "kafka-sync", settings, cores })
            }
            _ => match head.strip_prefix("heddle=") {
                Some(path) => Ok(Spec::Heddle { binary: program(path)?, settings, cores }),
                None => Err(BenchError::usage(format!("`{head}` is no broker"))
                    .fix(format!("one of: {GRAMMAR}"))),
            },
        }
    }
}

/// The text it is parsed from, in one spelling.
impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (settings, cores): (&[(String, String)], &[usize]) = match self {
            Spec::Running { bootstrap, pid, admin } => {
                f.write_str(&bootstrap.join(","))?;
                if let Some(pid) = pid {
                    write!(f, ",pid={pid}")?;
                }
                if let Some(admin) = admin {
                    write!(f, ",admin={admin}")?;
                }
                (&[], &[])
            }
            Spec::Heddle { binary, settings, cores } => {
                // This very program needs no path, which would be another one on the next machine.
                match std::env::current_exe() {
                    Ok(this) if this == *binary => f.write_str("heddle")?,
                    _ => write!(f, "heddle={}", binary.display())?,
                }
                (settings, cores)
            }
            Spec::Kafka { settings, cores, .. } => {
                f.write_str(&self.label())?;
                (settings, cores)
            }
            Spec::Command { name, command, .. } => {
                write!(f, "cmd={name}:{command}")?;
                (&[], &[])
            }
        };
        for (key, value) in settings {
            write!(f, ",{key}={value}")?;
        }
        if !cores.is_empty() {
            let cores: Vec<String> = cores.iter().map(usize::to_string).collect();
            write!(f, ",cores={}", cores.join("+"))?;
        }
        Ok(())
    }
}

fn command(text: &str, rest: &str) -> Result<Spec, BenchError> {
    let (name, command) = rest.split_once(':').unwrap_or((rest, ""));
    let usage = |what: &str| {
        BenchError::usage(format!("`{text}`: {what}"))
            .fix("for example cmd=other:\"other-broker --port {port} --data {data}\"")
    };
    if name.is_empty() || command.trim().is_empty() {
        return Err(usage("a name, a colon and a command are needed"));
    }
    if !command.contains("{port}") {
        return Err(usage("the command has no {port}, on which the broker must listen"));
    }
    Ok(Spec::Command { name: name.into(), command: command.into(), cores: Vec::new() })
}

fn running(
    text: &str,
    head: &str,
    more: &[&str],
    settings: Vec<(String, String)>,
) -> Result<Spec, BenchError> {
    let bootstrap: Vec<String> = [head].iter().chain(more).map(|part| part.to_string()).collect();
    let is_address = |part: &String| {
        let (host, port) = part.rsplit_once(':').unwrap_or_default();
        !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    if let Some(part) = bootstrap.iter().find(|part| !is_address(part)) {
        let words = format!("`{text}`: `{part}` is no address");
        return Err(BenchError::usage(words).fix("write HOST:PORT, for example 127.0.0.1:9092"));
    }
    let (mut pid, mut admin) = (None, None);
    for (key, value) in settings {
        match key.as_str() {
            "pid" => {
                let number = value.parse().map_err(|_| {
                    BenchError::usage(format!("`{text}`: `{value}` is no process id"))
                })?;
                pid = Some(number);
            }
            "admin" => admin = Some(value),
            _ => {
                let words = format!("`{text}`: a broker that runs has no `{key}` to set");
                return Err(BenchError::usage(words).fix("only pid=NUMBER and admin=HOST:PORT"));
            }
        }
    }
    Ok(Spec::Running { bootstrap, pid, admin })
}

fn program(path: &str) -> Result<PathBuf, BenchError> {
    let found = Path::new(path).canonicalize().ok().filter(|path| path.is_file());
    found.ok_or_else(|| {
        BenchError::usage(format!("there is no program at `{path}`"))
            .fix("heddle=PATH names a heddle binary, for example heddle=target/release/heddle")
    })
}

fn take_cores(text: &str, settings: &mut Vec<(String, String)>) -> Result<Vec<usize>, BenchError> {
    let Some(at) = settings.iter().position(|(key, _)| key == "cores") else {
        return Ok(Vec::new());
    };
    let (_, value) = settings.remove(at);
    cores(&value.replace('+', ","))
        .map_err(|error| BenchError { what: format!("`{text}`: {}", error.what), ..error })
}

/// Reads `0,2-3`.
///
/// # Errors
/// It is no list of processors.
pub fn cores(text: &str) -> Result<Vec<usize>, BenchError> {
    let part = |part: &str| -> Option<std::ops::RangeInclusive<usize>> {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let range = first.trim().parse().ok()?..=last.trim().parse().ok()?;
        (range.start() <= range.end() && *range.end() < 4096).then_some(range)
    };
    let ranges: Option<Vec<_>> = text.split(',').map(part).collect();
    match ranges {
        Some(ranges) => Ok(ranges.into_iter().flatten().collect()),
        None => Err(BenchError::usage(format!("`{text}` is no list of processors"))
            .fix("write numbers and ranges, for example 0,2-3")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Spec {
        text.parse().expect("a spec")
    }

    #[test]
    fn brokers_are_read_and_written() {
        let kafka = parse("kafka-sync,num.io.threads=4,cores=0+2-3");
        assert_eq!(kafka.label(), "kafka-sync");
        assert_eq!(kafka.to_string(), "kafka-sync,num.io.threads=4,cores=0+2+3");
        assert_eq!(parse(&kafka.to_string()), kafka);
        let running = parse("localhost:9092,[::1]:9093,pid=42,admin=127.0.0.1:9644");
        assert_eq!(
            running,
            Spec::Running {
                bootstrap: vec!["localhost:9092".into(), "[::1]:9093".into()],
                pid: Some(42),
                admin: Some("127.0.0.1:9644".into()),
            }
        );
        assert_eq!(parse(&running.to_string()), running);
        let this = std::env::current_exe().expect("a test is a program");
        let heddle = parse(&format!("heddle={},shards=2,env:A=b", this.display()));
        let Spec::Heddle { binary, settings, cores } = &heddle else { panic!("{heddle:?}") };
        assert_eq!((binary, cores.len()), (&this.canonicalize().expect("it is there"), 0));
        assert_eq!(settings[1], ("env:A".into(), "b".into()));
        assert_eq!(parse(&heddle.to_string()), heddle);
        let command = parse("cmd=other:run --port {port}, --data={data}");
        assert_eq!(command.label(), "other");
        assert_eq!(parse(&command.to_string()), command);
        assert!(matches!(parse("heddle"), Spec::Heddle { .. }));
        assert_eq!(parse("heddle,shards=1").to_string(), "heddle,shards=1");
    }

    #[test]
    fn processors_are_those_of_the_spec_before_those_of_all() {
        let cores = |spec: Spec| match spec.on_cores(&[1]) {
            Spec::Kafka { cores, .. } => cores,
            other => panic!("{other:?}"),
        };
        assert_eq!(cores(parse("kafka,cores=0")), [0]);
        assert_eq!(cores(parse("kafka")), [1]);
        assert_eq!(super::cores("0,2-3").expect("a list"), [0, 2, 3]);
        assert!(super::cores("3-2").is_err() && super::cores("x").is_err());
    }

    #[test]
    fn errors_say_what_and_what_to_do() {
        let cases = [
            ("kafak", "`kafak` is no broker", "one of: heddle"),
            ("kafka=1", "is no broker", "one of: heddle"),
            ("heddle=/nowhere/heddle", "there is no program at `/nowhere/heddle`", "names a"),
            ("kafka,fast", "`fast` is no setting", "KEY=VALUE"),
            ("kafka,cores=a", "is no list of processors", "0,2-3"),
            ("localhost:port", "`localhost:port` is no address", "HOST:PORT"),
            ("localhost:9092,other", "`other` is no address", "HOST:PORT"),
            ("localhost:9092,shards=2", "has no `shards` to set", "pid=NUMBER"),
            ("localhost:9092,pid=me", "`me` is no process id", ""),
            ("cmd=other", "a name, a colon and a command", "cmd=other:"),
            ("cmd=other:run --port 9092", "has no {port}", "cmd=other:"),
        ];
        for (text, what, fix) in cases {
            let error = text.parse::<Spec>().expect_err(text);
            assert_eq!(error.kind, crate::error::Kind::Usage);
            assert!(error.what.contains(what), "{text}: {error}");
            assert!(error.fix.unwrap_or_default().contains(fix), "{text}: {}", error.what);
        }
    }
}
