//! How a rule is set: `review above 30`, an action and a limit, or `off`.

use std::fmt;
use std::str::FromStr;

use super::REMEMBERED;
use crate::ledger::AmountLimits;

/// What is done about a payment that a rule hits, the mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RiskAction {
    /// Nothing but the event.
    Allow,
    /// A fresh code of the second factor is asked for; of who has none, an operator looks at it.
    StepUp,
    /// The money is held until an operator has looked at it.
    Review,
    /// Nothing moves.
    Decline,
}

impl RiskAction {
    /// Every action.
    pub const ALL: [Self; 4] = [Self::Allow, Self::StepUp, Self::Review, Self::Decline];

    /// The name, as in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::StepUp => "step_up",
            Self::Review => "review",
            Self::Decline => "decline",
        }
    }
}

/// A number that is ordinary; beyond it, it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count(pub u32);

impl FromStr for Count {
    type Err = RiskSettingError;

    fn from_str(text: &str) -> Result<Self, RiskSettingError> {
        let count: u32 = text.parse().map_err(|_| RiskSettingError)?;
        let is_countable = usize::try_from(count).is_ok_and(|count| count < REMEMBERED);
        if is_countable { Ok(Self(count)) } else { Err(RiskSettingError) }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A rule: what is done, and beyond which limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RiskRule<L> {
    /// What is done.
    pub action: RiskAction,
    /// Beyond what.
    pub above: L,
}

/// A rule, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RiskSetting<L>(pub Option<RiskRule<L>>);

/// A text that sets no rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be \"off\", or an action and a limit such as \"review above 30\"")]
pub struct RiskSettingError;

impl<L> RiskSetting<L> {
    pub(super) const fn of(action: RiskAction, above: L) -> Self {
        Self(Some(RiskRule { action, above }))
    }
}

impl<L: FromStr> FromStr for RiskSetting<L> {
    type Err = RiskSettingError;

    fn from_str(text: &str) -> Result<Self, RiskSettingError> {
        if text == "off" {
            return Ok(Self(None));
        }
        let (action, limit) = text.split_once(" above ").ok_or(RiskSettingError)?;
        let action =
            RiskAction::ALL.into_iter().find(|known| known.name() == action).ok_or(RiskSettingError)?;
        // 'off' is a limit elsewhere; here it is a rule.
        let above = Some(limit).filter(|limit| *limit != "off").and_then(|limit| limit.parse().ok());
        Ok(Self::of(action, above.ok_or(RiskSettingError)?))
    }
}

impl<L: fmt::Display> fmt::Display for RiskSetting<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("off"),
            Some(rule) => write!(f, "{} above {}", rule.action.name(), rule.above),
        }
    }
}

/// A rule on a count.
pub type CountRule = RiskSetting<Count>;
/// A rule on an amount, or on a sum of them.
pub type AmountRule = RiskSetting<AmountLimits>;
