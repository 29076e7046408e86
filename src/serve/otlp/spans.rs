//! Spans of turns and calls on their way to a collector. A turn that called nobody is left out: a quiet process turns
//! many times a second.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::trace::{SpanId, SpanKind, TracerProvider as _};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use prost::Message;
use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use super::{ExportError, Poster, SCOPE, Settings, resource};

/// How long the last spans may take at a stop.
const LAST_SPANS: Duration = Duration::from_secs(3);
/// Turns with calls that are remembered until they end; more at the same time are no longer told from idle ones.
const TURNS: usize = 10_000;

/// Collects spans and sends them in batches, until [`Spans::stop`].
#[derive(Debug)]
pub struct Spans {
    provider: SdkTracerProvider,
}

impl Spans {
    /// Begins; requests run on `runtime`. None where spans are not exported.
    ///
    /// # Errors
    /// Where the HTTP client cannot be set up.
    pub fn start(settings: &Settings, runtime: Handle) -> Result<Option<Self>, ExportError> {
        let Some(address) = settings.traces.clone() else { return Ok(None) };
        let resource = resource();
        let exporter = Exporter {
            poster: Poster::new(settings)?,
            address,
            runtime,
            sender: ResourceAttributesWithSchema::from(&resource),
            called: Mutex::default(),
            failed: AtomicBool::new(false),
        };
        let provider =
            SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
        Ok(Some(Self { provider }))
    }

    /// What listens to the spans of the program. Events are left to the log.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer(SCOPE))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(|about| about.is_span() && about.target().starts_with("rowtwin")))
    }

    /// Sends what is left. Blocks, for three seconds at most: to be called outside of the runtime.
    pub fn stop(self) {
        if let Err(failure) = self.provider.shutdown_with_timeout(LAST_SPANS) {
            tracing::debug!(error = %failure, "the last spans were not sent");
        }
    }
}

#[derive(Debug)]
struct Exporter {
    poster: Poster,
    address: String,
    runtime: Handle,
    sender: ResourceAttributesWithSchema,
    /// Turns that have called somebody and have not ended yet.
    called: Mutex<HashSet<SpanId>>,
    failed: AtomicBool,
}

impl Exporter {
    /// Leaves out turns that called nobody. A call ends before its turn does, so it is seen first.
    fn worth_telling(&self, batch: Vec<SpanData>) -> Vec<SpanData> {
        let mut called = self.called.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let told = batch.into_iter().filter(|span| {
            if span.span_kind == SpanKind::Client {
                if called.len() < TURNS {
                    called.insert(span.parent_span_id);
                }
                return true;
            }
            called.remove(&span.span_context.span_id())
        });
        told.collect()
    }
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let told = self.worth_telling(batch);
        if told.is_empty() {
            return Ok(());
        }
        let resource_spans = group_spans_by_resource_and_scope(told, &self.sender);
        let message = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        let (poster, address) = (self.poster.clone(), self.address.clone());
        // batches are sent from a thread of their own, which has no runtime
        let sent = self.runtime.spawn(async move { poster.post(&address, message).await }).await;
        let sent = sent.unwrap_or_else(|_| Err(ExportError::NotReached("stopped".to_owned())));
        let failed = self.failed.swap(sent.is_err(), Ordering::Relaxed);
        sent.map_err(|failure| {
            if !failed {
                tracing::warn!(error = %failure, "spans were not sent to the collector; the next ones are tried");
            }
            OTelSdkError::InternalFailure(failure.to_string())
        })
    }
}
