//! Metrics: what is counted, under which names, and how a request is recorded cheaply.
//!
//! Handles are looked up once, when a route or an engine is built, and kept; recording is then a few atomic
//! additions. A histogram keeps its samples until they are sorted into its buckets, so a thread of its own does that
//! every second: memory stays bounded though nobody scrapes. Names, units and kinds follow Prometheus's conventions
//! (`promtool check metrics` is a test); dashboards and alerts are built on them, so they do not change.

use std::collections::HashMap;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder, SharedString};
use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

use serde::Deserialize;

use super::process;
use super::traces::Traces;
use crate::ledger::{EventKind, SecurityEvent, Severity, Timestamp};

const REQUESTS: &str = "farthing_http_requests_total";
const REQUEST_DURATION: &str = "farthing_http_request_duration_seconds";
const PAYMENTS: &str = "farthing_payments_total";
const BATCH: &str = "farthing_batch_commands";
const COMMIT_DURATION: &str = "farthing_commit_duration_seconds";
const QUEUE: &str = "farthing_queue_commands";
const PASSWORD_QUEUE: &str = "farthing_password_queue_jobs";
const TAIL: &str = "farthing_tail_transactions";
const CHAIN_BLOCKS: &str = "farthing_chain_blocks";
const CHAIN_HEAD: &str = "farthing_chain_head_sequence";
const CHECKPOINT_SEQUENCE: &str = "farthing_checkpoint_sequence";
const CHECKPOINT_TIME: &str = "farthing_checkpoint_timestamp_seconds";
const CHECKPOINT_FAILURES: &str = "farthing_checkpoint_failures_total";
const SECURITY_EVENTS: &str = "farthing_security_events_total";
const LIMITED: &str = "farthing_rate_limited_total";
const REVIEWS: &str = "farthing_reviews_waiting";
const REVIEW_AGE: &str = "farthing_review_oldest_age_seconds";
const READY: &str = "farthing_ready";
const BUILD_INFO: &str = "farthing_build_info";

/// Upper bounds of the buckets of a request's duration, in seconds.
const REQUEST_SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Upper bounds of the buckets of a commit's duration, in seconds.
const COMMIT_SECONDS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
/// Upper bounds of the buckets of a batch's size, in commands.
const BATCH_COMMANDS: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// How often samples are sorted into buckets.
const UPKEEP_EVERY: Duration = Duration::from_secs(1);

/// What the exporter asks to know of the caller; it makes no use of it.
const METADATA: Metadata<'static> = Metadata::new("farthing", Level::INFO, None);

/// The HTTP status codes there are (RFC 9110 §15): 100 to 599.
const FIRST_STATUS: usize = 100;
const STATUSES: usize = 500;

