//! A go-between: passes calls on to the real server as they are, so that a test can act at a moment between two of them.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use crate::client::Person;

/// What is done once, after the server has done the next call of a method and before its answer is passed on.
pub enum Then {
    /// The person writes to the first record that the call named.
    Write(Person, Value),
    /// The answer is lost.
    LoseAnswer,
}

#[derive(Clone)]
struct Passing {
    server: String,
    http: reqwest::Client,
    armed: Arc<Mutex<Option<(&'static str, Then)>>>,
}

pub struct GoBetween {
    pub base_url: String,
    armed: Arc<Mutex<Option<(&'static str, Then)>>>,
    serving: AbortHandle,
}

impl GoBetween {
    pub async fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let armed = Arc::new(Mutex::new(None));
        let passing = Passing { server, http: reqwest::Client::new(), armed: Arc::clone(&armed) };
        let app = Router::new().fallback(pass).with_state(passing);
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() }).abort_handle();
        Self { base_url, armed, serving }
    }

    /// At the next call of this method of a model, do that.
    pub fn arm(&self, method: &'static str, then: Then) {
        *self.armed.lock().unwrap() = Some((method, then));
    }

    /// Whether what was armed has happened.
    pub fn went_off(&self) -> bool {
        self.armed.lock().unwrap().is_none()
    }
}

impl Drop for GoBetween {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn pass(
    State(passing): State<Passing>,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Result<(StatusCode, [(&'static str, &'static str); 1], String), StatusCode> {
    let url = format!("{}{}", passing.server, uri.path());
    let mut request = passing.http.post(url).header("content-type", "application/json").body(body.clone());
    if let Some(session) = headers.get("authorization") {
        request = request.header("authorization", session);
    }
    let answer = request.send().await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    let status = answer.status();
    let text = answer.text().await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    let call: Value = serde_json::from_str(&body).unwrap_or_default();
    let then = {
        let mut armed = passing.armed.lock().unwrap();
        let called = call["method"].as_str().unwrap_or_default();
        armed.take_if(|(method, _)| called.ends_with(&format!(".party.{method}"))).map(|(_, then)| then)
    };
    match then {
        None => {}
        Some(Then::LoseAnswer) => return Err(StatusCode::GATEWAY_TIMEOUT),
        Some(Then::Write(person, values)) => {
            let id = call["params"][0][0].as_i64().expect("a write names its record");
            person.write(id, values).await;
        }
    }
    Ok((status, [("content-type", "application/json")], text))
}
