//! TLS: who cannot prove the name in the URL gets nothing.

use std::sync::Arc;

use farthing::webhook::{Attempt, Failure, Sender};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{Names, rules, send};

/// Certificates of an authority of this test, and the roots that trust it.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    roots: RootCertStore,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(issuer.der().clone()).unwrap();
        Self { issuer, roots }
    }

    fn certificate(&self, name: &str, expired: bool) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if expired {
            params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        }
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.der().clone(), PrivateKeyDer::Pkcs8(key.serialize_der().into()))
    }
}

/// Sends to `https://shop.example.com`, where a server shows this certificate.
async fn send_to(
    certificate: (CertificateDer<'static>, PrivateKeyDer<'static>),
    roots: RootCertStore,
) -> Attempt {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.0], certificate.1)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let Ok(mut stream) = acceptor.accept(stream).await else { return };
        let _ = stream.read(&mut [0; 4_096]).await;
        let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
        let _ = stream.shutdown().await;
    });
    let names = Arc::new(Names::default());
    names.set("shop.example.com", &[&["127.0.0.1"]]);
    let sender = Sender::new(rules(true, vec![port]), names, roots).unwrap();
    send(&sender, &format!("https://shop.example.com:{port}/hook")).await
}

#[tokio::test]
async fn a_certificate_must_prove_the_name() {
    let authority = Authority::new();
    let good = send_to(authority.certificate("shop.example.com", false), authority.roots.clone()).await;
    assert_eq!(good.outcome.unwrap().status, 204);

    let other_name = authority.certificate("other.example.com", false);
    let expired = authority.certificate("shop.example.com", true);
    let stranger = Authority::new().certificate("shop.example.com", false);
    for bad in [other_name, expired, stranger] {
        assert_eq!(send_to(bad, authority.roots.clone()).await.outcome, Err(Failure::Tls));
    }
    let good = authority.certificate("shop.example.com", false);
    assert_eq!(send_to(good, RootCertStore::empty()).await.outcome, Err(Failure::Tls), "without roots");
}
