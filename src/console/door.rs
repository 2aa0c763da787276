//! The console's door: browsers show a cookie, send forms and are told no by a page, or are led to the login.
//!
//! A form is taken only from a page of this very host: its `Origin` must be the host that was asked for, and it must
//! carry the token that follows from the browser's own cookie. Its fields then go on as JSON, so that pages and the API
//! read them by the same code.

use std::borrow::Cow;
use std::collections::BTreeMap;

use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, LOCATION, ORIGIN, SET_COOKIE, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, StatusCode};
use serde_json::Value;

use super::cookie::{self, Cookie};
use super::{errors, multipart, reply};
use crate::http::call::Call;
use crate::http::extract::decode_form;
use crate::http::problem::{Code, Problem};
use crate::http::reply::Reply;
use crate::http::spec::{Asked, Door, Field, Kind, Route};
use crate::ledger::RequestId;
use crate::teller::Identity;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// The field that carries a form's token.
pub(super) const FORM_TOKEN: &str = "form_token";
const FORM: &str = "application/x-www-form-urlencoded";

/// The door for browsers.
pub struct ConsoleDoor;

impl Door for ConsoleDoor {
    fn token<'r>(&self, parts: &'r Parts) -> Result<&'r str, Problem> {
        Cookie::Session.read(&parts.headers).ok_or_else(|| Problem::new(Code::TokenMissing))
    }

    fn body(&self, route: &Route, parts: &Parts, body: Bytes) -> Result<Bytes, Problem> {
        check_site(&parts.headers)?;
        let fields: Vec<(Cow<'_, str>, Cow<'_, str>)> = if !route.doc.file.is_empty() {
            let parts = multipart::decode(content_type(&parts.headers), &body).ok_or_else(no_files)?;
            parts.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
        } else if is_form(&parts.headers) {
            let text = std::str::from_utf8(&body).map_err(|_| unreadable())?;
            decode_form(text).ok_or_else(unreadable)?
        } else {
            return Err(Problem::with_detail(Code::UnsupportedMediaType, "Pages take forms alone."));
        };
        let shown = fields.iter().find(|(name, _)| name == FORM_TOKEN).map(|(_, value)| value.as_ref());
        let secret = cookie::secret(&parts.headers);
        let is_ours = shown.zip(secret).is_some_and(|(token, secret)| cookie::is_form_token(token, secret));
        if !is_ours {
            return Err(Problem::new(Code::FormExpired));
        }
        let filled = fields.iter().filter(|(name, value)| name != FORM_TOKEN && !value.is_empty());
        Ok(as_json(route.doc.body, filled))
    }

    fn refuse(&self, problem: Problem, asked: &Asked, request_id: RequestId) -> Reply {
        let must_log_in =
            matches!(problem.code(), Code::TokenMissing | Code::TokenInvalid | Code::TokenExpired);
        if must_log_in {
            return to_login(asked, problem.code() != Code::TokenMissing);
        }
        let mut reply = reply::page(problem.code().entry().status, errors::page(&problem, request_id));
        let headers = problem.into_headers();
        reply.headers_mut().extend(headers.into_iter().filter(|(name, _)| *name != Some(WWW_AUTHENTICATE)));
        reply
    }
}

/// Whether what is posted comes from a page of the host that was asked for.
fn check_site(headers: &HeaderMap) -> Result<(), Problem> {
    let origin = headers.get(ORIGIN).map(|value| value.to_str().unwrap_or_default());
    let is_same = match (origin, headers.get(FETCH_SITE)) {
        (Some(origin), _) => {
            let host = origin.split_once("://").map(|(_, host)| host);
            host.is_some_and(|host| {
                cookie::host(headers).is_some_and(|asked| host.eq_ignore_ascii_case(asked))
            })
        }
        (None, Some(site)) => site == "same-origin",
        // Every browser says one of the two of a form.
        (None, None) => false,
    };
    if !is_same {
        return Err(Problem::new(Code::CrossSite));
    }
    // Over plain HTTP from another machine no browser keeps the cookies, and anybody between could read the password.
    let plain_host = origin.and_then(|origin| origin.strip_prefix("http://"));
    if plain_host.is_some_and(|host| !cookie::is_this_machine(host)) {
        return Err(Problem::new(Code::HttpsRequired));
    }
    Ok(())
}

fn is_form(headers: &HeaderMap) -> bool {
    content_type(headers).split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case(FORM))
}

