//! `farthing config`: check or show what is in force, and the reference of all keys.

use std::fmt::Write as _;

use super::terminal::{Failure, print};
use crate::config::{KEYS, Loaded};

/// `config check`: by the time that this runs, the configuration was read and found well.
pub fn check(loaded: &Loaded) -> Result<(), Failure> {
    match loaded.warnings.len() {
        0 => print("the configuration is well"),
        1 => print("the configuration is well, with 1 warning"),
        count => print(&format!("the configuration is well, with {count} warnings")),
    }
}

/// `config show`.
pub fn show(loaded: &Loaded) -> Result<(), Failure> {
    print(loaded.to_toml().trim_end())
}

/// `config keys`.
pub fn keys() -> Result<(), Failure> {
    print(markdown().trim_end())
}

/// Every key as a Markdown table, for the documentation.
pub fn markdown() -> String {
    let mut text =
        "| key | variable | default | what it does | allowed |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for key in KEYS {
        let short = key.short_variable.map(|short| format!("`{short}` or ")).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| `[{}] {}` | {short}`{}` | {} | {} | {} |",
            key.section,
            key.name,
            key.variable(),
            if key.default.starts_with('(') { key.default.to_owned() } else { format!("`{}`", key.default) },
            key.doc,
            key.allowed,
        );
    }
    text
}
