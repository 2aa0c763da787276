//! `/webhooks`, `/deliveries`.

mod deliveries;
mod keeping;

use serde_json::{Value, json};

use crate::support::receiver::Receiver;
use crate::support::server::Builder;
use crate::support::{Server, User};

/// A server that may send to these receivers, and tries again after these seconds.
pub fn server_for(receivers: &[&Receiver], schedule: &str) -> Server {
    builder_for(receivers, schedule).start()
}

pub fn builder_for(receivers: &[&Receiver], schedule: &str) -> Builder {
    Server::builder().sends_to(receivers).env("FARTHING_WEBHOOKS_RETRY_SCHEDULE_SECONDS", schedule)
}

/// Makes a webhook; gives what the answer says.
pub fn make(user: &mut User, receiver: &Receiver, events: &[&str]) -> Value {
    let body = json!({"url": receiver.url(), "events": events});
    user.client.post("/webhooks", &body).expect(201).json()
}
