//! R9 for what columns hold: every type goes there and back, to the last digit.

use serde_json::{Value, json};

use crate::support::{CRM, Scene, Script, database};

/// A type, a value as SQL, and the value as JSON that a remote keeps.
const TYPES: &[(&str, &str, &str)] = &[
    ("numeric", "123456789012345678.901234567890", "123456789012345678.901234567890"),
    ("numeric(8,2)", "'-12.50'", "-12.50"),
    ("bigint", "9223372036854775807", "9223372036854775807"),
    ("double precision", "0.1", "0.1"),
    ("boolean", "true", "true"),
    ("timestamptz", "'2026-03-01 10:11:12.654321+08'", "\"2026-03-01T02:11:12.654321+00:00\""),
    ("timestamp", "'2026-03-01 10:11:12.5'", "\"2026-03-01T10:11:12.5\""),
    ("date", "'2026-02-28'", "\"2026-02-28\""),
    ("time", "'10:11:12'", "\"10:11:12\""),
    ("interval", "'1 day 02:00:00'", "\"1 day 02:00:00\""),
    ("uuid", "'0190b6a0-0000-7000-8000-000000000001'", "\"0190b6a0-0000-7000-8000-000000000001\""),
    (
        "jsonb",
        "'{\"a\": [1, 2.50, null], \"b\": {\"c\": \"d\"}}'",
        "{\"a\": [1, 2.50, null], \"b\": {\"c\": \"d\"}}",
    ),
    ("json", "'{\"z\": 1, \"a\": 2}'", "{\"z\": 1, \"a\": 2}"),
    ("text[]", "'{a,\"b,c\",\"d\\\"e\"}'", "[\"a\", \"b,c\", \"d\\\"e\"]"),
    ("integer[]", "'{{1,2},{3,4}}'", "[[1, 2], [3, 4]]"),
    ("bytea", "'\\xdeadbeef'", "\"\\\\xdeadbeef\""),
    ("character(6)", "'ab'", "\"ab\""),
    ("varchar(20)", "'上海 \u{1F600}'", "\"上海 \u{1F600}\""),
    ("inet", "'10.0.0.1'", "\"10.0.0.1\""),
    ("int4range", "'[1,5)'", "\"[1,5)\""),
    ("sales.mood", "'glad'", "\"glad\""),
];

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A table with one column for each type, bound to custom fields.
async fn typed() -> Scene {
    let columns: String =
        TYPES.iter().enumerate().map(|(place, (name, ..))| format!(", c{place} {name}")).collect();
    let tables = format!(
        "create schema sales; create type sales.mood as enum ('glad', 'sad');
         create table sales.customer (id bigint generated always as identity primary key, name text, number text, crm_id text{columns})"
    );
    let fields: String = (0..TYPES.len()).map(|place| format!(", c{place}: field_{place}__c")).collect();
    let script = Script {
        crm: format!("{{name: name, number: account_no{fields}}}"),
        with_erp: false,
        ..Script::default()
    };
    Scene::at(database().await, &tables, script).await
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_every_column_type_goes_out_and_comes_back() {
    let scene = typed().await;
    scene.settle().await;
    let values: String = TYPES.iter().map(|(name, value, _)| format!(", {value}::{name}")).collect();
    let names: String = (0..TYPES.len()).map(|place| format!(", c{place}")).collect();
    scene.run(&format!("insert into sales.customer (name, number{names}) select 'Out', 'C1'{values}")).await;
    scene.settle().await;
    let record = scene.crm().records(CRM)[0].clone();
    for (place, (name, _, sent)) in TYPES.iter().enumerate() {
        let got = &record[&format!("field_{place}__c")];
        assert_eq!(*got, parse(sent), "{name}");
    }

    // the same record, made in the remote, becomes an equal row
    let mut fields = serde_json::Map::new();
    fields.insert("name".into(), json!("In"));
    fields.insert("account_no".into(), json!("C2"));
    for (place, (_, _, sent)) in TYPES.iter().enumerate() {
        fields.insert(format!("field_{place}__c"), parse(sent));
    }
    scene.crm().insert(CRM, Value::Object(fields));
    scene.crm().forget_calls();
    scene.poll().await;
    for (place, (name, ..)) in TYPES.iter().enumerate() {
        let same = scene
            .row(&format!("select count(distinct to_jsonb(c{place})) as n, count(c{place}) as present from sales.customer"))
            .await;
        assert_eq!(same, json!({"n": 1, "present": 2}), "{name}");
    }
    assert_eq!(scene.rows("select * from rowtwin.inbox").await, Vec::<Value>::new());
    scene.run("update sales.customer set name = name").await;
    scene.poll().await;
    assert!(Scene::writes(&scene.crm()).is_empty(), "{:?}", Scene::writes(&scene.crm()));
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_nulls_and_special_values_go_there_and_back() {
    let scene = typed().await;
    scene.settle().await;
    scene.run("insert into sales.customer (name, number, c0, c3, c5) values ('Odd', 'C1', 'NaN', '-Infinity', 'infinity')").await;
    scene.settle().await;
    scene.run("select rowtwin.resync('sales.customer')").await;
    scene.poll().await;
    let row = scene.row("select c0::text, c3::text, c5::text from sales.customer").await;
    assert_eq!(row, json!({"c0": "NaN", "c3": "-Infinity", "c5": "infinity"}));
    scene.run("update sales.customer set c0 = null, c3 = 1e300, c5 = null").await;
    scene.settle().await;
    let record = scene.crm().records(CRM)[0].clone();
    assert!(record.get("field_0__c").is_none_or(Value::is_null), "{record:?}");
    scene.poll().await;
    let row = scene.row("select c0, c3::text, c5, number from sales.customer").await;
    assert_eq!(row, json!({"c0": null, "c3": "1e+300", "c5": null, "number": "C1"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_blanks_that_pad_a_column_are_no_change() {
    let scene = typed().await;
    scene.settle().await;
    let padded = TYPES.iter().position(|(name, ..)| *name == "character(6)").unwrap();
    scene
        .run(&format!("insert into sales.customer (name, number, c{padded}) values ('Pad', 'C1', 'ab')"))
        .await;
    scene.settle().await;
    scene.crm().forget_calls();
    let id = scene.crm().records(CRM)[0]["_id"].as_str().unwrap().to_owned();
    scene.crm().edit(CRM, &id, json!({"address": "changed", format!("field_{padded}__c"): "cd"}));
    scene.poll().await;
    scene.poll().await;
    assert_eq!(
        scene.row(&format!("select c{padded}::text as c from sales.customer")).await["c"],
        json!("cd")
    );
    assert!(Scene::writes(&scene.crm()).is_empty(), "{:?}", Scene::writes(&scene.crm()));
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_wide_tables_keep_every_column() {
    const WIDTH: usize = 180;
    let columns: String = (0..WIDTH).map(|n| format!(", \"Col '{n}\" text")).collect();
    let tables = format!(
        "create schema sales; create table sales.customer (id bigint generated always as identity primary key, name text, number text, crm_id text{columns})"
    );
    let fields: String = (0..WIDTH).map(|n| format!(", \"Col '{n}\": field_{n}__c")).collect();
    let script = Script {
        crm: format!("{{name: name, number: account_no{fields}}}"),
        with_erp: false,
        ..Script::default()
    };
    let scene = Scene::at(database().await, &tables, script).await;
    scene.settle().await;
    let sets: Vec<String> = (0..WIDTH).map(|n| format!("\"Col '{n}\" = 'v{n}'")).collect();
    scene
        .run(&format!(
            "insert into sales.customer (name, number) values ('Wide', 'C1'); update sales.customer set {}",
            sets.join(", ")
        ))
        .await;
    scene.settle().await;
    let record = scene.crm().records(CRM)[0].clone();
    for n in 0..WIDTH {
        assert_eq!(record[&format!("field_{n}__c")], json!(format!("v{n}")));
    }
    let edits: serde_json::Map<String, Value> =
        (0..WIDTH).map(|n| (format!("field_{n}__c"), json!(format!("w{n}")))).collect();
    scene.crm().edit(CRM, record["_id"].as_str().unwrap(), Value::Object(edits));
    scene.poll().await;
    let row = scene.row("select * from sales.customer").await;
    for n in 0..WIDTH {
        assert_eq!(row[&format!("Col '{n}")], json!(format!("w{n}")));
    }
}
