//! The simulated Dynamics 365: a well-known client, unchanged, and what the vendor's pages say.

use rowtwin::simulator::{Kind, Options, Simulator, credentials::dynamics365 as known};
use serde_json::{Value, json};

use crate::{
    callers::{http, parse, start},
    clients::foreign,
};

const PACKAGES: [&str; 1] = ["dynamics-web-api@2.5.0"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_well_known_dynamics_client_works_unchanged() {
    let simulator = Simulator::start(Kind::Dynamics365, Options::default()).await.unwrap();
    let door = simulator.door();
    let mut ids = door.insert_many("account", (0..250).map(|n| json!({"name": format!("客户 {n:03}")})));
    ids.sort();
    let base = simulator.base_url();
    let arguments = [base.as_str(), known::TENANT, known::CLIENT_ID, known::CLIENT_SECRET];
    let arguments = arguments.map(str::to_owned).to_vec();
    let seen = foreign("dynamics365", "dynamics365_client.cjs", &PACKAGES, arguments).await;
    assert_eq!(seen["organization"], known::ORGANIZATION);
    assert_eq!(seen["ids"], json!(ids), "three pages");
    assert_eq!(seen["found"], json!([11, 3]));
    assert_eq!(seen["made"], json!(["上海某某公司", 10.5, "string"]));
    assert_eq!(seen["again"], json!([412, "0x80040237"]), "a key is there once");
    assert_eq!((&seen["key"], &seen["changed"], &seen["bound"]), (&json!(true), &json!("1"), &json!(true)));
    assert_eq!(seen["stale"][0], 412);
    assert_eq!(seen["missing"], json!([404, "0x80040217"]));
    assert_eq!(seen["upserted"], json!(["Upsert", "A-2"]));
    assert_eq!(seen["only"][0], 412);
    assert_eq!((&seen["tracked"], &seen["delta"]), (&json!(1), &json!(["Li", "deleted"])));
    assert_eq!(seen["batch"], json!([3, "string", ["B1", "B2"]]));
    assert!(seen["attributes"].as_array().unwrap().contains(&json!("primarycontactid")));
    assert_eq!(seen["gone"], json!([404, "0x80040217"]));
    let names: Vec<Value> = door.records("account").into_iter().map(|mut one| one["name"].take()).collect();
    assert!(!names.contains(&json!("C1")), "a change set is done whole or not at all");
    assert_eq!(names.len(), 253);
}

async fn token(base: &str) -> String {
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", known::CLIENT_ID),
        ("client_secret", known::CLIENT_SECRET),
        ("scope", "https://acme.crm4.dynamics.com/.default"),
    ];
    let form: Vec<String> = form.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let request = http().post(format!("{base}/{}/oauth2/v2.0/token", known::TENANT)).body(form.join("&"));
    parse(&request.send().await.unwrap().text().await.unwrap())["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn dynamics_answers_as_its_pages_say() {
    let simulator = start(Kind::Dynamics365).await;
    let (base, door) = (simulator.base_url(), simulator.door());
    let token = token(&base).await;
    let send = async |method: &str, path: &str, header: (&'static str, &str), body: Value| {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = http().request(method, format!("{base}/api/data/v9.2/{path}")).bearer_auth(&token);
        let request = request.header(header.0, header.1).body(body.to_string());
        let response = request.send().await.unwrap();
        let entity = response.headers().get("odata-entityid").map(|one| one.to_str().unwrap().to_owned());
        let (status, text) = (response.status().as_u16(), response.text().await.unwrap());
        (status, entity, if text.is_empty() { Value::Null } else { parse(&text) })
    };
    let none = ("x-none", "");
    // The id of what was made is in a header, and nowhere else.
    let (status, entity, body) =
        send("POST", "accounts", none, json!({"name": "Acme", "revenue": 1.5})).await;
    let id = door.records("account")[0]["accountid"].as_str().unwrap().to_owned();
    assert_eq!((status, body), (204, Value::Null));
    assert!(entity.unwrap().ends_with(&format!("/api/data/v9.2/accounts({id})")));
    // An update without a condition makes what is not there.
    let other = "6d2f1c1e-9999-4000-8000-000000000009";
    let (status, ..) = send("PATCH", &format!("accounts({other})"), none, json!({"name": "made"})).await;
    assert_eq!((status, door.count("account")), (204, 2));
    let any = ("if-match", "*");
    let missing = "accounts(6d2f1c1e-9999-4000-8000-00000000000a)";
    assert_eq!(send("PATCH", missing, any, json!({"name": "x"})).await.0, 404);
    // Lookups are read and written by different names.
    let lookup = json!({"primarycontactid@odata.bind": "/contacts(6d2f1c1e-9999-4000-8000-00000000000b)"});
    let (status, _, answer) = send("PATCH", &format!("accounts({id})"), any, lookup).await;
    assert_eq!((status, &answer["error"]["code"]), (404, &json!("0x80040217")), "the contact is not there");
    let by_name = json!({"_primarycontactid_value": other});
    assert_eq!(send("PATCH", &format!("accounts({id})"), any, by_name).await.0, 400);
    // Nothing is skipped, and change tracking takes no filter.
    assert_eq!(send("GET", "accounts?$skip=1", none, Value::Null).await.0, 400);
    let track = ("prefer", "odata.track-changes");
    assert_eq!(send("GET", "accounts?$filter=name%20eq%20'x'", track, Value::Null).await.0, 400);
    let (status, _, answer) = send("GET", "accounts?$deltatoken=soon", none, Value::Null).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!("0x80044352")));
    // A number is a number, and a name that is not known is told.
    assert_eq!(send("POST", "accounts", none, json!({"revenue": "1.5"})).await.0, 400);
    let (_, _, answer) = send("GET", "accounts?$select=nme", none, Value::Null).await;
    assert_eq!(answer["error"]["code"], "0x80060888");
    assert_eq!(send("GET", "things", none, Value::Null).await.0, 404);
    // A whole number stands for a label, which comes on demand.
    let all = ("prefer", "odata.include-annotations=\"*\"");
    let (_, _, answer) = send("GET", &format!("accounts({id})?$select=statecode"), all, Value::Null).await;
    assert_eq!(answer["statecode@OData.Community.Display.V1.FormattedValue"], "Label 0");
    door.add_fault("throttled:7".parse().unwrap());
    let (status, _, answer) = send("GET", "accounts", none, Value::Null).await;
    assert_eq!((status, &answer["error"]["code"]), (429, &json!("0x80072322")));
    door.end_sessions();
    assert_eq!(send("GET", "accounts", none, Value::Null).await.0, 401);
}
