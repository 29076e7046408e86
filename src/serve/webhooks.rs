//! The door for webhooks: `/hooks/SYSTEM` over plain HTTP. It bounds what a request may cost, and answers in time; what a
//! webhook means is judged elsewhere ([`Receive`]).
//!
//! Nothing is kept in memory for later: either the ids are in the database when the sender is told so, or it is told 503
//! and sends again.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use futures_util::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

use crate::connector::Webhook;
use crate::serve::{ServeError, Serving, serving};

/// Webhooks at the same time; more are told to come again.
const AT_ONCE: usize = 64;
/// How long a sender may take to send a body.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// The seconds after which a webhook that was not taken is wanted again.
const AGAIN_AFTER: HeaderValue = HeaderValue::from_static("5");

/// What the door allows.
#[derive(Debug, Clone)]
pub struct DoorLimits {
    /// The largest body, in bytes.
    pub body: usize,
    /// The longest time between a body and its answer.
    pub answer_within: Duration,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    /// Plain text.
    pub text: String,
}

impl Reply {
    /// A line of plain text.
    pub fn new(status: u16, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    /// What a sender is told that shall send it again.
    pub fn again() -> Self {
        Self::new(503, "not now; send it again\n")
    }
}

/// Whoever judges webhooks and puts their ids away.
pub trait Receive: Send + Sync {
    /// Takes a webhook for a system, which is named as the caller wrote it.
    fn receive(self: Arc<Self>, system: String, webhook: Webhook) -> BoxFuture<'static, Reply>;

    /// Gets ready, on the thread that takes the webhooks, so that the first one need not wait.
    fn prepare(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    /// A request was turned away before it could be judged. `why` is one word.
    fn turned_away(&self, system: &str, why: &'static str);
}

#[derive(Clone)]
struct Gate {
    receiver: Arc<dyn Receive>,
    places: Arc<Semaphore>,
    limits: DoorLimits,
}

/// Takes webhooks at an address until `stop` is cancelled.
///
/// # Errors
/// [`ServeError`] where the address cannot be had; it says what to do.
pub async fn listen(
    address: SocketAddr,
    limits: DoorLimits,
    receiver: Arc<dyn Receive>,
    stop: CancellationToken,
) -> Result<Serving, ServeError> {
    let refused = |source| ServeError::Webhooks { address, source };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    let gate = Gate { receiver, places: Arc::new(Semaphore::new(AT_ONCE)), limits };
    let router = Router::new().fallback(take).with_state(gate);
    Ok(serving(listener, address, router, stop))
}

/// The same on a thread of its own: what the rest of the process computes does not keep a sender waiting.
///
/// # Errors
/// As [`listen`].
pub async fn listen_apart(
    address: SocketAddr,
    limits: DoorLimits,
    receiver: Arc<dyn Receive>,
    stop: CancellationToken,
) -> Result<Serving, ServeError> {
    let (tell, told) = oneshot::channel();
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(source) => {
                let _ = tell.send(Err(ServeError::Webhooks { address, source }));
                return;
            }
        };
        runtime.block_on(async move {
            match listen(address, limits, Arc::clone(&receiver), stop).await {
                Err(error) => drop(tell.send(Err(error))),
                Ok(serving) => {
                    let (done, ended) = oneshot::channel();
                    if tell.send(Ok((serving.address, ended))).is_ok() {
                        receiver.prepare().await;
                        let _ = serving.task.await;
                    }
                    let _ = done.send(());
                }
            }
        });
    };
    let refused = |source| ServeError::Webhooks { address, source };
    std::thread::Builder::new().name("webhooks".to_owned()).spawn(work).map_err(refused)?;
    let broken = |_| refused(io::Error::other("its thread broke down"));
    let (address, ended) = told.await.map_err(broken)??;
    let task = tokio::spawn(async move {
        // an error says that the thread has ended, too
        let _ = ended.await;
    });
    Ok(Serving { address, task })
}

async fn take(State(gate): State<Gate>, request: Request) -> Result<Response, Infallible> {
    Ok(response(gate.take(request).await))
}

impl Gate {
    async fn take(self, request: Request) -> Reply {
        let (parts, body) = request.into_parts();
        let Some((system, rest)) = parts.uri.path().strip_prefix("/hooks/").map(split) else {
            return Reply::new(404, "webhooks go to /hooks/SYSTEM\n");
        };
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            self.receiver.turned_away(&system, "busy");
            return Reply::again();
        };
        let body = match tokio::time::timeout(BODY_WITHIN, to_bytes(body, self.limits.body)).await {
            Ok(Ok(body)) => body.to_vec(),
            Ok(Err(_)) => {
                self.receiver.turned_away(&system, "too_large");
                return Reply::new(413, "the body is too large, or ended early\n");
            }
            Err(_) => {
                self.receiver.turned_away(&system, "slow");
                return Reply::new(408, "the body did not come in time\n");
            }
        };
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = parts.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value)));
        let webhook = Webhook {
            method: parts.method.as_str().to_owned(),
            url: parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
            rest,
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers: headers.collect(),
            body,
        };
        // the work goes on when its time is over: ids that arrive late are better than none
        let receiver = Arc::clone(&self.receiver);
        let name = system.clone();
        let work = tokio::spawn(async move {
            let reply = receiver.receive(name, webhook).await;
            drop(place);
            reply
        });
        match tokio::time::timeout(self.limits.answer_within, work).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) | Err(_) => {
                self.receiver.turned_away(&system, "late");
                Reply::again()
            }
        }
    }
}

