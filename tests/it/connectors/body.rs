//! The bodies of the tests that every connector has. The other side is asked what it saw.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Remote;
use crate::{
    schema_pull::pulled,
    support::{Scene, fault},
};

const ACME: &str = "insert into sales.customer (name, number, phone) values ('Acme', 'C1', '13800000001')";

/// A scene in which Acme stands on both sides.
async fn acme(remote: &Remote) -> Scene {
    let scene = remote.scene().await;
    scene.run(ACME).await;
    scene.settle().await;
    assert_eq!(scene.crm().count(remote.object), 1, "{}", scene.story().await);
    scene
}

async fn refused(scene: &Scene) -> i64 {
    scene.number("select count(*) from rowtwin.rejected").await
}

/// Nothing that was taken from the system goes back to it.
async fn no_echo(scene: &Scene) {
    scene.crm().forget_calls();
    scene.poll().await;
    assert!(Scene::writes(&scene.crm()).is_empty(), "{:?}", scene.crm().calls());
    assert_eq!(scene.number("select count(*) from rowtwin.outbox").await, 0, "{}", scene.story().await);
}

pub async fn a_row_becomes_a_record_and_a_record_a_row(remote: &Remote) {
    let scene = remote.scene().await;
    scene.settle().await;
    scene
        .run("insert into sales.customer (name, number, phone, credit, seen) values ('Ä''c\"me \\ 客户', 'C1', '13800000001', 1234567.25, '2026-03-01 10:11:12+00')")
        .await;
    scene.settle().await;
    let record = remote.find(&scene, "C1");
    assert_eq!(record[remote.name], json!("Ä'c\"me \\ 客户"));
    assert_eq!(record[remote.phone], json!("13800000001"));
    assert_eq!(
        scene.row("select crm_id from sales.customer").await,
        json!({"crm_id": remote.id_of(&scene, "C1")})
    );
    no_echo(&scene).await;

    scene.crm().insert(remote.object, remote.record("Bolt", "C2"));
    scene.poll().await;
    let rows = scene
        .rows("select name, credit, seen at time zone 'UTC' as seen from sales.customer order by number")
        .await;
    let credit: Value = serde_json::from_str("1234567.25").unwrap();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!(rows[0], json!({"name": "Ä'c\"me \\ 客户", "credit": credit, "seen": "2026-03-01T10:11:12"}));
    assert_eq!(rows[1]["name"], json!("Bolt"));
    assert_eq!(scene.number("select count(*) from rowtwin.links where state = 'linked'").await, 2);
    no_echo(&scene).await;
}

pub async fn twins_that_are_there_already_are_linked_and_not_made_again(remote: &Remote) {
    let scene = remote.scene().await;
    scene.crm().insert(remote.object, remote.record("Acme", "C1"));
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1'), ('Bolt', 'C2')").await;
    scene.settle().await;
    assert_eq!(scene.crm().count(remote.object), 2);
    assert_eq!(scene.number("select count(*) from sales.customer").await, 2);
    assert_eq!(scene.number("select count(*) from rowtwin.links where state = 'linked'").await, 2);
}

pub async fn only_what_changed_travels_both_ways(remote: &Remote) {
    let scene = acme(remote).await;
    let mut known = vec![remote.name, remote.number, remote.phone];
    known.retain(|name| !remote.sent_each_time().contains(name));
    scene.crm().forget_calls();
    scene.run("update sales.customer set phone = '13800000002'").await;
    scene.settle().await;
    assert_eq!(remote.find(&scene, "C1")[remote.phone], json!("13800000002"));
    let writes = Scene::writes(&scene.crm());
    let sent: Vec<&String> =
        writes.iter().flat_map(|(_, fields)| fields).filter(|name| known.contains(&name.as_str())).collect();
    assert_eq!(sent, [remote.phone], "{writes:?}");

    let id = remote.id_of(&scene, "C1");
    scene.crm().edit(remote.object, &id, json!({remote.name: "Acme & Sons"}));
    no_echo(&scene).await;
    let row = scene.row("select name, phone from sales.customer").await;
    assert_eq!(row, json!({"name": "Acme & Sons", "phone": "13800000002"}));

    scene.run("update sales.customer set phone = null").await;
    scene.settle().await;
    let empty =
        |value: Option<&Value>| value.is_none_or(|v| v.is_null() || *v == json!("") || *v == json!(false));
    assert!(empty(remote.find(&scene, "C1").get(remote.phone)), "{:?}", remote.find(&scene, "C1"));
    no_echo(&scene).await;
    // both sides change, each something else
    scene.run("update sales.customer set phone = '13800000003'").await;
    scene.crm().edit(remote.object, &id, json!({remote.name: "Acme"}));
    scene.poll().await;
    assert_eq!(remote.find(&scene, "C1")[remote.phone], json!("13800000003"));
    assert_eq!(remote.find(&scene, "C1")[remote.name], json!("Acme"), "an edit that was not seen yet stays");
    assert_eq!(scene.row("select name from sales.customer").await, json!({"name": "Acme"}));
}

