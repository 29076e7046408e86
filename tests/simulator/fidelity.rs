//! The simulators answer as the vendors describe: errors, filters, pages, documents, signatures.

use std::time::{Duration, Instant};

use rowtwin::simulator::{
    Kind,
    credentials::{fxiaoke as fx, kingdee as kd},
};
use serde_json::{Value, json};

use crate::callers::{Fxiaoke, Kingdee, http, parse, start};

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
async fn kingdee_lines_are_rows_and_unsent_lines_are_deleted() {
    let simulator = start(Kind::KingdeeK3cloud).await;
    let caller = Kingdee::sign_in(&simulator).await;
    let door = simulator.door();
    let customer = door.insert("BD_Customer", json!({"FNumber": "C1", "FName": "Acme"}));
    door.insert_many("BD_MATERIAL", ["M1", "M2"].map(|number| json!({"FNumber": number, "FName": number})));
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
async fn kingdee_takes_the_golden_signature_over_http() {
    let simulator = start(Kind::KingdeeK3cloud).await;
    let base = simulator.base_url();
    // The golden vector of the vendor's SDK, with the other SDK's content type and envelope. It is tied to the path and the stamp, not to the host.
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

#[tokio::test]
async fn kingdee_takes_three_logins_and_form_bodies() {
    let simulator = start(Kind::KingdeeK3cloud).await;
    let mut caller = Kingdee::sign_in(&simulator).await;
    let door = simulator.door();
    door.insert(
        "BD_Customer",
        json!({"FNumber": "C1", "FName": "old", "FModifyDate": "2026-03-01T10:11:12.34"}),
    );
    door.insert(
        "BD_Customer",
        json!({"FNumber": "C2", "FName": "new", "FModifyDate": "2026-03-02T00:00:00"}),
    );
    let sign = "a65f74bb6c577111fa896dd6bdd98142e1f7be9f4dafa729e2c85fc695a31e92";
    let stamp = 1_700_000_000;
    for (method, body, well) in [
        ("LoginBySign", json!({"parameters": [kd::ACCT_ID, kd::USER, kd::APP_ID, stamp, sign, kd::LCID]}), 1),
        (
            "LoginBySign",
            json!({"parameters": [kd::ACCT_ID, kd::USER, kd::APP_ID, stamp + 1, sign, kd::LCID]}),
            0,
        ),
        (
            "LoginByAppSecret",
            json!({"parameters": [kd::ACCT_ID, kd::USER, kd::APP_ID, kd::APP_SECRET, 2052]}),
            1,
        ),
        ("LoginByAppSecret", json!({"parameters": [kd::ACCT_ID, kd::USER, kd::APP_ID, "x", 2052]}), 0),
        (
            "ValidateUser",
            json!({"acctID": kd::ACCT_ID, "username": kd::USER, "password": "x", "lcid": 2052}),
            0,
        ),
        (
            "ValidateUser",
            json!({"acctID": kd::ACCT_ID, "username": kd::USER, "password": kd::PASSWORD, "lcid": 2052}),
            1,
        ),
    ] {
        let answer = caller.post(&format!("AuthService.{method}"), body.to_string()).await;
        assert_eq!(answer["LoginResultType"], well, "{method}: {answer}");
        if let Some(session) = answer["KDSVCSessionId"].as_str() {
            caller.session = session.to_owned();
        }
    }
    let form = "data=%7B%22FormId%22%3A%22BD_Customer%22%2C%22FieldKeys%22%3A%22FNumber%2CFModifyDate%22%2C\
                %22FilterString%22%3A%22FModifyDate%3E%3D%272026-03-01+10%3A11%3A12%27%22%2C\
                %22OrderString%22%3A%22FModifyDate+DESC%2CFCUSTID+DESC%22%7D";
    let rows = caller.post("DynamicFormService.ExecuteBillQuery", form.to_owned()).await;
    assert_eq!(rows, json!([["C2", "2026-03-02T00:00:00"], ["C1", "2026-03-01T10:11:12.34"]]));
    caller.post("AuthService.LogOut", "{}".to_owned()).await;
    let lost = caller.query("BD_Customer", "FNumber", "").await;
    assert_eq!(lost[0][0]["Result"]["ResponseStatus"]["MsgCode"], 1);
}
