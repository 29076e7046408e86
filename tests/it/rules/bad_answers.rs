//! R20 for what remotes send: no answer, however wrong, loses or doubles anything.

use rowtwin::simulator::Door;
use serde_json::json;

use crate::support::{CRM, ERP, Scene};

const MANGLINGS: [&str; 4] = ["html", "truncated", "wrong-type", "huge"];

/// Mangles the answer to a create and to an update, each in all ways, and expects one good record for each row.
async fn writes_survive(scene: &Scene, door: &Door, object: &str, phone: &str, create: &str, update: &str) {
    for (place, mangling) in MANGLINGS.iter().enumerate() {
        door.set_faults(vec![format!("malformed:{mangling}@{create}").parse().unwrap()]);
        scene
            .run(&format!("insert into sales.customer (name, number) values ('{mangling}', 'C{place}')"))
            .await;
        scene.settle().await;
        assert!(door.faults().is_empty(), "the create was not struck: {mangling}");
        assert_eq!(door.count(object), place + 1, "after a create answered with {mangling}");
        door.set_faults(vec![format!("malformed:{mangling}@{update}").parse().unwrap()]);
        let number = format!("1380000000{place}");
        scene.run(&format!("update sales.customer set phone = '{number}' where number = 'C{place}'")).await;
        scene.settle().await;
        assert!(door.faults().is_empty(), "the update was not struck: {mangling}");
        assert!(door.records(object).iter().any(|record| record.get(phone) == Some(&json!(number))));
    }
    assert_eq!(scene.number("select count(*) from rowtwin.rejected").await, 0);
    assert_eq!(scene.number("select count(*) from rowtwin.systems where state <> 'running'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r20_mangled_answers_to_writes_of_the_crm_lose_and_double_nothing() {
    let scene = Scene::with(crate::support::Script { with_erp: false, ..Default::default() }).await;
    scene.settle().await;
    writes_survive(&scene, &scene.crm(), CRM, "tel", "create", "update").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r20_mangled_answers_to_writes_of_the_erp_lose_and_double_nothing() {
    let scene = Scene::with(crate::support::Script { with_crm: false, ..Default::default() }).await;
    scene.settle().await;
    writes_survive(&scene, &scene.erp(), ERP, "FTEL", "create", "update").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r20_a_mangled_page_is_read_again() {
    let scene = Scene::start().await;
    scene.settle().await;
    for (place, mangling) in MANGLINGS.iter().enumerate() {
        let fault = || vec![format!("malformed:{mangling}@query").parse().unwrap()];
        scene.crm().insert(CRM, json!({"name": mangling, "account_no": format!("C{place}")}));
        scene.erp().insert(ERP, json!({"FName": mangling, "FNumber": format!("E{place}")}));
        scene.crm().set_faults(fault());
        scene.erp().set_faults(fault());
        scene.poll().await;
        let failed = scene.number("select count(*) from rowtwin.status where reason is not null").await;
        assert_eq!(failed, 2, "{mangling} went unnoticed: {}", scene.story().await);
        scene.poll().await;
        let rows = scene.number("select count(*) from sales.customer").await;
        assert_eq!(usize::try_from(rows).unwrap(), 2 * (place + 1), "{mangling}");
        assert_eq!(scene.number("select count(*) from rowtwin.status where reason is not null").await, 0);
    }
}
