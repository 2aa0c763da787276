//! Settings: flags beat the environment, the environment beats the file, the file beats the defaults.
//!
//! Everything is parsed before anything starts, and every mistake is reported at once: an unknown key with the nearest
//! known one, a bad value with where it came from and what is allowed. The keys stand in one table, [`KEYS`].
//! A file is read only when it is named: a stray file in the working folder must never change how money is handled.

mod keys;
mod limits;
mod load;
mod network;
mod origins;
mod values;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::thread::available_parallelism;

use unicode_normalization::UnicodeNormalization;

pub use crate::auth::throttle::ClassQuotas;
pub use crate::ledger::{AmountLimits, AmountRule, CountRule, Mode, RiskRules};
pub use crate::telemetry::LogFormat;
pub use keys::{KEYS, Key};
pub use limits::RateLimits;
pub use load::{ConfigError, ConfigErrors, Loaded, Origin, Override, VARIABLE_PREFIX, load};
pub use network::{Network, Networks, ProxyHeader};
pub use origins::Origins;

/// The whole configuration. Its fields are the sections and keys of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// `[server]`
    pub server: Server,
    /// `[tls]`
    pub tls: Tls,
    /// `[cors]`
    pub cors: Cors,
    /// `[database]`
    pub database: Database,
    /// `[rate_limits]`
    pub rate_limits: RateLimits,
    /// `[risk]`
    pub risk: RiskRules,
    /// `[tokens]`
    pub tokens: Tokens,
    /// `[payments]`
    pub payments: Payments,
    /// `[security]`
    pub security: Security,
    /// `[passwords]`
    pub passwords: Passwords,
    /// `[checkpoints]`
    pub checkpoints: Checkpoints,
    /// `[metrics]`
    pub metrics: Metrics,
    /// `[traces]`
    pub traces: Traces,
    /// `[log]`
    pub log: Log,
    /// `[backup]`
    pub backup: Backup,
    /// `[webhooks]`
    pub webhooks: Webhooks,
}

impl Settings {
    /// Where signed checkpoints are: as configured, else `checkpoints` in the data folder.
    pub fn checkpoint_file(&self) -> PathBuf {
        self.checkpoints.file.clone().unwrap_or_else(|| self.server.data.join("checkpoints"))
    }

    /// Where the hashes of the journal's tree are kept.
    pub fn tree_file(&self) -> PathBuf {
        self.server.data.join("tree")
    }

    /// Where the ledger's key file is: as configured, else `farthing.key` in the data folder.
    pub fn key_file(&self) -> PathBuf {
        self.database.key_file.clone().unwrap_or_else(|| self.server.data.join("farthing.key"))
    }
}

/// Signed checkpoints of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoints {
    /// Their file, if it is not in the data folder. [`Settings::checkpoint_file`] gives the path in force.
    pub file: Option<PathBuf>,
    /// How often one is written.
    pub every_seconds: u64,
}

impl Default for Checkpoints {
    fn default() -> Self {
        Self { file: None, every_seconds: 300 }
    }
}

/// How and where the server runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Where it accepts connections.
    pub listen: SocketAddr,
    /// The data folder.
    pub data: PathBuf,
    /// Play money or real money.
    pub mode: Mode,
    /// Threads that answer requests.
    pub workers: usize,
    /// The name of the house, as payers see it.
    pub house_name: String,
    /// The proxies whose word is taken.
    pub trusted_proxies: Networks,
    /// How they say where a request came from.
    pub proxy_header: ProxyHeader,
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one address.
    pub connections_per_address: usize,
    /// How long a request's head may take, in seconds.
    pub head_timeout_seconds: u64,
    /// How long a body may take, in seconds.
    pub body_timeout_seconds: u64,
    /// How long a connection may wait for its next request, in seconds.
    pub idle_timeout_seconds: u64,
    /// How long a client may take nothing of an answer, in seconds.
    pub write_timeout_seconds: u64,
    /// How large a head may be, in bytes.
    pub head_bytes: usize,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
            data: PathBuf::from("farthing-data"),
            mode: Mode::Sandbox,
            workers: half_of_the_cores(),
            house_name: "House".to_owned(),
            trusted_proxies: Networks::default(),
            proxy_header: ProxyHeader::default(),
            connections: 10_000,
            connections_per_address: 1_000,
            head_timeout_seconds: 10,
            body_timeout_seconds: 10,
            idle_timeout_seconds: 60,
            write_timeout_seconds: 10,
            head_bytes: 32_768,
        }
    }
}

