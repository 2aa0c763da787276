//! `farthing migrate`: moves a ledger from one place to another, and proves both equal.

use std::path::Path;

use super::lock::FolderLock;
use super::progress::Progress as Line;
use super::terminal::{Failure, print};
use super::{MigrateArgs, key_file, open};
use crate::clock::Clock;
use crate::config::{Override, Settings};
use crate::store::transfer::Progress;
use crate::store::{self, Location, TransferError};

/// Moves the ledger that `--from` names to where `--to` says.
///
/// # Errors
/// Exit code 1 if the source is damaged, was written to, or the target is not equal to it; 2 for places that make no
/// sense; 3 if either cannot be used: served, not empty, unreachable.
pub fn run(args: &MigrateArgs) -> Result<(), Failure> {
    let (from, to) = (settings("--from", &args.from)?, settings("--to", &args.to)?);
    let (source, target) = (open::location(&from), open::location(&to));
    let is_same = |from: &Path, to: &Path| {
        from.canonicalize().ok().is_some_and(|from| to.canonicalize().ok() == Some(from))
    };
    let mut locks = Vec::new();
    if let Location::Folder(folder) = &source {
        let is_there = open::run_once(store::exists(&source))?;
        if !is_there.map_err(|error| Failure::Database(error.to_string()))? {
            return Err(Failure::Database(format!("there is no ledger in {}", folder.display())));
        }
        if matches!(&target, Location::Folder(other) if is_same(folder, other)) {
            return Err(Failure::Usage("--from and --to are the same folder".into()));
        }
        locks.push(FolderLock::acquire(folder)?);
    }
    let key = args.key_file.clone().unwrap_or_else(|| from.key_file());
    if let Location::Folder(folder) = &target {
        locks.push(FolderLock::acquire(folder)?);
        key_file::copy(&key, &to.key_file(), &Clock::system())?;
    }
    let line = Line::new();
    let moved =
        store::migrate(&source, &target, Clock::system(), &mut |progress| line.show(|| describe(progress)));
    drop(line);
    let report = moved.map_err(|error| match error {
        TransferError::Source(_) | TransferError::Target(_) => Failure::Database(error.to_string()),
        TransferError::SourceDamaged(_) | TransferError::SourceMoved | TransferError::Unequal(_) => {
            Failure::Refused(error.to_string())
        }
    })?;
    print(&report.to_string())?;
    print(&match &target {
        Location::Folder(folder) => format!(
            "Moved, key file too, and equal to the source. Serve it with: farthing serve --data {}",
            folder.display()
        ),
        Location::Postgres(_) => format!(
            "Moved, and equal to the source. Each node needs a copy of the key file {}: --key-file, or farthing.key in its \
             data folder.",
            key.display()
        ),
    })?;
    print(
        "The source is as it was. Do not serve it again: what is paid in one place is not known in the other.",
    )
}

/// The settings of a place: a PostgreSQL URL or a folder. Neither environment nor file counts: they name one ledger, and
/// here are two.
fn settings(flag: &'static str, place: &str) -> Result<Settings, Failure> {
    let key = if place.contains("://") { "database.url" } else { "server.data" };
    let given = [Override { key, flag, value: place.to_owned() }];
    Ok(crate::config::load(None, &given, Vec::new())?.settings)
}

fn describe(progress: Progress) -> String {
    match progress {
        Progress::ProvingSource => "proving the source".to_owned(),
        Progress::Copying { done, total } => format!("copying: {done} of {total} rows"),
        Progress::CopyingIdentities => "copying users and sessions".to_owned(),
        Progress::ProvingTarget => "proving the target, and comparing".to_owned(),
    }
}
