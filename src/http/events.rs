//! Events: what they look like, the feed of them, and the stream.
//!
//! An event is told alike everywhere: what is sent to a webhook is what the feed lists.

mod example;

pub use example::example;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::RETRY_AFTER;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::mpsc::{Sender, channel};
use tokio::sync::watch;
use tokio::time::{Instant, interval};

use super::App;
use super::call::Call;
use super::extract::{Place, last_event_id};
use super::problem::{Code, Problem};
use super::reply::{self, Cut};
use super::spec::Answer;
use super::views::{PaymentView, Text};
use super::webhooks::owner;
use crate::ledger::{
    Balance, Caller, EventId, EventType, FeedPosition, Step, Timestamp, Transaction, TransactionKind, UserId,
};
use crate::teller::{FeedEvent, Told};

/// How often a stream looks for news.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often a stream without news says that it is there; its session is looked at as often as once a second.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Events that are read at a time.
const PIECE: usize = 100;
/// Streams at once, of one user and of all.
const MAX_STREAMS_PER_USER: usize = 5;
const MAX_STREAMS: usize = 500;

/// An event as it is told.
#[derive(Debug, Serialize)]
struct EventView<'a> {
    id: EventId,
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: Text<Timestamp>,
    data: Data<'a>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Payment(Box<PaymentView<'a>>),
    Movement(Value),
    Notice(&'a RawValue),
}

/// The event as JSON: the body of a webhook, the row of the feed, the data of a stream's event.
pub fn render(event: &FeedEvent) -> String {
    let data = match &event.told {
        Told::Transaction(transaction) if transaction.kind == TransactionKind::Payment => {
            Data::Payment(Box::new(PaymentView::new(transaction, transaction.payment_state())))
        }
        Told::Transaction(transaction) => match transaction.stage.step() {
            Some(told) => Data::Movement(step(transaction, told)),
            None => Data::Movement(movement(transaction)),
        },
        Told::Notice { data, .. } => Data::Notice(data),
    };
    let view = EventView { id: event.id, kind: event.kind.name(), timestamp: Text(event.at), data };
    // Plain structs, whose serialisation into memory cannot fail.
    serde_json::to_string(&view).unwrap_or_default()
}

/// What came in from outside, without what only the wallet's owner is told.
fn movement(transaction: &Transaction) -> Value {
    let currency = transaction.money.currency();
    let amount = Balance { amount_minor: transaction.money.amount_minor(), currency };
    json!({
        "id": transaction.id,
        "type": transaction.kind,
        "status": if transaction.decline.is_some() { "declined" } else { "succeeded" },
        "amount": amount.to_string(),
        "currency": currency,
        "user": if transaction.to.id.is_outside() { transaction.from.id } else { transaction.to.id },
        "reason": transaction.decline.map(crate::ledger::Decline::name),
        "created_at": transaction.created_at.to_string(),
    })
}

/// A step of a payment, and where it left the payment.
fn step(transaction: &Transaction, step: &Step) -> Value {
    let currency = transaction.money.currency();
    let text = |amount_minor| Balance { amount_minor, currency }.to_string();
    json!({
        "id": transaction.id,
        "payment": step.payment,
        "amount": text(transaction.money.amount_minor()),
        "currency": currency,
        "status": step.state.status.name(),
        "amount_captured": text(step.state.captured_minor),
        "amount_refunded": text(step.state.refunded_minor),
        "declined": transaction.decline.map(crate::ledger::Decline::name),
        "created_at": transaction.created_at.to_string(),
    })
}

/// A page of the feed.
#[derive(Debug, Serialize)]
struct Page<'a> {
    data: Vec<&'a RawValue>,
    has_more: bool,
    next: Place,
}

pub(super) async fn list(call: Call) -> Answer {
    let mut query = call.query();
    let limit = query.limit();
    let (after, since, scope) = (query.place("after"), query.from("since"), query.word("scope"));
    query.finish(())?;
    let seer = seer(owner(&call, scope).await?);
    let after = begin(&call, after, since).await?.unwrap_or_default();
    let mut events = call.teller().feed(seer, after, limit.saturating_add(1)).await?;
    let has_more = events.len() > limit;
    events.truncate(limit);
    let next = events.last().map_or(after, |event| event.position);
    let texts: Vec<String> = events.iter().map(render).collect();
    let data = texts
        .iter()
        .map(|text| serde_json::from_str(text).map_err(|_| Problem::internal("an event is no JSON")))
        .collect::<Result<_, _>>()?;
    Ok(reply::json(StatusCode::OK, &Page { data, has_more, next: Place { feed: next, resent: None } }))
}

pub(super) async fn trigger(call: Call) -> Answer {
    let mut form = call.form()?;
    let kind = form.word("type").and_then(EventType::from_name);
    let kind = form.finish(kind)?;
    let origin = call.origin.clone();
    let event = call.teller().trigger_event(call.who()?, origin, kind, example(kind)).await?;
    Ok(reply::json(StatusCode::ACCEPTED, &json!({"event": event})))
}

/// Whose events: those that the owner sees, or of the house all there are.
fn seer(owner: UserId) -> Option<UserId> {
    (owner != UserId::HOUSE).then_some(owner)
}

/// Where to begin: at a place, or at a time; none if neither is said.
async fn begin(
    call: &Call,
    after: Option<Place>,
    since: Option<Timestamp>,
) -> Result<Option<FeedPosition>, Problem> {
    match (after, since) {
        (Some(after), _) => Ok(Some(after.feed)),
        (None, Some(since)) => Ok(Some(call.teller().feed_position(since).await?)),
        (None, None) => Ok(None),
    }
}

