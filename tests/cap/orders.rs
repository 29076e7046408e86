//! Sales orders with their items, which travel as one, in both versions of the protocol.

use serde_json::{Value, json};

use crate::person::{ITEMS, ORDERS, PARTNERS};
use crate::room::Room;
use crate::support::Scene;

const TABLES: &str = "
    create schema sales;
    create table sales.customer (id bigint generated always as identity primary key, name text, number text, sap_id text);
    create table sales.orders (
      id bigint generated always as identity primary key, number text, customer bigint references sales.customer, sap_id text);
    create table sales.order_line (
      order_id bigint not null references sales.orders on delete cascade, line_no int not null,
      product text, qty numeric, net numeric, sap_line text, primary key (order_id, line_no));";

async fn room(protocol: &str, more: &str) -> Room {
    let decimal = if protocol == "v2" { ", codec: decimal_string" } else { "" };
    let tables = format!(
        "  sales.customer:
    bindings:
      - {{system: erp, object: {PARTNERS}, match: [SearchTerm1], id_column: sap_id, poll: 1d, sweep: 1d,
         fields: {{name: OrganizationBPName1, number: SearchTerm1}}}}
  sales.orders:
    bindings:
      - system: erp
        object: {ORDERS}
        match: [PurchaseOrderByCustomer]
        id_column: sap_id
        poll: 1d
        sweep: 1d
        doubt_window: 2s
        fields:
          number: PurchaseOrderByCustomer
          customer: {{field: SoldToParty, refers_to: sales.customer}}
        lines:
          to_Item:
            table: sales.order_line
            parent: [order_id]
            order_by: [line_no]
            id_column: sap_line
            fields:
              product: Material
              qty: {{field: RequestedQuantity{decimal}}}
              net: {{field: NetAmount{decimal}}}
"
    );
    Room::start(TABLES, protocol, more, &tables).await
}

/// Product, quantity and amount of all items in the system, by product.
async fn items(room: &Room) -> Vec<(String, f64, f64)> {
    let items = room.person.records(ITEMS, "&$orderby=Material").await;
    let number = |value: &Value| value.as_f64().unwrap_or_default();
    items
        .iter()
        .map(|item| {
            (
                item["Material"].as_str().unwrap().to_owned(),
                number(&item["RequestedQuantity"]),
                number(&item["NetAmount"]),
            )
        })
        .collect()
}

async fn an_order(scene: &Scene) {
    scene
        .run(
            "begin;
             insert into sales.customer (name, number) values ('Acme', 'C1');
             insert into sales.orders (number, customer) values ('S1', 1);
             insert into sales.order_line values (1, 1, 'TG11', 2.125, 9), (1, 2, 'TG12', 5, 1);
             commit",
        )
        .await;
    scene.settle().await;
}

async fn both_ways(protocol: &str, more: &str) {
    let room = room(protocol, more).await;
    let scene = &room.scene;
    room.between.lose("PurchaseOrderByCustomer");
    an_order(scene).await;
    scene.poll().await;
    assert!(room.between.went_off());
    let item = |product: &str, quantity: f64, net: f64| (product.to_owned(), quantity, net);
    assert_eq!(
        items(&room).await,
        [item("TG11", 2.125, 9.0), item("TG12", 5.0, 1.0)],
        "{}",
        scene.story().await
    );
    let orders = room.person.records(ORDERS, "").await;
    assert_eq!((orders.len(), &orders[0]["SoldToParty"]), (1, &json!("1000001")), "the partner came first");
    assert_eq!(scene.number("select count(sap_line) from sales.order_line").await, 2);

    // one item changes, one goes, one comes: one call
    let before = room.writes().await;
    scene
        .run(
            "begin;
             update sales.order_line set qty = 3 where line_no = 1;
             insert into sales.order_line values (1, 3, 'TG13', 7, 2);
             delete from sales.order_line where line_no = 2;
             commit",
        )
        .await;
    scene.settle().await;
    assert_eq!(
        items(&room).await,
        [item("TG11", 3.0, 9.0), item("TG13", 7.0, 2.0)],
        "{}",
        scene.story().await
    );
    assert_eq!(room.writes().await, before + 1);
    scene.poll().await;
    assert_eq!(room.writes().await, before + 1, "{}", scene.story().await);
    assert_eq!(scene.number("select count(distinct sap_line) from sales.order_line").await, 2);

    // somebody changes an item, adds one and takes one out, all in the form of the order
    let key = "'4000001'";
    let form = json!({"to_Item": [{"SalesOrderItem": "10", "Material": "TG11", "RequestedQuantity": 3, "NetAmount": 8},
                                  {"SalesOrderItem": "90", "Material": "TG19", "RequestedQuantity": 9, "NetAmount": 1}]});
    room.person.change(ORDERS, key, form).await;
    scene.poll().await;
    let rows = scene
        .rows("select product, qty::int as qty, net::int as net from sales.order_line order by product")
        .await;
    assert_eq!(
        rows,
        [json!({"product": "TG11", "qty": 3, "net": 8}), json!({"product": "TG19", "qty": 9, "net": 1})],
        "{}",
        scene.story().await
    );
    assert_eq!(room.writes().await, before + 1, "nothing goes back");

    // both change the order at the same time: the stale write is refused as a whole, merged, and goes again
    scene.run("update sales.order_line set qty = 4 where product = 'TG11'").await;
    let form = json!({"PurchaseOrderByCustomer": "S1b"});
    room.person.change(ORDERS, key, form).await;
    scene.settle().await;
    scene.poll().await;
    assert_eq!(
        items(&room).await,
        [item("TG11", 4.0, 8.0), item("TG19", 9.0, 1.0)],
        "{}",
        scene.story().await
    );
    assert_eq!(scene.rows("select number from sales.orders").await, [json!({"number": "S1b"})]);

    // an item that is refused (no product) keeps the whole order back
    scene
        .run(
            "begin; update sales.order_line set qty = 5 where product = 'TG11';
              update sales.order_line set product = null where product = 'TG19'; commit",
        )
        .await;
    scene.settle().await;
    let rejected = scene.rows("select key from rowtwin.rejected").await;
    assert_eq!(rejected.len(), 1, "{}", scene.story().await);
    if more.is_empty() {
        assert_eq!(items(&room).await, [item("TG11", 4.0, 8.0), item("TG19", 9.0, 1.0)]);
    }
    scene.run("update sales.order_line set product = 'TG20' where product is null").await;
    scene.settle().await;
    assert_eq!(
        items(&room).await,
        [item("TG11", 5.0, 8.0), item("TG20", 9.0, 1.0)],
        "{}",
        scene.story().await
    );

    scene.run("delete from sales.orders").await;
    scene.settle().await;
    assert_eq!(room.person.records(ORDERS, "").await, Vec::<Value>::new());
    assert_eq!(items(&room).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_and_its_items_travel_as_one_in_version_2() {
    both_ways("v2", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_and_its_items_travel_as_one_in_version_4() {
    both_ways("v4", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_goes_in_single_changesets_where_a_service_wants_that() {
    both_ways("v2", ", changesets: single").await;
}
