//! R7: a table between several systems.

use serde_json::json;

use crate::support::{CRM, ERP, Scene};

#[tokio::test(flavor = "multi_thread")]
async fn r07_an_insert_in_sql_makes_one_record_in_every_system_and_writes_their_ids() {
    let scene = Scene::start().await;
    scene.settle().await;
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
    scene.settle().await;
    scene.poll().await;
    assert_eq!((scene.crm().count(CRM), scene.erp().count(ERP)), (1, 1));
    let ids = scene.row("select crm_id, erp_id from sales.customer").await;
    assert_eq!(ids["crm_id"], scene.crm().records(CRM)[0]["_id"]);
    assert_eq!(ids["erp_id"], json!(scene.erp().records(ERP)[0]["FCUSTID"].to_string()));
    let creates = Scene::writes(&scene.crm()).len() + Scene::writes(&scene.erp()).len();
    assert_eq!(creates, 2, "{:?} {:?}", scene.crm().calls(), scene.erp().calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn r07_a_change_in_either_system_reaches_the_other() {
    let scene = Scene::start().await;
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
    scene.settle().await;
    let crm = scene.crm().records(CRM)[0]["_id"].as_str().unwrap().to_owned();
    let erp = scene.erp().records(ERP)[0]["FCUSTID"].to_string();
    scene.crm().edit(CRM, &crm, json!({"tel": "13900000001"}));
    scene.poll().await;
    assert_eq!(scene.erp().records(ERP)[0]["FTEL"], json!("13900000001"));
    scene.erp().edit(ERP, &erp, json!({"FADDRESS": "Road 9"}));
    scene.poll().await;
    assert_eq!(scene.crm().records(CRM)[0]["address"], json!("Road 9"));
    assert_eq!(scene.crm().records(CRM)[0]["tel"], json!("13900000001"));
}

#[tokio::test(flavor = "multi_thread")]
async fn r07_a_delete_in_one_system_reaches_the_row_and_the_other_system() {
    let scene = Scene::start().await;
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1'), ('Bolt', 'C2')").await;
    scene.settle().await;
    let gone = scene.crm().records(CRM).into_iter().find(|one| one["account_no"] == json!("C1")).unwrap();
    scene.crm().remove(CRM, gone["_id"].as_str().unwrap());
    scene.sweep().await;
    assert_eq!(scene.rows("select number from sales.customer").await, [json!({"number": "C2"})]);
    let left: Vec<_> = scene.erp().records(ERP).into_iter().map(|one| one["FNumber"].clone()).collect();
    assert_eq!(left, [json!("C2")]);
    assert_eq!(scene.number("select count(*) from rowtwin.links").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn r07_records_that_exist_on_both_sides_are_matched_and_not_doubled() {
    let scene = Scene::start().await;
    scene.crm().insert(CRM, json!({"name": "Acme", "account_no": "C1", "tel": "13800000001"}));
    scene.erp().insert(ERP, json!({"FName": "Acme", "FNumber": "C1", "FADDRESS": "Road 1"}));
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1'), ('Bolt', 'C2')").await;
    scene.settle().await;
    scene.poll().await;
    assert_eq!((scene.crm().count(CRM), scene.erp().count(ERP)), (2, 2));
    assert_eq!(
        scene.rows("select number, phone, address from sales.customer order by number").await,
        [
            json!({"number": "C1", "phone": "13800000001", "address": "Road 1"}),
            json!({"number": "C2", "phone": null, "address": null})
        ]
    );
    let acme = scene.erp().records(ERP).into_iter().find(|one| one["FNumber"] == json!("C1")).unwrap();
    assert_eq!(acme["FTEL"], json!("13800000001"), "what one system knew fills the other");
}

#[tokio::test(flavor = "multi_thread")]
async fn r07_both_systems_edit_the_same_field_and_all_end_equal() {
    let scene = Scene::start().await;
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
    scene.settle().await;
    let crm = scene.crm().records(CRM)[0]["_id"].as_str().unwrap().to_owned();
    let erp = scene.erp().records(ERP)[0]["FCUSTID"].to_string();
    scene.crm().edit(CRM, &crm, json!({"tel": "13900000001"}));
    scene.erp().edit(ERP, &erp, json!({"FTEL": "13900000002"}));
    scene.poll().await;
    scene.poll().await;
    let phone = scene.row("select phone from sales.customer").await["phone"].clone();
    assert_eq!(scene.crm().records(CRM)[0]["tel"], phone);
    assert_eq!(scene.erp().records(ERP)[0]["FTEL"], phone);
    assert!([json!("13900000001"), json!("13900000002")].contains(&phone));
    let values = scene.row("select row_value, record_value from rowtwin.conflicts").await;
    assert!(values["row_value"] != values["record_value"], "the value that lost is kept: {values}");
    scene.crm().forget_calls();
    scene.erp().forget_calls();
    scene.poll().await;
    assert!(Scene::writes(&scene.crm()).is_empty() && Scene::writes(&scene.erp()).is_empty());
}
