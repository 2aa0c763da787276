//! Commands: everything that can be asked of the ledger, and which rows each decision needs.
//!
//! A command carries what the pure decision may not make itself: ids, hashes, where it came from. The time comes with
//! the batch.

use super::chain::Hash;
use super::{
    AccountKey, Amount, Caller, Capture, Currency, Deadline, Email, EventDraft, IdempotencyKey, Lifetime,
    Memo, Money, Move, Origin, PasswordHash, PaymentId, PaymentShape, RecordKey, RecordKind, ResetLink,
    Review, Role, SessionId, TokenHash, TopupMethod, TransactionId, UserId,
};

/// Something asked, and by whom.
#[derive(Debug, Clone)]
pub struct Command {
    /// Where it came from. Its request id also names the events that it causes, so it is unique to the command.
    pub origin: Origin,
    /// What is asked.
    pub action: Action,
}

/// What can be asked.
#[derive(Debug, Clone)]
pub enum Action {
    /// Make an account.
    Register(Register),
    /// Begin a session, after the right password.
    OpenSession(OpenSession),
    /// Swap a refresh token for a new pair.
    RefreshSession(RefreshSession),
    /// End one of one's own sessions.
    EndSession(EndSession),
    /// Note that a session was seen.
    TouchSession(SessionId),
    /// Set a new password, after the right one.
    ChangePassword(ChangePassword),
    /// Make a link by which a user sets a new password.
    MakeResetLink(MakeResetLink),
    /// Set a new password by such a link.
    ResetPassword(ResetPassword),
    /// Set the name that others are shown.
    Rename(Rename),
    /// Pay somebody.
    Pay(Pay),
    /// Take a payment a step further.
    Settle(Settle),
    /// Release what a payment held too long.
    Expire(Expire),
    /// Take simulated money in.
    Topup(Topup),
    /// Write down events that change nothing else.
    Note(Vec<EventDraft>),
}

/// Make an account.
#[derive(Debug, Clone)]
pub struct Register {
    /// The id that it gets.
    pub user: UserId,
    /// The id of the sandbox's grant, if there is one.
    pub grant: TransactionId,
    /// Its email.
    pub email: Email,
    /// Its name.
    pub name: Option<String>,
    /// The hash of its password.
    pub password: PasswordHash,
    /// What it may do.
    pub role: Role,
}

/// Begin a session.
#[derive(Debug, Clone)]
pub struct OpenSession {
    /// Whose.
    pub user: UserId,
    /// The hash against which the password was right; if it is another by now, the login fails.
    pub verified: PasswordHash,
    /// The same password under newer parameters, if the hasher asks for it.
    pub rehashed: Option<PasswordHash>,
    /// The id that the session gets.
    pub session: SessionId,
    /// Its tokens.
    pub tokens: TokenPair,
    /// How long it lasts.
    pub lifetime: Lifetime,
}

/// The hashes of a new pair of tokens.
#[derive(Debug, Clone, Copy)]
pub struct TokenPair {
    /// Of the access token.
    pub access: TokenHash,
    /// Of the refresh token.
    pub refresh: TokenHash,
}

/// Swap a refresh token for a new pair.
#[derive(Debug, Clone)]
pub struct RefreshSession {
    /// The hash of the token shown.
    pub shown: TokenHash,
    /// The new pair.
    pub tokens: TokenPair,
}

/// End one of one's own sessions.
#[derive(Debug, Clone)]
pub struct EndSession {
    /// Who asks.
    pub caller: Caller,
    /// Which session; the caller's own is a logout.
    pub session: SessionId,
}

/// Set a new password.
#[derive(Debug, Clone)]
pub struct ChangePassword {
    /// Who asks.
    pub caller: Caller,
    /// The hash against which the current password was right.
    pub verified: PasswordHash,
    /// The hash of the new one.
    pub new: PasswordHash,
}

/// Make a link by which a user sets a new password: on the host, for one who has forgotten theirs.
#[derive(Debug, Clone)]
pub struct MakeResetLink {
    /// Who is to have it.
    pub user: UserId,
    /// The hash of its secret.
    pub secret: TokenHash,
}

/// Set a new password by a link.
#[derive(Debug, Clone)]
pub struct ResetPassword {
    /// To whom the secret led.
    pub user: UserId,
    /// The hash of the secret that was shown.
    pub secret: TokenHash,
    /// The hash of the new password.
    pub new: PasswordHash,
}

/// Set one's name.
#[derive(Debug, Clone)]
pub struct Rename {
    /// Who asks.
    pub caller: Caller,
    /// The new name; none takes it away.
    pub name: Option<String>,
}

/// Pay somebody.
#[derive(Debug, Clone)]
pub struct Pay {
    /// Who pays.
    pub caller: Caller,
    /// The id that the payment gets.
    pub payment: PaymentId,
    /// Who is paid.
    pub payee: UserId,
    /// How much.
    pub money: Money,
    /// What the payer says about it.
    pub memo: Memo,
    /// When the payee gets it.
    pub capture: Capture,
    /// The key under which the answer is repeated.
    pub key: Option<IdempotencyKey>,
}

