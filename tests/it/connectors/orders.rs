//! An order with lines that are written inside of it, through a running engine: the same body for each system.

use rowtwin::simulator::{Kind, Simulator};
use serde_json::{Value, json};

use super::scene_of;
use crate::support::{Scene, fault};

/// A system's orders, as the body needs to know them.
pub struct Orders {
    pub kind: Kind,
    pub settings: fn(&Simulator) -> String,
    pub object: &'static str,
    /// The field that holds a record's id.
    pub id: &'static str,
    /// The field by which an order is recognised.
    pub number: &'static str,
    /// The field that names the customer, the customer's object, and the field of a customer's name.
    pub customer: (&'static str, &'static str, &'static str),
    pub collection: &'static str,
    /// The same of a line's product.
    pub product: (&'static str, &'static str, &'static str),
    pub quantity: &'static str,
    pub price: &'static str,
    /// The column's type that suits an id.
    pub id_type: &'static str,
}

impl Orders {
    async fn scene(&self) -> Scene {
        let tables = format!(
            "create schema sales;
             create table sales.orders (
               id bigint generated always as identity primary key, number text, customer {0}, crm_id text);
             create table sales.order_line (
               order_id bigint not null references sales.orders on delete cascade, line_no int not null,
               product {0}, qty numeric, price numeric, crm_line text, primary key (order_id, line_no));",
            self.id_type
        );
        let text = |crm: &Simulator| {
            format!(
                "database: {{}}
systems:
  crm:
    connector: {}
    limits: {{per_second: 1000, in_flight: 4}}
    settings: {{{}}}
tables:
  sales.orders:
    bindings:
      - system: crm
        object: {}
        match: [{number}]
        id_column: crm_id
        poll: 1d
        sweep: 1d
        doubt_window: 2s
        fields: {{number: {number}, customer: {}}}
        lines:
          {}: {{table: sales.order_line, parent: [order_id], order_by: [line_no], id_column: crm_line, fields: {{product: {}, qty: {}, price: {}}}}}
",
                self.kind,
                (self.settings)(crm),
                self.object,
                self.customer.0,
                self.collection,
                self.product.0,
                self.quantity,
                self.price,
                number = self.number,
            )
        };
        scene_of(self.kind, &tables, text).await
    }

    /// The first order in the remote.
    fn order(&self, scene: &Scene) -> String {
        let record = scene.crm().records(self.object).remove(0);
        match &record[self.id] {
            Value::String(id) => id.clone(),
            other => other.to_string(),
        }
    }

    /// Its lines as they stand there.
    fn records(&self, scene: &Scene) -> Vec<Value> {
        let document = scene.crm().document(self.object, &self.order(scene)).unwrap();
        document[self.collection].as_array().unwrap().clone()
    }

    /// Quantity and price of its lines, by quantity.
    fn lines(&self, scene: &Scene) -> Vec<(i64, i64)> {
        let whole = |value: &Value| value.as_f64().unwrap() as i64;
        let records = self.records(scene);
        let mut lines: Vec<(i64, i64)> =
            records.iter().map(|line| (whole(&line[self.quantity]), whole(&line[self.price]))).collect();
        lines.sort_unstable();
        lines
    }
}

pub async fn an_order_and_its_lines_travel_both_ways_as_one(orders: &Orders) {
    let scene = orders.scene().await;
    let door = scene.crm();
    let customer = door.insert(orders.customer.1, json!({orders.customer.2: "Acme"}));
    let product = door.insert(orders.product.1, json!({orders.product.2: "Bolt"}));
    scene.settle().await;
    door.add_fault(fault("lost-answer@create"));
    scene
        .run(&format!(
            "begin;
             insert into sales.orders (number, customer) values ('S1', '{customer}');
             insert into sales.order_line values (1, 1, '{product}', 2, 9), (1, 2, '{product}', 5, 1);
             commit"
        ))
        .await;
    scene.settle().await;
    scene.poll().await;
    assert!(door.faults().is_empty());
    assert_eq!(door.count(orders.object), 1, "{:?}", door.calls());
    assert_eq!(orders.lines(&scene), [(2, 9), (5, 1)], "{}", scene.story().await);
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
    assert_eq!(orders.lines(&scene), [(3, 9), (7, 2)], "{}", scene.story().await);
    assert_eq!(Scene::writes(&door).len(), 1, "{:?}", door.calls());
    // somebody edits a line in the pages, adds another, and takes one out
    let order = orders.order(&scene);
    let ids: Vec<String> = orders
        .records(&scene)
        .iter()
        .map(|line| line["id"].as_str().map_or_else(|| line["id"].to_string(), str::to_owned))
        .collect();
    assert!(door.edit_line(orders.object, &order, &ids[0], json!({orders.price: 8})));
    door.add_line(orders.object, &order, json!({orders.quantity: 9, orders.price: 1})).unwrap();
    assert!(door.remove_line(orders.object, &order, &ids[1]));
    door.forget_calls();
    scene.poll().await;
    let rows =
        scene.rows("select qty::int as qty, price::int as price from sales.order_line order by qty").await;
    let expected = [(3, 8), (9, 1)].map(|(qty, price)| json!({"qty": qty, "price": price}));
    assert_eq!(rows, expected, "{}", scene.story().await);
    assert!(Scene::writes(&door).is_empty(), "{:?}", door.calls());
    scene.run("delete from sales.orders").await;
    scene.settle().await;
    assert_eq!(door.count(orders.object), 0);
}
