//! Answers: bodies that are all there or made while they are sent, and the headers that every answer carries.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use http_body_util::Full;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, Entry, HeaderName,
    HeaderValue, LINK, LOCATION, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{HeaderMap, Response, StatusCode};
use serde::Serialize;
use tokio::sync::mpsc::Receiver;

use super::extract::Cursor;
use crate::ledger::RequestId;
use crate::store::PageRequest;

/// An answer.
pub type Reply = Response<ReplyBody>;

/// The body of an answer.
#[derive(Debug)]
pub enum ReplyBody {
    /// All there: nothing to wait for, nothing to box.
    Whole(Full<Bytes>),
    /// Made while it is sent, a piece at a time. Whoever makes it waits until the client has taken the piece before.
    Pieces(Receiver<Result<Bytes, Cut>>),
}

/// What follows of a body is not there: the connection ends without the body's end, so that the client can tell.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the answer was cut")]
pub struct Cut;

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(context).map_err(|never| match never {}),
            Self::Pieces(pieces) => pieces.poll_recv(context).map_ok(Frame::data),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Pieces(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Pieces(_) => SizeHint::default(),
        }
    }
}

const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
/// What is no page loads nothing, frames nothing and is framed by nothing, whatever a browser takes it for.
const NO_PAGE: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox";
/// Two years, the subdomains too.
const STAY_SECURE: &str = "max-age=63072000; includeSubDomains";
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// An answer of any content type.
pub fn with_type(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(ReplyBody::Whole(Full::new(body.into())));
    *reply.status_mut() = status;
    let mut headers = HeaderMap::with_capacity(10);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    *reply.headers_mut() = headers;
    reply
}

/// A JSON answer, its fields in the order of the type.
pub fn json<T: Serialize>(status: StatusCode, value: &T) -> Reply {
    let mut body = Vec::with_capacity(512);
    // Our answers are plain structs, whose serialisation into memory cannot fail.
    let _ = serde_json::to_writer(&mut body, value);
    with_type(status, JSON, body)
}

/// A file that is made while it is sent, under that name (RFC 6266).
pub fn file(content_type: &'static str, name: &str, pieces: Receiver<Result<Bytes, Cut>>) -> Reply {
    let mut reply = with_type(StatusCode::OK, content_type, Bytes::new());
    *reply.body_mut() = ReplyBody::Pieces(pieces);
    // Names are ours: letters, digits, points and hyphens.
    if let Ok(value) = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")) {
        reply.headers_mut().insert(CONTENT_DISPOSITION, value);
    }
    reply
}

/// An answer that is made while it is sent, and may never end.
pub fn stream(content_type: &'static str, pieces: Receiver<Result<Bytes, Cut>>) -> Reply {
    let mut reply = with_type(StatusCode::OK, content_type, Bytes::new());
    *reply.body_mut() = ReplyBody::Pieces(pieces);
    reply
}

/// JSON that is already written.
pub fn json_bytes(body: Bytes) -> Reply {
    with_type(StatusCode::OK, JSON, body)
}

/// A page for people. `csp` says what it may load.
pub fn html(body: impl Into<Bytes>, csp: &'static str) -> Reply {
    let mut reply = with_type(StatusCode::OK, HTML, body);
    reply.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(csp));
    reply
}

/// 303: where to go on, so that a reload repeats nothing.
pub fn see_other(address: &str) -> Reply {
    let mut reply = Response::new(ReplyBody::Whole(Full::default()));
    *reply.status_mut() = StatusCode::SEE_OTHER;
    if let Ok(address) = HeaderValue::try_from(address) {
        reply.headers_mut().insert(LOCATION, address);
    }
    reply
}

/// 204.
pub fn no_content() -> Reply {
    let mut reply = Response::new(ReplyBody::Whole(Full::default()));
    *reply.status_mut() = StatusCode::NO_CONTENT;
    reply
}

/// Adds what every answer carries; what an answer has set itself stays. Over https a browser is told to stay there.
pub fn finish(reply: &mut Reply, request_id: RequestId, by_https: bool) {
    let headers = reply.headers_mut();
    let is_page = headers.get(CONTENT_TYPE).is_some_and(|value| value == HTML);
    if let Ok(value) = HeaderValue::try_from(request_id.to_string()) {
        headers.insert(REQUEST_ID, value);
    }
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, NO_PAGE),
        (RESOURCE_POLICY, "same-origin"),
    ] {
        if let Entry::Vacant(entry) = headers.entry(name) {
            entry.insert(HeaderValue::from_static(value));
        }
    }
    if is_page {
        headers.insert(OPENER_POLICY, HeaderValue::from_static("same-origin"));
    }
    if by_https {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(STAY_SECURE));
    }
}

