//! Commands: everything that can be asked of the ledger.
//!
//! A command carries what the pure decision may not make itself: ids, hashes, where it came from. The time comes with
//! the batch.

use super::chain::Hash;
use super::{
    Amount, ApiKey, Caller, CancelRequest, Capture, CashDirection, Currency, DeliveryCommand, Email,
    EndSchedule, EventDraft, IdempotencyKey, LapseRequest, Lifetime, MakeRequest, MakeSchedule, Memo, Money,
    Move, Origin, PasswordHash, PayRequested, PaymentId, PaymentRequestId, PaymentShape, Permission, Refusal,
    Role, RunSchedule, SessionId, Shown, Timestamp, TokenHash, TopupMethod, TransactionId, UserId,
    WebhookCommand,
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
    /// Begin a second factor.
    BeginFactor(BeginFactor),
    /// Confirm a second factor by a first code.
    ConfirmFactor(ConfirmFactor),
    /// Take one's second factor away, after the right password.
    RemoveFactor(RemoveFactor),
    /// Make an API key.
    MakeApiKey(MakeApiKey),
    /// Make another API key in place of one.
    RotateApiKey(RotateApiKey),
    /// Change what a user may do.
    ChangeUser(ChangeUser),
    /// End every session of a user.
    EndUserSessions(EndUserSessions),
    /// Take a user's second factor away.
    ResetFactor(ResetFactor),
    /// Make a link by which a user sets a new password.
    MakeResetLink(MakeResetLink),
    /// Set a new password by such a link.
    ResetPassword(ResetPassword),
    /// Set the name that others are shown.
    Rename(Rename),
    /// Pay somebody.
    Pay(Pay),
    /// Make many payments at once.
    PayMany(PayMany),
    /// Find what an idempotency key stands for.
    FindKey(FindKey),
    /// Take a payment a step further.
    Settle(Settle),
    /// Release what a payment held too long.
    Expire(Expire),
    /// Ask for a payment.
    MakeRequest(MakeRequest),
    /// Take such a request back.
    CancelRequest(CancelRequest),
    /// Tell that the time of such a request is over.
    LapseRequest(LapseRequest),
    /// Pay what a request asks, at most once.
    PayRequest(PayRequested),
    /// Let a payment run by itself.
    MakeSchedule(MakeSchedule),
    /// Let it no longer.
    EndSchedule(EndSchedule),
    /// Run it, if it is due.
    RunSchedule(RunSchedule),
    /// Write down that a sandbox's clock was moved.
    MoveClock(MoveClock),
    /// Take cash in, or pay it out.
    Cash(Cash),
    /// Let cash through that another operator asked for, or stop it.
    DecideCash(DecideCash),
    /// Take simulated money in.
    Topup(Topup),
    /// Something about webhooks.
    Webhook(WebhookCommand),
    /// Something about deliveries.
    Delivery(DeliveryCommand),
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
    /// What was shown for a second factor.
    pub shown: Shown,
    /// The same password under newer parameters, if the hasher asks for it.
    pub rehashed: Option<PasswordHash>,
    /// The id that the session gets.
    pub session: SessionId,
    /// Its tokens.
    pub tokens: TokenPair,
    /// How long it lasts.
    pub lifetime: Lifetime,
    /// Whether it comes from a network from which none of the user's earlier ones came.
    pub is_new_address: bool,
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
    /// What was shown for a second factor.
    pub shown: Shown,
    /// The hash of the new one.
    pub new: PasswordHash,
}

/// Begin a second factor. It counts once it is confirmed.
#[derive(Debug, Clone)]
pub struct BeginFactor {
    /// Who asks.
    pub caller: Caller,
    /// The sealed seed.
    pub seed: String,
}

/// Confirm a second factor.
#[derive(Debug, Clone)]
pub struct ConfirmFactor {
    /// Who asks.
    pub caller: Caller,
    /// The sealed seed of which a code was shown.
    pub seed: String,
    /// The code's time step.
    pub step: u64,
    /// The hashes of the recovery codes.
    pub recovery: Vec<Hash>,
}

/// Take one's second factor away.
#[derive(Debug, Clone)]
pub struct RemoveFactor {
    /// Who asks.
    pub caller: Caller,
    /// The hash against which the password was right.
    pub verified: PasswordHash,
}

/// Make an API key.
#[derive(Debug, Clone)]
pub struct MakeApiKey {
    /// Who asks.
    pub caller: Caller,
    /// The id that it gets.
    pub id: SessionId,
    /// The hash of its token.
    pub token: TokenHash,
    /// What it is.
    pub key: ApiKey,
    /// For how long it counts, in milliseconds; none for good.
    pub expires_in_ms: Option<i64>,
    /// What was shown for a second factor.
    pub shown: Shown,
}

/// Make another API key of the same name and scopes in place of one, which counts for a while longer.
#[derive(Debug, Clone)]
pub struct RotateApiKey {
    /// Who asks.
    pub caller: Caller,
    /// The key that is replaced.
    pub old: SessionId,
    /// The id that the new one gets.
    pub id: SessionId,
    /// The hash of the new one's token.
    pub token: TokenHash,
    /// For how long the old one still counts, in milliseconds.
    pub overlap_ms: i64,
    /// What was shown for a second factor.
    pub shown: Shown,
}

