//! The settings in effect, secrets masked: what `farthing config show` prints, of this server.

use maud::html;

use crate::console::shell::{self, Place};
use crate::http::call::Call;
use crate::http::spec::Answer;

pub(super) async fn page(call: Call) -> Answer {
    let rules = call.teller().rules();
    let content = html! {
        h1 { "Settings" }
        p { "In effect on this node, in " (rules.mode.name()) " mode. They are changed in the configuration file, by variables or by flags, and count from the next start." }
        pre tabindex="0" { code { (call.app.settings()) } }
    };
    shell::page(&call, "Settings", Place::Settings, &content)
}
