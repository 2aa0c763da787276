//! Rules one by one, at their limit and beyond it, and what holds of all of them whatever the history.

use std::collections::HashSet;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::ledger::{Currency, Hold, TransactionKind};

const NOW: i64 = 1_800_000_000_000;

fn user(number: u128) -> UserId {
    UserId::new(Uuid::from_u128(number.saturating_add(100)))
}

fn usd(minor: i64) -> Money {
    Money::from_minor(minor, Currency::USD).unwrap()
}

fn past(part: Part, other: UserId, minor: i64, ago_ms: i64) -> Past {
    let at = Timestamp::from_millis(NOW.saturating_sub(ago_ms));
    Past {
        at,
        other: Counterparty::of(other),
        amount_minor: minor,
        currency: Currency::USD,
        memo: digest("", ""),
        part,
    }
}

fn activity(payments: impl IntoIterator<Item = Past>) -> Activity {
    let mut activity = Activity::default();
    payments.into_iter().for_each(|past| activity.push(past));
    activity
}

/// `count` equal payments, long enough ago not to be repeats of each other.
fn paid(count: usize, minor: i64) -> Activity {
    activity((0..count).map(|_| past(Part::Paid, user(1), minor, 90_000)))
}

fn only(change: impl FnOnce(&mut RiskRules)) -> RiskRules {
    let (counts, amounts) = (RiskSetting(None), RiskSetting(None));
    let mut rules = RiskRules {
        enabled: true,
        window_seconds: 3_600,
        payer_payments: counts.clone(),
        payer_sum: amounts.clone(),
        payee_payments: counts.clone(),
        payee_sum: amounts.clone(),
        new_payee: amounts.clone(),
        habit: counts.clone(),
        declines: counts.clone(),
        new_password: amounts.clone(),
        new_address: amounts,
        fan_out: counts.clone(),
        fan_in: counts.clone(),
        same_payment: counts,
    };
    change(&mut rules);
    rules
}

fn facts<'a>(payer: &'a Activity, payee: &'a Activity, minor: i64) -> Facts<'a> {
    Facts {
        now: Timestamp::from_millis(NOW),
        payer: user(0),
        payee: user(1),
        money: usd(minor),
        memo: digest("", ""),
        duplicate_window_ms: 60_000,
        password_changed_at: None,
        new_address_at: None,
        payer_activity: payer,
        payee_activity: payee,
    }
}

/// What user 0 hits by paying user 1 so much.
fn hits(rules: &RiskRules, payer: &Activity, payee: &Activity, minor: i64) -> Vec<Hit> {
    assess(rules, &facts(payer, payee, minor))
}

fn above(limit: u32) -> CountRule {
    RiskSetting::of(RiskAction::Review, Count(limit))
}

fn above_major(major: u32) -> AmountRule {
    RiskSetting::of(RiskAction::Review, AmountLimits::of_major(major))
}

