//! Opening the file: connections with the settings that durability needs, read back and not assumed, and migrations.
//!
//! One connection writes, one checkpoints beside it, and all others are read-only. `SQLite` before 3.51.3 can corrupt a WAL
//! that two connections checkpoint, so an older library is refused.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::statements;
use crate::store::OpenError;

/// The database file within the data folder.
pub(super) const FILE: &str = "farthing.db";

/// The log of that folder's ledger: what was written and is not in the file yet.
pub(super) fn log(folder: &Path) -> PathBuf {
    folder.join(format!("{FILE}-wal"))
}

const MIGRATIONS: &[&str] = &[
    concat!(include_str!("migrations/0001_heart.sql"), "\n"),
    include_str!("migrations/0002_records.sql"),
    include_str!("migrations/0003_marks.sql"),
    include_str!("migrations/0004_life_of_a_payment.sql"),
    include_str!("migrations/0005_identity.sql"),
    include_str!("migrations/0006_new_address.sql"),
    include_str!("migrations/0007_lists_of_owners.sql"),
    include_str!("migrations/0008_record_lists.sql"),
    include_str!("migrations/0009_event_lists.sql"),
    include_str!("migrations/0010_notices.sql"),
];
const OLDEST_LIBRARY: i32 = 3_051_003;
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens the file for writing, makes it where there is none, and brings its schema up to date.
pub(super) fn writer(folder: &Path) -> Result<Connection, OpenError> {
    if rusqlite::version_number() < OLDEST_LIBRARY {
        return Err(unusable("the SQLite library is older than 3.51.3, which can corrupt the database"));
    }
    let path = folder.join(FILE);
    let mut connection = open_writable(&path)?;
    let journal: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA cache_size = -32000;")?;
    let synchronous: i64 = connection.query_row("PRAGMA synchronous", [], |row| row.get(0))?;
    if journal != "wal" || synchronous != 2 {
        return Err(unusable("the database does not take journal_mode = WAL with synchronous = FULL"));
    }
    migrate(&mut connection)?;
    statements::prepare_all(&connection, statements::WRITER)?;
    Ok(connection)
}

/// An empty ledger that is in memory alone: how a file is made.
pub(super) fn in_memory() -> Result<Connection, OpenError> {
    let mut connection = Connection::open_in_memory()?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// Opens an empty file for a copy to be written into. It is thrown away if anything goes wrong, so it needs no journal.
pub(super) fn copy_target(folder: &Path) -> Result<Connection, OpenError> {
    let connection = open_writable(&folder.join(FILE))?;
    connection.query_row("PRAGMA journal_mode = OFF", [], |_| Ok(()))?;
    connection.execute_batch("PRAGMA synchronous = OFF;")?;
    Ok(connection)
}

/// Opens the file beside its writer, to bring into it what the log holds. Another file and log may take their places before
/// this is closed: what belongs to them is not touched then.
pub(super) fn beside(folder: &Path) -> Result<Connection, OpenError> {
    let connection = open(&folder.join(FILE), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(connection)
}

/// Opens the file read-only.
pub(super) fn reader(folder: &Path) -> Result<Connection, OpenError> {
    let connection = open(&folder.join(FILE), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -16000;")?;
    let version = schema_version(&connection)?;
    if version != known_version() {
        return Err(unusable(format!("the database has schema {version}, this program {}", known_version())));
    }
    statements::prepare_all(&connection, statements::READER)?;
    Ok(connection)
}

fn open_writable(path: &Path) -> Result<Connection, OpenError> {
    // SQLite would make the file readable for others; its WAL takes over the mode of the file.
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| unusable(format!("cannot open {}: {error}", path.display())))?;
    open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
}

fn open(path: &Path, access: OpenFlags) -> Result<Connection, OpenError> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Before any setting: those read the schema too, and pass over what is wrong with it.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    // A plan is for whatever values are bound. Without this, SQLite prepares statements anew for new values.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.execute_batch(
        "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0;",
    )?;
    Ok(connection)
}

fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = schema_version(&transaction)?;
    let done = usize::try_from(version).unwrap_or(usize::MAX);
    if done > MIGRATIONS.len() {
        return Err(unusable(format!(
            "the database has schema {version}, and this program knows only up to {}: use a newer one",
            known_version()
        )));
    }
    for migration in MIGRATIONS.iter().skip(done) {
        transaction.execute_batch(migration)?;
    }
    if done == 0 {
        transaction.execute_batch(super::key_index::SCHEMA)?;
    }
    transaction.pragma_update(None, "user_version", known_version())?;
    Ok(transaction.commit()?)
}

fn known_version() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

fn schema_version(connection: &Connection) -> Result<i64, OpenError> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

fn unusable(why: impl Into<String>) -> OpenError {
    OpenError::Unusable(why.into())
}
