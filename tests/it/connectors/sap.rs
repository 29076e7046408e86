//! SAP's business partners, by a Gateway that asks for sessions and CSRF tokens.

use rowtwin::simulator::{Kind, Simulator, credentials::sap as known};
use serde_json::json;

use super::{Remote, behaves};
use crate::support::secret;

fn settings(simulator: &Simulator) -> String {
    let password = secret(known::PASSWORD);
    format!(
        "base_url: '{}', client: '{}', user: {}, password: {{file: '{password}'}}",
        simulator.base_url(),
        known::CLIENT,
        known::USER
    )
}

const PARTNERS: Remote = Remote {
    kind: Kind::SapOdata,
    settings,
    object: "API_BUSINESS_PARTNER/A_BusinessPartner",
    id: "BusinessPartner",
    name: "OrganizationBPName1",
    number: "SearchTerm1",
    phone: "YY1_Phone_bus",
    credit: "{field: YY1_Credit_bus, codec: decimal_string}",
    seen: "{field: YY1_Seen_bus, codec: {date: {format: \"datetimeoffset'%Y-%m-%dT%H:%M:%S%.3fZ'\", zone: UTC}}}",
    more: || {
        json!({"YY1_Credit_bus": "12.50", "YY1_Founded_bus": "/Date(1772323200000)/", "YY1_Rating_bus": 7,
               "YY1_Seen_bus": "/Date(1772359872000+0000)/", "BusinessPartnerIsBlocked": true, "BusinessPartnerCategory": "2"})
    },
    refused_phone: "this phone is longer than thirty",
    page: 200,
    long_ago: 3 * 86_400,
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
    half_a_batch_that_is_refused_goes_when_it_is_retried,
    a_token_that_is_over_is_renewed,
    throttling_is_waited_out,
    a_lost_answer_makes_no_second_record,
    an_outage_and_nonsense_are_waited_out,
    a_pulled_schema_works_as_it_is,
);

/// The session is opened with a token that OAuth gives.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_may_be_opened_with_a_token_of_oauth() {
    let remote = Remote {
        settings: |simulator| {
            let (url, password) = (simulator.base_url(), secret(known::CLIENT_SECRET));
            format!(
                "base_url: '{url}', auth: oauth, token_url: '{url}/sap/bc/sec/oauth2/token', client_id: {}, client_secret: {{file: '{password}'}}",
                known::CLIENT_ID
            )
        },
        ..PARTNERS
    };
    let scene = remote.scene().await;
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
    scene.settle().await;
    scene.crm().end_sessions();
    scene.run("update sales.customer set name = 'Acme 2'").await;
    scene.settle().await;
    assert_eq!(remote.find(&scene, "C1")["OrganizationBPName1"], json!("Acme 2"), "{}", scene.story().await);
    let counts = scene.crm().call_counts();
    assert_eq!(counts.get(&("token".to_owned(), String::new())), Some(&2), "{counts:?}");
}

/// An error of the layers before the service comes as XML, whatever is asked for; its words reach people.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_in_xml_is_understood() {
    let scene = PARTNERS.scene().await;
    scene.settle().await;
    scene.crm().add_fault(crate::support::fault("error:400@create"));
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
    scene.settle().await;
    let rejected = scene.rows("select reason from rowtwin.rejected").await;
    let reason = rejected.first().and_then(|row| row["reason"].as_str()).unwrap_or_default();
    assert!(reason.contains("the simulator was told to answer this error (SY/530"), "{rejected:?}");
}
