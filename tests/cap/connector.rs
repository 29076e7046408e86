//! The connectors beside the engine: what they find out about a service, what people do with it, and the one to copy.

use std::collections::BTreeMap;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use rowtwin::connector::{Client, Connector, SettingValue, Settings};
use rowtwin::model::outcome::OutcomeKind;
use rowtwin::model::record::Record;
use rowtwin::remote::gate::{OpenGate, Priority};
use rowtwin::remote::http::HttpTransport;
use rowtwin::simulator::{Kind, Options, Simulator};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::person::{ITEMS, ORDERS, PARTNERS, Person, TASKS};
use crate::room::systems;
use crate::server::Cap;
use crate::support::{Scene, assemble, connect, database};

const EDIT: Priority = Priority::Edit;

fn client(cap: &Cap, protocol: &str) -> Client {
    let plain = |text: &str| SettingValue::Plain(Value::from(text));
    let settings = BTreeMap::from([
        ("base_url".to_owned(), plain(&cap.base_url())),
        ("protocol".to_owned(), plain(protocol)),
        ("user".to_owned(), plain("ROWTWIN")),
        ("password".to_owned(), SettingValue::Secret(SecretString::from("correct-horse"))),
    ]);
    let connector = Arc::new(Connector::load("sap-odata", None).unwrap());
    let transport = Arc::new(HttpTransport::new(connector.http_options()).unwrap());
    Client::new("erp", connector, Settings(settings), transport, Arc::new(OpenGate)).unwrap()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn record(value: Value) -> Record {
    value.as_object().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_says_of_itself_is_understood_in_both_versions() {
    let cap = Cap::start().await;
    for (protocol, decimal, day, moment) in [
        ("v2", "Edm.Decimal v2", "Edm.DateTime date", "Edm.DateTimeOffset v2"),
        ("v4", "Edm.Decimal", "Edm.Date", "Edm.DateTimeOffset"),
    ] {
        let client = client(&cap, protocol);
        let fields = client.describe(PARTNERS).await.unwrap();
        let field = |name: &str| {
            fields.iter().find(|field| field.name == name).unwrap_or_else(|| panic!("{fields:?}"))
        };
        assert_eq!(
            (
                field("CreditLimit").kind.as_str(),
                field("FoundationDate").kind.as_str(),
                field("LastContact").kind.as_str()
            ),
            (decimal, day, moment)
        );
        assert!(field("OrganizationBPName1").writable && !field("CreationDate").writable, "{fields:?}");
        let fields = client.describe(ORDERS).await.unwrap();
        let items = fields.iter().find(|field| field.name == "to_Item").unwrap();
        assert_eq!(items.lines_of.as_deref(), Some(ITEMS));
        let lines = client.describe_lines(ORDERS, "to_Item").await.unwrap().unwrap();
        assert!(
            lines.iter().any(|field| field.name == "RequestedQuantity" && field.kind == decimal),
            "{lines:?}"
        );
        assert_eq!(
            client.describe("API_SALES_ORDER_SRV/A_Nothing").await.unwrap_err().kind(),
            OutcomeKind::Retry
        );
        assert_eq!(
            client.describe("API_NOTHING/A_Nothing").await.unwrap_err().kind(),
            OutcomeKind::Misconfigured
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_and_what_is_asked_wrongly_in_both_versions() {
    let cap = Cap::start().await;
    let person = Person::of(&cap.base_url());
    for name in ["O'Hara & 客户", "Bolt", "Cord"] {
        person.create(PARTNERS, json!({"OrganizationBPName1": name, "SearchTerm1": &name[..1]})).await;
    }
    for protocol in ["v2", "v4"] {
        let client = client(&cap, protocol);
        let fields = names(&["OrganizationBPName1", "SearchTerm1"]);
        let by = ["O'Hara & 客户", "it's \"not\" there", "Cord"]
            .map(|name| record(json!({"OrganizationBPName1": name})));
        let found = client.find(PARTNERS, &fields, &by, EDIT).await.unwrap();
        assert_eq!(found.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["1000001", "1000003"]);
        let by = [
            record(json!({"OrganizationBPName1": "Bolt", "SearchTerm1": "B"})),
            record(json!({"OrganizationBPName1": "Cord", "SearchTerm1": "B"})),
        ];
        let found = client.find(PARTNERS, &fields, &by, EDIT).await.unwrap();
        assert_eq!(found.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["1000002"]);
        let ids = names(&["1000002", "77"]);
        let read = client.read(PARTNERS, &fields, &ids, EDIT).await.unwrap();
        assert_eq!(read.len(), 1);
        assert!(read[0].version.is_some() && read[0].modified_ms.is_some(), "{read:?}");
        let all = client.list(PARTNERS, &[], None, None, true, EDIT).await.unwrap();
        assert_eq!((all.records.len(), all.next), (3, None));
        let unknown = client.find(PARTNERS, &fields, &[record(json!({"NoSuchField": "x"}))], EDIT).await;
        assert_eq!(unknown.unwrap_err().kind(), OutcomeKind::Misconfigured);
        let unknown =
            client.list("API_SALES_ORDER_SRV/A_Order", &[], None, None, false, EDIT).await.unwrap_err();
        assert!(unknown.reason().contains("setting keys"), "{unknown:?}");
    }
}

/// A folder with this configuration.
fn folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rowtwin.yaml"), text).unwrap();
    folder
}

fn rowtwin(folder: &tempfile::TempDir, url: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rowtwin"));
    command.current_dir(folder.path()).env("ROWTWIN_DATABASE_URL", url).env("NO_COLOR", "1");
    command.args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn well(output: &Output) -> String {
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    said
}

/// A scene over what `rowtwin add` has written, and the system's records before it.
async fn added(systems: &str, object: &str) -> Scene {
    let url = database().await;
    let folder = folder(systems);
    well(&rowtwin(&folder, &url, &["add", "erp", object, "--table", "sales.twin", "--yes"]));
    let text = std::fs::read_to_string(folder.path().join("rowtwin.yaml")).unwrap();
    let unused = || async { Simulator::start(Kind::KingdeeK3cloud, Options::default()).await.unwrap() };
    let (crm, erp) = (unused().await, unused().await);
    let scene = Scene { engine: assemble(&url, &text).await, sql: connect(&url).await, url, crm, erp, text };
    scene.settle().await;
    let prepared = scene.text.replace("database: {}", &format!("database: {{slot: {}}}", scene.engine.slot));
    std::fs::write(folder.path().join("rowtwin.yaml"), prepared).unwrap();
    well(&rowtwin(&folder, &scene.url, &["check"]));
    scene
}

async fn column(scene: &Scene, field: &str) -> String {
    let sql = format!(
        "select attname::text as name from pg_attribute where attrelid = 'sales.twin'::regclass and col_description(attrelid, attnum) ~ '[(]{field}, '"
    );
    scene.row(&sql).await["name"].as_str().unwrap().to_owned()
}

async fn a_table_takes_one_command(protocol: &str) {
    let cap = Cap::start().await;
    let person = Person::of(&cap.base_url());
    let full = json!({
        "OrganizationBPName1": "Acme", "SearchTerm1": "C1", "BusinessPartnerCategory": "2", "CreditLimit": 12.5,
        "FoundationDate": "1999-12-31", "LastContact": "2026-03-01T10:11:12Z", "OpensAt": "08:30:00", "Employees": 7,
        "Turnover": 900_719_925_474_099_i64, "Reference": "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "BusinessPartnerIsBlocked": true,
    });
    person.create(PARTNERS, full.clone()).await;
    person.create(PARTNERS, json!({"OrganizationBPName1": "Empty"})).await;
    let scene = added(&systems(&cap.base_url(), protocol, ""), PARTNERS).await;
    assert_eq!(scene.number("select count(*) from sales.twin").await, 2, "{}", scene.story().await);
    let name = column(&scene, "OrganizationBPName1").await;
    scene.run(&format!("update sales.twin set {name} = {name} || ' 2'")).await;
    scene.settle().await;
    scene.poll().await;
    assert_eq!(scene.rows("select * from rowtwin.rejected").await, Vec::<Value>::new());
    let after = person.records(PARTNERS, "&$orderby=BusinessPartner").await;
    assert_eq!(
        (&after[0]["OrganizationBPName1"], &after[1]["OrganizationBPName1"]),
        (&json!("Acme 2"), &json!("Empty 2"))
    );
    // every value has a form in the row that goes back to the same value
    for (field, value) in full.as_object().unwrap().iter().skip(1) {
        assert_eq!(&after[0][field], value, "{field}");
    }
    let written = scene.number("select coalesce(sum(writes), 0)::bigint from rowtwin.usage").await;
    assert_eq!(written, 1, "{}", scene.story().await);
    let (credit, founded) = (column(&scene, "CreditLimit").await, column(&scene, "FoundationDate").await);
    let row = scene
        .row(&format!(
            "select {credit}::text as credit, {founded} as founded from sales.twin where {name} = 'Acme 2'"
        ))
        .await;
    assert_eq!(row, json!({"credit": "12.5", "founded": "1999-12-31"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_takes_one_command_in_version_2() {
    a_table_takes_one_command("v2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_takes_one_command_in_version_4() {
    a_table_takes_one_command("v4").await;
}

/// What no connector names: by settings alone, with a guid as key and a stamp of another name.
async fn any_service(protocol: &str) {
    let cap = Cap::start().await;
    let person = Person::of(&cap.base_url());
    let first = person.create(TASKS, json!({"Subject": "call", "Hours": 1.25, "Due": "2026-03-01"})).await;
    for at in 0..205 {
        person.create(TASKS, json!({"Subject": format!("T{at}")})).await;
    }
    let root = if protocol == "v2" { "odata" } else { "odata4" };
    let systems = format!(
        "database: {{}}
systems:
  erp:
    connector: odata
    limits: {{per_second: 1000, in_flight: 4}}
    settings: {{base_url: '{}/sap/opu/{root}/sap/TASKS', protocol: {protocol}, keys: 'Tasks: TaskID guid', stamps: 'Tasks: Touched'}}
",
        cap.base_url()
    );
    let scene = added(&systems, "Tasks").await;
    assert_eq!(scene.number("select count(*) from sales.twin").await, 206, "{}", scene.story().await);
    let (subject, hours) = (column(&scene, "Subject").await, column(&scene, "Hours").await);
    scene.run(&format!("insert into sales.twin ({subject}, {hours}) values ('new', 2.5); delete from sales.twin where {subject} = 'T1'")).await;
    scene.run(&format!("update sales.twin set {hours} = 3 where {subject} = 'call'")).await;
    scene.settle().await;
    let key = first["TaskID"].as_str().unwrap();
    person.change(TASKS, key, json!({"Done": true})).await;
    scene.poll().await;
    let tasks = person.records(TASKS, "&$orderby=TaskID").await;
    assert_eq!(tasks.len(), 206, "{}", scene.story().await);
    let of = |subject: &str| tasks.iter().find(|task| task["Subject"] == subject).unwrap();
    assert_eq!(
        (&of("new")["Hours"], &of("call")["Hours"], &of("call")["Due"]),
        (&json!(2.5), &json!(3), &json!("2026-03-01"))
    );
    let done = column(&scene, "Done").await;
    assert_eq!(
        scene.number(&format!("select count(*) from sales.twin where {done} and {hours} = 3")).await,
        1
    );
    // the stale write is refused, and goes again
    person.change(TASKS, key, json!({"Subject": "call again"})).await;
    scene.run(&format!("update sales.twin set {hours} = 4 where {subject} = 'call'")).await;
    scene.settle().await;
    let tasks = person.records(TASKS, "&$filter=Hours eq 4").await;
    assert_eq!((tasks.len(), &tasks[0]["Subject"]), (1, &json!("call again")), "{}", scene.story().await);
    person.delete(TASKS, key).await;
    scene.sweep().await;
    assert_eq!(scene.number("select count(*) from sales.twin").await, 205);
    assert_eq!(scene.rows("select * from rowtwin.rejected").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn any_service_is_kept_by_settings_alone_in_version_2() {
    any_service("v2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_service_is_kept_by_settings_alone_in_version_4() {
    any_service("v4").await;
}
