//! The client against a scripted transport.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::BoxFuture;
use secrecy::SecretString;
use serde_json::json;

use super::*;
use crate::connector::settings::SettingValue;
use crate::model::outcome::OutcomeKind;
use crate::remote::gate::{CallNote, OpenGate, Pass};
use crate::remote::transport::{HttpRequest, HttpResponse, TransportError};
use uuid::Uuid;

const MANIFEST: &str = r#"
connector: small
title: Small
version: 1
settings:
  base_url: {required: true, help: the address}
  key: {required: true, secret: true, help: from the page of keys}
  colour: {default: red, one_of: [red, blue]}
sign_in:
  kinds:
    only:
      kind: token_exchange
      path: /token
      body: "{key: .secrets.key}"
      token: .body.token
      expires_in: .body.expires_in
      margin: 60
request:
  base: .settings.base_url
  headers: '{authorization: "Bearer \(.token)"}'
limits:
  usage: '{used: .headers["x-used"], limit: .headers["x-limit"]}'
answers:
  - {when: .body.code == "expired", outcome: sign_in_again}
  - {when: .body.code == "bad", outcome: reject, reason: .body.text, field: .body.field}
operations:
  list:
    batch: 2
    method: GET
    path: "/things/{.object.plural}"
    query: '{after: .page, q: "a b&c"}'
    records: .body.rows
    next: if (.body.rows | length) < .limit then null else .body.rows[-1].id end
  read:
    batch: 2
    path: /read
    body: "{ids, page}"
    records: .body.rows
    next: .body.next
  create: {batch: 2, path: /create, body: "[.items[].fields]", results: ".body.results"}
  update: {batch: 2, path: /update, body: "[.items[].changes]"}
objects:
  thing:
    id: .record.id
    modified: .record.at
    read_only: [at]
    parameters: {plural: "th/ngs ü"}
"#;

/// Answers in turn; what is asked is kept.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Result<HttpResponse, TransportError>>>,
    asked: Mutex<Vec<HttpRequest>>,
}

impl Script {
    fn of(answers: impl IntoIterator<Item = Result<HttpResponse, TransportError>>) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::new(answers.into_iter().collect()), ..Self::default() })
    }

    fn asked(&self) -> Vec<HttpRequest> {
        self.asked.lock().expect("a lock").clone()
    }
}

impl Transport for Script {
    fn send<'a>(&'a self, request: HttpRequest) -> BoxFuture<'a, Result<HttpResponse, TransportError>> {
        self.asked.lock().expect("a lock").push(request);
        let answer = self.answers.lock().expect("a lock").pop_front();
        Box::pin(async move {
            // Gives other calls a turn, as a network does.
            tokio::task::yield_now().await;
            answer.unwrap_or_else(|| Err(TransportError::NotSent { reason: "no more".to_owned() }))
        })
    }
}

fn answer(status: u16, body: Value) -> Result<HttpResponse, TransportError> {
    with_headers(status, &[], body)
}

fn with_headers(status: u16, headers: &[(&str, &str)], body: Value) -> Result<HttpResponse, TransportError> {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Ok(HttpResponse { status, headers: headers.collect(), body: body.to_string().into_bytes() })
}

fn token(name: &str) -> Result<HttpResponse, TransportError> {
    answer(200, json!({"token": name, "expires_in": 3600}))
}

fn lost() -> Result<HttpResponse, TransportError> {
    Err(TransportError::Lost { reason: "cut".to_owned() })
}

fn settings() -> Settings {
    Settings(BTreeMap::from([
        ("base_url".to_owned(), SettingValue::Plain(json!("http://127.0.0.1:1/api/"))),
        ("key".to_owned(), SettingValue::Secret(SecretString::from("very-secret-key"))),
    ]))
}

fn connector() -> Arc<Connector> {
    Arc::new(Connector::compile(MANIFEST, "small.yaml").unwrap_or_else(|errors| panic!("{errors}")))
}

fn client(script: &Arc<Script>, gate: Arc<dyn Gate>) -> Client {
    let transport: Arc<dyn Transport> = Arc::<Script>::clone(script);
    Client::new("crm", connector(), settings(), transport, gate).expect("a client")
}

fn new_record(fields: Value) -> NewRecord {
    let Value::Object(fields) = fields else { panic!("not an object") };
    NewRecord { attempt: Uuid::nil(), fields }
}

