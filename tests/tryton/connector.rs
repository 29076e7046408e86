//! The connector alone against the real server: pages, look-ups, what it says of an object, and refusals.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rowtwin::connector::{Change, Client, Connector, Removal, SettingValue, Settings};
use rowtwin::model::outcome::{Outcome, OutcomeKind};
use rowtwin::model::record::Record;
use rowtwin::remote::gate::{OpenGate, Priority};
use rowtwin::remote::http::HttpTransport;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::client::{PARTY, Person};
use crate::server::{DATABASE, PASSWORD, Tryton};

const EDIT: Priority = Priority::Edit;

fn client(tryton: &Tryton, password: &str) -> Client {
    let plain = |text: String| SettingValue::Plain(Value::from(text));
    let settings = BTreeMap::from([
        ("base_url".to_owned(), plain(tryton.base_url())),
        ("database".to_owned(), plain(DATABASE.to_owned())),
        ("user".to_owned(), plain("admin".to_owned())),
        ("password".to_owned(), SettingValue::Secret(SecretString::from(password))),
    ]);
    let connector = Arc::new(Connector::load("tryton", None).unwrap());
    let transport = Arc::new(HttpTransport::new(connector.http_options()).unwrap());
    Client::new("erp", connector, Settings(settings), transport, Arc::new(OpenGate)).unwrap()
}

fn record(value: Value) -> Record {
    value.as_object().unwrap().clone()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn reading() {
    let tryton = Tryton::start().await;
    let person = Person::sign_in(&tryton).await;
    let made: Vec<Value> =
        (0..620).map(|n| json!({"name": format!("N{n}"), "code": format!("C{n}")})).collect();
    let ids: BTreeSet<String> = person.create(json!(made)).await.iter().map(i64::to_string).collect();
    let client = client(&tryton, PASSWORD);
    assert_eq!(client.sign_in().await.unwrap().as_deref(), Some(DATABASE));

    let fields = names(&["name", "code", "active"]);
    let first = client.list(PARTY, &fields, None, None, false, EDIT).await.unwrap();
    assert_eq!(first.records.len(), 500);
    let rest = client.list(PARTY, &fields, None, first.next.as_ref(), false, EDIT).await.unwrap();
    assert!(rest.next.is_none());
    let seen: BTreeSet<String> =
        first.records.iter().chain(&rest.records).map(|one| one.id.clone()).collect();
    assert_eq!(seen, ids);
    assert!(first.records.iter().all(|one| one.version.is_some() && one.modified_ms.is_some()));

    // A list goes by when a party was written, whatever its state.
    let newest = rest.records.iter().filter_map(|one| one.modified_ms).max().unwrap();
    let last = &first.records[0];
    person.write(last.id.parse().unwrap(), json!({"active": false})).await;
    let since = client.list(PARTY, &fields, Some(newest), None, false, EDIT).await.unwrap();
    let again = since.records.iter().find(|one| one.id == last.id).expect("it was written since");
    assert_ne!(again.version, last.version);
    assert!(again.modified_ms > last.modified_ms);
    let hour = 3_600_000;
    let ahead = client.list(PARTY, &fields, Some(newest + hour), None, false, EDIT).await.unwrap();
    assert_eq!(ahead.records.len(), 0);
    let behind = client.list(PARTY, &fields, Some(newest - hour), None, false, EDIT).await.unwrap();
    assert_eq!(behind.records.len(), 500, "a full first page");

    let by = [record(json!({"code": "C3"})), record(json!({"code": "it's \"not\" there"}))];
    let found = client.find(PARTY, &fields, &by, EDIT).await.unwrap();
    assert_eq!(found.iter().map(|one| &one.fields["name"]).collect::<Vec<_>>(), [&json!("N3")]);
    let by = [record(json!({"code": "C3", "name": "N4"})), record(json!({"code": "C5", "name": "N5"}))];
    let found = client.find(PARTY, &fields, &by, EDIT).await.unwrap();
    assert_eq!(found.iter().map(|one| &one.fields["name"]).collect::<Vec<_>>(), [&json!("N5")]);

    let described = client.describe(PARTY).await.unwrap();
    let field = |name: &str| described.iter().find(|field| field.name == name).unwrap();
    assert_eq!((field("active").kind.as_str(), field("code").required), ("boolean", true));
    assert!(field("name").writable && !field("write_date").writable);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals() {
    let tryton = Tryton::start().await;
    let person = Person::sign_in(&tryton).await;
    let id = person.create(json!([{"name": "Acme", "code": "C1"}])).await[0].to_string();
    let wrong = client(&tryton, "wrong-password").sign_in().await.expect_err("a wrong password");
    assert_eq!(wrong.kind(), OutcomeKind::Misconfigured);
    assert!(!wrong.reason().contains("wrong-password"));

    let client = client(&tryton, PASSWORD);
    let unknown = client.list(PARTY, &names(&["no_such_field"]), None, None, false, EDIT).await;
    assert_eq!(unknown.expect_err("an unknown field").kind(), OutcomeKind::Misconfigured);
    let unknown = client.list("no.such_model", &names(&["name"]), None, None, false, EDIT).await;
    assert_eq!(unknown.expect_err("an unknown model").kind(), OutcomeKind::Misconfigured);

    let read = client.read(PARTY, &names(&["name"]), std::slice::from_ref(&id), EDIT).await.unwrap();
    let version = read[0].version.clone();
    let change = |name: &str| Change {
        id: id.clone(),
        version: version.clone(),
        changes: record(json!({"name": name})),
        shadow: record(json!({"name": "Acme"})),
    };
    let first = client.update(PARTY, &[change("First")], EDIT).await;
    let [Outcome::Ok { version: Some(moved), record: Some(after), .. }] = first.outcomes.as_slice() else {
        panic!("{first:?}")
    };
    assert_eq!((Some(moved) != version.as_ref(), &after["name"]), (true, &json!("First")));
    let stale = client.update(PARTY, &[change("Second")], EDIT).await;
    assert_eq!(stale.outcomes[0].kind(), OutcomeKind::Conflict, "{stale:?}");
    let removal = Removal { id: id.clone(), version: version.clone() };
    let stale = client.delete(PARTY, std::slice::from_ref(&removal), false, EDIT).await;
    assert_eq!(stale.outcomes[0].kind(), OutcomeKind::Conflict, "{stale:?}");
    assert_eq!(person.named("First").await["code"], "C1");

    let removal = Removal { id: id.clone(), version: Some(moved.clone()) };
    let gone = client.delete(PARTY, &[removal], false, EDIT).await;
    assert_eq!(gone.outcomes[0].kind(), OutcomeKind::Ok, "{gone:?}");
    let late = client.update(PARTY, &[Change { version: None, ..change("Late") }], EDIT).await;
    assert_eq!(late.outcomes[0].kind(), OutcomeKind::Gone, "{late:?}");
}
