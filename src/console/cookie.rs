//! Cookies, and the tokens in forms that follow from them.
//!
//! Two cookies: one carries the token of a session, the other lets the forms of a visitor without a session be told from
//! another site's. Neither can be read by script, and neither is sent along with what another site posts. Over HTTPS
//! both bear `__Host-` in their name, which a browser takes only with Secure, without a domain and from this very host;
//! on plain HTTP to this machine itself, where no browser would keep them so, the names are bare.
//!
//! A form carries a token that follows from the cookie's secret, masked anew on each page: an answer that is compressed
//! never repeats it (BREACH), and nobody without the cookie can make one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::HeaderMap;
use hyper::header::{COOKIE, HOST, HeaderValue};
use sha2::{Digest, Sha256};

use crate::clock::{Clock, RandomError};
use crate::ledger::hexadecimal;

const DIGEST: usize = 32;
const MASKED: usize = 2 * DIGEST;

/// What a cookie is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cookie {
    /// Carries a session's token.
    Session,
    /// Carries nothing but randomness, until there is a session.
    Visit,
}

impl Cookie {
    const ALL: [Self; 2] = [Self::Session, Self::Visit];

    const fn bare_name(self) -> &'static str {
        match self {
            Self::Session => "farthing",
            Self::Visit => "farthing-visit",
        }
    }

    /// The value that the browser sent; none if it sent two, of which one must be somebody else's.
    pub(super) fn read(self, headers: &HeaderMap) -> Option<&str> {
        let (prefix, name) = (prefix(headers), self.bare_name());
        let texts = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let mut values =
            pairs.filter_map(|(known, value)| (known.strip_prefix(prefix)? == name).then_some(value));
        let value = values.next().filter(|value| !value.is_empty());
        value.filter(|_| values.next().is_none())
    }

    /// The header that makes the browser keep a value for so long.
    pub(super) fn keep(self, headers: &HeaderMap, value: &str, seconds: i64) -> Option<HeaderValue> {
        self.header(prefix(headers), value, seconds)
    }

    /// The headers that make the browser forget both cookies, whichever names they bear.
    pub(super) fn forget() -> impl Iterator<Item = HeaderValue> {
        Self::ALL
            .into_iter()
            .flat_map(|cookie| ["", HOST_PREFIX].map(|prefix| cookie.header(prefix, "", 0)))
            .flatten()
    }

    fn header(self, prefix: &str, value: &str, seconds: i64) -> Option<HeaderValue> {
        let mut text = format!(
            "{prefix}{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax",
            self.bare_name()
        );
        if !prefix.is_empty() {
            text.push_str("; Secure");
        }
        HeaderValue::try_from(text).ok()
    }
}

const HOST_PREFIX: &str = "__Host-";

/// What the cookies' names begin with here.
fn prefix(headers: &HeaderMap) -> &'static str {
    if host(headers).is_some_and(is_this_machine) { "" } else { HOST_PREFIX }
}

/// The host and port that the browser asked for.
pub(super) fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(HOST)?.to_str().ok()
}

/// Whether a host with or without a port is the machine itself, to which nobody else can listen.
pub(super) fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let loopback = name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    loopback || name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost")
}

/// The secret from which this browser's form tokens follow: its session's, or its visit's.
pub(super) fn secret(headers: &HeaderMap) -> Option<&str> {
    Cookie::Session.read(headers).or_else(|| Cookie::Visit.read(headers))
}

/// A new secret for a visitor.
pub(super) fn new_secret(clock: &Clock) -> Result<String, RandomError> {
    Ok(URL_SAFE_NO_PAD.encode(clock.random::<DIGEST>()?))
}

