//! Money: integers in minor units with their currency (ISO 4217), in types that cannot hold a wrong value.
//!
//! [`Money`] is an amount that somebody asks for: above zero, at most [`Money::MAX_MINOR`]. [`Balance`] is what an
//! account holds: it may be zero, and for the outside world negative. Arithmetic is checked; nothing is ever a float.

use std::fmt;

use iso_currency::Currency as Iso;
use serde::{Deserialize, Serialize};

/// A currency that ISO 4217 lists and that has a minor unit.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency {
    iso: Iso,
}

/// What is wrong with a currency or an amount. Each has a stable code and a message that names the cure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not three letters that ISO 4217 lists.
    #[error("must be an ISO 4217 currency code, such as \"USD\"")]
    CurrencyUnknown,
    /// Listed, but without a minor unit (gold, test codes).
    #[error("has no minor unit, so it cannot be paid with; use a currency such as \"USD\"")]
    CurrencyUnsupported,
    /// Not a plain decimal.
    #[error(
        "must be a plain decimal such as \"12.50\": digits, at most one point, no exponent, no leading zero"
    )]
    Malformed,
    /// Below zero.
    #[error("must be above zero")]
    Negative,
    /// Zero.
    #[error("must be above zero")]
    Zero,
    /// More decimals than the currency has.
    #[error("has more decimals than the currency, which has {exponent}")]
    TooPrecise {
        /// The currency's number of decimals.
        exponent: u8,
    },
    /// Over [`Money::MAX_MINOR`].
    #[error("must be at most 999999999999 minor units")]
    TooLarge,
}

impl MoneyError {
    /// The stable code of the field's error.
    pub const fn code(self) -> &'static str {
        match self {
            Self::CurrencyUnknown => "currency_unknown",
            Self::CurrencyUnsupported => "currency_unsupported",
            Self::Malformed => "amount_malformed",
            Self::Negative => "amount_negative",
            Self::Zero => "amount_zero",
            Self::TooPrecise { .. } => "amount_too_precise",
            Self::TooLarge => "amount_too_large",
        }
    }
}

impl Currency {
    /// The US dollar, in which the sandbox grants.
    pub const USD: Self = Self { iso: Iso::USD };

    /// Reads a three-letter code, upper- or lower-case.
    ///
    /// # Errors
    /// [`MoneyError::CurrencyUnknown`] or [`MoneyError::CurrencyUnsupported`].
    pub fn parse(code: &str) -> Result<Self, MoneyError> {
        if code.len() != 3 {
            return Err(MoneyError::CurrencyUnknown);
        }
        let iso = Iso::from_code(&code.to_ascii_uppercase()).ok_or(MoneyError::CurrencyUnknown)?;
        let exponent = iso.exponent().ok_or(MoneyError::CurrencyUnsupported)?;
        if exponent > 4 {
            return Err(MoneyError::CurrencyUnsupported);
        }
        Ok(Self { iso })
    }

