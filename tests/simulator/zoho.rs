//! The simulated Zoho CRM: the vendor's own SDK, unchanged, and what the vendor's pages say.

use rowtwin::simulator::{Kind, Options, Simulator, credentials::zoho};
use serde_json::{Value, json};

use crate::{
    callers::{http, parse, start},
    clients::{foreign, plain},
};

const PACKAGES: [&str; 2] = ["zohocrmsdk8_0==7.0.0", "requests==2.34.2"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_vendors_zoho_sdk_works_unchanged() {
    let simulator = Simulator::start(Kind::ZohoCrm, Options::default()).await.unwrap();
    let door = simulator.door();
    let ids = door.insert_many("Accounts", (0..450).map(|n| json!({"Account_Name": format!("客户 {n:03}")})));
    let arguments =
        [simulator.base_url().as_str(), zoho::CLIENT_ID, zoho::CLIENT_SECRET, zoho::REFRESH_TOKEN]
            .map(str::to_owned)
            .to_vec();
    let seen = foreign("zoho", "zoho_client.py", &PACKAGES, arguments).await;
    assert_eq!(seen["pages"], json!([ids[..200], ids[200..400], ids[400..]]));
    assert_eq!(seen["coql"], json!(["客户 007"]));
    let made = &seen["created"][0][2];
    assert_eq!(seen["status"], 207);
    assert_eq!(
        seen["created"],
        json!([
            ["ok", "SUCCESS", made, null],
            ["error", "MANDATORY_NOT_FOUND", null, "Account_Name"],
            ["error", "DUPLICATE_DATA", made, "Customer_No"],
        ])
    );
    assert_eq!(seen["got"], json!(["上海某某公司", "Z1", plain(&parse("10.01"))]));
    assert_eq!(seen["updated"][0], json!(["ok", "SUCCESS", made, null]));
    assert_eq!(seen["updated"][1], json!(["error", "INVALID_DATA", null, "id"]));
    assert_eq!(seen["deleted"][0], json!(["ok", "SUCCESS", made, null]));
    assert_eq!(seen["bin"], json!([made]));
    assert_eq!(door.count("Accounts"), 450);
    assert_eq!(door.calls().iter().filter(|call| call.operation == "token").count(), 1);
}

#[tokio::test]
async fn zoho_answers_as_its_pages_say() {
    let simulator = start(Kind::ZohoCrm).await;
    let base = simulator.base_url();
    let token = async |secret: &str| {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", zoho::CLIENT_ID),
            ("client_secret", secret),
            ("refresh_token", zoho::REFRESH_TOKEN),
        ];
        let response = http().post(format!("{base}/oauth/v2/token")).form(&form).send().await.unwrap();
        (response.status().as_u16(), parse(&response.text().await.unwrap()))
    };
    assert_eq!(token("wrong").await, (200, json!({"error": "invalid_client_secret"})));
    let (_, given) = token(zoho::CLIENT_SECRET).await;
    assert_eq!(given["expires_in"], 3600);
    let header = format!("Zoho-oauthtoken {}", given["access_token"].as_str().unwrap());
    let query = async |text: &str| {
        let request = http().post(format!("{base}/crm/v8/coql")).header("authorization", &header);
        let response = request.body(json!({"select_query": text}).to_string()).send().await.unwrap();
        let (status, text) = (response.status().as_u16(), response.text().await.unwrap());
        (status, if text.is_empty() { Value::Null } else { parse(&text) })
    };
    let door = simulator.door();
    assert_eq!(query("select id from Accounts where id > '0'").await, (204, Value::Null));
    let ids = door.insert_many("Accounts", (0..5).map(|n| json!({"Account_Name": format!("N{n}")})));
    let child = door.insert("Accounts", json!({"Account_Name": "Child", "Parent_Account": ids[0]}));
    let (_, page) = query(&format!(
        "select id, Parent_Account from Accounts where id > '{}' order by id limit 2",
        ids[3]
    ))
    .await;
    assert_eq!(page["data"][1], json!({"id": child, "Parent_Account": {"id": ids[0]}}));
    assert_eq!(page["info"]["more_records"], false);
    for (text, code) in [
        ("select id from Accounts", "SYNTAX_ERROR"),
        ("select id from Accounts where id > '0' and Phone = '1' and Account_Name = 'x'", "SYNTAX_ERROR"),
        ("select Nme from Accounts where id > '0'", "INVALID_QUERY"),
        ("select id from Accounts where Modified_Time > '2026-03-01T00:00:00.5+00:00'", "INVALID_QUERY"),
        ("select id from Accounts where id > '0' limit 2001", "LIMIT_EXCEEDED"),
    ] {
        let (status, answer) = query(text).await;
        assert_eq!((status, &answer["code"]), (400, &json!(code)), "{text}");
    }
    door.end_sessions();
    let (status, answer) = query("select id from Accounts where id > '0'").await;
    assert_eq!((status, &answer["code"]), (401, &json!("INVALID_TOKEN")));
}
