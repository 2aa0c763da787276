//! A new password by the link that an operator gave: for who has forgotten theirs.

use hyper::StatusCode;
use maud::html;

use super::form::{Filled, Input};
use super::reply;
use super::shell::{self, VisitToken};
use crate::auth::password::Password;
use crate::http::call::Call;
use crate::http::problem::{Code, Problem};
use crate::http::spec::Answer;

const NEW: Input = Input::password("new_password", "New password", "new-password")
    .hint("A sentence is better than a puzzle. Every session of yours ends when it changes.");

pub(super) async fn page(call: Call) -> Answer {
    form(&call, StatusCode::OK, &Filled::default())
}

pub(super) async fn reset(call: Call) -> Answer {
    let mut read = call.form()?;
    let new = read.secret("new_password").map(|text| Password::new(&text));
    let changed = match read.finish(new) {
        Ok(new) => {
            let changed = call.teller().reset_password(call.origin.clone(), call.path_parameter(), new).await;
            changed.map_err(Problem::from)
        }
        Err(problem) => Err(problem),
    };
    match changed {
        Ok(()) => Ok(reply::see_other("/console/login?note=reset")),
        Err(problem) if problem.code() == Code::ResetLinkInvalid => {
            let content = html! {
                h1 { "This link does not work any more" }
                p { "It works once, for 30 minutes after an operator made it. Ask them for another." }
                p.actions { a.button href="/console/login" { "Log in" } }
            };
            Ok(shell::visitor_page(StatusCode::NOT_FOUND, "This link does not work any more", &content))
        }
        Err(problem) => form(&call, problem.code().entry().status, &Filled::refused(&call, &problem)),
    }
}

fn form(call: &Call, status: StatusCode, filled: &Filled) -> Answer {
    let token = VisitToken::new(call)?;
    let content = html! {
        h1 { "A new password" }
        p.lead { "An operator gave you this link. It counts once." }
        (filled.summary(&["new_password"]))
        form method="post" action=(call.uri.path()) novalidate {
            (token.field) (NEW.show(filled))
            div.actions { button.button type="submit" { "Set the password" } }
        }
    };
    Ok(token.keep(call, shell::visitor_page(status, "A new password", &content)))
}
