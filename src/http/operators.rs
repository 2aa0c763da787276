//! What operators see and do: users, everybody's payments, security events, the chain, figures.

use hyper::StatusCode;
use serde::Serialize;

use super::call::Call;
use super::extract::{Cursor, Query};
use super::payments::{show, show_page};
use super::problem::Problem;
use super::reply::{self, List};
use super::search;
use super::spec::Answer;
use super::views::{EventView, Text};
use crate::auth::password::Password;
use crate::ledger::{
    Authority, Currency, EventKind, ResetLink, Role, Severity, Timestamp, Total, User, UserId, hexadecimal,
};
use crate::store::PageRequest;
use crate::store::oversight::{EventQuery, Statistics, UserQuery};

/// The words of `frozen` in a query.
pub(crate) const YES_OR_NO: &[&str] = &["true", "false"];
/// The words of `role`.
pub(crate) const ROLES: &[&str] = &["customer", "support", "cashier", "auditor", "admin"];
/// The words of `severity`.
pub(crate) const SEVERITIES: &[&str] = &["info", "warning", "high"];

/// A user, as an operator sees them.
#[derive(Debug, Serialize)]
struct AccountView<'a> {
    id: UserId,
    email: &'a str,
    name: Option<&'a str>,
    role: Role,
    frozen: bool,
    second_factor: bool,
    created_at: Text<Timestamp>,
}

impl<'a> AccountView<'a> {
    fn new(user: &'a User) -> Self {
        Self {
            id: user.id,
            email: user.email.as_str(),
            name: user.name.as_deref(),
            role: user.role,
            frozen: user.frozen,
            second_factor: user.active_factor().is_some(),
            created_at: Text(user.created_at),
        }
    }
}

/// On whose authority an operator's call changes something.
///
/// # Errors
/// If nobody is logged in, which would be a mistake of ours.
pub(crate) fn authority(call: &Call) -> Result<Authority, Problem> {
    Ok(Authority::Operator(call.who()?.caller))
}

pub(super) async fn users(call: Call) -> Answer {
    let mut query = call.query();
    let limit = query.limit();
    let asked = read_user_query(&mut query, limit);
    let pairs = query.pairs();
    let asked = query.finish(asked)?;
    let page = call.teller().find_users(asked).await?;
    let rows = page.rows.iter().map(|user| AccountView::new(user)).collect();
    Ok(List::new(rows, page.next.map(Cursor::new)).into_reply("/admin/users", &pairs))
}

/// Which users are wanted.
pub(crate) fn read_user_query(query: &mut Query<'_>, limit: usize) -> UserQuery {
    UserQuery {
        page: PageRequest { limit, after: query.after() },
        search: query.text("q"),
        role: query.word("role").and_then(Role::from_name),
        frozen: query.word("frozen").map(|word| word == "true"),
    }
}

pub(super) async fn user(call: Call) -> Answer {
    let user = call.teller().find_user(call.id()?).await?;
    Ok(reply::json(StatusCode::OK, &AccountView::new(&user)))
}

pub(super) async fn change_user(call: Call) -> Answer {
    let mut form = call.form()?;
    let role = form.word("role").and_then(Role::from_name);
    let frozen = form.flag("frozen");
    if role.is_none() && frozen.is_none() && !form.has_errors() {
        form.refuse("role", "required", "or 'frozen' is required");
    }
    let (role, frozen) = form.finish(Some((role, frozen)))?;
    let by = authority(&call)?;
    let user = call.teller().change_user(by, call.origin.clone(), call.id()?, role, frozen).await?;
    Ok(reply::json(StatusCode::OK, &AccountView::new(&user)))
}

pub(super) async fn end_sessions(call: Call) -> Answer {
    call.teller().end_user_sessions(authority(&call)?, call.origin.clone(), call.id()?).await?;
    Ok(reply::no_content())
}

/// A link for a new password: the only answer that shows it.
#[derive(Serialize)]
struct ResetLinkView<'a> {
    token: &'a str,
    expires_in: i64,
}

