//! R16: a page's rows and its cursor commit together.

use serde_json::json;

use crate::support::{CRM, Scene, Script, assemble};

fn crm_only() -> Script {
    Script { with_erp: false, ..Script::default() }
}

const CURSOR: &str = "select since_ms, walk, backfill_seen from rowtwin_private.binding";

#[tokio::test(flavor = "multi_thread")]
async fn r16_a_page_that_breaks_off_leaves_neither_rows_nor_cursor() {
    let scene = Scene::with(crm_only()).await;
    scene.settle().await;
    scene
        .crm()
        .insert_many(CRM, (0..5).map(|n| json!({"name": format!("N{n}"), "account_no": format!("C{n}")})));
    // a failure of the database, not of a record: the fourth row meets a deadlock, say
    scene
        .run("create function sales.broken() returns trigger language plpgsql as $$
              begin
                if new.number = 'C3' then raise exception 'broken' using errcode = '40P01'; end if;
                return new;
              end $$;
              create trigger broken before insert on sales.customer for each row execute function sales.broken();
              update rowtwin_private.binding set next_poll_at = '-infinity'")
        .await;
    let before = scene.row(CURSOR).await;
    let puller = scene.puller(&scene.bound("crm"));
    puller.turn().await.unwrap_err();
    puller.release().await.unwrap();
    assert_eq!(scene.row(CURSOR).await, before, "the cursor stays");
    for table in ["sales.customer", "rowtwin.links", "rowtwin.inbox", "rowtwin.journal"] {
        assert_eq!(scene.number(&format!("select count(*) from {table}")).await, 0, "{table}");
    }
    scene.run("drop trigger broken on sales.customer").await;
    scene.settle().await;
    assert_eq!(scene.number("select count(*) from sales.customer").await, 5);
    assert_eq!(scene.number("select count(distinct number) from sales.customer").await, 5);
    assert_ne!(scene.row(CURSOR).await, before, "and now it moved");
}

#[tokio::test(flavor = "multi_thread")]
async fn r16_a_backfill_goes_on_where_it_stopped() {
    let scene = Scene::with(crm_only()).await;
    let door = scene.crm();
    door.insert_many(CRM, (0..250).map(|n| json!({"name": format!("N{n}"), "account_no": format!("C{n}")})));
    let puller = scene.puller(&scene.bound("crm"));
    assert_eq!(puller.turn().await.unwrap().seen, 100);
    // the process is gone, its lease runs out, another one starts
    drop(puller);
    scene.run("update rowtwin_private.binding set lease_until = '-infinity'").await;
    assert_eq!(scene.number("select count(*) from sales.customer").await, 100);
    let second = assemble(&scene.url, &scene.text).await;
    let puller = scene.puller(&second.bounds[0]);
    let mut pages = Vec::new();
    while scene.number("select count(*) from rowtwin_private.binding where backfilled_at is null").await > 0 {
        pages.push(puller.turn().await.unwrap().seen);
    }
    puller.release().await.unwrap();
    assert_eq!(pages, [100, 50], "no page is read twice");
    assert_eq!(scene.number("select count(*) from sales.customer").await, 250);
    assert_eq!(scene.number("select count(distinct crm_id) from sales.customer").await, 250);
    scene.settle().await;
    assert!(Scene::writes(&door).is_empty(), "nothing of it goes back");
    assert_eq!(scene.number("select count(*) from sales.customer").await, 250);
}

#[tokio::test(flavor = "multi_thread")]
async fn r16_a_page_applied_twice_is_applied_once() {
    let scene = Scene::with(crm_only()).await;
    scene.crm().insert(CRM, json!({"name": "Acme", "account_no": "C1"}));
    scene.settle().await;
    let version = scene.number("select xmin::text::bigint from sales.customer").await;
    // the overlap reads the record again and again
    for _ in 0..3 {
        scene.run("update rowtwin_private.binding set since_ms = 0").await;
        scene.poll().await;
    }
    assert_eq!(scene.number("select xmin::text::bigint from sales.customer").await, version);
    assert_eq!(scene.number("select count(*) from sales.customer").await, 1);
    assert_eq!(scene.number("select count(*) from rowtwin.journal where side = 'row'").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn r16_only_one_process_pulls_a_binding() {
    let scene = Scene::with(crm_only()).await;
    scene.settle().await;
    scene.run("update rowtwin_private.binding set next_poll_at = '-infinity'").await;
    scene.crm().insert(CRM, json!({"name": "Acme", "account_no": "C1"}));
    let (first, second) = (scene.puller(&scene.bound("crm")), scene.puller(&scene.bound("crm")));
    assert_eq!(first.turn().await.unwrap().seen, 1);
    scene.run("update rowtwin_private.binding set next_poll_at = '-infinity'").await;
    scene.crm().forget_calls();
    assert_eq!(second.turn().await.unwrap().seen, 0);
    assert_eq!(scene.crm().call_count(), 0, "the second one does not even ask");
    first.release().await.unwrap();
    second.turn().await.unwrap();
    assert_eq!(scene.crm().call_count(), 1);
}
