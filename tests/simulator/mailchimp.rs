//! The simulated Mailchimp: the vendor's own client, unchanged, and what the vendor's pages say.

use rowtwin::simulator::{Kind, Options, Simulator, credentials::mailchimp as known};
use serde_json::{Value, json};

use crate::{
    callers::{http, parse, start},
    clients::foreign,
};

const PACKAGES: [&str; 1] = ["mailchimp-marketing==3.0.80"];
const MEMBERS: &str = "a1b2c3d4e5/members";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_vendors_mailchimp_client_works_unchanged() {
    let simulator = Simulator::start(Kind::Mailchimp, Options::default()).await.unwrap();
    let door = simulator.door();
    let ids =
        door.insert_many(MEMBERS, (0..250).map(|n| json!({"email_address": format!("m{n}@example.com")})));
    let arguments = vec![simulator.base_url(), known::API_KEY.to_owned(), known::LIST.to_owned()];
    let seen = foreign("mailchimp", "mailchimp_client.py", &PACKAGES, arguments).await;
    assert_eq!((&seen["ping"], &seen["account"]), (&json!("Everything's Chimpy!"), &json!(known::ACCOUNT)));
    let mut found: Vec<&str> =
        seen["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    let mut made: Vec<&str> = ids.iter().map(String::as_str).collect();
    found.sort_unstable();
    made.sort_unstable();
    assert_eq!(found, made, "three pages");
    assert_eq!(seen["made"], json!([true, "subscribed", 10.5]));
    assert_eq!(seen["again"], json!([true, "北京"]), "an upsert makes no second member");
    assert_eq!(seen["by_contact"], "shang@example.com");
    assert_eq!(seen["moved"], json!([true, true, ""]), "the hash goes with the address, the contact stays");
    assert_eq!(seen["old_name"][0], 404);
    let errors = json!([
        ["b2@example.com", "ERROR_GENERIC", "BORN"],
        ["new@example.com", "ERROR_CONTACT_EXISTS", ""],
        ["nobody", "ERROR_GENERIC", "email_address"],
    ]);
    assert_eq!(seen["batch"], json!([["b1@example.com"], errors, 3]));
    assert_eq!(seen["twice"], json!([400, "Member Exists", null]));
    assert_eq!(seen["field"], json!([400, "Invalid Resource", "BORN"]));
    assert_eq!((&seen["archived"], &seen["revived"]), (&json!("archived"), &json!(true)));
    assert_eq!(seen["gone"][0], 404);
    assert_eq!(seen["forgotten"][1], "Forgotten Email Not Subscribed");
    assert_eq!(door.count(MEMBERS), 251);
}

#[tokio::test]
async fn mailchimp_answers_as_its_pages_say() {
    let simulator = start(Kind::Mailchimp).await;
    let (base, door) = (simulator.base_url(), simulator.door());
    let send = async |method: &str, path: &str, key: &str, body: Value| {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = http().request(method, format!("{base}/3.0{path}")).basic_auth("anystring", Some(key));
        let response = request.body(body.to_string()).send().await.unwrap();
        let (status, text) = (response.status().as_u16(), response.text().await.unwrap());
        (status, if text.is_empty() { Value::Null } else { parse(&text) })
    };
    let get = async |path: &str| send("GET", path, known::API_KEY, Value::Null).await;
    let (status, answer) = send("GET", "/ping", "wrong-us21", Value::Null).await;
    assert_eq!((status, &answer["title"]), (401, &json!("API Key Invalid")));
    door.set_clock(Some(1_767_268_800_700));
    let early = door.insert(MEMBERS, json!({"email_address": "a@example.com"}));
    door.set_clock(Some(1_767_268_802_000));
    let late = door.insert(MEMBERS, json!({"email_address": "b@example.com"}));
    // Whole seconds, and the limit itself is left out.
    let members = "/lists/a1b2c3d4e5/members";
    let ids = |answer: &Value| -> Vec<String> {
        let members = answer["members"].as_array().unwrap().iter();
        members.map(|one| one["contact_id"].as_str().unwrap().to_owned()).collect()
    };
    let since = async |moment: &str| {
        ids(&get(&format!("{members}?sort_field=last_changed&since_last_changed={moment}%2B00:00")).await.1)
    };
    assert_eq!(since("2026-01-01T11:59:59").await, [early.clone(), late.clone()]);
    assert_eq!(since("2026-01-01T12:00:00").await, std::slice::from_ref(&late));
    let (_, answer) = get(&format!("{members}?count=1&offset=1&fields=members.contact_id")).await;
    assert_eq!(answer["total_items"], 2);
    assert_eq!(answer["members"][0].as_object().unwrap().len(), 1);
    assert_eq!(get(&format!("{members}?count=1001")).await.0, 400);
    assert_eq!(get("/lists/other/members").await.0, 404);
    // Who is archived is still listed, and who is deleted for good is not.
    assert!(door.remove(MEMBERS, &early));
    assert_eq!((door.count(MEMBERS), get(members).await.1["total_items"].clone()), (1, json!(2)));
    let forget = format!("{members}/{late}/actions/delete-permanent");
    assert_eq!(send("POST", &forget, known::API_KEY, Value::Null).await.0, 204);
    assert_eq!(get(members).await.1["total_items"], 1);
    let many: Vec<Value> =
        (0..501).map(|n| json!({"email_address": format!("{n}@x.y"), "status": "subscribed"})).collect();
    assert_eq!(send("POST", "/lists/a1b2c3d4e5", known::API_KEY, json!({"members": many})).await.0, 400);
    door.add_fault("throttled".parse().unwrap());
    let (status, answer) = get("/ping").await;
    assert_eq!((status, &answer["title"]), (429, &json!("Too Many Requests")));
}
