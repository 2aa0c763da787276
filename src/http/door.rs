//! The API's door: programs show a bearer token, send JSON and are told no by problem details.

use hyper::body::Bytes;
use hyper::http::request::Parts;

use super::extract;
use super::problem::{Code, Problem};
use super::reconciliations;
use super::reply::Reply;
use super::spec::{Asked, Door, Route};
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
            return reconciliations::check_file(&parts.headers, route.doc.file, body.is_empty())
                .map(|()| body);
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
