//! Encrypted webhooks, by small manifests of several makers: what is opened, answered and refused. The vectors were
//! accepted by the libraries of the vendors, or by well-known ones.

use proptest::prelude::*;
use serde_json::json;

use super::super::{Webhook, WebhookRefusal};
use super::{Seal, client, manifest, webhook};
use crate::connector::compiled::Connector;
use crate::remote::encryption::BodyKey;

const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
const OTHER_KEY: &str = "0bcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

/// 微信: the body is XML or JSON, the signature is in the address, the question is plain.
const WECHAT: &str = r#"
  signature:
    kind: sha1
    secrets: [token]
    signed: '[.secret, .query.timestamp, .query.nonce] + if .encrypted then [.encrypted] else [] end | sort | join("")'
    given: 'if .encrypted then .query.msg_signature else .query.signature end'
    signed_at: '.query.timestamp | tonumber * 1000'
  encryption:
    kind: wechat_aes
    keys: [new, old]
    given: '.envelope.Encrypt? // (.text | capture("<Encrypt><!\\[CDATA\\[(?<it>[^\\]]+)").it)'
    receiver: '"wxdemo"'
    answer:
      signed: '[.secret, "\(.now_ms / 1000 | floor)", .nonce, .encrypted] | sort | join("")'
      text: '[.encrypted, .signature, "\(.now_ms / 1000 | floor)", .nonce] | join(" ")'
  challenge: {when: '.method == "GET"', answer: '.query.echostr // .text'}
  records: '[{object: "order", id: (.body.id // (.text | capture("<MsgType>(?<it>[a-z]+)").it) // error("no id"))}]'
  answer: '"success"'
"#;

const FRAME: &str =
    "eCyIe0+uiijGBq44XutxnmMXMVVMdTT+Pg8C/LehLSi73ajTkm8WQUOkj3S06fkcEcLzENa8UfrLdITr3x3dDg==";
const QUERY: &str = "timestamp=1700000000&nonce=n1&encrypt_type=aes&msg_signature=";
const SIGNATURE: &str = "90adb2947bed31306bfcd4f017450ffff540234d";
const NOW: i64 = 1_700_000_000_000;

fn signature(parts: &[&str]) -> String {
    let mut parts = parts.to_vec();
    parts.sort_unstable();
    hex::encode(Seal::Sha1.of(b"", parts.concat().as_bytes()))
}

/// A push of 微信 in JSON, sealed right whatever is in it.
fn push(encrypted: &str) -> Webhook {
    let sealed = signature(&["tok", "1700000000", "n1", encrypted]);
    webhook(&format!("{QUERY}{sealed}"), &[], &json!({ "Encrypt": encrypted }).to_string())
}

fn frame(key: &str, message: &str, receiver: &str) -> String {
    BodyKey::of_letters(key).unwrap().close([7; 16], message, receiver).unwrap()
}