/// TLS of the server's own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// The certificate and those that lead to its root, in PEM.
    pub certificate: Option<PathBuf>,
    /// Its private key, in PEM.
    pub key: Option<PathBuf>,
}

/// Other sites whose scripts may call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cors {
    /// Which.
    pub origins: Origins,
}

/// Where the ledger is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// A PostgreSQL database, or none for the embedded ledger.
    pub url: Option<DatabaseUrl>,
    /// The role that owns the tables, if it is another.
    pub migration_url: Option<DatabaseUrl>,
    /// The key file, if it is not in the data folder. [`Settings::key_file`] gives the path in force.
    pub key_file: Option<PathBuf>,
    /// Connections that this node keeps to PostgreSQL at most.
    pub connections: usize,
    /// How many of them write batches at the same time.
    pub writers: usize,
    /// After how many seconds PostgreSQL ends a statement, a wait for a lock, or a transaction that its node left.
    pub statement_timeout_seconds: u64,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: None,
            migration_url: None,
            key_file: None,
            connections: 8,
            writers: 1,
            statement_timeout_seconds: 5,
        }
    }
}

/// What protects accounts, and what operators may not do alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Security {
    /// Above how much of any currency, in whole major units, cash waits for a second operator; none for never.
    pub four_eyes_above: Option<u64>,
    /// Above which amounts a payment asks for a fresh second factor.
    pub step_up_above: AmountLimits,
}

impl Default for Security {
    fn default() -> Self {
        Self { four_eyes_above: None, step_up_above: "1000".parse().unwrap_or(AmountLimits::OFF) }
    }
}

/// Lifetimes of tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Of an access token, in seconds.
    pub access_ttl_seconds: u64,
    /// Of a refresh token, in seconds.
    pub refresh_ttl_seconds: u64,
}

impl Default for Tokens {
    fn default() -> Self {
        Self { access_ttl_seconds: 15 * 60, refresh_ttl_seconds: 30 * 24 * 60 * 60 }
    }
}

/// Rules of payments that an operator may set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payments {
    /// How long the same payment without a key counts as a duplicate, in seconds; 0 is never.
    pub duplicate_window_seconds: u64,
    /// How long money is held for a payment that is neither captured nor reviewed.
    pub hold_seconds: u64,
}

impl Default for Payments {
    fn default() -> Self {
        Self { duplicate_window_seconds: 60, hold_seconds: 7 * 86_400 }
    }
}

/// Passwords and the pool that hashes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passwords {
    /// A file of breached passwords to refuse, one a line.
    pub breached_file: Option<PathBuf>,
    /// A file of secrets that go into hashes, one a line, the last one the newest.
    pub pepper_file: Option<PathBuf>,
    /// Threads that hash.
    pub hash_threads: usize,
    /// Hashes that may wait for a thread.
    pub hash_queue: usize,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { breached_file: None, pepper_file: None, hash_threads: half_of_the_cores(), hash_queue: 64 }
    }
}

/// Where traces are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces {
    /// The URL at which a collector takes OTLP over HTTP; none without one.
    pub endpoint: Option<String>,
    /// How many requests of a hundred are traced.
    pub percent: u8,
}

impl Default for Traces {
    fn default() -> Self {
        Self { endpoint: None, percent: 100 }
    }
}

/// Where metrics are served.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metrics {
    /// A listener of their own; without one they are on the server's address, for loopback only.
    pub listen: Option<SocketAddr>,
}

/// The log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// For machines or for people.
    pub format: LogFormat,
    /// A level, or a filter in the syntax of `tracing_subscriber::EnvFilter`.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Auto, level: "info".to_owned() }
    }
}

/// Where webhooks may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhooks {
    /// Any address will do: for development.
    pub allow_private_addresses: bool,
    /// Networks that are allowed although they are not public.
    pub allowed_networks: Networks,
    /// Which ports.
    pub ports: Ports,
    /// How many an owner may have.
    pub endpoints_per_owner: usize,
    /// How long each attempt waits after the one before.
    pub retry_schedule_seconds: Schedule,
}

impl Default for Webhooks {
    fn default() -> Self {
        Self {
            allow_private_addresses: false,
            allowed_networks: Networks::default(),
            ports: Ports(vec![443, 80]),
            endpoints_per_owner: 16,
            // As Standard Webhooks proposes: three days, long enough for a weekend.
            retry_schedule_seconds: Schedule(vec![
                0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400,
            ]),
        }
    }
}

