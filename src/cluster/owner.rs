//! Who runs the server: Postgres refuses root, so root lends the server to an unprivileged user.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::{ClusterError, doing};

/// The user that the server's programs run as when we are root.
#[derive(Debug, Clone)]
pub(super) struct Owner {
    user: String,
    uid: u32,
    gid: u32,
}

impl Owner {
    /// `None` when we are not root: then the server simply runs as we do.
    pub(super) fn of_this_process() -> Result<Option<Owner>, ClusterError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let passwd = fs::read_to_string("/etc/passwd").map_err(doing("read /etc/passwd"))?;
        // A uid that has no entry there is refused by initdb, so only these two will do.
        find_user(&passwd, "postgres")
            .or_else(|| find_user(&passwd, "nobody"))
            .map(Some)
            .ok_or(ClusterError::NoOwner)
    }

    /// Makes a command run as this user; its groups are dropped along with it.
    pub(super) fn lend(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }

    /// Gives a file or folder to this user.
    pub(super) fn give(&self, path: &Path) -> Result<(), ClusterError> {
        chown(path, Some(self.uid), Some(self.gid)).map_err(doing(format!(
            "give {} to the user {}",
            path.display(),
            self.user
        )))
    }

    /// Fails when a folder on the way to `folder` is closed to this user.
    pub(super) fn check_reachable(&self, folder: &Path) -> Result<(), ClusterError> {
        match barrier_before(folder).map_err(doing(format!("look at {}", folder.display())))? {
            Some(barrier) => {
                Err(ClusterError::Unreachable { folder: folder.to_owned(), barrier, user: self.user.clone() })
            }
            None => Ok(()),
        }
    }
}

/// The outermost folder above `folder` that users other than its owner cannot pass.
pub(super) fn barrier_before(folder: &Path) -> io::Result<Option<PathBuf>> {
    let real = folder.canonicalize()?;
    let mut above: Vec<&Path> = real.ancestors().skip(1).collect();
    above.reverse();
    for part in above {
        if fs::metadata(part)?.permissions().mode() & 0o001 == 0 {
            return Ok(Some(part.to_owned()));
        }
    }
    Ok(None)
}

fn find_user(passwd: &str, wanted: &str) -> Option<Owner> {
    passwd.lines().find_map(|line| {
        let mut parts = line.split(':');
        let user = parts.next().filter(|user| *user == wanted)?.to_owned();
        let uid = parts.nth(1)?.parse().ok()?;
        let gid = parts.next()?.parse().ok()?;
        Some(Owner { user, uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_their_whole_name() {
        let passwd =
            "root:x:0:0::/root:/bin/sh\npostgresql:x:7:7::/:/\npostgres:x:101:104:a,,,:/x:/bin/bash\n";
        let owner = find_user(passwd, "postgres").unwrap();
        assert_eq!((owner.uid, owner.gid), (101, 104));
        assert!(find_user(passwd, "nobody").is_none());
    }

    #[test]
    fn a_closed_folder_above_is_a_barrier() {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::set_permissions(outer.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(barrier_before(&inner).unwrap(), Some(outer.path().canonicalize().unwrap()));
    }
}
