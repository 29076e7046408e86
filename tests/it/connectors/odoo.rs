//! Odoo's partners, by both of its protocols.

use rowtwin::simulator::{Kind, Simulator, credentials::odoo as known};
use serde_json::json;

use super::{Remote, behaves, body, orders, orders::Orders};
use crate::support::secret;

fn settings(simulator: &Simulator) -> String {
    format!(
        "base_url: '{}', database: {}, api_key: {{file: '{}'}}",
        simulator.base_url(),
        known::DATABASE,
        secret(known::API_KEY)
    )
}

const PARTNERS: Remote = Remote {
    kind: Kind::Odoo,
    settings,
    object: "res.partner",
    id: "id",
    name: "name",
    number: "ref",
    phone: "vat",
    credit: "x_credit",
    seen: "{field: x_seen, codec: {date: {format: '%Y-%m-%d %H:%M:%S', zone: UTC}}}",
    more: || json!({"x_credit": 12.5, "x_seen": "2026-03-01 10:11:12", "is_company": true, "email": "a@example.com"}),
    refused_phone: "no tax number",
    page: 500,
    long_ago: 7200,
    polls_deletes: false,
};

behaves!(PARTNERS =>
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

/// The same by JSON-RPC, whose errors have status 200.
mod by_json_rpc {
    use super::*;

    const PARTNERS: Remote = Remote {
        settings: |simulator| {
            format!("{}, protocol: json-rpc, login: {}", super::settings(simulator), known::LOGIN)
        },
        ..super::PARTNERS
    };

    behaves!(PARTNERS =>
        a_row_becomes_a_record_and_a_record_a_row,
        only_what_changed_travels_both_ways,
        deletes_go_both_ways,
        more_than_one_page_is_read_whole,
        a_refused_record_stops_no_other,
        a_lost_answer_makes_no_second_record,
        an_outage_and_nonsense_are_waited_out,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_create_is_found_by_the_attempt_that_was_planted() {
    body::a_lost_create_is_found_by_the_attempt_that_was_planted(
        &PARTNERS,
        ", attempt_field: x_rowtwin_attempt",
    )
    .await;
}

const ORDERS: Orders = Orders {
    kind: Kind::Odoo,
    settings,
    object: "sale.order",
    id: "id",
    number: "client_order_ref",
    customer: ("partner_id", "res.partner", "name"),
    collection: "order_line",
    product: ("product_id", "product.product", "name"),
    quantity: "product_uom_qty",
    price: "price_unit",
    id_type: "bigint",
};

#[tokio::test(flavor = "multi_thread")]
async fn an_order_and_its_lines_travel_both_ways_as_one() {
    orders::an_order_and_its_lines_travel_both_ways_as_one(&ORDERS).await;
}
