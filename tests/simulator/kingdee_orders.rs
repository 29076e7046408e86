//! Kingdee's orders and delivery notices: lines by their ids, options of a save, steps of many bills, references.

use rowtwin::simulator::{Door, Kind, Simulator};
use serde_json::{Value, json};

use crate::callers::{Kingdee, fault, start};

const ORDER: &str = "SAL_SaleOrder";

/// An ERP with one customer and three materials.
async fn scene() -> (Simulator, Kingdee, Door) {
    let simulator = start(Kind::KingdeeK3cloud).await;
    let caller = Kingdee::sign_in(&simulator).await;
    let door = simulator.door();
    door.insert("BD_Customer", json!({"FNumber": "C1", "FName": "Acme"}));
    door.insert_many("BD_MATERIAL", ["M1", "M2", "M3"].map(|n| json!({"FNumber": n, "FName": n})));
    (simulator, caller, door)
}

fn line(material: &str, quantity: u32) -> Value {
    json!({"FMaterialId": {"FNumber": material}, "FQty": quantity})
}

fn order(number: &str, lines: &[Value]) -> Value {
    json!({"FBillNo": number, "FCustId": {"FNumber": "C1"}, "FSaleOrderEntry": lines})
}

impl Kingdee {
    async fn save(&self, model: Value, options: Value) -> Value {
        let mut data = json!({"Model": model, "NeedReturnFields": ["FSaleOrderEntry.FEntryID"]});
        data.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        self.call_of(ORDER, "Save", data).await["Result"].clone()
    }
}

/// The id and the ids of the lines of a saved bill.
fn ids(saved: &Value) -> (u64, Vec<u64>) {
    assert_eq!(saved["ResponseStatus"]["IsSuccess"], true, "{saved}");
    let lines = saved["NeedReturnData"][0]["FSaleOrderEntry"].as_array().unwrap();
    (saved["Id"].as_u64().unwrap(), lines.iter().map(|line| line["FEntryID"].as_u64().unwrap()).collect())
}

/// Material and quantity of each line, with its number.
fn lines(door: &Door, id: u64) -> Vec<(u64, String, String)> {
    let bill = door.document(ORDER, &id.to_string()).unwrap();
    let one = |line: &Value| {
        let material = line["FMaterialId"]["FNumber"].as_str().unwrap_or("").to_owned();
        (line["FSeq"].as_u64().unwrap(), material, line["FQty"].to_string())
    };
    bill["FSaleOrderEntry"].as_array().unwrap().iter().map(one).collect()
}

fn expected(lines: &[(u64, &str, &str)]) -> Vec<(u64, String, String)> {
    lines.iter().map(|(seq, material, qty)| (*seq, (*material).to_owned(), (*qty).to_owned())).collect()
}

