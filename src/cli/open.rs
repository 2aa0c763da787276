//! Opens what the settings name: the ledger, its key file, the log; and serves it.
//!
//! Settings are refused before anything is made: a mistake must not leave half a ledger behind.

use std::fmt::Display;
use std::future::Future;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::{Handle, Runtime};

use super::control::{ControlResponse, SecretText};
use super::key_file::{self, KeyFile};
use super::lock::{self, FolderLock, LockError};
use super::terminal::{Failure, tell};
use crate::auth::hasher::{Hasher, Pepper};
use crate::auth::keyring::{Fingerprints, Keyring};
use crate::auth::password::{Password, PasswordFault, Policy};
use crate::auth::seal::Sealer;
use crate::auth::sign::Signer;
use crate::auth::throttle::Throttle;
use crate::clock::Clock;
use crate::config::{Loaded, Mode, Origin, Settings};
use crate::console::{CONSOLE, DESK, OWN_PAGES, PAY_LINKS};
use crate::courier;
use crate::http::edge::Edge;
use crate::http::events;
use crate::http::spec::Table;
use crate::http::tls::{CertificateFiles, Tls};
use crate::http::{API, App, Surface};
use crate::ledger::{Currency, Email, Money, Refusal, Role, Rules, WebhookRules};
use crate::store::{self, Location, OpenError, PostgresSettings, Store};
use crate::telemetry::{LogSettings, Telemetry, TraceSettings, Traces, install_logs};
pub use crate::teller::Teller;
use crate::teller::proofs::{ProofSettings, Proofs};
use crate::teller::{NewUser, OperatorRequest, TellerError, TellerParts, Verifier};
use crate::webhook::{Guard, Sender, SystemResolver, TargetRules};

/// How often the anonymous security events that are due are written.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// How long the database may take to close: what remains of the 10 s that a stop may take, after the requests.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);
/// What is served: the API and the console.
const TABLES: &[Table] = &[API, CONSOLE, OWN_PAGES, DESK, PAY_LINKS];
/// What a new customer of a sandbox starts with: 1000.00 USD.
const SANDBOX_GRANT_MINOR: i64 = 100_000;

/// An open ledger.
#[derive(Debug)]
pub struct Ledger {
    runtime: Runtime,
    teller: Arc<Teller>,
    telemetry: Telemetry,
    edge: Edge,
    /// As `config show` prints them.
    settings: String,
    sender: Sender,
    mode: Mode,
    is_new: bool,
    checkpoint_every: Duration,
    _lock: Option<FolderLock>,
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

    /// Play money or real money: what the ledger was made with.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether it was made just now.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Makes durable what was accepted, and lets go of the folder. A disk that hangs ends this, too, after a while:
    /// nobody was told yes for what is not durable by then.
    pub fn close(self) {
        let (teller, (done, closed)) = (Arc::clone(&self.teller), mpsc::channel());
        self.runtime.spawn(async move {
            teller.close().await;
            // Whoever waited may have given up.
            let _ = done.send(());
        });
        if closed.recv_timeout(CLOSE_LIMIT).is_err() {
            tell("the database did not close in time");
            // Dropping the store would wait for it again.
            std::mem::forget(self.teller);
        }
        if let Some(traces) = self.telemetry.traces() {
            traces.stop();
        }
        self.runtime.shutdown_background();
    }
}

/// Opens the ledger for writing. It says itself which mode it is in, unless somebody asked for one.
///
/// # Errors
/// If the key file, the database or the settings cannot be used.
pub fn ledger(loaded: &Loaded, lock: Option<FolderLock>) -> Result<Ledger, Failure> {
    let mut settings = loaded.settings.clone();
    let (policy, pepper) = (policy(&settings)?, pepper(&settings)?);
    let clock = Clock::system();
    let runtime = runtime(settings.server.workers)?;
    let unusable = |error: OpenError| Failure::Database(error.to_string());
    let is_new = !runtime.block_on(store::exists(&location(&settings))).map_err(unusable)?;
    let found = if is_new { key_file::Ledger::IsNew } else { key_file::Ledger::IsThere };
    let key_path = settings.key_file();
    let key_file = KeyFile::settle(&key_path, found, &clock)?;
    let keys = key_file.fingerprints();
    let opened = match runtime.block_on(open_store(&settings, &keys, &clock))? {
        Err(OpenError::Mode { made, .. }) if loaded.origin("server.mode") == Origin::Default => {
            settings.server.mode = made;
            runtime.block_on(open_store(&settings, &keys, &clock))?
        }
        opened => opened,
    };
    let Opened { store, rules, telemetry } = opened.map_err(|error| match error {
        OpenError::Mode { .. } => Failure::Usage(error.to_string()),
        OpenError::Key { made, .. } => key_file.of_another_ledger(made),
        OpenError::Unusable(_) => Failure::Database(error.to_string()),
    })?;
    let pool = &settings.passwords;
    let hasher = Hasher::start(pool.hash_threads, pool.hash_queue, pepper, clock.clone())
        .map_err(|error| Failure::Database(error.to_string()))?;
    let throttle = Throttle::new(settings.rate_limits.throttle());
    let proofs = Some(proofs(&runtime, &store, &settings, key_file.keys())?);
    let sealer = Sealer::new(key_file.keys().clone(), clock.clone());
    let targets = targets(&settings);
    let sender = Sender::new(targets.clone(), Arc::new(SystemResolver), Sender::system_roots())
        .map_err(|error| Failure::Usage(format!("TLS to webhooks: {error}")))?;
    let place = location(&settings);
    let verifier: Verifier = Arc::new(move || store::verify(&place).map_err(|error| error.to_string()));
    let parts =
        TellerParts { store, clock, rules, hasher, policy, throttle, sealer, proofs, verifier, targets };
    let teller = Arc::new(Teller::new(parts));
    let edge = Edge::new(&settings);
    let checkpoint_every = Duration::from_secs(settings.checkpoints.every_seconds);
    let (mode, settings) = (settings.server.mode, loaded.to_toml());
    Ok(Ledger {
        runtime,
        teller,
        telemetry,
        edge,
        settings,
        sender,
        mode,
        is_new,
        checkpoint_every,
        _lock: lock,
    })
}

