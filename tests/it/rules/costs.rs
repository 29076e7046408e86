//! R15: what calls cost, who they were for, and what polls may not use up.

use rowtwin::engine::Engine;
use rowtwin::engine::assemble::Given;
use rowtwin::remote::gate::Priority;
use serde_json::json;

use crate::support::{CRM, Scene, Script};

async fn crm(limits: &str) -> Scene {
    Scene::with(Script { with_erp: false, crm_limits: limits.to_owned(), ..Script::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn r15_the_books_say_what_each_table_costs_each_way_and_what_was_saved() {
    let scene = Scene::with(Script {
        erp_limits: "{per_second: 1000, in_flight: 4, price: 0.002}".to_owned(),
        ..Script::default()
    })
    .await;
    scene.settle().await;
    scene.run("delete from rowtwin_private.usage").await;
    scene.run("insert into sales.customer (name, number) select 'N' || i, 'C' || i from generate_series(1, 50) i").await;
    scene.run("update sales.customer set note = 'x'").await;
    scene.run("update sales.customer set address = 'Road'").await;
    scene.settle().await;
    scene.poll().await;

    let push = scene
        .row("select table_name, object, changes, records, errors, saved_by_coalescing, saved_by_batching, cost = calls * 0.002 as priced, calls > 0 as called
              from rowtwin.costs where system = 'erp' and direction = 'push'")
        .await;
    let saved = scene.number("select (select saved_by_batching from rowtwin.costs where system = 'erp' and direction = 'push')::bigint").await;
    assert_eq!(push["table_name"], json!("sales.customer"));
    assert_eq!(push["object"], json!("BD_Customer"));
    assert!(push["changes"].as_i64().unwrap() >= 150, "{push}");
    // the id comes back into the row of the other system's column too, which is a change that costs no record
    assert_eq!(push["records"], json!(50), "{push}");
    assert_eq!(push["saved_by_coalescing"].as_i64(), push["changes"].as_i64().map(|changes| changes - 50));
    assert!(saved >= 45, "fifty records in a call or two: {push}");
    assert_eq!((&push["priced"], &push["called"], &push["errors"]), (&json!(true), &json!(true), &json!(0)));

    let pull = scene.row("select calls, records, cost > 0 as costs from rowtwin.costs where system = 'erp' and direction = 'pull'").await;
    assert!(pull["calls"].as_i64().unwrap() >= 1 && pull["records"].as_i64().unwrap() >= 50, "{pull}");
    assert_eq!(pull["costs"], json!(true));
    let free = scene
        .row("select sum(cost) as cost, sum(calls) > 0 as called from rowtwin.costs where system = 'crm'")
        .await;
    assert_eq!(free, json!({"cost": 0, "called": true}));
    // every call is in one line only
    let counted = scene.number("select sum(calls)::bigint from rowtwin.costs where system = 'erp'").await;
    assert_eq!(
        counted,
        scene.number("select calls_today::bigint from rowtwin.systems where name = 'erp'").await
    );
    let cost = scene
        .row("select cost_today = calls_today * 0.002 as priced from rowtwin.systems where name = 'erp'")
        .await;
    assert_eq!(cost, json!({"priced": true}));
}

#[tokio::test(flavor = "multi_thread")]
async fn r15_polls_leave_the_reserve_to_edits() {
    let scene = crm("{per_second: 1000, in_flight: 4, per_day: 20, reserve: '50%'}").await;
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
    scene.settle().await;
    for _ in 0..20 {
        scene
            .run(
                "update rowtwin_private.binding set next_poll_at = '-infinity', next_overlap_at = 'infinity'",
            )
            .await;
        scene.round().await;
    }
    assert_eq!(scene.crm().call_count(), 10, "polls stop at the reserve");
    let reason = scene.row("select reason from rowtwin.status").await["reason"].to_string();
    assert!(reason.contains("kept for people's edits"), "{reason}");
    scene.run("update sales.customer set address = 'Road 1'").await;
    scene.push("crm").await;
    assert_eq!(scene.crm().records(CRM)[0]["address"], json!("Road 1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn r15_a_reserve_that_nobody_can_use_is_not_kept() {
    let script = Script {
        with_erp: false,
        crm_limits: "{per_second: 1000, in_flight: 4, per_day: 20, reserve: '50%'}".to_owned(),
        extra_crm: ", direction: pull".to_owned(),
        ..Script::default()
    };
    let scene = Scene::with(script).await;
    scene.settle().await;
    for _ in 0..30 {
        scene
            .run(
                "update rowtwin_private.binding set next_poll_at = '-infinity', next_overlap_at = 'infinity'",
            )
            .await;
        scene.round().await;
    }
    assert_eq!(scene.crm().call_count(), 20, "no table is pushed: polls may have the whole day");
}

#[tokio::test(flavor = "multi_thread")]
async fn r15_what_nobody_waits_for_is_not_read_from_the_reserve() {
    let scene = crm("{per_second: 1000, in_flight: 4, per_day: 1000, reserve: '50%'}").await;
    let id = scene.crm().insert(CRM, json!({"name": "Acme", "account_no": "C1"}));
    scene.settle().await;
    // half of the day is used
    scene
        .run("update rowtwin_private.system set used_reported = 500, used_reported_at = clock_timestamp()")
        .await;
    let before = scene.crm().call_count();
    let bound = scene.bound("crm");
    for (why, calls) in [("found by a sweep", 0), ("referred to", 0), ("webhook", 1), ("settled late", 2)] {
        scene.run(&format!("select rowtwin_private.note_records({}, array['{id}'], '{why}'); update rowtwin_private.inbox set not_before = '-infinity'", bound.id)).await;
        let puller = scene.puller(&bound);
        puller.turn().await.unwrap();
        puller.release().await.unwrap();
        assert_eq!(scene.crm().call_count() - before, calls, "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r15_the_calls_that_the_system_itself_counts_are_believed() {
    let mut scene = crm("{per_second: 1000, in_flight: 4, per_day: 1000, reserve: '20%'}").await;
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
    scene.settle().await;
    // other programs use the same account: the answers say so
    let folder = tempfile::tempdir().unwrap();
    let manifest = include_str!("../../../connectors/fxiaoke.yaml");
    let counting = manifest.replace(
        "  daily_reset: Asia/Shanghai\n",
        "  daily_reset: Asia/Shanghai\n  usage: '{used: 990, limit: 1000}'\n",
    );
    assert_ne!(manifest, counting);
    std::fs::write(folder.path().join("fxiaoke.yaml"), counting).unwrap();
    let given = Given {
        database_url: Some(scene.url.clone()),
        connectors: Some(folder.path().to_owned()),
        ..Given::default()
    };
    let mut engine = Engine::assemble(scene.engine.file.clone(), &given).await.unwrap();
    engine.init().await.unwrap();
    scene.engine = engine;

    scene.run("update sales.customer set address = 'Road 1'").await;
    scene.push("crm").await;
    let system = scene
        .row("select calls_reported_today, calls_today < 50 as few from rowtwin.systems where name = 'crm'")
        .await;
    assert_eq!(system, json!({"calls_reported_today": 990, "few": true}));
    let bound = scene.bound("crm");
    let list = |priority| bound.client.list(&bound.object, &[], None, None, true, priority);
    let refused = list(Priority::Backfill).await.unwrap_err();
    assert!(refused.reason().contains("kept for people's edits"), "{}", refused.reason());
    list(Priority::Edit).await.unwrap();
    scene.run("update rowtwin_private.system set used_reported = 1000").await;
    let refused = list(Priority::Edit).await.unwrap_err();
    assert!(refused.reason().contains("used up"), "{}", refused.reason());
    // yesterday's word says nothing about today
    scene.run("update rowtwin_private.system set used_reported_at = now() - interval '25 hours'").await;
    list(Priority::Backfill).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn r15_the_days_budget_is_kept_by_two_engines_together() {
    let scene = crm("{per_second: 1000, in_flight: 8, per_day: 30, reserve: '10%'}").await;
    scene.settle().await;
    let second = scene.another_engine().await;
    scene.run("insert into sales.customer (name, number) select 'N' || i, 'C' || i from generate_series(1, 60) i").await;
    scene.capture().await;
    for _ in 0..3 {
        let mut all = tokio::task::JoinSet::new();
        for bound in [scene.bound("crm"), second.bounds[0].clone()] {
            let deliverer = scene.deliverer(&bound);
            all.spawn(async move { while deliverer.turn().await.unwrap().rest.is_none() {} });
        }
        all.join_all().await;
        scene.run("update rowtwin_private.outbox set not_before = '-infinity'").await;
    }
    assert_eq!(scene.crm().call_count(), 30, "not one call more, and none left");
    assert_eq!(scene.number("select count(*) from rowtwin.rejected").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r15_plan_says_what_a_day_costs_before_it_is_spent() {
    let scene = crm("{per_second: 1000, in_flight: 4, per_day: 3000, price: 0.002}").await;
    scene.run("insert into sales.customer (name, number) select 'N' || i, 'C' || i from generate_series(1, 3) i").await;
    scene.settle().await;
    scene.run("insert into sales.customer (name, number) values ('New', 'C9')").await;
    scene.capture().await;
    let folder = tempfile::tempdir().unwrap();
    let text = scene.file().replace("poll: 1d, sweep: 1d", "poll: 30s, sweep: 1h");
    std::fs::write(folder.path().join("rowtwin.yaml"), text).unwrap();
    let plan = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_rowtwin"))
            .args(["plan", "--no-reads"])
            .args(arguments)
            .current_dir(folder.path())
            .env("ROWTWIN_DATABASE_URL", &scene.url)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let calls = scene.crm().call_count();
    let planned: serde_json::Value = serde_json::from_str(&plan(&["--json"])).unwrap();
    let one = &planned[0];
    // the look-up by number and the create
    assert_eq!((&one["create"], &one["calls"], &one["cost"]), (&json!(1), &json!(2), &json!(0.004)), "{one}");
    let day = &one["day"];
    assert_eq!((&day["polls"], &day["sweeps"]), (&json!(2880), &json!(24)), "{day}");
    let edits = day["edits"].as_i64().unwrap();
    assert!(edits >= 4, "three creates and their look-up: {day}");
    assert_eq!(day["calls"].as_i64(), Some(2904 + edits));
    assert!((day["cost"].as_f64().unwrap() - (2904 + edits) as f64 * 0.002).abs() < 0.0001, "{day}");
    let told = plan(&[]);
    assert!(told.contains("crm: polls and sweeps want 2904 calls a day, and may have 2400"), "{told}");
    assert_eq!(scene.crm().call_count(), calls, "nothing was sent");
}
