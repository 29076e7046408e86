//! Lifecycles: save, submit, audit, and back before an edit; each step resumes where it was.

use rowtwin::config;
use rowtwin::engine::Engine;
use rowtwin::engine::assemble::Given;
use serde_json::{Value, json};

use crate::support::{ERP, Scene, Script, connect, eventually, fault};

const ACME: &str = "insert into sales.customer (name, number) values ('Acme', 'C1')";

async fn scene(lifecycle: &str) -> Scene {
    let extra_erp = match lifecycle {
        "" => String::new(),
        asked => format!(", lifecycle: {asked}"),
    };
    let scene = Scene::with(Script { with_crm: false, extra_erp, ..Script::default() }).await;
    scene.settle().await;
    scene
}

async fn audited() -> Scene {
    scene("{until: audited}").await
}

/// The calls that wrote or moved something.
fn calls(scene: &Scene) -> Vec<String> {
    let writes = ["BatchSave", "Submit", "Audit", "UnAudit", "CancelAssign", "Delete"];
    let calls = scene.erp().calls().into_iter().map(|call| call.operation);
    calls.filter(|operation| writes.contains(&operation.as_str())).collect()
}

fn status(scene: &Scene) -> Value {
    scene.erp().records(ERP)[0]["FDocumentStatus"].clone()
}

/// A person moves every record in the pages of the ERP.
fn person_moves(scene: &Scene, status: &str) {
    for record in scene.erp().records(ERP) {
        let id = record["FCUSTID"].to_string();
        scene.erp().edit(ERP, &id, json!({"FDocumentStatus": status}));
    }
}

async fn unfinished(scene: &Scene) -> Vec<Value> {
    scene
        .rows("select key, stage, step, state, since is not null as since, reason from rowtwin.unfinished")
        .await
}

/// One turn of the delivering side.
async fn turn(scene: &Scene) -> usize {
    scene.deliverer(&scene.bound("erp")).turn().await.unwrap().looked
}

