//! Risk rules: what makes a payment out of the ordinary, and what is done about it. Pure.
//!
//! The facts are the last [`REMEMBERED`] payments that the payer made and that the payee got, as the journal has them up to
//! this moment and with those of the same batch: no two payments pass a limit that has room for one. A rule is a limit and an
//! action; every hit is told in a security event. Of several hits the strictest decides. The house is paid by everybody,
//! so that what it gets tells nothing: rules about payees leave it out.

mod activity;
mod setting;

use activity::Places;
pub use activity::{Activity, Counterparty, OneWay, Part, Past, REMEMBERED, digest};
pub use setting::{AmountRule, Count, CountRule, RiskAction, RiskRule, RiskSetting, RiskSettingError};

use super::{AmountLimits, Currency, Money, Timestamp, Total, UserId};

/// Payments in a currency from which on somebody has a habit.
const HABIT: u32 = 5;

/// The rules in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RiskRules {
    /// Whether any is; off for load tests only.
    pub enabled: bool,
    /// How far back payments are counted, and how long a new password or address is new.
    pub window_seconds: u64,
    /// Payments of one payer within the window.
    pub payer_payments: CountRule,
    /// Money of one payer in one currency within the window.
    pub payer_sum: AmountRule,
    /// Payments to one payee within the window.
    pub payee_payments: CountRule,
    /// Money to one payee in one currency within the window.
    pub payee_sum: AmountRule,
    /// The first payment to a payee.
    pub new_payee: AmountRule,
    /// So many times the payer's largest payment in that currency.
    pub habit: CountRule,
    /// Declined payments of the payer within the window.
    pub declines: CountRule,
    /// A payment within the window after the payer changed the password.
    pub new_password: AmountRule,
    /// A payment within the window after the payer logged in from a network for the first time.
    pub new_address: AmountRule,
    /// Payees of one payer within the window.
    pub fan_out: CountRule,
    /// Payers of one payee within the window.
    pub fan_in: CountRule,
    /// Earlier payments that say the same within the duplicate window, each under a key of its own.
    pub same_payment: CountRule,
}

impl RiskRules {
    fn window_ms(&self) -> i64 {
        i64::try_from(self.window_seconds).unwrap_or(i64::MAX).saturating_mul(1_000)
    }
}

impl Default for RiskRules {
    fn default() -> Self {
        use RiskAction::{Allow, Review, StepUp};
        Self {
            enabled: true,
            window_seconds: 3_600,
            payer_payments: RiskSetting::of(Allow, Count(30)),
            payer_sum: RiskSetting::of(Allow, AmountLimits::of_major(10_000)),
            payee_payments: RiskSetting::of(Allow, Count(30)),
            payee_sum: RiskSetting::of(Allow, AmountLimits::of_major(10_000)),
            new_payee: RiskSetting::of(Review, AmountLimits::of_major(2_000)),
            habit: RiskSetting::of(Allow, Count(20)),
            declines: RiskSetting::of(Allow, Count(10)),
            new_password: RiskSetting::of(Review, AmountLimits::of_major(500)),
            new_address: RiskSetting::of(StepUp, AmountLimits::of_major(500)),
            fan_out: RiskSetting::of(Allow, Count(20)),
            fan_in: RiskSetting::of(Allow, Count(20)),
            same_payment: RiskSetting::of(Allow, Count(0)),
        }
    }
}

/// What the rules look at.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The batch's time.
    pub now: Timestamp,
    /// Who pays.
    pub payer: UserId,
    /// Who is paid.
    pub payee: UserId,
    /// How much.
    pub money: Money,
    /// What is said about it, as [`digest`] has it.
    pub memo: u32,
    /// For how long an equal payment is taken for a repeat, in milliseconds.
    pub duplicate_window_ms: i64,
    /// When the payer last changed the password; none if never.
    pub password_changed_at: Option<Timestamp>,
    /// When the payer last logged in from a network for the first time; none if never but from the first one.
    pub new_address_at: Option<Timestamp>,
    /// The payer's payments, of which those made are looked at.
    pub payer_activity: &'a Activity,
    /// The payee's, of which those got are looked at.
    pub payee_activity: &'a Activity,
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
    /// Whether both are minor units of the payment's currency.
    pub is_amount: bool,
    /// Whether the limit was passed just now: a mild hit is told only then, so that a busy hour is one event.
    pub is_new: bool,
}

impl Hit {
    /// What was counted, as text: an amount in that currency, or a number.
    pub fn figure_in(&self, currency: Currency) -> String {
        self.text(self.figure, currency)
    }

    /// The limit, as text like the figure's.
    pub fn limit_in(&self, currency: Currency) -> String {
        self.text(self.limit, currency)
    }

    fn text(&self, figure: u64, currency: Currency) -> String {
        if self.is_amount {
            Total { amount_minor: figure.into(), currency }.to_string()
        } else {
            figure.to_string()
        }
    }
}

/// The strictest of the actions; none if nothing was hit.
pub fn strictest(hits: &[Hit]) -> Option<RiskAction> {
    hits.iter().map(|hit| hit.action).max()
}

