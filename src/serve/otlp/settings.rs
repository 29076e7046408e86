//! Where to, read from the environment variables that OpenTelemetry has agreed upon.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

/// How often numbers go out where nothing says otherwise; the specification's own value.
const EVERY: Duration = Duration::from_secs(60);
/// How long a collector may take to answer; the specification's own value.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What is exported, and where to.
#[derive(Clone)]
pub struct Settings {
    /// The address for numbers; none where they are not exported.
    pub metrics: Option<String>,
    /// The address for spans; none where they are not exported.
    pub traces: Option<String>,
    /// Sent along; they may hold a secret, so nothing shows them.
    pub(super) headers: HeaderMap,
    pub(super) timeout: Duration,
    pub(super) every: Duration,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("metrics", &self.metrics.is_some())
            .field("traces", &self.traces.is_some())
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// What the environment asks for; none where it asks for nothing.
    ///
    /// # Errors
    /// A sentence that says which variable is wrong, and what it may be.
    pub fn from_environment() -> Result<Option<Self>, String> {
        Self::read(|name| std::env::var(name).ok().filter(|value| !value.trim().is_empty()))
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        if variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let base = variable("OTEL_EXPORTER_OTLP_ENDPOINT");
        let address = |signal: &str| -> Result<Option<String>, String> {
            let upper = signal.to_uppercase();
            if variable(&format!("OTEL_{upper}_EXPORTER")).is_some_and(|value| value == "none") {
                return Ok(None);
            }
            let own = variable(&format!("OTEL_EXPORTER_OTLP_{upper}_ENDPOINT"));
            let whole = own
                .or_else(|| base.as_ref().map(|base| format!("{}/v1/{signal}", base.trim_end_matches('/'))));
            let Some(whole) = whole else { return Ok(None) };
            let protocol = variable(&format!("OTEL_EXPORTER_OTLP_{upper}_PROTOCOL"))
                .or_else(|| variable("OTEL_EXPORTER_OTLP_PROTOCOL"));
            if let Some(other) = protocol.filter(|protocol| protocol != "http/protobuf") {
                return Err(format!(
                    "OTEL_EXPORTER_OTLP_PROTOCOL is {other}, and rowtwin speaks http/protobuf only: set that, with the collector's port for HTTP (usually 4318)"
                ));
            }
            match reqwest::Url::parse(&whole) {
                Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(Some(whole)),
                _ => Err(format!(
                    "the address for {signal} in OTEL_EXPORTER_OTLP_ENDPOINT is no http or https address, such as http://127.0.0.1:4318"
                )),
            }
        };
        let (metrics, traces) = (address("metrics")?, address("traces")?);
        if metrics.is_none() && traces.is_none() {
            return Ok(None);
        }
        let millis = |name: &str, usual: Duration| match variable(name) {
            None => Ok(usual),
            Some(value) => match value.trim().parse() {
                Ok(millis) if millis > 0 => Ok(Duration::from_millis(millis)),
                _ => Err(format!("{name} is not a number of milliseconds")),
            },
        };
        Ok(Some(Self {
            metrics,
            traces,
            headers: headers(&variable("OTEL_EXPORTER_OTLP_HEADERS").unwrap_or_default())?,
            timeout: millis("OTEL_EXPORTER_OTLP_TIMEOUT", TIMEOUT)?,
            every: millis("OTEL_METRIC_EXPORT_INTERVAL", EVERY)?,
        }))
    }
}

/// `name=value,name=value`; a value may be percent-encoded.
fn headers(text: &str) -> Result<HeaderMap, String> {
    let wrong = || {
        "OTEL_EXPORTER_OTLP_HEADERS is not name=value,name=value; its text is not shown, since it may hold a secret"
            .to_owned()
    };
    let mut headers = HeaderMap::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(wrong)?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| wrong())?;
        let mut value = HeaderValue::from_bytes(&decoded(value.trim())).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| *first == b'%').and_then(|two| hex::decode(two).ok());
        match code.as_deref() {
            Some([byte]) => {
                bytes.push(*byte);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Settings>, String> {
        Settings::read(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn an_address_is_for_both_unless_one_has_its_own() {
        assert!(read(&[]).unwrap().is_none());
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318/");
        let both = read(&[base]).unwrap().unwrap();
        assert_eq!(both.metrics.as_deref(), Some("http://127.0.0.1:4318/v1/metrics"));
        assert_eq!(both.traces.as_deref(), Some("http://127.0.0.1:4318/v1/traces"));
        assert_eq!((both.every, both.timeout), (EVERY, TIMEOUT));
        let own = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://other/in");
        assert_eq!(read(&[base, own]).unwrap().unwrap().metrics.as_deref(), Some("https://other/in"));
        let one = read(&[base, ("OTEL_TRACES_EXPORTER", "none")]).unwrap().unwrap();
        assert!(one.traces.is_none() && one.metrics.is_some());
        assert!(read(&[base, ("OTEL_SDK_DISABLED", "true")]).unwrap().is_none());
    }

    #[test]
    fn headers_are_read_and_never_shown() {
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        let given = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20pst, x-org = 7");
        let settings = read(&[base, given]).unwrap().unwrap();
        assert_eq!(settings.headers["authorization"], "Bearer pst");
        assert_eq!(settings.headers["x-org"], "7");
        assert!(!format!("{settings:?}").contains("pst"));
        let wrong = read(&[base, ("OTEL_EXPORTER_OTLP_HEADERS", "pst")]).unwrap_err();
        assert!(wrong.contains("OTEL_EXPORTER_OTLP_HEADERS") && !wrong.contains("pst"), "{wrong}");
    }

    #[test]
    fn what_cannot_be_is_said() {
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317");
        let wrong = read(&[base, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).unwrap_err();
        assert!(wrong.contains("http/protobuf") && wrong.contains("4318"), "{wrong}");
        assert!(read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318")]).is_err());
        assert!(read(&[base, ("OTEL_METRIC_EXPORT_INTERVAL", "often")]).is_err());
    }
}
