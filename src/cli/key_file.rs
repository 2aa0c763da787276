//! The ledger's key file: 32 random bytes in hexadecimal, made together with the ledger and never again.
//!
//! What it must not do: make a key for a ledger that has one already, replace a file that somebody put there, or
//! accept a file that others can read.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::terminal::Failure;
use crate::clock::Clock;
use crate::store;

/// Two digits a byte.
const KEY_DIGITS: usize = 64;

/// Makes the key file with a new ledger; refuses one that others can read, that holds something else, or that is gone
/// from an old ledger.
///
/// # Errors
/// Exit code 3, with what to do about it.
pub(super) fn settle(path: &Path, data: &Path, clock: &Clock) -> Result<(), Failure> {
    let unusable = |reason: &dyn std::fmt::Display| {
        Failure::Database(format!("the key file {} {reason}", path.display()))
    };
    match std::fs::metadata(path) {
        Ok(found) if found.permissions().mode() & 0o077 != 0 => {
            Err(unusable(&"can be read by others; chmod 600 mends that"))
        }
        Ok(_) => match std::fs::read(path) {
            Ok(text) if text.len() == KEY_DIGITS && text.iter().all(u8::is_ascii_hexdigit) => Ok(()),
            Ok(_) if store::exists(data) => Err(unusable(&"holds no key; restore the one of this ledger")),
            Ok(_) => Err(unusable(&"holds no key; no ledger was made with it, so move it away")),
            Err(error) => Err(unusable(&format_args!("cannot be read: {error}"))),
        },
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(unusable(&format_args!("cannot be read: {error}")))
        }
        Err(_) if store::exists(data) => {
            Err(unusable(&"is missing; restore the one that was made with this ledger"))
        }
        Err(_) => {
            let key =
                clock.random::<32>().map_err(|error| unusable(&format_args!("cannot be made: {error}")))?;
            make(path, &hexadecimal(&key)).map_err(|error| unusable(&format_args!("cannot be made: {error}")))
        }
    }
}

/// Copies the key file to where its ledger goes. One that is there already must hold the same key.
///
/// # Errors
/// Exit code 3: the source is missing or holds no key, or another key is in the target's place.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    let read = |path: &Path| {
        let text = std::fs::read_to_string(path);
        text.map_err(|error| {
            (error.kind(), format!("the key file {} cannot be read: {error}", path.display()))
        })
    };
    let key = read(from).map_err(|(_, what)| Failure::Database(what))?;
    if key.len() != KEY_DIGITS || !key.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(Failure::Database(format!("the key file {} holds no key", from.display())));
    }
    match read(to) {
        Ok(other) if other == key => Ok(()),
        Ok(_) => Err(Failure::Database(format!(
            "there is another key file already: {}; move it away",
            to.display()
        ))),
        Err((io::ErrorKind::NotFound, _)) => make(to, &key).map_err(|error| {
            Failure::Database(format!("the key file {} cannot be made: {error}", to.display()))
        }),
        Err((_, what)) => Err(Failure::Database(what)),
    }
}

/// Writes a file that is not there yet, and makes its name durable as well: a ledger that outlives its key in a power
/// cut would never open again.
fn make(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A data folder in which a ledger seems to be, as far as the key file is concerned.
    fn with_ledger() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("farthing.db"), "").unwrap();
        assert!(store::exists(folder.path()));
        folder
    }

    fn settle_in(folder: &Path) -> Result<(), Failure> {
        settle(&folder.join("farthing.key"), folder, &Clock::system())
    }

    #[track_caller]
    fn refused(result: Result<(), Failure>, says: &str) {
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
            settle_in(folder.path()).unwrap();
            let path = folder.path().join("farthing.key");
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            let key = fs::read_to_string(&path).unwrap();
            settle_in(folder.path()).unwrap();
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
        settle_in(folder.path()).unwrap();
        let path = folder.path().join("farthing.key");
        for mode in [0o640, 0o604, 0o620, 0o601, 0o644] {
            fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            refused(settle_in(folder.path()), "can be read by others");
        }
        for mode in [0o600, 0o400] {
            fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            settle_in(folder.path()).unwrap();
        }
    }

    #[test]
    fn an_old_ledger_gets_no_new_key() {
        let folder = with_ledger();
        refused(settle_in(folder.path()), "is missing; restore the one");
        assert!(!folder.path().join("farthing.key").exists());
    }

    #[test]
    fn what_is_no_key_is_refused_and_stays() {
        let (new, old) = (tempfile::tempdir().unwrap(), with_ledger());
        for text in ["", "short", &"x".repeat(64), &"a".repeat(65)] {
            for (folder, says) in [(&new, "move it away"), (&old, "restore the one of this ledger")] {
                let path = folder.path().join("farthing.key");
                put(&path, text, 0o600);
                refused(settle_in(folder.path()), says);
                assert_eq!(fs::read_to_string(&path).unwrap(), text);
            }
        }
    }

    #[test]
    fn a_key_that_cannot_be_read_or_made_is_not_called_missing() {
        let folder = tempfile::tempdir().unwrap();
        put(&folder.path().join("file"), "", 0o600);
        // A file is no folder, which is another error than a name that does not exist.
        let within_a_file = folder.path().join("file/farthing.key");
        refused(settle(&within_a_file, folder.path(), &Clock::system()), "cannot be read: ");
        let nowhere = folder.path().join("nowhere/farthing.key");
        refused(settle(&nowhere, folder.path(), &Clock::system()), "cannot be made: ");
    }
}
