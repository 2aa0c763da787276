//! Runs the load: so many connections, each with one request under way, for so many seconds.
//!
//! The loop is closed: a connection asks again when it has its answer, so the rate is what the server gives and latency
//! is what a client of this many sees. With a rate it is open: requests fall due by the clock, and latency counts from
//! then where the connection still waited for an answer (Tene's "coordinated omission"), else from when the request is
//! sent: a timer that rings late is no fault of the server's. Only answers that come within the
//! measured time count; the warm-up before it and the last answers after it do not. Failures count whenever they come: a
//! run that fails while it warms up is no good run.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};
use tokio::task::JoinSet;

use super::BenchError;
use super::request::{Random, Traffic};
use super::steps::Turn;
use super::wire::{Connection, WireError};
use crate::cli::progress::Progress;

/// How long an answer may take once the time is over.
const GRACE: Duration = Duration::from_secs(10);
/// How often the progress line changes.
const TICK: Duration = Duration::from_millis(250);
/// The longest latency that is told apart, in microseconds.
const LATENCY_LIMIT_US: u64 = 60_000_000;
/// How many refusals are kept word for word, to show what went wrong.
const SAMPLES: usize = 3;

/// What to run.
#[derive(Debug)]
pub struct Load {
    /// `host:port` of each node of the server; the connections are dealt out in turn.
    pub authorities: Vec<String>,
    /// What each connection asks.
    pub traffic: Traffic,
    /// How many connections are kept open.
    pub connections: usize,
    /// Requests a second in all connections; none if each asks again as soon as it is answered.
    pub rate: Option<NonZeroU32>,
    /// How long to run before anything counts.
    pub warm_up: Duration,
    /// How long to measure.
    pub duration: Duration,
    /// Where the requests' randomness comes from.
    pub random: Random,
    /// Whether successful answers within the measured time are kept.
    pub keeps_answers: bool,
    /// What the progress line calls the answers, such as "payments".
    pub unit: &'static str,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The time that was measured.
    pub duration: Duration,
    /// Answers of the 2xx kind within that time.
    pub acknowledged: u64,
    /// Latency of every answer within that time, in microseconds.
    pub latency_us: Histogram<u64>,
    /// Answers by status; those that are no success are counted outside the measured time too.
    pub statuses: BTreeMap<u16, u64>,
    /// Exchanges without an answer, by what went wrong.
    pub errors: BTreeMap<String, u64>,
    /// The first answers that were no success, word for word.
    pub samples: Vec<String>,
    /// When each success within that time came and what it said, where that was to be kept.
    pub answers: Vec<(Instant, Vec<u8>)>,
    /// Processor time that this generator took in the measured time.
    pub generator_cpu: Duration,
}

impl Measured {
    /// Whether anything failed: an error, or a status that is neither a success nor a payer without money (402).
    pub fn has_failures(&self) -> bool {
        !self.errors.is_empty() || self.statuses.keys().any(|status| !is_success(*status) && *status != 402)
    }

    /// Takes in what another run of the same load measured.
    pub fn add(&mut self, other: Self) -> Result<(), BenchError> {
        let added = self.latency_us.add(&other.latency_us);
        added.map_err(|error| BenchError::Server(format!("no histogram: {error}")))?;
        self.duration = self.duration.saturating_add(other.duration);
        self.acknowledged = self.acknowledged.saturating_add(other.acknowledged);
        self.generator_cpu = self.generator_cpu.saturating_add(other.generator_cpu);
        for (status, times) in other.statuses {
            count(&mut self.statuses, status, times);
        }
        for (error, times) in other.errors {
            count(&mut self.errors, error, times);
        }
        self.samples.extend(other.samples);
        self.samples.truncate(SAMPLES);
        self.answers.extend(other.answers);
        Ok(())
    }

    fn count_error(&mut self, error: String) {
        count(&mut self.errors, error, 1);
    }
}

fn count<K: Ord>(counts: &mut BTreeMap<K, u64>, what: K, times: u64) {
    let count = counts.entry(what).or_default();
    *count = count.saturating_add(times);
}

/// Runs the load to its end, on the runtime that calls it; that one should have a single thread.
///
/// # Errors
/// If no connection can be made at all. What goes wrong later is counted in [`Measured`].
pub async fn run(load: Load) -> Result<Measured, BenchError> {
    for authority in &load.authorities {
        Connection::open(authority)
            .await
            .map_err(|error| BenchError::Server(format!("nothing answers at {authority}: {error}")))?;
    }
    let Load { authorities, traffic, connections, rate, warm_up, duration, mut random, keeps_answers, unit } =
        load;
    let begun = Instant::now();
    let measure_from = begun + warm_up;
    let run = Arc::new(Run {
        traffic,
        measure_from,
        end: measure_from + duration,
        keeps_answers,
        tally: Mutex::new(nothing(duration)?),
    });
    let mut tasks = JoinSet::new();
    for (authority, pace) in authorities.iter().cycle().zip(paces(connections, rate, begun)) {
        tasks.spawn(drive(Arc::clone(&run), authority.clone(), pace, random.fork()));
    }
    let progress = Progress::new();
    tokio::time::sleep_until(measure_from.into()).await;
    let cpu_before = thread_cpu();
    while Instant::now() < run.end {
        show(&progress, &run, unit);
        tokio::time::sleep_until((Instant::now() + TICK).min(run.end).into()).await;
    }
    let generator_cpu = thread_cpu().saturating_sub(cpu_before);
    drop(progress);

    let all_done = async { while tasks.join_next().await.is_some() {} };
    let late = tokio::time::timeout(GRACE, all_done).await.is_err();
    let missing = tasks.len();
    tasks.abort_all();
    let mut measured = run.tally().clone();
    if late {
        measured
            .count_error(format!("{missing} requests without an answer {} s after the end", GRACE.as_secs()));
    }
    measured.generator_cpu = generator_cpu;
    Ok(measured)
}

