//! Zoho CRM's accounts.

use rowtwin::simulator::{Kind, Simulator, credentials::zoho as known};
use serde_json::json;

use super::{Remote, behaves, body, orders, orders::Orders};
use crate::support::secret;

fn settings(simulator: &Simulator) -> String {
    format!(
        "accounts_url: '{}', client_id: {}, client_secret: {{file: '{}'}}, refresh_token: {{file: '{}'}}",
        simulator.base_url(),
        known::CLIENT_ID,
        secret(known::CLIENT_SECRET),
        secret(known::REFRESH_TOKEN)
    )
}

const ACCOUNTS: Remote = Remote {
    kind: Kind::ZohoCrm,
    settings,
    object: "Accounts",
    id: "id",
    name: "Account_Name",
    number: "Customer_No",
    phone: "Phone",
    credit: "Annual_Revenue",
    seen: "{field: Seen, codec: {date: {format: '%Y-%m-%dT%H:%M:%S%:z', zone: UTC}}}",
    more: || json!({"Annual_Revenue": 12.5, "Since": "2026-03-01", "Seen": "2026-03-01T10:11:12+08:00", "Employees": 7, "Website": "example.com"}),
    refused_phone: "this phone is longer than the thirty characters",
    page: 2000,
    long_ago: 7200,
    polls_deletes: false,
};

behaves!(ACCOUNTS =>
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
async fn a_lost_create_is_found_by_the_attempt_that_was_planted() {
    body::a_lost_create_is_found_by_the_attempt_that_was_planted(
        &ACCOUNTS,
        ", attempt_field: Rowtwin_Attempt",
    )
    .await;
}

const ORDERS: Orders = Orders {
    kind: Kind::ZohoCrm,
    settings,
    object: "Sales_Orders",
    id: "id",
    number: "Subject",
    customer: ("Account_Name", "Accounts", "Account_Name"),
    collection: "Ordered_Items",
    product: ("Product_Name", "Products", "Product_Name"),
    quantity: "Quantity",
    price: "List_Price",
    id_type: "text",
};

#[tokio::test(flavor = "multi_thread")]
async fn an_order_and_its_lines_travel_both_ways_as_one() {
    orders::an_order_and_its_lines_travel_both_ways_as_one(&ORDERS).await;
}