    /// The currency with this code as [`Currency::code`] writes it: three letters, upper-case. What is stored has no other.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::parse(code).ok().filter(|currency| currency.code() == code)
    }

    /// The three letters, upper-case.
    pub fn code(self) -> &'static str {
        self.iso.code()
    }

    /// The number of decimals between minor and major unit: 2 for USD, 0 for JPY, 3 for KWD.
    pub fn exponent(self) -> u8 {
        self.iso.exponent().and_then(|exponent| u8::try_from(exponent).ok()).unwrap_or_default()
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl PartialOrd for Currency {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Currency {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.code().cmp(other.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&code).map_err(serde::de::Error::custom)
    }
}

/// An amount to move: above zero, at most [`Money::MAX_MINOR`], with its currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "StoredMoney", into = "StoredMoney")]
pub struct Money {
    amount_minor: i64,
    currency: Currency,
}

impl Money {
    /// The most that one amount can be, in minor units.
    pub const MAX_MINOR: i64 = 999_999_999_999;

    /// An amount in minor units.
    ///
    /// # Errors
    /// Zero, negative, or over [`Money::MAX_MINOR`].
    pub fn from_minor(amount_minor: i64, currency: Currency) -> Result<Self, MoneyError> {
        match amount_minor {
            i64::MIN..=-1 => Err(MoneyError::Negative),
            0 => Err(MoneyError::Zero),
            1..=Self::MAX_MINOR => Ok(Self { amount_minor, currency }),
            _ => Err(MoneyError::TooLarge),
        }
    }

    /// Reads a plain decimal in major units exactly from its text: `12.50`, `0.1`, `1200`.
    ///
    /// # Errors
    /// Anything but digits with at most one point between digits; a leading zero; a sign; an exponent; more decimals
    /// than the currency has (trailing zeros count); zero; too large.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        if let Some(rest) = text.strip_prefix('-') {
            return Err(if is_plain_decimal(rest) { MoneyError::Negative } else { MoneyError::Malformed });
        }
        if !is_plain_decimal(text) {
            return Err(MoneyError::Malformed);
        }
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let exponent = usize::from(currency.exponent());
        if decimals.len() > exponent {
            return Err(MoneyError::TooPrecise { exponent: currency.exponent() });
        }
        let digits = format!("{whole}{decimals:0<exponent$}");
        // Digits alone: the one way to fail is to be too long for the type.
        let amount_minor = digits.parse::<i64>().map_err(|_| MoneyError::TooLarge)?;
        Self::from_minor(amount_minor, currency)
    }

    /// The amount, in minor units.
    pub const fn amount_minor(self) -> i64 {
        self.amount_minor
    }

    /// The currency.
    pub const fn currency(self) -> Currency {
        self.currency
    }
}

/// Money as it is kept within records.
#[derive(Serialize, Deserialize)]
struct StoredMoney {
    amount_minor: i64,
    currency: Currency,
}

impl TryFrom<StoredMoney> for Money {
    type Error = MoneyError;

    fn try_from(stored: StoredMoney) -> Result<Self, MoneyError> {
        Self::from_minor(stored.amount_minor, stored.currency)
    }
}

impl From<Money> for StoredMoney {
    fn from(money: Money) -> Self {
        Self { amount_minor: money.amount_minor, currency: money.currency }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, i128::from(self.amount_minor), self.currency)
    }
}

/// An amount whose currency is not known yet: a plain decimal above zero, as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Amount(Box<str>);

impl Amount {
    /// Reads a plain decimal.
    ///
    /// # Errors
    /// What is wrong in any currency: a sign, an exponent, a leading zero, zero.
    pub fn parse(text: &str) -> Result<Self, MoneyError> {
        if let Some(rest) = text.strip_prefix('-') {
            return Err(if is_plain_decimal(rest) { MoneyError::Negative } else { MoneyError::Malformed });
        }
        if !is_plain_decimal(text) {
            return Err(MoneyError::Malformed);
        }
        if text.bytes().all(|byte| matches!(byte, b'0' | b'.')) {
            return Err(MoneyError::Zero);
        }
        Ok(Self(text.into()))
    }

    /// So much of that currency.
    ///
    /// # Errors
    /// More decimals than the currency has, or too large.
    pub fn of(&self, currency: Currency) -> Result<Money, MoneyError> {
        Money::parse(&self.0, currency)
    }
}

/// What an account holds, in minor units of its currency; negative only for the outside world's accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Balance {
    /// Minor units.
    pub amount_minor: i64,
    /// The account's currency.
    pub currency: Currency,
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, i128::from(self.amount_minor), self.currency)
    }
}

/// What many amounts come to: wider than any of them, so that no sum over a journal ends at a type's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    /// Minor units.
    pub amount_minor: i128,
    /// The currency of all of them.
    pub currency: Currency,
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, self.amount_minor, self.currency)
    }
}

