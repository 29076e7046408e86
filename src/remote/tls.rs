//! What a system asks of TLS beyond the usual: a certificate of the client's own, and an authority of its own.
//!
//! The files are read once, when a system is opened: renewed files are taken at the next start.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, InconsistentKeys};
use x509_cert::der::{DateTime, Decode as _};

/// A certificate that ends sooner than this is told about.
const SOON_DAYS: i64 = 30;

/// Where the parts of a system's TLS lie; all in PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The client's own certificate, and those between it and its authority.
    pub certificate: Option<PathBuf>,
    /// Its private key; in the file of the certificate when left out.
    pub key: Option<PathBuf>,
    /// The authorities of the system's certificate, instead of those that the machine trusts.
    pub ca: Option<PathBuf>,
}

/// Why a file cannot be used. Nothing of a key is in it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    #[error("{path} cannot be read ({reason}); correct the path, or let the user that runs rowtwin read it")]
    Unreadable { path: String, reason: String },
    #[error("there is no certificate in {path}; it must be PEM, with BEGIN CERTIFICATE in it")]
    NoCertificate { path: String },
    #[error("there is no private key in {path}; it must be PEM, with BEGIN PRIVATE KEY in it")]
    NoKey { path: String },
    #[error("the private key in {path} is encrypted; decrypt it with: openssl pkey -in {path} -out NEW_FILE")]
    Encrypted { path: String },
    #[error("what {path} holds cannot be used ({reason}); ask for it again from whoever issued it")]
    Unusable { path: String, reason: String },
    #[error(
        "the key in {key} does not fit the first certificate in {certificate}; name the key that it was made with, and let the client's own certificate stand first"
    )]
    DoesNotFit { certificate: String, key: String },
}

/// TLS of one system, ready for use.
#[derive(Clone)]
pub struct Tls {
    pub(super) identity: Option<reqwest::Identity>,
    pub(super) authorities: Vec<reqwest::Certificate>,
    /// When the client's certificate begins to hold, and when it ends.
    validity: Option<(Timestamp, Timestamp)>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// Every file that cannot be used, with what to do.
    pub fn read(files: &TlsFiles) -> Result<Self, Vec<TlsError>> {
        let mut errors = Vec::new();
        let mut tls = Self { identity: None, authorities: Vec::new(), validity: None };
        if let Some(certificate) = &files.certificate {
            let key = files.key.as_ref().unwrap_or(certificate);
            match read_identity(certificate, key) {
                Ok((identity, validity)) => {
                    tls.identity = Some(identity);
                    tls.validity = Some(validity);
                }
                Err(error) => errors.push(error),
            }
        }
        if let Some(ca) = &files.ca {
            match read_authorities(ca) {
                Ok(authorities) => tls.authorities = authorities,
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(tls) } else { Err(errors) }
    }

    /// What is to be told of the client's certificate at this moment: `Err` if it does not hold, `Ok` with when it
    /// ends otherwise; `None` where there is none.
    pub fn holds(&self, now: Timestamp) -> Option<Result<String, String>> {
        let (from, until) = self.validity?;
        Some(if now < from {
            Err(format!("the client certificate holds from {from} on only; correct the clock, or wait"))
        } else if now > until {
            Err(format!("the client certificate ended at {until}; renew it, then restart rowtwin"))
        } else {
            Ok(format!("the client certificate holds until {until}"))
        })
    }

    /// Whether the client's certificate ends within a month.
    pub fn ends_soon(&self, now: Timestamp) -> bool {
        self.validity.is_some_and(|(_, until)| until.duration_since(now).as_hours() < SOON_DAYS * 24)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable =
        |error: std::io::Error| TlsError::Unreadable { path: shown(path), reason: error.to_string() };
    std::fs::read(path).map_err(unreadable)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unusable =
        |reason: &dyn std::fmt::Display| TlsError::Unusable { path: shown(path), reason: reason.to_string() };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| unusable(&error))?;
    if found.is_empty() {
        return Err(TlsError::NoCertificate { path: shown(path) });
    }
    Ok(found)
}

type Validity = (Timestamp, Timestamp);

fn read_identity(certificate: &Path, key: &Path) -> Result<(reqwest::Identity, Validity), TlsError> {
    let mut pem = read(certificate)?;
    let chain = certificates(certificate, &pem)?;
    let unusable = |path: &Path, reason: String| TlsError::Unusable { path: shown(path), reason };
    let validity = chain.first().map(validity).transpose();
    let validity = validity.map_err(|reason| unusable(certificate, reason))?.unwrap_or_default();
    let key_pem = read(key)?;
    let Ok(der) = PrivateKeyDer::from_pem_slice(&key_pem) else {
        let text = String::from_utf8_lossy(&key_pem);
        return Err(match text.contains("ENCRYPTED") {
            true => TlsError::Encrypted { path: shown(key) },
            false => TlsError::NoKey { path: shown(key) },
        });
    };
    match CertifiedKey::from_der(chain, der, &ring::default_provider()) {
        Ok(_) => {}
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            return Err(TlsError::DoesNotFit { certificate: shown(certificate), key: shown(key) });
        }
        Err(error) => return Err(unusable(key, error.to_string())),
    }
    if key != certificate {
        pem.push(b'\n');
        pem.extend(key_pem);
    }
    let identity = reqwest::Identity::from_pem(&pem);
    Ok((identity.map_err(|error| unusable(certificate, error.to_string()))?, validity))
}

fn validity(certificate: &CertificateDer<'_>) -> Result<Validity, String> {
    let parsed = x509_cert::Certificate::from_der(certificate).map_err(|error| error.to_string())?;
    let validity = parsed.tbs_certificate.validity;
    let moment = |time: DateTime| {
        let seconds = i64::try_from(time.unix_duration().as_secs()).unwrap_or(i64::MAX);
        Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
    };
    Ok((moment(validity.not_before.to_date_time()), moment(validity.not_after.to_date_time())))
}

fn read_authorities(path: &Path) -> Result<Vec<reqwest::Certificate>, TlsError> {
    let pem = read(path)?;
    let found = certificates(path, &pem)?;
    let made: Result<Vec<_>, _> =
        found.iter().map(|certificate| reqwest::Certificate::from_der(certificate)).collect();
    made.map_err(|error| TlsError::Unusable { path: shown(path), reason: error.to_string() })
}

/// What the other side, or we, did not like about a certificate, in plain words with the cure. In each case no
/// request was heard: TLS was not even set up.
pub(super) fn refusal(error: &rustls::Error) -> Option<String> {
    use AlertDescription as Alert;
    match error {
        rustls::Error::AlertReceived(Alert::CertificateRequired | Alert::NoCertificate) => Some(
            "the system asks for a client certificate; name it with http.certificate and http.key".to_owned(),
        ),
        rustls::Error::AlertReceived(
            alert @ (Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError),
        ) => Some(format!(
            "the system does not take the client certificate ({alert:?}); look at http.certificate, and ask the system's people which one they expect"
        )),
        rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer) => Some(
            "the system's certificate is from an authority that is not trusted here; name that authority's certificate with http.ca".to_owned(),
        ),
        _ => None,
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
