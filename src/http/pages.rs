//! Pages for people: what runs here, and what each problem means. Rendered on the server, without script.

use maud::{DOCTYPE, Markup, html};

use super::problem::Entry;
use crate::ledger::Mode;

/// The style sheet of all pages.
pub const STYLE: &str = include_str!("style.css");

/// Where curl lines send their requests until [`for_host`] puts the server's own name there.
pub(super) const BASE: &str = "http://127.0.0.1:8080";

/// The page with its curl lines sent to the host that the client asked for. A host that could mean anything to a
/// shell or to HTML is not put into a line that people paste.
pub fn for_host(page: &str, host: Option<&str>) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    match host.filter(|host| !host.is_empty() && host.len() <= 255 && host.chars().all(is_plain)) {
        Some(host) => page.replace(BASE, &format!("http://{host}")),
        None => page.to_owned(),
    }
}

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
                        a href="/start" { "First steps" }
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

/// Method, path, what it does, and the line that does it; the second puts the token where the others take it from.
const FIRST_STEPS: [(&str, &str, &str, &str); 4] = [
    (
        "POST",
        "/register",
        "makes an account.",
        r#"curl -sS BASE/register \
  -H 'Content-Type: application/json' \
  -d '{"email":"ann@example.com","password":"seven quiet otters","name":"Ann"}'"#,
    ),
    (
        "POST",
        "/login",
        "gives tokens; the line keeps the access token in a variable.",
        r#"TOKEN=$(curl -sS BASE/login \
  -H 'Content-Type: application/json' \
  -d '{"email":"ann@example.com","password":"seven quiet otters"}' \
  | sed 's/.*"access_token":"\([^"]*\)".*/\1/')"#,
    ),
    (
        "POST",
        "/payment",
        "pays, exactly once for each key.",
        r#"curl -sS BASE/payment \
  -H "Authorization: Bearer $TOKEN" \
  -H "Idempotency-Key: my-first-payment" \
  -H 'Content-Type: application/json' \
  -d '{"amount":"12.50","currency":"USD","description":"Tea"}'"#,
    ),
    (
        "GET",
        "/transactions",
        "shows every movement of yours.",
        r#"curl -sS BASE/transactions \
  -H "Authorization: Bearer $TOKEN""#,
    ),
];

/// `/start`: what runs here and where to go on.
pub fn start(house_name: &str, mode: Mode) -> String {
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
                h2 { "First steps" }
                p { "Paste these into a terminal, one after another: register, log in, pay the house, see your history." }
                ol.steps {
                    @for (verb, path, about, line) in FIRST_STEPS {
                        li {
                            p { span.verb { (verb) } " " code { (path) } " " (about) }
                            pre tabindex="0" aria-label={ "curl line of " (path) } { code { (line.replace("BASE", BASE)) } }
                        }
                    }
                }
                p { a href="/docs" { "Read the reference" } ": every call, its fields, its answers and its line to paste. Programs read " a href="/openapi.json" { "/openapi.json" } "." }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curl_lines_name_the_host_that_was_asked_for() {
        let page = start("House", Mode::Sandbox);
        assert_eq!(page.matches(BASE).count(), FIRST_STEPS.len());
        for host in ["pay.example.org", "192.0.2.7:9000", "[::1]:8080"] {
            let told = for_host(&page, Some(host));
            assert!(
                told.contains(&format!("curl -sS http://{host}/register")) && !told.contains(BASE),
                "{host}"
            );
        }
    }

    #[test]
    fn a_host_that_a_shell_or_a_browser_could_misread_is_not_repeated() {
        let page = start("House", Mode::Sandbox);
        let long = "a".repeat(256);
        for host in [
            None,
            Some(""),
            Some("a$(id)"),
            Some("a;id"),
            Some("<b>"),
            Some("a b"),
            Some("a/b"),
            Some(long.as_str()),
        ] {
            assert_eq!(for_host(&page, host), page, "{host:?}");
        }
    }

    #[test]
    fn the_house_cannot_put_markup_into_the_page() {
        assert!(!start("<script>alert(1)</script>", Mode::Live).contains("<script>"));
    }
}
