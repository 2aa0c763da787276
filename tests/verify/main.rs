//! `verify` finds each kind of damage and names the row: a small ledger is made, a copy of it is damaged in one way with
//! plain SQL, and what verification says must name what was damaged.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::format_push_string,
    reason = "a test may stop at what it did not expect"
)]

#[path = "../support/damage.rs"]
mod damage;
mod guards;
#[path = "../support/maker.rs"]
mod maker;
#[path = "../support/postgres.rs"]
#[allow(
    dead_code,
    clippy::print_stdout,
    clippy::expect_used,
    reason = "test code, of which other tests use the rest"
)]
mod postgres;
#[path = "../support/wait.rs"]
#[allow(dead_code, reason = "test code, of which other tests use the rest")]
mod wait;

#[path = "../support/random.rs"]
#[allow(
    dead_code,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "test code, of which other tests use the rest"
)]
mod random;
mod unforeseen;

use damage::damage;
use farthing::store::{self, Location};
use maker::{Maker, fill};

/// The damage, and what must be named.
const DAMAGE: &[(&str, &str)] = &[
    ("UPDATE transactions SET description = 'dinner' WHERE no = 3", "transactions row 3"),
    ("UPDATE transactions SET amount = 1251 WHERE no = 3", "transactions row 3"),
    ("UPDATE transactions SET idempotency_key = 'k9' WHERE no = 4", "transactions row 4"),
    ("UPDATE transactions SET idempotency_key = 'k2' WHERE no = 5", "transactions row 5"),
    ("UPDATE transactions SET to_user = from_user, from_user = to_user WHERE no = 3", "transactions row 3"),
    (
        "UPDATE transactions SET created_at = created_at + 1 WHERE no = 4",
        "transactions row 4: its time is not that of its block",
    ),
    ("UPDATE transactions SET decline = NULL, available = NULL WHERE no = 5", "transactions row 5"),
    ("UPDATE transactions SET currency = 'XXX' WHERE no = 6", "transactions row 6"),
    ("DELETE FROM transactions WHERE no = 4", "transactions row 4 is missing"),
    ("DELETE FROM transactions WHERE no = 7", "transactions ends with row 6"),
    (
        "INSERT INTO transactions (no, id, kind, from_user, from_name, to_user, to_name, amount, currency, description, \
         reference, metadata, method, decline, available, idempotency_key, created_at) \
         SELECT 8, randomblob(16), kind, from_user, from_name, to_user, to_name, amount, \
         currency, description, reference, metadata, method, decline, available, 'k8', created_at FROM transactions \
         WHERE no = 3",
        "transactions ends with row 8",
    ),
    (
        "UPDATE transactions SET no = 100 WHERE no = 3; UPDATE transactions SET no = 3 WHERE no = 4; \
         UPDATE transactions SET no = 4 WHERE no = 100",
        "transactions row 3",
    ),
    ("UPDATE entries SET amount = amount - 1 WHERE no = 24", "entries row 24"),
    ("UPDATE entries SET balance_after = balance_after + 1 WHERE no = 25", "entries row 25"),
    ("UPDATE entries SET account = 1 WHERE no = 25", "transactions row 3"),
    ("DELETE FROM entries WHERE no = 24", "transactions row 3"),
    ("UPDATE entries SET no = 29 WHERE no = 25", "entries row 29"),
    ("INSERT INTO entries VALUES (26, 1, 5, 5)", "transactions row 3"),
    ("INSERT INTO entries VALUES (40, 2, 5, 5)", "transactions row 5"),
    ("UPDATE security_events SET detail = '{}' WHERE no = 1", "security_events row 1"),
    ("UPDATE security_events SET user = NULL WHERE no = 2", "security_events row 2 is not what was written"),
    ("DELETE FROM security_events WHERE no = 2", "security_events row 2 is missing"),
    (
        "DELETE FROM security_events WHERE no = (SELECT max(no) FROM security_events)",
        "security_events ends with row",
    ),
    ("UPDATE blocks SET digest = zeroblob(32) WHERE no = 5", "blocks row 5"),
    ("UPDATE blocks SET hash = zeroblob(32) WHERE no = 5", "blocks row 5"),
    ("DELETE FROM blocks WHERE no = 3", "blocks row 3 is missing"),
    ("UPDATE accounts SET balance = balance + 1 WHERE no = 2", "accounts row 2"),
    ("UPDATE notices SET value = '{' WHERE no = 1", "notices row 1: value is not readable"),
    (
        "INSERT INTO records SELECT 1000, 'x', id, owner, NULL, NULL, NULL, 1, 1, 1, value FROM notices LIMIT 1",
        "records row 1000: kind is not readable",
    ),
    (
        "INSERT INTO records SELECT 1000, 'deadline', id, owner, NULL, NULL, NULL, 1, 1, 1, '{' FROM notices LIMIT 1",
        "records row 1000: value is not readable",
    ),
    ("DELETE FROM event_lists", "event_lists row of security event 1 is missing"),
    (
        "INSERT INTO event_lists SELECT user, 1000 FROM event_lists LIMIT 1",
        "event_lists has a row 1000 that no security event explains",
    ),
    ("DELETE FROM record_lists", "record_lists row of record 1 is missing"),
    (
        "INSERT INTO record_lists SELECT owner, 'notice', 1000 FROM notices LIMIT 1",
        "record_lists has a row 1000 that no record explains",
    ),
    ("UPDATE movements SET balance_after = 0 WHERE txn = 3", "transaction 3: balance_after"),
    ("DELETE FROM movements WHERE txn = 4", "transaction 4 is missing"),
    (
        "INSERT INTO movements VALUES (randomblob(16), 3, 5)",
        "movements has 1 rows that no transaction explains",
    ),
    ("UPDATE key_blocks SET data = zeroblob(length(data))", "key_blocks"),
    ("INSERT INTO entries VALUES (64, 2, 5, 5)", "entries row 64"),
    ("INSERT INTO entries VALUES (0, 2, 5, 5)", "entries row 0"),
    (
        "INSERT INTO transactions (no, id, kind, from_user, from_name, to_user, to_name, amount, currency, description, \
         reference, metadata, method, decline, available, idempotency_key, created_at) \
         SELECT 0, randomblob(16), kind, from_user, from_name, to_user, \
         to_name, amount, currency, description, reference, metadata, method, decline, available, \
         'k8', created_at FROM transactions WHERE no = 3",
        "transactions row 0",
    ),
    (
        "INSERT INTO security_events SELECT 0, randomblob(16), at, event, severity, user, ip, \
         user_agent, request, detail FROM security_events WHERE no = 1",
        "security_events",
    ),
    (
        "INSERT INTO security_events SELECT 1000, randomblob(16), at, event, severity, user, ip, \
         user_agent, request, detail FROM security_events WHERE no = 1",
        "security_events",
    ),
    ("INSERT INTO blocks SELECT 0, 0, 0, at, digest, hash, marks FROM blocks WHERE no = 1", "blocks row 0"),
    ("DELETE FROM blocks WHERE no = (SELECT max(no) FROM blocks)", "s ends with row"),
    ("UPDATE blocks SET last_transaction = last_transaction - 1 WHERE no = 5", "blocks row"),
    (
        "UPDATE entries SET amount = amount + 8, balance_after = balance_after + 8 WHERE no = 25",
        "transactions row 3",
    ),
    ("UPDATE accounts SET as_of = as_of - 1 WHERE no = 2", "accounts row 2"),
    ("UPDATE accounts SET as_of = as_of + 100 WHERE no = 2", "accounts row 2: it counts transactions up to"),
    ("DELETE FROM accounts WHERE no = 2", "there is no account 2"),
    ("UPDATE accounts SET currency = 'JPY' WHERE no = 2", "entries are not those"),
    ("UPDATE accounts SET currency = 'XXX' WHERE no = 2", "accounts row 2: "),
    ("UPDATE properties SET value = 9000000000000000000 WHERE name = 'folded_to'", "folded_to"),
    (
        "PRAGMA foreign_keys = OFF; UPDATE sessions SET user = randomblob(16) WHERE no = 1",
        "sessions row 1: what it names is not in users",
    ),
    ("INSERT INTO accounts VALUES (99, randomblob(16), 'wallet', 'USD', 7, 7)", "accounts row 99"),
    ("UPDATE transactions SET from_name = 'Eve' WHERE no = 3", "transactions row 3"),
    ("UPDATE transactions SET id = randomblob(16) WHERE no = 3", "transactions row 3"),
    ("UPDATE transactions SET available = 1 WHERE no = 5", "transactions row 5"),
    ("UPDATE transactions SET method = 'sim_slow' WHERE no = 7", "transactions row 7"),
    (
        "UPDATE security_events SET at = at + 1 WHERE no = 1",
        "security_events row 1: its time is not that of its block 1",
    ),
    ("UPDATE blocks SET at = at + 1 WHERE no = 5", "blocks row 5: its hash does not follow"),
    // Together with the times of its rows: then the chain alone can tell.
    (
        "UPDATE blocks SET at = at + 1 WHERE no = 1; UPDATE transactions SET created_at = created_at + 1 WHERE no = 1; \
         UPDATE security_events SET at = at + 1 WHERE no = 1",
        "blocks row 1: its hash does not follow",
    ),
    (
        "UPDATE blocks SET at = at + 3600000 WHERE no = (SELECT max(no) FROM blocks); \
         UPDATE security_events SET at = at + 3600000 WHERE no = (SELECT max(no) FROM security_events)",
        "its hash does not follow",
    ),
    (
        "UPDATE movements SET user = randomblob(16) WHERE txn = 4 AND user = (SELECT from_user FROM \
         transactions WHERE no = 4)",
        "transaction 4 is missing",
    ),
    (
        "UPDATE key_blocks SET data = CAST(substr(data, 1, 8) || x'a5' || substr(data, 10) AS BLOB) WHERE id = \
         (SELECT min(id) FROM key_blocks)",
        "key_",
    ),
    ("DELETE FROM key_blocks WHERE id = (SELECT min(id) FROM key_blocks)", "key_"),
    ("DELETE FROM key_blocks", "key_"),
    ("UPDATE blocks SET marks = zeroblob(length(marks)) WHERE no = 4", "blocks row 4: its marks"),
    (
        "UPDATE blocks SET marks = x''; UPDATE security_events SET user = NULL WHERE no = 2",
        "security_events rows 2 to 3 are not what was written",
    ),
    (
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = 'CREATE INDEX sessions_by_user ON sessions (user)' \
         WHERE name = 'sessions_by_user'",
        "sessions",
    ),
    ("DELETE FROM key_blocks; DELETE FROM key_runs", "key_runs and key_blocks hold 0 keys"),
];

