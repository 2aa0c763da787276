//! The one table of configuration keys.
//!
//! A row gives a key its place in [`Settings`], its parser, its environment variable and its meaning. Reading the
//! file, reading the environment, `config show`, "did you mean" and the reference pages all walk this table, so a key
//! that is not in it does not exist, and one that is works everywhere.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::{DatabaseUrl, LogFormat, Mode, Settings};

/// One key of the configuration: `[section] name` in the file, `FARTHING_SECTION_NAME` in the environment.
#[derive(Debug)]
pub struct Key {
    /// The table of the TOML file.
    pub section: &'static str,
    /// The key within it.
    pub name: &'static str,
    /// A second, shorter variable, for the settings that people type most.
    pub short_variable: Option<&'static str>,
    /// The default, as a user would write it; in parentheses where it is worked out when the server starts.
    pub default: &'static str,
    /// What a value must look like, as the end of the sentence "allowed: …".
    pub allowed: &'static str,
    /// What the key does, in a sentence.
    pub doc: &'static str,
    /// Whether the value may hold a password, so that no message may repeat it whole.
    pub secret: bool,
    /// Parses a text and stores it; `false` (and nothing changed) where the text is not allowed.
    pub(super) set: fn(&mut Settings, &str) -> bool,
    /// The value as TOML, secrets masked; `None` where it is not set.
    pub(super) show: fn(&Settings) -> Option<String>,
}

impl Key {
    /// `section.name`, the way messages name a key.
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// `FARTHING_SECTION_NAME`, the variable that every key has.
    pub fn variable(&self) -> String {
        format!("FARTHING_{}_{}", self.section, self.name).to_uppercase()
    }
}

/// Builds a row; the key's path is the field's path in [`Settings`], so the two cannot drift apart.
macro_rules! key {
    ($section:ident.$name:ident, $parse:expr, $allowed:literal, $default:literal, $doc:literal
     $(, short = $short:literal)? $(, secret = $secret:literal)?) => {
        Key {
            section: stringify!($section),
            name: stringify!($name),
            short_variable: key!(@or None $(, Some($short))?),
            default: $default,
            allowed: $allowed,
            doc: $doc,
            secret: key!(@or false $(, $secret)?),
            set: |settings, text| match $parse(text) {
                Some(value) => {
                    settings.$section.$name = value;
                    true
                }
                None => false,
            },
            show: |settings| Show::toml(&settings.$section.$name),
        }
    };
    (@or $default:expr) => { $default };
    (@or $default:expr, $given:expr) => { $given };
}

/// Every key that there is, in the order in which they are shown.
pub static KEYS: &[Key] = &[
    key!(
        server.listen,
        listen_address,
        "an address and port such as 127.0.0.1:8080 or [::1]:8080 (port 0 lets the system choose)",
        "127.0.0.1:8080",
        "Where the server accepts connections.",
        short = "FARTHING_LISTEN"
    ),
    key!(
        server.data,
        path,
        "the path of a folder",
        "farthing-data",
        "The data folder: the embedded ledger, its key and the control socket. Made when it is missing.",
        short = "FARTHING_DATA"
    ),
    key!(
        server.mode,
        Mode::from_name,
        "sandbox or live",
        "sandbox",
        "Play money or real money. A ledger keeps the mode that it was made with.",
        short = "FARTHING_MODE"
    ),
    key!(
        server.workers,
        |text| count(text, 1, 1024),
        "a whole number from 1 to 1024",
        "(half of the cores, at least 1)",
        "Threads that answer requests."
    ),
    key!(
        server.house_name,
        one_line,
        "1 to 100 characters on one line",
        "House",
        "The name under which the house appears to those who pay it."
    ),
    key!(
        database.url,
        |text| DatabaseUrl::parse(text).map(Some),
        "a URL such as postgres://user:password@host/name",
        "(none: the embedded ledger in the data folder)",
        "The PostgreSQL database that holds the ledger.",
        short = "FARTHING_DATABASE_URL",
        secret = true
    ),
    key!(
        database.migration_url,
        |text| DatabaseUrl::parse(text).map(Some),
        "a URL such as postgres://owner:password@host/name",
        "(the same as database.url)",
        "The PostgreSQL role that owns the tables, used for migrations alone.",
        secret = true
    ),
    key!(
        database.key_file,
        |text| path(text).map(Some),
        "the path of a file",
        "(farthing.key in the data folder)",
        "The ledger's key file. Made, readable by its owner alone, together with the ledger.",
        short = "FARTHING_KEY_FILE"
    ),
    key!(
        database.connections,
        |text| count(text, 3, 1_000),
        "a whole number from 3 to 1000",
        "8",
        "Connections that this node keeps to PostgreSQL at most."
    ),
    key!(
        database.writers,
        |text| count(text, 1, 16),
        "a whole number from 1 to 16",
        "1",
        "How many of those connections write batches at the same time."
    ),
    key!(
        database.statement_timeout_seconds,
        |text| number(text, 1, 9),
        "seconds, from 1 to 9",
        "5",
        "When PostgreSQL ends a statement, a wait for a lock, or a transaction that its node left."
    ),
    key!(
        rate_limits.enabled,
        yes_or_no,
        "true or false",
        "true",
        "Limits on requests and on login attempts. Switch off for load tests only."
    ),
    key!(risk.enabled, yes_or_no, "true or false", "true", "Risk rules. Switch off for load tests only."),
    key!(
        tokens.access_ttl_seconds,
        |text| number(text, 1, DAY_SECONDS),
        "seconds, from 1 to 86400",
        "900",
        "How long an access token is valid."
    ),
    key!(
        tokens.refresh_ttl_seconds,
        |text| number(text, 1, YEAR_SECONDS),
        "seconds, from 1 to 31536000",
        "2592000",
        "How long a refresh token is valid."
    ),
    key!(
        payments.duplicate_window_seconds,
        |text| number(text, 0, DAY_SECONDS),
        "seconds, from 0 (off) to 86400",
        "60",
        "How long the same payment without an Idempotency-Key counts as a duplicate."
    ),
    key!(
        passwords.breached_file,
        |text| path(text).map(Some),
        "the path of a file",
        "(none)",
        "A list of breached passwords to refuse, one a line, beside the built-in list."
    ),
    key!(
        passwords.hash_threads,
        |text| count(text, 1, 256),
        "a whole number from 1 to 256",
        "(half of the cores, at least 1)",
        "Threads that hash passwords, each using 19 MiB while it works."
    ),
    key!(
        passwords.hash_queue,
        |text| count(text, 1, 100_000),
        "a whole number from 1 to 100000",
        "64",
        "Logins that may wait for a hashing thread before the server answers 503."
    ),
    key!(
        metrics.listen,
        |text| listen_address(text).map(Some),
        "an address and port such as 127.0.0.1:9090",
        "(none: /metrics on the server's own address, for loopback only)",
        "A listener of its own for /metrics."
    ),
    key!(
        log.format,
        |text: &str| text.parse::<LogFormat>().ok(),
        "auto, json or text",
        "auto",
        "One JSON object a line, or lines for people; auto is text on a terminal and JSON elsewhere."
    ),
    key!(
        log.level,
        log_filter,
        "error, warn, info, debug, trace or off, or levels of modules such as info,farthing=debug",
        "info",
        "How much is logged."
    ),
];

