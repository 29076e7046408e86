//! `rowtwin` as a process of its own, on the database of a scene.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::support::Scene;

/// The configuration of a scene, with what is said on top of it, in a folder of its own.
pub fn folder(scene: &Scene, more: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("{}{more}", scene.file());
    std::fs::write(folder.path().join("rowtwin.yaml"), text).unwrap();
    folder
}

/// The command, with nothing of the caller's settings.
pub fn command(folder: &tempfile::TempDir, url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rowtwin"));
    command
        .current_dir(folder.path())
        .env("ROWTWIN_DATABASE_URL", url)
        .env_remove("ROWTWIN_CONFIG")
        .env_remove("NOTIFY_SOCKET")
        .env("NO_COLOR", "1");
    command
}

/// A `rowtwin run` that ends with the test at the latest.
pub struct Process {
    child: Child,
    said: Receiver<String>,
    log: Mutex<String>,
}

impl Process {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.arg("run").stderr(Stdio::piped()).spawn().unwrap();
        let (tell, said) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Self { child, said, log: Mutex::default() }
    }

    /// Where it serves its numbers, as it says itself.
    pub fn address(&self) -> String {
        loop {
            let line = self.said.recv_timeout(Duration::from_secs(30)).expect("the process serves");
            if let Some(rest) = line.split("http://").nth(1) {
                return rest.split('/').next().unwrap().to_owned();
            }
        }
    }

    /// Whether these words were among what it said so far.
    pub fn has_said(&self, words: &str) -> bool {
        let mut log = self.log.lock().unwrap();
        log.extend(self.said.try_iter());
        log.contains(words)
    }

    /// SIGTERM, and the exit code.
    pub fn stop(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
