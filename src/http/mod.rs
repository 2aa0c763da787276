//! HTTP: translates between the wire and the teller, and decides nothing about money.
//!
//! All calls stand in one table ([`routes::ROUTES`]), from which the dispatcher, the OpenAPI document, the docs page
//! and the authorisation tests come; the console brings a second one, of its pages. A request goes through
//! [`App::respond`] in this order, and each step can end it: the route (404, 405), the limits of the address (429), who
//! calls (401, 403), the limits of the caller (429), the body (413, 408), its kind (415), then its handler, which parses at
//! the door ([`extract`]) and asks the teller. Every "no" becomes an answer in [`problem`] and nowhere else; how callers
//! of a table are met is up to its [`Door`].
//!
//! Bounds: a body has at most 64 KiB, and all else is bounded in [`edge`]; nothing is buffered for callers that are not
//! let in.

mod activity;
pub(crate) mod api_keys;
pub mod body;
pub mod call;
pub(crate) mod cash;
pub mod cors;
mod credential_routes;
pub mod docs;
mod door;
pub mod edge;
pub mod events;
mod example;
pub mod extract;
mod factors;
mod limits;
pub mod openapi;
mod operator_routes;
pub(crate) mod operators;
pub mod pages;
pub(crate) mod payments;
pub mod problem;
pub mod proxy;
pub(crate) mod qr;
pub mod reconciliations;
pub mod reply;
pub(crate) mod requests;
pub(crate) mod reviews;
pub mod router;
pub mod routes;
mod sandbox;
mod schedules;
pub mod schema;
pub(crate) mod search;
pub mod server;
mod sessions;
pub mod spec;
pub(crate) mod statements;
mod system;
pub mod tls;
pub(crate) mod transactions;
pub(crate) mod users;
mod views;
pub(crate) mod wallets;
pub(crate) mod webhooks;
mod wire;

use std::future::poll_fn;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use hyper::body::{Body, Bytes};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};
use opentelemetry::Context;
use opentelemetry::trace::FutureExt as _;
use tokio::sync::watch;
use uuid::Uuid;

use crate::auth::throttle::{CallClass, Standing};
use crate::ledger::{EventKind, Origin, RequestId};
use crate::telemetry::{RouteMetrics, Telemetry};
use crate::teller::{Identity, Teller, tightest};
use call::Call;
use cors::Visit;
use edge::Edge;
use events::Streams;
use limits::PolicyHeaders;
use problem::{Code, Problem};
use proxy::Source;
use reply::Reply;
use router::{Found, Match, Router};
use routes::ROUTES;
use spec::{Access, Answer, Asked, Door, Table, Tag, Verb};

pub use server::serve;

/// The calls of the API, and the door in front of them.
pub const API: Table = Table { prefix: "/", routes: ROUTES, door: &door::ApiDoor };

/// What requests that match no route are counted under.
const NO_ROUTE: &str = "none";
/// The one path that a listener for metrics has.
const METRICS_PATH: &str = "/metrics";

/// The server's state, shared by all connections.
pub struct App {
    tables: &'static [Table],
    router: Router,
    teller: Arc<Teller>,
    telemetry: Telemetry,
    /// What each route of the tables records, and last what requests without a route do.
    route_metrics: Vec<RouteMetrics>,
    surface: Surface,
    /// The settings in effect, secrets masked.
    settings: String,
    stopping: watch::Sender<bool>,
    edge: Edge,
    policy_headers: PolicyHeaders,
    streams: Streams,
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
    /// Builds the router from the tables, and the documents from the API's.
    pub fn new(
        teller: Arc<Teller>,
        telemetry: Telemetry,
        surface: Surface,
        tables: &'static [Table],
        edge: Edge,
        settings: String,
    ) -> Arc<Self> {
        let document = openapi::document(ROUTES);
        let mut route_metrics: Vec<RouteMetrics> = tables
            .iter()
            .flat_map(|table| table.routes)
            .map(|route| telemetry.route(route.verb.name(), route.path))
            .collect();
        route_metrics.push(telemetry.route(NO_ROUTE, NO_ROUTE));
        Arc::new(Self {
            tables,
            router: Router::new(tables),
            policy_headers: PolicyHeaders::new(teller.quotas()),
            teller,
            telemetry,
            route_metrics,
            surface,
            settings,
            stopping: watch::Sender::new(false),
            edge,
            streams: Streams::default(),
            openapi: Bytes::from(document.to_string()),
            docs: docs::render(&document),
        })
    }

