//! Processes of ours: started with a log, signalled, restarted as a service manager would.

use std::fs::{File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};

/// What `rowtwin run` says when it begins to work.
const AT_WORK: &str = "rowtwin runs";

/// Sends a signal; false where nobody is there any more.
pub fn signal(pid: u32, signal: Signal) -> bool {
    i32::try_from(pid).ok().and_then(Pid::from_raw).is_some_and(|pid| kill_process(pid, signal).is_ok())
}

/// The processes whose parent this is.
pub fn children_of(parent: u32) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers.filter(|pid| parent_of(*pid) == Some(parent)).collect()
}

/// Whether a process is there and is more than an entry that waits to be collected.
pub fn is_alive(pid: u32) -> bool {
    stat_of(pid).is_some_and(|(state, _)| state != 'Z')
}

fn parent_of(pid: u32) -> Option<u32> {
    stat_of(pid).map(|(_, parent)| parent)
}

fn stat_of(pid: u32) -> Option<(char, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // the name, in parentheses, may hold anything
    let mut words = stat.rsplit_once(')')?.1.split_whitespace();
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
}

/// How a program ended by itself.
#[derive(Debug, Clone)]
pub struct End {
    /// Whether it was at work, or did not get that far.
    pub at_work: bool,
    /// Its exit status and last words.
    pub how: String,
}

/// A program that is started anew whenever it ends.
pub struct Kept {
    pub name: String,
    pub log: PathBuf,
    arguments: Vec<String>,
    folder: PathBuf,
    environment: Vec<(String, String)>,
    state: Mutex<State>,
}

struct State {
    child: Option<Child>,
    start_at: Instant,
    starts: u32,
    /// How it ended when nobody had killed it.
    ends: Vec<End>,
    /// Where in the log its present life begins.
    log_from: usize,
    retired: bool,
}

impl Kept {
    pub fn new(name: &str, folder: PathBuf, arguments: &[&str], environment: Vec<(String, String)>) -> Self {
        let state = State {
            child: None,
            start_at: Instant::now(),
            starts: 0,
            ends: Vec::new(),
            log_from: 0,
            retired: false,
        };
        Self {
            name: name.to_owned(),
            log: folder.join(format!("{name}.log")),
            arguments: arguments.iter().map(|one| (*one).to_owned()).collect(),
            folder,
            environment,
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_log(&self) -> std::io::Result<File> {
        OpenOptions::new().create(true).append(true).open(&self.log)
    }

    /// Starts the program if it does not run and its time has come; notes how it ended if nobody killed it.
    pub fn look_after(&self) -> anyhow::Result<()> {
        let mut state = self.state();
        if let Some(child) = &mut state.child {
            let Some(ended) = child.try_wait()? else { return Ok(()) };
            state.child = None;
            let said = self.said();
            let said = said.get(state.log_from..).unwrap_or_default();
            let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
            let error = said.lines().rev().find(|line| line.starts_with("error:")).unwrap_or(last);
            let how = format!("{ended}: {}", error.chars().take(200).collect::<String>());
            state.ends.push(End { at_work: said.contains(AT_WORK), how });
            state.start_at = Instant::now() + Duration::from_millis(500);
        }
        if state.retired || Instant::now() < state.start_at {
            return Ok(());
        }
        let log = self.open_log()?;
        state.log_from = self.said().len();
        let child = Command::new(env!("CARGO_BIN_EXE_rowtwin"))
            .args(&self.arguments)
            .current_dir(&self.folder)
            .envs(self.environment.iter().cloned())
            .env_remove("ROWTWIN_CONFIG")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C is for the conductor, which ends everything in order
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {}", self.name))?;
        state.child = Some(child);
        state.starts += 1;
        Ok(())
    }

    pub fn pid(&self) -> Option<u32> {
        self.state().child.as_ref().map(Child::id)
    }

    pub fn starts(&self) -> u32 {
        self.state().starts
    }

    /// How it ended when nobody had killed it, so far.
    pub fn ends(&self) -> Vec<End> {
        self.state().ends.clone()
    }

    /// SIGKILL; it is started again after a while. False where it did not run.
    pub fn kill(&self, again_after: Duration) -> bool {
        let mut state = self.state();
        let Some(mut child) = state.child.take() else { return false };
        let killed = child.kill().is_ok();
        let _ = child.wait();
        state.start_at = Instant::now() + again_after;
        killed
    }

    /// SIGTERM, and SIGKILL where that takes too long; it is started again after a while. Says whether it ended well.
    pub async fn stop(&self, patience: Duration, again_after: Duration) -> Option<bool> {
        let mut child = {
            let mut state = self.state();
            state.start_at = Instant::now() + patience + again_after;
            state.child.take()?
        };
        signal(child.id(), Signal::TERM);
        let began = Instant::now();
        let well = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status.success(),
                Ok(None) if began.elapsed() < patience => tokio::time::sleep(Duration::from_millis(20)).await,
                _ => {
                    let _ = child.kill();
                    let _ = child.wait();
                    break false;
                }
            }
        };
        self.state().start_at = Instant::now() + again_after;
        Some(well)
    }

    /// SIGSTOP, and SIGCONT after a while. False where it did not run.
    pub async fn pause(&self, how_long: Duration) -> bool {
        let Some(pid) = self.pid() else { return false };
        let paused = signal(pid, Signal::STOP);
        tokio::time::sleep(how_long).await;
        // its number is not given to another as long as nobody has collected it
        if self.pid() == Some(pid) {
            signal(pid, Signal::CONT);
        }
        paused
    }

    /// Ends it for good.
    pub fn retire(&self) {
        self.state().retired = true;
        self.kill(Duration::ZERO);
    }

    /// What it has written so far.
    pub fn said(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.retire();
    }
}
