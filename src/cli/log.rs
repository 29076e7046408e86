//! Log lines: to stderr, as text or JSON, filtered by ROWTWIN_LOG.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    Text,
    Json,
}

/// Starts logging; `ROWTWIN_LOG` filters as in `rowtwin=debug`. Else warnings are told, and where the engine `runs`
/// also when capture starts, stands by and stops.
pub fn start(form: Form, runs: bool) {
    let usual =
        if runs { "warn,deadpool.postgres=error,rowtwin=info" } else { "warn,deadpool.postgres=error" };
    let filter = EnvFilter::try_from_env("ROWTWIN_LOG").unwrap_or_else(|_| EnvFilter::new(usual));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal());
    let result = match form {
        Form::Text => builder.try_init(),
        Form::Json => builder.json().flatten_event(true).try_init(),
    };
    if let Err(error) = result {
        eprintln!("warning: logging is off: {error}");
    }
}