fn change(id: &str, changes: Value) -> Change {
    let Value::Object(changes) = changes else { panic!("not an object") };
    Change { id: id.to_owned(), version: None, changes, shadow: Record::new() }
}

fn kinds(answer: &BatchAnswer) -> Vec<OutcomeKind> {
    answer.outcomes.iter().map(Outcome::kind).collect()
}

#[tokio::test]
async fn an_answer_in_gbk_is_read() {
    let body = [b"{\"rows\": [{\"id\": 1, \"at\": 5, \"n\": \"".as_slice(), b"\xb0\xa2", b"\"}]}"].concat();
    let headers = vec![("content-type".to_owned(), "application/json; charset=GBK".to_owned())];
    let script = Script::of([token("T1"), Ok(HttpResponse { status: 200, headers, body })]);
    let client = client(&script, Arc::new(OpenGate));
    let page =
        client.list("thing", &["n".to_owned()], None, None, false, Priority::Edit).await.expect("a page");
    assert_eq!(page.records[0].fields["n"], json!("阿"));
}

#[tokio::test]
async fn a_list_follows_its_pages_and_sets_bad_records_apart() {
    let date = [("date", "Sun, 06 Nov 1994 08:49:37 GMT")];
    let script = Script::of([
        token("T1"),
        with_headers(200, &date, json!({"rows": [{"id": 1, "at": 5, "n": 1}, {"at": "x"}]})),
    ]);
    let client = client(&script, Arc::new(OpenGate));
    let page =
        client.list("thing", &[], None, Some(&json!("p/1")), false, Priority::Edit).await.expect("a page");
    assert_eq!(page.records.len(), 1);
    assert_eq!((page.records[0].id.as_str(), page.records[0].modified_ms), ("1", Some(5)));
    assert_eq!(page.unreadable, [("the record has no id".to_owned(), json!({"at": "x"}))]);
    assert_eq!(page.remote_clock_ms, Some(784_111_777_000));
    let asked = script.asked();
    assert_eq!(asked[1].method, "GET");
    assert_eq!(asked[1].url, "http://127.0.0.1:1/api/things/th/ngs%20%C3%BC?after=p%2F1&q=a%20b%26c");
    assert!(asked[1].headers.contains(&("authorization".to_owned(), "Bearer T1".to_owned())));
}

