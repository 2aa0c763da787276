//! The reference page: rendered from the OpenAPI document, once, at start. No script, nothing from elsewhere.
//!
//! It knows OpenAPI 3.1 and no call by name: what the document says of a call is all that the page says of it.
//! Everything from the document is escaped for HTML, and quoted for the shell where it stands in a curl line.

use maud::{Markup, html};
use serde_json::Value;

use super::pages::{BASE, page};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// How deep fields of fields are shown. The document may refer to itself; this ends it.
const MAX_DEPTH: usize = 3;

/// The page for an OpenAPI 3.1 document.
pub fn render(openapi: &Value) -> String {
    let calls = calls(openapi);
    let tags = list(&openapi["tags"]);
    let of = |tag: &Value| calls.iter().filter(|call| call.has_tag(&tag["name"])).collect::<Vec<_>>();
    page(
        &format!("{} reference", text(&openapi["info"]["title"])),
        &html! {
            div.reference {
                nav.contents aria-label="Calls" {
                    @for tag in tags {
                        p.tag { a href={ "#" (anchor(tag)) } { (text(&tag["name"])) } }
                        ul {
                            @for call in of(tag) { li { a href={ "#" (call.id()) } { (call.name()) } } }
                        }
                    }
                }
                main id="content" {
                    h1 { "Reference" }
                    p.lead { (text(&openapi["info"]["summary"])) " Version " (text(&openapi["info"]["version"])) "." }
                    p { (prose(text(&openapi["info"]["description"]))) }
                    (how_to_paste())
                    @for tag in tags {
                        h2 id=(anchor(tag)) { (text(&tag["name"])) }
                        p { (text(&tag["description"])) }
                        @for call in of(tag) { (call.render(openapi)) }
                    }
                }
            }
        },
    )
}

fn how_to_paste() -> Markup {
    html! {
        p {
            "Each call has a line that can be pasted into a terminal; what stands in capitals, such as " code { "ID" }
            ", is yours to fill in. Calls that need a token take it from the variable " code { "TOKEN" } "; "
            a href="/start" { "the first steps" } " show how to set it."
        }
    }
}

/// One operation of the document.
struct Call<'a> {
    method: &'static str,
    path: &'a str,
    operation: &'a Value,
}

/// In the order that the document asks for with `x-order`, for the members of a JSON object have none.
fn calls(openapi: &Value) -> Vec<Call<'_>> {
    let paths = openapi["paths"].as_object().into_iter().flatten();
    let mut calls: Vec<Call<'_>> = paths
        .flat_map(|(path, item)| {
            METHODS
                .into_iter()
                .filter_map(move |method| Some(Call { method, path, operation: item.get(method)? }))
        })
        .collect();
    calls.sort_by_key(|call| call.operation["x-order"].as_u64());
    calls
}

