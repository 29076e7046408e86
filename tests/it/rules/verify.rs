//! Verification: rows, shadows and records on both sides, and how differences are mended (R9, R13).

use rowtwin::store::comparison::Repair;
use serde_json::json;

use crate::support::running::{Running, until};
use crate::support::{CRM, Scene, Script};

fn crm_only() -> Script {
    Script { with_erp: false, ..Script::default() }
}

async fn customers(count: usize) -> Scene {
    let scene = Scene::with(crm_only()).await;
    scene
        .run(&format!("insert into sales.customer (name, number, phone) select 'n' || n, 'C' || n, '13800000001' from generate_series(1, {count}) n"))
        .await;
    scene.settle().await;
    scene.crm().forget_calls();
    scene
}

async fn id_of(scene: &Scene, number: &str) -> String {
    let row = scene.row(&format!("select crm_id from sales.customer where number = '{number}'")).await;
    row["crm_id"].as_str().unwrap().to_owned()
}

/// What capture, polls and sweeps never saw: each kind of difference once.
async fn drifted() -> Scene {
    let scene = customers(6).await;
    scene.crm().edit(CRM, &id_of(&scene, "C1").await, json!({"tel": "13800000009"}));
    scene.crm().remove(CRM, &id_of(&scene, "C2").await);
    scene.crm().insert(CRM, json!({"name": "Only there", "account_no": "C8"}));
    // the row's changes go past capture: the outbox forgets them
    scene
        .run(
            "update sales.customer set name = 'renamed' where number = 'C3';
              delete from sales.customer where number = 'C4';
              insert into sales.customer (name, number) values ('Only here', 'C9');
              update sales.customer set phone = '13800000003' where number = 'C5'",
        )
        .await;
    scene.capture().await;
    scene.run("delete from rowtwin_private.outbox").await;
    scene.crm().edit(CRM, &id_of(&scene, "C5").await, json!({"tel": "13800000004"}));
    scene.crm().forget_calls();
    scene
}

const FOUND: [&str; 7] = [
    "both differ 5 tel",
    "missing record 2",
    "missing row 4",
    "record differs 1 tel",
    "row differs 3 name",
    "unlinked record -",
    "unlinked row 7",
];

#[tokio::test(flavor = "multi_thread")]
async fn r13_a_verification_names_every_kind_of_difference_and_changes_nothing() {
    let scene = drifted().await;
    assert_eq!(scene.verified("crm", None).await, FOUND);
    assert!(Scene::writes(&scene.crm()).is_empty());
    assert_eq!(scene.number("select count(*) from rowtwin.outbox").await, 0);
    let drift = scene
        .row("select shadow, row_value, record_value from rowtwin.drift where kind = 'both differ'")
        .await;
    assert_eq!(
        drift,
        json!({"shadow": {"tel": "13800000001"}, "row_value": {"tel": "13800000003"}, "record_value": {"tel": "13800000004"}})
    );
    let calls = scene.crm().calls().len();
    assert!(calls <= 4, "six twins and a list of ids cost {calls} calls");
    // the next one replaces what the last one has found
    assert_eq!(scene.verified("crm", None).await, FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_a_verification_of_what_agrees_finds_nothing() {
    let scene = customers(450).await;
    // both sides made the same edit: that is no difference
    scene.run("update sales.customer set name = 'same' where number = 'C1'").await;
    scene.capture().await;
    scene.run("delete from rowtwin_private.outbox").await;
    scene.crm().edit(CRM, &id_of(&scene, "C1").await, json!({"name": "same"}));
    // what is on its way is no drift
    scene.run("update sales.customer set name = 'on its way' where number = 'C2'").await;
    scene.capture().await;
    assert_eq!(scene.verified("crm", None).await, Vec::<String>::new());
    let seen = scene.row("select seen, expected, differing from rowtwin.verification").await;
    assert_eq!(seen["seen"], json!(900));
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_repaired_from_the_rows_the_records_are_like_them() {
    let scene = drifted().await;
    assert_eq!(scene.verified("crm", Some(Repair::Row)).await.len(), 7);
    scene.settle().await;
    let rows = scene.rows("select name, number, phone from sales.customer order by number").await;
    assert_eq!(rows.len(), 6, "{rows:?}");
    assert_eq!(rows[0]["phone"], json!("13800000001"));
    assert_eq!(rows[4]["number"], json!("C6"));
    let records = scene.crm().records(CRM);
    let of = |number: &str| {
        records.iter().find(|one| {
            one["account_no"] == json!(number) && one.get("life_status") != Some(&json!("invalid"))
        })
    };
    assert_eq!(of("C1").unwrap()["tel"], json!("13800000001"));
    assert!(of("C2").is_some(), "made anew");
    assert_eq!(of("C3").unwrap()["name"], json!("renamed"));
    assert!(of("C4").is_none(), "deleted like its row");
    assert_eq!(of("C5").unwrap()["tel"], json!("13800000003"));
    assert!(of("C9").is_some());
    assert!(of("C8").is_some(), "a record is never deleted for want of a row");
    let left = scene.verified("crm", None).await;
    assert_eq!(left, ["unlinked record -"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_repaired_from_the_records_the_rows_are_like_them() {
    let scene = drifted().await;
    assert_eq!(scene.verified("crm", Some(Repair::Record)).await.len(), 7);
    scene.settle().await;
    assert!(Scene::writes(&scene.crm()).is_empty(), "{:?}", Scene::writes(&scene.crm()));
    let rows = scene.rows("select name, number, phone from sales.customer order by number").await;
    let told: Vec<String> = rows
        .iter()
        .map(|row| format!("{} {} {}", row["number"], row["name"], row["phone"]).replace('"', ""))
        .collect();
    assert_eq!(
        told,
        [
            "C1 n1 13800000009",
            "C3 n3 13800000001",
            "C4 n4 13800000001",
            "C5 n5 13800000004",
            "C6 n6 13800000001",
            "C8 Only there null",
            "C9 Only here null",
        ]
    );
    assert_eq!(scene.verified("crm", None).await, ["unlinked row 7"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_repaired_by_a_merge_both_sides_end_equal() {
    let scene = drifted().await;
    scene.verified("crm", Some(Repair::Merge)).await;
    scene.settle().await;
    assert_eq!(scene.verified("crm", None).await, Vec::<String>::new());
    let of = scene.row("select phone from sales.customer where number = 'C1'").await;
    assert_eq!(of["phone"], json!("13800000009"));
    assert_eq!(scene.number("select count(*) from rowtwin.conflicts where key = '5'").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_the_running_process_verifies_when_it_is_due_and_when_it_is_asked() {
    let script = Script { extra_crm: ", verify: 1h".to_owned(), ..crm_only() };
    let scene = Scene::with(script).await;
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
    scene.settle().await;
    let running = Running::start(&scene).await;
    let finished = "select count(*) from rowtwin.verification where finished_at is not null and reason ";
    until("the first one is due at once", async || {
        scene.number(&format!("{finished} = 'scheduled'")).await == 1
    })
    .await;
    scene.crm().edit(CRM, &id_of(&scene, "C1").await, json!({"tel": "13800000009"}));
    assert_eq!(scene.number("select rowtwin.verify('sales.customer')").await, 1);
    until("it is done", async || scene.number(&format!("{finished} like 'asked for%'")).await == 1).await;
    running.stop().await;
    assert_eq!(scene.row("select kind from rowtwin.drift").await["kind"], json!("record differs"));
}