/// Why metrics could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The exporter refused its settings.
    #[error("metrics could not be set up")]
    Exporter(#[from] BuildError),
    /// The thread that keeps histograms small could not be started.
    #[error("the thread for metrics could not be started")]
    Thread(#[from] std::io::Error),
}

/// The metrics of one server. Cheap to clone; clones share the same figures.
#[derive(Clone)]
pub struct Telemetry {
    shared: Arc<Shared>,
    traces: Option<Traces>,
}

struct Shared {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
    engine: EngineMetrics,
    password_queue: Gauge,
    ready: Gauge,
    /// The counters of security events, made on first use.
    security: Mutex<HashMap<(EventKind, Severity), Counter>>,
    /// Dropped with the last clone: that ends the upkeep thread.
    _upkeep: Sender<()>,
}

impl Telemetry {
    /// Metrics that say which version runs, and in which mode (`sandbox` or `live`).
    ///
    /// # Errors
    /// If the operating system starts no thread.
    pub fn new(version: &str, mode: &str) -> Result<Self, TelemetryError> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full(REQUEST_DURATION.to_owned()), &REQUEST_SECONDS)?
            .set_buckets_for_metric(Matcher::Full(COMMIT_DURATION.to_owned()), &COMMIT_SECONDS)?
            .set_buckets_for_metric(Matcher::Full(BATCH.to_owned()), &BATCH_COMMANDS)?
            .build_recorder();
        describe(&recorder);
        let build = vec![Label::new("version", version.to_owned()), Label::new("mode", mode.to_owned())];
        gauge(&recorder, BUILD_INFO, build).set(1);
        let handle = recorder.handle();
        Ok(Self {
            traces: None,
            shared: Arc::new(Shared {
                engine: EngineMetrics::new(&recorder),
                password_queue: gauge(&recorder, PASSWORD_QUEUE, Vec::new()),
                ready: gauge(&recorder, READY, Vec::new()),
                security: Mutex::default(),
                _upkeep: start_upkeep(handle.clone())?,
                recorder: Arc::new(recorder),
                handle,
            }),
        })
    }

    /// The same, that sends traces, too.
    #[must_use]
    pub fn with_traces(self, traces: Option<Traces>) -> Self {
        Self { traces, ..self }
    }

    /// What sends traces, if anything does.
    pub fn traces(&self) -> Option<&Traces> {
        self.traces.as_ref()
    }

    /// The recorder of one route, to be made once and kept. `route` is the path's pattern (`/payment/{id}`), never a
    /// path that a client sent; a request that matches no route is recorded under a constant of the caller's choice.
    pub fn route(&self, method: &str, route: &str) -> RouteMetrics {
        let label = vec![Label::new("route", route.to_owned())];
        RouteMetrics(Arc::new(RouteHandles {
            recorder: Arc::clone(&self.shared.recorder),
            method: method.to_owned().into(),
            route: route.to_owned().into(),
            by_status: (0..STATUSES).map(|_| OnceLock::new()).collect(),
            duration: histogram(&self.shared.recorder, REQUEST_DURATION, label),
        }))
    }

    /// The recorder for the engine and the teller.
    pub fn engine(&self) -> &EngineMetrics {
        &self.shared.engine
    }

    /// How many password hashes wait for their turn.
    pub fn password_queue(&self, jobs: usize) {
        self.shared.password_queue.set(as_f64(jobs));
    }

    /// A call was refused because this limit was reached.
    pub fn limited(&self, policy: &'static str) {
        counter(&self.shared.recorder, LIMITED, vec![Label::new("policy", policy)]).increment(1);
    }

    /// The last checkpoint signs so many transactions; it was written then, if one was since the start, and so many could
    /// not be written.
    pub fn checkpoints(&self, signed: u64, written_at: Option<Timestamp>, failures: u64) {
        let recorder = &self.shared.recorder;
        gauge(recorder, CHECKPOINT_SEQUENCE, Vec::new()).set(as_f64(signed));
        counter(recorder, CHECKPOINT_FAILURES, Vec::new()).absolute(failures);
        if let Some(at) = written_at {
            gauge(recorder, CHECKPOINT_TIME, Vec::new()).set(as_f64(at.as_millis().div_euclid(1_000)));
        }
    }

    /// So many payments wait for an operator, the oldest of them for so long.
    pub fn reviews(&self, waiting: u64, oldest_ms: i64) {
        let recorder = &self.shared.recorder;
        gauge(recorder, REVIEWS, Vec::new()).set(as_f64(waiting));
        gauge(recorder, REVIEW_AGE, Vec::new()).set(as_f64(oldest_ms.div_euclid(1_000)));
    }

    /// Whether the database can be written.
    pub fn ready(&self, is_ready: bool) {
        self.shared.ready.set(i32::from(is_ready));
    }

    /// Counts security events, once they are durable. A row that stands for many counts as many.
    pub fn security_events(&self, events: &[SecurityEvent]) {
        #[derive(Deserialize)]
        struct Counted<'a> {
            #[serde(borrow)]
            count: Option<&'a str>,
        }
        let mut counters = self.shared.security.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            let (kind, severity) = (event.kind, event.severity);
            let counted = serde_json::from_str::<Counted<'_>>(&event.detail).ok();
            let count = counted.and_then(|counted| counted.count?.parse().ok());
            let counter = counters.entry((kind, severity)).or_insert_with(|| {
                let labels = vec![Label::new("event", kind.name()), Label::new("severity", severity.name())];
                counter(&self.shared.recorder, SECURITY_EVENTS, labels)
            });
            counter.increment(count.unwrap_or(1));
        }
    }

    /// All figures in Prometheus's text format 0.0.4; serve them as `text/plain; version=0.0.4; charset=utf-8`.
    pub fn render(&self) -> String {
        let mut text = self.shared.handle.render();
        process::render(&mut text);
        text
    }
}

impl std::fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Telemetry").finish_non_exhaustive()
    }
}

/// Records the requests of one route. Cheap to clone.
#[derive(Clone)]
pub struct RouteMetrics(Arc<RouteHandles>);

