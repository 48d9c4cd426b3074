//! The command that starts a broker.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::kafka;
use super::port::Port;
use super::spec::Spec;
use crate::error::BenchError;

/// Ports that a broker may need.
#[derive(Debug)]
pub(super) struct Ports {
    /// Where clients connect.
    pub clients: Port,
    /// The admin port, or that of Kafka's controller.
    pub second: Port,
}

/// What is known of a program before it is started.
#[derive(Clone, Debug, Default)]
pub(super) struct About {
    /// Name and version.
    pub software: Option<String>,
    /// It has an admin port.
    pub admin: bool,
}

/// Asks the program what it is.
///
/// # Errors
/// It cannot be started.
pub(super) fn about(spec: &Spec) -> Result<About, BenchError> {
    match spec {
        Spec::Heddle { binary, .. } => {
            let ask = |arguments: &[&str]| -> Result<String, BenchError> {
                let output = Command::new(binary).args(arguments).stdin(Stdio::null()).output();
                match output {
                    Ok(output) => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
                    Err(error) => Err(BenchError::failed(format!(
                        "{} does not start: {error}",
                        binary.display()
                    ))),
                }
            };
            let software = Some(ask(&["--version"])?).filter(|version| !version.is_empty());
            // A binary of an older revision, to be compared with, may have none.
            Ok(About { software, admin: ask(&["serve", "--help"])?.contains("--admin") })
        }
        Spec::Kafka { .. } => {
            let software = Some(format!("Apache Kafka {}", kafka::version()));
            Ok(About { software, admin: false })
        }
        Spec::Command { command, .. } => {
            Ok(About { software: None, admin: command.contains("{admin}") })
        }
        Spec::Running { .. } => Ok(About::default()),
    }
}

/// The command for a broker whose files lie in `dir`, its data in `dir/data`, its output in `dir/log`. The process is
/// that of the broker itself, and leads a group of its own.
///
/// # Errors
/// The log cannot be opened, or Kafka's archives cannot be had.
pub(super) fn command(
    spec: &Spec,
    dir: &Path,
    ports: &Ports,
    about: &About,
) -> Result<Command, BenchError> {
    let mut words: Vec<String> = Vec::new();
    let mut environment: Vec<(&str, &str)> = Vec::new();
    let data = dir.join("data").display().to_string();
    let admin = ports.second.address().to_string();
    let cores: &[usize] = match spec {
        Spec::Heddle { binary, settings, cores } => {
            let listen = ports.clients.address().to_string();
            words.push(binary.display().to_string());
            words.extend(["serve", "--listen", &listen, "--data", &data].map(String::from));
            if about.admin {
                words.extend(["--admin".into(), admin]);
            }
            for (key, value) in settings {
                match key.strip_prefix("env:") {
                    Some(name) => environment.push((name, value)),
                    None => words.extend(["--override".into(), format!("{key}={value}")]),
                }
            }
            cores
        }
        Spec::Kafka { cores, .. } => {
            words.push("java".into());
            words.extend(kafka::arguments(dir)?);
            cores
        }
        Spec::Command { command, cores, .. } => {
            let command = command
                .replace("{port}", &ports.clients.number().to_string())
                .replace("{data}", &data)
                .replace("{admin}", &admin);
            words.extend(["sh".into(), "-c".into(), format!("exec {command}")]);
            cores
        }
        Spec::Running { .. } => unreachable!("it is not started"),
    };
    if !cores.is_empty() {
        let cores: Vec<String> = cores.iter().map(usize::to_string).collect();
        // taskset becomes the broker: the process stays the same.
        words.splice(0..0, ["taskset".into(), "-c".into(), cores.join(",")]);
    }
    let log = dir.join("log");
    let open = || -> io::Result<(File, File)> {
        let log = File::options().create(true).append(true).open(&log)?;
        Ok((log.try_clone()?, log))
    };
    let (output, errors) = open()
        .map_err(|error| BenchError::failed(format!("{} does not open: {error}", log.display())))?;
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).envs(environment).process_group(0);
    command.stdin(Stdio::null()).stdout(output).stderr(errors);
    Ok(command)
}
