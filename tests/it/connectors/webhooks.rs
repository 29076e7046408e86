//! Webhooks: a remote edit is heard of at once, what is forged is not heard, and what is missed is found by the poll.

use std::time::Duration;

use rowtwin::simulator::Push;
use rowtwin::store::inbox::clear_records;
use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use super::room::{FORM, Mailbox, Room};
use crate::monitoring::process::{Process, command};
use crate::support::running::{Running, until};

/// A push that nobody sent, sealed with a secret.
fn forged(body: &Value, secret: &str, seconds: i64) -> Push {
    let body = body.to_string();
    let seal = hex::encode(Sha1::digest(format!("n1:{body}:{secret}:{seconds}").as_bytes()));
    Push {
        query: format!("nonce=n1&timestamp={seconds}"),
        headers: vec![("X-JDY-Signature".to_owned(), seal)],
        body,
    }
}

async fn inbox(room: &Room) -> i64 {
    room.scene.number("select count(*) from rowtwin_private.inbox").await
}

fn seconds() -> i64 {
    jiff::Timestamp::now().as_second()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_brings_a_remote_edit_without_a_poll_and_a_missed_one_is_found_by_the_poll() {
    let room = Room::start().await;
    let (door, mailbox) = (room.door(), Mailbox::open(&room.scene).await);
    let id = door.insert(FORM, json!({"_widget_name": "Acme", "_widget_code": "C1"}));
    room.scene.settle().await;
    door.take_pushes();

    door.edit(FORM, &id, json!({"_widget_name": "Beta"}));
    let pushes = door.take_pushes();
    assert_eq!(mailbox.send(&pushes[0]).await, (200, "success".to_owned()));
    room.scene.settle().await;
    assert_eq!(room.row(&id).await["name"], "Beta");

    door.edit(FORM, &id, json!({"_widget_name": "Gamma"}));
    assert_eq!(door.take_pushes().len(), 1, "it is lost on its way");
    room.scene.settle().await;
    assert_eq!(room.row(&id).await["name"], "Beta");
    room.scene.poll().await;
    assert_eq!(room.row(&id).await["name"], "Gamma");
    assert_eq!(mailbox.counted(r#"rowtwin_webhooks_total{system="forms",outcome="taken"}"#), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_that_come_twice_late_and_in_the_wrong_order_do_no_harm() {
    let room = Room::start().await;
    let (door, mailbox) = (room.door(), Mailbox::open(&room.scene).await);
    let id = door.insert(FORM, json!({"_widget_name": "A", "_widget_code": "C1"}));
    let other = door.insert(FORM, json!({"_widget_name": "B", "_widget_code": "C2"}));
    room.scene.settle().await;
    for name in ["A1", "A2", "A3"] {
        door.edit(FORM, &id, json!({"_widget_name": name}));
    }
    door.remove(FORM, &other);
    let mut pushes = door.take_pushes();
    pushes.reverse();
    pushes.extend(pushes.clone());
    door.forget_calls();
    for push in &pushes {
        assert_eq!(mailbox.send(push).await.0, 200);
    }
    room.scene.settle().await;
    assert_eq!(room.row(&id).await["name"], "A3");
    assert_eq!(room.scene.number("select count(*) from sales.customer").await, 1, "the removed one is gone");
    assert_eq!(
        room.scene.number("select count(*) from rowtwin.journal where effect = 'update'").await,
        1,
        "three edits were one change"
    );
    assert_eq!(door.calls_of("list", FORM), 0);
    assert!(door.calls().iter().all(|call| call.operation == "get"), "{:?}", door.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn r20_what_is_forged_stale_or_broken_is_refused_and_leaves_nothing() {
    let room = Room::start().await;
    let mailbox = Mailbox::open(&room.scene).await;
    room.scene.settle().await;
    let row = json!({"op": "data_update", "data": {"_id": "65a000000000000000000001", "appId": "demo_app", "entryId": "customer"}});
    let right = "demo-push-secret";
    let mut unsigned = forged(&row, right, seconds());
    unsigned.headers.clear();
    let mut changed = forged(&row, right, seconds());
    changed.body = changed.body.replace("65a", "65b");
    for (push, status) in [
        (forged(&row, "another secret", seconds()), 401),
        (unsigned, 401),
        (changed, 401),
        (forged(&row, right, seconds() - 3600), 401),
        (forged(&json!({"op": "data_update", "data": {}}), right, seconds()), 400),
        (forged(&json!("x"), right, seconds()), 400),
        (forged(&json!(["data_update"]), right, seconds()), 400),
    ] {
        let (said, words) = mailbox.send(&push).await;
        assert_eq!(said, status, "{}: {words}", push.body);
        assert!(!words.contains("65a"), "{words}");
    }
    assert_eq!(mailbox.send_to("crm", &forged(&row, right, seconds())).await.0, 404);
    assert_eq!(mailbox.send_to("", &forged(&row, right, seconds())).await.0, 404);
    assert_eq!(inbox(&room).await, 0);
    assert_eq!(mailbox.counted(r#"rowtwin_webhooks_total{system="forms",outcome="signature"}"#), 3);
    assert_eq!(mailbox.counted(r#"rowtwin_webhooks_total{system="forms",outcome="stale"}"#), 1);
    assert_eq!(mailbox.counted(r#"rowtwin_webhooks_total{system="forms",outcome="malformed"}"#), 3);
    assert_eq!(mailbox.counted(r#"rowtwin_webhooks_total{system="",outcome="no_such_system"}"#), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_webhook_says_of_values_is_not_believed_and_unknown_forms_are_counted() {
    let room = Room::start().await;
    let (door, mailbox) = (room.door(), Mailbox::open(&room.scene).await);
    let id = door.insert(FORM, json!({"_widget_name": "Acme", "_widget_code": "C1"}));
    room.scene.settle().await;
    let lie = json!({"op": "data_update",
        "data": {"_id": id, "appId": "demo_app", "entryId": "customer", "_widget_name": "a lie"}});
    assert_eq!(mailbox.send(&forged(&lie, "demo-push-secret", seconds())).await.0, 200);
    // one that does not exist is looked for, and is no delete of anything
    let none =
        json!({"op": "data_remove", "data": {"_id": "nobody", "appId": "demo_app", "entryId": "customer"}});
    assert_eq!(mailbox.send(&forged(&none, "demo-push-secret", seconds())).await.0, 200);
    let other = json!({"op": "data_update", "data": {"_id": id, "appId": "demo_app", "entryId": "supplier"}});
    assert_eq!(mailbox.send(&forged(&other, "demo-push-secret", seconds())).await.0, 200);
    room.scene.settle().await;
    assert_eq!(room.row(&id).await["name"], "Acme");
    assert_eq!(inbox(&room).await, 0);
    assert_eq!(mailbox.counted(r#"rowtwin_webhook_records_total{system="forms",outcome="noted"}"#), 2);
    assert_eq!(mailbox.counted(r#"rowtwin_webhook_records_total{system="forms",outcome="ignored"}"#), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_does_not_answer_is_a_503_in_time_and_the_webhook_comes_again() {
    let room = Room::start().await;
    let door = room.door();
    let id = door.insert(FORM, json!({"_widget_name": "Acme", "_widget_code": "C1"}));
    room.scene.settle().await;
    door.take_pushes();
    door.edit(FORM, &id, json!({"_widget_name": "Beta"}));
    let push = door.take_pushes().remove(0);
    let hurried = Mailbox::open_within(&room.scene, Duration::from_millis(20)).await;
    let mut holder = crate::support::connect(&room.scene.url).await;
    let held = holder.transaction().await.unwrap();
    held.batch_execute("lock table rowtwin_private.inbox in access exclusive mode").await.unwrap();
    assert_eq!(hurried.send(&push).await.0, 503, "nobody waits for a lock");
    assert_eq!(hurried.counted(r#"rowtwin_webhooks_total{system="forms",outcome="late"}"#), 1);
    held.rollback().await.unwrap();
    let mailbox = Mailbox::open(&room.scene).await;
    assert_eq!(mailbox.send(&push).await.0, 200, "it is sent again");
    room.scene.settle().await;
    assert_eq!(room.row(&id).await["name"], "Beta");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_noted_while_its_record_is_read_is_read_again() {
    let room = Room::start().await;
    let id = room.door().insert(FORM, json!({"_widget_name": "Acme", "_widget_code": "C1"}));
    room.scene.settle().await;
    let store = &room.scene.engine.store;
    let binding = room.scene.bound("forms").id;
    let client = store.client().await.unwrap();
    let ids = [id.clone(), "other".to_owned()];
    store.note_webhook(&[binding, binding], &ids).await.unwrap();
    let due = store.due_records(binding, 10).await.unwrap();
    assert_eq!(due.len(), 2);
    store.note_webhook(&[binding], &ids[..1]).await.unwrap();
    clear_records(&client, binding, &due).await.unwrap();
    let left = room.scene.rows("select remote_id from rowtwin_private.inbox").await;
    assert_eq!(left, [json!({"remote_id": id})], "the newer note stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_pulls_is_not_noted() {
    let room = Room::with("[_widget_code]", ", direction: push").await;
    let (door, mailbox) = (room.door(), Mailbox::open(&room.scene).await);
    room.scene.settle().await;
    let id = door.insert(FORM, json!({"_widget_name": "Acme", "_widget_code": "C1"}));
    door.edit(FORM, &id, json!({"_widget_name": "Beta"}));
    for push in door.take_pushes() {
        assert_eq!(mailbox.send(&push).await.0, 200);
    }
    assert_eq!(inbox(&room).await, 0);
    assert_eq!(mailbox.counted(r#"rowtwin_webhook_records_total{system="forms",outcome="ignored"}"#), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_webhooks_at_once_are_all_taken_in_the_end() {
    let room = Room::start().await;
    let (door, mailbox) = (room.door(), Mailbox::open(&room.scene).await);
    room.scene.settle().await;
    let records = (0..150).map(|n| json!({"_widget_name": format!("n{n}"), "_widget_code": format!("C{n}")}));
    door.insert_many(FORM, records);
    let pushes = door.take_pushes();
    let send = async |push: &Push| {
        loop {
            match mailbox.send(push).await.0 {
                200 => return,
                // more than there are places for: the sender comes again
                503 => tokio::time::sleep(Duration::from_millis(5)).await,
                other => panic!("{other}"),
            }
        }
    };
    futures_util::future::join_all(pushes.iter().map(send)).await;
    room.scene.settle().await;
    assert_eq!(room.scene.number("select count(*) from sales.customer").await, 150);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_engine_reads_at_once_what_a_webhook_names() {
    let room = Room::start().await;
    let door = room.door();
    let id = door.insert(FORM, json!({"_widget_name": "Acme", "_widget_code": "C1"}));
    room.scene.settle().await;
    door.take_pushes();
    let engine = room.scene.another_engine().await;
    let heard: Vec<_> = engine.bounds.iter().map(|bound| std::sync::Arc::clone(&bound.heard)).collect();
    assert_eq!(heard.len(), 1);
    let running = Running::of(&room.scene, engine);
    let mailbox = Mailbox::open(&room.scene).await;
    door.edit(FORM, &id, json!({"_widget_name": "Beta"}));
    assert_eq!(mailbox.send(&door.take_pushes()[0]).await.0, 200);
    until("the row says so", async || room.row(&id).await["name"] == "Beta").await;
    // and the other way
    room.scene.run("update sales.customer set note = 'hello'").await;
    until("the record says so", async || {
        door.record(FORM, &id).is_some_and(|record| record.get("_widget_note") == Some(&json!("hello")))
    })
    .await;
    assert!(door.take_pushes().is_empty(), "what is written by the API is not pushed");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_takes_webhooks_where_the_configuration_says() {
    let room = Room::start().await;
    let door = room.door();
    let id = door.insert(FORM, json!({"_widget_name": "Acme", "_widget_code": "C1"}));
    room.scene.settle().await;
    door.take_pushes();
    let folder = tempfile::tempdir().unwrap();
    let database = format!("{{slot: {}}}", room.scene.engine.slot);
    let serve = "serve: {webhooks: {listen: '127.0.0.1:0', body_limit: 4kB, answer_within: 60s}}\n";
    std::fs::write(folder.path().join("rowtwin.yaml"), room.text(&database) + serve).unwrap();
    let process = Process::start(command(&folder, &room.scene.url));
    let address = process.address().parse().unwrap();
    let mailbox =
        Mailbox::at(address, rowtwin::metrics::Metrics::new(), tokio_util::sync::CancellationToken::new());
    door.edit(FORM, &id, json!({"_widget_name": "Beta"}));
    let push = door.take_pushes().remove(0);
    let large = Push { body: "x".repeat(5000), ..push.clone() };
    assert_eq!(mailbox.send(&large).await.0, 413);
    assert_eq!(mailbox.send(&push).await.0, 200);
    until("the row says so", async || room.row(&id).await["name"] == "Beta").await;
    assert_eq!(process.stop(), Some(0));
}
