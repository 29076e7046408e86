//! The simulated HubSpot: the vendor's own client, unchanged, and what the vendor's pages say.

use rowtwin::simulator::{Kind, Options, Simulator, credentials::hubspot};
use serde_json::{Value, json};

use crate::{
    callers::{http, parse, start},
    clients::foreign,
};

const PACKAGES: [&str; 1] = ["hubspot-api-client==12.0.0"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_vendors_hubspot_client_works_unchanged() {
    let simulator = Simulator::start(Kind::Hubspot, Options::default()).await.unwrap();
    let door = simulator.door();
    let ids = door.insert_many("companies", (0..250).map(|n| json!({"name": format!("客户 {n:03}")})));
    let arguments = vec![simulator.base_url(), hubspot::ACCESS_TOKEN.to_owned()];
    let seen = foreign("hubspot", "hubspot_client.py", &PACKAGES, arguments).await;
    assert_eq!(seen["ids"], json!(ids), "three pages");
    assert_eq!(seen["found"], json!([1, ["客户 007"]]));
    let made = seen["made"].as_str().unwrap();
    assert_eq!(seen["changed"], "021-1");
    assert_eq!(seen["batch"], json!(["B1", "B2"]));
    let taken = format!("Record already exists. Existing ID: {made}");
    assert_eq!(seen["twice"], json!([409, "CONFLICT", taken]));
    assert_eq!((&seen["unknown"][0], &seen["unknown"][1]), (&json!(400), &json!("VALIDATION_ERROR")));
    assert_eq!(seen["missing"][0], 404);
    assert_eq!(seen["updated"], json!([[made], 1, "OBJECT_NOT_FOUND"]));
    assert_eq!(seen["read"], json!([["new"], 1]));
    assert_eq!(seen["archived"], json!([made]));
    assert!(seen["properties"].as_array().unwrap().contains(&json!("hs_lastmodifieddate")));
    assert_eq!(door.count("companies"), 252, "the batch with a twin was refused as a whole");
}

#[tokio::test]
async fn hubspot_answers_as_its_pages_say() {
    let simulator = start(Kind::Hubspot).await;
    let base = simulator.base_url();
    let door = simulator.door();
    let post = async |path: &str, body: Value| {
        let request = http().post(format!("{base}/crm/v3/objects/{path}")).bearer_auth(hubspot::ACCESS_TOKEN);
        let response = request.body(body.to_string()).send().await.unwrap();
        let (status, text) = (response.status().as_u16(), response.text().await.unwrap());
        (status, if text.is_empty() { Value::Null } else { parse(&text) })
    };
    let contact = door.insert("contacts", json!({"email": "A@B.c", "lastname": "Wang"}));
    // Contacts have a name of their own for the stamp; unknown properties are passed over; e-mails are lower case.
    let since = json!({"propertyName": "lastmodifieddate", "operator": "GTE", "value": "5"});
    let (_, page) = post(
        "contacts/search",
        json!({"filterGroups": [{"filters": [since]}], "properties": ["email", "nothing"], "limit": 5}),
    )
    .await;
    assert_eq!(page["results"][0]["id"], json!(contact));
    let properties: Vec<&String> = page["results"][0]["properties"].as_object().unwrap().keys().collect();
    assert_eq!(properties, ["email", "createdate", "lastmodifieddate", "hs_object_id"]);
    assert_eq!(page["results"][0]["properties"]["email"], "a@b.c");
    let wrong = json!({"propertyName": "hs_lastmodifieddate", "operator": "GTE", "value": "5"});
    assert_eq!(post("contacts/search", json!({"filterGroups": [{"filters": [wrong]}]})).await.0, 400);
    assert_eq!(post("contacts/search", json!({"limit": 100, "after": "9950"})).await.0, 400, "no further");
    assert_eq!(post("contacts/search", json!({"limit": 201})).await.0, 400);
    // One invalid value refuses the whole batch.
    let bad = json!({"inputs": [{"properties": {"lastname": "fine"}}, {"properties": {"email": "nobody"}}]});
    let (status, answer) = post("contacts/batch/create", bad).await;
    assert_eq!((status, &answer["errors"][0]["code"]), (400, &json!("INVALID_EMAIL")));
    assert_eq!(door.count("contacts"), 1);
    // An empty text clears, and archiving what is not there is no error.
    let clear = json!({"inputs": [{"id": contact, "properties": {"lastname": ""}}]});
    assert_eq!(post("contacts/batch/update", clear).await.0, 200);
    assert_eq!(door.record("contacts", &contact).unwrap()["lastname"], Value::Null);
    assert_eq!(post("contacts/batch/archive", json!({"inputs": [{"id": "999"}]})).await.0, 204);
    door.add_fault("throttled".parse().unwrap());
    let (status, answer) = post("contacts/search", json!({})).await;
    assert_eq!((status, &answer["policyName"]), (429, &json!("TEN_SECONDLY_ROLLING")));
}
