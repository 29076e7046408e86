//! The replication stream against a real server.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::time::Duration;

use rowtwin::capture::pgoutput::{Decoder, Message};
use rowtwin::capture::stream::{ErrorClass, Fault, Frame, Protocol, ReplicationStream, StreamError};
use rowtwin::cluster::{Cluster, ClusterOptions, TlsFiles};
use rowtwin::model::lsn::Lsn;
use rowtwin::postgres::{ConnectOptions, connect_options};
use tokio::time::timeout;
use tokio_postgres::Client;

const PASSWORD: &str = "p@ss w%rd/?";
const PASSWORD_ENCODED: &str = "p%40ss%20w%25rd%2F%3F";

fn start(options: ClusterOptions) -> Cluster {
    Cluster::start(options, &mut |line| eprintln!("{line}")).unwrap()
}

fn with_password() -> ClusterOptions {
    ClusterOptions { password: Some(PASSWORD.to_owned().into()), ..Default::default() }
}

fn address(cluster: &Cluster, password: &str, query: &str) -> ConnectOptions {
    let port = cluster.port();
    connect_options(&format!("postgres://postgres:{password}@localhost:{port}/postgres{query}")).unwrap()
}

async fn client(options: &ConnectOptions) -> Client {
    let (client, connection) = options.config().connect(options.tls()).await.unwrap();
    tokio::spawn(connection);
    client
}

/// One statement after the other: sent together they would be one transaction, in which no slot can be made.
async fn run(client: &Client, script: &str) {
    for statement in script.split(';') {
        client.batch_execute(statement).await.unwrap();
    }
}

const TABLE: &str = "create table t (id int primary key, name text); create publication p for table t;
                     select pg_create_logical_replication_slot('s', 'pgoutput')";

async fn open(options: &ConnectOptions, protocol: Protocol) -> Result<ReplicationStream, StreamError> {
    ReplicationStream::connect(options, "rowtwin test").await?.start("s", Lsn(0), "p", protocol).await
}

/// The next frame; a stream that hangs fails the test.
async fn next(stream: &mut ReplicationStream) -> Result<Frame, StreamError> {
    timeout(Duration::from_secs(60), stream.next()).await.expect("a frame within a minute")
}

