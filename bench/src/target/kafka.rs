//! Apache Kafka: its archives, its files and its flags.
//!
//! A single KRaft node, controller and broker in one, with the flags of Kafka's own start script (`kafka-server-start.sh` and
//! `kafka-run-class.sh` of 4.x) and no setting of ours but those that one node needs to work at all.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::BenchError;

/// Fetches the archives; also run by `tests/install-clients.sh`.
const FETCH: &str = include_str!("../../rival/fetch.sh");
/// What is fetched: the version stands here.
const POM: &str = include_str!("../../rival/pom.xml");
/// The heap of `kafka-server-start.sh`, the collector of `kafka-run-class.sh`.
const FLAGS: [&str; 8] = [
    "-Xmx1G",
    "-Xms1G",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
];

/// What is fetched: `4.3.1`.
pub fn version() -> &'static str {
    let version = POM.split("<kafka.version>").nth(1).and_then(|rest| rest.split('<').next());
    version.expect("the file in the tree names a version")
}

/// The directory of Kafka's archives; they are fetched if they are nowhere.
///
/// Looked for in `$HEDDLE_TEST_CLIENTS/apache-kafka`, below the build directory of the tree this program comes from, and in
/// `~/.cache/heddle`.
///
/// # Errors
/// There is no Java, or they cannot be fetched.
pub fn archives() -> Result<PathBuf, BenchError> {
    let java = Command::new("java").arg("-version").stdin(Stdio::null()).output();
    if !java.is_ok_and(|output| output.status.success()) {
        return Err(BenchError::failed("Apache Kafka needs Java, and `java` does not run here")
            .fix("install a JDK, for example the package default-jdk-headless"));
    }
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-clients");
    let cache = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache/heddle"));
    let name = format!("apache-kafka-{}", version());
    let places = [
        std::env::var_os("HEDDLE_TEST_CLIENTS").map(|dir| Path::new(&dir).join("apache-kafka")),
        Some(tree.join("apache-kafka")),
        cache.as_ref().map(|cache| cache.join(&name)),
    ];
    let jar = format!("lib/kafka_2.13-{}.jar", version());
    let is_complete = |dir: &PathBuf| dir.join("complete").exists() && dir.join(&jar).exists();
    if let Some(dir) = places.iter().flatten().find(|dir| is_complete(dir)) {
        return Ok(dir.join("lib"));
    }
    let into = cache
        .ok_or_else(|| {
            BenchError::failed("Apache Kafka is not here, and HOME, where to keep it, is not set")
        })?
        .join(name);
    fetch(&into)?;
    Ok(into.join("lib"))
}

fn fetch(into: &Path) -> Result<(), BenchError> {
    let trouble = |error: std::io::Error| {
        BenchError::failed(format!("Apache Kafka cannot be kept in {}: {error}", into.display()))
    };
    fs::create_dir_all(into).map_err(trouble)?;
    let script = into.join("fetch.sh");
    fs::write(&script, FETCH).map_err(trouble)?;
    fs::write(into.join("pom.xml"), POM).map_err(trouble)?;
    let output = Command::new("bash").arg(&script).arg(into).stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(BenchError::failed(format!(
            "Apache Kafka {} could not be fetched:\n{}{}",
            version(),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ))
        .fix("it needs maven (`mvn`) and a network to a Maven repository")),
        Err(error) => Err(BenchError::failed(format!("bash does not start: {error}"))),
    }
}

/// A class of Kafka's as a command, with a heap for tools.
///
/// # Errors
/// See [`archives`].
pub fn tool(class: &str) -> Result<Command, BenchError> {
    let mut java = Command::new("java");
    java.args(["-Xmx512m", "-cp", &class_path(&archives()?), class]);
    Ok(java)
}

fn class_path(archives: &Path) -> String {
    format!("{}/*", archives.display())
}

