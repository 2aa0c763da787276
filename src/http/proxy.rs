//! Where a request comes from when there are proxies in front: what they say is believed, what clients say is not.
//!
//! Each proxy adds the address that it was called from at the right end of the header, so that the client is the
//! right-most hop that is no trusted proxy; everything to its left may be made up.

use std::net::{IpAddr, SocketAddr};

use hyper::HeaderMap;
use hyper::header::{FORWARDED, HeaderName, VIA};

use crate::config::{Networks, ProxyHeader};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The proxies in front, and how they say where a request came from.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// Where they are.
    pub trusted: Networks,
    /// The header that they write.
    pub header: ProxyHeader,
}

/// Where a request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// The client's address, as far as it is known.
    pub address: IpAddr,
    /// Whether a trusted proxy says that the client came by https.
    pub by_https: bool,
    /// Whether nobody stood between: the connection is the client's own.
    pub is_direct: bool,
}

impl Proxies {
    /// Where a request came from that came over a connection from `peer`.
    pub fn source(&self, peer: IpAddr, headers: &HeaderMap) -> Source {
        let peer = peer.to_canonical();
        if !self.trusted.contain(peer) {
            let is_direct = ![FORWARDED, FORWARDED_FOR, VIA].iter().any(|name| headers.contains_key(name));
            return Source { address: peer, by_https: false, is_direct };
        }
        let (hops, proto) = match self.header {
            ProxyHeader::XForwardedFor => {
                (hops(headers, &FORWARDED_FOR), hops(headers, &FORWARDED_PROTO).last().copied())
            }
            ProxyHeader::Forwarded => {
                let hops = hops(headers, &FORWARDED);
                let proto = hops.last().and_then(|hop| parameter(hop, "proto"));
                (hops, proto)
            }
        };
        Source {
            address: self.client(peer, &hops),
            by_https: proto.is_some_and(|proto| proto.eq_ignore_ascii_case("https")),
            is_direct: false,
        }
    }

    /// The right-most hop that is no proxy of ours. A hop that names no address ends the search at who told of it.
    fn client(&self, peer: IpAddr, hops: &[&str]) -> IpAddr {
        let mut client = peer;
        for hop in hops.iter().rev() {
            let node = match self.header {
                ProxyHeader::XForwardedFor => Some(*hop),
                ProxyHeader::Forwarded => parameter(hop, "for"),
            };
            let Some(address) = node.and_then(address_of) else { break };
            client = address;
            if !self.trusted.contain(address) {
                break;
            }
        }
        client
    }
}

/// The hops that a header lists, from the client's end to ours. Split at every comma: were quotes heeded, a client could
/// open one that swallows what the proxies add.
fn hops<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
    let values = headers.get_all(name).iter();
    // A value that is no text counts as a hop that names nobody.
    values.flat_map(|value| value.to_str().unwrap_or("?").split(',')).map(str::trim).collect()
}

/// A parameter of one hop of `Forwarded`, without its quotes.
fn parameter<'a>(hop: &'a str, name: &str) -> Option<&'a str> {
    hop.split(';').find_map(|pair| {
        let (known, value) = pair.split_once('=')?;
        known.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
    })
}

