//! What a server's certificate has to prove, by `sslmode`.

use std::fs;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::address::{AddressError, Roots, TlsMode};

/// A TLS configuration that checks as much as the mode asks for.
pub(super) fn client_config(mode: TlsMode, roots: Roots) -> Result<ClientConfig, AddressError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| AddressError::Tls { reason: error.to_string() })?;
    let check = match mode {
        TlsMode::Disable | TlsMode::Prefer | TlsMode::Require => Check::Nothing(provider),
        TlsMode::VerifyCa | TlsMode::VerifyFull => {
            let trusted = Arc::new(load(roots)?);
            let full = WebPkiServerVerifier::builder_with_provider(trusted, provider)
                .build()
                .map_err(|error| AddressError::Tls { reason: error.to_string() })?;
            if mode == TlsMode::VerifyFull {
                return Ok(builder.with_webpki_verifier(full).with_no_client_auth());
            }
            Check::Authority(full)
        }
    };
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(check)).with_no_client_auth())
}

fn load(roots: Roots) -> Result<RootCertStore, AddressError> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::System => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if store.is_empty() {
                return Err(AddressError::NoSystemRoots);
            }
        }
        Roots::File(path) => {
            let wrong = |reason: String| AddressError::RootCertificates { path: path.clone(), reason };
            let pem = fs::read(&path).map_err(|error| wrong(error.to_string()))?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
                store.add(certificate).map_err(|error| wrong(error.to_string()))?;
            }
            if store.is_empty() {
                return Err(wrong("there is no certificate in it".to_owned()));
            }
        }
    }
    Ok(store)
}

/// The two weaker checks that `sslmode` knows. The handshake's signature is checked in either case.
#[derive(Debug)]
enum Check {
    /// Any certificate will do: against eavesdroppers, not against impostors.
    Nothing(Arc<CryptoProvider>),
    /// Any host of a trusted authority will do.
    Authority(Arc<WebPkiServerVerifier>),
}

impl ServerCertVerifier for Check {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self {
            Self::Nothing(_) => Ok(ServerCertVerified::assertion()),
            Self::Authority(full) => {
                match full.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
                    // The name is looked at last, when everything else was found good.
                    Err(Error::InvalidCertificate(
                        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
                    )) => Ok(ServerCertVerified::assertion()),
                    result => result,
                }
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self {
            Self::Nothing(provider) => rustls::crypto::verify_tls12_signature(
                message,
                certificate,
                signature,
                &provider.signature_verification_algorithms,
            ),
            Self::Authority(full) => full.verify_tls12_signature(message, certificate, signature),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self {
            Self::Nothing(provider) => rustls::crypto::verify_tls13_signature(
                message,
                certificate,
                signature,
                &provider.signature_verification_algorithms,
            ),
            Self::Authority(full) => full.verify_tls13_signature(message, certificate, signature),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        match self {
            Self::Nothing(provider) => provider.signature_verification_algorithms.supported_schemes(),
            Self::Authority(full) => full.supported_verify_schemes(),
        }
    }
}
