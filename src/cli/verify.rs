//! `farthing verify`: recomputes every balance from the journal and checks every invariant.
//!
//! Opens the ledger for reading alone, so it works while a server is running.

use super::VerifyArgs;
use super::open;
use super::terminal::Failure;

/// `verify`: exit code 0 and a summary, or 1 and every discrepancy.
pub fn run(args: &VerifyArgs) -> Result<(), Failure> {
    let loaded = args.ledger.load(&[])?;
    open::verify(&loaded.settings, args.json)
}
