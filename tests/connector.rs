//! The built-in connectors against the simulators, over HTTP: sign-in, pages, writes, and answers that go wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rowtwin::connector::{Change, Client, Connector, NewRecord, Removal, SettingValue, Settings};
use rowtwin::model::outcome::{BatchAnswer, Outcome, OutcomeKind};
use rowtwin::model::record::Record;
use rowtwin::remote::gate::{OpenGate, Priority};
use rowtwin::remote::http::HttpTransport;
use rowtwin::simulator::credentials::{fxiaoke, kingdee};
use rowtwin::simulator::{Door, Fault, Kind, Options, Simulator};
use secrecy::SecretString;
use serde_json::{Value, json};
use uuid::Uuid;

const EDIT: Priority = Priority::Edit;

fn client(name: &str, plain: &[(&str, &str)], secrets: &[(&str, &str)]) -> Client {
    let plain =
        plain.iter().map(|(name, value)| ((*name).to_owned(), SettingValue::Plain(Value::from(*value))));
    let secrets = secrets
        .iter()
        .map(|(name, secret)| ((*name).to_owned(), SettingValue::Secret(SecretString::from(*secret))));
    let settings = Settings(plain.chain(secrets).collect::<BTreeMap<_, _>>());
    let connector = Arc::new(Connector::load(name, None).expect("a built-in connector"));
    let transport = Arc::new(HttpTransport::new(connector.http_options()).expect("a transport"));
    Client::new("test", connector, settings, transport, Arc::new(OpenGate)).expect("a client")
}

fn fxiaoke_client(url: &str, generation: &str) -> Client {
    let user = if generation == "legacy" { fxiaoke::OPEN_USER_ID } else { fxiaoke::USER_ID };
    let plain = [
        ("base_url", url),
        ("generation", generation),
        ("app_id", fxiaoke::APP_ID),
        ("user_id", user),
        ("attempt_field", "field_attempt__c"),
    ];
    let secrets = [("app_secret", fxiaoke::APP_SECRET), ("permanent_code", fxiaoke::PERMANENT_CODE)];
    client("fxiaoke", &plain, &secrets)
}

fn kingdee_client(url: &str, auth: &str) -> Client {
    let plain = [
        ("base_url", url),
        ("auth", auth),
        ("account_id", kingdee::ACCT_ID),
        ("user", kingdee::USER),
        ("app_id", kingdee::APP_ID),
        ("organisation", kingdee::ORG),
    ];
    let secrets = [("app_secret", kingdee::APP_SECRET), ("password", kingdee::PASSWORD)];
    client("kingdee-k3cloud", &plain, &secrets)
}

async fn start(kind: Kind) -> (Simulator, Door, String) {
    let simulator = Simulator::start(kind, Options::default()).await.expect("a simulator");
    let (door, url) = (simulator.door(), simulator.base_url());
    door.set_calls_per_20s(None);
    (simulator, door, url)
}

fn record(value: Value) -> Record {
    value.as_object().expect("an object").clone()
}

fn new_record(fields: Value) -> NewRecord {
    NewRecord { attempt: Uuid::new_v4(), fields: record(fields) }
}

fn change(id: &str, changes: Value) -> Change {
    Change { id: id.to_owned(), version: None, changes: record(changes), shadow: Record::new() }
}

