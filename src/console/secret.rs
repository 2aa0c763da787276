//! Secrets that are shown once, in the answer to the form that made them.

use maud::{Markup, html};

use super::shell::{self, Place};
use crate::http::call::Call;
use crate::http::spec::Answer;

/// How long an old secret counts beside the new one, in seconds.
pub(super) const OVERLAPS: [(&str, &str); 4] =
    [("86400", "For a day"), ("3600", "For an hour"), ("604800", "For a week"), ("0", "No longer")];

/// What a page says about a secret.
pub(super) struct Shown<'s> {
    /// What it is.
    pub(super) title: &'s str,
    /// What to do with it.
    pub(super) about: Markup,
    /// The secret.
    pub(super) secret: &'s str,
    /// Where to go on.
    pub(super) back: &'s str,
    /// Where that is in the navigation.
    pub(super) place: Place,
}

/// The page, which no other answer repeats: it is kept nowhere, and a reload makes nothing again.
pub(super) fn page(call: &Call, shown: &Shown<'_>) -> Answer {
    let content = html! {
        h1 { (shown.title) }
        div.notice.wait role="status" { p { strong { "This is shown once." } " Copy it now and keep it where only your server reads it." } }
        div.secret { code data-copy { (shown.secret) } }
        (shown.about)
        div.actions { a.button href=(shown.back) { "I have it" } }
    };
    shell::page(call, shown.title, shown.place, &content)
}