impl Call<'_> {
    fn id(&self) -> &str {
        text(&self.operation["operationId"])
    }

    fn name(&self) -> Markup {
        html! { span.verb { (self.method.to_uppercase()) } " " code { (self.path) } }
    }

    fn has_tag(&self, tag: &Value) -> bool {
        list(&self.operation["tags"]).contains(tag)
    }

    fn render(&self, openapi: &Value) -> Markup {
        let operation = self.operation;
        let body = &operation["requestBody"]["content"]["application/json"];
        html! {
            section.call id=(self.id()) aria-labelledby={ (self.id()) "-name" } {
                h3 id={ (self.id()) "-name" } { a href={ "#" (self.id()) } { (self.name()) } }
                div.what {
                    p { strong { (text(&operation["summary"])) } ". " (prose(text(&operation["description"]))) }
                    p.access {
                        @match operation["x-permission"].as_str() {
                            Some(permission) => { "Needs a token whose role has " code { (permission) } "." }
                            None => { "Needs no token." }
                        }
                    }
                }
                pre tabindex="0" aria-label={ "curl line of " (text(&operation["summary"])) } {
                    code { (self.curl(&body["example"])) }
                }
                div.details {
                    (parameters(openapi, &operation["parameters"]))
                    @if body.is_object() { h4 { "Body" } (fields(openapi, &body["schema"], MAX_DEPTH)) }
                    h4 { "Answers" }
                    (answers(openapi, &operation["responses"]))
                }
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
        line += &self.target();
        if !list(&self.operation["security"]).is_empty() {
            line += " \\\n  -H \"Authorization: Bearer $TOKEN\"";
        }
        if list(&self.operation["parameters"]).iter().any(|parameter| parameter["name"] == "Idempotency-Key")
        {
            line += " \\\n  -H \"Idempotency-Key: try-$(date +%s)-$$-$RANDOM\"";
        }
        if !example.is_null() {
            line += " \\\n  -H 'Content-Type: application/json' \\\n  -d ";
            line += &shell_quoted(&format!("{example:#}"));
        }
        line
    }

    /// The path with each parameter's example in its place, or else its name in capitals.
    fn target(&self) -> String {
        let mut target = self.path.to_owned();
        for parameter in list(&self.operation["parameters"]).iter().filter(|one| one["in"] == "path") {
            let name = text(&parameter["name"]);
            let value = parameter["example"].as_str().map_or_else(|| name.to_uppercase(), str::to_owned);
            target = target.replace(&format!("{{{name}}}"), &value);
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-_.~".contains(c);
        if target.chars().all(is_plain) { target } else { shell_quoted(&target) }
    }
}

/// One word to a POSIX shell, whatever is in it.
fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn parameters(openapi: &Value, parameters: &Value) -> Markup {
    let parameters = list(parameters);
    html! {
        @if !parameters.is_empty() {
            h4 { "Parameters" }
            dl {
                @for parameter in parameters {
                    @let place = match text(&parameter["in"]) { "header" => "header, ", "path" => "in the path, ", _ => "" };
                    dt {
                        code { (text(&parameter["name"])) }
                        span.note { (place) (kind(openapi, &parameter["schema"])) (optional(parameter["required"] != true)) }
                    }
                    dd { (prose(text(&parameter["description"]))) (limits(openapi, &parameter["schema"])) }
                }
            }
        }
    }
}

/// The fields of an object's schema, and of the objects in it.
fn fields(openapi: &Value, schema: &Value, depth: usize) -> Markup {
    let schema = resolve(openapi, schema);
    let required = list(&schema["required"]);
    let named = schema["properties"].as_object();
    // The list of required fields keeps the order in which they were written; an object's members do not.
    let first = required.iter().filter_map(|name| named?.get_key_value(text(name)));
    let rest = named.into_iter().flatten().filter(|(name, _)| !required.iter().any(|known| known == *name));
    html! {
        dl {
            @for (name, field) in first.chain(rest) {
                dt {
                    code { (name) }
                    span.note { (kind(openapi, field)) (optional(!required.iter().any(|known| known == name))) }
                }
                dd {
                    @let own = text(&field["description"]);
                    (prose(if own.is_empty() { text(&resolve(openapi, field)["description"]) } else { own }))
                    (limits(openapi, field))
                    @let inner = object_in(openapi, field);
                    @if depth > 1 && inner["properties"].is_object() { (fields(openapi, inner, depth - 1)) }
                }
            }
        }
    }
}

fn optional(is_optional: bool) -> &'static str {
    if is_optional { ", optional" } else { "" }
}

fn answers(openapi: &Value, responses: &Value) -> Markup {
    html! {
        dl.answers {
            @for (status, response) in responses.as_object().into_iter().flatten() {
                dt { (status) }
                dd {
                    @let codes = codes(openapi, &response["content"]["application/problem+json"]["schema"]);
                    @for code in &codes { a.code href={ "/problems/" (code) } { code { (code) } } " " }
                    @if codes.is_empty() {
                        (prose(text(&response["description"])))
                        @let schema = &response["content"]["application/json"]["schema"];
                        @let (row, is_list) = row_of(openapi, schema);
                        @if resolve(openapi, row)["properties"].is_object() {
                            details {
                                summary { @if is_list { "Fields of a row" } @else { "Fields" } }
                                @if is_list { p.note { "The rows are in " code { "data" } ", beside " code { "has_more" } " and " code { "next" } "." } }
                                (fields(openapi, row, MAX_DEPTH))
                            }
                        }
                        (headers(&response["headers"]))
                    }
                }
            }
        }
    }
}

fn headers(headers: &Value) -> Markup {
    let names: Vec<&String> = headers.as_object().into_iter().flatten().map(|(name, _)| name).collect();
    html! {
        @if !names.is_empty() { p.note { "Headers: " @for (index, name) in names.iter().enumerate() { @if index > 0 { ", " } code { (name) } } } }
    }
}

/// The codes that a problem's schema allows, wherever in it they stand.
fn codes<'a>(openapi: &'a Value, schema: &'a Value) -> Vec<&'a str> {
    let schema = resolve(openapi, schema);
    let parts = list(&schema["allOf"]).iter().flat_map(|part| list(&part["properties"]["code"]["enum"]));
    list(&schema["properties"]["code"]["enum"]).iter().chain(parts).filter_map(Value::as_str).collect()
}

/// Of a list, what one of its rows is, and true; of anything else itself, and false.
fn row_of<'a>(openapi: &'a Value, schema: &'a Value) -> (&'a Value, bool) {
    let rows = &resolve(openapi, schema)["properties"]["data"]["items"];
    if rows.is_object() { (rows, true) } else { (schema, false) }
}

