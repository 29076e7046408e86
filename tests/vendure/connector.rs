//! The connector alone against the real server: what it says of an object, and who the shop is.

use std::collections::BTreeMap;
use std::sync::Arc;

use rowtwin::connector::{Client, Connector, SettingValue, Settings};
use rowtwin::model::outcome::OutcomeKind;
use rowtwin::remote::gate::OpenGate;
use rowtwin::remote::http::HttpTransport;
use secrecy::SecretString;
use serde_json::Value;

use crate::server::{PASSWORD, USER, Vendure};

fn client(vendure: &Vendure, password: &str) -> Client {
    let plain = |text: String| SettingValue::Plain(Value::from(text));
    let settings = BTreeMap::from([
        ("base_url".to_owned(), plain(vendure.base_url())),
        ("user".to_owned(), plain(USER.to_owned())),
        ("password".to_owned(), SettingValue::Secret(SecretString::from(password))),
    ]);
    let connector = Connector::compile(include_str!("../../examples/vendure.yaml"), "vendure").unwrap();
    let transport = Arc::new(HttpTransport::new(connector.http_options()).unwrap());
    Client::new("shop", Arc::new(connector), Settings(settings), transport, Arc::new(OpenGate)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_shop_says_of_itself_and_of_its_objects() {
    let vendure = Vendure::start().await;
    let wrong = client(&vendure, "wrong-password").sign_in().await.expect_err("a wrong password");
    assert_eq!(wrong.kind(), OutcomeKind::Misconfigured);
    assert!(!wrong.reason().contains("wrong-password"));

    let client = client(&vendure, PASSWORD);
    assert!(client.sign_in().await.unwrap().is_some(), "a channel's token tells one shop from another");
    let described = client.describe("customers").await.unwrap();
    let field = |name: &str| {
        let found = described.iter().find(|field| field.name == name);
        let field = found.unwrap_or_else(|| panic!("{name} is not among {described:?}"));
        (field.kind.as_str(), field.required, field.writable)
    };
    assert_eq!(field("lastName"), ("String", true, true));
    assert_eq!(field("phoneNumber"), ("String", false, true));
    assert_eq!(field("updatedAt"), ("DateTime", false, false));
    assert_eq!(field("customFields.credit"), ("Float", false, true));
    assert!(!described.iter().any(|field| field.name == "orders"), "what is no value is left out");
    let described = client.describe("products").await.unwrap();
    let slug = described.iter().find(|field| field.name == "slug").unwrap();
    assert!(slug.writable, "it is written as a translation");
}
