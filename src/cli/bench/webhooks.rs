//! What webhooks cost payments, and how soon they get their events: the same load on one server, without webhooks and then
//! with one for each user, of which every second one never answers; as often as asked, so that a slow moment of the
//! machine meets both.
//!
//! The endpoints are here, too, on a thread of their own: deliveries come in groups, and on the thread that sends the load
//! an answer would wait until a whole group was taken. Both times the load runs in sessions of its own that were just
//! used: the first use after a minute costs a write.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

use super::load::{self, Load, Measured};
use super::remote::Client;
use super::report::{Latency, thousandths};
use super::request::{delete, get, post};
use super::{BenchArgs, BenchError, Random, Seeded};

/// How long deliveries may still come after the load.
const GRACE: Duration = Duration::from_secs(5);
/// How long the load runs before anything counts, if it counts for as long: in this time the server learns who never answers.
const WARM_UP: Duration = Duration::from_secs(10);
/// As much of a delivery as is read, in bytes.
const DELIVERY_LIMIT: usize = 64 * 1024;
/// More headers than any delivery of ours has.
const HEADERS_LIMIT: usize = 32;
/// The path of endpoints that answer, before the user's id, and of those that never do.
const ANSWERS: &str = "/answers/";
const HANGS: &str = "/hangs/";

/// What came of it. The names are those of the JSON object.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// Webhooks, of which every second one never answers.
    pub endpoints: usize,
    /// Latency of the same payments without them, in milliseconds.
    pub latency_without_ms: Latency,
    /// How many times as long payments took with them, at the 99th percentile.
    pub p99_ratio: f64,
    /// Deliveries to endpoints that answer, of the payments that were measured.
    pub awaited: u64,
    /// Those that came, 5 s after the load at the latest.
    pub arrived: u64,
    /// Milliseconds from a payment's answer to the arrival of its event at an endpoint that answers.
    pub delay_ms: Latency,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoints, latency_without_ms, p99_ratio, awaited, arrived, delay_ms } = self;
        writeln!(f, "  without    {latency_without_ms}")?;
        writeln!(f, "  webhooks   {endpoints}, every second one never answers; p99 is {p99_ratio:.2} times")?;
        write!(f, "  deliveries {arrived} of {awaited} came where they are answered; {delay_ms}")
    }
}

/// A delivery: to whom, about which payment.
type Delivery = (String, String);
/// When each came first.
type Arrivals = Arc<Mutex<HashMap<Delivery, Instant>>>;

/// Endpoints on this machine.
#[derive(Debug)]
pub struct Endpoints {
    port: u16,
    arrivals: Arrivals,
}

