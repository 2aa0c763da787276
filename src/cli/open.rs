//! Opens what the settings name: the ledger, its key file, the log; and serves it.

use std::fmt::Write as _;
use std::future::Future;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::control::{ControlResponse, SecretText};
use super::lock::FolderLock;
use super::terminal::Failure;
use crate::auth::password::{Hasher, Password, PasswordFault, Policy};
use crate::auth::throttle::{Throttle, ThrottleLimits};
use crate::clock::Clock;
use crate::config::Settings;
use crate::http::{App, Surface};
use crate::ledger::{Currency, Email, Money, Refusal, Role, Rules};
use crate::store::{self, OpenError};
use crate::telemetry::{LogSettings, Telemetry, install_logs};
pub use crate::teller::Teller;
use crate::teller::{NewUser, OperatorRequest, TellerError, TellerParts};

/// How often the anonymous security events that are due are written.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// What a new customer of a sandbox starts with: 1000.00 USD.
const SANDBOX_GRANT_MINOR: i64 = 100_000;

/// An open ledger.
#[derive(Debug)]
pub struct Ledger {
    runtime: Runtime,
    teller: Arc<Teller>,
    telemetry: Telemetry,
    _lock: FolderLock,
}

impl Ledger {
    /// Runs work to its end.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// The one door.
    pub fn teller(&self) -> &Arc<Teller> {
        &self.teller
    }

    /// Makes durable what was accepted, and lets go of the folder.
    pub fn close(self) {
        self.runtime.block_on(self.teller.close());
        self.runtime.shutdown_background();
    }
}

/// Opens the ledger for writing.
///
/// # Errors
/// If the key file, the database or the settings cannot be used.
pub fn ledger(settings: &Settings, lock: FolderLock) -> Result<Ledger, Failure> {
    if settings.database.url.is_some() {
        return Err(Failure::Usage(
            "this version serves the embedded database only; leave --database out".into(),
        ));
    }
    let clock = Clock::system();
    settle_key_file(&settings.key_file(), &settings.server.data, &clock)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(settings.server.workers)
        .enable_all()
        .build()
        .map_err(|error| Failure::Database(format!("cannot start threads: {error}")))?;
    let telemetry = Telemetry::new(env!("CARGO_PKG_VERSION"), settings.server.mode.name())
        .map_err(|error| Failure::Database(error.to_string()))?;
    let rules = rules(settings)?;
    let store = store::open(&settings.server.data, rules.clone(), clock.clone(), Some(telemetry.clone()))
        .map_err(|error| match error {
            OpenError::Mode { .. } => Failure::Usage(error.to_string()),
            OpenError::Unusable(_) => Failure::Database(error.to_string()),
        })?;
    let policy = match &settings.passwords.breached_file {
        None => Policy::default(),
        Some(path) => Policy::with_breached_file(path).map_err(|error| {
            Failure::Usage(format!("passwords.breached_file: cannot read {}: {error}", path.display()))
        })?,
    };
    let hasher = Hasher::start(settings.passwords.hash_threads, settings.passwords.hash_queue, clock.clone())
        .map_err(|error| Failure::Database(error.to_string()))?;
    let throttle = Throttle::new(settings.rate_limits.enabled.then(ThrottleLimits::default));
    let teller = Arc::new(Teller::new(TellerParts { store, clock, rules, hasher, policy, throttle }));
    Ok(Ledger { runtime, teller, telemetry, _lock: lock })
}

/// The rules that follow from the settings.
///
/// # Errors
/// Never with settings that were checked; the type of money may refuse an amount.
pub fn rules(settings: &Settings) -> Result<Rules, Failure> {
    let millis = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000);
    let grant = Money::from_minor(SANDBOX_GRANT_MINOR, Currency::USD);
    Ok(Rules {
        mode: settings.server.mode,
        duplicate_window_ms: millis(settings.payments.duplicate_window_seconds),
        access_ttl_ms: millis(settings.tokens.access_ttl_seconds),
        refresh_ttl_ms: millis(settings.tokens.refresh_ttl_seconds),
        grant: grant.map_err(|error| Failure::Usage(format!("the sandbox's grant {error}")))?,
        house_name: settings.server.house_name.clone(),
    })
}

