//! Query strings, strictly: what the route does not name, names twice or cannot hold is refused by name.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Serialize, Serializer};

use super::recipient::recipient;
use super::{Errors, currency};
use crate::http::problem::Problem;
use crate::http::spec::{Field, Kind};
use crate::ledger::{Currency, FeedPosition, Money, Timestamp};
use crate::teller::Recipient;

/// The most rows that one page may have.
pub const MAX_LIMIT: usize = 100;
const DEFAULT_LIMIT: usize = 20;
/// Tells cursors apart should their inside ever change.
const CURSOR_VERSION: u8 = 1;
const PLACE_VERSION: u8 = 2;

/// A place in a list: opaque to clients, the position of its last row to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(u64);

impl Cursor {
    /// After this position.
    pub const fn new(position: u64) -> Self {
        Self(position)
    }

    /// The position.
    pub const fn position(self) -> u64 {
        self.0
    }

    /// Reads a cursor that [`Cursor`]'s `Display` wrote; anything else is none.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 9] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (version, position) = bytes.split_first()?;
        let position = u64::from_be_bytes(position.try_into().ok()?);
        (*version == CURSOR_VERSION).then_some(Self(position))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [CURSOR_VERSION; 9];
        for (to, from) in bytes.iter_mut().skip(1).zip(self.0.to_be_bytes()) {
            *to = from;
        }
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A place in the feed of events: opaque to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Behind the last event.
    pub feed: FeedPosition,
    /// The place of the last delivery that was looked at, of those that are made again; none where they are not followed.
    pub resent: Option<u64>,
}

impl Place {
    /// Reads a place that [`Place`]'s `Display` wrote; anything else is none.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (version, rest) = bytes.split_first()?;
        let (numbers, rest) = rest.as_chunks::<8>();
        let (transaction, notice, resent) = match numbers {
            [transaction, notice] => (transaction, notice, None),
            [transaction, notice, resent] => (transaction, notice, Some(u64::from_be_bytes(*resent))),
            _ => return None,
        };
        let feed = FeedPosition {
            transaction: u64::from_be_bytes(*transaction),
            notice: u64::from_be_bytes(*notice),
        };
        (*version == PLACE_VERSION && rest.is_empty()).then_some(Self { feed, resent })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FeedPosition { transaction, notice } = self.feed;
        let mut bytes = vec![PLACE_VERSION];
        for number in [Some(transaction), Some(notice), self.resent].into_iter().flatten() {
            bytes.extend(number.to_be_bytes());
        }
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A query, decoded, and what is wrong with it so far.
pub struct Query<'a> {
    fields: &'static [Field],
    values: Vec<(&'static str, Cow<'a, str>)>,
    errors: Errors,
}

