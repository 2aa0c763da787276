//! A small ledger, made through the store's door.

use std::path::Path;

use farthing::auth::ledger_key::{KeyFingerprint, LedgerKey};
use farthing::clock::Clock;
use farthing::ledger::{
    Action, AmountLimits, Authority, Caller, Capture, Command, Currency, Email, EventDraft, EventKind,
    IdempotencyKey, Lifetime, MakeResetLink, Memo, Mode, Money, OpenSession, Origin, PasswordHash, Pay,
    PaymentId, Register, RequestId, RiskRules, Role, Rules, SessionId, Shown, TokenHash, TokenPair, Topup,
    TopupMethod, TransactionId, UserId, WebhookRules,
};
use farthing::store::{self, Location, Store};

/// By which rules it is made.
pub fn rules() -> Rules {
    Rules {
        mode: Mode::Sandbox,
        duplicate_window_ms: 60_000,
        hold_ttl_ms: 7 * 86_400_000,
        four_eyes_above: None,
        access_ttl_ms: 900_000,
        refresh_ttl_ms: 900_000,
        grant: Money::from_minor(100_000, Currency::USD).unwrap(),
        house_name: "House".into(),
        webhooks: WebhookRules { most: 16, schedule_ms: vec![0, 5_000] },
        step_up_above: AmountLimits::OFF,
        risk: RiskRules::default(),
    }
}

/// The key that it is made with.
pub fn key() -> KeyFingerprint {
    LedgerKey::parse(&"5a".repeat(32)).unwrap().fingerprint()
}

/// Makes a ledger, one command after another.
pub struct Maker {
    pub store: std::sync::Arc<dyn Store>,
    pub clock: Clock,
}

impl Maker {
    /// Opens the ledger in that folder, or makes it.
    pub async fn open(folder: &Path) -> Self {
        Self::at(&Location::Folder(folder.to_owned())).await
    }

    /// Opens the ledger there, or makes it.
    pub async fn at(location: &Location) -> Self {
        let clock = Clock::system();
        let store = store::open(location, key(), rules(), clock.clone(), None).await.unwrap();
        Self { store, clock }
    }

    /// Each command is a batch of its own, and so a block of its own.
    pub async fn run(&self, action: Action) {
        let origin =
            Origin { request: RequestId::new(self.clock.uuid().unwrap()), ip: None, user_agent: None };
        self.store.execute(Command { origin, action }).await.unwrap();
    }

    /// A user who is logged in.
    pub async fn user(&self, name: &str) -> Caller {
        let user = UserId::new(self.clock.uuid().unwrap());
        self.run(Action::Register(Register {
            user,
            grant: TransactionId::new(self.clock.uuid().unwrap()),
            email: Email::parse(&format!("{name}@example.com")).unwrap(),
            name: Some(name.into()),
            password: PasswordHash::from_phc("*".into()),
            role: Role::Customer,
        }))
        .await;
        self.log_in(user, TokenHash(self.clock.random().unwrap())).await
    }

    /// Another session of theirs.
    pub async fn log_in(&self, user: UserId, access: TokenHash) -> Caller {
        let session = SessionId::new(self.clock.uuid().unwrap());
        let tokens = TokenPair { access, refresh: TokenHash(self.clock.random().unwrap()) };
        self.run(Action::OpenSession(OpenSession {
            shown: Shown::Nothing,
            user,
            verified: PasswordHash::from_phc("*".into()),
            rehashed: None,
            session,
            tokens,
            lifetime: Lifetime::Refreshed,
            is_new_address: false,
        }))
        .await;
        Caller { user, session, access }
    }

    /// A payment under a key.
    pub async fn pay(&self, caller: Caller, payee: UserId, minor: i64, key: &str) {
        self.run(Action::Pay(Pay {
            shown: Shown::Nothing,
            caller,
            payment: PaymentId::new(self.clock.uuid().unwrap()),
            payee,
            money: Money::from_minor(minor, Currency::USD).unwrap(),
            memo: Memo { description: "lunch".into(), ..Memo::default() },
            capture: Capture::Automatic,
            key: IdempotencyKey::parse(key).ok(),
        }))
        .await;
    }
}

/// Transactions: 1 and 2 the grants, 3 and 4 payments, 5 declined, 6 a payment to the house, 7 a top-up. One record.
pub async fn fill(maker: &Maker) {
    let (ann, ben) = (maker.user("ann").await, maker.user("ben").await);
    maker.pay(ann, ben.user, 1_250, "k1").await;
    maker.pay(ben, ann.user, 500, "k2").await;
    maker.pay(ben, ann.user, 99_999_999, "k3").await;
    maker.pay(ann, UserId::HOUSE, 700, "k4").await;
    maker
        .run(Action::Topup(Topup {
            caller: ann,
            transaction: TransactionId::new(maker.clock.uuid().unwrap()),
            money: Money::from_minor(5_000, Currency::USD).unwrap(),
            method: TopupMethod::Ok,
            key: None,
        }))
        .await;
    maker.run(Action::Note(vec![EventDraft::new(EventKind::AuthzFail, Some(ann.user))])).await;
    let secret = TokenHash([7; 32]);
    maker.run(Action::MakeResetLink(MakeResetLink { by: Authority::Host, user: ann.user, secret })).await;
}
