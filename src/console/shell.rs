//! The frame of every page: head, navigation by role, and what the page says in between.

use hyper::StatusCode;
use hyper::header::SET_COOKIE;
use maud::{DOCTYPE, Markup, html};

use super::cookie::{self, Cookie};
use super::door::FORM_TOKEN;
use super::{assets, reply};
use crate::auth::permission::Permission;
use crate::http::call::Call;
use crate::http::problem::Problem;
use crate::http::reply::Reply;
use crate::ledger::{Mode, Role, User};

/// How long a visitor's cookie is kept, in seconds.
const VISIT_SECONDS: i64 = 12 * 60 * 60;

/// A place that the navigation leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The wallet.
    Home,
    /// Paying somebody.
    Send,
    /// Asking for money.
    Requests,
    /// Every movement.
    History,
    /// Sessions, password, activity.
    Security,
    /// Keys for programs.
    Keys,
    /// Where one's own events are sent.
    OwnWebhooks,
    /// What waits, is broken, gets old, and how it is going.
    Today,
    /// Figures in charts.
    Overview,
    /// Payments that wait for an operator.
    Reviews,
    /// Everybody with an account.
    Users,
    /// Everybody's payments.
    Payments,
    /// Cash in and out.
    Cash,
    /// Security events.
    Events,
    /// A bank's file beside the ledger.
    Reconciliation,
    /// Where the house's events are sent.
    Webhooks,
    /// The chain, and whether the books balance.
    Audit,
    /// The settings in effect.
    Settings,
    /// What no entry of the navigation leads to.
    Elsewhere,
}

/// An entry of the navigation, and what a role needs to see it.
struct Entry {
    place: Place,
    label: &'static str,
    address: &'static str,
    needs: Permission,
}

const fn entry(place: Place, label: &'static str, address: &'static str, needs: Permission) -> Entry {
    Entry { place, label, address, needs }
}

/// What everybody has.
const WALLET: &[Entry] = &[
    entry(Place::Home, "Wallet", "/console/", Permission::OwnAccount),
    entry(Place::Send, "Send", "/console/send", Permission::OwnAccount),
    entry(Place::Requests, "Requests", "/console/requests", Permission::OwnAccount),
    entry(Place::History, "History", "/console/history", Permission::OwnAccount),
    entry(Place::Security, "Security", "/console/security", Permission::OwnAccount),
];

/// What people have whose programs call.
const PROGRAMS: &[Entry] = &[
    entry(Place::Keys, "API keys", "/console/keys", Permission::OwnCredentials),
    entry(Place::OwnWebhooks, "Webhooks", "/console/webhooks", Permission::OwnAccount),
];

/// What operators have.
const DESK: &[Entry] = &[
    entry(Place::Today, "Today", "/console/desk/", Permission::ReadUsers),
    entry(Place::Overview, "Overview", "/console/desk/overview", Permission::ReadUsers),
    entry(Place::Reviews, "Reviews", "/console/desk/reviews", Permission::ReviewPayments),
    entry(Place::Payments, "Payments", "/console/desk/payments", Permission::ReadUsers),
    entry(Place::Users, "Users", "/console/desk/users", Permission::ReadUsers),
    entry(Place::Cash, "Cash", "/console/desk/cash", Permission::MoveCash),
    entry(Place::Reconciliation, "Reconciliation", "/console/desk/reconciliation", Permission::MoveCash),
    entry(Place::Events, "Events", "/console/desk/events", Permission::ReadAudit),
    entry(Place::Webhooks, "Webhooks", "/console/desk/webhooks", Permission::Administer),
    entry(Place::Audit, "Audit", "/console/desk/audit", Permission::ReadAudit),
    entry(Place::Settings, "Settings", "/console/desk/settings", Permission::Administer),
];

impl Place {
    /// Where a page there hears of changes.
    fn stream(self) -> &'static str {
        if DESK.iter().any(|entry| entry.place == self) { "/console/desk/live" } else { "/console/live" }
    }
}

/// A page, for whoever called.
pub(super) fn page(call: &Call, title: &str, place: Place, content: &Markup) -> Result<Reply, Problem> {
    page_with(call, StatusCode::OK, title, place, content)
}

