//! The real clients that were found on this machine.
//!
//! `tests/install-clients.sh` installs all of them. Where one is missing, a test that needs it says
//! so and passes; with `REQUIRE_CLIENTS=1` in the environment (as CI sets it) the test fails instead.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A client program that a test needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// kcat, on librdkafka.
    Kcat,
    /// kafka-python in a virtual environment.
    KafkaPython,
    /// Apache Kafka's own command line tools, from their Java archives.
    ApacheKafka,
}

impl Client {
    /// The command that runs it, or `None` (after saying so) when it is not on this machine.
    ///
    /// # Panics
    /// When it is missing and `REQUIRE_CLIENTS=1`.
    pub fn find(self) -> Option<Command> {
        let found = match self {
            Self::Kcat => runs("kcat", "-V").then(|| Command::new("kcat")),
            Self::KafkaPython => {
                let python = installed().join("python/bin/python");
                python.exists().then(|| Command::new(python))
            }
            Self::ApacheKafka => {
                let jars = installed().join("apache-kafka/lib");
                (jars.exists() && runs("java", "-version")).then(|| {
                    let mut java = Command::new("java");
                    java.args(["-Xmx256m", "-cp", &format!("{}/*", jars.display())]);
                    java
                })
            }
        };
        if found.is_none() {
            let text = format!("{self:?} is not on this machine; run tests/install-clients.sh");
            assert!(std::env::var_os("REQUIRE_CLIENTS").is_none(), "{text}");
            eprintln!("not tested: {text}");
        }
        found
    }
}

/// Where `tests/install-clients.sh` puts what it installs.
fn installed() -> PathBuf {
    std::env::var_os("HEDDLE_TEST_CLIENTS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-clients"),
        PathBuf::from,
    )
}

fn runs(program: &str, flag: &str) -> bool {
    Command::new(program).arg(flag).output().is_ok_and(|output| output.status.success())
}

/// Runs a command to its end and returns what it printed.
///
/// # Panics
/// When it cannot be started or fails; the message carries its output.
pub fn run(command: &mut Command) -> Output {
    let output = command.output().expect("the command starts");
    assert!(
        output.status.success(),
        "{command:?} ended with {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}