/// Finds in the ledger what was signed last.
fn proofs(
    runtime: &Runtime,
    store: &Arc<dyn Store>,
    settings: &Settings,
    keys: &Keyring,
) -> Result<Proofs, Failure> {
    let proofs = runtime.block_on(Proofs::open(Arc::clone(store), proof_settings(settings, keys)?));
    proofs.map_err(|fault| Failure::Database(fault.to_string()))
}

/// Where the settings say that proofs are kept, and what signs them.
///
/// # Errors
/// If the keys cannot sign.
pub fn proof_settings(settings: &Settings, keys: &Keyring) -> Result<ProofSettings, Failure> {
    let signer = Signer::new(keys).map_err(|error| Failure::Database(error.to_string()))?;
    let (checkpoints, tree) = (settings.checkpoint_file(), settings.tree_file());
    Ok(ProofSettings { checkpoints, tree, signer, mode: settings.server.mode })
}

fn runtime(workers: usize) -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .map_err(|error| Failure::Database(format!("cannot start threads: {error}")))
}

/// Runs work to its end, for a command that needs no open ledger.
///
/// # Errors
/// If no thread can be started.
pub fn run_once<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    Ok(runtime(1)?.block_on(work))
}

/// Where the settings say that the ledger is.
pub fn location(settings: &Settings) -> Location {
    let database = &settings.database;
    match &database.url {
        None => Location::Folder(settings.server.data.clone()),
        Some(url) => Location::Postgres(PostgresSettings {
            url: url.expose().to_owned(),
            migration_url: database.migration_url.as_ref().map(|url| url.expose().to_owned()),
            connections: database.connections,
            writers: database.writers.min(database.connections.saturating_sub(2)),
            statement_timeout_ms: database.statement_timeout_seconds.saturating_mul(1_000),
        }),
    }
}

/// The lock of the data folder, which an embedded ledger has and a node of a ledger on PostgreSQL does without.
///
/// # Errors
/// If the folder cannot be used, or another process holds it.
pub fn lock(settings: &Settings) -> Result<Option<FolderLock>, LockError> {
    match location(settings) {
        Location::Folder(folder) => FolderLock::acquire(&folder).map(Some),
        Location::Postgres(_) => lock::make_folder(&settings.server.data).map(|_| None),
    }
}

fn policy(settings: &Settings) -> Result<Policy, Failure> {
    match &settings.passwords.breached_file {
        None => Ok(Policy::default()),
        Some(path) => Policy::with_breached_file(path).map_err(|error| {
            Failure::Usage(format!("passwords.breached_file: cannot read {}: {error}", path.display()))
        }),
    }
}

/// The secrets of passwords' hashes, from a file that others cannot read.
fn pepper(settings: &Settings) -> Result<Pepper, Failure> {
    let Some(path) = &settings.passwords.pepper_file else { return Ok(Pepper::default()) };
    let unusable =
        |reason: &dyn Display| Failure::Usage(format!("passwords.pepper_file: {} {reason}", path.display()));
    let text = key_file::read_private(path).map_err(|error| unusable(&error))?;
    std::str::from_utf8(&text).ok().and_then(Pepper::parse).ok_or_else(|| {
        let least = Pepper::MIN_LENGTH;
        unusable(&format_args!(
            "must have a secret of at least {least} characters in each line; try 'openssl rand -hex 32'"
        ))
    })
}

struct Opened {
    store: Arc<dyn Store>,
    rules: Rules,
    telemetry: Telemetry,
}

/// What sends traces, if there is anywhere to send them to.
fn traces(settings: &Settings) -> Result<Option<Traces>, Failure> {
    let Some(endpoint) = settings.traces.endpoint.clone() else { return Ok(None) };
    let to = TraceSettings { endpoint, percent: settings.traces.percent };
    let traces = Traces::start(&to, env!("CARGO_PKG_VERSION"), Handle::current(), Clock::system().now());
    traces.map(Some).map_err(|error| Failure::Usage(error.to_string()))
}

