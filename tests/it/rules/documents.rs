//! Documents: an order and its lines are one record in each system, and travel as one (R5, R6, R8, R9).

use rowtwin::simulator::Deed;
use serde_json::{Value, json};

use crate::support::{CUSTOMER, Scene, Script, fault};

const CRM_ORDER: &str = "SalesOrderObj";
const CRM_LINE: &str = "SalesOrderProductObj";
const ERP_ORDER: &str = "SAL_SaleOrder";

/// Customers, products, and orders with lines; everything in both systems.
pub fn script() -> Script {
    let tables = "
        create table sales.product (
          id bigint generated always as identity primary key, code text, name text, crm_id text, erp_id text);
        create table sales.orders (
          id bigint generated always as identity primary key,
          number text, customer_id bigint references sales.customer, crm_id text, erp_id text);
        create table sales.order_line (
          order_id bigint not null references sales.orders on delete cascade on update cascade, line_no int not null,
          product_id bigint references sales.product, qty numeric, note text, crm_line text, erp_line text,
          primary key (order_id, line_no));";
    let lines = "table: sales.order_line, parent: [order_id], order_by: [line_no]";
    Script {
        schema: format!("{CUSTOMER}{tables}"),
        more_tables: format!(
            "  sales.product:
    bindings:
      - {{system: crm, object: ProductObj, match: [product_code], id_column: crm_id, poll: 1d, sweep: 1d, fields: {{code: product_code, name: name}}}}
      - {{system: erp, object: BD_MATERIAL, match: [FNumber], id_column: erp_id, poll: 1d, sweep: 1d, fields: {{code: FNumber, name: FName}}}}
  sales.orders:
    bindings:
      - system: crm
        object: {CRM_ORDER}
        match: [name]
        id_column: crm_id
        poll: 1d
        sweep: 1d
        doubt_window: 2s
        fields: {{number: name, customer_id: {{field: account_id, refers_to: sales.customer}}}}
        lines:
          {CRM_LINE}: {{{lines}, id_column: crm_line, fields: {{product_id: {{field: product_id, refers_to: sales.product}}, qty: {{field: quantity, codec: decimal_string}}}}}}
      - system: erp
        object: {ERP_ORDER}
        match: [FBillNo]
        id_column: erp_id
        poll: 1d
        sweep: 1d
        doubt_window: 2s
        fields: {{number: FBillNo, customer_id: {{field: FCustId.FNumber, refers_to: sales.customer}}}}
        lines:
          FSaleOrderEntry: {{{lines}, id_column: erp_line, fields: {{product_id: {{field: FMaterialId.FNumber, refers_to: sales.product}}, qty: FQty, note: FEntryNote}}}}
"
        ),
        ..Script::default()
    }
}

/// A customer and three products in all places, and an order of two lines.
pub async fn scene() -> Scene {
    let scene = Scene::with(script()).await;
    scene.settle().await;
    scene
        .run(
            "insert into sales.customer (name, number) values ('Acme', 'C1');
             insert into sales.product (code, name) values ('P1', 'Bolt'), ('P2', 'Nut'), ('P3', 'Ring')",
        )
        .await;
    scene.settle().await;
    scene
        .run(
            "begin;
             insert into sales.orders (number, customer_id) values ('S1', 1);
             insert into sales.order_line values (1, 1, 1, 2), (1, 2, 2, 5);
             commit",
        )
        .await;
    scene.settle().await;
    scene.poll().await;
    forget(&scene);
    scene
}

pub fn forget(scene: &Scene) {
    scene.crm().forget_calls();
    scene.erp().forget_calls();
}

/// The calls that wrote, by system.
pub fn writes(scene: &Scene) -> (usize, usize) {
    (Scene::writes(&scene.crm()).len(), Scene::writes(&scene.erp()).len())
}

pub fn number(value: &Value) -> f64 {
    match value {
        Value::String(text) => text.parse().unwrap(),
        other => other.as_f64().unwrap_or_else(|| panic!("{other} is no number")),
    }
}