#[test]
fn what_is_counted_hits_beyond_the_limit_and_not_at_it() {
    let none = Activity::default();
    let figure = |rules: &RiskRules, payer: &Activity, payee: &Activity, minor| {
        let hits = hits(rules, payer, payee, minor);
        assert!(hits.len() <= 1);
        hits.first().map(|hit| (hit.figure, hit.is_new))
    };
    let got = |payers: u128| {
        activity((0..payers).map(|n| past(Part::Got, user(n.saturating_add(10)), 100, 90_000)))
    };
    let out = |payees: u128| {
        activity((0..payees).map(|n| past(Part::Paid, user(n.saturating_add(10)), 100, 90_000)))
    };
    let declined = |count: usize| activity((0..count).map(|_| past(Part::Declined, user(1), 100, 90_000)));

    let rules = only(|rules| rules.payer_payments = above(3));
    assert_eq!(figure(&rules, &paid(2, 100), &none, 100), None);
    assert_eq!(figure(&rules, &paid(3, 100), &none, 100), Some((4, true)));
    assert_eq!(figure(&rules, &paid(4, 100), &none, 100), Some((5, false)), "told once");
    let rules = only(|rules| rules.payer_sum = above_major(10));
    assert_eq!(figure(&rules, &paid(2, 400), &none, 200), None);
    assert_eq!(figure(&rules, &paid(2, 400), &none, 201), Some((1_001, true)));
    assert_eq!(figure(&rules, &paid(3, 400), &none, 1), Some((1_201, false)));
    let rules = only(|rules| rules.payee_payments = above(3));
    assert_eq!(figure(&rules, &none, &got(2), 100), None);
    assert_eq!(figure(&rules, &none, &got(3), 100), Some((4, true)));
    let rules = only(|rules| rules.payee_sum = above_major(3));
    assert_eq!(figure(&rules, &none, &got(2), 100), None);
    assert_eq!(figure(&rules, &none, &got(3), 100), Some((400, true)));
    let rules = only(|rules| rules.fan_in = above(3));
    assert_eq!(figure(&rules, &none, &got(2), 100), None);
    assert_eq!(figure(&rules, &none, &got(3), 100), Some((4, true)));
    let known = activity((0..4).map(|n| past(Part::Got, user(n), 100, 90_000)));
    assert_eq!(figure(&rules, &none, &known, 100), Some((4, false)), "no other one");
    let rules = only(|rules| rules.fan_out = above(3));
    assert_eq!(figure(&rules, &out(2), &none, 100), None);
    assert_eq!(figure(&rules, &out(3), &none, 100), Some((4, true)));
    assert_eq!(figure(&rules, &paid(20, 100), &none, 100), None, "all to one");
    let rules = only(|rules| rules.declines = above(2));
    assert_eq!(figure(&rules, &declined(2), &none, 100), None);
    assert_eq!(figure(&rules, &declined(3), &none, 100), Some((3, true)));
    let rules = only(|rules| rules.same_payment = above(0));
    let same = activity([past(Part::Paid, user(1), 100, 59_999)]);
    assert_eq!(figure(&rules, &same, &none, 100), Some((1, true)));
    assert_eq!(figure(&rules, &same, &none, 101), None);
    assert_eq!(figure(&rules, &activity([past(Part::Paid, user(1), 100, 60_000)]), &none, 100), None);
    let rules = only(|rules| rules.habit = above(4));
    assert_eq!(figure(&rules, &paid(5, 100), &none, 499), None);
    assert_eq!(figure(&rules, &paid(5, 100), &none, 500), Some((5, true)));
    assert_eq!(figure(&rules, &paid(4, 100), &none, 500), None, "four payments are no habit");
}

#[test]
fn a_payee_is_new_until_paid_or_approved_and_the_house_never_is() {
    let none = Activity::default();
    let rules = only(|rules| rules.new_payee = above_major(10));
    assert_eq!(hits(&rules, &none, &none, 1_000), []);
    assert_eq!(hits(&rules, &none, &none, 1_001).len(), 1);
    for (part, is_known) in [
        (Part::Paid, true),
        (Part::Approved, true),
        (Part::UnderReview, false),
        (Part::Declined, false),
        (Part::Got, false),
    ] {
        let before = activity([past(part, user(1), 100, 9_000_000)]);
        assert_eq!(hits(&rules, &before, &none, 1_001).is_empty(), is_known, "{part:?}");
    }
    let everything = RiskRules {
        payee_payments: above(0),
        payee_sum: above_major(0),
        fan_in: above(0),
        new_payee: above_major(0),
        ..only(|_| {})
    };
    let of_house = Facts { payee: UserId::HOUSE, ..facts(&none, &none, 100_000) };
    assert_eq!(assess(&everything, &of_house), []);
    assert_eq!(hits(&everything, &none, &none, 100_000).len(), 4);
}

