//! Fills a throw-away ledger through the library: users with sessions and money, and payments if asked.
//!
//! No logins: ten thousand of them would hash passwords for minutes. Everything else goes through the store's one door,
//! as commands in batches, so that a seeded ledger is like any other and `verify` proves it.

use std::collections::VecDeque;
use std::sync::Arc;

use super::BenchError;
use super::request::Random;
use crate::auth::ledger_key::KeyFingerprint;
use crate::auth::token::AccessToken;
use crate::clock::Clock;
use crate::ledger::{
    Action, Caller, Capture, Command, Currency, Email, IdempotencyKey, Lifetime, Memo, Money, OpenSession,
    Origin, Outcome, PasswordHash, Pay, PaymentId, Register, RequestId, Role, Rules, SessionId, Shown,
    TokenHash, TokenPair, TransactionId, UserId,
};
use crate::store::{self, Answer, Location, Store};
use crate::teller::proofs::{ProofSettings, Proofs};

/// How long ago the seeded ledger was made, in milliseconds: an hour.
const AGE_MS: i64 = 3_600_000;
/// How long the seeded sessions last, in milliseconds: a day.
const SESSION_MS: i64 = 86_400_000;
/// Commands under way at once: enough that they make full batches.
const UNDER_WAY: usize = 512;
/// Rows of the one long history of the mix of transactions.
pub const HISTORY_ROWS: u64 = 100_000;

/// What a load needs to know of its users, in one order.
#[derive(Debug, Clone, Default)]
pub struct Seeded {
    /// Access tokens.
    pub tokens: Vec<String>,
    /// Access tokens of another session of each, where that was asked for.
    pub other_tokens: Vec<String>,
    /// Ids.
    pub user_ids: Vec<String>,
}

/// What is there before the load, beside the users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefill {
    /// Whether each user has another session.
    pub other_sessions: bool,
    /// Payments to the first user by the others: one long history.
    pub history: u64,
    /// Payments of everybody to everybody, after those.
    pub spread: u64,
}

/// Fills a new ledger there, and signs it as a server would have while it grew.
///
/// # Errors
/// If the ledger refuses or cannot be written.
pub async fn seed(
    location: &Location,
    key: KeyFingerprint,
    proofs: ProofSettings,
    rules: Rules,
    users: usize,
    prefill: Prefill,
    random: &mut Random,
) -> Result<Seeded, BenchError> {
    // History is older than the duplicate window, as it is in a ledger that has lived; the sessions outlive the load.
    let clock = Clock::fixed(Clock::system().now().plus_millis(-AGE_MS));
    let rules = Rules { access_ttl_ms: SESSION_MS, refresh_ttl_ms: SESSION_MS, ..rules };
    let store = store::open(location, key, rules, clock.clone(), None)
        .await
        .map_err(|error| BenchError::Server(error.to_string()))?;
    let under_way = VecDeque::new();
    let mut seeder = Seeder {
        store: &*store,
        clock: clock.clone(),
        seeded: Seeded::default(),
        callers: Vec::new(),
        under_way,
    };
    seeder.make_users(users, prefill.other_sessions).await?;
    for _ in 0..prefill.history {
        seeder.pay(random.below(users.saturating_sub(1)).saturating_add(1), 0).await?;
    }
    for _ in 0..prefill.spread {
        let (payer, payee) = (random.below(users), random.below(users.saturating_sub(1)));
        // Nobody pays themselves.
        let payee = if payee >= payer { payee.saturating_add(1) } else { payee };
        seeder.pay(payer, payee).await?;
    }
    seeder.drain(0).await?;
    let seeded = seeder.seeded;
    let signed = async { Proofs::open(Arc::clone(&store), proofs).await?.write(clock.now()).await };
    signed.await.map_err(|fault| BenchError::Server(fault.to_string()))?;
    store.close().await.map_err(|error| BenchError::Server(error.to_string()))?;
    Ok(seeded)
}

struct Seeder<'s> {
    store: &'s dyn Store,
    clock: Clock,
    seeded: Seeded,
    callers: Vec<Caller>,
    under_way: VecDeque<Answer<'s, Outcome>>,
}

impl Seeder<'_> {
    async fn make_users(&mut self, count: usize, with_other_sessions: bool) -> Result<(), BenchError> {
        // Nobody logs in with a password here, so one that matches nothing will do.
        let password = PasswordHash::from_phc("*".to_owned());
        for number in 0..count {
            let user = UserId::new(self.clock.uuid()?);
            let email = Email::parse(&format!("user{number}@example.com"))
                .map_err(|error| BenchError::Server(error.to_string()))?;
            let grant = TransactionId::new(self.clock.uuid()?);
            let role = Role::Customer;
            let register = Register { user, grant, email, name: None, password: password.clone(), role };
            self.send(Action::Register(register)).await?;
            self.seeded.user_ids.push(user.to_string());
            let (caller, token) = self.open_session(user, &password).await?;
            self.callers.push(caller);
            self.seeded.tokens.push(token);
            if with_other_sessions {
                let (_, token) = self.open_session(user, &password).await?;
                self.seeded.other_tokens.push(token);
            }
        }
        self.drain(0).await
    }

    /// A session of that user's, and its token.
    async fn open_session(
        &mut self,
        user: UserId,
        password: &PasswordHash,
    ) -> Result<(Caller, String), BenchError> {
        let access = AccessToken::generate(&self.clock)?;
        let session = SessionId::new(self.clock.uuid()?);
        let refresh = TokenHash(self.clock.random::<32>()?);
        let tokens = TokenPair { access: access.hash(), refresh };
        self.send(Action::OpenSession(OpenSession {
            shown: Shown::Nothing,
            user,
            verified: password.clone(),
            rehashed: None,
            session,
            tokens,
            lifetime: Lifetime::Refreshed,
            is_new_address: false,
        }))
        .await?;
        Ok((Caller { user, session, access: access.hash() }, access.reveal().to_owned()))
    }

    async fn pay(&mut self, payer: usize, payee: usize) -> Result<(), BenchError> {
        let (Some(caller), Some(payee)) = (self.callers.get(payer).copied(), self.callers.get(payee)) else {
            return Err(BenchError::Usage("payments need at least two users".into()));
        };
        let payee = payee.user;
        let payment = PaymentId::new(self.clock.uuid()?);
        let money =
            Money::from_minor(1, Currency::USD).map_err(|error| BenchError::Server(error.to_string()))?;
        let key = IdempotencyKey::parse(&self.clock.uuid()?.to_string()).ok();
        let (memo, capture) = (Memo::default(), Capture::Automatic);
        self.send(Action::Pay(Pay {
            caller,
            payment,
            payee,
            money,
            memo,
            capture,
            shown: Shown::Nothing,
            key,
        }))
        .await
    }

    /// Sends a command; the queue takes them in order, so what a command needs is there when it is decided.
    async fn send(&mut self, action: Action) -> Result<(), BenchError> {
        let origin = Origin { request: RequestId::new(self.clock.uuid()?), ip: None, user_agent: None };
        self.under_way.push_back(self.store.execute(Command { origin, action }));
        self.drain(UNDER_WAY).await
    }

    /// Waits until at most so many commands are under way.
    async fn drain(&mut self, at_most: usize) -> Result<(), BenchError> {
        while self.under_way.len() > at_most {
            let Some(answer) = self.under_way.pop_front() else { break };
            let outcome = answer.await.map_err(|error| BenchError::Server(error.to_string()))?;
            outcome
                .result
                .map_err(|refusal| BenchError::Server(format!("the ledger refused: {refusal:?}")))?;
        }
        Ok(())
    }
}
