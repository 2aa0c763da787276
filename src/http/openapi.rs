//! The OpenAPI 3.1 document: written from the route table and the catalogue of problems, once, at start.
//!
//! It is complete: every path, every parameter, every answer with its headers. What follows from a route's shape (a
//! token is needed, a body can be malformed) is derived here, so that no route can forget it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::limits;
use super::problem::{CATALOGUE, Code, Entry};
use super::spec::{Access, Content, Field, File, Route, Success, Tag};
use super::{example, schema};

/// The document for these routes.
pub fn document(routes: &[Route]) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for (order, route) in routes.iter().enumerate() {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(route.verb.name().to_lowercase(), operation(route, order));
        }
    }
    let tags: Vec<Value> =
        Tag::ALL.iter().map(|tag| json!({"name": tag.name(), "description": tag.about()})).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Farthing",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "A payment backend: users, payments and a double-entry ledger.",
            "description": ABOUT,
            "license": {"name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schema::components(),
            "examples": problems(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "The access token of POST /login."},
            },
        },
    })
}

const ABOUT: &str = "\
JSON in and out. Money is a decimal string in major units with its currency; it is never a float. Times are RFC 3339 in \
UTC with milliseconds. Lists are newest first and go on at the cursor in `next`. Every answer carries `Request-Id`, and \
every error is a problem (RFC 9457) whose `code` is stable and whose `type` is a page that explains it. A payment with an \
`Idempotency-Key` happens exactly once, however often it is sent.";

fn operation(route: &Route, order: usize) -> Value {
    let doc = &route.doc;
    let mut operation = json!({
        "operationId": doc.operation,
        "summary": doc.summary,
        "description": doc.description,
        "tags": [doc.tag.name()],
        "parameters": parameters(route),
        "responses": responses(route),
        "security": security(route),
        "x-order": order,
    });
    let body = if doc.file.is_empty() {
        (!doc.body.is_empty()).then(|| request_body(doc.body, doc.example))
    } else {
        let media = |file: &File| (file.media.to_owned(), text_media(file.example));
        Some(json!({"required": true, "content": doc.file.iter().map(media).collect::<Map<_, _>>()}))
    };
    if let (Some(body), Some(operation)) = (body, operation.as_object_mut()) {
        operation.insert("requestBody".into(), body);
    }
    if let (Some(permission), Some(operation)) = (route.access.permission(), operation.as_object_mut()) {
        operation.insert("x-permission".into(), permission.name().into());
    }
    operation
}

fn security(route: &Route) -> Value {
    if route.access == Access::Public { json!([]) } else { json!([{"bearer": []}]) }
}

fn request_body(fields: &[Field], example: &str) -> Value {
    let mut media = json!({"schema": schema::of_body(fields)});
    if let (Ok(example), Some(media)) = (serde_json::from_str::<Value>(example), media.as_object_mut()) {
        media.insert("example".into(), example);
    }
    let is_required = fields.iter().any(|field| field.required);
    json!({"required": is_required, "content": {"application/json": media}})
}

fn parameters(route: &Route) -> Vec<Value> {
    let mut parameters = Vec::new();
    for (name, _) in route.path.split('{').filter_map(|piece| piece.split_once('}')) {
        let mut parameter =
            json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}});
        match name {
            "code" => {
                parameter["description"] = "The problem's code.".into();
                parameter["example"] = "not_found".into();
            }
            "delivery" => parameter["description"] = "The delivery's id.".into(),
            _ => parameter["description"] = "The object's id.".into(),
        }
        parameters.push(parameter);
    }
    parameters.extend(route.doc.query.iter().map(|field| {
        json!({
            "name": field.name, "in": "query", "required": field.required,
            "schema": schema::of_kind(field.kind), "description": field.about,
        })
    }));
    if route.doc.idempotent {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "required": false,
            "schema": {"type": "string", "minLength": 1, "maxLength": 255},
            "description": "Your name for this one intent, such as a fresh UUID. The same key with the same payload \
                gets the first answer again and moves nothing; kept for good.",
        }));
    }
    if route.doc.success.iter().any(|success| success.content == Content::EventStream) {
        parameters.push(json!({
            "name": "Last-Event-ID", "in": "header", "required": false, "schema": {"type": "string"},
            "description": "The last 'id' of an earlier stream, to go on behind it; it comes before 'after'.",
        }));
    }
    parameters
}

fn responses(route: &Route) -> Value {
    let mut responses = Map::new();
    for success in route.doc.success {
        responses.insert(success.status.to_string(), success_response(route, success));
    }
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in codes(route) {
        by_status.entry(code.entry().status.as_u16()).or_default().push(code);
    }
    for (status, codes) in by_status {
        responses.insert(status.to_string(), problem_response(status, &codes));
    }
    Value::Object(responses)
}