struct RouteHandles {
    recorder: Arc<PrometheusRecorder>,
    method: SharedString,
    route: SharedString,
    /// One counter for each status that was answered, at the status less [`FIRST_STATUS`]; made on first use, so
    /// that statuses which a route never answers make no series.
    by_status: Box<[OnceLock<Counter>]>,
    duration: Histogram,
}

impl RouteMetrics {
    /// One request was answered with `status` after `elapsed`. A status that HTTP does not know counts as 500.
    pub fn record(&self, status: u16, elapsed: Duration) {
        let slot = |status: u16| self.0.by_status.get(usize::from(status).checked_sub(FIRST_STATUS)?);
        let (status, slot) = match slot(status) {
            Some(known) => (status, Some(known)),
            None => (500, slot(500)),
        };
        if let Some(slot) = slot {
            slot.get_or_init(|| self.counter(status)).increment(1);
        }
        self.0.duration.record(elapsed.as_secs_f64());
    }

    fn counter(&self, status: u16) -> Counter {
        let labels = vec![
            Label::new("method", self.0.method.clone()),
            Label::new("route", self.0.route.clone()),
            Label::new("status", status.to_string()),
        ];
        counter(&self.0.recorder, REQUESTS, labels)
    }
}

impl std::fmt::Debug for RouteMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RouteMetrics({} {})", self.0.method, self.0.route)
    }
}

/// What became of an attempt to pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentOutcome {
    /// The money moved.
    Succeeded,
    /// The money is held until it is captured.
    Authorized,
    /// An operator has to look at it.
    PendingReview,
    /// Declined, and kept in the history as such.
    Declined,
    /// The first answer to the same idempotency key was given again.
    Replayed,
    /// Refused as the twin of a recent payment.
    Duplicate,
    /// Refused for another reason; nothing was kept.
    Refused,
    /// A fault on our side; the outcome may be unknown.
    Failed,
}

impl PaymentOutcome {
    /// All outcomes, in the order of their counters.
    const ALL: [Self; 8] = [
        Self::Succeeded,
        Self::Authorized,
        Self::PendingReview,
        Self::Declined,
        Self::Replayed,
        Self::Duplicate,
        Self::Refused,
        Self::Failed,
    ];

    /// The outcome as the label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Authorized => "authorized",
            Self::PendingReview => "pending_review",
            Self::Declined => "declined",
            Self::Replayed => "replayed",
            Self::Duplicate => "duplicate",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Records what the engine does. Cheap to clone; clones share the same figures.
#[derive(Clone)]
pub struct EngineMetrics {
    payments: Arc<[(PaymentOutcome, Counter)]>,
    batch_commands: Histogram,
    commit_duration: Histogram,
    queue: Gauge,
    tail: Gauge,
    chain_blocks: Gauge,
    chain_head: Gauge,
}

impl EngineMetrics {
    fn new(recorder: &PrometheusRecorder) -> Self {
        let of = |outcome: PaymentOutcome| {
            (outcome, counter(recorder, PAYMENTS, vec![Label::new("outcome", outcome.as_str())]))
        };
        Self {
            payments: PaymentOutcome::ALL.into_iter().map(of).collect(),
            batch_commands: histogram(recorder, BATCH, Vec::new()),
            commit_duration: histogram(recorder, COMMIT_DURATION, Vec::new()),
            queue: gauge(recorder, QUEUE, Vec::new()),
            tail: gauge(recorder, TAIL, Vec::new()),
            chain_blocks: gauge(recorder, CHAIN_BLOCKS, Vec::new()),
            chain_head: gauge(recorder, CHAIN_HEAD, Vec::new()),
        }
    }

    /// A recorder that keeps nothing, for engines that run without a server.
    pub fn unobserved() -> Self {
        Self {
            payments: Arc::new([]),
            batch_commands: Histogram::noop(),
            commit_duration: Histogram::noop(),
            queue: Gauge::noop(),
            tail: Gauge::noop(),
            chain_blocks: Gauge::noop(),
            chain_head: Gauge::noop(),
        }
    }

    /// One attempt to pay ended so.
    pub fn payment(&self, outcome: PaymentOutcome) {
        if let Some((_, counter)) = self.payments.iter().find(|(known, _)| *known == outcome) {
            counter.increment(1);
        }
    }

    /// One batch of so many commands was made durable; its commit took so long.
    pub fn batch(&self, commands: usize, commit: Duration) {
        self.batch_commands.record(as_f64(commands));
        self.commit_duration.record(commit.as_secs_f64());
    }

