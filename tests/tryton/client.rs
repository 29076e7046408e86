//! Another client of the same Tryton: what a person does there.

use serde_json::{Value, json};

use crate::server::{DATABASE, PASSWORD, Tryton};

pub const PARTY: &str = "party.party";

/// One call of Tryton's protocol.
pub async fn post(url: &str, session: Option<&str>, method: &str, params: Value) -> reqwest::Result<Value> {
    // A second call finds the first one's provider in place.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let body = json!({"id": 7, "method": method, "params": params}).to_string();
    let mut request = reqwest::Client::new().post(url).header("content-type", "application/json").body(body);
    if let Some(session) = session {
        request = request.header("authorization", format!("Session {session}"));
    }
    let text = request.send().await?.error_for_status()?.text().await?;
    Ok(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
}

/// A session of the person who works in Tryton.
pub struct Person {
    url: String,
    session: String,
}

impl Person {
    pub async fn sign_in(tryton: &Tryton) -> Self {
        use base64::Engine;
        let url = format!("{}/{DATABASE}/rpc/", tryton.base_url());
        let params = json!(["admin", {"password": PASSWORD}, "en"]);
        let answer = post(&url, None, "common.db.login", params).await.unwrap();
        let (user, key) = (&answer["result"][0], answer["result"][1].as_str().unwrap());
        let session = base64::engine::general_purpose::STANDARD.encode(format!("admin:{user}:{key}"));
        Self { url, session }
    }

    /// Calls a method of the party model; a fault fails the test.
    async fn call(&self, method: &str, params: Value) -> Value {
        let method = format!("model.{PARTY}.{method}");
        let answer = post(&self.url, Some(&self.session), &method, params).await.unwrap();
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// Creates parties; their ids.
    pub async fn create(&self, parties: Value) -> Vec<i64> {
        let ids = self.call("create", json!([parties, {}])).await;
        ids.as_array().unwrap().iter().map(|id| id.as_i64().unwrap()).collect()
    }

    pub async fn write(&self, id: i64, values: Value) {
        self.call("write", json!([[id], values, {}])).await;
    }

    pub async fn delete(&self, id: i64) {
        self.call("delete", json!([[id], {}])).await;
    }

    /// All parties by id, the archived too, with their name, code, language and whether they are active (0 or 1 on SQLite).
    pub async fn parties(&self) -> Vec<Value> {
        let fields = ["name", "code", "lang", "active"];
        let params = json!([[], 0, null, [["id", "ASC"]], fields, {"active_test": false}]);
        let found = self.call("search_read", params).await;
        found.as_array().unwrap().clone()
    }

    /// The one party with this name.
    pub async fn named(&self, name: &str) -> Value {
        let parties = self.parties().await;
        let mut found = parties.iter().filter(|party| party["name"] == name);
        let party = found.next().unwrap_or_else(|| panic!("no party {name} in {parties:?}"));
        assert!(found.next().is_none(), "two parties {name} in {parties:?}");
        party.clone()
    }
}
