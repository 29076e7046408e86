//! The members of a Mailchimp audience. Their address is what they are known by.

use rowtwin::simulator::{Kind, Simulator, credentials::mailchimp as known};
use serde_json::json;

use super::{Remote, behaves};
use crate::support::{fault, secret};

fn settings(simulator: &Simulator) -> String {
    format!("base_url: '{}', api_key: {{file: '{}'}}", simulator.base_url(), secret(known::API_KEY))
}

const LONG: &str = concat!(
    "01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "0123456789012345678901234567890123456789",
);

const MEMBERS: Remote = Remote {
    kind: Kind::Mailchimp,
    settings,
    object: "a1b2c3d4e5/members",
    id: "contact_id",
    name: "FNAME",
    number: "email_address",
    phone: "PHONE",
    credit: "CREDIT",
    seen: "{field: SEEN, codec: {date: {format: '%Y-%m-%dT%H:%M:%SZ', zone: UTC}}}",
    more: || json!({"CREDIT": 12.5, "BORN": "2026-03-01", "SEEN": "2026-03-01T10:11:12Z", "BDAY": "03/01", "LNAME": "Wang"}),
    refused_phone: LONG,
    page: 1000,
    long_ago: 7200,
    polls_deletes: true,
};

behaves!(MEMBERS =>
    a_row_becomes_a_record_and_a_record_a_row,
    twins_that_are_there_already_are_linked_and_not_made_again,
    only_what_changed_travels_both_ways,
    deletes_go_both_ways,
    a_poll_reads_what_changed_and_no_more,
    more_than_one_page_is_read_whole,
    a_refused_record_stops_no_other,
    half_a_batch_that_is_refused_goes_when_it_is_retried,
    a_token_that_is_over_is_renewed,
    throttling_is_waited_out,
    a_lost_answer_makes_no_second_record,
    an_outage_and_nonsense_are_waited_out,
    a_pulled_schema_works_as_it_is,
);

#[tokio::test(flavor = "multi_thread")]
async fn pages_begin_where_the_page_before_ended() {
    let scene = MEMBERS.scene().await;
    let door = scene.crm();
    let now = jiff::Timestamp::now().as_millisecond();
    for (ago, letter) in [(7_200_000, 'a'), (3_600_000, 'b')] {
        door.set_clock(Some(now - ago));
        let records = (0..700).map(|n| MEMBERS.record("Acme", &format!("{letter}{n}")));
        door.insert_many(MEMBERS.object, records);
    }
    door.set_clock(None);
    door.forget_calls();
    scene.settle().await;
    assert_eq!(scene.number("select count(distinct number) from sales.customer").await, 1400);
    // the second page holds the later half, and the part of it that came with the first once more
    let pages: Vec<usize> = door
        .calls()
        .iter()
        .filter(|call| call.operation == "list")
        .map(|call| call.ids.len())
        .take(2)
        .collect();
    assert_eq!(pages, [1000, 700]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_keeps_its_row_when_its_address_changes() {
    let scene = MEMBERS.scene().await;
    let id = scene.crm().insert(MEMBERS.object, MEMBERS.record("Acme", "C1"));
    scene.settle().await;
    scene.crm().edit(MEMBERS.object, &id, json!({"email_address": "new@example.com"}));
    scene.poll().await;
    assert_eq!(
        scene.rows("select number, crm_id from sales.customer").await,
        [json!({"number": "new", "crm_id": id})]
    );
    scene.run("update sales.customer set number = 'newer'").await;
    scene.settle().await;
    assert_eq!(scene.crm().record(MEMBERS.object, &id).unwrap()["email_address"], "newer@example.com");
    assert_eq!(scene.crm().count(MEMBERS.object), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_archived_comes_back_as_the_same_member_and_who_is_known_already_is_linked() {
    let scene = MEMBERS.scene().await;
    scene.settle().await;
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
    scene.settle().await;
    let id = MEMBERS.id_of(&scene, "C1");
    scene.run("delete from sales.customer").await;
    scene.settle().await;
    assert_eq!(scene.crm().count(MEMBERS.object), 0);
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
    scene.settle().await;
    assert_eq!(MEMBERS.id_of(&scene, "C1"), id);
    // found by nobody before, and refused by the batch since it is there
    scene.crm().add_fault(fault("status:503@get"));
    scene.crm().insert(MEMBERS.object, MEMBERS.record("Bolt", "C2"));
    scene.run("insert into sales.customer (name, number) values ('Bolt', 'C2')").await;
    scene.settle().await;
    scene.poll().await;
    assert_eq!(scene.crm().count(MEMBERS.object), 2);
    assert_eq!(scene.number("select count(*) from rowtwin.links where state = 'linked'").await, 2);
}
