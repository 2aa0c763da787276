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

use std::collections::BTreeMap;
use std::sync::Arc;

use farthing::auth::ledger_key::{KeyFingerprint, LedgerKey};
use farthing::books::replay::{Change, replay};
use farthing::clock::Clock;
use farthing::ledger::{
    Action, AmountLimits, Caller, Capture, Command, Currency, Email, EventKind, IdempotencyKey, Lifetime,
    Memo, Mode, Money, OpenSession, Origin, Outcome, Pay, PaymentId, Register, Reply, RequestId, RiskAction,
    RiskRules, Role, Rules, SessionId, Shown, Timestamp, TokenPair, TransactionId, UserId, WebhookRules,
    check_session,
};
use farthing::store::memory::MemoryStore;
use farthing::store::postgres::PostgresStore;
use farthing::store::sqlite::{FoldPace, SqliteStore};
use farthing::store::{HistoryFilter, HistoryQuery, Location, PageRequest, PostgresSettings, Store};
use tempfile::TempDir;
use uuid::Uuid;

#[path = "../support/postgres.rs"]
#[allow(dead_code, clippy::expect_used, reason = "test code, of which other tests use the rest")]
mod postgres;
#[path = "../support/random.rs"]
#[allow(dead_code, clippy::expect_used, reason = "test code, of which other tests use the rest")]
mod random;
#[path = "../support/wait.rs"]
#[allow(dead_code, reason = "test code, of which other tests use the rest")]
mod wait;

mod beside;
mod dice;
mod lists;
mod reads;

use dice::{Dice, World, command, learn, password};
use postgres::{Database, Postgres};
use random::Random;
use reads::everything;

