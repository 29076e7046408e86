//! What Tryton's protocol does with a document: a sale and its lines, a party and its addresses. No engine is in play; the
//! connector and the engine rest on these facts.

use serde_json::{Value, json};

use crate::client::{Person, ids};
use crate::company::{BOLT, COMPANY, NUT, OUR_LOGIN, context, decimal};
use crate::sales::{Customer, line};
use crate::server::Tryton;

/// A company's server, a person there, a customer, and its two products.
struct Shop {
    person: Person,
    customer: Customer,
    bolt: i64,
    nut: i64,
    _tryton: Tryton,
}

impl Shop {
    async fn open() -> Self {
        let tryton = Tryton::selling().await;
        let person = Person::sign_in_as(&tryton, OUR_LOGIN).await;
        let customer = person.customer("Acme").await;
        let (bolt, nut) = (person.product(BOLT).await, person.product(NUT).await);
        Self { person, customer, bolt, nut, _tryton: tryton }
    }

    /// A sale of two lines.
    async fn sale(&self) -> Value {
        let lines = [line(self.bolt, 2, "10.0000"), line(self.nut, 5, "0.5000")];
        let id = self.person.sell(&self.customer, "S-1", &lines).await;
        self.person.sale(id).await
    }

    async fn again(&self, sale: &Value) -> Value {
        self.person.sale(sale["id"].as_i64().unwrap()).await
    }

    /// Calls a method of the lines, as somebody does who works on lines without their sale.
    async fn on_lines(&self, method: &str, mut params: Value) -> Value {
        params.as_array_mut().unwrap().push(context());
        self.person.call(&format!("model.sale.line.{method}"), params).await
    }

    /// The ids of the sales that this domain finds.
    async fn found(&self, domain: Value) -> Vec<i64> {
        let params = json!([domain, 0, null, [["id", "ASC"]], context()]);
        ids(&self.person.call("model.sale.sale.search", params).await)
    }
}

/// Product's code, quantity and price of each line, as listed.
fn listed(sale: &Value) -> Vec<Value> {
    let lines = sale["lines."].as_array().unwrap();
    lines.iter().map(|line| json!([line["product."]["code"], line["quantity"], line["unit_price"]])).collect()
}

