//! R9: nobody's edit is lost.

use serde_json::json;

use rowtwin::pull::apply::Batch;
use rowtwin::remote::gate::Priority;

use crate::support::{CRM, ERP, Scene, Script};

/// A row and its record in the CRM; the record's id.
async fn twins(script: Script) -> (Scene, String) {
    let scene = Scene::with(script).await;
    scene
        .run("insert into sales.customer (name, number, phone, address) values ('Acme', 'C1', '13800000001', 'Road 1')")
        .await;
    scene.settle().await;
    let id = scene.crm().records(CRM)[0]["_id"].as_str().unwrap().to_owned();
    (scene, id)
}

fn crm_only() -> Script {
    Script { with_erp: false, ..Script::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_different_fields_edited_on_both_sides_both_survive() {
    let (scene, id) = twins(crm_only()).await;
    scene.crm().edit(CRM, &id, json!({"tel": "13900000002"}));
    scene.run("update sales.customer set address = 'Road 2'").await;
    scene.poll().await;
    let record = scene.crm().record(CRM, &id).unwrap();
    assert_eq!((&record["tel"], &record["address"]), (&json!("13900000002"), &json!("Road 2")));
    let row = scene.row("select phone, address from sales.customer").await;
    assert_eq!(row, json!({"phone": "13900000002", "address": "Road 2"}));
    assert_eq!(scene.number("select count(*) from rowtwin.conflicts").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_the_same_edit_on_both_sides_is_no_conflict() {
    let (scene, id) = twins(crm_only()).await;
    scene.crm().edit(CRM, &id, json!({"tel": "13900000002"}));
    scene.run("update sales.customer set phone = '13900000002'").await;
    scene.crm().forget_calls();
    scene.poll().await;
    assert_eq!(scene.number("select count(*) from rowtwin.conflicts").await, 0);
    assert!(Scene::writes(&scene.crm()).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_a_remote_edit_between_poll_and_push_is_not_overwritten() {
    let (scene, id) = twins(Script { extra_crm: ", policy: remote".to_owned(), ..crm_only() }).await;
    scene.crm().edit(CRM, &id, json!({"tel": "13900000002"}));
    scene.run("update sales.customer set phone = '13700000003', address = 'Road 3'").await;
    // nothing was polled: only the check before the push can see the edit
    scene.settle().await;
    let record = scene.crm().record(CRM, &id).unwrap();
    assert_eq!((&record["tel"], &record["address"]), (&json!("13900000002"), &json!("Road 3")));
    let row = scene.row("select phone, address from sales.customer").await;
    assert_eq!(row, json!({"phone": "13900000002", "address": "Road 3"}));
    let kept = scene.row("select was, row_value, record_value, winner from rowtwin.conflicts").await;
    assert_eq!(
        kept,
        json!({"was": "13800000001", "row_value": "13700000003", "record_value": "13900000002", "winner": "record"})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_a_remote_edit_between_poll_and_push_survives_in_a_batch_too() {
    let scene = Scene::with(Script {
        with_crm: false,
        extra_erp: ", policy: remote".to_owned(),
        ..Script::default()
    })
    .await;
    scene
        .run("insert into sales.customer (name, number, phone) select 'N' || n, 'C' || n, '1380000000' || n from generate_series(1, 5) n")
        .await;
    scene.settle().await;
    let third = scene.erp().records(ERP).into_iter().find(|one| one["FNumber"] == json!("C3")).unwrap();
    scene.erp().edit(ERP, &third["FCUSTID"].to_string(), json!({"FTEL": "13999999999"}));
    scene.run("update sales.customer set phone = '1370000000' || id").await;
    scene.settle().await;
    let phone = |number: &str| {
        let records = scene.erp().records(ERP);
        records.into_iter().find(|one| one["FNumber"] == json!(number)).unwrap()["FTEL"].clone()
    };
    assert_eq!(phone("C3"), json!("13999999999"));
    assert_eq!(phone("C2"), json!("13700000002"));
    assert_eq!(scene.number("select count(*) from rowtwin.conflicts").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_without_the_check_the_push_is_one_call_and_overwrites() {
    let (scene, id) = twins(Script { extra_crm: ", overwrite_check: none".to_owned(), ..crm_only() }).await;
    scene.crm().edit(CRM, &id, json!({"tel": "13900000002"}));
    scene.run("update sales.customer set phone = '13700000003'").await;
    scene.crm().forget_calls();
    scene.settle().await;
    assert_eq!(scene.crm().call_count(), 1, "the safety that was traded for quota");
    assert_eq!(scene.crm().record(CRM, &id).unwrap()["tel"], json!("13700000003"));
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_a_page_read_before_the_last_delivery_is_not_applied() {
    let (scene, id) = twins(crm_only()).await;
    let bound = scene.bound("crm");
    let store = &scene.engine.store;
    let read_at = store.clock().await.unwrap();
    let fields = bound.record_fields();
    let records = bound.client.read(CRM, &fields, std::slice::from_ref(&id), Priority::Edit).await.unwrap();
    scene.run("update sales.customer set phone = '13700000003'").await;
    scene.push("crm").await;
    assert_eq!(scene.crm().record(CRM, &id).unwrap()["tel"], json!("13700000003"));

    let mut client = store.client().await.unwrap();
    let mut transaction = client.transaction().await.unwrap();
    let batch = Batch {
        bound: &bound,
        records,
        read_at,
        first_seen: read_at,
        heard_of: Default::default(),
        loose: Default::default(),
        waved: Default::default(),
    };
    batch.apply(&mut transaction).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(scene.row("select phone from sales.customer").await, json!({"phone": "13700000003"}));
    assert_eq!(scene.number("select count(*) from rowtwin.inbox").await, 1, "it is read again instead");
    scene.settle().await;
    assert_eq!(scene.row("select phone from sales.customer").await, json!({"phone": "13700000003"}));
    assert_eq!(scene.crm().record(CRM, &id).unwrap()["tel"], json!("13700000003"));
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_an_edit_made_during_the_call_goes_out_next() {
    let (scene, id) = twins(crm_only()).await;
    scene.run("update sales.customer set phone = '13700000003'").await;
    scene.capture().await;
    scene.crm().add_fault(crate::support::fault("slow:300ms@update"));
    let deliverer = scene.deliverer(&scene.bound("crm"));
    let turn = tokio::spawn(async move { deliverer.turn().await.unwrap() });
    let crm = scene.crm();
    crate::support::eventually("the update is under way", || crm.faults().is_empty()).await;
    scene.run("update sales.customer set phone = '13700000004'").await;
    scene.capture().await;
    turn.await.unwrap();
    assert_eq!(scene.crm().record(CRM, &id).unwrap()["tel"], json!("13700000003"));
    let shadow = scene.row("select shadow ->> 'tel' as tel from rowtwin.links").await;
    assert_eq!(shadow, json!({"tel": "13700000003"}), "the shadow is what was sent, not the row as it is");
    scene.settle().await;
    assert_eq!(scene.crm().record(CRM, &id).unwrap()["tel"], json!("13700000004"));
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_a_row_that_somebody_holds_is_skipped_and_read_again() {
    let (scene, id) = twins(crm_only()).await;
    let analyst = crate::support::connect(&scene.url).await;
    analyst.batch_execute("begin; update sales.customer set address = 'Road 5'").await.unwrap();
    scene.crm().edit(CRM, &id, json!({"tel": "13900000002"}));
    scene.sql.execute("update rowtwin_private.binding set next_poll_at = '-infinity'", &[]).await.unwrap();
    let puller = scene.puller(&scene.bound("crm"));
    while puller.turn().await.unwrap().rest.is_none() {}
    puller.release().await.unwrap();
    assert_eq!(scene.number("select count(*) from rowtwin.inbox where state = 'ready'").await, 1);
    analyst.batch_execute("commit").await.unwrap();
    scene.settle().await;
    let row = scene.row("select phone, address from sales.customer").await;
    assert_eq!(row, json!({"phone": "13900000002", "address": "Road 5"}));
    assert_eq!(scene.crm().record(CRM, &id).unwrap()["address"], json!("Road 5"));
}
