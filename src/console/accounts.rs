//! Getting in and out: log in, register, log out.

use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue, SET_COOKIE};
use maud::{Markup, html};

use super::cookie::Cookie;
use super::form::{Filled, Input};
use super::shell::{self, VisitToken};
use super::{door, reply};
use crate::auth::password::Password;
use crate::http::call::Call;
use crate::http::problem::Problem;
use crate::http::reply::{Reply, query_string};
use crate::http::spec::Answer;
use crate::http::users::read_new_user;
use crate::ledger::{Email, Lifetime, Mode};
use crate::teller::{Login, LoginRequest};

const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");
const EMAIL: Input = Input::email();
const PASSWORD: Input = Input::password("password", "Password", "current-password");
const OTP: Input = Input {
    autocomplete: "one-time-code",
    ..Input::text(
        "otp",
        "Code",
        "Only if your account has a second factor: what your app shows, or a recovery code.",
    )
};
const NEW_PASSWORD: Input = Input::password("password", "Password", "new-password")
    .hint("At least 8 characters. A sentence is better than a puzzle.");
const NAME: Input =
    Input { autocomplete: "name", ..Input::text("name", "Name", "What people see whom you pay.") };
/// How long a login in a browser lasts: a working day.
pub(super) const SESSION: Lifetime = Lifetime::Fixed(12 * 60 * 60 * 1_000);
/// Where somebody comes who asked for nothing else.
const HOME: &str = "/console/";

/// `/console`: without its slash.
pub(super) async fn front(_: Call) -> Answer {
    Ok(reply::see_other(HOME))
}

pub(super) async fn login_page(call: Call) -> Answer {
    let mut query = call.query();
    let note = query.word("note");
    let next = query.pairs().into_iter().find(|(name, _)| *name == "next").map(|(_, value)| value);
    let filled = Filled::with(&[("next", next.as_deref().unwrap_or_default())]);
    query.finish(())?;
    if next.is_none() && door::visitor(&call).await.is_some() {
        return Ok(reply::see_other(HOME));
    }
    login_form(&call, StatusCode::OK, &filled, note)
}

pub(super) async fn login(call: Call) -> Answer {
    match try_login(&call).await {
        Ok(login) => {
            let filled = Filled::sent(&call);
            let next = Some(filled.value("next")).filter(|next| is_ours(next)).unwrap_or(HOME);
            Ok(with_session(&call, &login, reply::see_other(next)))
        }
        Err(problem) => {
            let filled = Filled::refused(&call, &problem);
            login_form(&call, problem.code().entry().status, &filled, None)
        }
    }
}

async fn try_login(call: &Call) -> Result<Login, Problem> {
    let mut form = call.form()?;
    let email = form.secret("email").map(|text| Email::parse(&text).ok());
    let password = form.secret("password").map(|text| Password::new(&text));
    let otp = form.text("otp");
    form.secret("next");
    let parsed = email.zip(password);
    let (email, password) = form.finish(parsed)?;
    let request = LoginRequest { email, password, otp, lifetime: SESSION };
    Ok(call.teller().login(call.origin.clone(), request).await?)
}

/// Gives the browser the new session's token. Whatever it carried before ends to mean anything: a session that somebody
/// else planted is not the one that was logged in.
pub(super) fn with_session(call: &Call, login: &Login, mut reply: Reply) -> Reply {
    let session = &login.session;
    let milliseconds = session.access_expires_at.as_millis().saturating_sub(session.created_at.as_millis());
    let seconds = milliseconds.div_euclid(1_000);
    let headers = [
        Cookie::Session.keep(&call.headers, login.access.reveal(), seconds),
        Cookie::Visit.keep(&call.headers, "", 0),
    ];
    for header in headers.into_iter().flatten() {
        reply.headers_mut().append(SET_COOKIE, header);
    }
    reply
}

/// Whether an address is a page of ours, and of no other host: a browser reads `//` and `/\` as the beginning of one.
fn is_ours(address: &str) -> bool {
    let is_plain = address.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_page = address.starts_with("/console/") || address.starts_with("/pay/");
    is_plain && is_page
}

