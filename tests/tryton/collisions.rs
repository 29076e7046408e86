//! Both sides at once: what each of them edits before it has seen the other's edit.

use serde_json::{Value, json};

use crate::room::Room;

async fn conflicts(room: &Room) -> Vec<Value> {
    room.rows("select field, was, row_value, record_value, winner from rowtwin.conflicts order by id").await
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_edits_of_different_fields_both_survive() {
    let room = Room::start().await;
    let ids = room.person.create(json!([{"name": "Acme", "code": "C1"}])).await;
    room.poll().await;
    room.run("update crm.party set name = 'Row'").await;
    room.person.write(ids[0], json!({"lang": 3})).await;
    // Nothing polls: it is Tryton that refuses the write which is based on what it was before.
    assert_eq!(room.capture().await, 1);
    room.deliver().await;
    let waiting = room.rows("select key, reason from rowtwin.outbox").await;
    assert_eq!(
        waiting,
        [json!({"key": "1", "reason": "ConcurrencyException Records were modified in the meanwhile"})]
    );
    assert_eq!(room.person.named("Acme").await["lang"], 3, "the stale write did nothing");

    room.settle().await;
    assert_eq!(room.table().await, [json!({"name": "Row", "code": "C1", "lang": 3, "active": true})]);
    room.assert_twins().await;
    assert_eq!(conflicts(&room).await, [] as [Value; 0]);
}

/// The delete is refused as stale; nothing that is mapped differs, and still the version that stands now must be learned.
#[tokio::test(flavor = "multi_thread")]
async fn r10_a_delete_goes_out_where_only_unmapped_fields_have_changed() {
    let room = Room::with(&["poll: 1d", "sweep: 1d", "fields: {name: name, code: code}"]).await;
    let ids = room.person.create(json!([{"name": "Acme", "code": "C1"}])).await;
    room.poll().await;
    room.person.write(ids[0], json!({"lang": 3})).await;
    room.run("delete from crm.party").await;
    room.settle().await;
    assert_eq!(room.person.parties().await.len(), 0, "{}", room.story().await);
    assert_eq!(room.number("select count(*) from rowtwin.links").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_of_two_edits_of_a_field_the_later_wins_and_the_other_is_kept() {
    let room = Room::start().await;
    let ids = room.person.create(json!([{"name": "Acme", "code": "C1"}])).await;
    room.poll().await;

    room.person.write(ids[0], json!({"name": "Person"})).await;
    room.run("update crm.party set name = 'Row, later'").await;
    room.settle().await;
    assert_eq!(room.person.named("Row, later").await["code"], "C1");
    room.assert_twins().await;
    assert_eq!(
        conflicts(&room).await,
        [
            json!({"field": "name", "was": "Acme", "row_value": "Row, later", "record_value": "Person", "winner": "row"})
        ]
    );

    room.run("update crm.party set name = 'Row'").await;
    room.capture().await;
    room.person.write(ids[0], json!({"name": "Person, later"})).await;
    room.settle().await;
    assert_eq!(room.table().await[0]["name"], "Person, later");
    room.assert_twins().await;
    assert_eq!(
        conflicts(&room).await[1],
        json!({"field": "name", "was": "Row, later", "row_value": "Row", "record_value": "Person, later", "winner": "record"})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_a_fields_own_policy_decides() {
    let fields = "fields: {name: {field: name, policy: local}, lang: {field: lang, policy: remote}, code: code, active: active}";
    let room = Room::with(&["poll: 1d", "sweep: 1d", fields]).await;
    let ids = room.person.create(json!([{"name": "Acme", "code": "C1"}])).await;
    room.poll().await;
    // The winner of either field is the one who was earlier.
    room.run("update crm.party set name = 'Row'").await;
    room.capture().await;
    room.person.write(ids[0], json!({"name": "Person", "lang": 3})).await;
    room.run("update crm.party set lang = 4").await;
    room.settle().await;
    assert_eq!(room.table().await, [json!({"name": "Row", "code": "C1", "lang": 3, "active": true})]);
    room.assert_twins().await;
    let mut kept = conflicts(&room).await;
    kept.sort_by_key(|one| one["field"].to_string());
    assert_eq!((&kept[0]["row_value"], &kept[0]["winner"]), (&json!(4), &json!("record")));
    assert_eq!((&kept[1]["record_value"], &kept[1]["winner"]), (&json!("Person"), &json!("row")));
    assert_eq!(kept.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_an_edit_of_a_party_that_was_just_created_is_seen() {
    let room = Room::start().await;
    room.run("insert into crm.party (name, code, active) values ('Acme', 'C1', true)").await;
    room.capture().await;
    room.deliver().await;
    // Only the create went out, and nothing was read since.
    let party = room.person.named("Acme").await;
    room.person.write(party["id"].as_i64().unwrap(), json!({"name": "Person", "lang": 3})).await;
    room.run("update crm.party set name = 'Row, later'").await;
    room.settle().await;
    assert_eq!(room.table().await, [json!({"name": "Row, later", "code": "C1", "lang": 3, "active": true})]);
    room.assert_twins().await;
    let kept = conflicts(&room).await;
    assert_eq!(kept.len(), 1, "{}", room.story().await);
    assert_eq!((&kept[0]["record_value"], &kept[0]["winner"]), (&json!("Person"), &json!("row")));
}

#[tokio::test(flavor = "multi_thread")]
async fn r11_one_stale_row_of_a_batch_holds_up_none_of_the_others() {
    let room = Room::start().await;
    room.run("insert into crm.party (name, code, active) select 'N' || n, 'C' || n, true from generate_series(1, 20) n").await;
    room.settle().await;
    room.poll().await;
    let party = room.person.named("N7").await;
    room.person.write(party["id"].as_i64().unwrap(), json!({"lang": 7})).await;
    room.run("update crm.party set name = name || ' new'").await;
    room.capture().await;
    room.deliver().await;
    let new = room.person.parties().await;
    assert_eq!(new.iter().filter(|party| party["name"].as_str().unwrap().ends_with(" new")).count(), 19);
    room.settle().await;
    assert_eq!(room.person.named("N7 new").await["lang"], 7);
    room.assert_twins().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r17_an_edit_wins_over_a_delete() {
    let room = Room::start().await;
    let ids =
        room.person.create(json!([{"name": "Acme", "code": "C1"}, {"name": "Bolt", "code": "C2"}])).await;
    room.poll().await;
    // One is edited in Tryton while its row is deleted, the other the other way round.
    room.person.write(ids[0], json!({"name": "Acme, edited"})).await;
    room.run("delete from crm.party where code = 'C1'").await;
    room.person.delete(ids[1]).await;
    room.run("update crm.party set name = 'Bolt, edited' where code = 'C2'").await;
    room.settle().await;
    room.sweep().await;
    room.assert_twins().await;
    let mut names: Vec<_> = room.table().await.iter().map(|row| row["name"].clone()).collect();
    names.sort_by_key(Value::to_string);
    assert_eq!(names, [json!("Acme, edited"), json!("Bolt, edited")], "{}", room.story().await);
}
