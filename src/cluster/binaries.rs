//! The server's programs: found on the machine, or installed for this user.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::{ClusterError, doing};

/// The search and the installation are shell, so that a person can read and run them without this program.
const SCRIPT: &str = include_str!("../../scripts/postgres.sh");

/// The oldest version that has everything the mirror needs (logical messages in the stream).
const OLDEST: u32 = 14;

/// The programs of one Postgres installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerBinaries {
    /// The folder that holds `postgres` and `initdb`.
    pub bin: PathBuf,
    /// The major version, such as 17.
    pub major: u32,
}

impl ServerBinaries {
    /// The path of one of the programs; `None` when this installation lacks it (some have only the server).
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        let path = self.bin.join(name);
        path.is_file().then_some(path)
    }
}

/// Finds a server on this machine, or installs one, and tells through `say` what is installed and from where.
///
/// Without `wanted_major` the variable `PG_MAJOR` decides, and without that any version from 14 will do. `PG_BIN`
/// names the programs outright.
///
/// # Errors
/// [`ClusterError::NoServer`] when there is none and no way to install one, [`ClusterError::UnfitBinaries`] when
/// `PG_BIN` is wrong.
pub fn find_or_provide(
    wanted_major: Option<u32>,
    say: &mut dyn FnMut(&str),
) -> Result<ServerBinaries, ClusterError> {
    let wanted = match wanted_major {
        Some(major) => Some(major),
        None => major_from_environment()?,
    };
    let cache = cache_folder();
    if let Some(found) = run_script("find", wanted, &cache, say)? {
        return Ok(found);
    }
    // Tests run in many processes at once: one of them installs, the others wait and find.
    fs::create_dir_all(&cache).map_err(doing(format!("make the folder {}", cache.display())))?;
    let lock_path = cache.join("lock");
    let lock = fs::File::create(&lock_path).map_err(doing(format!("open {}", lock_path.display())))?;
    lock.lock().map_err(doing(format!("lock {}", lock_path.display())))?;
    run_script("provide", wanted, &cache, say)?.ok_or_else(|| no_server(wanted, ""))
}

fn no_server(wanted: Option<u32>, said: &str) -> ClusterError {
    let wanted = wanted.map_or_else(|| format!("{OLDEST} or newer"), |major| major.to_string());
    let said = if said.is_empty() { String::new() } else { format!(" ({said})") };
    ClusterError::NoServer { wanted, said }
}

fn major_from_environment() -> Result<Option<u32>, ClusterError> {
    match env::var("PG_MAJOR") {
        Ok(text) if !text.is_empty() => match text.parse() {
            Ok(major) if major >= OLDEST => Ok(Some(major)),
            _ => Err(ClusterError::UnreadableMajor { name: "PG_MAJOR", value: text }),
        },
        _ => Ok(None),
    }
}

/// Root's home is closed to the user that runs the server, so root keeps installed servers outside of it.
fn cache_folder() -> PathBuf {
    if let Some(folder) = env::var_os("PG_CACHE").filter(|folder| !folder.is_empty()) {
        return PathBuf::from(folder);
    }
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/var/cache/rowtwin/pg");
    }
    let home = env::var_os("XDG_CACHE_HOME")
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .unwrap_or_else(env::temp_dir);
    home.join("rowtwin").join("pg")
}

fn run_script(
    action: &str,
    wanted: Option<u32>,
    cache: &Path,
    say: &mut dyn FnMut(&str),
) -> Result<Option<ServerBinaries>, ClusterError> {
    let mut command = Command::new("sh");
    command.arg("-c").arg(SCRIPT).arg("postgres.sh").arg(action);
    if let Some(major) = wanted {
        command.arg(major.to_string());
    }
    command.env("PG_CACHE", cache).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(doing("run sh, which looks for a Postgres server"))?;

    let mut said = String::new();
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if line.starts_with("installing ") {
                say(&line);
            } else {
                said = line;
            }
        }
    }
    let mut answer = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout
            .read_to_string(&mut answer)
            .map_err(doing("read what the search for a Postgres server found"))?;
    }
    let status = child.wait().map_err(doing("wait for the search for a Postgres server"))?;
    match status.code() {
        Some(0) => {
            let bin = PathBuf::from(answer.trim());
            let major = version_of(&bin)?;
            Ok(Some(ServerBinaries { bin, major }))
        }
        Some(3) if action == "find" => Ok(None),
        Some(4) => Err(ClusterError::UnfitBinaries { said }),
        _ => Err(no_server(wanted, &said)),
    }
}

fn version_of(bin: &Path) -> Result<u32, ClusterError> {
    let postgres = bin.join("postgres");
    let output = Command::new(&postgres)
        .arg("--version")
        .output()
        .map_err(doing(format!("run {} --version", postgres.display())))?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse_version(&text).ok_or_else(|| ClusterError::UnfitBinaries {
        said: format!("{} --version answered {:?}", postgres.display(), text.trim()),
    })
}

/// The major version in an answer such as `postgres (PostgreSQL) 17.6 (Debian 17.6-1)` or `… 18beta1`.
fn parse_version(text: &str) -> Option<u32> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let digits: String = text.get(start..)?.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_servers_answer() {
        assert_eq!(parse_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(parse_version("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(parse_version("postgres"), None);
    }

    #[test]
    fn a_server_is_found_and_has_the_programs_that_are_needed() {
        let mut lines = Vec::new();
        let found = find_or_provide(None, &mut |line| lines.push(line.to_owned())).unwrap();
        assert!(found.major >= OLDEST);
        assert!(found.program("postgres").is_some() && found.program("initdb").is_some());
        assert!(found.program("no-such-program").is_none());
    }
}
