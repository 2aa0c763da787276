//! The lock on the data folder: one process writes, all others are told who it is.
//!
//! The lock is the kernel's (`flock`) on a file within the folder, so that it ends with its process however that dies.
//! The file stays: removing it would let two processes hold a lock each, one of them on a file without a name.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::terminal::Failure;

const LOCK_FILE: &str = "farthing.lock";

/// The data folder, held by this process until this is dropped.
#[derive(Debug)]
pub struct FolderLock {
    /// The lock lives as long as the open file.
    _file: File,
    open_to_others: bool,
}

impl FolderLock {
    /// Makes the folder if it is missing, for its owner alone, and takes its lock.
    ///
    /// # Errors
    /// If another process holds it, or the folder cannot be used.
    pub fn acquire(folder: &Path) -> Result<Self, LockError> {
        let unusable = |source| LockError::Unusable { folder: folder.to_path_buf(), source };
        let open_to_others = make_folder(folder)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(folder.join(LOCK_FILE))
            .map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held {
                    folder: folder.to_path_buf(),
                    process: read_process(&mut file),
                });
            }
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        // The number is only for people; the lock is what counts.
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(unusable)?;
        Ok(Self { _file: file, open_to_others })
    }

    /// Whether other users of the machine may enter the folder, which an operator should know.
    pub fn open_to_others(&self) -> bool {
        self.open_to_others
    }
}

/// Makes the folder if it is missing, for its owner alone; says whether others may enter it.
///
/// # Errors
/// If the folder cannot be used.
pub fn make_folder(folder: &Path) -> Result<bool, LockError> {
    let unusable = |source| LockError::Unusable { folder: folder.to_path_buf(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unusable)?;
    Ok(folder.metadata().map_err(unusable)?.mode() & 0o077 != 0)
}

/// Why the folder is not this process's.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("the data folder {} is in use by {}", folder.display(), holder(*process))]
    Held {
        /// The folder.
        folder: PathBuf,
        /// The other process's number, if it could be read.
        process: Option<u32>,
    },
    /// The folder or its lock file cannot be made or opened.
    #[error("the data folder {} cannot be used: {source}", folder.display())]
    Unusable {
        /// The folder.
        folder: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Held { .. } => {
                Self::Database(format!("{error}; stop it, or choose another folder with --data"))
            }
            LockError::Unusable { .. } => Self::Database(error.to_string()),
        }
    }
}

fn holder(process: Option<u32>) -> String {
    process.map_or_else(|| "another process".to_owned(), |id| format!("process {id}"))
}

fn read_process(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_made_for_its_owner_alone_and_held_by_one() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("deep/data");
        let lock = FolderLock::acquire(&folder).unwrap();
        assert_eq!(folder.metadata().unwrap().mode() & 0o777, 0o700);
        assert_eq!(folder.join(LOCK_FILE).metadata().unwrap().mode() & 0o777, 0o600);
        assert!(!lock.open_to_others());

        let error = FolderLock::acquire(&folder).unwrap_err();
        let message =
            format!("the data folder {} is in use by process {}", folder.display(), std::process::id());
        assert_eq!(error.to_string(), message);
        assert_eq!(Failure::from(error).code(), 3);

        drop(lock);
        assert!(FolderLock::acquire(&folder).is_ok(), "the lock ends with its holder");
    }

    #[test]
    fn a_folder_that_others_may_enter_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), permissions).unwrap();
        assert!(FolderLock::acquire(folder.path()).unwrap().open_to_others());
    }

    #[test]
    fn a_file_in_the_folders_place_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = FolderLock::acquire(file.path()).unwrap_err();
        assert!(matches!(error, LockError::Unusable { .. }), "{error}");
    }
}
