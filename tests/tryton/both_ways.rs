//! One side at a time: create, edit, archive and delete, from the table and from Tryton.

use serde_json::json;

use crate::room::Room;

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_in_tryton_happens_in_the_table() {
    let room = Room::start().await;
    let ids =
        room.person.create(json!([{"name": "Acme", "code": "C1"}, {"name": "Bolt", "code": "C2"}])).await;
    room.poll().await;
    assert_eq!(
        room.table().await,
        [
            json!({"name": "Acme", "code": "C1", "lang": null, "active": true}),
            json!({"name": "Bolt", "code": "C2", "lang": null, "active": true})
        ]
    );
    room.assert_twins().await;

    room.person.write(ids[0], json!({"name": "Acme & Söhne 客户"})).await;
    room.poll().await;
    assert_eq!(room.table().await[0]["name"], "Acme & Söhne 客户");

    room.person.delete(ids[1]).await;
    room.poll().await;
    assert_eq!(room.table().await.len(), 2, "a poll alone says nothing of deletes");
    room.sweep().await;
    assert_eq!(
        room.table().await,
        [json!({"name": "Acme & Söhne 客户", "code": "C1", "lang": null, "active": true})]
    );
    room.assert_twins().await;
    assert_eq!(room.writes().await, 0, "nothing of it may be sent back: {}", room.story().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_in_the_table_happens_in_tryton() {
    let room = Room::start().await;
    room.run("insert into crm.party (name, code, active) values ('Acme', 'C1', true), ('Bolt', 'C2', true)")
        .await;
    room.settle().await;
    room.assert_twins().await;
    assert_eq!(room.writes().await, 1, "two parties fit one call");

    room.run("update crm.party set name = 'Acme 2' where code = 'C1'").await;
    room.run("update crm.party set name = 'Bolt 2'; update crm.party set name = 'Bolt' where code = 'C2'")
        .await;
    room.run("update crm.party set name = 'Acme 3' where code = 'C1'").await;
    room.settle().await;
    room.assert_twins().await;
    assert_eq!(room.person.named("Acme 3").await["code"], "C1");
    let written = room.writes().await;

    // What was sent comes back at the next poll, and is nobody's change.
    room.poll().await;
    room.poll().await;
    assert_eq!(room.writes().await, written, "{}", room.story().await);

    room.run("delete from crm.party where code = 'C2'").await;
    room.settle().await;
    assert_eq!(room.person.parties().await.len(), 1);
    room.sweep().await;
    room.assert_twins().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_tryton_makes_of_a_new_party_comes_to_its_row() {
    let room = Room::start().await;
    // Tryton counts codes up itself and makes every party active.
    room.run("insert into crm.party (name) values ('Acme'), ('Bolt')").await;
    room.settle().await;
    room.poll().await;
    let party = room.person.named("Acme").await;
    assert!(party["code"].as_str().is_some_and(|code| !code.is_empty()), "{party}");
    let rows = room.table().await;
    assert_eq!(rows[0], json!({"name": "Acme", "code": party["code"], "lang": null, "active": true}));
    room.assert_twins().await;
    room.run("update crm.party set name = 'Acme 2' where name = 'Acme'").await;
    room.settle().await;
    room.assert_twins().await;
    let sent =
        room.rows("select after from rowtwin.journal where side = 'remote' and effect = 'update'").await;
    assert_eq!(sent, [json!({"after": {"name": "Acme 2"}})], "nothing of what Tryton itself said goes back");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archived_party_is_a_row_that_is_not_active() {
    let room = Room::start().await;
    let ids =
        room.person.create(json!([{"name": "Acme", "code": "C1"}, {"name": "Bolt", "code": "C2"}])).await;
    room.poll().await;

    room.run("update crm.party set active = false where code = 'C1'").await;
    room.settle().await;
    assert_eq!(room.person.named("Acme").await["active"], 0, "Tryton on SQLite says 0");
    room.person.write(ids[1], json!({"active": false})).await;
    room.poll().await;
    room.sweep().await;
    assert_eq!(room.number("select count(*) from crm.party where active = false").await, 2);
    room.assert_twins().await;

    // The two forms of a boolean are no difference: an edit of something else sends nothing of it.
    let written = room.writes().await;
    room.run("update crm.party set active = active").await;
    room.settle().await;
    room.poll().await;
    assert_eq!(room.writes().await, written, "{}", room.story().await);

    room.person.write(ids[0], json!({"active": true})).await;
    room.poll().await;
    assert_eq!(room.table().await[0]["active"], true);
    room.assert_twins().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_tryton_refuses_stops_nothing_else_and_goes_when_it_is_mended() {
    let room = Room::start().await;
    let ids =
        room.person.create(json!([{"name": "Acme", "code": "C1"}, {"name": "Bolt", "code": "C2"}])).await;
    room.person.write(ids[0], json!({"active": false})).await;
    room.poll().await;

    // An archived party's name cannot be changed, and a code can be used once.
    room.run(
        "update crm.party set name = name || ' 2';
         insert into crm.party (name, code, active) values ('Cog', 'C3', true), (null, '', true), ('Dot', 'C4', true)",
    )
    .await;
    room.settle().await;
    let rejected = room.rows("select key, reason from rowtwin.rejected order by key::bigint").await;
    assert!(rejected[0]["reason"].as_str().unwrap().contains("not allowed to modify"), "{rejected:?}");
    let names: Vec<_> = room.person.parties().await.iter().map(|party| party["name"].clone()).collect();
    for name in ["Acme", "Bolt 2", "Cog", "Dot"] {
        assert!(names.contains(&json!(name)), "{names:?} {}", room.story().await);
    }

    // Nor can it be renamed in the call that brings it back: one after the other.
    room.run("update crm.party set active = true, name = 'Acme' where code = 'C1'").await;
    room.settle().await;
    assert_eq!(room.person.named("Acme").await["active"], 1);
    room.run("update crm.party set name = 'Acme 2' where code = 'C1'").await;
    room.settle().await;
    assert_eq!(room.person.named("Acme 2").await["code"], "C1");
    assert_eq!(room.number("select count(*) from rowtwin.rejected").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_row_archives_its_party_where_the_binding_says_so() {
    let room = Room::with(&["poll: 1d", "sweep: 1d", "deletes: {to_remote: deactivate, to_row: keep}"]).await;
    let ids =
        room.person.create(json!([{"name": "Acme", "code": "C1"}, {"name": "Bolt", "code": "C2"}])).await;
    room.poll().await;
    room.run("delete from crm.party where code = 'C1'").await;
    room.settle().await;
    assert_eq!(room.person.named("Acme").await["active"], 0);
    room.person.delete(ids[1]).await;
    room.poll().await;
    room.sweep().await;
    assert_eq!(room.table().await, [json!({"name": "Bolt", "code": "C2", "lang": null, "active": true})]);
    assert_eq!(room.person.parties().await.len(), 1, "no side brings back what the other gave up");
}
