//! R8: one row, one record, whatever is lost on the way.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use crate::support::running::until;
use crate::support::{CRM, ERP, Scene, Script, connect, eventually, fault};

const ACME: &str = "insert into sales.customer (name, number) values ('Acme', 'C1')";

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_lost_answer_never_makes_a_second_record() {
    let scene = Scene::start().await;
    scene.settle().await;
    scene.crm().add_fault(fault("lost-answer@create"));
    scene.erp().add_fault(fault("lost-answer@create"));
    scene.run(ACME).await;
    scene.settle().await;
    scene.poll().await;
    assert_eq!((scene.crm().count(CRM), scene.erp().count(ERP)), (1, 1));
    assert_eq!(scene.number("select count(*) from sales.customer").await, 1);
    assert_eq!(scene.number("select count(*) from rowtwin.links where state = 'linked'").await, 2);
    assert!(scene.crm().faults().is_empty() && scene.erp().faults().is_empty(), "both answers were lost");
}

/// Twenty creates in one call whose answer is lost.
async fn a_batch_whose_answer_is_lost(script: Script) {
    let scene = Scene::with(Script { with_crm: false, ..script }).await;
    scene.settle().await;
    scene.erp().forget_calls();
    scene.erp().add_fault(fault("lost-answer@BatchSave"));
    scene
        .run("insert into sales.customer (name, number) select 'Name ' || n, 'C' || n from generate_series(1, 20) n")
        .await;
    scene.settle().await;
    assert_eq!(scene.erp().count(ERP), 20);
    let calls = scene.erp().calls();
    let count = |operation: &str| {
        calls.iter().filter(|call| call.operation == operation && call.object == ERP).count()
    };
    assert_eq!(count("BatchSave"), 1, "what was found is not sent again");
    // once before the create, once after the lost answer, and once to see what the records have become
    let looks = count("ExecuteBillQuery");
    assert!(looks <= 3, "{looks} look-ups for twenty doubts of one batch");
    assert_eq!(scene.number("select count(*) from rowtwin.links where state = 'linked'").await, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_lost_answer_to_a_whole_batch_makes_no_second_records() {
    a_batch_whose_answer_is_lost(Script::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_lost_answer_to_a_whole_batch_is_cleared_by_planted_ids() {
    let erp_settings = ", attempt_field: F_ATTEMPT".to_owned();
    a_batch_whose_answer_is_lost(Script { erp_settings, ..Script::default() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_mangled_answers_to_creates_make_no_second_record() {
    for how in ["html", "truncated", "wrong-type"] {
        let scene = Scene::start().await;
        scene.settle().await;
        scene.crm().add_fault(fault(&format!("malformed:{how}@create")));
        scene.erp().add_fault(fault(&format!("malformed:{how}@create")));
        scene.run(ACME).await;
        scene.settle().await;
        assert_eq!((scene.crm().count(CRM), scene.erp().count(ERP)), (1, 1), "{how}");
        assert_eq!(
            scene.number("select count(*) from rowtwin.links where state = 'linked'").await,
            2,
            "{how}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_create_that_is_committed_late_makes_no_second_record() {
    let scene = Scene::start().await;
    scene.settle().await;
    scene.crm().add_fault(fault("late-commit:700ms@create"));
    scene.erp().add_fault(fault("late-commit:700ms@create"));
    scene.run(ACME).await;
    scene.settle().await;
    assert_eq!((scene.crm().count(CRM), scene.erp().count(ERP)), (1, 1));
    let creates = |calls: Vec<rowtwin::simulator::Call>| {
        calls.iter().filter(|call| ["create", "BatchSave"].contains(&call.operation.as_str())).count()
    };
    assert_eq!((creates(scene.crm().calls()), creates(scene.erp().calls())), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_create_that_never_arrived_is_sent_again_after_the_doubt_window() {
    let scene = Scene::with(Script { with_erp: false, ..Script::default() }).await;
    scene.settle().await;
    // a gateway fails without having passed the request on, and cannot say so
    scene.crm().add_fault(fault("status:502@create"));
    scene.run(ACME).await;
    scene.settle().await;
    assert_eq!(scene.crm().count(CRM), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_planted_attempt_finds_the_record_without_match_fields() {
    let script = Script {
        with_erp: false,
        crm_match: "[]".to_owned(),
        crm_settings: ", attempt_field: field_key__c".to_owned(),
        ..Script::default()
    };
    let scene = Scene::with(script).await;
    scene.settle().await;
    scene.crm().add_fault(fault("lost-answer@create"));
    scene.run("insert into sales.customer (name) values ('Acme'), ('Acme')").await;
    scene.settle().await;
    scene.poll().await;
    assert_eq!(scene.crm().count(CRM), 2);
    assert_eq!(scene.number("select count(*) from sales.customer").await, 2);
    assert_eq!(
        scene.number("select count(distinct remote_id) from rowtwin.links where state = 'linked'").await,
        2
    );
}

/// Stops a delivery between the remote's commit and our settlement, as a killed process would.
async fn kill_before_settling(scene: &Scene, system: &str, made: impl FnMut() -> bool) {
    let blocker = connect(&scene.url).await;
    blocker.batch_execute("begin; lock table rowtwin_private.journal in exclusive mode").await.unwrap();
    scene.capture().await;
    let deliverer = scene.deliverer(&scene.bound(system));
    let turn = tokio::spawn(async move { deliverer.turn().await });
    eventually("the record is made", made).await;
    turn.abort();
    assert!(turn.await.unwrap_err().is_cancelled(), "it was still waiting to settle");
    blocker.batch_execute("rollback").await.unwrap();
}

async fn expire_leases(scene: &Scene) {
    scene.run("update rowtwin_private.outbox set lease_until = '-infinity' where state = 'sending'").await;
    // the server lets go of the killed process's rows when it notices that its connection is gone
    until("the lease is found to be over", async || scene.engine.store.rescue_outbox().await.unwrap() == 1)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_crash_between_call_and_settlement_makes_no_second_record() {
    for system in ["crm", "erp"] {
        let scene =
            Scene::with(Script { with_crm: system == "crm", with_erp: system == "erp", ..Script::default() })
                .await;
        scene.settle().await;
        scene.run(ACME).await;
        let (crm, erp) = (scene.crm(), scene.erp());
        let count = move || crm.count(CRM) + erp.count(ERP);
        kill_before_settling(&scene, system, || count() == 1).await;
        assert_eq!(scene.row("select state from rowtwin.outbox").await, json!({"state": "sending"}));
        expire_leases(&scene).await;
        scene.settle().await;
        scene.poll().await;
        assert_eq!(scene.crm().count(CRM) + scene.erp().count(ERP), 1, "{system}");
        assert_eq!(scene.number("select count(*) from sales.customer").await, 1, "{system}");
        assert_eq!(scene.number("select count(*) from rowtwin.links where state = 'linked'").await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_row_edited_after_the_crash_goes_to_the_record_that_was_made() {
    let scene = Scene::with(Script { with_erp: false, ..Script::default() }).await;
    scene.settle().await;
    scene.run(ACME).await;
    let crm = scene.crm();
    kill_before_settling(&scene, "crm", || crm.count(CRM) == 1).await;
    scene.run("update sales.customer set phone = '13800000005'").await;
    expire_leases(&scene).await;
    scene.settle().await;
    assert_eq!(scene.crm().count(CRM), 1);
    assert_eq!(scene.crm().records(CRM)[0]["tel"], json!("13800000005"));
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_row_deleted_after_the_crash_takes_its_record_with_it() {
    let scene = Scene::with(Script { with_erp: false, ..Script::default() }).await;
    scene.settle().await;
    scene.run(ACME).await;
    let crm = scene.crm();
    kill_before_settling(&scene, "crm", || crm.count(CRM) == 1).await;
    scene.run("delete from sales.customer").await;
    expire_leases(&scene).await;
    scene.settle().await;
    assert_eq!(scene.crm().count(CRM), 0);
    assert_eq!(scene.number("select count(*) from sales.customer").await, 0);
    assert_eq!(scene.number("select count(*) from rowtwin.links").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_process_that_was_paused_past_its_lease_sends_nothing() {
    let scene = Scene::with(Script { with_erp: false, ..Script::default() }).await;
    scene.settle().await;
    scene.run(ACME).await;
    scene.capture().await;
    // the look-up before the create is the pause
    scene.crm().add_fault(fault("slow:400ms@query"));
    let paused = scene.deliverer(&scene.bound("crm"));
    let turn = tokio::spawn(async move { paused.turn().await });
    let crm = scene.crm();
    eventually("the look-up is under way", || crm.faults().is_empty()).await;
    expire_leases(&scene).await;
    scene.deliver(&scene.bound("crm")).await;
    turn.await.unwrap().unwrap();
    let creates = scene.crm().calls().iter().filter(|call| call.operation == "create").count();
    assert_eq!((creates, scene.crm().count(CRM)), (1, 1));
    scene.settle().await;
    assert_eq!(scene.number("select count(*) from rowtwin.links where state = 'linked'").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_several_deliverers_on_one_binding_make_each_record_once() {
    let scene = Scene::start().await;
    scene.settle().await;
    scene
        .run("insert into sales.customer (name, number) select 'Name ' || n, 'C' || n from generate_series(1, 40) n")
        .await;
    scene.capture().await;
    let mut all = JoinSet::new();
    for system in ["crm", "erp", "crm", "erp", "crm", "erp"] {
        let deliverer = scene.deliverer(&scene.bound(system));
        all.spawn(async move {
            while deliverer.turn().await.unwrap().rest.is_none() {
                tokio::task::yield_now().await;
            }
        });
    }
    tokio::time::timeout(Duration::from_secs(30), all.join_all()).await.unwrap();
    scene.settle().await;
    assert_eq!((scene.crm().count(CRM), scene.erp().count(ERP)), (40, 40));
    let creates = scene.crm().calls().iter().filter(|call| call.operation == "create").count();
    assert_eq!(creates, 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_an_update_of_a_process_that_was_paused_past_its_lease_is_not_sent() {
    let scene = Scene::with(Script { with_erp: false, ..Script::default() }).await;
    scene.run(ACME).await;
    scene.settle().await;
    scene.run("update sales.customer set phone = '13800000001'").await;
    scene.capture().await;
    scene.crm().forget_calls();
    // the overwrite check is the pause
    scene.crm().add_fault(fault("slow:400ms@query"));
    let paused = scene.deliverer(&scene.bound("crm"));
    let turn = tokio::spawn(async move { paused.turn().await });
    let crm = scene.crm();
    eventually("the check is under way", || crm.faults().is_empty()).await;
    expire_leases(&scene).await;
    turn.await.unwrap().unwrap();
    assert!(Scene::writes(&scene.crm()).is_empty(), "the lease is lost");
    scene.settle().await;
    assert_eq!(Scene::writes(&scene.crm()).len(), 1);
    assert_eq!(scene.crm().records(CRM)[0]["tel"], json!("13800000001"));
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_an_update_that_overtakes_a_late_one_wins_in_the_end() {
    let scene = Scene::with(Script { with_erp: false, ..Script::default() }).await;
    scene.run(ACME).await;
    scene.settle().await;
    scene.run("update sales.customer set phone = '13800000001'").await;
    scene.capture().await;
    // the call hangs in the network, its lease runs out, another process sends the row's next value first
    scene.crm().add_fault(fault("slow:1500ms@update"));
    let slow = scene.deliverer(&scene.bound("crm"));
    let turn = tokio::spawn(async move { slow.turn().await });
    let crm = scene.crm();
    eventually("the update is under way", || crm.faults().is_empty()).await;
    expire_leases(&scene).await;
    scene.run("update sales.customer set phone = '13800000002'").await;
    scene.push("crm").await;
    assert_eq!(scene.crm().records(CRM)[0]["tel"], json!("13800000002"));
    turn.await.unwrap().unwrap();
    assert_eq!(scene.crm().records(CRM)[0]["tel"], json!("13800000001"), "it came after all");
    scene.settle().await;
    assert_eq!(scene.crm().records(CRM)[0]["tel"], json!("13800000002"));
    assert_eq!(scene.row("select phone from sales.customer").await, json!({"phone": "13800000002"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_late_refusal_does_not_unlink_what_another_process_has_linked() {
    let scene = Scene::with(Script { with_erp: false, ..Script::default() }).await;
    scene.settle().await;
    scene.run(ACME).await;
    scene.capture().await;
    scene.crm().set_faults(vec![fault("slow:3000ms@create"), fault("error:10001@create")]);
    let slow = scene.deliverer(&scene.bound("crm"));
    let turn = tokio::spawn(async move { slow.turn().await });
    let crm = scene.crm();
    eventually("the create is under way", || crm.faults().is_empty()).await;
    expire_leases(&scene).await;
    // the doubt window passes, and the other process sends the create again
    scene.settle().await;
    assert_eq!(scene.crm().count(CRM), 1);
    turn.await.unwrap().unwrap();
    assert_eq!(scene.number("select count(*) from rowtwin.links where state = 'linked'").await, 1);
    scene.settle().await;
    assert_eq!(scene.number("select count(*) from rowtwin.rejected").await, 0);
    assert_eq!(scene.crm().count(CRM), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_late_delete_leaves_no_row_without_a_record() {
    let scene = Scene::with(Script { with_erp: false, ..Script::default() }).await;
    scene.run(ACME).await;
    scene.settle().await;
    scene.run("create table sales.copy as table sales.customer; delete from sales.customer").await;
    scene.capture().await;
    // the delete hangs in the network and its lease runs out; meanwhile the row is there again
    scene.crm().add_fault(fault("slow:1500ms@delete"));
    let slow = scene.deliverer(&scene.bound("crm"));
    let turn = tokio::spawn(async move { slow.turn().await });
    let crm = scene.crm();
    eventually("the delete is under way", || crm.faults().is_empty()).await;
    expire_leases(&scene).await;
    scene.run("insert into sales.customer overriding system value table sales.copy").await;
    scene.push("crm").await;
    assert_eq!(scene.number("select count(*) from rowtwin.outbox").await, 0, "nothing differs yet");
    turn.await.unwrap().unwrap();
    assert_eq!(scene.crm().count(CRM), 0, "the delete came after all");
    scene.settle().await;
    assert_eq!(scene.crm().count(CRM), 1);
    assert_eq!(scene.number("select count(*) from rowtwin.links where state = 'linked'").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_record_heard_of_long_ago_says_nothing_about_the_others_of_its_batch() {
    let script = Script {
        with_erp: false,
        crm_match: "[]".to_owned(),
        crm_settings: ", attempt_field: field_key__c".to_owned(),
        ..Script::default()
    };
    let scene = Scene::with(script).await;
    let old = scene.crm().insert(CRM, json!({"name": "Old", "account_no": "A0"}));
    scene.settle().await;
    // a create is in doubt, and a sweep finds what it has made
    scene.crm().add_fault(fault("lost-answer@create"));
    scene.run(ACME).await;
    scene.push("crm").await;
    let records = scene.crm().records(CRM);
    let made = records.iter().filter_map(|record| record["_id"].as_str()).find(|id| *id != old).unwrap();
    let note = |id: &str, age: &str| {
        format!(
            "insert into rowtwin_private.inbox (binding_id, remote_id, why, since)
             select id, '{id}', 'found by a sweep', clock_timestamp() - interval '{age}' from rowtwin_private.binding"
        )
    };
    scene.run(&note(&old, "1 day")).await;
    scene.run(&note(made, "0")).await;
    let bound = scene.bound("crm");
    scene.puller(&bound).turn().await.unwrap();
    assert_eq!(scene.number("select count(*) from sales.customer").await, 2, "a second row for one record");
    scene.settle().await;
    scene.poll().await;
    assert_eq!((scene.crm().count(CRM), scene.number("select count(*) from sales.customer").await), (2, 2));
}

/// Lets every note in the inbox fail, as a process fails that dies where it would write it.
const NO_NOTES: &str = "
    create function public.no_note() returns trigger language plpgsql as $$ begin raise exception 'no note'; end $$;
    create trigger no_note before insert on rowtwin_private.inbox for each row execute function public.no_note()";
const NOTES: &str = "drop trigger no_note on rowtwin_private.inbox";

#[tokio::test(flavor = "multi_thread")]
async fn r09_an_edit_made_while_a_create_was_in_doubt_survives_a_crash_after_the_record_was_found() {
    let scene = Scene::with(Script { with_erp: false, ..Script::default() }).await;
    scene.settle().await;
    scene.run(ACME).await;
    let crm = scene.crm();
    kill_before_settling(&scene, "crm", || crm.count(CRM) == 1).await;
    scene.run("update sales.customer set phone = '13800000006'").await;
    expire_leases(&scene).await;
    scene.capture().await;
    // the record is found, and the process dies before it has noted that the row has changed since
    scene.run(NO_NOTES).await;
    assert!(scene.deliverer(&scene.bound("crm")).turn().await.is_err());
    scene.run(NOTES).await;
    expire_leases(&scene).await;
    scene.settle().await;
    assert_eq!(scene.crm().count(CRM), 1);
    assert_eq!(scene.crm().records(CRM)[0]["tel"], json!("13800000006"), "{}", scene.story().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_a_first_comparison_survives_a_crash_after_the_twin_was_found() {
    let scene = Scene::with(Script { with_erp: false, ..Script::default() }).await;
    scene.settle().await;
    scene.crm().insert(CRM, json!({"name": "Acme", "account_no": "C1", "tel": "13800000007"}));
    scene.run(ACME).await;
    scene.capture().await;
    scene.run(NO_NOTES).await;
    assert!(scene.deliverer(&scene.bound("crm")).turn().await.is_err());
    scene.run(NOTES).await;
    expire_leases(&scene).await;
    scene.settle().await;
    let same = "select count(*) from rowtwin.links where shadow is null";
    assert_eq!(scene.number(same).await, 0, "{}", scene.story().await);
    assert_eq!(scene.row("select phone from sales.customer").await, json!({"phone": "13800000007"}));
    assert_eq!(scene.crm().count(CRM), 1);
}