#[tokio::test]
async fn lines_are_known_by_their_ids_and_options_say_which_go() {
    let (simulator, _, door) = scene().await;
    door.set_clock(Some(1_700_000_000_000));
    let caller = Kingdee::sign_in(&simulator).await;
    let (first, a) = ids(&caller.save(order("A", &[line("M1", 1), line("M2", 2)]), json!({})).await);
    let (second, b) = ids(&caller.save(order("B", &[line("M1", 1)]), json!({})).await);
    let mut all = [a.clone(), b.clone()].concat();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 3, "ids of lines are unique over the form");
    let stamp = |id: u64| door.record(ORDER, &id.to_string()).unwrap()["FModifyDate"].clone();
    let before = stamp(first);
    door.set_clock(Some(1_700_000_060_000));
    // One line changed and one added; the one that was not sent stays.
    let change = json!({"FID": first, "FSaleOrderEntry": [{"FEntryID": a[1], "FQty": 9}, line("M3", 3)]});
    let saved = caller.save(change, json!({"IsDeleteEntry": "false"})).await;
    let (_, now) = ids(&saved);
    assert_eq!(now[..2], a[..]);
    assert_eq!(
        lines(&door, first),
        expected(&[(1, "M1", "1.0000"), (2, "M2", "9.0000"), (3, "M3", "3.0000")])
    );
    assert_ne!(stamp(first), before, "a changed line is a changed bill");
    // Without the fields of the line in the list, its change is ignored; without the detail table's key, the lines are.
    let change = json!({"FID": first, "FNote": "n", "FSaleOrderEntry": [{"FEntryID": a[1], "FQty": 10}]});
    for only in [json!(["FNote"]), json!(["FNote", "FQty"]), json!(["FNote", "FSaleOrderEntry"])] {
        let options = json!({"NeedUpDateFields": only, "IsDeleteEntry": "false"});
        ids(&caller.save(change.clone(), options).await);
        assert_eq!(lines(&door, first)[1].2, "9.0000", "{only}");
    }
    // A new line under such a list has the listed fields only.
    let change = json!({"FID": first, "FSaleOrderEntry": [line("M1", 4)]});
    let only = json!({"NeedUpDateFields": ["FSaleOrderEntry", "FQty"], "IsDeleteEntry": "false"});
    let refused = caller.save(change, only).await;
    assert_eq!(refused["ResponseStatus"]["Errors"][0]["Message"], "单据体“订单明细”第1行字段“物料”是必填项");
    // By default what is not sent goes, and the numbers close up.
    let change = json!({"FID": first, "FSaleOrderEntry": [{"FEntryID": now[2]}, {"FEntryID": now[0]}]});
    ids(&caller.save(change, json!({})).await);
    assert_eq!(lines(&door, first), expected(&[(1, "M1", "1.0000"), (2, "M3", "3.0000")]));
    // The line of another bill is not a line of this one, nor is one that is gone.
    for id in [b[0], now[1]] {
        let change = json!({"FID": first, "FSaleOrderEntry": [{"FEntryID": id, "FQty": 1}]});
        let refused = caller.save(change, json!({"IsDeleteEntry": "false"})).await;
        assert_eq!(refused["ResponseStatus"]["Errors"][0]["FieldName"], "FEntryID", "{refused}");
    }
    assert_eq!(lines(&door, second).len(), 1);
    assert_eq!(lines(&door, first).len(), 2);
}

#[tokio::test]
async fn a_batch_gives_the_line_ids_of_each_bill_and_refuses_one_whole() {
    let (_simulator, caller, door) = scene().await;
    let models = [
        order("A", &[line("M1", 1), line("M2", 2)]),
        order("B", &[line("M1", 1), line("NONE", 2)]),
        json!({"FCustId": {"FNumber": "NOBODY"}, "FSaleOrderEntry": [line("M1", 1)]}),
        json!({"FSaleOrderEntry": [line("M1", 1)]}),
        order("E", &[json!({"FQty": 1})]),
        order("F", &[json!({"FMaterialId": {"FNumber": "M1"}, "FNoSuchField": 1})]),
        order("G", &[json!({"FMaterialId": {"FNumber": "M1"}, "F_RT_Line": "x"})]),
    ];
    let data = json!({"Model": models, "IsVerifyBaseDataField": "true",
        "NeedReturnFields": ["FBillNo", "FSaleOrderEntry.FEntryID", "FSaleOrderEntry.FSeq"]});
    let answer = caller.call_of(ORDER, "BatchSave", data).await["Result"].clone();
    let status = &answer["ResponseStatus"];
    let errors: Vec<(&Value, &Value)> =
        status["Errors"].as_array().unwrap().iter().map(|e| (&e["DIndex"], &e["FieldName"])).collect();
    assert_eq!(
        json!(errors),
        json!([[1, "FMaterialId"], [2, "FCustId"], [3, "FCustId"], [4, "FMaterialId"], [5, "FNoSuchField"]])
    );
    assert_eq!(status["SuccessEntitys"][1]["DIndex"], 6);
    let returned = answer["NeedReturnData"].as_array().unwrap();
    assert_eq!((&returned[0]["FBillNo"], &returned[1]), (&json!("A"), &json!({})));
    assert_eq!(returned[0]["FSaleOrderEntry"][1]["FSeq"], 2);
    assert_eq!(door.count(ORDER), 2, "a refused bill leaves nothing behind");
    assert_eq!(door.calls().last().unwrap().lines_sent, 9);
    // Without the check an unknown number is stored as nothing.
    let (id, _) = ids(&caller.save(order("L", &[line("NONE", 1)]), json!({})).await);
    assert_eq!(lines(&door, id), expected(&[(1, "", "1.0000")]));
    // A fault refuses whole bills too.
    door.add_fault(fault("partial-batch@BatchSave"));
    let data = json!({"Model": [order("P", &[line("M1", 1)]), order("Q", &[line("M1", 1)])]});
    let answer = caller.call_of(ORDER, "BatchSave", data).await["Result"].clone();
    assert_eq!(answer["ResponseStatus"]["Errors"][0]["DIndex"], 1);
    assert_eq!(door.count(ORDER), 4);
}

