//! Pages for people: what runs here, and what each problem means. Rendered on the server, without script.

use maud::{DOCTYPE, Markup, html};

use super::problem::Entry;
use crate::ledger::Mode;

/// The style sheet of all pages.
pub const STYLE: &str = include_str!("style.css");

/// The frame around every page.
pub(super) fn page(title: &str, body: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="stylesheet" href="/assets/style.css";
            }
            body {
                a.skip href="#content" { "Skip to the content" }
                header {
                    a.brand href="/" { "Farthing" }
                    nav aria-label="Pages" {
                        a href="/docs" { "Reference" }
                        a href="/problems" { "Problems" }
                        a href="/openapi.json" { "OpenAPI" }
                    }
                }
                (body)
            }
        }
    }
    .into_string()
}

/// `/`: what runs here and where to go on.
pub fn root(house_name: &str, mode: Mode) -> String {
    let money = match mode {
        Mode::Sandbox => "play money",
        Mode::Live => "real money",
    };
    page(
        "Farthing",
        &html! {
            main id="content" {
                h1 { "A payment backend runs here" }
                p.lead { "Version " (env!("CARGO_PKG_VERSION")) ", " (mode.name()) " mode: " (money) ". The house is “" (house_name) "”." }
                p { "Register, log in, pay, and see your history:" }
                ol.calls {
                    @for (verb, path, about) in [
                        ("POST", "/register", "make an account"),
                        ("POST", "/login", "get tokens"),
                        ("POST", "/payment", "pay somebody, exactly once"),
                        ("GET", "/transactions", "see every movement"),
                    ] {
                        li { span.verb { (verb) } " " code { (path) } " — " (about) }
                    }
                }
                p { a href="/docs" { "Read the reference" } ", with a line for each call that you can paste into a terminal." }
                p { "Is it well? " a href="/healthz" { "/healthz" } " tells of the process, " a href="/readyz" { "/readyz" } " of the database." }
            }
        },
    )
}

/// `/problems/CODE`: the cause and the cure of one.
pub fn problem(entry: &Entry) -> String {
    let status = entry.status.as_u16();
    page(
        entry.title,
        &html! {
            main id="content" {
                p.crumb { a href="/problems" { "Problems" } }
                h1 { (entry.title) }
                p.lead { code { (entry.name) } ", answered with HTTP status " (status) "." }
                h2 { "Cause" }
                p { (entry.cause) }
                h2 { "Cure" }
                p { (entry.cure) }
                h2 { "What it looks like" }
                pre tabindex="0" { code {
                    "HTTP/1.1 " (entry.status) "\n"
                    "Content-Type: application/problem+json\n\n"
                    "{\n"
                    "  \"type\": \"/problems/" (entry.name) "\",\n"
                    "  \"title\": \"" (entry.title) "\",\n"
                    "  \"status\": " (status) ",\n"
                    "  \"detail\": \"…\",\n"
                    "  \"code\": \"" (entry.name) "\",\n"
                    "  \"request_id\": \"req_…\"\n"
                    "}"
                } }
            }
        },
    )
}

/// `/problems`: all of them.
pub fn problem_index(entries: &[Entry]) -> String {
    page(
        "Problems",
        &html! {
            main id="content" {
                h1 { "Problems" }
                p.lead { "Every “no” has a stable code, and a page that explains its cause and its cure." }
                table {
                    thead { tr { th scope="col" { "Status" } th scope="col" { "Code" } th scope="col" { "Meaning" } } }
                    tbody {
                        @for entry in entries {
                            tr {
                                td.number { (entry.status.as_u16()) }
                                td { a href={ "/problems/" (entry.name) } { code { (entry.name) } } }
                                td { (entry.title) }
                            }
                        }
                    }
                }
            }
        },
    )
}
