//! Forms as people see them: fields with what was typed, and each error beside the field that caused it.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde_json::Value;

use super::history::sentence;
use crate::http::call::Call;
use crate::http::problem::{Code, Problem};

/// What a form holds when it is shown: what was typed, and what was wrong with it.
#[derive(Debug, Clone, Default)]
pub(super) struct Filled {
    values: BTreeMap<String, String>,
    errors: Vec<(String, String)>,
    /// What is wrong with no field of its own.
    trouble: Option<(String, String)>,
}

/// The field that a problem without fields of its own speaks of, and what stands beside it.
fn beside(problem: &Problem) -> Option<(&'static str, String)> {
    let field = match problem.code() {
        Code::EmailTaken => "email",
        Code::RecipientNotFound => "to",
        Code::OtpRequired => return Some(("otp", "is needed for this".to_owned())),
        Code::OtpInvalid => return Some(("otp", "is wrong, too old, or was used before".to_owned())),
        _ => return None,
    };
    Some((field, format!(": {}", problem.detail())))
}

/// Several words of one field are lines.
fn text_of(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Array(words) => words.into_iter().map(text_of).collect::<Vec<_>>().join("\n"),
        other => other.to_string(),
    }
}

impl Filled {
    /// A form with these values in it.
    pub(super) fn with(values: &[(&str, &str)]) -> Self {
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { values, ..Self::default() }
    }

    /// What was sent.
    pub(super) fn sent(call: &Call) -> Self {
        let sent: BTreeMap<String, Value> = serde_json::from_slice(&call.body).unwrap_or_default();
        let values = sent.into_iter().map(|(name, value)| (name, text_of(value))).collect();
        Self { values, ..Self::default() }
    }

    /// What was sent, and why it was refused.
    pub(super) fn refused(call: &Call, problem: &Problem) -> Self {
        Self::sent(call).wrong(problem)
    }

    /// The same values, and why they were refused.
    pub(super) fn wrong(mut self, problem: &Problem) -> Self {
        let errors = problem.find_member("errors").and_then(Value::as_array);
        for error in errors.map(Vec::as_slice).unwrap_or_default() {
            let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            self.errors.push((text("field"), text("message")));
        }
        if let Some((field, message)) = beside(problem) {
            self.errors.push((field.to_owned(), message));
        }
        if self.errors.is_empty() {
            self.trouble = Some((problem.code().entry().title.to_owned(), problem.detail().to_owned()));
        }
        self
    }

    /// The same, with a value where a field has none.
    pub(super) fn or(&self, name: &str, value: &str) -> Self {
        let mut filled = self.clone();
        filled.values.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        filled
    }

    /// What was typed into a field.
    pub(super) fn value(&self, name: &str) -> &str {
        self.values.get(name).map(String::as_str).unwrap_or_default()
    }

    /// Whether a word was chosen in a field that takes several.
    fn has_chosen(&self, name: &str, word: &str) -> bool {
        self.value(name).lines().any(|chosen| chosen == word)
    }

    /// What is wrong with a field.
    pub(super) fn error(&self, name: &str) -> Option<&str> {
        self.errors.iter().find(|(field, _)| field == name).map(|(_, message)| message.as_str())
    }

    /// What stands above the form: what is wrong with none of these fields, or how many are wrong.
    pub(super) fn summary(&self, fields: &[&str]) -> Markup {
        let others: Vec<&(String, String)> =
            self.errors.iter().filter(|(field, _)| !fields.contains(&field.as_str())).collect();
        html! {
            @if let Some((title, detail)) = &self.trouble {
                div.notice.bad role="alert" { p { strong { (title) "." } " " (detail) } }
            } @else if !others.is_empty() {
                div.notice.bad role="alert" { @for (field, message) in others { p { (field) " " (message) } } }
            } @else if !self.errors.is_empty() {
                div.notice.bad role="alert" {
                    p { @if self.errors.len() == 1 { "One field needs another look." } @else { (self.errors.len()) " fields need another look." } }
                }
            }
        }
    }
}

/// What browsers know a code of a second factor by.
const ONE_TIME_CODE: &str = "one-time-code";

/// A field of one line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input {
    /// Its name, as the API's.
    pub(super) name: &'static str,
    /// What people call it.
    pub(super) label: &'static str,
    /// The kind of input.
    pub(super) kind: &'static str,
    /// What helps to fill it; empty if nothing needs to be said.
    pub(super) hint: &'static str,
    /// What browsers may fill it with.
    pub(super) autocomplete: &'static str,
    /// What keyboard a phone shows.
    pub(super) inputmode: Option<&'static str>,
    /// Whether it must be filled.
    pub(super) required: bool,
}

impl Input {
    /// A field for text that may stay empty.
    pub(super) const fn text(name: &'static str, label: &'static str, hint: &'static str) -> Self {
        Self { name, label, kind: "text", hint, autocomplete: "off", inputmode: None, required: false }
    }

