//! Play money, in a sandbox.

use hyper::StatusCode;
use maud::html;

use super::form::{Filled, Input, select};
use super::history::sentence;
use super::shell::{self, Place};
use super::{once, reply};
use crate::http::call::Call;
use crate::http::problem::{Code, Problem};
use crate::http::spec::Answer;
use crate::http::wallets::{METHODS, read_topup};

const AMOUNT: Input = Input::amount();
const CURRENCY: Input = Input::text("currency", "Currency", "Three letters, such as EUR or JPY.").required();

pub(super) async fn page(call: Call) -> Answer {
    form_page(&call, StatusCode::OK, &Filled::with(&[("currency", "USD")]))
}

pub(super) async fn topup(call: Call) -> Answer {
    let answer = match read_topup(&call, Some(once::key(&call, &[])?)) {
        Ok(request) => {
            call.teller().topup(call.who()?, call.origin.clone(), request).await.map_err(Problem::from)
        }
        Err(problem) => Err(problem),
    };
    match answer {
        Ok(answer) => Ok(reply::see_other(&format!("/console/transactions/{}", answer.transaction.id))),
        // A failed one uses its key up: the form is shown with a new one.
        Err(problem) => form_page(&call, problem.code().entry().status, &Filled::refused(&call, &problem)),
    }
}

fn form_page(call: &Call, status: StatusCode, filled: &Filled) -> Answer {
    if call.teller().rules().mode != crate::ledger::Mode::Sandbox {
        return Err(Problem::new(Code::SandboxOnly));
    }
    let methods = METHODS.iter().map(|method| {
        let word = method.trim_start_matches("sim_");
        ((*method).to_owned(), if word == "ok" { "Succeeds".to_owned() } else { sentence(word) })
    });
    let content = html! {
        h1 { "Add play money" }
        p.lead { "This is a sandbox: money comes from nowhere, and how it goes is yours to choose." }
        (filled.summary(&["amount", "currency", "method"]))
        form method="post" action="/console/topup" novalidate data-once {
            (shell::form_token(call)?)
            (once::field(call, &Filled::default())?)
            div.pair { (AMOUNT.show(filled)) (CURRENCY.show(filled)) }
            (select(filled, "method", "How it goes", methods))
            div.actions { button.button type="submit" { "Add it" } a.button.second href="/console/" { "Leave it" } }
        }
    };
    shell::page_with(call, status, "Add play money", Place::Home, &content)
}