#[tokio::test]
async fn each_kind_of_damage_is_found_and_named() {
    let whole = tempfile::tempdir().unwrap();
    let maker = Maker::open(whole.path()).await;
    fill(&maker).await;
    maker.store.close().await.unwrap();
    let report = store::verify(&Location::Folder(whole.path().into())).unwrap();
    assert_eq!((report.discrepancies.as_slice(), report.transactions), ([].as_slice(), 7));

    for (change, named) in DAMAGE {
        let copy = tempfile::tempdir().unwrap();
        for file in whole.path().read_dir().unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
        let connection = rusqlite::Connection::open(copy.path().join("farthing.db")).unwrap();
        damage(&connection, change);
        drop(connection);
        let report = store::verify(&Location::Folder(copy.path().into())).unwrap();
        let is_named = report.discrepancies.iter().any(|discrepancy| discrepancy.contains(named));
        assert!(
            is_named,
            "{change}\nshould be told as {named:?}, and is told as {:#?}",
            report.discrepancies
        );
    }
}

#[tokio::test]
async fn a_ledger_that_is_being_written_is_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let maker = Maker::open(folder.path()).await;
    fill(&maker).await;
    // Nothing is folded yet: balances and histories are still in the tail.
    let report = store::verify(&Location::Folder(folder.path().into())).unwrap();
    assert_eq!((report.discrepancies.as_slice(), report.transactions), ([].as_slice(), 7));
    maker.store.close().await.unwrap();
}

