//! R1 to R3: what the slot confirms, and when.

use std::sync::Arc;

use rowtwin::capture::worker::{CaptureError, Capturer};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::running::{Running, own_cluster, until};
use crate::support::{CRM, CUSTOMER, ERP, Scene, Script, connect, execute};

/// The production capture on the scene's slot, without the rest of the engine.
fn capture(scene: &Scene, stop: &CancellationToken) -> JoinHandle<Result<(), CaptureError>> {
    let engine = &scene.engine;
    let capturer = Capturer {
        store: engine.store.clone(),
        options: engine.options.clone(),
        slot: engine.slot.clone(),
        publication: engine.publication.clone(),
        watched: engine.watched(),
        wake: std::collections::HashMap::new(),
        described: Arc::default(),
        on_state: Box::new(|_| {}),
    };
    let stop = stop.clone();
    tokio::spawn(async move { capturer.run(&stop).await })
}

async fn marks(scene: &Scene) -> i64 {
    scene.number("select count(*) from rowtwin_private.outbox").await
}

/// A scene at rest with one linked row, and a lock that stops capture just before its outbox rows commit: at the books,
/// which only that transaction writes.
async fn stopped_before_the_commit() -> (Scene, tokio_postgres::Client) {
    let scene = Scene::start().await;
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
    scene.settle().await;
    let lock = connect(&scene.url).await;
    lock.batch_execute("begin; lock table rowtwin_private.usage in share mode").await.unwrap();
    (scene, lock)
}

async fn capture_waits(scene: &Scene) {
    until("capture waits for the lock", async || {
        scene
            .number(
                "select count(*) from pg_locks where not granted
                 and database = (select oid from pg_database where datname = current_database())
                 and relation = 'rowtwin_private.usage'::regclass",
            )
            .await
            > 0
    })
    .await;
}

