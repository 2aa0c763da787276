//! The server itself: health, metrics, and the pages that explain it.

use hyper::StatusCode;
use hyper::header::HOST;
use serde::Serialize;

use super::call::Call;
use super::problem::{CATALOGUE, Code, Problem};
use super::spec::Answer;
use super::{pages, reply};

/// What pages may load: their own style sheet, and nothing else from anywhere.
const PAGE_CSP: &str = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

#[derive(Serialize)]
struct Health {
    status: &'static str,
}

pub(super) async fn healthz(_: Call) -> Answer {
    Ok(reply::json(StatusCode::OK, &Health { status: "ok" }))
}

pub(super) async fn readyz(call: Call) -> Answer {
    if !call.teller().status().ready {
        return Err(Problem::with_detail(Code::Unavailable, "The database cannot be written now."));
    }
    Ok(reply::json(StatusCode::OK, &Health { status: "ok" }))
}

pub(super) async fn metrics(call: Call) -> Answer {
    if !call.app.shows_metrics_to(call.source) {
        return Err(Problem::new(Code::NotFound));
    }
    let (status, telemetry) = (call.teller().status(), call.app.telemetry());
    let engine = telemetry.engine();
    telemetry.ready(status.ready);
    engine.queue(status.queued);
    engine.tail(status.tail);
    engine.chain(status.blocks, status.sequence);
    if let Some(proofs) = call.teller().proof_status() {
        telemetry.checkpoints(proofs.signed, proofs.written_at, proofs.failures);
    }
    telemetry.password_queue(call.teller().password_queue());
    // Without a database the figures stay as they were; farthing_ready says that it is gone.
    if let Ok(queue) = call.teller().review_queue().await {
        telemetry.reviews(queue.waiting, queue.oldest_ms);
    }
    Ok(reply::with_type(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", telemetry.render()))
}

pub(super) async fn openapi(call: Call) -> Answer {
    Ok(reply::json_bytes(call.app.openapi()))
}

pub(super) async fn docs(call: Call) -> Answer {
    Ok(reply::html(pages::for_host(call.app.docs(), host(&call)), PAGE_CSP))
}

pub(super) async fn style(_: Call) -> Answer {
    Ok(reply::with_type(StatusCode::OK, "text/css; charset=utf-8", pages::STYLE))
}

/// To the console.
pub(super) async fn root(_: Call) -> Answer {
    Ok(reply::see_other("/console/"))
}

pub(super) async fn start(call: Call) -> Answer {
    let rules = call.teller().rules();
    let page = pages::start(&rules.house_name, rules.mode);
    Ok(reply::html(pages::for_host(&page, host(&call)), PAGE_CSP))
}

fn host(call: &Call) -> Option<&str> {
    call.headers.get(HOST)?.to_str().ok()
}

pub(super) async fn problems(_: Call) -> Answer {
    Ok(reply::html(pages::problem_index(CATALOGUE), PAGE_CSP))
}

pub(super) async fn problem(call: Call) -> Answer {
    let name = call.path_parameter();
    let entry =
        CATALOGUE.iter().find(|entry| entry.name == name).ok_or_else(|| Problem::new(Code::NotFound))?;
    Ok(reply::html(pages::problem(entry), PAGE_CSP))
}
