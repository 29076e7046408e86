//! R15: limits are kept, by all processes together. The simulator's own log is the witness.

use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{CRM, Scene, Script, assemble, fault};

const TWENTY: &str =
    "insert into sales.customer (name, number) select 'N' || n, 'C' || n from generate_series(1, 20) n";

async fn crm(limits: &str) -> Scene {
    Scene::with(Script { with_erp: false, crm_limits: limits.to_owned(), ..Script::default() }).await
}

/// When the calls were made, in milliseconds.
fn times(scene: &Scene, operation: Option<&str>) -> Vec<i64> {
    let calls = scene.crm().calls();
    let calls = calls.iter().filter(|call| operation.is_none_or(|operation| call.operation == operation));
    calls.map(|call| call.at_ms).collect()
}

/// Delivers with two engines on the same database until both rest.
async fn with_two_engines(scene: &Scene) {
    let second = assemble(&scene.url, &scene.text).await;
    let mut all = JoinSet::new();
    for bound in [scene.bound("crm"), second.bounds[0].clone()] {
        let deliverer = scene.deliverer(&bound);
        all.spawn(async move { while deliverer.turn().await.unwrap().rest.is_none() {} });
    }
    all.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r15_calls_per_second_are_kept_by_two_engines_together() {
    let scene = crm("{per_second: 20, in_flight: 8}").await;
    scene.settle().await;
    scene.run(TWENTY).await;
    scene.capture().await;
    scene.crm().forget_calls();
    with_two_engines(&scene).await;
    let times = times(&scene, None);
    assert!(times.len() >= 21, "the look-up and the creates: {}", times.len());
    let span = times.last().unwrap() - times.first().unwrap();
    let allowed = i64::try_from(times.len() - 1).unwrap() * 50;
    assert!(span >= allowed - 50, "{} calls in {span} ms", times.len());
    for window in times.windows(12) {
        // ten fit into half a second; scheduling may push two together
        assert!(window[11] - window[0] >= 450, "{times:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r15_calls_in_flight_are_kept_by_two_engines_together() {
    let scene = crm("{per_second: 1000, in_flight: 1}").await;
    scene.settle().await;
    scene.run(TWENTY).await;
    scene.capture().await;
    scene.crm().add_fault(fault("slow:40ms@createx*"));
    with_two_engines(&scene).await;
    scene.settle().await;
    let times = times(&scene, Some("create"));
    assert_eq!(times.len(), 20);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 39), "one at a time: {times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r15_the_days_budget_is_kept_and_its_reserve_is_for_edits() {
    let scene = crm("{per_second: 1000, in_flight: 4, per_day: 14, reserve: '50%'}").await;
    let door = scene.crm();
    door.insert_many(CRM, (0..1000).map(|n| json!({"name": format!("N{n}"), "account_no": format!("C{n}")})));
    scene.round().await;
    assert_eq!(door.call_count(), 7, "the backfill stops at the reserve");
    assert_eq!(scene.row("select state from rowtwin.status").await, json!({"state": "backfilling"}));
    let before = scene.number("select count(*) from sales.customer").await;
    assert!((100..1000).contains(&before), "{before}");

    scene.run("update sales.customer set phone = '13800000001' where number = 'C1'").await;
    scene.push("crm").await;
    let edited = door.records(CRM).into_iter().find(|one| one["account_no"] == json!("C1")).unwrap();
    assert_eq!(edited["tel"], json!("13800000001"), "a person's edit still goes");

    scene.run("update sales.customer set phone = '13800000002'").await;
    for _ in 0..3 {
        scene.push("crm").await;
        scene.run("update rowtwin_private.outbox set not_before = '-infinity'").await;
    }
    assert_eq!(door.call_count(), 14, "not one call more");
    assert_eq!(scene.number("select calls_today::bigint from rowtwin.systems where name = 'crm'").await, 14);
    assert_eq!(scene.number("select count(*) from rowtwin.rejected").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r15_retry_after_is_obeyed_by_everybody() {
    let scene = crm("{per_second: 1000, in_flight: 4}").await;
    scene.run(TWENTY).await;
    scene.settle().await;
    scene.crm().forget_calls();
    scene.crm().add_fault(fault("throttled:1@update"));
    scene.run("update sales.customer set address = 'Road ' || number").await;
    scene.settle().await;
    let calls = scene.crm().calls();
    let refused = calls.iter().find(|call| call.error.as_deref() == Some("throttled")).unwrap();
    // calls that were under way already could not know
    let next =
        calls.iter().filter(|call| call.at_ms > refused.at_ms + 100).map(|call| call.at_ms).min().unwrap();
    assert!(next - refused.at_ms >= 1000, "the next call came after {} ms", next - refused.at_ms);
    assert!(scene.crm().records(CRM).iter().all(|one| one.contains_key("address")));
    assert_eq!(scene.number("select count(*) from rowtwin.rejected").await, 0);
}
