//! The reference page: rendered from the OpenAPI document, once, at start. No script, nothing from elsewhere.

use maud::{Markup, html};
use serde_json::Value;

use super::pages::page;

/// Where the curl lines send their requests: where the server listens unless told otherwise.
const BASE: &str = "http://127.0.0.1:8080";
const METHODS: [&str; 4] = ["get", "post", "patch", "delete"];

/// The page for an OpenAPI 3.1 document.
pub fn render(openapi: &Value) -> String {
    let calls = calls(openapi);
    let tags = openapi["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
    page(
        &format!("{} reference", text(&openapi["info"]["title"])),
        &html! {
            div.reference {
                nav.contents aria-label="Calls" {
                    @for tag in tags {
                        p.tag { (text(&tag["name"])) }
                        ul {
                            @for call in calls.iter().filter(|call| call.has_tag(&tag["name"])) {
                                li { a href={ "#" (call.id()) } { span.verb { (call.method.to_uppercase()) } " " code { (call.path) } } }
                            }
                        }
                    }
                }
                main id="content" {
                    h1 { "Reference" }
                    p.lead { (text(&openapi["info"]["summary"])) " Version " (text(&openapi["info"]["version"])) "." }
                    p { (prose(text(&openapi["info"]["description"]))) }
                    @for tag in tags {
                        h2 { (text(&tag["name"])) }
                        p { (text(&tag["description"])) }
                        @for call in calls.iter().filter(|call| call.has_tag(&tag["name"])) { (call.render(openapi)) }
                    }
                }
            }
        },
    )
}

/// One operation of the document.
struct Call<'a> {
    method: &'static str,
    path: &'a str,
    operation: &'a Value,
}

fn calls(openapi: &Value) -> Vec<Call<'_>> {
    let paths = openapi["paths"].as_object().into_iter().flatten();
    paths
        .flat_map(|(path, item)| {
            METHODS
                .into_iter()
                .filter_map(move |method| Some(Call { method, path, operation: item.get(method)? }))
        })
        .collect()
}

impl Call<'_> {
    fn id(&self) -> &str {
        text(&self.operation["operationId"])
    }

    fn has_tag(&self, tag: &Value) -> bool {
        self.operation["tags"].as_array().is_some_and(|tags| tags.contains(tag))
    }

    fn render(&self, openapi: &Value) -> Markup {
        let operation = self.operation;
        let body = &operation["requestBody"]["content"]["application/json"];
        let access = operation["x-permission"].as_str();
        html! {
            section.call id=(self.id()) {
                h3 { span.verb { (self.method.to_uppercase()) } " " code { (self.path) } }
                p { strong { (text(&operation["summary"])) } ". " (prose(text(&operation["description"]))) }
                p.access {
                    @match access {
                        Some(permission) => { "Needs a token whose role has " code { (permission) } "." }
                        None => { "Needs no token." }
                    }
                }
                pre tabindex="0" { code { (self.curl(&body["example"])) } }
                (parameters(&operation["parameters"]))
                @if body.is_object() { h4 { "Body" } (fields(openapi, &body["schema"])) }
                h4 { "Answers" }
                (answers(openapi, &operation["responses"]))
            }
        }
    }

    /// A line that can be pasted into a terminal; what must be filled in is in capitals.
    fn curl(&self, example: &Value) -> String {
        let mut line = String::from("curl -sS");
        // With a body curl sends POST by itself, without one GET.
        let is_told = self.method == if example.is_null() { "get" } else { "post" };
        if !is_told {
            line += " -X ";
            line += &self.method.to_uppercase();
        }
        line += " ";
        line += BASE;
        line += &self.path.replace("{id}", "ID").replace("{code}", "not_found");
        if self.operation.get("x-permission").is_some() {
            line += " \\\n  -H \"Authorization: Bearer $TOKEN\"";
        }
        let parameters = self.operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
        if parameters.iter().any(|parameter| parameter["name"] == "Idempotency-Key") {
            line += " \\\n  -H \"Idempotency-Key: $(uuidgen)\"";
        }
        if !example.is_null() {
            line += " \\\n  -H 'Content-Type: application/json' \\\n  -d '";
            line += &example.to_string();
            line += "'";
        }
        line
    }
}

