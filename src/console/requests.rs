//! Payment requests of one's own: made, shown with their link and its QR code, taken back.

use hyper::StatusCode;
use maud::{Markup, html};

use super::form::{Filled, Input, owned, select};
use super::format::{self, Sign};
use super::history::{badge, pager, party};
use super::home::wallets;
use super::shell::{self, Place};
use super::{once, picture, reply};
use crate::http::call::Call;
use crate::http::problem::{Code, Problem};
use crate::http::requests::{link, read_request};
use crate::http::spec::Answer;
use crate::ledger::{Party, RequestEnd, RequestStatus, Timestamp};
use crate::store::PageRequest;
use crate::teller::RequestNow;

/// How many requests a page has.
const ROWS: usize = 25;
const AMOUNT: Input = Input::amount();
const CURRENCY: Input = Input::text("currency", "Currency", "Three letters, such as EUR or JPY.").required();
const NOTE: Input = Input::text("description", "Note", "What for; whoever gets the link sees it.");
/// For how long a request can be paid, in seconds.
const SPANS: [(&str, &str); 5] = [
    ("", "For ever"),
    ("3600", "For an hour"),
    ("86400", "For a day"),
    ("604800", "For a week"),
    ("2592000", "For 30 days"),
];

pub(super) async fn list(call: Call) -> Answer {
    let mut query = call.query();
    let page = PageRequest { limit: ROWS, after: query.after() };
    let pairs = query.pairs();
    query.finish(())?;
    let requests = call.teller().requests(call.who()?, page).await?;
    let now = call.teller().clock().now();
    let content = html! {
        div.heading {
            h1 { "Requests" }
            @if !requests.rows.is_empty() { a.button href="/console/requests/new" { "Ask for money" } }
        }
        div id="requests" data-live {
            @if requests.rows.is_empty() {
                div.empty {
                    p { "You have not asked for money yet." }
                    p.quiet { "A request is a link, and a code to scan. Whoever has it can pay you, once." }
                    p { a.button href="/console/requests/new" { "Ask for money" } }
                }
            } @else {
                (table(&requests.rows, now))
            }
        }
        (pager("/console/requests", &pairs, page.after.is_some(), requests.next))
    };
    shell::page(&call, "Requests", Place::Requests, &content)
}

fn table(requests: &[RequestNow], now: Timestamp) -> Markup {
    html! {
        table.rows {
            thead { tr {
                th scope="col" { "What for" } th.wide scope="col" { "Made" } th.wide scope="col" { "State" } th.end scope="col" { "Amount" }
            } }
            tbody {
                @for request in requests {
                    tr {
                        th scope="row" {
                            a href={ "/console/requests/" (request.id) } { (title(request)) }
                            p.note.slim { (badge(request.status.name())) " " (format::time(request.record.created_at, now)) }
                        }
                        td.wide { (format::time(request.record.created_at, now)) }
                        td.wide { (badge(request.status.name())) }
                        td.end { (format::amount(request.request.money, Sign::Plain)) }
                    }
                }
            }
        }
    }
}

/// What a request is called.
fn title(request: &RequestNow) -> &str {
    match request.request.description.as_str() {
        "" => "Payment request",
        description => description,
    }
}

pub(super) async fn new(call: Call) -> Answer {
    form(&call, StatusCode::OK, &Filled::default()).await
}

pub(super) async fn make(call: Call) -> Answer {
    let Some(claim) = once::claim(&call)? else { return Ok(reply::see_other("/console/requests")) };
    let made = match read_request(&call) {
        Ok(new) => {
            call.teller().make_request(call.who()?, call.origin.clone(), new).await.map_err(Problem::from)
        }
        Err(problem) => Err(problem),
    };
    match made {
        Ok(request) => {
            claim.keep();
            Ok(reply::see_other(&format!("/console/requests/{}?note=made", request.id)))
        }
        Err(problem) => form(&call, problem.code().entry().status, &Filled::refused(&call, &problem)).await,
    }
}

