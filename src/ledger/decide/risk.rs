//! Risk rules within the decision: the facts from the working set, what follows from the hits, and the events that tell
//! each of them.

use super::super::{
    Activity, Command, Currency, EventDraft, EventKind, Facts, Hit, Pay, ReviewReason, RiskAction, Rules,
    Severity, User, UserId, WorkingSet, assess, memo_digest, strictest,
};
use super::super::{PaymentId, Refusal};
use super::factors::Asked;

/// What risk rules say of a payment.
pub(super) struct Verdict {
    hits: Vec<Hit>,
    currency: Currency,
    action: RiskAction,
}

impl Verdict {
    /// What is to be done, once a code was shown where one was asked for.
    pub(super) fn action(&self) -> RiskAction {
        self.action
    }

    /// Why an operator is to look at it.
    pub(super) fn reasons(&self) -> Vec<ReviewReason> {
        let serious = self.hits.iter().filter(|hit| hit.action > RiskAction::Allow);
        let reason = |hit: &Hit| ReviewReason {
            rule: hit.rule.to_owned(),
            figure: hit.figure_in(self.currency),
            limit: hit.limit_in(self.currency),
        };
        serious.map(reason).collect()
    }

    /// Writes an event for each hit. A mild one is told when its limit is passed, and not again with each payment beyond.
    pub(super) fn tell(
        &self,
        set: &mut WorkingSet,
        command: &Command,
        payer: UserId,
        payment: Option<PaymentId>,
    ) {
        for hit in self.hits.iter().filter(|hit| hit.is_new || hit.action > RiskAction::Allow) {
            let severity = if hit.action == RiskAction::Allow { Severity::Warning } else { Severity::High };
            let mut event =
                EventDraft { severity, ..EventDraft::new(EventKind::PaymentSuspicious, Some(payer)) };
            if let Some(payment) = payment {
                event = event.with("payment", payment.to_string());
            }
            let event = event
                .with("rule", hit.rule)
                .with("action", hit.action.name())
                .with("figure", hit.figure_in(self.currency))
                .with("limit", hit.limit_in(self.currency));
            set.record(command, &event);
        }
    }
}

/// Looks at a payment. Asks for a code where a rule or its amount wants one: of who has no second factor, an operator
/// looks at what a rule wanted a code for.
///
/// # Errors
/// [`Refusal::OtpRequired`] or [`Refusal::OtpInvalid`].
pub(super) fn look(
    rules: &Rules,
    set: &mut WorkingSet,
    command: &Command,
    pay: &Pay,
    (payer, asked): (&User, &mut Asked),
) -> Result<Verdict, Refusal> {
    let hits = if rules.risk.enabled { assess_payment(rules, set, pay, payer) } else { Vec::new() };
    let action = strictest(&hits).unwrap_or(RiskAction::Allow);
    let mut verdict = Verdict { hits, currency: pay.money.currency(), action };
    let is_large = rules.step_up_above.is_exceeded_by(pay.money);
    if (is_large || action == RiskAction::StepUp)
        && let Err(refusal) = asked.take(set, payer.id)
    {
        verdict.tell(set, command, payer.id, None);
        return Err(refusal);
    }
    if action == RiskAction::StepUp {
        verdict.action = if payer.active_factor().is_some() { RiskAction::Allow } else { RiskAction::Review };
    }
    Ok(verdict)
}

fn assess_payment(rules: &Rules, set: &WorkingSet, pay: &Pay, payer: &User) -> Vec<Hit> {
    let none = Activity::default();
    let of = |user: UserId| set.activity.get(&user).unwrap_or(&none);
    let changed = payer.password_changed_at;
    let facts = Facts {
        now: set.now,
        payer: payer.id,
        payee: pay.payee,
        money: pay.money,
        memo: memo_digest(&pay.memo.description, &pay.memo.reference),
        duplicate_window_ms: rules.duplicate_window_ms,
        password_changed_at: (changed > payer.created_at).then_some(changed),
        new_address_at: payer.new_address_at,
        payer_activity: of(payer.id),
        payee_activity: of(pay.payee),
    };
    assess(&rules.risk, &facts)
}
