//! How fast our stream reads and decodes, beside `pg_recvlogical` on the same rows in the same run.
//!
//! `cargo bench --bench decode`. The server's own decoding takes most of the time, so the ratio says more than the
//! figures. `pg_recvlogical` belongs to the server's client programs; where it is missing, that is said.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rowtwin::capture::pgoutput::{Decoder, Message};
use rowtwin::capture::stream::{Frame, Protocol, ReplicationStream};
use rowtwin::cluster::{Cluster, ClusterOptions};
use rowtwin::model::lsn::Lsn;
use rowtwin::postgres::{ConnectOptions, connect_options};

const ROWS: u32 = 300_000;
const ROUNDS: usize = 3;

fn main() {
    // `cargo test --benches` runs this too, only to see that it runs.
    let rows = if std::env::args().any(|argument| argument == "--bench") { ROWS } else { 1_000 };
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(compare(rows));
}

async fn compare(rows: u32) {
    let cluster = Cluster::start(ClusterOptions::default(), &mut |line| eprintln!("{line}")).unwrap();
    let options = connect_options(&cluster.url("postgres")).unwrap();
    let (client, connection) = options.config().connect(options.tls()).await.unwrap();
    tokio::spawn(connection);
    let mut statements = vec![
        "create table t (id bigint primary key, name text, phone text, city text, amount numeric(18, 2), \
         born date, seen timestamptz, active boolean, score double precision, note text)"
            .to_owned(),
        "create publication p for table t".to_owned(),
    ];
    // A reader confirms what it has read, so each run needs a slot of its own.
    for run in 0..ROUNDS * 2 {
        statements.push(format!("select pg_create_logical_replication_slot('run_{run}', 'pgoutput')"));
    }
    statements.push(format!(
        "insert into t select n, 'name ' || n, '13800' || n, 'Beijing', n * 1.25, date '1990-01-01' + n % 9999, \
         timestamptz '2026-01-01' + n * interval '1 s', n % 2 = 0, n / 7.0, repeat('x', 40) \
         from generate_series(1, {rows}) n"
    ));
    for statement in &statements {
        client.batch_execute(statement).await.unwrap();
    }
    let end: String = client.query_one("select pg_current_wal_lsn()::text", &[]).await.unwrap().get(0);
    let reference = reference_program(&cluster);
    if reference.is_none() {
        println!("pg_recvlogical is not installed: no comparison");
    }

    let (mut ours, mut theirs) = (Duration::MAX, Duration::MAX);
    for round in 0..ROUNDS {
        // In turns, and the best of each: other work on the machine disturbs both alike.
        ours = ours.min(read_ours(&options, &format!("run_{}", round * 2), rows).await);
        if let Some(program) = &reference {
            let slot = format!("run_{}", round * 2 + 1);
            theirs = theirs.min(read_theirs(program, cluster.port(), &slot, &end));
        }
    }
    let rate = |took: Duration| f64::from(rows) / took.as_secs_f64();
    println!("rowtwin, decoded   {:>10.0} rows/s", rate(ours));
    if reference.is_some() {
        println!("pg_recvlogical     {:>10.0} rows/s", rate(theirs));
        println!("ratio              {:>10.2}", rate(ours) / rate(theirs));
    }
}

fn reference_program(cluster: &Cluster) -> Option<PathBuf> {
    cluster.binaries().program("pg_recvlogical").or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|folder| folder.join("pg_recvlogical")).find(|file| file.is_file())
    })
}

async fn read_ours(options: &ConnectOptions, slot: &str, rows: u32) -> Duration {
    let started = Instant::now();
    let connection = ReplicationStream::connect(options, "rowtwin bench").await.unwrap();
    let mut stream = connection.start(slot, Lsn(0), "p", Protocol::Version1).await.unwrap();
    let (mut decoder, mut inserts, mut bytes) = (Decoder::new(), 0, 0);
    loop {
        let Frame::Data { payload, .. } = stream.next().await.unwrap() else { continue };
        match decoder.decode(&payload).unwrap() {
            Message::Insert { new, .. } => {
                inserts += 1;
                bytes += new.values().map(|value| std::mem::size_of_val(&value)).sum::<usize>();
            }
            Message::Commit { end_lsn, .. } => {
                stream.confirm(end_lsn, false).await.unwrap();
                break;
            }
            _ => {}
        }
    }
    std::hint::black_box(bytes);
    assert_eq!(inserts, rows);
    started.elapsed()
}

fn read_theirs(program: &PathBuf, port: u16, slot: &str, end: &str) -> Duration {
    let started = Instant::now();
    let status = Command::new(program)
        .args(["-h", "127.0.0.1", "-U", "postgres", "-d", "postgres", "--start", "-f", "/dev/null"])
        .args(["-p", &port.to_string(), "--slot", slot, "--endpos", end])
        .args(["-o", "proto_version=1", "-o", "publication_names=p"])
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "pg_recvlogical failed");
    started.elapsed()
}