impl Endpoints {
    /// Opens them, on a thread of their own until the program ends.
    ///
    /// # Errors
    /// If no port can be opened.
    pub fn open() -> Result<Self, BenchError> {
        let failed = |error: io::Error| BenchError::Server(format!("no endpoint can be opened: {error}"));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let arrivals = Arrivals::default();
        let shared = Arc::clone(&arrivals);
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let serve = async move {
            let Ok(listener) = TcpListener::from_std(listener) else { return };
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(take(stream, Arc::clone(&shared)));
            }
        };
        let thread = std::thread::Builder::new().name("endpoints".into());
        thread.spawn(move || runtime.block_on(serve)).map_err(failed)?;
        Ok(Self { port, arrivals })
    }

    /// The port that they all have.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Gives each user one; and their ids.
    async fn register(&self, authority: &str, seeded: &Seeded) -> Result<Vec<String>, BenchError> {
        let mut client = Client::open(authority).await?;
        let mut ids = Vec::new();
        for (number, (token, user)) in seeded.tokens.iter().zip(&seeded.user_ids).enumerate() {
            let path = if answers(number) { ANSWERS } else { HANGS };
            let body = format!(r#"{{"url":"http://127.0.0.1:{}{path}{user}"}}"#, self.port);
            let request = post(authority, "/webhooks", Some(token), &body);
            let made = client.exchange(&request, "/webhooks", 201).await?.unwrap_or_default();
            ids.push(made["id"].as_str().unwrap_or_default().to_owned());
        }
        Ok(ids)
    }

    /// Waits until all of these have come, or long enough; says how long each took after its payment's answer.
    async fn wait_for(&self, awaited: &HashMap<Delivery, Instant>, delays: &mut Histogram<u64>) {
        let end = Instant::now() + GRACE;
        while !awaited.keys().all(|delivery| self.arrivals().contains_key(delivery)) && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let arrivals = self.arrivals();
        for (delivery, answered) in awaited {
            if let Some(arrived) = arrivals.get(delivery) {
                let delay = arrived.saturating_duration_since(*answered).as_micros();
                delays.saturating_record(u64::try_from(delay).unwrap_or(u64::MAX));
            }
        }
    }

    fn arrivals(&self) -> MutexGuard<'_, HashMap<Delivery, Instant>> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the user with that number has an endpoint that answers.
const fn answers(number: usize) -> bool {
    number.is_multiple_of(2)
}

/// Runs the load without webhooks and with them, in turn; gives what the latter measured.
///
/// # Errors
/// If the load cannot be run, or fails without webhooks; what fails with them is counted.
pub async fn measure(
    args: &BenchArgs,
    authorities: &[String],
    seeded: Seeded,
    endpoints: &Endpoints,
    random: &mut Random,
) -> Result<(Measured, Figures), BenchError> {
    let Seeded { tokens, other_tokens, user_ids } = seeded;
    let first = Seeded { tokens, user_ids: user_ids.clone(), ..Seeded::default() };
    let second = Seeded { tokens: other_tokens, user_ids: user_ids.clone(), ..Seeded::default() };
    let authority = authorities.first().map(String::as_str).unwrap_or_default();
    let warmed_up = |load: Load| Load { warm_up: WARM_UP.min(load.duration), ..load };
    let (mut without, mut with) = (load::nothing(Duration::ZERO)?, load::nothing(Duration::ZERO)?);
    let (mut delays, mut all_awaited) = (load::latencies()?, 0_usize);
    for round in 1..=args.rounds.get() {
        look_in(authority, &first.tokens).await?;
        let load = super::load(args, authorities.to_vec(), first.clone(), random).await?;
        without.add(load::run(warmed_up(load)).await?)?;
        if without.has_failures() {
            let Measured { statuses, errors, samples, .. } = without;
            return Err(BenchError::Server(format!("without webhooks: {statuses:?} {errors:?} {samples:?}")));
        }

        look_in(authority, &second.tokens).await?;
        let webhooks = endpoints.register(authority, &second).await?;
        let load = super::load(args, authorities.to_vec(), second.clone(), random).await?;
        let measured = load::run(Load { keeps_answers: true, ..warmed_up(load) }).await?;
        let awaited = awaited(&measured, &user_ids)?;
        endpoints.wait_for(&awaited, &mut delays).await;
        all_awaited = all_awaited.saturating_add(awaited.len());
        with.add(Measured { answers: Vec::new(), ..measured })?;
        if round < args.rounds.get() {
            remove(authority, &second.tokens, &webhooks).await?;
        }
    }
    let p99 = |measured: &Measured| measured.latency_us.value_at_quantile(0.99);
    let figures = Figures {
        endpoints: user_ids.len(),
        p99_ratio: thousandths(p99(&with).saturating_mul(1_000) / p99(&without).max(1)),
        latency_without_ms: Latency::of(&without.latency_us),
        awaited: u64::try_from(all_awaited).unwrap_or(u64::MAX),
        arrived: delays.len(),
        delay_ms: Latency::of(&delays),
    };
    Ok((with, figures))
}

/// Takes each user's webhook away.
async fn remove(authority: &str, tokens: &[String], webhooks: &[String]) -> Result<(), BenchError> {
    let mut client = Client::open(authority).await?;
    for (token, webhook) in tokens.iter().zip(webhooks) {
        let path = format!("/webhooks/{webhook}");
        client.exchange(&delete(authority, &path, token), &path, 204).await?;
    }
    Ok(())
}

/// Uses each session once.
async fn look_in(authority: &str, tokens: &[String]) -> Result<(), BenchError> {
    let mut client = Client::open(authority).await?;
    for token in tokens {
        client.exchange(&get(authority, "/wallets", token), "/wallets", 200).await?;
    }
    Ok(())
}

/// The deliveries that are awaited, and when their payments were answered.
fn awaited(measured: &Measured, user_ids: &[String]) -> Result<HashMap<Delivery, Instant>, BenchError> {
    #[derive(Deserialize)]
    struct Party {
        id: String,
    }
    #[derive(Deserialize)]
    struct Payment {
        id: String,
        from: Party,
        to: Party,
    }
    let numbers: HashMap<&str, usize> = user_ids.iter().map(String::as_str).zip(0..).collect();
    let mut awaited = HashMap::new();
    for (answered, said) in &measured.answers {
        let Payment { id, from, to } = serde_json::from_slice(said)
            .map_err(|error| BenchError::Server(format!("a payment was answered otherwise: {error}")))?;
        for user in [from.id, to.id] {
            if numbers.get(user.as_str()).copied().is_some_and(answers) {
                awaited.insert((user, id.clone()), *answered);
            }
        }
    }
    Ok(awaited)
}

/// One connection, which brings one delivery. What is no delivery is closed.
async fn take(mut stream: TcpStream, arrivals: Arrivals) -> io::Result<()> {
    let mut read = Vec::with_capacity(2_048);
    let (path, body) = loop {
        if read.len() > DELIVERY_LIMIT || stream.read_buf(&mut read).await? == 0 {
            return Ok(());
        }
        if let Some(whole) = parse(&read) {
            break whole;
        }
    };
    let Some(user) = path.strip_prefix(ANSWERS) else {
        let mut nothing = [0; 16];
        // Until the server gives up.
        while stream.read(&mut nothing).await? > 0 {}
        return Ok(());
    };
    let at = Instant::now();
    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
    if let Some(payment) = payment(body) {
        let mut arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        arrivals.entry((user.to_owned(), payment)).or_insert(at);
    }
    Ok(())
}

/// Path and body of a request; nothing if it is not complete.
fn parse(read: &[u8]) -> Option<(String, &[u8])> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_LIMIT];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = request.parse(read).ok()? else { return None };
    let length = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"))?;
    let length: usize = std::str::from_utf8(length.value).ok()?.parse().ok()?;
    let body = read.get(head..head.checked_add(length)?)?;
    Some((request.path?.to_owned(), body))
}

/// The payment that an event is about.
fn payment(event: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Event {
        data: Data,
    }
    #[derive(Deserialize)]
    struct Data {
        id: String,
    }
    serde_json::from_slice::<Event>(event).ok().map(|event| event.data.id)
}