async fn open_store(
    settings: &Settings,
    keys: &Fingerprints,
    clock: &Clock,
) -> Result<Result<Opened, OpenError>, Failure> {
    let telemetry = Telemetry::new(env!("CARGO_PKG_VERSION"), settings.server.mode.name())
        .map_err(|error| Failure::Database(error.to_string()))?
        .with_traces(traces(settings)?);
    let rules = rules(settings)?;
    let (place, reports) = (location(settings), Some(telemetry.clone()));
    let store = store::open(&place, keys.clone(), rules.clone(), clock.clone(), reports).await;
    Ok(store.map(|store| Opened { store, rules, telemetry }))
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
        hold_ttl_ms: millis(settings.payments.hold_seconds),
        four_eyes_above: settings.security.four_eyes_above,
        access_ttl_ms: millis(settings.tokens.access_ttl_seconds),
        refresh_ttl_ms: millis(settings.tokens.refresh_ttl_seconds),
        grant: grant.map_err(|error| Failure::Usage(format!("the sandbox's grant {error}")))?,
        house_name: settings.server.house_name.clone(),
        webhooks: WebhookRules {
            most: settings.webhooks.endpoints_per_owner,
            schedule_ms: settings.webhooks.retry_schedule_seconds.0.iter().copied().map(millis).collect(),
        },
        step_up_above: settings.security.step_up_above.clone(),
        risk: settings.risk.clone(),
    })
}

/// Which URLs webhooks may have.
fn targets(settings: &Settings) -> TargetRules {
    let webhooks = &settings.webhooks;
    TargetRules {
        guard: Guard {
            allow_private: webhooks.allow_private_addresses,
            allowed: webhooks.allowed_networks.clone(),
        },
        ports: webhooks.ports.0.clone(),
        allow_http: settings.server.mode == Mode::Sandbox,
    }
}

/// Starts the log.
///
/// # Errors
/// If the filter cannot be read.
pub fn start_log(settings: &Settings) -> Result<(), Failure> {
    let log = LogSettings { format: settings.log.format, filter: settings.log.level.clone() };
    install_logs(&log).map_err(|error| Failure::Usage(error.to_string()))
}

/// Where the server listens.
#[derive(Debug)]
pub struct Listeners {
    /// For the API.
    pub api: TcpListener,
    /// For the metrics, if they have an address of their own.
    pub metrics: Option<TcpListener>,
    /// What makes TLS of the API's connections, if that is wanted.
    pub tls: Option<Tls>,
}

/// Reads the certificate, if there is to be TLS.
///
/// # Errors
/// If certificate and key cannot be used.
pub fn tls(settings: &Settings) -> Result<Option<Tls>, Failure> {
    let (Some(certificate), Some(key)) = (&settings.tls.certificate, &settings.tls.key) else {
        return Ok(None);
    };
    let files = CertificateFiles { certificate: certificate.clone(), key: key.clone() };
    Tls::open(files).map(Some).map_err(|error| Failure::Usage(format!("tls: {error}")))
}

/// Serves until `stop` is done, and answers what was accepted.
pub async fn serve(ledger: &Ledger, listeners: Listeners, stop: impl Future<Output = ()>) {
    let surface = if listeners.metrics.is_some() { Surface::ApiWithoutMetrics } else { Surface::Api };
    let app = |surface, edge| {
        let (teller, settings) = (Arc::clone(&ledger.teller), ledger.settings.clone());
        App::new(teller, ledger.telemetry.clone(), surface, TABLES, edge, settings)
    };
    if let Some(metrics) = listeners.metrics {
        let app = app(Surface::Metrics, ledger.edge.for_metrics());
        tokio::spawn(crate::http::serve(metrics, app, None, std::future::pending()));
    }
    let teller = Arc::clone(&ledger.teller);
    let flushing = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(FLUSH_EVERY);
        loop {
            ticks.tick().await;
            teller.share_throttle().await;
            teller.flush_anonymous(false).await;
        }
    });
    let proving = tokio::spawn(keep_proofs(Arc::clone(&ledger.teller), ledger.checkpoint_every));
    let working = tokio::spawn(crate::worker::run(Arc::clone(&ledger.teller)));
    let courier = courier::start(Arc::clone(&ledger.teller), ledger.sender.clone(), events::render);
    crate::http::serve(listeners.api, app(surface, ledger.edge.clone()), listeners.tls, stop).await;
    courier.stop().await;
    flushing.abort();
    working.abort();
    proving.abort();
}

/// Lets the proofs follow the journal, and writes a checkpoint now and then.
async fn keep_proofs(teller: Arc<Teller>, every: Duration) {
    let mut ticks = tokio::time::interval(FLUSH_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut since = Duration::ZERO;
    loop {
        ticks.tick().await;
        since = since.saturating_add(FLUSH_EVERY);
        let is_due = since >= every;
        teller.keep_proofs(is_due).await;
        if is_due {
            since = Duration::ZERO;
        }
    }
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
