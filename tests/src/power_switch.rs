//! Takes the power from a file system at one instant: `FS_IOC_SHUTDOWN` without a flush of its log.
//!
//! What it held in memory is gone and every further operation fails. The call is made by a process that was started ahead
//! and waits, so that it comes within a millisecond of being asked for.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

const PROGRAM: &str = include_str!("power_switch.py");

/// A switch that was not pressed yet.
pub struct PowerSwitch {
    process: Child,
    said: BufReader<ChildStdout>,
}

impl PowerSwitch {
    /// The switch of the file system mounted at `mount`.
    ///
    /// # Panics
    /// When there is no Python 3, or no such mount.
    pub fn of(mount: &Path) -> Self {
        let mut process = Command::new("python3")
            .args(["-c", PROGRAM])
            .arg(mount)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is there");
        let said = BufReader::new(process.stdout.take().expect("piped"));
        let mut switch = Self { process, said };
        switch.hears("ready");
        switch
    }

    /// Presses it.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn press(mut self) {
        let mut input = self.process.stdin.take().expect("piped and not used yet");
        input.write_all(b"cut\n").expect("it waits for this");
        self.hears("cut");
    }

    fn hears(&mut self, word: &str) {
        let mut line = String::new();
        self.said.read_line(&mut line).expect("its output is text");
        assert_eq!(line.trim(), word, "the power switch failed");
    }
}

impl Drop for PowerSwitch {
    fn drop(&mut self) {
        // Without a line it ends by itself; it must not hold the mount until it has noticed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
