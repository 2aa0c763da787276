//! A folder in which a ledger stands that is not to be seen yet, or not for long.

use std::io;
use std::path::{Path, PathBuf};

use crate::cli::lock::{FolderLock, LOCK_FILE, LockError};
use crate::cli::terminal::Failure;

/// A folder of this process alone. It goes, with all that is in it, when this is dropped; one that a process left behind
/// which was killed is emptied by the next.
#[derive(Debug)]
pub struct Stage {
    folder: PathBuf,
    _lock: FolderLock,
}

impl Stage {
    /// Makes the folder, or takes over and empties one that was left behind.
    ///
    /// # Errors
    /// Exit code 3 if another process is at it, or it cannot be made.
    pub fn begin(folder: &Path) -> Result<Self, Failure> {
        let lock = FolderLock::acquire(folder).map_err(|error| match error {
            LockError::Held { .. } => Failure::Database(format!(
                "another backup or restore is at work in {}; wait for it",
                folder.display()
            )),
            error @ LockError::Unusable { .. } => error.into(),
        })?;
        empty(folder).map_err(|error| cannot(folder, &error))?;
        Ok(Self { folder: folder.to_path_buf(), _lock: lock })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How much the file system has room for beside what is there, in bytes.
    ///
    /// # Errors
    /// Exit code 3 if it does not tell.
    pub fn room_bytes(&self) -> Result<u64, Failure> {
        let system = rustix::fs::statvfs(&self.folder)
            .map_err(|error| cannot(&self.folder, &io::Error::from(error)))?;
        Ok(system.f_bavail.saturating_mul(system.f_frsize))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // What cannot be removed now is emptied by the next.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn empty(folder: &Path) -> io::Result<()> {
    for entry in folder.read_dir()? {
        let entry = entry?;
        if entry.file_name() != LOCK_FILE {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// That something cannot be done in a folder.
pub fn cannot(folder: &Path, error: &io::Error) -> Failure {
    Failure::Database(format!("the folder {} cannot be used: {error}", folder.display()))
}