/// Writes its files below `dir` and formats its directory; before the first start, and not counted as part of it.
///
/// # Errors
/// The directory cannot be written, the archives cannot be had, or Kafka refuses the settings.
pub fn prepare(
    dir: &Path,
    port: u16,
    controller: u16,
    sync: bool,
    settings: &[(String, String)],
) -> Result<(), BenchError> {
    let trouble = |error: std::io::Error| {
        BenchError::failed(format!("{} cannot be written: {error}", dir.display()))
    };
    fs::write(dir.join("log4j2.properties"), log4j(dir)).map_err(trouble)?;
    let properties = dir.join("server.properties");
    fs::write(&properties, server(dir, port, controller, sync, settings)).map_err(trouble)?;
    let random = tool("kafka.tools.StorageTool")?.arg("random-uuid").output();
    let cluster = random
        .ok()
        .filter(|output| output.status.success())
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .ok_or_else(|| BenchError::failed("Apache Kafka's storage tool does not run"))?;
    let format = tool("kafka.tools.StorageTool")?
        .args(["format", "--standalone", "-t", &cluster, "-c"])
        .arg(&properties)
        .output()
        .map_err(|error| BenchError::failed(format!("java does not start: {error}")))?;
    match format.status.success() {
        true => Ok(()),
        false => Err(BenchError::failed(format!(
            "Apache Kafka does not format {}:\n{}{}",
            dir.display(),
            String::from_utf8_lossy(&format.stdout),
            String::from_utf8_lossy(&format.stderr)
        ))),
    }
}

/// The arguments of `java` for the broker whose files lie in `dir`.
///
/// # Errors
/// See [`archives`].
pub fn arguments(dir: &Path) -> Result<Vec<String>, BenchError> {
    let mut arguments: Vec<String> = FLAGS.iter().map(|flag| flag.to_string()).collect();
    let dir = dir.display();
    arguments.push(format!("-Xlog:gc*:file={dir}/gc.log:time,tags:filecount=10,filesize=100M"));
    arguments.push(format!("-Dlog4j2.configurationFile={dir}/log4j2.properties"));
    let class_path = class_path(&archives()?);
    arguments.extend(["-cp".into(), class_path, "kafka.Kafka".into()]);
    arguments.push(format!("{dir}/server.properties"));
    Ok(arguments)
}

fn server(
    dir: &Path,
    port: u16,
    controller: u16,
    sync: bool,
    settings: &[(String, String)],
) -> String {
    let listeners = format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}");
    let mut lines = vec![
        "process.roles=broker,controller".into(),
        "node.id=1".into(),
        format!("controller.quorum.bootstrap.servers=127.0.0.1:{controller}"),
        format!("listeners={listeners}"),
        format!("advertised.listeners={listeners}"),
        "controller.listener.names=CONTROLLER".into(),
        "inter.broker.listener.name=PLAINTEXT".into(),
        "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT".into(),
        format!("log.dirs={}/data", dir.display()),
        // One node.
        "offsets.topic.replication.factor=1".into(),
        "transaction.state.log.replication.factor=1".into(),
        "transaction.state.log.min.isr=1".into(),
        "share.coordinator.state.topic.replication.factor=1".into(),
        "share.coordinator.state.topic.min.isr=1".into(),
        "group.initial.rebalance.delay.ms=0".into(),
    ];
    if sync {
        lines.push("log.flush.interval.messages=1".into());
    }
    lines.extend(settings.iter().map(|(key, value)| format!("{key}={value}")));
    lines.join("\n") + "\n"
}

fn log4j(dir: &Path) -> String {
    format!(
        "status=error
rootLogger.level=info
rootLogger.appenderRef.f.ref=f
appender.f.type=File
appender.f.name=f
appender.f.fileName={}/server.log
appender.f.layout.type=PatternLayout
appender.f.layout.pattern=%d %p %m (%c)%n
",
        dir.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_last_and_win() {
        let settings = [("num.io.threads".to_owned(), "4".to_owned())];
        let text = server(Path::new("/d"), 20_001, 20_002, true, &settings);
        assert!(
            text.contains("\nlisteners=PLAINTEXT://127.0.0.1:20001,CONTROLLER://127.0.0.1:20002\n")
        );
        assert!(text.contains("\nlog.dirs=/d/data\n"));
        assert!(text.ends_with("\nlog.flush.interval.messages=1\nnum.io.threads=4\n"));
        let text = server(Path::new("/d"), 20_001, 20_002, false, &[]);
        assert!(!text.contains("flush"), "as it is shipped");
    }

    #[test]
    fn the_version_is_the_one_that_is_fetched() {
        let numbers: Vec<u32> = version().split('.').filter_map(|part| part.parse().ok()).collect();
        assert!(numbers.len() == 3 && numbers[0] >= 4, "{}", version());
        assert!(FETCH.contains("dependency:copy-dependencies"));
    }
}
