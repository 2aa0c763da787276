//! What a request is made of: bodies, queries, headers, the addresses that proxies tell, and the URLs of webhooks.

use std::net::IpAddr;

use farthing::config::{Networks, ProxyHeader};
use farthing::http::extract::{Form, Query, bearer_token, idempotency_key, is_json, user_agent};
use farthing::http::problem::Code;
use farthing::http::proxy::Proxies;
use farthing::http::routes::ROUTES;
use farthing::http::spec::{Field, Kind};
use farthing::webhook::target::{Place, Target, TargetRules};
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};

use crate::target;

const BODIES: &[&str] = &[
    r#"{"amount":"12.50","currency":"USD","to":"ben@example.com","description":"Lunch","metadata":{"table":"4"}}"#,
    r#"{"amount":0.1,"currency":"usd","to":null,"reference":"L-1","capture":"automatic"}"#,
    r#"{"email":"ada@example.com","password":"seven quiet otters","name":"Ada"}"#,
    r#"{"a":[[[[{"b":1.0000000000000000001}]]]],"amount":"1","amount":"2"}"#,
    r#"["amount"]"#,
    "{}",
];

/// Reads every field of a form as its kind asks; gives whether anything was refused.
fn read_all(form: &mut Form<'_>, fields: &'static [Field]) {
    for field in fields {
        match field.kind {
            Kind::Amount => drop(form.money(field.name, "currency")),
            Kind::Metadata => drop(form.metadata(field.name)),
            _ => drop(form.text(field.name)),
        }
    }
}

target!(
    /// A body is malformed if and only if it is not JSON; what is not named is refused by name.
    a_body, BODIES, |bytes: &[u8]| {
        let json = serde_json::from_slice::<serde_json::Value>(bytes);
        for route in ROUTES.iter().filter(|route| !route.doc.body.is_empty()) {
            match Form::read(bytes, route.doc.body) {
                Ok(mut form) => {
                    read_all(&mut form, route.doc.body);
                    let Ok(serde_json::Value::Object(object)) = &json else { continue };
                    let is_known = |name: &String| route.doc.body.iter().any(|field| field.name == name);
                    assert!(form.has_errors() || object.keys().all(is_known), "{object:?}");
                }
                Err(problem) if problem.code() == Code::MalformedJson => {
                    // JSON of more than 64 levels, or with half a surrogate in a key, is not read either.
                    let is_deep = bytes.iter().filter(|byte| b"[{".contains(byte)).count() > 64;
                    assert!(json.is_err() || is_deep, "{:?}", String::from_utf8_lossy(bytes));
                }
                Err(problem) => {
                    assert_eq!(problem.code(), Code::ValidationFailed);
                    assert!(!matches!(json, Ok(serde_json::Value::Object(_))));
                }
            }
        }
    }
);

target!(
    /// What a query names is one of the route's parameters, once, and decoded.
    a_query, &["limit=20&after=AQAAAAAAAAAB&currency=USD", "from=2026-11-01&to=2026-11-30&type=payment", "limit=%31&currency=u%73d", "a&b=&=c&&"], |text: &str| {
        for route in ROUTES.iter().filter(|route| !route.doc.query.is_empty()) {
            let mut query = Query::read(Some(text), route.doc.query);
            let limit = query.limit();
            assert!((1..=100).contains(&limit));
            let _ = (query.after(), query.from("from"), query.until("to"));
            let pairs = query.pairs();
            for (name, _) in &pairs {
                assert!(route.doc.query.iter().any(|field| field.name == *name));
                assert_eq!(pairs.iter().filter(|(other, _)| other == name).count(), 1, "{text}");
            }
        }
    }
);

const HEADERS: &[&str] = &[
    "Bearer fta_0123",
    "application/json; charset=utf-8",
    "\"key\"",
    "curl/8.5.0",
    "bearer  x ",
    "application/JSON",
];