/// The system's name, and what stands behind it.
fn split(path: &str) -> (String, String) {
    let (system, rest) = path.split_once('/').unwrap_or((path, ""));
    (system.to_owned(), rest.to_owned())
}

fn response(reply: Reply) -> Response {
    let mut response = Response::new(Body::from(reply.text));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    // an answer to a question repeats what the caller sent
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if reply.status == 503 {
        headers.insert(header::RETRY_AFTER, AGAIN_AFTER);
    }
    response
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    /// Repeats what it got; `slow` never comes to an end.
    #[derive(Default)]
    struct Echo {
        away: Mutex<Vec<(String, &'static str)>>,
    }

    impl Receive for Echo {
        fn receive(self: Arc<Self>, system: String, webhook: Webhook) -> BoxFuture<'static, Reply> {
            Box::pin(async move {
                if system == "slow" {
                    std::future::pending::<()>().await;
                }
                assert_ne!(system, "broken");
                let Webhook { method, url, rest, query, body, .. } = webhook;
                Reply::new(200, format!("{system} {method} {url} {rest} {query} {}", body.len()))
            })
        }

        fn turned_away(&self, system: &str, why: &'static str) {
            self.away.lock().unwrap().push((system.to_owned(), why));
        }
    }

    async fn open(answer_within: Duration) -> (SocketAddr, Arc<Echo>, CancellationToken) {
        let stop = CancellationToken::new();
        let echo = Arc::new(Echo::default());
        let limits = DoorLimits { body: 100, answer_within };
        let receiver: Arc<dyn Receive> = Arc::<Echo>::clone(&echo);
        let serving = listen("127.0.0.1:0".parse().unwrap(), limits, receiver, stop.clone()).await.unwrap();
        (serving.address, echo, stop)
    }

    async fn ask(address: SocketAddr, head: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let length = body.len();
        let request = format!(
            "{head} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_webhook_arrives_as_it_was_sent() {
        let (address, echo, _stop) = open(Duration::from_secs(60)).await;
        let answer = ask(address, "POST /hooks/crm/a/b?n=%20&t", "{}").await;
        assert!(answer.ends_with("crm POST /hooks/crm/a/b?n=%20&t a/b n=%20&t 2"), "{answer}");
        assert!(answer.contains("x-content-type-options: nosniff"), "{answer}");
        let answer = ask(address, "GET /hooks/crm", "").await;
        assert!(answer.ends_with("crm GET /hooks/crm   0"), "{answer}");
        assert!(ask(address, "POST /metrics", "").await.starts_with("HTTP/1.1 404"));
        assert!(echo.away.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_is_not_read() {
        let (address, echo, _stop) = open(Duration::from_secs(60)).await;
        let answer = ask(address, "POST /hooks/crm", &"x".repeat(101)).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
        assert_eq!(*echo.away.lock().unwrap(), [("crm".to_owned(), "too_large")]);
    }

    #[tokio::test]
    async fn what_is_not_done_in_time_is_asked_for_again() {
        let (address, echo, _stop) = open(Duration::from_millis(1)).await;
        let answer = ask(address, "POST /hooks/slow", "").await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 5"), "{answer}");
        assert_eq!(*echo.away.lock().unwrap(), [("slow".to_owned(), "late")]);
    }

    #[tokio::test]
    async fn too_many_at_once_are_asked_to_come_again_and_a_breakdown_ends_nothing() {
        let (address, echo, _stop) = open(Duration::from_secs(60)).await;
        assert!(ask(address, "POST /hooks/broken", "").await.starts_with("HTTP/1.1 503"));
        let mut waiting = Vec::new();
        for _ in 0..AT_ONCE {
            waiting.push(tokio::spawn(async move { ask(address, "POST /hooks/slow", "").await }));
        }
        let began = std::time::Instant::now();
        loop {
            let answer = ask(address, "POST /hooks/crm", "").await;
            if answer.starts_with("HTTP/1.1 503") {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "the places are never taken: {answer}");
        }
        assert!(echo.away.lock().unwrap().contains(&("crm".to_owned(), "busy")));
        waiting.into_iter().for_each(|task| task.abort());
    }
}
