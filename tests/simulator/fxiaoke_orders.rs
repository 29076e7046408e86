//! Fxiaoke's orders and delivery notes: details are records of their own, references must hold.

use rowtwin::simulator::{Door, Kind, Simulator};
use serde_json::{Value, json};

use crate::callers::{Fxiaoke, fault, start};

/// A CRM with one account and two products.
async fn scene() -> (Simulator, Fxiaoke, Door, String, Vec<String>) {
    let simulator = start(Kind::Fxiaoke).await;
    let caller = Fxiaoke::sign_in(&simulator).await;
    let door = simulator.door();
    let account = door.insert("AccountObj", json!({"name": "Acme"}));
    let products = door.insert_many("ProductObj", [json!({"name": "bolt"}), json!({"name": "nut"})]);
    (simulator, caller, door, account, products)
}

fn order(account: &str, products: &[String]) -> Value {
    let lines: Vec<Value> = products
        .iter()
        .map(|product| json!({"product_id": product, "quantity": 2, "price": "9.5"}))
        .collect();
    json!({
        "object_data": {"dataObjectApiName": "SalesOrderObj", "account_id": account,
            "order_time": 1_700_000_000_000_i64, "delivery_date": 1_700_000_000_000_i64},
        "details": {"SalesOrderProductObj": lines},
    })
}

async fn make(caller: &Fxiaoke, data: Value) -> Value {
    let mut body = caller.body(data);
    body["includeDetailIds"] = json!(true);
    caller.post("/cgi/crm/v2/data/create", body).await.unwrap()
}

fn ids(answer: &Value) -> (String, Vec<String>) {
    let lines = answer["detailIds"]["SalesOrderProductObj"].as_array().unwrap();
    let lines = lines.iter().map(|id| id.as_str().unwrap().to_owned()).collect();
    (answer["dataId"].as_str().unwrap().to_owned(), lines)
}

#[tokio::test]
async fn an_order_is_made_with_its_lines_and_each_line_is_a_record() {
    let (_simulator, caller, door, account, products) = scene().await;
    let (id, lines) = ids(&make(&caller, order(&account, &products)).await);
    let quiet = caller.call("create", order(&account, &products)).await.unwrap();
    assert_eq!(quiet.get("detailIds"), None, "the ids come only where they are asked for");
    let master = door.record("SalesOrderObj", &id).unwrap();
    assert_eq!(master["order_time"], 1_700_000_000_000_i64);
    assert_eq!(master["delivery_date"], 1_699_977_600_000_i64, "the day in GMT+8");
    let found = caller
        .query_of(
            "SalesOrderProductObj",
            json!({"orders": [{"fieldName": "_id", "isAsc": true}],
            "filters": [{"field_name": "order_id", "operator": "IN", "field_values": [id]}]}),
        )
        .await;
    let found: Vec<Value> = found["data"]["dataList"].as_array().unwrap().clone();
    assert_eq!(found.iter().map(|line| line["_id"].as_str().unwrap()).collect::<Vec<_>>(), lines);
    assert_eq!((&found[1]["product_id"], &found[1]["quantity"]), (&json!(products[1]), &json!("2.0000")));
    // A line has a life of its own, and its master's stamp does not move with it.
    let stamp = master["last_modified_time"].clone();
    door.set_clock(Some(stamp.as_i64().unwrap() + 60_000));
    let change = json!({"_id": lines[0], "quantity": "7"});
    assert_eq!(caller.write("update", "SalesOrderProductObj", change).await["errorCode"], 0);
    let more = json!({"order_id": id, "product_id": products[0], "quantity": "1"});
    let more = caller.write("create", "SalesOrderProductObj", more).await;
    assert_eq!(more["errorCode"], 0, "{more}");
    assert_eq!(caller.end("invalid", "SalesOrderProductObj", &lines[1]).await["errorCode"], 0);
    assert_eq!(caller.end("delete", "SalesOrderProductObj", &lines[1]).await["errorCode"], 0);
    let document = door.document("SalesOrderObj", &id).unwrap();
    assert_eq!(document["last_modified_time"], stamp);
    let quantities: Vec<&Value> = document["details"]["SalesOrderProductObj"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| &line["quantity"])
        .collect();
    assert_eq!(quantities, ["7.0000", "1.0000"]);
    let moved = json!({"_id": lines[0], "order_id": quiet["dataId"]});
    assert_ne!(caller.write("update", "SalesOrderProductObj", moved).await["errorCode"], 0);
}

#[tokio::test]
async fn what_refers_to_nothing_is_refused_and_leaves_nothing_behind() {
    let (_simulator, caller, door, account, products) = scene().await;
    let nobody = "0".repeat(24);
    let refused = make(&caller, order(&nobody, &products)).await;
    assert_eq!(refused["errorCode"], 40010);
    assert!(refused["errorMessage"].as_str().unwrap().contains("account_id"), "{refused}");
    let refused = make(&caller, order(&account, &[products[0].clone(), nobody.clone()])).await;
    assert!(refused["errorMessage"].as_str().unwrap().contains("product_id"), "{refused}");
    assert_eq!((door.count("SalesOrderObj"), door.count("SalesOrderProductObj")), (0, 0));
    let alone = json!({"order_id": nobody, "product_id": products[0]});
    let refused = caller.write("create", "SalesOrderProductObj", alone).await;
    assert!(refused["errorMessage"].as_str().unwrap().contains("order_id"), "{refused}");
    let alone = json!({"product_id": products[0]});
    assert_eq!(caller.write("create", "SalesOrderProductObj", alone).await["errorCode"], 10006);
    let mut wrong = order(&account, &products);
    wrong["details"] = json!({"DeliveryNoteProductObj": [{"product_id": products[0]}]});
    assert_eq!(make(&caller, wrong).await["errorCode"], 10006, "these are no lines of an order");
    let contact = json!({"name": "Wang", "account_id": nobody});
    assert_eq!(caller.write("create", "ContactObj", contact).await["errorCode"], 40010);
    let (id, _) = ids(&make(&caller, order(&account, &products)).await);
    let change = json!({"_id": id, "account_id": nobody});
    assert_eq!(caller.write("update", "SalesOrderObj", change).await["errorCode"], 40010);
    let unknown = json!({"_id": id, "no_such_field": "1"});
    assert_ne!(caller.write("update", "SalesOrderObj", unknown).await["errorCode"], 0);
}

