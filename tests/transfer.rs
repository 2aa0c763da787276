//! A ledger is moved from folder to folder: whole, also after it was interrupted anywhere, and never a wrong one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what it did not expect")]

use std::path::Path;
use std::sync::Arc;

#[path = "support/damage.rs"]
#[allow(dead_code, reason = "test code, of which other tests use the rest")]
mod damage;
#[path = "support/maker.rs"]
mod maker;
#[path = "support/postgres.rs"]
#[allow(
    dead_code,
    clippy::print_stdout,
    clippy::expect_used,
    reason = "test code, of which other tests use the rest"
)]
mod postgres;
#[path = "support/wait.rs"]
#[allow(dead_code, reason = "test code, of which other tests use the rest")]
mod wait;

use farthing::clock::Clock;
use farthing::ledger::{
    Action, Authority, MakeResetLink, Mode, PasswordHash, Record, RefreshSession, ResetPassword,
    SecurityEvent, Session, SessionId, TokenHash, TokenPair, Transaction, User,
};
use farthing::store::journal::{
    Beginning, Block, Head, JournalReader, JournalWriter, Numbered, Properties, StoredBlock, StoredEntry,
};
use farthing::store::sqlite::{SqliteImport, SqliteJournal};
use farthing::store::transfer::{Progress, transfer};
use farthing::store::{self, Location, OpenError, PostgresSettings, TransferError, VerifyReport};
use maker::{Maker, fill};
use tempfile::TempDir;

/// A ledger with everything in it that is moved: the small one, a session that was refreshed, records with a gap before
/// and behind them.
async fn a_ledger() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let maker = Maker::open(folder.path()).await;
    fill(&maker).await;
    let cat = maker.user("cat").await;
    let sessions = SqliteJournal::open(folder.path()).unwrap().sessions(None, 100).unwrap();
    let session = sessions.iter().find(|session| session.user == cat.user).unwrap();
    maker
        .run(Action::RefreshSession(RefreshSession {
            shown: session.refresh,
            tokens: TokenPair {
                access: TokenHash(maker.clock.random().unwrap()),
                refresh: TokenHash(maker.clock.random().unwrap()),
            },
        }))
        .await;
    let (dan, eve) = (maker.user("dan").await, maker.user("eve").await);
    let new = PasswordHash::from_phc("*".into());
    for (user, secret, is_used) in [(dan, 1, true), (cat, 2, false), (eve, 3, false), (dan, 4, true)] {
        let secret = TokenHash([secret; 32]);
        maker
            .run(Action::MakeResetLink(MakeResetLink { by: Authority::Host, user: user.user, secret }))
            .await;
        if is_used {
            let reset = ResetPassword { user: user.user, secret, new: new.clone() };
            maker.run(Action::ResetPassword(reset)).await;
        }
    }
    maker.store.close().await.unwrap();
    folder
}

fn location(folder: &TempDir) -> Location {
    Location::Folder(folder.path().to_owned())
}

fn migrate(from: &TempDir, to: &TempDir) -> Result<VerifyReport, TransferError> {
    store::migrate(&location(from), &location(to), Clock::system(), &mut |_| {})
}

/// Opening for service says no, and says why.
async fn is_not_served(folder: &TempDir, says: &str) {
    let clock = Clock::system();
    let opened = store::open(&location(folder), maker::key(), maker::rules(), clock, None).await;
    let message = opened.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(message.contains(says), "{message:?} should say {says:?}");
}

fn change(folder: &Path, sql: &str) {
    let connection = rusqlite::Connection::open(folder.join("farthing.db")).unwrap();
    connection.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    damage::damage(&connection, sql);
}

/// Everything that a ledger is, row by row.
fn everything(folder: &TempDir) -> String {
    let mut reader = SqliteJournal::open(folder.path()).unwrap();
    let head = reader.begin().unwrap().head;
    let transactions = reader.transactions(0, head.transaction).unwrap().rows;
    let entries = reader.entries(0, head.transaction).unwrap();
    let events = reader.events(0, head.event).unwrap().rows;
    let blocks = reader.blocks(&Head::default(), head.block, i64::MAX).unwrap();
    let (users, sessions) = (reader.users(0, 100).unwrap(), reader.sessions(None, 100).unwrap());
    let tokens = reader.spent_tokens(None, 100).unwrap();
    let records = reader.records(0, 100).unwrap();
    assert_eq!((users.len(), sessions.len(), tokens.len(), transactions.len()), (5, 5, 1, 10));
    let numbers: Vec<_> = records.iter().map(|(number, _)| *number).collect();
    assert_eq!(
        (numbers, &*reader.properties().unwrap().others["last_record"]),
        (vec![1, 2, 3, 4, 5, 6, 8, 9, 10, 12], "12")
    );
    let values: Vec<_> = records.iter().map(|(_, record)| record.value.clone()).collect();
    let properties = reader.properties().unwrap();
    let hashes: Vec<_> = sessions.iter().map(|session| (session.access.0, session.refresh.0)).collect();
    format!(
        "{properties:#?}{blocks:#?}{transactions:#?}{entries:#?}{events:#?}{users:#?}{sessions:#?}{hashes:?}{records:#?}{values:?}{:?}",
        tokens.iter().map(|(token, session)| (token.0, *session)).collect::<Vec<_>>()
    )
}

