//! The simulated 用友 YonBIP: a client that is not ours, and what the vendor's pages say.

use std::sync::Arc;

use rowtwin::connector::{Client, Connector, SettingValue, Settings, Webhook};
use rowtwin::remote::gate::OpenGate;
use rowtwin::remote::http::HttpTransport;
use rowtwin::simulator::{Kind, Options, Push, Simulator, credentials::yonyou as known};
use serde_json::{Value, json};

use crate::callers::{http, parse, start};
use crate::clients::foreign;

/// It names modules of Python's own among what it needs, which no index has: so without looking at what it names.
const PACKAGES: [&str; 8] = [
    "--no-deps",
    "yonyouopenapisdk1==0.0.2",
    "pycryptodomex==3.23.0",
    "requests==2.34.2",
    "urllib3==2.5.0",
    "idna==3.10",
    "certifi==2025.8.3",
    "charset-normalizer==3.4.3",
];

/// A connector's client for a simulator, to hear its pushes.
pub(crate) fn client(simulator: &Simulator, connector: &str, settings: &[(&str, &str, bool)]) -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let connector = Connector::load(connector, None).unwrap_or_else(|errors| panic!("{errors}"));
    let transport = HttpTransport::new(connector.http_options()).unwrap();
    let base = ("base_url".to_owned(), SettingValue::Plain(json!(simulator.base_url())));
    let given = settings.iter().map(|(name, value, secret)| {
        let value = match secret {
            true => SettingValue::Secret(secrecy::SecretString::from(*value)),
            false => SettingValue::Plain(json!(value)),
        };
        ((*name).to_owned(), value)
    });
    let settings = Settings(given.chain([base]).collect());
    Client::new("x", Arc::new(connector), settings, Arc::new(transport), Arc::new(OpenGate)).unwrap()
}

/// A push as it arrives.
pub(crate) fn arrived(push: &Push) -> Webhook {
    Webhook {
        method: "POST".to_owned(),
        query: push.query.clone(),
        headers: push.headers.clone(),
        body: push.body.clone().into_bytes(),
        ..Webhook::default()
    }
}

