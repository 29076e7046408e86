//! Jiandaoyun through the engine: both ways, pages, batches, and everything that goes wrong on the way.

use serde_json::{Value, json};

use super::room::{FORM, Room};
use crate::support::fault;

#[tokio::test(flavor = "multi_thread")]
async fn rows_and_records_are_kept_the_same_both_ways() {
    let room = Room::start().await;
    let (scene, door) = (&room.scene, room.door());
    let id = door.insert(
        FORM,
        json!({"_widget_name": "上海某某公司", "_widget_code": "C1", "_widget_phone": {"phone": "13800000000"}, "_widget_credit": 12.5}),
    );
    scene.run("insert into sales.customer (name, number, phone) values ('Beta', 'C2', '13900000000')").await;
    scene.settle().await;
    assert_eq!(
        room.row(&id).await,
        json!({"name": "上海某某公司", "number": "C1", "phone": "13800000000", "credit": 12.5, "note": null})
    );
    let made = door.records(FORM).into_iter().find(|record| record["_widget_code"] == "C2").unwrap();
    assert_eq!(made["_widget_phone"], json!({"verified": false, "phone": "13900000000"}));
    let other = made["_id"].as_str().unwrap().to_owned();

    scene.run("update sales.customer set credit = 7.25, phone = null, note = 'x' where number = 'C1'").await;
    door.edit(FORM, &other, json!({"_widget_note": "hello", "_widget_credit": 100}));
    scene.poll().await;
    let record = door.record(FORM, &id).unwrap();
    assert_eq!((&record["_widget_credit"], &record["_widget_phone"]), (&json!(7.25), &Value::Null));
    assert_eq!(
        room.row(&other).await,
        json!({"name": "Beta", "number": "C2", "phone": "13900000000", "credit": 100, "note": "hello"})
    );
    let sent = door.calls().into_iter().rfind(|call| call.operation == "update").unwrap();
    assert_eq!(
        sent.fields_sent,
        ["_widget_note", "_widget_credit", "_widget_phone"],
        "only what was changed"
    );

    door.forget_calls();
    scene.poll().await;
    scene.sweep().await;
    assert_eq!(door.calls_of("update", FORM) + door.calls_of("create", FORM), 0, "nothing is left to say");

    scene.run("delete from sales.customer where number = 'C1'").await;
    door.remove(FORM, &other);
    scene.sweep().await;
    assert_eq!(scene.number("select count(*) from sales.customer").await, 0);
    assert_eq!(door.count(FORM), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_more_than_one_page_is_read_whole_and_a_poll_applies_what_is_new() {
    let room = Room::start().await;
    let (scene, door) = (&room.scene, room.door());
    let records = (0..250).map(|n| json!({"_widget_name": format!("n{n}"), "_widget_code": format!("C{n}")}));
    let ids = door.insert_many(FORM, records);
    scene.settle().await;
    assert_eq!(scene.number("select count(*) from sales.customer where crm_id is not null").await, 250);
    assert_eq!(door.calls_of("list", FORM), 3);
    door.edit(FORM, &ids[17], json!({"_widget_name": "changed"}));
    door.insert(FORM, json!({"_widget_name": "new", "_widget_code": "C250"}));
    scene.poll().await;
    assert_eq!(room.row(&ids[17]).await["name"], "changed");
    assert_eq!(scene.number("select count(*) from sales.customer").await, 251);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_deletes_that_was_done_in_part_is_finished() {
    let room = Room::start().await;
    let (scene, door) = (&room.scene, room.door());
    let records = (0..9).map(|n| json!({"_widget_name": format!("n{n}"), "_widget_code": format!("C{n}")}));
    door.insert_many(FORM, records);
    scene.settle().await;
    door.add_fault(fault("partial-batch@batch_delete"));
    scene.run("delete from sales.customer where number <> 'C4'").await;
    scene.settle().await;
    assert!(door.faults().is_empty(), "the batch was struck");
    let left: Vec<Value> =
        door.records(FORM).into_iter().map(|record| record["_widget_code"].clone()).collect();
    assert_eq!(left, ["C4"]);
    assert_eq!(scene.rows("select * from rowtwin.outbox").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_lost_answer_to_a_create_makes_one_record_with_and_without_a_match() {
    for match_fields in ["[_widget_code]", "[]"] {
        let room = Room::with(match_fields, "").await;
        let (scene, door) = (&room.scene, room.door());
        scene.settle().await;
        door.add_fault(fault("lost-answer@create"));
        scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
        scene.settle().await;
        assert!(door.faults().is_empty(), "the create was struck");
        assert_eq!(door.count(FORM), 1, "match {match_fields}: {}", scene.story().await);
        let id = door.records(FORM)[0]["_id"].as_str().unwrap().to_owned();
        assert_eq!(room.row(&id).await["name"], "Acme");
    }
}

/// A row whose record is there, and nobody of ours knows: the answer was lost, and nothing tells twins.
async fn a_lost_create() -> Room {
    let room = Room::with("[]", "").await;
    let (scene, door) = (&room.scene, room.door());
    scene.settle().await;
    door.add_fault(fault("lost-answer@create"));
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
    scene.push("forms").await;
    assert_eq!(door.count(FORM), 1);
    room
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_an_edit_made_after_a_lost_create_reaches_a_system_that_answers_for_the_first_one() {
    let room = a_lost_create().await;
    let (scene, door) = (&room.scene, room.door());
    scene.run("update sales.customer set name = 'Beta'").await;
    scene.settle().await;
    let records = door.records(FORM);
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["_widget_name"], "Beta", "{}", scene.story().await);
    assert_eq!(scene.row("select name from sales.customer").await["name"], "Beta");
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_row_deleted_after_a_lost_create_leaves_no_record_in_a_system_that_answers_for_the_first_one() {
    let room = a_lost_create().await;
    let (scene, door) = (&room.scene, room.door());
    scene.run("delete from sales.customer").await;
    scene.settle().await;
    assert_eq!(door.count(FORM), 0, "{}", scene.story().await);
    assert_eq!(scene.number("select count(*) from sales.customer").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_create_is_not_repeated_once_the_system_has_forgotten_it() {
    let room = a_lost_create().await;
    let (scene, door) = (&room.scene, room.door());
    // the process was down for more than the hour of which the system remembers
    scene
        .run("update rowtwin_private.link set attempted_at = attempted_at - interval '2 hours' where attempted_at is not null")
        .await;
    scene.settle().await;
    assert_eq!(door.count(FORM), 1);
    assert_eq!(door.calls_of("create", FORM), 1);
    let doubtful = scene.rows("select * from rowtwin.doubtful").await;
    assert_eq!(doubtful.len(), 1, "a person is asked: {}", scene.story().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_the_system_did_not_take_is_seen() {
    let room = Room::start().await;
    let (scene, door) = (&room.scene, room.door());
    let id = door.insert(FORM, json!({"_widget_name": "Acme", "_widget_code": "C1"}));
    scene.settle().await;
    // the form says well done and keeps nothing: somebody made the field another one
    door.add_fault(fault("error:3005@update"));
    scene.run("update sales.customer set name = 'Beta'").await;
    scene.settle().await;
    let rejected = scene.rows("select reason from rowtwin.rejected").await;
    assert_eq!(rejected.len(), 1, "{rejected:?}");
    assert!(rejected[0]["reason"].as_str().unwrap().contains("3005"), "{rejected:?}");
    assert_eq!(door.record(FORM, &id).unwrap()["_widget_name"], "Acme");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_disabled_holds_the_system_and_loses_nothing() {
    let room = Room::start().await;
    let (scene, door) = (&room.scene, room.door());
    let id = door.insert(FORM, json!({"_widget_name": "Acme", "_widget_code": "C1"}));
    scene.settle().await;
    door.add_fault(fault("token-expired@update"));
    scene.run("update sales.customer set name = 'Beta'").await;
    scene.push("forms").await;
    let system = scene.row("select state, held_reason from rowtwin.systems where name = 'forms'").await;
    assert_eq!(system["state"], "held", "{system}");
    assert!(system["held_reason"].as_str().unwrap().contains("8301"), "{system}");
    scene.run("select rowtwin.resume('forms')").await;
    scene.settle().await;
    assert_eq!(door.record(FORM, &id).unwrap()["_widget_name"], "Beta");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_calls_are_waited_out() {
    let room = Room::start().await;
    let (scene, door) = (&room.scene, room.door());
    scene.settle().await;
    door.add_fault(fault("throttled:1@create"));
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
    scene.settle().await;
    assert!(door.faults().is_empty(), "the create was struck");
    assert_eq!(door.count(FORM), 1);
}