/// Fails where it is told to, as if the program had been killed there.
struct Stopping {
    inner: SqliteImport,
    steps: usize,
}

impl Stopping {
    fn step(&mut self) -> Result<(), OpenError> {
        self.steps = self.steps.checked_sub(1).ok_or_else(|| OpenError::Unusable("stopped".into()))?;
        Ok(())
    }
}

impl JournalWriter for Stopping {
    fn begin(&mut self, properties: &Properties) -> Result<Head, OpenError> {
        self.inner.begin(properties)
    }
    fn append(&mut self, blocks: &[Block]) -> Result<(), OpenError> {
        self.step()?;
        self.inner.append(blocks)
    }
    fn put_users(&mut self, users: &[(i64, Arc<User>)]) -> Result<(), OpenError> {
        self.step()?;
        self.inner.put_users(users)
    }
    fn put_sessions(&mut self, sessions: &[Arc<Session>]) -> Result<(), OpenError> {
        self.step()?;
        self.inner.put_sessions(sessions)
    }
    fn put_spent_tokens(&mut self, tokens: &[(TokenHash, SessionId)]) -> Result<(), OpenError> {
        self.step()?;
        self.inner.put_spent_tokens(tokens)
    }
    fn put_records(&mut self, records: &[(i64, Arc<Record>)]) -> Result<(), OpenError> {
        self.step()?;
        self.inner.put_records(records)
    }
    fn settle(&mut self) -> Result<(), OpenError> {
        self.step()?;
        self.inner.settle()
    }
    fn finish(&mut self) -> Result<(), OpenError> {
        self.step()?;
        self.inner.finish()
    }
}

/// Hands out two blocks and one user at a time; and tells of a head that has moved from the second look on, if told to.
struct Slow {
    inner: SqliteJournal,
    looks: i64,
    moves: bool,
}

impl Slow {
    fn open(folder: &TempDir, moves: bool) -> Self {
        Self { inner: SqliteJournal::open(folder.path()).unwrap(), looks: 0, moves }
    }
}

impl JournalReader for Slow {
    fn begin(&mut self) -> Result<Beginning, OpenError> {
        let mut beginning = self.inner.begin()?;
        if self.moves {
            beginning.head.block += self.looks;
            self.looks += 1;
        }
        Ok(beginning)
    }
    fn blocks(&mut self, after: &Head, to: i64, rows: i64) -> Result<Vec<StoredBlock>, OpenError> {
        self.inner.blocks(after, to.min(after.block + 2), rows)
    }
    fn transactions(&mut self, after: i64, to: i64) -> Result<Numbered<Transaction>, OpenError> {
        self.inner.transactions(after, to)
    }
    fn entries(&mut self, after: i64, to: i64) -> Result<Vec<StoredEntry>, OpenError> {
        self.inner.entries(after, to)
    }
    fn events(&mut self, after: i64, to: i64) -> Result<Numbered<SecurityEvent>, OpenError> {
        self.inner.events(after, to)
    }
    fn witness(&mut self, no: i64, transaction: &Transaction) {
        self.inner.witness(no, transaction);
    }
    fn own_discrepancies(&mut self) -> Result<Vec<String>, OpenError> {
        self.inner.own_discrepancies()
    }
    fn properties(&mut self) -> Result<Properties, OpenError> {
        self.inner.properties()
    }
    fn users(&mut self, after: i64, limit: usize) -> Result<Vec<(i64, Arc<User>)>, OpenError> {
        self.inner.users(after, limit.min(1))
    }
    fn sessions(&mut self, after: Option<SessionId>, limit: usize) -> Result<Vec<Arc<Session>>, OpenError> {
        self.inner.sessions(after, limit.min(1))
    }
    fn spent_tokens(
        &mut self,
        after: Option<TokenHash>,
        limit: usize,
    ) -> Result<Vec<(TokenHash, SessionId)>, OpenError> {
        self.inner.spent_tokens(after, limit.min(1))
    }
    fn records(&mut self, after: i64, limit: usize) -> Result<Vec<(i64, Arc<Record>)>, OpenError> {
        self.inner.records(after, limit.min(1))
    }
}

