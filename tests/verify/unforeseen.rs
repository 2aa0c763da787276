//! Changes that nobody thought of: any value of any row of the journal, and any byte of the file.

use std::fs;
use std::path::{Path, PathBuf};

use farthing::store::{self, Location};
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::damage::without_triggers;
use crate::maker::{Maker, fill};
use crate::random::Random;

/// The tables that the chain, or what is computed from it, vouches for.
const JOURNAL: [&str; 4] = ["transactions", "entries", "security_events", "blocks"];
/// What was folded out of it; of the keys each pair is compared, and a filter may hold more than it must.
const FOLDED: [&str; 4] = ["accounts", "movements", "event_lists", "key_runs"];

fn count(ordinary: u32, long: u32) -> u32 {
    if std::env::var_os("FARTHING_LONG").is_some() { long } else { ordinary }
}

/// A ledger whose blocks have several rows each, closed and in one file.
async fn ledger(folder: &Path) -> PathBuf {
    let maker = std::sync::Arc::new(Maker::open(folder).await);
    fill(&maker).await;
    let (cat, dan) = (maker.user("cat").await, maker.user("dan").await);
    let payments: Vec<_> = (0..40)
        .map(|number| {
            let maker = std::sync::Arc::clone(&maker);
            tokio::spawn(async move { maker.pay(cat, dan.user, 1 + number, &format!("many{number}")).await })
        })
        .collect();
    for payment in payments {
        payment.await.unwrap();
    }
    maker.store.close().await.unwrap();
    let file = folder.join("farthing.db");
    let connection = Connection::open(&file).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    file
}

fn columns(connection: &Connection, table: &str) -> Vec<String> {
    let mut statement =
        connection.prepare(&format!("SELECT name FROM pragma_table_info('{table}')")).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Another value, as near to that one as it can be.
fn altered(value: &Value, random: &mut Random) -> Value {
    match value {
        Value::Null => Value::Text("x".into()),
        Value::Integer(number) => Value::Integer(number ^ (1 << random.below(40))),
        Value::Real(number) => Value::Real(-number),
        Value::Text(text) if text.is_empty() || random.one_in(4) => Value::Text(format!("{text} ")),
        Value::Text(text) if random.one_in(8) => Value::Text(text.to_uppercase()),
        Value::Text(text) => {
            let at = random.below(text.chars().count());
            Value::Text(text.chars().enumerate().map(|(n, c)| if n == at { 'ø' } else { c }).collect())
        }
        Value::Blob(bytes) => {
            let mut bytes = bytes.clone();
            if let Some(at) = (!bytes.is_empty()).then(|| random.below(bytes.len())) {
                bytes[at] ^= 1 << random.below(8);
            }
            Value::Blob(bytes)
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_change_of_any_value_is_found_and_its_row_named() {
    let mut random = Random::new(Random::seed_of_this_run());
    let folder = tempfile::tempdir().unwrap();
    let connection = Connection::open(ledger(folder.path()).await).unwrap();
    let several: i64 =
        connection.query_row("SELECT max(length(marks)) / 4 FROM blocks", [], |row| row.get(0)).unwrap();
    assert!(several > 4, "no block has several rows: {several}");
    let location = Location::Folder(folder.path().into());
    let (mut found, mut refused) = (0, 0);
    for _ in 0..count(150, 10_000) {
        let table = JOURNAL[random.below(JOURNAL.len())];
        let columns = columns(&connection, table);
        let column = &columns[1 + random.below(columns.len() - 1)];
        let rows: i64 =
            connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
        let skip = random.below(usize::try_from(rows).unwrap());
        let (no, old): (i64, Value) = connection
            .query_row(&format!("SELECT no, {column} FROM {table} LIMIT 1 OFFSET {skip}"), [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap();
        let new = altered(&old, &mut random);
        let change = format!("UPDATE {table} SET {column} = ?1 WHERE no = ?2");
        let set = |value: &Value| {
            without_triggers(&connection, || connection.execute(&change, rusqlite::params![value, no]))
        };
        if new == old || set(&new).is_err() {
            // What the table itself refuses.
            refused += 1;
            continue;
        }
        let report = store::verify(&location);
        set(&old).unwrap();
        let what = format!("{table} row {no}: {column} from {old:?} to {new:?}");
        let told = report.map_or_else(|error| vec![error.to_string()], |report| report.discrepancies);
        let owner = format!("transactions row {}", no / 8);
        let names = |told: &String| {
            told.contains(&format!("{table} row {no}"))
                || (table == "entries" && told.contains(&owner))
                // The numbers of a block say which rows it has, and those are told as missing or not written.
                || table == "blocks"
        };
        assert!(told.iter().any(names), "{what}: {told:#?}");
        found += 1;
    }
    let report = store::verify(&location).unwrap();
    assert_eq!(report.discrepancies, Vec::<String>::new(), "each change was taken back");
    println!("{found} changes found, {refused} refused by the tables themselves");
    assert!(found > 50);
}

/// Everything in these tables, as text.
fn content(file: &Path) -> Result<String, rusqlite::Error> {
    let connection = Connection::open(file)?;
    let mut content = String::new();
    for table in JOURNAL.into_iter().chain(FOLDED) {
        let mut statement = connection.prepare(&format!("SELECT * FROM {table} ORDER BY 1, 2"))?;
        let width = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            for column in 0..width {
                content += &format!("{:?}|", row.get::<_, Value>(column)?);
            }
            content.push('\n');
        }
    }
    Ok(content)
}

#[tokio::test(flavor = "multi_thread")]
async fn any_byte_of_the_file_that_is_flipped_is_found_or_says_nothing() {
    let mut random = Random::new(Random::seed_of_this_run());
    let folder = tempfile::tempdir().unwrap();
    let file = ledger(folder.path()).await;
    let (whole, expected) = (fs::read(&file).unwrap(), content(&file).unwrap());
    let (mut found, mut harmless) = (0, 0);
    for _ in 0..count(150, 10_000) {
        let copy = tempfile::tempdir().unwrap();
        let damaged = copy.path().join("farthing.db");
        let (at, bit) = (random.below(whole.len()), random.below(8));
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << bit;
        fs::write(&damaged, &bytes).unwrap();
        match store::verify(&Location::Folder(copy.path().into())) {
            Ok(report) if report.discrepancies.is_empty() => {
                // Unused room, or a table that is not of the journal (who may log in is not in the chain).
                let found = content(&damaged).unwrap_or_else(|error| panic!("byte {at}, bit {bit}: {error}"));
                let differs = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
                assert_eq!(differs, None, "byte {at}, bit {bit}");
                assert_eq!(found.len(), expected.len(), "byte {at}, bit {bit}");
                harmless += 1;
            }
            _ => found += 1,
        }
    }
    println!("{found} found, {harmless} without effect");
    assert!(found > 10);
}

/// `SQLite` passes over a broken constraint while it only reads; the server could not write such a file.
#[tokio::test(flavor = "multi_thread")]
async fn a_constraint_that_was_bent_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = ledger(folder.path()).await;
    let mut bytes = fs::read(&file).unwrap();
    let constraint = b"CHECK ((ended_at IS NULL)";
    // Pages that were moved have left it behind elsewhere, too.
    for at in 0..bytes.len() {
        if bytes[at..].starts_with(constraint) {
            bytes[at + 9] = b'x';
        }
    }
    fs::write(&file, &bytes).unwrap();
    let report = store::verify(&Location::Folder(folder.path().into())).unwrap();
    assert_eq!(report.discrepancies, ["sqlite_schema: sessions is not as it was made"]);
}
