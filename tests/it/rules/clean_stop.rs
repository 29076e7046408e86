//! R19: a clean stop, and two processes on one database.

use serde_json::json;

use crate::support::running::{Running, until};
use crate::support::{CRM, Scene, Script};

const ROWS: i64 = 60;

async fn sent(scene: &Scene) -> usize {
    scene.crm().count(CRM)
}

#[tokio::test(flavor = "multi_thread")]
async fn r19_a_stop_in_the_middle_of_a_batch_needs_no_repair() {
    let scene = Scene::with(Script { with_erp: false, ..Script::default() }).await;
    scene.settle().await;
    scene.crm().set_faults(vec!["slow:40ms@createx*".parse().unwrap()]);
    let running = Running::start(&scene).await;
    scene.run(&format!("insert into sales.customer (name, number) select 'n' || n, 'C' || n from generate_series(1, {ROWS}) n")).await;
    until("some creates are through", async || sent(&scene).await >= 5).await;
    running.stop().await;

    let stopped_at = sent(&scene).await;
    assert!(stopped_at < usize::try_from(ROWS).unwrap(), "stopped too late to prove anything");
    for (what, sql) in [
        ("keys in flight", "select count(*) from rowtwin_private.outbox where state = 'sending'"),
        ("creates in doubt", "select count(*) from rowtwin_private.link where state = 'creating'"),
        ("calls in flight", "select count(*) from rowtwin_private.call"),
        ("pull leases", "select count(*) from rowtwin_private.binding where lease is not null"),
    ] {
        assert_eq!(scene.number(sql).await, 0, "{what}");
    }
    let links = scene.number("select count(*) from rowtwin.links where state = 'linked'").await;
    assert_eq!(usize::try_from(links).unwrap(), stopped_at, "what was sent was not settled");
    assert_eq!(scene.number("select count(*) from rowtwin.outbox").await, ROWS - links);

    scene.crm().clear_faults();
    let running = Running::start(&scene).await;
    until("the rest is sent", async || scene.number("select count(*) from rowtwin.outbox").await == 0).await;
    running.stop().await;
    assert_eq!(sent(&scene).await, usize::try_from(ROWS).unwrap());
    let creates = scene.crm().calls().iter().filter(|call| call.operation == "create").count();
    assert_eq!(creates, usize::try_from(ROWS).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn r19_a_second_process_stands_by_and_takes_over() {
    let scene = Scene::with(Script { with_erp: false, ..Script::default() }).await;
    scene.settle().await;
    let first = Running::start(&scene).await;
    let streaming = "select count(*) from pg_replication_slots where slot_name = (select slot from rowtwin.slot) and active";
    until("the first captures", async || scene.number(streaming).await == 1).await;
    let second = Running::start(&scene).await;
    scene.run("insert into sales.customer (name, number) values ('One', 'C1')").await;
    until("the first row arrives", async || sent(&scene).await == 1).await;
    first.stop().await;
    scene.run("insert into sales.customer (name, number) values ('Two', 'C2')").await;
    until("the second took over", async || sent(&scene).await == 2).await;
    second.stop().await;
    assert_eq!(scene.row("select count(*) as n from rowtwin.links").await["n"], json!(2));
}