    /// So many commands wait for the next batch.
    pub fn queue(&self, commands: u64) {
        self.queue.set(as_f64(commands));
    }

    /// So many transactions wait in the tail to be folded in.
    pub fn tail(&self, transactions: u64) {
        self.tail.set(as_f64(transactions));
    }

    /// The hash chain has so many blocks, and reaches up to this sequence number.
    pub fn chain(&self, blocks: u64, head_sequence: u64) {
        self.chain_blocks.set(as_f64(blocks));
        self.chain_head.set(as_f64(head_sequence));
    }
}

impl std::fmt::Debug for EngineMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineMetrics").finish_non_exhaustive()
    }
}

fn describe(recorder: &PrometheusRecorder) {
    let counters = [
        (REQUESTS, "HTTP requests answered, by method, route and status."),
        (PAYMENTS, "Attempts to pay, by what became of them."),
        (CHECKPOINT_FAILURES, "Signed checkpoints that could not be written."),
        (SECURITY_EVENTS, "Security events, by name and severity."),
        (LIMITED, "Calls refused because a limit was reached, by limit."),
    ];
    let histograms = [
        (REQUEST_DURATION, "Time from a request's head to its answer in seconds, by route."),
        (BATCH, "Commands made durable by one commit."),
        (COMMIT_DURATION, "Time that one commit took in seconds, its fsync included."),
    ];
    let gauges = [
        (QUEUE, "Commands that wait for the next batch."),
        (PASSWORD_QUEUE, "Password hashes that wait for their turn."),
        (TAIL, "Transactions in the journal that are not folded in yet."),
        (CHAIN_BLOCKS, "Blocks of the hash chain."),
        (CHAIN_HEAD, "Sequence number that the hash chain reaches up to."),
        (REVIEWS, "Payments that wait for an operator."),
        (REVIEW_AGE, "How long the oldest of them has waited in seconds, 0 if none waits."),
        (READY, "1 if the database can be written, else 0."),
        (CHECKPOINT_SEQUENCE, "Sequence number that the last written checkpoint signs up to."),
        (CHECKPOINT_TIME, "When the last checkpoint was written, as seconds since 1970."),
        (BUILD_INFO, "Always 1; the labels say which version runs, and in which mode."),
    ];
    for (name, help) in counters {
        recorder.describe_counter(name.into(), None, help.into());
    }
    for (name, help) in histograms {
        recorder.describe_histogram(name.into(), None, help.into());
    }
    for (name, help) in gauges {
        recorder.describe_gauge(name.into(), None, help.into());
    }
}

fn counter(recorder: &PrometheusRecorder, name: &'static str, labels: Vec<Label>) -> Counter {
    recorder.register_counter(&Key::from_parts(name, labels), &METADATA)
}

fn gauge(recorder: &PrometheusRecorder, name: &'static str, labels: Vec<Label>) -> Gauge {
    recorder.register_gauge(&Key::from_parts(name, labels), &METADATA)
}

fn histogram(recorder: &PrometheusRecorder, name: &'static str, labels: Vec<Label>) -> Histogram {
    recorder.register_histogram(&Key::from_parts(name, labels), &METADATA)
}

/// Runs until the sender that it returns is dropped.
fn start_upkeep(handle: PrometheusHandle) -> Result<Sender<()>, std::io::Error> {
    let (sender, ended) = channel::<()>();
    std::thread::Builder::new().name("metrics".to_owned()).spawn(move || {
        while ended.recv_timeout(UPKEEP_EVERY) == Err(RecvTimeoutError::Timeout) {
            handle.run_upkeep();
        }
    })?;
    Ok(sender)
}

