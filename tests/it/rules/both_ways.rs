//! R4 to R9: what flows, and what must not.

use serde_json::json;

use crate::support::{CRM, ERP, Scene};

#[tokio::test(flavor = "multi_thread")]
async fn r07_a_change_from_one_system_reaches_all_the_others_once() {
    let scene = Scene::start().await;
    scene.settle().await;
    scene.crm().insert(CRM, json!({"name": "Acme", "account_no": "C1", "tel": "13800000001"}));
    scene.poll().await;
    let row = scene.row("select name, number, phone, crm_id is not null as crm, erp_id is not null as erp from sales.customer").await;
    assert_eq!(
        row,
        json!({"name": "Acme", "number": "C1", "phone": "13800000001", "crm": true, "erp": true})
    );
    let records = scene.erp().records(ERP);
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["FName"], json!("Acme"));

    scene.crm().forget_calls();
    scene.erp().forget_calls();
    scene.run("update sales.customer set phone = '13900000002'").await;
    scene.settle().await;
    scene.poll().await;
    assert_eq!(Scene::writes(&scene.crm()).len(), 1, "{:?}", scene.crm().calls());
    assert_eq!(Scene::writes(&scene.erp()).len(), 1, "{:?}", scene.erp().calls());
    assert_eq!(scene.crm().records(CRM)[0]["tel"], json!("13900000002"));
    assert_eq!(scene.erp().records(ERP)[0]["FTEL"], json!("13900000002"));
}