/// An address with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn address_of(node: &str) -> Option<IpAddr> {
    let bracketed = node.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(address, _)| address);
    let address = bracketed.and_then(|address| address.parse().ok());
    let address = address.or_else(|| node.parse().ok());
    let with_port = || node.parse().ok().map(|address: SocketAddr| address.ip());
    address.or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;
    use rstest::rstest;

    fn source(header: ProxyHeader, peer: &str, sent: &[(&'static str, &str)]) -> Source {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let trusted = Networks::parse("127.0.0.1, 10.0.0.0/8, fd00::/8").unwrap();
        Proxies { trusted, header }.source(peer.parse().unwrap(), &headers)
    }

    #[rstest]
    // Nobody else is believed.
    #[case("192.0.2.1", &["203.0.113.9"], "192.0.2.1")]
    #[case("127.0.0.1", &[], "127.0.0.1")]
    #[case("127.0.0.1", &["203.0.113.9"], "203.0.113.9")]
    #[case("::ffff:127.0.0.1", &["203.0.113.9:4711"], "203.0.113.9")]
    #[case("127.0.0.1", &["2001:db8::1"], "2001:db8::1")]
    #[case("127.0.0.1", &["[2001:db8::1]:80"], "2001:db8::1")]
    // What a client sends stands to the left of what the proxy adds.
    #[case("127.0.0.1", &["198.51.100.1, 203.0.113.9"], "203.0.113.9")]
    #[case("127.0.0.1", &["198.51.100.1", "203.0.113.9"], "203.0.113.9")]
    #[case("127.0.0.1", &["\"198.51.100.1, 203.0.113.9"], "203.0.113.9")]
    // A chain of proxies of ours.
    #[case("127.0.0.1", &["198.51.100.1, 203.0.113.9, 10.0.0.2, 10.0.0.1"], "203.0.113.9")]
    #[case("127.0.0.1", &["10.0.0.2, 10.0.0.1"], "10.0.0.2")]
    // A hop that names nobody ends the search.
    #[case("127.0.0.1", &["198.51.100.1, unknown, 10.0.0.1"], "10.0.0.1")]
    #[case("127.0.0.1", &["198.51.100.1, "], "127.0.0.1")]
    fn the_client_is_the_right_most_hop_that_is_no_proxy(
        #[case] peer: &str,
        #[case] sent: &[&str],
        #[case] expected: &str,
    ) {
        let expected: IpAddr = expected.parse().unwrap();
        let sent: Vec<_> = sent.iter().map(|value| ("x-forwarded-for", *value)).collect();
        assert_eq!(source(ProxyHeader::XForwardedFor, peer, &sent).address, expected);
        // The same in the other header.
        let node = |hop: &str| {
            let hop = hop.trim();
            if hop.contains(':') { format!("by=_x;For=\"{hop}\"") } else { format!("for={hop}") }
        };
        let other: Vec<(&'static str, String)> = sent
            .iter()
            .map(|(_, value)| ("forwarded", value.split(',').map(node).collect::<Vec<_>>().join(",")))
            .collect();
        let other: Vec<_> = other.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(source(ProxyHeader::Forwarded, peer, &other).address, expected);
        // And the header that the proxies do not write is the client's own.
        let local: IpAddr = peer.parse::<IpAddr>().unwrap().to_canonical();
        assert_eq!(source(ProxyHeader::XForwardedFor, peer, &other).address, local);
    }

    #[test]
    fn https_is_what_the_nearest_proxy_says() {
        let by_https =
            |peer, sent: &[(&'static str, &str)]| source(ProxyHeader::XForwardedFor, peer, sent).by_https;
        assert!(by_https("127.0.0.1", &[("x-forwarded-proto", "https")]));
        assert!(!by_https("127.0.0.1", &[("x-forwarded-proto", "https, http")]));
        assert!(!by_https("192.0.2.1", &[("x-forwarded-proto", "https")]));
        let forwarded = [("forwarded", "for=192.0.2.1;proto=http, for=10.0.0.1;proto=https")];
        assert!(source(ProxyHeader::Forwarded, "127.0.0.1", &forwarded).by_https);
        assert!(!by_https("127.0.0.1", &forwarded));
    }

    #[test]
    fn a_request_that_somebody_handed_on_is_not_direct() {
        let is_direct =
            |peer, sent: &[(&'static str, &str)]| source(ProxyHeader::XForwardedFor, peer, sent).is_direct;
        assert!(is_direct("192.0.2.1", &[]));
        assert!(!is_direct("192.0.2.1", &[("via", "1.1 proxy")]));
        assert!(!is_direct("192.0.2.1", &[("x-forwarded-for", "203.0.113.9")]));
        assert!(!is_direct("127.0.0.1", &[]));
    }
}