/// Digits with at most one point that has digits on both sides, and no zero in front of another digit.
fn is_plain_decimal(text: &str) -> bool {
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, decimals) = match text.split_once('.') {
        Some((whole, decimals)) => (whole, Some(decimals)),
        None => (text, None),
    };
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    all_digits(whole) && decimals.is_none_or(all_digits) && !leading_zero
}

/// Writes minor units as a decimal in major units with the currency's own number of decimals.
fn write_decimal(f: &mut fmt::Formatter<'_>, amount_minor: i128, currency: Currency) -> fmt::Result {
    let exponent = usize::from(currency.exponent());
    let sign = if amount_minor < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", amount_minor.unsigned_abs(), width = exponent.saturating_add(1));
    let (whole, decimals) = digits.split_at(digits.len().saturating_sub(exponent));
    if decimals.is_empty() { write!(f, "{sign}{whole}") } else { write!(f, "{sign}{whole}.{decimals}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn currency(code: &str) -> Currency {
        Currency::parse(code).unwrap()
    }

    #[rstest]
    #[case("12.50", "USD", 1250, "12.50")]
    #[case("0.1", "usd", 10, "0.10")]
    #[case("1", "USD", 100, "1.00")]
    #[case("1200", "JPY", 1200, "1200")]
    #[case("1.25", "KWD", 1250, "1.250")]
    #[case("0.01", "USD", 1, "0.01")]
    #[case("9999999999.99", "USD", 999_999_999_999, "9999999999.99")]
    fn amounts_are_read_exactly(
        #[case] text: &str,
        #[case] code: &str,
        #[case] minor: i64,
        #[case] back: &str,
    ) {
        let money = Money::parse(text, currency(code)).unwrap();
        assert_eq!(money.amount_minor(), minor);
        assert_eq!(money.to_string(), back);
    }

    #[rstest]
    #[case("0", MoneyError::Zero)]
    #[case("0.00", MoneyError::Zero)]
    #[case("-1", MoneyError::Negative)]
    #[case("-0", MoneyError::Negative)]
    #[case("--1", MoneyError::Malformed)]
    #[case("1e3", MoneyError::Malformed)]
    #[case("1E3", MoneyError::Malformed)]
    #[case("+1", MoneyError::Malformed)]
    #[case(".5", MoneyError::Malformed)]
    #[case("5.", MoneyError::Malformed)]
    #[case("007", MoneyError::Malformed)]
    #[case("1_000", MoneyError::Malformed)]
    #[case("1,5", MoneyError::Malformed)]
    #[case("1.2.3", MoneyError::Malformed)]
    #[case(" 1", MoneyError::Malformed)]
    #[case("", MoneyError::Malformed)]
    #[case("٣", MoneyError::Malformed)]
    #[case("NaN", MoneyError::Malformed)]
    #[case("1.001", MoneyError::TooPrecise { exponent: 2 })]
    #[case("1.0000000000000000001", MoneyError::TooPrecise { exponent: 2 })]
    #[case("10000000000.00", MoneyError::TooLarge)]
    #[case("99999999999999999999999999", MoneyError::TooLarge)]
    fn wrong_amounts_are_refused(#[case] text: &str, #[case] error: MoneyError) {
        assert_eq!(Money::parse(text, Currency::USD), Err(error));
    }

    #[rstest]
    #[case("XAU", MoneyError::CurrencyUnsupported)]
    #[case("XXX", MoneyError::CurrencyUnsupported)]
    #[case("ZZZ", MoneyError::CurrencyUnknown)]
    #[case("US", MoneyError::CurrencyUnknown)]
    #[case("USDX", MoneyError::CurrencyUnknown)]
    #[case("ÜSD", MoneyError::CurrencyUnknown)]
    fn wrong_currencies_are_refused(#[case] code: &str, #[case] error: MoneyError) {
        assert_eq!(Currency::parse(code), Err(error));
    }

    #[test]
    fn balances_may_be_negative() {
        let balance = Balance { amount_minor: -5, currency: Currency::USD };
        assert_eq!(balance.to_string(), "-0.05");
    }
}
