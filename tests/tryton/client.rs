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

/// The ids in an answer, in its order.
pub fn ids(answer: &Value) -> Vec<i64> {
    let ids = answer.as_array().unwrap_or_else(|| panic!("no ids in {answer}"));
    ids.iter().map(|id| id.as_i64().unwrap()).collect()
}

/// A session of the person who works in Tryton.
pub struct Person {
    url: String,
    session: String,
}

impl Person {
    pub async fn sign_in(tryton: &Tryton) -> Self {
        Self::sign_in_as(tryton, "admin").await
    }

    pub async fn sign_in_as(tryton: &Tryton, login: &str) -> Self {
        use base64::Engine;
        let url = format!("{}/{DATABASE}/rpc/", tryton.base_url());
        let params = json!([login, {"password": PASSWORD}, "en"]);
        let answer = post(&url, None, "common.db.login", params).await.unwrap();
        let (user, key) = (&answer["result"][0], answer["result"][1].as_str().unwrap());
        let session = base64::engine::general_purpose::STANDARD.encode(format!("{login}:{user}:{key}"));
        Self { url, session }
    }

    /// Calls a method of a model, or a step of a wizard; a fault fails the test.
    pub async fn call(&self, method: &str, params: Value) -> Value {
        self.tries(method, params).await.unwrap_or_else(|said| panic!("{method}: {said}"))
    }

    /// Calls a method that must be refused; what Tryton says then.
    pub async fn refusal(&self, method: &str, params: Value) -> String {
        let refused = self.tries(method, params).await;
        refused.expect_err(&format!("{method} is refused"))
    }

    /// Calls a method; its result, or what Tryton says against it.
    pub async fn tries(&self, method: &str, params: Value) -> Result<Value, String> {
        let answer = post(&self.url, Some(&self.session), method, params).await.unwrap();
        if let Some(result) = answer.get("result") {
            return Ok(result.clone());
        }
        let said = &answer["error"][1];
        let said = said.as_str().or_else(|| said[0].as_str());
        Err(said.map_or_else(|| answer.to_string(), str::to_owned))
    }

    /// Creates parties; their ids.
    pub async fn create(&self, parties: Value) -> Vec<i64> {
        ids(&self.call("model.party.party.create", json!([parties, {}])).await)
    }

    pub async fn write(&self, id: i64, values: Value) {
        self.call("model.party.party.write", json!([[id], values, {}])).await;
    }

    pub async fn delete(&self, id: i64) {
        self.call("model.party.party.delete", json!([[id], {}])).await;
    }

    /// All parties by id, the archived too, with their name, code, language and whether they are active (0 or 1 on SQLite).
    pub async fn parties(&self) -> Vec<Value> {
        let fields = ["name", "code", "lang", "active"];
        let params = json!([[], 0, null, [["id", "ASC"]], fields, {"active_test": false}]);
        let found = self.call("model.party.party.search_read", params).await;
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
