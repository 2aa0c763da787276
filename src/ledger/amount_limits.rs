//! Limits on amounts: one for whatever currency is not listed, and others by currency.

use std::fmt;
use std::str::FromStr;

use super::{Currency, Money};

/// The most that is ordinary, for each currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AmountLimits {
    /// In major units of whatever currency is not listed; none sets no limit there.
    default_major: Option<u32>,
    by_currency: Vec<Money>,
}

/// A text that names no amounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be \"off\", or amounts such as \"1000, JPY 150000\"")]
pub struct AmountLimitsError;

impl AmountLimits {
    /// No limit.
    pub const OFF: Self = Self { default_major: None, by_currency: Vec::new() };

    /// The same number of major units in every currency.
    pub const fn of_major(major: u32) -> Self {
        Self { default_major: Some(major), by_currency: Vec::new() }
    }

    /// The limit in minor units of that currency, if there is one.
    pub fn limit_minor(&self, currency: Currency) -> Option<i64> {
        let own = self.by_currency.iter().find(|limit| limit.currency() == currency);
        let unit = 10_i64.saturating_pow(u32::from(currency.exponent()));
        let by_default = || Some(i64::from(self.default_major?).saturating_mul(unit));
        own.map(|limit| limit.amount_minor()).or_else(by_default)
    }

    /// Whether so much is beyond the limit.
    pub fn is_exceeded_by(&self, money: Money) -> bool {
        self.limit_minor(money.currency()).is_some_and(|limit| money.amount_minor() > limit)
    }
}

impl FromStr for AmountLimits {
    type Err = AmountLimitsError;

    fn from_str(text: &str) -> Result<Self, AmountLimitsError> {
        let mut limits = Self::OFF;
        if text.trim() == "off" {
            return Ok(limits);
        }
        for item in text.split(',').map(str::trim) {
            match item.split_once(' ') {
                None if limits.default_major.is_none() => {
                    limits.default_major = Some(item.parse().map_err(|_| AmountLimitsError)?);
                }
                None => return Err(AmountLimitsError),
                Some((code, amount)) => {
                    let currency = Currency::parse(code).map_err(|_| AmountLimitsError)?;
                    let limit = Money::parse(amount.trim(), currency).map_err(|_| AmountLimitsError)?;
                    if limits.by_currency.iter().any(|known| known.currency() == currency) {
                        return Err(AmountLimitsError);
                    }
                    limits.by_currency.push(limit);
                }
            }
        }
        Ok(limits)
    }
}

impl fmt::Display for AmountLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let default = self.default_major.map(|major| major.to_string());
        let others = self.by_currency.iter().map(|limit| format!("{} {limit}", limit.currency()));
        let items: Vec<String> = default.into_iter().chain(others).collect();
        if items.is_empty() { f.write_str("off") } else { f.write_str(&items.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_written_and_compared() {
        let limits: AmountLimits = "1000, JPY 150000,KWD 1.5".parse().unwrap();
        assert_eq!(limits.to_string(), "1000, JPY 150000, KWD 1.500");
        assert_eq!(limits.to_string().parse(), Ok(limits.clone()));
        let asks = |code: &str, amount: &str| {
            limits.is_exceeded_by(Money::parse(amount, Currency::parse(code).unwrap()).unwrap())
        };
        for (code, amount, expected) in [
            ("USD", "1000", false),
            ("USD", "1000.01", true),
            ("JPY", "150000", false),
            ("JPY", "150001", true),
            ("KWD", "1.501", true),
            ("EUR", "999", false),
        ] {
            assert_eq!(asks(code, amount), expected, "{code} {amount}");
        }
        assert_eq!("off".parse(), Ok(AmountLimits::OFF));
        assert_eq!("JPY 1".parse::<AmountLimits>().unwrap().to_string(), "JPY 1");
        for text in ["", "1,2", "-1", "1.5", "XAU 5", "JPY", "JPY 1, JPY 2", "on"] {
            assert_eq!(text.parse::<AmountLimits>(), Err(AmountLimitsError), "{text}");
        }
    }
}
