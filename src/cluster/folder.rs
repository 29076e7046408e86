//! The folder of a cluster: `data/` for Postgres, `postgres.log` beside it.

use std::fs::{self, DirBuilder, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::error::{ClusterError, doing};
use super::owner::{Owner, barrier_before};
use super::process::PidFile;
use super::{DataFolder, ServerBinaries, TlsFiles};

/// How much of the end of the log goes into an error.
const LAST_WORDS: u64 = 2000;

/// The paths of one cluster.
#[derive(Debug)]
pub(super) struct Home {
    path: PathBuf,
    data: PathBuf,
    log: PathBuf,
    temporary: bool,
}

impl Home {
    /// Makes the folder if need be and sees to it that the server's user can work in it.
    pub(super) fn open(folder: &DataFolder, owner: Option<&Owner>) -> Result<Home, ClusterError> {
        let (path, temporary) = match folder {
            DataFolder::Temporary => {
                let base = temporary_base(owner);
                sweep(&base);
                (base.join(random_name()), true)
            }
            DataFolder::Kept(path) => {
                (std::path::absolute(path).map_err(doing(format!("resolve {}", path.display())))?, false)
            }
        };
        if !path.is_dir() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(&path)
                .map_err(doing(format!("make the folder {}", path.display())))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700))
                .map_err(doing(format!("close the folder {} to others", path.display())))?;
            if let Some(owner) = owner {
                owner.give(&path)?;
            }
        }
        let home = Home { data: path.join("data"), log: path.join("postgres.log"), path, temporary };
        if let Some(owner) = owner {
            owner.check_reachable(&home.path)?;
        }
        Ok(home)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// The version that made the cluster; `None` when there is none yet.
    pub(super) fn major(&self) -> Result<Option<u32>, ClusterError> {
        let path = self.data.join("PG_VERSION");
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path).map_err(doing(format!("read {}", path.display())))?;
        Ok(text.trim().parse().ok())
    }

    /// Removes what a crashed server left; fails when a server runs here.
    ///
    /// Postgres clears such a file itself unless some other process of ours has been given the same number since.
    pub(super) fn clear_stale_pid(&self) -> Result<(), ClusterError> {
        let Some(file) = PidFile::read(&self.data) else { return Ok(()) };
        if file.is_live(&self.data) {
            let folder = self.path.clone();
            return Err(ClusterError::AlreadyRunning {
                folder,
                port: file.port.unwrap_or_default(),
                pid: file.pid,
            });
        }
        let path = self.data.join("postmaster.pid");
        fs::remove_file(&path).map_err(doing(format!("remove the stale {}", path.display())))
    }

    /// Runs `initdb`. The data folder appears only when it is whole, so an interrupted start can be repeated.
    pub(super) fn initialise(
        &self,
        binaries: &ServerBinaries,
        owner: Option<&Owner>,
        password: Option<&SecretString>,
        durable: bool,
    ) -> Result<(), ClusterError> {
        let unfinished = self.path.join("data.new");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)
                .map_err(doing(format!("remove the unfinished {}", unfinished.display())))?;
        }
        let mut command = Command::new(binaries.bin.join("initdb"));
        command
            .arg("-D")
            .arg(&unfinished)
            .args(["--username=postgres", "--encoding=UTF8", "--no-locale", "--no-instructions"])
            .args(["--auth-local=trust"]);
        if !durable {
            command.arg("--no-sync");
        }
        let secret_path = self.path.join("password.new");
        match password {
            Some(password) => {
                write_private(&secret_path, password.expose_secret().as_bytes(), owner)?;
                command.arg("--auth-host=scram-sha-256").arg("--pwfile").arg(&secret_path);
            }
            None => {
                command.arg("--auth-host=trust");
            }
        }
        command.current_dir("/").stdin(Stdio::null());
        forget_client_settings(&mut command);
        if let Some(owner) = owner {
            owner.lend(&mut command);
        }
        let output = command.output().map_err(doing("run initdb"));
        if password.is_some() {
            fs::remove_file(&secret_path).map_err(doing(format!("remove {}", secret_path.display())))?;
        }
        let output = output?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(ClusterError::Initdb { folder: self.path.clone(), said });
        }
        fs::rename(&unfinished, &self.data).map_err(doing(format!("move {} into place", self.data.display())))
    }

    /// Says who may connect: whoever can reach 127.0.0.1, with or without the password.
    pub(super) fn allow_clients(&self, password: bool, owner: Option<&Owner>) -> Result<(), ClusterError> {
        let method = if password { "scram-sha-256" } else { "trust" };
        let mut rules = String::from("# written at every start of this private cluster\n");
        for database in ["all", "replication"] {
            rules.push_str(&format!("host {database} all 127.0.0.1/32 {method}\n"));
        }
        write_private(&self.data.join("pg_hba.conf"), rules.as_bytes(), owner)
    }

    /// Copies certificate and key to where the server expects them: it refuses a key that others can read.
    pub(super) fn install_tls(&self, files: &TlsFiles, owner: Option<&Owner>) -> Result<(), ClusterError> {
        for (from, name) in [(&files.cert, "server.crt"), (&files.key, "server.key")] {
            let content = fs::read(from).map_err(doing(format!("read {}", from.display())))?;
            write_private(&self.data.join(name), &content, owner)?;
        }
        Ok(())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.temporary {
            // A folder that cannot be removed is litter in the system's temporary folder, not a failure.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Writes a file that only the server's user can read.
fn write_private(path: &Path, content: &[u8], owner: Option<&Owner>) -> Result<(), ClusterError> {
    let writing = || format!("write {}", path.display());
    if path.exists() {
        fs::remove_file(path).map_err(doing(writing()))?;
    }
    let mut file =
        File::options().write(true).create_new(true).mode(0o600).open(path).map_err(doing(writing()))?;
    file.write_all(content).map_err(doing(writing()))?;
    match owner {
        Some(owner) => owner.give(path),
        None => Ok(()),
    }
}

/// Variables such as `PGDATA` or `PGPORT` are meant for the user's own servers and clients.
pub(super) fn forget_client_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("PG") || name.starts_with("LC_")) {
            command.env_remove(&name);
        }
    }
    command.env("LANG", "C").env("LC_ALL", "C");
}

