//! Addresses: `postgres://user:password@host:port/database?sslmode=verify-full&sslrootcert=/etc/ca.pem`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::tls;

/// How much the connection is protected; the words are those of `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// Never encrypted.
    Disable,
    /// Encrypted if the server offers it; the server is not checked.
    Prefer,
    /// Encrypted or not at all; the server is not checked, unless `sslrootcert` is given (then as `VerifyCa`).
    Require,
    /// The server's certificate must come from a trusted authority.
    VerifyCa,
    /// And it must be made out to the host that we call.
    VerifyFull,
}

impl TlsMode {
    fn from_word(word: &str) -> Option<TlsMode> {
        Some(match word {
            "disable" => Self::Disable,
            // `allow` tries without TLS first; a server that offers it is better met with it.
            "allow" | "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return None,
        })
    }

    fn for_client(self) -> SslMode {
        match self {
            Self::Disable => SslMode::Disable,
            Self::Prefer => SslMode::Prefer,
            Self::Require | Self::VerifyCa | Self::VerifyFull => SslMode::Require,
        }
    }
}

/// Where trusted authorities are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Roots {
    System,
    File(PathBuf),
}

/// Why an address cannot be used. Never holds the address, which may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    #[error("the database address is not a URL: write it as postgres://user:password@host:port/database")]
    NotAUrl,
    /// The client library's own reason.
    #[error("the database address cannot be used: {reason}")]
    Unreadable { reason: String },
    #[error(
        "the database address has sslmode={word}: choose disable, allow, prefer, require, verify-ca or verify-full"
    )]
    UnknownMode { word: String },
    #[error("the parameter {name} of the database address is not text in percent-encoding")]
    BadEncoding { name: String },
    #[error("sslrootcert={path}: {reason}; name a file of certificates in PEM, or the word system")]
    RootCertificates { path: PathBuf, reason: String },
    #[error(
        "this system lists no trusted certificate authorities: install ca-certificates, or set sslrootcert"
    )]
    NoSystemRoots,
    #[error("TLS cannot be set up: {reason}")]
    Tls { reason: String },
}

/// How to reach a database, for ordinary connections and the replication stream.
#[derive(Clone)]
pub struct ConnectOptions {
    config: Config,
    mode: TlsMode,
    tls: Arc<rustls::ClientConfig>,
}

/// The password is not shown.
impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("hosts", &self.config.get_hosts())
            .field("ports", &self.config.get_ports())
            .field("database", &self.config.get_dbname())
            .field("user", &self.config.get_user())
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

impl ConnectOptions {
    /// What `tokio-postgres` and its pools take, `sslmode` included.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The same to be changed, for example to name the application.
    pub fn config_mut(&mut self) -> &mut Config {
        &mut self.config
    }

    /// What `tokio-postgres` and its pools take for TLS.
    pub fn tls(&self) -> MakeRustlsConnect {
        MakeRustlsConnect::new(self.tls.as_ref().clone())
    }

    /// How much the connection is protected.
    pub fn mode(&self) -> TlsMode {
        self.mode
    }

    pub(crate) fn tls_config(&self) -> Arc<rustls::ClientConfig> {
        Arc::clone(&self.tls)
    }
}

/// Reads an address as libpq writes it, and prepares TLS for it.
///
/// Beyond what `tokio-postgres` knows, it understands `sslmode=allow|verify-ca|verify-full` and `sslrootcert`.
///
/// # Errors
/// [`AddressError`], without the address.
pub fn connect_options(url: &str) -> Result<ConnectOptions, AddressError> {
    if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
        return Err(AddressError::NotAUrl);
    }
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut mode, mut roots, mut rest) = (None, None, Vec::new());
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match name {
            "sslmode" => {
                let word = decode(name, value)?;
                let known = TlsMode::from_word(&word).ok_or(AddressError::UnknownMode { word })?;
                mode = Some(known);
            }
            "sslrootcert" => {
                let path = decode(name, value)?;
                roots = Some(if path == "system" { Roots::System } else { Roots::File(path.into()) });
            }
            _ => rest.push(parameter),
        }
    }
    let address = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
    let mut config = Config::from_str(&address).map_err(|error| {
        use std::error::Error as _;
        let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        AddressError::Unreadable { reason }
    })?;
    // As in libpq: trusting the system's authorities makes sense only together with the host's name.
    let weakest = if roots == Some(Roots::System) { TlsMode::VerifyFull } else { TlsMode::Prefer };
    let mut mode = mode.unwrap_or(weakest);
    if mode == TlsMode::Require && roots.is_some() {
        mode = TlsMode::VerifyCa;
    }
    config.ssl_mode(mode.for_client());
    let tls = tls::client_config(mode, roots.unwrap_or(Roots::System))?;
    Ok(ConnectOptions { config, mode, tls: Arc::new(tls) })
}

fn decode(name: &str, value: &str) -> Result<String, AddressError> {
    let wrong = || AddressError::BadEncoding { name: name.to_owned() };
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_first_chunk::<2>().ok_or_else(wrong)?;
        bytes.extend(hex::decode(digits).map_err(|_| wrong())?);
        rest = after;
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_modes_of_libpq_are_understood() {
        for (query, expected) in [
            ("", TlsMode::Prefer),
            ("?sslmode=disable", TlsMode::Disable),
            ("?sslmode=allow", TlsMode::Prefer),
            ("?application_name=x&sslmode=require", TlsMode::Require),
        ] {
            let options = connect_options(&format!("postgres://u:p%40@h:1/d{query}")).unwrap();
            assert_eq!(options.mode(), expected, "{query}");
            assert_eq!(options.config().get_password(), Some(b"p@".as_slice()));
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for (url, word) in [
            ("host=h password=secret", "postgres://"),
            ("postgres://u:secret@h/d?sslmode=maybe", "sslmode=maybe"),
            ("postgres://u:secret@h/d?sslrootcert=%zz", "sslrootcert"),
            ("postgres://u:secret@h/d?sslmode=verify-full&sslrootcert=/no/such/file", "/no/such/file"),
            ("postgres://u:secret@h:port/d", "port"),
            ("postgres://u:secret@h/d?colour=blue", "colour"),
        ] {
            let error = connect_options(url).unwrap_err().to_string();
            assert!(error.contains(word) && !error.contains("secret"), "{error}");
        }
        let shown = format!("{:?}", connect_options("postgres://u:secret@h/d").unwrap());
        assert!(shown.contains('h') && !shown.contains("secret"), "{shown}");
    }
}
