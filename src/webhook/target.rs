//! Where an endpoint may be: the URL's rules, applied when it is given and again each time something is sent.
//!
//! The URL is read as browsers read it, so that `0x7f.1`, `2130706433` and full-width digits are the IPv4 address that a
//! connection would go to. What a name leads to is not asked here but at the connection.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

use super::guard::Guard;

/// The longest URL, in bytes.
const MAX_LENGTH: usize = 2_048;

/// What the operator lets endpoints be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetRules {
    /// Which addresses.
    pub guard: Guard,
    /// Which ports.
    pub ports: Vec<u16>,
    /// Whether `http` will do: in the sandbox.
    pub allow_http: bool,
}

impl Default for TargetRules {
    fn default() -> Self {
        Self { guard: Guard::default(), ports: vec![443, 80], allow_http: true }
    }
}

/// Why a URL cannot be an endpoint's. It displays as what follows "the URL".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetFault {
    /// Too long.
    #[error("must have at most {MAX_LENGTH} bytes")]
    TooLong,
    /// No URL.
    #[error("must be a URL such as https://example.com/hook")]
    NotAUrl,
    /// The wrong scheme.
    #[error("must begin with https://")]
    Scheme,
    /// A name or password in it.
    #[error("must not hold a user name or password")]
    Credentials,
    /// A fragment, which is never sent.
    #[error("must not have a fragment (what follows a #)")]
    Fragment,
    /// A port that the operator does not allow.
    #[error("must use a port that this server allows: {0}")]
    Port(String),
    /// An address or name that leads into somebody's own network.
    #[error("must lead to a public address")]
    Address,
}

/// Where the connection goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// To a name, whose addresses are looked up each time.
    Name(String),
    /// To an address.
    Address(IpAddr),
}

/// A URL that an endpoint may have.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    url: Url,
    place: Place,
    port: u16,
}

impl Target {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`TargetFault`] if it cannot be an endpoint's.
    pub fn parse(text: &str, rules: &TargetRules) -> Result<Self, TargetFault> {
        if text.len() > MAX_LENGTH {
            return Err(TargetFault::TooLong);
        }
        // The reader would drop these silently; then the text that people see would not be where things go.
        if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err(TargetFault::NotAUrl);
        }
        let url = Url::parse(text).map_err(|_| TargetFault::NotAUrl)?;
        match url.scheme() {
            "https" => {}
            "http" if rules.allow_http => {}
            _ => return Err(TargetFault::Scheme),
        }
        if !url.username().is_empty() || url.password().is_some() || has_credentials(text) {
            return Err(TargetFault::Credentials);
        }
        if url.fragment().is_some() {
            return Err(TargetFault::Fragment);
        }
        let port = url.port_or_known_default().ok_or(TargetFault::NotAUrl)?;
        if !rules.ports.contains(&port) {
            let ports: Vec<String> = rules.ports.iter().map(u16::to_string).collect();
            return Err(TargetFault::Port(ports.join(", ")));
        }
        let place = match url.host().ok_or(TargetFault::NotAUrl)? {
            Host::Domain(name) => {
                // One dot may end a name. More of them would hide an address from the reader: `127.0.0.1..`.
                let name = name.strip_suffix('.').unwrap_or(name);
                if name.split('.').any(str::is_empty) {
                    return Err(TargetFault::NotAUrl);
                }
                Place::Name(name.to_owned())
            }
            Host::Ipv4(address) => Place::Address(IpAddr::V4(address)),
            Host::Ipv6(address) => Place::Address(IpAddr::V6(address)),
        };
        match &place {
            Place::Address(address) if !rules.guard.allows(*address) => Err(TargetFault::Address),
            Place::Name(name)
                if is_local(name) && !rules.guard.allow_private && rules.guard.allowed.is_empty() =>
            {
                Err(TargetFault::Address)
            }
            _ => Ok(Self { url, place, port }),
        }
    }

    /// The whole URL, as it is written down.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// Where the connection goes.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether TLS is spoken.
    pub fn is_encrypted(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Path and query, as the request line has them.
    pub fn path_and_query(&self) -> String {
        match self.url.query() {
            Some(query) => format!("{}?{query}", self.url.path()),
            None => self.url.path().to_owned(),
        }
    }

    /// Host and port, as the `Host` header has them.
    pub fn authority(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A path may hold what its owner takes for a secret.
        write!(f, "Target({}://{}/…)", self.url.scheme(), self.authority())
    }
}

