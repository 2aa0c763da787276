//! `farthing restore FILE`: a ledger and its key out of a backup, where there is none yet.
//!
//! Everything happens in a folder beside where the ledger will be: what is in the file is proved and compared with what
//! was saved, and the new epoch begins in the chain. Then the key gets its place, and after it the ledger.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::manifest::{Counts, Manifest};
use super::seal::{SealError, Unsealer};
use super::stage::{self, Stage};
use super::{data_folder, is_there, passphrase};
use crate::auth::keyring::Keyring;
use crate::cli::durable;
use crate::cli::key_file::{self, Found};
use crate::cli::keys::signer;
use crate::cli::lock::FolderLock;
use crate::cli::open::{rules, run_once};
use crate::cli::terminal::{Failure, print};
use crate::clock::Clock;
use crate::config::{Loaded, Settings};
use crate::ledger::{Action, Command, EventDraft, EventKind, Mode, Origin, RequestId, Severity};
use crate::proof::Checkpoint;
use crate::store::checkpoints::{self, CheckpointFile};
use crate::store::{self, Description, Location, OpenError};

/// What is added to the data folder's name, or is its name within that folder.
const STAGE: &str = "restore.tmp";
/// How much is decrypted at a time.
const READ_BYTES: usize = 256 * 1024;

/// Restores the backup to where the settings say that the ledger is.
///
/// # Errors
/// Exit code 1 if the file is no backup, not whole, or not what was saved, 2 if there is a ledger or another key
/// already, 3 if the folder cannot be used.
pub fn run(loaded: &Loaded, file: &Path) -> Result<(), Failure> {
    let settings = &loaded.settings;
    let data = data_folder(settings)?;
    refuse_ledger(data)?;
    let mut backup = Backup::open(file, settings)?;
    let key_path = settings.key_file();
    let has_key = holds(&key_path, &backup.keys)?;

    let exists = data.is_dir();
    // Nobody may make a ledger meanwhile in a folder that is there; one that is not appears at the end.
    let early = if exists { Some(lock(data)?) } else { None };
    let stage = Stage::begin(&if exists { data.join(STAGE) } else { beside(data) })?;
    backup.unseal(&store::file(stage.folder()))?;
    backup.prove(stage.folder())?;
    let clock = Clock::system();
    begin_epoch(&backup, stage.folder(), settings, &clock)?;
    let beginning = sign_beginning(&backup, stage.folder())?;

    let _lock = early.map_or_else(|| lock(data), Ok)?;
    durable::sync_folder_of(data).map_err(|error| stage::cannot(data, &error))?;
    if !has_key {
        key_file::make(&key_path, &backup.keys, &clock)?;
    }
    if let Err(error) = durable::rename(&store::file(stage.folder()), &store::file(data)) {
        if !has_key && !store::file(data).exists() {
            // It is in the backup still, and would be in the way of the next try.
            let _ = std::fs::remove_file(&key_path);
        }
        return Err(stage::cannot(data, &error));
    }
    keep(&beginning, &settings.checkpoint_file())?;
    let Counts { transactions, users, blocks, head, .. } = &backup.manifest.counts;
    print(&format!(
        "restored  {}\nas of     {}, {} mode\nholds     {transactions} transactions, {users} users, {blocks} blocks, \
         as they were saved\nhead      {head}\nepoch     {}, begun in block {}",
        data.display(),
        backup.manifest.saved_at,
        backup.mode.name(),
        backup.next_epoch(),
        blocks.saturating_add(1),
    ))
}

fn refuse_ledger(data: &Path) -> Result<(), Failure> {
    if is_there(data)? {
        return Err(Failure::Usage(format!(
            "there is a ledger in {} already, and nothing is overwritten; name another folder with --data",
            data.display()
        )));
    }
    Ok(())
}

/// Takes the folder's lock, and looks again: only now can nobody make a ledger in it.
fn lock(data: &Path) -> Result<FolderLock, Failure> {
    let lock = FolderLock::acquire(data)?;
    refuse_ledger(data)?;
    Ok(lock)
}

/// Whether the key file is there already; another ledger's is refused.
fn holds(path: &Path, keys: &Keyring) -> Result<bool, Failure> {
    match key_file::find(path)? {
        Found::Nothing => Ok(false),
        Found::Keys(found) if found == *keys => Ok(true),
        Found::Keys(_) | Found::Other => Err(Failure::Usage(format!(
            "the key file {} is there already and holds another key, and nothing is overwritten; move it away, or name \
             another with --key-file",
            path.display()
        ))),
    }
}

/// Beside the folder, so on the same file system.
fn beside(data: &Path) -> PathBuf {
    data.with_added_extension(STAGE)
}

/// A backup that the passphrase opens.
struct Backup {
    path: PathBuf,
    manifest: Manifest,
    mode: Mode,
    keys: Keyring,
    content: Unsealer<BufReader<File>>,
}

