//! Feeds what takes webhooks with anything: `cargo fuzz run --sanitizer none webhook`.
//!
//! The first byte says which system it is for, how long the query is, and whether the rest is sealed and encrypted right, so
//! that what lies behind the signature, and inside of what is encrypted, is reached too.

#![no_main]

use std::sync::{Arc, OnceLock};

use libfuzzer_sys::fuzz_target;
use rowtwin::connector::{Client, Connector, SettingValue, Settings, Webhook};
use rowtwin::remote::encryption::BodyKey;
use rowtwin::remote::gate::OpenGate;
use rowtwin::remote::http::HttpTransport;
use rowtwin::remote::signature::Seal;
use secrecy::SecretString;
use sha1::{Digest, Sha1};

const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

fn made(name: &str, plain: &[(&str, &str)], secrets: &[&str]) -> Client {
    let connector = Connector::load(name, None).expect("a built-in connector");
    let transport = HttpTransport::new(connector.http_options()).expect("a transport that is never used");
    let secret = |name: &&str| ((*name).to_owned(), SettingValue::Secret(SecretString::from(KEY)));
    let plain = plain.iter().map(|(name, value)| ((*name).to_owned(), SettingValue::Plain((*value).into())));
    let settings = Settings(secrets.iter().map(secret).chain(plain).collect());
    Client::new("x", Arc::new(connector), settings, Arc::new(transport), Arc::new(OpenGate)).expect("a client")
}

fn clients() -> &'static [Client; 3] {
    static CLIENTS: OnceLock<[Client; 3]> = OnceLock::new();
    CLIENTS.get_or_init(|| {
        [
            made("jiandaoyun", &[], &["api_key", "webhook_secret"]),
            made("wechat-miniprogram", &[("app_id", "app")], &["app_secret", "message_token", "encoding_aes_key"]),
            made("yonyou", &[("tenant_id", "t"), ("app_key", "app")], &["app_secret"]),
        ]
    })
}

fn sha1_of(parts: &mut [&str]) -> String {
    parts.sort_unstable();
    hex::encode(Sha1::digest(parts.concat().as_bytes()))
}

/// What the system itself would send, with this text in it.
fn sealed(system: usize, text: &str, encrypts: bool) -> Webhook {
    let key = BodyKey::of_letters(KEY).expect("a key");
    let encrypted = if encrypts { key.close([7; 16], text, "app").expect("it is short") } else { text.to_owned() };
    let mut webhook = Webhook { method: "POST".to_owned(), ..Webhook::default() };
    match system {
        0 => {
            let seal = hex::encode(Sha1::digest(format!("n:{text}:{KEY}:0").as_bytes()));
            webhook.query = "nonce=n&timestamp=0".to_owned();
            webhook.headers = vec![("x-jdy-signature".to_owned(), seal)];
            webhook.body = text.as_bytes().to_vec();
        }
        1 => {
            let seal = sha1_of(&mut [KEY, "0", "n", &encrypted]);
            webhook.query = format!("nonce=n&timestamp=0&msg_signature={seal}");
            webhook.body = serde_json::json!({ "Encrypt": encrypted }).to_string().into_bytes();
        }
        _ => {
            let mut parts = ["0", "n", encrypted.as_str()];
            parts.sort_unstable();
            let seal = Seal::HmacSha256.of(KEY.as_bytes(), parts.concat().as_bytes());
            let seal = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, seal);
            let body = serde_json::json!({"signature": seal, "timestamp": 0, "nonce": "n", "encrypt": encrypted});
            webhook.body = body.to_string().into_bytes();
        }
    }
    webhook
}

fuzz_target!(|input: &[u8]| {
    let Some((first, rest)) = input.split_first() else { return };
    let (is_sealed, encrypts) = (first & 1 == 1, first & 2 == 2);
    let system = usize::from(first >> 2) % 3;
    let webhook = if is_sealed {
        sealed(system, &String::from_utf8_lossy(rest), encrypts)
    } else {
        let (query, body) = rest.split_at(usize::from(first >> 4).min(rest.len()));
        let query = String::from_utf8_lossy(query).into_owned();
        Webhook {
            method: "POST".to_owned(),
            headers: vec![("x-jdy-signature".to_owned(), query.clone())],
            query,
            body: body.to_vec(),
            ..Webhook::default()
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let client = clients().get(system).expect("one of three");
    let heard = runtime.block_on(client.hear(webhook, 0));
    assert!(is_sealed || heard.is_err(), "what is not sealed is never taken");
    assert!(encrypts || system == 0 || heard.is_err(), "what is not encrypted names nothing");
});
