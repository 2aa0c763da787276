//! Rules one by one, and what holds of all of them whatever the history.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::ledger::{
    BalancesAfter, Capture, Decline, Memo, Party, Stage, Transaction, TransactionId, TransactionKind,
};

const NOW: i64 = 1_800_000_000_000;

fn user(number: u128) -> UserId {
    UserId::new(Uuid::from_u128(100 + number))
}

fn usd(minor: i64) -> Money {
    Money::from_minor(minor, Currency::USD).unwrap()
}

fn payment(from: UserId, to: UserId, minor: i64, ago_ms: i64, decline: Option<Decline>) -> Transaction {
    Transaction {
        id: TransactionId::new(Uuid::nil()),
        kind: TransactionKind::Payment,
        from: Party { id: from, name: None },
        to: Party { id: to, name: None },
        money: usd(minor),
        memo: Memo::default(),
        method: None,
        capture: Capture::Automatic,
        stage: Stage::Whole,
        actor: None,
        after: BalancesAfter::default(),
        decline,
        key: None,
        created_at: Timestamp::from_millis(NOW - ago_ms),
        entries: Vec::new(),
    }
}

fn activity(user: UserId, payments: &[Transaction]) -> Activity {
    let mut activity = Activity::default();
    for payment in payments {
        activity.take(user, payment);
    }
    activity
}

fn only(change: impl FnOnce(&mut RiskRules)) -> RiskRules {
    let off = RiskSetting(None);
    let mut rules = RiskRules {
        enabled: true,
        payer_payments: off,
        payer_sum: off,
        payee_payments: off,
        payee_sum: off,
        new_payee: off,
        habit: off,
        declines: off,
        after_password: off,
        fan_out: off,
        fan_in: off,
        same_payment: off,
    };
    change(&mut rules);
    rules
}

/// What the payer, user 0, hits by paying user 1 so much.
fn hits(rules: &RiskRules, payer: &Activity, payee: &Activity, minor: i64, password_ago: Option<i64>) -> Vec<Hit> {
    assess(
        rules,
        &Facts {
            now: Timestamp::from_millis(NOW),
            payee: user(1),
            money: usd(minor),
            memo: activity::digest(&Memo::default()),
            duplicate_window_ms: 60_000,
            password_changed_at: password_ago.map(|ago| Timestamp::from_millis(NOW - ago)),
            payer_activity: payer,
            payee_activity: Some(payee),
        },
    )
}

fn review(limit: u64) -> RiskSetting {
    RiskSetting(Some(rule(limit, RiskAction::Review)))
}

