//! What the process tells others: on 127.0.0.1 `/metrics` for Prometheus and `/health` for whoever watches, over its
//! socket the service manager, and by OTLP a collector. And the door through which the systems' webhooks come in.

mod health;
mod notify;
pub mod otlp;
mod webhooks;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use health::{Capture, Health, SystemHealth};
pub use notify::Notifier;
pub use webhooks::{DoorLimits, Receive, Reply, listen, listen_apart};

use crate::metrics::{CONTENT_TYPE, Metrics};

/// How long open requests may still take once the stop is asked for.
const LAST_REQUESTS: Duration = Duration::from_secs(2);

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Somebody else has the port.
    #[error(
        "port {port} of 127.0.0.1 is in use, perhaps by another rowtwin: set `serve: {{port: …}}` to another one, or \
         to 0 for any free one"
    )]
    PortInUse {
        /// The port that was asked for.
        port: u16,
    },
    /// The address for webhooks cannot be had.
    #[error(
        "cannot listen on {address} for webhooks ({source}): set `serve: {{webhooks: {{listen: …}}}}` to an address of \
         this machine whose port is free and allowed here"
    )]
    Webhooks {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The port cannot be had for another reason.
    #[error(
        "cannot listen on 127.0.0.1 port {port} ({source}): set `serve: {{port: …}}` to a port above 1023 that is \
         allowed here"
    )]
    Listen {
        /// The port that was asked for.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
}

/// A running server.
#[derive(Debug)]
pub struct Serving {
    /// Where it listens; tells the port where 0 was asked for.
    pub address: SocketAddr,
    /// Ends after the stop was asked for.
    pub task: JoinHandle<()>,
}

#[derive(Clone)]
struct Shown {
    metrics: Metrics,
    health: watch::Receiver<Health>,
}

/// Serves `/metrics` and `/health` on a port of 127.0.0.1 (0: any free one) until `stop` is cancelled.
///
/// # Errors
/// [`ServeError`] where the port cannot be had; it says what to do.
pub async fn serve(
    port: u16,
    metrics: Metrics,
    health: watch::Receiver<Health>,
    stop: CancellationToken,
) -> Result<Serving, ServeError> {
    let refused = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::PortInUse { port },
        _ => ServeError::Listen { port, source },
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(refused)?;
    let address = listener.local_addr().map_err(|source| ServeError::Listen { port, source })?;
    let router = Router::new()
        .route("/metrics", get(show_metrics))
        .route("/health", get(show_health))
        .fallback(|| async { (StatusCode::NOT_FOUND, "there are /metrics and /health\n") })
        .with_state(Shown { metrics, health });
    Ok(serving(listener, address, router, stop))
}

/// Answers until `stop` is cancelled.
fn serving(listener: TcpListener, address: SocketAddr, router: Router, stop: CancellationToken) -> Serving {
    let stopping = stop.clone();
    let serving = axum::serve(listener, router).with_graceful_shutdown(stopping.cancelled_owned());
    let task = tokio::spawn(async move {
        let enough = async {
            stop.cancelled().await;
            tokio::time::sleep(LAST_REQUESTS).await;
        };
        // A client that never finishes its request must not hold up the stop.
        tokio::select! {
            _ = async { serving.await } => {}
            () = enough => {}
        }
    });
    Serving { address, task }
}

async fn show_metrics(State(shown): State<Shown>) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], shown.metrics.encode()).into_response()
}

async fn show_health(State(shown): State<Shown>) -> Response {
    // An engine that is gone leaves its last word behind, which is no longer true.
    let report = match shown.health.has_changed() {
        Ok(_) => shown.health.borrow().report(),
        Err(_) => Health::default().report(),
    };
    let status = if report.works { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut body = report.body.to_string();
    body.push('\n');
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, body).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn ask(address: SocketAddr, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    fn healthy() -> Health {
        Health {
            database: true,
            capture: Capture::Streaming { since: jiff::Timestamp::UNIX_EPOCH },
            slot: None,
            systems: BTreeMap::from([("crm".to_owned(), SystemHealth::Up)]),
            ..Health::default()
        }
    }

    #[tokio::test]
    async fn metrics_and_health_are_served_on_loopback_until_the_stop() {
        let metrics = Metrics::new();
        let (tell, health) = watch::channel(Health::default());
        let stop = CancellationToken::new();
        let serving = serve(0, metrics.clone(), health, stop.clone()).await.unwrap();
        assert!(serving.address.ip().is_loopback());

        metrics.captured(3);
        let (head, body) = ask(serving.address, "/metrics").await;
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("openmetrics-text"), "{head}");
        assert!(body.contains("rowtwin_rows_captured_total 3"), "{body}");

        let (head, body) = ask(serving.address, "/health").await;
        assert!(head.starts_with("HTTP/1.1 503"), "{head}");
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["status"], "degraded");

        tell.send(healthy()).unwrap();
        let (head, body) = ask(serving.address, "/health").await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["status"], "ok");

        drop(tell);
        let (head, _) = ask(serving.address, "/health").await;
        assert!(head.starts_with("HTTP/1.1 503"), "the last word of an engine that is gone: {head}");
        let (head, _) = ask(serving.address, "/").await;
        assert!(head.starts_with("HTTP/1.1 404"), "{head}");

        stop.cancel();
        serving.task.await.unwrap();
        assert!(TcpStream::connect(serving.address).await.is_err());
    }

    #[tokio::test]
    async fn a_request_that_never_ends_does_not_hold_up_the_stop() {
        let (_tell, health) = watch::channel(healthy());
        let stop = CancellationToken::new();
        let serving = serve(0, Metrics::new(), health, stop.clone()).await.unwrap();
        let mut stream = TcpStream::connect(serving.address).await.unwrap();
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: ").await.unwrap();
        stop.cancel();
        serving.task.await.unwrap();
    }

    #[tokio::test]
    async fn a_port_in_use_is_refused_with_the_cure() {
        let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = holder.local_addr().unwrap().port();
        let (_tell, health) = watch::channel(healthy());
        let error = serve(port, Metrics::new(), health, CancellationToken::new()).await.unwrap_err();
        assert!(matches!(error, ServeError::PortInUse { port: told } if told == port));
        let words = error.to_string();
        assert!(words.contains(&port.to_string()) && words.contains("serve: {port: …}"), "{words}");
    }
}
