//! One suite for every engine: the same commands in the same order give the same answers, and everything that can be
//! read afterwards is the same. The memory engine is the model; where another differs, the other is wrong.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::format_push_string,
    clippy::format_collect,
    reason = "a test may stop at what it did not expect"
)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use farthing::auth::ledger_key::{KeyFingerprint, LedgerKey};
use farthing::clock::Clock;
use farthing::ledger::{
    Action, Caller, ChangePassword, Command, Currency, Email, EndSession, EventDraft, EventKind,
    IdempotencyKey, Memo, Mode, Money, OpenSession, Origin, Outcome, PasswordHash, Pay, PaymentId,
    RefreshSession, Register, Rename, Reply, RequestId, Role, Rules, SessionId, Timestamp, TokenHash,
    TokenPair, Topup, TopupMethod, TransactionId, TransactionKind, UserId,
};
use farthing::store::memory::MemoryStore;
use farthing::store::postgres::PostgresStore;
use farthing::store::sqlite::{FoldPace, SqliteStore};
use farthing::store::{HistoryFilter, HistoryQuery, PageRequest, PostgresSettings, Store};
use tempfile::TempDir;
use uuid::Uuid;

#[path = "support/postgres.rs"]
#[allow(dead_code, clippy::expect_used, reason = "test code, of which other tests use the rest")]
mod postgres;
#[path = "support/random.rs"]
#[allow(dead_code, clippy::expect_used, reason = "test code, of which other tests use the rest")]
mod random;
use postgres::{Database, Postgres};
use random::Random;

fn rules() -> Rules {
    Rules {
        mode: Mode::Sandbox,
        duplicate_window_ms: 60_000,
        access_ttl_ms: 15 * 60_000,
        refresh_ttl_ms: 30 * 86_400_000,
        grant: Money::from_minor(100_000, Currency::USD).unwrap(),
        house_name: "House".into(),
    }
}

/// The key that every ledger here is made with.
fn key() -> KeyFingerprint {
    LedgerKey::parse(&"5a".repeat(32)).unwrap().fingerprint()
}

/// Where a ledger under test is; it goes away with this.
enum Place {
    Folder(TempDir),
    Database(Database),
}

impl Place {
    fn folder() -> Self {
        Self::Folder(tempfile::tempdir().unwrap())
    }

    fn database() -> Self {
        Self::Database(Postgres::shared().database())
    }

    async fn open(&self, clock: &Clock) -> Arc<dyn Store> {
        match self {
            Self::Folder(folder) => {
                let pace = FoldPace { begin_at: 50, slice_rows: 7 };
                Arc::new(SqliteStore::open(folder.path(), key(), rules(), clock.clone(), pace, None).unwrap())
            }
            Self::Database(_) => {
                let settings = self.settings();
                Arc::new(PostgresStore::open(&settings, key(), rules(), clock.clone(), None).await.unwrap())
            }
        }
    }

    /// One writer: with more of them, commands that were sent together have no order.
    fn settings(&self) -> PostgresSettings {
        let Self::Database(database) = self else { panic!("not a database") };
        PostgresSettings {
            url: database.url(),
            migration_url: Some(database.migration_url()),
            connections: 4,
            writers: 1,
            statement_timeout_ms: 5_000,
        }
    }
}

/// What the commands are drawn with.
struct Dice(Random);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0.next()
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn uuid(&mut self) -> Uuid {
        Uuid::from_u64_pair(self.next(), self.next())
    }

    fn hash(&mut self) -> TokenHash {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.next().to_be_bytes());
        TokenHash(bytes)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        let index = usize::try_from(self.next()).ok()?.checked_rem(from.len())?;
        from.get(index).copied()
    }
}

/// What the commands so far have made, as far as their answers told.
#[derive(Default)]
struct World {
    users: Vec<UserId>,
    callers: Vec<Caller>,
    refresh_tokens: Vec<TokenHash>,
    transactions: Vec<TransactionId>,
}

fn password(version: u64) -> PasswordHash {
    PasswordHash::from_phc(format!("$argon2id$test${version}"))
}

/// An address of one of six networks.
fn address(network: u64, host: u64) -> IpAddr {
    let number = u16::try_from(network).unwrap();
    match network {
        0..3 => IpAddr::V4(Ipv4Addr::new(127, 0, 0, u8::try_from(network).unwrap())),
        _ => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, number, 0, 0, 0, u16::try_from(host).unwrap())),
    }
}