#[test]
fn a_password_and_a_network_are_new_for_a_while() {
    let none = Activity::default();
    let rules = only(|rules| (rules.new_password, rules.new_address) = (above_major(10), above_major(20)));
    let after = |ago_ms: i64, minor| {
        let at = Some(Timestamp::from_millis(NOW.saturating_sub(ago_ms)));
        let facts = Facts { password_changed_at: at, new_address_at: at, ..facts(&none, &none, minor) };
        assess(&rules, &facts).iter().map(|hit| hit.rule).collect::<Vec<_>>()
    };
    assert_eq!(after(3_599_999, 2_001), ["new_password", "new_address"]);
    assert_eq!(after(0, 2_000), ["new_password"]);
    assert!(after(0, 1_000).is_empty() && after(3_600_000, 999_999).is_empty());
}

#[test]
fn a_window_later_nothing_is_counted() {
    let old = activity((0..20).map(|_| past(Part::Paid, user(1), 100_000, 3_600_000)));
    let rules = only(|rules| {
        (rules.payer_payments, rules.payer_sum) = (above(3), above_major(10));
        (rules.fan_out, rules.declines) = (above(0), above(0));
    });
    let found = hits(&rules, &old, &Activity::default(), 100);
    assert_eq!(found.iter().map(|hit| hit.rule).collect::<Vec<_>>(), ["fan_out"], "this payment alone");
    let wider = RiskRules { window_seconds: 3_601, ..rules };
    assert_eq!(hits(&wider, &old, &Activity::default(), 100).len(), 3);
}

#[test]
fn limits_follow_the_currency() {
    let yen = |minor| Money::from_minor(minor, Currency::parse("JPY").unwrap()).unwrap();
    let rules = only(|rules| rules.new_payee = "decline above 10, JPY 1500".parse().unwrap());
    let none = Activity::default();
    let of = |money| assess(&rules, &Facts { money, ..facts(&none, &none, 1) });
    assert!(of(yen(1_500)).is_empty() && of(usd(1_000)).is_empty());
    assert_eq!(strictest(&of(yen(1_501))), Some(RiskAction::Decline));
    assert_eq!(of(usd(1_001)).first().map(|hit| (hit.figure, hit.limit)), Some((1_001, 1_000)));
}

#[test]
fn what_a_payment_is_to_its_sides() {
    let of = |kind, is_out, is_declined, hold| Part::of(kind, is_out, is_declined, hold);
    let payment = TransactionKind::Payment;
    assert_eq!(of(payment, true, false, None), Part::Paid);
    assert_eq!(of(payment, true, false, Some(Hold::ForCapture)), Part::Paid);
    assert_eq!(of(payment, true, false, Some(Hold::ForReview)), Part::UnderReview);
    assert_eq!(of(payment, true, true, None), Part::Declined);
    assert_eq!(of(payment, false, false, Some(Hold::ForReview)), Part::Got);
    assert_eq!(of(TransactionKind::Approval, true, false, None), Part::Approved);
}

#[test]
fn only_so_many_are_remembered_each_way() {
    let mut both = paid(REMEMBERED.saturating_add(9), 100);
    let counts = |both: &Activity| [both.paid(), both.got()].map(|way| way.at(Places::MAX).count());
    assert_eq!(counts(&both), [REMEMBERED, 0]);
    (0..REMEMBERED.saturating_add(9)).for_each(|_| both.push(past(Part::Got, user(1), 100, 0)));
    assert_eq!(counts(&both), [REMEMBERED, REMEMBERED]);
}

#[test]
fn what_is_remembered_is_small() {
    assert_eq!(size_of::<Past>(), 32);
}

#[test]
fn who_is_paid_in_between_pays_no_less() {
    let rules = only(|rules| rules.payer_payments = above(30));
    let in_turn = (0..31).flat_map(|n| [past(Part::Paid, user(1), n, 0), past(Part::Got, user(2), n, 0)]);
    let found = hits(&rules, &activity(in_turn), &Activity::default(), 100);
    assert_eq!(found.first().map(|hit| hit.figure), Some(32));
}

