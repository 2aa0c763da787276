//! What `serve` tells the person who started it: a few lines, each of use.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use crate::config::{Loaded, Mode, Origin};

/// What the banner says.
#[derive(Debug, Clone)]
pub struct Banner {
    /// `http`, or `https` with TLS of our own.
    pub scheme: &'static str,
    /// Where connections are accepted; with the port that the system gave.
    pub address: SocketAddr,
    /// The data folder, from the root.
    pub data: PathBuf,
    /// The database, its password masked, where the ledger is not in the data folder.
    pub database: Option<String>,
    /// Whether a command finds that folder only if it is told.
    pub data_must_be_named: bool,
    /// Play money or real money.
    pub mode: Mode,
    /// How this program was called, so that the lines can be pasted.
    pub program: String,
    /// The secret of the link that makes the first administrator, while there is none.
    pub first_admin: Option<String>,
    /// Sentences that an operator should not miss.
    pub warnings: Vec<String>,
}

impl Banner {
    /// The banner of a server with these settings, on a ledger in this mode.
    pub fn new(loaded: &Loaded, mode: Mode, address: SocketAddr, warnings: Vec<String>) -> Self {
        let server = &loaded.settings.server;
        Self {
            scheme: if loaded.settings.tls.certificate.is_some() { "https" } else { "http" },
            address,
            data: std::path::absolute(&server.data).unwrap_or_else(|_| server.data.clone()),
            database: loaded.settings.database.url.as_ref().map(crate::config::DatabaseUrl::masked),
            data_must_be_named: loaded.origin("server.data") != Origin::Default,
            mode,
            program: std::env::args().next().unwrap_or_else(|| "farthing".to_owned()),
            first_admin: None,
            warnings: warnings.into_iter().chain(settings_warnings(loaded, address)).collect(),
        }
    }

    /// The same, with the link that makes the first administrator.
    #[must_use]
    pub fn with_first_admin(self, first_admin: Option<String>) -> Self {
        Self { first_admin, ..self }
    }

    /// The lines, with an empty one before and after.
    pub fn text(&self) -> String {
        let url = format!("{}://{}", self.scheme, reachable(self.address));
        let money = match self.mode {
            Mode::Sandbox => "sandbox mode: play money",
            Mode::Live => "live mode: real money",
        };
        let place = match &self.database {
            None => ("data folder", self.data.display().to_string()),
            Some(url) => ("database", url.clone()),
        };
        let folder = if self.database.is_some() {
            // The URL may hold a password, which a command line shows to everybody on the machine.
            "  (with the same FARTHING_DATABASE_URL)".to_owned()
        } else if self.data_must_be_named {
            format!(" --data {}", shell_word(&self.data.to_string_lossy()))
        } else {
            String::new()
        };
        let program = shell_word(&self.program);
        let mut text = format!("\n  Farthing {} · {money}\n\n", env!("CARGO_PKG_VERSION"));
        for (label, value) in [
            ("address", format!("{}://{}", self.scheme, self.address)),
            ("console", format!("{url}/console/")),
            ("reference", format!("{url}/docs")),
            place,
            (
                "first admin",
                self.first_admin_line(
                    &url,
                    &format!("{program} admin create --email you@example.com{folder}"),
                ),
            ),
            ("try it", self.curl(&url)),
        ] {
            // Writing to a String cannot fail; the same holds below.
            let _ = writeln!(text, "  {label:<12} {value}");
        }
        if !self.warnings.is_empty() {
            text.push('\n');
        }
        for warning in &self.warnings {
            let _ = writeln!(text, "  warning: {warning}");
        }
        text
    }

    fn first_admin_line(&self, url: &str, command: &str) -> String {
        match &self.first_admin {
            Some(secret) => {
                format!("{url}/console/first/{secret} (once, for 30 minutes)\n{:15}or {command}", "")
            }
            None => command.to_owned(),
        }
    }

    fn curl(&self, url: &str) -> String {
        match self.mode {
            Mode::Sandbox => format!(
                "curl -sS {url}/register -H 'Content-Type: application/json' \
                 -d '{{\"email\":\"ann@example.com\",\"password\":\"seven quiet otters\"}}'"
            ),
            // A stranger's account is nothing to make in a ledger of real money.
            Mode::Live => format!("curl -sS {url}/readyz"),
        }
    }
}

fn settings_warnings(loaded: &Loaded, address: SocketAddr) -> Vec<String> {
    let settings = &loaded.settings;
    let mut warnings = Vec::new();
    if !settings.rate_limits.enabled {
        warnings.push("rate limits and the login throttle are off: for load tests only".to_owned());
    }
    if !settings.risk.enabled {
        warnings.push("risk rules are off: for load tests only".to_owned());
    }
    if !address.ip().is_loopback() && settings.tls.certificate.is_none() {
        warnings.push(
            "reachable from other machines without encryption: set [tls], or put a proxy with TLS in front"
                .to_owned(),
        );
    }
    warnings
}

/// An address that this machine can connect to: "every address" is none.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// A word as a shell reads it back.
fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn banner(mode: Mode) -> Banner {
        Banner {
            scheme: "http",
            address: "0.0.0.0:8080".parse().unwrap(),
            data: PathBuf::from("/srv/my ledger"),
            database: None,
            data_must_be_named: true,
            mode,
            program: "target/release/farthing".to_owned(),
            first_admin: None,
            warnings: vec!["mind the gap".to_owned()],
        }
    }

    #[test]
    fn the_lines_can_be_pasted() {
        let text = banner(Mode::Sandbox).text();
        for line in [
            "  address      http://0.0.0.0:8080\n",
            "  data folder  /srv/my ledger\n",
            "  first admin  target/release/farthing admin create --email you@example.com --data '/srv/my ledger'\n",
            "  try it       curl -sS http://127.0.0.1:8080/register -H 'Content-Type: application/json' \
             -d '{\"email\":\"ann@example.com\",\"password\":\"seven quiet otters\"}'\n",
            "  warning: mind the gap\n",
        ] {
            assert!(text.contains(line), "no {line:?} in\n{text}");
        }
    }

    #[test]
    fn live_mode_makes_no_stranger_an_account() {
        let text = banner(Mode::Live).text();
        assert!(text.contains("live mode: real money") && !text.contains("/register"), "{text}");
    }

    #[test]
    fn dangerous_settings_are_told() {
        let environment = [("FARTHING_RATE_LIMITS_ENABLED", "false"), ("FARTHING_RISK_ENABLED", "false")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let dangerous = crate::config::load(None, &[], environment).unwrap();
        let text = Banner::new(&dangerous, Mode::Sandbox, "0.0.0.0:80".parse().unwrap(), Vec::new()).text();
        for part in ["rate limits", "risk rules are off", "without encryption"] {
            assert!(text.contains(part), "no {part:?} in\n{text}");
        }
        let calm = crate::config::load(None, &[], []).unwrap();
        let text = Banner::new(&calm, Mode::Sandbox, "127.0.0.1:80".parse().unwrap(), Vec::new()).text();
        assert!(!text.contains("warning") && !text.contains("--data"), "{text}");
    }

    #[test]
    fn shell_words_read_back_as_they_were() {
        assert_eq!(shell_word("/srv/a-b_c.d"), "/srv/a-b_c.d");
        assert_eq!(shell_word("it's"), "'it'\\''s'");
        assert_eq!(shell_word(""), "''");
    }
}
