//! R14: an outage is waited out.

use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{CRM, Scene, Script, fault};

const TWENTY: &str =
    "insert into sales.customer (name, number) select 'N' || n, 'C' || n from generate_series(1, 20) n";

async fn down() -> Scene {
    let scene = Scene::with(Script { with_erp: false, ..Script::default() }).await;
    scene.run(TWENTY).await;
    scene.settle().await;
    scene.crm().set_down(true);
    scene.crm().forget_calls();
    scene.run("update sales.customer set address = 'Road ' || number").await;
    scene.capture().await;
    let bound = scene.bound("crm");
    while scene.number("select count(*) from rowtwin.systems where down_since is not null").await == 0 {
        scene.deliverer(&bound).turn().await.unwrap();
    }
    scene
}

#[tokio::test(flavor = "multi_thread")]
async fn r14_a_system_that_is_down_is_left_alone() {
    let scene = down().await;
    // nobody's turn for a minute
    scene
        .run("update rowtwin_private.system set probe_at = now() + interval '1 minute' where name = 'crm'")
        .await;
    scene.crm().forget_calls();
    for _ in 0..5 {
        scene.round().await;
    }
    assert_eq!(scene.crm().call_count(), 0);
    assert_eq!(scene.row("select state from rowtwin.status").await, json!({"state": "system down"}));
    assert_eq!(scene.number("select count(*) from rowtwin.rejected").await, 0, "an outage is no rejection");
    assert_eq!(scene.number("select count(*) from rowtwin.outbox").await, 20, "nothing is lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn r14_while_down_a_single_probe_goes_out_whoever_asks() {
    let scene = down().await;
    scene.run("update rowtwin_private.outbox set not_before = '-infinity'").await;
    scene.run("update rowtwin_private.system set probe_at = '-infinity' where name = 'crm'").await;
    scene.run("update rowtwin_private.binding set next_poll_at = '-infinity'").await;
    scene.crm().forget_calls();
    // the probe fails, but slowly: everybody else asks meanwhile
    scene.crm().set_down(false);
    scene.crm().set_faults(vec![fault("slow:400msx*"), fault("status:503x*")]);
    let bound = scene.bound("crm");
    let mut all = JoinSet::new();
    for _ in 0..3 {
        let (deliverer, puller) = (scene.deliverer(&bound), scene.puller(&bound));
        all.spawn(async move {
            deliverer.turn().await.unwrap();
        });
        all.spawn(async move {
            puller.turn().await.unwrap();
            puller.release().await.unwrap();
        });
    }
    all.join_all().await;
    assert_eq!(scene.crm().call_count(), 1, "{:?}", scene.crm().calls());
    assert_eq!(scene.number("select count(*) from rowtwin.systems where down_since is not null").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn r14_when_the_system_is_back_everything_goes_on_by_itself() {
    let scene = down().await;
    scene.crm().set_down(false);
    scene.run("insert into sales.customer (name, number) values ('Late', 'C21')").await;
    scene.settle().await;
    let records = scene.crm().records(CRM);
    assert_eq!(records.len(), 21);
    assert_eq!(records.iter().filter(|one| one.contains_key("address")).count(), 20);
    assert_eq!(scene.row("select state from rowtwin.status").await, json!({"state": "running"}));
    assert_eq!(scene.number("select count(*) from rowtwin.systems where down_since is not null").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r14_one_system_down_does_not_stop_the_other() {
    let scene = Scene::start().await;
    scene.settle().await;
    scene.crm().set_down(true);
    scene.run(TWENTY).await;
    scene.push("crm").await;
    scene.push("erp").await;
    assert_eq!(scene.erp().count(crate::support::ERP), 20);
    assert_eq!(scene.crm().count(CRM), 0);
    scene.crm().set_down(false);
    scene.settle().await;
    assert_eq!(scene.crm().count(CRM), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn r14_an_expired_token_is_renewed_and_the_call_repeated() {
    let scene = Scene::with(Script { with_erp: false, ..Script::default() }).await;
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
    scene.settle().await;
    scene.crm().end_sessions();
    scene.run("update sales.customer set address = 'Road 1'").await;
    scene.settle().await;
    assert_eq!(scene.crm().records(CRM)[0]["address"], json!("Road 1"));
    assert_eq!(
        scene.row("select state from rowtwin.systems where name = 'crm'").await,
        json!({"state": "running"})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn r14_a_paused_system_is_left_alone_until_it_is_resumed() {
    let scene = Scene::with(Script { with_erp: false, ..Script::default() }).await;
    scene.settle().await;
    scene.run("select rowtwin.pause('crm')").await;
    scene.crm().forget_calls();
    scene.run(TWENTY).await;
    scene.run("update rowtwin_private.binding set next_poll_at = '-infinity'").await;
    for _ in 0..3 {
        scene.round().await;
    }
    assert_eq!(scene.crm().call_count(), 0);
    scene.run("select rowtwin.resume('crm')").await;
    scene.settle().await;
    assert_eq!(scene.crm().count(CRM), 20);
}
