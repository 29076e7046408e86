//! R4 and R5: what a change costs.

use serde_json::json;

use crate::support::{CRM, ERP, Scene, Script, fault};

const ACME: &str = "insert into sales.customer (name, number, phone, address) values ('Acme', 'C1', '13800000001', 'Road 1')";

async fn linked() -> Scene {
    let scene = Scene::start().await;
    scene.run(ACME).await;
    scene.settle().await;
    scene.crm().forget_calls();
    scene.erp().forget_calls();
    scene
}

#[tokio::test(flavor = "multi_thread")]
async fn r04_many_edits_cost_one_call() {
    let scene = linked().await;
    for n in 10..60 {
        scene.run(&format!("update sales.customer set phone = '138000000{n}'")).await;
    }
    scene.settle().await;
    assert_eq!(Scene::writes(&scene.crm()).len(), 1, "{:?}", scene.crm().calls());
    assert_eq!(Scene::writes(&scene.erp()).len(), 1, "{:?}", scene.erp().calls());
    assert_eq!(scene.crm().records(CRM)[0]["tel"], json!("13800000059"));
    assert_eq!(scene.erp().records(ERP)[0]["FTEL"], json!("13800000059"));
}

#[tokio::test(flavor = "multi_thread")]
async fn r04_edits_while_a_system_is_away_cost_one_call_when_it_is_back() {
    let scene = linked().await;
    scene.crm().set_down(true);
    for n in 10..20 {
        scene.run(&format!("update sales.customer set phone = '138000000{n}'")).await;
        scene.push("crm").await;
    }
    scene.crm().set_down(false);
    scene.crm().forget_calls();
    scene.settle().await;
    assert_eq!(Scene::writes(&scene.crm()).len(), 1, "{:?}", scene.crm().calls());
    assert_eq!(scene.crm().records(CRM)[0]["tel"], json!("13800000019"));
}

#[tokio::test(flavor = "multi_thread")]
async fn r04_an_edit_undone_costs_no_call_at_all() {
    let scene = linked().await;
    scene.run("update sales.customer set phone = '13900000009'").await;
    scene.run("update sales.customer set phone = '13800000001'").await;
    // nor does what a remote cannot tell from what it has: blanks at the ends, a column that is not mapped
    scene.run("update sales.customer set note = 'to be called', touched = now()").await;
    scene.settle().await;
    assert_eq!(scene.crm().call_count(), 0, "{:?}", scene.crm().calls());
    assert_eq!(scene.erp().call_count(), 0, "{:?}", scene.erp().calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn r04_a_row_that_comes_and_goes_between_two_deliveries_costs_no_call() {
    let scene = linked().await;
    scene.run("insert into sales.customer (name, number) values ('Brief', 'C2')").await;
    scene.run("delete from sales.customer where number = 'C2'").await;
    scene.settle().await;
    assert_eq!((scene.crm().call_count(), scene.erp().call_count()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn r05_only_changed_fields_travel() {
    let scene = linked().await;
    scene.run("update sales.customer set address = 'Road 2'").await;
    scene.settle().await;
    let (crm, erp) = (Scene::writes(&scene.crm()), Scene::writes(&scene.erp()));
    let named = |sent: &[(String, Vec<String>)]| -> Vec<String> {
        let known = ["name", "account_no", "tel", "address", "FName", "FNumber", "FTEL", "FADDRESS"];
        sent.iter().flat_map(|(_, fields)| fields).filter(|f| known.contains(&f.as_str())).cloned().collect()
    };
    assert_eq!(named(&crm), ["address"], "{crm:?}");
    assert_eq!(named(&erp), ["FADDRESS"], "{erp:?}");
    // a cleared value travels as such
    scene.run("update sales.customer set address = null").await;
    scene.settle().await;
    assert_eq!(scene.crm().records(CRM)[0].get("address"), None);
    assert_eq!(scene.erp().records(ERP)[0].get("FADDRESS"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn r05_many_rows_go_in_as_few_calls_as_the_batch_size_allows() {
    let scene = Scene::with(Script { with_crm: false, ..Script::default() }).await;
    scene.settle().await;
    scene.erp().forget_calls();
    scene
        .run("insert into sales.customer (name, number) select 'Name ' || n, 'C' || n from generate_series(1, 250) n")
        .await;
    scene.settle().await;
    assert_eq!(scene.erp().count(ERP), 250);
    assert_eq!(Scene::writes(&scene.erp()).len(), 3, "100, 100 and 50");
    let reads = scene.erp().call_count() - 3;
    assert!(reads <= 3, "one look-up per batch, not per row: {reads}");

    scene.erp().forget_calls();
    scene.run("update sales.customer set address = 'Road ' || number").await;
    scene.settle().await;
    assert_eq!(Scene::writes(&scene.erp()).len(), 3);
    let reads = scene.erp().call_count() - 3;
    assert!(reads <= 3, "one overwrite check per batch: {reads}");
    assert!(scene.erp().records(ERP).iter().all(|one| one.contains_key("FADDRESS")));
}

#[tokio::test(flavor = "multi_thread")]
async fn r05_what_was_confirmed_of_a_broken_batch_is_not_sent_again() {
    let scene = Scene::with(Script { with_crm: false, ..Script::default() }).await;
    scene.settle().await;
    scene
        .run("insert into sales.customer (name, number) select 'Name ' || n, 'C' || n from generate_series(1, 10) n")
        .await;
    scene.erp().add_fault(fault("partial-batch@BatchSave"));
    scene.push("erp").await;
    assert_eq!(scene.erp().count(ERP), 5);
    scene.erp().forget_calls();
    scene.settle().await;
    assert_eq!(scene.erp().count(ERP), 10);
    let ids: Vec<String> = scene
        .erp()
        .calls()
        .into_iter()
        .filter(|call| call.operation == "BatchSave")
        .flat_map(|call| call.ids)
        .collect();
    assert_eq!(ids.len(), 5, "{ids:?}");
}
