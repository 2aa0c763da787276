//! API keys: made, listed, replaced, revoked.

use hyper::StatusCode;

use super::call::Call;
use super::problem::{Code, Problem};
use super::reply::{self, List};
use super::sessions::position;
use super::spec::Answer;
use super::views::with;
use crate::ledger::{ApiKey, KeyId, Scope, Session, SessionId};
use crate::store::PageRequest;
use crate::teller::{NewApiKey, NewApiKeyRequest};

/// The most seconds that a key may be given, and an old one may be left: ten years, and a month.
pub(crate) const LONGEST_LIFE: i64 = 315_360_000;
pub(crate) const LONGEST_OVERLAP: i64 = 2_678_400;
/// How long an old key counts unless told: a day.
const OVERLAP: i64 = 86_400;
/// The most scopes of one key.
pub(crate) const MAX_SCOPES: usize = 20;

pub(super) async fn make(call: Call) -> Answer {
    let request = read_key(&call)?;
    let made = call.teller().make_api_key(call.who()?, call.origin.clone(), request).await?;
    shown_once(&made)
}

/// The key that somebody wants.
///
/// # Errors
/// 422 with every wrong field.
pub(crate) fn read_key(call: &Call) -> Result<NewApiKeyRequest, Problem> {
    let mut form = call.form()?;
    let name = form.text("name");
    let words = form.words("scopes");
    let scopes: Option<Vec<Scope>> =
        words.and_then(|words| words.iter().map(|word| word.parse().ok()).collect());
    if form.has("scopes") && scopes.as_ref().is_none_or(Vec::is_empty) && !form.has_errors() {
        form.refuse(
            "scopes",
            "not_allowed",
            "must name permissions such as \"own_account\" or \"own_account:read\"",
        );
    }
    let expires_in_ms = form.number("expires_in").map(millis);
    let otp = form.text("otp");
    let (name, scopes) = form.finish(name.zip(scopes))?;
    let role = call.who()?.user.role;
    if !scopes.iter().all(|scope| scope.permission().is_given_to(role)) {
        return Err(Problem::field("scopes", "beyond_role", "must not reach beyond your own role"));
    }
    Ok(NewApiKeyRequest { key: ApiKey { name, scopes }, expires_in_ms, otp })
}

pub(super) async fn rotate(call: Call) -> Answer {
    shown_once(&replace(&call).await?)
}

/// Replaces a key as the form says.
///
/// # Errors
/// 422; every refusal of it.
pub(crate) async fn replace(call: &Call) -> Result<NewApiKey, Problem> {
    let mut form = call.form()?;
    let overlap = form.number("overlap");
    let otp = form.text("otp");
    let overlap_ms = millis(form.finish(Some(overlap))?.unwrap_or(OVERLAP));
    let (old, who) = (session_of(call)?, call.who()?);
    Ok(call.teller().rotate_api_key(who, call.origin.clone(), old, overlap_ms, otp.as_deref()).await?)
}

pub(super) async fn list(call: Call) -> Answer {
    let mut query = call.query();
    let page = PageRequest { limit: query.limit(), after: query.after() };
    let pairs = query.pairs();
    query.finish(())?;
    let mut keys = call.teller().api_keys(call.who()?).await?;
    keys.sort_by_key(position);
    let view = |session: &Session| Some((position(session), session.told_key()?));
    let rows = keys.iter().filter_map(view);
    Ok(List::page_of(rows, page).into_reply("/api-keys", &pairs))
}

pub(super) async fn revoke(call: Call) -> Answer {
    call.teller().end_session(call.who()?, call.origin.clone(), session_of(&call)?).await?;
    Ok(reply::no_content())
}

/// A key is kept as a session of the same UUID.
///
/// # Errors
/// 404 if the path names no key.
pub(crate) fn session_of(call: &Call) -> Result<SessionId, Problem> {
    Ok(SessionId::new(call.id::<KeyId>()?.uuid()))
}

fn shown_once(made: &NewApiKey) -> Answer {
    let key = made.session.told_key().ok_or_else(|| Problem::new(Code::NotFound))?;
    Ok(reply::json(StatusCode::CREATED, &with(key, "key", made.token.reveal())))
}

fn millis(seconds: i64) -> i64 {
    seconds.saturating_mul(1_000)
}
