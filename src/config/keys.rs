//! The one table of configuration keys.
//!
//! A row gives a key its place in [`Settings`], its parser, its environment variable and its meaning. Reading the
//! file, reading the environment, `config show`, "did you mean" and the reference pages all walk this table, so a key
//! that is not in it does not exist, and one that is works everywhere.

use super::values::{Show, count, http_url, listen_address, log_filter, number, one_line, path, yes_or_no};
use super::{
    ClassQuotas, DatabaseUrl, LogFormat, Mode, Networks, Origins, Passphrase, Ports, ProxyHeader, Schedule,
    Settings,
};

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
    /// Whether the file may give it as a list of strings.
    pub(super) is_list: bool,
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
     $(, short = $short:literal)? $(, secret = $secret:literal)? $(, list = $list:literal)?) => {
        Key {
            section: stringify!($section),
            name: stringify!($name),
            short_variable: key!(@or None $(, Some($short))?),
            default: $default,
            allowed: $allowed,
            doc: $doc,
            secret: key!(@or false $(, $secret)?),
            is_list: key!(@or false $(, $list)?),
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
        server.trusted_proxies,
        Networks::parse,
        "addresses and networks such as 127.0.0.1, 10.0.0.0/8, 2001:db8::/32",
        "",
        "The proxies in front, whose word about the client's address and about https is taken.",
        list = true
    ),
    key!(
        server.proxy_header,
        ProxyHeader::from_name,
        "x-forwarded-for or forwarded",
        "x-forwarded-for",
        "The header in which those proxies name the client: X-Forwarded-For with X-Forwarded-Proto, or Forwarded."
    ),
    key!(
        server.connections,
        |text| count(text, 10, 1_000_000),
        "a whole number from 10 to 1000000",
        "10000",
        "Connections at once; more wait."
    ),
    key!(
        server.connections_per_address,
        |text| count(text, 1, 1_000_000),
        "a whole number from 1 to 1000000",
        "1000",
        "Connections at once from one address that is no trusted proxy; more are closed."
    ),
    key!(
        server.head_timeout_seconds,
        |text| number(text, 1, 600),
        "seconds, from 1 to 600",
        "10",
        "How long a request's head may take to arrive."
    ),
    key!(
        server.body_timeout_seconds,
        |text| number(text, 1, 600),
        "seconds, from 1 to 600",
        "10",
        "How long a request's body may take to arrive."
    ),
    key!(
        server.idle_timeout_seconds,
        |text| number(text, 1, 3_600),
        "seconds, from 1 to 3600",
        "60",
        "How long a connection may wait for its next request."
    ),
    key!(
        server.write_timeout_seconds,
        |text| number(text, 1, 600),
        "seconds, from 1 to 600",
        "10",
        "How long a client may take nothing of its answer."
    ),
    key!(
        server.head_bytes,
        |text| count(text, 8_192, 1_048_576),
        "a whole number from 8192 to 1048576",
        "32768",
        "How large path, query and headers of a request may be together."
    ),
    key!(
        tls.certificate,
        |text| path(text).map(Some),
        "the path of a file",
        "(none: HTTP without TLS)",
        "The certificate and those that lead to its root, in PEM; read again when it changes."
    ),
    key!(
        tls.key,
        |text| path(text).map(Some),
        "the path of a file",
        "(none)",
        "The certificate's private key, in PEM; read again when it changes."
    ),
    key!(
        cors.origins,
        Origins::parse,
        "origins such as https://shop.example",
        "",
        "Other sites whose scripts may call the API from a browser.",
        list = true
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
    key!(
        rate_limits.login,
        ClassQuotas::parse_anonymous,
        "such as 60/min per address, or none",
        "60/min per address",
        "How often somebody may try to log in."
    ),
    key!(
        rate_limits.register,
        ClassQuotas::parse_anonymous,
        "such as 120/h per address, or none",
        "120/h per address",
        "How often somebody may try to register."
    ),
    key!(
        rate_limits.refresh,
        ClassQuotas::parse_anonymous,
        "such as 300/min per address, or none",
        "300/min per address",
        "How often somebody may ask for new tokens."
    ),
    key!(
        rate_limits.payment,
        |text: &str| text.parse().ok(),
        "quotas per address, account and key (a session or API key), or none",
        "1200/min per address, 600/min per account, 300/min per key",
        "How often somebody may pay or change anything else."
    ),
    key!(
        rate_limits.read,
        |text: &str| text.parse().ok(),
        "quotas per address, account and key (a session or API key), or none",
        "3000/min per address, 1200/min per account, 600/min per key",
        "How often somebody may read."
    ),
    key!(
        rate_limits.admin,
        |text: &str| text.parse().ok(),
        "quotas per address, account and key (a session or API key), or none",
        "600/min per address, 600/min per account, 300/min per key",
        "How often an operator may do what operators do."
    ),
    key!(
        rate_limits.login_failures,
        |text: &str| text.parse().ok().filter(|count| (0..=100).contains(count)),
        "a whole number from 0 to 100",
        "5",
        "Wrong passwords in a row that an account has free; each further one doubles the wait."
    ),
    key!(
        rate_limits.longest_wait_seconds,
        |text: &str| text.parse().ok().filter(|seconds| (1..=86_400).contains(seconds)),
        "seconds, from 1 to 86400",
        "900",
        "The longest wait after wrong passwords. Where the owner logged in before, strangers' count for nothing."
    ),
    key!(risk.enabled, yes_or_no, "true or false", "true", "Risk rules. Switch off for load tests only."),
    key!(
        risk.window_seconds,
        |text| number(text, 60, DAY_SECONDS),
        "seconds, from 60 to 86400",
        "3600",
        "How far back risk rules count payments, and for how long a password or a network is new."
    ),
    key!(
        risk.payer_payments,
        |text: &str| text.parse().ok(),
        "\"off\", or an action and a count up to 31 such as \"review above 30\"",
        "allow above 30",
        "More payments of one payer within the window than this."
    ),
    key!(
        risk.payer_sum,
        |text: &str| text.parse().ok(),
        "\"off\", or an action and amounts such as \"review above 1000, JPY 150000\"",
        "allow above 10000",
        "More money of one payer in one currency within the window than this."
    ),
    key!(
        risk.payee_payments,
        |text: &str| text.parse().ok(),
        "\"off\", or an action and a count up to 31 such as \"review above 30\"",
        "allow above 30",
        "More payments to one payee other than the house within the window than this."
    ),
    key!(
        risk.payee_sum,
        |text: &str| text.parse().ok(),
        "\"off\", or an action and amounts such as \"review above 1000, JPY 150000\"",
        "allow above 10000",
        "More money to one payee other than the house in one currency within the window than this."
    ),
    key!(
        risk.new_payee,
        |text: &str| text.parse().ok(),
        "\"off\", or an action and amounts such as \"review above 1000, JPY 150000\"",
        "review above 2000",
        "A first payment to a payee other than the house of more than this."
    ),
    key!(
        risk.habit,
        |text: &str| text.parse().ok(),
        "\"off\", or an action and a count up to 31 such as \"review above 30\"",
        "allow above 20",
        "A payment of more times than this the payer's largest so far in that currency, from the sixth on."
    ),
    key!(
        risk.declines,
        |text: &str| text.parse().ok(),
        "\"off\", or an action and a count up to 31 such as \"review above 30\"",
        "allow above 10",
        "A payment after more declined ones of its payer within the window than this."
    ),
    key!(
        risk.new_password,
        |text: &str| text.parse().ok(),
        "\"off\", or an action and amounts such as \"review above 1000, JPY 150000\"",
        "review above 500",
        "A payment of more than this within the window after its payer changed the password."
    ),
    key!(
        risk.new_address,
        |text: &str| text.parse().ok(),
        "\"off\", or an action and amounts such as \"review above 1000, JPY 150000\"",
        "step_up above 500",
        "A payment of more than this within the window after its payer logged in from a new network."
    ),
    key!(
        risk.fan_out,
        |text: &str| text.parse().ok(),
        "\"off\", or an action and a count up to 31 such as \"review above 30\"",
        "allow above 20",
        "Payments to more payees within the window than this."
    ),
    key!(
        risk.fan_in,
        |text: &str| text.parse().ok(),
        "\"off\", or an action and a count up to 31 such as \"review above 30\"",
        "allow above 20",
        "Payments from more payers to one payee other than the house within the window than this."
    ),
    key!(
        risk.same_payment,
        |text: &str| text.parse().ok(),
        "\"off\", or an action and a count up to 31 such as \"review above 30\"",
        "allow above 0",
        "A payment after more that say the same than this, within payments.duplicate_window_seconds, under other keys."
    ),
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
        payments.hold_seconds,
        |text| number(text, 1, YEAR_SECONDS),
        "seconds, from 1 to 31536000",
        "604800",
        "How long money is held for a payment that is neither captured nor reviewed."
    ),
    key!(
        security.four_eyes_above,
        |text| number(text, 0, 9_999_999_999).map(Some),
        "a whole number of major units, such as 500",
        "(none: never)",
        "Above how much, in whole units of any currency, a deposit or withdrawal waits for a second operator."
    ),
    key!(
        security.step_up_above,
        |text: &str| text.parse().ok(),
        "\"off\", or amounts such as \"1000, JPY 150000\"",
        "1000",
        "Above which amount a payment asks who has a second factor for a fresh code: in major units, or by currency."
    ),
    key!(
        passwords.breached_file,
        |text| path(text).map(Some),
        "the path of a file",
        "(none)",
        "A list of breached passwords to refuse, one a line, beside the built-in list."
    ),
    key!(
        passwords.pepper_file,
        |text| path(text).map(Some),
        "the path of a file",
        "(none)",
        "A file of secrets of 32 characters or more that go into passwords' hashes, one a line, the newest last."
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
        checkpoints.file,
        |text| path(text).map(Some),
        "the path of a file",
        "(checkpoints in the data folder)",
        "Where signed checkpoints of the journal are appended: best on another disk or host than the database."
    ),
    key!(
        checkpoints.every_seconds,
        |text| number(text, 1, DAY_SECONDS),
        "seconds, from 1 to 86400",
        "300",
        "How often a checkpoint is signed, if anything is new; one more is at each stop."
    ),
    key!(
        metrics.listen,
        |text| listen_address(text).map(Some),
        "an address and port such as 127.0.0.1:9090",
        "(none: /metrics on the server's own address, for loopback only)",
        "A listener of its own for /metrics."
    ),
    key!(
        traces.endpoint,
        |text| http_url(text).map(Some),
        "a URL such as http://127.0.0.1:4318/v1/traces, without a password",
        "(none)",
        "Where traces are sent for OpenTelemetry: a collector's address for OTLP over HTTP."
    ),
    key!(
        traces.percent,
        |text| number(text, 1, 100).and_then(|percent| u8::try_from(percent).ok()),
        "a whole number from 1 to 100",
        "100",
        "How many requests of a hundred are traced."
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
    key!(
        backup.passphrase_file,
        |text| path(text).map(Some),
        "the path of a file",
        "(none)",
        "A file whose first line is the passphrase of backups; it comes before backup.passphrase."
    ),
    key!(
        backup.passphrase,
        |text| Passphrase::parse(text).map(Some),
        "at least 12 characters",
        "(none: asked for on the terminal)",
        "The passphrase of backups, for 'farthing backup' and 'farthing restore' alone.",
        secret = true
    ),
    key!(
        webhooks.allow_private_addresses,
        yes_or_no,
        "true or false",
        "false",
        "Whether webhooks may go to private, loopback and other addresses that are not public. For development only."
    ),
    key!(
        webhooks.allowed_networks,
        Networks::parse,
        "networks such as 10.20.0.0/16, fd12::/16",
        "(none)",
        "Networks that webhooks may go to although they are not public."
    ),
    key!(
        webhooks.ports,
        Ports::parse,
        "ports such as 443, 8443",
        "443, 80",
        "Ports that webhooks may go to."
    ),
    key!(
        webhooks.endpoints_per_owner,
        |text| count(text, 1, 10_000),
        "a whole number from 1 to 10000",
        "16",
        "How many webhooks a user may have, and how many the house."
    ),
    key!(
        webhooks.retry_schedule_seconds,
        Schedule::parse,
        "1 to 20 waits in seconds, each up to 604800, such as 0, 5, 300",
        "0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400",
        "How long each attempt of a delivery waits after the one before; after the last it has failed."
    ),
];

const DAY_SECONDS: u64 = 86_400;
const YEAR_SECONDS: u64 = 365 * DAY_SECONDS;

/// The key at `section.name`.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    let (section, name) = path.split_once('.')?;
    KEYS.iter().find(|key| key.section == section && key.name == name)
}