fn removal(id: &str) -> Removal {
    Removal { id: id.to_owned(), version: None }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn kinds(answer: &BatchAnswer) -> Vec<OutcomeKind> {
    answer.outcomes.iter().map(Outcome::kind).collect()
}

fn id_of(outcome: &Outcome) -> String {
    let id = if let Outcome::Ok { id, .. } = outcome { id.clone() } else { None };
    id.expect("an id")
}

fn fault(text: &str) -> Fault {
    text.parse().expect(text)
}

/// All ids of an object, page after page, and the number of pages.
async fn all_ids(client: &Client, object: &str, since: Option<i64>) -> (BTreeSet<String>, usize) {
    let (mut ids, mut page, mut pages) = (BTreeSet::new(), None, 0);
    loop {
        let fields = names(&["name"]);
        let fields = if object.starts_with("BD_") { names(&["FName"]) } else { fields };
        let got = client.list(object, &fields, since, page.as_ref(), false, EDIT).await.expect("a page");
        assert!(got.unreadable.is_empty(), "{:?}", got.unreadable);
        for record in got.records {
            assert!(record.modified_ms.is_some());
            assert!(ids.insert(record.id), "a record came twice");
        }
        pages += 1;
        page = got.next;
        if page.is_none() {
            return (ids, pages);
        }
    }
}

#[tokio::test]
async fn fxiaoke_in_both_generations() {
    for generation in ["current", "legacy"] {
        let (_simulator, door, url) = start(Kind::Fxiaoke).await;
        let client = fxiaoke_client(&url, generation);
        let identity = client.sign_in().await.expect("signed in");
        assert_eq!(
            identity.as_deref(),
            Some(if generation == "legacy" { fxiaoke::CORP_ID } else { fxiaoke::EA })
        );

        door.insert_many("AccountObj", (0..250).map(|number| json!({"name": format!("n{number}")})));
        let (ids, pages) = all_ids(&client, "AccountObj", Some(0)).await;
        assert_eq!((ids.len(), pages), (250, 3));

        let created =
            client.create("AccountObj", &[new_record(json!({"name": "Acme", "tel": "1"}))], EDIT).await;
        let id = id_of(&created.outcomes[0]);
        let updated = client.update("AccountObj", &[change(&id, json!({"tel": "2"}))], EDIT).await;
        assert_eq!(kinds(&updated), [OutcomeKind::Ok], "{updated:?}");
        let held = door.record("AccountObj", &id).expect("the record");
        assert_eq!((&held["name"], &held["tel"]), (&json!("Acme"), &json!("2")));

        let fields = names(&["name", "tel"]);
        let read =
            client.read("AccountObj", &fields, &[id.clone(), "0".repeat(24)], EDIT).await.expect("read");
        assert_eq!(read.len(), 1);
        assert_eq!((read[0].id.as_str(), &read[0].fields["tel"]), (id.as_str(), &json!("2")));
        let by =
            [record(json!({"name": "Acme"})), record(json!({"name": "n7"})), record(json!({"name": "?"}))];
        assert_eq!(client.find("AccountObj", &fields, &by, EDIT).await.expect("found").len(), 2);
        let both = [record(json!({"name": "Acme", "tel": "2"})), record(json!({"name": "Acme", "tel": "1"}))];
        assert_eq!(client.find("AccountObj", &fields, &both, EDIT).await.expect("found").len(), 1);

        let described = client.describe("AccountObj").await.expect("described");
        assert!(described.iter().any(|field| field.name == "name" && field.writable), "{described:?}");

        let deactivated = client.delete("AccountObj", &[removal(&id)], true, EDIT).await;
        assert_eq!(kinds(&deactivated), [OutcomeKind::Ok], "{deactivated:?}");
        // It is invalid already, so the first step is refused and the second does the work.
        let deleted = client.delete("AccountObj", &[removal(&id)], false, EDIT).await;
        assert_eq!(kinds(&deleted), [OutcomeKind::Ok], "{deleted:?}");
        assert!(
            client
                .read("AccountObj", &fields, std::slice::from_ref(&id), EDIT)
                .await
                .expect("read")
                .is_empty()
        );
    }
}

#[tokio::test]
async fn fxiaoke_when_things_go_wrong() {
    let (_simulator, door, url) = start(Kind::Fxiaoke).await;
    let client = fxiaoke_client(&url, "current");

    door.add_fault(fault("lost-answer@create"));
    let lost = new_record(json!({"name": "Lost"}));
    let answer = client.create("AccountObj", std::slice::from_ref(&lost), EDIT).await;
    assert_eq!(kinds(&answer), [OutcomeKind::Unknown]);
    // The attempt id that was planted finds what became of it.
    let by = [record(json!({"field_attempt__c": lost.attempt.to_string()}))];
    let found = client.find("AccountObj", &names(&["name"]), &by, EDIT).await.expect("found");
    assert_eq!(found.len(), 1);
    let id = found[0].id.clone();

    door.add_fault(fault("token-expired@update"));
    let renewed = client.update("AccountObj", &[change(&id, json!({"tel": "5"}))], EDIT).await;
    assert_eq!(kinds(&renewed), [OutcomeKind::Ok], "{renewed:?}");

    for (text, of_create, of_update) in [
        ("status:503", OutcomeKind::Unknown, OutcomeKind::Retry),
        ("throttled:20", OutcomeKind::Throttled, OutcomeKind::Throttled),
        ("malformed:html", OutcomeKind::Unknown, OutcomeKind::Unknown),
        ("malformed:truncated", OutcomeKind::Unknown, OutcomeKind::Unknown),
        ("error:50009", OutcomeKind::Unknown, OutcomeKind::Unknown),
        ("down", OutcomeKind::Unknown, OutcomeKind::Retry),
    ] {
        door.set_faults(vec![fault(&format!("{text}@create")), fault(&format!("{text}@update"))]);
        let created = client.create("AccountObj", &[new_record(json!({"name": text}))], EDIT).await;
        assert_eq!(kinds(&created), [of_create], "{text}: {created:?}");
        let updated = client.update("AccountObj", &[change(&id, json!({"tel": "6"}))], EDIT).await;
        assert_eq!(kinds(&updated), [of_update], "{text}: {updated:?}");
        door.clear_faults();
    }

    let secrets = [("app_secret", "wrong-secret"), ("permanent_code", fxiaoke::PERMANENT_CODE)];
    let plain = [("base_url", url.as_str()), ("app_id", fxiaoke::APP_ID), ("user_id", fxiaoke::USER_ID)];
    let refused = self::client("fxiaoke", &plain, &secrets).sign_in().await.expect_err("a wrong secret");
    assert_eq!(refused.kind(), OutcomeKind::Misconfigured);
    assert!(!refused.reason().contains("wrong-secret"));
}

#[tokio::test]
async fn kingdee_by_every_sign_in() {
    for auth in ["signed", "password", "app_secret"] {
        let (_simulator, door, url) = start(Kind::KingdeeK3cloud).await;
        let client = kingdee_client(&url, auth);
        assert_eq!(client.sign_in().await.expect("signed in").as_deref(), Some(kingdee::ACCT_ID), "{auth}");

        let items = [
            new_record(json!({"FNumber": "C1", "FName": "One", "FTRADINGCURRID.FNumber": "PRE001"})),
            new_record(json!({"FNumber": "C2", "FName": "Two"})),
        ];
        let created = client.create("BD_Customer", &items, EDIT).await;
        assert_eq!(kinds(&created), [OutcomeKind::Ok; 2], "{auth}: {created:?}");
        let (one, two) = (id_of(&created.outcomes[0]), id_of(&created.outcomes[1]));

        let again = [
            new_record(json!({"FNumber": "C1", "FName": "Again"})),
            new_record(json!({"FNumber": "C3", "FName": "Three"})),
        ];
        let partly = client.create("BD_Customer", &again, EDIT).await;
        assert_eq!(kinds(&partly), [OutcomeKind::Exists, OutcomeKind::Ok], "{partly:?}");
        assert!(!partly.whole);

        let changes = [
            change(&one, json!({"FName": "One more", "FTRADINGCURRID.FNumber": "PRE007"})),
            change(&two, json!({"FTEL": "22"})),
        ];
        let updated = client.update("BD_Customer", &changes, EDIT).await;
        assert_eq!(kinds(&updated), [OutcomeKind::Ok; 2], "{updated:?}");

        let fields = names(&["FName", "FTEL", "FTRADINGCURRID.FNumber"]);
        let ids = [one.clone(), two.clone(), "999999999".to_owned()];
        let mut read = client.read("BD_Customer", &fields, &ids, EDIT).await.expect("read");
        read.sort_by(|left, right| left.reference.cmp(&right.reference));
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].fields["FName"], "One more");
        assert_eq!(read[0].fields["FTRADINGCURRID.FNumber"], "PRE007");
        assert_eq!((&read[1].fields["FName"], &read[1].fields["FTEL"]), (&json!("Two"), &json!("22")));
        assert_eq!(read[0].reference.as_deref(), Some("C1"));

        let by = [record(json!({"FNumber": "C2"})), record(json!({"FNumber": "no'thing"}))];
        assert_eq!(client.find("BD_Customer", &fields, &by, EDIT).await.expect("found")[0].id, two);
        let both =
            [record(json!({"FNumber": "C2", "FTEL": "22"})), record(json!({"FNumber": "C1", "FTEL": "22"}))];
        assert_eq!(client.find("BD_Customer", &fields, &both, EDIT).await.expect("found").len(), 1);

        door.insert_many("BD_Customer", (0..4100).map(|n| json!({"FNumber": format!("N{n}"), "FName": "n"})));
        let (ids, pages) = all_ids(&client, "BD_Customer", Some(1_000_000_000_000)).await;
        assert_eq!((ids.len(), pages), (4103, 3));

        let described = client.describe("BD_Customer").await.expect("described");
        assert!(described.iter().any(|field| field.name == "FTRADINGCURRID.FNumber"), "{described:?}");

        let forbidden = client.delete("BD_Customer", &[removal(&one)], true, EDIT).await;
        assert_eq!(kinds(&forbidden), [OutcomeKind::Ok], "{forbidden:?}");
        let deleted = client.delete("BD_Customer", &[removal(&two)], false, EDIT).await;
        assert_eq!(kinds(&deleted), [OutcomeKind::Ok], "{deleted:?}");
        assert!(door.record("BD_Customer", &two).is_none());

        // A session that the server forgot is opened again within the call.
        door.end_sessions();
        assert_eq!(client.read("BD_Customer", &fields, &[one], EDIT).await.expect("read").len(), 1);
    }
}

