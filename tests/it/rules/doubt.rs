//! R8: creates whose answer is not known.

use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::support::{CRM, Scene, Script, eventually, fault};

const ACME: &str = "insert into sales.customer (name, number) values ('Acme', 'C1')";

fn blind() -> Script {
    Script { with_erp: false, crm_match: "[]".to_owned(), ..Script::default() }
}

/// A scene with one create in doubt that cannot be looked up.
async fn in_doubt(committed: bool) -> Scene {
    let scene = Scene::with(blind()).await;
    scene.settle().await;
    scene.crm().add_fault(fault(if committed { "lost-answer@create" } else { "status:502@create" }));
    scene.run(ACME).await;
    scene.settle().await;
    let doubtful = scene.rows("select system, key, state from rowtwin.outbox").await;
    assert_eq!(doubtful, [json!({"system": "crm", "key": "1", "state": "doubtful"})]);
    scene
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_doubt_that_cannot_be_looked_up_waits_for_a_person() {
    let scene = in_doubt(true).await;
    let shown =
        scene.row("select key, reason like '%rowtwin.resolve_doubt%' as cure from rowtwin.doubtful").await;
    assert_eq!(shown, json!({"key": "1", "cure": true}));
    scene.run("update sales.customer set phone = '13800000007'").await;
    scene.settle().await;
    scene.poll().await;
    assert_eq!(scene.crm().count(CRM), 1, "never a blind second create");
    assert_eq!(scene.number("select count(*) from sales.customer").await, 1, "and never a second row");
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_person_names_the_record_of_a_doubt() {
    let scene = in_doubt(true).await;
    scene.run("update sales.customer set phone = '13800000007'").await;
    scene.settle().await;
    let id = scene.crm().records(CRM)[0]["_id"].as_str().unwrap().to_owned();
    scene.run(&format!("select rowtwin.resolve_doubt('sales.customer', '1', 'crm', '{id}')")).await;
    scene.settle().await;
    scene.poll().await;
    assert_eq!(scene.crm().count(CRM), 1);
    assert_eq!(scene.row("select crm_id from sales.customer").await, json!({"crm_id": id}));
    assert_eq!(scene.crm().records(CRM)[0]["tel"], json!("13800000007"), "the row's edit is not lost");
    assert_eq!(scene.number("select count(*) from rowtwin.doubtful").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_person_says_that_the_record_was_never_made() {
    let scene = in_doubt(false).await;
    assert_eq!(scene.crm().count(CRM), 0);
    scene.run("select rowtwin.resolve_doubt('sales.customer', '1', 'crm', null)").await;
    scene.settle().await;
    scene.poll().await;
    assert_eq!(scene.crm().count(CRM), 1);
    assert_eq!(scene.number("select count(*) from sales.customer").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_other_rows_and_records_go_on_beside_a_doubt() {
    let scene = in_doubt(true).await;
    scene.run("insert into sales.customer (name, number) values ('Bolt', 'C2')").await;
    scene.crm().insert(CRM, json!({"name": "Cord", "account_no": "C3"}));
    scene.poll().await;
    let numbers = scene.rows("select number from sales.customer order by 1").await;
    assert_eq!(numbers, [json!({"number": "C1"}), json!({"number": "C2"}), json!({"number": "C3"})]);
    assert_eq!(scene.crm().count(CRM), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_poll_that_sees_the_record_before_the_doubt_is_resolved_makes_no_second_row() {
    let scene = Scene::with(Script { with_erp: false, ..Script::default() }).await;
    scene.settle().await;
    scene.crm().add_fault(fault("lost-answer@create"));
    scene.run(ACME).await;
    scene.push("crm").await;
    assert_eq!(scene.crm().count(CRM), 1);
    pull_page(&scene).await;
    assert_eq!(scene.number("select count(*) from sales.customer").await, 1);
    scene.settle().await;
    assert_eq!(scene.number("select count(*) from sales.customer").await, 1);
    assert_eq!(scene.number("select count(*) from rowtwin.links where state = 'linked'").await, 1);
    assert_eq!(scene.number("select count(*) from rowtwin.inbox").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_create_that_begins_while_a_page_is_being_read_makes_no_second_row() {
    let scene = Scene::with(Script { with_erp: false, ..Script::default() }).await;
    scene.settle().await;
    scene.run(ACME).await;
    scene.capture().await;
    // the list is asked for, the create overtakes it and loses its answer, the list shows the record
    scene.crm().set_faults(vec![fault("slow:600ms@query")]);
    scene.sql.execute("update rowtwin_private.binding set next_poll_at = '-infinity'", &[]).await.unwrap();
    let puller = scene.puller(&scene.bound("crm"));
    let page = tokio::spawn(async move {
        let turned = puller.turn().await.unwrap();
        puller.release().await.unwrap();
        turned
    });
    let crm = scene.crm();
    eventually("the list is under way", || crm.faults().is_empty()).await;
    scene.crm().add_fault(fault("lost-answer@create"));
    scene.deliver(&scene.bound("crm")).await;
    assert_eq!(scene.crm().count(CRM), 1);
    assert_eq!(page.await.unwrap().seen, 1, "the page held the record");
    assert_eq!(scene.number("select count(*) from sales.customer").await, 1);
    scene.settle().await;
    assert_eq!(scene.number("select count(*) from sales.customer").await, 1);
    assert_eq!(scene.number("select count(*) from rowtwin.rejected").await, 0);
}

/// Walks over the list, without letting anybody deliver.
async fn pull_page(scene: &Scene) {
    scene.sql.execute("update rowtwin_private.binding set next_poll_at = '-infinity'", &[]).await.unwrap();
    let puller = scene.puller(&scene.bound("crm"));
    let began = SystemTime::now();
    while puller.turn().await.unwrap().rest.is_none() {
        assert!(began.elapsed().unwrap() < Duration::from_secs(10));
    }
    puller.release().await.unwrap();
}