/// When a connection's requests fall due.
#[derive(Debug, Clone, Copy)]
struct Pace {
    due: Instant,
    /// From one to the next; none if the next is due when the last is answered.
    interval: Option<Duration>,
    /// From its turn to the next connection's.
    turn: Duration,
}

impl Pace {
    /// Waits until the next request is due, and says from when its latency counts. It is due at a random moment of its turn,
    /// so that the load has no beat, which a server with a beat of its own would meet always or never.
    async fn wait(&self, random: &mut Random) -> Instant {
        let turn_ns = usize::try_from(self.turn.as_nanos()).unwrap_or(usize::MAX);
        let after_ns = u64::try_from(random.below(turn_ns)).unwrap_or(u64::MAX);
        let due = self.due + Duration::from_nanos(after_ns);
        if due <= Instant::now() {
            return due;
        }
        tokio::time::sleep_until(due.into()).await;
        Instant::now()
    }

    fn step(&mut self, answered: Instant) {
        self.due = self.interval.map_or(answered, |interval| self.due + interval);
    }
}

/// The pace of each connection: together they make the rate, one after the other.
fn paces(connections: usize, rate: Option<NonZeroU32>, begun: Instant) -> Vec<Pace> {
    let count = u32::try_from(connections).unwrap_or(u32::MAX);
    let turn = rate.map(|rate| Duration::from_secs(1) / rate.get()).unwrap_or_default();
    (0..count)
        .map(|place| Pace {
            due: begun + turn * place,
            interval: rate.map(|rate| Duration::from_secs(1) * count / rate.get()),
            turn,
        })
        .collect()
}

/// What the connections of a run share. All of them are on one thread, so the lock is never waited for.
struct Run {
    traffic: Traffic,
    measure_from: Instant,
    end: Instant,
    keeps_answers: bool,
    tally: Mutex<Measured>,
}

impl Run {
    fn tally(&self) -> MutexGuard<'_, Measured> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count_answer(&self, since: Instant, done: Instant, status: u16, body: &[u8]) {
        let within = done >= self.measure_from && done < self.end;
        let success = is_success(status);
        if success && !within {
            return;
        }
        let mut tally = self.tally();
        count(&mut tally.statuses, status, 1);
        if !success && tally.samples.len() < SAMPLES {
            tally
                .samples
                .push(format!("{status}: {}", String::from_utf8_lossy(body.get(..400).unwrap_or(body))));
        }
        if within {
            let latency = done.saturating_duration_since(since).as_micros();
            tally.latency_us.saturating_record(u64::try_from(latency).unwrap_or(u64::MAX));
            tally.acknowledged = tally.acknowledged.saturating_add(u64::from(success));
            if success && self.keeps_answers {
                tally.answers.push((done, body.to_vec()));
            }
        }
    }
}

/// One connection's work until the time is over; a lost connection is counted and made again.
async fn drive(run: Arc<Run>, authority: String, mut pace: Pace, mut random: Random) {
    let mut buffer = Vec::new();
    while Instant::now() < run.end {
        if let Err(error) = drive_connection(&run, &authority, &mut pace, &mut buffer, &mut random).await {
            run.tally().count_error(error.to_string());
            // A server that is gone would otherwise be asked as fast as the machine can.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn drive_connection(
    run: &Run,
    authority: &str,
    pace: &mut Pace,
    buffer: &mut Vec<u8>,
    random: &mut Random,
) -> Result<(), WireError> {
    let mut connection = Connection::open(authority).await?;
    let mut turn = Turn::default();
    if pace.interval.is_none() {
        pace.due = Instant::now();
    }
    while pace.due < run.end && !connection.is_closing() {
        let since = pace.wait(random).await;
        let was_first = turn.is_first();
        let answer = connection.exchange(run.traffic.next(buffer, &mut turn, random)).await?;
        let done = Instant::now();
        run.count_answer(since, done, answer.status, answer.body);
        run.traffic.answered(&mut turn, was_first, answer.body);
        pace.step(done);
    }
    Ok(())
}

/// What is measured in that time, as long as nothing is.
pub fn nothing(duration: Duration) -> Result<Measured, BenchError> {
    Ok(Measured {
        duration,
        acknowledged: 0,
        latency_us: latencies()?,
        statuses: BTreeMap::new(),
        errors: BTreeMap::new(),
        samples: Vec::new(),
        answers: Vec::new(),
        generator_cpu: Duration::ZERO,
    })
}

/// Latencies in microseconds, none yet.
pub fn latencies() -> Result<Histogram<u64>, BenchError> {
    Histogram::new_with_bounds(1, LATENCY_LIMIT_US, 3)
        .map_err(|error| BenchError::Server(format!("no histogram: {error}")))
}

fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

/// Processor time of this thread so far.
fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

fn show(progress: &Progress, run: &Run, unit: &str) {
    progress.show(|| {
        let tally = run.tally();
        let rate = per_second(tally.acknowledged, run.measure_from.elapsed());
        let failed: u64 = tally.errors.values().sum();
        let p99_us = tally.latency_us.value_at_quantile(0.99);
        let (whole_ms, tenths_ms) = (p99_us / 1_000, p99_us % 1_000 / 100);
        format!("{rate} {unit}/s, p99 {whole_ms}.{tenths_ms} ms, {failed} errors")
    });
}

/// `count` in `duration` as a whole number a second.
pub fn per_second(count: u64, duration: Duration) -> u64 {
    let micros = duration.as_micros().max(1);
    u64::try_from(u128::from(count).saturating_mul(1_000_000) / micros).unwrap_or(u64::MAX)
}
