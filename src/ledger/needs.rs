//! Needs: which rows each command's decision looks at, so that an engine loads them for a whole batch.

use std::sync::Arc;

use super::chain::Hash;
use super::{
    AccountKey, Action, Authority, Caller, CancelRequest, CashRequest, Command, Currency, Deadline, FindKey,
    IdMap, IdempotencyKey, MakeRequest, MakeSchedule, Pay, PayMany, PaymentId, PaymentRequest,
    PaymentRequestId, PaymentShape, Permission, RecordKey, RecordKind, ResetLink, Review, Schedule,
    SessionId, TokenHash, User, UserId,
};

/// The rows that decisions need, gathered over a batch. May hold the same row twice.
#[derive(Debug, Default)]
pub struct Needs {
    /// Users by id.
    pub users: Vec<UserId>,
    /// Users by folded email.
    pub emails: Vec<String>,
    /// Sessions by id.
    pub sessions: Vec<SessionId>,
    /// Sessions by a refresh token, current or spent.
    pub refresh_tokens: Vec<TokenHash>,
    /// All live sessions of a user.
    pub sessions_of: Vec<UserId>,
    /// Accounts.
    pub accounts: Vec<AccountKey>,
    /// Payments, with the accounts of both their sides in their currency.
    pub payments: Vec<PaymentId>,
    /// Transactions by their owner and idempotency key.
    pub keys: Vec<(UserId, IdempotencyKey)>,
    /// The latest payments of this shape within the duplicate window that did not come to nothing: one more than
    /// there are [`Needs::payments`], any of which this batch may undo.
    pub shapes: Vec<PaymentShape>,
    /// The users of whom risk rules look at the last payments made, …
    pub payers: Vec<UserId>,
    /// … and those of whom they look at the last payments got.
    pub payees: Vec<UserId>,
    /// Records by key.
    pub records: Vec<RecordKey>,
    /// Records by what they are found by.
    pub record_lookups: Vec<(RecordKind, Hash)>,
}

impl Needs {
    /// The last payments of both sides of a payment; the house is paid by everybody, so that its own tell nothing.
    fn add_activity(&mut self, [payer, payee]: [UserId; 2]) {
        self.payers.extend(Some(payer).filter(|payer| *payer != UserId::HOUSE));
        self.payees.extend(Some(payee).filter(|payee| *payee != UserId::HOUSE));
    }

    /// Cash that may wait, or have waited, under the keys of those who may move it: a key stands for one thing, whatever
    /// call it comes with. Known once the users are.
    pub fn cash_by_key(&self, users: &IdMap<UserId, Arc<User>>) -> Vec<(RecordKind, Hash)> {
        let may_move =
            |owner| users.get(owner).is_some_and(|user| Permission::MoveCash.is_given_to(user.role));
        let keys = self.keys.iter().filter(|(owner, _)| may_move(owner));
        keys.map(|(owner, key)| CashRequest::lookup(*owner, key)).collect()
    }

    /// Everybody whose last payments are looked at, in some order; some more than once.
    pub fn active(&self) -> impl Iterator<Item = &UserId> {
        self.payers.iter().chain(&self.payees)
    }

    /// The wallets of both sides of a transaction, and what is held of them.
    pub fn add_accounts(&mut self, sides: [UserId; 2], currency: Currency) {
        for side in sides {
            self.accounts.push(AccountKey::wallet(side, currency));
            if !side.is_outside() {
                self.accounts.push(AccountKey::holds(side, currency));
            }
        }
    }
}

