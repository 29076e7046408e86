//! Between a call and its end: an answer that never comes, and an edit that slips in between.

use serde_json::{Value, json};

use crate::go_between::{GoBetween, Then};
use crate::person::Person;
use crate::server::Vendure;
use crate::shop::{FIELDS, Shop};

/// A call of this mutation.
fn mutation(name: &'static str) -> impl Fn(&Value) -> bool + Send {
    move |call| call["query"].as_str().is_some_and(|query| query.contains(&format!(": {name}(")))
}

async fn behind_a_go_between(settings: &str, by: &str) -> (Shop, GoBetween) {
    let vendure = Vendure::start().await;
    let between = GoBetween::start(vendure.base_url()).await;
    let address = between.base_url.clone();
    (Shop::of_customers(vendure, &address, settings, by, FIELDS).await, between)
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_lost_answer_never_makes_a_second_customer() {
    let (shop, between) = behind_a_go_between("", "[customFields.number]").await;
    between.arm(mutation("createCustomer"), Then::LoseAnswer);
    shop.run("insert into shop.customer (last_name, email, number) values ('Acme', 'acme@example.com', 'C1'), ('Bolt', 'bolt@example.com', 'C2')")
        .await;
    shop.settle().await;
    assert!(between.went_off());
    shop.poll().await;
    shop.assert_twins().await;
    assert_eq!(shop.person.customers().await.len(), 2);

    between.arm(mutation("updateCustomer"), Then::LoseAnswer);
    shop.run("update shop.customer set phone = '2'").await;
    shop.settle().await;
    assert!(between.went_off());
    shop.assert_twins().await;
    assert_eq!(shop.number("select count(*) from rowtwin.conflicts").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_lost_create_is_found_by_the_attempt_that_was_planted() {
    let (shop, between) = behind_a_go_between(", attempt_field: customFields.rowtwinAttempt", "[]").await;
    between.arm(mutation("createCustomer"), Then::LoseAnswer);
    shop.run("insert into shop.customer (last_name, email) select 'Twin', n || '@example.com' from generate_series(1, 3) n").await;
    shop.settle().await;
    assert!(between.went_off());
    shop.poll().await;
    assert_eq!(shop.person.customers().await.len(), 3);
    assert_eq!(
        shop.number("select count(distinct vendure_id) from shop.customer").await,
        3,
        "{}",
        shop.story().await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_an_edit_between_a_write_and_its_answer_is_not_lost() {
    let (shop, between) = behind_a_go_between("", "[customFields.number]").await;
    let id = shop.person.create("Acme", "C1").await;
    shop.poll().await;
    let person = Person::sign_in(&shop.vendure).await;
    let edit = move |_call| async move { person.edit(&id, json!({"lastName": "Acme & Sons"})).await };
    between.arm(mutation("updateCustomer"), Then::Do(Box::new(move |call| Box::pin(edit(call)))));
    shop.run("update shop.customer set phone = '2'").await;
    shop.settle().await;
    assert!(between.went_off());
    shop.poll().await;
    shop.assert_twins().await;
    assert_eq!(shop.customers().await[0]["last_name"], "Acme & Sons");
    assert_eq!(shop.customers().await[0]["phone"], "2");
}