/// Exact up to 2^53, which no count here reaches.
#[expect(clippy::float_arithmetic, reason = "figures for dashboards, never money")]
fn as_f64(count: impl TryInto<u64>) -> f64 {
    let count = count.try_into().unwrap_or(u64::MAX);
    let half = |bits: u64| f64::from(u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(u32::MAX));
    half(count >> 32) * 4_294_967_296.0 + half(count)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use uuid::Uuid;

    use super::*;
    use crate::ledger::{RequestId, SecurityEventId};

    fn used() -> Telemetry {
        let telemetry = Telemetry::new("0.1.0", "sandbox").unwrap();
        let pay = telemetry.route("POST", "/payment");
        pay.record(201, Duration::from_millis(2));
        pay.record(201, Duration::from_millis(2));
        pay.record(402, Duration::from_micros(100));
        telemetry.route("GET", "/me").record(200, Duration::from_secs(1));
        telemetry.route("PATCH", "/me").record(999, Duration::from_secs(20));
        let engine = telemetry.engine();
        engine.payment(PaymentOutcome::Succeeded);
        engine.payment(PaymentOutcome::Succeeded);
        engine.payment(PaymentOutcome::Declined);
        engine.batch(64, Duration::from_micros(900));
        engine.queue(3);
        engine.tail(5_000);
        engine.chain(17, 9_007_199_254_740_992);
        telemetry.password_queue(2);
        telemetry.reviews(3, 90_500);
        telemetry.checkpoints(40, Some(Timestamp::from_millis(1_700_000_000_123)), 1);
        telemetry.security_events(&[SecurityEvent {
            id: SecurityEventId::new(Uuid::nil()),
            at: Timestamp::from_millis(0),
            kind: EventKind::LoginFail,
            severity: Severity::Warning,
            user: None,
            ip: None,
            user_agent: None,
            request: RequestId::new(Uuid::nil()),
            detail: "{}".into(),
        }]);
        telemetry
    }

    #[test]
    fn promtool_accepts_the_rendering() {
        let mut promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("promtool is needed (Debian: prometheus)");
        promtool.stdin.take().unwrap().write_all(used().render().as_bytes()).unwrap();
        let output = promtool.wait_with_output().unwrap();
        let said =
            String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.is_empty(), "{said}");
    }

    #[test]
    fn every_family_is_rendered_with_what_was_recorded() {
        let text = used().render();
        for line in [
            "farthing_http_requests_total{method=\"POST\",route=\"/payment\",status=\"201\"} 2",
            "farthing_http_requests_total{method=\"POST\",route=\"/payment\",status=\"402\"} 1",
            "farthing_http_requests_total{method=\"PATCH\",route=\"/me\",status=\"500\"} 1",
            "farthing_http_request_duration_seconds_bucket{route=\"/payment\",le=\"0.001\"} 1",
            "farthing_http_request_duration_seconds_bucket{route=\"/payment\",le=\"0.0025\"} 3",
            "farthing_http_request_duration_seconds_count{route=\"/me\"} 2",
            "farthing_payments_total{outcome=\"succeeded\"} 2",
            "farthing_payments_total{outcome=\"declined\"} 1",
            "farthing_payments_total{outcome=\"failed\"} 0",
            "farthing_batch_commands_bucket{le=\"32\"} 0",
            "farthing_batch_commands_bucket{le=\"64\"} 1",
            "farthing_commit_duration_seconds_bucket{le=\"0.001\"} 1",
            "farthing_queue_commands 3",
            "farthing_password_queue_jobs 2",
            "farthing_tail_transactions 5000",
            "farthing_chain_blocks 17",
            "farthing_chain_head_sequence 9007199254740992",
            "farthing_reviews_waiting 3",
            "farthing_review_oldest_age_seconds 90",
            "farthing_checkpoint_sequence 40",
            "farthing_checkpoint_timestamp_seconds 1700000000",
            "farthing_checkpoint_failures_total 1",
            "farthing_security_events_total{event=\"authn_login_fail\",severity=\"warning\"} 1",
            "farthing_build_info{version=\"0.1.0\",mode=\"sandbox\"} 1",
        ] {
            assert!(text.lines().any(|rendered| rendered == line), "missing: {line}\n{text}");
        }
        assert!(!text.contains("quantile="), "buckets can be added up over nodes, quantiles cannot");
        for name in
            ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_start_time_seconds"]
        {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            assert!(value.unwrap().parse::<f64>().unwrap() >= 0.0, "{name}");
        }
    }

    #[test]
    fn two_servers_in_one_process_do_not_share_figures() {
        let _first = used();
        let second = Telemetry::new("0.1.0", "live").unwrap();
        assert!(second.render().contains("farthing_payments_total{outcome=\"succeeded\"} 0"));
    }

    #[test]
    fn every_outcome_has_its_own_counter() {
        let telemetry = Telemetry::new("0.1.0", "live").unwrap();
        for outcome in PaymentOutcome::ALL {
            telemetry.engine().payment(outcome);
        }
        let text = telemetry.render();
        let counted =
            text.lines().filter(|line| line.starts_with("farthing_payments_total{") && line.ends_with(" 1"));
        assert_eq!(counted.count(), PaymentOutcome::ALL.len());
    }
}
