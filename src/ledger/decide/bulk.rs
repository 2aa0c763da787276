//! Many payments in one command: each is decided as it would be alone, in their order. One second factor counts for all of
//! them; where all or nothing was asked for, one refusal takes everything back.

use super::super::{Command, Pay, PayMany, Refusal, Rules, WorkingSet};
use super::factors::Asked;
use super::payments::{answered, pay_with};
use super::{Outcome, Reply, caller_user};

pub(super) fn pay_many(rules: &Rules, set: &mut WorkingSet, command: &Command, many: &PayMany) -> Outcome {
    let payer = match caller_user(set, &many.caller) {
        Ok(payer) => payer,
        Err(refusal) => return refusal.into(),
    };
    let sides = many.pays.iter().flatten().map(|pay| pay.payee).chain([payer.id]);
    let before = many.all_or_nothing.then(|| set.before(sides));
    let is_large_and_new = |pay: &Pay| {
        rules.step_up_above.is_exceeded_by(pay.money) && answered(set, payer.id, pay.key.as_ref()).is_none()
    };
    let mut asked = Asked::of(many.shown);
    if many.pays.iter().flatten().any(is_large_and_new)
        && let Err(refusal) = asked.take(set, payer.id)
    {
        return refusal.into();
    }
    let outcomes: Vec<Outcome> = many
        .pays
        .iter()
        .map(|pay| match pay {
            Ok(pay) => pay_with(rules, set, command, pay, (&payer, &mut asked)),
            Err(refusal) => refusal.clone().into(),
        })
        .collect();
    let refused = outcomes.iter().any(|outcome| outcome.result.is_err());
    match before.filter(|_| refused) {
        None => Ok(Reply::Many(outcomes)).into(),
        Some(before) => {
            set.go_back(before);
            let refusals =
                (0..).zip(outcomes).filter_map(|(place, outcome)| Some((place, outcome.result.err()?)));
            Refusal::BatchRefused { refusals: refusals.collect() }.into()
        }
    }
}
