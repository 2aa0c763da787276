//! TLS of our own: 1.2 and 1.3 by rustls on ring, with a certificate that is read again when its files change.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use tokio_rustls::TlsAcceptor;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        error: std::io::Error,
    },
    /// A file holds no such thing.
    #[error("{} holds no {what} in PEM", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// Certificate or private key.
        what: &'static str,
    },
    /// The two do not go together, or are of a kind that is not known.
    #[error("certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// A certificate and its key, in their files.
#[derive(Debug, Clone)]
pub struct CertificateFiles {
    /// The certificate and those that lead to its root, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

/// What makes TLS of connections.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    files: CertificateFiles,
    current: Arc<Current>,
}

impl Tls {
    /// Reads the certificate.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn open(files: CertificateFiles) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let read = Read::of(&files)?;
        let key = read.parse(&files, &provider)?;
        let current =
            Arc::new(Current { state: RwLock::new((read, Arc::new(key))), provider: Arc::clone(&provider) });
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Current>::clone(&current);
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), files, current })
    }

    /// What takes connections.
    pub fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    /// Looks at the files again and again, for as long as it is awaited. A pair that cannot be used changes nothing: who
    /// renews a certificate writes one file after the other.
    pub async fn follow(self) {
        let mut last_fault = None;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let tls = self.clone();
            // In a task of its own: where the system has no thread for it, this panics.
            let look = tokio::spawn(async { tokio::task::spawn_blocking(move || tls.look_again()).await });
            let Ok(Ok(outcome)) = look.await else { continue };
            let fault = match outcome {
                Ok(true) => {
                    tracing::info!("the certificate was read again");
                    None
                }
                Ok(false) => None,
                Err(error) => Some(error.to_string()),
            };
            if let Some(fault) = fault.as_ref().filter(|_| fault != last_fault) {
                tracing::warn!(fault, "the certificate stays as it was: {fault}");
            }
            last_fault = fault;
        }
    }

    fn look_again(&self) -> Result<bool, TlsError> {
        let read = Read::of(&self.files)?;
        if self.current.state.read().unwrap_or_else(PoisonError::into_inner).0 == read {
            return Ok(false);
        }
        let key = Arc::new(read.parse(&self.files, &self.current.provider)?);
        *self.current.state.write().unwrap_or_else(PoisonError::into_inner) = (read, key);
        Ok(true)
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

/// What the files held when they were last read.
#[derive(PartialEq, Eq)]
struct Read {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Read {
    fn of(files: &CertificateFiles) -> Result<Self, TlsError> {
        let read = |path: &Path| {
            fs::read(path).map_err(|error| TlsError::Unreadable { path: path.to_owned(), error })
        };
        Ok(Self { certificate: read(&files.certificate)?, key: read(&files.key)? })
    }

    fn parse(&self, files: &CertificateFiles, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
        let empty = |path: &PathBuf, what| TlsError::Empty { path: path.clone(), what };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.certificate).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain.ok_or_else(|| empty(&files.certificate, "certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| empty(&files.key, "private key"))?;
        Ok(CertifiedKey::from_der(chain, key, provider)?)
    }
}

/// The certificate in force.
struct Current {
    state: RwLock<(Read, Arc<CertifiedKey>)>,
    provider: Arc<CryptoProvider>,
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner).1))
    }
}

impl std::fmt::Debug for Current {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Current(…)")
    }
}
