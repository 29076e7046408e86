//! R8 and R12 where keys change, come in several columns, or all go at once.

use serde_json::{Value, json};

use crate::support::running::{Running, until};
use crate::support::{CRM, CUSTOMER, Scene, Script, database};

fn crm_only() -> Script {
    Script { with_erp: false, ..Script::default() }
}

async fn two_customers() -> Scene {
    let scene = Scene::with(crm_only()).await;
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1'), ('Bolt', 'C2')").await;
    scene.settle().await;
    assert_eq!(scene.crm().count(CRM), 2);
    scene.crm().forget_calls();
    scene
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_a_truncate_is_held_until_it_is_approved() {
    let scene = two_customers().await;
    scene.run("truncate sales.customer").await;
    scene.settle().await;
    assert_eq!(scene.crm().count(CRM), 2, "deleted without approval");
    assert!(Scene::writes(&scene.crm()).is_empty());
    let approvals = scene.row("select table_name, system, rows, reason from rowtwin.approvals").await;
    assert_eq!(approvals["rows"], json!(2));
    assert!(approvals["reason"].as_str().unwrap().contains("truncated"));
    scene.poll().await;
    assert_eq!(scene.number("select count(*) from sales.customer").await, 0, "a poll brought rows back");

    assert_eq!(scene.number("select rowtwin.approve('sales.customer')").await, 2);
    scene.settle().await;
    assert_eq!(scene.number("select count(*) from rowtwin.links").await, 0);
    assert!(scene.crm().records(CRM).iter().all(|record| record["life_status"] == json!("invalid")));
    assert_eq!(scene.number("select rowtwin.approve('sales.customer')").await, 0, "approving twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_rows_that_came_back_after_a_truncate_are_compared_and_not_deleted() {
    let scene = two_customers().await;
    scene
        .run(
            "begin; create temp table kept as table sales.customer; truncate sales.customer;
             insert into sales.customer overriding system value select * from kept;
             update sales.customer set phone = '13800000009' where number = 'C2'; commit",
        )
        .await;
    scene.settle().await;
    assert!(Scene::writes(&scene.crm()).is_empty(), "sent before it was approved");
    scene.run("select rowtwin.approve('sales.customer', null, 'crm')").await;
    scene.settle().await;
    let writes = Scene::writes(&scene.crm());
    assert_eq!(writes.len(), 1, "{writes:?}");
    assert_eq!(writes[0].1, ["tel"]);
    assert_eq!(scene.crm().count(CRM), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_a_truncate_that_capture_has_not_seen_deletes_nothing() {
    let scene = two_customers().await;
    scene.run("update sales.customer set address = 'Elsewhere'").await;
    scene.capture().await;
    scene.run("truncate sales.customer").await;
    // the keys wait since the update: their rows are missing now, and nobody has said why
    scene.deliver(&scene.engine.bounds[0]).await;
    assert!(Scene::writes(&scene.crm()).is_empty(), "deleted because of a truncate");
    scene.settle().await;
    assert!(Scene::writes(&scene.crm()).is_empty());
    assert_eq!(scene.number("select sum(rows)::bigint from rowtwin.approvals").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_the_running_engine_holds_a_truncate_too() {
    let scene = two_customers().await;
    let running = Running::start(&scene).await;
    scene.run("truncate sales.customer").await;
    until("the deletes are held", async || {
        scene.number("select coalesce(sum(rows), 0)::bigint from rowtwin.approvals").await == 2
    })
    .await;
    scene.run("select rowtwin.approve('sales.customer')").await;
    until("the deletes went out", async || scene.number("select count(*) from rowtwin.links").await == 0)
        .await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_changed_primary_key_keeps_its_record() {
    let scene = two_customers().await;
    let id = scene.row("select crm_id from sales.customer where number = 'C1'").await["crm_id"].clone();
    scene
        .run("alter table sales.customer alter id drop identity; update sales.customer set id = 700, phone = '13800000001' where number = 'C1'")
        .await;
    scene.settle().await;
    assert_eq!(scene.row("select remote_id from rowtwin.links where key = '700'").await["remote_id"], id);
    let writes = Scene::writes(&scene.crm());
    assert_eq!(writes.len(), 1, "{writes:?}");
    assert_eq!(scene.crm().count(CRM), 2);

    // the record still finds its row
    scene.crm().edit(CRM, id.as_str().unwrap(), json!({"address": "Elsewhere"}));
    scene.poll().await;
    let row = scene.row("select address from sales.customer where id = 700").await;
    assert_eq!(row["address"], json!("Elsewhere"));
    assert_eq!(scene.number("select count(*) from sales.customer").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_changed_primary_key_that_capture_has_not_seen_is_no_delete() {
    let scene = two_customers().await;
    let id = scene.row("select crm_id from sales.customer where number = 'C1'").await["crm_id"].clone();
    scene
        .run("alter table sales.customer alter id drop identity; update sales.customer set id = 700 where number = 'C1'")
        .await;
    scene.crm().edit(CRM, id.as_str().unwrap(), json!({"address": "Elsewhere"}));
    // the poll comes first: the row of the old key is not there, and no mark says why
    scene.run("update rowtwin_private.binding set next_poll_at = '-infinity'").await;
    let puller = scene.puller(&scene.engine.bounds[0]);
    while puller.turn().await.unwrap().rest.is_none() {}
    puller.release().await.unwrap();
    assert_eq!(
        scene.number("select count(*) from sales.customer").await,
        2,
        "the old key's record got a row"
    );
    scene.settle().await;
    let row = scene.row("select id, address from sales.customer where number = 'C1'").await;
    assert_eq!(row, json!({"id": 700, "address": "Elsewhere"}));
    assert_eq!(scene.number("select count(*) from sales.customer").await, 2);
    assert_eq!(scene.crm().count(CRM), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_a_changed_primary_key_is_no_delete_either_where_an_older_edit_waits() {
    let scene = two_customers().await;
    let id = scene.row("select crm_id from sales.customer where number = 'C1'").await["crm_id"].clone();
    scene.run("update sales.customer set phone = '13800000009' where number = 'C1'").await;
    scene.capture().await;
    // the mark of that edit is there, and says nothing about the row being gone
    scene
        .run("alter table sales.customer alter id drop identity; update sales.customer set id = 700 where number = 'C1'")
        .await;
    scene.crm().edit(CRM, id.as_str().unwrap(), json!({"address": "Elsewhere", "tel": "13800000001"}));
    scene.run("update rowtwin_private.binding set next_poll_at = '-infinity'").await;
    let puller = scene.puller(&scene.engine.bounds[0]);
    while puller.turn().await.unwrap().rest.is_none() {}
    puller.release().await.unwrap();
    assert_eq!(scene.number("select count(*) from sales.customer").await, 2, "it was taken for deleted");
    scene.settle().await;
    scene.poll().await;
    let row = scene.row("select id, address from sales.customer where number = 'C1'").await;
    assert_eq!(row, json!({"id": 700, "address": "Elsewhere"}));
    let kept = "select count(*) from rowtwin.conflicts where row_value::text like '%13800000009%' or record_value::text like '%13800000009%'";
    let phone = scene.row("select phone from sales.customer where number = 'C1'").await;
    let ours = phone["phone"] == json!("13800000009");
    assert!(ours || scene.number(kept).await == 1, "{phone} {}", scene.story().await);
    assert_eq!((scene.number("select count(*) from sales.customer").await, scene.crm().count(CRM)), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_key_that_changes_while_its_create_is_under_way_makes_no_second_record() {
    let scene = Scene::with(crm_only()).await;
    scene.run("alter table sales.customer alter id drop identity").await;
    scene.settle().await;
    scene.run("insert into sales.customer (id, name, number) values (7, 'Acme', 'C1')").await;
    scene.capture().await;
    scene.crm().set_faults(vec!["slow:400ms@create".parse().unwrap()]);
    let bound = &scene.engine.bounds[0];
    let editor = async {
        until("the create is under way", async || {
            scene.number("select count(*) from rowtwin_private.link where state = 'creating'").await == 1
        })
        .await;
        scene.run("update sales.customer set id = 8 where id = 7").await;
        assert!(scene.capture().await > 0);
        assert_eq!(scene.number("select count(*) from rowtwin_private.link where key = '8'").await, 1);
    };
    tokio::join!(scene.deliver(bound), editor);
    scene.settle().await;
    let links = scene.rows("select key, state from rowtwin.links").await;
    assert_eq!(links, [json!({"key": "8", "state": "linked"})]);
    assert_eq!(scene.crm().count(CRM), 1);
    let creates = scene.crm().calls().iter().filter(|call| call.operation == "create").count();
    assert_eq!(creates, 1);
    let row = scene.row("select crm_id is not null as known from sales.customer where id = 8").await;
    assert_eq!(row["known"], json!(true));
}

const COMPOSITE: &str = "
    create schema sales;
    create table sales.customer (
      branch text, seen timestamptz, no integer, name text, number text, phone text, address text, crm_id text, erp_id text,
      primary key (no, branch, seen));";

/// Quotes, commas, control characters and scripts that a key of several columns must survive.
const BRANCHES: [&str; 4] = ["a\",\"b", "上海 \u{1F600}", "tab\tline\nslash\\", "{}[]'"];

#[tokio::test(flavor = "multi_thread")]
async fn r08_rows_with_several_key_columns_have_one_record_each() {
    let script = Script {
        crm: "{branch: province, no: field_staff__c, seen: {field: field_visited__c, codec: epoch_ms}, name: name, number: account_no, phone: tel}".to_owned(),
        ..crm_only()
    };
    // the server's own time zone must not show in the keys
    let url = database().await;
    let name = url.rsplit('/').next().unwrap().to_owned();
    crate::support::execute(
        &url,
        &format!("alter database {name} set timezone = 'Asia/Shanghai'; alter database {name} set datestyle = 'German'"),
    )
    .await;
    let scene = Scene::at(url, COMPOSITE, script).await;
    for (place, branch) in BRANCHES.iter().enumerate() {
        scene
            .sql
            .execute(
                "insert into sales.customer (branch, seen, no, name, number) values ($1, '2026-03-01 10:00+08', $2, $3, $3)",
                &[branch, &i32::try_from(place).unwrap(), &format!("N{place}")],
            )
            .await
            .unwrap();
    }
    scene.settle().await;
    assert_eq!(scene.crm().count(CRM), BRANCHES.len());
    scene.run("select rowtwin.resync('sales.customer')").await;
    scene.poll().await;
    scene.crm().forget_calls();

    // through the stream, which writes keys by itself
    let running = Running::start(&scene).await;
    scene.run("update sales.customer set phone = '1380000000' || no").await;
    until("all phones arrive", async || {
        scene.crm().records(CRM).iter().all(|record| record.get("tel").is_some())
    })
    .await;
    running.stop().await;
    assert_eq!(scene.crm().count(CRM), BRANCHES.len());
    assert_eq!(scene.number("select count(*) from rowtwin.links").await, 4);

    // from the remote: a new record becomes a row, an edit finds its row, a delete removes it
    scene.crm().insert(CRM, json!({"name": "New", "account_no": "N9", "province": "x\"y", "field_staff__c": "9", "field_visited__c": 1_772_330_400_000_i64}));
    scene.poll().await;
    let new = scene.row("select branch, no, name from sales.customer where number = 'N9'").await;
    assert_eq!(new, json!({"branch": "x\"y", "no": 9, "name": "New"}));
    let id: Value = scene.row("select crm_id from sales.customer where no = 0").await["crm_id"].clone();
    scene.crm().edit(CRM, id.as_str().unwrap(), json!({"name": "Renamed"}));
    scene.poll().await;
    assert_eq!(scene.row("select name from sales.customer where no = 0").await["name"], json!("Renamed"));
    scene.run("delete from sales.customer where no = 9").await;
    scene.settle().await;
    assert_eq!(scene.number("select count(*) from rowtwin.links").await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn r20_a_new_primary_key_is_published_by_the_next_init() {
    let scene = Scene::at(database().await, CUSTOMER, crm_only()).await;
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
    scene.settle().await;
    scene
        .run("alter table sales.customer drop constraint customer_pkey, add constraint customer_pkey primary key (id, number)")
        .await;
    scene.another_engine().await;
    scene.run("update sales.customer set phone = '13800000001'").await;
}
