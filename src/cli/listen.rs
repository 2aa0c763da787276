//! `farthing listen` and `farthing trigger`: events to a program that is being developed, without a public address.
//!
//! Listening follows the server's stream of events and forwards each, signed like a webhook's delivery, with a secret that
//! is made for this run. It begins as long ago as it is told, and goes on where a broken connection left it. What is sent
//! again to a webhook meanwhile is forwarded again.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use http_body_util::BodyExt as _;
use hyper::Method;
use hyper::body::Incoming;
use rustls::RootCertStore;
use serde_json::{Value, json};
use url::Url;

use super::open;
use super::remote::{Asked, Remote, RemoteArgs};
use super::terminal::{Failure, print, tell};
use crate::clock::Clock;
use crate::ledger::EventType;
use crate::webhook::{Attempt, Guard, Message, Scheme, Secret, Sender, SystemResolver, TargetRules};

/// How long to wait before a broken stream is opened again.
const PAUSE: Duration = Duration::from_secs(1);

/// What `farthing listen` can be told.
#[derive(Debug, Args)]
pub struct ListenArgs {
    /// Where to forward events to
    #[arg(long, value_name = "URL")]
    forward_to: String,
    /// Begin this long ago: 30s, 15m, 1h, 2d
    #[arg(long, value_name = "SPAN", value_parser = span_ms)]
    since: Option<i64>,
    /// Forward these types only, or beginnings such as payment.*
    #[arg(long = "event", value_name = "TYPE", default_value = "*")]
    events: Vec<String>,
    /// Everything that happens in the ledger (for admins), not what concerns you alone
    #[arg(long)]
    ledger: bool,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// What `farthing trigger` can be told.
#[derive(Debug, Args)]
pub struct TriggerArgs {
    /// The type of the event
    #[arg(value_name = "EVENT", value_parser = clap::builder::PossibleValuesParser::new(EventType::NAMES))]
    event: String,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Tells an event that did not happen.
///
/// # Errors
/// If the server cannot be reached, or says no.
pub fn trigger(args: &TriggerArgs) -> Result<(), Failure> {
    let remote = Remote::new(&args.remote)?;
    open::run_once(async {
        let body = json!({"type": args.event});
        let response = remote.ask(Method::POST, "/sandbox/events", Some(&body)).await?;
        let body = response.into_body().collect().await.map_err(Asked::away)?.to_bytes();
        let told: Value = serde_json::from_slice(&body).map_err(Asked::away)?;
        print(told["event"].as_str().unwrap_or_default())
    })?
}

/// Forwards events until it is interrupted.
///
/// # Errors
/// If the server says no, or a URL is none.
pub fn run(args: &ListenArgs) -> Result<(), Failure> {
    let remote = Remote::new(&args.remote)?;
    let clock = Clock::system();
    let port = Url::parse(&args.forward_to).ok().and_then(|url| url.port_or_known_default());
    let port = port.ok_or_else(|| {
        Failure::Usage("--forward-to must be a URL such as http://127.0.0.1:3000/webhooks".into())
    })?;
    let guard = Guard { allow_private: true, ..Guard::default() };
    let rules = TargetRules { guard, ports: vec![port], allow_http: true };
    let roots =
        if args.forward_to.starts_with("https") { Sender::system_roots() } else { RootCertStore::empty() };
    let sender = Sender::new(rules, Arc::new(SystemResolver), roots)
        .map_err(|error| Failure::Usage(format!("TLS: {error}")))?;
    let secret = Secret::generate(Scheme::V1, &clock).map_err(|error| Failure::Usage(error.to_string()))?;
    tell(&format!("forwarding to {}, signed with {}", args.forward_to, secret.for_receiver()));
    let since = args.since.map(|ago_ms| clock.now().plus_millis(ago_ms.saturating_neg()).to_string());
    let scope = if args.ledger { "ledger" } else { "own" };
    let mut listener = Listener {
        remote,
        sender,
        secret,
        clock,
        forward_to: args.forward_to.clone(),
        events: args.events.clone(),
        scope,
        since,
        place: None,
    };
    open::run_once(async {
        loop {
            match listener.follow().await {
                // A stream that ends, ends with its session or its server: the next question tells.
                Ok(()) => tell("the stream ended; opening it again"),
                Err(Asked::Away(why)) => tell(&format!("{why}; trying again")),
                Err(refused @ Asked::Refused(..)) => return Err(Failure::from(refused)),
            }
            tokio::time::sleep(PAUSE).await;
        }
    })?
}

struct Listener {
    remote: Remote,
    sender: Sender,
    secret: Secret,
    clock: Clock,
    forward_to: String,
    events: Vec<String>,
    scope: &'static str,
    since: Option<String>,
    /// Behind the last event that was forwarded, or where the first stream began.
    place: Option<String>,
}

impl Listener {
    async fn follow(&mut self) -> Result<(), Asked> {
        let begin = match (&self.place, &self.since) {
            (Some(place), _) => format!("&after={place}"),
            (None, Some(since)) => format!("&since={since}"),
            (None, None) => String::new(),
        };
        let path = format!("/events/stream?include=resent&scope={}{begin}", self.scope);
        let mut body = self.remote.ask(Method::GET, &path, None).await?.into_body();
        let (mut text, mut place, mut has_begun) = (String::new(), None, false);
        while let Some(piece) = next_piece(&mut body).await? {
            text.push_str(&piece);
            while let Some((line, rest)) = text.split_once('\n') {
                let (line, rest) = (line.trim_end().to_owned(), rest.to_owned());
                text = rest;
                if let Some(id) = line.strip_prefix("id: ") {
                    place = Some(id.to_owned());
                } else if let Some(data) = line.strip_prefix("data: ") {
                    let event: Value = serde_json::from_str(data).map_err(Asked::away)?;
                    self.forward(&event, data).await;
                } else if line.is_empty() {
                    // The end of an event, or of the place alone with which a stream begins. Without it a broken
                    // connection would be opened anew at a later place, so nobody is told before.
                    self.place = place.take().or(self.place.take());
                    if !has_begun && self.place.is_some() {
                        tell("listening");
                        has_begun = true;
                    }
                }
            }
        }
        Ok(())
    }

