//! Between a call and its end: an edit that slips in between, and an answer that never comes.

use serde_json::{Value, json};

use crate::client::Person;
use crate::go_between::Then;
use crate::room::Room;

/// A call of this method of a party.
fn of_party(method: &'static str) -> impl Fn(&Value) -> bool + Send {
    move |call| call["method"].as_str().is_some_and(|called| called.ends_with(&format!(".party.{method}")))
}

/// The person writes to the first record that the call named.
fn write(person: Person, values: Value) -> Then {
    Then::Do(Box::new(move |call| {
        Box::pin(async move {
            let id = call["params"][0][0].as_i64().expect("a write names its record");
            person.write(id, values).await;
        })
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_an_edit_between_a_write_and_its_reading_back_is_not_lost() {
    let (room, between) = Room::behind_a_go_between().await;
    room.person.create(json!([{"name": "Acme", "code": "C1"}])).await;
    room.poll().await;

    // Of another field: it arrives, and is not written over with what the row had.
    let person = Person::sign_in(&room.tryton).await;
    between.arm(of_party("write"), write(person, json!({"lang": 3})));
    room.run("update crm.party set name = 'Row'").await;
    room.settle().await;
    assert!(between.went_off());
    assert_eq!(room.table().await, [json!({"name": "Row", "code": "C1", "lang": 3, "active": true})]);
    room.assert_twins().await;

    // Of the same field, after ours: it is the later one and stays.
    let person = Person::sign_in(&room.tryton).await;
    between.arm(of_party("write"), write(person, json!({"name": "Person, later"})));
    room.run("update crm.party set name = 'Row again'").await;
    room.settle().await;
    assert!(between.went_off());
    assert_eq!(room.table().await[0]["name"], "Person, later");
    room.assert_twins().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_lost_answer_never_makes_a_second_party() {
    let (room, between) = Room::behind_a_go_between().await;
    between.arm(of_party("create"), Then::LoseAnswer);
    room.run("insert into crm.party (name, code) values ('Acme', 'C1'), ('Bolt', 'C2')").await;
    room.settle().await;
    assert!(between.went_off());
    room.poll().await;
    room.assert_twins().await;
    assert_eq!(room.person.parties().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_answer_was_lost_is_no_conflict_with_itself() {
    let (room, between) = Room::behind_a_go_between().await;
    room.person.create(json!([{"name": "Acme", "code": "C1"}])).await;
    room.poll().await;
    between.arm(of_party("write"), Then::LoseAnswer);
    room.run("update crm.party set name = 'Row'").await;
    room.settle().await;
    assert!(between.went_off());
    assert_eq!(room.person.named("Row").await["code"], "C1");
    room.assert_twins().await;
    assert_eq!(room.number("select count(*) from rowtwin.conflicts").await, 0);
}