#[tokio::test]
async fn kingdee_when_things_go_wrong() {
    let (_simulator, door, url) = start(Kind::KingdeeK3cloud).await;
    let client = kingdee_client(&url, "signed");
    for (text, of_create) in [
        ("lost-answer", OutcomeKind::Unknown),
        ("status:502", OutcomeKind::Unknown),
        ("malformed:html", OutcomeKind::Unknown),
        ("malformed:wrong-type", OutcomeKind::Unknown),
    ] {
        door.set_faults(vec![fault(&format!("{text}@BatchSave"))]);
        let item = new_record(json!({"FNumber": text, "FName": text}));
        let created = client.create("BD_Customer", &[item], EDIT).await;
        assert_eq!(kinds(&created), [of_create], "{text}: {created:?}");
        door.clear_faults();
    }
    // The number makes it safe to try again: what was done is there already.
    let again = client
        .create("BD_Customer", &[new_record(json!({"FNumber": "lost-answer", "FName": "x"}))], EDIT)
        .await;
    assert_eq!(kinds(&again), [OutcomeKind::Exists], "{again:?}");

    let failed = client.list("BD_Customer", &names(&["FNoSuchField"]), None, None, false, EDIT).await;
    assert_eq!(failed.expect_err("an unknown field").kind(), OutcomeKind::Misconfigured);
    let plain = [
        ("base_url", url.as_str()),
        ("auth", "password"),
        ("account_id", kingdee::ACCT_ID),
        ("user", kingdee::USER),
    ];
    let refused = self::client("kingdee-k3cloud", &plain, &[("password", "wrong-password")]).sign_in().await;
    assert_eq!(refused.expect_err("a wrong password").kind(), OutcomeKind::Misconfigured);
}
