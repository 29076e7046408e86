//! Webhooks of several makers, by small manifests of their own: what is taken and what is refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use proptest::prelude::*;
use secrecy::SecretString;

use super::*;
use crate::connector::compiled::Connector;
use crate::connector::settings::{SettingValue, Settings};
use crate::remote::gate::OpenGate;
use crate::remote::transport::{HttpRequest, HttpResponse, Transport, TransportError};

#[path = "webhook_encryption_tests.rs"]
mod encryption;

struct Nobody;

impl Transport for Nobody {
    fn send<'a>(&'a self, _: HttpRequest) -> BoxFuture<'a, Result<HttpResponse, TransportError>> {
        Box::pin(std::future::ready(Err(TransportError::NotSent { reason: "nobody is there".to_owned() })))
    }
}

fn manifest(webhooks: &str) -> String {
    format!(
        "connector: t\ntitle: T\nversion: 1\nsettings:\n  new: {{secret: true}}\n  old: {{secret: true}}\n  token: {{secret: true}}\n  open: {{}}\n\
         request: {{base: '\"http://127.0.0.1\"'}}\nobjects: {{}}\nwebhooks:\n{webhooks}"
    )
}

fn client(webhooks: &str, secrets: &[(&str, &str)]) -> Client {
    let connector =
        Connector::compile(&manifest(webhooks), "t.yaml").unwrap_or_else(|errors| panic!("{errors}"));
    let secrets = secrets.iter().map(|(name, secret)| {
        ((*name).to_owned(), SettingValue::Secret(SecretString::from((*secret).to_owned())))
    });
    let settings = Settings(secrets.collect::<BTreeMap<_, _>>());
    Client::new("t", Arc::new(connector), settings, Arc::new(Nobody), Arc::new(OpenGate)).expect("a client")
}

fn webhook(query: &str, headers: &[(&str, &str)], body: &str) -> Webhook {
    Webhook {
        method: "POST".to_owned(),
        url: format!("https://hooks.example.com/hooks/t?{query}"),
        query: query.to_owned(),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        body: body.as_bytes().to_vec(),
        ..Webhook::default()
    }
}

const HMAC: &str = r#"
  signature: {kind: hmac_sha256, secrets: [new, old], signed: .text, given: '.headers["x-sig"] | ltrimstr("sha256=")'}
  records: '[.body[] | {object: .type, id}]'
  answer: '"success"'
"#;

/// Of `[{"type":"a","id":7}]` with the key `k`; by `openssl dgst -sha256 -hmac k`.
const BODY: &str = r#"[{"type":"a","id":7}]"#;

fn sealed(key: &str, body: &str) -> String {
    format!("sha256={}", hex::encode(Seal::HmacSha256.of(key.as_bytes(), body.as_bytes())))
}

#[tokio::test]
async fn a_signed_body_names_its_records_and_either_secret_will_do() {
    let client = client(HMAC, &[("new", "k2"), ("old", "k")]);
    for key in ["k", "k2"] {
        let told = client.hear(webhook("", &[("X-Sig", &sealed(key, BODY))], BODY), 0).await;
        let told = told.expect("it is taken");
        assert_eq!(told.records, [("a".to_owned(), "7".to_owned())]);
        assert_eq!(told.answer, "success");
    }
}

#[tokio::test]
async fn what_is_not_signed_right_is_refused_whatever_it_says() {
    let client = client(HMAC, &[("new", "k")]);
    let right = sealed("k", BODY);
    let cases = [
        (vec![], BODY.to_owned()),
        (vec![("x-sig", "")], BODY.to_owned()),
        (vec![("x-sig", "sha256=")], BODY.to_owned()),
        (vec![("x-sig", &right[..60])], BODY.to_owned()),
        (vec![("x-sig", right.as_str())], BODY.replace('7', "8")),
        (vec![("x-sig", right.as_str())], String::new()),
    ];
    for (headers, body) in cases {
        let refused = client.hear(webhook("", &headers, &body), 0).await;
        assert_eq!(refused, Err(WebhookRefusal::Signature), "{headers:?} {body}");
    }
    let mut bytes = webhook("", &[("x-sig", &right)], "");
    bytes.body = vec![0xff, 0xfe];
    assert_eq!(client.hear(bytes, 0).await, Err(WebhookRefusal::NotText));
}

