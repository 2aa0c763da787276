//! The API's door: programs show a bearer token, send JSON and are told no by problem details.

use hyper::body::Bytes;
use hyper::http::request::Parts;

use super::extract;
use super::problem::{Code, Problem};
use super::reply::Reply;
use super::spec::{Asked, Door, File, Route};
use crate::ledger::RequestId;

/// The door for programs.
pub struct ApiDoor;

impl Door for ApiDoor {
    fn token<'r>(&self, parts: &'r Parts) -> Result<&'r str, Problem> {
        extract::bearer_token(&parts.headers)
    }

    /// Whether the body is there and declared as what the route needs.
    fn body(&self, route: &Route, parts: &Parts, body: Bytes) -> Result<Bytes, Problem> {
        if !route.doc.file.is_empty() {
            return file(route.doc.file, parts, body);
        }
        let may_be_absent = route.doc.body.iter().all(|field| !field.required);
        if extract::is_json(&parts.headers) {
            if body.is_empty() && !may_be_absent {
                return Err(Problem::with_detail(Code::MalformedJson, "The body is empty."));
            }
            return Ok(body);
        }
        if body.is_empty() && may_be_absent {
            Ok(body)
        } else {
            Err(Problem::new(Code::UnsupportedMediaType))
        }
    }

    fn refuse(&self, problem: Problem, _: &Asked, request_id: RequestId) -> Reply {
        problem.into_reply(request_id)
    }
}

/// The file that the body is, if it is there and declared as one of these types.
fn file(files: &[File], parts: &Parts, body: Bytes) -> Result<Bytes, Problem> {
    let types: Vec<&str> = files.iter().map(|file| file.media).collect();
    if !extract::is_one_of(&parts.headers, &types) {
        let detail = format!("Send a file with Content-Type {}.", types.join(" or "));
        return Err(Problem::with_detail(Code::UnsupportedMediaType, detail));
    }
    if body.is_empty() {
        return Err(Problem::field("body", "required", "is empty; send the file as the body"));
    }
    Ok(body)
}
