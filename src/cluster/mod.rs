//! The private Postgres of `demo`, `dev` and the tests: found or installed, made, run as our child, stopped.
//!
//! It listens on 127.0.0.1 only, never touches another cluster of the machine, and ends with this process. Nothing
//! here is needed to mirror into a Postgres that exists already.

mod binaries;
mod error;
mod folder;
mod owner;
mod process;

use std::fs::OpenOptions;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use secrecy::SecretString;

pub use binaries::{ServerBinaries, find_or_provide};
pub use error::ClusterError;

use error::doing;
use folder::Home;
use owner::Owner;
use process::Birthday;

/// How long a start may take; recovery after a crash is part of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often another free port is tried when somebody else takes the chosen one in the meantime.
const PORT_TRIES: usize = 5;

/// Where the data of a cluster live.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum DataFolder {
    /// In a new folder that is removed at the end.
    #[default]
    Temporary,
    /// In this folder, which is made at the first start and used again at later ones.
    Kept(PathBuf),
}

/// A certificate and its private key, both PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// What kind of cluster to start. The default is a temporary one for tests.
#[derive(Debug, Clone, Default)]
pub struct ClusterOptions {
    pub data: DataFolder,
    /// The port on 127.0.0.1; any free one when `None`.
    pub port: Option<u16>,
    /// Whether the data survive a crash of the machine. Off, starts and tests are faster; a crash of the server
    /// alone loses nothing either way.
    pub durable: bool,
    /// Further server settings, as name and value; they overrule ours.
    pub settings: Vec<(String, String)>,
    /// The version wanted; see [`find_or_provide`] for `None`.
    pub major: Option<u32>,
    /// Offers TLS with this certificate.
    pub tls: Option<TlsFiles>,
    /// Asks every client for this password of the user `postgres` (SCRAM). Set when the cluster is made, so a kept
    /// folder keeps the password of its first start. Without it every local client is trusted.
    pub password: Option<SecretString>,
}

/// A running private Postgres. Dropping it stops the server; a temporary folder goes with it.
#[derive(Debug)]
pub struct Cluster {
    options: ClusterOptions,
    binaries: ServerBinaries,
    owner: Option<Owner>,
    home: Home,
    port: u16,
    child: Option<Child>,
}

impl Cluster {
    /// Finds or installs a server, makes the cluster if it is new, starts it, and returns once it takes connections.
    ///
    /// `say` is told what is installed and from where, if anything is; nothing otherwise.
    ///
    /// # Errors
    /// See [`ClusterError`]: each says what to do. A server that runs on the folder already is left alone.
    pub fn start(options: ClusterOptions, say: &mut dyn FnMut(&str)) -> Result<Cluster, ClusterError> {
        let owner = Owner::of_this_process()?;
        let home = Home::open(&options.data, owner.as_ref())?;
        let found = home.major()?;
        if let (Some(found), Some(wanted)) = (found, options.major)
            && found != wanted
        {
            return Err(ClusterError::OtherMajor { folder: home.path().to_owned(), found, wanted });
        }
        // A kept cluster asks for the version that made it, whatever the environment prefers for new ones.
        let binaries = find_or_provide(found.or(options.major), say)?;
        if let Some(found) = found
            && found != binaries.major
        {
            let folder = home.path().to_owned();
            return Err(ClusterError::OtherMajor { folder, found, wanted: binaries.major });
        }
        if let Some(owner) = &owner {
            owner.check_reachable(&binaries.bin.join("postgres"))?;
        }
        home.clear_stale_pid()?;
        if found.is_none() {
            home.initialise(&binaries, owner.as_ref(), options.password.as_ref(), options.durable)?;
        }
        home.allow_clients(options.password.is_some(), owner.as_ref())?;
        if let Some(tls) = &options.tls {
            home.install_tls(tls, owner.as_ref())?;
        }
        let mut cluster = Cluster { port: 0, options, binaries, owner, home, child: None };
        cluster.launch()?;
        Ok(cluster)
    }

    /// How clients reach a database of this cluster: `postgres://postgres@127.0.0.1:PORT/DATABASE`.
    ///
    /// A password, where one was set, is not in it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The port on 127.0.0.1; it stays the same over restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The programs that this cluster runs with.
    pub fn binaries(&self) -> &ServerBinaries {
        &self.binaries
    }

    /// The server's major version, such as 17.
    pub fn version(&self) -> u32 {
        self.binaries.major
    }

