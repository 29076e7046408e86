//! The certificates that the configuration names for a system, read from their files.

use std::path::PathBuf;

use jiff::Timestamp;

use crate::config::SystemFile;
use crate::config::http::HttpFile;
use crate::remote::tls::{Tls, TlsError, TlsFiles};

/// What a system's configuration asks of TLS; `None` where it asks for nothing.
///
/// # Errors
/// Every file that cannot be used, as findings.
pub fn tls_of(name: &str, system: &SystemFile) -> Result<Option<Tls>, Vec<String>> {
    let http = &system.http;
    if http == &HttpFile::default() {
        return Ok(None);
    }
    let path = |text: &Option<String>| text.as_ref().map(PathBuf::from);
    let files = TlsFiles { certificate: path(&http.certificate), key: path(&http.key), ca: path(&http.ca) };
    let said = |error: &TlsError| format!("systems.{name}.http: {error}");
    Tls::read(&files).map(Some).map_err(|errors| errors.iter().map(said).collect())
}

/// The same, at a start: one that does not hold any more is no reason to keep the other systems waiting.
pub(super) fn tls_at_start(name: &str, system: &SystemFile) -> Result<Option<Tls>, Vec<String>> {
    let tls = tls_of(name, system)?;
    if let Some(Err(said)) = tls.as_ref().and_then(|tls| tls.holds(Timestamp::now())) {
        tracing::warn!(system = name, reason = said, "a certificate does not hold");
    }
    Ok(tls)
}