/// An answer as it goes over the wire, for where no HTTP library stands between; the connection closes after it.
pub fn to_bytes(reply: Reply, date: &str) -> Vec<u8> {
    let (parts, mut body) = reply.into_parts();
    let frame = Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop()));
    let body = match frame {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        _ => Bytes::new(),
    };
    let mut bytes = format!("HTTP/1.1 {}\r\n", parts.status).into_bytes();
    for (name, value) in &parts.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    if !date.is_empty() {
        bytes.extend_from_slice(format!("date: {date}\r\n").as_bytes());
    }
    bytes
        .extend_from_slice(format!("content-length: {}\r\nconnection: close\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

/// One page of a list.
#[derive(Debug, Serialize)]
pub struct List<T> {
    /// The rows.
    pub data: Vec<T>,
    /// Whether there are more.
    pub has_more: bool,
    /// Where the next page begins.
    pub next: Option<Cursor>,
}

impl<T: Serialize> List<T> {
    /// The rows and, where there are more, the cursor after the last of them.
    pub fn new(data: Vec<T>, next: Option<Cursor>) -> Self {
        Self { data, has_more: next.is_some(), next }
    }

    /// A page of rows that are all at hand, each behind its position; positions rise.
    pub fn page_of(rows: impl IntoIterator<Item = (u64, T)>, page: PageRequest) -> Self {
        let mut rows =
            rows.into_iter().filter(|(position, _)| page.after.is_none_or(|after| *position > after));
        let (positions, data): (Vec<u64>, Vec<T>) = rows.by_ref().take(page.limit).unzip();
        let next = rows.next().and_then(|_| positions.last().copied()).map(Cursor::new);
        Self::new(data, next)
    }

    /// 200 with the list and, where there is a next page, a `Link` to it that keeps the other parameters.
    pub fn into_reply(self, path: &str, query: &[(&str, Cow<'_, str>)]) -> Reply {
        let mut reply = json(StatusCode::OK, &self);
        if let Some(next) = self.next {
            let mut link = format!("<{path}?");
            for (name, value) in query.iter().filter(|(name, _)| *name != "after") {
                let _ = write!(link, "{name}=");
                percent_encode(&mut link, value);
                link.push('&');
            }
            let _ = write!(link, "after={next}>; rel=\"next\"");
            if let Ok(value) = HeaderValue::try_from(link) {
                reply.headers_mut().insert(LINK, value);
            }
        }
        reply
    }
}

/// An address with these parameters.
pub fn query_string<'p>(path: &str, pairs: impl Iterator<Item = (&'p str, &'p str)>) -> String {
    let mut address = path.to_owned();
    for (at, (name, value)) in pairs.enumerate() {
        address.push(if at == 0 { '?' } else { '&' });
        percent_encode(&mut address, name);
        address.push('=');
        percent_encode(&mut address, value);
    }
    address
}

/// Percent-encodes all but the unreserved characters (RFC 3986 2.3).
pub fn percent_encode(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn the_link_keeps_the_other_parameters() {
        let list = List::new(vec![1, 2], Some(Cursor::new(7)));
        let query = [
            ("currency", "USD".into()),
            ("after", "old".into()),
            ("from", "2026-01-01T00:00:00+02:00".into()),
        ];
        let reply = list.into_reply("/transactions", &query);
        let expected = format!(
            "</transactions?currency=USD&from=2026-01-01T00%3A00%3A00%2B02%3A00&after={}>; rel=\"next\"",
            Cursor::new(7)
        );
        assert_eq!(reply.headers()["link"], expected.as_str());
    }

    #[test]
    fn the_last_page_has_no_link() {
        let reply = List::new(vec![1], None).into_reply("/payments", &[]);
        assert!(!reply.headers().contains_key("link"));
    }

    #[test]
    fn every_answer_carries_the_safe_headers_and_a_page_keeps_its_own() {
        let mut reply = html("<p>", "default-src 'self'");
        finish(&mut reply, RequestId::new(Uuid::nil()), false);
        assert!(!reply.headers().contains_key("strict-transport-security"));
        assert_eq!(reply.headers()["cross-origin-opener-policy"], "same-origin");
        assert_eq!(reply.headers()["content-security-policy"], "default-src 'self'");
        assert_eq!(reply.headers()["x-content-type-options"], "nosniff");
        assert_eq!(reply.headers()["referrer-policy"], "no-referrer");
        assert_eq!(reply.headers()["cache-control"], "no-store");
        assert_eq!(reply.headers()["request-id"], "req_00000000000000000000000000");
    }
}
