//! `farthing verify`: proves the books, or says what is wrong with them.

use super::VerifyArgs;
use super::terminal::{Failure, print};
use crate::store;

/// Verifies the ledger that the settings name.
///
/// # Errors
/// Exit code 1 with every discrepancy, 3 if the ledger cannot be read.
pub fn run(args: &VerifyArgs) -> Result<(), Failure> {
    let settings = args.ledger.load(&[])?.settings;
    let report = store::verify(&super::open::location(&settings))
        .map_err(|error| Failure::Database(error.to_string()))?;
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
