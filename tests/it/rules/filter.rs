//! R7 and R9 where a binding takes only some rows of its table.

use serde_json::{Value, json};

use crate::support::{CRM, ERP, Scene, Script};

/// The note is the region; it is mapped to the remark, so that records have one too.
fn east(extra: &str) -> Script {
    Script {
        with_erp: false,
        crm: "{name: name, number: account_no, phone: tel, note: remark}".to_owned(),
        extra_crm: format!(", where: \"note = 'east'\"{extra}"),
        ..Script::default()
    }
}

async fn acme(extra: &str) -> (Scene, String) {
    let scene = Scene::with(east(extra)).await;
    scene.run("insert into sales.customer (name, number, note) values ('Acme', 'C1', 'east'), ('Bolt', 'C2', 'west'), ('Cord', 'C3', null)").await;
    scene.settle().await;
    let records = scene.crm().records(CRM);
    assert_eq!(records.len(), 1, "rows outside are not created");
    let id = records[0]["_id"].as_str().unwrap().to_owned();
    scene.crm().forget_calls();
    (scene, id)
}

async fn acme_row(scene: &Scene) -> Value {
    scene.row("select name, phone, note from sales.customer where number = 'C1'").await
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_a_row_that_leaves_the_filter_keeps_its_record_and_nothing_flows() {
    let (scene, id) = acme("").await;
    scene.run("update sales.customer set note = 'west', phone = '1' where number = 'C1'").await;
    scene.settle().await;
    assert!(Scene::writes(&scene.crm()).is_empty());
    scene.crm().edit(CRM, &id, json!({"name": "Acme Ltd"}));
    scene.poll().await;
    assert_eq!(acme_row(&scene).await["name"], json!("Acme"));
    assert_eq!(scene.number("select linked from rowtwin.status").await, 1);

    // when it comes back its record is read and merged before anything goes
    scene.run("update sales.customer set note = 'east' where number = 'C1'").await;
    scene.settle().await;
    assert_eq!(acme_row(&scene).await, json!({"name": "Acme Ltd", "phone": "1", "note": "east"}));
    let record = scene.crm().record(CRM, &id).unwrap();
    assert_eq!((&record["name"], &record["tel"]), (&json!("Acme Ltd"), &json!("1")));
    assert_eq!(scene.number("select count(*) from rowtwin.conflicts").await, 0);
    scene.crm().edit(CRM, &id, json!({"tel": "2"}));
    scene.poll().await;
    assert_eq!(acme_row(&scene).await["phone"], json!("2"), "and it flows again");
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_a_record_changed_while_its_row_was_outside_is_not_overwritten_by_the_return() {
    let (scene, id) = acme(", overwrite_check: none").await;
    scene.run("update sales.customer set note = 'west' where number = 'C1'").await;
    scene.settle().await;
    scene.crm().edit(CRM, &id, json!({"name": "Acme Ltd"}));
    scene.run("update sales.customer set note = 'east', phone = '1' where number = 'C1'").await;
    scene.settle().await;
    assert_eq!(acme_row(&scene).await, json!({"name": "Acme Ltd", "phone": "1", "note": "east"}));
    assert_eq!(scene.crm().record(CRM, &id).unwrap()["name"], json!("Acme Ltd"));
}

#[tokio::test(flavor = "multi_thread")]
async fn r17_leaving_may_delete_the_record_and_coming_back_makes_a_new_one() {
    let (scene, id) = acme(", leaving: delete").await;
    scene.run("update sales.customer set note = 'west' where number = 'C1'").await;
    scene.settle().await;
    assert_eq!(scene.crm().count(CRM), 0);
    assert_eq!(acme_row(&scene).await["note"], json!("west"), "the row stays");
    scene.sweep().await;
    scene.run("update sales.customer set note = 'east' where number = 'C1'").await;
    scene.settle().await;
    assert_eq!(scene.crm().count(CRM), 1);
    assert_ne!(scene.crm().records(CRM)[0]["_id"], json!(id));
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_records_get_rows_only_inside_of_the_filter() {
    let (scene, _) = acme("").await;
    scene.crm().insert(CRM, json!({"name": "Dawn", "account_no": "C4", "remark": "east"}));
    scene.crm().insert(CRM, json!({"name": "Dusk", "account_no": "C5", "remark": "west"}));
    // its row is there, outside: it neither becomes a twin nor is it made twice
    scene.crm().insert(CRM, json!({"name": "Bolt", "account_no": "C2", "remark": "east"}));
    scene.poll().await;
    let numbers = scene.rows("select number from sales.customer order by number").await;
    let numbers: Vec<&str> = numbers.iter().map(|row| row["number"].as_str().unwrap()).collect();
    assert_eq!(numbers, ["C1", "C2", "C3", "C4"]);
    assert_eq!(scene.number("select linked from rowtwin.status").await, 2);
    // inside now: the two find each other
    scene.run("update sales.customer set note = 'east' where number = 'C2'").await;
    scene.settle().await;
    assert_eq!(scene.number("select linked from rowtwin.status").await, 3);
    assert_eq!(scene.crm().count(CRM), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_default_counts_for_a_row_that_is_to_be_made() {
    let scene = Scene::with(Script {
        with_erp: false,
        extra_crm: ", where: \"note = 'east' and id > 0 is not false\"".to_owned(),
        schema: crate::support::CUSTOMER.replace("note text", "note text default 'east'"),
        ..Script::default()
    })
    .await;
    scene.crm().insert(CRM, json!({"name": "Dawn", "account_no": "C4"}));
    scene.poll().await;
    assert_eq!(
        scene.row("select number, note from sales.customer").await,
        json!({"number": "C4", "note": "east"})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn r17_a_record_deleted_while_its_row_is_outside_leaves_the_row_alone() {
    let (scene, id) = acme("").await;
    scene.run("update sales.customer set note = 'west' where number = 'C1'").await;
    scene.settle().await;
    scene.crm().remove(CRM, &id);
    scene.sweep().await;
    assert_eq!(acme_row(&scene).await["name"], json!("Acme"));
    assert_eq!(scene.number("select count(*) from rowtwin.links").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r20_a_changed_filter_brings_new_rows_in() {
    let (mut scene, _) = acme("").await;
    let wider = east("").extra_crm.replace("'east'", "any ('{east,west}')");
    scene.reconfigure(&Script { extra_crm: wider, ..east("") }).await;
    scene.settle().await;
    assert_eq!(scene.crm().count(CRM), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn r20_a_filter_that_is_no_condition_is_a_finding() {
    let (scene, _) = acme("").await;
    for (wrong, said) in [("nite = 1", "nite"), ("name", "boolean"), ("note = 'east", "unterminated")] {
        let text = scene.text.replace("note = 'east'", wrong);
        let file = rowtwin::config::parse("rowtwin.yaml", &text).unwrap().0;
        let given =
            rowtwin::engine::assemble::Given { database_url: Some(scene.url.clone()), ..Default::default() };
        let error = rowtwin::engine::Engine::assemble(file, &given).await.err().unwrap().to_string();
        assert!(error.contains("where: ") && error.contains(said), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r11_a_row_for_which_the_condition_fails_stops_no_other() {
    let scene = Scene::with(Script {
        with_erp: false,
        extra_crm: ", where: \"note::int > 0\"".to_owned(),
        ..Script::default()
    })
    .await;
    scene.run("insert into sales.customer (name, number, note) values ('Acme', 'C1', '1'), ('Bolt', 'C2', 'many')").await;
    scene.settle().await;
    assert_eq!(scene.crm().count(CRM), 1);
    assert_eq!(
        scene.row("select key, field from rowtwin.rejected").await,
        json!({"key": "2", "field": "where"})
    );
    scene.run("update sales.customer set note = '2' where number = 'C2'").await;
    scene.settle().await;
    assert_eq!(scene.crm().count(CRM), 2);
}

/// A row whose record is saved and owes its audit.
async fn half_finished(binding: &str) -> Scene {
    let extra_erp = format!(", lifecycle: {{until: audited}}{binding}");
    let scene = Scene::with(Script { with_crm: false, extra_erp, ..Script::default() }).await;
    scene.settle().await;
    scene.run("insert into sales.customer (name, number, note) values ('Acme', 'C1', 'east')").await;
    scene.capture().await;
    scene.deliverer(&scene.bound("erp")).turn().await.unwrap();
    assert_eq!(scene.erp().records(ERP)[0]["FDocumentStatus"], json!("A"), "saved");
    scene
}

#[tokio::test(flavor = "multi_thread")]
async fn r10_a_save_is_finished_although_its_row_leaves_the_filter_meanwhile() {
    let scene = half_finished(", where: \"note = 'east'\"").await;
    scene.run("update sales.customer set note = 'west', phone = '1'").await;
    scene.settle().await;
    let record = scene.erp().records(ERP)[0].clone();
    assert_eq!(record["FDocumentStatus"], json!("C"), "{record:?}");
    assert_ne!(record.get("FTEL"), Some(&json!("1")), "nothing flows any more");
    assert_eq!(scene.number("select count(*) from rowtwin.outbox").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r10_a_save_is_finished_although_its_row_is_deleted_and_the_record_kept() {
    let scene = half_finished(", deletes: {to_remote: keep}").await;
    scene.run("delete from sales.customer").await;
    scene.settle().await;
    assert_eq!(scene.erp().records(ERP)[0]["FDocumentStatus"], json!("C"));
    assert_eq!(scene.number("select count(*) from rowtwin.outbox").await, 0);
}