fn stamps(record: &Value) -> Value {
    json!([record["_timestamp"], record["write_date"]])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_and_its_lines_are_made_in_one_call() {
    let shop = Shop::open().await;
    let sale = shop.sale().await;
    assert_eq!(listed(&sale), [json!(["B1", 2.0, "10.0000"]), json!(["N1", 5.0, "0.5000"])]);
    assert_eq!(
        [&sale["state"], &sale["number"], &sale["total_amount"], &sale["sale_date"]],
        [&json!("draft"), &Value::Null, &json!("22.50"), &Value::Null]
    );
    // `lines` holds the ids and `lines.` the records, in the same order; so does `product.` inside a line.
    let line = &sale["lines."][0];
    assert_eq!(sale["lines"], json!([line["id"], sale["lines."][1]["id"]]));
    assert_eq!(line["product."], json!({"id": shop.bolt, "code": "B1"}));
    // Tryton numbers no line, and what was never written again has no date of it.
    assert_eq!([&line["sequence"], &line["write_date"], &sale["write_date"]], [&Value::Null; 3]);
    assert_eq!(line["_timestamp"], sale["_timestamp"], "one transaction, one stamp");

    // A form fills in what a call must say. What is wrong with one line is wrong with the whole call.
    let mut without_price = crate::sales::line(shop.bolt, 1, "1");
    without_price.as_object_mut().unwrap().remove("unit_price");
    let good = json!({"party": shop.customer.party});
    let bad = json!({"party": shop.customer.party, "lines": [["create", [without_price]]]});
    let said = shop.person.refusal("model.sale.sale.create", json!([[good, bad], context()])).await;
    assert!(said.starts_with("A value is required for field \"Unit Price\""), "{said}");
    assert_eq!(shop.found(json!([])).await.len(), 1);

    // Without the company among the context's settings a sale is nobody's.
    let said = shop.person.refusal("model.sale.sale.create", json!([[good], {}])).await;
    assert!(said.starts_with("You are not allowed to create records of \"Sale\""), "{said}");
    let fraction = json!({"lines": [["write", [line["id"]], {"quantity": 2.5}]]});
    let said = shop.person.refused_edit(&sale, fraction).await;
    assert!(said.contains("exceeds the limit of \"(None, 0)\""), "a unit's digits: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_come_back_in_the_order_given_by_create_and_in_no_order_by_anything_else() {
    let shop = Shop::open().await;
    let made: Vec<Value> =
        (0..5).map(|n| json!({"party": shop.customer.party, "reference": format!("S-{n}")})).collect();
    let made = ids(&shop.person.call("model.sale.sale.create", json!([made, context()])).await);
    let mut last = None;
    for (n, id) in made.iter().enumerate() {
        assert_eq!(shop.person.sale(*id).await["reference"], format!("S-{n}"));
        assert!(last < Some(*id));
        last = Some(*id);
    }
    let asked: Vec<i64> = [3, 0, 4, 2, 1].into_iter().map(|n| made[n]).collect();
    let domain = json!([["id", "in", asked]]);
    let searched =
        ids(&shop.person.call("model.sale.sale.search", json!([domain, 0, null, null, context()])).await);
    let newest_first: Vec<i64> = made.iter().rev().copied().collect();
    assert_eq!(searched, newest_first, "the model's own order");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_write_changes_adds_and_removes_lines() {
    let shop = Shop::open().await;
    let before = shop.sale().await;
    let (first, second) = (&before["lines"][0], &before["lines"][1]);
    let lines = json!([
        ["write", [first], {"quantity": 7}],
        ["create", [line(shop.nut, 1, "0.2500")]],
        ["delete", [second]],
    ]);
    shop.person.edit_sale(&before, json!({"reference": "S-1b", "lines": lines})).await;
    let after = shop.again(&before).await;
    assert_eq!(listed(&after), [json!(["B1", 7.0, "10.0000"]), json!(["N1", 1.0, "0.2500"])]);
    assert_eq!(&after["lines"][0], first, "a line that stays keeps its id");
    assert_eq!(after["total_amount"], "70.25");
    // Which id the new line got is not said: it is the one that was not there.
    assert_ne!(&after["lines"][1], second);

    // Lines that somebody else removed are an error of the whole call, of both commands.
    for lines in [json!([["write", [second], {"quantity": 1}]]), json!([["delete", [second]]])] {
        let said = shop.person.refused_edit(&after, json!({"lines": lines, "reference": "no"})).await;
        assert!(said.ends_with("of \"Sale Line\" that don't exist."), "{said}");
    }
    assert_eq!(shop.again(&before).await["reference"], "S-1b");

    // A command is not held to its own sale: by way of one sale the lines of another can be removed.
    let other = shop.sale().await;
    shop.person.edit_sale(&after, json!({"lines": [["delete", [other["lines"][0]]]]})).await;
    assert_eq!(listed(&shop.again(&other).await).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_listed_by_sequence_and_those_without_one_come_first() {
    let shop = Shop::open().await;
    let numbered = |sequence: i64, quantity: u32| {
        let mut line = line(shop.bolt, quantity, "1.0000");
        line["sequence"] = json!(sequence);
        line
    };
    let lines = [numbered(30, 1), numbered(10, 2), line(shop.bolt, 3, "1.0000"), numbered(10, 4)];
    let id = shop.person.sell(&shop.customer, "S-1", &lines).await;
    let sale = shop.person.sale(id).await;
    let quantities: Vec<_> =
        sale["lines."].as_array().unwrap().iter().map(|line| &line["quantity"]).collect();
    assert_eq!(quantities, [3.0, 2.0, 4.0, 1.0]);
    // In a sale's own list of ids too.
    let ids: Vec<_> = sale["lines."].as_array().unwrap().iter().map(|line| line["id"].clone()).collect();
    assert_eq!(sale["lines"], json!(ids));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_edited_by_itself_leaves_no_trace_on_its_sale() {
    let shop = Shop::open().await;
    let before = shop.sale().await;
    // By way of its sale: both get a new stamp.
    let first = &before["lines"][0];
    shop.person.edit_sale(&before, json!({"lines": [["write", [first], {"quantity": 3}]]})).await;
    let sale = shop.again(&before).await;
    assert_ne!(sale["_timestamp"], before["_timestamp"]);
    assert_eq!(sale["_timestamp"], sale["lines."][0]["_timestamp"]);
    assert_eq!(sale["lines."][1], before["lines."][1], "the other line was not touched");

    shop.on_lines("write", json!([[first], {"quantity": 4}])).await;
    let written = shop.again(&sale).await;
    assert_eq!((stamps(&written), &written["total_amount"]), (stamps(&sale), &json!("42.50")));
    assert_ne!(written["lines."][0]["_timestamp"], sale["lines."][0]["_timestamp"]);
    let mut made = line(shop.nut, 1, "1.0000");
    made["sale"] = sale["id"].clone();
    let made = shop.on_lines("create", json!([[made]])).await;
    let added = shop.again(&sale).await;
    assert_eq!((stamps(&added), added["lines"][2] == made[0]), (stamps(&sale), true));
    shop.on_lines("delete", json!([[sale["lines"][1]]])).await;
    let removed = shop.again(&sale).await;
    assert_eq!((stamps(&removed), listed(&removed).len()), (stamps(&sale), 2));

    // So a poll asks for the stamps of the lines too. A line that was removed has none.
    let id = sale["id"].as_i64().unwrap();
    let moved = |field: &str, than: &Value| json!([[field, ">", than.clone()]]);
    let since = &sale["write_date"];
    assert_eq!(shop.found(moved("write_date", since)).await, [] as [i64; 0]);
    assert_eq!(shop.found(moved("lines.write_date", since)).await, [id]);
    assert_eq!(shop.found(moved("lines.create_date", since)).await, [id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_guards_the_record_that_is_written_and_no_other() {
    const STALE: &str = "Records were modified in the meanwhile";
    let shop = Shop::open().await;
    let seen = shop.sale().await;
    let (first, second) = (&seen["lines"][0], &seen["lines"][1]);
    let touch = |id: &Value| json!({"lines": [["write", [id], {"quantity": 9}]]});

    // Somebody works on the first line, and adds a third.
    shop.on_lines("write", json!([[first], {"quantity": 4}])).await;
    let mut made = line(shop.nut, 1, "1.0000");
    made["sale"] = seen["id"].clone();
    shop.on_lines("create", json!([[made]])).await;
    assert_eq!(shop.person.refused_edit(&seen, touch(first)).await, STALE);
    assert_eq!(shop.person.refused_edit(&seen, json!({"lines": [["delete", [first]]]})).await, STALE);
    shop.person.edit_sale(&seen, touch(second)).await;
    let now = shop.again(&seen).await;
    assert_eq!(listed(&now).len(), 3, "the third line is no reason to refuse");

    // The sale itself was written by that.
    assert_eq!(shop.person.refused_edit(&seen, json!({"reference": "late"})).await, STALE);
    // A button heeds the version too.
    let mut context = context();
    context["_timestamp"] = json!({(format!("sale.sale,{}", seen["id"])): seen["_timestamp"]});
    let said = shop.person.refusal("model.sale.sale.quote", json!([[seen["id"]], context])).await;
    assert_eq!(said, STALE);
    // Writing what is there already is a write.
    shop.person.edit_sale(&now, json!({"reference": now["reference"]})).await;
    assert_ne!(shop.again(&seen).await["_timestamp"], now["_timestamp"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_party_has_its_addresses_and_contacts_in_one_call() {
    let shop = Shop::open().await;
    let person = &shop.person;
    let party = json!({
        "name": "Bolt & Co",
        "addresses": [["create", [{"street_unstructured": "Main Street 1", "city": "Springfield"}, {"city": "Shelbyville"}]]],
        "contact_mechanisms": [["create", [{"type": "email", "value": "a@bolt.example"}, {"type": "phone", "value": "+4930123456"}]]],
    });
    let id = person.create(json!([party])).await[0];
    let read = async |active_test: bool| {
        let fields = [
            "addresses.street",
            "addresses.city",
            "contact_mechanisms.type",
            "contact_mechanisms.value",
            "_timestamp",
        ];
        let context = json!({"company": COMPANY, "active_test": active_test});
        let params = json!([[["id", "=", id]], 0, null, null, fields, context]);
        person.call("model.party.party.search_read", params).await[0].clone()
    };
    let made = read(true).await;
    assert!(made.get("addresses").is_none(), "ids only come where they are asked for");
    let (street, city) = (&made["addresses."][0]["street"], &made["addresses."][1]["city"]);
    assert_eq!((street, city), (&json!("Main Street 1"), &json!("Shelbyville")));
    let contact = &made["contact_mechanisms."][1];
    assert_eq!((&contact["type"], &contact["value"]), (&json!("phone"), &json!("+4930123456")));

    let (first, second) = (&made["addresses."][0]["id"], &made["addresses."][1]["id"]);
    let edits = json!({
        "addresses": [["write", [first], {"city": "Ogdenville"}], ["create", [{"city": "Haverbrook"}]]],
        "contact_mechanisms": [["delete", [contact["id"]]]],
    });
    person.write(id, edits).await;
    let edited = read(true).await;
    let cities: Vec<_> = edited["addresses."].as_array().unwrap().iter().map(|one| &one["city"]).collect();
    assert_eq!(cities, ["Ogdenville", "Shelbyville", "Haverbrook"]);
    assert_eq!(edited["contact_mechanisms."].as_array().unwrap().len(), 1);

    // An address by itself leaves no trace on its party, and an archived one is not listed.
    person.call("model.party.address.write", json!([[second], {"active": false}, {}])).await;
    let archived = read(true).await;
    assert_eq!(archived["_timestamp"], edited["_timestamp"]);
    assert_eq!(archived["addresses."].as_array().unwrap().len(), 2);
    assert_eq!(read(false).await["addresses."].as_array().unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_taken_in_any_form_and_dates_as_texts() {
    let shop = Shop::open().await;
    for (given, kept) in
        [(decimal("1.2300"), "1.2300"), (json!(3), "3"), (json!("1.25"), "1.25"), (json!(1.5), "1.5")]
    {
        let mut one = line(shop.bolt, 1, "1");
        one["unit_price"] = given.clone();
        one["quantity"] = decimal("2");
        let id = shop.person.sell(&shop.customer, "S-1", &[one]).await;
        let line = shop.person.sale(id).await["lines."][0].clone();
        assert_eq!((&line["unit_price"], &line["quantity"]), (&json!(kept), &json!(2.0)), "{given}");
    }
    let sale = shop.sale().await;
    shop.person.edit_sale(&sale, json!({"sale_date": "2026-11-20"})).await;
    assert_eq!(shop.again(&sale).await["sale_date"], "2026-11-20");
}
