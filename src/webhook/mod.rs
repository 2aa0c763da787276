//! Webhooks: what is sent to other people's servers, and how that stays harmless.
//!
//! The order of things: [`target`] says which URLs an endpoint may have, [`guard`] which addresses a connection may go to,
//! [`resolver`] turns names into addresses, [`signature`] signs what is sent (Standard Webhooks), and [`sender`] makes one
//! attempt. Nothing here knows the store.
//!
//! What must not change: a URL is believed nowhere but at the connection. The guard looks at the addresses that a name
//! led to this time, the connection goes to exactly those, and neither a redirect nor a proxy can lead it elsewhere.

pub mod guard;
pub mod resolver;
pub mod sender;
pub mod signature;
pub mod target;

pub use guard::Guard;
pub use resolver::{Resolver, SystemResolver};
pub use sender::{Attempt, Failure, Message, Sender};
pub use signature::{Scheme, Secret};
pub use target::{Target, TargetFault, TargetRules};
