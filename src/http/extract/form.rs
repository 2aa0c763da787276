//! JSON bodies: an object of raw values, read field by field, with all errors gathered into one 422.
//!
//! Numbers are read from their text and never through a float. What the route's fields do not name is refused, and so
//! is a key given twice, because two readers of such a body could see two different requests.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::recipient::recipient;
use super::{Errors, currency, parse_start};
use crate::http::problem::{Code, Problem};
use crate::http::spec::{Field, Kind};
use crate::ledger::{Amount, Currency, Email, Money, MoneyError, Timestamp};
use crate::teller::Recipient;

/// The most pairs that metadata may have.
pub const MAX_METADATA_PAIRS: usize = 50;
const MAX_METADATA_KEY: usize = 40;
const MAX_METADATA_VALUE: usize = 500;
/// Far above what any field of ours nests.
const MAX_DEPTH: usize = 64;
/// Longer than any password that is allowed, so that the password rules speak and not this bound.
const MAX_SECRET: usize = 4096;

/// A body that is a JSON object, and what is wrong with its fields so far.
pub struct Form<'a> {
    fields: &'static [Field],
    values: Vec<(&'static str, &'a RawValue)>,
    errors: Errors,
}

impl<'a> Form<'a> {
    /// Reads a body; an empty one is an empty object.
    ///
    /// # Errors
    /// 400 `malformed_json` if it is not JSON in UTF-8, or nested too deeply; 422 if it is JSON and no object.
    pub fn read(body: &'a [u8], fields: &'static [Field]) -> Result<Self, Problem> {
        let mut form = Self { fields, values: Vec::with_capacity(fields.len()), errors: Errors::default() };
        if body.is_empty() {
            return Ok(form);
        }
        let text = std::str::from_utf8(body).map_err(|_| malformed("The body is not valid UTF-8."))?;
        if is_too_deep(body) {
            return Err(malformed(format!("The body is nested deeper than {MAX_DEPTH} levels.")));
        }
        let mut reader = serde_json::Deserializer::from_str(text);
        let pairs =
            reader.deserialize_map(PairsVisitor(fields)).and_then(|pairs| reader.end().map(|()| pairs));
        let pairs = pairs.map_err(|error| {
            if !text.trim_start().starts_with('{')
                && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
            {
                return Problem::field("body", "wrong_type", "must be a JSON object");
            }
            malformed(format!(
                "The body is not one JSON object: reading stopped at line {}, column {}.",
                error.line(),
                error.column()
            ))
        })?;
        form.take(pairs);
        Ok(form)
    }

    /// Sorts out unknown and repeated keys.
    fn take(&mut self, pairs: Vec<(Key, &'a RawValue)>) {
        let mut unknown = BTreeSet::new();
        for (key, value) in pairs {
            match key {
                Key::Known(name) if self.values.iter().any(|(known, _)| *known == name) => {
                    self.errors.push(name, "duplicate", "is given more than once");
                }
                Key::Known(name) => self.values.push((name, value)),
                Key::Unknown(name) => {
                    if unknown.contains(&name) {
                        self.errors.push(&name, "duplicate", "is given more than once");
                    } else {
                        self.errors.push(&name, "unknown", "is not a field of this call");
                        unknown.insert(name);
                    }
                }
            }
        }
    }

    /// The value, if no field was wrong.
    ///
    /// # Errors
    /// 422 with every wrong field.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Problem> {
        self.errors.finish(value)
    }

    /// Notes that a field is wrong.
    pub fn refuse(&mut self, name: &str, code: &'static str, message: &str) {
        self.errors.push(name, code, message);
    }

    /// Whether any field was wrong so far.
    pub fn has_errors(&self) -> bool {
        !self.errors.0.is_empty()
    }

