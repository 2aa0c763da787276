//! The first administrator, made in the browser by the link that the server printed.

use hyper::StatusCode;
use maud::html;

use super::accounts::{SESSION, with_session};
use super::form::{Filled, Input};
use super::reply;
use super::shell::{self, VisitToken};
use crate::http::call::Call;
use crate::http::problem::{Code, Problem};
use crate::http::spec::Answer;
use crate::http::users::read_new_user;
use crate::teller::LoginRequest;

const EMAIL: Input = Input::email();
const NAME: Input = Input { autocomplete: "name", ..Input::text("name", "Name", "") };
const PASSWORD: Input = Input::password("password", "Password", "new-password")
    .hint("At least 15 characters: operators hold the keys. A sentence is better than a puzzle.");

pub(super) async fn page(call: Call) -> Answer {
    if !call.teller().offers_first_admin(call.path_parameter()) {
        return Ok(gone());
    }
    form(&call, StatusCode::OK, &Filled::default())
}

pub(super) async fn create(call: Call) -> Answer {
    let secret = call.path_parameter().to_owned();
    if !call.teller().offers_first_admin(&secret) {
        return Ok(gone());
    }
    let created = match read_new_user(&call).await {
        Ok((_, new)) => {
            let (email, password) = (new.email.clone(), new.password.clone());
            let created = call.teller().create_first_admin(call.origin.clone(), &secret, new).await;
            created
                .map(|_| LoginRequest { email: Some(email), password, otp: None, lifetime: SESSION })
                .map_err(Problem::from)
        }
        Err(problem) => Err(problem),
    };
    match created {
        Ok(request) => {
            let login = call.teller().login(call.origin.clone(), request).await?;
            Ok(with_session(&call, &login, reply::see_other("/console/desk/")))
        }
        Err(problem) if problem.code() == Code::NotFound => Ok(gone()),
        Err(problem) => form(&call, problem.code().entry().status, &Filled::refused(&call, &problem)),
    }
}

fn form(call: &Call, status: StatusCode, filled: &Filled) -> Answer {
    let token = VisitToken::new(call)?;
    let content = html! {
        h1 { "The first administrator" }
        p.lead { "This ledger has no operator yet. Make the account that runs it." }
        (filled.summary(&["name", "email", "password"]))
        form method="post" action=(call.uri.path()) novalidate {
            (token.field) (NAME.show(filled)) (EMAIL.show(filled)) (PASSWORD.show(filled))
            div.actions { button.button type="submit" { "Make the administrator" } }
        }
    };
    Ok(token.keep(call, shell::visitor_page(status, "The first administrator", &content)))
}

fn gone() -> crate::http::reply::Reply {
    let content = html! {
        h1 { "This link does not work any more" }
        p { "It works once, for 30 minutes after the server started, and only while there is no administrator." }
        p { "On the host, " code { "farthing admin create --email you@example.com" } " makes one at any time." }
        p.actions { a.button href="/console/login" { "Log in" } }
    };
    shell::visitor_page(StatusCode::NOT_FOUND, "This link does not work any more", &content)
}