    async fn forward(&self, event: &Value, body: &str) {
        let (kind, id) =
            (event["type"].as_str().unwrap_or_default(), event["id"].as_str().unwrap_or_default());
        let is_wanted = self.events.iter().any(|selection| match selection.strip_suffix('*') {
            Some(start) => kind.starts_with(start),
            None => kind == selection,
        });
        if !is_wanted {
            return;
        }
        let secrets = [self.secret.clone()];
        let message = Message { id, at: self.clock.now(), body, secrets: &secrets };
        let Attempt { outcome, elapsed_ms } = self.sender.send(&self.forward_to, message).await;
        let outcome = match outcome {
            Ok(answer) => answer.status.to_string(),
            Err(failure) => failure.to_string(),
        };
        // Standard output that is gone ends nothing.
        let _ = print(&format!("{} {kind} {id} -> {outcome} ({elapsed_ms} ms)", self.clock.now()));
    }
}

async fn next_piece(body: &mut Incoming) -> Result<Option<String>, Asked> {
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(Asked::away)?.into_data() {
            return Ok(Some(String::from_utf8_lossy(&data).into_owned()));
        }
    }
    Ok(None)
}

/// `30s`, `15m`, `1h`, `2d` in milliseconds.
fn span_ms(text: &str) -> Result<i64, String> {
    let wrong = || "must be a span of time such as 30s, 15m, 1h or 2d".to_owned();
    let (digits, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let unit_ms = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let count = digits.parse::<u32>().map_err(|_| wrong())?;
    i64::from(count).checked_mul(unit_ms).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time() {
        for (text, expected) in [
            ("30s", Some(30_000)),
            ("1h", Some(3_600_000)),
            ("2d", Some(172_800_000)),
            ("", None),
            ("h", None),
            ("1", None),
            ("-1h", None),
            ("1é", None),
        ] {
            assert_eq!(span_ms(text).ok(), expected, "{text}");
        }
    }
}