/// The object that a field holds: itself, one of its choices, or its items.
fn object_in<'a>(openapi: &'a Value, field: &'a Value) -> &'a Value {
    let field = resolve(openapi, field);
    let items = resolve(openapi, &field["items"]);
    let choices = choices(field).iter().map(|choice| resolve(openapi, choice));
    choices.chain([items]).find(|inner| inner["properties"].is_object()).unwrap_or(field)
}

fn choices(schema: &Value) -> &[Value] {
    ["oneOf", "anyOf"]
        .into_iter()
        .map(|name| list(&schema[name]))
        .find(|some| !some.is_empty())
        .unwrap_or_default()
}

fn resolve<'a>(openapi: &'a Value, schema: &'a Value) -> &'a Value {
    let target = schema["$ref"].as_str().and_then(|target| target.strip_prefix('#'));
    target.and_then(|pointer| openapi.pointer(pointer)).unwrap_or(schema)
}

/// What a value is, in a few words.
fn kind(openapi: &Value, schema: &Value) -> String {
    let schema = resolve(openapi, schema);
    match &schema["type"] {
        Value::String(one) if one == "array" => format!("array of {}", kind(openapi, &schema["items"])),
        Value::String(one) => one.clone(),
        Value::Array(several) => several.iter().map(text).collect::<Vec<_>>().join(" or "),
        _ => {
            let mut kinds: Vec<String> = choices(schema).iter().map(|choice| kind(openapi, choice)).collect();
            kinds.dedup();
            if kinds.is_empty() { "anything".to_owned() } else { kinds.join(" or ") }
        }
    }
}

/// What a value must keep to, as a line of its own below what it means.
fn limits(openapi: &Value, schema: &Value) -> Markup {
    let schema = resolve(openapi, schema);
    let words = list(&schema["enum"]);
    let mut rules: Vec<String> = Vec::new();
    for one in std::iter::once(schema).chain(choices(schema)) {
        rules.extend(range(&one["minLength"], &one["maxLength"], " characters"));
        rules.extend(range(&one["minimum"], &one["maximum"], ""));
        rules.extend(range(&one["minProperties"], &one["maxProperties"], " members"));
        rules.extend(range(&one["minItems"], &one["maxItems"], " items"));
        rules.extend(one["exclusiveMinimum"].as_number().map(|bound| format!("more than {bound}")));
        // A password's format is no rule: it asks forms to hide what is typed.
        rules.extend(
            one["format"].as_str().filter(|format| *format != "password").map(|format| format!("`{format}`")),
        );
        rules.extend(one["pattern"].as_str().map(|pattern| format!("`{pattern}`")));
    }
    let default = &schema["default"];
    if !default.is_null() {
        rules.push(format!("{default} unless told"));
    }
    html! {
        @if !words.is_empty() {
            span.limits { @for (index, word) in words.iter().enumerate() { @if index > 0 { ", " } code { (text(word)) } } }
        }
        @if !rules.is_empty() { span.limits { (prose(&rules.join(", "))) } }
    }
}

