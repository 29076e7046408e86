//! R20 over restarts: a changed configuration loses no work.

use serde_json::json;

use crate::support::{CRM, ERP, Scene, Script};

async fn linked(script: Script) -> Scene {
    let scene = Scene::with(script).await;
    scene.run("insert into sales.customer (name, number, note) values ('Acme', 'C1', 'from the row')").await;
    scene.settle().await;
    scene
}

#[tokio::test(flavor = "multi_thread")]
async fn r20_a_newly_mapped_field_is_a_first_meeting_and_no_conflict() {
    let mut scene = linked(Script { with_erp: false, ..Script::default() }).await;
    scene.run("insert into sales.customer (name, number, note) values ('Bolt', 'C2', 'only here')").await;
    scene.settle().await;
    let id = scene.row("select crm_id from sales.customer where number = 'C1'").await["crm_id"].clone();
    scene.crm().edit(CRM, id.as_str().unwrap(), json!({"remark": "from the record"}));
    scene.poll().await;
    let more = Script {
        crm: Script::default().crm.replace("{name: name,", "{name: name, note: remark,"),
        with_erp: false,
        ..Script::default()
    };
    scene.reconfigure(&more).await;
    // an edit that races the first comparison must not overwrite what nobody has read yet
    scene.run("update sales.customer set phone = '13800000001' where number = 'C1'").await;
    scene.settle().await;
    assert_eq!(
        scene.row("select note from sales.customer where number = 'C1'").await["note"],
        json!("from the record")
    );
    assert_eq!(scene.number("select count(*) from rowtwin.conflicts").await, 0);
    let records = scene.crm().records(CRM);
    let by_number =
        |number: &str| records.iter().find(|record| record["account_no"] == json!(number)).unwrap();
    assert_eq!(by_number("C1")["tel"], json!("13800000001"));
    assert_eq!(by_number("C1")["remark"], json!("from the record"));
    assert_eq!(by_number("C2")["remark"], json!("only here"));
    scene.crm().forget_calls();
    scene.poll().await;
    assert!(Scene::writes(&scene.crm()).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn r20_a_new_binding_gets_every_row() {
    let mut scene = linked(Script { with_erp: false, ..Script::default() }).await;
    scene.reconfigure(&Script::default()).await;
    scene.settle().await;
    assert_eq!(scene.erp().count(ERP), 1);
    assert_eq!(scene.crm().count(CRM), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn r20_a_binding_that_comes_back_goes_on_where_it_stopped() {
    let mut scene = linked(Script::default()).await;
    // work that waits when the binding is taken out …
    scene.run("update sales.customer set address = 'waiting'").await;
    scene.capture().await;
    scene.reconfigure(&Script { with_erp: false, ..Script::default() }).await;
    while scene.round().await {}
    assert_eq!(scene.crm().records(CRM)[0]["address"], json!("waiting"));
    assert_eq!(scene.number("select count(*) from rowtwin.status where state = 'not configured'").await, 1);
    // … and edits of both sides while it is out
    scene.run("update sales.customer set phone = '13800000002'; insert into sales.customer (name, number) values ('New', 'C2')").await;
    while scene.round().await {}
    let id = scene.row("select erp_id from sales.customer where number = 'C1'").await["erp_id"].clone();
    scene.erp().edit(ERP, id.as_str().unwrap(), json!({"FName": "Acme Ltd"}));

    scene.reconfigure(&Script::default()).await;
    scene.poll().await;
    let records = scene.erp().records(ERP);
    assert_eq!(records.len(), 2, "{records:?}");
    let acme = records.iter().find(|record| record["FNumber"] == json!("C1")).unwrap();
    assert_eq!(acme["FTEL"], json!("13800000002"), "an edit made while the binding was out is lost");
    assert_eq!(acme["FADDRESS"], json!("waiting"));
    assert_eq!(
        scene.row("select name from sales.customer where number = 'C1'").await["name"],
        json!("Acme Ltd")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn r20_a_binding_that_did_not_push_for_a_while_pushes_what_it_missed() {
    let mut scene = linked(Script { with_erp: false, ..Script::default() }).await;
    let pull = Script { extra_crm: ", direction: pull".to_owned(), with_erp: false, ..Script::default() };
    scene.reconfigure(&pull).await;
    scene.run("update sales.customer set phone = '13800000003'").await;
    while scene.round().await {}
    assert_eq!(scene.crm().records(CRM)[0].get("tel"), None);
    scene.reconfigure(&Script { with_erp: false, ..Script::default() }).await;
    scene.settle().await;
    assert_eq!(scene.crm().records(CRM)[0]["tel"], json!("13800000003"));
}
