//! A go-between: passes calls on to a real server as they are, so that a test can act at a moment between two of them.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// Tells the call that is waited for by its body.
type Meant = Box<dyn Fn(&Value) -> bool + Send>;

/// Something that is done with the call in hand.
type Work = Box<dyn FnOnce(Value) -> BoxFuture<'static, ()> + Send>;

/// What is done once, after the server has done the call and before its answer is passed on.
pub enum Then {
    /// Something is done that may look at the call.
    Do(Work),
    /// The answer is lost.
    LoseAnswer,
}

#[derive(Clone)]
struct Passing {
    server: String,
    http: reqwest::Client,
    armed: Arc<Mutex<Option<(Meant, Then)>>>,
}

pub struct GoBetween {
    pub base_url: String,
    armed: Arc<Mutex<Option<(Meant, Then)>>>,
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

    /// At the next call that is meant, do that.
    pub fn arm(&self, meant: impl Fn(&Value) -> bool + Send + 'static, then: Then) {
        *self.armed.lock().unwrap() = Some((Box::new(meant), then));
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
) -> Result<Response, StatusCode> {
    let url = format!("{}{}", passing.server, uri.path());
    let mut request = passing.http.post(url).header("content-type", "application/json").body(body.clone());
    if let Some(session) = headers.get("authorization") {
        request = request.header("authorization", session);
    }
    let answer = request.send().await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    let (status, mut told) = (answer.status(), answer.headers().clone());
    let text = answer.text().await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    let call: Value = serde_json::from_str(&body).unwrap_or_default();
    let then = {
        let mut armed = passing.armed.lock().unwrap();
        armed.take_if(|(meant, _)| meant(&call)).map(|(_, then)| then)
    };
    match then {
        None => {}
        Some(Then::LoseAnswer) => return Err(StatusCode::GATEWAY_TIMEOUT),
        Some(Then::Do(work)) => work(call).await,
    }
    // these are of the connection, and not of the answer
    for name in ["transfer-encoding", "content-length", "content-encoding", "connection"] {
        told.remove(name);
    }
    Ok((status, told, text).into_response())
}
