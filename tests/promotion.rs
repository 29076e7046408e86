//! Real standbys and real recoveries: a promotion loses nothing, and a restore to an earlier point is held (R13).
//!
//! Standbys are made by the server's own backup functions, so that no further program is needed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed assumption of a test is a failed test"
)]

#[path = "promotion/router.rs"]
mod router;
#[path = "promotion/servers.rs"]
mod servers;
#[allow(dead_code, reason = "not every part of a scene is needed here")]
#[path = "it/support/mod.rs"]
mod support;

use rowtwin::engine::slot::Tended;
use serde_json::json;

use router::Router;
use servers::{Archive, Servers, failover_major};
use support::running::{Running, until};
use support::{CRM, CUSTOMER, Scene, Script, connect, execute};

fn crm_only(database: &str) -> Script {
    Script { with_erp: false, database: database.to_owned(), ..Script::default() }
}

/// Five customers on both sides, on the primary behind a router.
async fn scene(servers: &Servers, database: &str) -> (Scene, Router) {
    execute(&servers.primary().url("postgres"), "create database mirror").await;
    let router = Router::start(servers.primary().port()).await;
    let scene = Scene::at(router.url("mirror"), CUSTOMER, crm_only(database)).await;
    scene
        .run("insert into sales.customer (name, number) select 'n' || n, 'C' || n from generate_series(1, 5) n")
        .await;
    scene.settle().await;
    assert_eq!(scene.crm().count(CRM), 5);
    scene.crm().forget_calls();
    (scene, router)
}

fn numbers(scene: &Scene) -> Vec<String> {
    let mut numbers: Vec<String> = scene
        .crm()
        .records(CRM)
        .iter()
        .filter(|record| record.get("life_status") != Some(&json!("invalid")))
        .map(|record| {
            format!("{} {}", record["account_no"], record.get("tel").unwrap_or(&json!(""))).replace('"', "")
        })
        .collect();
    numbers.sort();
    numbers
}

const WANTED: [&str; 6] = ["C1 13800000001", "C3 13800000003", "C4 ", "C5 ", "C6 ", "C7 "];

