//! R12: fields and deletes that go only when a person has approved them.

use serde_json::{Value, json};

use crate::support::{CRM, ERP, Scene, Script};

const FIELDS: &str = "{name: name, number: account_no, phone: tel, address: {field: address, approve: true}}";

async fn acme(fields: &str, extra: &str) -> Scene {
    let scene = Scene::with(Script {
        with_erp: false,
        crm: fields.to_owned(),
        extra_crm: extra.to_owned(),
        ..Script::default()
    })
    .await;
    scene
        .run("insert into sales.customer (name, number, phone, address) values ('Acme', 'C1', '1', 'Road 1')")
        .await;
    scene.settle().await;
    scene.crm().forget_calls();
    scene
}

async fn asked(scene: &Scene) -> Vec<Value> {
    scene.rows("select key, effect, was, hold, reason from rowtwin.approvals").await
}

fn record(scene: &Scene) -> Value {
    scene.crm().records(CRM).first().map_or(Value::Null, |one| json!(one))
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_a_field_that_needs_an_approval_waits_for_it() {
    let scene = acme(FIELDS, "").await;
    assert_eq!(record(&scene)["address"], json!("Road 1"), "a new record needs none");
    scene.run("update sales.customer set address = 'Road 2', phone = '2'").await;
    scene.settle().await;
    assert!(Scene::writes(&scene.crm()).is_empty(), "sent without approval");
    let asked = asked(&scene).await;
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0]["effect"], json!({"update": {"tel": "2", "address": "Road 2"}}));
    assert_eq!(asked[0]["was"], json!({"tel": "1", "address": "Road 1"}));
    assert!(!asked[0]["reason"].as_str().unwrap().contains("Road"), "a reason shows no values");

    assert_eq!(scene.number("select rowtwin.approve('sales.customer', '1')").await, 1);
    scene.settle().await;
    assert_eq!((&record(&scene)["address"], &record(&scene)["tel"]), (&json!("Road 2"), &json!("2")));
    assert_eq!(Scene::writes(&scene.crm()).len(), 1);
    let who = scene
        .row("select actor = session_user as me, after from rowtwin.journal where effect = 'approve'")
        .await;
    assert_eq!(who, json!({"me": true, "after": {"update": {"tel": "2", "address": "Road 2"}}}));
    assert_eq!(scene.number("select rowtwin.approve('sales.customer')").await, 0, "approving twice");
    // what was approved once does not let the next one through
    scene.run("update sales.customer set address = 'Road 3'").await;
    scene.settle().await;
    assert_eq!(record(&scene)["address"], json!("Road 2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_other_fields_need_no_approval() {
    let scene = acme(FIELDS, "").await;
    scene.run("update sales.customer set phone = '2'").await;
    scene.settle().await;
    assert_eq!(record(&scene)["tel"], json!("2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_what_changed_after_the_approval_is_held_again() {
    let scene = acme(FIELDS, "").await;
    scene.run("update sales.customer set address = 'Road 2'").await;
    scene.settle().await;
    scene.run("select rowtwin.approve('sales.customer')").await;
    scene.run("update sales.customer set address = 'Road 666'").await;
    scene.settle().await;
    assert!(Scene::writes(&scene.crm()).is_empty());
    let asked = asked(&scene).await;
    assert_eq!(asked[0]["effect"], json!({"update": {"address": "Road 666"}}));
    assert!(asked[0]["reason"].as_str().unwrap().contains("changed meanwhile"), "{asked:?}");
    // another field may change meanwhile: what was approved is still the same
    scene.run("select rowtwin.approve('sales.customer')").await;
    scene.run("update sales.customer set phone = '3'").await;
    scene.settle().await;
    assert_eq!((&record(&scene)["address"], &record(&scene)["tel"]), (&json!("Road 666"), &json!("3")));
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_an_edit_undone_asks_nobody_any_more() {
    let scene = acme(FIELDS, "").await;
    scene.run("update sales.customer set address = 'Road 2'").await;
    scene.settle().await;
    assert_eq!(asked(&scene).await.len(), 1);
    scene.run("update sales.customer set address = 'Road 1'").await;
    scene.settle().await;
    assert!(asked(&scene).await.is_empty());
    assert_eq!(scene.number("select count(*) from rowtwin.outbox").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_what_is_rejected_stays_until_it_is_edited() {
    let scene = acme(FIELDS, "").await;
    scene.run("update sales.customer set address = 'Road 2'").await;
    scene.settle().await;
    assert_eq!(
        scene.number("select rowtwin.reject('sales.customer', '1', null, 'ask the customer')").await,
        1
    );
    scene.settle().await;
    let refused = scene.row("select reason like 'ask the customer (%)' as why from rowtwin.rejected").await;
    assert_eq!(refused, json!({"why": true}));
    assert!(Scene::writes(&scene.crm()).is_empty());
    scene.run("update sales.customer set address = 'Road 1', phone = '2'").await;
    scene.settle().await;
    assert_eq!(record(&scene)["tel"], json!("2"));
    assert_eq!(scene.number("select count(*) from rowtwin.outbox").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_an_edit_of_the_record_meanwhile_is_merged_before_what_was_approved_goes() {
    let scene = acme(FIELDS, "").await;
    let id = record(&scene)["_id"].as_str().unwrap().to_owned();
    scene.run("update sales.customer set address = 'Road 2'").await;
    scene.settle().await;
    scene.crm().edit(CRM, &id, json!({"tel": "9"}));
    scene.run("select rowtwin.approve('sales.customer')").await;
    scene.settle().await;
    assert_eq!((&record(&scene)["address"], &record(&scene)["tel"]), (&json!("Road 2"), &json!("9")));
    assert_eq!(scene.row("select phone from sales.customer").await, json!({"phone": "9"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_creates_and_deletes_are_held_where_the_configuration_says_so() {
    let fields = FIELDS.replace("approve: true", "approve: creates");
    let scene = acme(&fields, ", deletes: {approve: true}").await;
    assert_eq!(scene.crm().count(CRM), 0, "created without approval");
    assert_eq!(asked(&scene).await[0]["effect"]["create"]["address"], json!("Road 1"));
    scene.run("select rowtwin.approve('sales.customer')").await;
    scene.settle().await;
    assert_eq!(scene.crm().count(CRM), 1);
    scene.run("delete from sales.customer").await;
    scene.settle().await;
    let asked = asked(&scene).await;
    assert_eq!(asked[0]["effect"]["delete"]["address"], json!("Road 1"));
    assert_eq!(scene.crm().count(CRM), 1, "deleted without approval");
    scene.run("select rowtwin.approve('sales.customer')").await;
    scene.settle().await;
    assert_eq!(scene.crm().count(CRM), 0);
    assert_eq!(scene.number("select count(*) from rowtwin.links").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_an_audited_record_is_not_taken_back_before_its_change_is_approved() {
    let scene = Scene::with(Script {
        with_crm: false,
        erp: "{name: FName, number: FNumber, phone: FTEL, address: {field: FADDRESS, approve: true}}"
            .to_owned(),
        extra_erp: ", lifecycle: {until: audited, reopen: true}".to_owned(),
        ..Script::default()
    })
    .await;
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
    scene.settle().await;
    let status = |scene: &Scene| scene.erp().records(ERP)[0]["FDocumentStatus"].clone();
    assert_eq!(status(&scene), json!("C"));
    scene.run("update sales.customer set address = 'Road 1'").await;
    scene.settle().await;
    assert_eq!(status(&scene), json!("C"), "taken back without approval");
    scene.run("select rowtwin.approve('sales.customer')").await;
    scene.settle().await;
    let record = &scene.erp().records(ERP)[0];
    assert_eq!((&record["FADDRESS"], &record["FDocumentStatus"]), (&json!("Road 1"), &json!("C")));
    // the approval is used up
    scene.run("update sales.customer set address = 'Road 2'").await;
    scene.settle().await;
    assert_eq!(asked(&scene).await.len(), 1);
}
