//! The lives of payments, told again from the journal: which entries each row calls for, which steps were legal, and
//! where they lead. Written from the states' table and not from the decision, so that one checks the other.
//!
//! Memory: the payments that have later steps, and the wallets that hold money.

use std::collections::{HashMap, HashSet};

use crate::ledger::{
    AccountKey, AccountKind, BalancesAfter, Capture, Entry, KnownPayment, Move, PaymentId, PaymentState,
    PaymentStatus, Stage, Step, Transaction, TransactionKind, UserId,
};

/// What is known of payments up to a row of the journal.
#[derive(Debug, Default)]
pub(super) struct Lives {
    /// The payments that later steps are about.
    settled: HashSet<PaymentId>,
    known: HashMap<PaymentId, KnownPayment>,
    /// By wallet: what it has, and what is held of it. Only of those of which something is.
    holding: HashMap<AccountKey, (i64, i64)>,
}

impl Lives {
    /// Before the first row; `settled` are the payments that later steps are about.
    pub(super) fn new(settled: HashSet<PaymentId>) -> Self {
        Self { settled, ..Self::default() }
    }

    /// Checks the journal's next row.
    pub(super) fn check(&mut self, transaction: &Transaction) -> Result<(), String> {
        let moved = self.check_entries(transaction);
        let after = self.check_after(transaction);
        let lived = self.follow(transaction);
        moved.and(after).and(lived)
    }

    /// Exactly the entries that the transaction's kind, stage and outcome call for.
    fn check_entries(&self, transaction: &Transaction) -> Result<(), String> {
        if transaction.decline.is_some() {
            let is_empty = transaction.entries.is_empty();
            return if is_empty { Ok(()) } else { Err("it was declined and has entries".into()) };
        }
        let sum: i128 = transaction.entries.iter().map(|entry| i128::from(entry.amount_minor)).sum();
        if sum != 0 {
            return Err(format!("its entries sum to {sum} and not to zero"));
        }
        let entry = |entry: &Entry| (entry.account, entry.amount_minor);
        let is_expected = transaction.entries.iter().map(entry).eq(self.expected(transaction));
        if is_expected { Ok(()) } else { Err("its entries are not those of its parties and amount".into()) }
    }

    fn expected(&self, transaction: &Transaction) -> Vec<(AccountKey, i64)> {
        let (money, currency) = (transaction.money.amount_minor(), transaction.money.currency());
        let (from, to) = (transaction.from.id, transaction.to.id);
        let (payer, payee) = (AccountKey::wallet(from, currency), AccountKey::wallet(to, currency));
        let held = AccountKey::holds(from, currency);
        match (&transaction.stage, transaction.kind) {
            (Stage::Whole, _) | (_, TransactionKind::Refund) => {
                vec![(payer, money.saturating_neg()), (payee, money)]
            }
            (Stage::Held(_), _) => vec![(payer, money.saturating_neg()), (held, money)],
            (Stage::Step(step), _) if step.state.status.is_held() => Vec::new(),
            (Stage::Step(step), _) => {
                let whole =
                    self.known.get(&step.payment).map_or(money, |known| known.first.money.amount_minor());
                let captured = step.state.captured_minor;
                let parts = [
                    (held, whole.saturating_neg()),
                    (payee, captured),
                    (payer, whole.saturating_sub(captured)),
                ];
                parts.into_iter().filter(|(_, amount)| *amount != 0).collect()
            }
        }
    }

