//! A broker as a child process: started on a free port of the loopback interface, killed, restarted.
//!
//! Owns the process and, unless told otherwise, its data directory; both are gone when it is dropped.
//! The data lies under the build directory, not in a RAM disk, so that direct I/O is really used.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::port::Port;
use crate::wire;

/// How long a broker may take until it answers before a test gives up on it.
const READY_MAX: Duration = Duration::from_secs(60);
/// How long one attempt to get an answer may take.
const ANSWER_MAX: Duration = Duration::from_millis(500);

/// What a test asks of the broker it starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Shards, one thread each.
    pub shards: usize,
    /// `key=value` pairs handed over as `--override`.
    pub overrides: Vec<String>,
    /// Where the data lies; below the build directory when nothing is said.
    pub data: Option<PathBuf>,
    /// The broker's program; the one that this package builds when nothing is said.
    pub program: Option<PathBuf>,
}

impl Default for Settings {
    /// One shard and small journals: a test writes megabytes, not gigabytes.
    fn default() -> Self {
        Self {
            shards: 1,
            overrides: vec!["journal.file.bytes=8388608".to_owned()],
            data: None,
            program: None,
        }
    }
}

impl Settings {
    /// The same settings with another number of shards.
    #[must_use]
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = shards;
        self
    }

    /// The same settings with the data at another place.
    #[must_use]
    pub fn data(mut self, path: &Path) -> Self {
        self.data = Some(path.to_owned());
        self
    }

    /// The same settings with one more `key=value`.
    #[must_use]
    pub fn with(mut self, pair: &str) -> Self {
        self.overrides.push(pair.to_owned());
        self
    }
}

/// A running (or killed) broker process.
pub struct BrokerProcess {
    child: Option<Child>,
    port: Port,
    data: PathBuf,
    log: PathBuf,
    settings: Settings,
    _directory: tempfile::TempDir,
}

impl BrokerProcess {
    /// Starts a broker on an empty data directory and waits until it answers.
    ///
    /// # Panics
    /// When it does not become ready; the message carries the end of its log.
    pub fn start(settings: Settings) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("heddle-")
            .tempdir_in(scratch())
            .expect("the build directory is writable");
        let mut broker = Self {
            child: None,
            port: Port::take(),
            data: settings.data.clone().unwrap_or_else(|| directory.path().join("data")),
            log: directory.path().join("log"),
            settings,
            _directory: directory,
        };
        broker.spawn();
        broker
    }

    /// Where it listens, as `host:port`.
    pub fn bootstrap(&self) -> String {
        self.address().to_string()
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Where its admin port is.
    ///
    /// # Panics
    /// When its banner does not say that it has one.
    pub fn admin(&self) -> SocketAddr {
        let began = Instant::now();
        loop {
            let log = self.log();
            if let Some((_, rest)) = log.rsplit_once("\nadmin      http://") {
                let address = rest.split('/').next().expect("a split has a first part");
                return address.parse().expect("host and port");
            }
            // It answers a moment before it says that it is ready.
            assert!(began.elapsed() < READY_MAX, "no admin port:\n{log}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The process id; panics when it is not running.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the broker is running").id()
    }

    /// Everything it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends it as a power failure of the process would: `kill -9`, nothing flushed.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a child of this process can be killed");
            child.wait().expect("a killed child can be waited for");
        }
    }

    /// Whether it runs, or has come to an end by itself.
    pub fn is_running(&mut self) -> bool {
        let child = self.child.as_mut().expect("the broker was started");
        child.try_wait().expect("a child can be waited for").is_none()
    }

    /// Waits for an end that it comes to by itself.
    ///
    /// # Panics
    /// When it is still running after a minute.
    pub fn wait_for_end(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the broker is running");
        let began = Instant::now();
        loop {
            if let Some(status) = child.try_wait().expect("a child can be waited for") {
                return status;
            }
            if began.elapsed() > READY_MAX {
                self.child = Some(child);
                panic!("it goes on:\n{}", tail(&self.log(), 20));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Asks it to stop with SIGTERM and waits for the end.
    pub fn stop(&mut self) -> ExitStatus {
        let child = self.child.take().expect("the broker is running");
        let asked = Command::new("kill")
            .args(["-TERM", &child.id().to_string()])
            .status()
            .expect("kill is on every machine");
        assert!(asked.success(), "SIGTERM could not be sent");
        self.child = Some(child);
        self.wait_for_end()
    }

    /// Starts it again on the same port and data.
    pub fn restart(&mut self) {
        assert!(self.child.is_none(), "restart follows kill or stop");
        self.spawn();
    }

    /// Starts it again with other settings on the same port and data.
    pub fn restart_with(&mut self, settings: Settings) {
        self.settings = settings;
        self.restart();
    }

    fn spawn(&mut self) {
        self.child = Some(self.command().spawn().expect("the broker under test starts"));
        let began = Instant::now();
        loop {
            if self.answers() {
                return;
            }
            let child = self.child.as_mut().expect("just started");
            if let Some(status) = child.try_wait().expect("a child can be waited for") {
                panic!("the broker ended at start with {status}:\n{}", self.log());
            }
            assert!(began.elapsed() < READY_MAX, "not ready after {READY_MAX:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether it answers a request. That it accepts a connection would not do: the socket of a broker that was
    /// killed a moment ago accepts until the kernel has taken its ring apart.
    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect_timeout(&self.address(), ANSWER_MAX) else {
            return false;
        };
        let body = wire::request(18, 0, 1, &[]);
        let mut frame = (body.len() as u32).to_be_bytes().to_vec();
        frame.extend_from_slice(&body);
        let mut length = [0; 4];
        stream.set_read_timeout(Some(ANSWER_MAX)).is_ok()
            && stream.write_all(&frame).is_ok()
            && stream.read_exact(&mut length).is_ok()
    }

    fn command(&self) -> Command {
        let log = File::options().create(true).append(true).open(&self.log).expect("the log opens");
        let mut command = Command::new(self.settings.program.clone().unwrap_or_else(heddle));
        command
            .arg("serve")
            .args(["--listen", &self.bootstrap()])
            .arg("--data")
            .arg(&self.data)
            .args(["--shards", &self.settings.shards.to_string()])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file handle can be cloned"))
            .stderr(log);
        for pair in &self.settings.overrides {
            command.args(["--override", pair]);
        }
        command
    }
}

impl Drop for BrokerProcess {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the broker's log ---\n{}", tail(&self.log(), 40));
        }
        self.kill();
    }
}

/// The binary under test: built by this package, so it lies beside the test's own directory.
pub fn heddle() -> PathBuf {
    build_directory().join("heddle-under-test")
}

/// A directory on a real disk for data of tests.
pub fn scratch() -> PathBuf {
    let path = build_directory().join("scratch");
    std::fs::create_dir_all(&path).expect("the build directory is writable");
    path
}

fn build_directory() -> PathBuf {
    let program = std::env::current_exe().expect("a program knows its own path");
    // <target>/<profile>/deps/<test>, or <target>/<profile>/<program>
    let directory = program.parent().expect("a program lies in a directory");
    let profile = if directory.ends_with("deps") { directory.parent() } else { Some(directory) };
    profile.expect("a test lies in the build directory").to_owned()
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