fn parameters(parameters: &Value) -> Markup {
    let parameters = parameters.as_array().map(Vec::as_slice).unwrap_or_default();
    html! {
        @if !parameters.is_empty() {
            h4 { "Parameters" }
            dl {
                @for parameter in parameters {
                    dt { code { (text(&parameter["name"])) } span.note { (text(&parameter["in"])) ", " (kind(&parameter["schema"])) } }
                    dd { (prose(text(&parameter["description"]))) }
                }
            }
        }
    }
}

/// The fields of an object's schema.
fn fields(openapi: &Value, schema: &Value) -> Markup {
    let schema = resolve(openapi, schema);
    let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
    html! {
        dl {
            @for (name, field) in schema["properties"].as_object().into_iter().flatten() {
                dt {
                    code { (name) }
                    span.note { (kind(field)) @if !required.iter().any(|known| known == name) { ", optional" } }
                }
                dd { (prose(text(&resolve(openapi, field)["description"]))) }
            }
        }
    }
}

fn answers(openapi: &Value, responses: &Value) -> Markup {
    html! {
        @for (status, response) in responses.as_object().into_iter().flatten() {
            @let problem = &response["content"]["application/problem+json"]["schema"]["allOf"][1]["properties"]["code"]["enum"];
            @if let Some(codes) = problem.as_array() {
                p.answer {
                    span.status { (status) } " "
                    @for code in codes { a href={ "/problems/" (text(code)) } { code { (text(code)) } } " " }
                }
            } @else {
                p.answer { span.status { (status) } " " (text(&response["description"])) }
                @let schema = &response["content"]["application/json"]["schema"];
                @if schema.is_object() { details { summary { "Its fields" } (fields(openapi, row_of(openapi, schema))) } }
            }
        }
    }
}

/// Of a list, what one of its rows is.
fn row_of<'a>(openapi: &'a Value, schema: &'a Value) -> &'a Value {
    let rows = &resolve(openapi, schema)["properties"]["data"]["items"];
    if rows.is_object() { rows } else { schema }
}

fn resolve<'a>(openapi: &'a Value, schema: &'a Value) -> &'a Value {
    let target = schema["$ref"].as_str().and_then(|target| target.strip_prefix('#'));
    target.and_then(|pointer| openapi.pointer(pointer)).unwrap_or(schema)
}

/// What a value is, in a few words.
fn kind(schema: &Value) -> String {
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().map(text).collect::<Vec<_>>().join(" | ");
    }
    if let Some(target) = schema["$ref"].as_str() {
        return target.rsplit('/').next().unwrap_or_default().to_owned();
    }
    match &schema["type"] {
        Value::String(one) => one.clone(),
        Value::Array(several) => several.iter().map(text).collect::<Vec<_>>().join(" or "),
        _ => {
            let choices = ["oneOf", "anyOf"].into_iter().find_map(|name| schema[name].as_array());
            let kinds: Vec<String> = choices.into_iter().flatten().map(kind).collect();
            if kinds.is_empty() { "object".to_owned() } else { kinds.join(" or ") }
        }
    }
}

/// Text with `code` in backticks.
fn prose(text: &str) -> Markup {
    html! {
        @for (index, part) in text.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::openapi;
    use crate::http::routes::ROUTES;

    #[test]
    fn every_call_is_there_with_its_curl_line_and_its_errors() {
        let page = render(&openapi::document(ROUTES));
        for route in ROUTES {
            assert!(page.contains(&format!("id=\"{}\"", route.doc.operation)), "{}", route.path);
            for code in openapi::codes(route) {
                assert!(page.contains(&format!("href=\"/problems/{}\"", code.entry().name)));
            }
        }
        assert_eq!(page.matches("curl -sS").count(), ROUTES.len());
        assert!(
            page.contains(
                "curl -sS http://127.0.0.1:8080/register \\\n  -H 'Content-Type: application/json'"
            )
        );
    }

    #[test]
    fn nothing_needs_an_exception_from_the_policy() {
        let page = render(&openapi::document(ROUTES));
        for forbidden in ["<script", " style=", "<style", " onclick", "https://", "javascript:"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
    }

    #[test]
    fn what_the_document_says_is_escaped() {
        let mut document = openapi::document(ROUTES);
        document["info"]["summary"] = "<img src=x onerror=alert(1)>".into();
        document["paths"]["/me"]["get"]["summary"] = "\"><script>alert(1)</script>".into();
        let page = render(&document);
        assert!(!page.contains("<img") && !page.contains("<script>"));
    }
}
