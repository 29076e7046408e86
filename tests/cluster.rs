//! The private Postgres: its life from nothing to a clean end.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::path::{Path, PathBuf};

use rowtwin::cluster::{Cluster, ClusterError, ClusterOptions, DataFolder};
use tokio_postgres::{Client, NoTls};

fn start(options: ClusterOptions) -> Cluster {
    Cluster::start(options, &mut |line| eprintln!("{line}")).expect("a cluster starts")
}

async fn connect(cluster: &Cluster) -> Client {
    let (client, connection) = tokio_postgres::connect(&cluster.url("postgres"), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn number(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// A folder that the unprivileged user of a root's cluster can get into.
fn kept_folder() -> PathBuf {
    Path::new("/tmp").join(format!("rowtwin-test-{}", uuid::Uuid::new_v4().simple()))
}

#[tokio::test]
async fn a_temporary_cluster_decodes_and_leaves_nothing_behind() {
    let mut cluster = start(ClusterOptions::default());
    let folder = cluster.folder().to_owned();
    let client = connect(&cluster).await;
    let slots = "select count(*) from pg_create_logical_replication_slot('s', 'pgoutput')";
    assert_eq!(number(&client, slots).await, 1);
    assert_eq!(number(&client, "select current_setting('max_replication_slots')::int8").await, 64);
    assert!(cluster.is_temporary() && cluster.is_running() && cluster.log_path().is_file());
    drop(cluster);
    assert!(!folder.exists(), "{} is left behind", folder.display());
}

#[tokio::test]
async fn a_kept_cluster_keeps_its_rows_over_stop_crash_and_restart() {
    let folder = kept_folder();
    let kept = || ClusterOptions { data: DataFolder::Kept(folder.clone()), ..Default::default() };
    let mut cluster = start(kept());
    let port = cluster.port();
    connect(&cluster).await.batch_execute("create table t (n int8); insert into t values (1)").await.unwrap();

    let refused = Cluster::start(kept(), &mut |_| {}).expect_err("two servers cannot share a folder");
    assert!(matches!(refused, ClusterError::AlreadyRunning { port: told, .. } if told == port), "{refused}");

    cluster.kill();
    assert!(!cluster.is_running());
    // A crashed server leaves its pid file; a stale one whose number another process has got must not stop us.
    let pid_file = folder.join("data").join("postmaster.pid");
    let text = std::fs::read_to_string(&pid_file).unwrap();
    let (_, rest) = text.split_once('\n').unwrap();
    std::fs::write(&pid_file, format!("{}\n{rest}", std::process::id())).unwrap();
    cluster.restart().unwrap();
    assert_eq!(cluster.port(), port);
    assert_eq!(number(&connect(&cluster).await, "select sum(n)::int8 from t").await, 1);

    cluster.stop();
    drop(cluster);
    let again = start(kept());
    assert_eq!(number(&connect(&again).await, "select sum(n)::int8 from t").await, 1);
    drop(again);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_folder_of_another_version_is_refused() {
    let folder = kept_folder();
    std::fs::create_dir_all(folder.join("data")).unwrap();
    std::fs::write(folder.join("data").join("PG_VERSION"), "9\n").unwrap();
    let options =
        ClusterOptions { data: DataFolder::Kept(folder.clone()), major: Some(17), ..Default::default() };
    let error = Cluster::start(options, &mut |_| {}).unwrap_err();
    assert!(matches!(error, ClusterError::OtherMajor { found: 9, wanted: 17, .. }), "{error}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let options =
        ClusterOptions { settings: vec![("max_connections".into(), "none".into())], ..Default::default() };
    let error = Cluster::start(options, &mut |_| {}).unwrap_err();
    assert!(
        matches!(&error, ClusterError::Ended { said, .. } if said.contains("max_connections")),
        "{error}"
    );
}

/// Set in the process that [`a_server_ends_with_the_process_that_started_it`] starts and ends.
#[cfg(target_os = "linux")]
const VICTIM: &str = "ROWTWIN_TEST_VICTIM_FOLDER";

#[cfg(target_os = "linux")]
#[test]
fn a_server_ends_with_the_process_that_started_it() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Command, Stdio};

    if let Some(folder) = std::env::var_os(VICTIM) {
        let _cluster = start(ClusterOptions { data: DataFolder::Kept(folder.into()), ..Default::default() });
        println!("\nserving");
        // Until it is killed.
        let _ = std::io::stdin().read(&mut [0]);
        return;
    }
    let folder = kept_folder();
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "a_server_ends_with_the_process_that_started_it"])
        .env(VICTIM, &folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "serving"));
    let pid_file = folder.join("data").join("postmaster.pid");
    let text = std::fs::read_to_string(&pid_file).unwrap();
    let server = Path::new("/proc").join(text.lines().next().unwrap());
    assert!(server.exists());

    victim.kill().unwrap();
    victim.wait().unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while pid_file.exists() {
        assert!(std::time::Instant::now() < deadline, "the server outlives its process");
        std::thread::yield_now();
    }
    // A clean stop: the next start needs no recovery. The server says so after it has removed its pid file.
    loop {
        let log = std::fs::read_to_string(folder.join("postgres.log")).unwrap();
        if log.contains("database system is shut down") {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "no clean stop: {log}");
        std::thread::yield_now();
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
