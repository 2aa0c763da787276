//! What a command says and how it ends: text to the terminal, and the exit codes that scripts rely on.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::config::ConfigErrors;

/// Why a command failed: the exit code and the sentence for the person at the terminal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Exit code 1: what was asked was looked into, and the answer is no.
    #[error("{0}")]
    Refused(String),
    /// Exit code 2: usage or configuration.
    #[error("{0}")]
    Usage(String),
    /// Exit code 3: the database cannot be used.
    #[error("{0}")]
    Database(String),
}

impl Failure {
    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::Refused(_) => 1,
            Self::Usage(_) => 2,
            Self::Database(_) => 3,
        }
    }
}

impl From<ConfigErrors> for Failure {
    fn from(errors: ConfigErrors) -> Self {
        Self::Usage(errors.to_string())
    }
}

/// Turns a command's result into its exit code, telling the failure.
pub fn finish(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            for line in failure.to_string().lines() {
                tell(&format!("error: {line}"));
            }
            ExitCode::from(failure.code())
        }
    }
}

/// Writes a line to standard output.
///
/// # Errors
/// If it cannot be written. That the reader has gone (`farthing man | head`) is not an error.
pub fn print(line: &str) -> Result<(), Failure> {
    print_bytes(format!("{line}\n").as_bytes())
}

/// Writes bytes to standard output as they are; errors as for [`print()`].
pub fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    match output.write_all(bytes).and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Refused(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes a line to standard error; if nobody can read it, nothing better can be done.
pub fn tell(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
