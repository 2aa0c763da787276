//! Money moves: payments and simulated top-ups, with their replays, duplicates and declines.

use std::sync::Arc;

use super::super::{
    AccountKey, BalancesAfter, Capture, CashRequest, Command, Currency, Deadline, Decline, Entry, EventDraft,
    EventKind, Filing, FindKey, Hold, IdempotencyKey, Memo, Mode, Money, Party, Pay, Permission, Refusal,
    Review, RiskAction, Rules, Stage, Topup, TopupMethod, Transaction, TransactionKind, User, UserId,
    WorkingSet,
};
use super::factors::Asked;
use super::{Outcome, Reply, caller_user, caller_with, risk};

pub(super) fn pay(rules: &Rules, set: &mut WorkingSet, command: &Command, pay: &Pay) -> Outcome {
    match caller_with(rules, set, &pay.caller, Permission::OwnAccount) {
        Ok(payer) => pay_with(rules, set, command, pay, (&payer, &mut Asked::of(pay.shown))),
        Err(refusal) => refusal.into(),
    }
}

/// Pays with what was shown for a second factor, which may be good for other payments of the command, too.
pub(super) fn pay_with(
    rules: &Rules,
    set: &mut WorkingSet,
    command: &Command,
    pay: &Pay,
    (payer, asked): (&User, &mut Asked),
) -> Outcome {
    if let Some(first) = answered(set, payer.id, pay.key.as_ref()) {
        return replay(&first, || differences_from_payment(&first, pay));
    }
    match check_payment(rules, set, payer, pay) {
        Ok(payee) => write_payment(rules, set, command, pay, (payer, payee), asked).into(),
        Err(refusal) => {
            if let Refusal::DuplicatePayment { payment } = &refusal {
                let event = EventDraft::new(EventKind::PaymentDuplicateBlocked, Some(payer.id))
                    .with("payment", payment.to_string());
                set.record(command, &event);
            }
            refusal.into()
        }
    }
}

/// What a key of the caller's stands for.
pub(super) fn find_key(set: &WorkingSet, find: &FindKey) -> Result<Reply, Refusal> {
    let owner = caller_user(set, &find.caller)?;
    answered(set, owner.id, Some(&find.key)).map(Reply::Transaction).ok_or(Refusal::PaymentNotFound)
}

/// The rules that stand before the money itself, in the order of [`Refusal`].
pub(super) fn check_payment(
    rules: &Rules,
    set: &WorkingSet,
    payer: &User,
    pay: &Pay,
) -> Result<Party, Refusal> {
    stands_for_no_cash(set, payer.id, pay.key.as_ref())?;
    if payer.frozen {
        return Err(Refusal::AccountFrozen);
    }
    let payee = party(rules, set, pay.payee).ok_or(Refusal::RecipientNotFound)?;
    if payee.id == payer.id {
        return Err(Refusal::SelfPayment);
    }
    if pay.key.is_none()
        && let Some(recent) = set.shapes.get(&pay.shape()).and_then(|recent| recent.last())
        && set.now < recent.at.plus_millis(rules.duplicate_window_ms)
    {
        return Err(Refusal::DuplicatePayment { payment: recent.payment });
    }
    Ok(payee)
}

pub(super) fn party(rules: &Rules, set: &WorkingSet, id: UserId) -> Option<Party> {
    if id == UserId::HOUSE {
        return Some(Party { id, name: Some(rules.house_name.clone()) });
    }
    set.users.get(&id).map(|user| Party { id, name: user.name.clone() })
}

