//! R12: no more deletes or changes within an hour than a binding allows.

use serde_json::json;

use crate::support::running::until;
use crate::support::{CRM, Scene, Script, connect};

/// Linked customers in the CRM alone.
async fn customers(count: u32, guard: &str) -> Scene {
    let scene =
        Scene::with(Script { with_erp: false, extra_crm: format!(", guard: {guard}"), ..Script::default() })
            .await;
    scene
        .run(&format!("insert into sales.customer (name, number) select 'Name ' || n, 'C' || n from generate_series(1, {count}) n"))
        .await;
    scene.settle().await;
    assert_eq!(scene.number("select linked from rowtwin.status").await, i64::from(count));
    scene.crm().forget_calls();
    scene
}

async fn rows(scene: &Scene) -> i64 {
    scene.number("select count(*) from sales.customer").await
}

fn alive(scene: &Scene) -> usize {
    scene.crm().count(CRM)
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_deletes_beyond_the_guard_are_held_and_approved_together() {
    let scene = customers(20, "{deletes: 20%, at_least: 2}").await;
    scene.run("delete from sales.customer where id <= 10").await;
    scene.settle().await;
    assert_eq!(alive(&scene), 20, "what is too much as a whole is held as a whole");
    let asked = scene.rows("select rows, hold, reason from rowtwin.approvals").await;
    assert_eq!(asked.len(), 1, "one line for all: {asked:?}");
    assert_eq!((&asked[0]["rows"], &asked[0]["hold"]), (&json!(10), &json!("guard")));
    let reason = asked[0]["reason"].as_str().unwrap();
    assert!(reason.contains("4 deletes within an hour (20% of 20 linked rows"), "{reason}");
    assert!(reason.contains("10 more would"), "{reason}");

    // one that comes back is compared and not deleted
    scene
        .run("insert into sales.customer (id, name, number) overriding system value select 9, 'Name 9', 'C9'")
        .await;
    scene.settle().await;
    assert_eq!(scene.number("select sum(rows)::bigint from rowtwin.approvals").await, 9);
    assert_eq!(scene.number("select rowtwin.approve('sales.customer')").await, 9);
    scene.settle().await;
    assert_eq!(alive(&scene), 11);
    assert_eq!(rows(&scene).await, 11);
    assert_eq!(scene.number("select count(*) from rowtwin.outbox").await, 0);
    // what somebody approved uses nothing up
    scene.run("delete from sales.customer where id in (11, 12)").await;
    scene.settle().await;
    assert_eq!(alive(&scene), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_deletes_one_after_another_are_counted_over_the_hour() {
    let scene = customers(20, "{deletes: 20%, at_least: 2}").await;
    for id in 1..=6 {
        scene.run(&format!("delete from sales.customer where id = {id}")).await;
        scene.settle().await;
    }
    assert_eq!(alive(&scene), 16, "20% of 20 went");
    assert_eq!(scene.number("select sum(rows)::bigint from rowtwin.approvals").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_an_approved_truncate_passes_the_guard() {
    let scene = customers(10, "{deletes: 2}").await;
    scene.run("truncate sales.customer").await;
    scene.settle().await;
    assert_eq!(scene.number("select rowtwin.approve('sales.customer')").await, 10);
    scene.settle().await;
    assert_eq!(alive(&scene), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_the_guard_forgets_after_an_hour_and_a_rejected_delete_can_be_given_up() {
    let scene = customers(10, "{deletes: 2}").await;
    scene.run("delete from sales.customer where id <= 2").await;
    scene.settle().await;
    assert_eq!(alive(&scene), 8, "an absolute number");
    scene.run("delete from sales.customer where id = 3").await;
    scene.settle().await;
    assert_eq!(alive(&scene), 8);
    assert_eq!(scene.number("select rowtwin.reject('sales.customer', null, null, 'no')").await, 1);
    assert_eq!(scene.number("select rowtwin.discard('sales.customer', key) from rowtwin.rejected").await, 1);
    scene.run("delete from sales.customer where id = 4").await;
    scene.settle().await;
    assert_eq!(alive(&scene), 8);
    scene.run("update rowtwin_private.guard set minute = minute - interval '1 hour'").await;
    scene.run("delete from sales.customer where id = 5; select rowtwin.reject('sales.customer', '4'); select rowtwin.retry('sales.customer', '4')").await;
    scene.settle().await;
    assert_eq!(alive(&scene), 6, "{}", scene.story().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_small_tables_are_not_guarded_by_default() {
    let scene = customers(5, "{}").await;
    scene.run("delete from sales.customer").await;
    scene.settle().await;
    assert_eq!(alive(&scene), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_changes_beyond_the_guard_are_held_both_ways() {
    let scene = customers(10, "{changes: 3}").await;
    scene.run("update sales.customer set address = 'Road 1'").await;
    scene.settle().await;
    let changed =
        |scene: &Scene| scene.crm().records(CRM).iter().filter(|one| one.contains_key("address")).count();
    assert_eq!(changed(&scene), 3);
    assert_eq!(scene.number("select sum(rows)::bigint from rowtwin.approvals").await, 7);
    scene.run("select rowtwin.approve('sales.customer')").await;
    scene.settle().await;
    assert_eq!(changed(&scene), 10);

    for record in scene.crm().records(CRM) {
        scene.crm().edit(CRM, record["_id"].as_str().unwrap(), json!({"name": "all the same"}));
    }
    scene.poll().await;
    let same = "select count(*) from sales.customer where name = 'all the same'";
    assert_eq!(scene.number(same).await, 3);
    let asked = scene.row("select rows, hold, reason from rowtwin.approvals").await;
    assert_eq!(asked["rows"], json!(7), "{asked}");
    assert!(asked["reason"].as_str().unwrap().contains("3 changes within an hour"), "{asked}");
    // an edit of such a row neither goes over what waits nor reads it again and again
    scene.crm().forget_calls();
    scene.run("update sales.customer set address = 'Road 2' where name <> 'all the same' and id = 10").await;
    scene.push("crm").await;
    assert!(Scene::writes(&scene.crm()).is_empty());
    scene.run("select rowtwin.approve('sales.customer')").await;
    scene.settle().await;
    assert_eq!(scene.number(same).await, 10, "{}", scene.story().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_a_list_that_is_suddenly_empty_deletes_and_reads_nothing() {
    let scene = customers(20, "{deletes: 20%, at_least: 2}").await;
    let ids: Vec<String> =
        scene.crm().records(CRM).iter().map(|one| one["_id"].as_str().unwrap().to_owned()).collect();
    for id in &ids[..12] {
        scene.crm().remove(CRM, id);
    }
    scene.sweep().await;
    assert_eq!(rows(&scene).await, 20);
    assert_eq!(scene.crm().call_count(), 1, "only the list: {:?}", scene.crm().calls());
    let asked = scene.row("select rows, reason from rowtwin.approvals").await;
    assert_eq!(asked, json!({"rows": 12, "reason": "12 of 20 records are missing from the list"}));

    // a person says no: the next sweep does not ask again
    assert_eq!(scene.number("select rowtwin.reject('sales.customer', null)").await, 12);
    scene.sweep().await;
    assert_eq!(scene.number("select count(*) from rowtwin.approvals").await, 0);
    assert_eq!(rows(&scene).await, 20);
    scene.run("select rowtwin.retry('sales.customer')").await;
    scene.settle().await;
    // they are read, and what is gone indeed is the guard's again
    assert_eq!(rows(&scene).await, 16, "{}", scene.story().await);
    assert_eq!(scene.number("select sum(rows)::bigint from rowtwin.approvals").await, 8);
    scene.run("select rowtwin.approve('sales.customer')").await;
    scene.settle().await;
    assert_eq!(rows(&scene).await, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_what_was_approved_is_not_asked_again_because_a_row_was_locked() {
    let scene = customers(20, "{changes: 3}").await;
    for record in scene.crm().records(CRM) {
        scene.crm().edit(CRM, record["_id"].as_str().unwrap(), json!({"address": "Road 7"}));
    }
    scene.poll().await;
    let changed = "select count(*) from sales.customer where address = 'Road 7'";
    assert!(scene.number(changed).await <= 3);
    let held = scene.number("select sum(rows)::bigint from rowtwin.approvals").await;
    assert!(held >= 17, "{held}");
    let other = connect(&scene.url).await;
    other.batch_execute("begin; select * from sales.customer for update").await.unwrap();
    assert_eq!(scene.number("select rowtwin.approve('sales.customer')").await, held);
    until("they were read and put off", async || {
        scene.round().await;
        scene.number("select count(*) from rowtwin.inbox where why = 'busy when it was read'").await == held
    })
    .await;
    other.batch_execute("rollback").await.unwrap();
    scene.settle().await;
    assert_eq!(scene.number("select count(*) from rowtwin.approvals").await, 0, "asked again");
    assert_eq!(scene.number(changed).await, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_two_processes_share_the_guards_room() {
    // changes are found out as rows are looked at: each process sees only its own batch
    let scene = customers(40, "{changes: 10}").await;
    scene.run("update sales.customer set address = 'Road 1'").await;
    scene.capture().await;
    let bound = scene.bound("crm");
    let (one, other) = (scene.deliverer(&bound), scene.deliverer(&bound));
    let (first, second) = tokio::join!(one.turn(), other.turn());
    first.unwrap();
    second.unwrap();
    scene.settle().await;
    let changed = scene.crm().records(CRM).iter().filter(|record| record.contains_key("address")).count();
    assert_eq!(changed, 10);
    assert_eq!(scene.number("select sum(rows)::bigint from rowtwin.approvals").await, 30);
}