    /// A field for an email address.
    pub(super) const fn email() -> Self {
        let email = Self::text("email", "Email", "");
        Self { kind: "email", autocomplete: "username", required: true, ..email }
    }

    /// A field for a password.
    pub(super) const fn password(
        name: &'static str,
        label: &'static str,
        autocomplete: &'static str,
    ) -> Self {
        Self { kind: "password", autocomplete, required: true, ..Self::text(name, label, "") }
    }

    /// A field for a code of the second factor.
    pub(super) const fn otp() -> Self {
        let otp = Self::text("otp", "Code", "What your authenticator app shows, or a recovery code.");
        Self { autocomplete: ONE_TIME_CODE, required: true, ..otp }
    }

    /// A field for an amount.
    pub(super) const fn amount() -> Self {
        let amount = Self::text("amount", "Amount", "");
        Self { inputmode: Some("decimal"), required: true, ..amount }
    }

    /// The same field, with something that helps.
    pub(super) const fn hint(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }

    /// The same field, which must be filled.
    pub(super) const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// The field as it stands in a form. What was typed into a password or a code is not given back.
    pub(super) fn show(&self, filled: &Filled) -> Markup {
        let is_secret = self.kind == "password" || self.autocomplete == ONE_TIME_CODE;
        let value = if is_secret { "" } else { filled.value(self.name) };
        let error = filled.error(self.name);
        html! {
            div.field.wrong[error.is_some()] {
                label for=(self.name) { (self.label) @if !self.required { span.quiet { " (optional)" } } }
                input id=(self.name) name=(self.name) type=(self.kind) value=[Some(value).filter(|value| !value.is_empty())]
                    autocomplete=(self.autocomplete) inputmode=[self.inputmode] required[self.required]
                    aria-invalid=[error.map(|_| "true")] aria-describedby=[described_by(self.name, self.hint, error)];
                (below(self.name, self.label, self.hint, error))
            }
        }
    }
}

/// A field that takes one of a few values, each behind its label.
pub(super) fn select(
    filled: &Filled,
    name: &'static str,
    label: &str,
    options: impl IntoIterator<Item = (String, String)>,
) -> Markup {
    let (chosen, error) = (filled.value(name), filled.error(name));
    html! {
        div.field.wrong[error.is_some()] {
            label for=(name) { (label) }
            select id=(name) name=(name) aria-invalid=[error.map(|_| "true")] aria-describedby=[described_by(name, "", error)] {
                @for (value, text) in options { option value=(value) selected[value == chosen] { (text) } }
            }
            (below(name, label, "", error))
        }
    }
}

/// What a filter offers: any, or one of these.
pub(super) fn or_any(
    options: impl IntoIterator<Item = (String, String)>,
) -> impl Iterator<Item = (String, String)> {
    std::iter::once((String::new(), "Any".to_owned())).chain(options)
}

/// What a filter offers of words of ours: any, or one.
pub(super) fn any_word(words: &[&str]) -> impl Iterator<Item = (String, String)> {
    or_any(words.iter().map(|word| ((*word).to_owned(), sentence(word))))
}

/// Options that are always the same, as [`select`] takes them.
pub(super) fn owned<const N: usize>(options: [(&str, &str); N]) -> [(String, String); N] {
    options.map(|(value, label)| (value.to_owned(), label.to_owned()))
}

/// A field that takes several of a few words, each behind its label.
pub(super) fn checkboxes<'o>(
    filled: &Filled,
    name: &'static str,
    legend: &str,
    options: impl IntoIterator<Item = (&'o str, &'o str)>,
) -> Markup {
    let error = filled.error(name);
    html! {
        fieldset.field.wrong[error.is_some()] aria-describedby=[described_by(name, "", error)] {
            legend { (legend) }
            @for (word, label) in options {
                label.check {
                    input type="checkbox" name=(name) value=(word) checked[filled.has_chosen(name, word)];
                    span { (label) }
                }
            }
            (below(name, legend, "", error))
        }
    }
}

fn described_by(name: &str, hint: &str, error: Option<&str>) -> Option<String> {
    let parts: Vec<String> =
        [(!hint.is_empty()).then(|| format!("{name}-hint")), error.map(|_| format!("{name}-error"))]
            .into_iter()
            .flatten()
            .collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

fn below(name: &str, label: &str, hint: &str, error: Option<&str>) -> Markup {
    html! {
        @if let Some(message) = error {
            // A message of the API begins in the middle of the sentence that its field begins.
            p.error id={ (name) "-error" } { (label) @if !message.starts_with(':') { " " } (message) @if !message.ends_with('.') { "." } }
        }
        @if !hint.is_empty() { p.hint id={ (name) "-hint" } { (hint) } }
    }
}
