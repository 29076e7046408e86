//! The server goes away and comes back, with the engine as it runs in production.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rowtwin::engine::run::Unwatched;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::room::Room;

const LONGEST: Duration = Duration::from_secs(60);

/// Waits until a query says so.
async fn until(room: &Room, sql: &str) {
    let began = Instant::now();
    while !room.sql.query_one(sql, &[]).await.unwrap().get::<_, bool>(0) {
        assert!(began.elapsed() < LONGEST, "never came true: {sql} {}", room.story().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r14_edits_made_while_tryton_is_down_arrive_after() {
    let mut room = Room::with(&["poll: 1s", "sweep: 1s"]).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(Arc::clone(&room.engine).run(stop.clone(), Arc::new(Unwatched)));

    let ids =
        room.person.create(json!([{"name": "Acme", "code": "C1"}, {"name": "Bolt", "code": "C2"}])).await;
    until(&room, "select count(*) = 2 from crm.party").await;

    // Half of these are on their way when the server is killed.
    room.run("insert into crm.party (name, code, active) select 'N' || n, 'N' || n, true from generate_series(1, 150) n").await;
    until(&room, "select count(*) > 0 from crm.party where code like 'N%' and tryton_id is not null").await;
    room.tryton.stop();
    room.run("update crm.party set name = 'Acme, edited while it was down' where code = 'C1'").await;
    room.run("delete from crm.party where code = 'C2'").await;
    until(&room, "select down_since is not null from rowtwin.systems").await;
    assert!(room.number("select count(*) from rowtwin.outbox").await >= 2);

    room.tryton.resume().await;
    until(
        &room,
        "select (select count(*) from rowtwin.outbox) = 0 and (select count(*) from rowtwin.inbox) = 0
                and (select bool_and(tryton_id is not null) from crm.party)
                and (select down_since is null from rowtwin.systems)",
    )
    .await;
    let party = room.person.named("Acme, edited while it was down").await;
    assert_eq!((&party["id"], &party["code"]), (&json!(ids[0]), &json!("C1")));
    assert_eq!(room.person.parties().await.len(), 151, "every row has one party, and none has two");
    room.assert_twins().await;

    // And the other way: what is done in Tryton just before the engine could see it.
    room.person.write(ids[0], json!({"name": "Acme, by a person"})).await;
    room.tryton.stop();
    room.tryton.resume().await;
    until(&room, "select count(*) = 1 from crm.party where name = 'Acme, by a person'").await;
    stop.cancel();
    running.await.unwrap().unwrap();
    room.assert_twins().await;
}
