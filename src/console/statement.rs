//! A statement of a wallet as a file: the same rendering as the API's, for a period that is asked for here.

use hyper::StatusCode;
use maud::html;

use super::form::{Filled, Input, owned, select};
use super::home::wallets;
use super::shell::{self, Place};
use crate::http::call::Call;
use crate::http::problem::Code;
use crate::http::spec::Answer;
use crate::http::statements;

const FROM: Input =
    Input { kind: "date", ..Input::text("from", "From", "The first day; else from the beginning.") };
const TO: Input = Input { kind: "date", ..Input::text("to", "To", "The last day; else up to now.") };
/// The formats, as people know them.
const FORMATS: [(&str, &str); 4] = [
    ("csv", "CSV, for a spreadsheet"),
    ("camt053", "camt.053, for accounting programs"),
    ("hledger", "hledger journal"),
    ("json", "JSON"),
];

pub(super) async fn page(call: Call) -> Answer {
    form(&call, StatusCode::OK, &Filled::default()).await
}

/// The file; or the form again, if it asks for what cannot be.
pub(super) async fn file(call: Call) -> Answer {
    let pairs = call.query().pairs();
    let values: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_ref())).collect();
    let filled = Filled::with(&values);
    match statements::file(&call).await {
        Err(problem) if problem.code() == Code::ValidationFailed => {
            form(&call, problem.code().entry().status, &filled.wrong(&problem)).await
        }
        answer => answer,
    }
}

async fn form(call: &Call, status: StatusCode, filled: &Filled) -> Answer {
    let wallets = wallets(&call.teller().wallets(call.who()?).await?);
    let mut currencies: Vec<(String, String)> =
        wallets.keys().map(|currency| (currency.code().to_owned(), currency.to_string())).collect();
    if currencies.is_empty() {
        currencies.push(("USD".to_owned(), "USD".to_owned()));
    }
    let content = html! {
        p.crumb { a href="/console/history" { "History" } }
        h1 { "Statement" }
        p.lead { "What a wallet held, every movement, and what it holds, as a file. Days are those of UTC." }
        (filled.summary(&["currency", "from", "to", "format"]))
        form method="get" action="/console/statement/file" novalidate {
            (select(filled, "currency", "Wallet", currencies))
            div.pair { (FROM.show(filled)) (TO.show(filled)) }
            (select(filled, "format", "Format", owned(FORMATS)))
            div.actions { button.button type="submit" { "Download" } }
        }
    };
    shell::page_with(call, status, "Statement", Place::History, &content)
}
