//! What pages are dressed with: one style sheet that stands in each page, so that the first paint waits for nothing else,
//! one script and one picture of our own. The script's address names its content, so browsers may keep it for good.

use std::sync::LazyLock;

use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, HeaderValue};

use super::cookie::fingerprint;
use crate::http::call::Call;
use crate::http::problem::{Code, Problem};
use crate::http::reply::with_type;
use crate::http::spec::Answer;

/// The style of every page.
pub(super) const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
const ICON: &str = include_str!("icon.svg");

/// Where the script is.
pub(super) static SCRIPT_ADDRESS: LazyLock<String> = LazyLock::new(|| address(SCRIPT, "js"));
/// Where the icon is.
pub(super) static ICON_ADDRESS: LazyLock<String> = LazyLock::new(|| address(ICON, "svg"));

fn address(content: &str, kind: &str) -> String {
    format!("/console/assets/{}.{kind}", fingerprint(&[content]))
}

pub(super) async fn asset(call: Call) -> Answer {
    let path = call.uri.path();
    let (kind, content) = if path == SCRIPT_ADDRESS.as_str() {
        ("text/javascript; charset=utf-8", SCRIPT)
    } else if path == ICON_ADDRESS.as_str() {
        ("image/svg+xml", ICON)
    } else {
        return Err(Problem::new(Code::NotFound));
    };
    let mut reply = with_type(StatusCode::OK, kind, content);
    let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
    reply.headers_mut().insert(CACHE_CONTROL, forever);
    Ok(reply)
}
