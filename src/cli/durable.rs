//! Files that have their name once they are whole and durable, and that replace nothing unless they are to.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::clock::Clock;

/// A file for its owner alone, beside its final name and under a temporary one. It goes if it is not kept; only a kill
/// leaves it behind.
#[derive(Debug)]
pub struct Partial {
    path: PathBuf,
    file: File,
}

impl Partial {
    /// Makes the file that is to have that name.
    ///
    /// # Errors
    /// The system's.
    pub fn create(name: &Path, clock: &Clock) -> io::Result<Self> {
        let salt: [u8; 4] = clock.random().map_err(io::Error::other)?;
        let path = name.with_added_extension(format!("{:08x}.partial", u32::from_be_bytes(salt)));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { path, file })
    }

    /// What is written to.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Makes it durable and gives it its name.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if something has the name; the system's.
    pub fn keep(self, name: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        rename(&self.path, name)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Once it has its final name there is nothing to remove.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Makes a small file for its owner alone.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] if something has the name; the system's.
pub fn write_new(name: &Path, content: &[u8], clock: &Clock) -> io::Result<()> {
    let partial = Partial::create(name, clock)?;
    partial.file().write_all(content)?;
    partial.keep(name)
}

/// Replaces a small file, its owner's alone: it holds the old or the new at each moment.
///
/// # Errors
/// The system's.
pub fn replace(name: &Path, content: &[u8], clock: &Clock) -> io::Result<()> {
    let partial = Partial::create(name, clock)?;
    partial.file().write_all(content)?;
    partial.file.sync_all()?;
    std::fs::rename(&partial.path, name)?;
    sync_folder_of(name)
}

/// Gives a file its final name, and makes that durable. Nothing that has the name already is replaced.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] if something has the name; the system's.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some network file systems cannot promise it: there, what was there when we looked is not replaced.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            if to.symlink_metadata().is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            std::fs::rename(from, to)?;
        }
        renamed => renamed?,
    }
    sync_folder_of(to)
}

/// Makes durable which names there are in the folder of a file.
///
/// # Errors
/// The system's.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_file_appears_whole_for_its_owner_alone_and_replaces_nothing() {
        let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::system());
        let (first, link) = (folder.path().join("first.txt"), folder.path().join("link"));
        write_new(&first, b"one", &clock).unwrap();
        assert_eq!(first.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        for name in [&first, &link] {
            let error = write_new(name, b"two", &clock).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        }
        assert_eq!(std::fs::read(&first).unwrap(), b"one");
        drop(Partial::create(&folder.path().join("second"), &clock).unwrap());
        assert_eq!(folder.path().read_dir().unwrap().count(), 2, "nothing else stays");
    }
}
