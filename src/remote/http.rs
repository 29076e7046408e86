//! The transport over the network: reqwest with rustls, one cookie store per system.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use reqwest::header::{HeaderName, HeaderValue};

use crate::remote::lease;
use crate::remote::tls::{self, Tls};
use crate::remote::transport::{HttpRequest, HttpResponse, Transport, TransportError};

/// The largest answer that is read unless the manifest says otherwise.
pub const BODY_LIMIT: usize = 8 * 1024 * 1024;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

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
        Self::with_tls(options, None)
    }

    /// With certificates of one's own.
    ///
    /// # Errors
    /// When the TLS library cannot be set up with them.
    pub fn with_tls(options: HttpOptions, tls: Option<Tls>) -> Result<Self, TransportError> {
        // The second installation in a process fails, and is not needed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .cookie_store(true)
            .connect_timeout(CONNECT_TIMEOUT)
            // Shorter than servers keep theirs: a write on a connection that just closed would be in doubt.
            .pool_idle_timeout(IDLE_TIMEOUT)
            // A redirected write would be sent again as something else; no API here needs redirects.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("rowtwin/", env!("CARGO_PKG_VERSION")));
        if options.http1_only {
            builder = builder.http1_only();
        }
        if let Some(tls) = tls {
            if let Some(identity) = tls.identity {
                builder = builder.identity(identity);
            }
            if !tls.authorities.is_empty() {
                builder = builder.tls_certs_only(tls.authorities);
            }
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
        // a process that was paused has lost its lease: somebody else may be sending the same
        if !lease::holds() {
            return Err(TransportError::NotSent { reason: "the lease ran out before the call".to_owned() });
        }
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
    let error = error.without_url();
    // With TLS 1.3 a client's certificate is refused after the request was written, but before it was heard.
    if let Some(reason) = refused_certificate(&error) {
        return TransportError::NotSent { reason };
    }
    let reason = innermost(&error);
    match (connect, timeout) {
        (true, _) => TransportError::NotSent { reason },
        (false, true) => TransportError::Lost { reason: "no answer in time".to_owned() },
        (false, false) => TransportError::Lost { reason },
    }
}

/// The words for a certificate that one side refused, if that is what is at the bottom of the error.
fn refused_certificate(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        // An error of IO does not name the error in it as its source.
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let found = inner.and_then(|inner| inner.downcast_ref()).or_else(|| error.downcast_ref());
        if let Some(reason) = found.and_then(tls::refusal) {
            return Some(reason);
        }
        next = inner.map(|inner| inner as &(dyn std::error::Error + 'static)).or_else(|| error.source());
    }
    None
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// A server on loopback that reads one request per connection and writes back the given bytes.
    async fn server(answers: Vec<&'static [u8]>) -> (String, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let served = tokio::spawn(async move {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let mut request = vec![0; 4096];
                let read = stream.read(&mut request).await.expect("a request");
                request.truncate(read);
                asked.push(String::from_utf8_lossy(&request).into_owned());
                stream.write_all(answer).await.expect("an answer");
            }
            asked
        });
        (url, served)
    }

    fn request(url: &str) -> HttpRequest {
        HttpRequest {
            method: "POST".to_owned(),
            url: url.to_owned(),
            headers: vec![("X-Kd-Appkey".to_owned(), "key".to_owned())],
            body: b"{}".to_vec(),
            timeout: Duration::from_secs(20),
        }
    }

    fn transport(body_limit: usize) -> HttpTransport {
        HttpTransport::new(HttpOptions { http1_only: true, body_limit }).expect("a transport")
    }

    #[tokio::test]
    async fn answers_are_read_whole_and_cookies_go_back() {
        let (url, served) = server(vec![
            b"HTTP/1.1 200 OK\r\nSet-Cookie: kdservice-sessionid=SID\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
            b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        ])
        .await;
        let transport = transport(100);
        let first = transport.send(request(&url)).await.expect("an answer");
        assert_eq!((first.status, first.body.as_slice()), (200, b"hi".as_slice()));
        let second = transport.send(request(&url)).await.expect("an answer");
        assert_eq!((second.status, second.header("location")), (302, Some("/elsewhere")));
        let asked = served.await.expect("served");
        assert!(
            asked[0].starts_with("POST / HTTP/1.1\r\n") && asked[0].contains("x-kd-appkey: key"),
            "{asked:?}"
        );
        assert!(asked[1].contains("cookie: kdservice-sessionid=SID"), "{asked:?}");
    }

    #[tokio::test]
    async fn only_a_connection_that_was_never_made_is_surely_not_done() {
        let transport = transport(10);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let closed = format!("http://{}/", listener.local_addr().expect("an address"));
        drop(listener);
        let refused = transport.send(request(&closed)).await.expect_err("refused");
        assert!(matches!(refused, TransportError::NotSent { .. }), "{refused:?}");
        let nowhere = transport.send(request("not a url")).await.expect_err("no URL");
        assert!(matches!(nowhere, TransportError::NotSent { .. }), "{nowhere:?}");

        let (url, _served) = server(vec![b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi"]).await;
        for _ in 0..2 {
            let cut = transport.send(request(&url)).await.expect_err("cut");
            assert!(matches!(cut, TransportError::Lost { .. }), "{cut:?}");
        }
    }

    #[tokio::test]
    async fn an_answer_has_an_end_in_size_and_time() {
        let (url, _served) =
            server(vec![b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 12\r\n\r\nhello, world"])
                .await;
        let large = transport(10).send(request(&url)).await.expect_err("too large");
        assert_eq!(large, TransportError::TooLarge { limit: 10 });

        let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", silent.local_addr().expect("an address"));
        let hasty = HttpRequest { timeout: Duration::from_millis(50), ..request(&url) };
        let late = transport(10).send(hasty).await.expect_err("too late");
        assert_eq!(late, TransportError::Lost { reason: "no answer in time".to_owned() });
    }
}
