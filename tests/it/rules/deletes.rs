//! R17: deletes both ways, by policy.

use serde_json::{Value, json};

use crate::support::{CRM, ERP, Scene, Script, fault};

fn crm_only(extra: &str) -> Script {
    Script { with_erp: false, extra_crm: extra.to_owned(), ..Script::default() }
}

fn erp_only(extra: &str) -> Script {
    Script { with_crm: false, extra_erp: extra.to_owned(), ..Script::default() }
}

async fn acme(script: Script) -> Scene {
    let scene = Scene::with(script).await;
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
    scene.settle().await;
    scene
}

fn crm_id(scene: &Scene) -> String {
    scene.crm().records(CRM)[0]["_id"].as_str().unwrap().to_owned()
}

async fn rows(scene: &Scene) -> Vec<Value> {
    scene.rows("select name, number from sales.customer order by number").await
}

#[tokio::test(flavor = "multi_thread")]
async fn r17_a_deleted_row_deletes_its_records() {
    let scene = acme(Script::default()).await;
    scene.run("delete from sales.customer").await;
    scene.settle().await;
    assert_eq!((scene.crm().count(CRM), scene.erp().count(ERP)), (0, 0));
    assert_eq!(scene.number("select count(*) from rowtwin.links").await, 0);
    scene.poll().await;
    scene.sweep().await;
    assert!(rows(&scene).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn r17_a_deleted_record_deletes_its_row() {
    let scene = acme(crm_only("")).await;
    scene.crm().remove(CRM, &crm_id(&scene));
    scene.poll().await;
    assert_eq!(rows(&scene).await.len(), 1, "a poll cannot tell");
    scene.crm().forget_calls();
    scene.sweep().await;
    assert!(rows(&scene).await.is_empty());
    assert!(Scene::writes(&scene.crm()).is_empty(), "the delete does not go back");
}

#[tokio::test(flavor = "multi_thread")]
async fn r17_a_record_that_is_missing_from_the_list_is_read_before_its_row_goes() {
    let scene = acme(crm_only("")).await;
    scene.run("insert into sales.customer (name, number) values ('Bolt', 'C2'), ('Cord', 'C3')").await;
    scene.settle().await;
    scene.crm().edit(CRM, &crm_id(&scene), json!({"address": "Road 1"}));
    scene.sql.execute("update rowtwin_private.binding set since_ms = 4000000000000", &[]).await.unwrap();
    scene.poll().await;
    scene.crm().forget_calls();
    // the sweep gets the poll's empty page once more
    scene.crm().add_fault(fault("duplicate-page@query"));
    scene.sweep().await;
    assert!(scene.crm().faults().is_empty());
    assert_eq!(rows(&scene).await.len(), 3);
    assert_eq!(scene.crm().call_count(), 2, "the list, and one read of all that it lacked");
}

#[tokio::test(flavor = "multi_thread")]
async fn r17_policy_deactivate_leaves_the_record_deactivated() {
    let scene = acme(erp_only(", deletes: {to_remote: deactivate}")).await;
    scene.run("delete from sales.customer").await;
    scene.settle().await;
    assert_eq!(scene.erp().records(ERP)[0]["FForbidStatus"], json!("B"));
    let id = scene.erp().records(ERP)[0]["FCUSTID"].to_string();
    scene.erp().edit(ERP, &id, json!({"FADDRESS": "Road 9"}));
    scene.poll().await;
    assert!(rows(&scene).await.is_empty(), "its changes do not bring the row back");
    assert_eq!(
        scene.row("select effect from rowtwin.journal order by at desc limit 1").await,
        json!({"effect": "deactivate"})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn r17_a_row_that_is_made_anew_is_linked_to_the_record_that_was_kept() {
    let scene = acme(erp_only(", deletes: {to_remote: keep}")).await;
    scene.run("delete from sales.customer").await;
    scene.settle().await;
    assert_eq!(scene.erp().count(ERP), 1, "the policy keeps the record");
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
    scene.settle().await;
    assert_eq!(scene.number("select count(*) from rowtwin.rejected").await, 0);
    assert_eq!(scene.erp().count(ERP), 1);
    scene.run("update sales.customer set address = 'Road 1'").await;
    scene.settle().await;
    assert_eq!(scene.erp().records(ERP)[0]["FADDRESS"], json!("Road 1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn r17_policy_keep_leaves_the_row_of_a_deleted_record_alone() {
    let scene = acme(crm_only(", deletes: {to_row: keep}")).await;
    scene.crm().remove(CRM, &crm_id(&scene));
    scene.sweep().await;
    assert_eq!(rows(&scene).await.len(), 1);
    scene.run("update sales.customer set name = 'Acme Ltd'").await;
    scene.settle().await;
    assert_eq!(scene.crm().count(CRM), 0, "they are no twins any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn r17_row_deleted_and_record_edited_the_edit_wins() {
    let scene = acme(crm_only("")).await;
    scene.crm().edit(CRM, &crm_id(&scene), json!({"name": "Acme Ltd"}));
    scene.run("delete from sales.customer").await;
    scene.settle().await;
    scene.poll().await;
    assert_eq!(scene.crm().count(CRM), 1);
    assert_eq!(rows(&scene).await, [json!({"name": "Acme Ltd", "number": "C1"})]);
    let why = "select count(*) from rowtwin.journal where reason like '%the edit wins%'";
    assert_eq!(scene.number(why).await, 1);
    let kept = scene.row("select field, was, row_value, record_value, winner from rowtwin.conflicts").await;
    assert_eq!(
        kept,
        json!({"field": "name", "was": "Acme", "row_value": null, "record_value": "Acme Ltd", "winner": "record"})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn r17_a_system_that_spells_a_value_in_its_own_way_brings_no_deleted_row_back() {
    let scene = Scene::with(crm_only("")).await;
    scene.run("insert into sales.customer (name, number) values (' Acme  Ltd', 'C1')").await;
    scene.capture().await;
    scene.push("crm").await;
    // what a system that trims would have stored
    scene.crm().edit(CRM, &crm_id(&scene), json!({"name": "ACME Ltd"}));
    scene.run("delete from sales.customer").await;
    scene.settle().await;
    scene.poll().await;
    assert_eq!(scene.crm().count(CRM), 0, "{}", scene.story().await);
    assert!(rows(&scene).await.is_empty());
    assert_eq!(scene.number("select count(*) from rowtwin.conflicts").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r17_record_deleted_and_row_edited_the_edit_wins() {
    let scene = acme(crm_only("")).await;
    let old = crm_id(&scene);
    scene.crm().remove(CRM, &old);
    scene.run("update sales.customer set name = 'Acme Ltd'").await;
    scene.settle().await;
    scene.sweep().await;
    assert_eq!(rows(&scene).await, [json!({"name": "Acme Ltd", "number": "C1"})]);
    assert_eq!(scene.crm().records(CRM)[0]["name"], json!("Acme Ltd"), "the row has a new twin");
    assert_ne!(crm_id(&scene), old);
    assert_eq!(scene.row("select crm_id from sales.customer").await, json!({"crm_id": crm_id(&scene)}));
    let kept = scene.row("select field, row_value, winner from rowtwin.conflicts").await;
    assert_eq!(kept, json!({"field": "name", "row_value": "Acme Ltd", "winner": "row"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn r17_both_sides_deleted_is_no_conflict() {
    let scene = acme(crm_only("")).await;
    scene.crm().remove(CRM, &crm_id(&scene));
    scene.run("delete from sales.customer").await;
    scene.settle().await;
    scene.sweep().await;
    assert_eq!(scene.number("select count(*) from rowtwin.links").await, 0);
    assert_eq!(scene.number("select count(*) from rowtwin.conflicts").await, 0);
    assert_eq!(scene.number("select count(*) from rowtwin.outbox").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r17_a_row_that_others_refer_to_stays_and_the_reason_is_kept() {
    let scene = acme(crm_only("")).await;
    scene
        .run(
            "create table sales.visit (customer_id bigint references sales.customer);
              insert into sales.visit select id from sales.customer",
        )
        .await;
    let id = crm_id(&scene);
    scene.crm().remove(CRM, &id);
    scene.sweep().await;
    assert_eq!(rows(&scene).await.len(), 1);
    let kept = scene.row("select remote_id, state, reason like '%sales%' or reason like '%visit%' as why from rowtwin.inbox").await;
    assert_eq!(kept, json!({"remote_id": id, "state": "rejected", "why": true}));
    scene.run("drop table sales.visit; select rowtwin.retry('sales.customer')").await;
    scene.settle().await;
    assert!(rows(&scene).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn r17_what_is_gone_already_is_told_by_the_answer_too() {
    let scene = acme(crm_only(", overwrite_check: none")).await;
    scene.run("insert into sales.customer (name, number) values ('Bolt', 'C2')").await;
    scene.settle().await;
    for record in scene.crm().records(CRM) {
        scene.crm().remove(CRM, record["_id"].as_str().unwrap());
    }
    scene
        .run("delete from sales.customer where number = 'C1'; update sales.customer set name = 'Bolt Ltd' where number = 'C2'")
        .await;
    scene.settle().await;
    assert_eq!(scene.number("select count(*) from rowtwin.rejected").await, 0, "{}", scene.story().await);
    let names: Vec<Value> = scene.crm().records(CRM).into_iter().map(|one| one["name"].clone()).collect();
    assert_eq!(names, [json!("Bolt Ltd")], "the deleted stays deleted, the edited has a new twin");
    assert_eq!(scene.number("select count(*) from rowtwin.links").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn r17_policy_delete_wins_over_an_edit_of_the_record_and_keeps_it() {
    let scene = acme(crm_only(", deletes: {against_edit: delete}")).await;
    scene.crm().edit(CRM, &crm_id(&scene), json!({"name": "Acme Ltd"}));
    scene.run("delete from sales.customer").await;
    scene.settle().await;
    scene.poll().await;
    assert_eq!(scene.crm().count(CRM), 0, "{}", scene.story().await);
    assert!(rows(&scene).await.is_empty());
    let kept = scene.row("select field, record_value, winner from rowtwin.conflicts").await;
    assert_eq!(kept, json!({"field": "name", "record_value": "Acme Ltd", "winner": "row"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn r17_policy_delete_wins_over_an_edit_of_the_row_and_keeps_it() {
    let scene = acme(crm_only(", deletes: {against_edit: delete}")).await;
    scene.crm().remove(CRM, &crm_id(&scene));
    scene.run("update sales.customer set name = 'Acme Ltd'").await;
    scene.settle().await;
    scene.sweep().await;
    assert_eq!((scene.crm().count(CRM), rows(&scene).await.len()), (0, 0), "{}", scene.story().await);
    let kept = scene.row("select field, row_value, winner from rowtwin.conflicts").await;
    assert_eq!(kept, json!({"field": "name", "row_value": "Acme Ltd", "winner": "record"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn r17_a_row_made_anew_under_the_same_key_is_another_one() {
    let scene = acme(crm_only("")).await;
    let old = crm_id(&scene);
    scene.run("delete from sales.customer").await;
    scene.settle().await;
    assert_eq!(scene.crm().count(CRM), 0);
    scene.run("insert into sales.customer overriding system value values (1, 'Bolt', 'C9')").await;
    scene.settle().await;
    assert_eq!(scene.crm().records(CRM)[0]["name"], json!("Bolt"));
    assert_ne!(crm_id(&scene), old);
    // the old record's end, told once more, does not touch the new row
    scene
        .run(&format!("select rowtwin_private.note_records(id, array['{old}'], 'told late') from rowtwin_private.binding"))
        .await;
    scene.settle().await;
    scene.sweep().await;
    assert_eq!(rows(&scene).await, [json!({"name": "Bolt", "number": "C9"})]);
    assert_eq!(scene.crm().count(CRM), 1);
}

/// A row is tied to a record that was there before, and deleted before the two were ever compared.
async fn tied_and_deleted(scene: &Scene) {
    scene.settle().await;
    scene.crm().insert(CRM, json!({"name": "Acme", "account_no": "C1"}));
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
    scene.push("crm").await;
    let tied = "select count(*) from rowtwin.links where state = 'linked' and shadow is null";
    assert_eq!(scene.number(tied).await, 1, "{}", scene.story().await);
    scene.run("delete from sales.customer").await;
}

async fn nothing_is_left_to_do(scene: &Scene) {
    for list in ["rowtwin.outbox", "rowtwin.inbox"] {
        let left = scene.number(&format!("select count(*) from {list}")).await;
        assert_eq!(left, 0, "{list}: {}", scene.story().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r17_a_row_that_is_deleted_before_the_first_comparison_leaves_the_record_alone() {
    let scene = Scene::with(crm_only("")).await;
    tied_and_deleted(&scene).await;
    scene.crm().forget_calls();
    scene.settle().await;
    // made and unmade, the row has changed nothing: the record is one without a row, and gets one
    assert_eq!(rows(&scene).await, [json!({"name": "Acme", "number": "C1"})]);
    assert_eq!(scene.crm().count(CRM), 1);
    assert!(Scene::writes(&scene.crm()).is_empty());
    nothing_is_left_to_do(&scene).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r17_a_row_made_again_before_the_first_comparison_takes_the_record_over() {
    let scene = Scene::with(crm_only("")).await;
    tied_and_deleted(&scene).await;
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
    scene.settle().await;
    assert_eq!(rows(&scene).await, [json!({"name": "Acme", "number": "C1"})]);
    assert_eq!(scene.crm().count(CRM), 1);
    nothing_is_left_to_do(&scene).await;
    scene.run("update sales.customer set phone = '13800000000'").await;
    scene.settle().await;
    assert_eq!(scene.crm().records(CRM)[0]["tel"], "13800000000");
}

#[tokio::test(flavor = "multi_thread")]
async fn r17_a_row_refused_for_the_twin_of_a_deleted_one_goes_when_that_record_is_gone() {
    let scene = acme(crm_only("")).await;
    scene
        .run("delete from sales.customer; insert into sales.customer (name, number) values ('Acme', 'C1')")
        .await;
    scene.capture().await;
    // the new row is looked at before the delete of the old one has gone out
    scene.run("update rowtwin_private.outbox set not_before = clock_timestamp() + interval '1 hour' where row_gone").await;
    scene.deliver(&scene.bound("crm")).await;
    assert_eq!(scene.number("select count(*) from rowtwin.outbox where state = 'rejected'").await, 1);
    scene.run("update rowtwin_private.outbox set not_before = '-infinity' where row_gone").await;
    scene.settle().await;
    assert_eq!(rows(&scene).await, [json!({"name": "Acme", "number": "C1"})], "{}", scene.story().await);
    assert_eq!(scene.crm().count(CRM), 1, "{}", scene.story().await);
    nothing_is_left_to_do(&scene).await;
}