fn content_type(headers: &HeaderMap) -> &str {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn no_files() -> Problem {
    Problem::with_detail(Code::MalformedJson, "The form cannot be read: files must be text in UTF-8.")
}

fn unreadable() -> Problem {
    Problem::with_detail(Code::MalformedJson, "The form is not percent-encoded UTF-8.")
}

/// Pairs of strings as one JSON object, each as the route's field of that name holds it: a number or a yes where it is one,
/// and everything that was chosen where words are wanted. Any other name given twice stays twice, for the reader of bodies
/// to refuse.
fn as_json<'f>(fields: &[Field], sent: impl Iterator<Item = &'f (Cow<'f, str>, Cow<'f, str>)>) -> Bytes {
    let (mut members, mut lists) = (Vec::new(), BTreeMap::<&str, Vec<Value>>::new());
    for (name, value) in sent {
        let kind = fields.iter().find(|field| field.name == name).map(|field| field.kind);
        let value = match kind {
            Some(Kind::Words(_)) => {
                lists.entry(name).or_default().push(Value::from(value.as_ref()));
                continue;
            }
            Some(Kind::Number(..)) => {
                value.parse::<i64>().map_or_else(|_| Value::from(value.as_ref()), Value::from)
            }
            Some(Kind::Flag) => {
                value.parse::<bool>().map_or_else(|_| Value::from(value.as_ref()), Value::from)
            }
            _ => Value::from(value.as_ref()),
        };
        members.push(format!("{}:{value}", Value::from(name.as_ref())));
    }
    members.extend(
        lists.into_iter().map(|(name, words)| format!("{}:{}", Value::from(name), Value::from(words))),
    );
    Bytes::from(format!("{{{}}}", members.join(",")))
}

/// To the login, and back to where a reader wanted to go; what was sent is not sent again by itself.
fn to_login(asked: &Asked, has_ended: bool) -> Reply {
    let mut address = String::from("/console/login");
    let mut separator = '?';
    // A link's page is at the address to which its form is sent.
    let is_page = asked.method == Method::GET || asked.uri.path().starts_with("/pay/");
    if is_page && asked.uri.path() != "/console/" {
        let wanted = asked.uri.path_and_query().map_or("", hyper::http::uri::PathAndQuery::as_str);
        address.push_str("?next=");
        crate::http::reply::percent_encode(&mut address, wanted);
        separator = '&';
    }
    if has_ended {
        address.push(separator);
        address.push_str("note=ended");
    }
    let mut reply = reply::see_other(&address);
    if has_ended {
        for header in Cookie::forget() {
            reply.headers_mut().append(SET_COOKIE, header);
        }
    }
    debug_assert!(reply.status() == StatusCode::SEE_OTHER && reply.headers().contains_key(LOCATION));
    reply
}

/// Who looks at a page that anybody may see, if their browser has a session that counts.
pub(super) async fn visitor(call: &Call) -> Option<Identity> {
    let token = Cookie::Session.read(&call.headers)?;
    call.app.authenticate(token, &call.origin).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{HOST, HeaderValue};
    use rstest::rstest;

    #[rstest]
    #[case(Some("http://localhost:80"), None, "localhost:80", Ok(()))]
    #[case(Some("https://pay.example.org"), None, "pay.example.org", Ok(()))]
    #[case(None, Some("same-origin"), "pay.example.org", Ok(()))]
    #[case(Some("null"), Some("same-origin"), "localhost", Err(Code::CrossSite))]
    #[case(Some("http://localhost:81"), None, "localhost:80", Err(Code::CrossSite))]
    #[case(Some("https://evil.example"), Some("same-origin"), "pay.example.org", Err(Code::CrossSite))]
    #[case(Some("https://pay.example.org.evil.example"), None, "pay.example.org", Err(Code::CrossSite))]
    #[case(None, Some("same-site"), "pay.example.org", Err(Code::CrossSite))]
    #[case(None, Some("none"), "pay.example.org", Err(Code::CrossSite))]
    #[case(None, None, "pay.example.org", Err(Code::CrossSite))]
    #[case(Some("http://192.168.0.7:8080"), None, "192.168.0.7:8080", Err(Code::HttpsRequired))]
    fn forms_come_from_our_own_pages(
        #[case] origin: Option<&str>,
        #[case] site: Option<&str>,
        #[case] host: &str,
        #[case] expected: Result<(), Code>,
    ) {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::try_from(host).unwrap());
        for (name, value) in [(ORIGIN, origin), (FETCH_SITE, site)] {
            headers.extend(value.map(|value| (name, HeaderValue::try_from(value).unwrap())));
        }
        assert_eq!(check_site(&headers).map_err(|problem| problem.code()), expected);
    }

    #[test]
    fn a_name_given_twice_stays_twice() {
        let fields = decode_form("a=1&a=%222%22&b=+").unwrap();
        assert_eq!(as_json(&[], fields.iter()), r#"{"a":"1","a":"\"2\"","b":" "}"#);
    }

    #[test]
    fn what_is_sent_is_what_its_field_holds() {
        let fields = [
            Field::required("words", Kind::Words(3), ""),
            Field::required("number", Kind::Number(0, 9), ""),
            Field::required("flag", Kind::Flag, ""),
        ];
        let sent = decode_form("number=7&words=b&flag=true&words=a&text=7&number=7.5&flag=yes").unwrap();
        let expected = r#"{"number":7,"flag":true,"text":"7","number":"7.5","flag":"yes","words":["b","a"]}"#;
        assert_eq!(as_json(&fields, sent.iter()), expected);
    }
}