#[tokio::test]
async fn the_journal_refuses_to_be_changed() {
    let folder = tempfile::tempdir().unwrap();
    let maker = Maker::open(folder.path()).await;
    fill(&maker).await;
    maker.store.close().await.unwrap();
    let connection = rusqlite::Connection::open(folder.path().join("farthing.db")).unwrap();
    for table in ["transactions", "entries", "security_events", "blocks"] {
        for change in [format!("DELETE FROM {table}"), format!("UPDATE {table} SET no = no + 100")] {
            assert!(
                connection.execute_batch(&change).unwrap_err().to_string().contains("append-only"),
                "{change}"
            );
        }
    }
}

#[tokio::test]
async fn a_span_of_missing_rows_is_told_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let maker = Maker::open(folder.path()).await;
    fill(&maker).await;
    maker.store.close().await.unwrap();
    let connection = rusqlite::Connection::open(folder.path().join("farthing.db")).unwrap();
    damage(&connection, "UPDATE blocks SET last_transaction = 9000000000000000000 WHERE no = 5");
    drop(connection);
    let report = store::verify(&Location::Folder(folder.path().into())).unwrap();
    let is_told = report.discrepancies.iter().any(|what| what.contains("all up to row 9000000000000000000"));
    assert!(is_told, "{:#?}", report.discrepancies);
}

