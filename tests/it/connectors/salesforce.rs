//! Salesforce's accounts, and its orders with their lines.

use rowtwin::simulator::{Kind, Simulator, credentials::salesforce as known};
use serde_json::json;

use super::{Remote, behaves};
use crate::support::secret;

fn settings(simulator: &Simulator) -> String {
    format!(
        "base_url: '{}', client_id: {}, client_secret: {{file: '{}'}}",
        simulator.base_url(),
        known::CLIENT_ID,
        secret(known::CLIENT_SECRET)
    )
}

pub const ACCOUNTS: Remote = Remote {
    kind: Kind::Salesforce,
    settings,
    object: "Account",
    id: "Id",
    name: "Name",
    number: "AccountNumber",
    phone: "Phone",
    credit: "AnnualRevenue",
    seen: "{field: Seen__c, codec: {date: {format: '%Y-%m-%dT%H:%M:%S.000%z', zone: UTC}}}",
    more: || json!({}),
    refused_phone: "this phone is longer than the forty characters that there are",
    page: 2000,
    long_ago: 7200,
    polls_deletes: true,
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
);
