//! HubSpot's companies.

use rowtwin::simulator::{Kind, Simulator, credentials::hubspot as known};
use serde_json::json;

use super::{Remote, behaves, body};
use crate::support::secret;

fn settings(simulator: &Simulator) -> String {
    format!(
        "base_url: '{}', auth: oauth, client_id: {}, client_secret: {{file: '{}'}}, refresh_token: {{file: '{}'}}, unique_properties: external_key",
        simulator.base_url(),
        known::CLIENT_ID,
        secret(known::CLIENT_SECRET),
        secret(known::REFRESH_TOKEN)
    )
}

const COMPANIES: Remote = Remote {
    kind: Kind::Hubspot,
    settings,
    object: "companies",
    id: "hs_object_id",
    name: "name",
    number: "external_key",
    phone: "phone",
    credit: "{field: annualrevenue, codec: decimal_string}",
    seen: "{field: seen, codec: {date: {format: '%Y-%m-%dT%H:%M:%S%.3fZ', zone: UTC}}}",
    more: || json!({"annualrevenue": "12.5", "founded": "2026-03-01", "seen": "2026-03-01T10:11:12Z", "numberofemployees": "7", "domain": "example.com"}),
    refused_phone: "this phone is longer than the forty characters that there are",
    page: 200,
    long_ago: 7200,
    polls_deletes: false,
};

behaves!(COMPANIES =>
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
async fn a_private_app_finds_a_lost_create_by_the_attempt_that_was_planted() {
    let remote = Remote {
        settings: |simulator| {
            let (url, token) = (simulator.base_url(), secret(known::ACCESS_TOKEN));
            format!("base_url: '{url}', access_token: {{file: '{token}'}}, attempt_field: rowtwin_attempt")
        },
        ..COMPANIES
    };
    let scene = body::a_lost_create_is_found_by_the_attempt_that_was_planted(&remote, "").await;
    let counts = scene.crm().call_counts();
    let exact = counts.get(&("batch/read".to_owned(), "companies".to_owned()));
    assert!(exact.is_some(), "what is unique is not searched: {counts:?}");
}
