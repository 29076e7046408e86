//! The socket: TCP, a Unix socket, or TLS over TCP; whole messages in, whole messages out.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{ErrorFields, ErrorResponseBody, Header, Message};
use postgres_protocol::message::frontend;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::config::Host;
use tokio_rustls::TlsConnector;

use super::error::{Phase, ServerError, StreamError};
use crate::postgres::{ConnectOptions, TlsMode};

/// How much is read at a time, and so about how much lies in memory unread.
const CHUNK: usize = 64 * 1024;

/// Postgres cannot send longer messages: a value is at most 1 GiB. Anything longer is not Postgres.
const LONGEST_MESSAGE: usize = 0x4000_0000 + CHUNK;

/// How long reaching a host may take when the address does not say.
const PATIENCE: Duration = Duration::from_secs(10);

trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// One message as it came.
#[derive(Debug)]
pub(super) struct RawMessage {
    pub(super) tag: u8,
    /// The whole of it, tag and length included.
    whole: BytesMut,
}

impl RawMessage {
    /// What comes after tag and length.
    pub(super) fn into_body(self) -> Bytes {
        let mut bytes = self.whole.freeze();
        bytes.split_off(bytes.len().min(5))
    }

    /// Reads it as one of the messages that ordinary connections know.
    pub(super) fn parse(mut self) -> Result<Message, StreamError> {
        let tag = char::from(self.tag);
        match Message::parse(&mut self.whole) {
            Ok(Some(message)) => Ok(message),
            _ => Err(StreamError::Protocol { what: format!("an unreadable message {tag:?}") }),
        }
    }
}

/// The connection to the server.
pub(super) struct Socket {
    transport: Box<dyn Transport>,
    incoming: BytesMut,
    /// What is still to be sent, so that a `send` that was dropped half-way leaves no torn message behind.
    outgoing: BytesMut,
}

impl Socket {
    /// Tries the hosts of the address one after the other.
    pub(super) async fn open(options: &ConnectOptions) -> Result<Socket, StreamError> {
        let config = options.config();
        let patience = config.get_connect_timeout().copied().unwrap_or(PATIENCE);
        let mut last = StreamError::Incomplete { what: "a host" };
        for (place, host) in config.get_hosts().iter().enumerate() {
            let ports = config.get_ports();
            let port = ports.get(place).or(ports.first()).copied().unwrap_or(5432);
            let address = match host {
                Host::Tcp(name) => format!("{name}:{port}"),
                #[cfg(unix)]
                Host::Unix(folder) => folder.join(format!(".s.PGSQL.{port}")).display().to_string(),
            };
            let fixed = config.get_hostaddrs().get(place).map(|ip| SocketAddr::new(*ip, port));
            let attempt = Self::open_host(options, host, &address, fixed, port);
            match tokio::time::timeout(patience, attempt).await {
                Ok(Ok(socket)) => return Ok(socket),
                Ok(Err(error)) => last = error,
                Err(_) => last = StreamError::NoAnswer { address, seconds: patience.as_secs() },
            }
        }
        Err(last)
    }

    async fn open_host(
        options: &ConnectOptions,
        host: &Host,
        address: &str,
        fixed: Option<SocketAddr>,
        port: u16,
    ) -> Result<Socket, StreamError> {
        let unreached = |source| StreamError::Connect { address: address.to_owned(), source };
        let name = match host {
            #[cfg(unix)]
            Host::Unix(_) => return Ok(Self::over(UnixStream::connect(address).await.map_err(unreached)?)),
            Host::Tcp(name) => name,
        };
        let tcp = match fixed {
            Some(fixed) => TcpStream::connect(fixed).await,
            None => TcpStream::connect((name.as_str(), port)).await,
        };
        let mut tcp = tcp.map_err(unreached)?;
        tcp.set_nodelay(true).map_err(unreached)?;
        if options.mode() == TlsMode::Disable {
            return Ok(Self::over(tcp));
        }
        let mut request = BytesMut::new();
        frontend::ssl_request(&mut request);
        tcp.write_all(&request).await.map_err(unreached)?;
        // Exactly one byte is read: bytes that somebody slipped in behind the answer are never taken for TLS's.
        match tcp.read_u8().await.map_err(unreached)? {
            b'S' => {}
            _ if options.mode() == TlsMode::Prefer => return Ok(Self::over(tcp)),
            _ => return Err(StreamError::NoTls { address: address.to_owned() }),
        }
        let failed = |source| StreamError::Tls { address: address.to_owned(), source };
        let server = ServerName::try_from(name.clone())
            .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidData, error)))?;
        let tls = TlsConnector::from(options.tls_config()).connect(server, tcp).await.map_err(failed)?;
        Ok(Self::over(tls))
    }

    fn over(transport: impl Transport + 'static) -> Socket {
        let incoming = BytesMut::with_capacity(CHUNK);
        Socket { transport: Box::new(transport), incoming, outgoing: BytesMut::new() }
    }

    /// The next message. May be dropped while it waits; nothing is lost then.
    pub(super) async fn receive(&mut self) -> Result<RawMessage, StreamError> {
        loop {
            if let Some(message) = self.take_message()? {
                return Ok(message);
            }
            match self.transport.read_buf(&mut self.incoming).await {
                Ok(0) => return Err(StreamError::Closed),
                Ok(_) => {}
                Err(source) => return Err(StreamError::Io { source }),
            }
        }
    }

    fn take_message(&mut self) -> Result<Option<RawMessage>, StreamError> {
        let unframed = || StreamError::Protocol { what: "a message of impossible length".to_owned() };
        let Some(header) = Header::parse(&self.incoming).map_err(|_| unframed())? else {
            self.incoming.reserve(CHUNK);
            return Ok(None);
        };
        let length = usize::try_from(header.len()).ok().map_or(usize::MAX, |length| length.saturating_add(1));
        if length > LONGEST_MESSAGE {
            return Err(unframed());
        }
        if self.incoming.len() < length {
            // Room grows with what has arrived, not with what a header promises.
            let missing = length - self.incoming.len();
            self.incoming.reserve(missing.min(CHUNK.max(self.incoming.len())));
            return Ok(None);
        }
        Ok(Some(RawMessage { tag: header.tag(), whole: self.incoming.split_to(length) }))
    }

    /// What is put here is sent by the next [`Socket::send`].
    pub(super) fn outgoing(&mut self) -> &mut BytesMut {
        &mut self.outgoing
    }

    /// Sends what is to be sent. May be dropped while it waits; the next one goes on where this one was.
    pub(super) async fn send(&mut self) -> Result<(), StreamError> {
        let broken = |source| StreamError::Io { source };
        while !self.outgoing.is_empty() {
            if self.transport.write_buf(&mut self.outgoing).await.map_err(broken)? == 0 {
                return Err(StreamError::Closed);
            }
        }
        self.transport.flush().await.map_err(broken)
    }
}

/// Keeps of a server's error what may be shown: its detail and context can quote rows.
pub(super) fn server_error(phase: Phase, body: &ErrorResponseBody, slot: Option<&str>) -> StreamError {
    StreamError::Server(read_error(phase, body.fields(), slot))
}

/// The same of an error or a notice, which have the same form.
pub(super) fn read_error(phase: Phase, mut fields: ErrorFields<'_>, slot: Option<&str>) -> ServerError {
    let (mut code, mut message, mut hint) = (String::new(), String::new(), None);
    while let Ok(Some(field)) = fields.next() {
        let value = String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'C' => code = value,
            b'M' => message = value,
            b'H' => hint = Some(value),
            _ => {}
        }
    }
    ServerError::new(phase, code, message, hint, slot)
}
