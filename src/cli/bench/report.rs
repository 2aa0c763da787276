//! What a run of the load came to, for people and, as one JSON object, for scripts.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::load::{Measured, per_second};
use super::webhooks::Figures;

/// The result of one run. The names are those of the JSON object.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Acknowledged payments in a second; absent where something else was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payments_per_second: Option<u64>,
    /// Answered requests in a second; absent where payments were made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<u64>,
    /// Acknowledged within the measured time.
    pub acknowledged: u64,
    /// The time that was measured.
    pub seconds: u64,
    /// Milliseconds from the first byte sent, or from when it was due at that rate, to the last received.
    pub latency_ms: Latency,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Exchanges without an answer, by what went wrong.
    pub errors: BTreeMap<String, u64>,
    /// The first answers that were no success.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
    /// Processor time of the generator itself for each request, in microseconds.
    pub generator_cpu_us: f64,
    /// What webhooks changed, and got; absent where there were none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhooks: Option<Figures>,
    /// What was run.
    #[serde(flatten)]
    pub setting: Setting,
    /// Whether `farthing verify` found the ledger in order afterwards; absent where it was not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    /// Resident memory of the server after the load, in MiB, where it can be known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_resident_mib: Option<u64>,
}

/// Latency percentiles in milliseconds.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Latency {
    pub p50: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    #[serde(rename = "p99.9")]
    pub p99_9: f64,
    pub max: f64,
}

/// What was run, so that a figure is never seen without it.
#[derive(Debug, Clone, Serialize)]
pub struct Setting {
    /// `payments`, `transactions`, or what pairs of requests did.
    pub mix: &'static str,
    /// Connections, each with one request under way.
    pub connections: usize,
    /// Requests a second that were asked for in all; absent where each connection asked as fast as it was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<NonZeroU32>,
    /// Users who pay.
    pub users: usize,
    /// Whether every payment went to the house.
    pub hot: bool,
    /// Whether rate limits and risk rules were on.
    pub guarded: bool,
    /// Payments in the ledger before the load.
    pub prefill: u64,
    /// The engine beneath, or `unknown` for a server that somebody else started.
    pub engine: &'static str,
    /// Servers that shared the ledger.
    pub nodes: usize,
    /// Processor cores of this machine.
    pub cores: usize,
    /// Set where the ledger stood in memory: nothing was durable, so the figures say little.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<&'static str>,
}

impl Report {
    /// From what was measured.
    pub fn new(measured: &Measured, setting: Setting) -> Self {
        let rate = Some(per_second(measured.acknowledged, measured.duration));
        let (payments, requests) = if setting.mix == "payments" { (rate, None) } else { (None, rate) };
        let latency = &measured.latency_us;
        let generator_us =
            u64::try_from(measured.generator_cpu.as_nanos()).unwrap_or(u64::MAX) / latency.len().max(1);
        Self {
            payments_per_second: payments,
            requests_per_second: requests,
            acknowledged: measured.acknowledged,
            seconds: measured.duration.as_secs(),
            latency_ms: Latency::of(latency),
            statuses: measured.statuses.clone(),
            errors: measured.errors.clone(),
            failures: measured.samples.clone(),
            generator_cpu_us: thousandths(generator_us),
            webhooks: None,
            setting,
            verified: None,
            server_resident_mib: None,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setting { mix, connections, rate, users, hot, guarded, prefill, engine, nodes, cores, warning } =
            &self.setting;
        let whom = if *hot { ", all to the house" } else { "" };
        let how = if *guarded { ", guarded" } else { "" };
        let pace = rate.map(|rate| format!(" at {rate}/s in all")).unwrap_or_default();
        if let Some(rate) = self.payments_per_second {
            writeln!(f, "{rate} payments/s")?;
        }
        if let Some(rate) = self.requests_per_second {
            writeln!(f, "{rate} requests/s")?;
        }
        writeln!(f, "  latency    {}", self.latency_ms)?;
        if let Some(webhooks) = &self.webhooks {
            writeln!(f, "{webhooks}")?;
        }
        write!(f, "  answers    {} acknowledged in {} s", self.acknowledged, self.seconds)?;
        for (status, count) in &self.statuses {
            write!(f, ", {status}: {count}")?;
        }
        writeln!(f)?;
        writeln!(
            f,
            "  load       {mix}, {connections} connections{pace}, {users} users{whom}{how}, {prefill} payments before"
        )?;
        writeln!(
            f,
            "  machine    {cores} cores, engine {engine}, nodes {nodes}; the generator took {:.1} µs a request",
            self.generator_cpu_us
        )?;
        if let Some(mib) = self.server_resident_mib {
            writeln!(f, "  server     {mib} MiB resident after the load")?;
        }
        match self.verified {
            Some(true) => writeln!(f, "  ledger     verified: in order")?,
            Some(false) => writeln!(f, "  ledger     verified: NOT IN ORDER")?,
            None => {}
        }
        for (error, count) in &self.errors {
            writeln!(f, "  error      {count} × {error}")?;
        }
        for failure in &self.failures {
            writeln!(f, "  failure    {failure}")?;
        }
        if let Some(warning) = warning {
            writeln!(f, "  warning    {warning}")?;
        }
        Ok(())
    }
}

impl Latency {
    /// From latencies in microseconds.
    pub fn of(latency_us: &Histogram<u64>) -> Self {
        let at = |quantile| thousandths(latency_us.value_at_quantile(quantile));
        Self {
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p99_9: at(0.999),
            max: thousandths(latency_us.max()),
        }
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p90, p95, p99, p99_9, max } = self;
        write!(
            f,
            "p50 {p50:.2} ms, p90 {p90:.2} ms, p95 {p95:.2} ms, p99 {p99:.2} ms, p99.9 {p99_9:.2} ms, max {max:.2} ms"
        )
    }
}

/// A whole number of thousandths as a decimal, for people and JSON.
#[expect(clippy::float_arithmetic, reason = "a figure to look at, no money")]
pub fn thousandths(value: u64) -> f64 {
    f64::from(u32::try_from(value).unwrap_or(u32::MAX)) / 1_000.0
}
