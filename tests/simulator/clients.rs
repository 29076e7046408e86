//! Foreign clients, unchanged, against the simulators: what they see, and what they leave behind.

use std::{path::Path, process::Command};

use rowtwin::simulator::{
    Kind, Options, Simulator,
    credentials::{fxiaoke as fx, kingdee as kd},
};
use serde_json::{Value, json};

use crate::callers::{parse, start};

const FXIAOKE: [&str; 3] = ["fxiaoke-python==0.0.3", "requests==2.34.2", "six==1.17.0"];
const KINGDEE: [&str; 2] = ["kingdee.cdp.webapi.sdk==8.2.0", "requests==2.34.2"];

/// Runs a foreign client's script in its own environment and gives what it printed. The script is Python (`.py`) or, for
/// packages of npm, JavaScript that says `require` (`.cjs`).
pub(crate) async fn foreign(
    name: &'static str,
    script: &'static str,
    packages: &'static [&'static str],
    arguments: Vec<String>,
) -> Value {
    let ran = tokio::task::spawn_blocking(move || {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let installer = if script.ends_with(".py") { "scripts/python.sh" } else { "scripts/node.sh" };
        let found = Command::new(root.join(installer)).arg(name).args(packages).output().unwrap();
        assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
        let program = String::from_utf8(found.stdout).unwrap();
        let modules = Path::new(program.trim()).parent().unwrap().join("node_modules");
        let script = root.join("tests/clients").join(script);
        Command::new(program.trim()).arg(script).args(arguments).env("NODE_PATH", modules).output().unwrap()
    });
    let ran = ran.await.unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let printed = String::from_utf8(ran.stdout).unwrap();
    parse(printed.lines().last().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_fxiaoke_client_works_unchanged() {
    let simulator = Simulator::start(Kind::Fxiaoke, Options::default()).await.unwrap();
    let door = simulator.door();
    let ids = door.insert_many("AccountObj", (0..250).map(|n| json!({"name": format!("客户 {n:03}")})));
    let base = simulator.base_url();
    let arguments = [base.as_str(), fx::APP_ID, fx::APP_SECRET, fx::PERMANENT_CODE, fx::OPEN_USER_ID];
    let arguments = arguments.map(str::to_owned).to_vec();
    let seen = foreign("fxiaoke", "fxiaoke_client.py", &FXIAOKE, arguments).await;
    assert_eq!(seen["all"], json!(ids), "250 records over three pages");
    assert_eq!(seen["filtered"], json!(["客户 007"]));
    assert!(seen["fields"].as_array().unwrap().contains(&json!("last_modified_time")));
    let created = door.record("AccountObj", seen["created"].as_str().unwrap()).unwrap();
    assert_eq!(created["name"], "上海某某公司");
    assert_eq!(created["field_credit__c"], "10.01");
    assert_eq!(created["created_by"], json!(["1000"]));
    assert_eq!(seen["got"], Value::Object(created));
    assert_eq!(seen["custom"], json!([seen["custom_id"]]));
    assert!(seen["missing"].as_str().unwrap().contains("errorCode"), "{}", seen["missing"]);
    let calls = door.calls();
    assert_eq!(calls.iter().filter(|call| call.operation == "token").count(), 1, "one token serves the run");
    assert_eq!(calls.iter().filter(|call| call.operation == "query").count(), 6);
    let create = calls.iter().find(|call| call.operation == "create").unwrap();
    assert_eq!(create.fields_sent, ["name", "tel", "field_credit__c"]);
    let order = &seen["order"];
    assert_eq!(seen["lines"], json!([[order, "2.0000", "9.50"], [order, "3.0000", "1.25"]]));
    let create = calls.iter().rfind(|call| call.operation == "create").unwrap();
    assert_eq!((create.object.as_str(), create.lines_sent), ("SalesOrderObj", 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_vendors_kingdee_sdk_works_unchanged() {
    let simulator = start(Kind::KingdeeK3cloud).await;
    let door = simulator.door();
    let records = (0..250).map(|n| json!({"FNumber": format!("K{n:03}"), "FName": format!("客户 {n:03}")}));
    let ids = door.insert_many("BD_Customer", records);
    let ids: Vec<u64> = ids.iter().map(|id| id.parse().unwrap()).collect();
    let base = simulator.base_url();
    let arguments = [base.as_str(), kd::ACCT_ID, kd::USER, kd::APP_ID, kd::APP_SECRET];
    let arguments = arguments.map(str::to_owned).to_vec();
    let seen = foreign("kingdee", "kingdee_client.py", &KINGDEE, arguments).await;
    assert_eq!(seen["centres"][0]["Id"], kd::ACCT_ID);
    assert_eq!(seen["pages"], json!([ids[..100], ids[100..200], ids[200..]]));
    assert_eq!(seen["saved"]["ResponseStatus"]["IsSuccess"], true);
    let saved = door.record("BD_Customer", &seen["saved"]["Id"].to_string()).unwrap();
    assert_eq!(saved["FName"], "上海某某公司");
    assert_eq!(saved["F_RT_Credit"].to_string(), "10.01");
    assert_eq!((&saved["FDocumentStatus"], &saved["FForbidStatus"]), (&json!("D"), &json!("B")));
    let again = &seen["again"]["ResponseStatus"];
    assert_eq!(again["Errors"][0]["Message"], "违反字段唯一性要求：编码唯一。[SDK1]在当前系统中已经被使用。");
    let batch = &seen["batch"]["ResponseStatus"];
    let indexes =
        |list: &Value| list.as_array().unwrap().iter().map(|e| e["DIndex"].clone()).collect::<Value>();
    assert_eq!(batch["IsSuccess"], false);
    assert_eq!(indexes(&batch["SuccessEntitys"]), json!([0, 2]));
    assert_eq!(indexes(&batch["Errors"]), json!([1]));
    assert_eq!(seen["later"]["ResponseStatus"]["IsSuccess"], true);
    assert_eq!(seen["view"]["Name"], json!([{"Key": 2052, "Value": "上海某某公司"}]));
    assert_eq!(seen["view"]["Number"], "SDK1");
    assert_eq!(seen["objects"], json!([{"FNumber": "SDK1", "FName": "上海某某公司"}]));
    let row = &seen["bad_field"][0][0]["Result"]["ResponseStatus"];
    assert_eq!(row["Errors"][0]["Message"], "元数据中标识为FID的字段不存在");
    for (step, well) in [
        ("submit", true),
        ("audit", true),
        ("audited", false),
        ("delete_audited", false),
        ("unaudit", true),
        ("forbid", true),
        ("deleted", true),
    ] {
        assert_eq!(seen[step]["IsSuccess"], well, "{step}: {}", seen[step]);
    }
    assert_eq!(seen["audited"]["Errors"][0]["Message"], "单据已审核，不允许修改");
    assert!(seen["keys"].as_array().unwrap().contains(&json!("FTRADINGCURRID")));
    let lost = &seen["wrong_secret"]["Result"]["ResponseStatus"];
    assert_eq!(
        (&lost["MsgCode"], &lost["Errors"][0]["Message"]),
        (&json!(1), &json!("会话信息已丢失，请重新登录"))
    );
    assert_eq!(door.count("BD_Customer"), 250 + 1 + 2 + 1 - 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_vendors_kingdee_sdk_takes_an_order_through_its_life() {
    let simulator = start(Kind::KingdeeK3cloud).await;
    let door = simulator.door();
    door.insert("BD_Customer", json!({"FNumber": "CUST1", "FName": "Acme"}));
    door.insert_many("BD_MATERIAL", ["M1", "M2"].map(|number| json!({"FNumber": number, "FName": number})));
    let base = simulator.base_url();
    let arguments = [base.as_str(), kd::ACCT_ID, kd::USER, kd::APP_ID, kd::APP_SECRET];
    let arguments = arguments.map(str::to_owned).to_vec();
    let seen = foreign("kingdee", "kingdee_order_client.py", &KINGDEE, arguments).await;
    let (order, entries) = (&seen["saved"]["Id"], &seen["entries"]);
    assert_eq!(seen["saved"]["NeedReturnData"][0]["FBillNo"], "SDK-1");
    for (step, well) in [
        ("submit", true),
        ("audit", true),
        ("audited", false),
        ("unaudit", true),
        ("changed", true),
        ("submit_again", true),
        ("audit_again", true),
    ] {
        assert_eq!(seen[step]["IsSuccess"], well, "{step}: {}", seen[step]);
    }
    assert_eq!(seen["audited"]["Errors"][0]["Message"], "单据已审核，不允许修改");
    // Only the field that was named has changed, of the line that was named.
    let lines = json!([
        [order, "D", entries[0], 1, "M1", parse("2.0000"), parse("9.500000")],
        [order, "D", entries[1], 2, "M2", parse("5.0000"), parse("1.250000")],
    ]);
    assert_eq!(seen["lines"], plain(&lines));
    let notice = seen["notice"].as_array().unwrap();
    let rows: Vec<Value> = notice.iter().map(|row| json!([row[0], row[1], row[3], row[4], row[5]])).collect();
    let id = &seen["notice_id"];
    assert_eq!(
        json!(rows),
        plain(&json!([
            [id, "CUST1", "M1", parse("2.0"), "SDK-1"],
            [id, "CUST1", "M2", parse("3.0"), "SDK-1"]
        ]))
    );
    let view = &seen["view"];
    assert_eq!((&view["DocumentStatus"], &view["CustId"]["Number"]), (&json!("C"), &json!("CUST1")));
    let shown: Vec<Value> =
        view["SaleOrderEntry"].as_array().unwrap().iter().map(|line| line["Id"].clone()).collect();
    assert_eq!(&json!(shown), entries);
    assert_eq!(door.calls_of("Save", "SAL_SaleOrder"), 3);
    let saves: Vec<_> = door.calls().into_iter().filter(|call| call.operation == "Save").collect();
    assert_eq!((saves[0].lines_sent, saves[2].lines_sent), (2, 1));
}

/// Numbers as the client's own language writes them.
pub(crate) fn plain(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Number(number) if number.to_string().contains('.') => json!(number.as_f64().unwrap()),
        other => other.clone(),
    }
}
