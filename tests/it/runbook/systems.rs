//! Trouble with a system: down, refusing, another account, out of calls, changed.

use rowtwin::simulator::credentials;
use serde_json::json;

use super::page::section;
use crate::support::running::{Running, until};
use crate::support::{CRM, ERP, Scene, Script, secret};

const ONE: &str = "insert into sales.customer (name, number) values ('One', 'C1')";

fn only_crm() -> Script {
    Script { with_erp: false, ..Script::default() }
}

/// Rounds of everybody, where something waits and the scene does not come to rest.
async fn rounds_until(scene: &Scene, what: &str, check: impl AsyncFn() -> bool) {
    until(what, async || {
        scene.round().await;
        check().await
    })
    .await;
}

async fn count(scene: &Scene, sql: &str) -> i64 {
    scene.number(&format!("select count(*) from {sql}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_stopped_at_once_and_goes_on() {
    let page = section("How to stop everything at once");
    let scene = Scene::start().await;
    scene.settle().await;
    assert_eq!(page.run(&scene, 0).await.rows, 2);
    scene.crm().forget_calls();
    scene.erp().forget_calls();
    scene.run(ONE).await;
    for _ in 0..4 {
        scene.round().await;
    }
    assert_eq!(scene.crm().call_count() + scene.erp().call_count(), 0);
    assert_eq!(count(&scene, "rowtwin.outbox").await, 2, "what is changed is collected");
    assert_eq!(page.run(&scene, 1).await.rows, 2);
    scene.settle().await;
    assert_eq!(scene.crm().count(CRM), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_is_down() {
    let page = section("When a system is down");
    let scene = Scene::with(only_crm()).await;
    scene.settle().await;
    scene.crm().set_down(true);
    scene.run(ONE).await;
    rounds_until(&scene, "it is down", async || {
        scene.run("update rowtwin_private.outbox set not_before = '-infinity'").await;
        count(&scene, "rowtwin.systems where down_since is not null").await == 1
    })
    .await;
    let shown = page.run(&scene, 0).await;
    assert_eq!(shown.rows, 2, "the system, and what waits for it: {}", shown.text);
    let grows = section("When the outbox grows").run(&scene, 0).await;
    assert!(grows.rows >= 1 && grows.text.contains("ready"), "{}", grows.text);
    scene.crm().set_down(false);
    page.run(&scene, 1).await;
    assert_eq!(count(&scene, "rowtwin.systems where down_since is not null").await, 0);
    scene.settle().await;
    assert_eq!(scene.crm().count(CRM), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_refuses_our_calls() {
    let page = section("When a system refuses our calls");
    let mut scene = Scene::with(only_crm()).await;
    scene.settle().await;
    let good = scene.text.clone();
    let bad = good.replace(&secret(credentials::fxiaoke::APP_SECRET), &secret("wrong-donkey"));
    assert_ne!(good, bad);
    scene.reconfigure_with(&bad).await;
    let running = Running::start(&scene).await;
    until("it is held", async || count(&scene, "rowtwin.systems where state = 'held'").await == 1).await;
    running.stop().await;
    page.shows(&scene, "held").await;
    assert!(!page.run(&scene, 0).await.text.contains("donkey"));
    scene.run(ONE).await;
    // the table says: a restart with the right secret ends the hold
    scene.reconfigure_with(&good).await;
    let running = Running::start(&scene).await;
    until("it arrives", async || scene.crm().count(CRM) == 1).await;
    running.stop().await;
    // and where it passed by itself
    scene.run("update rowtwin_private.system set state = 'held', held_reason = 'it passed'").await;
    page.run(&scene, 1).await;
    scene.run("update sales.customer set address = 'Road 2'").await;
    scene.settle().await;
    assert_eq!(scene.crm().records(CRM)[0]["address"], json!("Road 2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_is_another_one() {
    let page = section("When the account is another one");
    let scene = Scene::with(Script { with_crm: false, ..Script::default() }).await;
    let running = Running::start(&scene).await;
    until("it is known", async || {
        count(&scene, "rowtwin.systems where name = 'erp' and identity is not null").await == 1
    })
    .await;
    running.stop().await;
    // the system as it was known is somebody else's: what signs in now is another account
    scene.run("update rowtwin_private.system set identity = 'the old company' where name = 'erp'").await;
    scene.run(ONE).await;
    let running = Running::start(&scene).await;
    until("it is held", async || count(&scene, "rowtwin.systems where state = 'held'").await == 1).await;
    running.stop().await;
    page.shows(&scene, "the old company").await;
    assert_eq!(scene.erp().count(ERP), 0, "nothing goes to somebody else");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_budget_of_the_day_is_used_up_and_raised() {
    let page = section("When the budget of the day is used up");
    let mut scene = Scene::with(only_crm()).await;
    scene.settle().await;
    let few = Script { crm_limits: "{per_second: 1000, in_flight: 4, per_day: 1}".to_owned(), ..only_crm() };
    scene.reconfigure(&few).await;
    scene.run(ONE).await;
    for _ in 0..4 {
        scene.round().await;
        scene.run("update rowtwin_private.outbox set not_before = '-infinity'").await;
    }
    assert_eq!(count(&scene, "rowtwin.outbox where state = 'ready'").await, 1, "{}", scene.story().await);
    let shown = page.run(&scene, 0).await;
    assert!(shown.rows >= 2 && shown.text.contains("crm"), "{}", shown.text);
    scene.reconfigure(&only_crm()).await;
    scene.run("update rowtwin_private.outbox set not_before = '-infinity'").await;
    scene.settle().await;
    assert_eq!(scene.crm().count(CRM), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_out_of_date_and_read_again() {
    let page = section("When tables are out of date");
    let scene = Scene::with(only_crm()).await;
    scene.run(ONE).await;
    scene.settle().await;
    assert_eq!(page.run(&scene, 0).await.rows, 1 + 2 + 1);
    // an edit that no poll has found, for its stamp lies in the past
    let id = scene.crm().records(CRM)[0]["_id"].as_str().unwrap().to_owned();
    scene.crm().edit(CRM, &id, json!({"address": "Road 9", "last_modified_time": 1}));
    scene.poll().await;
    assert_eq!(count(&scene, "sales.customer where address = 'Road 9'").await, 0);
    page.run(&scene, 1).await;
    scene.settle().await;
    assert_eq!(count(&scene, "sales.customer where address = 'Road 9'").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_has_changed() {
    let page = section("When a column or a field has changed");
    let scene = Scene::start().await;
    scene.run(ONE).await;
    scene.settle().await;
    scene.run("alter table sales.customer drop column phone; update sales.customer set address = 'b'").await;
    rounds_until(&scene, "a binding is held", async || {
        count(&scene, "rowtwin.status where state = 'held'").await > 0
    })
    .await;
    page.shows(&scene, "column `phone`").await;
    scene.run("alter table sales.customer add column phone text").await;
    for system in ["crm", "erp"] {
        let sql = page.sql()[1].replace("'crm'", &format!("'{system}'"));
        scene.run(&sql).await;
    }
    scene.settle().await;
    assert_eq!(scene.crm().records(CRM)[0]["address"], json!("b"));
}
