//! One's own security: where one is logged in, the name, the password, and what happened.

use hyper::StatusCode;
use maud::{Markup, html};

use super::form::{Filled, Input};
use super::format;
use super::history::{badge, pager};
use super::reply;
use super::shell::{self, Place};
use crate::http::call::Call;
use crate::http::problem::{Code, Problem};
use crate::http::spec::Answer;
use crate::http::users::{read_name, read_new_password};
use crate::ledger::{EventKind, SecurityEvent, Session, Severity, Timestamp};
use crate::store::PageRequest;

/// How many events the page shows, and how many a page of all of them.
const LATEST: usize = 6;
const ROWS: usize = 25;
const NAME: Input =
    Input { autocomplete: "name", ..Input::text("name", "Name", "What people see whom you pay.") };
const CURRENT: Input = Input::password("current_password", "Current password", "current-password");
const CODE: Input = Input::otp();
const NEW: Input = Input::password("new_password", "New password", "new-password")
    .hint("Every other session of yours ends when it changes.");

pub(super) async fn page(call: Call) -> Answer {
    let mut query = call.query();
    let note = query.word("note");
    query.finish(())?;
    show(&call, StatusCode::OK, &Filled::default(), note).await
}

async fn show(call: &Call, status: StatusCode, filled: &Filled, note: Option<&str>) -> Answer {
    let who = call.who()?;
    let now = call.teller().clock().now();
    let sessions = call.teller().sessions(who).await?;
    let events = call.teller().activity(who, PageRequest { limit: LATEST, after: None }).await?;
    let token = shell::form_token(call)?;
    let has_factor = who.user.active_factor().is_some();
    let named = Filled::with(&[("name", who.user.name.as_deref().unwrap_or_default())]);
    let content = html! {
        h1 { "Security" }
        @if let Some(done) = note.and_then(done) { div.notice.good role="status" { p { (done) } } }
        (filled.summary(&["name", "current_password", "otp", "new_password"]))
        section {
            h2 { "Where you are logged in" }
            ul.cards id="sessions" data-live {
                @for session in &sessions { (session_card(session, session.id == who.caller.session, &token, now)) }
            }
        }
        section {
            h2 { "Second factor" }
            div.card {
                @if has_factor {
                    p { span.badge.good { "On" } " A code is asked for beside your password." }
                } @else {
                    p { span.badge { "Off" } " Your password alone opens this account." }
                }
                a.button.second.small href="/console/security/totp" { @if has_factor { "Change" } @else { "Set it up" } }
            }
        }
        section {
            h2 { "Name" }
            form.inline method="post" action="/console/security/name" {
                (token) (NAME.show(&named))
                div.actions { button.button.second type="submit" { "Save" } }
            }
        }
        section {
            h2 { "Password" }
            form method="post" action="/console/security/password" novalidate {
                (token)
                // Password managers file the new password under this.
                input type="text" name="username" value=(who.user.email.as_str()) autocomplete="username" hidden;
                (CURRENT.show(filled))
                @if has_factor { (CODE.show(filled)) }
                (NEW.show(filled))
                div.actions { button.button.second type="submit" { "Change the password" } }
            }
        }
        section {
            div.heading { h2 { "What happened" } a href="/console/activity" { "All of it" } }
            div id="events" data-live { (event_table(&events.rows, now)) }
        }
    };
    shell::page_with(call, status, "Security", Place::Security, &content)
}

fn done(note: &str) -> Option<&'static str> {
    Some(match note {
        "password" => "Your password is changed, and your other sessions have ended.",
        "name" => "Your name is saved.",
        "ended" => "That session has ended.",
        _ => return None,
    })
}

fn session_card(session: &Session, is_current: bool, token: &Markup, now: Timestamp) -> Markup {
    html! {
        li.card {
            div {
                p { strong { (format::device(session.user_agent.as_deref())) } @if is_current { " " span.badge.good { "This one" } } }
                p.quiet.small {
                    @if let Some(ip) = session.ip { (ip) " · " }
                    "since " (format::time(session.created_at, now)) " · seen " (format::time(session.last_seen_at, now))
                }
            }
            @if !is_current {
                form method="post" action={ "/console/sessions/" (session.id) "/end" } {
                    (token)
                    button.button.second.small type="submit" aria-label={ "End the session of " (format::device(session.user_agent.as_deref())) } { "End" }
                }
            }
        }
    }
}

