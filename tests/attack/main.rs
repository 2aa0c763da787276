//! Attacks on the API over HTTP: each prober is set on Farthing, where it must find nothing, and on a small server with
//! that very hole, where it must find something.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test code")]

#[path = "../support/mod.rs"]
mod support;

mod injection;
mod objects;
mod tokens;
mod vulnerable;
mod wire;

use std::net::SocketAddr;

use support::{Client, Request, Response, Server, User};

/// Something that should not be.
type Finding = String;

/// What is attacked, by somebody who has an account there.
struct Target {
    address: SocketAddr,
    token: String,
}

impl Target {
    fn farthing(server: &Server, user: &User) -> Self {
        Self { address: server.address(), token: user.token.clone() }
    }

    /// The answer as the attacker; none if the request could not be sent or was not answered.
    fn ask(&self, request: &Request) -> Option<Response> {
        Client::new(self.address).send(&request.clone().bearer(&self.token)).ok()
    }

    /// The same without a token.
    fn ask_as_nobody(&self, request: &Request) -> Option<Response> {
        Client::new(self.address).send(request).ok()
    }
}

/// The prober finds nothing on Farthing, which still works afterwards, and something on the server with holes.
fn check(prober: impl Fn(&Target) -> Vec<Finding>) {
    let holes = vulnerable::start();
    let planted = prober(&Target { address: holes, token: "fat_anything".to_owned() });
    assert!(!planted.is_empty(), "the prober does not see the hole that was planted for it");
    let server = Server::start();
    let mut user = server.user("ada");
    let found = prober(&Target::farthing(&server, &user));
    assert_eq!(found, Vec::<Finding>::new());
    user.client = server.client().with_token(&user.token);
    user.pay(&serde_json::json!({"amount": "0.07", "currency": "USD", "reference": "still at work"}))
        .expect(201);
    server.verify();
}
