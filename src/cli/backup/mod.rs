//! `farthing backup` and `farthing restore`: the embedded ledger and its key in one encrypted file, and back.
//!
//! - `save`: copies the ledger while it is served, verifies the copy, seals it;
//! - `restore`: opens the file, proves what is in it, begins a new epoch, gives it its place;
//! - `seal`: the encrypted stream; `manifest`: what the file says of itself;
//! - `stage`: where a ledger stands meanwhile; `passphrase`: where that comes from.
//!
//! A file or a ledger appears under its name when it is whole, proved and durable, or not at all.

pub mod manifest;
mod passphrase;
pub mod restore;
pub mod save;
pub mod seal;
mod stage;

use std::path::Path;

use crate::cli::open;
use crate::cli::terminal::Failure;
use crate::config::Settings;
use crate::store::{self, Location};

/// Where the embedded ledger is.
///
/// # Errors
/// Exit code 2 if the settings name a database of PostgreSQL, which has tools of its own.
fn data_folder(settings: &Settings) -> Result<&Path, Failure> {
    match settings.database.url {
        None => Ok(&settings.server.data),
        Some(_) => Err(Failure::Usage(
            "backup and restore are for the embedded ledger, and database.url names one on PostgreSQL: use pg_basebackup \
             or pgBackRest, and keep a copy of the key file; docs/backup.md says how"
                .into(),
        )),
    }
}

fn is_there(data: &Path) -> Result<bool, Failure> {
    let exists = open::run_once(store::exists(&Location::Folder(data.to_path_buf())))?;
    exists.map_err(|error| Failure::Database(error.to_string()))
}
