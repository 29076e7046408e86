//! Parties, products and sales in one room: three bindings of one system, whose records name each other by their ids.

use serde_json::{Value, json};

use crate::company::{BOLT, context};
use crate::room::Room;
use crate::sales::{line, plain};

const SCHEMA: &str = "
    create schema crm;
    create table crm.party (id bigint generated always as identity primary key, name text, code text, tryton_id text);
    create table crm.product (
      id bigint generated always as identity primary key,
      name text, code text, kind text, price numeric, unit integer, sale_unit integer, tryton_id text);
    create table crm.sale (
      id bigint generated always as identity primary key,
      reference text, party integer, comment text, state text, number text, sold_on date, total numeric, tryton_id text);";

const TABLES: &str = "
  crm.party:
    bindings:
      - {system: erp, object: party.party, match: [code], id_column: tryton_id, doubt_window: 1s, poll: 1d, sweep: 1d,
         fields: {name: name, code: code}}
  crm.product:
    bindings:
      - {system: erp, object: product.template, match: [code], id_column: tryton_id, doubt_window: 1s, poll: 1d, sweep: 1d,
         fields: {name: name, code: code, kind: type, price: list_price,
                  unit: default_uom, sale_unit: sale_uom}}
  crm.sale:
    bindings:
      - {system: erp, object: sale.sale, match: [reference], id_column: tryton_id, doubt_window: 1s, poll: 1d, sweep: 1d,
         fields: {reference: reference, party: party, comment: comment,
                  state: {field: state, direction: pull}, number: {field: number, direction: pull},
                  sold_on: {field: sale_date, direction: pull}, total: {field: total_amount, direction: pull}}}
";

async fn sale_rows(room: &Room) -> Vec<Value> {
    room.rows("select reference, state, number, comment, total::text as total from crm.sale order by id")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_a_company_comes_to_three_tables_and_edits_go_back() {
    let room = Room::selling(SCHEMA, TABLES).await;
    assert_eq!(
        room.rows("select name, code, kind, price::text from crm.product order by id").await,
        [
            json!({"name": "Bolt", "code": "B", "kind": "goods", "price": "10.0000"}),
            json!({"name": "Nut", "code": "N", "kind": "goods", "price": "0.5000"})
        ]
    );
    assert_eq!(room.writes().await, 0, "{}", room.story().await);

    let acme = room.person.customer("Acme").await;
    let id = room.person.sell(&acme, "S-1", &[line(room.person.product(BOLT).await, 2, "10.0000")]).await;
    room.poll().await;
    let draft =
        json!({"reference": "S-1", "state": "draft", "number": null, "comment": null, "total": "20.00"});
    assert_eq!(sale_rows(&room).await, [draft]);
    let joined = "select p.name from crm.sale s join crm.party p on p.tryton_id::int = s.party";
    assert_eq!(room.rows(joined).await, [json!({"name": "Acme"})]);

    // A quotation is closed to us: what Tryton would take of it depends on the field.
    room.person.press("quote", id).await;
    room.poll().await;
    room.run("update crm.sale set comment = 'by us'").await;
    room.settle().await;
    let rejected = room.rows("select reason from rowtwin.rejected").await;
    assert!(rejected[0]["reason"].as_str().unwrap().contains("stands at quotation"), "{rejected:?}");
    room.run("update crm.sale set party = 1").await;
    room.settle().await;
    room.person.press("draft", id).await;
    room.run("select rowtwin.retry('crm.sale')").await;
    room.settle().await;
    // A draft takes one, but only together with addresses of its own. The row is mended, and nothing is left to send.
    let rejected = room.rows("select reason from rowtwin.rejected").await;
    assert!(rejected[0]["reason"].as_str().unwrap().contains("field \"Invoice Address\""), "{rejected:?}");
    room.run(&format!("update crm.sale set party = {}", acme.party)).await;
    room.settle().await;
    assert_eq!(room.number("select count(*) from rowtwin.rejected").await, 0);
    room.poll().await;
    assert_eq!(
        sale_rows(&room).await,
        [json!({"reference": "S-1", "state": "draft", "number": "1", "comment": "by us", "total": "20.00"})]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_entered_in_three_tables_comes_to_the_company() {
    let room = Room::selling(SCHEMA, TABLES).await;
    room.run("insert into crm.party (name, code) values ('Acme', 'C1')").await;
    room.run(
        "insert into crm.product (name, code, kind, price, unit, sale_unit) values ('Cog', 'C', 'goods', 12.3450, 1, 1)",
    )
    .await;
    room.settle().await;
    room.run("insert into crm.sale (reference, party) select 'S-1', tryton_id::int from crm.party where code = 'C1'")
        .await;
    room.settle().await;
    room.poll().await;
    let made = room
        .rows("select tryton_id::bigint as id from crm.sale union all select tryton_id::bigint from crm.product where code = 'C'")
        .await;
    let sale = room.person.sale(made[0]["id"].as_i64().unwrap()).await;
    assert_eq!(
        (&sale["reference"], &sale["party"]),
        (&json!("S-1"), &json!(room.person.named("Acme").await["id"]))
    );
    assert_eq!(sale_rows(&room).await[0]["state"], "draft", "Tryton's own fields come to the new row");
    let fields = ["name", "list_price", "sale_uom"];
    let params = json!([[["id", "=", made[1]["id"]]], 0, null, null, fields, context()]);
    let product = plain(&room.person.call("model.product.template.search_read", params).await[0]);
    assert_eq!(product["name"], "Cog");
    assert_eq!((&product["list_price"], &product["sale_uom"]), (&json!("12.3450"), &json!(1)));

    let written = room.writes().await;
    room.poll().await;
    room.poll().await;
    assert_eq!(room.writes().await, written, "{}", room.story().await);
}
