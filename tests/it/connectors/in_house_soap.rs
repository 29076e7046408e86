//! The worked example of an in-house SOAP system (`examples/in-house-soap`), as it stands there, against a real SOAP
//! server.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rowtwin::simulator::Kind;
use serde_json::{Value, json};

use super::scene_of;
use super::soap_server::Warehouse;
use crate::monitoring::process::{command, folder};
use crate::support::{Scene, secret};

fn example(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/in-house-soap").join(file)
}

/// The example's own configuration, for this server; `http` says how it is reached.
fn text(warehouse: &Warehouse, http: &str) -> String {
    let text = fs::read_to_string(example("rowtwin.yaml")).unwrap();
    let systems = text.find("systems:").unwrap();
    let mut text = format!("database: {{}}\n{}", &text[systems..]);
    let connector = example("warehouse.yaml").display().to_string();
    for (from, to) in [
        ("./warehouse.yaml", connector.as_str()),
        ("https://erp.internal/ws", &warehouse.base_url),
        ("{env: WAREHOUSE_PASSWORD}", &format!("{{file: '{}'}}", secret("correct-horse"))),
        (
            "    # http: {certificate: /etc/rowtwin/client.pem, key: /etc/rowtwin/client.key, ca: /etc/rowtwin/ca.pem}\n",
            http,
        ),
        ("poll: 30s", "poll: 1d"),
        ("sweep: 1h", "sweep: 1d\n        doubt_window: 2s"),
    ] {
        assert!(text.contains(from), "the example has no {from}");
        text = text.replace(from, to);
    }
    text
}

async fn scene(warehouse: &Warehouse) -> Scene {
    let text = text(warehouse, "    limits: {per_second: 1000}\n");
    let scene =
        scene_of(Kind::Fxiaoke, &fs::read_to_string(example("customer.sql")).unwrap(), |_| text).await;
    scene.settle().await;
    scene
}

async fn no_echo(scene: &Scene, warehouse: &Warehouse) {
    warehouse.door("forget", Value::Null).await;
    scene.poll().await;
    let calls = warehouse.calls().await;
    assert!(!calls.is_empty() && calls.iter().all(|call| call != "SaveCustomers"), "{calls:?}");
}

