//! Users: found by name or email, and one in full, with what an operator may do about them.

use hyper::StatusCode;
use maud::{Markup, html};

use super::{ROWS, done, may, user_link};
use crate::auth::permission::Permission;
use crate::console::form::{Filled, Input, any_word, or_any, owned, select};
use crate::console::format::{self, Sign};
use crate::console::history::{badge, pager, sentence};
use crate::console::home::wallets;
use crate::console::reply;
use crate::console::shell::{self, Place};
use crate::http::call::Call;
use crate::http::operators::{ROLES, authority, read_user_query};
use crate::http::problem::Problem;
use crate::http::spec::Answer;
use crate::ledger::{ResetLink, Role, Session, Timestamp, User, UserId};
use crate::store::{AccountBalance, Page};

const SEARCH: Input = Input { kind: "search", ..Input::text("q", "Name or email", "") };

pub(super) async fn page(call: Call) -> Answer {
    let mut query = call.query();
    let pairs = query.pairs();
    let asked = read_user_query(&mut query, ROWS);
    let is_later = asked.page.after.is_some();
    let named = asked.search.as_deref().and_then(|text| text.trim().parse::<UserId>().ok());
    if let Some(id) = named {
        return Ok(reply::see_other(&format!("/console/desk/users/{id}")));
    }
    let values: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_ref())).collect();
    let mut filled = Filled::with(&values);
    let users = match query.finish(asked) {
        Ok(asked) => call.teller().find_users(asked).await?,
        Err(problem) => {
            filled = filled.wrong(&problem);
            Page { rows: Vec::new(), next: None }
        }
    };
    let now = call.teller().clock().now();
    let content = html! {
        h1 { "Users" }
        (filters(&filled))
        @if users.rows.is_empty() {
            div.empty { p { "Nobody is like that." } p { a href="/console/desk/users" { "Show everybody" } } }
        } @else {
            div id="users" data-live {
                table.rows {
                    thead { tr { th scope="col" { "Who" } th.wide scope="col" { "Role" } th scope="col" { "State" } th.wide scope="col" { "Since" } } }
                    tbody { @for user in &users.rows { (row(user, now)) } }
                }
            }
        }
        (pager("/console/desk/users", &pairs, is_later, users.next))
    };
    shell::page(&call, "Users", Place::Users, &content)
}

fn filters(filled: &Filled) -> Markup {
    let states = owned([("true", "Frozen"), ("false", "Active")]);
    html! {
        form.filters method="get" action="/console/desk/users" role="search" aria-label="Users" {
            (SEARCH.show(filled))
            (select(filled, "role", "Role", any_word(ROLES)))
            (select(filled, "frozen", "State", or_any(states)))
            div.actions { button.button.second type="submit" { "Show" } }
        }
    }
}

fn row(user: &User, now: Timestamp) -> Markup {
    html! {
        tr {
            th scope="row" {
                (user_link(user.id, Some(user.name.as_deref().unwrap_or(user.email.as_str()))))
                @if user.name.is_some() { p.note { (user.email.as_str()) } }
            }
            td.wide { @if user.role.is_operator() { (badge(user.role.name())) } @else { "Customer" } }
            td { (badge(state(user))) }
            td.wide { (format::time(user.created_at, now)) }
        }
    }
}

fn state(user: &User) -> &'static str {
    if user.frozen { "frozen" } else { "active" }
}

pub(super) async fn user(call: Call) -> Answer {
    let mut query = call.query();
    let told = match query.word("note") {
        Some("frozen") => Some("Frozen: they can look and log in, and move no money."),
        Some("unfrozen") => Some("Not frozen any more."),
        Some("ended") => Some("All their sessions and API keys have ended."),
        Some("role") => Some("The role is changed; it counts from their next request on."),
        _ => None,
    };
    query.finish(())?;
    show(&call, StatusCode::OK, &Filled::default(), &done(told)).await
}

async fn show(call: &Call, status: StatusCode, filled: &Filled, told: &Markup) -> Answer {
    let who = call.who()?;
    let user = call.teller().find_user(call.id()?).await?;
    let now = call.teller().clock().now();
    let is_own = user.id == who.user.id;
    let content = html! {
        p.crumb { a href="/console/desk/users" { "Users" } }
        h1 { (user.name.as_deref().unwrap_or(user.email.as_str())) }
        (told)
        (filled.summary(&["role"]))
        div id="user" data-live { (facts(&user, now)) }
        @if is_own {
            div.notice { p { "This is you. Nobody operates on an account of their own: another operator does, and your own pages show what you have." } }
        } @else {
            section {
                h2 { "Wallets" }
                div id="wallets" data-live { (balances(&call.teller().wallets_of(who, call.origin.clone(), user.id).await?)) }
                p {
                    a href={ "/console/desk/payments?user=" (user.id) } { "Their payments" }
                    @if may(call, Permission::ReadAudit) { " · " a href={ "/console/desk/events?user=" (user.id) } { "Their security events" } }
                }
            }
            (actions(call, &user, filled)?)
            section {
                h2 { "Where they are logged in" }
                div id="sessions" data-live { (sessions(&call.teller().sessions_of(who, call.origin.clone(), user.id).await?, now)) }
                @if may(call, Permission::FreezeUsers) {
                    (button(call, &user, "sessions", "End all sessions", "button second")?)
                }
            }
        }
    };
    shell::page_with(call, status, "User", Place::Users, &content)
}

