//! Connections: what a URL says, TLS, the pools, and the settings without which no payment is durable.
//!
//! `sslmode` is as in libpq: `disable`, `prefer` (the default: encrypted if the server can, its certificate not
//! checked), `require` (encrypted, not checked), `verify-ca` and `verify-full` (checked against `sslrootcert`, or the
//! system's roots). Several hosts and `target_session_attrs=read-write` follow a leader.

use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::str::FromStr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::runtime::Handle;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::fault::{Fault, describe};
use super::statements;
use crate::store::OpenError;

/// How long making a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a request waits for a connection of the pool.
const POOL_TIMEOUT: Duration = Duration::from_secs(4);

/// Where a ledger on PostgreSQL is, and how it is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresSettings {
    /// The URL of the role that serves.
    pub url: String,
    /// The URL of the role that owns the tables, if it is another.
    pub migration_url: Option<String>,
    /// Connections that one node keeps at most; at least 3.
    pub connections: usize,
    /// How many of them write batches at the same time.
    pub writers: usize,
    /// After how many milliseconds the server ends a statement, a wait for a lock, or a transaction that its node left.
    pub statement_timeout_ms: u64,
}

impl PostgresSettings {
    /// The database at that URL, with the defaults of the configuration.
    pub fn at(url: &str) -> Self {
        let url = url.to_owned();
        Self { url, migration_url: None, connections: 8, writers: 1, statement_timeout_ms: 5_000 }
    }
}

impl fmt::Debug for PostgresSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresSettings").field("connections", &self.connections).finish_non_exhaustive()
    }
}

/// How the server's certificate is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    Nothing,
    Chain,
    ChainAndName,
}

/// What a URL says.
struct Parsed {
    config: tokio_postgres::Config,
    check: Check,
    root_file: Option<String>,
}

/// Reads a URL: the driver's own parameters, and `sslmode` and `sslrootcert`, of which it knows too little.
fn parse(url: &str, timeout_ms: u64) -> Result<Parsed, OpenError> {
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut check, mut mode, mut root_file, mut rest) = (Check::Nothing, SslMode::Prefer, None, Vec::new());
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        match parameter.split_once('=') {
            Some(("sslmode", value)) => {
                (mode, check) = match value {
                    "disable" => (SslMode::Disable, Check::Nothing),
                    "allow" | "prefer" => (SslMode::Prefer, Check::Nothing),
                    "require" => (SslMode::Require, Check::Nothing),
                    "verify-ca" => (SslMode::Require, Check::Chain),
                    "verify-full" => (SslMode::Require, Check::ChainAndName),
                    _ => {
                        return Err(OpenError::Unusable(
                            "database.url: sslmode is disable, prefer, require, verify-ca or verify-full"
                                .into(),
                        ));
                    }
                };
            }
            Some(("sslrootcert", "system")) => {}
            Some(("sslrootcert", value)) => root_file = Some(value.replace("%2F", "/")),
            _ => rest.push(parameter),
        }
    }
    // As in libpq: who names a root wants it used.
    if root_file.is_some() && mode == SslMode::Require && check == Check::Nothing {
        check = Check::Chain;
    }
    let plain = if rest.is_empty() { place.to_owned() } else { format!("{place}?{}", rest.join("&")) };
    let mut config = tokio_postgres::Config::from_str(&plain)
        .map_err(|error| OpenError::Unusable(format!("database.url cannot be read: {}", describe(&error))))?;
    config.ssl_mode(mode);
    config.application_name("farthing");
    config.connect_timeout(CONNECT_TIMEOUT);
    config.keepalives_idle(Duration::from_secs(5));
    config.tcp_user_timeout(Duration::from_secs(8));
    // Every statement is a look-up of a few rows by an index; the planner, which sees arrays of unknown length, must not
    // come to prefer a scan. The time-outs end what a dead node left.
    let options = config.get_options().unwrap_or_default().to_owned();
    config.options(format!(
        "{options} -c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_hashjoin=off \
         -c enable_mergejoin=off -c jit=off -c statement_timeout={timeout_ms} -c lock_timeout={timeout_ms} \
         -c idle_in_transaction_session_timeout={timeout_ms} -c synchronous_commit=on -c client_min_messages=warning"
    ));
    Ok(Parsed { config, check, root_file })
}

/// A pool of connections on which these statements are prepared.
pub(super) fn pool(
    url: &str,
    timeout_ms: u64,
    size: usize,
    statements: &'static [&'static str],
) -> Result<Pool, OpenError> {
    let Parsed { config, check, root_file } = parse(url, timeout_ms)?;
    let tls = MakeRustlsConnect::new(tls(check, root_file.as_deref())?);
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(config, tls, recycling);
    let prepare = Hook::async_fn(move |client, _| {
        Box::pin(async move {
            for sql in statements {
                client.prepare_cached(sql).await.map_err(HookError::Backend)?;
            }
            Ok(())
        })
    });
    Pool::builder(manager)
        .max_size(size.max(1))
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(POOL_TIMEOUT))
        .create_timeout(Some(CONNECT_TIMEOUT.saturating_mul(2)))
        .post_create(prepare)
        .build()
        .map_err(|error| OpenError::Unusable(format!("cannot make the pool of connections: {error}")))
}