async fn slot_is_free(scene: &Scene) {
    let slot = &scene.engine.slot;
    until("the slot is free", async || {
        scene
            .number(&format!(
                "select count(*) from pg_replication_slots where slot_name = '{slot}' and not active"
            ))
            .await
            == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r01_capture_dies_before_its_marks_commit_and_the_change_comes_again() {
    let (scene, lock) = stopped_before_the_commit().await;
    let stop = CancellationToken::new();
    let dying = capture(&scene, &stop);
    scene.run("update sales.customer set phone = '13800000001'").await;
    let end = scene.wal_end().await;
    capture_waits(&scene).await;
    dying.abort();
    let _ = dying.await;
    lock.batch_execute("rollback").await.unwrap();
    slot_is_free(&scene).await;
    until("the marks were rolled back", async || marks(&scene).await == 0).await;
    assert!(!scene.confirmed_beyond(&end).await, "confirmed without marks");

    scene.settle().await;
    assert_eq!(scene.crm().records(CRM)[0]["tel"], json!("13800000001"));
    assert_eq!(scene.erp().records(ERP)[0]["FTEL"], json!("13800000001"));
    assert!(scene.confirmed_beyond(&end).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn r01_capture_dies_between_commit_and_confirm_and_the_change_goes_out_once() {
    let (scene, lock) = stopped_before_the_commit().await;
    let stop = CancellationToken::new();
    let dying = capture(&scene, &stop);
    scene.crm().forget_calls();
    scene.run("update sales.customer set phone = '13800000001'").await;
    let end = scene.wal_end().await;
    capture_waits(&scene).await;
    // the connection that would carry the confirmation breaks; the commit goes through
    let slot = &scene.engine.slot;
    scene
        .run(&format!(
            "select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = '{slot}'"
        ))
        .await;
    slot_is_free(&scene).await;
    lock.batch_execute("rollback").await.unwrap();
    until("the marks are committed", async || marks(&scene).await == 2).await;
    assert!(dying.await.unwrap().is_err(), "the broken stream was not noticed");
    assert!(!scene.confirmed_beyond(&end).await, "confirmed over a broken connection");
    for bound in &scene.engine.bounds {
        scene.deliver(bound).await;
    }
    assert_eq!(Scene::writes(&scene.crm()).len(), 1);

    assert!(scene.capture().await > 0, "what was not confirmed comes again");
    scene.settle().await;
    assert_eq!(Scene::writes(&scene.crm()).len(), 1, "{:?}", scene.crm().calls());
    assert_eq!(scene.crm().records(CRM)[0]["tel"], json!("13800000001"));
}

#[tokio::test(flavor = "multi_thread")]
async fn r01_a_commit_that_nobody_can_see_yet_is_neither_looked_at_nor_confirmed() {
    // our own sessions do not wait for the standby that is not there
    let cluster = own_cluster(&[("synchronous_commit", "local")]);
    let url = cluster.url("mirror");
    execute(&cluster.url("postgres"), "create database mirror").await;
    let scene = Arc::new(Scene::at(url, CUSTOMER, Script::default()).await);
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
    scene.settle().await;
    execute(&scene.url, "alter system set synchronous_standby_names = 'nobody'").await;
    execute(&scene.url, "select pg_reload_conf()").await;
    until("the setting holds", async || {
        scene.number("select count(*) from pg_settings where name = 'synchronous_standby_names' and setting = 'nobody'").await == 1
    })
    .await;

    let stop = CancellationToken::new();
    let capturing = capture(&scene, &stop);
    let before = scene.wal_end().await;
    let editor = connect(&scene.url).await;
    editor.batch_execute("set synchronous_commit = on").await.unwrap();
    let edit = tokio::spawn(async move {
        editor.batch_execute("update sales.customer set phone = '13800000001'").await.unwrap();
    });
    until("the commit waits for a standby", async || {
        scene.number("select count(*) from pg_stat_activity where wait_event = 'SyncRep'").await == 1
    })
    .await;
    // a later change, visible at once, is behind the invisible one in the stream
    scene.run("insert into sales.customer (name, number) values ('Later', 'C2')").await;
    let end = scene.wal_end().await;
    // capture has received the commit once it asks whether it is visible
    until("capture looks whether the commit is visible", async || {
        scene
            .number("select count(*) from pg_stat_activity where query like '%rowtwin_private.all_visible%' and pid <> pg_backend_pid()")
            .await
            > 0
    })
    .await;
    assert_eq!(marks(&scene).await, 0, "a mark before its change can be seen");

    // a stop in this state must not confirm what was not marked
    stop.cancel();
    capturing.await.unwrap().unwrap();
    assert_eq!(marks(&scene).await, 0);
    assert!(!scene.confirmed_beyond(&end).await, "confirmed without marks (before: {before})");
    slot_is_free(&scene).await;

    let stop = CancellationToken::new();
    let capturing = capture(&scene, &stop);
    execute(&scene.url, "alter system reset synchronous_standby_names").await;
    execute(&scene.url, "select pg_reload_conf()").await;
    edit.await.unwrap();
    until("both rows are marked", async || marks(&scene).await == 4).await;
    stop.cancel();
    capturing.await.unwrap().unwrap();
    slot_is_free(&scene).await;
    scene.settle().await;
    assert_eq!(scene.crm().count(CRM), 2);
    assert!(scene.crm().records(CRM).iter().any(|record| record.get("tel") == Some(&json!("13800000001"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn r02_the_slot_never_waits_for_a_remote() {
    let scene = Scene::start().await;
    scene.settle().await;
    scene.crm().set_down(true);
    scene.erp().set_down(true);
    let running = Running::start(&scene).await;
    scene.run("insert into sales.customer (name, number) select 'n' || n, 'C' || n from generate_series(1, 500) n").await;
    let midway = scene.wal_end().await;
    for round in 0..10 {
        scene.run(&format!("update sales.customer set note = (select string_agg(md5(id::text || i || '{round}'), '') from generate_series(1, 60) i)")).await;
    }
    let end = scene.wal_end().await;
    let written = scene.number(&format!("select pg_wal_lsn_diff('{end}', '{midway}')::bigint")).await;
    assert!(written > 10_000_000, "{written}");
    until("the slot follows", async || scene.confirmed_beyond(&end).await).await;
    assert_eq!(scene.number("select count(*) from rowtwin.outbox where system = 'crm'").await, 500);
    // the server frees WAL behind the oldest running transaction that it has noted
    let slot = &scene.engine.slot;
    until("the WAL is free", async || {
        scene.run("checkpoint; select pg_switch_wal()").await;
        scene
            .number(&format!("select count(*) from pg_replication_slots where slot_name = '{slot}' and restart_lsn >= '{midway}'"))
            .await
            == 1
    })
    .await;

    scene.crm().set_down(false);
    scene.erp().set_down(false);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r03_an_idle_slot_advances() {
    let scene = Scene::start().await;
    scene.settle().await;
    scene.run("create table sales.other (id int primary key, t text)").await;
    let running = Running::start(&scene).await;
    scene.run("insert into sales.other select n, repeat('x', 100) from generate_series(1, 5000) n").await;
    let end = scene.wal_end().await;
    until("the slot advances", async || scene.confirmed_beyond(&end).await).await;
    assert_eq!(marks(&scene).await, 0);
    running.stop().await;
}