/// Moves in small pieces and stops before the step with that number.
fn stopped(from: &TempDir, to: &TempDir, steps: usize) -> Result<VerifyReport, TransferError> {
    let mut writer = Stopping { inner: SqliteImport::new(to.path(), Clock::system()), steps };
    transfer(
        &mut Slow::open(from, false),
        &mut writer,
        &mut || Ok(Box::new(Slow::open(to, false))),
        &mut |_| {},
    )
}

#[tokio::test]
async fn a_ledger_arrives_whole_and_is_served_on() {
    let (from, to) = (a_ledger().await, tempfile::tempdir().unwrap());
    let before = everything(&from);
    let mut steps = Vec::new();
    let report =
        store::migrate(&location(&from), &location(&to), Clock::system(), &mut |step| steps.push(step))
            .unwrap();
    assert_eq!((report.transactions, report.users, report.records), (10, 5, 10));
    assert_eq!(report.discrepancies, Vec::<String>::new());
    let copying =
        steps.iter().find(|step| matches!(step, Progress::Copying { done: 0, total } if *total > 8));
    assert!(copying.is_some() && steps.last() == Some(&Progress::ProvingTarget), "{steps:?}");
    assert_eq!(everything(&to), before);
    assert_eq!(everything(&from), before, "the source is as it was");

    // Everything is folded, so that a server starts at once; and it goes on as the old one would have.
    let maker = Maker::open(to.path()).await;
    assert_eq!(maker.store.status().tail, 0);
    let (fay, guy) = (maker.user("fay").await, maker.user("guy").await);
    maker.pay(fay, guy.user, 700, "k1").await;
    maker.store.close().await.unwrap();
    let report = store::verify(&location(&to)).unwrap();
    assert_eq!((report.transactions, report.users, report.discrepancies.len()), (13, 7, 0));
}

#[tokio::test]
async fn what_is_interrupted_anywhere_goes_on() {
    let (from, another) = (a_ledger().await, a_ledger().await);
    let before = everything(&from);
    let mut whole = 0;
    for steps in 0..100 {
        let to = tempfile::tempdir().unwrap();
        match stopped(&from, &to, steps) {
            Ok(report) => {
                assert_eq!(report.transactions, 10);
                whole = steps;
            }
            Err(error) => {
                assert_eq!(error.to_string(), "the target: stopped");
                is_not_served(&to, "a ledger is being moved here").await;
                let error = migrate(&another, &to).unwrap_err();
                assert_eq!(error.to_string(), "the target: another ledger is being moved there");
                migrate(&from, &to).unwrap();
            }
        }
        assert_eq!(everything(&to), before, "after {steps} steps");
        if whole > 0 {
            break;
        }
    }
    assert!(whole > 8, "{whole} steps are too few to have been interrupted between blocks");
}

#[tokio::test]
async fn a_place_that_has_a_ledger_is_refused_and_stays() {
    let (from, to) = (a_ledger().await, a_ledger().await);
    let before = everything(&to);
    let error = migrate(&from, &to).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the target: there is a ledger already; one is moved into an empty place only"
    );
    assert_eq!(everything(&to), before);
    // The same one once more is no other case: it is whole by now, and may have been served since.
    let to = tempfile::tempdir().unwrap();
    migrate(&from, &to).unwrap();
    assert!(migrate(&from, &to).unwrap_err().to_string().contains("there is a ledger already"));
}

/// What was changed in a target that was all but finished, and what is told.
const TAMPERED: &[(&str, &str)] = &[
    ("UPDATE transactions SET description = 'dinner' WHERE no = 3", "transactions row 3"),
    (
        "UPDATE entries SET amount = amount + 1, balance_after = balance_after + 1 WHERE no = 25",
        "does not hold",
    ),
    ("UPDATE security_events SET detail = '{}' WHERE no = 2", "blocks row "),
    ("UPDATE accounts SET balance = balance + 1 WHERE no = 2", "accounts row 2"),
    (
        "UPDATE users SET email = 'mal@example.com', email_folded = 'mal@example.com' WHERE no = 2",
        "the users are not",
    ),
    (
        "INSERT INTO users SELECT 9, randomblob(16), 'e@x.org', 'e@x.org', name, password_hash, role, frozen, created_at, \
      password_changed_at, password_long, second_factor, new_address_at FROM users WHERE no = 1",
        "6 users instead of 5",
    ),
    ("UPDATE sessions SET user = (SELECT id FROM users WHERE no = 2)", "the sessions are not"),
    (
        "INSERT INTO spent_tokens SELECT randomblob(32), id FROM sessions WHERE no = 1",
        "the spent tokens are not",
    ),
    ("UPDATE properties SET value = 'live' WHERE name = 'mode'", "another ledger"),
    (
        "UPDATE blocks SET hash = zeroblob(32) WHERE no = (SELECT max(no) FROM blocks)",
        "not the beginning of the source's",
    ),
];

