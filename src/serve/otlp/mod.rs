//! OpenTelemetry: the numbers of `/metrics` and the spans of turns and calls, sent to a collector by OTLP over HTTP.
//!
//! Off until the environment names a collector, as for every program that knows OpenTelemetry. Spans carry the names of
//! bindings, systems, objects and operations and what came of a call; never a key, a value or a text of a remote. A
//! collector that does not answer costs nothing but a line in the log.

mod numbers;
mod settings;
mod spans;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_sdk::Resource;
use prost::Message;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use settings::Settings;
pub use spans::Spans;

use crate::metrics::Metrics;

/// The name of what we measure with, and of the service where the environment names none.
const SCOPE: &str = "rowtwin";

/// Why something did not reach the collector; names no address and no header.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The HTTP client cannot be set up.
    #[error("the client for the collector cannot be set up: {0}")]
    Client(String),
    /// It was not reached, or did not answer in time.
    #[error(
        "the collector is not reached ({0}); check OTEL_EXPORTER_OTLP_ENDPOINT, and that it listens for HTTP"
    )]
    NotReached(String),
    /// It answered that it does not take this.
    #[error("the collector answers with status {0}; check its address, and the headers it asks for")]
    Refused(u16),
}

/// Posts to a collector.
#[derive(Debug, Clone)]
struct Poster {
    client: reqwest::Client,
    settings: Settings,
}

impl Poster {
    fn new(settings: &Settings) -> Result<Self, ExportError> {
        // The second installation in a process fails, and is not needed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .timeout(settings.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("rowtwin/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| ExportError::Client(error.without_url().to_string()))?;
        Ok(Self { client, settings: settings.clone() })
    }

    async fn post(&self, address: &str, message: Vec<u8>) -> Result<(), ExportError> {
        let request = self
            .client
            .post(address)
            .headers(self.settings.headers.clone())
            .header("content-type", "application/x-protobuf")
            .body(message);
        let answer = request.send().await;
        let answer = answer.map_err(|error| {
            let error = error.without_url();
            ExportError::NotReached(if error.is_timeout() {
                "no answer in time".to_owned()
            } else {
                innermost(&error)
            })
        })?;
        if answer.status().is_success() {
            return Ok(());
        }
        Err(ExportError::Refused(answer.status().as_u16()))
    }
}

/// The message of the error at the bottom, which names the cause.
fn innermost(error: &reqwest::Error) -> String {
    let mut error: &dyn std::error::Error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// Who sends: the service's name and version, and what `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME` say.
fn resource() -> Resource {
    let named = std::env::var("OTEL_SERVICE_NAME").is_ok()
        || std::env::var("OTEL_RESOURCE_ATTRIBUTES").is_ok_and(|text| text.contains("service.name="));
    let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let builder = Resource::builder().with_attribute(version);
    if named { builder.build() } else { builder.with_service_name(SCOPE).build() }
}

/// Sends the numbers again and again until `stop`, and once more then.
///
/// # Errors
/// Where the HTTP client cannot be set up. What cannot be sent later is told in the log.
pub async fn send_numbers(
    settings: Settings,
    metrics: Metrics,
    stop: CancellationToken,
) -> Result<(), ExportError> {
    let Some(address) = settings.metrics.clone() else { return Ok(()) };
    let poster = Poster::new(&settings)?;
    let began = nanoseconds();
    let sender = ResourceAttributesWithSchema::from(&resource());
    let mut failed = false;
    loop {
        let stopped = tokio::select! {
            () = stop.cancelled() => true,
            () = tokio::time::sleep(settings.every) => false,
        };
        let request = ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(opentelemetry_proto::tonic::resource::v1::Resource {
                    attributes: sender.attributes.0.clone(),
                    ..Default::default()
                }),
                scope_metrics: vec![ScopeMetrics {
                    scope: Some(InstrumentationScope { name: SCOPE.to_owned(), ..Default::default() }),
                    metrics: numbers::metrics(&metrics.encode(), began, nanoseconds()),
                    ..Default::default()
                }],
                ..Default::default()
            }],
        };
        let sent = poster.post(&address, request.encode_to_vec()).await;
        match &sent {
            Ok(()) if failed => info!("the collector takes our numbers again"),
            Err(failure) if !failed => {
                warn!(error = %failure, "numbers were not sent to the collector; the next ones are tried");
            }
            _ => {}
        }
        failed = sent.is_err();
        if stopped {
            return Ok(());
        }
    }
}

fn nanoseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