fn success_response(route: &Route, success: &Success) -> Value {
    let mut headers = Map::from_iter([request_id_header()]);
    let content = match success.content {
        Content::Json(name) => json!({"application/json": media(&schema::reference(name))}),
        Content::List(name) => {
            headers.insert("Link".into(), header("The next page, as rel=\"next\"."));
            json!({"application/json": media(&schema::list_of(name))})
        }
        Content::Formats(name, others) => {
            headers.insert("Content-Disposition".into(), header("The file's name."));
            let mut all = Map::new();
            all.insert("application/json".into(), media(&schema::reference(name)));
            all.extend(others.iter().map(|other| (other.media.to_owned(), text_media(other.example))));
            Value::Object(all)
        }
        Content::Html => {
            json!({"text/html": text_media("<!DOCTYPE html><html lang=\"en\"><title>Farthing</title></html>")})
        }
        Content::Css => json!({"text/css": text_media("main { max-width: 60rem }")}),
        Content::EventStream => json!({"text/event-stream": media(&schema::reference("StreamedEvent"))}),
        Content::Text => json!({"text/plain": text_media("farthing_ready 1\n")}),
        Content::Nothing => json!({}),
    };
    if limits::class_of(route).is_some() {
        headers.extend(limit_headers());
    }
    if route.doc.idempotent {
        headers.insert(
            "Idempotent-Replayed".into(),
            header("'true' where this is the first answer to the key, given again."),
        );
    }
    let mut response = json!({"description": success.about, "headers": headers});
    let has_content = success.content != Content::Nothing;
    if let Some(response) = response.as_object_mut().filter(|_| has_content) {
        response.insert("content".into(), content);
    }
    response
}

/// JSON of this schema, and an example of it.
fn media(schema: &Value) -> Value {
    json!({"schema": schema, "example": example::of(schema, &schema::components())})
}

/// What is no JSON, and an example of it.
fn text_media(example: &str) -> Value {
    json!({"schema": {"type": "string"}, "example": example})
}

fn problem_response(status: u16, codes: &[Code]) -> Value {
    let mut headers = Map::from_iter([request_id_header()]);
    match status {
        401 => headers.insert("WWW-Authenticate".into(), header("The challenge.")),
        405 => headers.insert("Allow".into(), header("The methods that the path takes.")),
        429 => {
            headers.extend(limit_headers());
            headers.insert("Retry-After".into(), header("Seconds to wait."))
        }
        503 => headers.insert("Retry-After".into(), header("Seconds to wait.")),
        _ => None,
    };
    let names: Vec<&str> = codes.iter().map(|code| code.entry().name).collect();
    let about: Vec<String> =
        codes.iter().map(|code| format!("`{}`: {}.", code.entry().name, code.entry().title)).collect();
    let examples: Map<String, Value> =
        names.iter().map(|name| ((*name).to_owned(), example_of(name))).collect();
    json!({
        "description": about.join(" "),
        "headers": headers,
        "content": {"application/problem+json": {
            "schema": {"allOf": [schema::reference("Problem"), {"properties": {"code": {"enum": names}}}]},
            "examples": examples,
        }},
    })
}

fn example_of(code: &str) -> Value {
    json!({"$ref": format!("#/components/examples/{code}")})
}

/// One of each code, for all answers to refer to.
fn problems() -> Map<String, Value> {
    let shown = |entry: &Entry| {
        (entry.name.to_owned(), json!({"summary": entry.title, "value": example::of_problem(entry.code)}))
    };
    CATALOGUE.iter().map(shown).collect()
}

fn limit_headers() -> [(String, Value); 2] {
    [
        (
            "RateLimit".to_owned(),
            header("What is left of the tightest limit, and when there is one more; unless limits are off."),
        ),
        ("RateLimit-Policy".to_owned(), header("The limits that count this call; unless limits are off.")),
    ]
}

fn request_id_header() -> (String, Value) {
    ("Request-Id".to_owned(), header("The request's id, as in the server's log and in problems."))
}

fn header(about: &str) -> Value {
    json!({"schema": {"type": "string"}, "description": about})
}

/// Every code that the route can answer with: its own, and those that follow from its shape.
pub fn codes(route: &Route) -> Vec<Code> {
    let doc = &route.doc;
    let mut codes = doc.errors.to_vec();
    if route.access != Access::Public {
        codes.extend([Code::TokenMissing, Code::TokenInvalid, Code::TokenExpired, Code::PermissionDenied]);
    }
    if route.verb.has_body() {
        codes.extend([
            Code::MalformedJson,
            Code::RequestTimeout,
            Code::BodyTooLarge,
            Code::UnsupportedMediaType,
            Code::ValidationFailed,
        ]);
    }
    if limits::class_of(route).is_some() {
        codes.push(Code::RateLimited);
    }
    if doc.idempotent {
        codes.extend([Code::IdempotencyKeyInvalid, Code::IdempotencyKeyReused]);
    }
    if doc.tag != Tag::System {
        codes.extend([Code::ValidationFailed, Code::Unavailable]);
        if route.verb.has_body() {
            codes.push(Code::OutcomeUnknown);
        }
    }
    codes.push(Code::InternalError);
    let mut seen = Vec::with_capacity(codes.len());
    codes.retain(|code| {
        !seen.contains(code) && {
            seen.push(*code);
            true
        }
    });
    codes
}

#[cfg(test)]
mod tests;
