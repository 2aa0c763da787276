//! The OpenAPI 3.1 document: written from the route table and the catalogue of problems, once, at start.
//!
//! It is complete: every path, every parameter, every answer with its headers. What follows from a route's shape (a
//! token is needed, a body can be malformed) is derived here, so that no route can forget it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::limits;
use super::problem::Code;
use super::spec::{Access, Content, Field, Route, Success, Tag};
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
        let media = |kind: &&str| ((*kind).to_owned(), json!({"schema": {"type": "string"}}));
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
    if let Some(name) = route.path.split_once('{').and_then(|(_, rest)| Some(rest.split_once('}')?.0)) {
        let mut parameter =
            json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}});
        if name == "code" {
            parameter["description"] = "The problem's code.".into();
            parameter["example"] = "not_found".into();
        } else {
            parameter["description"] = "The object's id.".into();
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
        Content::Json(name) => json!({"application/json": {"schema": schema::reference(name)}}),
        Content::List(name) => {
            headers.insert("Link".into(), header("The next page, as rel=\"next\"."));
            json!({"application/json": {"schema": schema::list_of(name)}})
        }
        Content::Formats(name, others) => {
            headers.insert("Content-Disposition".into(), header("The file's name."));
            let mut media = Map::new();
            media.insert("application/json".into(), json!({"schema": schema::reference(name)}));
            let text = || json!({"schema": {"type": "string"}});
            media.extend(others.iter().map(|other| ((*other).to_owned(), text())));
            Value::Object(media)
        }
        Content::Object => json!({"application/json": {"schema": {"type": "object"}}}),
        Content::Html => json!({"text/html": {"schema": {"type": "string"}}}),
        Content::Css => json!({"text/css": {"schema": {"type": "string"}}}),
        // Of each event, as OpenAPI 3.2 has it in `itemSchema`: the stream as a whole has no end.
        Content::EventStream => json!({"text/event-stream": {"schema": {
            "type": "object",
            "required": ["id", "event", "data"],
            "properties": {
                "id": {"type": "string", "description": "What the next stream goes on from, as Last-Event-ID."},
                "event": {"type": "string", "description": "The event's type."},
                "data": {"type": "string", "description": "The event, as GET /events gives it."},
            },
        }}}),
        Content::Text => json!({"text/plain": {"schema": {"type": "string"}}}),
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
    let mut content = content;
    if let Some(media) = content.get_mut("application/json") {
        media["example"] = example::of(&media["schema"].clone(), &schema::components());
    }
    let mut response = json!({"description": success.about, "headers": headers});
    let has_content = success.content != Content::Nothing;
    if let Some(response) = response.as_object_mut().filter(|_| has_content) {
        response.insert("content".into(), content);
    }
    response
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
    json!({
        "description": about.join(" "),
        "headers": headers,
        "content": {"application/problem+json": {"schema": {
            "allOf": [schema::reference("Problem"), {"properties": {"code": {"enum": names}}}],
        }}},
    })
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
mod tests {
    use super::*;
    use crate::http::extract::Form;
    use crate::http::routes::ROUTES;

    fn collect_references(value: &Value, references: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                if let Some(Value::String(target)) = object.get("$ref") {
                    references.push(target.clone());
                }
                object.values().for_each(|value| collect_references(value, references));
            }
            Value::Array(array) => array.iter().for_each(|value| collect_references(value, references)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document(ROUTES);
        let mut references = Vec::new();
        collect_references(&document, &mut references);
        assert!(references.len() > 20);
        for target in references {
            assert!(document.pointer(&target[1..]).is_some(), "{target}");
        }
    }

    #[test]
    fn every_route_is_there_with_every_kind_of_answer() {
        let document = document(ROUTES);
        let mut operations = Vec::new();
        for route in ROUTES {
            let operation = &document["paths"][route.path][route.verb.name().to_lowercase()];
            let name = operation["operationId"].as_str().expect(route.path);
            assert!(!operations.contains(&name), "{name}");
            operations.push(name);
            assert!(operation["responses"].get("500").is_some(), "{name}");
            assert_eq!(
                operation["responses"].get("401").is_some(),
                route.access != Access::Public || !codes_401(route).is_empty()
            );
            assert!(route.doc.success.iter().all(|success| (200..400).contains(&success.status)), "{name}");
            assert!(!route.doc.success.is_empty(), "{name}");
        }
    }

    #[test]
    fn every_call_shows_an_example() {
        let document = document(ROUTES);
        for route in ROUTES {
            let operation = &document["paths"][route.path][route.verb.name().to_lowercase()];
            for success in route.doc.success {
                let media =
                    &operation["responses"][success.status.to_string()]["content"]["application/json"];
                assert!(media.is_null() || media["example"].is_object(), "{}: {media}", route.path);
            }
            let body = &operation["requestBody"]["content"]["application/json"];
            assert!(body.is_null() || body["example"].is_object(), "{}: {body}", route.path);
        }
        let paid = &document["paths"]["/payment"]["post"]["responses"]["201"]["content"]["application/json"]
            ["example"];
        assert_eq!(paid["from"]["id"], "usr_01h455vb4pex5vsknk084sn02q", "{paid}");
        assert_eq!((&paid["status"], &paid["amount"]), (&json!("succeeded"), &json!("12.50")));
    }

    fn codes_401(route: &Route) -> Vec<Code> {
        codes(route).into_iter().filter(|code| code.entry().status == 401).collect()
    }

    #[test]
    fn examples_are_bodies_that_the_fields_allow() {
        for route in ROUTES.iter().filter(|route| !route.doc.body.is_empty()) {
            let form = Form::read(route.doc.example.as_bytes(), route.doc.body).unwrap();
            for field in route.doc.body.iter().filter(|field| field.required) {
                assert!(form.has(field.name), "{} {}", route.path, field.name);
            }
            assert!(form.finish(Some(())).is_ok(), "{}", route.path);
        }
    }
}
