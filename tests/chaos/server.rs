//! The Postgres of the run: a private one whose data lie on a small disk of their own, where one can be had.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use rowtwin::cluster::{Cluster, ClusterOptions, DataFolder};
use rustix::process::Signal;

use crate::process::{children_of, is_alive, signal};

/// The disk: enough for the server and for the WAL that the slot retains while nobody can read it, and soon full.
const DISK: &str = "size=1g,mode=0755";
const SETTINGS: [(&str, &str); 7] = [
    ("max_wal_size", "64MB"),
    ("min_wal_size", "32MB"),
    ("shared_buffers", "32MB"),
    // a reader that was stopped holds the slot until this is over
    ("wal_sender_timeout", "10s"),
    ("max_replication_slots", "8"),
    ("max_wal_senders", "8"),
    ("log_min_messages", "log"),
];

pub struct Server {
    state: Mutex<State>,
    folder: PathBuf,
    /// Where the small disk is mounted.
    disk: Option<PathBuf>,
    pub port: u16,
}

struct State {
    cluster: Cluster,
    start_at: Instant,
    starts: u32,
}

impl Server {
    /// Makes a server below a folder; on a small disk if one can be mounted.
    pub fn start(folder: &Path) -> anyhow::Result<Self> {
        let disk = mount(&folder.join("disk"));
        let folder = disk.as_deref().unwrap_or(folder).join("postgres");
        let options = ClusterOptions {
            data: DataFolder::Kept(folder.clone()),
            durable: true,
            settings: SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            ..ClusterOptions::default()
        };
        let cluster = Cluster::start(options, &mut |line| eprintln!("{line}"))?;
        let port = cluster.port();
        let state = Mutex::new(State { cluster, start_at: Instant::now(), starts: 1 });
        Ok(Self { state, folder, disk, port })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    pub fn has_small_disk(&self) -> bool {
        self.disk.is_some()
    }

    pub fn starts(&self) -> u32 {
        self.state().starts
    }

    /// The first process of the server, if there is one.
    pub fn pid(&self) -> Option<u32> {
        let file = fs::read_to_string(self.folder.join("data/postmaster.pid")).ok()?;
        file.lines().next()?.trim().parse().ok().filter(|pid| is_alive(*pid))
    }

    /// The processes that serve the mirror's clients.
    pub fn sessions(&self) -> Vec<u32> {
        let of_mirror = |pid: &u32| {
            fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).contains(" mirror "))
        };
        self.pid().map(children_of).unwrap_or_default().into_iter().filter(of_mirror).collect()
    }

    /// Starts the server again if it has ended and its time has come. A start that fails (the disk is full) is tried again.
    pub async fn look_after(self: &Arc<Self>) {
        let server = Arc::clone(self);
        let _ = tokio::task::spawn_blocking(move || {
            let mut state = server.state();
            if !state.cluster.is_running() && Instant::now() >= state.start_at {
                match state.cluster.restart() {
                    Ok(()) => state.starts += 1,
                    Err(_) => state.start_at = Instant::now() + Duration::from_millis(300),
                }
            }
        })
        .await;
    }

    /// SIGKILL to the server and all of its processes: a power cut, but for the disk.
    pub async fn kill_all(self: &Arc<Self>, again_after: Duration) -> bool {
        let server = Arc::clone(self);
        let killed = tokio::task::spawn_blocking(move || {
            let mut state = server.state();
            let ran = state.cluster.is_running();
            state.cluster.kill();
            state.start_at = Instant::now() + again_after;
            ran
        });
        killed.await.unwrap_or(false)
    }

    /// SIGKILL to the first process alone; the others notice and end.
    pub async fn kill_first(self: &Arc<Self>, again_after: Duration) -> bool {
        let server = Arc::clone(self);
        let killed = tokio::task::spawn_blocking(move || {
            // nobody may start the next server while the processes of this one write to its data
            let mut state = server.state();
            let Some(pid) = server.pid() else { return false };
            let orphans = children_of(pid);
            let killed = signal(pid, Signal::KILL);
            let began = Instant::now();
            while orphans.iter().any(|pid| is_alive(*pid)) {
                if began.elapsed() > Duration::from_secs(5) {
                    orphans.iter().for_each(|pid| {
                        signal(*pid, Signal::KILL);
                    });
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            state.start_at = Instant::now() + again_after;
            killed
        });
        killed.await.unwrap_or(false)
    }

    /// SIGSTOP to these processes, and SIGCONT after a while.
    pub async fn pause(&self, processes: Vec<u32>, how_long: Duration) -> bool {
        let paused = processes.iter().filter(|pid| signal(**pid, Signal::STOP)).count() > 0;
        tokio::time::sleep(how_long).await;
        for pid in processes.into_iter().filter(|pid| is_alive(*pid)) {
            signal(pid, Signal::CONT);
        }
        paused
    }

    /// Every process of the server.
    pub fn processes(&self) -> Vec<u32> {
        let Some(first) = self.pid() else { return Vec::new() };
        let mut all = children_of(first);
        all.push(first);
        all
    }

    /// Fills the disk for a while. False where the server has no disk of its own.
    pub async fn fill_disk(&self, how_long: Duration) -> anyhow::Result<bool> {
        let Some(disk) = &self.disk else { return Ok(false) };
        // two of them may overlap
        let path = disk.join(format!("ballast-{}", uuid::Uuid::new_v4().simple()));
        let mut ballast = File::create(&path)?;
        for size in [1 << 20, 4 << 10] {
            let block = vec![0; size];
            // until the disk says that it is full
            while ballast.write_all(&block).is_ok() {}
        }
        // what waits for the next segment notices at once
        if let Ok((client, connection)) =
            tokio_postgres::connect(&self.url("mirror"), tokio_postgres::NoTls).await
        {
            let talking = tokio::spawn(connection);
            let _ = client
                .batch_execute("select pg_logical_emit_message(false, 'ballast', ''); select pg_switch_wal()")
                .await;
            talking.abort();
        }
        tokio::time::sleep(how_long).await;
        fs::remove_file(&path).context("emptying the disk")?;
        Ok(true)
    }

    /// Its processes, as the kernel sees them: number, state, what it waits for, title.
    pub fn describe(&self) -> String {
        let read = |pid: u32, what: &str| {
            let bytes = fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
            String::from_utf8_lossy(&bytes).replace('\0', " ").trim().chars().take(120).collect::<String>()
        };
        let line = |pid: u32| {
            let state =
                read(pid, "stat").rsplit_once(')').map(|(_, rest)| rest.chars().take(2).collect::<String>());
            format!("\n  {pid}{} {} {}", state.unwrap_or_default(), read(pid, "wchan"), read(pid, "cmdline"))
        };
        self.processes().into_iter().map(line).collect()
    }

    /// What the server has logged.
    pub fn log(&self) -> PathBuf {
        self.folder.join("postgres.log")
    }

    /// Ends the server for good.
    pub fn end(&self) {
        let mut state = self.state();
        state.start_at = Instant::now() + Duration::from_secs(3600);
        state.cluster.kill();
        if let Some(disk) = &self.disk {
            let _ = Command::new("umount").arg(disk).status();
        }
    }
}

/// Mounts a small disk in memory; `None` where that is not allowed.
fn mount(place: &Path) -> Option<PathBuf> {
    // outside of a view of our own a mount would stay behind if we were killed
    std::env::var_os(crate::OWN_MOUNTS)?;
    fs::create_dir(place).ok()?;
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", DISK, "tmpfs"]).arg(place).output().ok()?;
    mounted.status.success().then(|| place.to_owned())
}