    /// Whether the field is there and not null.
    pub fn has(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    /// Text as the route's field bounds it; absent, null and empty are all none.
    pub fn text(&mut self, name: &'static str) -> Option<String> {
        let max_characters = match self.kind(name) {
            Some(Kind::Text(max_characters)) => max_characters,
            _ => MAX_SECRET,
        };
        let text = self.string(name)?;
        if text.chars().any(char::is_control) {
            self.errors.push(name, "control_character", "must not contain control characters");
            return None;
        }
        if text.chars().count() > max_characters {
            self.errors.push(name, "too_long", format!("must have at most {max_characters} characters"));
            return None;
        }
        if text.is_empty() && self.is_required(name) {
            self.errors.push(name, "required", "is required");
            return None;
        }
        (!text.is_empty()).then(|| text.into_owned())
    }

    /// A secret's text as it is: a password or a token.
    pub fn secret(&mut self, name: &'static str) -> Option<Cow<'a, str>> {
        let text = self.string(name)?;
        Some(text)
    }

    /// An email address.
    pub fn email(&mut self, name: &'static str) -> Option<Email> {
        let text = self.string(name)?;
        Email::parse(&text).map_err(|error| self.errors.push(name, "invalid_email", error.to_string())).ok()
    }

    /// Whom to pay: a user id or an email address.
    pub fn recipient(&mut self, name: &'static str) -> Option<Recipient> {
        let text = self.string(name)?;
        let recipient = recipient(&text);
        if recipient.is_none() {
            self.errors.push(
                name,
                "invalid_recipient",
                "must be an email address, a user id or \"house\"; leave it out to pay the house",
            );
        }
        recipient
    }

    /// A list of objects, each read as a body of its own; what is wrong in one is told with its place.
    pub fn items<T>(
        &mut self,
        name: &'static str,
        mut read: impl FnMut(&mut Form<'a>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Some(Kind::Items(fields, most)) = self.kind(name) else { return None };
        let Some(raw) = self.raw(name) else {
            self.errors.push(name, "required", "is required");
            return None;
        };
        let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) else {
            self.errors.push(name, "wrong_type", "must be a list of objects");
            return None;
        };
        if items.is_empty() || items.len() > most {
            self.errors.push(name, "wrong_count", format!("must have 1 to {most} items"));
            return None;
        }
        let mut values = Vec::with_capacity(items.len());
        for (place, item) in items.into_iter().enumerate() {
            let Ok(mut form) = Form::read(item.get().as_bytes(), fields) else {
                self.errors.push(&format!("{name}[{place}]"), "wrong_type", "must be a JSON object");
                continue;
            };
            values.extend(read(&mut form));
            for error in form.errors.0 {
                self.errors.push(&format!("{name}[{place}].{}", error.field), error.code, error.message);
            }
        }
        Some(values)
    }

    /// One of the words that the route's field lists.
    pub fn word(&mut self, name: &'static str) -> Option<&'static str> {
        let words = match self.kind(name) {
            Some(Kind::OneOf(words)) => words,
            _ => &[],
        };
        let text = self.string(name)?;
        let found = words.iter().copied().find(|word| *word == text);
        if found.is_none() {
            self.errors.push(name, "not_allowed", format!("must be one of: {}", words.join(", ")));
        }
        found
    }

    /// True or false.
    pub fn flag(&mut self, name: &'static str) -> Option<bool> {
        let flag = serde_json::from_str(self.raw(name)?.get()).ok();
        if flag.is_none() {
            self.errors.push(name, "wrong_type", "must be true or false");
        }
        flag
    }

    /// A list of words, as many as the route's field allows.
    pub fn words(&mut self, name: &'static str) -> Option<Vec<String>> {
        let Some(Kind::Words(most)) = self.kind(name) else { return None };
        let words: Option<Vec<String>> = serde_json::from_str(self.present(name)?.get()).ok();
        let fits = |words: &Vec<String>| words.len() <= most && words.iter().all(|word| word.len() <= 100);
        let words = words.filter(fits);
        if words.is_none() {
            self.errors.push(name, "wrong_type", format!("must be a list of at most {most} short strings"));
        }
        words
    }

    /// An amount and its currency; both are checked as far as each can be without the other.
    pub fn money(&mut self, amount: &'static str, currency_name: &'static str) -> Option<Money> {
        let currency = match self.string(currency_name) {
            Some(text) => currency(&mut self.errors, currency_name, &text),
            None => None,
        };
        let text = self.amount_text(amount)?;
        let error = match (Money::parse(&text, currency.unwrap_or(Currency::USD)), currency) {
            (Ok(money), Some(_)) => return Some(money),
            // How many decimals are too many, and how much is too much, depend on the currency, which is wrong.
            (Ok(_) | Err(MoneyError::TooPrecise { .. } | MoneyError::TooLarge), None) => return None,
            (Err(error), _) => error,
        };
        self.errors.push(amount, error.code(), error.to_string());
        None
    }

    /// An amount whose currency is known elsewhere.
    pub fn amount(&mut self, name: &'static str) -> Option<Amount> {
        let text = self.amount_text(name)?;
        Amount::parse(&text).map_err(|error| self.errors.push(name, error.code(), error.to_string())).ok()
    }

    /// A currency's code.
    pub fn currency(&mut self, name: &'static str) -> Option<Currency> {
        let text = self.string(name)?;
        currency(&mut self.errors, name, &text)
    }

    /// A time: RFC 3339, or the beginning of a date (UTC).
    pub fn moment(&mut self, name: &'static str) -> Option<Timestamp> {
        let text = self.string(name)?;
        let moment = parse_start(&text);
        if moment.is_none() {
            let message =
                "must be a date such as 2026-01-31 or an RFC 3339 time such as 2026-01-31T09:30:00Z";
            self.errors.push(name, "invalid_time", message);
        }
        moment
    }

    /// A whole number between the bounds of the route's field.
    pub fn number(&mut self, name: &'static str) -> Option<i64> {
        let raw = self.present(name)?;
        let (least, most) = match self.kind(name) {
            Some(Kind::Number(least, most)) => (least, most),
            _ => (i64::MIN, i64::MAX),
        };
        let number = raw.get().parse::<i64>().ok().filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.errors.push(name, "out_of_range", format!("must be a whole number from {least} to {most}"));
        }
        number
    }

    /// Pairs of strings, as a JSON object with sorted keys; absent, null and `{}` are all none.
    pub fn metadata(&mut self, name: &'static str) -> Option<String> {
        let raw = self.raw(name)?;
        let mut reader = serde_json::Deserializer::from_str(raw.get());
        let Ok(pairs) = reader.deserialize_map(PairsVisitor(&[])) else {
            self.errors.push(name, "wrong_type", "must be an object of strings");
            return None;
        };
        if pairs.len() > MAX_METADATA_PAIRS {
            self.errors.push(name, "too_many", format!("must have at most {MAX_METADATA_PAIRS} pairs"));
            return None;
        }
        let mut sorted = BTreeMap::new();
        let mut all_well = true;
        for (key, value) in pairs {
            let Key::Unknown(key) = key else { continue };
            match check_pair(&key, value, sorted.contains_key(&key)) {
                Ok(value) => {
                    sorted.insert(key, value);
                }
                Err((code, message)) => {
                    self.errors.push(&format!("{name}.{key}"), code, message);
                    all_well = false;
                }
            }
        }
        if !all_well || sorted.is_empty() {
            return None;
        }
        serde_json::to_string(&sorted).ok()
    }

    fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    fn kind(&self, name: &str) -> Option<Kind> {
        self.field(name).map(|field| field.kind)
    }

    fn is_required(&self, name: &str) -> bool {
        self.field(name).is_some_and(|field| field.required)
    }

    /// The value as it was written; null counts as absent.
    fn raw(&self, name: &str) -> Option<&'a RawValue> {
        let found = self.values.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        found.filter(|value| value.get() != "null")
    }

    /// The value, which must be there if the field is required.
    fn present(&mut self, name: &'static str) -> Option<&'a RawValue> {
        let raw = self.raw(name);
        if raw.is_none() && self.is_required(name) {
            self.errors.push(name, "required", "is required");
        }
        raw
    }

    fn string(&mut self, name: &'static str) -> Option<Cow<'a, str>> {
        let raw = self.present(name)?;
        if let Some(text) = read_string(raw) {
            Some(text)
        } else {
            self.errors.push(name, "wrong_type", "must be a string of valid Unicode");
            None
        }
    }

    /// An amount's text: the inside of a string, or a number as it was written.
    fn amount_text(&mut self, name: &'static str) -> Option<Cow<'a, str>> {
        let raw = self.present(name)?;
        let text = raw.get();
        if text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
            return Some(Cow::Borrowed(text));
        }
        let inside = read_string(raw);
        if inside.is_none() {
            self.errors.push(name, "wrong_type", "must be a string such as \"12.50\", or a number");
        }
        inside
    }
}

fn check_pair(
    key: &str,
    value: &RawValue,
    is_repeated: bool,
) -> Result<String, (&'static str, &'static str)> {
    if is_repeated {
        return Err(("duplicate", "is given more than once"));
    }
    if key.is_empty() || key.chars().count() > MAX_METADATA_KEY || key.chars().any(char::is_control) {
        return Err(("invalid_key", "must have a key of 1 to 40 characters without control characters"));
    }
    let text = read_string(value).ok_or(("wrong_type", "must be a string"))?;
    if text.chars().count() > MAX_METADATA_VALUE {
        return Err(("too_long", "must have at most 500 characters"));
    }
    if text.chars().any(char::is_control) {
        return Err(("control_character", "must not contain control characters"));
    }
    Ok(text.into_owned())
}

/// The inside of a JSON string; borrowed if nothing in it is escaped.
fn read_string(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inside = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if inside.contains('\\') {
        return serde_json::from_str(raw.get()).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inside))
}

/// Whether brackets outside strings nest deeper than [`MAX_DEPTH`].
fn is_too_deep(body: &[u8]) -> bool {
    let opening = body.iter().filter(|byte| matches!(byte, b'{' | b'[')).count();
    if opening <= MAX_DEPTH {
        return false;
    }
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    for byte in body {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth = depth.saturating_add(1),
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}

fn malformed(detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem::with_detail(Code::MalformedJson, detail)
}

/// A key of an object: one that the route names, or any other.
enum Key {
    Known(&'static str),
    Unknown(String),
}

struct KeySeed(&'static [Field]);

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Key;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = Key;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E>(self, name: &str) -> Result<Key, E> {
        let known = self.0.iter().find(|field| field.name == name);
        Ok(known.map_or_else(|| Key::Unknown(name.to_owned()), |field| Key::Known(field.name)))
    }
}

struct PairsVisitor(&'static [Field]);

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Vec<(Key, &'de RawValue)>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::with_capacity(self.0.len());
        while let Some(key) = map.next_key_seed(KeySeed(self.0))? {
            pairs.push((key, map.next_value()?));
        }
        Ok(pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    static FIELDS: &[Field] = &[
        Field::required("amount", Kind::Amount, ""),
        Field::required("currency", Kind::Currency, ""),
        Field::optional("to", Kind::Recipient, ""),
        Field::optional("description", Kind::Text(5), ""),
        Field::optional("metadata", Kind::Metadata, ""),
        Field::optional("capture", Kind::OneOf(&["automatic"]), ""),
    ];

    fn problem_errors(problem: &Problem) -> Vec<(String, String)> {
        let errors = problem.find_member("errors").expect("a validation problem");
        errors
            .as_array()
            .unwrap()
            .iter()
            .map(|error| (error["field"].as_str().unwrap().into(), error["code"].as_str().unwrap().into()))
            .collect()
    }

    fn read_all(body: &str) -> Result<(Money, Option<String>, Option<String>), Problem> {
        let mut form = Form::read(body.as_bytes(), FIELDS)?;
        let money = form.money("amount", "currency");
        form.recipient("to");
        let description = form.text("description");
        let metadata = form.metadata("metadata");
        form.word("capture");
        form.finish(money.map(|money| (money, description, metadata)))
    }

    #[rstest]
    #[case("")]
    #[case("nul")]
    #[case("[1,")]
    #[case("\"a")]
    #[case("{")]
    #[case("{} x")]
    #[case("{}{}")]
    #[case("{'a':1}")]
    #[case("{\"a\":1,}")]
    #[case("{\"amount\":007}")]
    #[case("{\"amount\":.5}")]
    #[case("{\"amount\":5.}")]
    #[case("{\"amount\":NaN}")]
    #[case("{\"a\":\"\u{1}\"}")]
    #[case("\u{feff}{}")]
    #[case("{\"\\ud800\":1}")]
    fn what_is_no_json_is_malformed(#[case] body: &str) {
        // An empty body is an empty object to the reader; whether it may be left out is the dispatcher's question.
        let Err(problem) = Form::read(body.as_bytes(), FIELDS) else {
            assert_eq!(body, "");
            return;
        };
        assert_eq!(problem.code(), Code::MalformedJson);
    }

    #[test]
    fn bytes_that_are_no_utf8_are_malformed() {
        assert_eq!(Form::read(b"{\"a\":\"\xff\"}", FIELDS).err().unwrap().code(), Code::MalformedJson);
    }

    #[test]
    fn deep_nesting_is_malformed_and_brackets_in_strings_are_not_nesting() {
        let deep = format!("{{\"metadata\":{}{}}}", "[".repeat(64), "]".repeat(64));
        assert_eq!(Form::read(deep.as_bytes(), FIELDS).err().unwrap().code(), Code::MalformedJson);
        let flat = format!("{{\"metadata\":\"{}\\\"[[\"}}", "[".repeat(200));
        assert!(Form::read(flat.as_bytes(), FIELDS).is_ok());
    }

    #[rstest]
    #[case("{\"amount\":\"12.50\",\"currency\":\"USD\"}", 1250)]
    #[case("{\"amount\":12.50,\"currency\":\"usd\"}", 1250)]
    #[case("{\"amount\":0.1,\"currency\":\"USD\"}", 10)]
    #[case("{\"amount\":\"1\\u0030\",\"currency\":\"USD\"}", 1000)]
    #[case("{\"amount\":1200,\"currency\":\"JPY\",\"to\":null,\"description\":\"\",\"metadata\":{}}", 1200)]
    fn amounts_are_read_from_their_text(#[case] body: &str, #[case] minor: i64) {
        let (money, description, metadata) = read_all(body).unwrap();
        assert_eq!((money.amount_minor(), description, metadata), (minor, None, None));
    }

    #[rstest]
    #[case("{}", &[("currency", "required"), ("amount", "required")])]
    #[case("{\"amount\":null,\"currency\":null}", &[("currency", "required"), ("amount", "required")])]
    #[case("{\"amount\":1e3,\"currency\":\"USD\"}", &[("amount", "amount_malformed")])]
    #[case("{\"amount\":1.0000000000000000001,\"currency\":\"USD\"}", &[("amount", "amount_too_precise")])]
    #[case("{\"amount\":-1,\"currency\":\"USD\"}", &[("amount", "amount_negative")])]
    #[case("{\"amount\":\"-1\",\"currency\":\"ZZZ\"}", &[("currency", "currency_unknown"), ("amount", "amount_negative")])]
    #[case("{\"amount\":1.123,\"currency\":\"XAU\"}", &[("currency", "currency_unsupported")])]
    #[case("{\"amount\":true,\"currency\":5}", &[("currency", "wrong_type"), ("amount", "wrong_type")])]
    #[case("{\"amount\":1,\"amount\":2,\"currency\":\"USD\"}", &[("amount", "duplicate")])]
    #[case("{\"amount\":1,\"currency\":\"USD\",\"x\":1,\"x\":2}", &[("x", "unknown"), ("x", "duplicate")])]
    #[case("{\"amount\":1,\"currency\":\"USD\",\"to\":\"\"}", &[("to", "invalid_recipient")])]
    #[case("{\"amount\":1,\"currency\":\"USD\",\"to\":\"pay_01h455vb4pex5vsknk084sn02q\"}", &[("to", "invalid_recipient")])]
    #[case("{\"amount\":1,\"currency\":\"USD\",\"description\":\"123456\"}", &[("description", "too_long")])]
    #[case("{\"amount\":1,\"currency\":\"USD\",\"description\":\"a\\u0000\"}", &[("description", "control_character")])]
    #[case("{\"amount\":1,\"currency\":\"USD\",\"description\":\"\\ud800\"}", &[("description", "wrong_type")])]
    #[case("{\"amount\":1,\"currency\":\"USD\",\"capture\":\"later\"}", &[("capture", "not_allowed")])]
    #[case("{\"amount\":1,\"currency\":\"USD\",\"metadata\":[]}", &[("metadata", "wrong_type")])]
    #[case("{\"amount\":1,\"currency\":\"USD\",\"metadata\":{\"a\":1,\"\":\"x\"}}", &[("metadata.a", "wrong_type"), ("metadata.", "invalid_key")])]
    #[case("{\"amount\":1,\"currency\":\"USD\",\"metadata\":{\"a\":\"1\",\"a\":\"2\"}}", &[("metadata.a", "duplicate")])]
    fn every_wrong_field_is_named(#[case] body: &str, #[case] expected: &[(&str, &str)]) {
        let problem = read_all(body).unwrap_err();
        let expected: Vec<_> =
            expected.iter().map(|(field, code)| ((*field).to_owned(), (*code).to_owned())).collect();
        assert_eq!(problem_errors(&problem), expected);
    }

    #[test]
    fn metadata_is_kept_with_sorted_keys() {
        let body = "{\"amount\":1,\"currency\":\"USD\",\"metadata\":{\"b\":\"\\u0032\",\"a\":\"ä\"}}";
        assert_eq!(read_all(body).unwrap().2.as_deref(), Some("{\"a\":\"ä\",\"b\":\"2\"}"));
    }

    #[test]
    fn metadata_has_at_most_50_pairs() {
        let body = |pairs: usize| {
            let pairs: Vec<_> = (0..pairs).map(|index| format!("\"k{index}\":\"v\"")).collect();
            format!("{{\"amount\":1,\"currency\":\"USD\",\"metadata\":{{{}}}}}", pairs.join(","))
        };
        assert!(read_all(&body(50)).is_ok());
        assert_eq!(problem_errors(&read_all(&body(51)).unwrap_err())[0].1, "too_many");
    }

    #[test]
    fn an_answer_lists_at_most_100_errors() {
        let pairs: Vec<_> = (0..9000).map(|index| format!("\"{index}\":1")).collect();
        let problem = read_all(&format!("{{{}}}", pairs.join(","))).unwrap_err();
        assert_eq!(problem_errors(&problem).len(), MAX_ERRORS_IN_TEST);
    }

    const MAX_ERRORS_IN_TEST: usize = 100;
}
