//! Commands: everything that can be asked of the ledger, and which rows each decision needs.
//!
//! A command carries what the pure decision may not make itself: ids, hashes, where it came from. The time comes with
//! the batch.

use super::chain::Hash;
use super::{
    AccountKey, Caller, Currency, Email, EventDraft, IdempotencyKey, Lifetime, Memo, Money, Origin,
    PasswordHash, PaymentId, PaymentShape, RecordKey, RecordKind, ResetLink, Role, SessionId, TokenHash,
    TopupMethod, TransactionId, UserId,
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
    /// Transactions by their owner and idempotency key.
    pub keys: Vec<(UserId, IdempotencyKey)>,
    /// The latest payment of this shape within the duplicate window.
    pub shapes: Vec<PaymentShape>,
    /// Records by key.
    pub records: Vec<RecordKey>,
    /// Records by what they are found by.
    pub record_lookups: Vec<(RecordKind, Hash)>,
}

impl Command {
    /// Adds the rows that deciding this command needs.
    pub fn add_needs(&self, needs: &mut Needs) {
        match &self.action {
            Action::Register(register) => {
                needs.emails.push(register.email.folded().to_owned());
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
            Action::Topup(topup) => {
                add_caller(&topup.caller, needs);
                let (user, currency) = (topup.caller.user, topup.money.currency());
                needs
                    .accounts
                    .extend([user, UserId::SANDBOX].map(|owner| AccountKey::wallet(owner, currency)));
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

fn add_payment(pay: &Pay, needs: &mut Needs) {
    add_caller(&pay.caller, needs);
    needs.users.push(pay.payee);
    let currency = pay.money.currency();
    needs.accounts.extend([pay.caller.user, pay.payee].map(|owner| AccountKey::wallet(owner, currency)));
    match &pay.key {
        Some(key) => needs.keys.push((pay.caller.user, key.clone())),
        None => needs.shapes.push(pay.shape()),
    }
}