    /// What it says that its sides had afterwards is what they had.
    fn check_after(&mut self, transaction: &Transaction) -> Result<(), String> {
        let currency = transaction.money.currency();
        let mut side = |user: UserId| {
            let wallet = AccountKey::wallet(user, currency);
            let entry_of =
                |account: AccountKey| transaction.entries.iter().find(|entry| entry.account == account);
            let known = self.holding.get(&wallet).copied();
            let (in_wallet, held) = known.unwrap_or_default();
            let told = entry_of(wallet).map(|entry| entry.balance_after_minor);
            let holds = AccountKey { kind: AccountKind::Holds, ..wallet };
            let held = entry_of(holds).map_or(held, |entry| entry.balance_after_minor);
            let in_wallet = told.unwrap_or(in_wallet);
            if held == 0 {
                self.holding.remove(&wallet);
            } else {
                self.holding.insert(wallet, (in_wallet, held));
            }
            let is_told = told.is_some() && held == 0;
            (!is_told && !user.is_outside()).then(|| in_wallet.saturating_add(held))
        };
        let computed = BalancesAfter { from: side(transaction.from.id), to: side(transaction.to.id) };
        let moves = transaction.movement().is_some() && !transaction.entries.is_empty();
        let expected = if moves { computed } else { BalancesAfter::default() };
        if transaction.after == expected {
            Ok(())
        } else {
            Err("what it says that its sides had afterwards is not what they had".into())
        }
    }

    /// Takes the row into the life of its payment.
    fn follow(&mut self, transaction: &Transaction) -> Result<(), String> {
        let Stage::Step(step) = &transaction.stage else {
            let payment = transaction.id.into();
            if let Some(state) = transaction.payment_state().filter(|_| self.settled.contains(&payment)) {
                let first = std::sync::Arc::new(transaction.clone());
                self.known.insert(payment, KnownPayment { first, state });
            }
            return Ok(());
        };
        let Some(known) = self.known.get_mut(&step.payment) else {
            return Err(format!("there is no payment {} before it", step.payment));
        };
        let checked = check_step(known, transaction, step);
        // From here on what the row says is followed, so that one wrong step is told once.
        known.state = step.state;
        checked
    }
}

/// Whether the step is one that the payment allows, and leads where it says.
fn check_step(known: &KnownPayment, transaction: &Transaction, step: &Step) -> Result<(), String> {
    let first = &known.first;
    let is_refund = transaction.kind == TransactionKind::Refund;
    let sides = if is_refund { (&first.to, &first.from) } else { (&first.from, &first.to) };
    if (&transaction.from, &transaction.to) != sides || transaction.money.currency() != first.money.currency()
    {
        return Err(format!("its sides or currency are not those of {}", step.payment));
    }
    let (whole, money) = (first.money.amount_minor(), transaction.money.amount_minor());
    let nothing = PaymentState::without_capture;
    let (made, most, state) = match transaction.kind {
        TransactionKind::Capture => (Move::Capture, whole, PaymentState::captured(money)),
        TransactionKind::Void => (Move::Void, whole, nothing(PaymentStatus::Voided)),
        TransactionKind::Expiry => (Move::Expire, whole, nothing(PaymentStatus::Expired)),
        TransactionKind::Rejection => (Move::Reject, whole, nothing(PaymentStatus::Rejected)),
        TransactionKind::Approval => {
            let is_manual = first.capture == Capture::Manual;
            let approved =
                if is_manual { nothing(PaymentStatus::Authorized) } else { PaymentState::captured(whole) };
            (Move::Approve, whole, approved)
        }
        TransactionKind::Refund => {
            (Move::Refund, known.state.refundable_minor(), known.state.refunded(money))
        }
        TransactionKind::Payment
        | TransactionKind::Topup
        | TransactionKind::Grant
        | TransactionKind::Deposit
        | TransactionKind::Withdrawal => return Err("it is no step of a payment".into()),
    };
    let before = known.state.status;
    if !before.allows(made) {
        return Err(format!("{} was {}, which does not allow it", step.payment, before.name()));
    }
    let is_part = matches!(made, Move::Capture | Move::Refund);
    if money > most || (!is_part && money != most) {
        return Err(format!("it moves {money} minor units of the {most} that there are of {}", step.payment));
    }
    let state = if transaction.decline.is_some() { known.state } else { state };
    if step.state == state { Ok(()) } else { Err(format!("it does not lead {} where it says", step.payment)) }
}