impl<'a> Query<'a> {
    /// Reads a query string.
    pub fn read(query: Option<&'a str>, fields: &'static [Field]) -> Self {
        let mut read = Self { fields, values: Vec::new(), errors: Errors::default() };
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            read.take(name, value);
        }
        read
    }

    /// The same of a form that was sent by GET, whose empty fields mean that nothing was asked there.
    pub fn read_filled(query: Option<&'a str>, fields: &'static [Field]) -> Self {
        let mut read = Self { fields, values: Vec::new(), errors: Errors::default() };
        for (name, value) in query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('=')) {
            if !value.is_empty() {
                read.take(name, value);
            }
        }
        read
    }

    fn take(&mut self, name: &'a str, value: &'a str) {
        let Some(decoded) = decode(name) else {
            self.errors.push(name, "unknown", "is not a parameter of this call");
            return;
        };
        let Some(field) = self.fields.iter().find(|field| field.name == decoded) else {
            self.errors.push(&decoded, "unknown", "is not a parameter of this call");
            return;
        };
        if self.get(field.name).is_some() {
            self.errors.push(field.name, "duplicate", "is given more than once");
            return;
        }
        match decode(value) {
            Some(value) => self.values.push((field.name, value)),
            None => self.errors.push(field.name, "invalid_encoding", "is not percent-encoded UTF-8"),
        }
    }

    /// The value, if no parameter was wrong.
    ///
    /// # Errors
    /// 422 with every wrong parameter.
    pub fn finish<T>(self, value: T) -> Result<T, Problem> {
        self.errors.finish(Some(value))
    }

    /// Refuses a parameter for a reason of the call's own.
    pub fn refuse(&mut self, name: &'static str, code: &'static str, message: &str) {
        self.errors.push(name, code, message);
    }

    /// Refuses a query that lacks a parameter which it must have.
    pub fn require(&mut self, name: &'static str) {
        if self.get(name).is_none() {
            self.errors.push(name, "required", "is required");
        }
    }

    /// The parameters as decoded, for the link to the next page.
    pub fn pairs(&self) -> Vec<(&'static str, Cow<'a, str>)> {
        self.values.clone()
    }

    /// `limit`, 20 if absent.
    pub fn limit(&mut self) -> usize {
        let Some(text) = self.get("limit") else { return DEFAULT_LIMIT };
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse::<usize>() {
            Ok(limit @ 1..=MAX_LIMIT) if is_number => limit,
            _ => {
                self.errors.push("limit", "out_of_range", "must be a whole number from 1 to 100");
                DEFAULT_LIMIT
            }
        }
    }

    /// `after`: the position after which to go on.
    pub fn after(&mut self) -> Option<u64> {
        let cursor = Cursor::parse(self.get("after")?);
        if cursor.is_none() {
            self.errors.push("after", "invalid_cursor", "must be the 'next' of an earlier page");
        }
        cursor.map(Cursor::position)
    }

    /// A place in the feed after which to go on.
    pub fn place(&mut self, name: &'static str) -> Option<Place> {
        let place = Place::parse(self.get(name)?);
        if place.is_none() {
            self.errors.push(name, "invalid_cursor", "must be the 'next' of an earlier page");
        }
        place
    }

    /// A currency's code.
    pub fn currency(&mut self, name: &'static str) -> Option<Currency> {
        let text = self.get(name)?.to_owned();
        currency(&mut self.errors, name, &text)
    }

    /// An amount of the currency that another parameter names.
    pub fn money(&mut self, name: &'static str, currency: Option<Currency>) -> Option<Money> {
        let text = self.get(name)?;
        let Some(currency) = currency else {
            if self.get("currency").is_none() {
                self.errors.push("currency", "required", format!("is required where {name} is given"));
            }
            return None;
        };
        let money = Money::parse(text, currency);
        money.map_err(|error| self.errors.push(name, error.code(), error.to_string())).ok()
    }

    /// Somebody with whom there are payments: an email address, a user id or the house.
    pub fn recipient(&mut self, name: &'static str) -> Option<Recipient> {
        let recipient = recipient(self.get(name)?);
        if recipient.is_none() {
            let message = "must be an email address, a user id or \"house\"";
            self.errors.push(name, "invalid_recipient", message);
        }
        recipient
    }

    /// Text as the route's parameter bounds it; absent and empty are both none.
    pub fn text(&mut self, name: &'static str) -> Option<String> {
        let max_characters = self.fields.iter().find(|field| field.name == name).map(|field| field.kind);
        let Some(Kind::Text(max_characters)) = max_characters else { return None };
        let text = self.get(name).filter(|text| !text.is_empty())?.to_owned();
        if text.chars().count() > max_characters || text.chars().any(char::is_control) {
            let message =
                format!("must have at most {max_characters} characters, without control characters");
            self.errors.push(name, "invalid_text", message);
            return None;
        }
        Some(text)
    }

    /// An id.
    pub fn id<T: std::str::FromStr>(&mut self, name: &'static str) -> Option<T> {
        let id = self.get(name)?.parse().ok();
        if id.is_none() {
            self.errors.push(name, "invalid_id", "must be an id, as the API gives it");
        }
        id
    }

    /// One of the words that the route's parameter lists.
    pub fn word(&mut self, name: &'static str) -> Option<&'static str> {
        let words = match self.fields.iter().find(|field| field.name == name).map(|field| field.kind) {
            Some(Kind::OneOf(words)) => words,
            _ => &[],
        };
        let text = self.get(name)?;
        let found = words.iter().copied().find(|word| *word == text);
        if found.is_none() {
            self.errors.push(name, "not_allowed", format!("must be one of: {}", words.join(", ")));
        }
        found
    }

    /// The first moment of a range: the time itself, or the beginning of the date.
    pub fn from(&mut self, name: &'static str) -> Option<Timestamp> {
        self.moment(name, super::parse_start)
    }

    /// The first moment after a range: the time itself, or the end of the date.
    pub fn until(&mut self, name: &'static str) -> Option<Timestamp> {
        self.moment(name, super::parse_end)
    }

    fn moment(&mut self, name: &'static str, parse: fn(&str) -> Option<Timestamp>) -> Option<Timestamp> {
        let moment = parse(self.get(name)?);
        if moment.is_none() {
            self.errors.push(
                name,
                "invalid_time",
                "must be a date such as 2026-01-31 or an RFC 3339 time such as 2026-01-31T09:30:00Z",
            );
        }
        moment
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_ref())
    }
}

