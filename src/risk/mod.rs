//! Risk rules: what makes a payment out of the ordinary, and what is done about it. Pure.
//!
//! The facts are the last [`REMEMBERED`] payments of payer and payee, either way, as the journal has them up to this
//! moment and with those of the same batch: no two payments pass a limit that has room for one. A rule is a limit and
//! an action; every hit is told in a security event. Of several hits the strictest decides.

pub mod activity;

use std::fmt;

use crate::ledger::{Currency, Money, Timestamp, UserId};

pub use activity::{Activity, Past, REMEMBERED};

/// How far back payments are counted, in milliseconds.
pub const WINDOW_MS: i64 = 3_600_000;
/// How long a changed password makes a payment suspicious, in milliseconds.
const AFTER_PASSWORD_MS: i64 = 600_000;
/// Payments in a currency from which on somebody has a habit.
const HABIT: usize = 5;

/// What is done about a payment that a rule hits, the mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RiskAction {
    /// Nothing but the event.
    Allow,
    /// A fresh code of the second factor would be asked for; until payments can carry one, an operator looks at it.
    StepUp,
    /// The money is held until an operator has looked at it.
    Review,
    /// Nothing moves.
    Decline,
}

impl RiskAction {
    const ALL: [Self; 4] = [Self::Allow, Self::StepUp, Self::Review, Self::Decline];

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

/// A limit, and what is done beyond it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RiskRule {
    /// A count, an amount in major units, or a factor.
    pub limit: u64,
    /// What is done.
    pub action: RiskAction,
}

/// A rule, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RiskSetting(pub Option<RiskRule>);

impl RiskSetting {
    /// Reads `30 review`, a limit and an action; `off` is no rule.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "off" {
            return Some(Self(None));
        }
        let (limit, action) = text.split_once(' ')?;
        let limit = limit.parse().ok().filter(|limit| *limit <= 999_999_999_999)?;
        let action = RiskAction::ALL.into_iter().find(|known| known.name() == action)?;
        Some(Self(Some(RiskRule { limit, action })))
    }

    /// The same for a rule that counts payments, which are remembered up to [`REMEMBERED`].
    pub fn parse_count(text: &str) -> Option<Self> {
        let remembered = u64::try_from(REMEMBERED).unwrap_or_default();
        Self::parse(text).filter(|setting| setting.0.is_none_or(|rule| rule.limit < remembered))
    }
}

impl fmt::Display for RiskSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("off"),
            Some(rule) => write!(f, "{} {}", rule.limit, rule.action.name()),
        }
    }
}

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident = $default:expr;)*) => {
        /// The rules in force.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct RiskRules {
            /// Whether any is; off for load tests only.
            pub enabled: bool,
            $($(#[$doc])* pub $name: RiskSetting,)*
        }

        impl Default for RiskRules {
            fn default() -> Self {
                Self { enabled: true, $($name: RiskSetting(Some($default)),)* }
            }
        }
    };
}

const fn rule(limit: u64, action: RiskAction) -> RiskRule {
    RiskRule { limit, action }
}

rules! {
    /// More payments of a payer within the hour than this.
    payer_payments = rule(30, RiskAction::Allow);
    /// More money of a payer in one currency within the hour than this.
    payer_sum = rule(1_000_000, RiskAction::Allow);
    /// More payments to a payee other than the house within the hour than this.
    payee_payments = rule(30, RiskAction::Allow);
    /// More money to a payee other than the house in one currency within the hour than this.
    payee_sum = rule(1_000_000, RiskAction::Allow);
    /// The first payment to a payee, of so much or more.
    new_payee = rule(100_000, RiskAction::Review);
    /// So many times the payer's largest payment in that currency, or more.
    habit = rule(100, RiskAction::Allow);
    /// So many declined payments of the payer within the hour, or more.
    declines = rule(10, RiskAction::Allow);
    /// A payment of so much or more within ten minutes of a change of password.
    after_password = rule(10_000, RiskAction::Review);
    /// More payees of one payer within the hour than this.
    fan_out = rule(20, RiskAction::Allow);
    /// More payers of one payee other than the house within the hour than this.
    fan_in = rule(20, RiskAction::Allow);
    /// So many payments that say the same within the duplicate window, or more, each under a key of its own.
    same_payment = rule(1, RiskAction::Allow);
}

/// What the rules look at.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The batch's time.
    pub now: Timestamp,
    /// Who is paid.
    pub payee: UserId,
    /// How much.
    pub money: Money,
    /// What is said about it, in a few bits.
    pub memo: u64,
    /// For how long an equal payment is taken for a repeat, in milliseconds.
    pub duplicate_window_ms: i64,
    /// When the payer last changed the password; none if never.
    pub password_changed_at: Option<Timestamp>,
    /// The payer's payments.
    pub payer_activity: &'a Activity,
    /// The payee's; none of the house.
    pub payee_activity: Option<&'a Activity>,
}

