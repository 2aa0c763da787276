//! The console: pages for people, one more client of the teller beside the API. No rule is written twice.
//!
//! [`routes`] has every page in a table of the same kind as the API's; [`door`] meets browsers: a cookie for the token,
//! forms that prove to be ours, a page or the login for a "no". [`shell`] is the frame of every page, [`form`] and
//! `format` what stands in it; the rest is one file a page. Pages work without script; one script of our own adds to
//! them what can be left out: live figures, keys, a button that is pressed only once.

mod accounts;
mod assets;
mod cookie;
pub mod desk;
mod door;
mod errors;
mod factor;
mod first;
mod form;
mod format;
mod help;
mod history;
mod home;
mod keys;
mod live;
mod multipart;
mod once;
mod own_payments;
mod own_routes;
mod pay;
mod payments;
mod picture;
mod reply;
mod requests;
mod reset;
pub mod routes;
mod secret;
mod security;
mod send;
mod shell;
mod statement;
mod steps;
mod topup;
mod webhooks;

use crate::http::spec::Table;

/// The operators' pages, behind the same door.
pub const DESK: Table =
    Table { prefix: "/console/desk/", routes: desk::routes::PAGES, door: &door::ConsoleDoor };

/// The wallet, and the door in front of them.
pub const CONSOLE: Table = Table { prefix: "/console/", routes: routes::PAGES, door: &door::ConsoleDoor };
/// What a customer has beyond the wallet itself.
pub const OWN_PAGES: Table = Table { routes: routes::OWN_PAGES, ..CONSOLE };
/// The pages to which payment links lead.
pub const PAY_LINKS: Table = Table { prefix: "/pay/", routes: routes::PAY_LINKS, ..CONSOLE };