/// Whether the part between `//` and the path holds an `@`, even one with nothing before it.
fn has_credentials(text: &str) -> bool {
    let after = text.split_once("//").map_or(text, |(_, rest)| rest);
    after.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
}

/// Names that never lead to the internet. The guard would refuse their addresses; this tells it right away.
fn is_local(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    !name.contains('.')
        || matches!(last, "localhost" | "local" | "internal" | "localdomain" | "onion" | "arpa")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn parse(text: &str) -> Result<Target, TargetFault> {
        Target::parse(text, &TargetRules::default())
    }

    #[rstest]
    #[case("https://example.com/hook", "https://example.com/hook", "example.com", 443, "/hook")]
    #[case("https://EXAMPLE.com", "https://example.com/", "example.com", 443, "/")]
    #[case("http://example.com:80/a?b=c", "http://example.com/a?b=c", "example.com", 80, "/a?b=c")]
    #[case("https://example.com:80/", "https://example.com:80/", "example.com:80", 80, "/")]
    #[case("https://bücher.example/", "https://xn--bcher-kva.example/", "xn--bcher-kva.example", 443, "/")]
    #[case("https://8.8.8.8/", "https://8.8.8.8/", "8.8.8.8", 443, "/")]
    #[case("https://[2606:4700::1111]/", "https://[2606:4700::1111]/", "[2606:4700::1111]", 443, "/")]
    #[case("https://example.com/@me", "https://example.com/@me", "example.com", 443, "/@me")]
    fn urls_of_endpoints(
        #[case] text: &str,
        #[case] whole: &str,
        #[case] authority: &str,
        #[case] port: u16,
        #[case] path: &str,
    ) {
        let target = parse(text).unwrap();
        assert_eq!((target.as_str(), target.authority().as_str()), (whole, authority));
        assert_eq!((target.port(), target.path_and_query().as_str()), (port, path));
    }

    #[rstest]
    #[case("", TargetFault::NotAUrl)]
    #[case("example.com", TargetFault::NotAUrl)]
    #[case("https://", TargetFault::NotAUrl)]
    #[case("https://exa mple.com/", TargetFault::NotAUrl)]
    #[case("https://example.com/\n", TargetFault::NotAUrl)]
    #[case("https:\\\\example.com", TargetFault::NotAUrl)]
    #[case("https://256.256.256.256/", TargetFault::NotAUrl)]
    #[case("https://127.0.0.1../", TargetFault::NotAUrl)]
    #[case("https://example..com/", TargetFault::NotAUrl)]
    #[case("ftp://example.com/", TargetFault::Scheme)]
    #[case("file:///etc/passwd", TargetFault::Scheme)]
    #[case("gopher://example.com/", TargetFault::Scheme)]
    #[case("data:text/plain,x", TargetFault::Scheme)]
    #[case("https://user@example.com/", TargetFault::Credentials)]
    #[case("https://user:pass@example.com/", TargetFault::Credentials)]
    #[case("https://@example.com/", TargetFault::Credentials)]
    #[case("https://example.com/#part", TargetFault::Fragment)]
    #[case("https://localhost/", TargetFault::Address)]
    #[case("https://localhost./", TargetFault::Address)]
    #[case("https://a.localhost/", TargetFault::Address)]
    #[case("https://printer.local/", TargetFault::Address)]
    #[case("https://metadata.google.internal/", TargetFault::Address)]
    #[case("https://intranet/", TargetFault::Address)]
    #[case("https://127.0.0.1/", TargetFault::Address)]
    #[case("https://2130706433/", TargetFault::Address)]
    #[case("https://0x7f.1/", TargetFault::Address)]
    #[case("https://0177.0.0.1/", TargetFault::Address)]
    #[case("https://１２７.0.0.1/", TargetFault::Address)]
    #[case("https://[::1]/", TargetFault::Address)]
    fn urls_that_no_endpoint_has(#[case] text: &str, #[case] fault: TargetFault) {
        assert_eq!(parse(text), Err(fault), "{text}");
    }

    #[test]
    fn ports_and_plain_http_are_the_operators() {
        assert_eq!(parse("https://example.com:8443/"), Err(TargetFault::Port("443, 80".to_owned())));
        let rules = TargetRules { ports: vec![8443], allow_http: false, ..TargetRules::default() };
        assert!(Target::parse("https://example.com:8443/", &rules).is_ok());
        assert_eq!(Target::parse("http://example.com:8443/", &rules), Err(TargetFault::Scheme));
        assert_eq!(parse(&format!("https://example.com/{}", "a".repeat(2_048))), Err(TargetFault::TooLong));
    }
}