/// Whatever waits for its time is due.
async fn at_once(scene: &Scene) {
    scene.run("update rowtwin_private.outbox set not_before = '-infinity'").await;
    scene.poll().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_what_a_client_of_others_takes_it_for() {
    assert_eq!(Warehouse::start().await.zeep(&[]).await, "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_and_customers_become_each_other_and_only_what_changed_travels() {
    let warehouse = Warehouse::start().await;
    let scene = scene(&warehouse).await;
    scene
        .run(
            "insert into sales.customer (code, name, phone, credit, active, last_order) values
              ('C1', 'Ä''c\"me <&> 阿克米', '138', 1234567.25, true, '2026-11-23 06:30:59+00')",
        )
        .await;
    scene.settle().await;
    let made = warehouse.find("C1").await;
    let known = json!({"name": "Ä'c\"me <&> 阿克米", "phone": "138", "credit": "1234567.25", "active": "true", "lastOrder": "20261123 143059"});
    for (field, value) in known.as_object().unwrap() {
        assert_eq!(made[field], *value, "{field}");
    }
    assert_eq!(scene.row("select warehouse_id from sales.customer").await["warehouse_id"], made["id"]);
    no_echo(&scene, &warehouse).await;

    // each side changes something else; what is emptied is emptied
    scene.run("update sales.customer set phone = null").await;
    warehouse.edit("C1", json!({"name": "Acme", "lastOrder": "20260101 000000"})).await;
    scene.poll().await;
    let now = warehouse.find("C1").await;
    assert_eq!(
        (&now["phone"], &now["name"], &now["credit"]),
        (&json!(""), &json!("Acme"), &json!("1234567.25"))
    );
    let row = scene
        .row("select name, phone, last_order at time zone 'UTC' as last_order from sales.customer")
        .await;
    assert_eq!(row, json!({"name": "Acme", "phone": null, "last_order": "2025-12-31T16:00:00"}));
    no_echo(&scene, &warehouse).await;

    // twins are linked, and deletes go both ways
    warehouse
        .insert(json!([{"code": "C2", "name": "Bolt"}, {"code": "C3", "name": "Cord", "active": "false"}]))
        .await;
    scene.run("insert into sales.customer (code, name) values ('C2', 'Bolt')").await;
    scene.poll().await;
    assert_eq!(warehouse.records().await.len(), 3);
    assert_eq!(scene.number("select count(*) from rowtwin.links where state = 'linked'").await, 3);
    assert_eq!(
        scene.row("select active from sales.customer where code = 'C3'").await,
        json!({"active": false})
    );
    scene.run("delete from sales.customer where code = 'C1'").await;
    warehouse.remove("C2").await;
    scene.sweep().await;
    let left = scene.rows("select code from sales.customer").await;
    assert_eq!(left, [json!({"code": "C3"})], "{}", scene.story().await);
    assert_eq!(warehouse.records().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_read_whole_and_a_poll_reads_what_changed() {
    let warehouse = Warehouse::start().await;
    let many = (0..230)
        .map(|n| json!({"code": format!("P{n}"), "name": format!("名 {n}"), "changed": "20250101 080000"}));
    warehouse.insert(many.collect()).await;
    let scene = scene(&warehouse).await;
    assert_eq!(scene.number("select count(distinct code) from sales.customer").await, 230);
    warehouse.door("forget", Value::Null).await;
    scene.sweep().await;
    assert_eq!(
        warehouse.calls().await.iter().filter(|call| *call == "QueryCustomers").count(),
        3,
        "three pages of ids"
    );
    warehouse.edit("P7", json!({"phone": "7"})).await;
    warehouse.door("forget", Value::Null).await;
    scene.poll().await;
    assert_eq!(scene.row("select phone from sales.customer where code = 'P7'").await, json!({"phone": "7"}));
    assert_eq!(warehouse.calls().await, ["QueryCustomers"], "one page holds what changed");
    assert_eq!(scene.number("select count(*) from sales.customer").await, 230);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_customer_stops_no_other_of_its_batch() {
    let warehouse = Warehouse::start().await;
    let scene = scene(&warehouse).await;
    scene
        .run("insert into sales.customer (code, name, phone)
              select 'C' || n, 'N' || n, repeat(n::text, case n when 4 then 21 else 3 end) from generate_series(1, 9) n")
        .await;
    scene.settle().await;
    assert_eq!(warehouse.records().await.len(), 8, "{}", scene.story().await);
    let refused = scene.row("select key, field, reason from rowtwin.rejected").await;
    assert_eq!(refused, json!({"key": "4", "field": "phone", "reason": "电话最多 20 个字符"}));
    let saves = warehouse.calls().await.iter().filter(|call| *call == "SaveCustomers").count();
    assert_eq!(saves, 1, "one call for all");
    scene.run("update sales.customer set phone = '4' where id = 4").await;
    scene.settle().await;
    assert_eq!(warehouse.records().await.len(), 9);
    assert_eq!(scene.number("select count(*) from rowtwin.rejected").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_over_is_opened_anew_and_a_busy_service_is_waited_for() {
    let warehouse = Warehouse::start().await;
    let scene = scene(&warehouse).await;
    scene.run("insert into sales.customer (code, name) values ('C1', 'Acme')").await;
    scene.settle().await;
    warehouse.door("end_sessions", Value::Null).await;
    warehouse.door("forget", Value::Null).await;
    scene.run("update sales.customer set name = 'Acme & Sons'").await;
    scene.settle().await;
    assert_eq!(warehouse.find("C1").await["name"], "Acme & Sons");
    assert_eq!(warehouse.calls().await.iter().filter(|call| *call == "Login").count(), 1);
    warehouse.fault("Busy", "fault", json!({"seconds": 1})).await;
    scene.run("update sales.customer set name = 'Acme'").await;
    scene.settle().await;
    assert_eq!(warehouse.find("C1").await["name"], "Acme");
    assert!(warehouse.no_faults_left().await);
    assert_eq!(scene.number("select count(*) from rowtwin.rejected").await, 0);
    assert_eq!(scene.row("select state from rowtwin.systems").await, json!({"state": "running"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_makes_no_second_customer_and_nonsense_is_waited_out() {
    let warehouse = Warehouse::start().await;
    let scene = scene(&warehouse).await;
    warehouse.fault("SaveCustomers", "cut", json!({})).await;
    scene
        .run("insert into sales.customer (code, name) select 'C' || n, 'N' || n from generate_series(1, 3) n")
        .await;
    scene.settle().await;
    assert!(warehouse.no_faults_left().await);
    assert_eq!(warehouse.records().await.len(), 3, "{:?}", warehouse.calls().await);
    assert_eq!(scene.number("select count(*) from rowtwin.links where state = 'linked'").await, 3);

    warehouse.fault("QueryCustomers", "html", json!({})).await;
    warehouse.fault("QueryCustomers", "status", json!({"status": "503 Service Unavailable"})).await;
    warehouse.fault("SaveCustomers", "html", json!({})).await;
    warehouse.fault("SaveCustomers", "cut", json!({})).await;
    warehouse.edit("C2", json!({"name": "Bolt"})).await;
    scene.run("update sales.customer set phone = '138'").await;
    for _ in 0..20 {
        at_once(&scene).await;
        if warehouse.no_faults_left().await {
            break;
        }
    }
    at_once(&scene).await;
    let records = warehouse.records().await;
    assert!(records.len() == 3 && records.iter().all(|one| one["phone"] == "138"), "{records:?}");
    assert_eq!(scene.row("select name from sales.customer where code = 'C2'").await, json!({"name": "Bolt"}));
    assert_eq!(scene.number("select count(*) from rowtwin.rejected").await, 0);
}

/// What `rowtwin check` tells, as lines of result and words.
async fn checked(scene: &Scene) -> Vec<String> {
    let folder = folder(scene, "");
    let mut check = command(&folder, &scene.url);
    check.args(["check", "--json"]);
    let ran = tokio::task::spawn_blocking(move || check.output().unwrap()).await.unwrap();
    let told: Value = serde_json::from_slice(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
    let all = told["findings"].as_array().unwrap().iter();
    all.map(|one| format!("{}: {}", one["result"].as_str().unwrap(), one["said"].as_str().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_opens_the_service_and_without_it_nothing_does() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: String| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    // of the same name as what it issues, it would be taken for self-signed
    authority.distinguished_name.push(DnType::CommonName, "authority of a test");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let issued = || {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.signed_by(&key, &authority).unwrap().pem(), key.serialize_pem())
    };
    let ca = put("ca.pem", authority.pem());
    let (server, server_key) = issued();
    let server = put("server.pem", format!("{server_key}{server}"));
    let (own, key) = issued();
    let (own, key) = (put("own.pem", own), put("own.key", key));
    let warehouse = Warehouse::with("https://localhost", &[&server, &ca], |builder| {
        let identity = [fs::read(&own).unwrap(), fs::read(&key).unwrap()].concat();
        let authority = reqwest::Certificate::from_pem(&fs::read(&ca).unwrap()).unwrap();
        builder.identity(reqwest::Identity::from_pem(&identity).unwrap()).tls_certs_only([authority])
    })
    .await;
    assert_eq!(warehouse.zeep(&[&own, &key, &ca]).await, "ok");
    let tables = fs::read_to_string(example("customer.sql")).unwrap();
    let at = |http: String| text(&warehouse, &http);
    let good = at(format!(
        "    http: {{certificate: '{}', key: '{}', ca: '{}'}}\n",
        own.display(),
        key.display(),
        ca.display()
    ));
    let mut scene = scene_of(Kind::Fxiaoke, &tables, |_| good).await;
    scene.run("insert into sales.customer (code, name) values ('C1', 'Acme')").await;
    scene.settle().await;
    assert_eq!(warehouse.find("C1").await["name"], "Acme");
    let told = checked(&scene).await;
    for wanted in [
        "ok: the client certificate holds until",
        "ok: signed in as sync",
        "ok: Customer has the 6 mapped fields",
    ] {
        assert!(told.iter().any(|one| one.starts_with(wanted)), "{wanted}: {told:?}");
    }
    let without = at(format!("    http: {{ca: '{}'}}\n", ca.display()));
    scene.text = without;
    let told = checked(&scene).await;
    assert!(
        told.iter().any(|one| one.starts_with("wrong: cannot sign in") && one.contains("http.certificate")),
        "{told:?}"
    );
}
