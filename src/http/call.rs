//! One request on its way to its handler: what the dispatcher has found out about it.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::body::Bytes;
use hyper::{HeaderMap, Uri};

use super::App;
use super::extract::{self, Form, Query};
use super::problem::{Code, Problem};
use super::proxy::Source;
use super::router::Spans;
use super::spec::{Route, Tag};
use crate::ledger::{IdempotencyKey, Origin, RequestId};
use crate::teller::{Identity, Teller};

/// A request whose caller has been let in and whose body is all there.
pub struct Call {
    /// The server.
    pub app: Arc<App>,
    /// Who calls; none on public routes.
    pub who: Option<Identity>,
    /// The route that it matched.
    pub route: &'static Route,
    /// How it came here.
    pub source: Source,
    /// Where it came from, and its own id.
    pub origin: Origin,
    /// Its path and query.
    pub uri: Uri,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; empty where the route takes none.
    pub body: Bytes,
    /// Where in the path its parameters begin and end.
    pub parameters: Spans,
}

impl Call {
    /// The body's fields.
    ///
    /// # Errors
    /// 400 `malformed_json`.
    pub fn form(&self) -> Result<Form<'_>, Problem> {
        Form::read(&self.body, self.route.doc.body)
    }

    /// The query's parameters.
    pub fn query(&self) -> Query<'_> {
        let read = if self.route.doc.tag == Tag::Console { Query::read_filled } else { Query::read };
        read(self.uri.query(), self.route.doc.query)
    }

    /// Who calls.
    ///
    /// # Errors
    /// 401 on a public route, which would be a mistake of ours.
    pub fn who(&self) -> Result<&Identity, Problem> {
        self.who.as_ref().ok_or_else(|| Problem::new(Code::TokenMissing))
    }

    /// The one door.
    pub fn teller(&self) -> &Arc<Teller> {
        self.app.teller()
    }

    /// The path's first parameter as an id; what is no id of that kind is not found.
    ///
    /// # Errors
    /// 404 `not_found`.
    pub fn id<T: std::str::FromStr>(&self) -> Result<T, Problem> {
        self.path_parameter().parse().map_err(|_| Problem::new(Code::NotFound))
    }

    /// The second one: what belongs to the first.
    ///
    /// # Errors
    /// 404.
    pub fn part_id<T: std::str::FromStr>(&self) -> Result<T, Problem> {
        let [_, part] = self.parameters;
        self.spanned(part).parse().map_err(|_| Problem::new(Code::NotFound))
    }

    /// The path's first parameter as it was sent; empty if the route has none.
    pub fn path_parameter(&self) -> &str {
        let [first, _] = self.parameters;
        self.spanned(first)
    }

    fn spanned(&self, span: Option<(usize, usize)>) -> &str {
        span.and_then(|(start, end)| self.uri.path().get(start..end)).unwrap_or_default()
    }

    /// Where the client reaches this server, as it says itself; empty if it says nothing that can be an address.
    pub fn own_origin(&self) -> String {
        let host = self.headers.get(hyper::header::HOST).and_then(|host| host.to_str().ok());
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
        let host = host.filter(|host| !host.is_empty() && host.len() <= 255 && host.chars().all(is_plain));
        let is_told = self.headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https");
        let is_secure = self.app.edge().has_tls || self.source.by_https || is_told;
        let scheme = if is_secure { "https" } else { "http" };
        host.map(|host| format!("{scheme}://{host}")).unwrap_or_default()
    }

    /// The idempotency key, if one is sent.
    ///
    /// # Errors
    /// 400 `idempotency_key_invalid`.
    pub fn idempotency_key(&self) -> Result<Option<IdempotencyKey>, Problem> {
        extract::idempotency_key(&self.headers)
    }
}

/// Where a request came from.
pub fn origin(request: RequestId, address: IpAddr, headers: &HeaderMap) -> Origin {
    Origin { request, ip: Some(address), user_agent: extract::user_agent(headers) }
}
