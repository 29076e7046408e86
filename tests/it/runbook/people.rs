//! What waits for a person: refused rows and records, conflicts, doubts, approvals, locks.

use serde_json::json;

use super::page::section;
use crate::support::running::until;
use crate::support::{CRM, Scene, Script, connect, fault};

const ONE: &str = "insert into sales.customer (name, number) values ('One', 'C1')";

fn only_crm() -> Script {
    Script { with_erp: false, ..Script::default() }
}

async fn linked(script: Script) -> (Scene, String) {
    let scene = Scene::with(script).await;
    scene.run(ONE).await;
    scene.settle().await;
    let id = scene.crm().records(CRM)[0]["_id"].as_str().unwrap().to_owned();
    (scene, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_rejected_and_mended() {
    let page = section("When rows are rejected");
    let (scene, _) = linked(only_crm()).await;
    scene.run("update sales.customer set phone = 'no phone'").await;
    scene.settle().await;
    page.shows(&scene, "tel").await;
    page.run(&scene, 1).await;
    scene.settle().await;
    assert_eq!(scene.crm().records(CRM)[0]["tel"], json!("13800000000"));
    // the table's other ways
    for (span, left) in [("rowtwin.discard(", 0), ("rowtwin.retry(", 1)] {
        scene.run("update sales.customer set phone = 'no phone ' || clock_timestamp()").await;
        scene.settle().await;
        let spans = page.spans();
        let sql = spans.iter().find(|one| one.contains(span) && one.starts_with("select")).unwrap();
        scene.run(sql).await;
        scene.settle().await;
        assert_eq!(scene.number("select count(*) from rowtwin.rejected").await, left, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_cannot_be_applied_until_the_table_takes_it() {
    let page = section("When records cannot be applied");
    let (scene, id) = linked(only_crm()).await;
    scene.run("alter table sales.customer add constraint short check (length(name) < 5)").await;
    scene.crm().edit(CRM, &id, json!({"name": "A long name"}));
    scene.poll().await;
    page.shows(&scene, &id).await;
    scene.run("alter table sales.customer drop constraint short").await;
    page.run(&scene, 1).await;
    scene.settle().await;
    assert_eq!(scene.row("select name from sales.customer").await, json!({"name": "A long name"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_is_decided() {
    let page = section("When conflicts wait for a decision");
    let script = Script { extra_crm: ", policy: manual".to_owned(), ..only_crm() };
    let (scene, id) = linked(script).await;
    scene.run("update sales.customer set phone = '13800000001'").await;
    scene.capture().await;
    scene.crm().edit(CRM, &id, json!({"tel": "13900000002"}));
    scene.poll().await;
    page.shows(&scene, "13900000002").await;
    assert_eq!(page.run(&scene, 1).await.rows, 1);
    scene.settle().await;
    assert_eq!(scene.crm().records(CRM)[0]["tel"], json!("13800000001"));
    assert_eq!(page.run(&scene, 0).await.rows, 0);
    let spans = page.spans();
    let history = spans.iter().find(|one| one.contains("rowtwin.history")).unwrap();
    assert!(scene.rows(history.trim_end_matches(';')).await.len() >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_is_in_doubt_and_answered() {
    let page = section("When a create is in doubt");
    let scene = Scene::with(Script { crm_match: "[]".to_owned(), ..only_crm() }).await;
    scene.settle().await;
    scene.crm().add_fault(fault("status:502@create"));
    scene.run(ONE).await;
    scene.settle().await;
    page.shows(&scene, "sales.customer").await;
    assert_eq!(scene.crm().count(CRM), 0);
    page.run(&scene, 1).await;
    scene.settle().await;
    assert_eq!(scene.crm().count(CRM), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn held_changes_are_approved_or_rejected() {
    let page = section("When changes are held");
    let fields = "{name: name, number: account_no, address: {field: address, approve: true}}";
    let (scene, _) = linked(Script { crm: fields.to_owned(), ..only_crm() }).await;
    scene.run("update sales.customer set address = 'Road 2'").await;
    scene.settle().await;
    page.shows(&scene, "approval").await;
    page.run(&scene, 1).await;
    scene.settle().await;
    assert_eq!(scene.crm().records(CRM)[0]["address"], json!("Road 2"));
    scene.run("update sales.customer set address = 'Road 3'").await;
    scene.settle().await;
    page.run(&scene, 2).await;
    scene.settle().await;
    assert_eq!(
        scene.row("select reason like '%not meant%' as said from rowtwin.rejected").await,
        json!({"said": true})
    );
    assert_eq!(scene.crm().records(CRM)[0]["address"], json!("Road 2"));

    // truncated by mistake: the rows come back with their keys, and then the approval deletes nothing
    scene.run("update sales.customer set address = 'Road 2'").await;
    scene.settle().await;
    scene.run("create table saved as table sales.customer; truncate sales.customer").await;
    scene.settle().await;
    page.shows(&scene, "truncate").await;
    scene.run("insert into sales.customer overriding system value select * from saved").await;
    page.run(&scene, 1).await;
    scene.settle().await;
    assert_eq!((scene.crm().count(CRM), page.run(&scene, 0).await.rows), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_keeps_a_record_out_until_it_is_gone() {
    let page = section("When a lock keeps records out");
    let (scene, id) = linked(only_crm()).await;
    let other = connect(&scene.url).await;
    other.batch_execute("begin; select * from sales.customer for update").await.unwrap();
    scene.crm().edit(CRM, &id, json!({"name": "Edited there"}));
    scene.run("update rowtwin_private.binding set next_poll_at = '-infinity'").await;
    until("the record waits", async || {
        scene.round().await;
        scene.number("select count(*) from rowtwin.inbox where state = 'ready'").await == 1
    })
    .await;
    let shown = page.run(&scene, 0).await;
    assert!(shown.text.contains("idle in transaction") && shown.text.contains(&id), "{}", shown.text);
    let spans = page.spans();
    let end = spans.iter().find(|one| one.contains("pg_terminate_backend")).unwrap();
    let whose = "(select pid from pg_stat_activity where state = 'idle in transaction' and query like '%for update' and datname = current_database())";
    scene.run(&end.replace("pid", whose)).await;
    scene.settle().await;
    assert_eq!(scene.row("select name from sales.customer").await, json!({"name": "Edited there"}));
}
