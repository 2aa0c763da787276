//! `farthing verify`: proves the books, or says what is wrong with them.

use super::VerifyArgs;
use super::keys::{own_public_keys, public_keys};
use super::terminal::{Failure, print};
use crate::config::Settings;
use crate::store::checkpoints::{self, CheckpointFile, Line};
use crate::store::{OpenError, VerifyReport};

/// Verifies the ledger that the settings name.
///
/// # Errors
/// Exit code 1 with every discrepancy, 2 if checkpoints or keys cannot be read, 3 if the ledger cannot be.
pub fn run(args: &VerifyArgs) -> Result<(), Failure> {
    let settings = args.ledger.load(&[])?.settings;
    let report = report(args, &settings)?;
    if args.json {
        let json = serde_json::to_string(&report).map_err(|error| Failure::Database(error.to_string()))?;
        print(&json)?;
    } else {
        print(&report.to_string())?;
    }
    match report.discrepancies.len() {
        0 => Ok(()),
        1 => Err(Failure::Refused("the books do not balance: 1 discrepancy".into())),
        many => Err(Failure::Refused(format!("the books do not balance: {many} discrepancies"))),
    }
}

fn report(args: &VerifyArgs, settings: &Settings) -> Result<VerifyReport, Failure> {
    let unreadable = |error: OpenError| Failure::Database(error.to_string());
    // What is read before the ledger is signed for what the ledger has by then.
    let lines = lines(args, settings)?;
    let mut keys = public_keys(&args.key)?;
    if keys.is_empty() && !lines.is_empty() {
        keys = own_public_keys(&settings.key_file())?;
        if keys.is_empty() {
            return Err(Failure::Usage(format!(
                "there are signed checkpoints, and no key file {} to check them with: name the public key with --key",
                settings.key_file().display()
            )));
        }
    }
    checkpoints::verify(&super::open::location(settings), lines, &keys).map_err(unreadable)
}

fn lines(args: &VerifyArgs, settings: &Settings) -> Result<Vec<Line>, Failure> {
    let path = args.checkpoints.clone().unwrap_or_else(|| settings.checkpoint_file());
    let unreadable =
        |error| Failure::Usage(format!("cannot read the checkpoints {}: {error}", path.display()));
    if args.checkpoints.is_some() {
        path.metadata().map_err(unreadable)?;
    }
    CheckpointFile::new(path.clone()).read().map_err(unreadable)
}
