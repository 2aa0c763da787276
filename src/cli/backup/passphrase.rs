//! Where a backup's passphrase comes from: a file, the configuration, or a person at the terminal.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use crate::cli::terminal::Failure;
use crate::config::{Backup, Passphrase};

/// The passphrase for a new backup: a person is asked twice, since a slip of the finger would cost everything.
///
/// # Errors
/// Exit code 2 if there is none, or it is too short.
pub fn new(settings: &Backup) -> Result<Passphrase, Failure> {
    if let Some(given) = given(settings)? {
        return Ok(given);
    }
    let first = ask("Passphrase for the backup (keep it elsewhere; nothing opens the file without it): ")?;
    let passphrase = Passphrase::parse(&first).ok_or_else(too_short)?;
    if ask("The same again: ")? != first {
        return Err(Failure::Usage("the two passphrases differ; nothing was saved".into()));
    }
    Ok(passphrase)
}

/// The passphrase of a backup that there is.
///
/// # Errors
/// Exit code 2 if there is none, or it is too short to be one.
pub fn existing(settings: &Backup) -> Result<Passphrase, Failure> {
    match given(settings)? {
        Some(given) => Ok(given),
        None => Passphrase::parse(&ask("Passphrase of the backup: ")?).ok_or_else(too_short),
    }
}

fn given(settings: &Backup) -> Result<Option<Passphrase>, Failure> {
    match &settings.passphrase_file {
        Some(path) => from_file(path).map(Some),
        None => Ok(settings.passphrase.clone()),
    }
}

fn from_file(path: &Path) -> Result<Passphrase, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::Usage(format!("cannot read the passphrase file {}: {error}", path.display()))
    })?;
    Passphrase::parse(text.lines().next().unwrap_or_default()).ok_or_else(too_short)
}

fn too_short() -> Failure {
    Failure::Usage(format!("the passphrase must have at least {} characters", Passphrase::MIN_LENGTH))
}

/// Asks the person at the terminal, who does not see what they type.
fn ask(question: &str) -> Result<String, Failure> {
    let terminal = io::stdin();
    if !terminal.is_terminal() {
        return Err(Failure::Usage(
            "there is no terminal to ask for the passphrase on; use --passphrase-file or \
             FARTHING_BACKUP_PASSPHRASE"
                .into(),
        ));
    }
    let failed = |error: io::Error| Failure::Usage(format!("cannot ask for the passphrase: {error}"));
    let before = tcgetattr(&terminal).map_err(|error| failed(error.into()))?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    silent.local_modes.insert(LocalModes::ECHONL);
    tcsetattr(&terminal, OptionalActions::Now, &silent).map_err(|error| failed(error.into()))?;
    let mut line = String::new();
    let asked =
        io::stderr().write_all(question.as_bytes()).and_then(|()| terminal.lock().read_line(&mut line));
    tcsetattr(&terminal, OptionalActions::Now, &before).map_err(|error| failed(error.into()))?;
    asked.map_err(failed)?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}