/// Moves the money, or holds it, or keeps the declined attempt.
pub(super) fn write_payment(
    rules: &Rules,
    set: &mut WorkingSet,
    command: &Command,
    pay: &Pay,
    (payer, payee): (&User, Party),
    asked: &mut Asked,
) -> Result<Reply, Refusal> {
    let verdict = risk::look(rules, set, command, pay, (payer, asked))?;
    let currency = pay.money.currency();
    let from = AccountKey::wallet(payer.id, currency);
    let available_minor = set.balance(&from);
    let decline = if available_minor < pay.money.amount_minor() {
        Some(Decline::InsufficientFunds { available_minor })
    } else {
        (verdict.action() == RiskAction::Decline).then_some(Decline::Risk)
    };
    let hold = match (verdict.action(), pay.capture) {
        _ if decline.is_some() => None,
        (RiskAction::Review, _) => Some(Hold::ForReview),
        (_, Capture::Manual) => Some(Hold::ForCapture),
        (_, Capture::Automatic) => None,
    };
    let (to, stage) = match hold {
        Some(hold) => (AccountKey::holds(payer.id, currency), Stage::Held(hold)),
        None => (AccountKey::wallet(payee.id, currency), Stage::Whole),
    };
    let entries = if decline.is_none() { two_entries(set, from, to, pay.money)? } else { Vec::new() };
    let moves = decline.is_none() && hold.is_none();
    let after = if moves {
        balances_after(set, [payer.id, payee.id], currency, &entries)
    } else {
        BalancesAfter::default()
    };
    let transaction = set.post(Transaction {
        id: pay.payment.into(),
        kind: TransactionKind::Payment,
        from: Party { id: payer.id, name: payer.name.clone() },
        to: payee,
        money: pay.money,
        memo: pay.memo.clone(),
        method: None,
        capture: pay.capture,
        stage,
        actor: None,
        after,
        decline,
        key: pay.key.clone(),
        created_at: set.now,
        entries,
    });
    if decline.is_some() {
        set.record(command, &declined_event(&transaction));
    }
    verdict.tell(set, command, payer.id, Some(pay.payment));
    if let Some(hold) = hold {
        let due_at = Some(set.now.plus_millis(rules.hold_ttl_ms));
        let filing = Filing { due_at, ..Filing::under(payer.id) };
        let uuid = transaction.id.uuid();
        match hold {
            Hold::ForCapture => set.put_record(uuid, filing, &Deadline {}),
            Hold::ForReview => {
                let request = pay.memo.reference.parse().ok();
                set.put_record(uuid, filing, &Review { reasons: verdict.reasons(), request });
            }
        }
    }
    first_answer(&transaction)
}

pub(super) fn topup(rules: &Rules, set: &mut WorkingSet, command: &Command, topup: &Topup) -> Outcome {
    let user = match caller_user(set, &topup.caller) {
        Ok(user) => user,
        Err(refusal) => return refusal.into(),
    };
    if let Some(first) = answered(set, user.id, topup.key.as_ref()) {
        return replay(&first, || differences_from_topup(&first, topup));
    }
    check_topup(rules, set, &user, topup).and_then(|()| write_topup(set, command, topup, &user)).into()
}

fn check_topup(rules: &Rules, set: &WorkingSet, user: &User, topup: &Topup) -> Result<(), Refusal> {
    stands_for_no_cash(set, user.id, topup.key.as_ref())?;
    if user.frozen {
        return Err(Refusal::AccountFrozen);
    }
    if rules.mode != Mode::Sandbox {
        return Err(Refusal::SandboxOnly);
    }
    Ok(())
}

fn write_topup(
    set: &mut WorkingSet,
    command: &Command,
    topup: &Topup,
    user: &User,
) -> Result<Reply, Refusal> {
    let currency = topup.money.currency();
    let from = AccountKey::wallet(UserId::SANDBOX, currency);
    let to = AccountKey::wallet(user.id, currency);
    let (decline, entries) = match topup.method {
        TopupMethod::Fails(failure) => (Some(Decline::Topup(failure)), Vec::new()),
        TopupMethod::Ok | TopupMethod::Slow => (None, two_entries(set, from, to, topup.money)?),
    };
    let after = balances_after(set, [UserId::SANDBOX, user.id], currency, &entries);
    let transaction = set.post(Transaction {
        id: topup.transaction,
        kind: TransactionKind::Topup,
        from: Party { id: UserId::SANDBOX, name: None },
        to: Party { id: user.id, name: user.name.clone() },
        money: topup.money,
        memo: Memo::default(),
        method: Some(topup.method),
        capture: Capture::Automatic,
        stage: Stage::Whole,
        actor: None,
        after,
        decline,
        key: topup.key.clone(),
        created_at: set.now,
        entries,
    });
    if transaction.decline.is_some() {
        set.record(command, &declined_event(&transaction));
    }
    first_answer(&transaction)
}

/// The two entries that move money from one account to another, with the balances that they leave.
pub(super) fn two_entries(
    set: &WorkingSet,
    from: AccountKey,
    to: AccountKey,
    money: Money,
) -> Result<Vec<Entry>, Refusal> {
    let amount_minor = money.amount_minor();
    let out = amount_minor.checked_neg().ok_or(Refusal::BalanceLimit)?;
    Ok(vec![entry(set, from, out)?, entry(set, to, amount_minor)?])
}

