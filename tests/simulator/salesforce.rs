//! The simulated Salesforce: a foreign client, unchanged, and what the vendor's pages say.

use reqwest::Method;
use rowtwin::simulator::{Kind, Options, Simulator, credentials::salesforce as sf};
use serde_json::{Value, json};

use crate::{
    callers::{http, parse, start},
    clients::{foreign, plain},
};

const PACKAGES: [&str; 2] = ["simple-salesforce==1.12.10", "requests==2.34.2"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn simple_salesforce_works_unchanged() {
    let simulator = Simulator::start(Kind::Salesforce, Options::default()).await.unwrap();
    let door = simulator.door();
    let ids = door.insert_many("Account", (0..4_100).map(|n| json!({"Name": format!("客户 {n:04}")})));
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), sf::private_key()).unwrap();
    let key_file = key.path().display().to_string();
    let base = simulator.base_url();
    let arguments = [base.as_str(), sf::CLIENT_ID, sf::CLIENT_SECRET, sf::USERNAME, &key_file];
    let seen =
        foreign("salesforce", "salesforce_client.py", &PACKAGES, arguments.map(str::to_owned).to_vec()).await;
    assert_eq!(seen["by_key"], 4_100, "a signed assertion signs in");
    assert_eq!(seen["all"], json!(ids), "three pages");
    assert_eq!(seen["first"][1]["Name"], "客户 0001");
    assert_eq!(seen["first"][1]["attributes"]["type"], "Account");
    assert!(seen["fields"].as_array().unwrap().contains(&json!("SystemModstamp")));
    assert!(seen["objects"].as_array().unwrap().contains(&json!("OrderItem")));
    let made = seen["made"]["id"].as_str().unwrap();
    assert_eq!((made.len(), &seen["made"]["success"]), (18, &json!(true)));
    assert_eq!(seen["got"]["Name"], "上海某某公司", "texts are trimmed");
    assert_eq!(seen["got"]["AnnualRevenue"], plain(&parse("10.01")));
    assert_eq!(seen["updated"], 204);
    assert_eq!(
        (&seen["changed"]["Phone"], &seen["changed"]["AnnualRevenue"]),
        (&json!("021-2"), &Value::Null)
    );
    assert_eq!(seen["upserted"], json!([201, 200]));
    assert_eq!(seen["missing"][0], 404);
    assert_eq!(
        seen["nameless"],
        json!([400, "REQUIRED_FIELD_MISSING", "Required fields are missing: [Name]"])
    );
    let upserted = door.records("Account").pop().unwrap();
    let short = &upserted["Id"].as_str().unwrap()[..15];
    let taken = format!("duplicate value found: External_Key__c duplicates value on record with id: {short}");
    assert_eq!(seen["twice"], json!([400, "DUPLICATE_VALUE", taken]));
    assert_eq!(seen["malformed"][1], "INVALID_FIELD");
    assert_eq!((&seen["mixed"][0]["success"], &seen["mixed"][1]["success"]), (&json!(true), &json!(false)));
    assert_eq!(seen["mixed"][1]["errors"][0]["statusCode"], "REQUIRED_FIELD_MISSING");
    assert_eq!(seen["deleted"], 204);
    assert_eq!(seen["bin"][0]["IsDeleted"], true);
    assert_eq!((&seen["limits"], &seen["usage"]), (&json!(15_000), &json!(15_000)));
    assert_eq!((door.count("Account"), door.count("Contact")), (4_101, 1));
    let create = door.calls().into_iter().find(|call| call.operation == "create").unwrap();
    assert_eq!(create.fields_sent, ["Name", "Phone", "AnnualRevenue", "Since__c"]);
}

struct Caller {
    base: String,
    token: String,
}