fn command(dice: &mut Dice, world: &World) -> Command {
    let origin = Origin {
        request: RequestId::new(dice.uuid()),
        ip: Some(address(dice.below(6), dice.below(2))),
        user_agent: None,
    };
    let caller = dice.pick(&world.callers).unwrap_or(Caller {
        user: UserId::new(dice.uuid()),
        session: SessionId::new(dice.uuid()),
        access: dice.hash(),
    });
    let key = (dice.below(3) > 0).then(|| IdempotencyKey::parse(&format!("key-{}", dice.below(40))).unwrap());
    let currency = dice.pick(&["USD", "USD", "USD", "JPY", "KWD"]).map(|code| Currency::parse(code).unwrap());
    let currency = currency.unwrap_or(Currency::USD);
    let minor = dice.pick(&[1, 1, 500, 30_000, 999_999_999_999]).unwrap_or(1);
    let money = Money::from_minor(minor, currency).unwrap();
    let user = dice.pick(&world.users).unwrap_or(UserId::HOUSE);
    let tokens = TokenPair { access: dice.hash(), refresh: dice.hash() };
    let action = match dice.below(100) {
        0..8 => Action::Register(Register {
            user: UserId::new(dice.uuid()),
            grant: TransactionId::new(dice.uuid()),
            email: Email::parse(&format!("User{}@Example.com", dice.below(60))).unwrap(),
            name: (dice.below(2) == 0).then(|| format!("Name {}", dice.below(100))),
            password: password(0),
            role: if dice.below(8) == 0 { Role::Support } else { Role::Customer },
        }),
        8..18 => Action::OpenSession(OpenSession {
            user,
            verified: password(dice.below(2)),
            rehashed: (dice.below(8) == 0).then(|| password(0)),
            session: SessionId::new(dice.uuid()),
            tokens,
        }),
        18..22 => {
            let shown = dice.pick(&world.refresh_tokens).unwrap_or(tokens.access);
            Action::RefreshSession(RefreshSession { shown, tokens })
        }
        22..24 => {
            let other = dice.pick(&world.callers).unwrap_or(caller);
            let session = if dice.below(2) == 0 { caller.session } else { other.session };
            Action::EndSession(EndSession { caller, session })
        }
        24 => Action::TouchSession(caller.session),
        25 => {
            let (verified, new) = (password(dice.below(2)), password(dice.below(2)));
            Action::ChangePassword(ChangePassword { caller, verified, new })
        }
        26..28 => Action::Rename(Rename { caller, name: Some(format!("Name {}", dice.below(100))) }),
        28..40 => {
            let method = dice.pick(&TopupMethod::ALL).unwrap_or(TopupMethod::Ok);
            Action::Topup(Topup { caller, transaction: TransactionId::new(dice.uuid()), money, method, key })
        }
        40..43 => {
            Action::Note(vec![EventDraft::new(EventKind::AuthzFail, Some(user)).with("permission", "test")])
        }
        _ => {
            let memo = Memo {
                description: dice.pick(&["", "lunch", "'; DROP TABLE users; --"]).unwrap_or_default().into(),
                reference: dice.pick(&["", "", "R-1"]).unwrap_or_default().into(),
                metadata: dice.pick(&["", "{\"a\":\"b\"}"]).unwrap_or_default().into(),
            };
            let payee = if dice.below(4) == 0 { UserId::HOUSE } else { user };
            Action::Pay(Pay { caller, payment: PaymentId::new(dice.uuid()), payee, money, memo, key })
        }
    };
    Command { origin, action }
}

fn learn(world: &mut World, command: &Command, outcome: &Outcome) {
    match (&outcome.result, &command.action) {
        (Ok(Reply::User(user)), Action::Register(_)) => world.users.push(user.id),
        (Ok(Reply::Session(session, user)), _) => {
            world.callers.push(Caller { user: user.id, session: session.id, access: session.access });
            world.refresh_tokens.push(session.refresh);
        }
        (Ok(Reply::Transaction(transaction)), _) => world.transactions.push(transaction.id),
        _ => {}
    }
}

