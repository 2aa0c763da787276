//! API keys of one's own: made, replaced, revoked.

use hyper::StatusCode;
use maud::{Markup, html};

use super::form::{Filled, Input, checkboxes, owned, select};
use super::secret::{OVERLAPS, Shown};
use super::shell::{self, Place};
use super::{format, once, reply, secret};
use crate::http::api_keys::{read_key, replace, session_of};
use crate::http::call::Call;
use crate::http::problem::{Code, Problem};
use crate::http::spec::Answer;
use crate::ledger::{ApiKey, KeyId, Permission, Role, Session, Timestamp};
use crate::teller::NewApiKey;

const NAME: Input = Input::text("name", "Name", "Which server or program it is for.").required();
const CODE: Input = Input::otp();
/// How long a key counts, in seconds.
const LIVES: [(&str, &str); 4] =
    [("", "For good"), ("2592000", "30 days"), ("7776000", "90 days"), ("31536000", "A year")];

pub(super) async fn list(call: Call) -> Answer {
    let mut query = call.query();
    let note = query.word("note");
    query.finish(())?;
    let sessions = call.teller().api_keys(call.who()?).await?;
    let keys: Vec<(&Session, &ApiKey)> =
        sessions.iter().filter_map(|session| Some((session, session.kind.api_key()?))).collect();
    let now = call.teller().clock().now();
    let content = html! {
        div.heading {
            h1 { "API keys" }
            @if !keys.is_empty() { a.button href="/console/keys/new" { "Make a key" } }
        }
        @if let Some(done) = note.and_then(done) { div.notice.good role="status" { p { (done) } } }
        @if keys.is_empty() {
            div.empty {
                p { "No key yet." }
                p.quiet { "A key lets a server of yours call " a href="/docs" { "the API" } ", within the scopes that you give it." }
                p { a.button href="/console/keys/new" { "Make a key" } }
            }
        } @else {
            table.rows {
                thead { tr {
                    th scope="col" { "Name" } th.wide scope="col" { "Scopes" } th scope="col" { "Last used" } th.wide scope="col" { "Ends" }
                } }
                tbody { @for (session, key) in keys { (row(session, key, now)) } }
            }
        }
    };
    shell::page(&call, "API keys", Place::Keys, &content)
}

fn done(note: &str) -> Option<&'static str> {
    Some(match note {
        "revoked" => "The key is revoked: from now on it opens nothing.",
        "twice" => "That form was sent before. Its key was shown then, and nothing was made again.",
        _ => return None,
    })
}

fn row(session: &Session, key: &ApiKey, now: Timestamp) -> Markup {
    let scopes: Vec<String> = key.scopes.iter().map(ToString::to_string).collect();
    html! {
        tr {
            th scope="row" {
                a href={ "/console/keys/" (KeyId::new(session.id.uuid())) } { (key.name) }
                p.note.slim { (scopes.join(", ")) }
            }
            td.wide { @for scope in &scopes { span.badge { (scope) } " " } }
            td { (last_used(session, now)) }
            td.wide { (ends(session, now)) }
        }
    }
}

fn last_used(session: &Session, now: Timestamp) -> Markup {
    html! {
        @if session.last_seen_at > session.created_at { (format::time(session.last_seen_at, now)) } @else { span.quiet { "never" } }
    }
}

fn ends(session: &Session, now: Timestamp) -> Markup {
    html! {
        @if session.access_expires_at == Timestamp::NEVER { span.quiet { "never" } } @else { (format::time(session.access_expires_at, now)) }
    }
}

pub(super) async fn new(call: Call) -> Answer {
    let reads = format!("{}:read", Permission::OwnAccount.name());
    form(&call, StatusCode::OK, &Filled::with(&[("scopes", reads.as_str())]))
}

fn form(call: &Call, status: StatusCode, filled: &Filled) -> Answer {
    let user = &call.who()?.user;
    let scopes = scopes(user.role);
    let scopes = scopes.iter().map(|(scope, label)| (scope.as_str(), label.as_str()));
    let content = html! {
        p.crumb { a href="/console/keys" { "API keys" } }
        h1 { "Make a key" }
        (filled.summary(&["name", "scopes", "expires_in", "otp"]))
        form method="post" action="/console/keys/new" novalidate data-once {
            (shell::form_token(call)?)
            (once::field(call, filled)?)
            (NAME.show(filled))
            (checkboxes(filled, "scopes", "What it may do", scopes))
            (select(filled, "expires_in", "It counts", owned(LIVES)))
            @if user.active_factor().is_some() { (CODE.show(filled)) }
            div.actions { button.button type="submit" { "Make the key" } a.button.second href="/console/keys" { "Leave it" } }
        }
    };
    shell::page_with(call, status, "Make a key", Place::Keys, &content)
}