pub async fn deletes_go_both_ways(remote: &Remote) {
    let scene = acme(remote).await;
    scene.run("insert into sales.customer (name, number) values ('Bolt', 'C2'), ('Cord', 'C3')").await;
    scene.settle().await;
    // what the system made of empty fields comes back first: a record that has changed is not deleted
    scene.poll().await;
    scene.run("delete from sales.customer where number = 'C1'").await;
    scene.settle().await;
    assert_eq!(scene.crm().count(remote.object), 2, "{:?}", scene.crm().calls());
    assert!(scene.crm().remove(remote.object, &remote.id_of(&scene, "C2")));
    scene.crm().forget_calls();
    if remote.polls_deletes {
        scene.poll().await;
    } else {
        scene.sweep().await;
    }
    let left = scene.rows("select number from sales.customer").await;
    assert_eq!(left, [json!({"number": "C3"})], "{}", scene.story().await);
    assert!(Scene::writes(&scene.crm()).is_empty(), "the delete does not go back");
    // a row whose record is gone already is deleted, too
    scene.crm().remove(remote.object, &remote.id_of(&scene, "C3"));
    scene.run("delete from sales.customer").await;
    scene.settle().await;
    assert_eq!(refused(&scene).await, 0, "{}", scene.story().await);
    assert_eq!(scene.number("select count(*) from rowtwin.links").await, 0);
}

pub async fn a_poll_reads_what_changed_and_no_more(remote: &Remote) {
    let scene = remote.scene().await;
    let door = scene.crm();
    let now = jiff::Timestamp::now().as_millisecond();
    door.set_clock(Some(now - remote.long_ago * 1000));
    let old =
        door.insert_many(remote.object, (0..30).map(|n| remote.record(&format!("N{n}"), &format!("O{n}"))));
    door.set_clock(None);
    let fresh = door.insert(remote.object, remote.record("Fresh", "F1"));
    scene.settle().await;
    assert_eq!(scene.number("select count(*) from sales.customer").await, 31);
    door.edit(remote.object, &old[7], json!({remote.name: "Seven"}));
    door.forget_calls();
    scene.poll().await;
    let row = scene.row("select name from sales.customer where number = 'O7'").await;
    assert_eq!(row, json!({"name": "Seven"}));
    let seen: BTreeSet<String> = door.calls().into_iter().flat_map(|call| call.ids).collect();
    let allowed = BTreeSet::from([fresh, old[7].clone()]);
    assert!(seen.contains(&old[7]) && seen.is_subset(&allowed), "{seen:?} beside {allowed:?}");
}

pub async fn more_than_one_page_is_read_whole(remote: &Remote) {
    let scene = remote.scene().await;
    let many = remote.page + 7;
    let records = (0..many).map(|n| remote.record(&format!("Name {n}"), &format!("C{n}")));
    scene.crm().insert_many(remote.object, records);
    scene.settle().await;
    let count = i64::try_from(many).unwrap();
    assert_eq!(scene.number("select count(distinct number) from sales.customer").await, count);
    // a sweep compares all ids, page by page, and nothing is missing
    scene.crm().forget_calls();
    scene.sweep().await;
    assert_eq!(scene.number("select count(*) from sales.customer").await, count);
    assert!(Scene::writes(&scene.crm()).is_empty());
}

