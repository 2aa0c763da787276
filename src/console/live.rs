//! Live pages: a stream of server-sent events that says when what a page shows has changed. The page then asks for itself
//! again and takes the parts that differ, so there is one rendering of everything.
//!
//! A stream looks at the store's own counters, and when the ledger was verified, which costs nothing, and asks for rows only when these have moved. It ends
//! when its session ends, when its reader goes away, and when the server stops; a browser comes back by itself.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Bytes;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{Sender, channel};

use super::cookie::Cookie;
use crate::http::call::Call;
use crate::http::problem::{Code, Problem};
use crate::http::reply::{Cut, ReplyBody, with_type};
use crate::http::spec::Answer;
use crate::ledger::Timestamp;
use crate::store::{HistoryFilter, PageRequest};

/// How often a stream looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// After how many looks it makes sure that its session still counts, and says that it is alive.
const LOOKS_PER_CHECK: u32 = 20;
/// How many streams there may be at once.
const MAX_STREAMS: usize = 1_000;
const NEWEST: PageRequest = PageRequest { after: None, limit: 1 };

static PLACES: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(MAX_STREAMS)));

/// Transactions, blocks, and since when the ledger is being verified and when it was.
type Counters = (u64, u64, (Option<Timestamp>, Option<Timestamp>));

/// Whose changes a stream tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// What the caller's own pages show.
    Own,
    /// Whatever changes.
    Everything,
}

/// Changes of one's own.
pub(super) async fn own(call: Call) -> Answer {
    stream(call, Scope::Own)
}

/// Changes of any kind, for the desk.
pub(super) async fn desk(call: Call) -> Answer {
    stream(call, Scope::Everything)
}

fn stream(call: Call, scope: Scope) -> Answer {
    let place = Arc::clone(&PLACES).try_acquire_owned();
    let place = place.map_err(|_| Problem::with_detail(Code::Unavailable, "Too many pages are live."))?;
    let (sender, pieces) = channel(4);
    let mut reply = with_type(StatusCode::OK, "text/event-stream", Bytes::new());
    *reply.body_mut() = ReplyBody::Pieces(pieces);
    tokio::spawn(async move {
        let _place = place;
        let stopping = call.app.stopping();
        tokio::select! {
            () = stopping => {}
            () = sender.closed() => {}
            () = follow(&call, scope, &sender) => {}
        }
    });
    Ok(reply)
}

async fn follow(call: &Call, scope: Scope, sender: &Sender<Result<Bytes, Cut>>) {
    // A mark that was taken before the stream began would miss what happened while the page was on its way; the first
    // event makes the page look once.
    let mut counters = None;
    let mut seen = None;
    let mut looks = 0_u32;
    if !say(sender, "retry: 3000\n\n").await {
        return;
    }
    loop {
        let status = call.teller().status();
        let now = (status.sequence, status.blocks, call.teller().verification_times());
        if counters != Some(now) {
            counters = Some(now);
            let mark = mark(call, scope, now).await;
            if mark.is_some() && mark != seen {
                seen = mark;
                if !say(sender, "event: change\ndata: \n\n").await {
                    return;
                }
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
        looks = looks.wrapping_add(1);
        let is_due = looks.is_multiple_of(LOOKS_PER_CHECK);
        if is_due && !(still_counts(call).await && say(sender, ":\n\n").await) {
            return;
        }
    }
}

/// What tells one state of what is shown from another; none if the store cannot say.
async fn mark(call: &Call, scope: Scope, counters: Counters) -> Option<(u64, String)> {
    if scope == Scope::Everything {
        return Some((counters.0, format!("{:?}", (counters.1, counters.2))));
    }
    let who = call.who.as_ref()?;
    let movements = call.teller().transactions(who, NEWEST, HistoryFilter::default()).await.ok()?;
    let events = call.teller().activity(who, NEWEST).await.ok()?;
    let newest = movements.rows.first().map_or(0, |movement| movement.sequence);
    Some((newest, events.rows.first().map(|event| event.id.to_string()).unwrap_or_default()))
}

async fn still_counts(call: &Call) -> bool {
    let Some(token) = Cookie::Session.read(&call.headers) else { return false };
    call.app.authenticate(token, &call.origin).await.is_ok()
}

async fn say(sender: &Sender<Result<Bytes, Cut>>, words: &'static str) -> bool {
    sender.send(Ok(Bytes::from_static(words.as_bytes()))).await.is_ok()
}
