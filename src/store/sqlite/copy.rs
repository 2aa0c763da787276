//! A copy of the ledger as it is at one moment, while a server writes; and what a copy that takes its place writes down.
//!
//! The copy is `SQLite`'s own online backup on a read-only connection that holds one snapshot from its first page to
//! its last. Writers do not wait for it. Until it is done the WAL cannot begin anew and grows by what is written
//! meanwhile, so the copy goes to the nearest disk and nothing slower happens under the snapshot.

use std::path::Path;
use std::time::Duration;

use rusqlite::backup::Backup;

use super::{connect, properties};
use crate::store::OpenError;

/// Pages that are copied at a time: 4 MiB.
const PAGES: i32 = 1_024;
/// Between them, the disk is somebody else's.
const PAUSE: Duration = Duration::from_millis(1);

/// Copies the ledger in the one folder into the other, which is empty. The copy is not made durable.
///
/// # Errors
/// [`OpenError::Unusable`] if there is no ledger, or it cannot be read or written.
pub fn copy(from: &Path, to: &Path) -> Result<(), OpenError> {
    let source = connect::reader(from)?;
    let mut target = connect::copy_target(to)?;
    // Without a transaction of its own each step would take a new snapshot, and a commit in between start it all over.
    let snapshot = source.unchecked_transaction()?;
    snapshot.query_row("SELECT count(*) FROM properties", [], |_| Ok(()))?;
    let backup = Backup::new(&snapshot, &mut target)?;
    Ok(backup.run_to_completion(PAGES, PAUSE, None)?)
}

/// Writes down which of its lives the ledger in that folder is in, and leaves everything in its one file, durable.
///
/// # Errors
/// [`OpenError::Unusable`] if it cannot be written.
pub fn begin_epoch(folder: &Path, epoch: u64) -> Result<(), OpenError> {
    let connection = connect::writer(folder)?;
    let epoch =
        i64::try_from(epoch).map_err(|_| OpenError::Unusable("there was an epoch too many".into()))?;
    let sql =
        "INSERT INTO properties (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2";
    connection.execute(sql, (properties::EPOCH, epoch))?;
    let busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy {
        return Err(OpenError::Unusable("somebody else has the ledger open".into()));
    }
    Ok(connection.close().map_err(|(_, error)| error)?)
}
