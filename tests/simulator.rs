//! The simulators against foreign clients, and each fault as it is described.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use reqwest::Client;
use rowtwin::simulator::{
    Fault, Kind, Options, Simulator,
    credentials::{fxiaoke as fx, kingdee as kd},
};
use serde_json::{Value, json};

fn http() -> Client {
    // A second call finds the first one's provider in place.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().http1_only().build().unwrap()
}

async fn start(kind: Kind) -> Simulator {
    let options = Options { calls_per_20s: Some(1_000_000), ..Options::default() };
    Simulator::start(kind, options).await.unwrap()
}

fn fault(text: &str) -> Fault {
    text.parse().unwrap()
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A caller of the older Fxiaoke generation.
struct Fxiaoke {
    http: Client,
    base: String,
    token: Value,
}

impl Fxiaoke {
    async fn sign_in(simulator: &Simulator) -> Fxiaoke {
        let mut caller = Fxiaoke { http: http(), base: simulator.base_url(), token: Value::Null };
        caller.renew().await;
        caller
    }

    async fn renew(&mut self) {
        let secret =
            json!({"appId": fx::APP_ID, "appSecret": fx::APP_SECRET, "permanentCode": fx::PERMANENT_CODE});
        let answer = self.post("/cgi/corpAccessToken/get/V2", secret).await.unwrap();
        self.token = answer["corpAccessToken"].clone();
        assert!(self.token.is_string(), "{answer}");
    }

    async fn raw(&self, path: &str, body: Value) -> Result<(u16, Option<String>, String), reqwest::Error> {
        let request = self.http.post(format!("{}{path}", self.base)).body(body.to_string());
        let response = request.send().await?;
        let after = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        Ok((response.status().as_u16(), after, response.text().await?))
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value, reqwest::Error> {
        self.raw(path, body).await.map(|(_, _, text)| parse(&text))
    }

    fn body(&self, data: Value) -> Value {
        json!({"corpAccessToken": self.token, "corpId": fx::CORP_ID, "currentOpenUserId": fx::OPEN_USER_ID, "data": data})
    }

    async fn call(&self, operation: &str, data: Value) -> Result<Value, reqwest::Error> {
        self.post(&format!("/cgi/crm/v2/data/{operation}"), self.body(data)).await
    }

    async fn create(&self, name: &str) -> Result<Value, reqwest::Error> {
        self.call("create", json!({"object_data": {"dataObjectApiName": "AccountObj", "name": name}})).await
    }

    async fn query(&self, search: Value) -> Value {
        let data = json!({"dataObjectApiName": "AccountObj", "search_query_info": search});
        self.call("query", data).await.unwrap()
    }
}

/// A caller of Kingdee with a session.
struct Kingdee {
    http: Client,
    base: String,
    session: String,
}

impl Kingdee {
    async fn sign_in(simulator: &Simulator) -> Kingdee {
        let mut caller = Kingdee { http: http(), base: simulator.base_url(), session: String::new() };
        let body = json!({"parameters": [kd::ACCT_ID, kd::USER, kd::PASSWORD, kd::LCID]}).to_string();
        let answer = caller.post("AuthService.ValidateUser", body).await;
        caller.session = answer["KDSVCSessionId"].as_str().unwrap().to_owned();
        caller
    }

    async fn text(&self, service: &str, body: String) -> String {
        let url = format!("{}Kingdee.BOS.WebApi.ServicesStub.{service}.common.kdsvc", self.base);
        let request = self.http.post(url).header("kdservice-sessionid", &self.session).body(body);
        request.send().await.unwrap().text().await.unwrap()
    }

    async fn post(&self, service: &str, body: String) -> Value {
        parse(&self.text(service, body).await)
    }

    async fn call(&self, method: &str, data: Value) -> Value {
        let body = json!({"formid": "BD_Customer", "data": data}).to_string();
        self.post(&format!("DynamicFormService.{method}"), body).await
    }

    async fn query(&self, form: &str, keys: &str, filter: &str) -> Value {
        let data = json!({"FormId": form, "FieldKeys": keys, "FilterString": filter, "Limit": 2000});
        self.post("DynamicFormService.ExecuteBillQuery", json!({ "data": data }).to_string()).await
    }
}

/// Runs a foreign client's script in its own environment and gives what it printed.
async fn foreign(name: &'static str, packages: &'static [&'static str], arguments: Vec<String>) -> Value {
    let ran = tokio::task::spawn_blocking(move || {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let found = Command::new(root.join("scripts/python.sh")).arg(name).args(packages).output().unwrap();
        assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
        let python = String::from_utf8(found.stdout).unwrap();
        let script = root.join("tests/clients").join(format!("{name}_client.py"));
        Command::new(python.trim()).arg(script).args(arguments).output().unwrap()
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
    let seen =
        foreign("fxiaoke", &["fxiaoke-python==0.0.3", "requests==2.34.2", "six==1.17.0"], arguments).await;
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
    assert_eq!(calls.iter().filter(|call| call.operation == "query").count(), 5);
    let create = calls.iter().find(|call| call.operation == "create").unwrap();
    assert_eq!(create.fields_sent, ["name", "tel", "field_credit__c"]);
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
    let seen = foreign("kingdee", &["kingdee.cdp.webapi.sdk==8.2.0", "requests==2.34.2"], arguments).await;
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

#[tokio::test]
async fn a_lost_answer_leaves_the_change_made() {
    let simulator = start(Kind::Fxiaoke).await;
    let caller = Fxiaoke::sign_in(&simulator).await;
    let door = simulator.door();
    door.add_fault(fault("lost-answer@create"));
    assert!(caller.create("a").await.is_err());
    assert_eq!(door.records("AccountObj")[0]["name"], "a");
    assert_eq!(door.calls().last().unwrap().status, 0);
    assert_eq!(caller.create("b").await.unwrap()["errorCode"], 0, "once only");
}

#[tokio::test]
async fn a_late_commit_shows_only_when_its_time_has_come() {
    let simulator = start(Kind::Fxiaoke).await;
    let door = simulator.door();
    door.set_clock(Some(1_700_000_000_000));
    let caller = Fxiaoke::sign_in(&simulator).await;
    door.add_fault(fault("late-commit:2s@create"));
    assert!(caller.create("late").await.is_err());
    assert_eq!(door.count("AccountObj"), 0);
    door.set_clock(Some(1_700_000_001_999));
    assert_eq!(caller.query(json!({})).await["data"]["total"], 0);
    door.set_clock(Some(1_700_000_002_000));
    assert_eq!(caller.query(json!({})).await["data"]["dataList"][0]["name"], "late");
}

#[tokio::test]
async fn refusing_faults_do_nothing_and_end_after_their_count() {
    let simulator = start(Kind::Fxiaoke).await;
    let caller = Fxiaoke::sign_in(&simulator).await;
    let door = simulator.door();
    let path = "/cgi/crm/v2/data/create";
    let body = caller.body(json!({"object_data": {"dataObjectApiName": "AccountObj", "name": "a"}}));
    door.set_faults(vec![fault("status:503x2")]);
    for _ in 0..2 {
        assert_eq!(caller.raw(path, body.clone()).await.unwrap().0, 503);
    }
    door.set_faults(vec![fault("throttled:20@create")]);
    let (status, after, text) = caller.raw(path, body.clone()).await.unwrap();
    assert_eq!((status, after.as_deref(), &parse(&text)["errorCode"]), (200, Some("20"), &json!(30004)));
    door.set_faults(vec![fault("error:50009")]);
    assert_eq!(caller.create("a").await.unwrap()["errorCode"], 50009);
    door.set_faults(vec![fault("down")]);
    assert!(caller.create("a").await.is_err());
    assert_eq!(door.count("AccountObj"), 0);
    assert!(door.faults().is_empty());
    assert_eq!(caller.create("a").await.unwrap()["errorCode"], 0);
}

#[tokio::test]
async fn an_expired_token_is_refused_until_a_new_one_is_fetched() {
    let simulator = start(Kind::Fxiaoke).await;
    let mut caller = Fxiaoke::sign_in(&simulator).await;
    simulator.door().add_fault(fault("token-expired@create"));
    assert_eq!(caller.create("a").await.unwrap()["errorCode"], 20016);
    assert_eq!(caller.create("a").await.unwrap()["errorCode"], 20016, "it stays expired");
    caller.renew().await;
    assert_eq!(caller.create("a").await.unwrap()["errorCode"], 0);
}

#[tokio::test]
async fn mangled_answers_come_after_the_work_is_done() {
    let simulator = start(Kind::Fxiaoke).await;
    let caller = Fxiaoke::sign_in(&simulator).await;
    let door = simulator.door();
    let path = "/cgi/crm/v2/data/create";
    let body = caller.body(json!({"object_data": {"dataObjectApiName": "AccountObj", "name": "a"}}));
    for (how, is_so) in [
        (
            "truncated",
            (|text| serde_json::from_str::<Value>(text).is_err() && text.starts_with('{'))
                as fn(&str) -> bool,
        ),
        ("html", |text| text.starts_with("<!DOCTYPE html>")),
        ("wrong-type", |text| parse(text).is_string()),
        ("huge", |text| text.len() > 10_000_000 && parse(text).is_object()),
    ] {
        door.set_faults(vec![fault(&format!("malformed:{how}@create"))]);
        let (status, _, text) = caller.raw(path, body.clone()).await.unwrap();
        assert!(status == 200 && is_so(&text), "{how}");
    }
    assert_eq!(door.count("AccountObj"), 4);
}

#[tokio::test]
async fn a_duplicate_page_and_a_slow_answer() {
    let simulator = start(Kind::Fxiaoke).await;
    let caller = Fxiaoke::sign_in(&simulator).await;
    let door = simulator.door();
    door.insert_many("AccountObj", (0..4).map(|n| json!({"name": format!("n{n}")})));
    door.add_fault(fault("duplicate-page@query"));
    let first = caller.query(json!({"limit": 2, "offset": 0})).await;
    assert_eq!(first["data"]["dataList"][0]["name"], "n0", "there was no page yet to repeat");
    let second = caller.query(json!({"limit": 2, "offset": 2})).await;
    assert_eq!(second["data"]["dataList"], first["data"]["dataList"]);
    let third = caller.query(json!({"limit": 2, "offset": 2})).await;
    assert_eq!(third["data"]["dataList"][0]["name"], "n2");
    door.add_fault(fault("slow:300ms@query"));
    let begun = Instant::now();
    caller.query(json!({})).await;
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_simulator_that_is_down_answers_nobody_but_the_door() {
    let simulator = start(Kind::Fxiaoke).await;
    let caller = Fxiaoke::sign_in(&simulator).await;
    let ring = async |verb: &str, body: Value| {
        let url = format!("{}/{verb}", simulator.door_url());
        let response = caller.http.post(url).body(body.to_string()).send().await.unwrap();
        (response.status().as_u16(), parse(&response.text().await.unwrap()))
    };
    assert_eq!(ring("set_down", json!({"down": true})).await.0, 200);
    assert!(caller.create("a").await.is_err());
    assert_eq!(ring("set_down", json!({"down": false})).await.0, 200);
    let id = caller.create("a").await.unwrap()["dataId"].clone();
    let (_, found) = ring("record", json!({"object": "AccountObj", "id": id})).await;
    assert_eq!(found["record"]["name"], "a");
    let (status, refused) = ring("add_fault", json!({"fault": "nonsense"})).await;
    assert!(status == 400 && refused["error"].as_str().unwrap().contains("lost-answer"), "{refused}");
    assert_eq!(ring("calls", json!({})).await.1["calls"][1]["error"], "down");
    simulator.stop().await;
}

#[tokio::test]
async fn the_limit_of_an_interface_is_kept_and_passes_with_its_window() {
    let options = Options { calls_per_20s: Some(2), ..Options::default() };
    let simulator = Simulator::start(Kind::Fxiaoke, options).await.unwrap();
    let door = simulator.door();
    door.set_clock(Some(1_700_000_000_000));
    let caller = Fxiaoke::sign_in(&simulator).await;
    let mut codes = Vec::new();
    for _ in 0..3 {
        codes.push(caller.create("a").await.unwrap()["errorCode"].clone());
    }
    assert_eq!(codes, [json!(0), json!(0), json!(30004)]);
    assert_eq!(caller.query(json!({})).await["errorCode"], 0, "another interface has its own window");
    door.set_clock(Some(1_700_000_020_000));
    assert_eq!(caller.create("a").await.unwrap()["errorCode"], 0);
}

#[tokio::test]
async fn fxiaoke_says_what_the_page_says() {
    let simulator = start(Kind::Fxiaoke).await;
    let door = simulator.door();
    door.set_clock(Some(1_700_000_000_000));
    let caller = Fxiaoke::sign_in(&simulator).await;
    let none = caller.post("/cgi/crm/v2/data/query", json!({})).await.unwrap();
    assert_eq!(none["errorCode"], 20017);
    let unknown = caller.post("/cgi/nothing", json!({})).await.unwrap();
    assert_eq!(unknown["errorCode"], 10006);
    let wrong = json!({"appId": fx::APP_ID, "appSecret": "x", "permanentCode": fx::PERMANENT_CODE});
    let wrong = caller.post("/cgi/corpAccessToken/get/V2", wrong).await.unwrap();
    assert_eq!(wrong["errorMessage"], "the parameter appSecret is missing or illegal");
    assert_eq!(caller.query(json!({"limit": 100, "offset": 10_100})).await["errorCode"], 10013);
    // The same token until 6600 s, with what is left of its life.
    door.set_clock(Some(1_700_000_100_000));
    let secret = json!({"appId": fx::APP_ID, "appSecret": fx::APP_SECRET, "permanentCode": fx::PERMANENT_CODE,
        "grantType": "app_secret"});
    let current = caller.post("/oauth2.0/token?thirdTraceId=1", secret).await.unwrap();
    assert_eq!((&current["accessToken"], &current["expiresIn"]), (&caller.token, &json!(7100)));
    let request = caller.http.post(format!("{}/cgi/crm/v2/data/create?thirdTraceId=2", caller.base));
    let request = request.bearer_auth(current["accessToken"].as_str().unwrap());
    let request = request.header("x-fs-ea", fx::EA).header("x-fs-userid", fx::USER_ID);
    let data =
        json!({"data": {"object_data": {"dataObjectApiName": "AccountObj", "name": "v2", "owner": ["7"]}}});
    let answer = parse(&request.body(data.to_string()).send().await.unwrap().text().await.unwrap());
    let id = answer["dataId"].as_str().unwrap();
    assert_eq!(door.record("AccountObj", id).unwrap()["owner"], json!(["7"]));
    // The owner is left alone, a null clears, and a deletion has two steps.
    let change =
        json!({"object_data": {"dataObjectApiName": "AccountObj", "_id": id, "owner": ["8"], "tel": "1"}});
    assert_eq!(caller.call("update", change).await.unwrap()["errorCode"], 0);
    let change = json!({"object_data": {"dataObjectApiName": "AccountObj", "_id": id, "tel": null}});
    assert_eq!(caller.call("update", change).await.unwrap()["errorCode"], 0);
    let record = door.record("AccountObj", id).unwrap();
    assert_eq!((record.get("tel"), &record["owner"], &record["version"]), (None, &json!(["7"]), &json!("3")));
    let list = json!({"dataObjectApiName": "AccountObj", "idList": [id]});
    assert_ne!(caller.call("delete", list.clone()).await.unwrap()["errorCode"], 0);
    let one = json!({"dataObjectApiName": "AccountObj", "object_data_id": id});
    assert_eq!(caller.call("invalid", one).await.unwrap()["errorCode"], 0);
    assert_eq!(caller.query(json!({})).await["data"]["total"], 0);
    let got = json!({"dataObjectApiName": "AccountObj", "objectDataId": id});
    assert_eq!(caller.call("get", got.clone()).await.unwrap()["data"]["life_status"], "invalid");
    assert_eq!(caller.call("delete", list).await.unwrap()["errorCode"], 0);
    assert_ne!(caller.call("get", got).await.unwrap()["errorCode"], 0);
}

#[tokio::test]
async fn fxiaoke_filters_and_keyset_pages() {
    let simulator = start(Kind::Fxiaoke).await;
    let caller = Fxiaoke::sign_in(&simulator).await;
    let door = simulator.door();
    let records =
        (0..10_000).map(|n| json!({"name": format!("n{n}"), "field_credit__c": n, "last_modified_time": n}));
    let ids = door.insert_many("AccountObj", records);
    let mut after = String::new();
    let mut read = Vec::new();
    let begun = Instant::now();
    loop {
        let data = json!({"dataObjectApiName": "AccountObj", "find_explicit_total_num": false,
            "search_query_info": {"limit": 100, "fieldProjection": ["_id"],
                "orders": [{"fieldName": "_id", "isAsc": true}],
                "filters": [{"field_name": "_id", "operator": "GT", "field_values": [after]}]}});
        let page = caller.call("query", data).await.unwrap()["data"]["dataList"].as_array().unwrap().clone();
        read.extend(page.iter().map(|record| record["_id"].as_str().unwrap().to_owned()));
        match read.last() {
            Some(last) if page.len() == 100 => after = last.clone(),
            _ => break,
        }
    }
    assert_eq!(read, ids);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    for (field, operator, values, total) in [
        ("name", "EQ", json!(["n7"]), 1),
        ("name", "N", json!(["n7"]), 9_999),
        ("name", "IN", json!(["n1", "n2", "no"]), 2),
        ("name", "NIN", json!(["n1", "n2"]), 9_998),
        ("name", "STARTWITH", json!(["n999"]), 11),
        ("name", "LIKE", json!(["N99"]), 111),
        ("field_credit__c", "GTE", json!(["9990"]), 10),
        ("field_credit__c", "LT", json!(["10"]), 10),
        ("field_credit__c", "BETWEEN", json!(["5", "7"]), 3),
        ("last_modified_time", "GT", json!([9_997]), 2),
        ("last_modified_time", "LTE", json!([3]), 4),
        ("tel", "IS", json!([]), 10_000),
        ("tel", "ISN", json!([]), 0),
        ("owner", "EQ", json!(["1001"]), 10_000),
        ("_id", "IN", json!([ids[3], ids[5], "x"]), 2),
    ] {
        let filters = json!([{"field_name": field, "operator": operator, "field_values": values}]);
        let answer = caller.query(json!({"limit": 1, "filters": filters})).await;
        assert_eq!(answer["data"]["total"], total, "{field} {operator}");
    }
}

#[tokio::test]
async fn kingdee_batches_break_where_they_are_told_to() {
    let simulator = start(Kind::KingdeeK3cloud).await;
    let caller = Kingdee::sign_in(&simulator).await;
    let door = simulator.door();
    let batch = |prefix: &str| {
        let models: Vec<Value> =
            (0..4).map(|n| json!({"FNumber": format!("{prefix}{n}"), "FName": "n"})).collect();
        json!({ "Model": models })
    };
    door.add_fault(fault("partial-batch@BatchSave"));
    let answer = caller.call("BatchSave", batch("P")).await;
    let status = &answer["Result"]["ResponseStatus"];
    assert_eq!(status["SuccessEntitys"][1]["DIndex"], 2);
    assert_eq!(status["Errors"][1]["DIndex"], 3);
    assert_eq!(door.count("BD_Customer"), 2);
    door.add_fault(fault("token-expired@create"));
    let answer = caller.call("BatchSave", batch("T")).await;
    assert_eq!(answer["Result"]["ResponseStatus"]["MsgCode"], 1);
    assert_eq!(door.count("BD_Customer"), 4, "the first half is done");
    let lost = caller.query("BD_Customer", "FCUSTID", "").await;
    assert_eq!(
        lost[0][0]["Result"]["ResponseStatus"]["MsgCode"], 1,
        "the session is gone for the next call too"
    );
    let text = caller.text("DynamicFormService.Nothing", "{}".to_owned()).await;
    assert_eq!(parse(&text)["Result"]["ResponseStatus"]["MsgCode"], 1);
    let caller = Kingdee::sign_in(&simulator).await;
    assert!(caller.text("DynamicFormService.Nothing", "{}".to_owned()).await.starts_with("response_error:{"));
    assert!(caller.text("DynamicFormService.Save", "[".to_owned()).await.starts_with("response_error:{"));
}

#[tokio::test]
async fn kingdee_lines_are_rows_and_unsent_lines_are_deleted() {
    let simulator = start(Kind::KingdeeK3cloud).await;
    let caller = Kingdee::sign_in(&simulator).await;
    let door = simulator.door();
    let customer = door.insert("BD_Customer", json!({"FNumber": "C1", "FName": "Acme"}));
    let order = |model: Value, more: Value| {
        let mut data = json!({ "Model": model });
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"formid": "SAL_SaleOrder", "data": data}).to_string()
    };
    let model = json!({"FID": 0, "FDate": "2026-03-01", "FCustId": {"FNumber": "C1"}, "FSaleOrderEntry": [
        {"FMaterialId": {"FNumber": "M1"}, "FQty": 2}, {"FMaterialId": {"FNumber": "M2"}, "FQty": 3}]});
    let saved = caller.post("DynamicFormService.Save", order(model, json!({}))).await;
    let id = saved["Result"]["Id"].clone();
    assert!(id.is_number(), "{saved}");
    let keys = "FID,FDate,FCustId,FCustId.FName,FSaleOrderEntry_FEntryID,FMaterialId.FNumber,FQty";
    let rows = caller.query("SAL_SaleOrder", keys, "FCustId.FNumber='C1' and FQty>=2").await;
    assert_eq!(rows.as_array().unwrap().len(), 2, "{rows}");
    let customer: u64 = customer.parse().unwrap();
    assert_eq!(rows[1][2], customer);
    assert_eq!(
        (&rows[1][1], &rows[1][3], &rows[1][5]),
        (&json!("2026-03-01T00:00:00"), &json!("Acme"), &json!("M2"))
    );
    let line = rows[1][4].clone();
    let change = json!({"FID": id, "FSaleOrderEntry": [{"FEntryID": line, "FQty": 5, "FPrice": 9}]});
    let only = json!({"NeedUpDateFields": ["FSaleOrderEntry", "FQty"], "IsDeleteEntry": "false"});
    caller.post("DynamicFormService.Save", order(change.clone(), only)).await;
    let record = door.record("SAL_SaleOrder", &id.to_string()).unwrap();
    assert_eq!(record["FSaleOrderEntry"].as_array().unwrap().len(), 2);
    assert_eq!(record["FSaleOrderEntry"][1]["FQty"].to_string(), "5.0000");
    assert_eq!(record["FSaleOrderEntry"][1].get("FPrice"), None);
    caller.post("DynamicFormService.Save", order(change, json!({}))).await;
    let record = door.record("SAL_SaleOrder", &id.to_string()).unwrap();
    assert_eq!(record["FSaleOrderEntry"].as_array().unwrap().len(), 1, "unsent lines are deleted by default");
}

#[tokio::test]
async fn kingdee_takes_the_signed_request_of_the_java_sdk() {
    let simulator = start(Kind::KingdeeK3cloud).await;
    let base = simulator.base_url();
    // The golden vector of the vendor's SDK: it is tied to the path and the stamp, not to the host.
    let url = format!("{base}Kingdee.BOS.WebApi.ServicesStub.DynamicFormService.View.common.kdsvc");
    let send = async |signature: &str| {
        let request = http()
            .post(&url)
            .header("Content-Type", "applicatin/json")
            .header("X-Api-ClientID", "204399")
            .header("X-Api-Auth-Version", "2.0")
            .header("x-api-timestamp", "1700000000")
            .header("x-api-nonce", "1700000000")
            .header("x-api-signheaders", "X-Api-TimeStamp,X-Api-Nonce")
            .header("X-Api-Signature", signature)
            .header("X-Kd-Appkey", kd::APP_ID)
            .header("X-Kd-Appdata", "NWYxYTJiM2M0ZDVlNmYsZGVtbywyMDUyLDEwMA==")
            .header(
                "X-Kd-Signature",
                "ODIyMGZkN2I3MThhYTFkZjExZmE5NGY3NjdhOTY4MjdjMGVlOGY3MjNhMjJhYWVmNGVlNWJiNTlhYjM1MDE4ZQ==",
            )
            .body(json!({"parameters": ["BD_Customer", json!({"Number": "C1"}).to_string()]}).to_string());
        let response = request.send().await.unwrap();
        let cookie = response.headers().get("set-cookie").is_some();
        (cookie, parse(&response.text().await.unwrap()))
    };
    simulator.door().insert("BD_Customer", json!({"FNumber": "C1", "FName": "Acme"}));
    let right = "MGI1NzkwOTU3M2NiZjRkNDQ5MDY2Y2MyNzA3YWM4ZmQxZGQzNzhjYzlkZDljYzk1MGU4NDQ4OTI4ODJkNzg0YQ==";
    let (cookie, answer) = send(right).await;
    assert!(cookie);
    assert_eq!(answer["Result"]["Result"]["Number"], "C1");
    let (cookie, answer) = send("AAAA").await;
    assert!(!cookie);
    assert_eq!(answer["Result"]["ResponseStatus"]["MsgCode"], 1);
}
