//! `farthing keys`: the public keys of a ledger, and a new key after the others.

use std::path::Path;

use clap::{Args, Subcommand};

use super::LedgerArgs;
use super::key_file::{self, Found};
use super::open::{self, run_once};
use super::terminal::{Failure, print, tell};
use crate::auth::keyring::Keyring;
use crate::auth::sign::{PublicKey, Signer};
use crate::clock::Clock;
use crate::ledger::{EventDraft, EventKind, Origin as EventOrigin, Severity};
use crate::store;

/// What `farthing keys` can be told.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a new key, which seals and signs from now on
    #[command(after_help = "\
Stop the server first. Older keys stay in the key file: what they sealed opens, and what they signed can be checked.
Every node of a ledger on PostgreSQL needs the new file. Save a backup afterwards: it holds the keys.")]
    Rotate(KeysRotateArgs),
    /// Print the public keys, with which receipts and checkpoints are checked
    #[command(after_help = "Example:\n  farthing keys export > farthing.pub")]
    Export(KeysExportArgs),
}

/// What `farthing keys rotate` can be told.
#[derive(Debug, Args)]
pub struct KeysRotateArgs {
    #[command(flatten)]
    ledger: LedgerArgs,
}

/// What `farthing keys export` can be told.
#[derive(Debug, Args)]
pub struct KeysExportArgs {
    /// One JSON array instead of lines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    ledger: LedgerArgs,
}

/// Does what it says.
///
/// # Errors
/// Those of [`rotate`] and [`export`].
pub fn run(command: &KeysCommand) -> Result<(), Failure> {
    match command {
        KeysCommand::Rotate(args) => rotate(args),
        KeysCommand::Export(args) => export(args),
    }
}

/// `keys export`: a line for each generation.
///
/// # Errors
/// Exit code 3 if the key file cannot be read.
pub fn export(args: &KeysExportArgs) -> Result<(), Failure> {
    let settings = args.ledger.load(&[])?.settings;
    let keys = signer(&key_file::read(&settings.key_file())?)?;
    if args.json {
        let listed = keys.all().iter().map(
            |(generation, key)| serde_json::json!({"generation": generation, "public_key": key.to_string()}),
        );
        return print(&serde_json::Value::Array(listed.collect()).to_string());
    }
    for (generation, key) in keys.all() {
        print(&format!("{generation} {key}"))?;
    }
    Ok(())
}

/// `keys rotate`: a new key, which seals and signs from now on; the older ones stay in the file.
///
/// # Errors
/// Exit code 3 if a server has the ledger open, or key file or database cannot be used.
pub fn rotate(args: &KeysRotateArgs) -> Result<(), Failure> {
    let loaded = args.ledger.load(&[])?;
    let settings = &loaded.settings;
    let clock = Clock::system();
    let lock = open::lock(settings)?;
    let there = run_once(store::exists(&open::location(settings)))?;
    if !there.map_err(|error| Failure::Database(error.to_string()))? {
        return Err(Failure::Database("there is no ledger, and so no key to rotate".into()));
    }
    let path = settings.key_file();
    let old = key_file::read(&path)?;
    // A file of another ledger must not be touched, and a ledger that cannot be opened keeps its keys.
    open::ledger(&loaded, None)?.close();
    let new = old.rotated(&clock).map_err(|error| Failure::Database(error.to_string()))?;
    // From here on the file opens the ledger whether or not the ledger has followed.
    key_file::replace(&path, &new, &clock)?;
    let ledger = open::ledger(&loaded, lock)?;
    let event = EventDraft { severity: Severity::High, ..EventDraft::new(EventKind::PrivilegeUse, None) }
        .with("action", "keys_rotate")
        .with("generation", new.newest().to_string());
    let noted = ledger.run(async {
        let request = ledger.teller().request_id().map_err(|error| Failure::Database(error.to_string()))?;
        let origin = EventOrigin { request, ip: None, user_agent: None };
        let noted = ledger.teller().note(event, origin).await;
        noted.map_err(|error| Failure::Database(error.to_string()))
    });
    ledger.close();
    noted?;
    print(&format!(
        "generation   {}\nfingerprint  {}\npublic key   {}",
        new.newest(),
        new.fingerprint(),
        signer(&new)?.public()
    ))?;
    if settings.database.url.is_some() {
        tell(&format!(
            "Copy {} to every other node and restart it: without this key it cannot open what is sealed from now on.",
            path.display()
        ));
    }
    Ok(())
}

/// The public keys that somebody gives: each as it is, or a file of `keys export`.
///
/// # Errors
/// Exit code 2 if one is neither.
pub fn public_keys(given: &[String]) -> Result<Vec<PublicKey>, Failure> {
    let mut keys = Vec::new();
    for text in given {
        if let Some(key) = PublicKey::parse(text) {
            keys.push(key);
            continue;
        }
        let what = "--key takes a public key (ed25519:…) or a file that 'farthing keys export' wrote";
        let file = std::fs::read_to_string(text)
            .map_err(|error| Failure::Usage(format!("{what}; {text} cannot be read as one: {error}")))?;
        let found = file.split_whitespace().filter(|word| word.contains(':'));
        let found: Option<Vec<_>> = found.map(PublicKey::parse).collect();
        match found {
            Some(found) if !found.is_empty() => keys.extend(found),
            _ => return Err(Failure::Usage(format!("{what}; {text} holds none"))),
        }
    }
    Ok(keys)
}

/// The public keys of the key file there; none if there is no such file.
///
/// # Errors
/// Exit code 3 if it cannot be read.
pub fn own_public_keys(path: &Path) -> Result<Vec<PublicKey>, Failure> {
    match key_file::find(path)? {
        Found::Keys(keys) => Ok(signer(&keys)?.all().iter().map(|(_, key)| *key).collect()),
        Found::Other | Found::Nothing => Ok(Vec::new()),
    }
}

/// What signs with these keys.
///
/// # Errors
/// None that a key file can cause.
pub fn signer(keys: &Keyring) -> Result<Signer, Failure> {
    Signer::new(keys).map_err(|error| Failure::Database(error.to_string()))
}