fn facts(user: &User, now: Timestamp) -> Markup {
    html! {
        dl.facts {
            dt { "State" } dd { (badge(state(user))) }
            dt { "Email" } dd { (user.email.as_str()) }
            dt { "Role" } dd { (sentence(user.role.name())) }
            dt { "Second factor" } dd { @if user.active_factor().is_some() { "Set up" } @else { "None" } }
            dt { "Since" } dd { (format::time(user.created_at, now)) }
            dt { "Id" } dd { code.id data-copy { (user.id) } }
        }
    }
}

fn balances(accounts: &[AccountBalance]) -> Markup {
    let wallets = wallets(accounts);
    html! {
        @if wallets.is_empty() { p.quiet { "No money yet." } } @else {
            table.rows {
                thead { tr { th scope="col" { "Currency" } th.end scope="col" { "Available" } th.end scope="col" { "Held" } } }
                tbody {
                    @for (currency, wallet) in &wallets {
                        tr {
                            th scope="row" { (currency.code()) }
                            td.end { (format::money(wallet.available, *currency, Sign::Plain)) }
                            td.end { (format::money(wallet.held, *currency, Sign::Plain)) }
                        }
                    }
                }
            }
        }
    }
}

fn sessions(sessions: &[Session], now: Timestamp) -> Markup {
    html! {
        @if sessions.is_empty() { p.quiet { "Nowhere." } }
        ul.cards {
            @for session in sessions {
                li.card {
                    div {
                        p { strong { (format::device(session.user_agent.as_deref())) } }
                        p.quiet.small {
                            @if let Some(ip) = session.ip { (ip) " · " }
                            "since " (format::time(session.created_at, now)) " · seen " (format::time(session.last_seen_at, now))
                        }
                    }
                }
            }
        }
    }
}

/// What the caller's role may do about the user.
fn actions(call: &Call, user: &User, filled: &Filled) -> Result<Markup, Problem> {
    let (may_freeze, may_administer) =
        (may(call, Permission::FreezeUsers), may(call, Permission::Administer));
    // Whoever sets an operator's password can do what the operator can.
    let may_reset = if user.role.is_operator() { may_administer } else { may_freeze };
    let roles = ROLES.iter().map(|role| ((*role).to_owned(), sentence(role)));
    let chosen = &filled.or("role", user.role.name());
    Ok(html! {
        @if may_freeze || may_administer {
            section {
                h2 { "What you can do" }
                div.moves {
                    @if may_freeze {
                        @if user.frozen { (button(call, user, "unfreeze", "Unfreeze", "button second")?) }
                        @else { (button(call, user, "freeze", "Freeze", "button danger")?) }
                    }
                    @if may_reset { (button(call, user, "reset-link", "Make a link for a new password", "button second")?) }
                }
                @if may_administer {
                    form.inline method="post" action={ "/console/desk/users/" (user.id) "/role" } {
                        (shell::form_token(call)?)
                        (select(chosen, "role", "Role", roles))
                        div.actions { button.button.second type="submit" { "Change the role" } }
                    }
                }
            }
        }
    })
}

fn button(call: &Call, user: &User, action: &str, label: &str, class: &str) -> Result<Markup, Problem> {
    Ok(html! {
        form method="post" action={ "/console/desk/users/" (user.id) "/" (action) } {
            (shell::form_token(call)?)
            button class=(class) type="submit" { (label) }
        }
    })
}

pub(super) async fn freeze(call: Call) -> Answer {
    change(&call, None, Some(true), "frozen").await
}

pub(super) async fn unfreeze(call: Call) -> Answer {
    change(&call, None, Some(false), "unfrozen").await
}

pub(super) async fn change_role(call: Call) -> Answer {
    let mut form = call.form()?;
    let role = form.word("role").and_then(Role::from_name);
    match form.finish(role) {
        Ok(role) => change(&call, Some(role), None, "role").await,
        Err(problem) => refused(&call, &problem).await,
    }
}

async fn change(call: &Call, role: Option<Role>, frozen: Option<bool>, word: &str) -> Answer {
    let id: UserId = call.id()?;
    match call.teller().change_user(authority(call)?, call.origin.clone(), id, role, frozen).await {
        Ok(_) => Ok(reply::see_other(&format!("/console/desk/users/{id}?note={word}"))),
        Err(error) => refused(call, &error.into()).await,
    }
}

pub(super) async fn end_sessions(call: Call) -> Answer {
    let id: UserId = call.id()?;
    match call.teller().end_user_sessions(authority(&call)?, call.origin.clone(), id).await {
        Ok(()) => Ok(reply::see_other(&format!("/console/desk/users/{id}?note=ended"))),
        Err(error) => refused(&call, &error.into()).await,
    }
}

/// Makes a link and shows it: this answer is the only one that can.
pub(super) async fn reset_link(call: Call) -> Answer {
    let made = call.teller().make_reset_link(authority(&call)?, call.origin.clone(), call.id()?).await;
    let token = match made {
        Ok(token) => token,
        Err(error) => return refused(&call, &error.into()).await,
    };
    let link = format!("{}/console/reset/{}", call.own_origin(), token.reveal());
    let minutes = ResetLink::TTL_MS.div_euclid(60_000);
    let told = html! {
        div.notice.good role="status" {
            p { strong { "Give them this link" } " by a way on which you know them. It is shown this once, counts once, and for " (minutes) " minutes:" }
            p { code.id data-copy { (link) } }
        }
    };
    show(&call, StatusCode::OK, &Filled::default(), &told).await
}

async fn refused(call: &Call, problem: &Problem) -> Answer {
    show(call, problem.code().entry().status, &Filled::refused(call, problem), &html! {}).await
}
