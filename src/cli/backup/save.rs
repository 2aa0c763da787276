//! `farthing backup FILE`: the ledger as it is at one moment, and its key, in one encrypted file.
//!
//! The order: a copy within the data folder, where the ledger is readable anyway (the server's WAL grows only as long
//! as that takes); the proof that the copy is in order; the sealed file beside its final name; the name.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufWriter, Read};
use std::path::Path;

use super::manifest::{Counts, Manifest};
use super::seal::{SealError, Sealer};
use super::stage::{self, Stage};
use super::{data_folder, is_there, passphrase};
use crate::cli::durable::Partial;
use crate::cli::key_file;
use crate::cli::terminal::{Failure, print};
use crate::clock::Clock;
use crate::config::{Loaded, Passphrase};
use crate::store;

/// The folder within the data folder in which the copy stands.
const STAGE: &str = "backup.tmp";
/// What must stay free on the ledger's disk beside the copy: a server that runs out of room can take no payments.
const SPARE_BYTES: u64 = 64 * 1024 * 1024;
/// How much of the copy is read at a time.
const READ_BYTES: usize = 256 * 1024;

/// Saves the ledger that the settings name.
///
/// # Errors
/// Exit code 1 if the books do not balance, 2 if the file is there already or cannot be made, 3 if the ledger cannot be
/// read.
pub fn run(loaded: &Loaded, file: &Path) -> Result<(), Failure> {
    let settings = &loaded.settings;
    let data = data_folder(settings)?;
    if file.symlink_metadata().is_ok() {
        return Err(Failure::Usage(format!("{} is there already; nothing is overwritten", file.display())));
    }
    if !is_there(data)? {
        return Err(Failure::Database(format!("there is no ledger in {}", data.display())));
    }
    let key_path = settings.key_file();
    let key = key_file::read(&key_path)?;
    let passphrase = passphrase::new(&settings.backup)?;
    let clock = Clock::system();
    let cannot_save =
        |error: &dyn Display| Failure::Usage(format!("{} cannot be written: {error}", file.display()));
    let partial = Partial::create(file, &clock).map_err(|error| cannot_save(&error))?;

    let stage = Stage::begin(&data.join(STAGE))?;
    leave_room(data, &stage)?;
    let unreadable = |error: store::OpenError| Failure::Database(error.to_string());
    let saved_at = clock.now();
    store::copy(data, stage.folder()).map_err(unreadable)?;
    let description = store::describe(stage.folder()).map_err(unreadable)?;
    if let Some(made) = description.key.filter(|made| !key.fingerprints().has(*made)) {
        return Err(key_file::other_ledgers(&key_path, made, key.fingerprint()));
    }
    let report = store::verify(&store::Location::Folder(stage.folder().to_owned())).map_err(unreadable)?;
    if !report.discrepancies.is_empty() {
        return Err(Failure::Refused(
            "the books do not balance, and nothing was saved; 'farthing verify' names every discrepancy. To keep the \
             ledger as it is, stop the server and copy its data folder"
                .into(),
        ));
    }
    let copy = store::file(stage.folder());
    let length = copy.metadata().map_err(|error| stage::cannot(data, &error))?.len();
    let manifest = Manifest::new(saved_at, &description, &key, length, Counts::of(&report));
    seal(partial.file(), &manifest, &copy, &passphrase, &clock).map_err(|error| cannot_save(&error))?;
    partial.keep(file).map_err(|error| cannot_save(&error))?;
    let bytes = file.metadata().map_err(|error| cannot_save(&error))?.len();
    let Counts { transactions, users, blocks, head, .. } = &manifest.counts;
    print(&format!(
        "saved  {}\nas of  {saved_at}, {} mode, epoch {}\nholds  {transactions} transactions, {users} users, \
         {blocks} blocks\nhead   {head}\nsize   {bytes} bytes",
        file.display(),
        description.mode.name(),
        description.epoch,
    ))
}

/// Refuses to fill the ledger's disk.
fn leave_room(data: &Path, stage: &Stage) -> Result<(), Failure> {
    let database = store::file(data).metadata().map_err(|error| stage::cannot(data, &error))?.len();
    let (needed, free) = (database.saturating_add(SPARE_BYTES), stage.room_bytes()?);
    if free < needed {
        return Err(Failure::Database(format!(
            "the copy of the ledger that a backup is made of needs {needed} bytes in {}, and {free} are free",
            data.display()
        )));
    }
    Ok(())
}

/// Writes what a backup holds.
fn seal(
    output: &File,
    manifest: &Manifest,
    database: &Path,
    passphrase: &Passphrase,
    clock: &Clock,
) -> Result<(), SealError> {
    let salt = clock.random().map_err(io::Error::other)?;
    let mut sealer = Sealer::begin(BufWriter::new(output), passphrase, &salt)?;
    sealer.write(&manifest.to_bytes()?)?;
    let mut database = File::open(database)?;
    let (mut buffer, mut left) = (vec![0; READ_BYTES], manifest.database_bytes);
    while left > 0 {
        let read = database.read(&mut buffer)?;
        let bytes = buffer.get(..read).filter(|bytes| !bytes.is_empty());
        sealer.write(bytes.ok_or(io::ErrorKind::UnexpectedEof).map_err(io::Error::from)?)?;
        left = left.saturating_sub(u64::try_from(read).unwrap_or(u64::MAX));
    }
    sealer.finish()?;
    Ok(())
}
