//! `farthing export`: the journal for other tools, on standard output; also while a server runs.

use std::io::{self, BufWriter};

use super::ExportArgs;
use super::terminal::{Failure, tell};
use crate::books::BookError;
use crate::books::export::export;
use crate::store;

/// Writes the ledger that the settings name.
///
/// # Errors
/// Exit code 1 if the ledger is damaged or the output cannot be written, 3 if the ledger cannot be read.
pub fn run(args: &ExportArgs) -> Result<(), Failure> {
    let settings = args.ledger.load(&[])?.settings;
    let location = super::open::location(&settings);
    let mut reader = store::reader(&location).map_err(|error| Failure::Database(error.to_string()))?;
    let mut output = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let written = export(&mut *reader, args.span()?, args.format.into(), &mut output);
    if let Some(totals) = read(written)? {
        tell(&format!("{} rows", totals.rows));
    }
    Ok(())
}

/// What a walk over the journal gave; nothing if whoever reads what it wrote has seen enough.
pub(super) fn read<T>(result: Result<T, BookError>) -> Result<Option<T>, Failure> {
    match result {
        Ok(gave) => Ok(Some(gave)),
        Err(BookError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(None),
        Err(BookError::Ledger(error)) => Err(Failure::Database(error.to_string())),
        Err(error) => Err(Failure::Refused(error.to_string())),
    }
}
