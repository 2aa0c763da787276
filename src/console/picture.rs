//! QR codes on pages.

use maud::{Markup, PreEscaped, html};

use crate::http::qr;

/// A text as a QR code, with what it is for whoever does not see it; nothing if the text is too long for one.
pub(super) fn code(text: &str, label: &str) -> Markup {
    let drawn = qr::svg(text);
    // The drawing is paths and numbers alone; as a document it begins with a declaration, which a page has no place for.
    let drawn = drawn.as_deref().and_then(|document| document.find("<svg").and_then(|at| document.get(at..)));
    html! {
        @if let Some(drawn) = drawn {
            div.code role="img" aria-label=(label) { (PreEscaped(drawn)) }
        }
    }
}