    /// Where the server writes what it has to say.
    pub fn log_path(&self) -> &Path {
        self.home.log()
    }

    /// The folder of the cluster: data, log and lock files are below it.
    pub fn folder(&self) -> &Path {
        self.home.path()
    }

    /// Whether the folder is removed at the end.
    pub fn is_temporary(&self) -> bool {
        matches!(self.options.data, DataFolder::Temporary)
    }

    /// Whether the server runs.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Stops the server cleanly: sessions are closed, a checkpoint is written. The folder stays until the drop.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            process::stop(&mut child);
        }
    }

    /// Ends the server and all its sessions at once, as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            process::kill(&mut child);
        }
    }

    /// Starts the server again on the same port, stopping it first if it runs.
    ///
    /// # Errors
    /// Those of a start.
    pub fn restart(&mut self) -> Result<(), ClusterError> {
        self.stop();
        self.home.clear_stale_pid()?;
        self.launch()
    }

    /// Runs the server and waits until it is ready; a free port that somebody else took meanwhile is replaced.
    fn launch(&mut self) -> Result<(), ClusterError> {
        let fixed = (self.port != 0).then_some(self.port).or(self.options.port);
        let mut tries = PORT_TRIES;
        loop {
            let port = match fixed {
                Some(port) => port,
                None => free_port()?,
            };
            match self.launch_on(port) {
                Err(ClusterError::Ended { said, .. })
                    if fixed.is_none() && tries > 1 && said.contains("could not bind") =>
                {
                    tries -= 1;
                }
                result => return result,
            }
        }
    }

    fn launch_on(&mut self, port: u16) -> Result<(), ClusterError> {
        let log_path = self.home.log().to_owned();
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log_path)
            .map_err(doing(format!("open the log {}", log_path.display())))?;
        let read_before = log.metadata().map_or(0, |metadata| metadata.len());
        let copy = log.try_clone().map_err(doing("share the server's log"))?;
        let mut command = Command::new(self.binaries.bin.join("postgres"));
        command.arg("-D").arg(self.home.data());
        for (name, value) in self.settings(port) {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        // The caller's folder may be closed to the user that runs the server.
        command.current_dir("/").stdin(Stdio::null()).stdout(log).stderr(copy);
        folder::forget_client_settings(&mut command);
        if let Some(owner) = &self.owner {
            owner.lend(&mut command);
        }
        let mut child = process::spawn_kept(command).map_err(doing("start Postgres"))?;
        let outcome = process::wait_until_ready(&mut child, self.home.data(), PATIENCE)
            .map_err(doing("wait for Postgres to start"));
        let said = || folder::last_words(&log_path, read_before);
        match outcome {
            Ok(Birthday::Ready) => {
                self.port = port;
                self.child = Some(child);
                Ok(())
            }
            Ok(Birthday::Ended) => Err(ClusterError::Ended { said: said(), log: log_path }),
            Ok(Birthday::Slow) => {
                process::kill(&mut child);
                Err(ClusterError::Slow { seconds: PATIENCE.as_secs(), said: said(), log: log_path })
            }
            Err(error) => {
                process::kill(&mut child);
                Err(error)
            }
        }
    }

    fn settings(&self, port: u16) -> Vec<(String, String)> {
        let mut settings: Vec<(String, String)> = [
            ("wal_level", "logical"),
            ("listen_addresses", "127.0.0.1"),
            // A socket's path may be no longer than 107 bytes, which a folder's path easily exceeds.
            ("unix_socket_directories", ""),
            ("max_replication_slots", "64"),
            ("max_wal_senders", "64"),
            ("max_connections", "200"),
            ("logging_collector", "off"),
            ("log_destination", "stderr"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        settings.push(("port".into(), port.to_string()));
        if !self.options.durable {
            // `synchronous_commit` stays on: without it the stream shows a commit only after a delay.
            settings.push(("fsync".into(), "off".into()));
            settings.push(("full_page_writes".into(), "off".into()));
        }
        if self.options.tls.is_some() {
            settings.push(("ssl".into(), "on".into()));
        }
        settings.extend(self.options.settings.iter().cloned());
        settings
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.is_temporary() {
            // Nobody will read these data again, so the checkpoint of a clean stop would be in vain.
            self.kill();
        } else {
            self.stop();
        }
    }
}

fn free_port() -> Result<u16, ClusterError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(doing("find a free port on 127.0.0.1"))
}
