//! What becomes of a sale: its states, the buttons between them, and what can be edited in each.

use serde_json::{Value, json};

use crate::client::Person;
use crate::company::{BOLT, NUT, OUR_LOGIN, context};
use crate::sales::line;
use crate::server::Tryton;

/// Enters a sale of two lines.
async fn sell(person: &Person) -> i64 {
    let customer = person.customer("Acme").await;
    let lines =
        [line(person.product(BOLT).await, 2, "10.0000"), line(person.product(NUT).await, 5, "0.5000")];
    person.sell(&customer, "S-1", &lines).await
}

async fn state(person: &Person, sale: i64) -> Value {
    person.sale(sale).await["state"].clone()
}

/// Whether Tryton takes edits of a sale's own fields, its party, a line, a new line, a line's removal. What it takes is done.
async fn editable(person: &Person, sale: i64) -> [bool; 5] {
    let read = person.sale(sale).await;
    let (first, last) = (&read["lines"][0], read["lines"].as_array().unwrap().last().unwrap());
    let mut one = line(person.product(BOLT).await, 1, "1.0000");
    one["description"] = json!("added");
    let edits = [
        json!({"comment": "a word", "reference": "S-2"}),
        json!({"party": read["party"]}),
        json!({"lines": [["write", [first], {"quantity": 3}]]}),
        json!({"lines": [["create", [one]]]}),
        json!({"lines": [["delete", [last]]]}),
    ];
    let mut taken = [false; 5];
    for (taken, edit) in taken.iter_mut().zip(edits) {
        *taken = person.tries("model.sale.sale.write", json!([[sale], edit, context()])).await.is_ok();
    }
    taken
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_from_draft_to_shipment() {
    let tryton = Tryton::selling().await;
    let person = Person::sign_in_as(&tryton, OUR_LOGIN).await;
    let id = sell(&person).await;
    let said = person.refused_press("confirm", id).await;
    assert_eq!(said, "You can not call \"confirm\" on \"[S-1]\" of \"Sale\".");
    // A state is reached by its button alone.
    let said =
        person.refusal("model.sale.sale.write", json!([[id], {"state": "confirmed"}, context()])).await;
    assert!(said.starts_with("You are not allowed to modify the field \"State\""), "{said}");

    person.press("quote", id).await;
    let quoted = person.sale(id).await;
    assert_eq!((&quoted["state"], &quoted["number"]), (&json!("quotation"), &json!("1")));
    assert_eq!(
        person.refused_press("quote", id).await,
        "You can not call \"quote\" on \"1 [S-1]\" of \"Sale\"."
    );
    person.press("confirm", id).await;
    let confirmed = person.sale(id).await;
    assert_eq!((&confirmed["state"], &confirmed["shipments"]), (&json!("confirmed"), &json!([])));
    assert!(confirmed["sale_date"].is_string(), "the day of its confirmation");

    let said = person.refused_press("process", id).await;
    assert_eq!(said, "Calling button \"process on \"Sale\" is not allowed.");
    Person::sign_in(&tryton).await.press("process", id).await;
    let processing = person.sale(id).await;
    assert_eq!(processing["state"], "processing");
    let fields = ["number", "state", "customer", "outgoing_moves.origin", "outgoing_moves.quantity"];
    let params = json!([[["id", "in", processing["shipments"]]], 0, null, null, fields, context()]);
    let shipment = person.call("model.stock.shipment.out.search_read", params).await[0].clone();
    assert_eq!(
        [&shipment["state"], &shipment["number"], &shipment["customer"]],
        [&json!("waiting"), &json!("1"), &processing["party"]]
    );
    for (moved, line) in
        shipment["outgoing_moves."].as_array().unwrap().iter().zip(confirmed["lines."].as_array().unwrap())
    {
        assert_eq!(moved["origin"], format!("sale.line,{}", line["id"]));
        assert_eq!(moved["quantity"], line["quantity"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_can_be_edited_in_a_draft_alone_and_all_but_a_processed_sale_goes_back_to_one() {
    let tryton = Tryton::selling().await;
    let person = Person::sign_in_as(&tryton, OUR_LOGIN).await;
    let id = sell(&person).await;
    assert_eq!(editable(&person, id).await, [true; 5]);
    const HEAD_ONLY: [bool; 5] = [true, false, false, false, false];
    // What is cancelled can be emptied, but not filled or changed.
    const REMOVALS: [bool; 5] = [true, false, false, false, true];
    for (buttons, expected) in
        [(&["quote"][..], HEAD_ONLY), (&["quote", "confirm"], HEAD_ONLY), (&["cancel"], REMOVALS)]
    {
        for button in buttons {
            person.press(button, id).await;
        }
        assert_eq!(editable(&person, id).await, expected, "after {buttons:?}");
        person.press("draft", id).await;
        assert_eq!(state(&person, id).await, "draft");
        assert_eq!(editable(&person, id).await, [true; 5]);
    }
    // It keeps the number that it was once given.
    assert_eq!(person.sale(id).await["number"], "1");

    let admin = Person::sign_in(&tryton).await;
    for button in ["quote", "confirm", "process"] {
        admin.press(button, id).await;
    }
    assert_eq!(editable(&person, id).await, HEAD_ONLY);
    for button in ["draft", "cancel", "quote", "confirm"] {
        let said = person.refused_press(button, id).await;
        assert_eq!(said, format!("You can not call \"{button}\" on \"1 [S-2]\" of \"Sale\"."));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_is_deleted_as_a_draft_or_cancelled_and_its_lines_go_with_it() {
    let tryton = Tryton::selling().await;
    let person = Person::sign_in_as(&tryton, OUR_LOGIN).await;
    let id = sell(&person).await;
    for buttons in [&["quote"][..], &["confirm"]] {
        person.press(buttons[0], id).await;
        let said = person.refusal("model.sale.sale.delete", json!([[id], context()])).await;
        assert_eq!(said, "To delete sale \"1 [S-1]\" you must cancel it.");
    }
    // What is wrong with a line is said before what is wrong with the sale: one cannot be taken away either.
    let read = person.sale(id).await;
    let said = person.refused_edit(&read, json!({"lines": [["delete", [read["lines"][0]]]]})).await;
    assert!(said.ends_with("you must cancel or reset to draft sale \"1 [S-1]\"."), "{said}");
    person.press("draft", id).await;
    person.press("cancel", id).await;
    person.delete_sale(id).await;
    person.delete_sale(sell(&person).await).await;
    let left = person.call("model.sale.line.search_count", json!([[], 0, null, context()])).await;
    assert_eq!(left, 0);
}
