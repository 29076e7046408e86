//! The story of one row, in plain words.

use serde_json::{Value, json};

use crate::support::{CRM, Scene, Script};

#[tokio::test(flavor = "multi_thread")]
async fn r11_a_row_tells_its_story() {
    let scene = Scene::with(Script { with_erp: false, ..Script::default() }).await;
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
    scene.settle().await;
    let id = scene.crm().records(CRM)[0]["_id"].as_str().unwrap().to_owned();
    scene
        .run("begin; select rowtwin.set_actor('li.wei'); update sales.customer set phone = '13800000001'; commit")
        .await;
    scene.settle().await;
    scene.crm().edit(CRM, &id, json!({"tel": "13800000002"}));
    scene.poll().await;
    scene.run("delete from sales.customer").await;
    scene.settle().await;
    let story =
        scene.rows("select system, what, fields, who from rowtwin.history('sales.customer', '1')").await;
    let what: Vec<&str> = story.iter().map(|line| line["what"].as_str().unwrap()).collect();
    assert_eq!(
        what,
        [
            format!("record {id} was created from the row"),
            format!("record {id} was changed as the row was"),
            format!("the row was changed as record {id} was"),
            format!("record {id} was deleted"),
        ]
    );
    assert_eq!(story[1]["fields"], json!("tel: null → \"13800000001\""));
    assert_eq!(story[1]["who"], json!("li.wei"));
    assert_eq!(story[2]["fields"], json!("tel: \"13800000001\" → \"13800000002\""));
    assert!(story.iter().all(|line| line["system"] == json!("crm")));
    let none = scene.rows("select * from rowtwin.history('sales.customer', '99')").await;
    assert_eq!(none, Vec::<Value>::new());
}
