//! NetSuite's customers and sales orders.

use rowtwin::simulator::{Kind, Simulator, credentials::netsuite as known};
use serde_json::json;

use super::{Remote, behaves, body, orders, orders::Orders};
use crate::support::secret;

fn settings(simulator: &Simulator) -> String {
    format!(
        "base_url: '{}', client_id: {}, certificate_id: {}, private_key: {{file: '{}'}}, time_zone: UTC, field_kinds: 'custentity_seen=datetime'",
        simulator.base_url(),
        known::CLIENT_ID,
        known::CERTIFICATE,
        secret(&known::private_key())
    )
}

const CUSTOMERS: Remote = Remote {
    kind: Kind::Netsuite,
    settings,
    object: "customer",
    id: "id",
    name: "companyName",
    number: "entityId",
    phone: "phone",
    credit: "creditLimit",
    seen: "{field: custentity_seen, codec: {date: {format: '%Y-%m-%dT%H:%M:%SZ', zone: UTC}}}",
    more: || json!({"creditLimit": 12.5, "isInactive": true, "startDate": "2026-03-01", "custentity_seen": "2026-03-01T10:11:12Z", "subsidiary": "7", "comments": "x"}),
    refused_phone: "this phone is longer than thirty-two characters",
    page: 1000,
    long_ago: 7200,
    polls_deletes: false,
};

behaves!(CUSTOMERS =>
    a_row_becomes_a_record_and_a_record_a_row,
    twins_that_are_there_already_are_linked_and_not_made_again,
    only_what_changed_travels_both_ways,
    deletes_go_both_ways,
    a_poll_reads_what_changed_and_no_more,
    more_than_one_page_is_read_whole,
    a_refused_record_stops_no_other,
    a_token_that_is_over_is_renewed,
    throttling_is_waited_out,
    a_lost_answer_makes_no_second_record,
    an_outage_and_nonsense_are_waited_out,
    a_pulled_schema_works_as_it_is,
);

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_create_is_found_by_the_external_id_that_was_given() {
    body::a_lost_create_is_found_by_the_attempt_that_was_planted(&CUSTOMERS, "").await;
}

const ORDERS: Orders = Orders {
    kind: Kind::Netsuite,
    settings,
    object: "salesOrder",
    id: "id",
    number: "otherRefNum",
    customer: ("entity", "customer", "companyName"),
    collection: "item",
    product: ("item", "nonInventoryItem", "itemId"),
    quantity: "quantity",
    price: "rate",
    id_type: "text",
};

#[tokio::test(flavor = "multi_thread")]
async fn an_order_and_its_lines_travel_both_ways_as_one() {
    orders::an_order_and_its_lines_travel_both_ways_as_one(&ORDERS).await;
}