pub(super) async fn rename(call: Call) -> Answer {
    let renamed = match read_name(&call) {
        Ok(name) => call.teller().rename(call.who()?, call.origin.clone(), name).await.map_err(Problem::from),
        Err(problem) => Err(problem),
    };
    match renamed {
        Ok(_) => Ok(reply::see_other("/console/security?note=name")),
        Err(problem) => refused(&call, &problem).await,
    }
}

pub(super) async fn change_password(call: Call) -> Answer {
    let changed = match read_new_password(&call) {
        Ok((current, new, otp)) => {
            let origin = call.origin.clone();
            let changing = call.teller().change_password(call.who()?, origin, current, new, otp.as_deref());
            changing.await.map_err(Problem::from)
        }
        Err(problem) => Err(problem),
    };
    match changed {
        Ok(()) => Ok(reply::see_other("/console/security?note=password")),
        Err(problem) if problem.code() == Code::InvalidCredentials => {
            let problem = Problem::field("current_password", "wrong", "is not the one that you have");
            refused(&call, &problem).await
        }
        Err(problem) => refused(&call, &problem).await,
    }
}

async fn refused(call: &Call, problem: &Problem) -> Answer {
    show(call, problem.code().entry().status, &Filled::refused(call, problem), None).await
}

pub(super) async fn end_session(call: Call) -> Answer {
    call.form()?.finish(Some(()))?;
    call.teller().end_session(call.who()?, call.origin.clone(), call.id()?).await?;
    Ok(reply::see_other("/console/security?note=ended"))
}

pub(super) async fn activity(call: Call) -> Answer {
    let mut query = call.query();
    let page = PageRequest { limit: ROWS, after: query.after() };
    let pairs = query.pairs();
    query.finish(())?;
    let events = call.teller().activity(call.who()?, page).await?;
    let now = call.teller().clock().now();
    let content = html! {
        p.crumb { a href="/console/security" { "Security" } }
        h1 { "What happened" }
        div id="events" data-live { (event_table(&events.rows, now)) }
        (pager("/console/activity", &pairs, page.after.is_some(), events.next))
    };
    shell::page(&call, "What happened", Place::Security, &content)
}

/// Security events as a table.
pub(super) fn event_table(events: &[SecurityEvent], now: Timestamp) -> Markup {
    html! {
        table.rows {
            thead { tr { th scope="col" { "What" } th scope="col" { "When" } th.wide scope="col" { "From" } } }
            tbody {
                @for event in events {
                    tr {
                        th scope="row" {
                            (told(event.kind))
                            @if event.severity != Severity::Info { " " (badge(event.severity.name())) }
                        }
                        td { (format::time(event.at, now)) }
                        td.wide {
                            @if let Some(ip) = event.ip { (ip) } @else { "this host" }
                            @if event.user_agent.is_some() { p.note { (format::device(event.user_agent.as_deref())) } }
                        }
                    }
                }
            }
        }
    }
}

/// An event in a few words.
pub(super) fn told(kind: EventKind) -> &'static str {
    match kind {
        EventKind::UserCreated => "Account made",
        EventKind::LoginSuccess => "Logged in",
        EventKind::LoginFail => "Login failed",
        EventKind::LoginLock => "Logins slowed down after too many failures",
        EventKind::TokenCreated => "Session begun or renewed",
        EventKind::TokenRevoked => "Session ended",
        EventKind::TokenReuse => "A spent token was used again",
        EventKind::TokenInvalid => "A token that does not count was shown",
        EventKind::PasswordChange => "Password changed",
        EventKind::AuthzFail => "Asked for what is not allowed",
        EventKind::AuthzChange => "Rights changed",
        EventKind::RateLimitExceeded => "A limit was reached",
        EventKind::InputValidationFail => "Fields did not pass the checks",
        EventKind::PaymentDeclined => "Payment declined",
        EventKind::PaymentDuplicateBlocked => "Repeated payment stopped",
        EventKind::PaymentSuspicious => "Payment out of the ordinary",
        EventKind::PrivilegeUse => "An operator's permission was used",
    }
}