fn range(least: &Value, most: &Value, unit: &str) -> Option<String> {
    match (least.as_number(), most.as_number()) {
        (Some(least), Some(most)) => Some(format!("{least} to {most}{unit}")),
        (Some(least), None) => Some(format!("at least {least}{unit}")),
        (None, Some(most)) => Some(format!("at most {most}{unit}")),
        (None, None) => None,
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

fn anchor(tag: &Value) -> String {
    format!("tag-{}", text(&tag["name"]).to_lowercase().replace(' ', "-"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::openapi;
    use crate::http::routes::ROUTES;
    use serde_json::json;

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
    fn calls_and_required_fields_keep_the_order_in_which_they_were_written() {
        let page = render(&openapi::document(ROUTES));
        let at = |text: &str| page.find(text).expect(text);
        for pair in ROUTES.windows(2).filter(|pair| pair[0].doc.tag == pair[1].doc.tag) {
            let [first, second] = [0, 1].map(|index| at(&format!("id=\"{}\"", pair[index].doc.operation)));
            assert!(first < second, "{}", pair[1].path);
        }
        let login = &page[at("id=\"login\"")..];
        let field = |name: &str| login.find(&format!("<dt><code>{name}</code>")).expect(name);
        assert!(field("email") < field("password") && field("password") < field("otp"));
    }

    #[test]
    fn fields_say_what_they_mean_what_they_hold_and_what_they_must_keep_to() {
        let schema = json!({"$ref": "#/components/schemas/Thing"});
        let document = json!({"components": {"schemas": {
            "Thing": {
                "type": "object", "required": ["name", "owner"],
                "properties": {
                    "name": {"type": "string", "minLength": 2, "maxLength": 9, "description": "Its name."},
                    "owner": {"$ref": "#/components/schemas/Owner", "description": "Whose it is."},
                    "size": {"type": "integer", "minimum": 1, "default": 20},
                    "state": {"type": "string", "enum": ["new", "old"]},
                    "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Thing"}},
                },
            },
            "Owner": {"type": "object", "properties": {"since": {"type": "string", "format": "date"}}},
        }}});
        let shown = fields(&document, &schema, 2).into_string();
        for expected in [
            "<dt><code>name</code><span class=\"note\">string</span></dt>",
            "Its name.<span class=\"limits\">2 to 9 characters</span>",
            "<dt><code>owner</code><span class=\"note\">object</span></dt><dd>Whose it is.<dl><dt><code>since</code>",
            "<span class=\"note\">integer, optional</span>",
            "<span class=\"limits\">at least 1, 20 unless told</span>",
            "<span class=\"limits\"><code>new</code>, <code>old</code></span>",
            "<span class=\"note\">array of object, optional</span>",
        ] {
            assert!(shown.contains(expected), "{expected}\n{shown}");
        }
        assert_eq!(shown.matches("<code>state</code>").count(), 2, "a schema in itself ends at the depth");
    }

    #[test]
    fn nothing_needs_an_exception_from_the_policy() {
        let page = render(&openapi::document(ROUTES));
        for forbidden in ["<script", " style=", "<style", " onclick", "src=", "href=\"http", "javascript:"] {
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

    #[test]
    fn a_curl_line_is_quoted_for_the_shell() {
        let operation = json!({
            "security": [{"bearer": []}],
            "parameters": [{"name": "id", "in": "path"}, {"name": "code", "in": "path", "example": "$(id)"}],
        });
        let call = Call { method: "patch", path: "/a/{id}/{code}", operation: &operation };
        assert_eq!(
            call.curl(&json!({"name": "it's $HOME"})),
            "curl -sS -X PATCH http://127.0.0.1:8080'/a/ID/$(id)' \\\n  -H \"Authorization: Bearer $TOKEN\" \\\n  \
             -H 'Content-Type: application/json' \\\n  -d '{\n  \"name\": \"it'\\''s $HOME\"\n}'"
        );
    }
}
