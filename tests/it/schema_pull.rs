//! `rowtwin schema pull`, as a person uses it: the statements make a table, the binding is taken by our own loader, and
//! rows and records flow.

use serde_json::{Value, json};

use crate::monitoring::process::command;
use crate::support::{CRM, ERP, Scene, assemble};

/// A folder with the systems of a scene and no tables.
fn folder(scene: &Scene) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rowtwin.yaml"), format!("{}tables: {{}}\n", systems(scene))).unwrap();
    folder
}

fn systems(scene: &Scene) -> String {
    scene.text.split("tables:\n").next().unwrap().to_owned()
}

/// What is printed, or the exit code and what was said.
fn pull(scene: &Scene, arguments: &[&str]) -> Result<String, (i32, String)> {
    let folder = folder(scene);
    let output = command(&folder, &scene.url).args(["schema", "pull"]).args(arguments).output().unwrap();
    match output.status.code().unwrap() {
        0 => Ok(String::from_utf8(output.stdout).unwrap()),
        code => Err((code, String::from_utf8(output.stderr).unwrap())),
    }
}

/// The scene with the one table that was pulled, and no other.
pub async fn pulled(mut scene: Scene, system: &str, object: &str) -> Scene {
    let draft = |only| pull(&scene, &[system, object, "--table", "sales.twin", "--only", only]).unwrap();
    let (sql, yaml) = (draft("sql"), draft("yaml"));
    let both = pull(&scene, &[system, object, "--table", "sales.twin"]).unwrap();
    assert!(both.contains(sql.trim()) && both.contains(yaml.trim()), "{both}");
    scene.run(&sql).await;
    scene.engine = assemble(&scene.url, &(systems(&scene) + &yaml)).await;
    scene
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pulled_schema_of_the_crm_works_as_it_is() {
    let scene = pulled(Scene::start().await, "crm", CRM).await;
    scene.crm().insert(
        CRM,
        json!({"name": "Acme", "field_credit__c": "1234.50", "field_vip__c": true, "field_tags__c": ["a", "b"],
               "field_since__c": 1_709_222_400_000_i64, "field_visited__c": 1_709_222_400_123_i64, "owner": ["1000"]}),
    );
    scene.settle().await;
    let row = scene
        .row("select name, credit::text, vip, tags, since, visited, owner, crm_id is not null as linked from sales.twin")
        .await;
    assert_eq!(
        row,
        json!({"name": "Acme", "credit": "1234.50", "vip": true, "tags": ["a", "b"], "since": "2024-03-01",
               "visited": "2024-02-29T16:00:00.123+00:00", "owner": "1000", "linked": true})
    );
    scene.run("update sales.twin set credit = 99.9, since = '2025-01-02', vip = false, tags = '{c}'").await;
    scene.settle().await;
    let record = scene.crm().records(CRM)[0].clone();
    assert_eq!(record["field_credit__c"], json!("99.90"));
    assert_eq!(record["field_since__c"], json!(1_735_747_200_000_i64));
    assert_eq!((&record["field_vip__c"], &record["field_tags__c"]), (&json!(false), &json!(["c"])));
    assert_eq!(scene.rows("select * from rowtwin.rejected").await, Vec::<Value>::new());
    let about = scene.row("select col_description('sales.twin'::regclass, attnum) as about from pg_attribute where attrelid = 'sales.twin'::regclass and attname = 'tel'").await;
    assert_eq!(about["about"], json!("电话 (tel, phone_number)"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pulled_schema_of_the_erp_works_as_it_is() {
    let scene = pulled(Scene::start().await, "erp", ERP).await;
    scene.erp().insert(ERP, json!({"FName": "Acme", "FNumber": "C1", "FTEL": "1", "F_RT_Credit": "12.50"}));
    scene.settle().await;
    let row = scene
        .row("select name, number, tel, rt_credit::text, erp_id is not null as linked from sales.twin")
        .await;
    assert_eq!(
        row,
        json!({"name": "Acme", "number": "C1", "tel": "1", "rt_credit": "12.50", "linked": true})
    );
    scene.run("update sales.twin set tel = '2', rt_credit = 7.25").await;
    scene.settle().await;
    let record = scene.erp().records(ERP)[0].clone();
    assert_eq!(record["FTEL"], json!("2"));
    assert_eq!(scene.rows("select * from rowtwin.rejected").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_pulled_is_said_with_the_cure() {
    let scene = Scene::start().await;
    let (code, said) = pull(&scene, &["shop", "Order"]).unwrap_err();
    assert!(code == 2 && said.contains("no system `shop`") && said.contains("crm, erp"), "{code}: {said}");
    scene.crm().set_down(true);
    let (code, said) = pull(&scene, &["crm", CRM]).unwrap_err();
    assert!(code == 1 && said.contains("AccountObj of crm cannot be described"), "{code}: {said}");
}