pub async fn a_refused_record_stops_no_other(remote: &Remote) {
    let scene = remote.scene().await;
    scene.settle().await;
    scene
        .run(&format!(
            "insert into sales.customer (name, number, phone) select 'Name ' || n, 'C' || n, case n when 4 then '{}' else '1380000000' || n end from generate_series(1, 9) n",
            remote.refused_phone
        ))
        .await;
    scene.settle().await;
    assert_eq!(scene.crm().count(remote.object), 8, "{}", scene.story().await);
    assert_eq!(scene.rows("select key from rowtwin.rejected").await, [json!({"key": "4"})]);
    scene.run("update sales.customer set phone = '13800000004' where id = 4").await;
    scene.settle().await;
    assert_eq!((scene.crm().count(remote.object), refused(&scene).await), (9, 0));
    // the same for changes: the others of the batch are not held up
    scene
        .run(&format!(
            "update sales.customer set phone = case id when 6 then '{}' else '1390000000' || id end",
            remote.refused_phone
        ))
        .await;
    scene.settle().await;
    let phones = scene.crm().records(remote.object);
    let changed = phones
        .iter()
        .filter(|record| record[remote.phone].as_str().is_some_and(|phone| phone.starts_with("1390000000")));
    assert_eq!((changed.count(), refused(&scene).await), (8, 1), "{}", scene.story().await);
}

pub async fn half_a_batch_that_is_refused_goes_when_it_is_retried(remote: &Remote) {
    let scene = remote.scene().await;
    scene.settle().await;
    scene.crm().add_fault(fault("partial-batch@create"));
    scene.run("insert into sales.customer (name, number) select 'N' || n, 'C' || n from generate_series(1, 6) n").await;
    scene.settle().await;
    assert!(scene.crm().faults().is_empty(), "the batch was struck");
    assert_eq!((scene.crm().count(remote.object), refused(&scene).await), (3, 3), "{}", scene.story().await);
    scene.run("select rowtwin.retry('sales.customer')").await;
    scene.settle().await;
    assert_eq!((scene.crm().count(remote.object), refused(&scene).await), (6, 0));
}

pub async fn a_token_that_is_over_is_renewed(remote: &Remote) {
    let scene = acme(remote).await;
    scene.crm().end_sessions();
    scene.run("update sales.customer set phone = '13800000002'").await;
    scene.settle().await;
    assert_eq!(remote.find(&scene, "C1")[remote.phone], json!("13800000002"));
    scene.crm().add_fault(fault("token-expired@update"));
    scene.run("update sales.customer set phone = '13800000003'").await;
    scene.settle().await;
    assert!(scene.crm().faults().is_empty());
    assert_eq!(remote.find(&scene, "C1")[remote.phone], json!("13800000003"));
    assert_eq!(refused(&scene).await, 0);
    assert_eq!(scene.row("select state from rowtwin.systems").await, json!({"state": "running"}));
}

pub async fn throttling_is_waited_out(remote: &Remote) {
    let scene = acme(remote).await;
    scene.crm().forget_calls();
    scene.crm().add_fault(fault("throttled:1@update"));
    scene.run("update sales.customer set phone = '13800000002'").await;
    scene.settle().await;
    assert_eq!(remote.find(&scene, "C1")[remote.phone], json!("13800000002"));
    assert_eq!(refused(&scene).await, 0);
    let calls = scene.crm().calls();
    let at = calls.iter().position(|call| call.error.as_deref() == Some("throttled")).unwrap();
    assert!(calls[at + 1].at_ms - calls[at].at_ms >= 1000, "{calls:?}");
}

pub async fn a_lost_answer_makes_no_second_record(remote: &Remote) {
    let scene = remote.scene().await;
    scene.settle().await;
    scene.crm().set_faults(vec![fault("lost-answer@create")]);
    scene.run("insert into sales.customer (name, number) select 'N' || n, 'C' || n from generate_series(1, 3) n").await;
    scene.settle().await;
    // the record may even come into being after the connection was cut
    scene.crm().set_faults(vec![fault("late-commit:1s@create")]);
    scene.run("insert into sales.customer (name, number) values ('Late', 'C4')").await;
    scene.settle().await;
    scene.crm().set_faults(vec![fault("lost-answer@update")]);
    scene.run("update sales.customer set phone = '13800000009'").await;
    scene.settle().await;
    scene.poll().await;
    assert!(scene.crm().faults().is_empty());
    assert_eq!(scene.crm().count(remote.object), 4, "{:?}", scene.crm().calls());
    assert!(scene.crm().records(remote.object).iter().all(|one| one[remote.phone] == json!("13800000009")));
    assert_eq!(scene.number("select count(*) from sales.customer").await, 4);
    assert_eq!(scene.number("select count(*) from rowtwin.links where state = 'linked'").await, 4);
    assert_eq!(refused(&scene).await, 0);
}