/// The end of the log since `from`, for an error; it holds the server's words, not rows.
pub(super) fn last_words(log: &Path, from: u64) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(from.max(length.saturating_sub(LAST_WORDS))))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    };
    read().unwrap_or_default()
}

/// The system's temporary folder, or another one when the server's user cannot get into it.
fn temporary_base(owner: Option<&Owner>) -> PathBuf {
    let usual = std::env::temp_dir();
    let open = |folder: &Path| matches!(barrier_before(&folder.join(".")), Ok(None));
    if owner.is_none() || open(&usual) { usual } else { PathBuf::from("/tmp") }
}

const TEMPORARY: &str = "rowtwin-";
/// A temporary folder younger than this may be in the making.
const YOUNG: Duration = Duration::from_secs(600);
/// Folders that one start removes at most: each costs the disk some time.
const SWEPT: usize = 3;

fn random_name() -> String {
    format!("{TEMPORARY}{}", uuid::Uuid::new_v4().simple())
}

/// Removes temporary folders that a killed process left: ours by their name, not young, and no server in them.
///
/// A server that still runs has its pid file; one that ended with its process has removed it. What cannot be removed
/// is somebody else's, and stays.
fn sweep(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else { return };
    let mut left = SWEPT;
    for path in entries.flatten().map(|entry| entry.path()) {
        let ours = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| {
            name.strip_prefix(TEMPORARY)
                .is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
        });
        let log_touched = fs::metadata(path.join("postgres.log")).and_then(|file| file.modified());
        let old = log_touched.is_ok_and(|touched| touched.elapsed().is_ok_and(|age| age > YOUNG));
        if ours && old && !path.join("data").join("postmaster.pid").exists() {
            let _ = fs::remove_dir_all(&path);
            left -= 1;
            if left == 0 {
                return;
            }
        }
    }
}