#[tokio::test]
async fn a_push_of_wechat_is_opened_in_xml_and_in_json_by_either_key() {
    let secrets = [("token", "tok"), ("new", OTHER_KEY), ("old", KEY)];
    let client = client(WECHAT, &secrets);
    let body = format!("<xml><ToUserName>x</ToUserName><Encrypt><![CDATA[{FRAME}]]></Encrypt></xml>");
    let told = client.hear(webhook(&format!("{QUERY}{SIGNATURE}"), &[], &body), NOW).await.unwrap();
    assert_eq!(told.records, [("order".to_owned(), "event".to_owned())]);
    for key in [KEY, OTHER_KEY] {
        let told = client.hear(push(&frame(key, r#"{"id": "42"}"#, "wxdemo")), NOW).await.unwrap();
        assert_eq!(told.records, [("order".to_owned(), "42".to_owned())]);
        // the answer is for whom it came from, and new each time
        let parts: Vec<&str> = told.answer.split(' ').collect();
        assert_eq!(parts[1], signature(&["tok", parts[2], parts[3], parts[0]]));
        let opened = BodyKey::of_letters(key).unwrap().open(parts[0]).unwrap();
        assert_eq!((opened.message.as_str(), opened.receiver.as_str()), ("success", "wxdemo"));
        let again = client.hear(push(&frame(key, r#"{"id": "42"}"#, "wxdemo")), NOW).await.unwrap();
        assert_ne!(told.answer, again.answer);
    }
}

#[tokio::test]
async fn a_question_in_plain_is_answered_and_names_nothing() {
    let client = client(WECHAT, &[("token", "tok"), ("new", KEY)]);
    let query = "signature=8633893fb43e07cf18bde4ef3cc3af60cad003d3&timestamp=1700000000&nonce=n1&echostr=7";
    let asked = |method: &str, body: &str| Webhook { method: method.to_owned(), ..webhook(query, &[], body) };
    let told = client.hear(asked("GET", ""), NOW).await.unwrap();
    assert_eq!((told.answer.as_str(), told.records.len()), ("7", 0));
    // its signature says nothing of a body: whoever saw the question must not name records with it
    let body = r#"{"id": "42"}"#;
    assert_eq!(client.hear(asked("POST", body), NOW).await, Err(WebhookRefusal::Encryption));
    assert_eq!(client.hear(asked("GET", ""), NOW + 300_001).await, Err(WebhookRefusal::Stale));
}

#[tokio::test]
async fn what_is_signed_and_cannot_be_opened_is_refused() {
    let client = client(WECHAT, &[("token", "tok"), ("new", KEY)]);
    let right = frame(KEY, r#"{"id": "42"}"#, "wxdemo");
    assert!(client.hear(push(&right), NOW).await.is_ok());
    for (why, encrypted) in [
        ("another key", frame(OTHER_KEY, r#"{"id": "42"}"#, "wxdemo")),
        ("another app", frame(KEY, r#"{"id": "42"}"#, "wxother")),
        ("no app", frame(KEY, r#"{"id": "42"}"#, "")),
        ("cut", right[..44].to_owned()),
        ("no base64", "not base64!".to_owned()),
        ("nothing", String::new()),
    ] {
        assert_eq!(client.hear(push(&encrypted), NOW).await, Err(WebhookRefusal::Encryption), "{why}");
    }
    // a window of five minutes, on either side
    for apart in [-300_001, 300_001] {
        assert_eq!(client.hear(push(&right), NOW + apart).await, Err(WebhookRefusal::Stale));
    }
    // the signature is about the encrypted part: another one under it is refused before it is opened
    let mut swapped = push(&right);
    swapped.body = json!({"Encrypt": frame(KEY, "{}", "wxdemo")}).to_string().into_bytes();
    assert_eq!(client.hear(swapped, NOW).await, Err(WebhookRefusal::Signature));
    for body in ["", "{}", r#"{"Encrypt": 5}"#, "<xml/>", &"[".repeat(200_000), &"x".repeat(1 << 20)] {
        let came = webhook(&format!("{QUERY}{SIGNATURE}"), &[], body);
        let refused = client.hear(came, NOW).await;
        assert_eq!(refused, Err(WebhookRefusal::Signature), "{:.20}", body);
    }
    // a message that is none is no reason to guess
    let refused = client.hear(push(&frame(KEY, "what?", "wxdemo")), NOW).await;
    assert!(matches!(refused, Err(WebhookRefusal::Malformed(_))), "{refused:?}");
}

/// 企业微信: the question is encrypted, and is answered in plain.
#[tokio::test]
async fn an_encrypted_question_is_answered_with_what_was_in_it() {
    let wecom = WECHAT
        .replace(".envelope.Encrypt? //", ".query.echostr // .envelope.Encrypt? //")
        .replace("'.query.echostr // .text'", ".text");
    let client = client(&wecom, &[("token", "tok"), ("new", KEY)]);
    let question = frame(KEY, "1616140317555161061", "wxdemo");
    let sealed = signature(&["tok", "1700000000", "n1", &question]);
    let query: String = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("msg_signature", sealed.as_str()), ("timestamp", "1700000000"), ("nonce", "n1")])
        .append_pair("echostr", &question)
        .finish();
    let asked = Webhook { method: "GET".to_owned(), ..webhook(&query, &[], "") };
    let told = client.hear(asked, NOW).await.unwrap();
    assert_eq!((told.answer.as_str(), told.records.len()), ("1616140317555161061", 0));
}

/// 纷享销客: everything is in the body, milliseconds, and nobody is named as the receiver.
const FXIAOKE: &str = r#"
  signature:
    kind: sha1
    secrets: [token]
    signed: '[.secret, "\(.envelope.timeStamp)", .envelope.nonce, .encrypted] | sort | join("")'
    given: .envelope.sig
    signed_at: .envelope.timeStamp
  encryption: {kind: wechat_aes, keys: [new], given: .envelope.content}
  records: 'if .body.type == "Message" then null else error("unknown") end'
  answer: '"success"'
"#;

#[tokio::test]
async fn a_callback_of_fxiaoke_is_opened_whoever_it_names() {
    let client = client(FXIAOKE, &[("token", "tok"), ("new", KEY)]);
    // the vector of its page
    assert_eq!(
        signature(&["tok", "1700000000000", "n1", "CIPHER"]),
        "114b6980bcbff6b82c2594d6e226266d8bd60881"
    );
    for receiver in ["", "FSAID_1"] {
        let content = frame(KEY, r#"{"type":"Message","content":"{}"}"#, receiver);
        let sig = signature(&["tok", "1700000000000", "n1", &content]);
        let body = json!({"nonce": "n1", "timeStamp": 1_700_000_000_000_i64, "content": content, "sig": sig});
        let told = client.hear(webhook("", &[], &body.to_string()), NOW).await.unwrap();
        assert_eq!((told.answer.as_str(), told.records.len()), ("success", 0));
    }
}

#[tokio::test]
async fn without_a_key_or_with_one_that_is_none_nothing_is_taken() {
    let none = client(WECHAT, &[("token", "tok")]);
    assert!(!none.can_hear());
    let refused = none.hear(push(FRAME), NOW).await;
    assert_eq!(refused, Err(WebhookRefusal::NoSecret("new, old".to_owned())));
    let short = client(WECHAT, &[("token", "tok"), ("new", KEY), ("old", "too short")]);
    let refused = short.hear(push(FRAME), NOW).await.unwrap_err();
    assert_eq!((&refused, refused.status()), (&WebhookRefusal::NoKey("old".to_owned()), 404));
    assert!(!refused.to_string().contains("too short"));
}

#[test]
fn a_manifest_whose_encryption_cannot_work_is_refused() {
    for (from, to, said) in [
        ("keys: [new, old]", "keys: []", "needs `keys`"),
        ("keys: [new, old]", "keys: [open]", "encryption.keys: there is no secret setting open"),
        ("kind: wechat_aes", "kind: rot13", "rot13"),
        ("receiver: '\"wxdemo\"'", "receiver: .settings | nope", "nope"),
    ] {
        let changed = manifest(&WECHAT.replace(from, to));
        let errors = Connector::compile(&changed, "t.yaml").expect_err("it is refused").to_string();
        assert!(errors.contains(said), "{said}: {errors}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn no_encrypted_webhook_breaks_anything(
        body in prop::collection::vec(any::<u8>(), 0..200), message in ".{0,60}", mode in 0..4_u8,
    ) {
        let client = client(WECHAT, &[("token", "tok"), ("new", KEY)]);
        let text = String::from_utf8_lossy(&body).into_owned();
        let came = match mode {
            0 => Webhook { body, ..webhook(QUERY, &[], "") },
            1 => push(&text),
            2 => push(&base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &body)),
            _ => push(&frame(KEY, &message, "wxdemo")),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let heard = runtime.block_on(client.hear(came, NOW));
        prop_assert!(mode == 3 || heard.is_err());
    }
}
