//! The door and documents: what a person does to lines, what became of records, how often was called.

use rowtwin::simulator::{Deed, Kind};
use serde_json::{Value, json};

use crate::callers::{Fxiaoke, Kingdee, parse, start};

#[tokio::test]
async fn a_person_works_on_lines_in_kingdee_and_the_bill_moves() {
    let simulator = start(Kind::KingdeeK3cloud).await;
    let door = simulator.door();
    door.set_clock(Some(1_700_000_000_000));
    let lines = json!([{"FMaterialId": "M1", "FQty": 1}, {"FMaterialId": "M2", "FQty": 2}]);
    let id = door.insert("SAL_SaleOrder", json!({"FCustId": "C1", "FSaleOrderEntry": lines}));
    let bill = || door.document("SAL_SaleOrder", &id).unwrap();
    let line_id = |at: usize| bill()["FSaleOrderEntry"][at]["FEntryID"].to_string();
    let (first, second) = (line_id(0), line_id(1));
    let mut stamps = vec![bill()["FModifyDate"].clone()];
    let mut later = 1_700_000_000_000;
    let mut moved = || {
        stamps.push(bill()["FModifyDate"].clone());
        let [.., before, after] = stamps.as_slice() else { unreachable!() };
        assert_ne!(before, after);
        later += 1_000;
        door.set_clock(Some(later + 1_000));
    };
    door.set_clock(Some(1_700_000_001_000));
    assert!(door.edit_line("SAL_SaleOrder", &id, &second, json!({"FQty": "5", "FEntryID": 1})));
    moved();
    let third = door.add_line("SAL_SaleOrder", &id, json!({"FMaterialId": {"FNumber": "M3"}})).unwrap();
    moved();
    assert!(door.remove_line("SAL_SaleOrder", &id, &first));
    moved();
    let seen: Vec<Value> = bill()["FSaleOrderEntry"].as_array().unwrap().clone();
    let seen: Vec<String> = seen
        .iter()
        .map(|line| format!("{} {} {}", line["FSeq"], line["FEntryID"], line["FMaterialId"]["FNumber"]))
        .collect();
    assert_eq!(seen, [format!("1 {second} \"M2\""), format!("2 {third} \"M3\"")]);
    // Lines that are given with the bill are the whole set.
    let line: Value = parse(&format!("{{\"FEntryID\": {third}, \"FQty\": 8}}"));
    assert!(door.edit("SAL_SaleOrder", &id, json!({"FSaleOrderEntry": [line]})));
    moved();
    assert_eq!(line_id(0), third);
    assert_eq!(bill()["FSaleOrderEntry"].as_array().unwrap().len(), 1);
    assert!(!door.edit_line("SAL_SaleOrder", &id, &first, json!({"FQty": 1})));
    assert!(!door.remove_line("SAL_SaleOrder", "7", &third));
    assert_eq!(door.add_line("SAL_SaleOrder", "7", json!({})), None);
}

#[tokio::test]
async fn a_person_works_on_lines_in_fxiaoke_and_the_master_stays() {
    let simulator = start(Kind::Fxiaoke).await;
    let door = simulator.door();
    door.set_clock(Some(1_700_000_000_000));
    let lines = json!({"SalesOrderProductObj": [{"quantity": "1"}, {"quantity": "2"}]});
    let id = door.insert("SalesOrderObj", json!({"name": "SO-1", "details": lines}));
    let lines = || -> Vec<Value> {
        let document = door.document("SalesOrderObj", &id).unwrap();
        assert_eq!(document["last_modified_time"], 1_700_000_000_000_i64);
        document["details"]["SalesOrderProductObj"].as_array().unwrap().clone()
    };
    let ids: Vec<String> = lines().iter().map(|line| line["_id"].as_str().unwrap().to_owned()).collect();
    door.set_clock(Some(1_700_000_009_000));
    assert!(door.edit_line("SalesOrderObj", &id, &ids[0], json!({"quantity": 7})));
    let third = door.add_line("SalesOrderObj", &id, json!({"quantity": 3})).unwrap();
    assert!(door.remove_line("SalesOrderObj", &id, &ids[1]));
    let seen = lines();
    assert_eq!(
        (&seen[0]["quantity"], &seen[0]["last_modified_time"]),
        (&json!("7.0000"), &json!(1_700_000_009_000_i64))
    );
    assert_eq!((&seen[1]["_id"], &seen[1]["order_id"]), (&json!(third), &json!(id)));
    assert_eq!(seen.len(), 2);
    assert_eq!(door.record("SalesOrderProductObj", &ids[1]), None);
    // Lines that are given with the order are the whole set.
    let set = json!({"SalesOrderProductObj": [{"_id": third, "quantity": 4}, {"quantity": 5}]});
    assert!(door.edit("SalesOrderObj", &id, json!({"details": set})));
    let document = door.document("SalesOrderObj", &id).unwrap();
    let quantities: Vec<&Value> = document["details"]["SalesOrderProductObj"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| &line["quantity"])
        .collect();
    assert_eq!(quantities, ["4.0000", "5.0000"]);
    assert!(!door.edit_line("SalesOrderObj", &id, &ids[0], json!({"quantity": 1})));
    assert_eq!(door.add_line("AccountObj", &id, json!({})), None);
    assert!(door.remove("SalesOrderObj", &id));
    assert_eq!(door.count("SalesOrderProductObj"), 0);
}