pub(crate) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_yonyou_sdk_works_unchanged_and_opens_our_answers() {
    let simulator = Simulator::start(Kind::Yonyou, Options::default()).await.unwrap();
    let door = simulator.door();
    let ids = door.insert_many(
        "merchant",
        (0..250).map(|n| json!({"code": format!("C{n:03}"), "name": format!("客户 {n:03}")})),
    );
    door.insert("product", json!({"code": "P1", "name": "Bolt"}));
    let ours = client(
        &simulator,
        "yonyou",
        &[
            ("tenant_id", known::TENANT_ID, false),
            ("app_key", known::APP_KEY, false),
            ("app_secret", known::APP_SECRET, true),
        ],
    );
    let push = door.take_pushes().remove(0);
    let told = ours.hear(arrived(&push), now_ms()).await.unwrap();
    assert_eq!(told.records, [("merchant".to_owned(), ids[0].clone())]);
    let events = format!("[{},{}]", push.body, told.answer);
    let arguments =
        vec![simulator.base_url(), known::APP_KEY.to_owned(), known::APP_SECRET.to_owned(), events];
    let seen = foreign("yonyou", "yonyou_client.py", &PACKAGES, arguments).await;

    let event = parse(seen["events"][0]["event_info"].as_str().unwrap());
    assert_eq!(event["type"], "YXYBASEDOC_AA_MERCHANT_INSERT");
    assert_eq!(parse(event["content"].as_str().unwrap())["id"].to_string(), ids[0]);
    let answer = json!({"event_info": "success", "suit_key": known::APP_KEY});
    assert_eq!(seen["events"][1], answer, "our answer is opened by the vendor's way");

    assert_eq!(seen["token"], json!(["access_token", "expire"]));
    let numbers: Vec<Value> = ids.iter().map(|id| parse(id)).collect();
    assert_eq!(seen["pages"], json!([3, numbers]));
    let made = seen["made"][1]["data"][0]["id"].to_string();
    assert_eq!(door.record("merchant", &made).unwrap()["name"], "上海某某公司");
    assert_eq!(seen["again"], seen["made"], "the same key gives the first result");
    assert_eq!(seen["twice"], json!([200, {"code": 999, "message": "编码SDK1已存在", "data": null}]));
    assert_eq!(seen["nameless"][1], json!({"code": 0, "message": "客户名称不能为空!", "data": null}));
    assert_eq!(seen["found"][1]["code"], 200, "a number here");
    assert_eq!(seen["found"][1]["data"][0]["name"]["simplifiedName"], "上海某某公司");
    let line = &seen["detail"][1]["data"]["orderDetails"][0];
    assert_eq!((&line["qty"], &seen["detail"][1]["code"]), (&json!(2.0), &json!("200")));
    let head = &seen["heads"][1]["data"]["recordList"][0];
    assert_eq!((head["agentId"].to_string(), head.get("qty")), (made, None), "heads only");
    assert_eq!(seen["rows"][1]["data"]["recordList"][0]["qty"], json!(2.0), "a row for each line");
    let deleted = &seen["deleted"][1];
    assert_eq!((&deleted["code"], &deleted["data"]["sucessCount"]), (&json!("200"), &json!(1)));
    assert_eq!(deleted["data"]["failCount"], 1);
    assert_eq!((&seen["no_path"][0], &seen["no_path"][1]["code"]), (&json!(404), &json!("310404")));
    assert_eq!(seen["no_token"], json!([200, {"code": "310036", "message": "非法token", "data": null}]));
    assert_eq!(seen["text"], json!([200, "非法token"]), "one interface says it without JSON");
    assert!(seen["no_app"].as_str().unwrap().contains("10018"), "{}", seen["no_app"]);
    assert!(seen["no_secret"].as_str().unwrap().contains("10019"), "{}", seen["no_secret"]);
}

#[tokio::test]
async fn yonyou_answers_as_its_pages_say() {
    let simulator = start(Kind::Yonyou).await;
    let (base, door) = (simulator.base_url(), simulator.door());
    let get = async |path: &str| {
        let response = http().get(format!("{base}{path}")).send().await.unwrap();
        (response.status().as_u16(), parse(&response.text().await.unwrap()))
    };
    let (status, unknown) = get("/open-auth/dataCenter/getGatewayAddress?tenantId=nobody").await;
    assert_eq!((status, &unknown["code"]), (200, &json!("500")));
    let (_, told) =
        get(&format!("/open-auth/dataCenter/getGatewayAddress?tenantId={}", known::TENANT_ID)).await;
    assert_eq!(told["data"]["gatewayUrl"], format!("{base}/iuap-api-gateway"));
    assert_eq!(told["data"]["tokenUrl"], format!("{base}/iuap-api-auth"));
    let (_, missing) = get("/iuap-api-gateway/yonbip/sd/voucherorder/detail?id=1").await;
    assert_eq!(missing["code"], "310001");
    // a line says what becomes of it, and one that is not named stays
    let order = door.insert("voucherorder", json!({"code": "S1", "orderDetails": [{"qty": 1}, {"qty": 2}]}));
    let lines = door.document("voucherorder", &order).unwrap()["orderDetails"].clone();
    assert!(door.edit_line("voucherorder", &order, lines[0]["id"].as_str().unwrap(), json!({"qty": 5})));
    assert!(door.remove_line("voucherorder", &order, lines[1]["id"].as_str().unwrap()));
    let left = door.document("voucherorder", &order).unwrap()["orderDetails"].clone();
    assert_eq!(left.as_array().unwrap().len(), 1);
    assert_eq!(left[0]["qty"].to_string(), "5.0000");
    assert_eq!(door.take_pushes().len(), 3, "each change is told");
}
