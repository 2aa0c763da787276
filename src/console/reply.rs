//! Pages as answers: with what they may load.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY};
use maud::Markup;
use sha2::{Digest, Sha256};

use super::assets;
pub(super) use crate::http::reply::see_other;
use crate::http::reply::{Reply, with_type};

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// What pages may load: the style that stands in them, by its digest; our own script, pictures and answers; nothing from
/// elsewhere.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let style = STANDARD.encode(Sha256::digest(assets::STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; script-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
});

/// A page. It is sent as it is, without compression: pages carry secrets beside text from their address (a search, a
/// payment to be sent), and how small both become together would tell somebody who watches the line about the secret
/// (BREACH). The forms' own tokens are masked, but balances, names and keys that are shown once are not. All of a page,
/// its style and the script with it, is far below 100 KB as it is.
pub(super) fn page(status: StatusCode, page: Markup) -> Reply {
    let mut reply = with_type(status, "text/html; charset=utf-8", page.into_string());
    let headers = reply.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY.clone());
    // Forms must say where they come from, which no-referrer would keep from us; nobody else is told.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(OPENER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    reply
}