#[test]
fn each_rule_hits_beyond_its_limit_and_not_at_it() {
    let none = Activity::default();
    let paid = |count: i64, minor| {
        let payments: Vec<_> = (0..count).map(|_| payment(user(0), user(1), minor, 90_000, None)).collect();
        activity(user(0), &payments)
    };
    let got = |count: u128| {
        let payments: Vec<_> = (0..count).map(|n| payment(user(10 + n), user(1), 100, 90_000, None)).collect();
        activity(user(1), &payments)
    };
    let out = |count: u128| {
        let payments: Vec<_> = (0..count).map(|n| payment(user(0), user(10 + n), 100, 90_000, None)).collect();
        activity(user(0), &payments)
    };
    let declined = |count: i64| {
        let decline = Some(Decline::Risk);
        let payments: Vec<_> = (0..count).map(|_| payment(user(0), user(1), 100, 90_000, decline)).collect();
        activity(user(0), &payments)
    };
    let is_hit = |rules: &RiskRules, payer: &Activity, payee: &Activity, minor, password| {
        !hits(rules, payer, payee, minor, password).is_empty()
    };

    let rules = only(|rules| rules.payer_payments = review(3));
    assert!(!is_hit(&rules, &paid(2, 100), &none, 100, None) && is_hit(&rules, &paid(3, 100), &none, 100, None));
    let rules = only(|rules| rules.payer_sum = review(10));
    assert!(!is_hit(&rules, &paid(2, 400), &none, 200, None) && is_hit(&rules, &paid(2, 400), &none, 300, None));
    let rules = only(|rules| rules.payee_payments = review(3));
    assert!(!is_hit(&rules, &none, &got(2), 100, None) && is_hit(&rules, &none, &got(3), 100, None));
    let rules = only(|rules| rules.payee_sum = review(3));
    assert!(!is_hit(&rules, &none, &got(2), 100, None) && is_hit(&rules, &none, &got(2), 200, None));
    let rules = only(|rules| rules.new_payee = review(50));
    assert!(is_hit(&rules, &none, &none, 5_000, None) && !is_hit(&rules, &none, &none, 4_999, None));
    assert!(!is_hit(&rules, &paid(1, 1), &none, 5_000, None), "the payee is known");
    let rules = only(|rules| rules.habit = review(10));
    assert!(is_hit(&rules, &paid(5, 100), &none, 1_000, None) && !is_hit(&rules, &paid(5, 100), &none, 999, None));
    assert!(!is_hit(&rules, &paid(4, 100), &none, 1_000, None), "no habit yet");
    let rules = only(|rules| rules.declines = review(3));
    assert!(!is_hit(&rules, &declined(2), &none, 100, None) && is_hit(&rules, &declined(3), &none, 100, None));
    let rules = only(|rules| rules.after_password = review(50));
    assert!(is_hit(&rules, &none, &none, 5_000, Some(599_999)) && !is_hit(&rules, &none, &none, 5_000, Some(600_000)));
    assert!(!is_hit(&rules, &none, &none, 4_999, Some(1)) && !is_hit(&rules, &none, &none, 5_000, None));
    let rules = only(|rules| rules.fan_out = review(3));
    assert!(!is_hit(&rules, &out(2), &none, 100, None) && is_hit(&rules, &out(3), &none, 100, None));
    let rules = only(|rules| rules.fan_in = review(3));
    assert!(!is_hit(&rules, &none, &got(2), 100, None) && is_hit(&rules, &none, &got(3), 100, None));
    let rules = only(|rules| rules.same_payment = review(1));
    let same = activity(user(0), &[payment(user(0), user(1), 100, 59_000, None)]);
    assert!(is_hit(&rules, &same, &none, 100, None) && !is_hit(&rules, &same, &none, 101, None));
    assert!(!is_hit(&rules, &paid(1, 100), &none, 100, None), "beyond the window");
}

#[test]
fn an_hour_later_nothing_is_counted() {
    let old: Vec<_> = (0..20).map(|_| payment(user(0), user(1), 100_000, WINDOW_MS, None)).collect();
    let rules = only(|rules| (rules.payer_payments, rules.payer_sum) = (review(1), review(1_000)));
    assert!(hits(&rules, &activity(user(0), &old), &Activity::default(), 100, None).is_empty());
}

#[test]
fn settings_are_read_and_written_alike() {
    for text in ["off", "30 review", "0 decline", "999999999999 allow", "5 step_up"] {
        assert_eq!(RiskSetting::parse(text).unwrap().to_string(), text);
    }
    for text in ["", "30", "review", "-1 review", "30  review", "30 Review", "1000000000000 allow", "on"] {
        assert_eq!(RiskSetting::parse(text), None, "{text}");
    }
    assert!(RiskSetting::parse_count("31 allow").is_some() && RiskSetting::parse_count("32 allow").is_none());
}

proptest! {
    #[test]
    fn more_history_never_hits_a_velocity_limit_less(
        amounts in prop::collection::vec((1_i64..100_000, 0_i64..3_500_000, 1_u128..5), 0..31),
        limit in 0_u64..31,
        minor in 1_i64..1_000_000,
    ) {
        let rules = only(|rules| {
            (rules.payer_payments, rules.payer_sum, rules.fan_out) = (review(limit), review(limit * 100), review(limit));
        });
        let payments: Vec<_> =
            amounts.iter().map(|(minor, ago, to)| payment(user(0), user(*to), *minor, *ago, None)).collect();
        let none = Activity::default();
        let mut before = Vec::new();
        for length in 0..=payments.len() {
            let found = hits(&rules, &activity(user(0), &payments[..length]), &none, minor, None);
            for hit in &before {
                let hit: &Hit = hit;
                prop_assert!(found.iter().any(|other| other.rule == hit.rule && other.figure >= hit.figure));
            }
            before = found;
        }
    }
}