#[tokio::test]
async fn a_target_that_is_not_equal_is_told_and_never_served() {
    let from = a_ledger().await;
    let half = tempfile::tempdir().unwrap();
    let steps = (1..100).find(|steps| stopped(&from, &tempfile::tempdir().unwrap(), *steps).is_ok()).unwrap();
    stopped(&from, &half, steps - 1).unwrap_err();
    for (sql, says) in TAMPERED {
        let to = tempfile::tempdir().unwrap();
        std::fs::copy(half.path().join("farthing.db"), to.path().join("farthing.db")).unwrap();
        change(to.path(), sql);
        match migrate(&from, &to) {
            Err(TransferError::Unequal(differences)) => {
                assert!(differences.iter().any(|what| what.contains(says)), "{sql}\n{differences:#?}");
            }
            other => panic!("{sql}\n{other:?}"),
        }
        is_not_served(&to, "a ledger is being moved here").await;
    }
}

#[tokio::test]
async fn a_source_that_is_damaged_or_written_to_is_not_moved() {
    let from = a_ledger().await;
    let to = tempfile::tempdir().unwrap();
    let error = transfer(
        &mut Slow::open(&from, true),
        &mut SqliteImport::new(to.path(), Clock::system()),
        &mut || Ok(Box::new(Slow::open(&to, false))),
        &mut |_| {},
    );
    assert_eq!(error, Err(TransferError::SourceMoved));
    is_not_served(&to, "a ledger is being moved here").await;

    change(from.path(), "UPDATE transactions SET description = 'dinner' WHERE no = 3");
    let to = tempfile::tempdir().unwrap();
    assert!(matches!(migrate(&from, &to), Err(TransferError::SourceDamaged(_))));
    assert!(!to.path().join("farthing.db").exists(), "nothing was begun");
}

#[tokio::test]
async fn a_ledger_says_what_it_is() {
    let (one, other) = (a_ledger().await, a_ledger().await);
    let properties = |folder: &TempDir| SqliteJournal::open(folder.path()).unwrap().properties().unwrap();
    assert_ne!(properties(&one).ledger, properties(&other).ledger);
    assert_eq!(properties(&one).mode, Mode::Sandbox);
    assert!(properties(&one).others.contains_key("made_at"), "{:?}", properties(&one));
}

/// From a folder into PostgreSQL and back: what comes back is what went, row by row.
#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_goes_to_postgres_and_comes_back() {
    let (source, back) = (a_ledger().await, tempfile::tempdir().unwrap());
    let database = postgres::Postgres::shared().database();
    let owner = Location::Postgres(PostgresSettings::at(&database.migration_url()));
    let move_to = |from: &Location, to: &Location| {
        let (from, to) = (from.clone(), to.clone());
        tokio::task::spawn_blocking(move || store::migrate(&from, &to, Clock::system(), &mut |_| {}))
    };
    let there = move_to(&location(&source), &owner).await.unwrap().unwrap();
    assert_eq!(there.discrepancies, Vec::<String>::new());
    assert_eq!(there, store::verify(&location(&source)).unwrap());
    // A whole ledger is not moved into again.
    let again = move_to(&location(&source), &owner).await.unwrap().unwrap_err();
    assert!(again.to_string().contains("there is a ledger already"), "{again}");
    move_to(&owner, &location(&back)).await.unwrap().unwrap();
    let text = |folder: &TempDir| everything(folder);
    assert_eq!(text(&back), text(&source));

    // It is served there like any other: the ledger goes on where it was, and the serving role needs no more than its own.
    let serving = Location::Postgres(PostgresSettings {
        migration_url: Some(database.migration_url()),
        ..PostgresSettings::at(&database.url())
    });
    let maker = Maker::at(&serving).await;
    maker.user("fay").await;
    maker.store.close().await.unwrap();
    let verified = tokio::task::spawn_blocking(move || store::verify(&serving)).await.unwrap().unwrap();
    assert_eq!((verified.discrepancies.as_slice(), verified.users), ([].as_slice(), 6));

    // One that is not whole is not served.
    database.query("INSERT INTO properties VALUES ('migration', 'x')").unwrap();
    let opened = store::open(&owner, maker::key(), maker::rules(), Clock::system(), None).await;
    assert!(opened.err().unwrap().to_string().contains("is being moved here"));
}
