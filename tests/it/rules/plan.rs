//! What `rowtwin plan` says before the first run.

use serde_json::{Value, json};

use crate::support::{CRM, Scene, Script};

/// Runs `rowtwin plan --json` as a person would; the plan of the only binding.
async fn plan(scene: &Scene, more: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rowtwin.yaml");
    std::fs::write(&file, format!("database: {{slot: {}}}\n{}", scene.engine.slot, scene.text)).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rowtwin"));
    command.arg("plan").arg("--json").arg("--config").arg(&file).args(more);
    command.env("ROWTWIN_DATABASE_URL", &scene.url);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let plans: Value = serde_json::from_slice(&output.stdout).unwrap();
    plans[0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn r05_a_plan_counts_what_the_first_meeting_would_bring() {
    let scene = Scene::with(Script {
        with_erp: false,
        extra_crm: ", where: \"name <> 'Elsewhere'\"".to_owned(),
        ..Script::default()
    })
    .await;
    scene
        .run(
            "insert into sales.customer (name, number, phone) values
               ('Same', 'C1', null), ('Ours', 'C2', '13800000001'), ('New', 'C3', null), ('Two', 'C4', null),
               ('Twice', 'C5', null), ('Twice', 'C5', null), ('Elsewhere', 'C6', null), ('No number', null, null)",
        )
        .await;
    for (name, number) in [("Same", "C1"), ("Theirs", "C2"), ("Two", "C4"), ("Two", "C4"), ("Twice", "C5")] {
        scene.crm().insert(CRM, json!({"name": name, "account_no": number}));
    }
    let told = plan(&scene, &[]).await;
    let of = |name: &str| told[name].clone();
    assert_eq!(
        (of("matched"), of("create"), of("ambiguous"), of("outside")),
        (json!(2), json!(2), json!(3), json!(1)),
        "{told}"
    );
    let meeting = &told["first_meeting"];
    assert_eq!(
        (&meeting["differ"], &meeting["record_wins"], &meeting["row_wins"], &meeting["reason"]),
        (&json!(1), &json!(1), &json!(1), &Value::Null),
        "the name is the record's, the phone the row's: {told}"
    );
    assert!(Scene::writes(&scene.crm()).is_empty());
    assert_eq!(scene.number("select count(*) from rowtwin.links").await, 0);

    scene.crm().forget_calls();
    let told = plan(&scene, &["--no-reads"]).await;
    assert_eq!((&told["create"], &told["matched"]), (&json!(7), &json!(0)));
    assert_eq!(scene.crm().call_count(), 0);

    // what cannot be looked up counts as a create, and the plan says why
    scene.crm().set_down(true);
    let told = plan(&scene, &[]).await;
    assert_eq!((&told["create"], &told["first_meeting"]["not_read"]), (&json!(7), &json!(6)), "{told}");
    assert!(told["first_meeting"]["reason"].is_string());
}