/// On whose authority something is done to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// Whoever is on the host, who could change the ledger's files as well.
    Host,
    /// An operator, with the permission that it takes.
    Operator(Caller),
}

impl Authority {
    /// The operator; none on the host.
    pub fn caller(&self) -> Option<&Caller> {
        match self {
            Self::Host => None,
            Self::Operator(caller) => Some(caller),
        }
    }
}

/// Change what a user may do.
#[derive(Debug, Clone)]
pub struct ChangeUser {
    /// On whose authority.
    pub by: Authority,
    /// Whose.
    pub user: UserId,
    /// The new role; none leaves it.
    pub role: Option<Role>,
    /// Whether they are frozen from now on; none leaves it.
    pub frozen: Option<bool>,
}

impl ChangeUser {
    /// What an operator needs for it.
    pub fn needs(&self) -> impl Iterator<Item = Permission> + use<> {
        let role = self.role.map(|_| Permission::Administer);
        let frozen = self.frozen.map(|_| Permission::FreezeUsers);
        role.into_iter().chain(frozen)
    }
}

/// End every session of a user.
#[derive(Debug, Clone)]
pub struct EndUserSessions {
    /// On whose authority.
    pub by: Authority,
    /// Whose.
    pub user: UserId,
}

/// Take a user's second factor away, for one who has lost it.
#[derive(Debug, Clone)]
pub struct ResetFactor {
    /// On whose authority.
    pub by: Authority,
    /// Whose.
    pub user: UserId,
}

/// Make a link by which a user sets a new password, for one who has forgotten theirs.
#[derive(Debug, Clone)]
pub struct MakeResetLink {
    /// On whose authority.
    pub by: Authority,
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
    /// What was shown for a second factor.
    pub shown: Shown,
    /// The key under which the answer is repeated.
    pub key: Option<IdempotencyKey>,
}

/// Make many payments at once.
#[derive(Debug, Clone)]
pub struct PayMany {
    /// Who pays.
    pub caller: Caller,
    /// The payments, each with a key of its own, in their order; or why one cannot be asked for.
    pub pays: Vec<Result<Pay, Refusal>>,
    /// Whether none is made if any is refused.
    pub all_or_nothing: bool,
    /// What was shown for a second factor, once for all of them.
    pub shown: Shown,
}

/// Find what an idempotency key stands for.
#[derive(Debug, Clone)]
pub struct FindKey {
    /// Who asks, for a key of their own.
    pub caller: Caller,
    /// The key.
    pub key: IdempotencyKey,
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
    /// Which payment.
    pub payment: PaymentId,
    /// The payment request that it pays, if it is under review.
    pub request: Option<PaymentRequestId>,
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

    /// What whoever asks for it needs.
    pub const fn permission(&self) -> Permission {
        match self {
            Self::Capture { .. } | Self::Void | Self::Refund { .. } => Permission::OwnAccount,
            Self::Approve { .. } | Self::Reject { .. } => Permission::ReviewPayments,
        }
    }

    /// What lets whoever is no party to the payment do it.
    pub(super) const fn of_others(&self) -> Permission {
        match self.permission() {
            Permission::OwnAccount => Permission::RefundAny,
            already => already,
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

/// Take cash in, or pay it out.
#[derive(Debug, Clone)]
pub struct Cash {
    /// The operator who asks.
    pub caller: Caller,
    /// The id that the transaction gets, also if it has to wait.
    pub transaction: TransactionId,
    /// In or out.
    pub direction: CashDirection,
    /// Whose wallet.
    pub user: UserId,
    /// How much.
    pub money: Money,
    /// For the books.
    pub reference: String,
    /// The key under which the answer is repeated.
    pub key: Option<IdempotencyKey>,
}

/// Let cash through that another operator asked for, or stop it.
#[derive(Debug, Clone)]
pub struct DecideCash {
    /// The second operator.
    pub caller: Caller,
    /// What waits.
    pub transaction: TransactionId,
    /// Whose wallet it is, …
    pub user: UserId,
    /// … and in which currency, as the request says.
    pub currency: Currency,
    /// Whether it may go through.
    pub approved: bool,
    /// What they have to say about it.
    pub note: String,
}

/// Release what a payment held too long.
#[derive(Debug, Clone, Copy)]
pub struct Expire {
    /// Which payment.
    pub payment: PaymentId,
    /// The payment request that it pays, if the record of what falls due says so.
    pub request: Option<PaymentRequestId>,
    /// The id that the step gets.
    pub step: TransactionId,
}

/// Write down that a sandbox's clock was moved.
#[derive(Debug, Clone)]
pub struct MoveClock {
    /// Who moved it.
    pub caller: Caller,
    /// What it showed before.
    pub before: Timestamp,
    /// By how much, in milliseconds.
    pub by_ms: i64,
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
