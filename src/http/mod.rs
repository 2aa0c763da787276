//! HTTP: translates between the wire and the teller, and decides nothing about money.
//!
//! All routes stand in one table ([`routes::ROUTES`]), from which the dispatcher, the OpenAPI document, the docs page
//! and the authorisation tests come. A request goes through [`App::respond`] in this order, and each step can end it:
//! the route (404, 405), who calls (401, 403), the content type (415), the body (413, 408), then its handler, which
//! parses at the door ([`extract`]) and asks the teller. Every "no" becomes an answer in [`problem`] and nowhere else.
//!
//! Bounds: a body has at most 64 KiB and arrives within 10 s; nothing is buffered for callers that are not let in.

mod activity;
pub mod body;
pub mod call;
pub mod docs;
pub mod extract;
pub mod openapi;
pub mod pages;
mod payments;
pub mod problem;
pub mod reply;
pub mod router;
pub mod routes;
pub mod schema;
pub mod server;
mod sessions;
pub mod spec;
mod system;
mod transactions;
mod users;
mod views;
mod wallets;

use std::future::poll_fn;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use hyper::body::{Body, Bytes};
use hyper::http::request::Parts;
use hyper::{Method, Request};
use uuid::Uuid;

use crate::ledger::{EventKind, Origin, RequestId};
use crate::telemetry::{RouteMetrics, Telemetry};
use crate::teller::{Identity, Teller};
use call::Call;
use problem::{Code, Problem};
use reply::Reply;
use router::{Match, Router};
use routes::ROUTES;
use spec::{Access, Answer, Route, Tag};

pub use server::serve;

/// What requests that match no route are counted under.
const NO_ROUTE: &str = "none";
/// The one path that a listener for metrics has.
const METRICS_PATH: &str = "/metrics";

/// The server's state, shared by all connections.
pub struct App {
    router: Router,
    teller: Arc<Teller>,
    telemetry: Telemetry,
    /// What each route of the table records, and last what requests without a route do.
    route_metrics: Vec<RouteMetrics>,
    surface: Surface,
    openapi: Bytes,
    docs: String,
}

/// What a listener shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// Everything; metrics for this machine alone.
    Api,
    /// Everything but metrics, which have a listener of their own.
    ApiWithoutMetrics,
    /// Metrics alone, for whoever can connect.
    Metrics,
}

impl App {
    /// Builds the router and the documents from the route table.
    pub fn new(teller: Arc<Teller>, telemetry: Telemetry, surface: Surface) -> Arc<Self> {
        let document = openapi::document(ROUTES);
        let mut route_metrics: Vec<RouteMetrics> =
            ROUTES.iter().map(|route| telemetry.route(route.verb.name(), route.path)).collect();
        route_metrics.push(telemetry.route(NO_ROUTE, NO_ROUTE));
        Arc::new(Self {
            router: Router::new(ROUTES),
            teller,
            telemetry,
            route_metrics,
            surface,
            openapi: Bytes::from(document.to_string()),
            docs: docs::render(&document),
        })
    }

    /// The one door.
    pub fn teller(&self) -> &Teller {
        &self.teller
    }

    /// The figures.
    pub fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// The OpenAPI document, as JSON.
    pub fn openapi(&self) -> Bytes {
        self.openapi.clone()
    }

    /// The reference page.
    pub fn docs(&self) -> &str {
        &self.docs
    }

    /// Whether metrics may be shown to this address here.
    pub fn shows_metrics_to(&self, address: IpAddr) -> bool {
        match self.surface {
            Surface::Api => address.is_loopback(),
            Surface::ApiWithoutMetrics => false,
            Surface::Metrics => true,
        }
    }

    /// Answers one request. Never fails: whatever goes wrong is an answer, too.
    pub async fn respond<B>(self: Arc<Self>, request: Request<B>, address: IpAddr) -> Reply
    where
        B: Body<Data = Bytes>,
    {
        let started = Instant::now();
        let address = address.to_canonical();
        let (parts, body) = request.into_parts();
        let mut body = pin!(body);
        let method = parts.method.clone();
        let request_id = self.teller.request_id();
        let (request_id, is_named) =
            request_id.map_or((RequestId::new(Uuid::nil()), false), |request_id| (request_id, true));
        let is_hidden = self.surface == Surface::Metrics && parts.uri.path() != METRICS_PATH;
        let (index, answer) = match self.router.find(&method, parts.uri.path()) {
            // Without random bytes there can be no ids, so nothing is begun.
            _ if !is_named => {
                (ROUTES.len(), Err(Problem::new(Code::Unavailable).with_fault("no random bytes")))
            }
            _ if is_hidden => (ROUTES.len(), Err(Problem::new(Code::NotFound))),
            Match::Nothing => (ROUTES.len(), Err(Problem::new(Code::NotFound))),
            Match::WrongMethod(allow) => (ROUTES.len(), Err(Problem::method_not_allowed(allow))),
            Match::Found(index, route, parameter) => {
                let door = Door { request_id, address, route, parameter };
                (index, catch_panic(Arc::clone(&self).answer(door, parts, body.as_mut())).await)
            }
        };
        if !body.is_end_stream() {
            // The client may still be sending: what it sends is thrown away, so that it can read the answer.
            body::discard(body).await;
        }
        let mut reply = answer.unwrap_or_else(|problem| refuse(problem, request_id));
        reply::finish(&mut reply, request_id);
        self.observe(&method, index, request_id, &reply, started);
        reply
    }

