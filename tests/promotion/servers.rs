//! A primary, and a second server that is its standby or its recovered copy.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use rowtwin::cluster::{Cluster, ClusterOptions, DataFolder};

use crate::support::running::until;
use crate::support::{connect, execute};

/// Failover slots came with 17: an older wanted version is answered by one that has them.
pub fn failover_major() -> u32 {
    let wanted = std::env::var("PG_MAJOR").ok().and_then(|text| text.parse().ok()).unwrap_or(17);
    std::cmp::max(wanted, 17)
}

/// Where a server archives its log.
pub struct Archive(tempfile::TempDir);

impl Archive {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        Self(folder)
    }

    fn path(&self) -> String {
        self.0.path().display().to_string()
    }
}

pub struct Servers {
    primary: Option<Cluster>,
    second: Option<Cluster>,
    major: u32,
    home: tempfile::TempDir,
}

impl Servers {
    pub fn start(major: Option<u32>) -> Self {
        Self::with(major, &[])
    }

    pub fn archiving(archive: &Archive) -> Self {
        let command = format!("cp %p {}/%f", archive.path());
        Self::with(None, &[("archive_mode", "on"), ("archive_command", &command)])
    }

    /// A primary with further settings.
    pub fn with(major: Option<u32>, more: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut settings = vec![("wal_keep_size", "256MB")];
        settings.extend(more);
        let primary = start(&home.path().join("primary"), major, None, &settings);
        let major = primary.version();
        Self { primary: Some(primary), second: None, major, home }
    }

    pub fn primary(&self) -> &Cluster {
        self.primary.as_ref().unwrap()
    }

    pub fn standby(&self) -> &Cluster {
        self.second.as_ref().unwrap()
    }

    /// Copies the running primary and starts the copy as its standby; with `slots` it keeps failover slots too.
    pub async fn add_standby(&mut self, database: &str, slots: bool) {
        let admin = connect(&self.primary().url("postgres")).await;
        let (begin, end) = if self.major >= 15 {
            ("select pg_backup_start('copy', true)", "select labelfile from pg_backup_stop(false)")
        } else {
            (
                "select pg_start_backup('copy', true, false)",
                "select labelfile from pg_stop_backup(false, false)",
            )
        };
        admin.batch_execute("select pg_create_physical_replication_slot('standby', true)").await.unwrap();
        admin.execute(begin, &[]).await.unwrap();
        let data = self.copy();
        let label: String = admin.query_one(end, &[]).await.unwrap().get(0);
        for gone in ["pg_wal", "pg_replslot"] {
            empty(&data.join(gone));
        }
        put(&data, "backup_label", &label);
        put(&data, "standby.signal", "");
        let primary =
            format!("host=127.0.0.1 port={} user=postgres dbname={database}", self.primary().port());
        let mut settings = vec![
            ("primary_conninfo", primary.as_str()),
            ("primary_slot_name", "standby"),
            ("hot_standby_feedback", "on"),
        ];
        if slots {
            settings.push(("sync_replication_slots", "on"));
        }
        self.second = Some(start(&self.home.path().join("second"), Some(self.major), None, &settings));
        until("the standby streams", async || {
            admin.query_one("select count(*) from pg_stat_replication where state = 'streaming' and application_name = 'walreceiver'", &[])
                .await
                .unwrap()
                .get::<_, i64>(0)
                == 1
        })
        .await;
    }

    /// Streams do not run ahead of the standby from now on, as a production server is set up.
    pub async fn wait_for_the_standby_in_streams(&self) {
        let url = self.primary().url("postgres");
        execute(&url, "alter system set synchronized_standby_slots = 'standby'").await;
        execute(&url, "select pg_reload_conf()").await;
    }

    /// Waits until the standby has what is committed.
    pub async fn standby_has_all(&self) {
        let (primary, standby) =
            (connect(&self.primary().url("postgres")).await, connect(&self.standby().url("postgres")).await);
        let end: String =
            primary.query_one("select pg_current_wal_flush_lsn()::text", &[]).await.unwrap().get(0);
        until("the standby has caught up", async || {
            let sql = "select coalesce(pg_last_wal_replay_lsn() >= $1::text::pg_lsn, false)";
            standby.query_one(sql, &[&end]).await.unwrap().get::<_, bool>(0)
        })
        .await;
    }

    pub fn stop_standby(&mut self) {
        self.second.as_mut().unwrap().stop();
    }

    /// The primary crashes, and the standby takes over.
    pub async fn promote(&mut self) {
        self.primary.as_mut().unwrap().kill();
        let second = self.second.as_mut().unwrap();
        if !second.is_running() {
            second.restart().unwrap();
        }
        let admin = connect(&second.url("postgres")).await;
        let promoted: bool = admin.query_one("select pg_promote(true, 30)", &[]).await.unwrap().get(0);
        assert!(promoted);
    }

    /// Copies the primary while it stands still, then starts it again on the same port.
    pub fn copy_cold(&mut self) {
        self.primary.as_mut().unwrap().stop();
        self.copy();
        self.primary.as_mut().unwrap().restart().unwrap();
    }

    /// Recovers the copy from the archive up to a restore point; the primary is gone then.
    pub async fn recover_copy(&mut self, archive: &Archive, point: &str) {
        let primary = connect(&self.primary().url("postgres")).await;
        until("the log is archived", async || {
            let sql = "select archived_count > 0 and last_archived_wal >= pg_walfile_name(pg_current_wal_lsn() - 1) from pg_stat_archiver";
            primary.query_one(sql, &[]).await.unwrap().get::<_, Option<bool>>(0) == Some(true)
        })
        .await;
        drop(primary);
        self.primary.as_mut().unwrap().kill();
        let home = self.home.path().join("second");
        put(&home.join("data"), "recovery.signal", "");
        let command = format!("cp {}/%f %p", archive.path());
        let settings = [
            ("restore_command", command.as_str()),
            ("recovery_target_name", point),
            ("recovery_target_action", "promote"),
        ];
        let second = start(&home, Some(self.major), None, &settings);
        let admin = connect(&second.url("postgres")).await;
        until("the recovery ends", async || {
            !admin.query_one("select pg_is_in_recovery()", &[]).await.unwrap().get::<_, bool>(0)
        })
        .await;
        self.second = Some(second);
    }

    /// Copies the primary's folder; files that vanish meanwhile are the log's or temporary.
    fn copy(&self) -> PathBuf {
        let to = self.home.path().join("second");
        let _ = Command::new("cp").arg("-a").arg(self.primary().folder()).arg(&to).status().unwrap();
        let data = to.join("data");
        for gone in ["postmaster.pid", "postmaster.opts"] {
            let _ = fs::remove_file(data.join(gone));
        }
        data
    }
}

fn start(folder: &Path, major: Option<u32>, port: Option<u16>, settings: &[(&str, &str)]) -> Cluster {
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let data = DataFolder::Kept(folder.to_owned());
    let options = ClusterOptions { data, major, port, settings, ..ClusterOptions::default() };
    Cluster::start(options, &mut |line| eprintln!("{line}")).expect("a private Postgres")
}

fn empty(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            fs::remove_dir_all(entry.path()).unwrap();
        } else {
            fs::remove_file(entry.path()).unwrap();
        }
    }
}

/// Writes a file that belongs to whoever the folder belongs to.
fn put(data: &Path, name: &str, text: &str) {
    let path = data.join(name);
    fs::write(&path, text).unwrap();
    let owner = fs::metadata(data).unwrap();
    chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
}
