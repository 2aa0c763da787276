//! The ledger's key file: 32 random bytes in hexadecimal a line, the first made together with the ledger.
//!
//! What it must not do: make a key for a ledger that has one already, replace a file that somebody put there, or
//! accept a file that others can read.

use std::fmt::Display;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::durable;
use super::terminal::Failure;
use crate::auth::keyring::{Fingerprints, Keyring};
use crate::auth::ledger_key::KeyFingerprint;
use crate::clock::Clock;

/// Whether the key file is looked for to make a ledger with it, or to open one that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ledger {
    /// There is none yet.
    IsNew,
    /// It is there, and was made with a key.
    IsThere,
}

/// The key file that a ledger is opened with.
#[derive(Debug)]
pub struct KeyFile {
    path: PathBuf,
    keys: Keyring,
    is_new: bool,
}

impl KeyFile {
    /// Finds the key file; makes it, durable, for a new ledger. Refuses one that others can read, that holds something
    /// else, or that is gone from an old ledger.
    ///
    /// # Errors
    /// Exit code 3, with what to do about it.
    pub fn settle(path: &Path, ledger: Ledger, clock: &Clock) -> Result<Self, Failure> {
        let found = |keys, is_new| Self { path: path.to_path_buf(), keys, is_new };
        match (find(path)?, ledger) {
            (Found::Keys(keys), _) => Ok(found(keys, false)),
            (Found::Other, Ledger::IsNew) => {
                Err(unusable(path, "holds no key; no ledger was made with it, so move it away"))
            }
            (Found::Nothing, Ledger::IsNew) => {
                let cannot = |error: &dyn Display| unusable(path, format_args!("cannot be made: {error}"));
                let keys = Keyring::random(clock).map_err(|error| cannot(&error))?;
                match durable::write_new(path, keys.expose().as_bytes(), clock) {
                    Ok(()) => Ok(found(keys, true)),
                    // Another node that shares the folder was faster.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        read(path).map(|keys| found(keys, false))
                    }
                    Err(error) => Err(cannot(&error)),
                }
            }
            (Found::Other | Found::Nothing, Ledger::IsThere) => read(path).map(|keys| found(keys, false)),
        }
    }

    /// By what a ledger knows these keys.
    pub fn fingerprints(&self) -> Fingerprints {
        self.keys.fingerprints()
    }

    /// By what a ledger knows the newest key.
    pub fn fingerprint(&self) -> KeyFingerprint {
        self.keys.fingerprint()
    }

    /// What it holds.
    pub fn keys(&self) -> &Keyring {
        &self.keys
    }

    /// What to say where the ledger was made with another key. A key that was made just now is of no use to anybody:
    /// another node was faster to make the ledger, and its key file is to be copied here.
    pub fn of_another_ledger(&self, made: KeyFingerprint) -> Failure {
        if self.is_new {
            return match std::fs::remove_file(&self.path) {
                Ok(()) => missing(&self.path),
                Err(error) => {
                    unusable(&self.path, format_args!("is of no ledger and cannot be removed: {error}"))
                }
            };
        }
        other_ledgers(&self.path, made, self.fingerprint())
    }
}

/// Reads the key file of a ledger that there is.
///
/// # Errors
/// Exit code 3, with what to do about it.
pub fn read(path: &Path) -> Result<Keyring, Failure> {
    match find(path)? {
        Found::Keys(keys) => Ok(keys),
        Found::Other => Err(unusable(
            path,
            "holds no key; move it away, and put the key file of this ledger in its place",
        )),
        Found::Nothing => Err(missing(path)),
    }
}

/// Copies the key file to where its ledger goes. One that is there already must hold the same key.
///
/// # Errors
/// Exit code 3: the source is missing or holds no key, or another file is in the target's place.
pub fn copy(from: &Path, to: &Path, clock: &Clock) -> Result<(), Failure> {
    let keys = read(from)?;
    match find(to)? {
        Found::Keys(other) if other == keys => Ok(()),
        Found::Keys(_) | Found::Other => Err(unusable(to, "is there already; move it away")),
        Found::Nothing => make(to, &keys, clock),
    }
}

/// Makes the key file of a ledger that is being restored.
///
/// # Errors
/// Exit code 3: there is a file, or none can be made.
pub fn make(path: &Path, keys: &Keyring, clock: &Clock) -> Result<(), Failure> {
    durable::write_new(path, keys.expose().as_bytes(), clock)
        .map_err(|error| unusable(path, format_args!("cannot be made: {error}")))
}

/// Puts more keys into a key file, which holds them or the older ones at each moment.
///
/// # Errors
/// Exit code 3, if the file cannot be written.
pub fn replace(path: &Path, keys: &Keyring, clock: &Clock) -> Result<(), Failure> {
    durable::replace(path, keys.expose().as_bytes(), clock)
        .map_err(|error| unusable(path, format_args!("cannot be written: {error}")))
}

/// What a key file that should hold this ledger's key is instead.
pub fn other_ledgers(path: &Path, made: KeyFingerprint, given: KeyFingerprint) -> Failure {
    unusable(
        path,
        format_args!(
            "is of another ledger: this one was made with the key of fingerprint {made}, and the file's is {given}; \
             put the key file of this ledger in its place, or name it with --key-file"
        ),
    )
}