/// The lines of an order in the ERP: material and quantity, in their order there.
pub fn erp_lines(scene: &Scene, order: &str) -> Vec<(String, f64)> {
    let orders = scene.erp().records(ERP_ORDER);
    let order = orders.iter().find(|one| one["FBillNo"] == order).unwrap_or_else(|| panic!("no {order}"));
    let lines = order.get("FSaleOrderEntry").and_then(Value::as_array).cloned().unwrap_or_default();
    lines
        .iter()
        .map(|line| (line["FMaterialId"]["FNumber"].as_str().unwrap().to_owned(), number(&line["FQty"])))
        .collect()
}

/// The lines of an order in the CRM: product and quantity, by product.
pub fn crm_lines(scene: &Scene, order: &str) -> Vec<(String, f64)> {
    let orders = scene.crm().records(CRM_ORDER);
    let order = orders.iter().find(|one| one["name"] == order).unwrap_or_else(|| panic!("no {order}"));
    let products = scene.crm().records("ProductObj");
    let code = |id: &Value| {
        let product = products.iter().find(|one| one["_id"] == *id).expect("a product");
        product["product_code"].as_str().unwrap().to_owned()
    };
    let mut lines: Vec<(String, f64)> = scene
        .crm()
        .records(CRM_LINE)
        .iter()
        .filter(|line| line["order_id"] == order["_id"] && line["life_status"] != "invalid")
        .map(|line| (code(&line["product_id"]), number(&line["quantity"])))
        .collect();
    lines.sort_by(|left, right| left.partial_cmp(right).unwrap());
    lines
}

/// The lines of an order's row.
pub async fn row_lines(scene: &Scene, order: &str) -> Vec<(String, f64)> {
    let sql = format!(
        "select p.code, l.qty from sales.order_line l join sales.orders o on o.id = l.order_id
         left join sales.product p on p.id = l.product_id where o.number = '{order}' order by l.line_no"
    );
    let rows = scene.rows(&sql).await;
    rows.iter().map(|row| (row["code"].as_str().unwrap_or("").to_owned(), number(&row["qty"]))).collect()
}

pub fn lines(expected: &[(&str, f64)]) -> Vec<(String, f64)> {
    expected.iter().map(|(code, qty)| ((*code).to_owned(), *qty)).collect()
}

pub fn sorted(mut lines: Vec<(String, f64)>) -> Vec<(String, f64)> {
    lines.sort_by(|left, right| left.partial_cmp(right).unwrap());
    lines
}

/// All three places hold these lines, and nothing is left to do.
pub async fn everywhere(scene: &Scene, order: &str, expected: &[(&str, f64)]) {
    let expected = sorted(lines(expected));
    assert_eq!(sorted(row_lines(scene, order).await), expected, "the rows");
    assert_eq!(sorted(erp_lines(scene, order)), expected, "the ERP");
    assert_eq!(crm_lines(scene, order), expected, "the CRM");
    let left = scene.rows("select * from rowtwin.outbox").await;
    assert!(left.is_empty(), "{left:?}");
    let conflicts = scene.number("select count(*) from rowtwin_private.inbox where state = 'rejected'").await;
    assert_eq!(conflicts, 0);
}

/// The id of an order in the ERP, and of its line of a material.
pub fn erp_line(scene: &Scene, order: &str, material: &str) -> (String, String) {
    let orders = scene.erp().records(ERP_ORDER);
    let order = orders.iter().find(|one| one["FBillNo"] == order).unwrap();
    let line = order["FSaleOrderEntry"]
        .as_array()
        .unwrap()
        .iter()
        .find(|line| line["FMaterialId"]["FNumber"] == material)
        .unwrap_or_else(|| panic!("no line of {material}"));
    (order["FID"].to_string(), line["FEntryID"].to_string())
}

/// The id of an order in the CRM, and of its line of a product.
pub fn crm_line(scene: &Scene, order: &str, code: &str) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let orders = scene.crm().records(CRM_ORDER);
    let order = orders.iter().find(|one| one["name"] == order).unwrap();
    let products = scene.crm().records("ProductObj");
    let product = products.iter().find(|one| one["product_code"] == code).unwrap();
    let of_order = scene.crm().records(CRM_LINE);
    let line = of_order
        .iter()
        .find(|line| line["order_id"] == order["_id"] && line["product_id"] == product["_id"])
        .unwrap_or_else(|| panic!("no line of {code}"));
    (text(&order["_id"]), text(&line["_id"]))
}

