//! A hostile remote: an HTTP server on loopback, inside this process, whose abilities and faults the seed chooses.
//!
//! It is written from nothing but its own rules, so that its history can be held against what the engine believes.

pub mod abilities;
pub mod fault;
pub mod manifest;
pub mod state;

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::post;
use axum::serve::ListenerExt;
use serde_json::{Map, Value};
use tokio::sync::Notify;

use abilities::Abilities;
use fault::{Fault, Op};
use state::{By, Call, State};

/// A remote that listens.
#[derive(Clone)]
pub struct Remote {
    inner: Arc<Inner>,
    pub port: u16,
}

struct Inner {
    abilities: Abilities,
    state: Mutex<State>,
    /// Somebody waits until a call is being held, or a process is to die.
    happened: Notify,
    waiting: Mutex<Waiting>,
    let_go: Notify,
    flying: AtomicUsize,
    most_flying: AtomicUsize,
}

#[derive(Default)]
struct Waiting {
    held: usize,
    death: bool,
}

/// What a running turn may have to wait for in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A call of it hangs.
    Held,
    /// Its process is to die now.
    Death,
}

impl Remote {
    /// Listens on a free port of 127.0.0.1.
    pub async fn start(abilities: Abilities, references: Vec<(String, String, String)>) -> Self {
        let inner = Arc::new(Inner {
            abilities,
            state: Mutex::new(State { references, ..State::default() }),
            happened: Notify::new(),
            waiting: Mutex::default(),
            let_go: Notify::new(),
            flying: AtomicUsize::new(0),
            most_flying: AtomicUsize::new(0),
        });
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        // an answer is small: waiting to fill a packet would cost each call 40 ms
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        let router = Router::new().route("/{op}", post(serve)).with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { inner, port }
    }

    pub fn abilities(&self) -> &Abilities {
        &self.inner.abilities
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap()
    }

    /// The most calls that were under way at the same time.
    pub fn most_flying(&self) -> usize {
        self.inner.most_flying.load(SeqCst)
    }

    /// A person makes a record.
    pub fn insert(&self, object: &str, fields: &Map<String, Value>) -> String {
        let mut state = self.state();
        state.do_late(self.abilities());
        let id = state.insert(self.abilities(), object, fields, By::Person);
        State::id_text(self.abilities(), id)
    }

    /// A person changes a record.
    pub fn change(&self, object: &str, id: u64, changes: &Map<String, Value>) {
        let mut state = self.state();
        state.do_late(self.abilities());
        state.change(self.abilities(), object, id, changes, By::Person);
    }

    /// A person deletes a record.
    pub fn remove(&self, object: &str, id: u64) {
        let mut state = self.state();
        state.do_late(self.abilities());
        state.remove(self.abilities(), object, id, By::Person);
    }

    pub fn arm(&self, op: Op, fault: Fault) {
        self.state().faults.push((op, fault));
    }

    /// Lets calls go on that hang.
    pub fn let_go(&self) {
        self.inner.waiting.lock().unwrap().held = 0;
        self.inner.let_go.notify_waiters();
    }

    /// Ends all trouble: no fault is armed, nothing hangs, what broke off is done.
    pub fn calm(&self) {
        let mut state = self.state();
        state.faults.clear();
        state.do_late(self.abilities());
        drop(state);
        self.let_go();
    }

    /// Waits until a call hangs or a process is to die.
    pub async fn happened(&self) -> Event {
        loop {
            {
                let mut waiting = self.inner.waiting.lock().unwrap();
                if std::mem::take(&mut waiting.death) {
                    return Event::Death;
                }
                if waiting.held > 0 {
                    waiting.held -= 1;
                    return Event::Held;
                }
            }
            self.inner.happened.notified().await;
        }
    }
}

impl Inner {
    fn tell(&self, event: Event) {
        let mut waiting = self.waiting.lock().unwrap();
        match event {
            Event::Held => waiting.held += 1,
            Event::Death => waiting.death = true,
        }
        drop(waiting);
        self.happened.notify_one();
    }

    async fn hold(&self) {
        let gone = self.let_go.notified();
        tokio::pin!(gone);
        gone.as_mut().enable();
        self.tell(Event::Held);
        gone.await;
    }
}

/// Counts a call in flight for as long as its connection lives.
struct Flight(Arc<Inner>);

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.flying.fetch_sub(1, SeqCst);
    }
}

fn response(status: u16, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response.headers_mut().insert("content-type", "application/json".parse().unwrap());
    response
}

/// An answer that breaks off after these bytes.
fn broken(begin: &str) -> Response<Body> {
    let pieces: Vec<Result<Bytes, std::io::Error>> =
        vec![Ok(Bytes::from(begin.to_owned())), Err(std::io::Error::other("cut"))];
    response(200, Body::from_stream(futures_util::stream::iter(pieces)))
}

async fn serve(
    Shared(inner): Shared<Arc<Inner>>,
    Path(op): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let Some(op) = Op::ALL.into_iter().chain([Op::SignIn]).find(|known| known.word() == op) else {
        return response(404, "{}");
    };
    let (fault, _flight) = {
        let mut state = inner.state.lock().unwrap();
        state.calls_ever += 1;
        inner.most_flying.fetch_max(inner.flying.fetch_add(1, SeqCst) + 1, SeqCst);
        let flight = Flight(Arc::clone(&inner));
        state.calls.push(Call { op, body: body.clone() });
        if op == Op::SignIn {
            (None, flight)
        } else {
            let token = format!("Bearer token-{:08}", state.token);
            if headers.get("authorization").is_none_or(|given| given != token.as_str()) {
                return response(401, "{}");
            }
            let place = state.faults.iter().position(|(on, _)| *on == op);
            (place.map(|place| state.faults.remove(place).1), flight)
        }
    };
    match fault {
        Some(Fault::Refused(status)) => return response(status, "{}"),
        Some(Fault::Throttled) => {
            let mut answer = response(429, "{}");
            answer.headers_mut().insert("retry-after", "3".parse().unwrap());
            return answer;
        }
        Some(Fault::Expired) => {
            inner.state.lock().unwrap().token += 1;
            return response(401, "{}");
        }
        Some(Fault::LateCommit) => {
            inner.state.lock().unwrap().late.push((op, body));
            return broken("");
        }
        Some(Fault::DeathBefore) => {
            inner.tell(Event::Death);
            std::future::pending::<()>().await;
        }
        Some(Fault::HeldBefore) => inner.hold().await,
        _ => {}
    }
    let (status, answer) = {
        let mut state = inner.state.lock().unwrap();
        if op.writes() {
            state.do_late(&inner.abilities);
        }
        let before = state.effects.len();
        let answer = state.answer(&inner.abilities, op, &body, fault);
        if fault.is_some_and(|fault| !fault.answers()) {
            state.effects[before..].iter_mut().for_each(|effect| effect.answered = false);
        }
        answer
    };
    let text = answer.to_string();
    match fault {
        Some(Fault::LostAnswer) => broken(""),
        Some(Fault::Truncated) => broken(&text[..text.len() / 2]),
        Some(Fault::GatewayAfter(status)) => response(status, "{}"),
        Some(Fault::Html) => response(200, "<html>please sign in</html>"),
        Some(Fault::WrongShape) => response(200, "{\"results\": {\"a\": 1}, \"records\": 7}"),
        Some(Fault::DeathAfter) => {
            inner.tell(Event::Death);
            std::future::pending::<()>().await;
            response(500, "{}")
        }
        Some(Fault::HeldAfter) => {
            inner.hold().await;
            response(status, text)
        }
        _ => response(status, text),
    }
}
