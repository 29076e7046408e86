//! Log lines: to stderr, as text or JSON, filtered by ROWTWIN_LOG. Spans for a collector are listened to beside them.

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::serve::otlp::Spans;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    Text,
    Json,
}

/// Starts logging; `ROWTWIN_LOG` filters as in `rowtwin=debug`. Else warnings are told, and where the engine `runs`
/// also when capture starts, stands by and stops.
pub fn start(form: Form, runs: bool, spans: Option<&Spans>) {
    let usual =
        if runs { "warn,deadpool.postgres=error,rowtwin=info" } else { "warn,deadpool.postgres=error" };
    let filter = EnvFilter::try_from_env("ROWTWIN_LOG").unwrap_or_else(|_| EnvFilter::new(usual));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal());
    let lines = match form {
        Form::Text => lines.boxed(),
        Form::Json => lines.json().flatten_event(true).boxed(),
    };
    let result = tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .with(spans.map(Spans::layer))
        .try_init();
    if let Err(error) = result {
        eprintln!("warning: logging is off: {error}");
    }
}