/// The same with another status.
pub(super) fn page_with(
    call: &Call,
    status: StatusCode,
    title: &str,
    place: Place,
    content: &Markup,
) -> Result<Reply, Problem> {
    let Some(who) = &call.who else { return Ok(visitor_page(status, title, content)) };
    let log_out = form_token(call)?;
    let body = html! {
        header.top {
            (brand(call.teller().rules().mode))
            details.me {
                summary { span.name { (who.user.name.as_deref().unwrap_or(who.user.email.as_str())) } }
                div.menu {
                    p { (who.user.email.as_str()) @if who.user.role.is_operator() { br; span.quiet { (who.user.role.name()) } } }
                    a href="/console/help" { "Help" }
                    form method="post" action="/console/logout" { (log_out) button.link type="submit" { "Log out" } }
                }
            }
        }
        div.columns {
            nav.side aria-label="Console" {
                (entries("You", WALLET, who.user.role, place))
                (entries("Programs", PROGRAMS, who.user.role, place))
                (entries("Desk", DESK, who.user.role, place))
            }
            main id="content" tabindex="-1" {
                @if who.user.frozen { (frozen(&who.user)) }
                (content)
            }
        }
    };
    Ok(reply::page(status, document(title, Some(place.stream()), &body)))
}

/// A page for somebody who is not logged in.
pub(super) fn visitor_page(status: StatusCode, title: &str, content: &Markup) -> Reply {
    let body = html! {
        header.top { a.brand href="/console/" { (mark()) "Farthing" } }
        main.narrow id="content" tabindex="-1" { (content) }
        footer.foot {
            a href="/start" { "For developers" } a href="/console/help" { "Help" }
        }
    };
    reply::page(status, document(title, None, &body))
}

/// The whole document around a body; with where it hears of changes, if it does.
pub(super) fn document(title: &str, stream: Option<&str>, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Farthing" }
                link rel="icon" href=(*assets::ICON_ADDRESS);
                style { (maud::PreEscaped(assets::STYLE)) }
                script src=(*assets::SCRIPT_ADDRESS) defer {}
            }
            body data-stream=[stream] {
                a.skip href="#content" { "Skip to the content" }
                (body)
            }
        }
    }
}

fn brand(mode: Mode) -> Markup {
    html! {
        a.brand href="/console/" { (mark()) "Farthing" }
        @if mode == Mode::Sandbox { span.mode title="Play money: nothing here is real" { "sandbox" } }
    }
}

/// A penny with a fourth of it taken: the farthing.
fn mark() -> Markup {
    html! {
        svg.mark viewBox="0 0 32 32" aria-hidden="true" {
            circle cx="16" cy="16" r="14" {}
            path d="M16 16V4.5A11.5 11.5 0 0 1 27.5 16Z" {}
        }
    }
}

fn entries(title: &str, entries: &[Entry], role: Role, place: Place) -> Markup {
    let seen: Vec<&Entry> = entries.iter().filter(|entry| entry.needs.is_given_to(role)).collect();
    html! {
        @if !seen.is_empty() {
            p.side-title { (title) }
            ul {
                @for entry in seen {
                    li { a href=(entry.address) aria-current=[(entry.place == place).then_some("page")] { (entry.label) } }
                }
            }
        }
    }
}

fn frozen(user: &User) -> Markup {
    html! {
        div.notice.bad role="status" {
            p { strong { "This account is frozen." } " It can neither pay nor change anything. Ask the operator of this server, and name " code { (user.id) } "." }
        }
    }
}

/// The hidden field that tells our forms from another site's.
///
/// # Errors
/// If the browser brought no cookie, or there is no randomness.
pub(super) fn form_token(call: &Call) -> Result<Markup, Problem> {
    let secret = cookie::secret(&call.headers).ok_or_else(|| Problem::internal("a form without a cookie"))?;
    token_field(call, secret)
}

fn token_field(call: &Call, secret: &str) -> Result<Markup, Problem> {
    let token = cookie::form_token(secret, call.teller().clock())
        .map_err(|error| Problem::internal(error.to_string()))?;
    Ok(html! { input type="hidden" name=(FORM_TOKEN) value=(token); })
}

/// The same for a page that may be a browser's first: with the cookie that it has to keep, if it has none yet.
pub(super) struct VisitToken {
    /// The hidden field.
    pub(super) field: Markup,
    secret: Option<String>,
}

impl VisitToken {
    /// The field, and a new secret if the browser brought none.
    ///
    /// # Errors
    /// If there is no randomness.
    pub(super) fn new(call: &Call) -> Result<Self, Problem> {
        if let Some(secret) = cookie::secret(&call.headers) {
            return Ok(Self { field: token_field(call, secret)?, secret: None });
        }
        let secret = cookie::new_secret(call.teller().clock())
            .map_err(|error| Problem::internal(error.to_string()))?;
        Ok(Self { field: token_field(call, &secret)?, secret: Some(secret) })
    }

    /// Gives the browser the cookie, if it needs one.
    pub(super) fn keep(&self, call: &Call, mut reply: Reply) -> Reply {
        let header = self
            .secret
            .as_deref()
            .and_then(|secret| Cookie::Visit.keep(&call.headers, secret, VISIT_SECONDS));
        if let Some(header) = header {
            reply.headers_mut().append(SET_COOKIE, header);
        }
        reply
    }
}
