//! Ids: one type a kind, all `TypeID`s (a prefix, `_`, a UUID in Crockford base32; `TypeID` specification 0.3).
//!
//! The types cannot be mixed up, and parsing refuses another kind's prefix. Order is the order of commits, never of ids.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// 128 bits in groups of five: 26 digits, the first of which holds three bits.
const DIGITS: usize = 26;

/// A text that is not an id of the kind asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of this kind")]
pub struct IdError;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// What stands before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// Gives a UUID this kind.
            pub const fn new(uuid: Uuid) -> Self { Self(uuid) }

            /// The UUID within.
            pub const fn uuid(self) -> Uuid { self.0 }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_type_id(f, Self::PREFIX, self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { fmt::Display::fmt(self, f) }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> { parse_type_id(text, Self::PREFIX).map(Self) }
        }
    )*};
}

ids! {
    /// A user: a person, or one of the system's own parties.
    UserId = "usr";
    /// A payment.
    PaymentId = "pay";
    /// A transaction of the journal. A payment's own transaction has the payment's UUID.
    TransactionId = "txn";
    /// A refund. Its transaction has the refund's UUID.
    RefundId = "rfd";
    /// A payment request. Its UUID is all random: who knows it may see and pay the request.
    PaymentRequestId = "plk";
    /// A schedule.
    ScheduleId = "sch";
    /// A session: one login and the tokens that follow from it.
    SessionId = "ses";
    /// An API key: a session of the same UUID.
    KeyId = "key";
    /// A security event.
    SecurityEventId = "sec";
    /// An event, as the feed and webhooks tell it.
    EventId = "evt";
    /// A webhook: where its owner's events are sent.
    WebhookId = "whk";
    /// One event on its way to one webhook.
    DeliveryId = "dlv";
    /// One request, in the log, the problem and the `Request-Id` header.
    RequestId = "req";
}

/// A map by ids, or by what is made of them. They are ours and random, so that its hash may be a quick one.
pub type IdMap<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

impl UserId {
    /// The house: the operator's own merchant account.
    pub const HOUSE: Self = Self(Uuid::from_u128(1));
    /// Where grants and simulated top-ups come from. May be below zero.
    pub const SANDBOX: Self = Self(Uuid::from_u128(2));
    /// The other side of deposits and withdrawals. May be below zero.
    pub const CASH: Self = Self(Uuid::from_u128(3));
    /// The parties that every ledger has, in the order in which engines number them from 1.
    pub const SYSTEM: [Self; 3] = [Self::HOUSE, Self::SANDBOX, Self::CASH];

    /// The name by which clients know a party of [`Self::SYSTEM`]; a user is known by their id.
    pub fn system_name(self) -> Option<&'static str> {
        match self {
            Self::HOUSE => Some("house"),
            Self::SANDBOX => Some("sandbox"),
            Self::CASH => Some("cash"),
            _ => None,
        }
    }

    /// The party as clients know it: a system party's name, or the user's id.
    pub fn told(self) -> String {
        self.system_name().map_or_else(|| self.to_string(), str::to_owned)
    }

    /// Whether this party stands for the outside world, so that its account may be below zero and has no history page.
    pub fn is_outside(self) -> bool {
        self == Self::SANDBOX || self == Self::CASH
    }
}

impl From<PaymentId> for TransactionId {
    fn from(id: PaymentId) -> Self {
        Self(id.0)
    }
}

impl From<TransactionId> for PaymentId {
    fn from(id: TransactionId) -> Self {
        Self(id.0)
    }
}

impl From<TransactionId> for RefundId {
    fn from(id: TransactionId) -> Self {
        Self(id.0)
    }
}

fn write_type_id(f: &mut fmt::Formatter<'_>, prefix: &str, uuid: Uuid) -> fmt::Result {
    let mut text = [b'0'; DIGITS];
    let mut rest = uuid.as_u128();
    for digit in text.iter_mut().rev() {
        let low = usize::try_from(rest & 31).unwrap_or_default();
        *digit = ALPHABET.get(low).copied().unwrap_or(b'0');
        rest >>= 5;
    }
    f.write_str(prefix)?;
    f.write_str("_")?;
    f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
}

fn parse_type_id(text: &str, prefix: &str) -> Result<Uuid, IdError> {
    let digits = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_')).ok_or(IdError)?;
    // A first digit above 7 would need more than 128 bits.
    if digits.len() != DIGITS || digits.as_bytes().first().is_none_or(|first| *first > b'7') {
        return Err(IdError);
    }
    digits
        .bytes()
        .try_fold(0_u128, |value, byte| Some((value << 5) | u128::from(digit_value(byte)?)))
        .map(Uuid::from_u128)
        .ok_or(IdError)
}

fn digit_value(byte: u8) -> Option<u8> {
    ALPHABET.iter().position(|digit| *digit == byte).and_then(|index| u8::try_from(index).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors are the `TypeID` specification's `valid.yml`.
    #[test]
    fn ids_follow_the_typeid_specification() {
        for (uuid, suffix) in [
            ("00000000-0000-0000-0000-000000000000", "00000000000000000000000000"),
            ("00000000-0000-0000-0000-000000000001", "00000000000000000000000001"),
            ("ffffffff-ffff-ffff-ffff-ffffffffffff", "7zzzzzzzzzzzzzzzzzzzzzzzzz"),
            ("01890a5d-ac96-774b-bcce-b302099a8057", "01h455vb4pex5vsknk084sn02q"),
        ] {
            let id = UserId::new(Uuid::parse_str(uuid).unwrap());
            assert_eq!(id.to_string(), format!("usr_{suffix}"));
            assert_eq!(id.to_string().parse::<UserId>(), Ok(id));
        }
    }

    #[test]
    fn what_is_not_an_id_of_the_kind_is_refused() {
        for text in [
            "",
            "usr",
            "usr_",
            "usr_01h455vb4pex5vsknk084sn02",
            "usr_8zzzzzzzzzzzzzzzzzzzzzzzzz",
            "usr_01H455VB4PEX5VSKNK084SN02Q",
            "usr_01h455vb4pex5vsknk084sn02u",
            "pay_01h455vb4pex5vsknk084sn02q",
            "usr_01h455vb4pex5vsknk084sn02qé",
        ] {
            assert_eq!(text.parse::<UserId>(), Err(IdError), "{text}");
        }
    }
}