pub async fn an_outage_and_nonsense_are_waited_out(remote: &Remote) {
    let scene = acme(remote).await;
    scene.crm().set_faults(
        [
            "malformed:html@query",
            "malformed:wrong-type@query",
            "status:503@query",
            "malformed:truncated@update",
        ]
        .map(fault)
        .to_vec(),
    );
    let id = remote.id_of(&scene, "C1");
    scene.crm().edit(remote.object, &id, json!({remote.name: "Acme & Sons"}));
    scene.run("update sales.customer set phone = '13800000002'").await;
    scene.poll().await;
    for _ in 0..20 {
        if scene.crm().faults().is_empty() {
            break;
        }
        scene.run("update rowtwin_private.outbox set not_before = '-infinity'").await;
        scene.poll().await;
    }
    scene.crm().clear_faults();
    scene.run("update rowtwin_private.outbox set not_before = '-infinity'").await;
    scene.poll().await;
    assert_eq!(remote.find(&scene, "C1")[remote.phone], json!("13800000002"));
    assert_eq!(scene.row("select name from sales.customer").await, json!({"name": "Acme & Sons"}));
    assert_eq!(scene.crm().count(remote.object), 1);
    assert_eq!(refused(&scene).await, 0, "{}", scene.story().await);
}

pub async fn a_pulled_schema_works_as_it_is(remote: &Remote) {
    let scene = pulled(remote.scene().await, "crm", remote.object).await;
    let door = scene.crm();
    let empty = door.insert(remote.object, remote.record("Empty", "P1"));
    let mut full = (remote.more)();
    full[remote.name] = json!("Full");
    full[remote.number] = json!(remote.keyed("P2"));
    let full = door.insert(remote.object, full);
    scene.settle().await;
    let ids = BTreeSet::from([empty, full.clone()]);
    let rows = scene.rows("select crm_id from sales.twin").await;
    let found: BTreeSet<String> = rows.iter().map(|row| row["crm_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(found, ids, "{}", scene.story().await);
    // every value has a form in the row that goes back to the same value
    no_echo(&scene).await;
    let before = door.record(remote.object, &full).unwrap();
    let column = scene
        .row(&format!("select attname::text as name from pg_attribute where attrelid = 'sales.twin'::regclass and col_description(attrelid, attnum) ~ '[(]{}, '", remote.phone))
        .await;
    let column = column["name"].as_str().unwrap();
    scene.run(&format!("update sales.twin set {column} = '13800000002'")).await;
    scene.settle().await;
    assert_eq!(scene.rows("select * from rowtwin.rejected").await, Vec::<Value>::new());
    let after = door.record(remote.object, &full).unwrap();
    assert_eq!(after[remote.phone], json!("13800000002"));
    for name in (remote.more)().as_object().unwrap().keys() {
        assert_eq!(after[name], before[name], "{name}");
    }
    no_echo(&scene).await;
}

/// Without match fields, by the attempt that is planted in a field; gives the scene for what is particular.
pub async fn a_lost_create_is_found_by_the_attempt_that_was_planted(
    remote: &Remote,
    settings: &str,
) -> Scene {
    let scene = remote.scene_with(settings, "[]").await;
    scene.settle().await;
    scene.crm().add_fault(fault("lost-answer@create"));
    scene.run("insert into sales.customer (name) select 'Twin' from generate_series(1, 3)").await;
    scene.settle().await;
    assert!(scene.crm().faults().is_empty());
    scene.poll().await;
    assert_eq!(scene.crm().count(remote.object), 3, "{:?}", scene.crm().calls());
    assert_eq!(scene.number("select count(*) from rowtwin.links where state = 'linked'").await, 3);
    assert_eq!(scene.number("select count(distinct crm_id) from sales.customer").await, 3);
    scene
}
