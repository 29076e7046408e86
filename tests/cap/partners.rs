//! Business partners through a running engine, in both versions of the protocol: one body for each of them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::person::PARTNERS;
use crate::room::Room;
use crate::support::running::{Running, until, within};

const TABLE: &str = "
    create schema sales;
    create table sales.customer (
      id bigint generated always as identity primary key,
      name text, number text, credit numeric, founded date, seen timestamptz, blocked boolean, turnover bigint, sap_id text);";

/// A decimal, a date, a moment and a large number have another form in each version.
fn fields(protocol: &str) -> String {
    let typed = if protocol == "v2" {
        "credit: {field: CreditLimit, codec: decimal_string}, turnover: {field: Turnover, codec: text},
          founded: {field: FoundationDate, codec: {date: {format: \"datetime'%Y-%m-%dT%H:%M:%S.000'\", zone: UTC}}},
          seen: {field: LastContact, codec: {date: {format: \"datetimeoffset'%Y-%m-%dT%H:%M:%S%.3fZ'\", zone: UTC}}}"
    } else {
        "credit: CreditLimit, turnover: Turnover, founded: FoundationDate,
          seen: {field: LastContact, codec: {date: {format: '%Y-%m-%dT%H:%M:%S%.3fZ', zone: UTC}}}"
    };
    format!(
        "{{name: OrganizationBPName1, number: SearchTerm1, blocked: BusinessPartnerIsBlocked,
          {typed}}}"
    )
}

async fn room(protocol: &str) -> Room {
    let tables = format!(
        "  sales.customer:
    bindings:
      - {{system: erp, object: {PARTNERS}, match: [SearchTerm1], id_column: sap_id, poll: 1d, sweep: 1d, doubt_window: 2s,
         fields: {}}}
",
        fields(protocol)
    );
    Room::start(TABLE, protocol, "", &tables).await
}

impl Room {
    async fn partners(&self) -> Vec<Value> {
        self.person.records(PARTNERS, "&$orderby=SearchTerm1").await
    }

    async fn partner(&self, number: &str) -> Value {
        let found = self.person.records(PARTNERS, &format!("&$filter=SearchTerm1 eq '{number}'")).await;
        assert_eq!(found.len(), 1, "{found:?} {}", self.scene.story().await);
        found[0].clone()
    }

    async fn key(&self, number: &str) -> String {
        format!("'{}'", self.partner(number).await["BusinessPartner"].as_str().unwrap())
    }

    async fn rejected(&self) -> Vec<Value> {
        self.scene.rows("select key, reason from rowtwin.rejected").await
    }

    /// Nothing that was taken from the system goes back to it.
    async fn no_echo(&self) {
        let before = self.writes().await;
        self.scene.poll().await;
        assert_eq!(self.writes().await, before, "{}", self.scene.story().await);
    }
}

async fn both_ways(protocol: &str) {
    let room = room(protocol).await;
    let scene = &room.scene;
    scene
        .run(
            "insert into sales.customer (name, number, credit, founded, seen, blocked, turnover) values
               ('Ä''c\"me \\ 客户', 'C1', 12345678901.25, '1999-12-31', '2026-03-01 10:11:12+00', false, 900719925474099),
               ('Bolt', 'C2', null, null, null, null, null)",
        )
        .await;
    scene.settle().await;
    assert_eq!(room.writes().await, 1, "two partners fit one call: {}", scene.story().await);
    let made = room.partner("C1").await;
    assert_eq!(made["OrganizationBPName1"], json!("Ä'c\"me \\ 客户"));
    let exact: Value = serde_json::from_str("12345678901.25").unwrap();
    assert_eq!((&made["CreditLimit"], &made["FoundationDate"]), (&exact, &json!("1999-12-31")));
    assert_eq!(made["LastContact"], json!("2026-03-01T10:11:12Z"));
    assert_eq!(
        (&made["BusinessPartnerIsBlocked"], made["Turnover"].to_string()),
        (&json!(false), "900719925474099".to_owned())
    );
    room.no_echo().await;
    let ids = scene.rows("select sap_id from sales.customer order by number").await;
    assert_eq!(ids, [json!({"sap_id": "1000001"}), json!({"sap_id": "1000002"})]);

    // a person makes one and changes one; both come, and nothing goes back
    room.person
        .create(
            PARTNERS,
            json!({"OrganizationBPName1": "Cord", "SearchTerm1": "C3", "CreditLimit": 0.5,
                   "FoundationDate": "2024-02-29", "LastContact": "2026-03-01T00:00:00Z", "Turnover": 7}),
        )
        .await;
    room.person.change(PARTNERS, &room.key("C2").await, json!({"OrganizationBPName1": "Bolt & Söhne"})).await;
    room.no_echo().await;
    let rows = scene
        .rows("select name, credit::float8 as credit, founded, seen at time zone 'UTC' as seen, turnover from sales.customer where number > 'C1' order by number")
        .await;
    assert_eq!(
        rows,
        [
            json!({"name": "Bolt & Söhne", "credit": null, "founded": null, "seen": null, "turnover": null}),
            json!({"name": "Cord", "credit": 0.5, "founded": "2024-02-29", "seen": "2026-03-01T00:00:00", "turnover": 7})
        ]
    );

    // each side changes another field of the same one: the stale write is refused, merged, and goes again
    scene.run("update sales.customer set credit = 99.5, founded = null where number = 'C3'").await;
    room.person.change(PARTNERS, &room.key("C3").await, json!({"OrganizationBPName1": "Cord 2"})).await;
    scene.settle().await;
    let merged = room.partner("C3").await;
    assert_eq!((&merged["OrganizationBPName1"], &merged["CreditLimit"]), (&json!("Cord 2"), &json!(99.5)));
    assert_eq!(merged["FoundationDate"], json!(null));
    let row =
        scene.row("select name, credit::float8 as credit from sales.customer where number = 'C3'").await;
    assert_eq!(row, json!({"name": "Cord 2", "credit": 99.5}), "{}", scene.story().await);
    room.no_echo().await;

    // deletes, both ways; somebody has changed what is not mapped, so the version that is known is an old one
    room.person.change(PARTNERS, &room.key("C1").await, json!({"BusinessPartnerCategory": "2"})).await;
    scene.run("delete from sales.customer where number = 'C1'").await;
    scene.settle().await;
    room.person.delete(PARTNERS, &room.key("C2").await).await;
    scene.sweep().await;
    assert_eq!(scene.rows("select number from sales.customer").await, [json!({"number": "C3"})]);
    assert_eq!(room.partners().await.len(), 1);
    assert!(room.rejected().await.is_empty());
}

/// Version 2 stops at the first refused record of a batch, version 4 goes on.
async fn refusals(protocol: &str) {
    let room = room(protocol).await;
    let scene = &room.scene;
    scene
        .run("insert into sales.customer (name, number) select case n when 3 then null else 'N' || n end, 'C' || n from generate_series(1, 6) n")
        .await;
    scene.settle().await;
    assert_eq!(room.partners().await.len(), 5, "{}", scene.story().await);
    let rejected = room.rejected().await;
    assert_eq!((rejected.len(), &rejected[0]["key"]), (1, &json!("3")), "{rejected:?}");
    assert!(rejected[0]["reason"].as_str().unwrap().contains("missing"), "{rejected:?}");
    scene.run("update sales.customer set name = 'N3' where id = 3").await;
    scene.settle().await;
    assert_eq!(room.partners().await.len(), 6);
    // changes: one is too long for its field, one is of a record that somebody has deleted, and an edit is the stronger
    room.person.delete(PARTNERS, &room.key("C5").await).await;
    scene
        .run("update sales.customer set name = case id when 2 then repeat('x', 41) else 'M' || id end")
        .await;
    scene.settle().await;
    let names: Vec<Value> =
        room.partners().await.iter().map(|partner| partner["OrganizationBPName1"].clone()).collect();
    assert_eq!(names, ["M1", "N2", "M3", "M4", "M5", "M6"].map(Value::from), "{}", scene.story().await);
    assert_eq!(scene.rows("select key from rowtwin.rejected").await, [json!({"key": "2"})]);
}

async fn many(protocol: &str) {
    let room = room(protocol).await;
    let scene = &room.scene;
    scene.run("insert into sales.customer (name, number) select 'N' || n, 'C' || n from generate_series(1, 30) n").await;
    scene.settle().await;
    assert_eq!(room.writes().await, 2, "batches of twenty");
    for at in 0..207 {
        room.person
            .create(
                PARTNERS,
                json!({"OrganizationBPName1": format!("M{at}"), "SearchTerm1": format!("D{at}")}),
            )
            .await;
    }
    // the poll reads more than one page, and so does the sweep
    scene.poll().await;
    assert_eq!(scene.number("select count(distinct number) from sales.customer").await, 237);
    scene.sweep().await;
    assert_eq!(scene.number("select count(*) from sales.customer").await, 237);
    assert_eq!(room.writes().await, 2);
}

async fn lost_and_down(protocol: &str) {
    let mut room = room(protocol).await;
    room.between.lose("Twin 2");
    room.scene.run("insert into sales.customer (name, number) select 'Twin ' || n, 'T' || n from generate_series(1, 3) n").await;
    room.scene.settle().await;
    room.scene.poll().await;
    assert!(room.between.went_off());
    assert_eq!(room.partners().await.len(), 3, "{}", room.scene.story().await);
    assert_eq!(room.scene.number("select count(distinct sap_id) from sales.customer").await, 3);
    // a lost answer of a change is no trouble: it is made again, or found to be made
    room.between.lose("Twin 1b");
    room.scene.run("update sales.customer set name = 'Twin 1b' where number = 'T1'").await;
    room.scene.settle().await;
    assert!(room.between.went_off());
    assert_eq!(room.partner("T1").await["OrganizationBPName1"], json!("Twin 1b"));

    // the engine runs by itself while the system goes down and comes back
    let running = Running::of(&room.scene, room.scene.another_engine().await);
    let arrives = async |room: &Room, name: &str| {
        room.scene.run(&format!("update sales.customer set name = '{name}' where number = 'T2'")).await;
        until("the change arrives", async || room.partner("T2").await["OrganizationBPName1"] == json!(name))
            .await;
    };
    arrives(&room, "Twin 2b").await;
    room.cap.stop();
    room.scene.run("update sales.customer set name = 'Twin 3b' where number = 'T3'").await;
    let tried = "select count(*) from rowtwin_private.outbox where state = 'ready' and attempts > 0";
    until("the outage shows", async || room.scene.number(tried).await > 0).await;
    room.cap.resume().await;
    within(Duration::from_secs(120), "the change arrives after all", async || {
        room.partner("T3").await["OrganizationBPName1"] == json!("Twin 3b")
    })
    .await;
    arrives(&room, "Twin 2c").await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partners_travel_both_ways_in_version_2() {
    both_ways("v2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partners_travel_both_ways_in_version_4() {
    both_ways("v4").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_partner_stops_no_other_in_version_2() {
    refusals("v2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_partner_stops_no_other_in_version_4() {
    refusals("v4").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_a_page_is_read_whole_in_version_2() {
    many("v2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_a_page_is_read_whole_in_version_4() {
    many("v4").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_and_restarts_in_version_2() {
    lost_and_down("v2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_and_restarts_in_version_4() {
    lost_and_down("v4").await;
}