/// A form's token: another text each time, always the same digest.
pub(super) fn form_token(secret: &str, clock: &Clock) -> Result<String, RandomError> {
    let mask = clock.random::<DIGEST>()?;
    let mut bytes = [0_u8; MASKED];
    let (left, right) = bytes.split_at_mut(DIGEST);
    left.copy_from_slice(&mask);
    for ((to, mask), digest) in right.iter_mut().zip(mask).zip(digest(secret)) {
        *to = mask ^ digest;
    }
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Whether a form's token follows from the secret. Takes as long for a wrong one as for a right one.
pub(super) fn is_form_token(token: &str, secret: &str) -> bool {
    let Some(bytes) = URL_SAFE_NO_PAD.decode(token).ok().filter(|bytes| bytes.len() == MASKED) else {
        return false;
    };
    let (mask, masked) = bytes.split_at(DIGEST);
    let pairs = mask.iter().zip(masked).zip(digest(secret));
    pairs.fold(0, |differs, ((mask, masked), digest)| differs | (mask ^ masked ^ digest)) == 0
}

fn digest(secret: &str) -> [u8; DIGEST] {
    let mut hasher = Sha256::new();
    hasher.update(b"farthing form\0");
    hasher.update(secret.as_bytes());
    hasher.finalize().into()
}

/// A short name for a text, the same on each node and in each run.
pub(super) fn fingerprint(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    let bytes: [u8; DIGEST] = hasher.finalize().into();
    let (half, _) = bytes.split_at(DIGEST.div_euclid(2));
    hexadecimal::write(half)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn headers(host: &str, cookies: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::try_from(host).unwrap());
        for cookie in cookies {
            headers.append(COOKIE, HeaderValue::try_from(*cookie).unwrap());
        }
        headers
    }

    #[rstest]
    #[case("127.0.0.1:8080", &["farthing=a"], Some("a"))]
    #[case("localhost", &["x=1; farthing=a; y=2"], Some("a"))]
    #[case("[::1]:80", &["x=1", "farthing=a"], Some("a"))]
    #[case("pay.example.org", &["__Host-farthing=a"], Some("a"))]
    #[case("pay.example.org", &["farthing=a"], None)]
    #[case("127.0.0.1", &["__Host-farthing=a"], None)]
    #[case("127.0.0.1", &["farthing=a; farthing=b"], None)]
    #[case("127.0.0.1", &["farthing=a", "farthing=a"], None)]
    #[case("127.0.0.1", &["farthing="], None)]
    #[case("127.0.0.1", &["farthing-visit=a"], None)]
    #[case("127.0.0.1", &[], None)]
    fn one_cookie_of_the_right_name_counts(
        #[case] host: &str,
        #[case] cookies: &[&str],
        #[case] value: Option<&str>,
    ) {
        assert_eq!(Cookie::Session.read(&headers(host, cookies)), value);
    }

    #[rstest]
    #[case("127.0.0.1:8080", true)]
    #[case("127.9.9.9", true)]
    #[case("[::1]:8080", true)]
    #[case("LOCALHOST:1", true)]
    #[case("pay.localhost", true)]
    #[case("127.0.0.1.example.org", false)]
    #[case("localhost.example.org", false)]
    #[case("192.168.0.1:8080", false)]
    #[case("", false)]
    fn only_this_machine_goes_without_https(#[case] host: &str, #[case] expected: bool) {
        assert_eq!(is_this_machine(host), expected);
    }

    #[test]
    fn cookies_are_for_this_host_alone_and_for_no_script() {
        let safe = Cookie::Session.keep(&headers("pay.example.org", &[]), "v", 60).unwrap();
        assert_eq!(safe, "__Host-farthing=v; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure");
        let bare = Cookie::Session.keep(&headers("localhost:8080", &[]), "v", 60).unwrap();
        assert_eq!(bare, "farthing=v; Path=/; Max-Age=60; HttpOnly; SameSite=Lax");
        assert_eq!(Cookie::forget().count(), 4);
    }

    #[test]
    fn a_form_token_differs_each_time_and_follows_from_one_secret() {
        let clock = Clock::system();
        let (one, other) = (form_token("a", &clock).unwrap(), form_token("a", &clock).unwrap());
        assert_ne!(one, other);
        for token in [&one, &other] {
            assert!(is_form_token(token, "a"));
            assert!(!is_form_token(token, "b") && !is_form_token(&token[1..], "a"));
        }
        assert!(!is_form_token("", "a"));
    }

    #[test]
    fn a_fingerprint_tells_where_texts_begin() {
        assert_ne!(fingerprint(&["ab", "c"]), fingerprint(&["a", "bc"]));
        assert_eq!(fingerprint(&["ab", "c"]), fingerprint(&["ab", "c"]));
    }
}
