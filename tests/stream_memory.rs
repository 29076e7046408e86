//! Memory stays flat however large a transaction is. Alone in its file: the measure is that of the whole process.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use rowtwin::capture::pgoutput::{Decoder, Message};
use rowtwin::capture::stream::{Frame, Protocol, ReplicationStream};
use rowtwin::cluster::{Cluster, ClusterOptions};
use rowtwin::model::lsn::Lsn;
use rowtwin::postgres::connect_options;

const ROWS: usize = 200_000;

/// The most memory that this process ever had, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_transaction_of_two_hundred_thousand_rows_needs_no_memory() {
    let cluster = Cluster::start(ClusterOptions::default(), &mut |line| eprintln!("{line}")).unwrap();
    let options = connect_options(&cluster.url("postgres")).unwrap();
    let (client, connection) = options.config().connect(options.tls()).await.unwrap();
    tokio::spawn(connection);
    for statement in [
        "create table t (id int primary key, note text)",
        "create publication p for table t",
        "select pg_create_logical_replication_slot('one', 'pgoutput')",
        "select pg_create_logical_replication_slot('two', 'pgoutput')",
        "insert into t select n, repeat('x', 300) from generate_series(1, 200000) n",
    ] {
        client.batch_execute(statement).await.unwrap();
    }
    let before = peak();
    for (slot, protocol) in [("one", Protocol::Version1), ("two", Protocol::Version2)] {
        let connection = ReplicationStream::connect(&options, "rowtwin memory").await.unwrap();
        let mut stream = connection.start(slot, Lsn(0), "p", protocol).await.unwrap();
        let (mut decoder, mut rows, mut bytes, mut parts) = (Decoder::new(), 0, 0, 0);
        loop {
            let Frame::Data { payload, .. } = stream.next().await.unwrap() else { continue };
            bytes += payload.len();
            match decoder.decode(&payload).unwrap() {
                Message::Insert { .. } => rows += 1,
                Message::StreamStart { .. } => parts += 1,
                Message::Commit { .. } | Message::StreamCommit { .. } => break,
                _ => {}
            }
        }
        assert_eq!(rows, ROWS);
        assert!(bytes > 60_000_000, "{bytes} bytes are too few to show anything");
        assert_eq!(parts > 0, protocol == Protocol::Version2, "{parts} parts");
    }
    let growth = peak() - before;
    assert!(growth < 16 * 1024, "memory grew by {growth} KiB");
}