pub(super) async fn stream(call: Call) -> Answer {
    let mut query = call.query();
    let (after, since, scope) = (query.place("after"), query.from("since"), query.word("scope"));
    let include = query.word("include");
    query.finish(())?;
    let after = last_event_id(&call.headers)?.or(after);
    let owner = owner(&call, scope).await?;
    let feed = match begin(&call, after, since).await? {
        Some(place) => place,
        None => call.teller().feed_position(Timestamp::from_millis(i64::MAX)).await?,
    };
    let resent = match (include, after.and_then(|place| place.resent)) {
        (Some(_), Some(place)) => Some(place),
        (Some(_), None) => Some(call.teller().newest_delivery(owner).await?),
        (None, _) => None,
    };
    let place = Place { feed, resent };
    let caller = call.who()?.caller;
    let seat = call.app.streams().take(caller.user).ok_or_else(too_many_streams)?;
    let (sender, pieces) = channel(2);
    let app = Arc::clone(&call.app);
    tokio::spawn(async move {
        Follower { app, caller, owner, place, sender }.run(seat).await;
    });
    Ok(reply::stream("text/event-stream", pieces))
}

/// Follows the feed for one client.
struct Follower {
    app: Arc<App>,
    caller: Caller,
    /// Whose events, and whose deliveries that are made again.
    owner: UserId,
    place: Place,
    sender: Sender<Result<Bytes, Cut>>,
}

impl Follower {
    async fn run(mut self, mut seat: Seat) {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut told_at = Instant::now();
        let mut number = 0_u64;
        // Something to read at once, so that the client knows that it is connected, and where it goes on if nothing comes.
        let connected = format!(": connected\nid: {}\n\n", self.place);
        if self.sender.send(Ok(Bytes::from(connected))).await.is_err() {
            return;
        }
        loop {
            tokio::select! {
                _ = looks.tick() => {}
                () = self.sender.closed() => return,
                _ = seat.stopping.changed() => return,
            }
            number = number.wrapping_add(1);
            // The rights that the stream was opened with may be gone.
            if number.is_multiple_of(4) && !self.may_go_on().await {
                return;
            }
            match self.tell().await {
                Ok(true) => told_at = Instant::now(),
                Ok(false) if told_at.elapsed() >= HEARTBEAT => {
                    if self.sender.send(Ok(Bytes::from_static(b": still here\n\n"))).await.is_err() {
                        return;
                    }
                    told_at = Instant::now();
                }
                Ok(false) => {}
                Err(()) => return,
            }
        }
    }

    async fn may_go_on(&self) -> bool {
        let needs_admin = seer(self.owner).is_none();
        self.app.teller().is_live(&self.caller, needs_admin).await.unwrap_or(true)
    }

    /// Sends what is new; says whether there was anything. An error means that nobody listens.
    async fn tell(&mut self) -> Result<bool, ()> {
        // While the database is away there is nothing to tell; the client stays.
        let events =
            self.app.teller().feed(seer(self.owner), self.place.feed, PIECE).await.unwrap_or_default();
        let mut text = String::new();
        for event in &events {
            self.place.feed = event.position;
            text.push_str(&self.format(event));
        }
        if let Some(after) = self.place.resent
            && let Ok((events, seen)) = self.app.teller().resent(self.owner, after, PIECE).await
        {
            for (number, event) in &events {
                self.place.resent = Some(*number);
                text.push_str(&self.format(event));
            }
            self.place.resent = Some(seen);
        }
        if text.is_empty() {
            return Ok(false);
        }
        self.sender.send(Ok(Bytes::from(text))).await.map_err(|_| ())?;
        Ok(true)
    }

    /// JSON has no line breaks, so that one line of data is enough.
    fn format(&self, event: &FeedEvent) -> String {
        format!("id: {}\nevent: {}\ndata: {}\n\n", self.place, event.kind.name(), render(event))
    }
}

/// The streams that are open: bounded, and ended when the server stops.
#[derive(Debug)]
pub struct Streams {
    open: Arc<Mutex<HashMap<UserId, usize>>>,
    stopping: watch::Sender<bool>,
}

impl Default for Streams {
    fn default() -> Self {
        Self { open: Arc::default(), stopping: watch::Sender::new(false) }
    }
}

impl Streams {
    /// Ends them all.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    fn take(&self, user: UserId) -> Option<Seat> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let own = open.get(&user).copied().unwrap_or_default();
        let all: usize = open.values().sum();
        if own >= MAX_STREAMS_PER_USER || all >= MAX_STREAMS {
            return None;
        }
        open.insert(user, own.saturating_add(1));
        Some(Seat { open: Arc::clone(&self.open), user, stopping: self.stopping.subscribe() })
    }
}

/// How long until it is worth while to try again, in seconds: a stream ends when somebody ends it.
const TRY_AGAIN_AFTER: u64 = 5;

fn too_many_streams() -> Problem {
    Problem::new(Code::TooManyStreams).header(RETRY_AFTER, TRY_AGAIN_AFTER.into())
}

/// A place among the streams, given back when it is dropped.
#[derive(Debug)]
struct Seat {
    open: Arc<Mutex<HashMap<UserId, usize>>>,
    user: UserId,
    stopping: watch::Receiver<bool>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.user) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                open.remove(&self.user);
            }
        }
    }
}