#[tokio::test]
async fn a_read_is_cut_into_batches_and_follows_pages() {
    let script = Script::of([
        token("T1"),
        answer(200, json!({"rows": [{"id": 1}], "next": 7})),
        answer(200, json!({"rows": [{"id": 2}]})),
        answer(200, json!({"rows": []})),
    ]);
    let client = client(&script, Arc::new(OpenGate));
    let ids = ["1", "2", "3"].map(str::to_owned);
    let records = client.read("thing", &[], &ids, Priority::Edit).await.expect("records");
    assert_eq!(records.iter().map(|record| record.id.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    let bodies: Vec<Value> =
        script.asked()[1..].iter().map(|asked| serde_json::from_slice(&asked.body).expect("JSON")).collect();
    let expected = [
        json!({"ids": ["1", "2"], "page": null}),
        json!({"ids": ["1", "2"], "page": 7}),
        json!({"ids": ["3"], "page": null}),
    ];
    assert_eq!(bodies, expected);
}

#[tokio::test]
async fn a_lost_answer_to_a_create_is_never_called_not_done() {
    let failures: Vec<(Result<HttpResponse, TransportError>, OutcomeKind, OutcomeKind)> = vec![
        (lost(), OutcomeKind::Unknown, OutcomeKind::Retry),
        (Err(TransportError::TooLarge { limit: 9 }), OutcomeKind::Unknown, OutcomeKind::Retry),
        (Err(TransportError::NotSent { reason: "refused".into() }), OutcomeKind::Retry, OutcomeKind::Retry),
        (answer(500, json!({})), OutcomeKind::Unknown, OutcomeKind::Retry),
        (answer(502, json!({})), OutcomeKind::Unknown, OutcomeKind::Retry),
        (
            Ok(HttpResponse { status: 200, headers: Vec::new(), body: b"{\"results\": [".to_vec() }),
            OutcomeKind::Unknown,
            OutcomeKind::Retry,
        ),
        (answer(200, json!("a text")), OutcomeKind::Unknown, OutcomeKind::Retry),
        (answer(429, json!({})), OutcomeKind::Throttled, OutcomeKind::Throttled),
        (answer(403, json!({})), OutcomeKind::Misconfigured, OutcomeKind::Misconfigured),
        (answer(422, json!({})), OutcomeKind::Reject, OutcomeKind::Reject),
    ];
    for (failure, of_create, of_update) in failures {
        let script = Script::of([token("T1"), failure.clone()]);
        let create = client(&script, Arc::new(OpenGate));
        let created = create.create("thing", &[new_record(json!({"n": 1}))], Priority::Edit).await;
        assert_eq!((kinds(&created), created.whole), (vec![of_create], true), "{failure:?}");
        let script = Script::of([token("T1"), failure.clone()]);
        let update = client(&script, Arc::new(OpenGate));
        let updated = update.update("thing", &[change("1", json!({"n": 1}))], Priority::Edit).await;
        assert_eq!(kinds(&updated), [of_update], "{failure:?}");
    }
}

#[tokio::test]
async fn a_throttled_answer_says_until_when() {
    let script = Script::of([token("T1"), with_headers(429, &[("retry-after", "7")], json!({}))]);
    let client = client(&script, Arc::new(OpenGate));
    let outcome = client.list("thing", &[], None, None, false, Priority::Edit).await.expect_err("throttled");
    assert_eq!(
        outcome,
        Outcome::Throttled { after: Some(Duration::from_secs(7)), reason: "status 429".to_owned() }
    );
}

#[tokio::test]
async fn results_are_taken_one_by_one_and_a_missing_one_is_unknown() {
    let big = "1234567890123.45678901234567890";
    let body = format!(r#"{{"results": [{{"id": 9, "record": {{"amount": {big}}}}}]}}"#);
    let script = Script::of([
        token("T1"),
        Ok(HttpResponse { status: 200, headers: Vec::new(), body: body.into_bytes() }),
    ]);
    let client = client(&script, Arc::new(OpenGate));
    let amount: Value = serde_json::from_str(big).expect("a number");
    let items = [new_record(json!({"amount": amount, "at": 1})), new_record(json!({}))];
    let created = client.create("thing", &items, Priority::Edit).await;
    let Outcome::Ok { id, record: Some(record), .. } = &created.outcomes[0] else { panic!("{created:?}") };
    assert_eq!((id.as_deref(), record["amount"].to_string().as_str()), (Some("9"), big));
    assert_eq!((created.outcomes[1].kind(), created.whole), (OutcomeKind::Unknown, false));
    // What is read only was not sent, and the digits went out as they came.
    assert_eq!(String::from_utf8_lossy(&script.asked()[1].body), format!(r#"[{{"amount":{big}}},{{}}]"#));
}

#[tokio::test]
async fn one_sign_in_serves_all_and_is_renewed_once() {
    let expired = || answer(200, json!({"code": "expired"}));
    let script = Script::of([token("T1"), expired(), token("T2"), answer(200, json!({"rows": []}))]);
    let renewed = client(&script, Arc::new(OpenGate));
    renewed.list("thing", &[], None, None, false, Priority::Edit).await.expect("a page");
    let authorisations: Vec<String> = script
        .asked()
        .iter()
        .flat_map(|asked| asked.headers.clone())
        .filter(|(n, _)| n == "authorization")
        .map(|(_, v)| v)
        .collect();
    assert_eq!(authorisations, ["Bearer T1", "Bearer T2"]);

    let script = Script::of([token("T1"), expired(), token("T2"), expired(), token("T3")]);
    let refused = client(&script, Arc::new(OpenGate));
    let updated = refused.update("thing", &[change("1", json!({"n": 1}))], Priority::Edit).await;
    assert_eq!((kinds(&updated), script.asked().len()), (vec![OutcomeKind::Misconfigured], 4));

    let pages = (0..8).map(|_| answer(200, json!({"rows": []})));
    let script = Script::of([token("T1")].into_iter().chain(pages));
    let shared = Arc::new(client(&script, Arc::new(OpenGate)));
    let calls = (0..8).map(|_| shared.list("thing", &[], None, None, false, Priority::Edit));
    for page in futures_util::future::join_all(calls).await {
        page.expect("a page");
    }
    let sign_ins = script.asked().iter().filter(|asked| asked.url.ends_with("/token")).count();
    assert_eq!(sign_ins, 1);
}

#[tokio::test]
async fn secrets_stay_out_of_what_is_said() {
    let quoted = json!({"code": "bad", "text": "very-secret-key and T1-token are wrong", "field": "n"});
    let script = Script::of([token("T1-token"), answer(400, quoted)]);
    let client = client(&script, Arc::new(OpenGate));
    let updated = client.update("thing", &[change("1", json!({"n": 1}))], Priority::Edit).await;
    let expected =
        Outcome::Reject { field: Some("n".to_owned()), reason: "*** and *** are wrong".to_owned() };
    assert_eq!(updated.outcomes, [expected]);
    let shown = format!("{client:?} {:?} {:?}", settings(), script.asked());
    assert!(!shown.contains("very-secret-key") && !shown.contains("T1-token"), "{shown}");
}

/// Notes every call, and is closed after as many as it was made with.
struct Counting {
    open: Mutex<usize>,
    notes: Mutex<Vec<CallNote>>,
}

impl Gate for Counting {
    fn enter<'a>(&'a self, _: &'static str, _: Priority) -> BoxFuture<'a, Result<Pass, Outcome>> {
        let mut open = self.open.lock().expect("a lock");
        let result = match open.checked_sub(1) {
            Some(less) => {
                *open = less;
                Ok(Pass(1))
            }
            None => Err(Outcome::Throttled { after: None, reason: "the day's budget".to_owned() }),
        };
        Box::pin(std::future::ready(result))
    }

    fn leave<'a>(&'a self, _: Pass, note: CallNote) -> BoxFuture<'a, ()> {
        self.notes.lock().expect("a lock").push(note);
        Box::pin(std::future::ready(()))
    }
}

#[tokio::test]
async fn every_call_passes_the_gate() {
    let gate = Arc::new(Counting { open: Mutex::new(2), notes: Mutex::default() });
    let used = [("x-used", "3"), ("x-limit", "100")];
    let script = Script::of([token("T1"), with_headers(200, &used, json!({"rows": []}))]);
    let client = client(&script, Arc::<Counting>::clone(&gate));
    client.list("thing", &[], None, None, false, Priority::Edit).await.expect("a page");
    let refused = client.update("thing", &[change("1", json!({"n": 1}))], Priority::Backfill).await;
    assert_eq!((kinds(&refused), refused.whole), (vec![OutcomeKind::Throttled], true));
    assert_eq!(script.asked().len(), 2, "a closed gate lets nothing out");
    let notes = gate.notes.lock().expect("a lock");
    let seen: Vec<_> =
        notes.iter().map(|note| (note.operation, note.status, note.outcome, note.usage)).collect();
    let expected = [("sign_in", 200, OutcomeKind::Ok, None), ("list", 200, OutcomeKind::Ok, Some((3, 100)))];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn too_large_a_write_is_refused_before_it_is_sent() {
    let script = Script::of([]);
    let client = client(&script, Arc::new(OpenGate));
    let items = vec![change("1", json!({"n": 1})); 3];
    assert_eq!(kinds(&client.update("thing", &items, Priority::Edit).await), [OutcomeKind::Misconfigured; 3]);
    let gone =
        client.delete("thing", &[Removal { id: "1".to_owned(), version: None }], false, Priority::Edit).await;
    assert_eq!(kinds(&gone), [OutcomeKind::Misconfigured]);
    assert!(script.asked().is_empty());
}

#[test]
fn settings_are_checked_with_a_cure() {
    let refused = |name: &str, value: Option<SettingValue>| {
        let mut settings = settings();
        match value {
            Some(value) => settings.0.insert(name.to_owned(), value),
            None => settings.0.remove(name),
        };
        let script = Script::of([]);
        Client::new("crm", connector(), settings, script, Arc::new(OpenGate)).expect_err(name).to_string()
    };
    assert!(refused("key", None).contains("setting key: it is needed and not set: from the page of keys"));
    assert!(refused("base_url", None).contains("setting base_url: it is needed"));
    assert!(refused("key", Some(SettingValue::Plain(json!("x")))).contains("it is a secret"));
    assert!(refused("color", Some(SettingValue::Plain(json!("x")))).contains("there is no such setting"));
    assert!(refused("colour", Some(SettingValue::Plain(json!("green")))).contains("one of red, blue"));
}

#[test]
fn abilities_are_those_of_the_manifest() {
    let script = Script::of([]);
    let client = client(&script, Arc::new(OpenGate));
    let abilities = client.abilities("thing").expect("abilities");
    assert!(abilities.can_list && abilities.can_create && !abilities.can_delete && !abilities.can_find);
    assert_eq!((abilities.create_batch, abilities.modified_field.as_deref()), (2, Some("at")));
    let unknown = client.abilities("nothing").expect_err("no such object").to_string();
    assert_eq!(unknown, "connector small has no object nothing; there are thing");
}

#[tokio::test]
async fn a_new_secret_that_cannot_be_kept_stops_the_sign_in_and_is_not_shown() {
    let text = MANIFEST
        .replace("      token: .body.token\n", "      token: .body.token\n      keep: {key: .body.key}\n");
    let connector = Arc::new(Connector::compile(&text, "small.yaml").expect("compiles"));
    let rotated = |key: &str| answer(200, json!({"token": "T1", "key": key, "expires_in": 100}));
    for (key, expected) in [("very-secret-key", true), ("another-key-entirely", false)] {
        let script = Script::of([rotated(key), answer(200, json!({"rows": []}))]);
        let client = Client::new("crm", Arc::clone(&connector), settings(), script, Arc::new(OpenGate))
            .expect("a client");
        match client.list("thing", &[], None, None, false, Priority::Edit).await {
            Ok(_) => assert!(expected, "{key}"),
            Err(Outcome::Misconfigured { reason }) => {
                assert!(!expected && reason.contains("there is no place to keep it"), "{reason}");
                assert!(!reason.contains(key), "{reason}");
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_sign_in_may_come_after_another_whose_token_it_sees() {
    let session = r#"
    first:
      kind: token_exchange
      path: /token
      body: "{key: .secrets.key}"
      token: .body.token
      expires_in: .body.expires_in
    only:
      kind: session
      begins_with: first
      method: GET
      path: /session
      headers: '{authorization: "Bearer \(.before)"}'
      token: '"\(.before)+\(.headers["x-csrf-token"])"'
  select: '"only"'
request:"#;
    let start = MANIFEST.find("    only:").expect("a kind");
    let end = MANIFEST.find("request:").expect("requests");
    let text = format!(
        "{}{}{}",
        &MANIFEST[..start],
        session.trim_start_matches('\n'),
        &MANIFEST[end + "request:".len()..]
    );
    let opened = || with_headers(200, &[("x-csrf-token", "csrf")], json!({}));
    let script = Script::of([
        token("one"),
        opened(),
        answer(200, json!({"rows": []})),
        answer(200, json!({"code": "expired"})),
        token("two"),
        opened(),
        answer(200, json!({"rows": []})),
    ]);
    let connector = Arc::new(Connector::compile(&text, "small.yaml").expect("a manifest"));
    let transport: Arc<dyn Transport> = Arc::<Script>::clone(&script);
    let client = Client::new("crm", connector, settings(), transport, Arc::new(OpenGate)).expect("a client");
    for _ in 0..2 {
        let page = client.list("thing", &[], None, None, false, Priority::Edit).await;
        assert!(page.is_ok(), "{page:?}");
    }
    let sent = |asked: &HttpRequest| {
        let given = asked.headers.iter().find(|(name, _)| name == "authorization");
        format!("{} {}", asked.url, given.map_or("", |(_, value)| value))
    };
    let asked: Vec<String> = script.asked().iter().map(sent).collect();
    let expected = [
        "/token ",
        "/session Bearer one",
        "/things/th/ngs%20%C3%BC?q=a%20b%26c Bearer one+csrf",
        "/things/th/ngs%20%C3%BC?q=a%20b%26c Bearer one+csrf",
        "/token ",
        "/session Bearer two",
        "/things/th/ngs%20%C3%BC?q=a%20b%26c Bearer two+csrf",
    ];
    assert!(
        asked.iter().zip(expected).all(|(asked, expected)| asked.ends_with(expected))
            && asked.len() == expected.len(),
        "{asked:#?}"
    );
    let circle = text.replace("kind: token_exchange", "kind: token_exchange\n      begins_with: only");
    let refused = Connector::compile(&circle, "small.yaml").expect_err("a circle");
    assert!(refused.to_string().contains("begins with"), "{refused}");
}
