//! The simulated mini program of WeChat: a client that is not ours, what the vendor's pages say, and encrypted messages that
//! wechatpy makes for our door and opens from it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use rowtwin::connector::{Client, Webhook};
use rowtwin::serve::{DoorLimits, Receive, Reply, listen};
use rowtwin::simulator::{Kind, Options, Simulator, credentials::wechat as known};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::callers::{http, parse, start};
use crate::clients::foreign;
use crate::yonyou::{arrived, client, now_ms};

const PACKAGES: [&str; 2] = ["wechatpy==1.8.18", "cryptography==46.0.3"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wechatpy_works_unchanged() {
    let simulator = Simulator::start(Kind::WechatMiniprogram, Options::default()).await.unwrap();
    let door = simulator.door();
    let ids = door.insert_many("order", (0..250).map(|n| json!({"paid_amount": n, "openid": "o1"})));
    let arguments = vec![simulator.base_url(), known::APP_ID.to_owned(), known::APP_SECRET.to_owned()];
    let seen = foreign("wechat", "wechat_client.py", &PACKAGES, arguments).await;
    assert_eq!(seen["orders"], json!(ids), "three pages");
    assert_eq!(seen["login"]["openid"], "o1");
    assert_eq!(seen["phone"]["phone_info"]["purePhoneNumber"], "13800000000");
    assert_eq!(seen["phone_again"][0], 40163, "a code works once");
    let codes: Vec<Value> = seen["shipped"]
        .as_array()
        .unwrap()
        .iter()
        .map(|answer| answer.get("errcode").or_else(|| answer.get(0)).cloned().unwrap())
        .collect();
    assert_eq!(codes, [json!(0), json!(0), json!(10_060_003)], "one correction and no more");
    let shipping = &seen["order"]["order"]["shipping"];
    assert_eq!((&shipping["finish_shipping_count"], &shipping["goods_desc"]), (&json!(2), &json!("香蕉*1")));
    assert_eq!(seen["missing"][0], 10_060_001);
    assert_eq!(seen["renewed"]["is_trade_managed"], true);
    assert_eq!(seen["no_secret"], 40125);
}

#[tokio::test]
async fn wechat_answers_as_its_pages_say() {
    let simulator = start(Kind::WechatMiniprogram).await;
    let base = simulator.base_url();
    let post = async |path: &str, body: Value| {
        let response = http().post(format!("{base}{path}")).body(body.to_string()).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200, "whatever it says");
        parse(&response.text().await.unwrap())
    };
    let ask = |force: bool| json!({"grant_type": "client_credential", "appid": known::APP_ID, "secret": known::APP_SECRET, "force_refresh": force});
    let first = post("/cgi-bin/stable_token", ask(false)).await["access_token"].clone();
    assert_eq!(
        post("/cgi-bin/stable_token", ask(false)).await["access_token"],
        first,
        "the same while it lives"
    );
    let list = async |token: &Value| {
        let token = token.as_str().unwrap_or_default();
        post(&format!("/wxa/sec/order/get_order_list?access_token={token}"), json!({"page_size": 1})).await
    };
    assert_eq!(list(&first).await["errcode"], 0);
    let forced = post("/cgi-bin/stable_token", ask(true)).await["access_token"].clone();
    assert_ne!(forced, first);
    assert_eq!(list(&first).await["errcode"], 42001, "a forced one ends the other");
    assert_eq!(list(&json!("nonsense")).await["errcode"], 40001);
    assert_eq!(list(&Value::Null).await["errcode"], 41001);
    let wrong = json!({"grant_type": "client_credential", "appid": "wxother", "secret": "x"});
    assert_eq!(post("/cgi-bin/stable_token", wrong).await["errcode"], 40013, "the app comes first");
    let token = forced.as_str().unwrap();
    let response = http().get(format!("{base}/wxa/sec/order/get_order?access_token={token}")).send().await;
    assert_eq!(parse(&response.unwrap().text().await.unwrap())["errcode"], 43002);
}