/// What both sides have after these entries, with what is held of theirs; only where the entries of their wallets do not
/// say it, so that a ledger without holds has none of it.
pub(super) fn balances_after(
    set: &WorkingSet,
    [from, to]: [UserId; 2],
    currency: Currency,
    entries: &[Entry],
) -> BalancesAfter {
    if entries.is_empty() {
        return BalancesAfter::default();
    }
    let entry_of = |account: AccountKey| entries.iter().find(|entry| entry.account == account);
    let of = |side: UserId| {
        let (wallet, holds) = (AccountKey::wallet(side, currency), AccountKey::holds(side, currency));
        let after = |account| {
            entry_of(account).map_or_else(|| set.balance(&account), |entry| entry.balance_after_minor)
        };
        let is_told = entry_of(wallet).is_some() && after(holds) == 0;
        (!is_told && !side.is_outside()).then(|| after(wallet).saturating_add(after(holds)))
    };
    BalancesAfter { from: of(from), to: of(to) }
}

pub(super) fn entry(set: &WorkingSet, account: AccountKey, amount_minor: i64) -> Result<Entry, Refusal> {
    let balance_after_minor = set.balance(&account).checked_add(amount_minor).ok_or(Refusal::BalanceLimit)?;
    assert!(
        balance_after_minor >= 0 || account.may_be_negative(),
        "an account of {} would fall below zero",
        account.owner
    );
    Ok(Entry { account, amount_minor, balance_after_minor })
}

pub(super) fn answered(
    set: &WorkingSet,
    owner: UserId,
    key: Option<&IdempotencyKey>,
) -> Option<Arc<Transaction>> {
    key.and_then(|key| set.keys.get(&(owner, key.clone()))).cloned()
}

/// Refuses a key that stands for cash which waits, or waited, for a second operator.
pub(super) fn stands_for_no_cash(
    set: &WorkingSet,
    owner: UserId,
    key: Option<&IdempotencyKey>,
) -> Result<(), Refusal> {
    let mut asked = key.filter(|_| !set.record_lookups.is_empty()).map(|key| CashRequest::lookup(owner, key));
    match asked.take_if(|lookup| set.record_lookups.contains_key(lookup)) {
        Some(_) => Err(Refusal::IdempotencyKeyReused { fields: vec!["call"] }),
        None => Ok(()),
    }
}

/// The first answer again, unless the key was used for something else.
pub(super) fn replay(first: &Arc<Transaction>, differences: impl FnOnce() -> Vec<&'static str>) -> Outcome {
    let fields = differences();
    if fields.is_empty() {
        Outcome { replayed: true, result: first_answer(first) }
    } else {
        Refusal::IdempotencyKeyReused { fields }.into()
    }
}

/// What a transaction was answered with: told from the row alone, so that the replay is the first answer.
fn first_answer(transaction: &Arc<Transaction>) -> Result<Reply, Refusal> {
    match transaction.decline {
        None => Ok(Reply::Transaction(Arc::clone(transaction))),
        Some(Decline::Risk) => Err(Refusal::PaymentDeclined { payment: transaction.id.into() }),
        Some(Decline::Topup(reason)) => Err(Refusal::TopupFailed { reason }),
        Some(Decline::InsufficientFunds { available_minor }) => Err(Refusal::InsufficientFunds {
            payment: transaction.id.into(),
            asked: transaction.money,
            available_minor,
        }),
    }
}

fn differences_from_payment(first: &Transaction, pay: &Pay) -> Vec<&'static str> {
    if first.kind != TransactionKind::Payment {
        return vec!["call"];
    }
    differing([
        ("amount", first.money.amount_minor() != pay.money.amount_minor()),
        ("currency", first.money.currency() != pay.money.currency()),
        ("to", first.to.id != pay.payee),
        ("description", first.memo.description != pay.memo.description),
        ("reference", first.memo.reference != pay.memo.reference),
        ("metadata", first.memo.metadata != pay.memo.metadata),
        ("capture", first.capture != pay.capture),
    ])
}

fn differences_from_topup(first: &Transaction, topup: &Topup) -> Vec<&'static str> {
    if first.kind != TransactionKind::Topup {
        return vec!["call"];
    }
    differing([
        ("amount", first.money.amount_minor() != topup.money.amount_minor()),
        ("currency", first.money.currency() != topup.money.currency()),
        ("method", first.method != Some(topup.method)),
    ])
}

pub(super) fn differing<const N: usize>(fields: [(&'static str, bool); N]) -> Vec<&'static str> {
    fields.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect()
}

pub(super) fn declined_event(transaction: &Transaction) -> EventDraft {
    let reason = transaction.decline.map_or("", Decline::name);
    EventDraft::new(EventKind::PaymentDeclined, Some(transaction.owner()))
        .with("transaction", transaction.id.to_string())
        .with("reason", reason)
}