pub(super) async fn make_reset_link(call: Call) -> Answer {
    call.form()?.finish(Some(()))?;
    let token = call.teller().make_reset_link(authority(&call)?, call.origin.clone(), call.id()?).await?;
    let view = ResetLinkView { token: token.reveal(), expires_in: ResetLink::TTL_MS.div_euclid(1_000) };
    Ok(reply::json(StatusCode::CREATED, &view))
}

pub(super) async fn reset_password(call: Call) -> Answer {
    let mut form = call.form()?;
    let token = form.secret("token");
    let new = form.secret("new_password").map(|text| Password::new(&text));
    let (token, new) = form.finish(token.zip(new))?;
    call.teller().reset_password(call.origin.clone(), &token, new).await?;
    Ok(reply::no_content())
}

pub(super) async fn payments(call: Call) -> Answer {
    let mut query = call.query();
    let page = PageRequest { limit: query.limit(), after: query.after() };
    let user = query.id::<UserId>("user");
    let search = search::read(&mut query);
    let pairs = query.pairs();
    query.finish(())?;
    let page = call.teller().find_payments(call.who()?, call.origin.clone(), user, search, page).await?;
    Ok(show_page(&page, "/admin/payments", &pairs))
}

pub(super) async fn payment(call: Call) -> Answer {
    show(call.teller().find_payment(call.who()?, call.origin.clone(), call.id()?).await?)
}

pub(super) async fn events(call: Call) -> Answer {
    let mut query = call.query();
    let limit = query.limit();
    let asked = read_event_query(&mut query, limit);
    let pairs = query.pairs();
    let asked = query.finish(asked)?;
    let page = call.teller().find_events(asked).await?;
    let rows: Vec<EventView<'_>> = page.rows.iter().map(EventView::new).collect();
    Ok(List::new(rows, page.next.map(Cursor::new)).into_reply("/admin/security-events", &pairs))
}

/// Which security events are wanted.
pub(crate) fn read_event_query(query: &mut Query<'_>, limit: usize) -> EventQuery {
    EventQuery {
        page: PageRequest { limit, after: query.after() },
        kind: query.word("event").and_then(EventKind::from_name),
        severity: query.word("severity").and_then(Severity::from_name),
        user: query.id::<UserId>("user"),
        from: query.from("from"),
        to: query.until("to"),
    }
}

/// The chain over journal and events.
#[derive(Serialize)]
struct AuditView {
    blocks: i64,
    transactions: i64,
    security_events: i64,
    head: String,
    at: Option<Text<Timestamp>>,
}

pub(super) async fn audit(call: Call) -> Answer {
    let head = call.teller().chain_head().await?;
    let view = AuditView {
        blocks: head.block,
        transactions: head.transaction,
        security_events: head.event,
        head: hexadecimal::write(&head.hash),
        at: (head.block > 0).then_some(Text(head.at)),
    };
    Ok(reply::json(StatusCode::OK, &view))
}

#[derive(Serialize)]
struct StatisticsView {
    users: UserFigures,
    sessions: u64,
    payments_last_day: Vec<PaymentFiguresView>,
}

#[derive(Serialize)]
struct UserFigures {
    total: u64,
    customers: u64,
    operators: u64,
    frozen: u64,
}

#[derive(Serialize)]
struct PaymentFiguresView {
    currency: Currency,
    succeeded: u64,
    volume: Text<Total>,
    declined: u64,
}

pub(super) async fn statistics(call: Call) -> Answer {
    let Statistics { users, frozen, sessions, payments } = call.teller().statistics().await?;
    let sum = |operators: bool| -> u64 {
        users.iter().filter(|(role, _)| role.is_operator() == operators).map(|(_, count)| count).sum()
    };
    let (customers, operators) = (sum(false), sum(true));
    let view = StatisticsView {
        users: UserFigures { total: customers.saturating_add(operators), customers, operators, frozen },
        sessions,
        payments_last_day: payments
            .iter()
            .map(|figures| PaymentFiguresView {
                currency: figures.currency,
                succeeded: figures.succeeded,
                volume: Text(Total { amount_minor: figures.volume_minor, currency: figures.currency }),
                declined: figures.declined,
            })
            .collect(),
    };
    Ok(reply::json(StatusCode::OK, &view))
}