impl Backup {
    fn open(path: &Path, settings: &Settings) -> Result<Self, Failure> {
        let unreadable = |error| Failure::Usage(format!("cannot read {}: {error}", path.display()));
        let file = File::open(path).map_err(unreadable)?;
        let passphrase = passphrase::existing(&settings.backup)?;
        let opened = || -> Result<Self, SealError> {
            let mut content = Unsealer::begin(BufReader::new(file), &passphrase)?;
            let manifest = Manifest::read(|buffer| content.read(buffer))?;
            let mode = manifest.mode().ok_or(SealError::NoBackup)?;
            let keys = manifest.keys().ok_or(SealError::NoBackup)?;
            Ok(Self { path: path.to_path_buf(), manifest, mode, keys, content })
        };
        opened().map_err(|error| refused(path, error))
    }

    /// Writes the database to a file that is not there yet, durable.
    fn unseal(&mut self, to: &Path) -> Result<(), Failure> {
        let mut written = || -> Result<(), SealError> {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
            let (mut buffer, mut length) = (vec![0; READ_BYTES], 0_u64);
            loop {
                let read = self.content.read(&mut buffer)?;
                file.write_all(buffer.get(..read).unwrap_or_default())?;
                length = length.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
                if read < buffer.len() {
                    break;
                }
            }
            file.sync_all()?;
            if length == self.manifest.database_bytes { Ok(()) } else { Err(SealError::Altered) }
        };
        written().map_err(|error| match error {
            SealError::Io(error) => Failure::Database(format!("{} cannot be written: {error}", to.display())),
            error => refused(&self.path, error),
        })
    }

    /// Proves the books, and that they are those that were saved.
    fn prove(&self, folder: &Path) -> Result<(), Failure> {
        let unreadable = |error: OpenError| refused(&self.path, error);
        let report = store::verify(&store::Location::Folder(folder.to_owned())).map_err(unreadable)?;
        let found = store::describe(folder).map_err(unreadable)?;
        let key = Some(self.keys.fingerprint());
        // A ledger may not say yet which key is its own; it does from when it is opened next.
        let saved = Description { mode: self.mode, epoch: self.manifest.epoch, key: found.key.and(key) };
        if found != saved || Counts::of(&report) != self.manifest.counts || !report.discrepancies.is_empty() {
            return Err(refused(&self.path, "does not hold what its manifest says that was saved"));
        }
        Ok(())
    }

    fn next_epoch(&self) -> u64 {
        self.manifest.epoch.saturating_add(1)
    }
}

/// Writes the restore into the chain, by the store's own door, and the epoch into the ledger's properties. Who kept a
/// checkpoint of the earlier life finds in the chain why it goes on otherwise from here.
fn begin_epoch(backup: &Backup, folder: &Path, settings: &Settings, clock: &Clock) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::Database(error.to_string());
    let mut settings = settings.clone();
    settings.server.mode = backup.mode;
    let request = RequestId::new(clock.uuid().map_err(|error| failed(&error))?);
    let Counts { blocks, head, .. } = &backup.manifest.counts;
    let event = EventDraft { severity: Severity::Warning, ..EventDraft::new(EventKind::PrivilegeUse, None) }
        .with("action", "restore")
        .with("epoch", backup.next_epoch().to_string())
        .with("saved_at", backup.manifest.saved_at.to_string())
        .with("blocks", blocks.to_string())
        .with("head", head);
    let command =
        Command { origin: Origin { request, ip: None, user_agent: None }, action: Action::Note(vec![event]) };
    let (place, rules) = (Location::Folder(folder.to_path_buf()), rules(&settings)?);
    run_once(async {
        let opened = store::open(&place, backup.keys.fingerprints(), rules, clock.clone(), None).await;
        let store = opened.map_err(|error| failed(&error))?;
        store.execute(command).await.map_err(|error| failed(&error))?;
        store.close().await.map_err(|error| failed(&error))
    })??;
    store::begin_epoch(folder, backup.next_epoch()).map_err(|error| failed(&error))
}

/// Signs where the new epoch begins: only so are checkpoints of the life that was given up not taken for a cut tail.
fn sign_beginning(backup: &Backup, folder: &Path) -> Result<Checkpoint, Failure> {
    let position = checkpoints::position(&Location::Folder(folder.to_owned()))
        .map_err(|error| Failure::Database(error.to_string()))?;
    Ok(Checkpoint::sign(&position, &signer(&backup.keys)?))
}

fn keep(beginning: &Checkpoint, path: &Path) -> Result<(), Failure> {
    CheckpointFile::new(path.to_owned()).append(beginning).map_err(|error| {
        Failure::Database(format!(
            "the ledger is restored, and its first checkpoint cannot be written to {}: {error}",
            path.display()
        ))
    })
}

fn refused(path: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::Refused(format!("{} {why}; nothing was restored", path.display()))
}
