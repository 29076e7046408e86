//! What Vendure refuses: a typed answer in the data, an error with a code, a question that is not valid, a session that
//! is over.

use serde_json::{Value, json};

use crate::server::Vendure;
use crate::shop::Shop;
use crate::support::execute;

async fn refused(shop: &Shop) -> Vec<Value> {
    shop.rows("select key, reason from rowtwin.rejected order by key::bigint").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_record_stops_no_other_of_its_batch() {
    let shop = Shop::start().await;
    // 3 has an address that is taken, which is told in the data; 5 a grade that an error refuses; 7 has no name, by which
    // the whole call is refused before anything of it is done.
    shop.run(
        "insert into shop.customer (last_name, email, number, grade)
         select case n when 7 then null else 'N' || n end, case n when 3 then 1 else n end || '@example.com', 'C' || n,
           case n when 5 then 'no' end
         from generate_series(1, 9) n",
    )
    .await;
    shop.settle().await;
    let told = refused(&shop).await;
    assert_eq!(
        told.iter().map(|one| one["key"].as_str().unwrap()).collect::<Vec<_>>(),
        ["3", "5", "7"],
        "{}",
        shop.story().await
    );
    assert!(told[0]["reason"].as_str().unwrap().contains("EMAIL_ADDRESS_CONFLICT_ERROR"), "{told:?}");
    assert!(told[1]["reason"].as_str().unwrap().contains("does not match the pattern"), "{told:?}");
    assert!(told[2]["reason"].as_str().unwrap().contains("lastName"), "{told:?}");
    assert_eq!(shop.person.customers().await.len(), 6);

    shop.run(
        "update shop.customer set email = '3@example.com' where id = 3; update shop.customer set grade = 'A' where id = 5;
         update shop.customer set last_name = 'N7' where id = 7",
    )
    .await;
    shop.settle().await;
    assert_eq!(refused(&shop).await, Vec::<Value>::new());
    shop.assert_twins().await;

    // The same for changes, and for a record that is gone.
    let gone = shop.person.customer("C8").await["id"].as_str().unwrap().to_owned();
    shop.person.delete(&gone).await;
    shop.run("update shop.customer set phone = id, grade = case id when 4 then 'no' else 'B' end, email = case id when 6 then '1@example.com' else email end")
        .await;
    shop.settle().await;
    let told = refused(&shop).await;
    assert_eq!(
        told.iter().map(|one| one["key"].as_str().unwrap()).collect::<Vec<_>>(),
        ["4", "6"],
        "{}",
        shop.story().await
    );
    // By default an edit wins over a delete: the record that was gone is made again.
    let customers = shop.person.customers().await;
    assert_eq!(customers.len(), 9, "{customers:?} {}", shop.story().await);
    assert_eq!(
        customers.iter().filter(|one| one["customFields"]["grade"] == "B").count(),
        7,
        "{customers:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_is_not_there_holds_the_system() {
    let vendure = Vendure::start().await;
    let address = vendure.base_url();
    let binding = "shop.customer:\n    bindings:\n      - {system: shop, object: customers, match: [emailAddress], \
         fields: {last_name: lastName, email: emailAddress, phone: shoeSize}";
    let shop = Shop::bound(vendure, &address, "", binding).await;
    shop.round().await;
    let system = shop.row("select state, held_reason as reason from rowtwin.systems").await;
    assert_eq!(system["state"], "held", "{system}");
    assert!(system["reason"].as_str().unwrap().contains("shoeSize"), "{system}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_over_is_opened_again() {
    let mut shop = Shop::start().await;
    shop.run(
        "insert into shop.customer (last_name, email, number) values ('Acme', 'acme@example.com', 'C1')",
    )
    .await;
    shop.settle().await;
    // Sessions lie in the database, and in the server's memory.
    shop.vendure.stop();
    execute(&shop.vendure.database, "delete from session").await;
    shop.vendure.resume().await;
    shop.run("update shop.customer set phone = '2'").await;
    shop.settle().await;
    assert_eq!(shop.row("select state from rowtwin.systems").await, json!({"state": "running"}));
    assert_eq!(refused(&shop).await, Vec::<Value>::new());
    shop.person = crate::person::Person::sign_in(&shop.vendure).await;
    assert_eq!(shop.person.customer("C1").await["phoneNumber"], "2");
    shop.assert_twins().await;
}
