//! The server as our direct child: spawned so that it cannot outlive us, watched until it is ready, stopped.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// How often files and processes are looked at while waiting; neither can be waited for otherwise.
const GLANCE: Duration = Duration::from_millis(10);

struct Birth {
    command: Command,
    answer: mpsc::Sender<io::Result<Child>>,
}

/// Spawns `command` in its own process group, asking the kernel to interrupt it when this process ends.
///
/// The kernel means the *thread* that forked, so all servers are children of one thread that lives as long as the
/// process does; a thread of a runtime's pool may end at any time and would take the server with it.
pub(super) fn spawn_kept(mut command: Command) -> io::Result<Child> {
    static NURSE: OnceLock<mpsc::Sender<Birth>> = OnceLock::new();
    command.process_group(0);
    end_with_parent(&mut command);
    let nurse = NURSE.get_or_init(|| {
        let (births, arriving) = mpsc::channel::<Birth>();
        let spawned = thread::Builder::new().name("cluster".into()).spawn(move || {
            for mut birth in arriving {
                // The asker may be gone, and then nobody needs the child.
                if let Err(mpsc::SendError(Ok(mut orphan))) = birth.answer.send(birth.command.spawn()) {
                    let _ = orphan.kill();
                    let _ = orphan.wait();
                }
            }
        });
        drop(spawned);
        births
    });
    let (answer, answered) = mpsc::channel();
    let gone = || io::Error::other("the thread that starts servers could not be started");
    nurse.send(Birth { command, answer }).map_err(|_| gone())?;
    answered.recv().map_err(|_| gone())?
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn end_with_parent(command: &mut Command) {
    let parent = rustix::process::getpid();
    // SAFETY: the closure runs between fork and exec, where only async-signal-safe calls are allowed: it makes two
    // plain system calls (prctl, getppid), allocates nothing and takes no lock. `io::Error::from_raw_os_error`
    // allocates nothing either.
    unsafe {
        command.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(Some(Signal::INT))?;
            // A parent that died before the request above would never be noticed.
            if rustix::process::getppid() == Some(parent) {
                Ok(())
            } else {
                Err(io::Error::from_raw_os_error(rustix::io::Errno::SRCH.raw_os_error()))
            }
        });
    }
}

/// Other systems know no such request: there, a server that is left behind is reported at the next start.
#[cfg(not(target_os = "linux"))]
fn end_with_parent(_: &mut Command) {}

/// What `postmaster.pid` says about the server of a data folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PidFile {
    pub(super) pid: u32,
    pub(super) port: Option<u16>,
    pub(super) ready: bool,
}

impl PidFile {
    /// `None` when there is no such file or it is not (yet) readable as one.
    pub(super) fn read(data: &Path) -> Option<PidFile> {
        parse_pid_file(&fs::read_to_string(data.join("postmaster.pid")).ok()?)
    }

    /// Whether the process of the file is alive and really is a server on that folder, not a later process that was
    /// given the same number.
    pub(super) fn is_live(&self, data: &Path) -> bool {
        let Some(pid) = to_pid(self.pid) else { return false };
        match rustix::process::test_kill_process(pid) {
            Ok(()) | Err(rustix::io::Errno::PERM) => {}
            Err(_) => return false,
        }
        if !cfg!(target_os = "linux") {
            return true;
        }
        // The server works inside its data folder.
        match (fs::read_link(format!("/proc/{}/cwd", self.pid)), data.canonicalize()) {
            (Ok(works_in), Ok(folder)) => works_in == folder,
            // Another user's process: its folder is not ours to see, its name is.
            _ => fs::read_to_string(format!("/proc/{}/comm", self.pid))
                .is_ok_and(|name| name.trim() == "postgres"),
        }
    }
}

/// Line 1 is the process, line 4 the port, line 8 the state, padded with blanks.
fn parse_pid_file(text: &str) -> Option<PidFile> {
    let mut lines = text.lines();
    let pid = lines.next()?.trim().parse().ok()?;
    let port = lines.nth(2).and_then(|line| line.trim().parse().ok());
    let ready = lines.nth(3).is_some_and(|line| line.trim() == "ready");
    Some(PidFile { pid, port, ready })
}

