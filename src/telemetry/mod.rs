//! What Farthing tells about itself: log lines on standard error, metrics for Prometheus, traces
//! for OpenTelemetry.
//!
//! Bounds: metrics are a fixed set of families; their labels come from the route table, from enums and from status
//! codes, never from what a client sends, so that no client can make the number of series grow. Recording one request
//! looks nothing up and builds no string. A log line is one line whatever it quotes.
//!
//! What must not change: no password, token, key or request body goes into a log line or a label, and every security
//! event makes exactly one JSON line, whatever the format and the filter of the other lines.

mod latency;
mod logs;
mod metrics;
mod process;
mod traces;

pub use latency::Latency;
pub use logs::{LogError, LogFormat, LogSettings, install_logs, log_security, subscriber};
pub use metrics::{EngineMetrics, PaymentOutcome, RouteMetrics, Telemetry, TelemetryError};
pub use traces::{BatchTimes, TraceError, TraceSettings, Traced, Traces};