#[tokio::test(flavor = "multi_thread")]
async fn r05_an_order_with_its_lines_is_one_record_in_each_system_and_does_not_come_back() {
    let scene = scene().await;
    everywhere(&scene, "S1", &[("P1", 2.0), ("P2", 5.0)]).await;
    let rows = scene.rows("select crm_line, erp_line from sales.order_line order by line_no").await;
    let (_, erp) = erp_line(&scene, "S1", "P2");
    let (_, crm) = crm_line(&scene, "S1", "P2");
    assert_eq!(rows[1], json!({"crm_line": crm, "erp_line": erp}));
    scene.poll().await;
    scene.sweep().await;
    assert_eq!(writes(&scene), (0, 0), "an echo");
}

#[tokio::test(flavor = "multi_thread")]
async fn r05_lines_are_added_changed_and_removed_and_only_those_travel() {
    let scene = scene().await;
    scene.run("update sales.order_line set qty = 7 where line_no = 2").await;
    scene.settle().await;
    everywhere(&scene, "S1", &[("P1", 2.0), ("P2", 7.0)]).await;
    assert_eq!(writes(&scene), (1, 1));
    scene.run("insert into sales.order_line values (1, 3, 3, 1)").await;
    scene.settle().await;
    everywhere(&scene, "S1", &[("P1", 2.0), ("P2", 7.0), ("P3", 1.0)]).await;
    assert_eq!(writes(&scene), (2, 2));
    let (_, kept) = erp_line(&scene, "S1", "P2");
    scene
        .run("begin; delete from sales.order_line where line_no = 1; update sales.order_line set qty = 8 where line_no = 3; commit")
        .await;
    scene.settle().await;
    everywhere(&scene, "S1", &[("P2", 7.0), ("P3", 8.0)]).await;
    assert_eq!(erp_line(&scene, "S1", "P2").1, kept, "the line that stays is the same line");
    scene.poll().await;
    forget(&scene);
    // another order of the same lines is no change where no mapped field says it
    scene.run("update sales.order_line set line_no = 20 - line_no").await;
    scene.settle().await;
    assert_eq!(writes(&scene), (0, 0));
    scene.run("update sales.order_line set qty = qty + 1 where line_no = 18").await;
    scene.settle().await;
    everywhere(&scene, "S1", &[("P2", 8.0), ("P3", 8.0)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r05_lines_edited_in_one_system_come_to_the_rows_and_to_the_other() {
    let scene = scene().await;
    let (order, line) = erp_line(&scene, "S1", "P1");
    assert!(scene.erp().edit_line(ERP_ORDER, &order, &line, json!({"FQty": 3})));
    scene.erp().add_line(ERP_ORDER, &order, json!({"FMaterialId": {"FNumber": "P3"}, "FQty": 9})).unwrap();
    scene.poll().await;
    everywhere(&scene, "S1", &[("P1", 3.0), ("P2", 5.0), ("P3", 9.0)]).await;
    let rows = scene.rows("select line_no from sales.order_line order by line_no").await;
    assert_eq!(rows, [json!({"line_no": 1}), json!({"line_no": 2}), json!({"line_no": 3})]);
    let (order, line) = erp_line(&scene, "S1", "P2");
    assert!(scene.erp().remove_line(ERP_ORDER, &order, &line));
    scene.poll().await;
    everywhere(&scene, "S1", &[("P1", 3.0), ("P3", 9.0)]).await;
    // a line of the CRM does not move its order's stamp: it is listed by itself
    let (order, line) = crm_line(&scene, "S1", "P1");
    assert!(scene.crm().edit_line(CRM_ORDER, &order, &line, json!({"quantity": "4"})));
    scene.poll().await;
    everywhere(&scene, "S1", &[("P1", 4.0), ("P3", 9.0)]).await;
    // and one that is gone leaves no trace: the sweep finds it
    assert!(scene.crm().remove_line(CRM_ORDER, &order, &line));
    scene.sweep().await;
    everywhere(&scene, "S1", &[("P3", 9.0)]).await;
    scene.poll().await;
    forget(&scene);
    scene.poll().await;
    assert_eq!(writes(&scene), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_both_sides_change_lines_of_one_order_at_the_same_time() {
    let scene = scene().await;
    let (order, line) = erp_line(&scene, "S1", "P2");
    assert!(scene.erp().edit_line(ERP_ORDER, &order, &line, json!({"FQty": 6})));
    scene.erp().add_line(ERP_ORDER, &order, json!({"FMaterialId": {"FNumber": "P3"}, "FQty": 9})).unwrap();
    scene.run("update sales.order_line set qty = 4 where line_no = 1").await;
    scene.settle().await;
    scene.poll().await;
    everywhere(&scene, "S1", &[("P1", 4.0), ("P2", 6.0), ("P3", 9.0)]).await;
    assert_eq!(scene.number("select count(*) from rowtwin_private.conflict").await, 0);
    // removed here and edited there: the edit wins, and the conflict is on record
    let (order, line) = erp_line(&scene, "S1", "P3");
    assert!(scene.erp().edit_line(ERP_ORDER, &order, &line, json!({"FQty": 10})));
    scene.run("delete from sales.order_line where line_no = 3").await;
    scene.settle().await;
    scene.poll().await;
    everywhere(&scene, "S1", &[("P1", 4.0), ("P2", 6.0), ("P3", 10.0)]).await;
    let conflict = scene.row("select field, winner from rowtwin_private.conflict").await;
    assert_eq!(conflict, json!({"field": format!("FSaleOrderEntry[{line}]"), "winner": "record"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_lost_answer_makes_no_second_order_and_no_second_line() {
    let scene = scene().await;
    for (number, trouble) in [(2, "lost-answer"), (3, "malformed:html")] {
        scene.crm().add_fault(fault(&format!("{trouble}@create")));
        scene.erp().add_fault(fault(&format!("{trouble}@create")));
        scene
            .run(&format!(
                "begin; insert into sales.orders (number, customer_id) values ('S{number}', 1);
                 insert into sales.order_line values ({number}, 1, 1, 1), ({number}, 2, 1, 1), ({number}, 3, 3, 2); commit"
            ))
            .await;
        scene.settle().await;
        let name = format!("S{number}");
        everywhere(&scene, &name, &[("P1", 1.0), ("P1", 1.0), ("P3", 2.0)]).await;
        // the same of a line that is added
        scene.crm().add_fault(fault(&format!("{trouble}@create")));
        scene.erp().add_fault(fault(&format!("{trouble}@BatchSave")));
        scene.run(&format!("insert into sales.order_line values ({number}, 4, 2, 8)")).await;
        scene.settle().await;
        everywhere(&scene, &name, &[("P1", 1.0), ("P1", 1.0), ("P2", 8.0), ("P3", 2.0)]).await;
        assert!(scene.crm().faults().is_empty() && scene.erp().faults().is_empty(), "nothing was struck");
    }
    assert_eq!((scene.crm().count(CRM_ORDER), scene.erp().count(ERP_ORDER)), (3, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn r10_a_product_is_deleted_after_the_orders_whose_lines_name_it() {
    let scene = scene().await;
    scene.crm().forget_effects();
    scene.erp().forget_effects();
    scene.run("begin; delete from sales.orders; delete from sales.product where code = 'P1'; commit").await;
    scene.settle().await;
    assert_eq!(scene.number("select count(*) from rowtwin.outbox").await, 0, "{}", scene.story().await);
    for (door, order, product) in
        [(scene.crm(), CRM_ORDER, "ProductObj"), (scene.erp(), ERP_ORDER, "BD_MATERIAL")]
    {
        assert_eq!((door.count(order), door.count(product)), (0, 2));
        let gone: Vec<String> = door
            .effects()
            .into_iter()
            .filter(|one| one.deed == Deed::Removed)
            .map(|one| one.object)
            .collect();
        let place = |object: &str| gone.iter().position(|one| one == object).unwrap();
        assert!(place(order) < place(product), "{gone:?}");
        let refused = door.calls().into_iter().filter(|call| call.error.is_some()).count();
        assert_eq!(refused, 0, "nothing was tried in vain");
    }
}
