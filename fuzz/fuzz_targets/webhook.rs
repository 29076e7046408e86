//! Feeds what takes webhooks with anything: `cargo fuzz run --sanitizer none webhook`.
//!
//! The first byte says how long the query is and whether the rest is sealed right, so that what lies behind the
//! signature is reached too.

#![no_main]

use std::sync::{Arc, OnceLock};

use libfuzzer_sys::fuzz_target;
use rowtwin::connector::{Client, Connector, SettingValue, Settings, Webhook};
use rowtwin::remote::gate::OpenGate;
use rowtwin::remote::http::HttpTransport;
use secrecy::SecretString;
use sha1::{Digest, Sha1};

fn client() -> &'static Client {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        let connector = Connector::load("jiandaoyun", None).expect("a built-in connector");
        let transport = HttpTransport::new(connector.http_options()).expect("a transport that is never used");
        let secret = |name: &str| (name.to_owned(), SettingValue::Secret(SecretString::from("secret")));
        let settings = Settings([secret("api_key"), secret("webhook_secret")].into_iter().collect());
        Client::new("x", Arc::new(connector), settings, Arc::new(transport), Arc::new(OpenGate)).expect("a client")
    })
}

fuzz_target!(|input: &[u8]| {
    let Some((first, rest)) = input.split_first() else { return };
    let (sealed, length) = (first & 1 == 1, usize::from(first >> 1).min(rest.len()));
    let (query, body) = rest.split_at(length);
    let mut webhook = Webhook {
        method: "POST".to_owned(),
        query: String::from_utf8_lossy(query).into_owned(),
        headers: vec![("x-jdy-signature".to_owned(), String::from_utf8_lossy(query).into_owned())],
        body: body.to_vec(),
        ..Webhook::default()
    };
    if sealed {
        webhook.query = "nonce=n&timestamp=0".to_owned();
        let text = String::from_utf8_lossy(body);
        let seal = hex::encode(Sha1::digest(format!("n:{text}:secret:0").as_bytes()));
        webhook.headers = vec![("x-jdy-signature".to_owned(), seal)];
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let heard = runtime.block_on(client().hear(webhook, 0));
    assert!(sealed || heard.is_err(), "what is not sealed is never taken");
});