/// The scopes that a key of this role can have, each with what it opens.
fn scopes(role: Role) -> Vec<(String, String)> {
    let given = Permission::ALL
        .into_iter()
        .filter(|permission| *permission != Permission::OwnCredentials && permission.is_given_to(role));
    given
        .flat_map(|permission| {
            let (name, about) = (permission.name(), about(permission));
            [(name.to_owned(), about.to_owned()), (format!("{name}:read"), format!("{about}: only look"))]
        })
        .collect()
}

fn about(permission: Permission) -> &'static str {
    match permission {
        Permission::OwnAccount => "Your wallet, payments, requests and webhooks",
        Permission::OwnCredentials => "Your credentials",
        Permission::ReadUsers => "Everybody's accounts and payments",
        Permission::FreezeUsers => "Freeze accounts, end sessions",
        Permission::MoveCash => "Deposits and withdrawals",
        Permission::ReviewPayments => "Payments under review",
        Permission::RefundAny => "Refund any payment",
        Permission::ReadAudit => "Security events, audit and exports",
        Permission::Administer => "Roles, settings, webhooks of the house",
    }
}

pub(super) async fn make(call: Call) -> Answer {
    let Some(claim) = once::claim(&call)? else { return Ok(reply::see_other("/console/keys?note=twice")) };
    let made = match read_key(&call) {
        Ok(request) => {
            let making = call.teller().make_api_key(call.who()?, call.origin.clone(), request);
            making.await.map_err(Problem::from)
        }
        Err(problem) => Err(problem),
    };
    match made {
        Ok(made) => {
            claim.keep();
            shown(&call, &made)
        }
        Err(problem) => form(&call, problem.code().entry().status, &Filled::refused(&call, &problem)),
    }
}

fn shown(call: &Call, made: &NewApiKey) -> Answer {
    let name = made.session.kind.api_key().map_or("", |key| key.name.as_str());
    secret::page(
        call,
        &Shown {
            title: "Your new key",
            about: html! { p { "It is for " strong { (name) } ", and goes into a header of each call: " code { "Authorization: Bearer …" } } },
            secret: made.token.reveal(),
            back: "/console/keys",
            place: Place::Keys,
        },
    )
}

pub(super) async fn page(call: Call) -> Answer {
    show(&call, StatusCode::OK, &Filled::default()).await
}

async fn show(call: &Call, status: StatusCode, filled: &Filled) -> Answer {
    let (who, id) = (call.who()?, session_of(call)?);
    let sessions = call.teller().api_keys(who).await?;
    let found = sessions.iter().find(|session| session.id == id);
    let found = found.and_then(|session| Some((session, session.kind.api_key()?)));
    let (session, key) = found.ok_or_else(|| Problem::new(Code::NotFound))?;
    let (now, token) = (call.teller().clock().now(), shell::form_token(call)?);
    let address = format!("/console/keys/{}", call.path_parameter());
    let content = html! {
        p.crumb { a href="/console/keys" { "API keys" } }
        h1 { (key.name) }
        (filled.summary(&["overlap", "otp"]))
        dl.facts {
            dt { "Scopes" } dd { @for scope in &key.scopes { span.badge { (scope) } " " } }
            dt { "Made" } dd { (format::time(session.created_at, now)) }
            dt { "Last used" } dd { (last_used(session, now)) }
            dt { "Ends" } dd { (ends(session, now)) }
            dt { "Id" } dd { code.id data-copy { (KeyId::new(session.id.uuid())) } }
        }
        section {
            h2 { "Replace it" }
            p.quiet { "Makes another of the same name, scopes and lifetime. Both count for a while, so that nothing stands still." }
            form method="post" action={ (address) "/rotate" } novalidate data-once {
                (token)
                (once::field(call, filled)?)
                (select(filled, "overlap", "The old key counts", owned(OVERLAPS)))
                @if who.user.active_factor().is_some() { (CODE.show(filled)) }
                div.actions { button.button.second type="submit" { "Replace the key" } }
            }
        }
        section {
            h2 { "Revoke it" }
            p.quiet { "It ends at once, and whatever uses it gets no further." }
            form method="post" action={ (address) "/revoke" } { (token) div.actions { button.button.danger type="submit" { "Revoke the key" } } }
        }
    };
    shell::page_with(call, status, &key.name, Place::Keys, &content)
}

pub(super) async fn rotate(call: Call) -> Answer {
    let Some(claim) = once::claim(&call)? else { return Ok(reply::see_other("/console/keys?note=twice")) };
    match replace(&call).await {
        Ok(made) => {
            claim.keep();
            shown(&call, &made)
        }
        Err(problem) if problem.code() == Code::NotFound => Err(problem),
        Err(problem) => show(&call, problem.code().entry().status, &Filled::refused(&call, &problem)).await,
    }
}

pub(super) async fn revoke(call: Call) -> Answer {
    call.form()?.finish(Some(()))?;
    call.teller().end_session(call.who()?, call.origin.clone(), session_of(&call)?).await?;
    Ok(reply::see_other("/console/keys?note=revoked"))
}
