//! R9: a field that both sides changed.

use serde_json::{Value, json};

use crate::support::{CRM, Scene, Script};

const WAS: &str = "13800000001";
const ROW: &str = "13700000002";
const RECORD: &str = "13900000003";

/// A field edited on both sides and then polled, under a policy; the record's id.
async fn collided(policy: &str, record_first: bool) -> (Scene, String) {
    let scene = Scene::with(Script {
        with_erp: false,
        extra_crm: format!(", policy: {policy}"),
        ..Script::default()
    })
    .await;
    scene
        .run(&format!("insert into sales.customer (name, number, phone, address) values ('Acme', 'C1', '{WAS}', 'Road 1')"))
        .await;
    scene.settle().await;
    let id = scene.crm().records(CRM)[0]["_id"].as_str().unwrap().to_owned();
    let edit_row = format!("update sales.customer set phone = '{ROW}'");
    // stamps that cannot be mistaken, in whichever order
    let now = scene.number("select (extract(epoch from clock_timestamp()) * 1000)::bigint").await;
    let stamp = if record_first { now - 5_000 } else { now + 5_000 };
    scene.run(&edit_row).await;
    scene.capture().await;
    scene.crm().edit(CRM, &id, json!({"tel": RECORD, "last_modified_time": stamp}));
    scene.poll().await;
    (scene, id)
}

async fn both(scene: &Scene, id: &str) -> (Value, Value) {
    let row = scene.row("select phone from sales.customer").await["phone"].clone();
    (row, scene.crm().record(CRM, id).unwrap()["tel"].clone())
}

async fn winners(scene: &Scene) -> Vec<Value> {
    scene.rows("select field, was, row_value, record_value, winner, policy from rowtwin.conflicts").await
}

