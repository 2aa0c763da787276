//! Risk rules within the decision: the facts from the working set, and the events that tell every hit.

use super::super::{
    Command, EventDraft, EventKind, Pay, PaymentId, Rules, Severity, Transaction, User, UserId, WorkingSet,
};
use crate::risk::{self, Activity, Facts, Hit, RiskAction, activity};

/// Every rule that the payment hits; none where rules are off.
pub(super) fn assess(rules: &Rules, set: &WorkingSet, pay: &Pay, payer: &User) -> Vec<Hit> {
    if !rules.risk.enabled {
        return Vec::new();
    }
    let none = Activity::default();
    let of = |user: UserId| set.activity.get(&user).unwrap_or(&none);
    let changed = payer.password_changed_at;
    risk::assess(
        &rules.risk,
        &Facts {
            now: set.now,
            payee: pay.payee,
            money: pay.money,
            memo: activity::digest(&pay.memo),
            duplicate_window_ms: rules.duplicate_window_ms,
            password_changed_at: (changed > payer.created_at).then_some(changed),
            payer_activity: of(payer.id),
            payee_activity: (pay.payee != UserId::HOUSE).then(|| of(pay.payee)),
        },
    )
}

/// Writes an event for each hit. A mild one is told when its limit is passed, and not again with each payment beyond.
pub(super) fn tell(set: &mut WorkingSet, command: &Command, transaction: &Transaction, hits: &[Hit]) {
    for hit in hits.iter().filter(|hit| hit.is_new || hit.action > RiskAction::Allow) {
        let severity = if hit.action == RiskAction::Allow { Severity::Warning } else { Severity::High };
        let event = EventDraft::new(EventKind::PaymentSuspicious, Some(transaction.from.id));
        let event = EventDraft { severity, ..event }
            .with("payment", PaymentId::from(transaction.id).to_string())
            .with("rule", hit.rule)
            .with("action", hit.action.name())
            .with("figure", hit.figure.to_string())
            .with("limit", hit.limit.to_string());
        set.record(command, &event);
    }
}
