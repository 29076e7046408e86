//! The transport over the network: reqwest with rustls, one cookie store per system.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use reqwest::header::{HeaderName, HeaderValue};

use crate::remote::transport::{HttpRequest, HttpResponse, Transport, TransportError};

/// The largest answer that is read unless the manifest says otherwise.
pub const BODY_LIMIT: usize = 8 * 1024 * 1024;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How a system is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpOptions {
    /// HTTP/1.1 only: some gateways fail on HTTP/2.
    pub http1_only: bool,
    /// Bytes of an answer, decompressed.
    pub body_limit: usize,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self { http1_only: false, body_limit: BODY_LIMIT }
    }
}

/// Requests over the network. One per system: cookies and connections are kept in it.
#[derive(Clone)]
pub struct HttpTransport {
    client: reqwest::Client,
    body_limit: usize,
}

impl HttpTransport {
    /// # Errors
    /// When the TLS library cannot be set up (no readable root certificates).
    pub fn new(options: HttpOptions) -> Result<Self, TransportError> {
        // The second installation in a process fails, and is not needed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .cookie_store(true)
            .connect_timeout(CONNECT_TIMEOUT)
            // A redirected write would be sent again as something else; no API here needs redirects.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("rowtwin/", env!("CARGO_PKG_VERSION")));
        if options.http1_only {
            builder = builder.http1_only();
        }
        let client = builder
            .build()
            .map_err(|error| TransportError::NotSent { reason: innermost(&error.without_url()) })?;
        Ok(Self { client, body_limit: options.body_limit })
    }

    fn request(&self, request: HttpRequest) -> Result<reqwest::Request, TransportError> {
        let not_sent = |reason: &str| TransportError::NotSent { reason: reason.to_owned() };
        let method = reqwest::Method::from_bytes(request.method.as_bytes())
            .map_err(|_| not_sent("the manifest's method is not one of HTTP"))?;
        let mut builder = self.client.request(method, &request.url).timeout(request.timeout);
        for (name, value) in &request.headers {
            let header = HeaderName::from_bytes(name.as_bytes());
            let (Ok(header), Ok(mut value)) = (header, HeaderValue::from_str(value)) else {
                return Err(not_sent(&format!("header {name} cannot be written")));
            };
            value.set_sensitive(true);
            builder = builder.header(header, value);
        }
        if !request.body.is_empty() {
            builder = builder.body(request.body);
        }
        builder.build().map_err(|_| not_sent("the address is not a URL"))
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let request = self.request(request)?;
        let response = self.client.execute(request).await.map_err(failure)?;
        let status = response.status().as_u16();
        let headers = response.headers().iter().map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        let headers = headers.collect();
        let mut body = Vec::new();
        let mut stream = response.bytes_stream();
        while let Some(part) = stream.next().await {
            let part =
                part.map_err(|error| TransportError::Lost { reason: innermost(&error.without_url()) })?;
            if body.len() + part.len() > self.body_limit {
                return Err(TransportError::TooLarge { limit: self.body_limit });
            }
            body.extend_from_slice(&part);
        }
        Ok(HttpResponse { status, headers, body })
    }
}

/// A connection that was never made is the only failure after which nothing can have happened.
fn failure(error: reqwest::Error) -> TransportError {
    let connect = error.is_connect() || error.is_builder();
    let timeout = error.is_timeout();
    let reason = innermost(&error.without_url());
    match (connect, timeout) {
        (true, _) => TransportError::NotSent { reason },
        (false, true) => TransportError::Lost { reason: "no answer in time".to_owned() },
        (false, false) => TransportError::Lost { reason },
    }
}

/// The message of the error at the bottom, which names the cause.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

impl Transport for HttpTransport {
    fn send<'a>(&'a self, request: HttpRequest) -> BoxFuture<'a, Result<HttpResponse, TransportError>> {
        Box::pin(self.exchange(request))
    }
}