#[tokio::test(flavor = "multi_thread")]
async fn r10_a_new_record_is_saved_submitted_and_audited_in_this_order() {
    let scene = audited().await;
    scene.run(ACME).await;
    scene.capture().await;
    let steps = [("A", Some("submit")), ("B", Some("audit")), ("C", None)];
    for (stage, step) in steps {
        assert_eq!(turn(&scene).await, 1);
        assert_eq!(status(&scene), json!(stage));
        let link = scene.row("select stage from rowtwin.links").await;
        assert_eq!(link["stage"], json!(stage));
        let waiting: Vec<Value> = scene
            .rows("select step from rowtwin.outbox")
            .await
            .iter()
            .map(|row| row["step"].clone())
            .collect();
        assert_eq!(waiting, step.into_iter().map(Value::from).collect::<Vec<_>>(), "{stage}");
    }
    assert_eq!(calls(&scene), ["BatchSave", "Submit", "Audit"]);
    let story = scene.rows("select effect, reason from rowtwin.journal order by id").await;
    let steps: Vec<&Value> =
        story.iter().filter(|line| line["effect"] == "step").map(|line| &line["reason"]).collect();
    assert_eq!(steps, ["submit", "audit"]);
    assert!(unfinished(&scene).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn r10_an_edit_of_an_audited_record_takes_it_back_first_where_that_is_allowed() {
    let scene = scene("{until: audited, reopen: true}").await;
    scene.run(ACME).await;
    scene.settle().await;
    scene.erp().forget_calls();
    scene.run("update sales.customer set phone = '123'").await;
    scene.settle().await;
    assert_eq!(calls(&scene), ["UnAudit", "BatchSave", "Submit", "Audit"]);
    assert_eq!((status(&scene), &scene.erp().records(ERP)[0]["FTEL"]), (json!("C"), &json!("123")));

    // in approval it is withdrawn, and so before a delete
    person_moves(&scene, "B");
    scene.poll().await;
    scene.erp().forget_calls();
    scene.run("update sales.customer set phone = '124'").await;
    scene.settle().await;
    assert_eq!(calls(&scene), ["CancelAssign", "BatchSave", "Submit", "Audit"]);
    scene.erp().forget_calls();
    scene.run("delete from sales.customer").await;
    scene.settle().await;
    assert_eq!(calls(&scene), ["UnAudit", "Delete"]);
    assert_eq!(scene.erp().count(ERP), 0);
    assert!(unfinished(&scene).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_an_audited_record_is_rejected_with_the_cure_until_a_person_takes_it_back() {
    let scene = audited().await;
    scene.run(ACME).await;
    scene.settle().await;
    scene.erp().forget_calls();
    scene.run("update sales.customer set phone = '123'").await;
    scene.settle().await;
    assert_eq!(calls(&scene), Vec::<String>::new());
    let rejected = scene.row("select reason from rowtwin.rejected").await;
    let reason = rejected["reason"].as_str().unwrap();
    assert!(reason.contains("stands at C") && reason.contains("reopen: true"), "{reason}");
    assert!(unfinished(&scene).await.is_empty(), "nothing was saved, so nothing is owed");

    person_moves(&scene, "D");
    scene.poll().await;
    assert_eq!(calls(&scene), ["BatchSave", "Submit", "Audit"]);
    assert_eq!(scene.number("select count(*) from rowtwin.rejected").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_edit_goes_after_a_retry_though_no_poll_has_seen_that_it_may() {
    let scene = audited().await;
    scene.run(ACME).await;
    scene.settle().await;
    person_moves(&scene, "D");
    scene.erp().forget_calls();
    scene.run("update sales.customer set phone = '123'").await;
    scene.settle().await;
    assert_eq!(
        calls(&scene),
        ["BatchSave", "Submit", "Audit"],
        "where it stands is read before it is refused"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_of_an_audited_record_is_rejected_with_the_cure() {
    let scene = audited().await;
    scene.run(ACME).await;
    scene.settle().await;
    scene.erp().forget_calls();
    scene.run("delete from sales.customer").await;
    scene.settle().await;
    assert_eq!((calls(&scene), scene.erp().count(ERP)), (Vec::<String>::new(), 1));
    let rejected = scene.row("select reason from rowtwin.rejected").await;
    assert!(rejected["reason"].as_str().unwrap().contains("reopen: true"), "{rejected}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_target_a_save_is_the_end_and_an_audited_record_is_still_protected() {
    let scene = scene("").await;
    scene.run(ACME).await;
    scene.settle().await;
    assert_eq!((calls(&scene), status(&scene)), (vec!["BatchSave".to_owned()], json!("A")));
    person_moves(&scene, "C");
    scene.run("update sales.customer set phone = '123'").await;
    scene.settle().await;
    assert_eq!(calls(&scene), ["BatchSave"]);
    assert_eq!(
        scene.number("select count(*) from rowtwin.rejected where reason like '%stands at C%'").await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rejected_by_a_check_is_not_taken_back() {
    let script = Script {
        with_crm: false,
        erp: "{name: FName, number: FNumber, phone: {field: FTEL, check: {pattern: '^1'}}}".to_owned(),
        extra_erp: ", lifecycle: {until: audited, reopen: true}".to_owned(),
        ..Script::default()
    };
    let scene = Scene::with(script).await;
    scene.settle().await;
    scene.run(ACME).await;
    scene.settle().await;
    scene.erp().forget_calls();
    scene.run("update sales.customer set phone = '9'").await;
    scene.settle().await;
    assert_eq!((calls(&scene), status(&scene)), (Vec::<String>::new(), json!("C")));
}

/// Makes a turn's call and dies before anything of it is settled.
async fn dies_after(scene: &Scene, operation: &str) {
    let blocker = connect(&scene.url).await;
    blocker.batch_execute("begin; lock table rowtwin_private.journal in exclusive mode").await.unwrap();
    let deliverer = scene.deliverer(&scene.bound("erp"));
    let dying = tokio::spawn(async move { deliverer.turn().await });
    eventually("the call is made", || calls(scene).last().is_some_and(|last| last == operation)).await;
    dying.abort();
    assert!(dying.await.unwrap_err().is_cancelled(), "it was still waiting to settle");
    blocker.batch_execute("rollback").await.unwrap();
    scene.run("update rowtwin_private.outbox set lease_until = '-infinity' where state = 'sending'").await;
    assert_eq!(scene.engine.store.rescue_outbox().await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_crash_after_any_step_resumes_at_the_next_one() {
    let order = ["UnAudit", "BatchSave", "Submit", "Audit"];
    for (at, operation) in order.iter().enumerate() {
        let scene = scene("{until: audited, reopen: true}").await;
        scene.run(ACME).await;
        scene.settle().await;
        scene.erp().forget_calls();
        scene.run("update sales.customer set phone = '123'").await;
        scene.capture().await;
        for _ in 0..at {
            turn(&scene).await;
        }
        dies_after(&scene, operation).await;
        let left = unfinished(&scene).await;
        assert_eq!(left.len(), 1, "{operation}: {left:?}");
        scene.settle().await;
        assert_eq!(calls(&scene), order, "{operation}");
        assert_eq!((status(&scene), &scene.erp().records(ERP)[0]["FTEL"]), (json!("C"), &json!("123")));
        assert!(unfinished(&scene).await.is_empty(), "{operation}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_crash_after_a_create_still_ends_where_it_should() {
    let scene = audited().await;
    scene.run(ACME).await;
    scene.capture().await;
    dies_after(&scene, "BatchSave").await;
    assert_eq!(unfinished(&scene).await[0]["step"], json!("submit"));
    scene.settle().await;
    assert_eq!(
        (calls(&scene), status(&scene)),
        (vec!["BatchSave".into(), "Submit".into(), "Audit".into()], json!("C"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_is_undone_after_the_record_was_taken_back_leaves_it_audited() {
    for crash in [false, true] {
        let scene = scene("{until: audited, reopen: true}").await;
        scene.run(ACME).await;
        scene.settle().await;
        scene.erp().forget_calls();
        scene.run("update sales.customer set phone = '123'").await;
        scene.capture().await;
        if crash {
            dies_after(&scene, "UnAudit").await;
        } else {
            turn(&scene).await;
        }
        assert_eq!(status(&scene), json!("D"));
        scene.run("update sales.customer set phone = null").await;
        scene.settle().await;
        assert_eq!(
            (calls(&scene), status(&scene)),
            (vec!["UnAudit".into(), "Submit".into(), "Audit".into()], json!("C"))
        );
        assert!(unfinished(&scene).await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_a_step_is_not_believed_and_the_step_not_done_twice() {
    for operation in ["Submit", "Audit"] {
        let scene = audited().await;
        scene.erp().add_fault(fault(&format!("lost-answer@{operation}")));
        scene.run(ACME).await;
        scene.settle().await;
        assert!(scene.erp().faults().is_empty(), "the answer was lost");
        assert_eq!(
            (calls(&scene), status(&scene)),
            (vec!["BatchSave".into(), "Submit".into(), "Audit".into()], json!("C"))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_somebody_has_done_meanwhile_is_done() {
    let scene = audited().await;
    scene.run(ACME).await;
    scene.capture().await;
    turn(&scene).await;
    person_moves(&scene, "C");
    scene.settle().await;
    assert_eq!(
        calls(&scene),
        ["BatchSave", "Submit"],
        "the refused one is looked at, and nothing is left to do"
    );
    assert_eq!((status(&scene), unfinished(&scene).await.len()), (json!("C"), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_audit_says_why_and_goes_on_after_a_retry_or_a_person() {
    for by_hand in [false, true] {
        let scene = audited().await;
        scene.erp().add_fault(fault("error:11@Audit"));
        scene.run(ACME).await;
        scene.settle().await;
        let left = unfinished(&scene).await;
        assert_eq!(
            (&left[0]["stage"], &left[0]["step"], &left[0]["state"]),
            (&json!("B"), &json!("audit"), &json!("rejected"))
        );
        assert_ne!(left[0]["reason"], Value::Null);
        assert_eq!(left[0]["since"], json!(true));
        if by_hand {
            person_moves(&scene, "C");
            scene.poll().await;
            assert_eq!(calls(&scene), ["BatchSave", "Submit", "Audit"]);
        } else {
            scene.run("select rowtwin.retry('sales.customer')").await;
            scene.settle().await;
            assert_eq!(calls(&scene), ["BatchSave", "Submit", "Audit", "Audit"]);
        }
        assert_eq!((status(&scene), unfinished(&scene).await.len()), (json!("C"), 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mend_of_the_row_takes_our_own_unfinished_record_back_without_leave() {
    let scene = audited().await;
    scene.erp().add_fault(fault("error:11@Audit"));
    scene.run(ACME).await;
    scene.settle().await;
    scene.erp().forget_calls();
    scene.run("update sales.customer set phone = '123'").await;
    scene.settle().await;
    assert_eq!(calls(&scene), ["CancelAssign", "BatchSave", "Submit", "Audit"]);
    assert_eq!((status(&scene), &scene.erp().records(ERP)[0]["FTEL"]), (json!("C"), &json!("123")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_save_owes_nothing_and_its_record_is_left_where_it_stands() {
    let scene = audited().await;
    scene.run(ACME).await;
    scene.settle().await;
    person_moves(&scene, "D");
    scene.poll().await;
    scene.erp().add_fault(fault("error:11@BatchSave"));
    scene.erp().forget_calls();
    scene.run("update sales.customer set phone = '123'").await;
    scene.settle().await;
    assert_eq!(
        (scene.number("select count(*) from rowtwin.rejected").await, unfinished(&scene).await.len()),
        (1, 0)
    );
    scene.run("update sales.customer set phone = null").await;
    scene.settle().await;
    assert_eq!((calls(&scene), status(&scene)), (vec!["BatchSave".into()], json!("D")));
}

#[tokio::test(flavor = "multi_thread")]
async fn r06_steps_make_no_echo_and_what_a_person_takes_back_is_left_alone() {
    let scene = audited().await;
    scene.run(ACME).await;
    scene.settle().await;
    scene.erp().forget_calls();
    let before = scene.row("select ctid::text, * from sales.customer").await;
    scene.poll().await;
    person_moves(&scene, "D");
    scene.poll().await;
    assert_eq!(scene.row("select stage from rowtwin.links").await, json!({"stage": "D"}));
    scene.poll().await;
    assert_eq!((calls(&scene), status(&scene)), (Vec::<String>::new(), json!("D")));
    assert_eq!(scene.row("select ctid::text, * from sales.customer").await, before);
    assert_eq!(scene.number("select count(*) from rowtwin.journal where side = 'row'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r07_two_hundred_and_fifty_records_take_three_calls_a_step() {
    let scene = audited().await;
    scene.run("insert into sales.customer (name, number) select 'N' || n, 'C' || n from generate_series(1, 250) n").await;
    scene.settle().await;
    let calls = calls(&scene);
    for operation in ["BatchSave", "Submit", "Audit"] {
        assert_eq!(calls.iter().filter(|call| *call == operation).count(), 3, "{operation}");
    }
    assert!(scene.erp().records(ERP).iter().all(|record| record["FDocumentStatus"] == "C"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_refused_record_does_not_keep_the_others_of_its_batch() {
    let scene = audited().await;
    scene.run("insert into sales.customer (name, number) select 'N' || n, 'C' || n from generate_series(1, 9) n").await;
    scene.capture().await;
    turn(&scene).await;
    let id = scene.erp().records(ERP)[4]["FCUSTID"].to_string();
    scene.erp().remove(ERP, &id);
    scene.settle().await;
    assert_eq!(scene.erp().count(ERP), 8);
    assert!(scene.erp().records(ERP).iter().all(|record| record["FDocumentStatus"] == "C"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_reading_first_a_refused_save_is_looked_at() {
    let scene = Scene::with(Script {
        with_crm: false,
        extra_erp: ", lifecycle: {until: audited, reopen: true}, overwrite_check: none".to_owned(),
        ..Script::default()
    })
    .await;
    scene.settle().await;
    scene.run(ACME).await;
    scene.settle().await;
    person_moves(&scene, "D");
    scene.poll().await;
    person_moves(&scene, "B");
    scene.erp().forget_calls();
    scene.run("update sales.customer set phone = '123'").await;
    scene.settle().await;
    assert_eq!(calls(&scene), ["BatchSave", "CancelAssign", "BatchSave", "Submit", "Audit"]);
    assert_eq!(status(&scene), json!("C"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lifecycle_that_does_not_exist_is_refused_with_what_there_is() {
    let scene = Scene::start().await;
    let mut script = Script { extra_erp: ", lifecycle: {until: approved}".to_owned(), ..Script::default() };
    script.extra_crm = ", lifecycle: {reopen: true}".to_owned();
    let file = config::parse("rowtwin.yaml", &Scene::text(&script, &scene.crm, &scene.erp)).unwrap().0;
    let given = Given { database_url: Some(scene.url.clone()), ..Given::default() };
    let Err(error) = Engine::assemble(file, &given).await else { panic!("it was not refused") };
    let message = error.to_string();
    for part in ["no target `approved`; there are audited, saved, submitted", "`AccountObj` has no lifecycle"]
    {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_counts_the_steps_and_their_calls() {
    let scene = scene("{until: audited, reopen: true}").await;
    scene.run(ACME).await;
    scene.settle().await;
    scene.run("update sales.customer set phone = '123'").await;
    scene.run("insert into sales.customer (name, number) values ('B', 'C2'), ('C', 'C3')").await;
    scene.capture().await;
    let folder = tempfile::tempdir().unwrap();
    let text = scene.file();
    std::fs::write(folder.path().join("rowtwin.yaml"), text).unwrap();
    let plan = std::process::Command::new(env!("CARGO_BIN_EXE_rowtwin"))
        .args(["plan", "--json"])
        .current_dir(folder.path())
        .env("ROWTWIN_DATABASE_URL", &scene.url)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&plan.stderr);
    let plan: Value = serde_json::from_slice(&plan.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    let plan = &plan[0];
    assert_eq!(plan["steps"], json!({"unaudit": 1, "submit": 3, "audit": 3}));
    assert_eq!((&plan["create"], &plan["update"]), (&json!(2), &json!(1)));
    // one look-up, one create, one read, one update, and one of each step
    assert_eq!(plan["calls"], json!(7));
    scene.settle().await;
    assert!(scene.erp().records(ERP).iter().all(|record| record["FDocumentStatus"] == "C"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_is_owed_moves_with_a_changed_primary_key() {
    let scene = audited().await;
    scene.run(ACME).await;
    scene.capture().await;
    assert_eq!(turn(&scene).await, 1);
    assert_eq!(status(&scene), json!("A"));
    scene.run("alter table sales.customer alter id drop identity; update sales.customer set id = 900").await;
    scene.settle().await;
    assert_eq!(status(&scene), json!("C"), "{}", scene.story().await);
}
