//! Certificates, against a server of TLS that asks for one, and an authority of the tests' own.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::RootCertStore;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::WebPkiClientVerifier;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::remote::http::{HttpOptions, HttpTransport};
use crate::remote::transport::{HttpRequest, Transport as _, TransportError};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority")
}

/// A certificate and its key, in PEM.
fn issued(by: &Authority, ends: i32) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(ends, 1, 1);
    let certificate = params.signed_by(&key, by).expect("a certificate");
    (certificate.pem(), key.serialize_pem())
}

/// What the files of one system hold.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).expect("a file");
        path
    }
}

/// A server on loopback that asks for a certificate of `trusted`, and says hi to who has one.
async fn server(
    own: &Authority,
    trusted: &Authority,
    version: &'static rustls::SupportedProtocolVersion,
) -> String {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(trusted.der().clone()).expect("an authority");
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
    let (certificate, key) = issued(own, 2100);
    let key = KeyPair::from_pem(&key).expect("a key");
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate")];
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .expect("a version")
        .with_client_cert_verifier(verifier.expect("a verifier"))
        .with_single_cert(chain, PrivatePkcs8KeyDer::from(key.serialize_der()).into())
        .expect("a server");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://localhost:{}/", listener.local_addr().expect("an address").port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let mut stream = match acceptor.accept(stream).into_fallible().await {
                Ok(stream) => stream,
                Err((_, mut stream)) => {
                    // What the client has already written is read, or closing would cut off what it is told.
                    let _ = stream.shutdown().await;
                    while stream.read(&mut request).await.is_ok_and(|read| read > 0) {}
                    continue;
                }
            };
            let _ = stream.read(&mut request).await;
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi")
                .await;
            let _ = stream.shutdown().await;
        }
    });
    url
}

async fn ask(url: &str, files: &TlsFiles) -> Result<u16, TransportError> {
    let tls = Tls::read(files).expect("files that can be used");
    let options = HttpOptions { http1_only: true, ..HttpOptions::default() };
    let transport = HttpTransport::with_tls(options, Some(tls)).expect("a transport");
    let request = HttpRequest {
        method: "POST".to_owned(),
        url: url.to_owned(),
        headers: Vec::new(),
        body: b"{}".to_vec(),
        timeout: Duration::from_secs(20),
    };
    transport.send(request).await.map(|response| response.status)
}

fn not_sent(answer: Result<u16, TransportError>) -> String {
    match answer {
        Err(TransportError::NotSent { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_client_with_its_certificate_is_let_in_and_others_are_surely_not_heard() {
    let (ours, theirs, strange) = (authority(), authority(), authority());
    let folder = Folder::new();
    let ca = Some(folder.put("ca.pem", &theirs.pem()));
    let files = |name: &str, by: &Authority, ends: i32| {
        let (certificate, key) = issued(by, ends);
        TlsFiles {
            certificate: Some(folder.put(&format!("{name}.pem"), &certificate)),
            key: Some(folder.put(&format!("{name}.key"), &key)),
            ca: ca.clone(),
        }
    };
    let (good, other, ended) =
        (files("good", &ours, 2100), files("other", &strange, 2100), files("ended", &ours, 2021));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let url = server(&theirs, &ours, version).await;
        assert_eq!(ask(&url, &good).await, Ok(200), "{version:?}");
        let without = TlsFiles { ca: ca.clone(), ..TlsFiles::default() };
        let reason = not_sent(ask(&url, &without).await);
        assert!(reason.contains("http.certificate"), "{version:?}: {reason}");
        for files in [&other, &ended] {
            let reason = not_sent(ask(&url, files).await);
            assert!(reason.contains("does not take the client certificate"), "{version:?}: {reason}");
        }
        let unknown = TlsFiles { ca: None, ..good.clone() };
        let reason = not_sent(ask(&url, &unknown).await);
        assert!(reason.contains("name that authority's certificate with http.ca"), "{version:?}: {reason}");
    }
    let now = "2026-11-23T00:00:00Z".parse().expect("a moment");
    let holds = |files: &TlsFiles| Tls::read(files).expect("files").holds(now).expect("a certificate");
    let said = holds(&ended).expect_err("it has ended");
    assert!(said.contains("ended at 2021-01-01T00:00:00Z; renew it, then restart rowtwin"), "{said}");
    assert_eq!(holds(&good), Ok("the client certificate holds until 2100-01-01T00:00:00Z".to_owned()));
    let tls = Tls::read(&good).expect("files");
    assert!(!tls.ends_soon(now) && tls.ends_soon("2099-12-15T00:00:00Z".parse().expect("a moment")));
    assert!(tls.holds("2019-01-01T00:00:00Z".parse().expect("a moment")).is_some_and(|said| said.is_err()));
}

#[test]
fn a_renewed_file_is_read_at_the_next_start() {
    let ours = authority();
    let folder = Folder::new();
    // certificate and key in one file, as some authorities give them
    let put = |ends| {
        let (certificate, key) = issued(&ours, ends);
        folder.put("both.pem", &format!("{key}{certificate}{}", ours.pem()))
    };
    let files = TlsFiles { certificate: Some(put(2027)), ..TlsFiles::default() };
    let now = "2026-11-23T00:00:00Z".parse().expect("a moment");
    let until =
        || Tls::read(&files).expect("one file will do").holds(now).expect("a certificate").expect("it holds");
    assert!(until().ends_with("2027-01-01T00:00:00Z"));
    put(2028);
    assert!(until().ends_with("2028-01-01T00:00:00Z"));
}

#[test]
fn each_file_that_cannot_be_used_is_told_with_its_cure() {
    let ours = authority();
    let folder = Folder::new();
    let (certificate, key) = issued(&ours, 2100);
    let (_, another) = issued(&ours, 2100);
    let certificate = folder.put("client.pem", &certificate);
    let said = |certificate: &PathBuf, key: Option<&PathBuf>, ca: Option<&PathBuf>| {
        let files = TlsFiles { certificate: Some(certificate.clone()), key: key.cloned(), ca: ca.cloned() };
        let errors = Tls::read(&files).map(|_| ()).expect_err("it cannot be used");
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let nowhere = folder.0.path().join("nowhere");
    let words = folder.put("words", "hello");
    let encrypted = folder.put(
        "encrypted",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let broken = folder.put("broken", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
    let key = folder.put("client.key", &key);
    let another = folder.put("another.key", &another);
    let both = said(&nowhere, None, Some(&words));
    assert!(
        both.contains("nowhere cannot be read (No such file") && both.contains("no certificate in"),
        "{both}"
    );
    assert!(both.contains("correct the path, or let the user that runs rowtwin read it"), "{both}");
    assert!(said(&words, Some(&key), None).contains("there is no certificate in"));
    assert!(said(&certificate, None, None).contains("there is no private key in"));
    assert!(said(&certificate, Some(&encrypted), None).contains("openssl pkey -in"));
    assert!(said(&broken, Some(&key), None).contains("cannot be used"));
    let unfit = said(&certificate, Some(&another), None);
    assert!(
        unfit.contains("does not fit the first certificate in") && unfit.contains("another.key"),
        "{unfit}"
    );
    for text in [both, unfit] {
        assert!(!text.contains("PRIVATE KEY-----"), "{text}");
    }
}