#[test]
fn settings_are_read_and_written_alike() {
    for text in ["off", "review above 30", "decline above 0", "step_up above 31"] {
        assert_eq!(text.parse::<CountRule>().unwrap().to_string(), text);
    }
    for text in ["", "30", "review", "review above", "review above -1", "review  above 1", "Review above 1"] {
        assert_eq!(text.parse::<CountRule>(), Err(RiskSettingError), "{text}");
    }
    assert_eq!("allow above 32".parse::<CountRule>(), Err(RiskSettingError), "not so many are remembered");
    for text in ["off", "allow above 1000, JPY 150000", "review above 0"] {
        assert_eq!(text.parse::<AmountRule>().unwrap().to_string(), text);
    }
    for text in ["allow above off", "allow above", "allow above 1.5", "allow above USD"] {
        assert_eq!(text.parse::<AmountRule>(), Err(RiskSettingError), "{text}");
    }
}

proptest! {
    /// Whatever was paid before, one payment more within the window hits no velocity limit less.
    #[test]
    fn more_history_never_hits_less(
        payments in prop::collection::vec((1_i64..100_000, 0_i64..3_500_000, 1_u128..5), 0..REMEMBERED),
        limit in 0_u32..31,
        minor in 1_i64..1_000_000,
    ) {
        let rules = only(|rules| {
            (rules.payer_payments, rules.fan_out) = (above(limit), above(limit));
            rules.payer_sum = above_major(limit.saturating_mul(100));
        });
        let payments: Vec<_> =
            payments.iter().map(|(minor, ago, to)| past(Part::Paid, user(*to), *minor, *ago)).collect();
        let none = Activity::default();
        let mut before: Vec<Hit> = Vec::new();
        for length in 0..=payments.len() {
            let found = hits(&rules, &activity(payments[..length].iter().copied()), &none, minor);
            for hit in &before {
                prop_assert!(found.iter().any(|other| other.rule == hit.rule && other.figure >= hit.figure));
            }
            before = found;
        }
    }

    /// Every rule counts what its description says, however the history ran and wherever the window begins.
    #[test]
    fn figures_are_those_of_the_plain_history(
        payments in prop::collection::vec((0_usize..5, other(), amount(), 0_i64..200_000), 0..REMEMBERED.saturating_mul(4)),
        payee in other(),
        money in amount(),
        (limit, major, window_seconds) in (0_u32..8, 0_u32..30, 1_u64..4_000),
    ) {
        let parts = [Part::Paid, Part::UnderReview, Part::Approved, Part::Declined, Part::Got];
        let mut ago: i64 = payments.iter().map(|(.., step)| step).sum();
        let mut history = Vec::new();
        for (part, other, money, step) in &payments {
            ago = ago.saturating_sub(*step);
            let currency = money.currency();
            history.push(Past { currency, ..past(parts[*part], user(*other), money.amount_minor(), ago) });
        }
        let rules = RiskRules {
            window_seconds,
            payer_payments: above(limit),
            payer_sum: above_major(major),
            payee_payments: above(limit),
            payee_sum: above_major(major),
            new_payee: above_major(major),
            habit: above(limit),
            declines: above(limit),
            fan_out: above(limit),
            fan_in: above(limit),
            same_payment: above(limit),
            ..only(|_| {})
        };
        let both = activity(history.iter().copied());
        let facts = Facts { payee: user(payee), money, ..facts(&both, &both, 1) };
        let mut found: Vec<_> = assess(&rules, &facts).iter().map(|hit| (hit.rule, hit.figure, hit.is_new)).collect();
        let mut plain = Plain { facts: &facts, history: &history, window_ms: rules.window_ms() }.hits(limit, major);
        found.sort_unstable();
        plain.sort_unstable();
        prop_assert_eq!(found, plain);
    }
}

/// Few users, of whom some differ in the high bits of their ids alone.
fn other() -> impl Strategy<Value = u128> {
    (1_u128..5, 0_u128..2).prop_map(|(low, high)| low.saturating_add(high.saturating_mul(0x1_0000)))
}

fn amount() -> impl Strategy<Value = Money> {
    let currency = prop::sample::select(vec![Currency::USD, Currency::parse("JPY").unwrap()]);
    let minor = prop_oneof![1_i64..4, 100_i64..3_000];
    (minor, currency).prop_map(|(minor, currency)| Money::from_minor(minor, currency).unwrap())
}

