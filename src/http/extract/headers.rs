//! Headers that mean something to us: the access token, the idempotency key, the place where a stream broke off, the
//! content type, the user agent.

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, USER_AGENT};

use super::Place;
use crate::http::problem::{Code, Problem};
use crate::ledger::IdempotencyKey;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const MAX_USER_AGENT: usize = 200;

/// The token of `Authorization: Bearer TOKEN`.
///
/// # Errors
/// 401 `token_missing` without the header; 401 `token_invalid` if it is given twice or holds anything else.
pub fn bearer_token(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or_else(|| Problem::new(Code::TokenMissing))?;
    let invalid = || Problem::new(Code::TokenInvalid);
    if values.next().is_some() {
        return Err(invalid());
    }
    let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(invalid)?;
    let token = token.trim_matches(' ');
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(invalid());
    }
    Ok(token)
}

/// The idempotency key, if one is sent.
///
/// # Errors
/// 400 `idempotency_key_invalid` if it is no key, or more than one header is sent.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|_| values.next().is_none());
    text.and_then(|text| IdempotencyKey::parse(text).ok())
        .map(Some)
        .ok_or_else(|| Problem::new(Code::IdempotencyKeyInvalid))
}

/// Where an earlier stream of events broke off, if that is sent.
///
/// # Errors
/// 422 if it is no place, or more than one header is sent: a stream that began now instead would lose events unseen.
pub fn last_event_id(headers: &HeaderMap) -> Result<Option<Place>, Problem> {
    let mut values = headers.get_all(LAST_EVENT_ID).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|_| values.next().is_none());
    text.and_then(Place::parse).map(Some).ok_or_else(|| {
        let message =
            "must be the last 'id' of an earlier stream, sent once; without the header the stream begins now";
        Problem::field("Last-Event-ID", "invalid_cursor", message)
    })
}

/// Whether a body is declared as plain JSON in UTF-8.
pub fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let declared = types.next().filter(|_| types.next().is_none()).and_then(|value| value.to_str().ok());
    let Some(declared) = declared else { return false };
    let mut parts = declared.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"));
    let is_utf8 = parts.all(|parameter| match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    });
    let is_plain = headers.get_all(CONTENT_ENCODING).iter().all(|coding| coding == "identity");
    is_json && is_utf8 && is_plain
}

/// Whether a body is declared as one of these types.
pub fn is_one_of(headers: &HeaderMap, types: &[&str]) -> bool {
    let declared = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = declared.split(';').next().unwrap_or_default().trim();
    types.iter().any(|kind| essence.eq_ignore_ascii_case(kind))
}

/// What the client calls itself: at most 200 characters, without control characters.
pub fn user_agent(headers: &HeaderMap) -> Option<String> {
    let text = String::from_utf8_lossy(headers.get(USER_AGENT)?.as_bytes());
    let clean: String =
        text.chars().filter(|character| !character.is_control()).take(MAX_USER_AGENT).collect();
    (!clean.is_empty()).then_some(clean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;
    use rstest::rstest;

    fn headers(name: &'static str, values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    #[rstest]
    #[case(&[&b"Bearer abc"[..]], Ok("abc"))]
    #[case(&[&b"bEARER   abc "[..]], Ok("abc"))]
    #[case(&[], Err(Code::TokenMissing))]
    #[case(&[&b""[..]], Err(Code::TokenInvalid))]
    #[case(&[&b"Bearer"[..]], Err(Code::TokenInvalid))]
    #[case(&[&b"Bearer "[..]], Err(Code::TokenInvalid))]
    #[case(&[&b"Basic YTpi"[..]], Err(Code::TokenInvalid))]
    #[case(&[&b"Bearer \xff"[..]], Err(Code::TokenInvalid))]
    #[case(&[&b"Bearer a"[..], b"Bearer a"], Err(Code::TokenInvalid))]
    fn tokens_are_taken_from_one_bearer_header(
        #[case] values: &[&[u8]],
        #[case] expected: Result<&str, Code>,
    ) {
        let headers = headers("authorization", values);
        assert_eq!(bearer_token(&headers).map_err(|problem| problem.code()), expected);
    }

    #[rstest]
    #[case(&[], Ok(None))]
    #[case(&[&b"k1"[..]], Ok(Some("k1")))]
    #[case(&[&b"\"k1\""[..]], Ok(Some("k1")))]
    #[case(&[&b""[..]], Err(Code::IdempotencyKeyInvalid))]
    #[case(&[&b"\xc3\xa9"[..]], Err(Code::IdempotencyKeyInvalid))]
    #[case(&[&b"k1"[..], b"k1"], Err(Code::IdempotencyKeyInvalid))]
    fn a_key_is_taken_from_one_header(
        #[case] values: &[&[u8]],
        #[case] expected: Result<Option<&str>, Code>,
    ) {
        let key = idempotency_key(&headers("idempotency-key", values)).map_err(|problem| problem.code());
        assert_eq!(key.map(|key| key.map(|key| key.to_string())), expected.map(|key| key.map(str::to_owned)));
    }

    #[rstest]
    #[case(&[&b"application/json"[..]], true)]
    #[case(&[&b"Application/JSON; charset=\"UTF-8\""[..]], true)]
    #[case(&[&b"application/json; charset=utf-16"[..]], false)]
    #[case(&[&b"application/problem+json"[..]], false)]
    #[case(&[&b"text/plain"[..]], false)]
    #[case(&[&b"application/jsonx"[..]], false)]
    #[case(&[], false)]
    #[case(&[&b"application/json"[..], b"application/json"], false)]
    fn only_json_in_utf8_is_json(#[case] values: &[&[u8]], #[case] expected: bool) {
        assert_eq!(is_json(&headers("content-type", values)), expected);
    }

    #[test]
    fn compressed_json_is_not_plain_json() {
        let mut headers = headers("content-type", &[b"application/json"]);
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        assert!(!is_json(&headers));
    }

    #[test]
    fn a_user_agent_is_cut_and_cleaned() {
        let long = "x".repeat(300);
        let headers = headers("user-agent", &[format!("a\tb{long}").as_bytes()]);
        let agent = user_agent(&headers).unwrap();
        assert_eq!(agent.chars().count(), 200);
        assert!(agent.starts_with("abx"));
    }
}