    /// The one door.
    pub fn teller(&self) -> &Arc<Teller> {
        &self.teller
    }

    /// The settings in effect, secrets masked.
    pub fn settings(&self) -> &str {
        &self.settings
    }

    /// Says that the server stops: answers that never end by themselves end now.
    pub fn begin_stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Waits until the server stops.
    pub fn stopping(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut stopping = self.stopping.subscribe();
        async move {
            // A sender that is gone means the same.
            let _ = stopping.wait_for(|stops| *stops).await;
        }
    }

    /// Proves who calls from the text of an access token.
    ///
    /// # Errors
    /// 401; faults.
    pub async fn authenticate(&self, token: &str, origin: &Origin) -> Result<Identity, Problem> {
        Ok(self.teller.authenticate(token, origin).await?)
    }

    /// The streams of events that are open.
    pub fn streams(&self) -> &Streams {
        &self.streams
    }

    /// The figures.
    pub fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// What stands between the network and the routes.
    pub fn edge(&self) -> &Edge {
        &self.edge
    }

    /// The OpenAPI document, as JSON.
    pub fn openapi(&self) -> Bytes {
        self.openapi.clone()
    }

    /// The reference page.
    pub fn docs(&self) -> &str {
        &self.docs
    }

    /// Whether metrics may be shown here to a request from this source.
    pub fn shows_metrics_to(&self, source: Source) -> bool {
        match self.surface {
            // What a proxy on this machine hands on is somebody else's.
            Surface::Api => source.address.is_loopback() && source.is_direct,
            Surface::ApiWithoutMetrics => false,
            Surface::Metrics => true,
        }
    }

    /// Answers one request. Never fails: whatever goes wrong is an answer, too.
    pub async fn respond<B>(self: Arc<Self>, request: Request<B>, peer: IpAddr) -> Reply
    where
        B: Body<Data = Bytes>,
    {
        let started = Instant::now();
        let (parts, body) = request.into_parts();
        let source = self.edge.proxies.source(peer, &parts.headers);
        let visit = self.visit(&parts);
        let (mut standing, mut trace) = (None, Context::new());
        let mut body = pin!(body);
        let asked = Asked { method: parts.method.clone(), uri: parts.uri.clone() };
        let request_id = self.teller.request_id();
        let (request_id, is_named) =
            request_id.map_or((RequestId::new(Uuid::nil()), false), |request_id| (request_id, true));
        let is_hidden = self.surface == Surface::Metrics && parts.uri.path() != METRICS_PATH;
        let (found, answer) = match self.router.find(&asked.method, asked.uri.path()) {
            // Without random bytes there can be no ids, so nothing is begun.
            _ if !is_named => (None, Err(Problem::new(Code::Unavailable).with_fault("no random bytes"))),
            _ if is_hidden => (None, Err(Problem::new(Code::NotFound))),
            Match::Nothing => (None, Err(Problem::new(Code::NotFound))),
            Match::WrongMethod(allow) if visit.as_ref().is_some_and(Visit::is_preflight) => {
                (None, Ok(Visit::preflight(allow)))
            }
            Match::WrongMethod(allow) => (None, Err(Problem::method_not_allowed(allow))),
            Match::Found(found) => {
                let entrance = Entrance { request_id, source, found, standing: &mut standing };
                trace = self.trace(found, &parts, started);
                let answer = catch_panic(Arc::clone(&self).answer(entrance, parts, body.as_mut()));
                (Some(found), answer.with_context(trace.clone()).await)
            }
        };
        if !body.is_end_stream() {
            // The client may still be sending: what it sends is thrown away, so that it can read the answer.
            body::discard(body).await;
        }
        let door = found.map_or_else(|| self.door_of(asked.uri.path()), |found| found.table.door);
        let mut reply = answer.unwrap_or_else(|problem| self.refuse(door, problem, &asked, request_id));
        if let Some((class, standing)) = standing {
            self.policy_headers.write(reply.headers_mut(), class, standing);
        }
        reply::finish(&mut reply, request_id, self.edge.has_tls || source.by_https);
        cors::vary(&self.edge.origins, reply.headers_mut());
        if let Some(visit) = visit {
            visit.write(reply.headers_mut());
        }
        self.observe(&asked.method, found, request_id, &reply, started);
        if let Some((traces, found)) = self.telemetry.traces().zip(found) {
            traces.answered(&trace, found.route.path, reply.status().as_u16(), request_id);
        }
        reply
    }

