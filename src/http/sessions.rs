//! Sessions: log in, refresh, log out, see and end one's own.

use hyper::StatusCode;
use serde::Serialize;

use super::call::Call;
use super::reply::{self, List, Reply};
use super::spec::Answer;
use super::views::{SessionView, UserView};
use crate::auth::password::Password;
use crate::ledger::{Email, Lifetime, Session, Timestamp};
use crate::store::PageRequest;
use crate::teller::{Login, LoginRequest};

/// A new pair of tokens: the only answer that shows them.
#[derive(Serialize)]
struct TokensView<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: i64,
    refresh_token: &'a str,
    refresh_expires_in: i64,
    user: UserView<'a>,
}

pub(super) async fn login(call: Call) -> Answer {
    let mut form = call.form()?;
    // What is no address is answered as an unknown one is, so that the answer tells nothing.
    let email = form.secret("email").map(|text| Email::parse(&text).ok());
    let password = form.secret("password").map(|text| Password::new(&text));
    // Accounts without a second factor take a code and make nothing of it.
    let otp = form.text("otp");
    let parsed = email.zip(password).map(|(email, password)| LoginRequest {
        otp,
        email,
        password,
        lifetime: Lifetime::Refreshed,
    });
    let request = form.finish(parsed)?;
    let login = call.teller().login(call.origin.clone(), request).await?;
    Ok(tokens(&login))
}

pub(super) async fn refresh(call: Call) -> Answer {
    let mut form = call.form()?;
    let token = form.secret("refresh_token");
    let token = form.finish(token)?;
    let login = call.teller().refresh(call.origin.clone(), &token).await?;
    Ok(tokens(&login))
}

pub(super) async fn logout(call: Call) -> Answer {
    call.form()?.finish(Some(()))?;
    let who = call.who()?;
    call.teller().end_session(who, call.origin.clone(), who.caller.session).await?;
    Ok(reply::no_content())
}

pub(super) async fn list(call: Call) -> Answer {
    let mut query = call.query();
    let page = PageRequest { limit: query.limit(), after: query.after() };
    let pairs = query.pairs();
    query.finish(())?;
    let who = call.who()?;
    let mut sessions = call.teller().sessions(who).await?;
    sessions.sort_by_key(position);
    let rows =
        sessions.iter().map(|session| (position(session), SessionView::new(session, who.caller.session)));
    Ok(List::page_of(rows, page).into_reply("/sessions", &pairs))
}

/// A session's place in the list, newest first: its time, and behind it 20 random bits of its id, by which two of the same
/// millisecond differ.
pub(super) fn position(session: &Session) -> u64 {
    let time = u64::try_from(session.created_at.as_millis()).unwrap_or_default();
    let random = u64::try_from(session.id.uuid().as_u128() & 0xf_ffff).unwrap_or_default();
    (u64::MAX >> 2).saturating_sub((time << 20) | random)
}

pub(super) async fn end(call: Call) -> Answer {
    call.teller().end_session(call.who()?, call.origin.clone(), call.id()?).await?;
    Ok(reply::no_content())
}

fn tokens(login: &Login) -> Reply {
    let session = &login.session;
    // The session was just seen, so what is left of both lifetimes is counted from then.
    let seconds_left = |until: Timestamp| {
        until.as_millis().saturating_sub(session.last_seen_at.as_millis()).div_euclid(1_000)
    };
    reply::json(
        StatusCode::OK,
        &TokensView {
            access_token: login.access.reveal(),
            token_type: "Bearer",
            expires_in: seconds_left(session.access_expires_at),
            refresh_token: login.refresh.reveal(),
            refresh_expires_in: seconds_left(session.refresh_expires_at),
            user: UserView::new(&login.user),
        },
    )
}
