//! CORS (the Fetch standard): which other sites' scripts may call the API from a browser. None unless configured.
//!
//! Calls carry a bearer token and never a cookie, so credentials in the sense of CORS are not allowed to any site.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderValue,
    ORIGIN, VARY,
};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method};

use super::reply::{self, Reply};
pub use crate::config::Origins;

/// What a preflight may be asked for: each header that some call takes.
const ALLOWED_HEADERS: &str = "authorization, content-type, idempotency-key, last-event-id";
/// What a script may read beside the few headers that it always may.
const EXPOSED_HEADERS: &str = "request-id, idempotent-replayed, link, location, ratelimit, ratelimit-policy, retry-after, www-authenticate";
/// For how many seconds a browser may remember a preflight.
const MAX_AGE: &str = "600";

/// A request that comes from a site that is let in, and what its answer must say.
#[derive(Debug, Clone)]
pub struct Visit {
    origin: HeaderValue,
    is_preflight: bool,
}

impl Visit {
    /// Reads where a request comes from; none if that is no site, or not one that is let in.
    pub fn read(origins: &Origins, parts: &Parts) -> Option<Self> {
        if origins.is_empty() {
            return None;
        }
        let mut values = parts.headers.get_all(ORIGIN).iter();
        let origin = values.next().filter(|_| values.next().is_none())?;
        let is_preflight =
            parts.method == Method::OPTIONS && parts.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        origins.contain(origin.to_str().ok()?).then(|| Self { origin: origin.clone(), is_preflight })
    }

    /// Whether the browser only asks whether it may ask.
    pub fn is_preflight(&self) -> bool {
        self.is_preflight
    }

    /// The answer to a preflight for a path with these methods.
    pub fn preflight(allow: &str) -> Reply {
        let mut reply = reply::no_content();
        let headers = reply.headers_mut();
        if let Ok(allow) = HeaderValue::from_str(allow) {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, allow);
        }
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED_HEADERS));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
        reply
    }

    /// Lets the site's script see the answer.
    pub fn write(&self, headers: &mut HeaderMap) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, self.origin.clone());
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
    }
}

/// Where sites are let in, an answer depends on who asks: no cache may give one site's answer to another.
pub fn vary(origins: &Origins, headers: &mut HeaderMap) {
    if !origins.is_empty() {
        headers.append(VARY, HeaderValue::from_static("origin"));
    }
}
