//! R13: a lost slot loses nothing.

use std::time::{Duration, Instant};

use rowtwin::engine::slot::Tended;
use serde_json::{Value, json};

use crate::support::running::{Running, own_cluster, until};
use crate::support::{CRM, CUSTOMER, Scene, Script, connect, execute};

fn crm_only() -> Script {
    Script { with_erp: false, ..Script::default() }
}

async fn customers(scene: Scene, count: usize) -> Scene {
    scene
        .run(&format!("insert into sales.customer (name, number) select 'n' || n, 'C' || n from generate_series(1, {count}) n"))
        .await;
    scene.settle().await;
    assert_eq!(scene.crm().count(CRM), count);
    scene.crm().forget_calls();
    scene
}

/// A change of each kind, and one that changes nothing.
const CHANGES: &str = "
    update sales.customer set phone = '13800000001' where number = 'C1';
    delete from sales.customer where number = 'C2';
    insert into sales.customer (name, number) values ('New', 'C90');
    update sales.customer set note = 'not mapped' where number = 'C3';
    update sales.customer set name = name where number = 'C3'";

fn alive(scene: &Scene) -> Vec<Value> {
    scene
        .crm()
        .records(CRM)
        .into_iter()
        .filter(|record| record.get("life_status") != Some(&json!("invalid")))
        .map(Value::Object)
        .collect()
}

