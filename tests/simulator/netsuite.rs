//! The simulated NetSuite, held against the vendor's pages by a client that is written from them: no other one can be had.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::Method;
use ring::{
    rand::SystemRandom,
    signature::{RSA_PSS_SHA256, RsaKeyPair},
};
use rowtwin::simulator::{Kind, Simulator, credentials::netsuite as known};
use serde_json::{Value, json};

use crate::callers::{http, parse, start};

/// An assertion for this address, signed with PS256; `kid` names the certificate.
fn assertion(audience: &str, kid: &str, life: i64) -> String {
    let lines: String = known::private_key().lines().filter(|line| !line.starts_with("--")).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(lines.replace(' ', "")).unwrap();
    let pair = RsaKeyPair::from_pkcs8(&der).unwrap();
    let now = jiff::Timestamp::now().as_second();
    let header = json!({"typ": "JWT", "alg": "PS256", "kid": kid});
    let claims = json!({"iss": known::CLIENT_ID, "scope": "rest_webservices", "aud": audience, "iat": now, "exp": now + life});
    let signed = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PSS_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

struct Caller {
    base: String,
    token: String,
}

impl Caller {
    async fn token(base: &str, assertion: &str) -> (u16, Value) {
        let form = format!(
            "grant_type=client_credentials&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion={assertion}"
        );
        let response = http().post(format!("{base}auth/oauth2/v1/token")).body(form).send().await.unwrap();
        (response.status().as_u16(), parse(&response.text().await.unwrap()))
    }

    async fn sign_in(simulator: &Simulator) -> Caller {
        let base = format!("{}/services/rest/", simulator.base_url());
        let assertion = assertion(&format!("{base}auth/oauth2/v1/token"), known::CERTIFICATE, 300);
        let (status, answer) = Caller::token(&base, &assertion).await;
        assert_eq!((status, &answer["expires_in"]), (200, &json!("3600")), "a text: {answer}");
        Caller { token: answer["access_token"].as_str().unwrap().to_owned(), base }
    }

    /// Status, the last part of the address that is told, and the body.
    async fn send(&self, method: Method, path: &str, body: Value) -> (u16, Option<String>, Value) {
        let request = http().request(method, format!("{}{path}", self.base)).bearer_auth(&self.token);
        let response = request.header("prefer", "transient").body(body.to_string()).send().await.unwrap();
        let location = response.headers().get("location").map(|one| one.to_str().unwrap().to_owned());
        let (status, text) = (response.status().as_u16(), response.text().await.unwrap());
        let id = location.and_then(|location| location.rsplit('/').next().map(str::to_owned));
        (status, id, if text.is_empty() { Value::Null } else { parse(&text) })
    }

    async fn query(&self, q: &str) -> (u16, Value) {
        let (status, _, answer) =
            self.send(Method::POST, "query/v1/suiteql?limit=2", json!({ "q": q })).await;
        (status, answer)
    }
}

fn code(answer: &Value) -> &Value {
    &answer["o:errorDetails"][0]["o:errorCode"]
}

#[tokio::test]
async fn netsuite_takes_ps256_alone_for_its_own_address_and_no_longer_than_an_hour() {
    let simulator = start(Kind::Netsuite).await;
    let caller = Caller::sign_in(&simulator).await;
    let here = format!("{}auth/oauth2/v1/token", caller.base);
    for (audience, kid, life) in [
        ("https://elsewhere/token", known::CERTIFICATE, 300),
        (here.as_str(), "another", 300),
        (here.as_str(), known::CERTIFICATE, 3601),
    ] {
        assert_eq!(
            Caller::token(&caller.base, &assertion(audience, kid, life)).await.0,
            400,
            "{audience} {kid} {life}"
        );
    }
    simulator.door().end_sessions();
    let (status, _, answer) = caller.send(Method::GET, "record/v1/customer", Value::Null).await;
    assert_eq!((status, code(&answer)), (401, &json!("INVALID_LOGIN")));
}

#[tokio::test]
async fn netsuite_answers_as_its_pages_say() {
    let simulator = start(Kind::Netsuite).await;
    let (caller, door) = (Caller::sign_in(&simulator).await, simulator.door());
    let acme =
        json!({"companyName": "Acme", "creditLimit": 12.505, "isInactive": false, "subsidiary": {"id": "1"}});
    let (status, id, body) = caller.send(Method::POST, "record/v1/customer", acme).await;
    let id = id.unwrap();
    assert_eq!((status, body), (204, Value::Null), "the id is in the address alone");
    // An upsert by an external id, twice.
    let put = async |name: &str| {
        caller.send(Method::PUT, "record/v1/customer/eid:EXT-1", json!({ "companyName": name })).await
    };
    let (first, second) = (put("Bolt").await.1.unwrap(), put("Nut").await.1.unwrap());
    assert_eq!((first == second, door.count("customer")), (true, 2));
    assert_eq!(door.record("customer", &first).unwrap()["externalId"], "EXT-1");
    // A list is ids, a record has types, SuiteQL has texts.
    let (_, _, list) = caller.send(Method::GET, "record/v1/customer", Value::Null).await;
    assert_eq!(list["items"], json!([{"links": [], "id": id}, {"links": [], "id": first}]));
    let (_, _, record) = caller.send(Method::GET, &format!("record/v1/customer/{id}"), Value::Null).await;
    assert_eq!(record["creditLimit"].to_string(), "12.51");
    assert_eq!((&record["subsidiary"]["id"], &record["isInactive"]), (&json!("1"), &json!(false)));
    let (_, answer) = caller
        .query("SELECT id, companyname, creditlimit, isinactive, email FROM customer ORDER BY id")
        .await;
    let row =
        json!({"links": [], "id": id, "companyname": "Acme", "creditlimit": "12.51", "isinactive": "F"});
    assert_eq!((&answer["items"][0], &answer["hasMore"]), (&row, &json!(false)));
    let day = "SELECT id FROM customer WHERE companyname = 'Acme' AND lastmodifieddate >= TO_DATE('2020-01-01 00:00:00', 'YYYY-MM-DD HH24:MI:SS') AND id > 1 ORDER BY id";
    assert_eq!(caller.query(day).await.1["count"], 1);
    let (status, answer) = caller.query("SELECT nme FROM customer").await;
    assert_eq!((status, code(&answer)), (400, &json!("INVALID_PARAMETER")));
    // What is refused names its field.
    let wrong = json!({"creditLimit": "12"});
    let (status, _, answer) = caller.send(Method::PATCH, &format!("record/v1/customer/{id}"), wrong).await;
    assert_eq!((status, &answer["o:errorDetails"][0]["o:errorPath"]), (400, &json!("creditLimit")));
    let (status, _, answer) = caller.send(Method::PATCH, "record/v1/customer/999", json!({})).await;
    assert_eq!((status, code(&answer)), (404, &json!("NONEXISTENT_ID")));
    let bare = http().post(format!("{}query/v1/suiteql", caller.base)).bearer_auth(&caller.token);
    assert_eq!(bare.body("{}").send().await.unwrap().status().as_u16(), 400, "without Prefer");
}

#[tokio::test]
async fn the_lines_of_an_order_are_added_to_and_replaced() {
    let simulator = start(Kind::Netsuite).await;
    let (caller, door) = (Caller::sign_in(&simulator).await, simulator.door());
    let item = json!({"id": "5"});
    let lines = json!({"items": [{"item": item, "quantity": 2, "rate": 9}, {"item": item, "quantity": 5}]});
    let order = json!({"entity": {"id": "1"}, "item": lines});
    let (_, id, _) = caller.send(Method::POST, "record/v1/salesOrder", order).await;
    let id = id.unwrap();
    let numbers = || -> Vec<String> {
        let document = door.document("salesOrder", &id).unwrap();
        document["item"].as_array().unwrap().iter().map(|line| line["line"].to_string()).collect()
    };
    assert_eq!(numbers(), ["1", "2"]);
    let add = json!({"item": {"items": [{"line": 1, "quantity": 3}, {"item": item, "quantity": 7}]}});
    caller.send(Method::PATCH, &format!("record/v1/salesOrder/{id}"), add).await;
    assert_eq!(numbers(), ["1", "2", "3"], "what is not named stays");
    let all = json!({"item": {"items": [{"line": 3}]}});
    caller.send(Method::PATCH, &format!("record/v1/salesOrder/{id}?replace=item"), all).await;
    assert_eq!(numbers(), ["3"]);
    let (_, _, plain) = caller.send(Method::GET, &format!("record/v1/salesOrder/{id}"), Value::Null).await;
    assert!(plain["item"].get("items").is_none(), "{plain}");
    let path = format!("record/v1/salesOrder/{id}?expandSubResources=true");
    let (_, _, whole) = caller.send(Method::GET, &path, Value::Null).await;
    assert_eq!(whole["item"]["items"][0]["quantity"].to_string(), "7.00");
    assert_eq!(whole["item"]["items"][0]["item"]["id"], "5");
}
