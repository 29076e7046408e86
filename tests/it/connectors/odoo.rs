//! Odoo's partners, by both of its protocols.

use rowtwin::simulator::{Kind, Simulator, credentials::odoo as known};
use serde_json::{Value, json};

use super::{Remote, behaves, scene_of};
use crate::support::{Scene, fault, secret};

fn settings(simulator: &Simulator) -> String {
    format!(
        "base_url: '{}', database: {}, api_key: {{file: '{}'}}",
        simulator.base_url(),
        known::DATABASE,
        secret(known::API_KEY)
    )
}

const PARTNERS: Remote = Remote {
    kind: Kind::Odoo,
    settings,
    object: "res.partner",
    id: "id",
    name: "name",
    number: "ref",
    phone: "vat",
    credit: "x_credit",
    seen: "{field: x_seen, codec: {date: {format: '%Y-%m-%d %H:%M:%S', zone: UTC}}}",
    more: || json!({}),
    refused_phone: "no tax number",
    page: 500,
    long_ago: 7200,
    polls_deletes: false,
};

behaves!(PARTNERS =>
    a_row_becomes_a_record_and_a_record_a_row,
    twins_that_are_there_already_are_linked_and_not_made_again,
    only_what_changed_travels_both_ways,
    deletes_go_both_ways,
    a_poll_reads_what_changed_and_no_more,
    more_than_one_page_is_read_whole,
    a_refused_record_stops_no_other,
    a_token_that_is_over_is_renewed,
    throttling_is_waited_out,
    a_lost_answer_makes_no_second_record,
    an_outage_and_nonsense_are_waited_out,
);

/// The same by JSON-RPC, whose errors have status 200.
mod by_json_rpc {
    use super::*;

    const PARTNERS: Remote = Remote {
        settings: |simulator| {
            format!("{}, protocol: json-rpc, login: {}", super::settings(simulator), known::LOGIN)
        },
        ..super::PARTNERS
    };

    behaves!(PARTNERS =>
        a_row_becomes_a_record_and_a_record_a_row,
        only_what_changed_travels_both_ways,
        deletes_go_both_ways,
        more_than_one_page_is_read_whole,
        a_refused_record_stops_no_other,
        a_lost_answer_makes_no_second_record,
        an_outage_and_nonsense_are_waited_out,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_create_is_found_by_the_attempt_that_was_planted() {
    let scene = PARTNERS.scene_with(", attempt_field: x_rowtwin_attempt", "[]").await;
    scene.settle().await;
    scene.crm().add_fault(fault("lost-answer@create"));
    scene.run("insert into sales.customer (name) select 'Twin' from generate_series(1, 3)").await;
    scene.settle().await;
    assert!(scene.crm().faults().is_empty());
    scene.poll().await;
    assert_eq!(scene.crm().count("res.partner"), 3, "{:?}", scene.crm().calls());
    assert_eq!(scene.number("select count(distinct crm_id) from sales.customer").await, 3);
}

const ORDERS: &str = "
    create schema sales;
    create table sales.orders (
      id bigint generated always as identity primary key, number text, partner bigint, crm_id text);
    create table sales.order_line (
      order_id bigint not null references sales.orders on delete cascade, line_no int not null,
      product bigint, qty numeric, price numeric, crm_line text, primary key (order_id, line_no));";

/// Quantity and price of all lines in the remote, by quantity.
fn lines(scene: &Scene) -> Vec<(i64, Value)> {
    let whole = |value: &Value| value.as_f64().unwrap() as i64;
    let records = scene.crm().records("sale.order.line");
    let mut lines: Vec<(i64, Value)> = records
        .iter()
        .map(|line| (whole(&line["product_uom_qty"]), json!(whole(&line["price_unit"]))))
        .collect();
    lines.sort_by_key(|(quantity, _)| *quantity);
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_and_its_lines_travel_both_ways_as_one() {
    let scene = scene_of(Kind::Odoo, ORDERS, |crm| {
        format!(
            "database: {{}}
systems:
  crm:
    connector: odoo
    limits: {{per_second: 1000, in_flight: 4}}
    settings: {{{}}}
tables:
  sales.orders:
    bindings:
      - system: crm
        object: sale.order
        match: [client_order_ref]
        id_column: crm_id
        poll: 1d
        sweep: 1d
        doubt_window: 2s
        fields: {{number: client_order_ref, partner: partner_id}}
        lines:
          order_line: {{table: sales.order_line, parent: [order_id], order_by: [line_no], id_column: crm_line, fields: {{product: product_id, qty: product_uom_qty, price: price_unit}}}}
",
            settings(crm)
        )
    })
    .await;
    let door = scene.crm();
    let partner = door.insert("res.partner", json!({"name": "Acme"}));
    let product = door.insert("product.product", json!({"name": "Bolt"}));
    scene.settle().await;
    scene.crm().add_fault(fault("lost-answer@create"));
    scene
        .run(&format!(
            "begin;
             insert into sales.orders (number, partner) values ('S1', {partner});
             insert into sales.order_line values (1, 1, {product}, 2, 9), (1, 2, {product}, 5, 1);
             commit"
        ))
        .await;
    scene.settle().await;
    scene.poll().await;
    assert!(door.faults().is_empty());
    assert_eq!(lines(&scene), [(2, json!(9)), (5, json!(1))], "{}", scene.story().await);
    assert_eq!((door.count("sale.order"), door.count("sale.order.line")), (1, 2));
    assert_eq!(scene.number("select count(crm_line) from sales.order_line").await, 2);
    // one line changes, one goes, one comes: one write
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
    assert_eq!(lines(&scene), [(3, json!(9)), (7, json!(2))], "{}", scene.story().await);
    assert_eq!(Scene::writes(&door).len(), 1, "{:?}", door.calls());
    // somebody edits a line in the pages, and adds another: the order's own stamp does not move
    let order = door.records("sale.order")[0]["id"].to_string();
    let line = door.records("sale.order.line")[0]["id"].to_string();
    assert!(door.edit_line("sale.order", &order, &line, json!({"price_unit": 8})));
    door.add_line("sale.order", &order, json!({"product_uom_qty": 9, "price_unit": 1})).unwrap();
    door.forget_calls();
    scene.poll().await;
    let rows =
        scene.rows("select qty::int as qty, price::int as price from sales.order_line order by qty").await;
    let expected = [(3, 8), (7, 2), (9, 1)].map(|(qty, price)| json!({"qty": qty, "price": price}));
    assert_eq!(rows, expected, "{}", scene.story().await);
    assert!(Scene::writes(&door).is_empty(), "{:?}", door.calls());
    scene.run("delete from sales.orders").await;
    scene.settle().await;
    assert_eq!((door.count("sale.order"), door.count("sale.order.line")), (0, 0));
}