fn rules() -> Rules {
    Rules {
        mode: Mode::Sandbox,
        duplicate_window_ms: 60_000,
        hold_ttl_ms: 120_000,
        four_eyes_above: Some(100),
        access_ttl_ms: 15 * 60_000,
        refresh_ttl_ms: 30 * 86_400_000,
        grant: Money::from_minor(100_000, Currency::USD).unwrap(),
        house_name: "House".into(),
        webhooks: WebhookRules { most: 16, schedule_ms: vec![0, 5_000] },
        step_up_above: AmountLimits::OFF,
        risk: RiskRules {
            window_seconds: 300,
            fan_out: "review above 3".parse().unwrap(),
            payee_sum: "review above 700".parse().unwrap(),
            new_payee: "review above 299".parse().unwrap(),
            new_address: "step_up above 4".parse().unwrap(),
            declines: "decline above 6".parse().unwrap(),
            ..RiskRules::default()
        },
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

    fn location(&self) -> Location {
        match self {
            Self::Folder(folder) => Location::Folder(folder.path().to_owned()),
            Self::Database(_) => Location::Postgres(self.settings()),
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

/// The answer to a later step of a payment, without the entries of its first row: a store may leave them out.
fn without_entries(mut outcome: Outcome) -> Outcome {
    if let Ok(Reply::Step { first, .. }) = &mut outcome.result {
        Arc::make_mut(first).entries.clear();
    }
    outcome
}

async fn run_both(model: &MemoryStore, other: &dyn Store, commands: &[Command], world: &mut World) {
    // What gives way to others has no place among them.
    for commands in commands.chunk_by(|one, other| !one.gives_way() && !other.gives_way()) {
        run_together(model, other, commands, world).await;
    }
}

async fn run_together(model: &MemoryStore, other: &dyn Store, commands: &[Command], world: &mut World) {
    // Both take the commands in the same order; the other engine may make one batch of them.
    let mut answers = Vec::new();
    for command in commands {
        answers.push((model.execute(command.clone()).await, other.execute(command.clone())));
    }
    for (command, (expected, answer)) in commands.iter().zip(answers) {
        let (expected, answer) = (expected.unwrap(), answer.await.unwrap());
        assert_eq!(without_entries(answer), without_entries(expected.clone()), "{command:?}");
        learn(world, command, &expected);
    }
}

async fn compare(place: &Place, seed: u64, rounds: u64) -> World {
    println!("seed {seed}");
    let clock = Clock::fixed(Timestamp::from_millis(1_800_000_000_000));
    let model = MemoryStore::new(rules(), clock.clone());
    let mut other = place.open(&clock).await;
    let (mut dice, mut world) = (Dice(Random::new(seed)), World::default());
    for round in 0..rounds {
        world.now = clock.now();
        look_who_is_there(&model, &mut world).await;
        let count = 1 + dice.below(40);
        let commands: Vec<_> = (0..count).map(|_| command(&mut dice, &world)).collect();
        run_both(&model, &*other, &commands, &mut world).await;
        clock.advance_ms(i64::try_from(dice.below(20_000)).unwrap());
        if round + 8 == rounds {
            // What came to its end a month ago may be forgotten.
            clock.advance_ms(31 * 86_400_000);
        }
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
    let location = place.location();
    let proved = move || {
        the_rules_in_force_change_nothing(&location);
        assert_eq!(farthing::store::verify(&location).unwrap().discrepancies, Vec::<String>::new());
    };
    tokio::task::spawn_blocking(proved).await.unwrap();
    world
}

/// Whose sessions count, so that something comes of what they ask.
async fn look_who_is_there(model: &MemoryStore, world: &mut World) {
    (world.live, world.operators) = (Vec::new(), Vec::new());
    for caller in &world.callers {
        let Some((session, user)) = model.session_by_access(caller.access).await.unwrap() else { continue };
        if check_session(&session, caller, world.now).is_ok() {
            world.live.push(*caller);
            world.operators.extend(user.role.is_operator().then_some((*caller, user.role)));
        }
    }
}

/// Every kind of command.
const ALL: &str = "Approve BeginFactor CancelRequest Capture Cash ChangePassword ChangeUser ConfirmFactor DecideCash \
    DeliveryBeginReplay DeliveryClaim DeliveryFanOut DeliveryPurge DeliveryRedeliver DeliveryReplay DeliverySettle EndSchedule \
    EndSession EndUserSessions Expire FindKey LapseRequest MakeApiKey MakeRequest MakeResetLink MakeSchedule MoveClock Note \
    OpenSession Pay PayMany PayRequest RefreshSession Refund Register Reject RemoveFactor Rename ResetFactor ResetPassword \
    RotateApiKey RunSchedule Topup TouchSession Void WebhookCreate WebhookDelete WebhookRotate WebhookTest WebhookTrigger \
    WebhookUpdate";

/// Something came of each kind of command.
fn assert_all_done(worlds: &[World]) {
    let mut done: BTreeMap<&str, u32> = BTreeMap::new();
    for (kind, count) in worlds.iter().flat_map(|world| &world.done) {
        *done.entry(kind).or_default() += count;
    }
    let missing: Vec<&str> = ALL.split_whitespace().filter(|kind| !done.contains_key(kind)).collect();
    assert!(missing.is_empty(), "nothing came of {missing:?}: {done:?}");
}

/// A replay of the rules that were in force finds what was found then; but for payments of the very moment in which the
/// payer changed what the rules look at, since a block does not say which came first.
fn the_rules_in_force_change_nothing(location: &Location) {
    let mut reader = farthing::store::reader(location).unwrap();
    let end = reader.begin().unwrap().head;
    let events = reader.events(0, end.event).unwrap().rows.into_iter().map(|(_, event)| event);
    let changes = [EventKind::LoginSuccess, EventKind::PasswordChange];
    let unclear: Vec<_> =
        events.filter(|event| changes.contains(&event.kind)).map(|event| (event.user, event.at)).collect();
    let Rules { risk, duplicate_window_ms, .. } = rules();
    let mut tell = |change: &Change<'_>| {
        let payment = change.payment;
        assert!(unclear.contains(&(Some(payment.from.id), payment.created_at)), "{change:?}");
        Ok(())
    };
    let done = replay(&mut *reader, &risk, duplicate_window_ms, &mut tell).unwrap();
    let hit = |action| done.hits.values().any(|(found, _)| *found == action);
    assert!([RiskAction::StepUp, RiskAction::Review].into_iter().all(hit), "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_answers_as_the_model_does() {
    let mut worlds = Vec::new();
    for seed in 1..=4 {
        worlds.push(compare(&Place::folder(), seed, 64).await);
    }
    assert_all_done(&worlds);
    let fresh = Random::seed_of_this_run();
    compare(&Place::folder(), fresh, 64).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_answers_as_the_model_does() {
    compare(&Place::database(), 1, 64).await;
    let fresh = Random::seed_of_this_run();
    compare(&Place::database(), fresh, 64).await;
}

/// Two users of a store that is new, and a session of the first.
async fn two_users(store: &dyn Store) -> (Dice, World) {
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
    let payer = world.users[0];
    let open = Command {
        origin: Origin { request: RequestId::new(dice.uuid()), ip: None, user_agent: None },
        action: Action::OpenSession(OpenSession {
            shown: Shown::Nothing,
            user: payer,
            verified: password(0),
            rehashed: None,
            session: SessionId::new(dice.uuid()),
            tokens: TokenPair { access: dice.hash(), refresh: dice.hash() },
            lifetime: Lifetime::Refreshed,
            is_new_address: false,
        }),
    };
    let outcome = store.execute(open.clone()).await.unwrap();
    learn(&mut world, &open, &outcome);
    (dice, world)
}

/// The caller pays one cent, under a key that the number makes.
fn payment(dice: &mut Dice, caller: Caller, payee: UserId, number: usize, description: &str) -> Command {
    let pay = Pay {
        shown: Shown::Nothing,
        caller,
        payment: PaymentId::new(dice.uuid()),
        payee,
        money: Money::from_minor(1, Currency::USD).unwrap(),
        memo: Memo { description: description.into(), ..Memo::default() },
        capture: Capture::Automatic,
        key: IdempotencyKey::parse(&format!("k{number}")).ok(),
    };
    let origin = Origin { request: RequestId::new(dice.uuid()), ip: None, user_agent: None };
    Command { origin, action: Action::Pay(pay) }
}

/// Readers page through a history while payments arrive and folds run: no row is missed, none is seen twice.
async fn pages_stay_whole(place: Place) {
    let clock = Clock::system();
    let store = place.open(&clock).await;
    let (mut dice, world) = two_users(&*store).await;
    let payee = world.users[1];
    let caller = world.callers[0];

    let writer = {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let mut paid = Vec::new();
            for number in 0..2_000 {
                let pay = payment(&mut dice, caller, payee, number, "");
                match store.execute(pay).await.unwrap().result {
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
    let open = OpenSession {
        shown: Shown::Nothing,
        user,
        verified: password(0),
        rehashed: None,
        session,
        tokens,
        lifetime: Lifetime::Refreshed,
        is_new_address: false,
    };
    assert!(run(Action::OpenSession(open)).await.unwrap().result.is_ok());
    let pay = |id: u128| {
        Action::Pay(Pay {
            shown: Shown::Nothing,
            caller,
            payment: PaymentId::new(Uuid::from_u128(id)),
            payee: UserId::HOUSE,
            money: Money::from_minor(1, Currency::USD).unwrap(),
            memo: Memo::default(),
            capture: Capture::Automatic,
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

/// Once the log of an embedded ledger is long, it goes into the file beside the writer, and begins anew.
#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite_a_long_log_goes_into_the_file() {
    const MIB: usize = 1_024 * 1_024;
    const DESCRIPTION: usize = 64_000;
    let place = Place::folder();
    let store = place.open(&Clock::system()).await;
    let Place::Folder(folder) = &place else { panic!("no folder") };
    let length =
        |file: &str| usize::try_from(std::fs::metadata(folder.path().join(file)).unwrap().len()).unwrap();
    let (mut dice, world) = two_users(&*store).await;
    let description = "x".repeat(DESCRIPTION);
    let mut pay = async |number| {
        let pay = payment(&mut dice, world.callers[0], world.users[1], number, &description);
        assert!(store.execute(pay).await.unwrap().result.is_ok());
    };
    let mut paid = 0;
    // Not so long that the writer waits until it is in the file.
    while length("farthing.db-wal") < 80 * MIB {
        paid += 1;
        pay(paid).await;
    }
    wait::until("the file holds them", || length("farthing.db") + 16 * MIB > paid * DESCRIPTION);
    for number in paid..2 * paid {
        pay(number + 1).await;
    }
    assert!(length("farthing.db-wal") < 110 * MIB);
    store.close().await.unwrap();
    assert_eq!(farthing::store::verify(&place.location()).unwrap().discrepancies, Vec::<String>::new());
}
