//! Dynamics 365's accounts, and orders whose lines are records of their own.

use rowtwin::simulator::{Kind, Simulator, credentials::dynamics365 as known};
use serde_json::{Value, json};

use super::{Remote, behaves, body, scene_of};
use crate::support::{Scene, fault, secret};

fn settings(simulator: &Simulator) -> String {
    format!(
        "base_url: '{0}', login_url: '{0}', tenant: {1}, client_id: {2}, client_secret: {{file: '{3}'}}",
        simulator.base_url(),
        known::TENANT,
        known::CLIENT_ID,
        secret(known::CLIENT_SECRET)
    )
}

const ACCOUNTS: Remote = Remote {
    kind: Kind::Dynamics365,
    settings,
    object: "account",
    id: "accountid",
    name: "name",
    number: "accountnumber",
    phone: "telephone1",
    credit: "revenue",
    seen: "{field: new_seen, codec: {date: {format: '%Y-%m-%dT%H:%M:%SZ', zone: UTC}}}",
    more: || json!({"revenue": 12.5, "creditonhold": true, "new_since": "2026-03-01", "new_seen": "2026-03-01T10:11:12Z", "numberofemployees": 7, "websiteurl": "https://example.com"}),
    refused_phone: "this phone is longer than the fifty characters that there are",
    page: 1000,
    long_ago: 7200,
    polls_deletes: false,
};