/// How a start went.
#[derive(Debug)]
pub(super) enum Birthday {
    Ready,
    Ended,
    Slow,
}

/// Waits until the server says that it is ready.
pub(super) fn wait_until_ready(child: &mut Child, data: &Path, patience: Duration) -> io::Result<Birthday> {
    let started = Instant::now();
    loop {
        if PidFile::read(data).is_some_and(|file| file.pid == child.id() && file.ready) {
            return Ok(Birthday::Ready);
        }
        if child.try_wait()?.is_some() {
            return Ok(Birthday::Ended);
        }
        if started.elapsed() > patience {
            return Ok(Birthday::Slow);
        }
        thread::sleep(GLANCE);
    }
}

/// Asks the server to end (sessions are closed, nothing is lost), more firmly if it does not.
///
/// A server that stops waits for every reader of a stream to confirm what it was sent; a reader that does not is
/// what the firmer ways are for.
pub(super) fn stop(child: &mut Child) {
    for (signal, patience) in [(Signal::INT, 15), (Signal::QUIT, 5)] {
        if let Some(pid) = to_pid(child.id()) {
            let _ = rustix::process::kill_process(pid, signal);
        }
        if ended_within(child, Duration::from_secs(patience)) {
            return;
        }
    }
    kill(child);
}

/// Ends the server and its sessions as a power cut would: at once, without a checkpoint.
pub(super) fn kill(child: &mut Child) {
    // Each session is a process group of its own, so the group of the server alone is not enough.
    let sessions = children_of(child.id());
    if let Some(pid) = to_pid(child.id()) {
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    }
    for session in sessions.iter().copied().filter_map(to_pid) {
        let _ = rustix::process::kill_process(session, Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
    // Until the last of them is gone they hold the shared memory, and a new server would refuse to start.
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(5) && sessions.iter().any(|session| is_running(*session)) {
        thread::sleep(GLANCE);
    }
}

fn ended_within(child: &mut Child, patience: Duration) -> bool {
    let started = Instant::now();
    loop {
        match child.try_wait() {
            Ok(None) if started.elapsed() < patience => thread::sleep(GLANCE),
            Ok(None) => return false,
            Ok(Some(_)) | Err(_) => return true,
        }
    }
}

fn to_pid(id: u32) -> Option<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw)
}

/// Neither gone nor a zombie that only waits to be collected.
fn is_running(id: u32) -> bool {
    match stat_of(id) {
        Some((state, _)) => state != 'Z',
        None => false,
    }
}

fn children_of(parent: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|id| stat_of(*id).is_some_and(|(_, above)| above == parent))
        .collect()
}

/// State and parent of a process; its name, which may hold anything, stands in parentheses before them.
fn stat_of(id: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let mut parts = stat.rsplit_once(')')?.1.split_whitespace();
    Some((parts.next()?.chars().next()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_is_read_at_every_stage_of_a_start() {
        let early = "4711\n/data\n1700000000\n54321\n\n";
        assert_eq!(parse_pid_file(early), Some(PidFile { pid: 4711, port: Some(54321), ready: false }));
        let starting = format!("{early}127.0.0.1\n  1 2\nstarting\n");
        assert!(!parse_pid_file(&starting).unwrap().ready);
        let ready = format!("{early}127.0.0.1\n  1 2\nready   \n");
        assert!(parse_pid_file(&ready).unwrap().ready);
        assert_eq!(parse_pid_file(""), None);
    }

    #[test]
    fn a_process_that_merely_has_the_number_is_not_a_live_server() {
        let folder = tempfile::tempdir().unwrap();
        let ourselves = PidFile { pid: std::process::id(), port: Some(1), ready: true };
        assert_eq!(ourselves.is_live(folder.path()), !cfg!(target_os = "linux"));
    }
}