#[tokio::test]
async fn effects_tell_in_which_order_records_were_made_and_by_whom() {
    let simulator = start(Kind::KingdeeK3cloud).await;
    let caller = Kingdee::sign_in(&simulator).await;
    let door = simulator.door();
    let material = door.insert("BD_MATERIAL", json!({"FNumber": "M1", "FName": "bolt"}));
    door.forget_calls();
    caller.call("Save", json!({"Model": {"FNumber": "C1", "FName": "Acme"}})).await;
    let model =
        json!({"FCustId": {"FNumber": "C1"}, "FSaleOrderEntry": [{"FMaterialId": {"FNumber": "M1"}}]});
    let saved = caller.call_of("SAL_SaleOrder", "Save", json!({ "Model": model })).await;
    let order = saved["Result"]["Id"].to_string();
    caller.call_of("SAL_SaleOrder", "Submit", json!({ "Ids": order })).await;
    caller.call_of("SAL_SaleOrder", "Delete", json!({ "Ids": order })).await;
    caller.call_of("SAL_SaleOrder", "CancelAssign", json!({ "Ids": order })).await;
    caller.call_of("SAL_SaleOrder", "Delete", json!({ "Ids": order })).await;
    let effects = door.effects();
    let told: Vec<(Deed, &str, &str)> =
        effects.iter().map(|effect| (effect.deed, effect.by.as_str(), effect.object.as_str())).collect();
    assert_eq!(
        told,
        [
            (Deed::Created, "person", "BD_MATERIAL"),
            (Deed::Created, "Save", "BD_Customer"),
            (Deed::Created, "Save", "SAL_SaleOrder"),
            (Deed::Changed, "Submit", "SAL_SaleOrder"),
            (Deed::Changed, "CancelAssign", "SAL_SaleOrder"),
            (Deed::Removed, "Delete", "SAL_SaleOrder"),
        ]
    );
    assert_eq!((&effects[0].id, &effects[2].id), (&material, &order));
    assert!(effects.windows(2).all(|pair| pair[0].seq < pair[1].seq && pair[0].at_ms <= pair[1].at_ms));
    assert_eq!(door.calls_of("Delete", "SAL_SaleOrder"), 2);
    assert_eq!(door.calls_of("Save", "BD_Customer"), 1);
    assert_eq!(door.call_counts().values().sum::<u64>(), 6);
    door.forget_calls();
    assert_eq!(door.calls_of("Save", "BD_Customer"), 0);
    door.forget_effects();
    assert!(door.effects().is_empty());
}

#[tokio::test]
async fn the_door_shows_documents_over_http() {
    let simulator = start(Kind::Fxiaoke).await;
    let caller = Fxiaoke::sign_in(&simulator).await;
    let ring = async |verb: &str, body: Value| {
        let url = format!("{}/{verb}", simulator.door_url());
        let response = caller.http.post(url).body(body.to_string()).send().await.unwrap();
        parse(&response.text().await.unwrap())
    };
    let order = |more: Value| {
        let mut body = json!({"object": "SalesOrderObj"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let fields = json!({"name": "SO", "details": {"SalesOrderProductObj": [{"quantity": 1}]}});
    let id = ring("insert", order(json!({ "fields": fields }))).await["id"].clone();
    let line = ring("add_line", order(json!({"id": id, "fields": {"quantity": 2}}))).await["line"].clone();
    let edit = order(json!({"id": id, "line": line, "fields": {"quantity": 3}}));
    assert_eq!(ring("edit_line", edit).await, json!({"found": true}));
    let document = ring("document", order(json!({ "id": id }))).await["document"].clone();
    assert_eq!(document["details"]["SalesOrderProductObj"][1]["quantity"], "3.0000");
    assert_eq!(ring("remove_line", order(json!({"id": id, "line": line}))).await, json!({"found": true}));
    assert_eq!(ring("remove_line", order(json!({"id": id, "line": line}))).await, json!({"found": false}));
    let counts = ring("call_counts", json!({})).await;
    assert_eq!(counts, json!({"counts": [{"operation": "token", "object": "", "count": 1}]}));
    let effects = ring("effects", json!({})).await;
    let deeds: Vec<&Value> =
        effects["effects"].as_array().unwrap().iter().map(|effect| &effect["deed"]).collect();
    assert_eq!(deeds, ["created", "created", "created", "changed", "removed"]);
    assert_eq!(ring("forget_effects", json!({})).await, json!({"ok": true}));
    assert_eq!(ring("effects", json!({})).await, json!({"effects": []}));
}