/// The rules once more, as one would say them.
struct Plain<'a> {
    facts: &'a Facts<'a>,
    history: &'a [Past],
    window_ms: i64,
}

impl Plain<'_> {
    fn hits(&self, limit: u32, major: u32) -> Vec<(&'static str, u64, bool)> {
        let Facts { money, payer, payee, .. } = *self.facts;
        let is_paid = |past: &&Past| past.part != Part::Got;
        let in_currency = |past: &&&Past| past.currency == money.currency();
        let (paid, got) = (self.last(is_paid), self.last(|past| !is_paid(past)));
        let counted: Vec<&Past> = paid.iter().copied().filter(|past| past.part.counts()).collect();
        let known = |past: &&&Past| matches!(past.part, Part::Paid | Part::Approved);
        let to_payee = |past: &&&Past| past.other == Counterparty::of(payee);
        let declines = self.recent(&paid, |past| past.part == Part::Declined).len();
        let same = counted.iter().filter(to_payee).filter(in_currency);
        let same =
            same.filter(|past| past.amount_minor == money.amount_minor() && Self::is_within(past, 60_000));
        let habit: Vec<i64> =
            paid.iter().filter(known).filter(in_currency).map(|past| past.amount_minor).collect();
        let largest = habit.iter().copied().max().unwrap_or(i64::MAX);
        let mut hits = Vec::new();
        let limit = u64::from(limit);
        let mut count = |rule, figure: usize, is_new: Option<bool>| {
            let figure = u64::try_from(figure).unwrap();
            let is_new = is_new.unwrap_or(figure == limit.saturating_add(1));
            if figure > limit {
                hits.push((rule, figure, is_new));
            }
        };
        count("declines", declines, Some(paid.last().is_some_and(|past| past.part == Part::Declined)));
        count("same_payment", same.count(), None);
        if habit.len() >= 5 {
            count("habit", usize::try_from(money.amount_minor().div_euclid(largest)).unwrap(), Some(true));
        }
        for (rules, side, other) in
            [(["payer_payments", "fan_out"], &counted, payee), (["payee_payments", "fan_in"], &got, payer)]
        {
            let recent = self.recent(side, |_| true);
            let mut others: HashSet<Counterparty> = recent.iter().map(|past| past.other).collect();
            let is_known = !others.insert(Counterparty::of(other));
            count(rules[0], recent.len().saturating_add(1), None);
            count(rules[1], others.len(), is_known.then_some(false));
        }
        let unit = if money.currency() == Currency::USD { 100 } else { 1 };
        let limit = i64::from(major).saturating_mul(unit);
        let sum = |side| {
            self.recent(side, |past| past.currency == money.currency())
                .iter()
                .map(|past| past.amount_minor)
                .sum()
        };
        let is_new_payee = !paid.iter().filter(known).any(|past| to_payee(&past));
        for (rule, before) in [
            ("payer_sum", Some(sum(&counted))),
            ("payee_sum", Some(sum(&got))),
            ("new_payee", is_new_payee.then_some(0)),
        ] {
            let Some(before): Option<i64> = before else { continue };
            let after = before.saturating_add(money.amount_minor());
            if after > limit {
                hits.push((rule, u64::try_from(after).unwrap(), before <= limit));
            }
        }
        hits
    }

    fn last(&self, is: impl Fn(&&Past) -> bool) -> Vec<&Past> {
        let mut last: Vec<_> = self.history.iter().filter(is).rev().take(REMEMBERED).collect();
        last.reverse();
        last
    }

    fn recent<'p>(&self, of: &[&'p Past], is: impl Fn(&Past) -> bool) -> Vec<&'p Past> {
        of.iter().copied().filter(|past| is(past) && Self::is_within(past, self.window_ms)).collect()
    }

    fn is_within(past: &Past, millis: i64) -> bool {
        NOW < past.at.plus_millis(millis).as_millis()
    }
}
