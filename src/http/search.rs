//! What a history is searched by: the parameters, alike wherever one is listed.

use super::extract::Query;
use super::spec::{Field, Kind};
use super::transactions::{STATUSES, TYPES};
use crate::ledger::{Money, PaymentStatus};
use crate::store::HistoryFilter;
use crate::teller::Search;

pub(crate) const CURRENCY: Field = Field::optional("currency", Kind::Currency, "Only this currency.");
pub(crate) const TYPE: Field = Field::optional("type", Kind::OneOf(TYPES), "Only this type.");
pub(crate) const STATUS: Field = Field::optional("status", Kind::OneOf(STATUSES), "Only this status.");
pub(crate) const FROM: Field = Field::optional("from", Kind::Moment, "At or after this time or date (UTC).");
pub(crate) const TO: Field =
    Field::optional("to", Kind::Moment, "Before this time, or up to the end of this date (UTC).");
pub(crate) const DIRECTION: Field =
    Field::optional("direction", Kind::OneOf(&["in", "out"]), "Only what came in, or went out.");
pub(crate) const COUNTERPARTY: Field = Field::optional(
    "counterparty",
    Kind::Recipient,
    "Only with this other side: an email, a user id or house.",
);
pub(crate) const REFERENCE: Field =
    Field::optional("reference", Kind::Text(100), "Only with exactly this reference.");
pub(crate) const MIN_AMOUNT: Field =
    Field::optional("min_amount", Kind::Amount, "At least this much; needs currency.");
pub(crate) const MAX_AMOUNT: Field =
    Field::optional("max_amount", Kind::Amount, "At most this much; needs currency.");
pub(crate) const METADATA_KEY: Field =
    Field::optional("metadata_key", Kind::Text(40), "Only with this key in the metadata.");
pub(crate) const METADATA_VALUE: Field =
    Field::optional("metadata_value", Kind::Text(500), "And with this value of that key.");

/// These parameters and those that every search takes.
macro_rules! searched {
    ($($field:expr),* $(,)?) => {
        &[
            $($field,)*
            $crate::http::search::COUNTERPARTY,
            $crate::http::search::REFERENCE,
            $crate::http::search::MIN_AMOUNT,
            $crate::http::search::MAX_AMOUNT,
            $crate::http::search::METADATA_KEY,
            $crate::http::search::METADATA_VALUE,
            $crate::http::search::FROM,
            $crate::http::search::TO,
        ]
    };
}
pub(crate) use searched;

/// Reads what is searched for. A parameter that the route does not have is absent.
pub(crate) fn read(query: &mut Query<'_>) -> Search {
    let currency = query.currency("currency");
    let minor = |money: Option<Money>| money.map(Money::amount_minor);
    let (least, most) = (query.money("min_amount", currency), query.money("max_amount", currency));
    let (key, value) = (query.text("metadata_key"), query.text("metadata_value"));
    if key.is_none() && value.is_some() {
        query.refuse("metadata_key", "required", "is required where metadata_value is given");
    }
    let status = query.word("status").and_then(PaymentStatus::from_name);
    let filter = HistoryFilter {
        currency,
        declined: status.map(|status| status == PaymentStatus::Declined),
        from: query.from("from"),
        to: query.until("to"),
        ..HistoryFilter::default()
    };
    Search {
        filter,
        status: status.filter(|status| *status != PaymentStatus::Declined),
        is_out: query.word("direction").map(|word| word == "out"),
        counterparty: query.recipient("counterparty"),
        reference: query.text("reference"),
        least_minor: minor(least),
        most_minor: minor(most),
        metadata: key.map(|key| (key, value)),
    }
}