fn word(message: &Message<'_>) -> String {
    match message {
        Message::Begin { .. } => "begin".into(),
        Message::Commit { .. } => "commit".into(),
        Message::Relation { relation, .. } => format!("table {}", relation.name),
        Message::Insert { new, .. } => format!("insert {}", new.len()),
        Message::Update { old, .. } => format!("update {}", if old.is_some() { "key" } else { "row" }),
        Message::Delete { .. } => "delete".into(),
        Message::Truncate { .. } => "truncate".into(),
        Message::Logical { prefix, content, .. } => format!("{prefix}: {}", String::from_utf8_lossy(content)),
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn changes_arrive_decoded_and_a_confirmed_slot_does_not_send_them_again() {
    let cluster = start(with_password());
    let options = address(&cluster, PASSWORD_ENCODED, "?sslmode=disable");
    let client = client(&options).await;
    run(&client, TABLE).await;
    run(
        &client,
        "begin; insert into t values (1, 'a'); update t set name = 'b'; update t set id = 2; delete from t;
         truncate t; select pg_logical_emit_message(true, 'rowtwin', 'hello'); commit",
    )
    .await;

    let mut connection = ReplicationStream::connect(&options, "rowtwin test").await.unwrap();
    assert_eq!(connection.server_version(), Some(cluster.version()));
    let identity = connection.identify_system().await.unwrap();
    let system_id: String = client
        .query_one("select system_identifier::text from pg_control_system()", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!((identity.system_id, identity.timeline, identity.dbname.as_str()), (system_id, 1, "postgres"));
    assert!(identity.xlogpos > Lsn(0));

    let mut stream = connection.start("s", Lsn(0), "p", Protocol::Version1).await.unwrap();
    let (mut decoder, mut words, mut end) = (Decoder::new(), Vec::new(), Lsn(0));
    while end == Lsn(0) {
        if let Frame::Data { payload, .. } = next(&mut stream).await.unwrap() {
            let message = decoder.decode(&payload).unwrap();
            words.push(word(&message));
            if let Message::Commit { end_lsn, .. } = message {
                end = end_lsn;
            }
        }
    }
    let relation_again = words.iter().filter(|word| *word == "table t").count();
    words.dedup();
    words.retain(|word| word != "table t");
    let expected =
        ["begin", "insert 2", "update row", "update key", "delete", "truncate", "rowtwin: hello", "commit"];
    assert_eq!(words, expected);
    assert!(relation_again >= 1);

    stream.confirm(end, true).await.unwrap();
    loop {
        // The server answers, so it is reading the confirmation.
        if matches!(next(&mut stream).await.unwrap(), Frame::Keepalive { .. }) {
            break;
        }
    }
    assert_eq!(stream.confirmed(), end);
    // It answers before it moves the slot. So the slot is asked until it has moved.
    let moved = async {
        let sql = "select confirmed_flush_lsn >= $1::text::pg_lsn from pg_replication_slots";
        while !client.query_one(sql, &[&end.to_string()]).await.unwrap().get::<_, bool>(0) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), moved).await.expect("the slot moves to the confirmed end");
    drop(stream);
}

#[tokio::test]
async fn a_wrong_or_missing_password_is_for_the_operator() {
    let cluster = start(with_password());
    let wrong = open(&address(&cluster, "wrong", "?sslmode=disable"), Protocol::Version1).await.unwrap_err();
    assert_eq!(
        (wrong.fault(), wrong.class(), wrong.sqlstate()),
        (Fault::SignIn, ErrorClass::Operator, Some("28P01"))
    );
    assert!(!format!("{wrong} {wrong:?}").contains("wrong"), "{wrong:?}");
    let none = connect_options(&cluster.url("postgres")).unwrap();
    let missing = ReplicationStream::connect(&none, "x").await.unwrap_err();
    assert!(matches!(missing, StreamError::Incomplete { .. }) && missing.class() == ErrorClass::Operator);
}

#[tokio::test]
async fn older_kinds_of_password_are_accepted_too() {
    let cluster = start(ClusterOptions::default());
    let client = client(&address(&cluster, "", "?sslmode=disable")).await;
    run(
        &client,
        "set password_encryption = 'md5'; create role hashed login replication password 'one';
         create role plain login replication password 'two'; create role timid login password 'three'",
    )
    .await;
    let rules = "host all hashed 127.0.0.1/32 md5\nhost all plain 127.0.0.1/32 password\n\
                 host all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n";
    std::fs::write(cluster.folder().join("data").join("pg_hba.conf"), rules).unwrap();
    run(&client, "select pg_reload_conf()").await;
    let at = |who: &str| {
        connect_options(&format!("postgres://{who}@127.0.0.1:{}/postgres", cluster.port())).unwrap()
    };
    // The server reads the new rules soon after it was told to: until then any password is good.
    let refused = async {
        loop {
            if let Err(error) = ReplicationStream::connect(&at("plain:wrong"), "x").await {
                break error;
            }
        }
    };
    let refused = timeout(Duration::from_secs(30), refused).await.unwrap();
    assert_eq!(refused.fault(), Fault::SignIn, "{refused}");
    for who in ["hashed:one", "plain:two"] {
        let mut connection = ReplicationStream::connect(&at(who), "x").await.unwrap();
        connection.identify_system().await.unwrap();
    }
    let wrong = ReplicationStream::connect(&at("hashed:two"), "x").await.unwrap_err();
    assert_eq!(wrong.fault(), Fault::SignIn, "{wrong}");
    let timid = ReplicationStream::connect(&at("timid:three"), "x").await.unwrap_err();
    assert_eq!((timid.fault(), timid.class()), (Fault::SignIn, ErrorClass::Operator), "{timid}");
}

#[tokio::test]
async fn tls_checks_as_much_as_sslmode_says() {
    let folder = tempfile::tempdir().unwrap();
    let write = |names: &[&str], name: &str| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let (cert, key) =
            (folder.path().join(format!("{name}.crt")), folder.path().join(format!("{name}.key")));
        std::fs::write(&cert, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        TlsFiles { cert, key }
    };
    let (good, other) = (write(&["localhost"], "good"), write(&["localhost"], "other"));
    let root = |files: &TlsFiles| format!("&sslrootcert={}", files.cert.display());
    let cluster = start(ClusterOptions { tls: Some(good.clone()), ..with_password() });
    let port = cluster.port();
    let by_number = |query: &str| {
        connect_options(&format!("postgres://postgres:{PASSWORD_ENCODED}@127.0.0.1:{port}/postgres{query}"))
            .unwrap()
    };
    let sql = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
    let full = address(&cluster, PASSWORD_ENCODED, &format!("?sslmode=verify-full{}", root(&good)));
    let ordinary = client(&full).await;
    assert!(ordinary.query_one(sql, &[]).await.unwrap().get::<_, bool>(0));
    run(&ordinary, TABLE).await;

    for options in [
        full,
        by_number("?sslmode=prefer"),
        by_number("?sslmode=require"),
        by_number(&format!("?sslmode=verify-ca{}", root(&good))),
    ] {
        let mut connection = ReplicationStream::connect(&options, "rowtwin tls").await.unwrap();
        connection.identify_system().await.unwrap();
        let sql = "select count(*) from pg_stat_ssl join pg_stat_activity using (pid)
                   where ssl and application_name = 'rowtwin tls'";
        let encrypted: i64 = ordinary.query_one(sql, &[]).await.unwrap().get(0);
        assert!(encrypted >= 1, "{options:?}");
    }
    for options in [
        by_number(&format!("?sslmode=verify-full{}", root(&good))),
        by_number(&format!("?sslmode=verify-ca{}", root(&other))),
        by_number(&format!("?sslmode=require{}", root(&other))),
        address(&cluster, PASSWORD_ENCODED, &format!("?sslmode=verify-full{}", root(&other))),
    ] {
        let error = ReplicationStream::connect(&options, "x").await.unwrap_err();
        assert!(matches!(error, StreamError::Tls { .. }), "{error}");
        assert_eq!(error.class(), ErrorClass::Operator, "{error}");
        assert!(options.config().connect(options.tls()).await.is_err());
    }
}

#[tokio::test]
async fn faults_of_slot_publication_and_server_are_told_apart() {
    let mut cluster = start(ClusterOptions::default());
    let options = address(&cluster, "", "?sslmode=disable");
    let missing = open(&options, Protocol::Version1).await.unwrap_err();
    assert_eq!((missing.fault(), missing.class()), (Fault::SlotMissing, ErrorClass::Operator));
    let refused = address(&cluster, "", "?sslmode=require");
    assert!(matches!(
        ReplicationStream::connect(&refused, "x").await.unwrap_err(),
        StreamError::NoTls { .. }
    ));

    let client = client(&options).await;
    run(&client, TABLE).await;
    let mut stream = open(&options, Protocol::Version1).await.unwrap();
    let in_use = open(&options, Protocol::Version1).await.unwrap_err();
    let told = (in_use.fault(), in_use.class(), in_use.sqlstate());
    assert_eq!(told, (Fault::SlotInUse, ErrorClass::Transient, Some("55006")));

    // A server that stops waits for its readers to confirm, so the reader has to go on meanwhile.
    let restarting = tokio::task::spawn_blocking(move || {
        cluster.restart().unwrap();
        cluster
    });
    let mut seen = Lsn(0);
    let ended = loop {
        match next(&mut stream).await {
            Ok(Frame::Keepalive { wal_end, .. }) => seen = wal_end,
            Ok(Frame::Data { .. }) => {}
            Err(error) => break error,
        }
        if let Err(error) = stream.confirm(seen, false).await {
            break error;
        }
    };
    let mut cluster = restarting.await.unwrap();
    assert_eq!((ended.class(), ended.fault()), (ErrorClass::Transient, Fault::Other), "{ended}");
    cluster.stop();
    let down = open(&options, Protocol::Version1).await.unwrap_err();
    assert_eq!(down.class(), ErrorClass::Transient, "{down}");
    cluster.restart().unwrap();

    let client = self::client(&options).await;
    run(&client, "drop publication p; insert into t values (1, 'a')").await;
    let mut stream = open(&options, Protocol::Version1).await.unwrap();
    let unpublished = loop {
        match next(&mut stream).await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!((unpublished.fault(), unpublished.class()), (Fault::PublicationMissing, ErrorClass::Operator));
}

#[tokio::test]
async fn an_invalidated_slot_is_recognised() {
    let settings = [("max_slot_wal_keep_size", "1MB"), ("min_wal_size", "32MB"), ("max_wal_size", "32MB")];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let cluster = start(ClusterOptions { settings, ..Default::default() });
    let options = address(&cluster, "", "?sslmode=disable");
    let client = client(&options).await;
    run(&client, TABLE).await;
    for _ in 0..4 {
        run(&client, "insert into t values (1, 'a'); delete from t; select pg_switch_wal(); checkpoint")
            .await;
    }
    let status: Option<String> =
        client.query_one("select wal_status from pg_replication_slots", &[]).await.unwrap().get(0);
    assert_eq!(status.as_deref(), Some("lost"));
    let error = open(&options, Protocol::Version1).await.unwrap_err();
    assert_eq!((error.fault(), error.class()), (Fault::SlotInvalidated, ErrorClass::Operator), "{error}");
}

#[tokio::test]
async fn r03_an_idle_slot_advances_past_writes_that_are_not_published() {
    let cluster = start(ClusterOptions::default());
    let options = address(&cluster, "", "?sslmode=disable");
    let client = client(&options).await;
    run(&client, TABLE).await;
    run(&client, "create table other (n int); insert into other select generate_series(1, 1000)").await;
    let end: String = client.query_one("select pg_current_wal_lsn()::text", &[]).await.unwrap().get(0);
    let end: Lsn = end.parse().unwrap();
    let mut stream = open(&options, Protocol::Version1).await.unwrap();
    let mut seen = Lsn(0);
    while seen < end {
        // Each question is answered with how far the server has looked.
        stream.confirm(seen, true).await.unwrap();
        match next(&mut stream).await.unwrap() {
            Frame::Keepalive { wal_end, .. } => seen = wal_end,
            Frame::Data { .. } => {}
        }
    }
    stream.confirm(seen, true).await.unwrap();
    next(&mut stream).await.unwrap();
    drop(stream);
    let sql = "select confirmed_flush_lsn::text from pg_replication_slots";
    let confirmed: String = client.query_one(sql, &[]).await.unwrap().get(0);
    assert!(confirmed.parse::<Lsn>().unwrap() >= end, "{confirmed} is before {end}");
}

#[tokio::test]
async fn a_frame_that_nobody_waited_for_is_not_lost() {
    let cluster = start(ClusterOptions::default());
    let options = address(&cluster, "", "?sslmode=disable");
    let client = client(&options).await;
    run(&client, TABLE).await;
    run(&client, "insert into t select n, repeat('x', 3000) from generate_series(1, 2000) n").await;
    let mut stream = open(&options, Protocol::Version1).await.unwrap();
    let (mut decoder, mut inserts, mut dropped) = (Decoder::new(), 0, 0);
    loop {
        // The wait is dropped the first time that it has to wait at all, often amid a frame.
        let frame = tokio::select! {
            biased;
            frame = stream.next() => frame.unwrap(),
            () = tokio::task::yield_now() => { dropped += 1; continue }
        };
        let Frame::Data { payload, .. } = frame else { continue };
        match decoder.decode(&payload).unwrap() {
            Message::Insert { .. } => inserts += 1,
            Message::Commit { .. } => break,
            _ => {}
        }
    }
    assert_eq!(inserts, 2000);
    assert!(dropped > 0, "no wait was dropped");
}
