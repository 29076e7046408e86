//! R8 at the first meeting: what could be several twins is shown, and not guessed.

use serde_json::{Value, json};

use crate::support::{CRM, Scene, Script};

async fn crm() -> Scene {
    Scene::with(Script { with_erp: false, ..Script::default() }).await
}

async fn open(scene: &Scene) -> Vec<Value> {
    scene.rows("select row_keys, remote_ids, match_fields from rowtwin.ambiguous order by row_keys").await
}

async fn pairs(scene: &Scene) -> Vec<Value> {
    scene
        .rows("select c.name, l.remote_id from rowtwin.links l join sales.customer c on c.id::text = l.key order by c.name")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_two_rows_for_one_record_wait_and_an_edit_mends_it() {
    let scene = crm().await;
    scene.run("insert into sales.customer (name, number) values ('One', 'C1'), ('Two', 'C1')").await;
    let id = scene.crm().insert(CRM, json!({"name": "Theirs", "account_no": "C1"}));
    scene.settle().await;
    assert_eq!(scene.crm().count(CRM), 1);
    assert_eq!(scene.number("select count(*) from sales.customer").await, 2, "no third row");
    assert!(pairs(&scene).await.is_empty(), "guessed: {}", scene.story().await);
    let shown = open(&scene).await;
    assert_eq!(shown.len(), 3, "the record and both rows: {shown:?}");
    assert!(
        shown.contains(&json!({"row_keys": ["1", "2"], "remote_ids": [id], "match_fields": ["account_no"]}))
    );

    scene.run("update sales.customer set number = 'C2' where name = 'Two'").await;
    scene.settle().await;
    assert!(open(&scene).await.is_empty(), "{}", scene.story().await);
    assert_eq!(scene.crm().count(CRM), 2);
    assert_eq!(scene.number("select count(*) from sales.customer").await, 2);
    let pairs = pairs(&scene).await;
    assert_eq!(pairs.len(), 2);
    assert!(pairs.contains(&json!({"name": "Theirs", "remote_id": id})), "{pairs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_two_records_for_one_row_wait_and_an_edit_in_the_remote_mends_it() {
    let scene = crm().await;
    scene.run("insert into sales.customer (name, number) values ('Ours', 'C1')").await;
    let one = scene.crm().insert(CRM, json!({"name": "One", "account_no": "C1"}));
    let two = scene.crm().insert(CRM, json!({"name": "Two", "account_no": "C1"}));
    scene.settle().await;
    assert_eq!(scene.number("select count(*) from sales.customer").await, 1, "{}", scene.story().await);
    assert_eq!(scene.crm().count(CRM), 2);
    assert!(pairs(&scene).await.is_empty());
    scene.crm().edit(CRM, &two, json!({"account_no": "C2"}));
    scene.poll().await;
    let pairs = pairs(&scene).await;
    assert_eq!(
        pairs,
        [json!({"name": "One", "remote_id": one}), json!({"name": "Two", "remote_id": two})],
        "{}",
        scene.story().await
    );
    assert!(open(&scene).await.is_empty());
    assert_eq!(scene.number("select count(*) from rowtwin.outbox").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_person_links_and_unlinks() {
    let scene = crm().await;
    scene.run("insert into sales.customer (name, number) values ('Ours', 'C1')").await;
    let one = scene.crm().insert(CRM, json!({"name": "One", "account_no": "C1"}));
    let two = scene.crm().insert(CRM, json!({"name": "Two", "account_no": "C1"}));
    scene.settle().await;
    scene.run(&format!("select rowtwin.link('sales.customer', '1', 'crm', '{two}')")).await;
    scene.settle().await;
    assert_eq!(pairs(&scene).await, [json!({"name": "Two", "remote_id": two})], "{}", scene.story().await);
    assert_eq!(scene.number("select count(*) from sales.customer").await, 1, "the other record still waits");
    for refused in [
        format!("select rowtwin.link('sales.customer', '1', 'crm', '{one}')"),
        "select rowtwin.link('sales.customer', '99', 'crm', 'x')".to_owned(),
        "select rowtwin.unlink('sales.customer', '99', 'crm')".to_owned(),
    ] {
        scene.sql.execute(refused.as_str(), &[]).await.unwrap_err();
    }
    scene
        .run(&format!(
            "begin; select rowtwin.unlink('sales.customer', '1', 'crm'); select rowtwin.link('sales.customer', '1', 'crm', '{one}'); commit"
        ))
        .await;
    scene.settle().await;
    assert_eq!(pairs(&scene).await, [json!({"name": "One", "remote_id": one})]);
    scene.run("update sales.customer set phone = '13800000001'").await;
    scene.settle().await;
    assert_eq!(scene.crm().record(CRM, &one).unwrap()["tel"], json!("13800000001"));
    assert_eq!(scene.crm().record(CRM, &two).unwrap().get("tel"), None);
    let by = "select count(*) from rowtwin.journal where reason like '%by hand' and actor = session_user";
    assert_eq!(scene.number(by).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_record_that_comes_late_to_a_matched_row_waits_too() {
    let scene = crm().await;
    scene.run("insert into sales.customer (name, number) values ('Ours', 'C1')").await;
    let one = scene.crm().insert(CRM, json!({"name": "One", "account_no": "C1"}));
    scene.settle().await;
    assert_eq!(pairs(&scene).await.len(), 1);
    let two = scene.crm().insert(CRM, json!({"name": "Two", "account_no": "C1"}));
    scene.poll().await;
    assert_eq!(scene.number("select count(*) from sales.customer").await, 1);
    assert_eq!(
        open(&scene).await,
        [json!({"row_keys": ["1"], "remote_ids": [two, one], "match_fields": ["account_no"]})]
    );
}