/// Makes the key file with a new ledger; refuses one that others can read, or that is gone from an old ledger.
pub(super) fn settle_key_file(path: &Path, data: &Path, clock: &Clock) -> Result<(), Failure> {
    let unusable = |error: &dyn std::fmt::Display| {
        Failure::Database(format!("the key file {}: {error}", path.display()))
    };
    match std::fs::metadata(path) {
        Ok(found) if found.permissions().mode() & 0o077 != 0 => {
            Err(unusable(&"others can read it; chmod 600 mends that"))
        }
        Ok(found) if found.len() != 64 => Err(unusable(&"is not one of ours; restore the ledger's own")),
        Ok(_) => Ok(()),
        Err(_) if store::exists(data) => {
            Err(unusable(&"is missing; restore the one that was made with this ledger"))
        }
        Err(_) => {
            let key = clock.random::<32>().map_err(|error| unusable(&error))?;
            let text = hex(&key);
            let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
            let mut file = made.map_err(|error| unusable(&error))?;
            file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| unusable(&error))
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Starts the log.
///
/// # Errors
/// If the filter cannot be read.
pub fn start_log(settings: &Settings) -> Result<(), Failure> {
    let log = LogSettings { format: settings.log.format, filter: settings.log.level.clone() };
    install_logs(&log).map_err(|error| Failure::Usage(error.to_string()))
}

/// Serves until told to stop, and answers what was accepted.
///
/// # Errors
/// If the metrics' own address cannot be used.
pub async fn serve(
    ledger: &Ledger,
    listener: TcpListener,
    settings: &Settings,
    stop: oneshot::Receiver<()>,
) -> Result<(), Failure> {
    let surface = if settings.metrics.listen.is_some() { Surface::ApiWithoutMetrics } else { Surface::Api };
    let app = App::new(Arc::clone(&ledger.teller), ledger.telemetry.clone(), surface);
    if let Some(address) = settings.metrics.listen {
        let metrics = TcpListener::bind(address).await.map_err(|error| {
            Failure::Usage(format!("metrics.listen: cannot listen on {address}: {error}"))
        })?;
        let app = App::new(Arc::clone(&ledger.teller), ledger.telemetry.clone(), Surface::Metrics);
        tokio::spawn(crate::http::serve(metrics, app, std::future::pending()));
    }
    let teller = Arc::clone(&ledger.teller);
    let flushing = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(FLUSH_EVERY);
        loop {
            ticks.tick().await;
            teller.flush_anonymous(false).await;
        }
    });
    let stopped = async {
        // A sender that is gone means the same.
        let _ = stop.await;
    };
    crate::http::serve(listener, app, stopped).await;
    flushing.abort();
    Ok(())
}

/// Makes an operator for the person at the host.
pub async fn create_user(
    teller: &Teller,
    email: Email,
    name: Option<String>,
    role: Role,
    password: SecretText,
) -> ControlResponse {
    let user = NewUser { email, password: Password::new(&password.0), name };
    match teller.create_operator(OperatorRequest { user, role }).await {
        Ok(user) => ControlResponse::User {
            id: user.id.to_string(),
            email: user.email.to_string(),
            role: user.role.to_string(),
        },
        Err(TellerError::PasswordRefused { faults, .. }) => {
            let messages: Vec<String> = faults.into_iter().map(PasswordFault::message).collect();
            ControlResponse::Refused { message: format!("the password {}", messages.join("; it ")) }
        }
        Err(TellerError::Refused { refusal: Refusal::EmailTaken, .. }) => {
            ControlResponse::Refused { message: "somebody has this email already".to_owned() }
        }
        Err(error) => ControlResponse::Failed { message: error.to_string() },
    }
}