impl Command {
    /// Adds the rows that deciding this command needs.
    pub fn add_needs(&self, needs: &mut Needs) {
        match &self.action {
            Action::Register(register) => {
                needs.emails.push(register.email.folded().to_owned());
                // A user who is only being made holds nothing yet.
                needs.accounts.push(AccountKey::wallet(UserId::SANDBOX, Currency::USD));
            }
            Action::OpenSession(open) => needs.users.push(open.user),
            Action::RefreshSession(refresh) => needs.refresh_tokens.push(refresh.shown),
            Action::EndSession(end) => {
                add_caller(&end.caller, needs);
                needs.sessions.push(end.session);
            }
            Action::TouchSession(session) => needs.sessions.push(*session),
            Action::ChangePassword(change) => {
                add_caller(&change.caller, needs);
                needs.sessions_of.push(change.caller.user);
            }
            Action::BeginFactor(begin) => add_caller(&begin.caller, needs),
            Action::ConfirmFactor(confirm) => add_caller(&confirm.caller, needs),
            Action::RemoveFactor(remove) => add_caller(&remove.caller, needs),
            Action::MakeApiKey(make) => add_caller(&make.caller, needs),
            Action::RotateApiKey(rotate) => {
                add_caller(&rotate.caller, needs);
                needs.sessions.push(rotate.old);
            }
            Action::ChangeUser(change) => add_authority(&change.by, change.user, needs),
            Action::EndUserSessions(end) => {
                add_authority(&end.by, end.user, needs);
                needs.sessions_of.push(end.user);
            }
            Action::ResetFactor(reset) => add_authority(&reset.by, reset.user, needs),
            Action::MakeResetLink(make) => {
                add_authority(&make.by, make.user, needs);
                needs.records.push(RecordKey::of::<ResetLink>(make.user.uuid()));
            }
            Action::ResetPassword(reset) => {
                needs.users.push(reset.user);
                needs.sessions_of.push(reset.user);
                needs.records.push(RecordKey::of::<ResetLink>(reset.user.uuid()));
            }
            Action::Rename(rename) => add_caller(&rename.caller, needs),
            Action::Pay(pay) => add_payment(pay, needs),
            Action::PayMany(many) => add_payments(many, needs),
            Action::FindKey(find) => add_key(find, needs),
            Action::MakeSchedule(make) => add_schedule(make, needs),
            Action::EndSchedule(end) => {
                add_caller(&end.caller, needs);
                needs.records.push(RecordKey::of::<Schedule>(end.schedule.uuid()));
            }
            Action::RunSchedule(run) => {
                let currency = run.money.currency();
                needs.users.extend([run.owner, run.payee]);
                needs.add_accounts([run.owner, run.payee], currency);
                needs.add_activity([run.owner, run.payee]);
                needs.records.push(RecordKey::of::<Schedule>(run.schedule.uuid()));
            }
            Action::MoveClock(moved) => add_caller(&moved.caller, needs),
            // Its id is new, so that there is nothing to be found under it.
            Action::MakeRequest(MakeRequest { caller, .. }) => add_caller(caller, needs),
            Action::CancelRequest(CancelRequest { caller, request }) => {
                add_caller(caller, needs);
                needs.records.push(RecordKey::of::<PaymentRequest>(request.uuid()));
            }
            Action::LapseRequest(lapse) => lapse.add_needs(needs),
            Action::PayRequest(asked) => {
                add_payment(&asked.pay, needs);
                needs.records.push(RecordKey::of::<PaymentRequest>(asked.request.uuid()));
            }
            Action::Settle(settle) => {
                add_caller(&settle.caller, needs);
                add_step(settle.payment, settle.request, needs);
                needs.keys.extend(settle.key.iter().map(|key| (settle.caller.user, key.clone())));
            }
            Action::Cash(cash) => {
                add_caller(&cash.caller, needs);
                needs.users.push(cash.user);
                needs.add_accounts([cash.user, UserId::CASH], cash.money.currency());
                needs.keys.extend(cash.key.iter().map(|key| (cash.caller.user, key.clone())));
            }
            Action::DecideCash(decide) => {
                add_caller(&decide.caller, needs);
                needs.users.push(decide.user);
                needs.records.push(RecordKey::of::<CashRequest>(decide.transaction.uuid()));
                needs.add_accounts([decide.user, UserId::CASH], decide.currency);
            }
            Action::Expire(expire) => add_step(expire.payment, expire.request, needs),
            Action::Topup(topup) => {
                add_caller(&topup.caller, needs);
                let (user, currency) = (topup.caller.user, topup.money.currency());
                needs.add_accounts([user, UserId::SANDBOX], currency);
                needs.keys.extend(topup.key.iter().map(|key| (user, key.clone())));
            }
            Action::Webhook(asked) => asked.add_needs(needs),
            Action::Delivery(asked) => asked.add_needs(needs),
            Action::Note(_) => {}
        }
    }
}

fn add_caller(caller: &Caller, needs: &mut Needs) {
    needs.users.push(caller.user);
    needs.sessions.push(caller.session);
}

fn add_step(payment: PaymentId, request: Option<PaymentRequestId>, needs: &mut Needs) {
    needs.payments.push(payment);
    let uuid = payment.uuid();
    needs.records.extend([RecordKey::of::<Deadline>(uuid), RecordKey::of::<Review>(uuid)]);
    needs.records.extend(request.map(|request| RecordKey::of::<PaymentRequest>(request.uuid())));
}

fn add_authority(by: &Authority, user: UserId, needs: &mut Needs) {
    needs.users.push(user);
    if let Some(caller) = by.caller() {
        add_caller(caller, needs);
    }
}

fn add_payments(many: &PayMany, needs: &mut Needs) {
    add_caller(&many.caller, needs);
    many.pays.iter().flatten().for_each(|pay| add_payment(pay, needs));
}

fn add_key(find: &FindKey, needs: &mut Needs) {
    add_caller(&find.caller, needs);
    needs.keys.push((find.caller.user, find.key.clone()));
}

fn add_schedule(make: &MakeSchedule, needs: &mut Needs) {
    add_caller(&make.caller, needs);
    needs.users.push(make.schedule.payee);
    needs.records.push(RecordKey::of::<Schedule>(make.id.uuid()));
    if let Some(key) = &make.key {
        needs.keys.push((make.caller.user, key.clone()));
        needs.record_lookups.push(Schedule::lookup(make.caller.user, key));
    }
}

fn add_payment(pay: &Pay, needs: &mut Needs) {
    add_caller(&pay.caller, needs);
    needs.users.push(pay.payee);
    let sides = [pay.caller.user, pay.payee];
    needs.add_accounts(sides, pay.money.currency());
    needs.add_activity(sides);
    match &pay.key {
        Some(key) => needs.keys.push((pay.caller.user, key.clone())),
        None => needs.shapes.push(pay.shape()),
    }
}