/// Every rule that the payment hits.
pub fn assess(rules: &RiskRules, facts: &Facts<'_>) -> Vec<Hit> {
    let Facts { now, payee, money, .. } = *facts;
    let mut hits = Hits(Vec::new());
    let paid = facts.payer_activity.paid();
    let (recent, to_payee) = (paid.within(rules.window_ms(), now), paid.with(Counterparty::of(payee)));
    let counted = Recent { of: paid, places: recent & paid.counted, others: to_payee };
    hits.count("payer_payments", &rules.payer_payments, counted.payments());
    hits.sum("payer_sum", &rules.payer_sum, money, &counted);
    hits.distinct("fan_out", &rules.fan_out, &counted);
    let ends_declined = paid.declined & paid.last() != 0;
    hits.state("declines", &rules.declines, (paid.declined & recent).count_ones(), ends_declined);
    let same = paid.at(to_payee & paid.counted).filter(|past| facts.is_repeated(past));
    hits.count("same_payment", &rules.same_payment, count(same));
    hits.habit("habit", &rules.habit, money, paid);
    if payee != UserId::HOUSE {
        let got = facts.payee_activity.got();
        let recent = got.within(rules.window_ms(), now);
        let others = got.with(Counterparty::of(facts.payer));
        let counted = Recent { of: got, places: recent & got.counted, others };
        hits.count("payee_payments", &rules.payee_payments, counted.payments());
        hits.sum("payee_sum", &rules.payee_sum, money, &counted);
        hits.distinct("fan_in", &rules.fan_in, &counted);
        if to_payee & paid.proven == 0 {
            hits.amount("new_payee", &rules.new_payee, money);
        }
    }
    let is_fresh = |at: Option<Timestamp>| at.is_some_and(|at| now < at.plus_millis(rules.window_ms()));
    if is_fresh(facts.password_changed_at) {
        hits.amount("new_password", &rules.new_password, money);
    }
    if is_fresh(facts.new_address_at) {
        hits.amount("new_address", &rules.new_address, money);
    }
    hits.0
}

/// Payments of one side within the window, of those that count.
struct Recent<'a> {
    of: &'a OneWay,
    places: Places,
    /// The places, recent or not, of payments with the other side of the payment that is looked at.
    others: Places,
}

impl Recent<'_> {
    /// How many there are with the one that is looked at.
    fn payments(&self) -> u32 {
        self.places.count_ones().saturating_add(1)
    }

    fn sum_minor(&self, currency: Currency) -> i64 {
        let in_currency = self.of.at(self.places).filter(|past| past.currency == currency);
        in_currency.fold(0, |sum: i64, past| sum.saturating_add(past.amount_minor))
    }
}

fn count<T>(of: impl Iterator<Item = T>) -> u32 {
    u32::try_from(of.count()).unwrap_or(u32::MAX)
}

impl Facts<'_> {
    /// Whether the payment says the same as one before to the same payee.
    fn is_repeated(&self, past: &Past) -> bool {
        (past.amount_minor, past.currency, past.memo)
            == (self.money.amount_minor(), self.money.currency(), self.memo)
            && self.now < past.at.plus_millis(self.duplicate_window_ms)
    }
}

struct Hits(Vec<Hit>);

impl Hits {
    /// A count that this payment raises.
    fn count(&mut self, name: &'static str, rule: &CountRule, figure: u32) {
        let is_new = rule.0.as_ref().is_some_and(|rule| figure == rule.above.0.saturating_add(1));
        self.state(name, rule, figure, is_new);
    }

    /// A count that stands as it is.
    fn state(&mut self, name: &'static str, rule: &CountRule, figure: u32, is_new: bool) {
        if let Some(RiskRule { action, above: Count(limit) }) = rule.0
            && figure > limit
        {
            let (figure, limit) = (figure.into(), limit.into());
            self.0.push(Hit { rule: name, action, figure, limit, is_amount: false, is_new });
        }
    }

    /// How many other sides there are with that of this payment.
    fn distinct(&mut self, name: &'static str, rule: &CountRule, before: &Recent<'_>) {
        let others = (before.places & before.of.newest).count_ones();
        if before.places & before.others == 0 {
            self.count(name, rule, others.saturating_add(1));
        } else {
            self.state(name, rule, others, false);
        }
    }

    /// How many times the largest payment of the payer's habit this one is.
    fn habit(&mut self, name: &'static str, rule: &CountRule, money: Money, paid: &OneWay) {
        let in_currency = || paid.at(paid.proven).filter(|past| past.currency == money.currency());
        let times = |past: &Past| {
            let times = money.amount_minor().checked_div(past.amount_minor).unwrap_or_default();
            u32::try_from(times).unwrap_or(u32::MAX)
        };
        // Mostly the first one tells that this is nothing unusual.
        let is_ordinary = |past: &Past| rule.0.as_ref().is_none_or(|rule| times(past) <= rule.above.0);
        if !in_currency().any(is_ordinary) && count(in_currency()) >= HABIT {
            self.state(name, rule, in_currency().map(times).min().unwrap_or_default(), true);
        }
    }

    fn amount(&mut self, name: &'static str, rule: &AmountRule, money: Money) {
        self.raised(name, rule, money, None);
    }

    /// A sum that this payment raises.
    fn sum(&mut self, name: &'static str, rule: &AmountRule, money: Money, before: &Recent<'_>) {
        self.raised(name, rule, money, Some(before));
    }

    fn raised(&mut self, name: &'static str, rule: &AmountRule, money: Money, before: Option<&Recent<'_>>) {
        let Some(RiskRule { action, above }) = &rule.0 else { return };
        let Some(limit) = above.limit_minor(money.currency()) else { return };
        let at_most_minor = before.map_or(0, |before| before.of.at_most_minor);
        if at_most_minor.saturating_add(money.amount_minor()) <= limit {
            return;
        }
        let before_minor = before.map_or(0, |before| before.sum_minor(money.currency()));
        let after_minor = before_minor.saturating_add(money.amount_minor());
        if after_minor > limit {
            let unsigned = |minor: i64| u64::try_from(minor).unwrap_or_default();
            let (figure, limit, is_new) = (unsigned(after_minor), unsigned(limit), before_minor <= limit);
            self.0.push(Hit { rule: name, action: *action, figure, limit, is_amount: true, is_new });
        }
    }
}

#[cfg(test)]
mod tests;