#[tokio::test]
async fn a_body_that_says_nothing_useful_is_refused_and_not_guessed() {
    let client = client(HMAC, &[("new", "k")]);
    for body in [
        "",
        "{",
        "5",
        "{\"a\": 5}",
        r#"[{"type":"a"}]"#,
        r#"[{"id":1}]"#,
        r#"[{"type":"a","id":""}]"#,
        r#"[{"type":"a","id":"x\u0000y"}]"#,
        r#"[{"type":{},"id":"x"}]"#,
        r#"["x"]"#,
    ] {
        let refused = client.hear(webhook("", &[("x-sig", &sealed("k", body))], body), 0).await;
        // nothing at all is an empty list to jq
        let fine = matches!(&refused, Err(WebhookRefusal::Malformed(_)));
        assert!(fine, "{body}: {refused:?}");
    }
    let long = format!(r#"[{{"type":"a","id":"{}"}}]"#, "x".repeat(201));
    let refused = client.hear(webhook("", &[("x-sig", &sealed("k", &long))], &long), 0).await;
    assert!(matches!(refused, Err(WebhookRefusal::Malformed(_))), "{refused:?}");
    let many = format!("[{}]", vec![r#"{"type":"a","id":1}"#; MOST_RECORDS + 1].join(","));
    let refused = client.hear(webhook("", &[("x-sig", &sealed("k", &many))], &many), 0).await;
    assert_eq!(refused, Err(WebhookRefusal::TooMany));
}

/// The Standard Webhooks: several signatures in one header, a secret in base64, a time.
const STANDARD_WEBHOOKS: &str = r#"
  signature:
    kind: hmac_sha256
    secrets: [new]
    secret_form: base64
    encoding: base64
    signed: '"\(.headers["webhook-id"]).\(.headers["webhook-timestamp"]).\(.text)"'
    given: '.headers["webhook-signature"] | split(" ") | map(ltrimstr("v1,"))'
    signed_at: '.headers["webhook-timestamp"] | tonumber * 1000'
  records: '[{object: "x", id: .body.a}]'
"#;

#[tokio::test]
async fn an_old_webhook_is_refused_even_if_it_is_signed_right() {
    let client = client(STANDARD_WEBHOOKS, &[("new", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]);
    let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64");
    let text = r#"msg_1.1700000000.{"a":1}"#;
    let given = format!("v1,bm9uZQ== v1,{}", STANDARD.encode(Seal::HmacSha256.of(&key, text.as_bytes())));
    let headers =
        [("webhook-id", "msg_1"), ("webhook-timestamp", "1700000000"), ("webhook-signature", given.as_str())];
    let came = || webhook("", &headers, r#"{"a":1}"#);
    for apart in [-300_000, 0, 300_000] {
        let told = client.hear(came(), 1_700_000_000_000 + apart).await.expect("it is taken");
        assert_eq!(told.records, [("x".to_owned(), "1".to_owned())]);
    }
    for apart in [-300_001, 300_001] {
        assert_eq!(client.hear(came(), 1_700_000_000_000 + apart).await, Err(WebhookRefusal::Stale));
    }
}

/// The plain hash of 微信 over sorted parts, and its question.
const SORTED: &str = r#"
  signature:
    kind: sha1
    secrets: [new]
    signed: '[.secret, .query.timestamp, .query.nonce] | sort | join("")'
    given: .query.signature
    signed_at: '.query.timestamp | tonumber * 1000'
  challenge: {when: '.method == "GET"', answer: .query.echostr}
  records: 'null'
"#;

#[tokio::test]
async fn a_question_is_answered_when_it_is_signed() {
    let client = client(SORTED, &[("new", "tok")]);
    // the vector was accepted by wechatpy
    let query =
        "signature=8633893fb43e07cf18bde4ef3cc3af60cad003d3&timestamp=1700000000&nonce=n1&echostr=a%2Bb";
    let question = |query: &str| Webhook { method: "GET".to_owned(), ..webhook(query, &[], "") };
    let told = client.hear(question(query), 1_700_000_000_000).await.expect("it is taken");
    assert_eq!((told.answer.as_str(), told.records.len()), ("a+b", 0));
    let forged = query.replace("n1", "n2");
    assert_eq!(client.hear(question(&forged), 1_700_000_000_000).await, Err(WebhookRefusal::Signature));
}

const TOKEN: &str = r#"
  signature: {kind: token, secrets: [new], given: .rest}
  challenge: {when: '.query.validationToken != null', unsigned: true, answer: .query.validationToken}
  records: '[{object: "x", id: .body.id}]'
"#;

#[tokio::test]
async fn a_secret_in_the_address_will_do_where_nothing_is_signed() {
    let client = client(TOKEN, &[("new", "aaaa")]);
    let at = |rest: &str| Webhook {
        rest: rest.to_owned(),
        ..webhook("", &[("content-type", "application/x-www-form-urlencoded")], "id=a+b%21&id=c")
    };
    let told = client.hear(at("aaaa"), 0).await.expect("it is taken");
    assert_eq!(told.records, [("x".to_owned(), "a b!".to_owned())]);
    for wrong in ["", "aaab", "aaaa/"] {
        assert_eq!(client.hear(at(wrong), 0).await, Err(WebhookRefusal::Signature), "{wrong}");
    }
    let asked = Webhook { query: "validationToken=x".to_owned(), ..at("") };
    assert_eq!(client.hear(asked, 0).await.expect("it is answered").answer, "x");
}

#[tokio::test]
async fn without_a_secret_nothing_is_taken() {
    let client = client(TOKEN, &[]);
    assert!(!client.can_hear());
    assert_eq!(client.hear(webhook("", &[], ""), 0).await, Err(WebhookRefusal::NoSecret("new".to_owned())));
}

#[test]
fn a_manifest_that_would_prove_nothing_is_refused() {
    for (webhooks, said) in [
        (
            "  signature: {kind: sha1, secrets: [new], signed: .text, given: .rest}\n  records: 'null'\n",
            "`.secret`",
        ),
        ("  signature: {kind: hmac_sha1, secrets: [new], given: .rest}\n  records: 'null'\n", "`signed`"),
        (
            "  signature: {kind: token, secrets: [open], given: .rest}\n  records: 'null'\n",
            "no secret setting open",
        ),
        ("  signature: {kind: token, secrets: [], given: .rest}\n  records: 'null'\n", "`secrets`"),
        (
            "  signature: {kind: token, secrets: [new], signed: .text, given: .rest}\n  records: 'null'\n",
            "leave out",
        ),
    ] {
        let errors =
            Connector::compile(&manifest(webhooks), "t.yaml").expect_err("it is refused").to_string();
        assert!(errors.contains(said), "{said}: {errors}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn no_webhook_breaks_anything(
        query in ".{0,40}", given in ".{0,40}", body in prop::collection::vec(any::<u8>(), 0..200), signed in any::<bool>(),
    ) {
        let client = client(HMAC, &[("new", "k")]);
        let text = String::from_utf8_lossy(&body).into_owned();
        let given = if signed { sealed("k", &text) } else { given };
        let mut came = webhook(&query, &[("x-sig", &given)], &text);
        if !signed {
            came.body = body;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let heard = runtime.block_on(client.hear(came, 0));
        prop_assert!(signed || heard.is_err());
    }
}