async fn form(call: &Call, status: StatusCode, filled: &Filled) -> Answer {
    let wallets = wallets(&call.teller().wallets(call.who()?).await?);
    let usual = wallets.keys().next().map_or("USD", |currency| currency.code());
    let filled = &filled.or("currency", usual);
    let content = html! {
        p.crumb { a href="/console/requests" { "Requests" } }
        h1 { "Ask for money" }
        p.lead { "You get a link, and a code to scan. Whoever has it can pay you, once." }
        (filled.summary(&["amount", "currency", "description", "expires_in"]))
        form method="post" action="/console/requests/new" novalidate data-once {
            (shell::form_token(call)?)
            (once::field(call, filled)?)
            div.pair { (AMOUNT.show(filled)) (CURRENCY.show(filled)) }
            (NOTE.show(filled))
            (select(filled, "expires_in", "It can be paid", owned(SPANS)))
            div.actions { button.button type="submit" { "Make the link" } a.button.second href="/console/requests" { "Leave it" } }
        }
    };
    shell::page_with(call, status, "Ask for money", Place::Requests, &content)
}

pub(super) async fn page(call: Call) -> Answer {
    let mut query = call.query();
    let note = query.word("note");
    query.finish(())?;
    let request = call.teller().request(call.id()?).await?.ok_or_else(|| Problem::new(Code::NotFound))?;
    let who = call.who()?;
    if request.to != who.user.id {
        return Ok(reply::see_other(&link(request.id, "")));
    }
    let payer = payer(&call, &request).await?;
    let now = call.teller().clock().now();
    let is_open = request.status == RequestStatus::Open;
    let content = html! {
        p.crumb { a href="/console/requests" { "Requests" } }
        @if note == Some("made") && is_open { div.notice.good role="status" { p { strong { "Ready." } " Send the link, or show the code." } } }
        @if note == Some("cancelled") { div.notice.good role="status" { p { "Nobody can pay this any more." } } }
        h1 { (title(&request)) }
        div id="request" data-live {
            p.amount { (format::amount(request.request.money, Sign::Plain)) " " (badge(request.status.name())) }
            @if is_open { (shared(&call, &request)) }
            (facts(&request, payer.as_ref(), now))
        }
        @if matches!(request.status, RequestStatus::Open | RequestStatus::Expired) {
            form method="post" action={ "/console/requests/" (request.id) "/cancel" } {
                (shell::form_token(&call)?)
                div.actions { button.button.danger type="submit" { "Take it back" } }
            }
        }
    };
    shell::page(&call, "Payment request", Place::Requests, &content)
}

/// How others come to the request: its link, and the same as a picture.
fn shared(call: &Call, request: &RequestNow) -> Markup {
    let address = link(request.id, &call.own_origin());
    html! {
        div.shared {
            (picture::code(&address, "The link as a QR code"))
            div {
                p { "Whoever has this link can see the request and pay it, once:" }
                p { code.id data-copy { (address) } }
                p { a href=(link(request.id, "")) { "See it as they do" } }
            }
        }
    }
}

/// Who paid, by the name that the payment has.
async fn payer(call: &Call, request: &RequestNow) -> Result<Option<Party>, Problem> {
    let Some(RequestEnd::Paid { payment, .. }) = request.request.end else { return Ok(None) };
    let payment = call.teller().payment(call.who()?, payment).await?;
    Ok(payment.map(|payment| payment.first.from.clone()))
}

fn facts(request: &RequestNow, payer: Option<&Party>, now: Timestamp) -> Markup {
    html! {
        dl.facts {
            @match request.request.end {
                Some(RequestEnd::Paid { payment, at, .. }) => {
                    dt { "Paid" } dd {
                        @if let Some(payer) = payer { "by " strong { (party(payer)) } ", " }
                        (format::time(at, now)) br; a href={ "/console/payments/" (payment) } { "The payment" }
                    }
                }
                Some(RequestEnd::Cancelled { at }) => { dt { "Taken back" } dd { (format::time(at, now)) } }
                None => {}
            }
            dt { "Made" } dd { (format::time(request.record.created_at, now)) }
            @if let (Some(at), None) = (request.request.expires_at, request.request.end) {
                dt { @if request.status == RequestStatus::Expired { "Expired" } @else { "Expires" } }
                dd { (format::time(at, now)) }
            }
            dt { "Id" } dd { code.id data-copy { (request.id) } }
        }
    }
}

pub(super) async fn cancel(call: Call) -> Answer {
    call.form()?.finish(Some(()))?;
    let id = call.id()?;
    let address = format!("/console/requests/{id}");
    match call.teller().cancel_request(call.who()?, call.origin.clone(), id).await.map_err(Problem::from) {
        Ok(_) => Ok(reply::see_other(&format!("{address}?note=cancelled"))),
        // Somebody was faster, which the page tells.
        Err(problem) if problem.code() == Code::RequestState => Ok(reply::see_other(&address)),
        Err(problem) => Err(problem),
    }
}