behaves!(ACCOUNTS =>
    a_row_becomes_a_record_and_a_record_a_row,
    twins_that_are_there_already_are_linked_and_not_made_again,
    only_what_changed_travels_both_ways,
    deletes_go_both_ways,
    a_poll_reads_what_changed_and_no_more,
    more_than_one_page_is_read_whole,
    a_refused_record_stops_no_other,
    half_a_batch_that_is_refused_goes_when_it_is_retried,
    a_token_that_is_over_is_renewed,
    throttling_is_waited_out,
    a_lost_answer_makes_no_second_record,
    an_outage_and_nonsense_are_waited_out,
    a_pulled_schema_works_as_it_is,
);

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_create_is_found_by_the_key_that_was_chosen_for_it() {
    let scene = body::a_lost_create_is_found_by_the_attempt_that_was_planted(&ACCOUNTS, "").await;
    let attempts = scene.rows("select attempt from rowtwin_private.link").await;
    let ids = scene.rows("select crm_id from sales.customer order by crm_id").await;
    assert_eq!((attempts.len(), ids.len()), (3, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_write_is_refused_by_the_system_and_merged() {
    let scene = ACCOUNTS.scene().await;
    scene.run("insert into sales.customer (name, number, phone) values ('Acme', 'C1', '1')").await;
    scene.settle().await;
    let id = ACCOUNTS.id_of(&scene, "C1");
    // somebody edits, and nobody here has seen it when the row goes out
    scene.crm().edit("account", &id, json!({"name": "Acme & Sons"}));
    scene.crm().forget_calls();
    scene.run("update sales.customer set phone = '2'").await;
    scene.settle().await;
    let record = ACCOUNTS.find(&scene, "C1");
    assert_eq!((&record["name"], &record["telephone1"]), (&json!("Acme & Sons"), &json!("2")));
    assert_eq!(scene.row("select name from sales.customer").await, json!({"name": "Acme & Sons"}));
    assert_eq!(Scene::writes(&scene.crm()).len(), 2, "refused once: {:?}", scene.crm().calls());
}

const ORDERS: &str = "
    create schema sales;
    create table sales.orders (
      id bigint generated always as identity primary key, number text, customer uuid, crm_id uuid);
    create table sales.order_line (
      order_id bigint not null references sales.orders on delete cascade, line_no int not null,
      product uuid, qty numeric, price numeric, note text, crm_line uuid, primary key (order_id, line_no));";

/// An order of two lines on both sides.
async fn order() -> Scene {
    let scene = scene_of(Kind::Dynamics365, ORDERS, |crm| {
        format!(
            "database: {{}}
systems:
  crm:
    connector: dynamics365
    limits: {{per_second: 1000, in_flight: 4}}
    settings: {{{}}}
tables:
  sales.orders:
    bindings:
      - system: crm
        object: salesorder
        match: [ordernumber]
        id_column: crm_id
        poll: 1d
        sweep: 1d
        doubt_window: 2s
        fields: {{number: ordernumber, customer: _customerid_value}}
        lines:
          salesorderdetail: {{table: sales.order_line, parent: [order_id], order_by: [line_no], id_column: crm_line, fields: {{product: _productid_value, qty: quantity, price: priceperunit, note: description}}}}
",
            settings(crm)
        )
    })
    .await;
    let door = scene.crm();
    let account = door.insert("account", json!({"name": "Acme"}));
    let product = door.insert("product", json!({"name": "Bolt"}));
    scene.settle().await;
    door.add_fault(fault("lost-answer@create"));
    scene
        .run(&format!(
            "begin;
             insert into sales.orders (number, customer) values ('S1', '{account}');
             insert into sales.order_line values (1, 1, '{product}', 2, 9.50), (1, 2, '{product}', 5, 1.25);
             commit"
        ))
        .await;
    scene.settle().await;
    scene.poll().await;
    assert!(door.faults().is_empty());
    assert_eq!(lines(&scene), [json!([2.0, 9.5]), json!([5.0, 1.25])], "{}", scene.story().await);
    scene
}

/// Quantity and price of all lines in the remote, by quantity.
fn lines(scene: &Scene) -> Vec<Value> {
    let number = |value: &Value| value.as_f64().unwrap();
    let records = scene.crm().records("salesorderdetail");
    let mut lines: Vec<(f64, f64)> =
        records.iter().map(|line| (number(&line["quantity"]), number(&line["priceperunit"]))).collect();
    lines.sort_by(|left, right| left.0.total_cmp(&right.0));
    lines.into_iter().map(|line| json!([line.0, line.1])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_made_whole_and_its_lines_change_both_ways() {
    let scene = order().await;
    let door = scene.crm();
    assert_eq!((door.count("salesorder"), door.count("salesorderdetail")), (1, 2));
    assert_eq!(scene.number("select count(crm_line) from sales.order_line").await, 2);
    // one line changes, one goes, one comes
    door.forget_calls();
    scene
        .run(
            "begin;
             update sales.order_line set qty = 3 where line_no = 1;
             insert into sales.order_line select 1, 3, product, 7, 2 from sales.order_line where line_no = 2;
             delete from sales.order_line where line_no = 2;
             commit",
        )
        .await;
    scene.settle().await;
    assert_eq!(lines(&scene), [json!([3.0, 9.5]), json!([7.0, 2.0])], "{}", scene.story().await);
    // somebody edits a line in the pages, and adds another
    let id = door.records("salesorder")[0]["salesorderid"].as_str().unwrap().to_owned();
    let edited =
        door.records("salesorderdetail").into_iter().find(|line| line["quantity"].as_f64() == Some(3.0));
    let line = edited.unwrap()["salesorderdetailid"].as_str().unwrap().to_owned();
    let product = door.records("product")[0]["productid"].clone();
    assert!(door.edit_line("salesorder", &id, &line, json!({"description": "urgent"})));
    door.add_line("salesorder", &id, json!({"_productid_value": product, "quantity": 9, "priceperunit": 1}))
        .unwrap();
    door.forget_calls();
    scene.poll().await;
    let rows = scene.rows("select qty::int as qty, note from sales.order_line order by qty").await;
    let expected = [
        json!({"qty": 3, "note": "urgent"}),
        json!({"qty": 7, "note": null}),
        json!({"qty": 9, "note": null}),
    ];
    assert_eq!(rows, expected, "{}", scene.story().await);
    assert!(Scene::writes(&door).is_empty(), "{:?}", door.calls());
    scene.run("delete from sales.orders").await;
    scene.settle().await;
    assert_eq!((door.count("salesorder"), door.count("salesorderdetail")), (0, 0));
}
