//! The simulated Odoo: Odoo's own client library, unchanged, by both protocols, and what its pages say.

use rowtwin::simulator::{Kind, Options, Simulator, credentials::odoo};
use serde_json::{Value, json};

use crate::{
    callers::{http, parse, start},
    clients::foreign,
};

const PACKAGES: [&str; 3] = ["odoo-client-lib==2.0.1", "requests==2.34.2", "httpx==0.28.1"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odoos_own_client_library_works_unchanged_by_both_protocols() {
    let simulator = Simulator::start(Kind::Odoo, Options::default()).await.unwrap();
    let door = simulator.door();
    let ids = door.insert_many("res.partner", (0..150).map(|n| json!({"name": format!("客户 {n:03}")})));
    let port = simulator.base_url().rsplit(':').next().unwrap().to_owned();
    let user = odoo::USER_ID.to_string();
    let arguments =
        [port.as_str(), odoo::DATABASE, odoo::LOGIN, &user, odoo::API_KEY].map(str::to_owned).to_vec();
    let seen = foreign("odoo", "odoo_client.py", &PACKAGES, arguments).await;
    assert_eq!(seen["checked"], json!([true, false]));
    for (protocol, number, count) in [("json2", 1, 150), ("rpc", 2, 151)] {
        let seen = &seen[protocol];
        assert_eq!(seen["count"], count, "{protocol}");
        let third: i64 = ids[100].parse().unwrap();
        assert_eq!(seen["page"][0], json!({"id": third, "name": "客户 100", "ref": false}));
        assert_eq!(seen["page"].as_array().unwrap().len(), 2);
        let made = &seen["made"][0];
        assert_eq!(seen["written"], true);
        let read = &seen["read"];
        assert_eq!(
            (&read["ref"], &read["email"], &read["parent_id"]),
            (&json!(format!("D{number}")), &json!(false), &json!(false))
        );
        assert_eq!(read["x_credit"].as_f64(), Some(10.01));
        assert_eq!(read["write_date"].as_str().unwrap().len(), 19, "without the fraction of the second");
        assert_eq!(seen["child"][0]["parent_id"], json!([made, "上海某某公司"]));
        assert!(seen["invalid"].as_str().unwrap().contains("VAT"), "{}", seen["invalid"]);
        assert!(seen["field"].as_str().unwrap().contains("nme"), "{}", seen["field"]);
        let line = &seen["lines"].as_array().unwrap()[..];
        assert_eq!((line.len(), line[0]["product_uom_qty"].as_f64()), (1, Some(5.0)));
        assert_eq!(seen["deleted"], true);
        assert!(seen["again"].as_str().unwrap().contains("does not exist"), "{}", seen["again"]);
        assert_eq!(seen["kinds"]["parent_id"], "many2one");
    }
    assert_eq!(door.count("res.partner"), 152, "a batch with a bad record has made none");
}

#[tokio::test]
async fn odoo_answers_as_its_pages_say() {
    let simulator = start(Kind::Odoo).await;
    let base = simulator.base_url();
    let door = simulator.door();
    let call = async |path: &str, key: &str, body: Value| {
        let request = http().post(format!("{base}{path}")).header("authorization", format!("bearer {key}"));
        let response = request.body(body.to_string()).send().await.unwrap();
        (response.status().as_u16(), parse(&response.text().await.unwrap()))
    };
    let id = door.insert("res.partner", json!({"name": "Acme", "active": false}));
    let number: i64 = id.parse().unwrap();
    // An archived record is left out unless the context says otherwise.
    let all = json!({"domain": [], "fields": ["name"]});
    assert_eq!(call("/json/2/res.partner/search_read", odoo::API_KEY, all).await, (200, json!([])));
    let too = json!({"domain": [], "fields": ["name"], "context": {"active_test": false}});
    let (_, found) = call("/json/2/res.partner/search_read", odoo::API_KEY, too).await;
    assert_eq!(found, json!([{"id": number, "name": "Acme"}]));
    for (path, key, body, status, name) in [
        ("res.partner/search_read", "wrong", json!({"domain": []}), 401, "Unauthorized"),
        ("res.nothing/search_read", odoo::API_KEY, json!({"domain": []}), 404, "NotFound"),
        (
            "res.partner/search_read",
            odoo::API_KEY,
            json!({"domain": [], "ids": [1]}),
            422,
            "UnprocessableEntity",
        ),
        ("res.partner/search_read", odoo::API_KEY, json!({"where": []}), 422, "UnprocessableEntity"),
        ("res.partner/write", odoo::API_KEY, json!({"ids": [1], "vals": {"name": "x"}}), 404, "MissingError"),
        (
            "res.partner/write",
            odoo::API_KEY,
            json!({"ids": [number], "vals": {"name": false}}),
            422,
            "ValidationError",
        ),
        (
            "res.partner/create",
            odoo::API_KEY,
            json!({"vals_list": [{"name": "x", "nme": 1}]}),
            500,
            "ValueError",
        ),
    ] {
        let (answered, told) = call(&format!("/json/2/{path}"), key, body).await;
        assert_eq!(answered, status, "{path}: {told}");
        assert!(told["name"].as_str().unwrap().ends_with(name), "{path}: {told}");
    }
    // By JSON-RPC an error has status 200, and wrong credentials are no error.
    let rpc = |service: &str, method: &str, args: Value| json!({"jsonrpc": "2.0", "method": "call", "id": 1, "params": {"service": service, "method": method, "args": args}});
    let (status, told) = call(
        "/jsonrpc",
        "",
        rpc("common", "authenticate", json!([odoo::DATABASE, odoo::LOGIN, "wrong", {}])),
    )
    .await;
    assert_eq!((status, &told["result"]), (200, &json!(false)));
    let args = json!([odoo::DATABASE, odoo::USER_ID, "wrong", "res.partner", "search", [[]]]);
    let (status, told) = call("/jsonrpc", "", rpc("object", "execute_kw", args)).await;
    assert_eq!((status, &told["error"]["data"]["name"]), (200, &json!("odoo.exceptions.AccessDenied")));
}