    async fn answer<B>(self: Arc<Self>, door: Door, parts: Parts, body: Pin<&mut B>) -> Answer
    where
        B: Body<Data = Bytes>,
    {
        let Door { request_id, address, route, parameter } = door;
        let origin = call::origin(request_id, address, &parts.headers);
        let who = self.admit(route, &parts, &origin).await?;
        let body = if route.verb.has_body() {
            let body = body::read(body).await?;
            check_body(route, &parts, &body)?;
            body
        } else {
            Bytes::new()
        };
        let teller = Arc::clone(&self.teller);
        let call = Call {
            app: self,
            who,
            route,
            origin: origin.clone(),
            uri: parts.uri,
            headers: parts.headers,
            body,
            parameter,
        };
        let takes_no_query = route.doc.query.is_empty() && route.doc.tag != Tag::System;
        let query = if takes_no_query { call.query().finish(()) } else { Ok(()) };
        let answer = match query {
            Ok(()) => (route.handler)(call).await,
            Err(problem) => Err(problem),
        };
        if answer.as_ref().is_err_and(|problem| problem.code() == Code::ValidationFailed) {
            teller.note_anonymous(EventKind::InputValidationFail, &origin);
        }
        answer
    }

    /// Lets the caller in, or not.
    async fn admit(
        &self,
        route: &Route,
        parts: &Parts,
        origin: &Origin,
    ) -> Result<Option<Identity>, Problem> {
        let Access::Needs(permission) = route.access else { return Ok(None) };
        let token = extract::bearer_token(&parts.headers)?;
        let who = self.teller.authenticate(token, origin).await?;
        if !permission.is_given_to(who.user.role) {
            self.teller.note_permission_denied(&who, origin.clone(), permission.name()).await?;
            return Err(Problem::new(Code::PermissionDenied));
        }
        Ok(Some(who))
    }

    fn observe(&self, method: &Method, index: usize, request_id: RequestId, reply: &Reply, started: Instant) {
        let elapsed = started.elapsed();
        let status = reply.status().as_u16();
        if let Some(metrics) = self.route_metrics.get(index) {
            metrics.record(status, elapsed);
        }
        let route = ROUTES.get(index).map_or(NO_ROUTE, |route| route.path);
        tracing::debug!(
            %method,
            route,
            status,
            %request_id,
            elapsed_us = elapsed.as_micros(),
            "answered"
        );
    }
}

/// What is known of a request before it is let in.
struct Door {
    request_id: RequestId,
    address: IpAddr,
    route: &'static Route,
    parameter: Option<(usize, usize)>,
}

/// Whether the body is there and declared as what the route needs.
fn check_body(route: &Route, parts: &Parts, body: &Bytes) -> Result<(), Problem> {
    if extract::is_json(&parts.headers) {
        let may_be_empty = route.doc.body.iter().all(|field| !field.required);
        if body.is_empty() && !may_be_empty {
            return Err(Problem::with_detail(Code::MalformedJson, "The body is empty."));
        }
        return Ok(());
    }
    let may_be_absent = route.doc.body.iter().all(|field| !field.required);
    if body.is_empty() && may_be_absent { Ok(()) } else { Err(Problem::new(Code::UnsupportedMediaType)) }
}

/// Turns a problem into its answer; a fault is logged here, once.
fn refuse(problem: Problem, request_id: RequestId) -> Reply {
    if let Some(fault) = problem.fault() {
        tracing::error!(%request_id, code = problem.code().entry().name, fault, "a request failed: {fault}");
    }
    problem.into_reply(request_id)
}

/// Runs a future; a panic in it becomes an answer. Nothing that it touched is kept, but for what locks protect.
async fn catch_panic(future: impl Future<Output = Answer>) -> Answer {
    let mut future = pin!(future);
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        polled.unwrap_or_else(|_| Poll::Ready(Err(Problem::internal("a handler panicked"))))
    })
    .await
}
