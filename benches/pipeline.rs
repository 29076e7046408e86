//! The way of a row as a whole: from the WAL to the outbox, through delivery to a simulated system, and how long one
//! committed edit takes to become a request.
//!
//! `cargo bench --bench pipeline`, or with `--profile dev` where nobody wants to wait for an optimised build. Server,
//! simulator and engine share the machine, so the figures are what the whole of it does.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rowtwin::capture::catch_up::catch_up;
use rowtwin::capture::worker::Capturer;
use rowtwin::cluster::{Cluster, ClusterOptions};
use rowtwin::config;
use rowtwin::deliver::Deliverer;
use rowtwin::engine::Engine;
use rowtwin::engine::assemble::Given;
use rowtwin::engine::run::Unwatched;
use rowtwin::simulator::{Door, Kind, Options, Simulator, credentials};
use rowtwin::store::upkeep::Rests;
use tokio_util::sync::CancellationToken;

/// How much each measurement does.
struct Load {
    captured: u32,
    delivered: u32,
    edits: usize,
    /// Entries that go through the outbox, two thousand at a time.
    churned: u32,
}

fn main() {
    // `cargo test --benches` runs this too, only to see that it runs.
    let load = if std::env::args().any(|argument| argument == "--bench") {
        Load { captured: 100_000, delivered: 2_000, edits: 300, churned: 1_000_000 }
    } else {
        Load { captured: 500, delivered: 50, edits: 5, churned: 4_000 }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(measure(&load));
}

async fn measure(load: &Load) {
    let cluster = Cluster::start(ClusterOptions::default(), &mut |line| eprintln!("{line}")).unwrap();
    if std::env::args().any(|argument| argument == "churn") {
        return churn(&Scene::open(&cluster, "churn", Kind::KingdeeK3cloud).await, load.churned).await;
    }
    let rate = |rows: u32, took: Duration| format!("{:>10.0} rows/s", f64::from(rows) / took.as_secs_f64());
    let took = capture(&Scene::open(&cluster, "capture", Kind::KingdeeK3cloud).await, load.captured).await;
    println!("WAL to outbox                    {}", rate(load.captured, took));
    for (kind, name, words) in [
        (Kind::KingdeeK3cloud, "erp", "Kingdee, batches of 100"),
        (Kind::Fxiaoke, "crm", "Fxiaoke, one a call    "),
    ] {
        let scene = Scene::open(&cluster, name, kind).await;
        let (creates, updates) = deliver(&scene, load.delivered).await;
        println!("creates, {words} {}", rate(load.delivered, creates));
        println!("updates, {words} {}", rate(load.delivered, updates));
    }
    let mut waits = latency(Scene::open(&cluster, "latency", Kind::Fxiaoke).await, load.edits).await;
    waits.sort_unstable();
    let at = |share: usize| waits[(waits.len() - 1) * share / 100];
    println!("commit to request, p50           {:>10} ms", at(50));
    println!("commit to request, p99           {:>10} ms", at(99));
    churn(&Scene::open(&cluster, "churn", Kind::KingdeeK3cloud).await, load.churned).await;
}

struct Scene {
    engine: Engine,
    sql: tokio_postgres::Client,
    simulator: Simulator,
}

impl Scene {
    async fn open(cluster: &Cluster, name: &str, kind: Kind) -> Self {
        connect(&cluster.url("postgres"))
            .await
            .batch_execute(&format!("create database {name}"))
            .await
            .unwrap();
        let url = cluster.url(name);
        let sql = connect(&url).await;
        sql.batch_execute(
            "create schema sales; create table sales.customer
               (id bigint generated always as identity primary key, name text, number text, phone text)",
        )
        .await
        .unwrap();
        let simulator =
            Simulator::start(kind, Options { calls_per_20s: Some(u32::MAX), ..Options::default() })
                .await
                .unwrap();
        let file = config::parse("bench.yaml", &configuration(kind, &simulator.base_url(), name)).unwrap().0;
        let environment = HashMap::from([
            ("CRM_SECRET".to_owned(), credentials::fxiaoke::APP_SECRET.to_owned()),
            ("CRM_CODE".to_owned(), credentials::fxiaoke::PERMANENT_CODE.to_owned()),
            ("FORMS_KEY".to_owned(), credentials::jiandaoyun::API_KEY.to_owned()),
            ("ERP_SECRET".to_owned(), credentials::kingdee::APP_SECRET.to_owned()),
        ]);
        let given = Given { database_url: Some(url), environment, ..Given::default() };
        let mut engine = Engine::assemble(file, &given).await.unwrap();
        engine.init().await.unwrap();
        Self { engine, sql, simulator }
    }

    async fn number(&self, sql: &str) -> i64 {
        self.sql.query_one(sql, &[]).await.unwrap().get(0)
    }

    async fn insert(&self, rows: u32) {
        let sql = format!(
            "insert into sales.customer (name, number) select 'name ' || n, 'C' || n from generate_series(1, {rows}) n"
        );
        self.sql.batch_execute(&sql).await.unwrap();
    }
}

fn configuration(kind: Kind, url: &str, slot: &str) -> String {
    use credentials::{fxiaoke as f, kingdee as k};
    let (connector, settings, binding) = match kind {
        Kind::Fxiaoke => (
            "fxiaoke",
            format!(
                "app_id: {}, app_secret: {{env: CRM_SECRET}}, permanent_code: {{env: CRM_CODE}}, user_id: '{}'",
                f::APP_ID,
                f::USER_ID
            ),
            "object: AccountObj, match: [account_no], fields: {name: name, number: account_no, phone: tel}",
        ),
        Kind::Jiandaoyun => (
            "jiandaoyun",
            "api_key: {env: FORMS_KEY}".to_owned(),
            "object: demo_app/customer, match: [_widget_code], fields: {name: _widget_name, number: _widget_code}",
        ),
        Kind::KingdeeK3cloud => (
            "kingdee-k3cloud",
            format!(
                "account_id: {}, user: {}, app_id: {}, app_secret: {{env: ERP_SECRET}}",
                k::ACCT_ID,
                k::USER,
                k::APP_ID
            ),
            "object: BD_Customer, match: [FNumber], fields: {name: FName, number: FNumber, phone: FTEL}",
        ),
        other => panic!("{other} is not measured"),
    };
    format!(
        "database: {{slot: {slot}}}
systems:
  far: {{connector: {connector}, limits: {{per_second: 100000, in_flight: 8}}, settings: {{base_url: '{url}', {settings}}}}}
tables:
  sales.customer: {{bindings: [{{system: far, poll: 1d, sweep: never, {binding}}}]}}
"
    )
}

async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Marks, claims and settles entries and takes as many ids through the inbox, and says how large the two are at most and in
/// the end. The work lists are looked after once a second, as a running process does it.
async fn churn(scene: &Scene, entries: u32) {
    let binding = scene.number("select min(id)::bigint from rowtwin_private.binding").await;
    let size = "select pg_total_relation_size('rowtwin_private.outbox') + pg_total_relation_size('rowtwin_private.inbox')";
    let (began, mut looked_after, mut largest) = (Instant::now(), Instant::now(), 0);
    let mut rests = Rests::default();
    for first in (0..entries).step_by(2_000) {
        let round = format!(
            "select rowtwin_private.mark_later({binding}::int, array_agg(i::text)) from generate_series({first}, {first} + 1999) i;
             select count(*) from rowtwin_private.claim({binding}::int, 2000, '00000000-0000-4000-8000-000000000000', '1 minute');
             select count(*) from rowtwin_private.settle({binding}::int, '00000000-0000-4000-8000-000000000000',
               (select jsonb_agg(jsonb_build_object('key', key, 'verdict', 'done')) from rowtwin_private.outbox where state = 'sending'));
             select rowtwin_private.note_records({binding}::int, array_agg(i::text), 'bench') from generate_series({first}, {first} + 1999) i;
             delete from rowtwin_private.inbox where binding_id = {binding};"
        );
        for statement in round.split(';').filter(|statement| !statement.trim().is_empty()) {
            scene.sql.batch_execute(statement).await.unwrap();
        }
        if looked_after.elapsed() > Duration::from_secs(1) {
            scene.engine.store.vacuum_work_lists(&mut rests).await.unwrap();
            looked_after = Instant::now();
        }
        largest = largest.max(scene.number(size).await);
    }
    assert_eq!(scene.number("select count(*) from rowtwin_private.outbox").await, 0);
    let megabytes = |bytes: i64| bytes / 1_000_000;
    println!("entries through outbox and inbox {entries:>10} in {:.0} s", began.elapsed().as_secs_f64());
    println!("size of both, at most            {:>10} MB", megabytes(largest));
    println!("size of both, at the end         {:>10} MB", megabytes(scene.number(size).await));
}

/// From the start of the stream until every key is in the outbox and committed.
async fn capture(scene: &Scene, rows: u32) -> Duration {
    scene.insert(rows).await;
    let engine = &scene.engine;
    let capturer = Capturer {
        store: engine.store.clone(),
        options: engine.options.clone(),
        slot: engine.slot.clone(),
        publication: engine.publication.clone(),
        watched: engine.watched(),
        wake: HashMap::new(),
        described: Arc::default(),
        on_state: Box::new(|_| {}),
    };
    let stop = CancellationToken::new();
    let started = Instant::now();
    let ended = stop.clone();
    let running = tokio::spawn(async move { capturer.run(&ended).await });
    while scene.number("select coalesce(sum(changes), 0)::bigint from rowtwin_private.capture").await
        < i64::from(rows)
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = started.elapsed();
    stop.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(scene.number("select count(*) from rowtwin_private.outbox").await, i64::from(rows));
    took
}

/// Creates, then updates of the same rows: only delivery is timed.
async fn deliver(scene: &Scene, rows: u32) -> (Duration, Duration) {
    let engine = &scene.engine;
    let deliverer = Deliverer {
        store: engine.store.clone(),
        bound: Arc::clone(&engine.bounds[0]),
        stop: CancellationToken::new(),
    };
    let drain = async || {
        while catch_up(&engine.store, &engine.slot, &engine.publication, engine.watched()).await.unwrap() > 0
        {
        }
        let started = Instant::now();
        while scene.number("select count(*) from rowtwin_private.outbox").await > 0 {
            while deliverer.turn().await.unwrap().rest.is_none() {}
        }
        started.elapsed()
    };
    scene.insert(rows).await;
    let creates = drain().await;
    scene.sql.batch_execute("update sales.customer set phone = 13800000000 + id").await.unwrap();
    let updates = drain().await;
    let object = &engine.bounds[0].object;
    assert_eq!(scene.simulator.door().count(object), usize::try_from(rows).unwrap());
    (creates, updates)
}

/// Milliseconds from a commit until the remote receives the update, one edit at a time, while everything runs.
async fn latency(scene: Scene, edits: usize) -> Vec<i64> {
    let Scene { engine, sql, simulator } = scene;
    let stop = CancellationToken::new();
    let running = tokio::spawn(Arc::new(engine).run(stop.clone(), Arc::new(Unwatched)));
    let door = simulator.door();
    sql.batch_execute("insert into sales.customer (name, number) values ('Acme', 'C1')").await.unwrap();
    next_call(&door, "create").await;
    let mut waits = Vec::with_capacity(edits);
    for edit in 0..edits {
        // the delivery before has settled, so that each edit finds the engine at rest
        while sql
            .query_one("select count(*) from rowtwin_private.outbox", &[])
            .await
            .unwrap()
            .get::<_, i64>(0)
            > 0
        {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        door.forget_calls();
        sql.execute("update sales.customer set phone = $1", &[&format!("138{edit:08}")]).await.unwrap();
        let committed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let called = next_call(&door, "update").await;
        waits.push((called - i64::try_from(committed).unwrap()).max(0));
    }
    stop.cancel();
    running.await.unwrap().unwrap();
    waits
}

async fn next_call(door: &Door, operation: &str) -> i64 {
    loop {
        if let Some(call) = door.calls().iter().find(|call| call.operation == operation) {
            return call.at_ms;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