/// A rule that a payment hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    /// The rule's name, as in the configuration.
    pub rule: &'static str,
    /// What is done.
    pub action: RiskAction,
    /// What was counted.
    pub figure: u64,
    /// The rule's limit.
    pub limit: u64,
    /// Whether the limit was passed just now: a mild hit is told only then, so that a busy hour is one event.
    pub is_new: bool,
}

/// Every rule that the payment hits.
pub fn assess(rules: &RiskRules, facts: &Facts<'_>) -> Vec<Hit> {
    let Facts { now, payee, money, memo, payer_activity: payer, .. } = *facts;
    let begin = now.plus_millis(-WINDOW_MS);
    let currency = money.currency();
    let mut hits = Hits(Vec::new());

    let paid = payer.paid_since(begin);
    hits.above("payer_payments", rules.payer_payments, paid.clone().count().saturating_add(1));
    hits.sum("payer_sum", rules.payer_sum, paid.clone(), money);
    let payees = paid.clone().map(|past| past.other).chain([payee]);
    hits.above("fan_out", rules.fan_out, distinct(payees));
    let declines = payer.declined_since(begin).count();
    hits.at_least("declines", rules.declines, declines);
    if let Some(payee) = facts.payee_activity {
        let got = payee.got_since(begin);
        hits.above("payee_payments", rules.payee_payments, got.clone().count().saturating_add(1));
        hits.sum("payee_sum", rules.payee_sum, got.clone(), money);
        let payers = distinct(got.map(|past| past.other));
        hits.above("fan_in", rules.fan_in, payers.saturating_add(1));
    }

    let ever = Timestamp::from_millis(i64::MIN);
    let is_known = payer.paid_since(ever).any(|past| past.other == payee);
    if !is_known {
        hits.amount("new_payee", rules.new_payee, money);
    }
    let is_fresh = |changed: Timestamp| now < changed.plus_millis(AFTER_PASSWORD_MS);
    if facts.password_changed_at.is_some_and(is_fresh) {
        hits.amount("after_password", rules.after_password, money);
    }
    let usual = payer.paid_since(ever).filter(|past| past.money.currency() == currency);
    let largest = usual.clone().map(|past| past.money.amount_minor()).max().filter(|_| usual.count() >= HABIT);
    if let Some(largest) = largest {
        let times = money.amount_minor().checked_div(largest).unwrap_or_default();
        hits.at_least("habit", rules.habit, usize::try_from(times).unwrap_or_default());
    }
    let recent = now.plus_millis(facts.duplicate_window_ms.saturating_neg());
    let same = payer.paid_since(recent).filter(|past| {
        (past.other, past.money, past.memo) == (payee, money, memo)
    });
    hits.at_least("same_payment", rules.same_payment, same.count());
    hits.0
}

struct Hits(Vec<Hit>);

impl Hits {
    fn push(&mut self, name: &'static str, rule: RiskRule, figure: u64, is_new: bool) {
        let RiskRule { limit, action } = rule;
        self.0.push(Hit { rule: name, action, figure, limit, is_new });
    }

    fn above(&mut self, name: &'static str, rule: RiskSetting, figure: usize) {
        let figure = u64::try_from(figure).unwrap_or(u64::MAX);
        if let Some(rule) = rule.0.filter(|rule| figure > rule.limit) {
            self.push(name, rule, figure, figure == rule.limit.saturating_add(1));
        }
    }

    fn at_least(&mut self, name: &'static str, rule: RiskSetting, figure: usize) {
        let figure = u64::try_from(figure).unwrap_or(u64::MAX);
        if let Some(rule) = rule.0.filter(|rule| figure >= rule.limit && figure > 0) {
            self.push(name, rule, figure, figure == rule.limit);
        }
    }

    fn amount(&mut self, name: &'static str, rule: RiskSetting, money: Money) {
        let major = major(money.amount_minor(), money.currency());
        if let Some(rule) = rule.0.filter(|rule| major >= rule.limit) {
            self.push(name, rule, major, true);
        }
    }

    fn sum<'a>(
        &mut self,
        name: &'static str,
        rule: RiskSetting,
        past: impl Iterator<Item = &'a Past>,
        money: Money,
    ) {
        let same = past.filter(|past| past.money.currency() == money.currency());
        let before = same.fold(0_i64, |sum, past| sum.saturating_add(past.money.amount_minor()));
        let after = before.saturating_add(money.amount_minor());
        let (before, after) = (major(before, money.currency()), major(after, money.currency()));
        if let Some(rule) = rule.0.filter(|rule| after > rule.limit) {
            self.push(name, rule, after, before <= rule.limit);
        }
    }
}

/// Whole major units.
fn major(amount_minor: i64, currency: Currency) -> u64 {
    let unit = 10_i64.saturating_pow(u32::from(currency.exponent()));
    u64::try_from(amount_minor.checked_div(unit).unwrap_or_default()).unwrap_or_default()
}

fn distinct(users: impl Iterator<Item = UserId>) -> usize {
    let mut seen: Vec<UserId> = users.collect();
    seen.sort_unstable();
    seen.dedup();
    seen.len()
}

#[cfg(test)]
mod tests;
