//! Traces for OpenTelemetry, sent over OTLP (HTTP, protobuf): one trace from the request through its batch to the commit.
//!
//! A request is a span of kind `server`, named and described after OpenTelemetry's semantic conventions for HTTP. Each
//! command that it causes has a span below it for the time in the queue and one for its batch, and below that one for the
//! commit, which it shares with the others of the batch. A request that comes with a `traceparent` (W3C Trace Context)
//! joins that trace. What a client sends is in no span: routes, methods, statuses and our own ids alone.
//!
//! Bounds: spans wait in a bounded queue, and what does not fit is dropped; a collector that is away costs nothing but
//! its traces. Without an endpoint nothing of this runs, and a request costs one look at a thread's memory.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hyper::http::HeaderMap;
use hyper::http::request::Request;
use hyper::http::response::Response;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnectorBuilder};
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{
    Span as _, SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{Bytes, HeaderExtractor, HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use rustls::ClientConfig;
use tokio::runtime::Handle;

use crate::ledger::Timestamp;

/// How long a collector has to take a batch of spans.
const EXPORT_LIMIT: Duration = Duration::from_secs(10);
/// How long a stop waits for the last spans.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// Where traces go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceSettings {
    /// The collector's URL for traces, such as `http://127.0.0.1:4318/v1/traces`.
    pub endpoint: String,
    /// How many requests of a hundred are traced.
    pub percent: u8,
}

/// Why no traces can be sent.
#[derive(Debug, thiserror::Error)]
#[error("traces.endpoint: {0}")]
pub struct TraceError(String);

/// What makes and sends spans. A clone is another handle to the same.
#[derive(Clone)]
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    /// One moment by both clocks: durations are measured by the one, spans told by the other.
    zero: (Instant, SystemTime),
}

/// A command whose request is traced, since it began to wait.
pub struct Traced {
    request: Context,
    since: Instant,
}

/// How a batch went.
#[derive(Debug, Clone, Copy)]
pub struct BatchTimes {
    /// When it was taken from the queue.
    pub began: Instant,
    /// When it was over.
    pub ended: Instant,
    /// How long it took of that to make it durable.
    pub commit: Duration,
    /// How many commands it had.
    pub commands: usize,
}

impl Traces {
    /// Begins to send traces, from a thread of its own. It is `now`.
    ///
    /// # Errors
    /// If the endpoint is none, or the system has no certificates to trust where one is needed.
    pub fn start(
        settings: &TraceSettings,
        version: &'static str,
        runtime: Handle,
        now: Timestamp,
    ) -> Result<Self, TraceError> {
        let failed = |error: &dyn fmt::Display| TraceError(error.to_string());
        let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(&error))?
            .with_native_roots()
            .map_err(|error| failed(&error))?
            .with_no_client_auth();
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        let client = OnRuntime { runtime, client: Arc::new(HyperClient::new(connector, EXPORT_LIMIT, None)) };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(&settings.endpoint)
            .with_timeout(EXPORT_LIMIT)
            .build()
            .map_err(|error| failed(&error))?;
        let service = Resource::builder()
            .with_service_name("farthing")
            .with_attribute(KeyValue::new("service.version", version))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(sampler(settings.percent))
            .with_resource(service)
            .build();
        let tracer = provider.tracer("farthing");
        let since = Duration::from_millis(u64::try_from(now.as_millis()).unwrap_or_default());
        Ok(Self {
            provider,
            tracer,
            zero: (Instant::now(), UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)),
        })
    }

    /// Begins the span of a request. What is awaited within the context belongs to it.
    pub fn request(&self, method: &'static str, headers: &HeaderMap, began: Instant) -> Context {
        let parent =
            TraceContextPropagator::new().extract_with_context(&Context::new(), &HeaderExtractor(headers));
        let span = self
            .tracer
            .span_builder(method)
            .with_kind(SpanKind::Server)
            .with_start_time(self.time(began))
            .with_attributes([KeyValue::new("http.request.method", method)])
            .start_with_context(&self.tracer, &parent);
        parent.with_span(span)
    }

    /// Ends the span of a request.
    pub fn answered(
        &self,
        request: &Context,
        route: &'static str,
        status: u16,
        request_id: impl fmt::Display,
    ) {
        let span = request.span();
        if !span.is_recording() {
            return;
        }
        span.set_attribute(KeyValue::new("http.route", route));
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
        span.set_attribute(KeyValue::new("farthing.request_id", request_id.to_string()));
        if status >= 500 {
            span.set_status(Status::error(""));
        }
        span.end();
    }

    /// Tells how a batch went to the traces of those commands in it that have one.
    pub fn batch<'t>(&self, traced: impl Iterator<Item = &'t Traced>, times: BatchTimes) {
        let BatchTimes { began, ended, commit, commands } = times;
        let size = i64::try_from(commands).unwrap_or(i64::MAX);
        for Traced { request, since } in traced {
            self.span("queue", request, *since, began, Vec::new());
            let batch = self.span(
                "batch",
                request,
                began,
                ended,
                vec![KeyValue::new("farthing.batch.commands", size)],
            );
            if !commit.is_zero() {
                self.span("commit", &batch, ended.checked_sub(commit).unwrap_or(began), ended, Vec::new());
            }
        }
    }

    fn span(
        &self,
        name: &'static str,
        parent: &Context,
        began: Instant,
        ended: Instant,
        with: Vec<KeyValue>,
    ) -> Context {
        let built =
            self.tracer.span_builder(name).with_kind(SpanKind::Internal).with_start_time(self.time(began));
        let mut span = built.with_attributes(with).start_with_context(&self.tracer, parent);
        span.end_with_timestamp(self.time(ended));
        parent.with_span(span)
    }

    fn time(&self, moment: Instant) -> SystemTime {
        let (instant, time) = self.zero;
        time.checked_add(moment.saturating_duration_since(instant)).unwrap_or(time)
    }

    /// Sends what waits, for a bounded time.
    pub fn stop(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(STOP_LIMIT) {
            tracing::debug!(%error, "the last traces were not sent: {error}");
        }
    }
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").finish_non_exhaustive()
    }
}

impl Traced {
    /// The command that is sent just now, if its request is traced.
    pub fn now() -> Option<Self> {
        let is_traced = |context: &Context| context.span().span_context().is_sampled();
        if !Context::map_current(is_traced) {
            return None;
        }
        Some(Self { request: Context::current(), since: Instant::now() })
    }
}

/// So many requests of a hundred, told by their trace's id: every node that sees a trace decides the same.
#[expect(clippy::float_arithmetic, reason = "a share, and no money")]
fn sampler(percent: u8) -> Sampler {
    Sampler::TraceIdRatioBased(f64::from(percent) / 100.0)
}

/// Sends on the server's runtime: spans are exported from a thread that has none.
#[derive(Debug)]
struct OnRuntime<C> {
    runtime: Handle,
    client: Arc<C>,
}

impl<C: HttpClient + 'static> HttpClient for OnRuntime<C> {
    fn send_bytes<'client, 'answer>(&'client self, request: Request<Bytes>) -> Answer<'answer>
    where
        'client: 'answer,
        Self: 'answer,
    {
        let client = Arc::clone(&self.client);
        let sent = self.runtime.spawn(async move { client.send_bytes(request).await });
        Box::pin(async move { sent.await? })
    }
}

/// What the trait's macro makes of an answer.
type Answer<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;