fn login_form(call: &Call, status: StatusCode, filled: &Filled, note: Option<&str>) -> Answer {
    let token = VisitToken::new(call)?;
    let content = html! {
        h1 { "Log in" }
        @if note == Some("ended") { div.notice role="status" { p { "Your session has ended. Log in to go on." } } }
        @if note == Some("out") { div.notice.good role="status" { p { "You are logged out." } } }
        @if note == Some("reset") { div.notice.good role="status" { p { "Your new password is set. Log in with it." } } }
        (filled.summary(&["email", "password", "otp"]))
        form method="post" action="/console/login" novalidate {
            (token.field)
            (onward(filled))
            (EMAIL.show(filled))
            (PASSWORD.show(filled))
            (OTP.show(filled))
            div.actions { button.button type="submit" { "Log in" } }
        }
        p { "No account yet? " a href=(with_next("/console/register", filled)) { "Register" } "." }
    };
    Ok(token.keep(call, shell::visitor_page(status, "Log in", &content)))
}

/// Where to go then, carried through a form.
fn onward(filled: &Filled) -> Markup {
    html! { @if !filled.value("next").is_empty() { input type="hidden" name="next" value=(filled.value("next")); } }
}

/// The same, carried to another page.
fn with_next(page: &str, filled: &Filled) -> String {
    let next = Some(filled.value("next")).filter(|next| is_ours(next));
    query_string(page, next.map(|next| ("next", next)).into_iter())
}

pub(super) async fn register_page(call: Call) -> Answer {
    let mut query = call.query();
    let next = query.text("next").unwrap_or_default();
    query.finish(())?;
    register_form(&call, StatusCode::OK, &Filled::with(&[("next", next.as_str())]))
}

/// Makes the account, and logs in by the password that was just given.
pub(super) async fn register(call: Call) -> Answer {
    let registered = match read_new_user(&call).await {
        Ok((admitted, new)) => {
            let request = LoginRequest {
                email: Some(new.email.clone()),
                password: new.password.clone(),
                otp: None,
                lifetime: SESSION,
            };
            call.teller().register(admitted, new).await.map(|_| request).map_err(Problem::from)
        }
        Err(problem) => Err(problem),
    };
    match registered {
        Ok(request) => {
            let login = call.teller().login(call.origin.clone(), request).await?;
            let filled = Filled::sent(&call);
            let next = Some(filled.value("next")).filter(|next| is_ours(next));
            Ok(with_session(&call, &login, reply::see_other(next.unwrap_or("/console/?note=welcome"))))
        }
        Err(problem) => {
            register_form(&call, problem.code().entry().status, &Filled::refused(&call, &problem))
        }
    }
}

fn register_form(call: &Call, status: StatusCode, filled: &Filled) -> Answer {
    let token = VisitToken::new(call)?;
    let content = html! {
        h1 { "Register" }
        (welcome(call.teller().rules().mode))
        (filled.summary(&["email", "password", "name"]))
        form method="post" action="/console/register" novalidate {
            (token.field)
            (onward(filled))
            (NAME.show(filled))
            (EMAIL.show(filled))
            (NEW_PASSWORD.show(filled))
            div.actions { button.button type="submit" { "Make an account" } }
        }
        p { "Have one? " a href=(with_next("/console/login", filled)) { "Log in" } "." }
    };
    Ok(token.keep(call, shell::visitor_page(status, "Register", &content)))
}

fn welcome(mode: Mode) -> Markup {
    html! {
        @if mode == Mode::Sandbox {
            p.lead { "A wallet that is ready at once, with $1,000 of play money in it." }
        } @else {
            p.lead { "A wallet of your own." }
        }
    }
}

pub(super) async fn logout(call: Call) -> Answer {
    call.form()?.finish(Some(()))?;
    let who = call.who()?;
    call.teller().end_session(who, call.origin.clone(), who.caller.session).await?;
    let mut reply = reply::see_other("/console/login?note=out");
    for header in Cookie::forget() {
        reply.headers_mut().append(SET_COOKIE, header);
    }
    reply
        .headers_mut()
        .insert(CLEAR_SITE_DATA, HeaderValue::from_static("\"cache\", \"cookies\", \"storage\""));
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("/console/history?type=topup", true)]
    #[case("/pay/plk_x", true)]
    #[case("/console", false)]
    #[case("", false)]
    #[case("//evil.example/console/", false)]
    #[case("https://evil.example/console/", false)]
    #[case("/console/\\evil", false)]
    #[case("/console/\r\nSet-Cookie: a=b", false)]
    #[case("/docs", false)]
    fn nobody_is_led_elsewhere(#[case] address: &str, #[case] expected: bool) {
        assert_eq!(is_ours(address), expected);
    }
}