    /// The trace to which what a request causes belongs.
    fn trace(&self, found: Found, parts: &Parts, began: Instant) -> Context {
        let traces = self.telemetry.traces();
        traces.map_or_else(Context::new, |traces| {
            traces.request(found.route.verb.name(), &parts.headers, began)
        })
    }

    /// The door at which a request without a route is told no.
    fn door_of(&self, path: &str) -> &'static dyn Door {
        self.table_of(path).map_or(&door::ApiDoor, |table| table.door)
    }

    fn table_of(&self, path: &str) -> Option<&'static Table> {
        let begins = self.tables.iter().filter(|table| path.starts_with(table.prefix));
        begins.max_by_key(|table| table.prefix.len())
    }

    /// Whether another site that is let in calls the API; pages are nobody's but ours.
    fn visit(&self, parts: &Parts) -> Option<Visit> {
        let visit = Visit::read(&self.edge.origins, parts)?;
        self.table_of(parts.uri.path()).is_none_or(|table| table.prefix == API.prefix).then_some(visit)
    }

    /// The whole answer to a head that cannot be read.
    pub fn refuse_head(&self, status: StatusCode, date: &str, peer: IpAddr) -> Vec<u8> {
        let code =
            if status == StatusCode::BAD_REQUEST { Code::MalformedRequest } else { Code::HeadTooLarge };
        self.raw_refusal(Problem::new(code), date, peer)
    }

    /// The whole answer to a client that does not speak TLS where TLS is spoken.
    pub fn refuse_plain(&self, peer: IpAddr) -> Vec<u8> {
        let detail = "HTTPS is spoken here: use an address that begins with https://.";
        self.raw_refusal(Problem::with_detail(Code::MalformedRequest, detail), "", peer)
    }

    fn raw_refusal(&self, problem: Problem, date: &str, peer: IpAddr) -> Vec<u8> {
        let request = self.teller.request_id().unwrap_or(RequestId::new(Uuid::nil()));
        let origin = Origin { request, ip: Some(peer.to_canonical()), user_agent: None };
        self.teller.note_anonymous(EventKind::InputValidationFail, &origin);
        let mut reply = problem.into_reply(request);
        reply::finish(&mut reply, request, self.edge.has_tls);
        if let Some(metrics) = self.route_metrics.last() {
            metrics.record(reply.status().as_u16(), std::time::Duration::ZERO);
        }
        reply::to_bytes(reply, date)
    }

    async fn answer<B>(self: Arc<Self>, entrance: Entrance<'_>, parts: Parts, body: Pin<&mut B>) -> Answer
    where
        B: Body<Data = Bytes>,
    {
        let Entrance { request_id, source, found, standing } = entrance;
        let Found { table, route, parameters, .. } = found;
        let origin = call::origin(request_id, source.address, &parts.headers);
        let class = limits::class_of(route);
        let counted_here = class.filter(|class| !limits::is_counted_inside(*class));
        let by_address = counted_here.map(|class| self.teller.admit_address(class, &origin)).transpose()?;
        *standing = class.zip(by_address.flatten());
        let who = self.admit(found, &parts, &origin).await?;
        let recalled = who.as_ref().filter(|who| who.is_recalled).map(|who| who.caller.access);
        let teller = Arc::clone(&self.teller);
        let answer = async {
            if let (Some(class), Some(who)) = (counted_here, &who) {
                let by_caller = self.teller.admit_caller(class, who, &origin)?;
                *standing = Some(class).zip(tightest([by_address.flatten(), by_caller]));
            }
            let body = if route.verb.has_body() {
                let body = body::read(body, route.doc.body_limit(), self.edge.bounds.body_timeout).await?;
                table.door.body(route, &parts, body)?
            } else {
                Bytes::new()
            };
            let call = Call {
                app: self,
                who,
                route,
                source,
                origin: origin.clone(),
                uri: parts.uri,
                headers: parts.headers,
                body,
                parameters,
            };
            let takes_no_query = route.doc.query.is_empty() && route.doc.tag != Tag::System;
            if takes_no_query {
                call.query().finish(())?;
            }
            (route.handler)(call).await
        }
        .await;
        if let (Some(access), Some(permission)) = (recalled, route.access.permission())
            && status_of(&answer).is_client_error()
        {
            // What refuses them now is told before whatever else was wrong.
            let who = teller.authenticate_hash(access, &origin).await?;
            teller.authorise(&who, &origin, permission, route.verb != Verb::Get).await?;
        }
        let is_invalid = match &answer {
            Ok(reply) => reply.status() == StatusCode::UNPROCESSABLE_ENTITY,
            Err(problem) => problem.code() == Code::ValidationFailed,
        };
        if is_invalid {
            teller.note_anonymous(EventKind::InputValidationFail, &origin);
        }
        if let Some(class) = class.filter(|class| limits::is_counted_inside(*class)) {
            *standing = Some(class).zip(teller.address_standing(class, &origin));
        }
        answer
    }

    /// Turns a problem into its answer; a fault is logged here, once.
    fn refuse(&self, door: &dyn Door, problem: Problem, asked: &Asked, request_id: RequestId) -> Reply {
        if let Some(fault) = problem.fault() {
            tracing::error!(%request_id, code = problem.code().entry().name, fault, "a request failed: {fault}");
        }
        if let Some(policy) = problem.limit() {
            self.telemetry.limited(policy);
        }
        door.refuse(problem, asked, request_id)
    }

    /// Lets the caller in, or not.
    async fn admit(&self, found: Found, parts: &Parts, origin: &Origin) -> Result<Option<Identity>, Problem> {
        let Some(permission) = found.route.access.permission() else { return Ok(None) };
        let token = found.table.door.token(parts)?;
        if matches!(found.route.access, Access::NeedsInDecision(_))
            && let Some(who) = self.teller.recall(token, permission)
        {
            return Ok(Some(who));
        }
        let who = self.teller.authenticate(token, origin).await?;
        let changes = found.route.verb != Verb::Get;
        self.teller.authorise(&who, origin, permission, changes).await?;
        Ok(Some(who))
    }

    fn observe(
        &self,
        method: &Method,
        found: Option<Found>,
        request_id: RequestId,
        reply: &Reply,
        started: Instant,
    ) {
        let elapsed = started.elapsed();
        let status = reply.status().as_u16();
        let metrics = match found {
            Some(found) => self.route_metrics.get(found.index),
            None => self.route_metrics.last(),
        };
        if let Some(metrics) = metrics {
            metrics.record(status, elapsed);
        }
        let route = found.map_or(NO_ROUTE, |found| found.route.path);
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

fn status_of(answer: &Answer) -> StatusCode {
    answer.as_ref().map_or_else(|problem| problem.code().entry().status, Reply::status)
}

/// What is known of a request before it is let in, and what is found out about its limits.
struct Entrance<'a> {
    request_id: RequestId,
    source: Source,
    found: Found,
    standing: &'a mut Option<(CallClass, Standing)>,
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