/// Hears by the connectors of two systems, and writes down what was named.
struct Ear {
    systems: BTreeMap<&'static str, Client>,
    named: Mutex<Vec<String>>,
}

impl Receive for Ear {
    fn receive(self: Arc<Self>, system: String, webhook: Webhook) -> BoxFuture<'static, Reply> {
        Box::pin(async move {
            match self.systems[system.as_str()].hear(webhook, now_ms()).await {
                Ok(told) => {
                    self.named.lock().unwrap().extend(told.records.into_iter().map(|(_, id)| id));
                    Reply::new(200, told.answer)
                }
                Err(refusal) => Reply::new(refusal.status(), refusal.word()),
            }
        })
    }

    fn turned_away(&self, system: &str, why: &'static str) {
        panic!("{system}: {why}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_wechatpy_encrypts_are_heard_and_it_opens_our_answers() {
    let simulator = start(Kind::WechatMiniprogram).await;
    let secrets = [
        ("app_secret", "s", true),
        ("message_token", "tok", true),
        ("encoding_aes_key", known::ENCODING_AES_KEY, true),
    ];
    let mini = client(
        &simulator,
        "wechat-miniprogram",
        &[&[("app_id", known::APP_ID, false)], &secrets[..]].concat(),
    );
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/wecom.yaml");
    let work = [
        ("corp_id", known::APP_ID, false),
        ("token", "tok", true),
        ("encoding_aes_key", known::ENCODING_AES_KEY, true),
    ];
    let work = client(&simulator, manifest, &work);
    let ear =
        Arc::new(Ear { systems: BTreeMap::from([("mini", mini), ("work", work)]), named: Mutex::default() });
    let stop = CancellationToken::new();
    let limits = DoorLimits { body: 1 << 20, answer_within: Duration::from_secs(60) };
    let receiver: Arc<dyn Receive> = Arc::<Ear>::clone(&ear);
    let serving = listen("127.0.0.1:0".parse().unwrap(), limits, receiver, stop.clone()).await.unwrap();
    let arguments = vec![
        format!("http://{}", serving.address),
        "tok".to_owned(),
        known::ENCODING_AES_KEY.to_owned(),
        known::APP_ID.to_owned(),
    ];
    let seen = foreign("wechat", "wechat_pushes.py", &PACKAGES, arguments).await;
    stop.cancel();
    assert_eq!(seen["question"], json!([200, "7391"]));
    for form in ["xml", "json", "long"] {
        assert_eq!(seen[form], json!([200, "success"]), "{form}");
    }
    assert_eq!(seen["other"], json!([401, "encryption"]), "for another app");
    assert_eq!(seen["forged"], json!([401, "signature"]));
    assert_eq!(seen["key"], json!([401, "encryption"]));
    assert_eq!(seen["work_question"], json!([200, "1616140317555161061"]));
    assert_eq!(seen["work_answer"], json!([200, "success"]));
    let named = ear.named.lock().unwrap().clone();
    assert_eq!(named, ["4200000001", "4200000002", "4200000003", "4200000007"]);
}

#[tokio::test]
async fn messages_of_the_simulator_are_heard_by_the_connector() {
    let simulator = start(Kind::WechatMiniprogram).await;
    let door = simulator.door();
    let ours = client(
        &simulator,
        "wechat-miniprogram",
        &[
            ("app_id", known::APP_ID, false),
            ("app_secret", known::APP_SECRET, true),
            ("message_token", known::TOKEN, true),
            ("encoding_aes_key", known::ENCODING_AES_KEY, true),
        ],
    );
    let id = door.insert("order", json!({"openid": "o1"}));
    door.edit("order", &id, json!({"order_state": 3}));
    let pushes = door.take_pushes();
    assert_eq!(pushes.len(), 2);
    assert_ne!(pushes[0].headers, pushes[1].headers, "XML and JSON by turns");
    for push in pushes {
        let told = ours.hear(arrived(&push), now_ms()).await.unwrap();
        assert_eq!(told.records, [("order".to_owned(), id.clone()), ("user".to_owned(), "o1".to_owned())]);
        assert_eq!(told.answer, "success");
    }
}
