//! Documents of a real ERP: a sale with its lines, a party with its addresses and ways of contact, the same on both sides.

use serde_json::{Value, json};

use crate::client::{PARTY, Person};
use crate::company::{BOLT, NUT, context};
use crate::room::Room;
use crate::sales::{Customer, line};

const SCHEMA: &str = "
    create schema crm;
    create table crm.party (id bigint generated always as identity primary key, name text, code text, tryton_id text);
    create table crm.address (
      party_id bigint references crm.party on delete cascade, line_no integer, street text, city text, tryton_id text,
      primary key (party_id, line_no));
    create table crm.contact (
      party_id bigint references crm.party on delete cascade, line_no integer, kind text, value text, tryton_id text,
      primary key (party_id, line_no));
    create table crm.product (id bigint generated always as identity primary key, code text, tryton_id text);
    create table crm.sale (
      id bigint generated always as identity primary key, reference text, party_id bigint references crm.party,
      invoice_to integer, ship_to integer, comment text, state text, tryton_id text);
    create table crm.sale_line (
      sale_id bigint references crm.sale on delete cascade, line_no integer, product_id bigint references crm.product,
      quantity numeric, unit integer, price numeric, tryton_id text, primary key (sale_id, line_no));";

const PARTIES: &str = "
  crm.party:
    bindings:
      - system: erp
        object: party.party
        match: [code]
        id_column: tryton_id
        doubt_window: 1s
        poll: 1d
        sweep: 1d
        fields: {name: name, code: code}
        lines:
          addresses: {table: crm.address, parent: [party_id], order_by: [line_no], id_column: tryton_id,
                      fields: {street: street_unstructured, city: city}}
          contact_mechanisms: {table: crm.contact, parent: [party_id], order_by: [line_no], id_column: tryton_id,
                               fields: {kind: type, value: value}}
";

const SALES: &str = "
  crm.product:
    bindings:
      - {system: erp, object: product.product, match: [code], id_column: tryton_id, prefer: record,
         poll: 1d, sweep: 1d, fields: {code: code}}
  crm.sale:
    bindings:
      - system: erp
        object: sale.sale
        match: [reference]
        id_column: tryton_id
        doubt_window: 1s
        poll: 1d
        sweep: 1d
        fields:
          reference: reference
          party_id: {field: party, refers_to: crm.party}
          invoice_to: invoice_address
          ship_to: shipment_address
          comment: comment
          state: {field: state, direction: pull}
        lines:
          lines: {table: crm.sale_line, parent: [sale_id], order_by: [line_no], id_column: tryton_id,
                  fields: {product_id: {field: product, refers_to: crm.product}, quantity: quantity, unit: unit,
                           price: unit_price}}
";

const LINES: &str =
    "select p.code, l.quantity::text as quantity, l.price::text as price, l.tryton_id is not null as known
                     from crm.sale_line l join crm.product p on p.id = l.product_id order by l.line_no";

/// A room with parties and sales, whose sales' binding says this too, and a customer who is on both sides.
async fn shop(lifecycle: &str) -> (Room, Customer) {
    let room = Room::selling(SCHEMA, &format!("{PARTIES}{SALES}{lifecycle}")).await;
    let acme = room.person.customer("Acme").await;
    room.poll().await;
    (room, acme)
}

/// Enters an order of two bolts and five nuts in SQL; the sale that becomes of it.
async fn order(room: &Room, acme: &Customer) -> i64 {
    let address = acme.address;
    room.run(&format!(
        "begin;
         insert into crm.sale (reference, party_id, invoice_to, ship_to)
           select 'S-1', id, {address}, {address} from crm.party where tryton_id = '{}';
         insert into crm.sale_line (sale_id, line_no, product_id, quantity, unit, price)
           select s.id, x.line_no, p.id, x.quantity, 1, x.price
           from (values (1, '{BOLT}', 2, 10.00), (2, '{NUT}', 5, 0.5)) x(line_no, code, quantity, price)
             join crm.product p using (code), crm.sale s;
         commit",
        acme.party
    ))
    .await;
    room.settle().await;
    let found = room.rows("select tryton_id::bigint as id from crm.sale").await;
    let id = found[0]["id"].as_i64();
    assert!(id.is_some(), "{}", room.story().await);
    id.unwrap()
}