#[tokio::test]
async fn steps_of_many_bills_can_succeed_in_part() {
    let (simulator, caller, door) = scene().await;
    let mut bills = Vec::new();
    for number in ["A", "B", "C", "D"] {
        bills.push(ids(&caller.save(order(number, &[line("M1", 1)]), json!({})).await).0);
    }
    let comma = |ids: &[u64]| json!({"Ids": ids.iter().map(u64::to_string).collect::<Vec<_>>().join(",")});
    let step = async |method: &str, ids: &[u64]| {
        let answer = caller.call_of(ORDER, method, comma(ids)).await;
        let status = answer["Result"]["ResponseStatus"].clone();
        let of = |list: &str| -> Vec<u64> {
            status[list].as_array().unwrap().iter().map(|e| e["DIndex"].as_u64().unwrap()).collect()
        };
        (of("SuccessEntitys"), of("Errors"))
    };
    let states = |bills: &[u64]| -> Vec<String> {
        let of = |id: &u64| door.record(ORDER, &id.to_string()).unwrap()["FDocumentStatus"].to_string();
        bills.iter().map(of).collect()
    };
    assert_eq!(step("Submit", &[bills[0], 7, bills[1]]).await, (vec![0, 2], vec![1]));
    assert_eq!(step("Audit", &bills).await, (vec![0, 1], vec![2, 3]));
    let refused = caller.save(json!({"FID": bills[0], "FNote": "x"}), json!({})).await;
    assert_eq!((&refused["ResponseStatus"]["MsgCode"], &refused["Id"]), (&json!(12), &json!("")));
    assert_eq!(step("Delete", &bills[1..3]).await, (vec![1], vec![0]));
    bills.remove(2);
    assert_eq!(step("UnAudit", &bills[..2]).await, (vec![0, 1], vec![]));
    assert_eq!(step("Submit", &bills).await, (vec![0, 1, 2], vec![]));
    assert_eq!(step("CancelAssign", &bills[..1]).await, (vec![0], vec![]));
    assert_eq!(states(&bills), ["\"D\"", "\"B\"", "\"B\""]);
    // Faults strike inside of a step, too.
    door.add_fault(fault("partial-batch@Audit"));
    assert_eq!(step("Audit", &bills[1..]).await, (vec![0], vec![1]));
    door.add_fault(fault("token-expired@CancelAssign"));
    let lost = caller.call_of(ORDER, "CancelAssign", comma(&[bills[2], bills[1]])).await;
    assert_eq!(lost["Result"]["ResponseStatus"]["MsgCode"], 1);
    assert_eq!(states(&bills), ["\"D\"", "\"C\"", "\"D\""], "the first half is done");
    let caller = Kingdee::sign_in(&simulator).await;
    let whole = caller.save(order("W", &[line("M1", 1)]), json!({"IsAutoSubmitAndAudit": "true"})).await;
    assert_eq!(door.record(ORDER, &ids(&whole).0.to_string()).unwrap()["FDocumentStatus"], "C");
}

#[tokio::test]
async fn a_list_has_a_row_for_each_line_and_pages_count_them() {
    let (_simulator, caller, _door) = scene().await;
    let mut bills = Vec::new();
    for number in ["A", "B", "C"] {
        bills.push(ids(&caller
            .save(order(number, &[line("M1", 1), line("M2", 2), line("M3", 3)]), json!({}))
            .await));
    }
    let mut rows = Vec::new();
    loop {
        let data = json!({"FormId": ORDER, "FieldKeys": "FID,FSaleOrderEntry_FEntryID,FSeq,FBillNo",
            "FilterString": format!("FID in ({},{})", bills[0].0, bills[2].0),
            "OrderString": "FID ASC, FSaleOrderEntry_FEntryID ASC", "StartRow": rows.len(), "Limit": 2});
        let body = json!({ "data": data }).to_string();
        let page = caller.post("DynamicFormService.ExecuteBillQuery", body).await.as_array().unwrap().clone();
        let size = page.len();
        rows.extend(page);
        if size < 2 {
            break;
        }
    }
    let wanted: Vec<Value> = [(&bills[0], "A"), (&bills[2], "C")]
        .iter()
        .flat_map(|((id, lines), number)| {
            lines.iter().enumerate().map(move |(at, line)| json!([id, line, at + 1, number]))
        })
        .collect();
    assert_eq!(rows, wanted);
    let heads = caller.query(ORDER, "FID,FBillNo,FCustId.FNumber", "FBillNo<>'B'").await;
    assert_eq!(
        heads.as_array().unwrap().len(),
        2,
        "keys of the head alone give one row for each bill: {heads}"
    );
    let wrong = caller.query(ORDER, "FID,FNoSuchField", "").await;
    assert_eq!(wrong[0][0]["Result"]["ResponseStatus"]["MsgCode"], 9);
    let data = json!({"data": {"FormId": ORDER}}).to_string();
    let info = caller.post("DynamicFormService.QueryBusinessInfo", data).await;
    let entries = info["Result"]["NeedReturnData"]["Entrys"].as_array().unwrap().clone();
    let details: Vec<&Value> =
        entries.iter().filter(|e| e["ParentKey"].is_null()).map(|e| &e["Key"]).collect();
    assert_eq!(details, ["FBillHead", "FSaleOrderEntry"]);
    let material = entries.last().unwrap()["Fields"][2].clone();
    assert_eq!(
        (&material["Key"], &material["LookUpObjectFormId"]),
        (&json!("FMaterialId"), &json!("BD_MATERIAL"))
    );
}