/// Changes of each kind before and after the primary is gone, while a process runs.
async fn promoted_under_a_running_process(mut servers: Servers, mut scene: Scene, router: Router) {
    let running = Running::start(&scene).await;
    let slot = scene.engine.slot.clone();
    until("capture streams", async || {
        scene
            .number(&format!(
                "select count(*) from pg_replication_slots where slot_name = '{slot}' and active"
            ))
            .await
            == 1
    })
    .await;
    scene
        .run("update sales.customer set phone = '13800000001' where number = 'C1'; insert into sales.customer (name, number) values ('n6', 'C6')")
        .await;
    // what is committed is on the standby; whether it was captured is left to chance
    servers.standby_has_all().await;
    servers.promote().await;
    router.lead_to(servers.standby().port());
    scene.sql = connect(&scene.url).await;
    // what the process was sending when the connection broke comes back with the end of its lease
    scene.run("update rowtwin_private.outbox set lease_until = '-infinity' where state = 'sending'").await;
    scene
        .run("update sales.customer set phone = '13800000003' where number = 'C3'; delete from sales.customer where number = 'C2';
              insert into sales.customer (name, number) values ('n7', 'C7')")
        .await;
    let began = std::time::Instant::now();
    while numbers(&scene) != WANTED {
        let late = began.elapsed() > std::time::Duration::from_secs(30);
        assert!(!late, "not everything arrives: {:?} {}", numbers(&scene), scene.story().await);
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    until("the comparison ends", async || {
        scene.number("select count(*) from rowtwin.recovery where finished_at is not null").await == 1
    })
    .await;
    scene.run("update sales.customer set phone = '13800000004' where number = 'C4'").await;
    until("the stream goes on", async || numbers(&scene).contains(&"C4 13800000004".to_owned())).await;
    running.stop().await;
    let timeline = scene.number("select timeline::bigint from rowtwin_private.capture").await;
    assert_eq!(timeline, 2);
    scene.crm().forget_calls();
    scene.settle().await;
    assert!(Scene::writes(&scene.crm()).is_empty(), "{:?}", Scene::writes(&scene.crm()));
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_a_promotion_with_a_failover_slot_loses_nothing() {
    let mut servers = Servers::start(Some(failover_major()));
    let (scene, router) = scene(&servers, "{failover: true}").await;
    let slot = scene.engine.slot.clone();
    assert_eq!(scene.row("select failover from rowtwin.slot").await["failover"], json!(true));
    servers.add_standby("mirror", true).await;
    servers.wait_for_the_standby_in_streams().await;
    let standby = connect(&servers.standby().url("mirror")).await;
    // the standby keeps its copy for good once the slot has moved past what the standby itself retains
    until("the slot is on the standby", async || {
        scene.run("select pg_log_standby_snapshot()").await;
        scene.capture().await;
        let sql = format!("select count(*) from pg_replication_slots where slot_name = '{slot}' and synced and not temporary");
        standby.query_one(&sql, &[]).await.unwrap().get::<_, i64>(0) == 1
    })
    .await;
    drop(standby);
    promoted_under_a_running_process(servers, scene, router).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_a_promotion_that_leaves_the_slot_behind_loses_nothing() {
    let mut servers = Servers::start(None);
    let (scene, router) = scene(&servers, "{}").await;
    servers.add_standby("mirror", false).await;
    promoted_under_a_running_process(servers, scene, router).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_a_standby_that_lacks_what_was_taken_in_is_held() {
    let mut servers = Servers::start(None);
    let (mut scene, router) = scene(&servers, "{}").await;
    servers.add_standby("mirror", false).await;
    servers.standby_has_all().await;
    servers.stop_standby();
    scene.run("update sales.customer set phone = '13800000001' where number = 'C1'").await;
    scene.settle().await;
    assert_eq!(scene.tend().await, Tended::Ready);
    scene.engine.note_place().await.unwrap();
    scene.crm().forget_calls();
    servers.promote().await;
    router.lead_to(servers.standby().port());
    scene.sql = connect(&scene.url).await;
    let Tended::Waits(reason) = scene.tend().await else { panic!("not held") };
    assert!(reason.contains("lacks changes"), "{reason}");
    // a person says that the records are right: the lost edit comes back from the CRM
    scene.run("select rowtwin.accept_restored('records')").await;
    scene.engine.forget_database();
    assert_eq!(scene.tend().await, Tended::Ready);
    scene.recover().await;
    scene.settle().await;
    let row = scene.row("select phone from sales.customer where number = 'C1'").await;
    assert_eq!(row["phone"], json!("13800000001"));
    assert!(Scene::writes(&scene.crm()).is_empty(), "{:?}", Scene::writes(&scene.crm()));
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_a_database_recovered_to_an_earlier_point_is_held() {
    let archive = Archive::new();
    let mut servers = Servers::archiving(&archive);
    let (mut scene, router) = scene(&servers, "{}").await;
    servers.copy_cold();
    scene.sql = connect(&scene.url).await;
    scene.run("select pg_create_restore_point('before_the_mistake')").await;
    scene.run("update sales.customer set phone = '13800000009'").await;
    scene.settle().await;
    scene.run("select pg_switch_wal()").await;
    scene.crm().forget_calls();
    servers.recover_copy(&archive, "before_the_mistake").await;
    router.lead_to(servers.standby().port());
    scene.sql = connect(&scene.url).await;
    assert_eq!(scene.number("select count(phone) from sales.customer").await, 0);

    // a process that has seen nothing itself finds it out
    let engine = scene.another_engine_assembled().await;
    let Tended::Waits(reason) = engine.tend_slot(None).await.unwrap() else { panic!("not held") };
    assert!(
        reason.contains("restored to an earlier point") && reason.contains("before_the_mistake"),
        "{reason}"
    );
    scene.run("update sales.customer set phone = '13800000001' where number = 'C1'").await;
    scene.deliver(&scene.engine.bounds[0]).await;
    assert!(scene.crm().calls().is_empty(), "{:?}", scene.crm().calls());

    scene.run("select rowtwin.accept_restored('rows')").await;
    scene.engine.forget_database();
    assert_eq!(scene.tend().await, Tended::Ready);
    scene.recover().await;
    scene.verify_to_the_end("crm").await;
    scene.settle().await;
    assert_eq!(
        numbers(&scene),
        ["C1 13800000001", "C2 ", "C3 ", "C4 ", "C5 "],
        "the mistake is undone in the CRM"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_a_slot_that_idled_too_long_is_made_anew() {
    // the server takes idle slots away from 18 on
    let servers = Servers::with(Some(18), &[("idle_replication_slot_timeout", "1s")]);
    let (scene, _router) = scene(&servers, "{}").await;
    scene.run("update sales.customer set phone = '13800000001' where number = 'C1'").await;
    until("the server takes the slot away", async || {
        scene.run("checkpoint").await;
        scene.number("select count(*) from rowtwin.slot where invalidation_reason = 'idle_timeout'").await
            == 1
    })
    .await;
    let running = Running::start(&scene).await;
    until("the change arrives", async || numbers(&scene).contains(&"C1 13800000001".to_owned())).await;
    running.stop().await;
    let reason = scene.row("select reason from rowtwin.recovery").await;
    assert!(reason["reason"].as_str().unwrap().contains("idle_timeout"), "{reason}");
    assert_eq!(Scene::writes(&scene.crm()).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_a_role_without_superuser_rights_recovers_too() {
    let servers = Servers::start(None);
    let admin = servers.primary().url("postgres");
    execute(&admin, "create role service login replication").await;
    execute(&admin, "create database mirror owner service").await;
    let url = servers.primary().url("mirror").replace("postgres@", "service@");
    let scene = Scene::at(url, CUSTOMER, crm_only("{}")).await;
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
    scene.settle().await;
    scene.crm().forget_calls();
    let running = Running::start(&scene).await;
    let slot = scene.engine.slot.clone();
    until("capture streams", async || {
        let sql = format!("select count(*) from pg_replication_slots where slot_name = '{slot}' and active");
        scene.number(&sql).await == 1
    })
    .await;
    // ends the stream of its own role, drops and makes the slot
    scene.engine.give_up_slot("a test").await.unwrap();
    until("the slot is new", async || scene.number("select renewals from rowtwin.slot").await == 1).await;
    scene.run("update sales.customer set phone = '13800000001'").await;
    until("the change arrives", async || numbers(&scene).contains(&"C1 13800000001".to_owned())).await;
    until("who streams is seen", async || {
        scene.number("select count(*) from rowtwin.slot where active_since is not null").await == 1
    })
    .await;
    running.stop().await;
}