/// The pairs of a form that was sent, in their order; none if one cannot be decoded.
pub fn decode_form(text: &str) -> Option<Vec<(Cow<'_, str>, Cow<'_, str>)>> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| Some((decode(name)?, decode(value)?)))
        .collect()
}

/// Undoes percent-encoding and `+`; none if what comes out is not UTF-8 or an escape is cut.
fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Some(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => hex_digit(bytes.next()?)? << 4 | hex_digit(bytes.next()?)?,
            plain => plain,
        });
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    static FIELDS: &[Field] = &[
        Field::optional("limit", Kind::Limit, ""),
        Field::optional("after", Kind::After, ""),
        Field::optional("currency", Kind::Currency, ""),
        Field::optional("type", Kind::OneOf(&["payment", "topup"]), ""),
        Field::optional("from", Kind::Moment, ""),
    ];

    fn wrong(text: &str) -> Vec<String> {
        let mut query = Query::read(Some(text), FIELDS);
        query.limit();
        query.after();
        query.currency("currency");
        query.word("type");
        query.from("from");
        let Err(problem) = query.finish(()) else { return Vec::new() };
        let errors = problem.find_member("errors").unwrap().as_array().unwrap().clone();
        errors
            .iter()
            .map(|error| format!("{}:{}", error["field"].as_str().unwrap(), error["code"].as_str().unwrap()))
            .collect()
    }

    #[rstest]
    #[case("", &[])]
    #[case("limit=1&type=topup&currency=usd&from=2026-01-31", &[])]
    #[case("limit=100&&", &[])]
    #[case("%6cimit=%31", &[])]
    #[case("limit=0", &["limit:out_of_range"])]
    #[case("limit=101", &["limit:out_of_range"])]
    #[case("limit=", &["limit:out_of_range"])]
    #[case("limit=%2B5", &["limit:out_of_range"])]
    #[case("limit=99999999999999999999", &["limit:out_of_range"])]
    #[case("limit=1&limit=1", &["limit:duplicate"])]
    #[case("LIMIT=1", &["LIMIT:unknown"])]
    #[case("page=2&after=x", &["page:unknown", "after:invalid_cursor"])]
    #[case("type=refund&currency=XAU&from=now", &["currency:currency_unsupported", "type:not_allowed", "from:invalid_time"])]
    #[case("type=%ff", &["type:invalid_encoding"])]
    #[case("type=%4", &["type:invalid_encoding"])]
    fn what_a_query_may_hold(#[case] text: &str, #[case] expected: &[&str]) {
        assert_eq!(wrong(text), expected);
    }

    #[test]
    fn cursors_come_back_as_they_went_out() {
        for position in [0, 1, 255, 1 << 40, u64::MAX] {
            let cursor = Cursor::new(position);
            assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
        }
    }

    #[rstest]
    #[case("")]
    #[case("AQ")]
    #[case("AQAAAAAAAAAA=")]
    #[case("AgAAAAAAAAAA")]
    #[case("AQAAAAAAAAAAAA")]
    #[case("1")]
    #[case("../../etc")]
    fn what_is_no_cursor_is_refused(#[case] text: &str) {
        assert_eq!(Cursor::parse(text), None);
    }
}
