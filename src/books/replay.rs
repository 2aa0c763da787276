//! Other risk rules over the recorded history: which payments they would have hit, and where they would have done
//! something else than was done.
//!
//! History stays as it was: what was declined or held then is so here, whatever these rules say of it. So only the next
//! step differs, and the rules that were in force change nothing. Payments that did not come to be (a code was asked for
//! and none was shown) are not in the journal; those that were declined for want of money are not looked at, since no
//! rule would have changed that. Within a block the events are taken to come before the payments.
//!
//! Memory: a piece of the journal, and for each user the last payments that rules look at.

use std::collections::{BTreeMap, HashMap};
use std::io;

use super::{BookError, PIECE, Totals, whole};
use crate::ledger::{
    Activity, Decline, EventKind, Facts, Hit, IdMap, PaymentId, RiskAction, RiskRules, SecurityEvent,
    Timestamp, Transaction, TransactionKind, UserId, assess, memo_digest, strictest,
};
use crate::store::journal::{Head, JournalReader};

/// What rules came to.
#[derive(Debug, Default)]
pub struct Replay {
    /// Payments that were looked at.
    pub payments: u64,
    /// When the first and the last of them was made.
    pub span: Option<(Timestamp, Timestamp)>,
    /// By rule: what it does, how many payments it hit, and what they come to.
    pub hits: BTreeMap<&'static str, (RiskAction, Totals)>,
    /// Payments with which something else would have been done.
    pub changed: u64,
}

/// A payment with which something else would have been done.
#[derive(Debug)]
pub struct Change<'a> {
    /// The payment.
    pub payment: &'a Transaction,
    /// What was done.
    pub was: RiskAction,
    /// What would have been done.
    pub would: RiskAction,
    /// The rules that it hits.
    pub hits: &'a [Hit],
}

/// Runs rules over the journal. `tell` hears of each change, in the order of the journal.
///
/// # Errors
/// [`BookError`].
pub fn replay(
    reader: &mut dyn JournalReader,
    rules: &RiskRules,
    duplicate_window_ms: i64,
    tell: &mut dyn FnMut(&Change<'_>) -> io::Result<()>,
) -> Result<Replay, BookError> {
    let end = reader.begin()?.head;
    let mut past = Past {
        rules,
        duplicate_window_ms,
        activity: IdMap::default(),
        password_changed_at: HashMap::new(),
        new_address_at: HashMap::new(),
        done: HashMap::new(),
    };
    let mut replay = Replay::default();
    let mut after = Head::default();
    while after.block < end.block {
        let blocks = reader.blocks(&after, end.block, PIECE)?;
        let Some(last) = blocks.last().map(|block| block.head) else { break };
        let found = reader.events(after.event, last.event)?;
        let mut events = whole(found, "security_events", after.event, last.event)?.into_iter().peekable();
        let found = reader.transactions(after.transaction, last.transaction)?;
        let mut transactions =
            whole(found, "transactions", after.transaction, last.transaction)?.into_iter().peekable();
        for head in blocks.iter().map(|block| block.head) {
            past.done.clear();
            while let Some((_, event)) = events.next_if(|(no, _)| *no <= head.event) {
                past.take_event(&event);
            }
            while let Some((_, transaction)) = transactions.next_if(|(no, _)| *no <= head.transaction) {
                past.look(&transaction, &mut replay, tell)?;
                past.take(&transaction);
            }
        }
        after = last;
    }
    Ok(replay)
}

/// What is known at a moment of the journal.
struct Past<'r> {
    rules: &'r RiskRules,
    duplicate_window_ms: i64,
    activity: IdMap<UserId, Activity>,
    password_changed_at: HashMap<UserId, Timestamp>,
    new_address_at: HashMap<UserId, Timestamp>,
    /// What was done about payments of this block.
    done: HashMap<PaymentId, RiskAction>,
}

impl Past<'_> {
    fn take_event(&mut self, event: &SecurityEvent) {
        let Some(user) = event.user else { return };
        match event.kind {
            EventKind::PasswordChange => {
                self.password_changed_at.insert(user, event.at);
            }
            EventKind::LoginSuccess if detail(event).address.as_deref() == Some("new") => {
                self.new_address_at.insert(user, event.at);
            }
            EventKind::PaymentSuspicious => {
                let Told { payment: Some(payment), action: Some(action), .. } = detail(event) else { return };
                let action = RiskAction::ALL.into_iter().find(|known| known.name() == action);
                if let (Ok(payment), Some(action)) = (payment.parse(), action) {
                    let done = self.done.entry(payment).or_insert(action);
                    *done = action.max(*done);
                }
            }
            _ => {}
        }
    }

    fn take(&mut self, transaction: &Transaction) {
        for user in [transaction.from.id, transaction.to.id].into_iter().filter(|user| !user.is_outside()) {
            self.activity.entry(user).or_default().take(user, transaction);
        }
    }

    fn look(
        &self,
        payment: &Transaction,
        replay: &mut Replay,
        tell: &mut dyn FnMut(&Change<'_>) -> io::Result<()>,
    ) -> Result<(), BookError> {
        let is_unaffordable = matches!(payment.decline, Some(Decline::InsufficientFunds { .. }));
        if payment.kind != TransactionKind::Payment || is_unaffordable {
            return Ok(());
        }
        let none = Activity::default();
        let of = |user| self.activity.get(&user).unwrap_or(&none);
        let (payer, payee) = (payment.from.id, payment.to.id);
        let facts = Facts {
            now: payment.created_at,
            payer,
            payee,
            money: payment.money,
            memo: memo_digest(&payment.memo.description, &payment.memo.reference),
            duplicate_window_ms: self.duplicate_window_ms,
            password_changed_at: self.password_changed_at.get(&payer).copied(),
            new_address_at: self.new_address_at.get(&payer).copied(),
            payer_activity: of(payer),
            payee_activity: of(payee),
        };
        let hits = if self.rules.enabled { assess(self.rules, &facts) } else { Vec::new() };
        replay.payments = replay.payments.saturating_add(1);
        let first = replay.span.map_or(payment.created_at, |(first, _)| first);
        replay.span = Some((first, payment.created_at));
        for hit in &hits {
            let (_, totals) = replay.hits.entry(hit.rule).or_insert((hit.action, Totals::default()));
            totals.rows = totals.rows.saturating_add(1);
            totals.add(payment.money.currency(), payment.money.amount_minor());
        }
        let was = self.done.get(&payment.id.into()).copied().unwrap_or(RiskAction::Allow);
        let would = strictest(&hits).unwrap_or(RiskAction::Allow);
        if was != would {
            replay.changed = replay.changed.saturating_add(1);
            tell(&Change { payment, was, would, hits: &hits })?;
        }
        Ok(())
    }
}

/// What the events say that count here.
#[derive(Default, serde::Deserialize)]
struct Told {
    payment: Option<String>,
    action: Option<String>,
    address: Option<String>,
}

fn detail(event: &SecurityEvent) -> Told {
    serde_json::from_str(&event.detail).unwrap_or_default()
}
