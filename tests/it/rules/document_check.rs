//! R20 for documents: `rowtwin check` finds a field of a line that is not there, in a collection inside of the record and
//! in one whose lines are records of their own.

use serde_json::Value;

use super::documents::script;
use crate::monitoring::process::{command, folder};
use crate::support::{Scene, Script};

async fn findings(script: Script) -> Vec<String> {
    let scene = Scene::with(script).await;
    let folder = folder(&scene, "");
    let mut check = command(&folder, &scene.url);
    check.args(["check", "--json"]);
    let ran = tokio::task::spawn_blocking(move || check.output().unwrap()).await.unwrap();
    let told: Value = serde_json::from_slice(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
    let all = told["findings"].as_array().unwrap().iter();
    all.map(|one| format!("{}: {}", one["result"].as_str().unwrap(), one["said"].as_str().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn r20_check_finds_a_field_of_a_line_that_is_not_there() {
    let well = findings(script()).await;
    for wanted in [
        "SalesOrderObj.SalesOrderProductObj has the 2 mapped",
        "SAL_SaleOrder.FSaleOrderEntry has the 3 mapped",
    ] {
        assert!(well.iter().any(|one| one.starts_with("ok: ") && one.contains(wanted)), "{wanted}: {well:?}");
    }
    let mut wrong = script();
    wrong.more_tables =
        wrong.more_tables.replace("field: quantity,", "field: quantitty,").replace("qty: FQty", "qty: FQtty");
    let told = findings(wrong).await;
    for wanted in [
        "SalesOrderObj.SalesOrderProductObj has no field `quantitty`",
        "SAL_SaleOrder.FSaleOrderEntry has no field `FQtty`",
    ] {
        assert!(
            told.iter().any(|one| one.starts_with("wrong: ") && one.contains(wanted)),
            "{wanted}: {told:?}"
        );
    }
}