/// A connection of the pool. One that is made belongs to the store's own runtime, whichever asks: another may be slower, or
/// end. Where the system has no thread to look the database's name up, making one panics: a fault like any other, or the
/// task that asked would have ended for good.
pub(super) async fn take(pool: &Pool, runtime: &Handle) -> Result<Object, Fault> {
    let mut taking = pin!(pool.get());
    poll_fn(|context| {
        let _of = runtime.enter();
        let polled = catch_unwind(AssertUnwindSafe(|| taking.as_mut().poll(context)));
        polled.map_or_else(
            |_| Poll::Ready(Err(Fault::Transient("a connection could not be made".into()))),
            |polled| polled.map_err(Fault::from),
        )
    })
    .await
}

/// One connection, with no statement prepared: for migrations and for whoever only looks once.
pub(super) async fn connect(url: &str, timeout_ms: u64) -> Result<Object, OpenError> {
    let pool = pool(url, timeout_ms, 1, &[])?;
    pool.get()
        .await
        .map_err(|error| OpenError::Unusable(format!("cannot connect to the database: {}", told(&error))))
}

fn told(error: &deadpool_postgres::PoolError) -> String {
    match error {
        deadpool_postgres::PoolError::Backend(error) => describe(error),
        other => other.to_string(),
    }
}

/// The user that a URL names.
pub(super) fn user_of(url: &str) -> Result<Option<String>, OpenError> {
    Ok(parse(url, 0)?.config.get_user().map(str::to_owned))
}

/// Refuses a server whose settings let an answered payment be lost.
pub(super) async fn check_durability(connection: &Object) -> Result<(), OpenError> {
    for (setting, wanted) in [("fsync", "on"), ("full_page_writes", "on")] {
        let value = show(connection, setting).await?;
        if value != wanted {
            return Err(OpenError::Unusable(format!(
                "the database runs with {setting}={value}: a crash could lose payments that were answered; set it to {wanted}"
            )));
        }
    }
    let value = show(connection, "synchronous_commit").await?;
    if matches!(value.as_str(), "off" | "local") {
        return Err(OpenError::Unusable(format!(
            "the database runs with synchronous_commit={value} for this role; set it to on"
        )));
    }
    Ok(())
}

async fn show(connection: &Object, setting: &str) -> Result<String, OpenError> {
    let row = connection
        .query_one("SELECT current_setting($1)", &[&setting])
        .await
        .map_err(|error| OpenError::Unusable(describe(&error)))?;
    row.try_get(0).map_err(|error| OpenError::Unusable(describe(&error)))
}

fn tls(check: Check, root_file: Option<&str>) -> Result<ClientConfig, OpenError> {
    let unusable = |error: &dyn fmt::Display| OpenError::Unusable(format!("TLS to the database: {error}"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?
        .dangerous();
    let verifier: Arc<dyn ServerCertVerifier> = match check {
        Check::Nothing => Arc::new(Unchecked { provider }),
        Check::Chain | Check::ChainAndName => {
            let roots = Arc::new(roots(root_file)?);
            let whole = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
                .build()
                .map_err(|error| unusable(&error))?;
            if check == Check::ChainAndName { whole } else { Arc::new(ChainOnly { whole }) }
        }
    };
    Ok(builder.with_custom_certificate_verifier(verifier).with_no_client_auth())
}

fn roots(file: Option<&str>) -> Result<RootCertStore, OpenError> {
    let mut roots = RootCertStore::empty();
    match file {
        Some(path) => {
            let unreadable =
                |error: &dyn fmt::Display| OpenError::Unusable(format!("sslrootcert {path}: {error}"));
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))? {
                let certificate = certificate.map_err(|error| unreadable(&error))?;
                roots.add(certificate).map_err(|error| unreadable(&error))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err(OpenError::Unusable(
            "sslmode asks for a checked certificate, and there is no root to check it by".into(),
        ));
    }
    Ok(roots)
}

/// Takes any certificate, as `sslmode=require` and `prefer` promise no more than encryption. Signatures are checked, so
/// that who answers has the certificate's key.
#[derive(Debug)]
struct Unchecked {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Checks the chain of certificates and not the name (`verify-ca`).
#[derive(Debug)]
struct ChainOnly {
    whole: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for ChainOnly {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.whole.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            // The name is looked at last: that it alone is wrong says that the chain is right.
            Err(rustls::Error::InvalidCertificate(
                rustls::CertificateError::NotValidForName
                | rustls::CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.whole.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.whole.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.whole.supported_verify_schemes()
    }
}

/// What every connection of a pool of writers and of readers prepares.
pub(super) fn writers(settings: &PostgresSettings) -> Result<Pool, OpenError> {
    pool(&settings.url, settings.statement_timeout_ms, settings.writers, statements::WRITER)
}

/// See [`writers`].
pub(super) fn readers(settings: &PostgresSettings) -> Result<Pool, OpenError> {
    let size = settings.connections.saturating_sub(settings.writers);
    pool(&settings.url, settings.statement_timeout_ms, size, statements::READER)
}