fn missing(path: &Path) -> Failure {
    unusable(
        path,
        format_args!(
            "is missing, and there is a ledger already: copy the key file of this ledger to {}; a backup and every \
             other node have it",
            path.display()
        ),
    )
}

/// What is at the place of a key file.
pub enum Found {
    /// A key, and those before it.
    Keys(Keyring),
    /// Something else.
    Other,
    /// No file.
    Nothing,
}

/// Looks for a key file.
///
/// # Errors
/// Exit code 3 if it cannot be read, or others can read it.
pub fn find(path: &Path) -> Result<Found, Failure> {
    let text = match read_private(path) {
        Ok(text) => text,
        Err(Unreadable::System(error)) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Found::Nothing);
        }
        Err(error) => return Err(unusable(path, error)),
    };
    let keys = std::str::from_utf8(&text).ok().and_then(Keyring::parse);
    Ok(keys.map_or(Found::Other, Found::Keys))
}

/// Why a file of secrets is not read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The system's reason.
    #[error("cannot be read: {0}")]
    System(#[from] io::Error),
    /// Not for its owner alone.
    #[error("can be read by others; chmod 600 mends that")]
    Public,
}

/// Reads a file of secrets, which must be its owner's alone.
///
/// # Errors
/// [`Unreadable`].
pub fn read_private(path: &Path) -> Result<Vec<u8>, Unreadable> {
    if std::fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
        return Err(Unreadable::Public);
    }
    Ok(std::fs::read(path)?)
}

fn unusable(path: &Path, reason: impl Display) -> Failure {
    Failure::Database(format!("the key file {} {reason}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn settle_in(folder: &Path, ledger: Ledger) -> Result<KeyFile, Failure> {
        KeyFile::settle(&folder.join("farthing.key"), ledger, &Clock::system())
    }

    #[track_caller]
    fn refused(result: Result<KeyFile, Failure>, says: &str) {
        let failure = result.unwrap_err();
        assert!(failure.to_string().contains(says), "no {says:?} in {failure}");
        assert_eq!(failure.code(), 3);
    }

    fn put(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_key_is_made_once_for_its_owner_alone() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let keys = [&first, &second].map(|folder| {
            let made = settle_in(folder.path(), Ledger::IsNew).unwrap();
            let path = folder.path().join("farthing.key");
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(folder.path().read_dir().unwrap().count(), 1, "the key file and nothing else");
            let key = fs::read_to_string(&path).unwrap();
            for ledger in [Ledger::IsNew, Ledger::IsThere] {
                let again = settle_in(folder.path(), ledger).unwrap();
                assert_eq!(again.fingerprint(), made.fingerprint());
            }
            assert_eq!(fs::read_to_string(&path).unwrap(), key, "the key stays");
            key
        });
        assert_ne!(keys[0], keys[1]);
        for key in keys {
            assert!(key.len() == 64 && key.bytes().all(|digit| digit.is_ascii_hexdigit()), "{key}");
        }
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        settle_in(folder.path(), Ledger::IsNew).unwrap();
        let path = folder.path().join("farthing.key");
        for mode in [0o640, 0o604, 0o620, 0o601, 0o644] {
            fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            refused(settle_in(folder.path(), Ledger::IsThere), "can be read by others");
        }
        for mode in [0o600, 0o400] {
            fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            settle_in(folder.path(), Ledger::IsThere).unwrap();
        }
    }

    #[test]
    fn an_old_ledger_gets_no_new_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("farthing.key");
        let says = format!("copy the key file of this ledger to {}", path.display());
        refused(settle_in(folder.path(), Ledger::IsThere), &says);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_key_is_refused_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("farthing.key");
        for text in ["", "short", &"x".repeat(64), &"a".repeat(65)] {
            put(&path, text, 0o600);
            refused(settle_in(folder.path(), Ledger::IsNew), "no ledger was made with it");
            refused(
                settle_in(folder.path(), Ledger::IsThere),
                "put the key file of this ledger in its place",
            );
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn a_key_that_another_ledger_was_made_before_is_removed_and_one_that_was_there_stays() {
        let (folder, other) = (tempfile::tempdir().unwrap(), Keyring::random(&Clock::system()).unwrap());
        let path = folder.path().join("farthing.key");
        let made = settle_in(folder.path(), Ledger::IsNew).unwrap();
        refused(Err(made.of_another_ledger(other.fingerprint())), "copy the key file of this ledger to");
        assert!(!path.exists());
        settle_in(folder.path(), Ledger::IsNew).unwrap();
        let found = settle_in(folder.path(), Ledger::IsNew).unwrap();
        let key = fs::read(&path).unwrap();
        refused(Err(found.of_another_ledger(other.fingerprint())), "is of another ledger");
        assert_eq!(fs::read(&path).unwrap(), key);
    }

    #[test]
    fn a_key_that_cannot_be_read_or_made_is_not_called_missing() {
        let folder = tempfile::tempdir().unwrap();
        put(&folder.path().join("file"), "", 0o600);
        let settle = |path: &str| KeyFile::settle(&folder.path().join(path), Ledger::IsNew, &Clock::system());
        // A file is no folder, which is another error than a name that does not exist.
        refused(settle("file/farthing.key"), "cannot be read: ");
        refused(settle("nowhere/farthing.key"), "cannot be made: ");
    }
}
