//! R2: what the slot may retain, and what happens beyond.

use std::sync::{Arc, Mutex};

use rowtwin::config::file::OnBudget;
use rowtwin::engine::run::{Unwatched, Watch};
use rowtwin::engine::slot::{Alarm, Tended};
use serde_json::json;

use crate::support::running::{Running, own_cluster, until};
use crate::support::{CRM, CUSTOMER, Scene, Script, execute};

fn crm_only() -> Script {
    Script { with_erp: false, ..Script::default() }
}

#[derive(Default)]
struct Told(Mutex<Vec<(Alarm, String)>>);

impl Watch for Told {
    fn slot(&self, alarm: Alarm, reason: &str) {
        self.0.lock().unwrap().push((alarm, reason.to_owned()));
    }
}

/// More WAL than the small budget of these tests, of a table that is not published.
const BULK: &str = "create table if not exists sales.bulk (t text);
    insert into sales.bulk select repeat(md5(n::text), 50) from generate_series(1, 10000) n; truncate sales.bulk";

/// Bytes: well above what the tests write besides, well below `BULK`.
const BUDGET: i64 = 6 << 20;

/// What a slot retains is counted over the whole server, so these tests have one that nobody else writes to.
async fn alone() -> Scene {
    let cluster = own_cluster(&[]);
    execute(&cluster.url("postgres"), "create database mirror").await;
    Scene::at(cluster.url("mirror"), CUSTOMER, crm_only()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn r02_a_slot_beyond_its_warning_is_told_and_left_alone() {
    let mut scene = alone().await;
    scene.settle().await;
    scene.engine.slot_spec.warn_bytes = Some(BUDGET);
    assert_eq!(scene.engine.guard_slot(Alarm::None, &Unwatched).await.unwrap(), Alarm::None);
    scene.run(BULK).await;
    let told = Told::default();
    assert_eq!(scene.engine.guard_slot(Alarm::None, &told).await.unwrap(), Alarm::Warned);
    let told = told.0.into_inner().unwrap();
    assert_eq!(told.len(), 1);
    assert!(told[0].1.contains("bytes of WAL"), "{told:?}");
    assert_eq!(scene.tend().await, Tended::Ready);
    assert_eq!(scene.number("select renewals from rowtwin.slot").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r02_a_slot_beyond_its_budget_is_given_up_and_nothing_is_lost() {
    let mut scene = alone().await;
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
    scene.settle().await;
    scene.crm().forget_calls();
    scene.engine.slot_spec.budget_bytes = Some(BUDGET);
    scene.run(BULK).await;
    scene.run("update sales.customer set phone = '13800000001'").await;
    // warned only, by default
    assert_eq!(scene.engine.guard_slot(Alarm::None, &Unwatched).await.unwrap(), Alarm::OverBudget);
    assert_eq!(scene.row("select reason from rowtwin.slot").await["reason"], json!(null));

    scene.engine.file.database.slot_guard.on_budget = OnBudget::Recreate;
    assert_eq!(scene.engine.guard_slot(Alarm::None, &Unwatched).await.unwrap(), Alarm::OverBudget);
    let reason = scene.row("select reason from rowtwin.slot").await;
    assert!(reason["reason"].as_str().unwrap().contains("more than its budget"), "{reason}");
    scene.recovered().await;
    assert_eq!(
        scene.number(&format!("select (retained_bytes < {BUDGET})::int::bigint from rowtwin.slot")).await,
        1
    );
    assert_eq!(scene.engine.guard_slot(Alarm::OverBudget, &Unwatched).await.unwrap(), Alarm::None);
    assert_eq!(Scene::writes(&scene.crm()).len(), 1);
    assert_eq!(scene.crm().records(CRM)[0]["tel"], json!("13800000001"));
}

/// How much is written while both systems are down. 2 GB take minutes on a small machine; the shape is the same.
const MEGABYTES: i64 = 192;

#[tokio::test(flavor = "multi_thread")]
async fn r02_retained_wal_stays_flat_while_every_remote_is_down() {
    let cluster = own_cluster(&[("max_wal_size", "64MB"), ("min_wal_size", "32MB")]);
    execute(&cluster.url("postgres"), "create database mirror").await;
    let scene = Arc::new(Scene::at(cluster.url("mirror"), CUSTOMER, Script::default()).await);
    scene.settle().await;
    scene.crm().set_down(true);
    scene.erp().set_down(true);
    let running = Running::start(&scene).await;
    scene.run("insert into sales.customer (name, number) select 'n' || n, 'C' || n from generate_series(1, 2000) n").await;
    let began = scene.wal_end().await;
    let (mut written, mut most) = (0, 0);
    while written < MEGABYTES << 20 {
        // about eight megabytes, a third of it in the mirror table
        scene
            .run("update sales.customer set note = (select string_agg(md5(random()::text || i), '') from generate_series(1, 40) i);
                  create table if not exists sales.bulk (t text);
                  insert into sales.bulk select repeat(md5(n::text), 50) from generate_series(1, 2500) n; truncate sales.bulk")
            .await;
        let end = scene.wal_end().await;
        until("the slot follows", async || scene.confirmed_beyond(&end).await).await;
        scene.run("checkpoint").await;
        let retained = scene.number("select retained_bytes from rowtwin.slot").await;
        most = most.max(retained);
        written = scene.number(&format!("select pg_wal_lsn_diff('{end}', '{began}')::bigint")).await;
    }
    assert!(most < 64 << 20, "{most} bytes retained while {written} were written");
    assert_eq!(scene.number("select count(*) from rowtwin.outbox where system = 'crm'").await, 2000);
    running.stop().await;
}
