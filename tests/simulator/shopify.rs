//! The simulated Shopify: the vendor's own library, unchanged, and what the vendor's pages say.

use rowtwin::simulator::{Kind, Options, Simulator, credentials::shopify};
use serde_json::{Value, json};

use crate::{
    callers::{http, parse, start},
    clients::foreign,
};

const PACKAGES: [&str; 1] = ["@shopify/shopify-api@15.0.0"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_vendors_shopify_library_works_unchanged() {
    let simulator = start(Kind::Shopify).await;
    let door = simulator.door();
    let ids = door.insert_many("customers", (0..250).map(|n| json!({"lastName": format!("客户 {n:03}")})));
    let base = simulator.base_url();
    let arguments = [
        base.as_str(),
        shopify::SHOP,
        shopify::API_VERSION,
        shopify::ACCESS_TOKEN,
        shopify::CLIENT_ID,
        shopify::CLIENT_SECRET,
    ];
    let seen =
        foreign("shopify", "shopify_client.cjs", &PACKAGES, arguments.map(str::to_owned).to_vec()).await;
    assert_eq!(seen["ids"], json!(ids), "three pages");
    assert_eq!((&seen["cost"], seen["restored"].as_f64()), (&json!(202), Some(100.0)));
    let made = &seen["made"]["customer"];
    assert_eq!(made["email"], "ada@example.com");
    assert_eq!(made["metafield"], json!({"key": "number", "value": "SDK1"}));
    assert_eq!(seen["twice"]["customer"], Value::Null);
    assert_eq!(
        seen["twice"]["userErrors"],
        json!([{"field": ["input", "email"], "message": "Email has already been taken"}])
    );
    assert_eq!(seen["found"], json!([{"lastName": "上海某某公司"}]));
    assert_eq!(seen["exact"]["id"], made["id"]);
    assert_eq!(seen["changed"], json!({"customer": {"lastName": "Ada"}, "userErrors": []}));
    assert_eq!(seen["gone"]["userErrors"][0]["message"], "Customer does not exist");
    assert_eq!(seen["deleted"], json!({"deletedCustomerId": made["id"], "userErrors": []}));
    assert_eq!(seen["unknown"], json!(["GraphqlQueryError", "undefinedField"]));
    assert_eq!(seen["costly"], json!(["GraphqlQueryError", "MAX_COST_EXCEEDED"]));
    assert_eq!(seen["throttled"], json!(["GraphqlQueryError", "THROTTLED"]));
    assert_eq!(seen["stranger"], json!(["HttpResponseError", 401]));
    assert_eq!(seen["webhook"], json!([true, "CUSTOMERS_CREATE", shopify::SHOP, shopify::API_VERSION]));
    assert_eq!(seen["forged"], json!([false, "invalid_hmac"]));
    assert_eq!(door.count("customers"), 251);
}

#[tokio::test]
async fn shopify_answers_as_its_pages_say() {
    let simulator = Simulator::start(Kind::Shopify, Options::default()).await.unwrap();
    let door = simulator.door();
    door.set_clock(Some(1_767_268_800_000));
    let ask = async |query: &str, variables: Value| {
        let url = format!("{}/admin/api/2023-01/graphql.json", simulator.base_url());
        let request = http().post(url).header("x-shopify-access-token", shopify::ACCESS_TOKEN);
        let body = json!({"query": query, "variables": variables}).to_string();
        let response = request.body(body).send().await.unwrap();
        assert_eq!(response.headers()["x-shopify-api-version"], "2026-01", "what is over falls forward");
        assert_eq!(response.status().as_u16(), 200);
        parse(&response.text().await.unwrap())
    };
    // The cost is charged up front, and comes back by the second.
    let list = "query($n: Int!) { customers(first: $n) { nodes { id } } }";
    let cost = ask(list, json!({"n": 250})).await["extensions"]["cost"].clone();
    assert_eq!(cost["requestedQueryCost"], 252);
    assert_eq!(cost["throttleStatus"]["currentlyAvailable"].as_f64(), Some(1748.0));
    for _ in 0..6 {
        ask(list, json!({"n": 250})).await;
    }
    let answer = ask(list, json!({"n": 250})).await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "THROTTLED");
    assert_eq!(answer["extensions"]["cost"]["throttleStatus"]["currentlyAvailable"].as_f64(), Some(236.0));
    door.set_clock(Some(1_767_268_801_000));
    assert!(ask(list, json!({"n": 250})).await.get("errors").is_none());
    door.set_clock(Some(1_767_268_900_000));
    // A value that no type takes refuses everything; one that is invalid only its own record.
    let two = "mutation($a: CustomerInput!, $b: CustomerInput!) { m0: customerCreate(input: $a) { customer { id } userErrors { field message } }
        m1: customerCreate(input: $b) { customer { id } userErrors { field message } } }";
    let answer = ask(two, json!({"a": {"lastName": "A"}, "b": {"shoeSize": 4}})).await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "INVALID_VARIABLE");
    assert_eq!(door.count("customers"), 0);
    let long = json!({"namespace": "custom", "key": "phone", "value": "1".repeat(21)});
    let answer =
        ask(two, json!({"a": {"lastName": "A", "metafields": [long]}, "b": {"firstName": "B"}})).await;
    assert_eq!(answer["data"]["m0"]["userErrors"][0]["field"], json!(["input", "metafields", "0", "value"]));
    assert_eq!(answer["data"]["m1"]["userErrors"], json!([]));
    let answer = ask(two, json!({"a": {"note": "nobody"}, "b": {"firstName": "C"}})).await;
    assert_eq!(
        answer["data"]["m0"]["userErrors"][0]["message"],
        "A name, phone number, or email address must be present"
    );
    // Lines are a connection of their own.
    let lines: Vec<Value> = (0..5).map(|n| json!({"sku": format!("S{n}"), "quantity": n, "originalUnitPriceSet.shopMoney.amount": "9.50"})).collect();
    let order = door.insert(
        "orders",
        json!({"name": "#1001", "totalPriceSet.shopMoney.amount": "95.00", "lineItems": lines}),
    );
    let read = "query($id: ID!, $after: String) { node(id: $id) { ... on Order { name totalPriceSet { shopMoney { amount } } customer { id }
        lineItems(first: 3, after: $after) { pageInfo { hasNextPage endCursor } nodes { sku originalUnitPriceSet { shopMoney { amount } } } } } } }";
    let first = ask(read, json!({"id": order})).await["data"]["node"].clone();
    assert_eq!(
        (&first["totalPriceSet"]["shopMoney"]["amount"], &first["customer"]),
        (&json!("95.00"), &Value::Null)
    );
    assert_eq!(first["lineItems"]["pageInfo"]["hasNextPage"], true);
    let after = &first["lineItems"]["pageInfo"]["endCursor"];
    let second = ask(read, json!({"id": order, "after": after})).await["data"]["node"]["lineItems"].clone();
    assert_eq!(second["nodes"][0]["sku"], "S3");
    assert_eq!(
        (second["nodes"].as_array().unwrap().len(), &second["pageInfo"]["hasNextPage"]),
        (2, &json!(false))
    );
}