#[tokio::test]
async fn what_an_order_needs_cannot_be_deleted() {
    let (_simulator, caller, door) = scene().await;
    let (id, _) = ids(&caller.save(order("A", &[line("M1", 1)]), json!({})).await);
    let delete = async |form: &str, number: &str| {
        let answer = caller.call_of(form, "Delete", json!({"Numbers": [number]})).await;
        answer["Result"]["ResponseStatus"]["IsSuccess"].clone()
    };
    assert_eq!(delete("BD_Customer", "C1").await, false);
    assert_eq!(delete("BD_MATERIAL", "M1").await, false);
    assert_eq!(delete("BD_MATERIAL", "M2").await, true);
    caller.call_of(ORDER, "Delete", json!({"Ids": id.to_string()})).await;
    assert_eq!(door.count(ORDER), 0);
    assert_eq!(delete("BD_Customer", "C1").await, true);
    assert_eq!(delete("BD_MATERIAL", "M1").await, true);
}

#[tokio::test]
async fn only_an_audited_order_is_pushed_and_a_lost_answer_leaves_its_notice() {
    let (_simulator, caller, door) = scene().await;
    let (id, entries) = ids(&caller.save(order("A", &[line("M1", 1), line("M2", 2)]), json!({})).await);
    let push = |more: Value| {
        let mut data = json!({"Ids": id.to_string(), "TargetFormId": "SAL_DELIVERYNOTICE", "RuleId": "R"});
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"formid": ORDER, "data": data}).to_string()
    };
    let refused = caller.post("DynamicFormService.Push", push(json!({}))).await;
    for status in ["ConvertResponseStatus", "ResponseStatus"] {
        assert_eq!(refused["Result"][status]["IsSuccess"], false, "{refused}");
    }
    for step in ["Submit", "Audit"] {
        caller.call_of(ORDER, step, json!({"Numbers": ["A"]})).await;
    }
    let wrong = caller.post("DynamicFormService.Push", push(json!({"RuleId": ""}))).await;
    assert_eq!(wrong["Result"]["ResponseStatus"]["Errors"][0]["FieldName"], "RuleId");
    let part = push(json!({"EntryIds": entries[1].to_string()}));
    let pushed = caller.post("DynamicFormService.Push", part).await;
    let notice = pushed["Result"]["ResponseStatus"]["SuccessEntitys"][0]["Id"].to_string();
    let notice = door.document("SAL_DELIVERYNOTICE", &notice).unwrap();
    assert_eq!(notice["FDocumentStatus"], "A");
    assert_eq!(notice["FEntity"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&notice["FEntity"][0]["FSrcBillNo"], &notice["FEntity"][0]["FSeq"]),
        (&json!("A"), &json!(1))
    );
    door.add_fault(fault("lost-answer@Push"));
    let url = format!("{}Kingdee.BOS.WebApi.ServicesStub.DynamicFormService.Push.common.kdsvc", caller.base);
    let request = caller.http.post(url).header("kdservice-sessionid", &caller.session);
    assert!(request.body(push(json!({}))).send().await.is_err());
    assert_eq!(door.count("SAL_DELIVERYNOTICE"), 2);
}
