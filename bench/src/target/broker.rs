//! A broker that runs: started on free ports of the loopback interface, or found running.

use std::fs;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::answer::answers;
use super::guard::Guard;
use super::launch::{self, About, Ports};
use super::port::Port;
use super::spec::Spec;
use super::{kafka, process};
use crate::error::BenchError;
use crate::load::Where;
use crate::result::model;

/// How long a broker may take until it answers.
const READY_MAX: Duration = Duration::from_secs(180);
/// How long one attempt to get an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// The pause between two attempts, and so how exact a start is measured. A refused connection costs some 20 us.
const POLL: Duration = Duration::from_millis(1);
/// A JVM takes seconds: asking it less often leaves it the processor.
const POLL_JVM: Duration = Duration::from_millis(5);
/// The controller of Apache Kafka fences a broker that was stopped for longer than `broker.session.timeout.ms` (9 s) as
/// soon as it goes on itself, and lets it in again at its next heartbeat, 2 s later at most. A longer session
/// timeout would make a restart after `kill -9` wait for it.
const FENCED_MAX: Duration = Duration::from_secs(3);
/// How long a broker may take to stop.
const STOP_MAX: Duration = Duration::from_secs(30);
/// Lines of a log that are quoted.
const QUOTED: usize = 20;

/// A broker that runs. Dropped it is killed, if it was started here; its data goes, its logs stay.
#[derive(Debug)]
pub struct Broker {
    spec: Spec,
    about: About,
    started: Option<Started>,
    start_ms: Option<f64>,
    restart_ms: Option<f64>,
}

#[derive(Debug)]
struct Started {
    dir: PathBuf,
    ports: Ports,
    process: Option<(Child, Guard)>,
}

impl Broker {
    /// Starts it with its files below `dir` (its data in `dir/data`, which must not hold anything yet), and waits until it
    /// answers. One that runs already is only asked whether it does.
    ///
    /// # Errors
    /// It cannot be started, ends or does not answer within three minutes; the end of its log is quoted.
    pub fn start(spec: &Spec, dir: &Path) -> Result<Broker, BenchError> {
        if let Spec::Running { bootstrap, .. } = spec {
            check_running(bootstrap)?;
            let about = About::default();
            let (spec, started) = (spec.clone(), None);
            return Ok(Broker { spec, about, started, start_ms: None, restart_ms: None });
        }
        fs::create_dir_all(dir.join("data")).map_err(|error| {
            BenchError::failed(format!("{} cannot be made: {error}", dir.display()))
        })?;
        let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
        if fs::read_dir(dir.join("data")).is_ok_and(|mut entries| entries.next().is_some()) {
            let words = format!("{}/data is not empty", dir.display());
            return Err(BenchError::failed(words).fix("give a directory of its own"));
        }
        let about = launch::about(spec)?;
        let ports = Ports { clients: Port::take()?, second: Port::take()? };
        if let Spec::Kafka { sync, settings, .. } = spec {
            let (port, controller) = (ports.clients.number(), ports.second.number());
            kafka::prepare(&dir, port, controller, *sync, settings)?;
        }
        let mut broker = Broker {
            spec: spec.clone(),
            about,
            started: Some(Started { dir, ports, process: None }),
            start_ms: None,
            restart_ms: None,
        };
        broker.start_ms = Some(broker.spawn()?);
        Ok(broker)
    }

    /// Where a load finds it.
    pub fn at(&self) -> Where {
        match (&self.spec, &self.started) {
            (Spec::Running { bootstrap, pid, admin }, _) => {
                Where { bootstrap: bootstrap.clone(), pid: *pid, admin: admin.clone() }
            }
            (_, Some(started)) => Where {
                bootstrap: vec![started.ports.clients.address().to_string()],
                pid: self.pid(),
                admin: self.about.admin.then(|| started.ports.second.address().to_string()),
            },
            (_, None) => unreachable!("what does not run already was started"),
        }
    }

    /// What it was started from.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Its process, where known.
    pub fn pid(&self) -> Option<u32> {
        match (&self.spec, &self.started) {
            (Spec::Running { pid, .. }, _) => *pid,
            (_, Some(Started { process: Some((child, _)), .. })) => Some(child.id()),
            _ => None,
        }
    }

