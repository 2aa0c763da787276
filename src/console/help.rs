//! Help: what the keys do, and where to read on.

use hyper::StatusCode;
use maud::{Markup, html};

use super::door;
use super::shell::{self, Place};
use crate::http::call::Call;
use crate::http::spec::Answer;

/// What each key does. The script reads the same keys.
const KEYS: [(&str, &str); 9] = [
    ("/", "Search the history"),
    ("g w", "Go to the wallet"),
    ("g s", "Go to send money"),
    ("g r", "Go to payment requests"),
    ("g h", "Go to the history"),
    ("g y", "Go to security"),
    ("g t", "Go to the desk, for operators"),
    ("?", "This page"),
    ("Esc", "Leave a field or close a menu"),
];

pub(super) async fn page(mut call: Call) -> Answer {
    call.who = door::visitor(&call).await;
    let content = html! {
        h1 { "Help" }
        section {
            h2 { "Keys" }
            table.rows.keys {
                thead { tr { th scope="col" { "Key" } th scope="col" { "What it does" } } }
                tbody { @for (key, about) in KEYS { tr { th scope="row" { (kbd(key)) } td { (about) } } } }
            }
            p.scripted hidden { button.button.second type="button" data-keys aria-pressed="true" { "Keys are on" } }
            noscript { p.quiet { "Keys need script, which is off here. Everything else works without it." } }
        }
        section {
            h2 { "Paying" }
            p { "A payment happens once, however often its form is sent: a double click, a reload and a way back send the same one." }
            p { "What is declined stays in the history, and nothing moves." }
        }
        section {
            h2 { "For developers" }
            p { "Everything here is a client of an API that you can use, too: " a href="/docs" { "the reference" } " has a line to paste for each call, " a href="/problems" { "the list of problems" } " what each “no” means." }
        }
    };
    match &call.who {
        Some(_) => shell::page(&call, "Help", Place::Elsewhere, &content),
        None => Ok(shell::visitor_page(StatusCode::OK, "Help", &content)),
    }
}

fn kbd(keys: &str) -> Markup {
    html! { @for (at, key) in keys.split(' ').enumerate() { @if at > 0 { " then " } kbd { (key) } } }
}
