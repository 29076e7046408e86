//! A go-between: passes requests on to the real server as they are, and loses an answer when a test asks for it.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

#[derive(Clone)]
struct Passing {
    server: String,
    http: reqwest::Client,
    loses: Arc<Mutex<Option<&'static str>>>,
}

pub struct GoBetween {
    pub base_url: String,
    loses: Arc<Mutex<Option<&'static str>>>,
    serving: AbortHandle,
}

impl GoBetween {
    pub async fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let loses = Arc::new(Mutex::new(None));
        let passing = Passing { server, http: reqwest::Client::new(), loses: Arc::clone(&loses) };
        let app = Router::new().fallback(pass).with_state(passing);
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() }).abort_handle();
        Self { base_url, loses, serving }
    }

    /// The answer to the next request with this text in its body is lost, after the server has done it.
    pub fn lose(&self, text: &'static str) {
        *self.loses.lock().unwrap() = Some(text);
    }

    /// Whether what was to be lost is lost.
    pub fn went_off(&self) -> bool {
        self.loses.lock().unwrap().is_none()
    }
}

impl Drop for GoBetween {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn pass(
    State(passing): State<Passing>,
    method: Method,
    uri: Uri,
    mut headers: HeaderMap,
    body: String,
) -> Result<Response, StatusCode> {
    let path = uri.path_and_query().map_or("", |whole| whole.as_str());
    headers.remove("host");
    let request = passing.http.request(method, format!("{}{path}", passing.server)).headers(headers);
    let answer = request.body(body.clone()).send().await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    let (status, mut told) = (answer.status(), answer.headers().clone());
    let text = answer.text().await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    if passing.loses.lock().unwrap().take_if(|wanted| body.contains(*wanted)).is_some() {
        return Err(StatusCode::GATEWAY_TIMEOUT);
    }
    // these are of the connection, and not of the answer
    for name in ["transfer-encoding", "content-length", "content-encoding", "connection", "keep-alive"] {
        told.remove(name);
    }
    Ok((status, told, text).into_response())
}