/// Everything that can be read, as comparable text. Entries are left out: engines need not list them in histories.
async fn everything(store: &dyn Store, world: &World, limit: usize) -> String {
    let mut seen = String::new();
    for user in world.users.iter().copied().chain([UserId::HOUSE]) {
        seen += &format!("{:?}\n", store.user(user).await.unwrap());
        seen += &format!("{:?}\n", store.wallets(user).await.unwrap());
        for network in 0..6 {
            // A host that never logged in itself.
            seen += &format!("{} ", store.has_logged_in_from(user, address(network, 7)).await.unwrap());
        }
        seen += &format!("{:?}\n", store.sessions(user, Timestamp::from_millis(0)).await.unwrap());
        let filters = [
            HistoryFilter::default(),
            HistoryFilter { currency: Some(Currency::USD), ..HistoryFilter::default() },
            HistoryFilter {
                kind: Some(TransactionKind::Payment),
                declined: Some(true),
                ..HistoryFilter::default()
            },
        ];
        for filter in filters {
            let mut after = None;
            loop {
                let query = HistoryQuery { user, page: PageRequest { after, limit }, filter };
                let page = store.history(query).await.unwrap();
                assert!(page.rows.len() <= limit);
                for movement in &page.rows {
                    let transaction = &movement.transaction;
                    seen += &format!(
                        "{} {} {:?} {:?}\n",
                        movement.sequence, transaction.id, transaction.money, movement.balance_after_minor
                    );
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        for transaction in world.transactions.iter().rev().take(20) {
            seen += &format!("{:?}\n", store.transaction(user, *transaction).await.unwrap());
        }
        let events = store.events(user, PageRequest { after: None, limit: 30 }).await.unwrap();
        seen += &format!("{:?}\n", events.rows);
    }
    for caller in world.callers.iter().rev().take(30) {
        seen += &format!("{:?}\n", store.session_by_access(caller.access).await.unwrap());
    }
    seen += &format!("{:?}\n", store.users(PageRequest { after: Some(2), limit: 3 }).await.unwrap().rows);
    let status = store.status();
    seen + &format!("{} {}\n", status.sequence, status.blocks > 0)
}

async fn run_both(model: &MemoryStore, other: &dyn Store, commands: &[Command], world: &mut World) {
    // Both take the commands in the same order; the other engine may make one batch of them.
    let mut answers = Vec::new();
    for command in commands {
        answers.push((model.execute(command.clone()).await, other.execute(command.clone())));
    }
    for (command, (expected, answer)) in commands.iter().zip(answers) {
        let (expected, answer) = (expected.unwrap(), answer.await.unwrap());
        assert_eq!(answer, expected, "{command:?}");
        learn(world, command, &expected);
    }
}

async fn compare(place: &Place, seed: u64, rounds: u64) {
    println!("seed {seed}");
    let clock = Clock::fixed(Timestamp::from_millis(1_800_000_000_000));
    let model = MemoryStore::new(rules(), clock.clone());
    let mut other = place.open(&clock).await;
    let (mut dice, mut world) = (Dice(Random::new(seed)), World::default());
    for round in 0..rounds {
        let count = 1 + dice.below(40);
        let commands: Vec<_> = (0..count).map(|_| command(&mut dice, &world)).collect();
        run_both(&model, &*other, &commands, &mut world).await;
        clock.advance_ms(i64::try_from(dice.below(20_000)).unwrap());
        if dice.below(12) == 0 {
            other.close().await.unwrap();
            other = place.open(&clock).await;
        }
        if round % 16 == 15 {
            let limit = usize::try_from(1 + dice.below(30)).unwrap();
            let (expected, seen) =
                (everything(&model, &world, limit).await, everything(&*other, &world, limit).await);
            for (line, (seen, expected)) in seen.lines().zip(expected.lines()).enumerate() {
                assert_eq!(seen, expected, "seed {seed}, round {round}, line {line}");
            }
            assert_eq!(seen.len(), expected.len());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_answers_as_the_model_does() {
    for seed in 1..=4 {
        compare(&Place::folder(), seed, 64).await;
    }
    let fresh = Random::seed_of_this_run();
    compare(&Place::folder(), fresh, 64).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_answers_as_the_model_does() {
    compare(&Place::database(), 1, 64).await;
    let fresh = Random::seed_of_this_run();
    compare(&Place::database(), fresh, 64).await;
}

/// Readers page through a history while payments arrive and folds run: no row is missed, none is seen twice.
async fn pages_stay_whole(place: Place) {
    let clock = Clock::system();
    let store = place.open(&clock).await;
    let (mut dice, mut world) = (Dice(Random::new(7)), World::default());
    let register = |dice: &mut Dice, number: u64| Command {
        origin: Origin { request: RequestId::new(dice.uuid()), ip: None, user_agent: None },
        action: Action::Register(Register {
            user: UserId::new(dice.uuid()),
            grant: TransactionId::new(dice.uuid()),
            email: Email::parse(&format!("u{number}@example.com")).unwrap(),
            name: None,
            password: password(0),
            role: Role::Customer,
        }),
    };
    for number in 0..2 {
        let command = register(&mut dice, number);
        let outcome = store.execute(command.clone()).await.unwrap();
        learn(&mut world, &command, &outcome);
    }
    let (payer, payee) = (world.users[0], world.users[1]);
    let open = Command {
        origin: Origin { request: RequestId::new(dice.uuid()), ip: None, user_agent: None },
        action: Action::OpenSession(OpenSession {
            user: payer,
            verified: password(0),
            rehashed: None,
            session: SessionId::new(dice.uuid()),
            tokens: TokenPair { access: dice.hash(), refresh: dice.hash() },
        }),
    };
    let outcome = store.execute(open.clone()).await.unwrap();
    learn(&mut world, &open, &outcome);
    let caller = world.callers[0];

    let writer = {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let mut paid = Vec::new();
            for number in 0..2_000 {
                let pay = Pay {
                    caller,
                    payment: PaymentId::new(dice.uuid()),
                    payee,
                    money: Money::from_minor(1, Currency::USD).unwrap(),
                    memo: Memo::default(),
                    key: IdempotencyKey::parse(&format!("k{number}")).ok(),
                };
                let origin = Origin { request: RequestId::new(dice.uuid()), ip: None, user_agent: None };
                let outcome = store.execute(Command { origin, action: Action::Pay(pay) }).await.unwrap();
                match outcome.result {
                    Ok(Reply::Transaction(transaction)) => paid.push(transaction.id),
                    other => panic!("{other:?}"),
                }
            }
            paid
        })
    };
    let mut rounds = 0;
    while !writer.is_finished() || rounds < 3 {
        let mut sequences = Vec::new();
        let mut after = None;
        loop {
            let page = PageRequest { after, limit: 17 };
            let query = HistoryQuery { user: payee, page, filter: HistoryFilter::default() };
            let page = store.history(query).await.unwrap();
            sequences.extend(page.rows.iter().map(|movement| movement.sequence));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        // Dense: the payee's rows are their own grant, and then every payment.
        for pair in sequences.windows(2) {
            assert!(pair[0] == pair[1] + 1, "{pair:?} in a history of {}", sequences.len());
        }
        assert_eq!(sequences.last(), Some(&2));
        rounds += 1;
    }
    let paid = writer.await.unwrap();
    let wallets = store.wallets(payee).await.unwrap();
    assert_eq!(wallets[0].balance.amount_minor, 100_000 + i64::try_from(paid.len()).unwrap());
}

/// A command that the database refuses, as no decision of ours would make it, fails alone: its neighbours in the batch
/// are answered, and the store goes on.
async fn poison_fails_alone(place: Place) {
    let clock = Clock::fixed(Timestamp::from_millis(1_800_000_000_000));
    let store = place.open(&clock).await;
    let mut dice = Dice(Random::new(11));
    let (user, session, hash) = (UserId::new(dice.uuid()), SessionId::new(dice.uuid()), dice.hash());
    let tokens = TokenPair { access: hash, refresh: dice.hash() };
    let caller = Caller { user, session, access: hash };
    let mut run = |action: Action| {
        let origin = Origin { request: RequestId::new(dice.uuid()), ip: None, user_agent: None };
        store.execute(Command { origin, action })
    };
    let register = Register {
        user,
        grant: TransactionId::new(Uuid::from_u128(100)),
        email: Email::parse("ann@example.com").unwrap(),
        name: None,
        password: password(0),
        role: Role::Customer,
    };
    assert!(run(Action::Register(register)).await.unwrap().result.is_ok());
    let open = OpenSession { user, verified: password(0), rehashed: None, session, tokens };
    assert!(run(Action::OpenSession(open)).await.unwrap().result.is_ok());
    let pay = |id: u128| {
        Action::Pay(Pay {
            caller,
            payment: PaymentId::new(Uuid::from_u128(id)),
            payee: UserId::HOUSE,
            money: Money::from_minor(1, Currency::USD).unwrap(),
            memo: Memo::default(),
            key: IdempotencyKey::parse(&format!("k{id}")).ok(),
        })
    };
    for round in 0..20 {
        // Number 100 is taken by the grant; ids are random, so this never happens by itself.
        let ids = [1_000 + round * 10, 100, 1_001 + round * 10];
        let answers = ids.map(|id| run(pay(id)));
        for (id, answer) in ids.into_iter().zip(answers) {
            assert_eq!(answer.await.is_ok_and(|outcome| outcome.result.is_ok()), id != 100, "{id}");
        }
    }
    let wallets = store.wallets(user).await.unwrap();
    assert_eq!(wallets[0].balance.amount_minor, 100_000 - 40);
    store.close().await.unwrap();
    if let Place::Folder(folder) = &place {
        let location = farthing::store::Location::Folder(folder.path().into());
        assert_eq!(farthing::store::verify(&location).unwrap().discrepancies, Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_pages_stay_whole_while_rows_arrive() {
    pages_stay_whole(Place::folder()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_pages_stay_whole_while_rows_arrive() {
    pages_stay_whole(Place::database()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite_a_poisonous_command_fails_alone() {
    poison_fails_alone(Place::folder()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgres_a_poisonous_command_fails_alone() {
    poison_fails_alone(Place::database()).await;
}
