//! Ends a broker when this process is gone, however it ended.
//!
//! A broker runs in a process group of its own, so that Ctrl-C reaches the measurement alone. Beside it waits a shell that
//! reads from a pipe whose other end only this process holds: the pipe ends when this process does, by `kill -9` as
//! well as by a panic, and the shell kills the broker and removes its data. That a broker was ended in order is
//! said through the pipe, so that no other process of the same number is ever hit.
//! `prctl(PR_SET_PDEATHSIG)` would watch the thread that started the broker instead, and needs unsafe code.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::error::BenchError;

/// The first line is the process to watch, the second says that it was ended. SIGKILL ends what SIGSTOP has stopped as well.
const WATCH: &str = r#"read pid || exit 0; read word && exit 0
kill -s KILL -- "-$pid" 2>/dev/null; [ -z "$1" ] || rm -rf -- "$1""#;

/// Watches over one process group, named by its leader.
#[derive(Debug)]
pub struct Guard {
    shell: Child,
}

impl Guard {
    /// Begins to wait, before the process is started: so there is hardly a moment at which it is not watched.
    /// `data` is removed when the process is killed.
    ///
    /// # Errors
    /// `sh` cannot be started.
    pub fn new(data: Option<&Path>) -> Result<Guard, BenchError> {
        let shell = Command::new("sh")
            .args(["-c", WATCH, "guard"])
            .arg(data.unwrap_or(Path::new("")))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|error| BenchError::failed(format!("sh does not start: {error}")))?;
        Ok(Guard { shell })
    }

    /// From now on the group that `pid` leads ends with this process.
    pub fn watch(&mut self, pid: u32) {
        self.say(&format!("{pid}\n"));
    }

    /// The process has ended and was waited for, or was never started.
    pub fn dismiss(mut self) {
        self.say("ended\nended\n");
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }

    fn say(&mut self, words: &str) {
        if let Some(pipe) = &mut self.shell.stdin {
            // A shell that somebody ended has nothing left to do.
            let _ = pipe.write_all(words.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Child {
        let mut command = Command::new("sleep");
        command.arg("600").process_group(0).spawn().expect("sleep is on every machine")
    }

    #[test]
    fn a_process_ends_with_the_pipe() {
        let mut child = sleeper();
        let data = std::env::temp_dir().join(format!("heddle-guard-{}", child.id()));
        std::fs::create_dir_all(data.join("deep")).expect("a directory for temporary files");
        let mut guard = Guard::new(Some(&data)).expect("sh is on every machine");
        guard.watch(child.id());
        // What the kernel does when this process ends.
        drop(guard.shell.stdin.take());
        let status = child.wait().expect("a child");
        assert!(!status.success(), "it was killed");
        guard.shell.wait().expect("a child");
        assert!(!data.exists(), "its data went with it");
    }

    #[test]
    fn a_process_that_ended_in_order_is_left_alone() {
        let mut child = sleeper();
        let mut guard = Guard::new(None).expect("sh is on every machine");
        guard.watch(child.id());
        guard.dismiss();
        assert!(child.try_wait().expect("a child").is_none(), "it goes on");
        child.kill().expect("a child");
        child.wait().expect("a child");
    }
}