#[tokio::test]
async fn a_master_goes_with_its_lines_and_what_is_needed_stays() {
    let (_simulator, caller, door, account, products) = scene().await;
    let (id, lines) = ids(&make(&caller, order(&account, &products)).await);
    for (object, needed) in [("AccountObj", &account), ("ProductObj", &products[1])] {
        let refused = caller.end("invalid", object, needed).await;
        assert_eq!(refused["errorCode"], 40010, "{object}: {refused}");
        assert_eq!(door.record(object, needed).unwrap()["life_status"], "normal");
    }
    let note = json!({"sales_order_id": id, "delivery_date": 1_700_000_000_000_i64});
    let note = caller.write("create", "DeliveryNoteObj", note).await["dataId"].clone();
    let note = note.as_str().unwrap();
    let shipped = json!({"delivery_note_id": note, "product_id": products[0], "delivery_num": "2"});
    assert_eq!(caller.write("create", "DeliveryNoteProductObj", shipped).await["errorCode"], 0);
    assert_eq!(caller.end("invalid", "SalesOrderObj", &id).await["errorCode"], 40010, "a note needs it");
    assert_eq!(caller.end("invalid", "DeliveryNoteObj", note).await["errorCode"], 0);
    assert_eq!(caller.end("delete", "DeliveryNoteObj", note).await["errorCode"], 0);
    assert_eq!(door.count("DeliveryNoteProductObj"), 0);
    assert_eq!(caller.end("invalid", "SalesOrderObj", &id).await["errorCode"], 0);
    assert_eq!(door.record("SalesOrderProductObj", &lines[0]).unwrap()["life_status"], "invalid");
    assert_eq!(caller.query_of("SalesOrderProductObj", json!({})).await["data"]["total"], 0);
    assert_eq!(caller.end("recover", "SalesOrderObj", &id).await["errorCode"], 0);
    assert_eq!(caller.query_of("SalesOrderProductObj", json!({})).await["data"]["total"], 2);
    assert_eq!(caller.end("invalid", "SalesOrderObj", &id).await["errorCode"], 0);
    assert_eq!(caller.end("delete", "SalesOrderObj", &id).await["errorCode"], 0);
    assert_eq!(door.count("SalesOrderProductObj"), 0);
    assert_eq!(caller.end("invalid", "AccountObj", &account).await["errorCode"], 0);
}

#[tokio::test]
async fn describe_names_types_and_targets() {
    let (_simulator, caller, ..) = scene().await;
    for (object, field, kind, target) in [
        ("SalesOrderObj", "account_id", "object_reference", json!("AccountObj")),
        ("SalesOrderObj", "order_time", "date_time", Value::Null),
        ("SalesOrderObj", "delivery_date", "date", Value::Null),
        ("SalesOrderProductObj", "order_id", "master_detail", json!("SalesOrderObj")),
        ("SalesOrderProductObj", "product_id", "object_reference", json!("ProductObj")),
        ("SalesOrderProductObj", "quantity", "number", Value::Null),
        ("DeliveryNoteObj", "sales_order_id", "object_reference", json!("SalesOrderObj")),
        ("DeliveryNoteProductObj", "delivery_note_id", "master_detail", json!("DeliveryNoteObj")),
        ("ProductObj", "price", "currency", Value::Null),
        ("ContactObj", "account_id", "object_reference", json!("AccountObj")),
        ("AccountObj", "parent_account_id", "object_reference", json!("AccountObj")),
    ] {
        let mut body = caller.body(Value::Null);
        body["apiName"] = json!(object);
        let described = caller.post("/cgi/crm/v2/object/describe", body).await.unwrap();
        let found = &described["data"]["describe"]["fields"][field];
        assert_eq!((&found["type"], &found["target_api_name"]), (&json!(kind), &target), "{object}.{field}");
    }
}

#[tokio::test]
async fn a_lost_answer_leaves_the_whole_order_made() {
    let (_simulator, caller, door, account, products) = scene().await;
    door.add_fault(fault("lost-answer@create"));
    assert!(caller.call("create", order(&account, &products)).await.is_err());
    assert_eq!((door.count("SalesOrderObj"), door.count("SalesOrderProductObj")), (1, 2));
    door.add_fault(fault("late-commit:2s@create"));
    door.set_clock(Some(1_700_000_000_000));
    assert!(caller.call("create", order(&account, &products)).await.is_err());
    assert_eq!((door.count("SalesOrderObj"), door.count("SalesOrderProductObj")), (1, 2));
    door.set_clock(Some(1_700_000_002_000));
    assert_eq!((door.count("SalesOrderObj"), door.count("SalesOrderProductObj")), (2, 4));
}
