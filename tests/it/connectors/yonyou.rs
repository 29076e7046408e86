//! 用友's customers and sales orders, and its encrypted events.

use rowtwin::simulator::{Kind, Simulator, credentials::yonyou as known};
use serde_json::{Value, json};

use super::{Remote, behaves, orders, orders::Orders, room::Mailbox};
use crate::support::{Scene, fault, secret};

fn settings(simulator: &Simulator) -> String {
    format!(
        "base_url: '{}', tenant_id: {}, app_key: {}, app_secret: {{file: '{}'}}, organisation: '{}', transaction_type: {}",
        simulator.base_url(),
        known::TENANT_ID,
        known::APP_KEY,
        secret(known::APP_SECRET),
        known::ORGANISATION,
        known::TRANSACTION_TYPE
    )
}

const CUSTOMERS: Remote = Remote {
    kind: Kind::Yonyou,
    settings,
    object: "merchant",
    id: "id",
    name: "name",
    number: "code",
    phone: "contactTel",
    credit: "{field: money, codec: decimal_string}",
    seen: "{field: businessterm, codec: {date: {format: '%Y-%m-%d %H:%M:%S', zone: Asia/Shanghai}}}",
    more: || json!({"money": "12.50", "businessterm": "2026-03-01 10:11:12"}),
    refused_phone: "this phone is longer than the thirty characters",
    page: 500,
    long_ago: 7200,
    polls_deletes: false,
};

behaves!(CUSTOMERS =>
    a_row_becomes_a_record_and_a_record_a_row,
    twins_that_are_there_already_are_linked_and_not_made_again,
    only_what_changed_travels_both_ways,
    a_poll_reads_what_changed_and_no_more,
    more_than_one_page_is_read_whole,
    a_refused_record_stops_no_other,
    a_token_that_is_over_is_renewed,
    throttling_is_waited_out,
    a_lost_answer_makes_no_second_record,
    an_outage_and_nonsense_are_waited_out,
);

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_that_is_removed_takes_its_row_along_by_a_sweep() {
    let scene = CUSTOMERS.scene().await;
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1'), ('Bolt', 'C2')").await;
    scene.settle().await;
    assert!(scene.crm().remove("merchant", &CUSTOMERS.id_of(&scene, "C1")));
    scene.sweep().await;
    let left = scene.rows("select number from sales.customer").await;
    assert_eq!(left, [json!({"number": "C2"})], "{}", scene.story().await);
    assert!(Scene::writes(&scene.crm()).iter().all(|(operation, _)| operation == "newinsert"));
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_the_key_of_a_create_makes_one_record_without_match_fields() {
    let scene = CUSTOMERS.scene_with("", "[]").await;
    scene.settle().await;
    scene.crm().add_fault(fault("lost-answer@create"));
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
    scene.settle().await;
    assert!(scene.crm().faults().is_empty());
    assert_eq!(scene.crm().count("merchant"), 1, "{:?}", scene.crm().calls());
    assert_eq!(scene.number("select count(*) from rowtwin.links where state = 'linked'").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn encrypted_events_are_heard_and_forged_ones_are_not() {
    let scene = CUSTOMERS.scene().await;
    let (door, mailbox) = (scene.crm(), Mailbox::open(&scene).await);
    let id = door.insert("merchant", json!({"name": "Acme", "code": "C1"}));
    scene.settle().await;
    door.take_pushes();
    door.edit("merchant", &id, json!({"name": "Beta"}));
    let push = door.take_pushes().remove(0);
    assert!(!push.body.contains(&id), "nothing of it can be read on its way");
    door.forget_calls();
    let (status, answer) = mailbox.send_to("crm", &push).await;
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert!(answer["encrypt"].is_string() && answer["signature"].is_string(), "{answer}");
    scene.settle().await;
    assert_eq!(scene.row("select name from sales.customer").await, json!({"name": "Beta"}));
    assert_eq!(door.calls_of("newlist", "merchant"), 1, "one record was read: {:?}", door.calls());
    // another body under the same signature, and one that is said in plain
    let mut forged = push.clone();
    forged.body = forged.body.replacen("\"encrypt\":\"", "\"encrypt\":\"AAAA", 1);
    assert_eq!(mailbox.send_to("crm", &forged).await.0, 401);
    forged.body = json!({"type": "YXYBASEDOC_AA_MERCHANT_UPDATE", "content": {"id": id}}).to_string();
    assert_eq!(mailbox.send_to("crm", &forged).await.0, 401);
    assert_eq!(scene.number("select count(*) from rowtwin_private.inbox").await, 0);
    assert_eq!(mailbox.counted(r#"rowtwin_webhooks_total{system="crm",outcome="taken"}"#), 1);
    assert_eq!(mailbox.counted(r#"rowtwin_webhooks_total{system="crm",outcome="signature"}"#), 2);
}

const ORDERS: Orders = Orders {
    kind: Kind::Yonyou,
    settings,
    object: "voucherorder",
    id: "id",
    number: "code",
    customer: ("agentId", "merchant", "name"),
    collection: "orderDetails",
    product: ("productId", "product", "name"),
    quantity: "qty",
    price: "oriTaxUnitPrice",
    id_type: "text",
};

#[tokio::test(flavor = "multi_thread")]
async fn an_order_and_its_lines_travel_both_ways_as_one() {
    orders::an_order_and_its_lines_travel_both_ways_as_one(&ORDERS).await;
}