fn conflict(winner: &str, policy: &str) -> Vec<Value> {
    vec![
        json!({"field": "tel", "was": WAS, "row_value": ROW, "record_value": RECORD, "winner": winner, "policy": policy}),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_policy_local_the_row_wins_and_the_record_is_kept() {
    let (scene, id) = collided("local", false).await;
    assert_eq!(both(&scene, &id).await, (json!(ROW), json!(ROW)));
    assert_eq!(winners(&scene).await, conflict("row", "local"));
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_policy_remote_the_record_wins_and_the_row_is_kept() {
    let (scene, id) = collided("remote", true).await;
    assert_eq!(both(&scene, &id).await, (json!(RECORD), json!(RECORD)));
    assert_eq!(winners(&scene).await, conflict("record", "remote"));
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_policy_latest_the_later_edit_wins_whichever_it_is() {
    let (scene, id) = collided("latest", false).await;
    assert_eq!(both(&scene, &id).await, (json!(RECORD), json!(RECORD)));
    assert_eq!(winners(&scene).await, conflict("record", "latest"));
    let (scene, id) = collided("latest", true).await;
    assert_eq!(both(&scene, &id).await, (json!(ROW), json!(ROW)));
    assert_eq!(winners(&scene).await, conflict("row", "latest"));
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_policy_manual_both_keep_theirs_and_other_fields_go_on() {
    let (scene, id) = collided("manual", false).await;
    assert_eq!(both(&scene, &id).await, (json!(ROW), json!(RECORD)));
    assert_eq!(winners(&scene).await, conflict("held", "manual"));
    scene.run("update sales.customer set address = 'Road 2'").await;
    scene.settle().await;
    assert_eq!(scene.crm().record(CRM, &id).unwrap()["address"], json!("Road 2"));
    scene.crm().edit(CRM, &id, json!({"name": "Acme Ltd"}));
    scene.poll().await;
    assert_eq!(scene.row("select name from sales.customer").await, json!({"name": "Acme Ltd"}));
    assert_eq!(both(&scene, &id).await, (json!(ROW), json!(RECORD)), "still held");
    assert_eq!(winners(&scene).await.len(), 1, "and still one conflict");
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_a_person_decides_a_held_conflict_for_the_row() {
    let (scene, id) = collided("manual", false).await;
    scene.run("select rowtwin.resolve_conflict(id, 'row') from rowtwin.conflicts").await;
    scene.settle().await;
    scene.poll().await;
    assert_eq!(both(&scene, &id).await, (json!(ROW), json!(ROW)));
    assert_eq!(scene.number("select count(*) from rowtwin.conflicts where resolved_at is null").await, 0);
    let by = scene.row("select resolved_by like '%: row' as by from rowtwin.conflicts").await;
    assert_eq!(by, json!({"by": true}));
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_a_person_decides_a_held_conflict_for_the_record() {
    let (scene, id) = collided("manual", false).await;
    scene.run("select rowtwin.resolve_conflict(id, 'record') from rowtwin.conflicts").await;
    scene.settle().await;
    scene.poll().await;
    assert_eq!(both(&scene, &id).await, (json!(RECORD), json!(RECORD)));
    assert_eq!(scene.number("select count(*) from rowtwin.conflicts where resolved_at is null").await, 0);
    let refused =
        scene.sql.execute("select rowtwin.resolve_conflict(id, 'row') from rowtwin.conflicts", &[]).await;
    assert!(format!("{:?}", refused.unwrap_err()).contains("is not open"));
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_a_field_that_a_person_cleared_is_a_change_like_any_other() {
    let (scene, id) = collided("manual", false).await;
    scene.crm().edit(CRM, &id, json!({"tel": null}));
    scene.poll().await;
    scene.run("select rowtwin.resolve_conflict(id, 'record') from rowtwin.conflicts").await;
    scene.settle().await;
    assert_eq!(scene.row("select phone from sales.customer").await, json!({"phone": null}));
    assert_eq!(scene.crm().record(CRM, &id).unwrap().get("tel"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_a_policy_of_one_field_overrules_the_bindings() {
    let scene = Scene::with(Script {
        with_erp: false,
        extra_crm: ", policy: remote".to_owned(),
        crm: "{name: name, number: account_no, phone: {field: tel, policy: local}, address: address}"
            .to_owned(),
        ..Script::default()
    })
    .await;
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
    scene.settle().await;
    let id = scene.crm().records(CRM)[0]["_id"].as_str().unwrap().to_owned();
    scene.crm().edit(CRM, &id, json!({"tel": "2", "address": "theirs"}));
    scene.run("update sales.customer set phone = '1', address = 'ours'").await;
    scene.poll().await;
    let row = scene.row("select phone, address from sales.customer").await;
    assert_eq!(row, json!({"phone": "1", "address": "theirs"}));
    assert_eq!(scene.crm().record(CRM, &id).unwrap()["tel"], json!("1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_a_person_gives_both_sides_a_value_of_their_own() {
    let (scene, id) = collided("manual", false).await;
    let value = "13600000004";
    scene
        .run(&format!(
            "select rowtwin.resolve_conflict(id, 'value', to_jsonb('{value}'::text)) from rowtwin.conflicts"
        ))
        .await;
    scene.settle().await;
    assert_eq!(both(&scene, &id).await, (json!(value), json!(value)));
    let ended = scene.row("select resolved_by like '%: value' as by, chosen from rowtwin.conflicts").await;
    assert_eq!(ended, json!({"by": true, "chosen": value}));
    // and the field goes on as before
    scene.run("update sales.customer set phone = '13600000005'").await;
    scene.settle().await;
    assert_eq!(scene.crm().record(CRM, &id).unwrap()["tel"], json!("13600000005"));
    for wrong in ["'value'", "'row', to_jsonb(1)", "'neither'"] {
        let sql = format!("select rowtwin.resolve_conflict(id, {wrong}) from rowtwin.conflicts");
        scene.sql.execute(sql.as_str(), &[]).await.unwrap_err();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_a_conflict_that_ends_by_itself_is_closed() {
    let (scene, id) = collided("manual", false).await;
    scene.crm().edit(CRM, &id, json!({"tel": ROW}));
    scene.poll().await;
    let ended = scene.row("select resolved_by from rowtwin.conflicts").await;
    assert_eq!(ended, json!({"resolved_by": "both sides agree"}));
    scene.run("update sales.customer set phone = '13600000005'").await;
    scene.settle().await;
    assert_eq!(scene.crm().record(CRM, &id).unwrap()["tel"], json!("13600000005"));
}

/// Phone and address are one group; the phone collided, and the address did not change at all.
async fn group_collided() -> (Scene, String) {
    collided("manual, groups: {reach: [tel, address]}", false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_a_group_is_held_as_one_and_other_fields_go_on() {
    let (scene, id) = group_collided().await;
    scene.run("update sales.customer set address = 'Road 2', name = 'Acme Ltd'").await;
    scene.settle().await;
    let record = scene.crm().record(CRM, &id).unwrap();
    assert_eq!((&record["name"], &record["address"]), (&json!("Acme Ltd"), &json!("Road 1")));
    scene.crm().edit(CRM, &id, json!({"address": "Road 3"}));
    scene.poll().await;
    let row = scene.row("select phone, address from sales.customer").await;
    assert_eq!(row, json!({"phone": ROW, "address": "Road 2"}));
    assert_eq!(scene.number("select count(*) from rowtwin.conflicts where resolved_at is null").await, 2);

    // one word decides the group
    scene.run("select rowtwin.resolve_conflict(min(id), 'record') from rowtwin.conflicts").await;
    scene.settle().await;
    let row = scene.row("select phone, address from sales.customer").await;
    assert_eq!(row, json!({"phone": RECORD, "address": "Road 3"}));
    assert_eq!(scene.number("select count(*) from rowtwin.conflicts where resolved_at is null").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_a_group_takes_values_when_all_of_it_is_decided() {
    let (scene, id) = group_collided().await;
    scene.run("update sales.customer set address = 'Road 2'").await;
    scene.crm().edit(CRM, &id, json!({"address": "Road 3"}));
    scene.poll().await;
    let choose = |field: &str, value: &str| {
        format!(
            "select rowtwin.resolve_conflict(id, 'value', to_jsonb('{value}'::text)) from rowtwin.conflicts where field = '{field}' and resolved_at is null"
        )
    };
    scene.run(&choose("tel", "13600000004")).await;
    scene.poll().await;
    assert_eq!(both(&scene, &id).await, (json!(ROW), json!(RECORD)), "half of a group is not sent");
    scene.run(&choose("address", "Road 4")).await;
    scene.settle().await;
    let row = scene.row("select phone, address from sales.customer").await;
    assert_eq!(row, json!({"phone": "13600000004", "address": "Road 4"}));
    let record = scene.crm().record(CRM, &id).unwrap();
    assert_eq!((&record["tel"], &record["address"]), (&json!("13600000004"), &json!("Road 4")));
}
