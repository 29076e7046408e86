//! Somebody who works in Vendure's Admin API by another client.

use serde_json::{Value, json};

use crate::server::{PASSWORD, USER, Vendure};

/// A client over HTTP.
pub fn http() -> reqwest::Client {
    // A second call finds the first one's provider in place.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

pub struct Person {
    url: String,
    token: String,
}

impl Person {
    pub async fn sign_in(vendure: &Vendure) -> Self {
        let url = format!("{}/admin-api", vendure.base_url());
        let query =
            format!("mutation {{ login(username: \"{USER}\", password: \"{PASSWORD}\") {{ __typename }} }}");
        let sent = http().post(&url).header("content-type", "application/json");
        let answer = sent.body(json!({ "query": query }).to_string()).send().await.unwrap();
        let token =
            answer.headers().get("vendure-auth-token").expect("a session").to_str().unwrap().to_owned();
        Self { url, token }
    }

    /// The `data` of an answer; an error fails the test.
    pub async fn ask(&self, query: &str, variables: Value) -> Value {
        let sent = http().post(&self.url).header("content-type", "application/json");
        let body = json!({"query": query, "variables": variables}).to_string();
        let answer = sent.bearer_auth(&self.token).body(body).send().await.unwrap();
        let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert!(answer.get("errors").is_none(), "{answer}");
        answer["data"].clone()
    }

    /// Makes a customer; the id.
    pub async fn create(&self, last: &str, number: &str) -> String {
        let query = "mutation($i: CreateCustomerInput!) { made: createCustomer(input: $i) { ... on Customer { id } } }";
        let input = json!({"firstName": "A", "lastName": last, "emailAddress": format!("{number}@example.com"),
            "customFields": {"number": number}});
        self.ask(query, json!({"i": input})).await["made"]["id"].as_str().expect("it was made").to_owned()
    }

    pub async fn edit(&self, id: &str, mut fields: Value) {
        let query = "mutation($i: UpdateCustomerInput!) { done: updateCustomer(input: $i) { __typename } }";
        fields["id"] = json!(id);
        assert_eq!(self.ask(query, json!({"i": fields})).await["done"]["__typename"], "Customer");
    }

    pub async fn delete(&self, id: &str) {
        let query = "mutation($i: ID!) { done: deleteCustomer(id: $i) { result } }";
        assert_eq!(self.ask(query, json!({"i": id})).await["done"]["result"], "DELETED");
    }

    /// All customers by number.
    pub async fn customers(&self) -> Vec<Value> {
        let query = "{ all: customers(options: {take: 1000, sort: {id: ASC}}) { items { id firstName lastName
            emailAddress phoneNumber customFields { number grade credit seen } } } }";
        let mut all = self.ask(query, json!({})).await["all"]["items"].as_array().unwrap().clone();
        all.sort_by_key(|one| one["customFields"]["number"].to_string());
        all
    }

    /// The customer with this number.
    pub async fn customer(&self, number: &str) -> Value {
        let all = self.customers().await;
        let found = all.iter().find(|one| one["customFields"]["number"] == number);
        found.unwrap_or_else(|| panic!("{number} is not among {all:?}")).clone()
    }
}
