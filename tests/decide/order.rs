//! The order of refusals.

use std::sync::Arc;

use farthing::ledger::{
    AccountKey, Action, Caller, Capture, Currency, Memo, Money, Pay, PaymentId, RecentPayment, SessionEnd,
    Shown, Timestamp, WorkingSet, decide,
};

use super::random::Random;
use super::{Dice, command, make_user, rules};

/// With everything wrong at once the first refusal is told; with that mended the next, in the order of [`Refusal`].
#[test]
fn refusals_come_in_their_order() {
    type Break = fn(&mut WorkingSet, Caller, &Pay);
    let breaks: [(&str, Break); 7] = [
        ("TokenInvalid", |set, caller, _| {
            let session = Arc::make_mut(set.sessions.get_mut(&caller.session).unwrap());
            session.ended = Some((set.now, SessionEnd::Logout));
        }),
        ("TokenExpired", |set, caller, _| {
            Arc::make_mut(set.sessions.get_mut(&caller.session).unwrap()).access_expires_at = set.now;
        }),
        ("AccountFrozen", |set, caller, _| {
            Arc::make_mut(set.users.get_mut(&caller.user).unwrap()).frozen = true;
        }),
        ("RecipientNotFound", |set, _, pay| drop(set.users.remove(&pay.payee))),
        ("DuplicatePayment", |set, _, pay| {
            set.shapes.insert(pay.shape(), vec![RecentPayment { payment: pay.payment, at: set.now }]);
        }),
        ("InsufficientFunds", |set, caller, _| {
            set.accounts.insert(AccountKey::wallet(caller.user, Currency::USD), 0);
        }),
        ("BalanceLimit", |set, _, pay| {
            set.accounts.insert(AccountKey::wallet(pay.payee, Currency::USD), i64::MAX);
        }),
    ];
    for first in 0..=breaks.len() {
        let (rules, mut dice) = (rules(), Dice(Random::new(1)));
        let mut set = WorkingSet::at(Timestamp::from_millis(1_000));
        let payer = make_user(&rules, &mut set, &mut dice, 0);
        let payee = make_user(&rules, &mut set, &mut dice, 1);
        let pay = Pay {
            shown: Shown::Nothing,
            caller: payer,
            payment: PaymentId::new(dice.uuid()),
            payee: payee.user,
            money: Money::from_minor(1, Currency::USD).unwrap(),
            memo: Memo::default(),
            capture: Capture::Automatic,
            key: None,
        };
        for (_, wrong) in &breaks[first..] {
            wrong(&mut set, payer, &pay);
        }
        let command = command(&mut dice, Action::Pay(pay));
        let result = decide(&rules, &mut set, &command).result;
        match breaks.get(first) {
            None => assert!(result.is_ok(), "{result:?}"),
            Some((name, _)) => {
                let refusal = format!("{:?}", result.unwrap_err());
                assert!(refusal.starts_with(name), "{refusal} instead of {name}");
            }
        }
    }
}
