//! One request and its answer, as bytes; and whether a request that failed may have had its effect.

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;

/// A request, complete. Its Debug form holds neither headers nor body: they carry secrets and values.
#[derive(Clone, PartialEq)]
pub struct HttpRequest {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// From the start of the connection to the last byte of the answer.
    pub timeout: Duration,
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url.split('?').next().unwrap_or_default();
        f.debug_struct("HttpRequest")
            .field("method", &self.method)
            .field("url", &url)
            .field("headers", &self.headers.len())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// An answer, read to its end.
#[derive(Clone, PartialEq)]
pub struct HttpResponse {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// The first header of this name, written in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpResponse")
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Why there is no answer. The reasons hold no URL's query, no header and no body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// Surely not done: the request never reached the remote.
    #[error("the system cannot be reached: {reason}")]
    NotSent { reason: String },
    /// The request went out and no answer came: it may have been done.
    #[error("the answer was lost: {reason}")]
    Lost { reason: String },
    /// The answer is larger than the manifest's `body_limit`: the request was done or not, but was answered.
    #[error("the answer is larger than {limit} bytes; raise http.body_limit or ask for smaller pages")]
    TooLarge { limit: usize },
}

/// What carries requests: the network, or a script in tests.
pub trait Transport: Send + Sync {
    fn send<'a>(&'a self, request: HttpRequest) -> BoxFuture<'a, Result<HttpResponse, TransportError>>;
}
