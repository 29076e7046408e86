//! Create, edit and delete, from the table and from Vendure; what a poll reads; more than one page.

use serde_json::{Value, json};

use crate::shop::Shop;
use crate::support::{connect, execute};

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_in_vendure_happens_in_the_table() {
    let shop = Shop::start().await;
    let acme = shop.person.create("Acme", "C1").await;
    let bolt = shop.person.create("Bolt", "C2").await;
    shop.poll().await;
    shop.assert_twins().await;
    assert_eq!(shop.customers().await.len(), 2);

    shop.person
        .edit(&acme, json!({"lastName": "Acme & Söhne 客户", "customFields": {"credit": 1234567.25, "seen": "2026-03-01T10:11:12.000Z"}}))
        .await;
    shop.poll().await;
    let row = shop.row("select last_name, credit, seen at time zone 'UTC' as seen from shop.customer where number = 'C1'").await;
    let credit: Value = serde_json::from_str("1234567.25").unwrap();
    assert_eq!(
        row,
        json!({"last_name": "Acme & Söhne 客户", "credit": credit, "seen": "2026-03-01T10:11:12"})
    );

    shop.person.delete(&bolt).await;
    shop.poll().await;
    assert_eq!(shop.customers().await.len(), 2, "a poll alone says nothing of deletes");
    shop.sweep().await;
    shop.assert_twins().await;
    assert_eq!(shop.customers().await.len(), 1);
    assert_eq!(shop.writes().await, 0, "nothing of it may be sent back: {}", shop.story().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_in_the_table_happens_in_vendure() {
    let shop = Shop::start().await;
    shop.run(
        "insert into shop.customer (last_name, email, phone, number, credit, seen) values
           ('Ä''c\"me \\ 客户', 'Acme@Example.com', '1', 'C1', 12.5, '2026-03-01 10:11:12+00'),
           ('Bolt', 'bolt@example.com', null, 'C2', null, null)",
    )
    .await;
    shop.settle().await;
    assert_eq!(shop.writes().await, 1, "two customers fit one call: {}", shop.story().await);
    // Vendure writes addresses in small letters, which comes back to the row.
    shop.assert_twins().await;
    assert_eq!(shop.customers().await[0]["email"], "acme@example.com");
    assert_eq!(shop.person.customer("C1").await["customFields"]["seen"], "2026-03-01T10:11:12.000Z");

    shop.run("update shop.customer set phone = number; update shop.customer set credit = null, grade = 'A' where number = 'C1'")
        .await;
    shop.settle().await;
    shop.assert_twins().await;
    let sent = shop
        .rows("select after from rowtwin.journal where side = 'remote' and effect = 'update' order by key")
        .await;
    let cleared =
        json!({"after": {"phoneNumber": "C1", "customFields.credit": null, "customFields.grade": "A"}});
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert_eq!(keys(&sent[0]["after"]), keys(&cleared["after"]), "only what changed travels");

    // What was sent comes back at the next poll, and is nobody's change.
    let written = shop.writes().await;
    shop.poll().await;
    shop.poll().await;
    assert_eq!(shop.writes().await, written, "{}", shop.story().await);

    shop.run("delete from shop.customer where number = 'C2'").await;
    shop.settle().await;
    assert_eq!(shop.person.customers().await.len(), 1);
    // a row whose record is gone already is deleted, too
    let id = shop.person.customer("C1").await["id"].as_str().unwrap().to_owned();
    shop.person.delete(&id).await;
    shop.run("delete from shop.customer").await;
    shop.settle().await;
    assert_eq!(shop.number("select count(*) from rowtwin.rejected").await, 0, "{}", shop.story().await);
    assert_eq!(shop.number("select count(*) from rowtwin.links").await, 0);
}

fn keys(value: &Value) -> std::collections::BTreeSet<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_reads_what_changed_and_no_more_of_many_pages() {
    let shop = Shop::start().await;
    // As an import makes them: all in one moment, and long ago.
    execute(
        &shop.vendure.database,
        r#"with made as (
             insert into customer ("createdAt", "updatedAt", "firstName", "lastName", "emailAddress", "customFieldsNumber")
             select '2026-01-01 00:00:00.123456', '2026-01-01 00:00:00.123456', 'A', 'N' || n, n || '@example.com', 'C' || n
             from generate_series(1, 603) n returning id)
           insert into customer_channels_channel ("customerId", "channelId") select id, 1 from made"#,
    )
    .await;
    let mine = shop.person.create("Mine", "Z1").await;
    shop.run("update rowtwin_private.binding set next_sweep_at = '-infinity'").await;
    shop.poll().await;
    // The first walk was over before they came with an old stamp: a sweep finds them by their ids.
    assert_eq!(shop.number("select count(distinct number) from shop.customer").await, 604, "two pages");

    let sql = connect(&shop.vendure.database).await;
    let id: i32 = sql
        .query_one("select id from customer where \"customFieldsNumber\" = 'C77'", &[])
        .await
        .unwrap()
        .get(0);
    shop.person.edit(&id.to_string(), json!({"lastName": "Seventy-seven"})).await;
    let before = shop.number("select coalesce(sum(records), 0)::bigint from rowtwin.usage").await;
    shop.poll().await;
    assert_eq!(
        shop.row("select last_name from shop.customer where number = 'C77'").await["last_name"],
        "Seventy-seven"
    );
    let read = shop.number("select coalesce(sum(records), 0)::bigint from rowtwin.usage").await - before;
    assert!(read < 20, "{read} records were read, and {mine} and {id} are new");
    assert_eq!(shop.writes().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn twins_that_are_there_already_are_linked_and_not_made_again() {
    let shop = Shop::start().await;
    shop.person.create("Acme", "C1").await;
    shop.run("insert into shop.customer (last_name, email, number) values ('Acme', 'C1@example.com', 'C1'), ('Bolt', 'bolt@example.com', 'C2')")
        .await;
    shop.settle().await;
    shop.poll().await;
    shop.assert_twins().await;
    assert_eq!(shop.number("select count(*) from rowtwin.links where state = 'linked'").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn products_go_both_ways_with_their_words_as_translations() {
    let shop = Shop::of_products().await;
    shop.run("insert into shop.product (name, slug, description, enabled, number) values ('Bolt', 'bolt', 'M8', true, 'P1'), ('Nut', 'nut', 'M8', false, 'P2')")
        .await;
    shop.settle().await;
    let read = "{ all: products(options: {sort: {id: ASC}}) { items { id name slug description enabled customFields { number } } } }";
    let all = shop.person.ask(read, json!({})).await["all"]["items"].clone();
    assert_eq!(
        (&all[0]["name"], &all[0]["customFields"]["number"], &all[1]["enabled"]),
        (&json!("Bolt"), &json!("P1"), &json!(false)),
        "{}",
        shop.story().await
    );

    shop.run("update shop.product set description = 'M8, zinc' where number = 'P1'; update shop.product set enabled = true where number = 'P2'").await;
    shop.settle().await;
    let edit = "mutation($i: UpdateProductInput!) { updateProduct(input: $i) { id } }";
    let named =
        json!({"id": all[1]["id"], "translations": [{"languageCode": "en", "name": "Nut, hexagonal"}]});
    shop.person.ask(edit, json!({"i": named})).await;
    shop.poll().await;
    let now = shop.person.ask(read, json!({})).await["all"]["items"].clone();
    assert_eq!(
        (&now[0]["name"], &now[0]["description"]),
        (&json!("Bolt"), &json!("M8, zinc")),
        "{}",
        shop.story().await
    );
    assert_eq!((&now[1]["slug"], &now[1]["enabled"]), (&json!("nut"), &json!(true)));
    let row = shop.row("select name, slug from shop.product where number = 'P2'").await;
    assert_eq!(row, json!({"name": "Nut, hexagonal", "slug": "nut"}));
    let written = shop.writes().await;
    shop.poll().await;
    assert_eq!(shop.writes().await, written);

    shop.run("delete from shop.product where number = 'P1'").await;
    shop.settle().await;
    assert_eq!(shop.person.ask(read, json!({})).await["all"]["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn variants_go_both_ways_and_one_that_is_refused_does_not_hold_up_the_others_of_an_atomic_call() {
    let shop = Shop::of_variants().await;
    let make = "mutation($i: CreateProductInput!) { made: createProduct(input: $i) { id } }";
    let mut products = Vec::new();
    for name in ["bolt", "nut"] {
        let input =
            json!({"translations": [{"languageCode": "en", "name": name, "slug": name, "description": ""}]});
        let id = shop.person.ask(make, json!({"i": input})).await["made"]["id"].as_str().unwrap().to_owned();
        products.push(id);
    }
    shop.run(&format!(
        "insert into shop.variant (name, sku, price, product) values ('Bolt', 'B1', 950, '{}'), ('Lost', 'L1', 1, '999'), ('Nut', 'N1', 25, '{}')",
        products[0], products[1]
    ))
    .await;
    shop.settle().await;
    let read =
        "{ all: productVariants(options: {sort: {sku: ASC}}) { items { id sku name price productId } } }";
    let all = async || shop.person.ask(read, json!({})).await["all"]["items"].as_array().unwrap().clone();
    let made = all().await;
    let short = |one: &Value| (one["sku"].as_str().unwrap().to_owned(), one["price"].as_i64().unwrap());
    assert_eq!(made.iter().map(short).collect::<Vec<_>>(), [("B1".to_owned(), 950), ("N1".to_owned(), 25)]);
    assert_eq!(
        shop.rows("select key from rowtwin.rejected").await,
        [json!({"key": "2"})],
        "{}",
        shop.story().await
    );

    shop.run("update shop.variant set price = price * 2 where sku <> 'L1'").await;
    let edit = "mutation($i: [UpdateProductVariantInput!]!) { updateProductVariants(input: $i) { id } }";
    let named =
        json!([{"id": made[1]["id"], "translations": [{"languageCode": "en", "name": "Nut, hexagonal"}]}]);
    shop.person.ask(edit, json!({"i": named})).await;
    shop.poll().await;
    let now = all().await;
    assert_eq!(now.iter().map(short).collect::<Vec<_>>(), [("B1".to_owned(), 1900), ("N1".to_owned(), 50)]);
    let row = shop.row("select name, price from shop.variant where sku = 'N1'").await;
    assert_eq!(row, json!({"name": "Nut, hexagonal", "price": 50}), "{}", shop.story().await);
    shop.run("delete from shop.variant where sku = 'B1'").await;
    shop.settle().await;
    assert_eq!(all().await.len(), 1);
}