target!(
    /// Headers are read as text or refused, whatever bytes they have.
    headers, HEADERS, |bytes: &[u8]| {
        let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
        let mut headers = HeaderMap::new();
        for name in [AUTHORIZATION, CONTENT_TYPE, USER_AGENT, HeaderName::from_static("idempotency-key")] {
            headers.append(name, value.clone());
        }
        if let Ok(token) = bearer_token(&headers) {
            assert!(!token.is_empty() && token.trim_matches(' ') == token);
        }
        if let Ok(key) = idempotency_key(&headers) {
            assert!(key.is_some());
        }
        if let Some(agent) = user_agent(&headers) {
            assert!(agent.chars().count() <= 200 && !agent.chars().any(char::is_control));
        }
        let is_one = is_json(&headers);
        headers.append(CONTENT_TYPE, value);
        assert!(!is_json(&headers), "two types are none");
        // Blanks and tabs around a value are not part of it (RFC 9110, 5.5).
        assert!(!is_one || bytes.to_ascii_lowercase().trim_ascii_start().starts_with(b"application/json"));
    }
);

const HOPS: &[&str] = &[
    "203.0.113.9, 10.0.0.1",
    "for=203.0.113.9;proto=https, for=\"[2001:db8::1]:80\"",
    "unknown",
    "_hidden",
    "[::ffff:127.0.0.1]:1",
    "198.51.100.1, \"203.0.113.9",
    "for=;by=",
];

target!(
    /// Who is not behind one of our proxies is who the connection says, whatever the headers say.
    a_forwarded_header, HOPS, |bytes: &[u8]| {
        let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
        let mut headers = HeaderMap::new();
        for name in ["forwarded", "x-forwarded-for", "x-forwarded-proto"] {
            headers.append(HeaderName::from_static(name), value.clone());
        }
        let (proxy, stranger): (IpAddr, IpAddr) = ("10.0.0.2".parse().unwrap(), "192.0.2.7".parse().unwrap());
        for header in [ProxyHeader::XForwardedFor, ProxyHeader::Forwarded] {
            let proxies = Proxies { trusted: Networks::parse("10.0.0.0/8").unwrap(), header };
            let told = proxies.source(stranger, &headers);
            assert_eq!((told.address, told.by_https), (stranger, false));
            // Behind the proxy: what it added on the right counts, not what came with it.
            headers.append(HeaderName::from_static("x-forwarded-for"), HeaderValue::from_static("203.0.113.50"));
            headers.append(HeaderName::from_static("forwarded"), HeaderValue::from_static("for=203.0.113.50"));
            assert_eq!(proxies.source(proxy, &headers).address, "203.0.113.50".parse::<IpAddr>().unwrap());
        }
    }
);

const URLS: &[&str] = &[
    "https://example.com/hook?x=1",
    "http://93.184.216.34:80/",
    "https://[2606:2800:220:1::1]/",
    "https://0x7f.1/",
    "https://2130706433/",
    "https://user:pass@example.com/",
    "https://example.com.:443/",
    "https://①②⑦.0.0.1/",
    "https://[::ffff:10.0.0.1]/",
    "https://localhost/",
];

/// Addresses of somebody's own network, from the registries' lists.
fn is_inside(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_broadcast()
                || ip.is_multicast()
                || ip.is_documentation()
                || first == 0
                || first >= 240
                || (first == 100 && (64..128).contains(&second))
        }
        IpAddr::V6(ip) => {
            ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
        }
    }
}

target!(
    /// A URL that is taken leads to a name or to a public address, and reads the same again.
    a_webhook_url, URLS, |text: &str| {
        let rules = TargetRules::default();
        let Ok(target) = Target::parse(text, &rules) else { return };
        match target.place() {
            Place::Address(address) => assert!(!is_inside(*address), "{text} leads to {address}"),
            Place::Name(name) => {
                assert!(name.parse::<IpAddr>().is_err(), "{text} is an address and taken for a name");
                assert!(name.contains('.') && !name.ends_with("localhost"), "{text}");
            }
        }
        assert!(rules.ports.contains(&target.port()) && !target.as_str().contains('@') | target.path_and_query().contains('@'));
        let again = Target::parse(target.as_str(), &rules).unwrap();
        assert_eq!((again.as_str(), again.place()), (target.as_str(), target.place()), "{text}");
    }
);