/// Product, quantity and price of each line in Tryton, sorted, and the sale's state.
async fn there(person: &Person, sale: i64) -> (Value, Vec<String>) {
    let sale = person.sale(sale).await;
    let lines = sale["lines."].as_array().unwrap();
    let text = |line: &Value| {
        let price: f64 = line["unit_price"].as_str().unwrap().parse().unwrap();
        format!("{} {} {price}", line["product."]["code"].as_str().unwrap(), line["quantity"])
    };
    let mut lines: Vec<String> = lines.iter().map(text).collect();
    lines.sort();
    (sale["state"].clone(), lines)
}

/// The same of the rows, whose lines must all know their ids.
async fn here(room: &Room) -> Vec<String> {
    let rows = room.rows(LINES).await;
    assert!(rows.iter().all(|row| row["known"] == true), "{rows:?}");
    let number = |row: &Value, name: &str| row[name].as_str().unwrap().parse::<f64>().unwrap();
    let text = |row: &Value| {
        let (quantity, price) = (number(row, "quantity"), number(row, "price"));
        format!("{} {quantity:?} {price}", row["code"].as_str().unwrap())
    };
    let mut lines: Vec<String> = rows.iter().map(text).collect();
    lines.sort();
    lines
}

/// Both sides hold these lines, nobody asks for anything, and looking again writes nothing.
async fn both(room: &Room, sale: i64, state: &str, lines: &[&str]) {
    room.poll().await;
    assert_eq!(
        there(&room.person, sale).await,
        (json!(state), lines.iter().map(|one| (*one).to_owned()).collect())
    );
    assert_eq!(here(room).await, lines, "{}", room.story().await);
    assert_eq!(room.rows("select state from crm.sale").await, [json!({"state": state})]);
    let waiting = "select (select count(*) from rowtwin.outbox) + (select count(*) from rowtwin.conflicts)
                        + (select count(*) from rowtwin.inbox)";
    assert_eq!(room.number(waiting).await, 0, "{}", room.story().await);
    let written = room.writes().await;
    room.poll().await;
    assert_eq!(room.writes().await, written, "{}", room.story().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_with_lines_becomes_a_confirmed_sale_and_an_edit_takes_it_back_and_on_again() {
    let (room, acme) = shop("        lifecycle: {until: confirmed, reopen: true}\n").await;
    let sale = order(&room, &acme).await;
    both(&room, sale, "confirmed", &["B1 2.0 10", "N1 5.0 0.5"]).await;
    assert_eq!(room.person.sale(sale).await["party"], acme.party);

    room.run(
        "begin; update crm.sale set comment = 'more';
         update crm.sale_line set quantity = 3 where line_no = 1; delete from crm.sale_line where line_no = 2;
         insert into crm.sale_line select sale_id, 3, product_id, 7, 1, 9.75 from crm.sale_line where line_no = 1; commit",
    )
    .await;
    room.settle().await;
    both(&room, sale, "confirmed", &["B1 3.0 10", "B1 7.0 9.75"]).await;
    let after = room.person.sale(sale).await;
    assert_eq!((&after["comment"], &after["number"]), (&json!("more"), &json!("1")));

    // What a person takes back is theirs, until the row is edited.
    room.person.press("draft", sale).await;
    both(&room, sale, "draft", &["B1 3.0 10", "B1 7.0 9.75"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_changed_added_and_removed_on_each_side() {
    let (room, acme) = shop("").await;
    let sale = order(&room, &acme).await;
    both(&room, sale, "draft", &["B1 2.0 10", "N1 5.0 0.5"]).await;

    // Ours: only what changed travels, so the line that stays keeps its id.
    let before = room.person.sale(sale).await;
    room.run(
        "begin; update crm.sale_line set price = 9.5 where line_no = 1; delete from crm.sale_line where line_no = 2;
         insert into crm.sale_line select sale_id, 3, product_id, 1, 1, 8 from crm.sale_line where line_no = 1; commit",
    )
    .await;
    room.capture().await;
    room.deliver().await;
    // The answer told the version of the sale and of its lines, and the id of the new one: nothing is to be read again.
    assert_eq!(room.number("select count(*) from rowtwin.inbox").await, 0, "{}", room.story().await);
    let version =
        "select l.version from rowtwin_private.link l join rowtwin_private.binding b on b.id = l.binding_id
                   where b.object = 'sale.sale'";
    let told = room.rows(version).await;
    both(&room, sale, "draft", &["B1 1.0 8", "B1 2.0 9.5"]).await;
    assert_eq!(room.rows(version).await, told);
    assert!(told[0]["version"].as_str().unwrap().contains("\"lines\""), "{told:?}");
    let after = room.person.sale(sale).await;
    assert_eq!(after["lines"][0], before["lines"][0]);

    // Theirs, in one save of the form.
    let nut = room.person.product(NUT).await;
    let (kept, removed) = (after["lines"][0].clone(), after["lines"][1].clone());
    let lines = json!([["write", [kept], {"quantity": 4}], ["delete", [removed]], ["create", [line(nut, 6, "0.25")]]]);
    room.person.edit_sale(&after, json!({"lines": lines})).await;
    both(&room, sale, "draft", &["B1 4.0 9.5", "N1 6.0 0.25"]).await;

    // A line that is edited by itself moves no stamp of its sale, and is found by its own.
    room.person.call("model.sale.line.write", json!([[kept], {"quantity": 5}, context()])).await;
    both(&room, sale, "draft", &["B1 5.0 9.5", "N1 6.0 0.25"]).await;

    // Both at once: another line each, and the version that Tryton checks is that of our line alone.
    room.person.call("model.sale.line.write", json!([[kept], {"quantity": 8}, context()])).await;
    room.run("update crm.sale_line set price = 0.3 where product_id = (select id from crm.product where code = 'N1')")
        .await;
    room.settle().await;
    both(&room, sale, "draft", &["B1 8.0 9.5", "N1 6.0 0.3"]).await;

    // The same line: theirs is not written over, since our write is refused and the sale is read. By default theirs wins
    // for a field that both changed, and the other field is ours.
    room.person.call("model.sale.line.write", json!([[kept], {"quantity": 9}, context()])).await;
    room.run("update crm.sale_line set price = 7 where product_id = (select id from crm.product where code = 'B1')").await;
    room.settle().await;
    both(&room, sale, "draft", &["B1 9.0 7", "N1 6.0 0.3"]).await;

    // A line that they removed by itself while we edited another thing of the sale.
    let other = room.person.sale(sale).await["lines"].as_array().unwrap().last().unwrap().clone();
    room.person.call("model.sale.line.delete", json!([[other], context()])).await;
    room.run("update crm.sale set comment = 'see'").await;
    room.settle().await;
    both(&room, sale, "draft", &["B1 9.0 7"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_that_is_entered_in_tryton_comes_with_its_lines_and_is_closed_once_confirmed() {
    let (room, acme) = shop("").await;
    let (bolt, nut) = (room.person.product(BOLT).await, room.person.product(NUT).await);
    let lines = [line(bolt, 2, "10.0000"), line(nut, 5, "0.5000")];
    let sale = room.person.sell(&acme, "S-9", &lines).await;
    both(&room, sale, "draft", &["B1 2.0 10", "N1 5.0 0.5"]).await;
    let joined = "select s.reference, p.name from crm.sale s join crm.party p on p.id = s.party_id";
    assert_eq!(room.rows(joined).await, [json!({"reference": "S-9", "name": "Acme"})]);

    room.person.press("quote", sale).await;
    room.person.press("confirm", sale).await;
    both(&room, sale, "confirmed", &["B1 2.0 10", "N1 5.0 0.5"]).await;
    room.run(
        "update crm.sale_line set quantity = 1 where line_no = (select min(line_no) from crm.sale_line)",
    )
    .await;
    room.settle().await;
    let rejected = room.rows("select reason from rowtwin.rejected").await;
    assert!(rejected[0]["reason"].as_str().unwrap().contains("stands at confirmed"), "{rejected:?}");
    room.person.press("draft", sale).await;
    room.poll().await;
    room.run("select rowtwin.retry('crm.sale')").await;
    room.settle().await;
    both(&room, sale, "draft", &["B1 1.0 10", "N1 5.0 0.5"]).await;
}

/// Cities and contacts of a party in Tryton, sorted.
async fn of_party(room: &Room, id: &Value) -> [Vec<String>; 2] {
    let fields = ["addresses.city", "contact_mechanisms.type", "contact_mechanisms.value"];
    let params = json!([[["id", "=", id]], 0, null, null, fields, context()]);
    let party = room.person.call(&format!("model.{PARTY}.search_read"), params).await[0].clone();
    ["addresses.", "contact_mechanisms."].map(|name| {
        let text = |one: &Value| {
            ["city", "type", "value"]
                .iter()
                .filter_map(|field| one.get(field)?.as_str())
                .collect::<Vec<_>>()
                .join(" ")
        };
        let mut all: Vec<String> = party[name].as_array().unwrap().iter().map(text).collect();
        all.sort();
        all
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_party_with_its_addresses_and_contacts_is_a_document_both_ways() {
    let room = Room::selling(SCHEMA, PARTIES).await;
    room.run(
        "begin; insert into crm.party (name, code) values ('Bolt & Co', 'C1');
         insert into crm.address select id, 1, 'Main Street 1', 'Springfield' from crm.party where code = 'C1';
         insert into crm.address select id, 2, null, 'Shelbyville' from crm.party where code = 'C1';
         insert into crm.contact select id, 1, 'email', 'a@bolt.example' from crm.party where code = 'C1'; commit",
    )
    .await;
    room.settle().await;
    let id = room.person.named("Bolt & Co").await["id"].clone();
    let texts =
        |all: [&[&str]; 2]| all.map(|one| one.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
    let sides = [&["Shelbyville", "Springfield"][..], &["email a@bolt.example"]];
    assert_eq!(of_party(&room, &id).await, texts(sides), "{}", room.story().await);

    room.run(
        "begin; update crm.address set city = 'Ogdenville' where line_no = 1; delete from crm.contact where line_no = 1;
         insert into crm.contact select id, 2, 'phone', '+4930123456' from crm.party where code = 'C1'; commit",
    )
    .await;
    room.settle().await;
    let sides = [&["Ogdenville", "Shelbyville"][..], &["phone +4930123456"]];
    assert_eq!(of_party(&room, &id).await, texts(sides), "{}", room.story().await);

    let read = room
        .rows("select tryton_id::bigint as id from crm.address where line_no in (1, 2) order by line_no")
        .await;
    let edit = json!({
        "addresses": [["write", [read[0]["id"]], {"city": "Haverbrook"}], ["create", [{"city": "Capital City"}]]],
        "contact_mechanisms": [["create", [{"type": "email", "value": "b@bolt.example"}]]],
    });
    room.person.write(id.as_i64().unwrap(), edit).await;
    // And one by itself, after the party's own.
    room.person
        .call("model.party.address.write", json!([[read[1]["id"]], {"city": "North Haverbrook"}, {}]))
        .await;
    room.poll().await;
    let rows = room.rows("select city from crm.address order by city").await;
    let cities: Vec<&Value> = rows.iter().map(|row| &row["city"]).collect();
    assert_eq!(cities, ["Capital City", "Haverbrook", "North Haverbrook"], "{}", room.story().await);
    let rows =
        room.rows("select kind, value, tryton_id is not null as known from crm.contact order by kind").await;
    assert_eq!(
        rows,
        [
            json!({"kind": "email", "value": "b@bolt.example", "known": true}),
            json!({"kind": "phone", "value": "+4930123456", "known": true})
        ]
    );
    let written = room.writes().await;
    room.poll().await;
    assert_eq!(room.writes().await, written, "{}", room.story().await);
}