/// Ports, written with commas between them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ports(pub Vec<u16>);

impl Ports {
    /// Reads ports with commas between them; at least one.
    fn parse(text: &str) -> Option<Self> {
        let port = |part: &str| part.trim().parse().ok().filter(|port: &u16| *port > 0);
        text.split(',').map(port).collect::<Option<_>>().map(Self)
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ports: Vec<String> = self.0.iter().map(u16::to_string).collect();
        f.write_str(&ports.join(", "))
    }
}

/// Waits in seconds, written with commas between them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schedule(pub Vec<u64>);

impl Schedule {
    /// Reads waits with commas between them: at least one, at most 20, none over a week.
    fn parse(text: &str) -> Option<Self> {
        let wait = |part: &str| part.trim().parse().ok().filter(|seconds: &u64| *seconds <= 7 * 86_400);
        let waits: Vec<u64> = text.split(',').map(wait).collect::<Option<_>>()?;
        (waits.len() <= 20).then_some(Self(waits))
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waits: Vec<String> = self.0.iter().map(u64::to_string).collect();
        f.write_str(&waits.join(", "))
    }
}

/// What `farthing backup` and `farthing restore` are told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Backup {
    /// A file whose first line is the passphrase. Comes before `passphrase`.
    pub passphrase_file: Option<PathBuf>,
    /// The passphrase.
    pub passphrase: Option<Passphrase>,
}

/// What a backup is encrypted under, in NFC. Does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(String);

impl Passphrase {
    /// The fewest characters: what protects a file that its finder may try passphrases on for years.
    pub const MIN_LENGTH: usize = 12;

    /// Takes a passphrase of at least [`Self::MIN_LENGTH`] characters.
    pub fn parse(text: &str) -> Option<Self> {
        // Keyboards differ in how they compose a letter; the passphrase is the same.
        let text: String = text.nfc().collect();
        (text.chars().count() >= Self::MIN_LENGTH).then_some(Self(text))
    }

    /// The passphrase, for the function that makes a key of it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

/// The URL of a PostgreSQL database. It may hold a password, so `Debug` and [`DatabaseUrl::masked`] hide that.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"))?;
        let allowed = !rest.is_empty() && !text.chars().any(|c| c.is_whitespace() || c.is_control());
        allowed.then(|| Self(text.to_owned()))
    }

    /// The URL as it is, password and all: for the driver, never for a message.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The URL with `***` for its password.
    pub fn masked(&self) -> String {
        mask(&self.0)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

/// Hides what may be a password in a text that should be a database URL but need not be one: the part of
/// `//user:password@` after the colon and the value of each query parameter but a few that are known to be harmless.
/// A text without `//` is hidden whole.
fn mask(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("//") else { return "***".to_owned() };
    let (before_query, query) = match rest.split_once('?') {
        Some((before, query)) => (before, Some(query)),
        None => (rest, None),
    };
    // The last '@' ends the credentials: a password may hold one that nobody escaped, and a '/' or a '?' as well.
    let (credentials, place, query) = match (before_query.rsplit_once('@'), query) {
        (_, Some(query)) if query.contains('@') => (rest.split(['@', '?']).next(), "…", None),
        (Some((credentials, place)), query) => (Some(credentials), place, query),
        (None, query) => (None, before_query, query),
    };
    let mut masked = format!("{scheme}//");
    if let Some(credentials) = credentials {
        let user = credentials.split(':').next().unwrap_or_default();
        masked.push_str(user);
        masked.push_str(if user.len() < credentials.len() { ":***@" } else { "@" });
    }
    masked.push_str(place);
    if let Some(query) = query {
        masked.push('?');
        masked.push_str(&query.split('&').map(mask_parameter).collect::<Vec<_>>().join("&"));
    }
    masked
}

fn mask_parameter(parameter: &str) -> String {
    const HARMLESS: [&str; 4] = ["sslmode", "application_name", "connect_timeout", "host"];
    match parameter.split_once('=') {
        Some((name, _)) if !HARMLESS.contains(&name) => format!("{name}=***"),
        _ => parameter.to_owned(),
    }
}

fn half_of_the_cores() -> usize {
    available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
}

#[cfg(test)]
mod tests;