/// The three changes are in the CRM, and nothing else was written.
fn all_arrived(scene: &Scene, before: usize) {
    let records = alive(scene);
    assert_eq!(records.len(), before, "{records:?}");
    let of = |number: &str| records.iter().find(|record| record["account_no"] == json!(number));
    assert_eq!(of("C1").unwrap()["tel"], json!("13800000001"));
    assert!(of("C2").is_none());
    assert!(of("C90").is_some());
    // the CRM deletes in two calls: it invalidates first
    let writes: Vec<String> = Scene::writes(&scene.crm())
        .into_iter()
        .map(|(operation, _)| operation)
        .filter(|one| one != "delete")
        .collect();
    assert_eq!(writes.len(), 3, "{writes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_changes_made_without_a_slot_are_found_and_nothing_else_is_sent() {
    let scene = customers(Scene::with(crm_only()).await, 5).await;
    scene.lose_slot().await;
    scene.run(CHANGES).await;
    scene.recovered().await;
    all_arrived(&scene, 5);
    let recovery = scene.row("select state, percent, differing, reason from rowtwin.recovery").await;
    assert_eq!(
        recovery,
        json!({"state": "done", "percent": 100, "differing": 3, "reason": "the replication slot was missing"})
    );
    let slot = scene.row("select state, renewals, reason from rowtwin.slot").await;
    assert_eq!(slot, json!({"state": "idle", "renewals": 1, "reason": null}));
    assert_eq!(scene.tend().await, Tended::Ready, "the new slot is well");
    assert_eq!(scene.number("select count(*) from rowtwin.recovery where finished_at is null").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_the_running_process_makes_a_dropped_slot_anew() {
    let scene = customers(Scene::with(crm_only()).await, 5).await;
    let running = Running::start(&scene).await;
    let slot = scene.engine.slot.clone();
    let streams = format!("select count(*) from pg_replication_slots where slot_name = '{slot}' and active");
    until("capture streams", async || scene.number(&streams).await == 1).await;
    // the process is kept from looking while the slot goes and the rows change
    let lock = connect(&scene.url).await;
    lock.batch_execute("begin; lock table rowtwin_private.capture in access exclusive mode").await.unwrap();
    scene
        .run(&format!(
            "select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = '{slot}'"
        ))
        .await;
    until("the slot is free", async || scene.number(&streams).await == 0).await;
    scene.lose_slot().await;
    scene.run(CHANGES).await;
    lock.batch_execute("rollback").await.unwrap();
    until("everything arrives", async || {
        alive(&scene).iter().any(|one| one["account_no"] == json!("C90")) && alive(&scene).len() == 5
    })
    .await;
    // what is changed now is in the new slot's stream
    scene.run("update sales.customer set address = 'Later' where number = 'C4'").await;
    until("the stream goes on", async || alive(&scene).iter().any(|one| one["address"] == json!("Later")))
        .await;
    running.stop().await;
    scene.crm().forget_calls();
    scene.settle().await;
    assert!(Scene::writes(&scene.crm()).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_a_slot_that_the_server_took_away_is_made_anew() {
    let cluster =
        own_cluster(&[("max_slot_wal_keep_size", "1MB"), ("min_wal_size", "32MB"), ("max_wal_size", "32MB")]);
    execute(&cluster.url("postgres"), "create database mirror").await;
    let scene = customers(Scene::at(cluster.url("mirror"), CUSTOMER, crm_only()).await, 5).await;
    scene.run("create table sales.bulk (id int primary key, t text)").await;
    scene.run(CHANGES).await;
    until("the server takes the slot away", async || {
        scene
            .run("insert into sales.bulk select n, repeat(md5(n::text), 100) from generate_series(1, 10000) n; delete from sales.bulk; select pg_switch_wal(); checkpoint")
            .await;
        scene.number("select count(*) from rowtwin.slot where state = 'lost'").await == 1
    })
    .await;
    let running = Running::start(&scene).await;
    until("everything arrives", async || {
        alive(&scene).iter().any(|one| one["account_no"] == json!("C90")) && alive(&scene).len() == 5
    })
    .await;
    running.stop().await;
    scene.settle().await;
    all_arrived(&scene, 5);
    let reason = scene.row("select reason from rowtwin.recovery").await;
    assert!(reason["reason"].as_str().unwrap().contains("invalidated"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_a_crash_in_the_middle_of_the_comparison_goes_on_behind_what_is_done() {
    let script = Script { crm_limits: "{per_second: 100000, in_flight: 8}".to_owned(), ..crm_only() };
    let scene = Scene::with(script).await;
    scene.run("insert into sales.customer (name, number) select 'n' || n, 'C' || n from generate_series(1, 2500) n").await;
    scene.settle().await;
    scene.crm().forget_calls();
    scene.lose_slot().await;
    scene
        .run("update sales.customer set phone = '13800000001' where number in ('C1', 'C2400'); delete from sales.customer where number in ('C2', 'C2401')")
        .await;
    assert_eq!(scene.tend().await, Tended::Ready);
    let mut dying = scene.engine.recoverers();
    // it begins when the transactions are over that ran while the slot was made, those of other tests too
    let began = Instant::now();
    while scene.number("select seen from rowtwin_private.comparison").await == 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "the comparison does not begin");
        dying[0].turn().await.unwrap();
    }
    let place = scene.row("select place, phase, seen from rowtwin_private.comparison").await;
    assert_eq!((place["seen"].clone(), place["phase"].clone()), (json!(1000), json!("rows")));
    drop(dying);
    // its lease runs out
    scene.run("update rowtwin_private.comparison set lease_until = '-infinity'").await;
    let mut heirs = scene.engine.recoverers();
    while scene.number("select seen from rowtwin_private.comparison").await == 1000 {
        assert!(began.elapsed() < Duration::from_secs(60), "the comparison does not go on");
        heirs[0].turn().await.unwrap();
    }
    let seen = scene.number("select seen from rowtwin_private.comparison").await;
    assert!(seen > 1000, "it began anew: {seen}");
    drop(heirs);
    scene.run("update rowtwin_private.comparison set lease_until = '-infinity'").await;
    scene.recover().await;
    scene.settle().await;
    let seen = scene.row("select seen, differing from rowtwin.recovery").await;
    assert_eq!(seen, json!({"seen": 2498 + 2500, "differing": 4}));
    let touched: Vec<(String, Vec<String>)> = Scene::writes(&scene.crm());
    assert_eq!(alive(&scene).len(), 2498);
    assert!(!touched.is_empty() && touched.len() <= 6, "{touched:?}");
    assert_eq!(alive(&scene).iter().filter(|one| one["tel"] == json!("13800000001")).count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_a_crash_between_the_new_slot_and_its_note_begins_again() {
    let scene = customers(Scene::with(crm_only()).await, 5).await;
    scene.lose_slot().await;
    scene.run(CHANGES).await;
    // what is written down when the process dies just behind the making of the slot
    let slot = &scene.engine.slot;
    scene.run("update rowtwin_private.capture set lost_reason = 'the replication slot was missing', horizon = 'FFFF/0'").await;
    scene.run(&format!("select pg_create_logical_replication_slot('{slot}', 'pgoutput')")).await;
    scene.recovered().await;
    all_arrived(&scene, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_a_slot_that_somebody_else_moved_is_not_trusted() {
    let scene = customers(Scene::with(crm_only()).await, 5).await;
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
    running.stop().await;
    scene.run(CHANGES).await;
    scene.run(&format!("select pg_replication_slot_advance('{slot}', pg_current_wal_flush_lsn())")).await;
    scene.recovered().await;
    all_arrived(&scene, 5);
    let reason = scene.row("select reason from rowtwin.recovery").await;
    assert!(reason["reason"].as_str().unwrap().contains("nobody of ours"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_a_transaction_that_is_open_while_the_slot_is_made_is_not_missed() {
    let scene = customers(Scene::with(crm_only()).await, 5).await;
    scene.lose_slot().await;
    let open = connect(&scene.url).await;
    open.batch_execute("begin; update sales.customer set phone = '13800000001' where number = 'C1'")
        .await
        .unwrap();
    let engine = scene.another_engine_assembled().await;
    let tending = tokio::spawn(async move {
        loop {
            match engine.tend_slot(None).await.unwrap() {
                Tended::Busy => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
                tended => return tended,
            }
        }
    });
    until("the server waits for the transaction", async || {
        scene.number("select count(*) from pg_stat_activity where query like '%pg_create_logical_replication_slot%' and wait_event_type = 'Lock'").await == 1
    })
    .await;
    open.batch_execute("commit").await.unwrap();
    assert_eq!(tending.await.unwrap(), Tended::Ready);
    scene.recover().await;
    scene.settle().await;
    assert!(alive(&scene).iter().any(|one| one["tel"] == json!("13800000001")));
    assert_eq!(Scene::writes(&scene.crm()).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_a_changed_primary_key_keeps_its_record_over_a_lost_slot() {
    let scene = customers(Scene::with(crm_only()).await, 3).await;
    scene.lose_slot().await;
    scene
        .run("alter table sales.customer alter id drop identity; update sales.customer set id = 700, phone = '13800000001' where number = 'C1'")
        .await;
    scene.recovered().await;
    let writes = Scene::writes(&scene.crm());
    assert_eq!(writes.len(), 1, "{writes:?}");
    assert_eq!(writes[0].1, ["tel"]);
    assert_eq!(alive(&scene).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_a_key_that_changes_during_the_comparison_is_no_delete() {
    let scene = customers(Scene::with(crm_only()).await, 3).await;
    scene.lose_slot().await;
    assert_eq!(scene.tend().await, Tended::Ready);
    scene
        .run("alter table sales.customer alter id drop identity; update sales.customer set id = 700, crm_id = null where number = 'C1'")
        .await;
    // the walk sees the new key without a link before capture has read why
    let mut recoverers = scene.engine.recoverers();
    for _ in 0..5 {
        recoverers[0].turn().await.unwrap();
    }
    assert_eq!(
        scene.number("select count(*) from rowtwin.outbox").await,
        0,
        "believed before capture came to it"
    );
    recoverers[0].release().await.unwrap();
    scene.recover().await;
    scene.settle().await;
    assert!(Scene::writes(&scene.crm()).is_empty(), "{:?}", Scene::writes(&scene.crm()));
    assert_eq!(alive(&scene).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_r13_a_table_that_was_emptied_unseen_is_held() {
    let scene = customers(Scene::with(crm_only()).await, 3).await;
    scene.lose_slot().await;
    scene.run("truncate sales.customer").await;
    scene.recovered().await;
    assert!(Scene::writes(&scene.crm()).is_empty(), "deleted without approval");
    assert_eq!(scene.number("select sum(rows)::bigint from rowtwin.approvals").await, 3);
    assert_eq!(scene.number("select rowtwin.approve('sales.customer')").await, 3);
    scene.settle().await;
    assert!(alive(&scene).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_hold_leaves_the_new_slot_to_a_person() {
    let mut scene = customers(Scene::with(crm_only()).await, 5).await;
    scene.engine.file.database.on_lost_slot = rowtwin::config::file::OnLostSlot::Hold;
    scene.lose_slot().await;
    scene.run(CHANGES).await;
    let Tended::Waits(reason) = scene.tend().await else { panic!("not held") };
    assert!(reason.contains("rowtwin slot recreate"), "{reason}");
    assert_eq!(scene.row("select state from rowtwin.slot").await["state"], json!("missing"));
    // what `rowtwin slot recreate` does first
    scene.engine.give_up_slot("a person asked for a new slot").await.unwrap();
    scene.recovered().await;
    all_arrived(&scene, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_init_with_another_slot_compares_what_the_old_one_would_have_told() {
    let mut scene = customers(Scene::with(crm_only()).await, 5).await;
    scene.run(CHANGES).await;
    scene.engine.file.database.slot = Some(format!("{}_b", scene.engine.slot));
    scene.engine = scene.another_engine().await;
    scene.recover().await;
    scene.settle().await;
    all_arrived(&scene, 5);
}