/// On PostgreSQL, done by a superuser who switched the rules of the tables off.
const POSTGRES_DAMAGE: &[(&str, &str)] = &[
    (
        "UPDATE accounts SET balance = balance + 1 WHERE owner = '00000000-0000-0000-0000-000000000001'",
        "accounts row",
    ),
    ("DELETE FROM accounts WHERE owner = '00000000-0000-0000-0000-000000000001'", "entries row"),
    ("UPDATE entries SET amount = amount + 1 WHERE no = 24", "transactions row 3"),
    ("UPDATE entries SET balance_after = balance_after + 1 WHERE no = 24", "transactions row 3"),
    ("DELETE FROM entries WHERE no = 25", "transactions row 3"),
    ("UPDATE entries SET account = gen_random_uuid() WHERE no = 25", "entries row 25"),
    ("UPDATE entries SET transaction_no = 4 WHERE no = 25", "entries row 25"),
    (
        "INSERT INTO entries SELECT 8 * 9, 9, account, amount, balance_after FROM entries WHERE no = 24",
        "entries row 72 is outside of the journal",
    ),
    ("UPDATE transactions SET amount = amount + 1 WHERE no = 4", "transactions row 4"),
    (
        "UPDATE transactions SET description = 'dinner' WHERE no = 4",
        "transactions row 4 is not what was written",
    ),
    ("UPDATE transactions SET owner = to_user WHERE no = 3", "transactions row 3: its owner"),
    (
        "UPDATE transactions SET created_at = created_at + 1 WHERE no = 4",
        "transactions row 4: its time is not that of its block",
    ),
    ("UPDATE transactions SET decline = NULL, available = NULL WHERE no = 5", "transactions row 5"),
    ("UPDATE transactions SET currency = 'XXX' WHERE no = 6", "transactions row 6"),
    ("DELETE FROM transactions WHERE no = 4", "transactions row 4 is missing"),
    ("DELETE FROM transactions WHERE no = 7", "transactions row 7 is missing"),
    ("DELETE FROM security_events WHERE no = 1", "security_events row 1 is missing"),
    ("UPDATE security_events SET event = 'nothing' WHERE no = 2", "security_events row 2"),
    (
        "UPDATE security_events SET detail = '{}' WHERE no = 1",
        "security_events row 1 is not what was written",
    ),
    (
        "UPDATE blocks SET marks = '' WHERE no = 1; UPDATE security_events SET detail = '{}' WHERE no = 1",
        "blocks row 1",
    ),
    ("UPDATE blocks SET marks = sha256(marks) WHERE no = 4", "blocks row 4: its marks"),
    ("UPDATE security_events SET at = at + 1 WHERE no = 1", "security_events row 1: its time"),
    ("UPDATE blocks SET hash = sha256(hash) WHERE no = 5", "blocks row 5"),
    ("UPDATE blocks SET digest = sha256(digest) WHERE no = 5", "blocks row 5"),
    ("UPDATE blocks SET at = at + 1 WHERE no = 5", "blocks row 5: its hash does not follow"),
    ("DELETE FROM blocks WHERE no = 5", "blocks row 5 is missing"),
    ("DELETE FROM blocks WHERE no = (SELECT max(no) FROM blocks)", "is outside of the journal"),
    ("UPDATE chain SET last_transaction = last_transaction + 1", "chain: it does not say"),
    ("UPDATE sessions SET user_id = gen_random_uuid()", "its user is missing"),
    (
        "INSERT INTO spent_tokens VALUES (decode(repeat('ab', 32), 'hex'), gen_random_uuid())",
        "its session is missing",
    ),
    ("UPDATE chain SET last_user = last_user - 1", "users ends with row 2, and the chain with row 1"),
    (
        "INSERT INTO accounts VALUES (gen_random_uuid(), gen_random_uuid(), 'wallet', 'USD', 0)",
        "its id is not its own",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_damage_is_found_and_named_on_postgres() {
    let database = postgres::Postgres::shared().database();
    let location = Location::Postgres(farthing::store::PostgresSettings {
        migration_url: Some(database.migration_url()),
        ..farthing::store::PostgresSettings::at(&database.url())
    });
    let maker = Maker::at(&location).await;
    fill(&maker).await;
    let verify = || {
        let location = location.clone();
        tokio::task::spawn_blocking(move || store::verify(&location).unwrap())
    };
    let report = verify().await.unwrap();
    assert_eq!((report.discrepancies.as_slice(), report.transactions), ([].as_slice(), 7));
    for (damage, named) in POSTGRES_DAMAGE {
        // In the database itself, and mended from a copy of it afterwards: copying a whole database takes a second.
        let tables = "accounts entries transactions security_events blocks chain sessions spent_tokens";
        let each = |sql: &str| tables.split(' ').map(|table| sql.replace("{}", table)).collect::<String>();
        let save = each("CREATE TABLE saved_{} AS TABLE {};");
        let mend = each("DELETE FROM {}; INSERT INTO {} TABLE saved_{}; DROP TABLE saved_{};");
        let rules_off = "SET session_replication_role = replica;";
        let checks_off = "ALTER TABLE transactions DROP CONSTRAINT transactions_check; \
                          ALTER TABLE entries DROP CONSTRAINT entries_check;";
        let checks_on = "ALTER TABLE transactions ADD CONSTRAINT transactions_check CHECK (refunded <= captured); \
                         ALTER TABLE entries ADD CONSTRAINT entries_check \
                         CHECK (no >= transaction_no * 8 AND no < transaction_no * 8 + 8);";
        database.query(&format!("{checks_off}{save}{rules_off}{damage}")).unwrap();
        let report = verify().await.unwrap();
        let is_named = report.discrepancies.iter().any(|discrepancy| discrepancy.contains(named));
        assert!(
            is_named,
            "{damage}\nshould be told as {named:?}, and is told as {:#?}",
            report.discrepancies
        );
        database.query(&format!("{rules_off}{mend}{checks_on}")).unwrap();
    }
    assert_eq!(verify().await.unwrap().discrepancies, Vec::<String>::new());
    maker.store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_on_postgres_is_in_order_while_it_is_written() {
    let database = postgres::Postgres::shared().database();
    let location = Location::Postgres(farthing::store::PostgresSettings::at(&database.migration_url()));
    let maker = std::sync::Arc::new(Maker::at(&location).await);
    fill(&maker).await;
    let (ann, ben) = (maker.user("cat").await, maker.user("dan").await);
    let writing = tokio::spawn({
        let maker = std::sync::Arc::clone(&maker);
        async move {
            for number in 0.. {
                maker.pay(ann, ben.user, 1, &format!("w{number}")).await;
            }
        }
    });
    let mut last = 0;
    for round in 0..20 {
        let location = location.clone();
        let report = tokio::task::spawn_blocking(move || store::verify(&location).unwrap()).await.unwrap();
        assert_eq!(report.discrepancies, Vec::<String>::new(), "round {round}");
        assert!(report.transactions >= last, "{} after {last}", report.transactions);
        last = report.transactions;
    }
    assert!(!writing.is_finished() && last > 9, "payments went on meanwhile");
    writing.abort();
    maker.store.close().await.unwrap();
}