impl Caller {
    async fn sign_in(simulator: &Simulator) -> Caller {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", sf::CLIENT_ID),
            ("client_secret", sf::CLIENT_SECRET),
        ];
        let url = format!("{}/services/oauth2/token", simulator.base_url());
        let answer = http().post(url).form(&form).send().await.unwrap().text().await.unwrap();
        let answer = parse(&answer);
        assert!(answer.get("expires_in").is_none(), "nothing tells how long a token lives");
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        Caller { base: text("instance_url"), token: text("access_token") }
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let url = format!("{}/services/data/v67.0/{path}", self.base);
        let mut request = http().request(method, url).bearer_auth(&self.token);
        if !body.is_null() {
            request = request.body(body.to_string());
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, if text.is_empty() { Value::Null } else { parse(&text) })
    }
}

#[tokio::test]
async fn salesforce_answers_as_its_pages_say() {
    let simulator = start(Kind::Salesforce).await;
    let caller = Caller::sign_in(&simulator).await;
    let door = simulator.door();
    let account = door.insert("Account", json!({"Name": "Acme"}));
    // A batch answers 200 even where every record failed.
    let records = json!([{"attributes": {"type": "Account"}, "id": "001000000000000AAA", "Name": "x"},
        {"attributes": {"type": "Account"}, "id": &account[..15], "Nme": "x"},
        {"attributes": {"type": "Account"}, "id": &account[..15], "Phone": "1".repeat(41)}]);
    let (status, answer) = caller
        .call(Method::PATCH, "composite/sobjects", json!({"allOrNone": false, "records": records}))
        .await;
    let codes: Vec<&Value> =
        answer.as_array().unwrap().iter().map(|one| &one["errors"][0]["statusCode"]).collect();
    assert_eq!(status, 200);
    assert_eq!(json!(codes), json!(["INVALID_CROSS_REFERENCE_KEY", "INVALID_FIELD", "STRING_TOO_LONG"]));
    let too_many: Vec<Value> =
        (0..201).map(|_| json!({"attributes": {"type": "Account"}, "Name": "x"})).collect();
    let (status, answer) =
        caller.call(Method::POST, "composite/sobjects", json!({"records": too_many})).await;
    assert_eq!((status, &answer[0]["errorCode"]), (400, &json!("EXCEEDED_ID_LIMIT")));
    // What was deleted is known as such, a record that nobody ever had is not.
    let path = format!("sobjects/Account/{account}");
    assert_eq!(caller.call(Method::DELETE, &path, Value::Null).await.0, 204);
    let (status, answer) = caller.call(Method::DELETE, &path, Value::Null).await;
    assert_eq!((status, &answer[0]["errorCode"]), (404, &json!("ENTITY_IS_DELETED")));
    let day = "sobjects/Account/deleted/?start=2020-01-01T00%3A00%3A00Z&end=2100-01-01T00%3A00%3A00Z";
    let (_, answer) = caller.call(Method::GET, day, Value::Null).await;
    assert_eq!(answer["deletedRecords"][0]["id"], json!(account));
    // A session that ended, and the answer to too many calls.
    simulator.door().end_sessions();
    let (status, answer) = caller.call(Method::GET, "limits", Value::Null).await;
    assert_eq!(status, 401);
    assert_eq!(answer, json!([{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]));
    simulator.door().add_fault("throttled".parse().unwrap());
    let (status, answer) = caller.call(Method::GET, "limits", Value::Null).await;
    assert_eq!((status, &answer[0]["errorCode"]), (403, &json!("REQUEST_LIMIT_EXCEEDED")));
}

#[tokio::test]
async fn salesforce_makes_an_order_with_its_lines_or_not_at_all() {
    let simulator = start(Kind::Salesforce).await;
    let caller = Caller::sign_in(&simulator).await;
    let door = simulator.door();
    let account = door.insert("Account", json!({"Name": "Acme"}));
    let book = door.insert("Pricebook2", json!({"Name": "Standard"}));
    let product = door.insert("Product2", json!({"Name": "Bolt"}));
    let entry =
        door.insert("PricebookEntry", json!({"Pricebook2Id": book, "Product2Id": product, "UnitPrice": 2}));
    let order = |status: &str, entry: &str| {
        let line = json!({"attributes": {"type": "OrderItem", "referenceId": "l"}, "PricebookEntryId": entry,
            "Quantity": 2, "UnitPrice": 9});
        json!({"records": [{"attributes": {"type": "Order", "referenceId": "o"}, "AccountId": account,
            "EffectiveDate": "2026-03-01", "Status": status, "Pricebook2Id": book, "OrderItems": {"records": [line]}}]})
    };
    for (status, entry, code) in [
        ("Activated", entry.as_str(), "FAILED_ACTIVATION"),
        ("Draft", "01u000000000000AAA", "INVALID_CROSS_REFERENCE_KEY"),
    ] {
        let (status, answer) = caller.call(Method::POST, "composite/tree/Order", order(status, entry)).await;
        assert_eq!((status, &answer["hasErrors"]), (400, &json!(true)), "{answer}");
        assert_eq!(answer["results"][0]["errors"][0]["statusCode"], code);
    }
    assert_eq!((door.count("Order"), door.count("OrderItem")), (0, 0));
    let (status, answer) = caller.call(Method::POST, "composite/tree/Order", order("Draft", &entry)).await;
    assert_eq!((status, &answer["results"][1]["referenceId"]), (201, &json!("l")), "{answer}");
    let id = answer["results"][0]["id"].as_str().unwrap();
    assert_eq!(door.document("Order", id).unwrap()["OrderItems"][0]["Product2Id"], json!(product));
    // Activated, it is closed.
    let path = format!("sobjects/Order/{id}");
    assert_eq!(caller.call(Method::PATCH, &path, json!({"Status": "Activated"})).await.0, 204);
    assert_eq!(caller.call(Method::PATCH, &path, json!({"PoNumber": "7"})).await.0, 400);
    assert_eq!(caller.call(Method::DELETE, &path, Value::Null).await.0, 400);
    assert_eq!(caller.call(Method::PATCH, &path, json!({"Status": "Draft"})).await.0, 204);
    assert_eq!(caller.call(Method::DELETE, &path, Value::Null).await.0, 204);
    assert_eq!((door.count("Order"), door.count("OrderItem")), (0, 0));
}

const JSFORCE: [&str; 1] = ["jsforce@3.10.14"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jsforce_works_unchanged() {
    let simulator = Simulator::start(Kind::Salesforce, Options::default()).await.unwrap();
    let door = simulator.door();
    door.insert_many(
        "Account",
        (0..2_500).map(|n| json!({"Name": format!("Row {n:04}"), "AnnualRevenue": 12.5})),
    );
    let base = simulator.base_url();
    let arguments = [base.as_str(), sf::CLIENT_ID, sf::CLIENT_SECRET, sf::REFRESH_TOKEN];
    let arguments = arguments.map(str::to_owned).to_vec();
    let seen = foreign("jsforce", "salesforce_client.cjs", &JSFORCE, arguments).await;
    assert_eq!(seen["counted"], 2_500, "a token that is over was renewed");
    assert_eq!(seen["pages"], json!([2000, false, 500, true, 2500]));
    assert_eq!(seen["made"], json!([[true, null], [false, "REQUIRED_FIELD_MISSING"]]));
    assert_eq!(seen["got"]["AnnualRevenue"], plain(&parse("10.01")));
    assert_eq!((&seen["updated"], &seen["upserted"]), (&json!(true), &json!([[true, true], [true, true]])));
    assert!(seen["fields"].as_array().unwrap().contains(&json!("SystemModstamp")));
    assert_eq!(seen["malformed"][0], "INVALID_FIELD");
    assert_eq!((&seen["stale"][0], &seen["fresh"]), (&json!("PRECONDITION_FAILED"), &json!(true)));
    assert_eq!(seen["bulk"], json!([2500, "Row 0000", "12.50", true]));
    let failed = "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name";
    assert_eq!(seen["inserted"], json!([1, "true", failed]));
    assert_eq!(
        seen["changed"],
        json!([1, "In, \"quotes\"", null]),
        "#N/A is nothing, an empty cell no change"
    );
    assert_eq!(seen["up"], json!(["false", "true"]));
    assert_eq!((&seen["deleted"], &seen["hard"]), (&json!(true), &json!(1)));
    assert_eq!(
        (&seen["log"], &seen["bin"]),
        (&json!(true), &json!(true)),
        "the bin knows only what lies in it"
    );
    assert_eq!((&seen["limits"], &seen["usage"]), (&json!(15_000), &json!(15_000)));
    assert_eq!(door.count("Account"), 2_500 + 3);
}

#[tokio::test]
async fn salesforce_works_at_a_job_between_two_looks() {
    let simulator = start(Kind::Salesforce).await;
    let caller = Caller::sign_in(&simulator).await;
    simulator.door().insert_many("Account", (0..5).map(|n| json!({"Name": format!("客户 {n}")})));
    let job = |query: &str| json!({"operation": "query", "query": query, "contentType": "CSV"});
    let (status, answer) = caller.call(Method::POST, "jobs/query", job("SELECT Nme FROM Account")).await;
    assert_eq!((status, &answer[0]["errorCode"]), (400, &json!("INVALID_FIELD")));
    let (_, begun) =
        caller.call(Method::POST, "jobs/query", job("SELECT Id, Name, Phone FROM Account")).await;
    assert_eq!((&begun["state"], &begun["object"]), (&json!("UploadComplete"), &json!("Account")));
    let path = format!("jobs/query/{}", begun["id"].as_str().unwrap());
    let (status, answer) = caller.call(Method::GET, &format!("{path}/results"), Value::Null).await;
    assert_eq!((status, &answer[0]["errorCode"]), (400, &json!("INVALIDJOBSTATE")), "it is not done yet");
    for state in ["InProgress", "JobComplete", "JobComplete"] {
        assert_eq!(caller.call(Method::GET, &path, Value::Null).await.1["state"], state);
    }
    let page = async |more: &str| {
        let url = format!("{}/services/data/v67.0/{path}/results?maxRecords=3{more}", caller.base);
        let answer = http().get(url).bearer_auth(&caller.token).send().await.unwrap();
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        let told = (header("sforce-numberofrecords"), header("sforce-locator"), header("content-type"));
        (told, answer.text().await.unwrap())
    };
    let ((count, locator, kind), text) = page("").await;
    assert_eq!((count.as_str(), kind.as_str(), text.lines().count()), ("3", "text/csv", 4));
    assert!(
        text.starts_with("\"Id\",\"Name\",\"Phone\"\n\"001") && text.contains(",\"客户 2\",\"\"\n"),
        "{text}"
    );
    let ((count, end, _), text) = page(&format!("&locator={locator}")).await;
    assert_eq!(
        (count.as_str(), end.as_str(), text.lines().count()),
        ("2", "null", 3),
        "a word says that it was the last"
    );
    assert_eq!(caller.call(Method::DELETE, &path, Value::Null).await.0, 204);
    assert_eq!(caller.call(Method::GET, &path, Value::Null).await.0, 404);
    let missing = json!({"object": "Nothing", "operation": "insert", "contentType": "CSV"});
    assert_eq!(caller.call(Method::POST, "jobs/ingest", missing).await.1[0]["errorCode"], "INVALIDENTITY");
}

#[tokio::test]
async fn a_refresh_token_that_was_used_up_ends_all_that_came_of_it() {
    let simulator = start(Kind::Salesforce).await;
    let renew = async |token: &str| {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", sf::CLIENT_ID),
            ("client_secret", sf::CLIENT_SECRET),
            ("refresh_token", token),
        ];
        let url = format!("{}/services/oauth2/token", simulator.base_url());
        let answer = http().post(url).form(&form).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, parse(&answer.text().await.unwrap()))
    };
    let (_, answer) = renew(sf::REFRESH_TOKEN).await;
    assert!(answer.get("refresh_token").is_none(), "by default it stays the same");
    simulator.door().rotate_refresh_tokens(sf::REFRESH_TOKEN);
    let (_, second) = renew(sf::REFRESH_TOKEN).await;
    let second = second["refresh_token"].as_str().unwrap().to_owned();
    let (_, third) = renew(&second).await;
    let third = third["refresh_token"].as_str().unwrap().to_owned();
    assert_ne!(second, third);
    assert_eq!(renew(&second).await.0, 400);
    let (status, answer) = renew(&third).await;
    assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")));
}