    /// Milliseconds from its start to its first answer, if it was started here.
    pub fn start_ms(&self) -> Option<f64> {
        self.start_ms
    }

    /// Kills it as a failure of the process would (`kill -9`), starts it again on the same port and data, and returns the
    /// milliseconds from that start to its first answer.
    ///
    /// # Errors
    /// It was not started here, or does not come back.
    pub fn kill_and_restart(&mut self) -> Result<f64, BenchError> {
        if self.started.is_none() {
            let words = format!("{} was not started here, so it is not killed", self.spec.label());
            return Err(BenchError::failed(words));
        }
        self.kill();
        let ms = self.spawn()?;
        self.restart_ms = Some(ms);
        Ok(ms)
    }

    /// Stops its threads (SIGSTOP) until [`Broker::go_on`]: it uses no processor while another one is measured, and keeps
    /// its memory and its compiled code. One that was not started here is left alone.
    ///
    /// # Errors
    /// It is gone.
    pub fn pause(&self) -> Result<(), BenchError> {
        self.signal(Signal::STOP)?;
        let asked = Instant::now();
        while self.pid().is_some_and(|pid| process::state(pid) != Some('T')) && self.is_ours() {
            if asked.elapsed() > STOP_MAX {
                return Err(BenchError::failed(format!("{} does not stop", self.spec.label())));
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    fn is_ours(&self) -> bool {
        self.started.is_some()
    }

    /// Ends [`Broker::pause`] and waits until it answers.
    ///
    /// # Errors
    /// It is gone or does not answer.
    pub fn go_on(&mut self) -> Result<(), BenchError> {
        self.signal(Signal::CONT)?;
        if matches!(self.spec, Spec::Kafka { .. }) {
            std::thread::sleep(FENCED_MAX);
        }
        match self.started {
            Some(_) => self.wait_until_ready(Instant::now()).map(|_| ()),
            None => Ok(()),
        }
    }

    /// What is known of it, for a result.
    pub fn facts(&self) -> model::Broker {
        let (settings, durability) = match &self.spec {
            Spec::Heddle { settings, .. } => {
                let class = settings.iter().rev().find(|(key, _)| key == "ack.durability");
                let class = class.map_or("device", |(_, class)| class);
                (settings.clone(), Some(class.to_owned()))
            }
            Spec::Kafka { sync, settings, .. } => {
                let words = match sync {
                    true => "log.flush.interval.messages=1",
                    false => "no sync before the acknowledgement",
                };
                (settings.clone(), Some(words.to_owned()))
            }
            _ => (Vec::new(), None),
        };
        model::Broker {
            software: self.about.software.clone(),
            durability,
            settings: settings.into_iter().collect(),
            pid: self.pid(),
            resident_bytes: self.pid().and_then(process::resident),
            start_ms: self.start_ms,
            restart_ms: self.restart_ms,
            ..model::Broker::default()
        }
    }

    /// Adds what is known of it to what a load learnt from it.
    pub fn complete(&self, told: &mut model::Broker) {
        complete(told, self.facts());
    }

    /// Stops it in order (SIGTERM, after half a minute SIGKILL) and removes its data. One that was not started here goes on.
    ///
    /// # Errors
    /// Its data cannot be removed.
    pub fn stop(mut self) -> Result<(), BenchError> {
        self.signal(Signal::CONT)?;
        self.signal(Signal::TERM)?;
        if let Some(Started { process: Some((child, _)), .. }) = &mut self.started {
            let asked = Instant::now();
            while matches!(child.try_wait(), Ok(None)) && asked.elapsed() < STOP_MAX {
                std::thread::sleep(POLL);
            }
        }
        self.end()
    }

    fn end(&mut self) -> Result<(), BenchError> {
        self.kill();
        let Some(started) = &self.started else { return Ok(()) };
        let data = started.dir.join("data");
        match fs::remove_dir_all(&data) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(BenchError::failed(format!("{} cannot be removed: {error}", data.display())))
            }
            _ => Ok(()),
        }
    }

    fn kill(&mut self) {
        // One that has ended already is only waited for.
        let _ = self.signal(Signal::KILL);
        let Some(started) = &mut self.started else { return };
        if let Some((mut child, guard)) = started.process.take() {
            let _ = child.wait();
            guard.dismiss();
        }
    }

    fn signal(&self, signal: Signal) -> Result<(), BenchError> {
        let Some(Started { process: Some((child, _)), .. }) = &self.started else { return Ok(()) };
        // A child that was not waited for keeps its number, so nobody else is hit.
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        match group.map(|group| kill_process_group(group, signal)) {
            Some(Ok(())) => Ok(()),
            _ => Err(BenchError::failed(format!("{} is gone", self.spec.label()))),
        }
    }

    fn spawn(&mut self) -> Result<f64, BenchError> {
        let Broker { spec, about, started, .. } = self;
        let Some(started) = started else { unreachable!("only what is started here is spawned") };
        let mut command = launch::command(spec, &started.dir, &started.ports, about)?;
        let mut guard = Guard::new(Some(&started.dir.join("data")))?;
        let began = Instant::now();
        match command.spawn() {
            Ok(child) => {
                guard.watch(child.id());
                started.process = Some((child, guard));
            }
            Err(error) => {
                guard.dismiss();
                let program = command.get_program().to_string_lossy();
                return Err(BenchError::failed(format!("{program} does not start: {error}")));
            }
        }
        self.wait_until_ready(began)
    }

    fn wait_until_ready(&mut self, began: Instant) -> Result<f64, BenchError> {
        let poll = if matches!(self.spec, Spec::Kafka { .. }) { POLL_JVM } else { POLL };
        let label = self.spec.label();
        let Some(Started { dir, ports, process: Some((child, _)) }) = &mut self.started else {
            unreachable!("it was just started")
        };
        loop {
            if answers(ports.clients.address(), ANSWER_MAX) {
                return Ok(began.elapsed().as_secs_f64() * 1e3);
            }
            if let Ok(Some(status)) = child.try_wait() {
                return Err(died(&label, status, dir));
            }
            if began.elapsed() > READY_MAX {
                let words = format!("{label} does not answer after {} s", READY_MAX.as_secs());
                return Err(BenchError::failed(words + &quote(dir)));
            }
            std::thread::sleep(poll);
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Whoever wants to know whether the data went calls `stop`.
        let _ = self.end();
    }
}

fn died(label: &str, status: ExitStatus, dir: &Path) -> BenchError {
    BenchError::failed(format!("{label} ended at its start with {status}{}", quote(dir)))
}

/// The end of what it said.
fn quote(dir: &Path) -> String {
    let mut words = String::new();
    for name in ["log", "server.log"] {
        let path = dir.join(name);
        let text = fs::read(&path).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        if !lines.is_empty() {
            let end = lines[lines.len().saturating_sub(QUOTED)..].join("\n");
            words += &format!("\n--- {} ends with\n{end}", path.display());
        }
    }
    words
}

fn check_running(bootstrap: &[String]) -> Result<(), BenchError> {
    let addresses = |text: &String| -> Vec<SocketAddr> {
        text.to_socket_addrs().map(Iterator::collect).unwrap_or_default()
    };
    let mut all = bootstrap.iter().flat_map(addresses);
    match all.any(|address| answers(address, Duration::from_secs(5))) {
        true => Ok(()),
        false => Err(BenchError::failed(format!("no broker answers at {}", bootstrap.join(", ")))
            .fix("start it, or name the address it listens on")),
    }
}

fn complete(told: &mut model::Broker, facts: model::Broker) {
    told.software = told.software.take().or(facts.software);
    told.durability = told.durability.take().or(facts.durability);
    told.pid = told.pid.or(facts.pid);
    told.resident_bytes = told.resident_bytes.or(facts.resident_bytes);
    told.start_ms = told.start_ms.or(facts.start_ms);
    told.restart_ms = told.restart_ms.or(facts.restart_ms);
    if told.settings.is_empty() {
        told.settings = facts.settings;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::model::Broker as Facts;

    #[test]
    fn what_the_load_learnt_goes_before_what_is_known() {
        let facts = Facts {
            software: Some("known".into()),
            durability: Some("device".into()),
            start_ms: Some(12.0),
            ..Facts::default()
        };
        let mut told = Facts { software: Some("learnt".into()), ..Facts::default() };
        complete(&mut told, facts);
        assert_eq!(told.software.as_deref(), Some("learnt"));
        assert_eq!(told.durability.as_deref(), Some("device"));
        assert_eq!(told.start_ms, Some(12.0));
    }
}
