//! Any single byte of the books that somebody changes behind the program's back is found by `verify`: in the values of
//! the rows, and in the file itself wherever that changes a row.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what it did not expect")]

#[path = "support/maker.rs"]
mod maker;
#[path = "support/random.rs"]
#[allow(
    dead_code,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "test code, of which other tests use the rest"
)]
mod random;

use std::path::Path;

use farthing::store::{self, Location};
use maker::{Maker, TRIGGERS, fill};
use random::Random;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

/// What the chain holds, and what is folded out of it, each with its key.
const TABLES: [(&str, &[&str]); 6] = [
    ("transactions", &["no"]),
    ("entries", &["no"]),
    ("security_events", &["no"]),
    ("blocks", &["no"]),
    ("accounts", &["no"]),
    ("movements", &["user", "txn"]),
];

/// The ordinary number of edits, or that of a long run.
fn count(ordinary: usize, long: usize) -> usize {
    if std::env::var_os("FARTHING_LONG").is_some_and(|value| value != "0" && !value.is_empty()) {
        long
    } else {
        ordinary
    }
}

async fn ledger() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let maker = Maker::open(folder.path()).await;
    fill(&maker).await;
    maker.store.close().await.unwrap();
    folder
}

fn discrepancies(folder: &Path) -> Result<Vec<String>, String> {
    let report = store::verify(&Location::Folder(folder.into())).map_err(|error| error.to_string())?;
    Ok(report.discrepancies)
}

/// Every row of a table, its columns named.
fn rows(connection: &Connection, table: &str) -> (Vec<String>, Vec<Vec<Value>>) {
    let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut found = statement.query([]).unwrap();
    let mut rows = Vec::new();
    while let Some(row) = found.next().unwrap() {
        rows.push((0..columns.len()).map(|column| row.get(column).unwrap()).collect());
    }
    (columns, rows)
}

/// The value with one bit of it changed; none if it has no byte.
fn changed(value: &Value, random: &mut Random) -> Option<Value> {
    let bit = 1_u8 << random.below(8);
    let mut flip = |bytes: &mut [u8]| {
        let at = random.below(bytes.len());
        bytes[at] ^= bit;
    };
    match value {
        Value::Integer(number) => {
            let mut bytes = number.to_be_bytes();
            flip(&mut bytes);
            Some(Value::Integer(i64::from_be_bytes(bytes)))
        }
        Value::Text(text) if !text.is_empty() => {
            let mut bytes = text.clone().into_bytes();
            flip(&mut bytes);
            Some(Value::Blob(bytes))
        }
        Value::Blob(bytes) if !bytes.is_empty() => {
            let mut bytes = bytes.clone();
            flip(&mut bytes);
            Some(Value::Blob(bytes))
        }
        _ => None,
    }
}

#[tokio::test]
async fn every_changed_byte_of_a_row_is_found() {
    let folder = ledger().await;
    let connection = Connection::open(folder.path().join("farthing.db")).unwrap();
    connection.execute_batch(TRIGGERS).unwrap();
    connection.execute_batch("PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF").unwrap();
    let mut random = Random::new(Random::seed_of_this_run());
    let mut edits = 0;
    while edits < count(300, 10_000) {
        let (table, key) = TABLES[random.below(TABLES.len())];
        let (columns, rows) = rows(&connection, table);
        let row = &rows[random.below(rows.len())];
        let at = random.below(columns.len());
        let Some(value) = changed(&row[at], &mut random) else { continue };
        let column = &columns[at];
        let cast = if matches!(row[at], Value::Text(_)) { "CAST(?1 AS TEXT)" } else { "?1" };
        let place = |name: &&str| columns.iter().position(|column| column == name).unwrap();
        let conditions: Vec<String> =
            (2..).zip(key).map(|(number, name)| format!("{name} = ?{number}")).collect();
        let sql = format!("UPDATE {table} SET {column} = {cast} WHERE {}", conditions.join(" AND "));
        let old: Vec<Value> = key.iter().map(|name| row[place(name)].clone()).collect();
        let new: Vec<Value> = key
            .iter()
            .map(|name| if name == column { value.clone() } else { row[place(name)].clone() })
            .collect();
        let change = [vec![value.clone()], old].concat();
        // A number that another row has already is refused by the table itself.
        if connection.execute(&sql, params_from_iter(change)).is_err() {
            continue;
        }
        edits += 1;
        let found = discrepancies(folder.path());
        let what = format!("{table}.{column} of {row:?} became {value:?}");
        assert!(!matches!(&found, Ok(told) if told.is_empty()), "{what}");
        let back = sql.replace("CAST(?1 AS TEXT)", "?1");
        let restore = [vec![row[at].clone()], new].concat();
        assert_eq!(connection.execute(&back, params_from_iter(restore)), Ok(1), "{what}");
    }
    assert_eq!(discrepancies(folder.path()), Ok(Vec::new()), "all edits were taken back");
}

/// Every row of the books, or why they cannot be read.
fn books(folder: &Path) -> Result<Vec<Vec<Vec<Value>>>, rusqlite::Error> {
    let connection = Connection::open(folder.join("farthing.db"))?;
    let mut books = Vec::new();
    for (table, key) in TABLES {
        let mut statement =
            connection.prepare(&format!("SELECT * FROM {table} ORDER BY {}", key.join(", ")))?;
        let columns = statement.column_count();
        let mut found = statement.query([])?;
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            rows.push((0..columns).map(|column| row.get(column)).collect::<Result<_, _>>()?);
        }
        books.push(rows);
    }
    Ok(books)
}

#[tokio::test]
async fn a_changed_byte_of_the_file_is_found_or_changes_no_row() {
    let whole = ledger().await;
    let content = std::fs::read(whole.path().join("farthing.db")).unwrap();
    let before = books(whole.path()).unwrap();
    let mut random = Random::new(Random::seed_of_this_run());
    let mut found_by_verify = 0;
    let edits = count(300, 10_000);
    for _ in 0..edits {
        let copy = tempfile::tempdir().unwrap();
        let mut altered = content.clone();
        let at = random.below(altered.len());
        altered[at] ^= 1 << random.below(8);
        std::fs::write(copy.path().join("farthing.db"), &altered).unwrap();
        match discrepancies(copy.path()) {
            Ok(told) if told.is_empty() => {
                assert_eq!(books(copy.path()).as_ref(), Ok(&before), "byte {at} changed a row unseen");
            }
            _ => found_by_verify += 1,
        }
    }
    assert!(found_by_verify > 0, "of {edits} changes none was found");
}
