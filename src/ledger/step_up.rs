//! Above which amounts a payment asks for a fresh second factor.

use std::fmt;
use std::str::FromStr;

use super::{Currency, Money};

/// An amount for each currency; users without a second factor are asked for none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepUp {
    /// In major units of whatever currency is not listed; none asks for nothing there.
    default_major: Option<u32>,
    by_currency: Vec<Money>,
}

/// A text that names no amounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be \"off\", or amounts such as \"1000, JPY 150000\"")]
pub struct StepUpError;

impl StepUp {
    /// Never.
    pub const OFF: Self = Self { default_major: None, by_currency: Vec::new() };

    /// Whether a payment of so much asks for a fresh second factor.
    pub fn is_asked_for(&self, money: Money) -> bool {
        let own = self.by_currency.iter().find(|limit| limit.currency() == money.currency()).copied();
        let by_default = || Money::parse(&self.default_major?.to_string(), money.currency()).ok();
        own.or_else(by_default).is_some_and(|limit| money.amount_minor() > limit.amount_minor())
    }
}

impl FromStr for StepUp {
    type Err = StepUpError;

    fn from_str(text: &str) -> Result<Self, StepUpError> {
        let mut limits = Self::OFF;
        if text.trim() == "off" {
            return Ok(limits);
        }
        for item in text.split(',').map(str::trim) {
            match item.split_once(' ') {
                None if limits.default_major.is_none() => {
                    limits.default_major = Some(item.parse().map_err(|_| StepUpError)?);
                }
                None => return Err(StepUpError),
                Some((code, amount)) => {
                    let currency = Currency::parse(code).map_err(|_| StepUpError)?;
                    let limit = Money::parse(amount.trim(), currency).map_err(|_| StepUpError)?;
                    if limits.by_currency.iter().any(|known| known.currency() == currency) {
                        return Err(StepUpError);
                    }
                    limits.by_currency.push(limit);
                }
            }
        }
        Ok(limits)
    }
}

impl fmt::Display for StepUp {
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
        let limits: StepUp = "1000, JPY 150000,KWD 1.5".parse().unwrap();
        assert_eq!(limits.to_string(), "1000, JPY 150000, KWD 1.500");
        assert_eq!(limits.to_string().parse(), Ok(limits.clone()));
        let asks = |code: &str, amount: &str| {
            limits.is_asked_for(Money::parse(amount, Currency::parse(code).unwrap()).unwrap())
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
        assert_eq!("off".parse(), Ok(StepUp::OFF));
        assert_eq!("JPY 1".parse::<StepUp>().unwrap().to_string(), "JPY 1");
        for text in ["", "1,2", "-1", "1.5", "XAU 5", "JPY", "JPY 1, JPY 2", "on"] {
            assert_eq!(text.parse::<StepUp>(), Err(StepUpError), "{text}");
        }
    }
}
