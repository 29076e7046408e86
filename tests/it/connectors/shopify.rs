//! Shopify's customers and products; its orders, which are read; its webhooks; the cost of its questions.

use rowtwin::simulator::{Kind, Options, Simulator, credentials::shopify as known};
use serde_json::json;

use super::room::Mailbox;
use super::{Remote, behaves, body, scene_of};
use crate::support::{Scene, assemble, connect, database, execute, fault, secret};

fn settings(simulator: &Simulator) -> String {
    format!(
        "shop_url: '{}', auth: client_credentials, client_id: {}, client_secret: {{file: '{}'}}, unique_metafields: custom.number, webhook_secret: {{file: '{}'}}",
        simulator.base_url(),
        known::CLIENT_ID,
        secret(known::CLIENT_SECRET),
        secret(known::CLIENT_SECRET)
    )
}

const CUSTOMERS: Remote = Remote {
    kind: Kind::Shopify,
    settings,
    object: "customers",
    id: "id",
    name: "lastName",
    number: "metafields.custom.number",
    phone: "metafields.custom.phone",
    credit: "{field: metafields.custom.credit, codec: decimal_string}",
    seen: "{field: metafields.custom.seen, codec: {date: {format: '%Y-%m-%dT%H:%M:%SZ', zone: UTC}}}",
    more: || json!({"metafields.custom.credit": "12.5", "metafields.custom.seen": "2026-03-01T10:11:12Z", "taxExempt": true, "note": "a word"}),
    refused_phone: "longer than twenty characters",
    page: 250,
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
    half_a_batch_that_is_refused_goes_when_it_is_retried,
    a_token_that_is_over_is_renewed,
    throttling_is_waited_out,
    a_lost_answer_makes_no_second_record,
    an_outage_and_nonsense_are_waited_out,
    a_pulled_schema_works_as_it_is,
);

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_app_finds_a_lost_create_by_the_attempt_that_was_planted() {
    let remote = Remote {
        settings: |simulator| {
            let (url, token) = (simulator.base_url(), secret(known::ACCESS_TOKEN));
            format!(
                "shop_url: '{url}', access_token: {{file: '{token}'}}, attempt_field: metafields.custom.rowtwin_attempt"
            )
        },
        ..CUSTOMERS
    };
    let scene = body::a_lost_create_is_found_by_the_attempt_that_was_planted(&remote, "").await;
    let counts = scene.crm().call_counts();
    let exact = counts.get(&("customerByIdentifier".to_owned(), "customers".to_owned()));
    assert!(exact.is_some(), "what is unique is not searched: {counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wait_is_as_long_as_the_bucket_needs() {
    let scene = CUSTOMERS.scene().await;
    scene.run("insert into sales.customer (name, number) values ('Acme', 'C1')").await;
    scene.settle().await;
    scene.crm().forget_calls();
    // Without a header: the question costs 110 points, 10 are there, and 100 come back in a second.
    scene.crm().add_fault(fault("throttled@update"));
    scene.run("update sales.customer set phone = '13800000002'").await;
    scene.settle().await;
    assert_eq!(CUSTOMERS.find(&scene, "C1")[CUSTOMERS.phone], json!("13800000002"));
    let calls = scene.crm().calls();
    let at = calls.iter().position(|call| call.error.as_deref() == Some("throttled")).unwrap();
    assert!(calls[at + 1].at_ms - calls[at].at_ms >= 1000, "{calls:?}");
    assert_eq!(scene.number("select count(*) from rowtwin.rejected").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_runs_dry_stops_nothing_for_good() {
    let url = database().await;
    execute(&url, super::TABLE).await;
    let crm = Simulator::start(Kind::Shopify, Options::default()).await.unwrap();
    let erp = Simulator::start(Kind::KingdeeK3cloud, Options::default()).await.unwrap();
    let text = format!(
        "systems:\n  crm:\n    connector: shopify\n    settings: {{{}}}\ntables:\n  sales.customer:\n    bindings:\n      - {{system: crm, object: customers, match: [metafields.custom.number], id_column: crm_id, poll: 1d, sweep: 1d, fields: {{name: lastName, number: metafields.custom.number, phone: metafields.custom.phone}}}}\n",
        settings(&crm)
    );
    let door = crm.door();
    door.insert_many("customers", (0..300).map(|n| CUSTOMERS.record(&format!("N{n}"), &format!("C{n}"))));
    // No point comes back while the clock stands still.
    door.set_clock(Some(jiff::Timestamp::now().as_millisecond()));
    let engine = assemble(&url, &text).await;
    let sql = connect(&url).await;
    let scene = Scene { url, sql, crm, erp, engine, text };
    scene.settle().await;
    assert_eq!(scene.number("select count(distinct number) from sales.customer").await, 300);
    // Two pages have cost 752 each, whatever they held; those of the sweep cost 252 each, and 496 are left.
    scene.run("update rowtwin_private.binding set next_sweep_at = '-infinity'").await;
    scene.run("update sales.customer set phone = '1' where id % 10 = 0").await;
    let dry = |call: &rowtwin::simulator::Call| {
        call.error.as_deref().is_some_and(|error| error.starts_with("THROTTLED"))
    };
    let began = std::time::Instant::now();
    while !door.calls().iter().any(dry) {
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "{:?}", door.calls());
        scene.round().await;
    }
    door.set_clock(None);
    scene.settle().await;
    let records = door.records("customers");
    let told = records.iter().filter(|one| one.get(CUSTOMERS.phone) == Some(&json!("1"))).count();
    assert_eq!((told, records.len()), (30, 300));
    assert_eq!(scene.row("select state from rowtwin.systems").await, json!({"state": "running"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_tells_of_an_edit_and_of_a_delete() {
    let scene = CUSTOMERS.scene().await;
    let (door, mailbox) = (scene.crm(), Mailbox::open(&scene).await);
    let id = door.insert("customers", CUSTOMERS.record("Acme", "C1"));
    scene.settle().await;
    scene.poll().await;
    door.take_pushes();
    door.edit("customers", &id, json!({"lastName": "Beta"}));
    let pushes = door.take_pushes();
    assert_eq!(mailbox.send_to("crm", &pushes[0]).await.0, 200);
    scene.settle().await;
    assert_eq!(scene.row("select name from sales.customer").await, json!({"name": "Beta"}));

    door.edit("customers", &id, json!({"lastName": "Gamma"}));
    let mut forged = door.take_pushes().remove(0);
    forged.body = forged.body.replace('{', "{ ");
    assert_ne!(mailbox.send_to("crm", &forged).await.0, 200);
    scene.settle().await;
    assert_eq!(scene.row("select name from sales.customer").await, json!({"name": "Beta"}));

    door.remove("customers", &id);
    for push in door.take_pushes() {
        assert_eq!(mailbox.send_to("crm", &push).await.0, 200);
    }
    scene.settle().await;
    assert_eq!(scene.number("select count(*) from sales.customer").await, 0, "{}", scene.story().await);
}

const PRODUCTS: &str = "
    create schema shop;
    create table shop.product (
      id bigint generated always as identity primary key,
      title text, handle text, vendor text, tags text[], number text, shopify_id text);";

#[tokio::test(flavor = "multi_thread")]
async fn products_go_both_ways() {
    let scene = scene_of(Kind::Shopify, PRODUCTS, |crm| {
        format!(
            "systems:\n  crm:\n    connector: shopify\n    settings: {{{}}}\ntables:\n  shop.product:\n    bindings:\n      - {{system: crm, object: products, match: [handle], id_column: shopify_id, poll: 1d, sweep: 1d, fields: {{title: title, handle: handle, vendor: vendor, tags: tags, number: metafields.custom.number}}}}\n",
            settings(crm)
        )
    })
    .await;
    let door = scene.crm();
    let nut = door.insert("products", json!({"title": "Nut", "handle": "nut", "tags": ["M8"]}));
    scene.run("insert into shop.product (title, handle, tags, number) values ('Bolt', 'bolt', '{M8,zinc}', 'P1'), (null, 'nothing', '{}', 'P2')").await;
    scene.settle().await;
    assert_eq!(door.count("products"), 2, "{}", scene.story().await);
    let bolt = door.records("products").into_iter().find(|one| one["handle"] == json!("bolt")).unwrap();
    assert_eq!((&bolt["tags"], &bolt["metafields.custom.number"]), (&json!(["M8", "zinc"]), &json!("P1")));
    let refused = scene.row("select key, reason from rowtwin.rejected").await;
    assert_eq!(refused, json!({"key": "2", "reason": "Title can't be blank"}));

    // A metafield that is emptied is taken away, in the same call as the rest.
    scene.run("update shop.product set number = null, vendor = 'Acme' where handle = 'bolt'").await;
    door.edit("products", &nut, json!({"title": "Nut, hexagonal", "tags": ["M8", "A2"]}));
    scene.poll().await;
    let bolt = door.record("products", bolt["id"].as_str().unwrap()).unwrap();
    assert_eq!((&bolt["metafields.custom.number"], &bolt["vendor"]), (&json!(null), &json!("Acme")));
    let row = scene.row("select title, tags from shop.product where handle = 'nut'").await;
    assert_eq!(row, json!({"title": "Nut, hexagonal", "tags": ["M8", "A2"]}));
    scene.run("delete from shop.product where handle = 'bolt'").await;
    scene.settle().await;
    assert_eq!(door.count("products"), 1);
}

const ORDERS: &str = "
    create schema shop;
    create table shop.orders (
      id bigint generated always as identity primary key,
      name text, total numeric, customer text, shopify_id text);
    create table shop.line (
      id bigint generated always as identity primary key,
      order_id bigint references shop.orders on delete cascade, sku text, quantity integer, price numeric, shopify_id text);";

#[tokio::test(flavor = "multi_thread")]
async fn orders_come_in_with_all_their_lines() {
    let scene = scene_of(Kind::Shopify, ORDERS, |crm| {
        format!(
            "systems:\n  crm:\n    connector: shopify\n    settings: {{{}}}\ntables:\n  shop.orders:\n    bindings:\n      - system: crm\n        object: orders\n        direction: pull\n        match: [name]\n        id_column: shopify_id\n        poll: 1d\n        sweep: 1d\n        fields: {{name: name, total: {{field: totalPriceSet.shopMoney.amount, codec: decimal_string}}, customer: customer.id}}\n        lines:\n          lineItems: {{table: shop.line, parent: [order_id], order_by: [id], id_column: shopify_id, fields: {{sku: sku, quantity: quantity, price: {{field: originalUnitPriceSet.shopMoney.amount, codec: decimal_string}}}}}}\n",
            settings(crm)
        )
    })
    .await;
    let door = scene.crm();
    let customer = door.insert("customers", json!({"lastName": "Acme"}));
    let line = |n: usize| json!({"sku": format!("S{n}"), "quantity": n, "originalUnitPriceSet.shopMoney.amount": "9.50"});
    let order = |n: usize, lines: usize| {
        let lines: Vec<_> = (1..=lines).map(line).collect();
        json!({"name": format!("#{n}"), "totalPriceSet.shopMoney.amount": "95.00", "customer": customer, "lineItems": lines})
    };
    // More orders than are read in one call, and one with more lines than a page holds.
    door.insert_many("orders", (1..=20).map(|n| order(n, if n == 7 { 95 } else { 2 })));
    scene.settle().await;
    assert_eq!(scene.number("select count(*) from shop.orders").await, 20, "{}", scene.story().await);
    let lines = "select count(*) from shop.line l join shop.orders o on o.id = l.order_id where o.name";
    assert_eq!(scene.number(&format!("{lines} = '#7'")).await, 95);
    assert_eq!(scene.number(&format!("{lines} <> '#7'")).await, 38);
    let first = scene.row("select total, customer, price from shop.orders o join shop.line l on l.order_id = o.id where o.name = '#1' and sku = 'S2'").await;
    assert_eq!(first["customer"], json!(customer));
    assert_eq!((first["total"].as_f64(), first["price"].as_f64()), (Some(95.0), Some(9.5)));
    assert!(Scene::writes(&door).is_empty(), "{:?}", door.calls());
}