impl Pay {
    /// What it is compared by when it has no key.
    pub fn shape(&self) -> PaymentShape {
        PaymentShape {
            payer: self.caller.user,
            payee: self.payee,
            money: self.money,
            description: self.memo.description.clone(),
            reference: self.memo.reference.clone(),
        }
    }
}

/// Take a payment a step further.
#[derive(Debug, Clone)]
pub struct Settle {
    /// Who asks.
    pub caller: Caller,
    /// The caller's role, where it lets them do this to the payments of others. It is looked at again.
    pub operator: Option<Role>,
    /// Which payment.
    pub payment: PaymentId,
    /// The id that the step gets.
    pub step: TransactionId,
    /// Which step.
    pub settlement: Settlement,
    /// The key under which the answer is repeated.
    pub key: Option<IdempotencyKey>,
}

/// A step that somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// Take what is held.
    Capture {
        /// How much of it; all if none is said. The rest is released.
        amount: Option<Amount>,
    },
    /// Release what is held.
    Void,
    /// Give back what was captured.
    Refund {
        /// How much of it; all that is left if none is said.
        amount: Option<Amount>,
        /// Why; empty if none is said.
        reason: String,
    },
    /// Let a payment under review through.
    Approve {
        /// What the operator has to say about it.
        note: String,
    },
    /// Stop a payment under review.
    Reject {
        /// What the operator has to say about it.
        note: String,
    },
}

impl Settlement {
    /// The move that it asks for.
    pub const fn step(&self) -> Move {
        match self {
            Self::Capture { .. } => Move::Capture,
            Self::Void => Move::Void,
            Self::Refund { .. } => Move::Refund,
            Self::Approve { .. } => Move::Approve,
            Self::Reject { .. } => Move::Reject,
        }
    }

    /// What is said about it; empty if nothing is.
    pub fn note(&self) -> &str {
        match self {
            Self::Capture { .. } | Self::Void => "",
            Self::Refund { reason, .. } => reason,
            Self::Approve { note } | Self::Reject { note } => note,
        }
    }
}

/// Release what a payment held too long.
#[derive(Debug, Clone, Copy)]
pub struct Expire {
    /// Which payment.
    pub payment: PaymentId,
    /// The id that the step gets.
    pub step: TransactionId,
}

/// Take simulated money in.
#[derive(Debug, Clone)]
pub struct Topup {
    /// Whose wallet.
    pub caller: Caller,
    /// The id that the transaction gets.
    pub transaction: TransactionId,
    /// How much.
    pub money: Money,
    /// How it goes.
    pub method: TopupMethod,
    /// The key under which the answer is repeated.
    pub key: Option<IdempotencyKey>,
}

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
    /// The last payments of a user.
    pub activity: Vec<UserId>,
    /// Records by key.
    pub records: Vec<RecordKey>,
    /// Records by what they are found by.
    pub record_lookups: Vec<(RecordKind, Hash)>,
}

impl Needs {
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
            Action::MakeResetLink(make) => {
                needs.users.push(make.user);
                needs.records.push(RecordKey::of::<ResetLink>(make.user.uuid()));
            }
            Action::ResetPassword(reset) => {
                needs.users.push(reset.user);
                needs.sessions_of.push(reset.user);
                needs.records.push(RecordKey::of::<ResetLink>(reset.user.uuid()));
            }
            Action::Rename(rename) => add_caller(&rename.caller, needs),
            Action::Pay(pay) => add_payment(pay, needs),
            Action::Settle(settle) => {
                add_caller(&settle.caller, needs);
                add_step(settle.payment, needs);
                needs.keys.extend(settle.key.iter().map(|key| (settle.caller.user, key.clone())));
            }
            Action::Expire(expire) => add_step(expire.payment, needs),
            Action::Topup(topup) => {
                add_caller(&topup.caller, needs);
                let (user, currency) = (topup.caller.user, topup.money.currency());
                needs.add_accounts([user, UserId::SANDBOX], currency);
                needs.keys.extend(topup.key.iter().map(|key| (user, key.clone())));
            }
            Action::Note(_) => {}
        }
    }
}

fn add_caller(caller: &Caller, needs: &mut Needs) {
    needs.users.push(caller.user);
    needs.sessions.push(caller.session);
}

fn add_step(payment: PaymentId, needs: &mut Needs) {
    needs.payments.push(payment);
    let uuid = payment.uuid();
    needs.records.extend([RecordKey::of::<Deadline>(uuid), RecordKey::of::<Review>(uuid)]);
}

fn add_payment(pay: &Pay, needs: &mut Needs) {
    add_caller(&pay.caller, needs);
    needs.users.push(pay.payee);
    needs.activity.push(pay.caller.user);
    // Everybody pays the house, so that its payments tell nothing.
    needs.activity.extend(Some(pay.payee).filter(|payee| *payee != UserId::HOUSE));
    let currency = pay.money.currency();
    needs.add_accounts([pay.caller.user, pay.payee], currency);
    match &pay.key {
        Some(key) => needs.keys.push((pay.caller.user, key.clone())),
        None => needs.shapes.push(pay.shape()),
    }
}
