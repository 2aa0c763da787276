//! What a request is made of: bodies, the console's forms and cookies, queries, headers, the addresses that proxies tell, what
//! tracers send along, and the URLs of webhooks.

use std::net::IpAddr;
use std::sync::LazyLock;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use farthing::config::{Networks, ProxyHeader};
use farthing::console::{CONSOLE, DESK};
use farthing::http::extract::{Form, Query, bearer_token, idempotency_key, is_json, user_agent};
use farthing::http::problem::Code;
use farthing::http::proxy::Proxies;
use farthing::http::routes::ROUTES;
use farthing::http::spec::{Field, Kind, Route};
use farthing::ledger::Timestamp;
use farthing::telemetry::{TraceSettings, Traces};
use farthing::webhook::target::{Place, Target, TargetRules};
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderName, HeaderValue, USER_AGENT};
use hyper::http::request::Parts;
use opentelemetry::trace::TraceContextExt as _;
use sha2::{Digest as _, Sha256};
use tokio::runtime::Runtime;

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

const SECRET: &str = "what-a-visitor-was-given";

/// What goes before what is typed into a form, so that it is one of ours: a token without a mask.
fn form_token() -> String {
    let digest = Sha256::new().chain_update(b"farthing form\0").chain_update(SECRET).finalize();
    URL_SAFE_NO_PAD.encode([&[0; 32], &digest[..]].concat())
}

/// A request of a browser's.
fn from_browser(content_type: &str, cookie: HeaderValue) -> Parts {
    let request = hyper::Request::post("/").header("host", "localhost:8080").header("cookie", cookie);
    let request = request.header("origin", "http://localhost:8080").header("content-type", content_type);
    request.body(()).unwrap().into_parts().0
}

/// What a form of the console becomes is an object in JSON for the reader of bodies, or it is refused.
fn check_form(route: &Route, content_type: &str, body: Vec<u8>) {
    let parts =
        from_browser(content_type, HeaderValue::from_str(&format!("farthing-visit={SECRET}")).unwrap());
    match CONSOLE.door.body(route, &parts, body.into()) {
        Ok(json) => {
            let read = serde_json::from_slice::<serde_json::Value>(&json);
            assert!(read.is_ok_and(|read| read.is_object()), "{json:?}");
            if let Ok(mut form) = Form::read(&json, route.doc.body) {
                read_all(&mut form, route.doc.body);
            }
        }
        Err(problem) => assert_eq!(problem.code(), Code::MalformedJson),
    }
}

target!(
    /// See `check_form`.
    a_form, &["email=ada%40example.com&password=seven+quiet+otters", "amount=12.50&currency=USD&to=&description=%e2%82%ac", "events=a&events=b&events=%ff&=&&a"], |bytes: &[u8]| {
        for route in CONSOLE.routes.iter().filter(|route| !route.doc.body.is_empty()) {
            let body = [b"form_token=", form_token().as_bytes(), b"&", bytes].concat();
            check_form(route, "application/x-www-form-urlencoded", body);
        }
    }
);

const FILES: &[&str] = &[
    "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\nContent-Type: text/csv\r\n\r\namount\r\n1\r\n--x1--\r\n",
    "\r\ncontent-disposition:form-data; name=\"from\"\r\n\r\n2026-01-01\r\n--x1--",
    "--",
];

target!(
    /// The same of forms with files.
    a_form_with_a_file, FILES, |bytes: &[u8]| {
        for route in DESK.routes.iter().filter(|route| !route.doc.file.is_empty()) {
            let token = format!("--x1\r\nContent-Disposition: form-data; name=\"form_token\"\r\n\r\n{}\r\n--x1", form_token());
            check_form(route, "multipart/form-data; boundary=x1", [token.as_bytes(), bytes].concat());
        }
    }
);

target!(
    /// A session's token is what one cookie of that name says; of two, one is somebody else's.
    a_cookie, &["farthing=fat_0123; farthing-visit=abc", "a=b;farthing=\"x\"; ;farthing==", "__Host-farthing=fat_0", "farthing=1;farthing=2"], |bytes: &[u8]| {
        let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
        let mut parts = from_browser("", value.clone());
        if let Ok(token) = CONSOLE.door.token(&parts) {
            let told = value.to_str().unwrap();
            assert!(!token.is_empty() && !token.contains(';') && told.contains(&format!("farthing={token}")), "{told}");
            parts.headers.append(COOKIE, value.clone());
            assert!(CONSOLE.door.token(&parts).is_err(), "{told} twice");
        }
    }
);

/// What traces the requests of this test, and sends nothing.
static TRACES: LazyLock<(Runtime, Traces)> = LazyLock::new(|| {
    let runtime = Runtime::new().unwrap();
    let settings = TraceSettings { endpoint: "http://127.0.0.1:9/v1/traces".into(), percent: 0 };
    let traces = Traces::start(&settings, "0", runtime.handle().clone(), Timestamp::from_millis(0)).unwrap();
    (runtime, traces)
});

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

target!(
    /// A request belongs to the trace that its caller names in the right place, or to a new one.
    a_traceparent, &[PARENT, "00-00000000000000000000000000000000-b7ad6b7169203331-00", "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what"], |bytes: &[u8]| {
        let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", value.clone());
        headers.insert("tracestate", value.clone());
        let request = TRACES.1.request("GET", &headers, Instant::now());
        let span = request.span().span_context().clone();
        assert!(span.is_valid(), "{value:?}");
        let named = value.to_str().ok().and_then(|text| text.trim().split('-').nth(1)).unwrap_or_default();
        // The library takes ids without their leading zeros, too.
        let trace = u128::from_be_bytes(span.trace_id().to_bytes());
        let is_joined = u128::from_str_radix(named, 16).is_ok_and(|named| named == trace);
        assert!(is_joined || bytes != PARENT.as_bytes());
        assert!(is_joined || !String::from_utf8_lossy(bytes).contains(&format!("{trace:x}")), "{value:?}");
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
