//! The simulated Jiandaoyun against its API page, by a client written from that page, and its pushes.

use rowtwin::simulator::{Kind, Options, Simulator, credentials::jiandaoyun as known};
use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use crate::callers::{http, start};
use crate::clients::foreign;

const PACKAGES: [&str; 1] = ["requests==2.34.2"];
const FORM: &str = "demo_app/customer";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_written_from_the_page_sees_what_the_page_says() {
    let simulator = start(Kind::Jiandaoyun).await;
    let door = simulator.door();
    let records =
        (0..250).map(|n| json!({"_widget_name": format!("客户 {n:03}"), "_widget_code": format!("C{n:03}")}));
    let ids = door.insert_many(FORM, records);
    let base = simulator.base_url();
    let arguments =
        [base.as_str(), known::API_KEY, known::APP_ID, known::ENTRY_ID].map(str::to_owned).to_vec();
    let seen = foreign("jiandaoyun", "jiandaoyun_client.py", &PACKAGES, arguments).await;
    assert_eq!(seen["apps"][0]["app_id"], known::APP_ID);
    assert_eq!(seen["forms"][0]["entry_id"], known::ENTRY_ID);
    assert_eq!(seen["widgets"]["_widget_credit"], "number");
    assert_eq!(seen["pages"], json!([ids[..100], ids[100..200], ids[200..]]));
    assert_eq!((&seen["default"], &seen["eq"], &seen["in"]), (&json!(10), &json!(1), &json!(2)));
    assert_eq!(seen["ignored"], json!([100, 100, 100]), "what is not understood is left out without a word");

    let created = &seen["created"];
    assert_eq!(created["_widget_name"], "上海某某公司");
    assert_eq!(created["_widget_since"], "2026-03-01T10:00:00.000Z");
    assert_eq!(created["_widget_owner"]["username"], "zhang");
    for nothing in ["_widget_credit", "_widget_note", "_widget_unknown"] {
        assert_eq!(created.get(nothing), None, "{nothing}");
    }
    assert_ne!(created["_widget_no"], "mine", "a serial number is the system's");
    assert_eq!(seen["again"], created["_id"], "a transaction makes one record");
    assert_eq!(seen["batch"]["success_count"], 3);
    assert_eq!(seen["batch_again"]["success_ids"], json!([]));
    assert_eq!(
        (&seen["updated"]["_widget_name"], seen["updated"].get("_widget_phone")),
        (&json!("other"), None)
    );
    assert_eq!(seen["got"], seen["updated"]);
    assert_eq!(seen["deleted"], json!({"status": "success"}));
    assert_eq!(seen["batch_deleted"]["success_count"], 3);
    assert_eq!(
        seen["codes"],
        json!({"gone": 4001, "null": 3005, "limit": 3005, "member": 1010, "batch": 17024, "form": 1, "key": 8301})
    );
    assert_eq!(door.count(FORM), 250);
    let pushed = door.take_pushes();
    assert_eq!(pushed.len(), 250, "what the API writes is not pushed");
}

#[tokio::test]
async fn a_push_is_signed_as_the_page_says() {
    let simulator = Simulator::start(Kind::Jiandaoyun, Options::default()).await.unwrap();
    let door = simulator.door();
    let id = door.insert(FORM, json!({"_widget_name": "Acme"}));
    door.edit(FORM, &id, json!({"_widget_name": "Beta"}));
    door.remove(FORM, &id);
    let pushes = door.take_pushes();
    door.edit(FORM, &id, json!({}));
    assert!(door.take_pushes().is_empty(), "what is gone cannot be changed");
    let other = door.insert(FORM, json!({"_widget_name": "Other"}));
    let url = format!("{}/take_pushes", simulator.door_url());
    let told: Value = http().post(url).body("{}").send().await.unwrap().json().await.unwrap();
    assert!(told["pushes"][0]["body"].as_str().unwrap().contains(&other), "{told}");
    let ops: Vec<Value> = pushes
        .iter()
        .map(|push| {
            let body: Value = serde_json::from_str(&push.body).unwrap();
            assert_eq!(body["data"]["_id"], json!(id));
            let part = |name: &str| {
                let pair = push.query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
                pair.unwrap().to_owned()
            };
            let signed =
                format!("{}:{}:{}:{}", part("nonce"), push.body, known::WEBHOOK_SECRET, part("timestamp"));
            let seal = push.headers.iter().find(|(name, _)| name == "X-JDY-Signature").unwrap();
            assert_eq!(seal.1, hex::encode(Sha1::digest(signed.as_bytes())));
            body["op"].clone()
        })
        .collect();
    assert_eq!(ops, ["data_create", "data_update", "data_remove"]);
}

#[tokio::test]
async fn each_interface_has_its_own_limit_within_a_second() {
    let simulator = Simulator::start(Kind::Jiandaoyun, Options::default()).await.unwrap();
    let door = simulator.door();
    door.set_clock(Some(1_767_268_800_000));
    let http = http();
    let call = async |operation: &str| {
        let url = format!("{}/v5/app/entry/data/{operation}", simulator.base_url());
        let body = json!({"app_id": "demo_app", "entry_id": "customer", "data": {}, "data_ids": []});
        let answer = http.post(url).bearer_auth(known::API_KEY).body(body.to_string()).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.text().await.unwrap())
    };
    for (operation, limit) in [("create", 20), ("batch_delete", 10)] {
        for _ in 0..limit {
            assert_eq!(call(operation).await.0, 200);
        }
        let (status, text) = call(operation).await;
        assert!(status == 400 && text.contains("8303"), "{operation}: {status} {text}");
    }
    door.set_clock(Some(1_767_268_801_000));
    assert_eq!(call("create").await.0, 200);
}
