//! One's own second factor: set up with an authenticator app, confirmed by a first code, switched off by the password.

use hyper::StatusCode;
use maud::{Markup, html};

use super::form::{Filled, Input};
use super::shell::{self, Place};
use super::{picture, reply};
use crate::auth::password::Password;
use crate::auth::totp::RecoveryCode;
use crate::http::call::Call;
use crate::http::problem::{Code, Problem};
use crate::http::spec::Answer;
use crate::ledger::SecondFactor;
use crate::teller::FactorOffer;

const ADDRESS: &str = "/console/security/totp";
const CODE: Input = Input { hint: "The six digits that the app shows now.", ..Input::otp() };
const PASSWORD: Input = Input::password("password", "Your password", "current-password");

pub(super) async fn page(call: Call) -> Answer {
    let mut query = call.query();
    let note = query.word("note");
    query.finish(())?;
    show(&call, StatusCode::OK, &Filled::default(), note)
}

fn show(call: &Call, status: StatusCode, filled: &Filled, note: Option<&str>) -> Answer {
    let who = call.who()?;
    let token = shell::form_token(call)?;
    let state = match (who.user.active_factor(), call.teller().offered_factor(who)?) {
        (Some(factor), _) => active(factor, filled, &token),
        (None, Some(offer)) => offered(&offer, filled, &token),
        (None, None) => absent(&token),
    };
    let content = html! {
        p.crumb { a href="/console/security" { "Security" } }
        h1 { "Second factor" }
        @if note == Some("off") { div.notice.good role="status" { p { "Your second factor is switched off." } } }
        (filled.summary(&["otp", "password"]))
        (state)
    };
    shell::page_with(call, status, "Second factor", Place::Security, &content)
}

fn absent(token: &Markup) -> Markup {
    html! {
        p.lead { "A code from an app on your phone, asked for beside your password. Whoever has your password alone then has nothing." }
        p { "Any authenticator app does, such as Aegis, Google Authenticator or 1Password." }
        form method="post" action=(ADDRESS) {
            (token)
            div.actions { button.button type="submit" { "Set it up" } a.button.second href="/console/security" { "Not now" } }
        }
    }
}

fn offered(offer: &FactorOffer, filled: &Filled, token: &Markup) -> Markup {
    html! {
        h2 { "1. Give it to your app" }
        div.shared {
            (picture::code(&offer.otpauth_url(), "The secret as a QR code for an authenticator app"))
            div {
                p { "Scan the code with the app, or type the secret:" }
                p { code.id data-copy { (offer.secret()) } }
                p { a href=(offer.otpauth_url()) { "Open it in an app on this device" } }
            }
        }
        h2 { "2. Show that it works" }
        form method="post" action={ (ADDRESS) "/confirm" } novalidate {
            (token)
            (CODE.show(filled))
            div.actions { button.button type="submit" { "Switch it on" } }
        }
        form method="post" action=(ADDRESS) {
            (token)
            p.quiet.small { "Until then nothing has changed. " button.link type="submit" { "Begin again with another secret" } }
        }
    }
}

fn active(factor: &SecondFactor, filled: &Filled, token: &Markup) -> Markup {
    let left = factor.recovery.len();
    html! {
        p { span.badge.good { "On" } " A code is asked for at each login, for a new password, for a new API key and for large payments." }
        dl.facts { dt { "Recovery codes left" } dd.number { (left) } }
        @if left <= 2 {
            div.notice.wait role="status" { p { "Few recovery codes are left. New ones come with a new set-up: switch it off, then on again." } }
        }
        section {
            h2 { "Switch it off" }
            p.quiet { "Your recovery codes go with it. To change phones or to get new codes, set it up again afterwards." }
            form method="post" action={ (ADDRESS) "/off" } novalidate {
                (token)
                (PASSWORD.show(filled))
                div.actions { button.button.danger type="submit" { "Switch it off" } }
            }
        }
    }
}

pub(super) async fn begin(call: Call) -> Answer {
    call.form()?.finish(Some(()))?;
    match call.teller().begin_factor(call.who()?, call.origin.clone()).await.map_err(Problem::from) {
        Ok(_) => Ok(reply::see_other(ADDRESS)),
        Err(problem) => refused(&call, &problem),
    }
}

/// Confirms it, and shows the recovery codes: the only answer that has them.
pub(super) async fn confirm(call: Call) -> Answer {
    let mut form = call.form()?;
    let otp = form.text("otp");
    let confirmed = match form.finish(otp) {
        Ok(otp) => {
            let confirming = call.teller().confirm_factor(call.who()?, call.origin.clone(), &otp);
            confirming.await.map_err(Problem::from)
        }
        Err(problem) => Err(problem),
    };
    match confirmed {
        Ok(codes) => shell::page(&call, "Recovery codes", Place::Security, &recovery(&call, &codes)?),
        Err(problem) => refused(&call, &problem),
    }
}

fn recovery(call: &Call, codes: &[RecoveryCode]) -> Result<Markup, Problem> {
    let account = call.who()?.user.email.as_str();
    Ok(html! {
        div.notice.good role="status" { p { strong { "Your second factor is on." } } }
        h1 { "Your recovery codes" }
        p.lead { "For when the app is lost: each is as good as a code of it, once. They are shown this once, so print them or write them down." }
        p.quiet { "For " (account) "." }
        ol.secrets { @for code in codes { li { code { (code.reveal()) } } } }
        div.actions {
            button.button.second.scripted type="button" data-print hidden { "Print" }
            a.button href="/console/security" { "I have them" }
        }
    })
}

pub(super) async fn remove(call: Call) -> Answer {
    let mut form = call.form()?;
    let password = form.secret("password").map(|text| Password::new(&text));
    let removed = match form.finish(password) {
        Ok(password) => {
            let removing = call.teller().remove_factor(call.who()?, call.origin.clone(), password);
            removing.await.map_err(Problem::from)
        }
        Err(problem) => Err(problem),
    };
    match removed {
        Ok(()) => Ok(reply::see_other("/console/security/totp?note=off")),
        Err(problem) if problem.code() == Code::InvalidCredentials => {
            refused(&call, &Problem::field("password", "wrong", "is not the one that you have"))
        }
        Err(problem) => refused(&call, &problem),
    }
}

fn refused(call: &Call, problem: &Problem) -> Answer {
    // It was switched on or off elsewhere meanwhile, which the page tells.
    if problem.code() == Code::TotpState {
        return Ok(reply::see_other(ADDRESS));
    }
    show(call, problem.code().entry().status, &Filled::refused(call, problem), None)
}