const DAY_SECONDS: u64 = 86_400;
const YEAR_SECONDS: u64 = 365 * DAY_SECONDS;

/// The key at `section.name`.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    let (section, name) = path.split_once('.')?;
    KEYS.iter().find(|key| key.section == section && key.name == name)
}

/// How a value is written in a TOML file; `None` where there is nothing to write.
trait Show {
    fn toml(&self) -> Option<String>;
}

impl<T: Show> Show for Option<T> {
    fn toml(&self) -> Option<String> {
        self.as_ref().and_then(Show::toml)
    }
}

macro_rules! show {
    ($($type:ty: $value:ident => $toml:expr;)*) => {$(
        impl Show for $type {
            fn toml(&self) -> Option<String> {
                let $value = self;
                Some($toml)
            }
        }
    )*};
}

show! {
    bool: value => value.to_string();
    u64: value => value.to_string();
    usize: value => value.to_string();
    String: value => quoted(value);
    SocketAddr: value => quoted(&value.to_string());
    PathBuf: value => quoted(&value.to_string_lossy());
    Mode: value => quoted(value.name());
    LogFormat: value => quoted(value.name());
    DatabaseUrl: value => quoted(&value.masked());
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn yes_or_no(text: &str) -> Option<bool> {
    text.parse().ok()
}

fn number(text: &str, least: u64, most: u64) -> Option<u64> {
    text.parse().ok().filter(|number| (least..=most).contains(number))
}

fn count(text: &str, least: usize, most: usize) -> Option<usize> {
    text.parse().ok().filter(|number| (least..=most).contains(number))
}

fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty() && !text.contains('\0')).then(|| PathBuf::from(text))
}

fn one_line(text: &str) -> Option<String> {
    let text = text.trim();
    let allowed = (1..=100).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    allowed.then(|| text.to_owned())
}

/// Names other than `localhost` are not looked up: what a server listens on should not hang on a resolver.
fn listen_address(text: &str) -> Option<SocketAddr> {
    if let Some(port) = text.strip_prefix("localhost:") {
        return Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port.parse().ok()?));
    }
    text.parse().ok()
}

fn log_filter(text: &str) -> Option<String> {
    // The filter's parser takes any word for the name of a module; a lone word that is no level is a mistake.
    let is_level = |word: &str| word.parse::<tracing::level_filters::LevelFilter>().is_ok();
    let words_are_levels = text.split(',').all(|part| {
        part.split_once('=').map_or_else(|| is_level(part.trim()), |(_, level)| is_level(level.trim()))
    });
    (!text.is_empty() && words_are_levels).then(|| text.to_owned())
}
