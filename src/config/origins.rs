//! Origins of other sites, as browsers send them.

use std::fmt;

/// A list of origins such as `https://shop.example`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origins(Vec<String>);

impl Origins {
    /// Reads origins with commas between them. `*` is none: whoever wants every site says so of a proxy.
    pub fn parse(text: &str) -> Option<Self> {
        if text.trim().is_empty() {
            return Some(Self::default());
        }
        text.split(',').map(|part| origin(part.trim())).collect::<Option<_>>().map(Self)
    }

    /// Whether one of them is this, to the letter: so browsers compare them.
    pub fn contain(&self, origin: &str) -> bool {
        self.0.iter().any(|known| known == origin)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Scheme, host and perhaps a port, in lower-case; what a browser would never send is a mistake.
fn origin(text: &str) -> Option<String> {
    let (scheme, place) = text.split_once("://")?;
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (place, None),
    };
    let host_is_plain = !host.is_empty()
        && host
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_[]:".contains(&byte));
    let default_port = if scheme == "https" { "443" } else { "80" };
    let port_is_plain = port.is_none_or(|port| port.parse::<u16>().is_ok() && port != default_port);
    (["http", "https"].contains(&scheme) && host_is_plain && port_is_plain).then(|| text.to_owned())
}

impl fmt::Display for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_what_browsers_send() {
        let origins =
            Origins::parse("https://shop.example, http://localhost:3000,https://[::1]:8443").unwrap();
        for origin in ["https://shop.example", "http://localhost:3000", "https://[::1]:8443"] {
            assert!(origins.contain(origin), "{origin}");
        }
        for origin in
            ["https://shop.example:443", "http://shop.example", "https://shop.example.evil", "null", ""]
        {
            assert!(!origins.contain(origin), "{origin}");
        }
        for text in [
            "*",
            "null",
            "shop.example",
            "https://shop.example/",
            "https://Shop.example",
            "https://shop.example:443",
            "http://shop.example:80",
            "ftp://shop.example",
            "https://shop.example:x",
            "https://a@shop.example",
            "https://*.shop.example",
        ] {
            assert_eq!(Origins::parse(text), None, "{text}");
        }
    }
}
