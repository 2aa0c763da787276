//! What a backup says of itself before the database comes: enough to prove that what was restored is what was saved.

use serde::{Deserialize, Serialize};

use super::seal::SealError;
use crate::auth::keyring::Keyring;
use crate::ledger::{Mode, Timestamp};
use crate::store::{Description, VerifyReport};

/// Longer ones are not read.
const LONGEST_BYTES: u32 = 64 * 1024;

/// The manifest: in the file it is its length, in four bytes, and one JSON object. It is encrypted as all the rest.
#[derive(Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the program that saved it.
    pub version: String,
    /// When it was saved.
    pub saved_at: Timestamp,
    /// The name of the ledger's mode.
    mode: String,
    /// Which of its lives the ledger was in.
    pub epoch: u64,
    /// The key file's content.
    key: String,
    /// The length of the database that follows.
    pub database_bytes: u64,
    /// What the ledger held.
    pub counts: Counts,
}

/// How much there is of everything, and where the chain ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Transactions of the journal.
    pub transactions: u64,
    entries: u64,
    accounts: u64,
    /// Users.
    pub users: u64,
    events: u64,
    /// Blocks of the hash chain.
    pub blocks: u64,
    /// The hash of the last one, in hexadecimal.
    pub head: String,
}

impl Counts {
    /// What was counted when everything was verified.
    pub fn of(report: &VerifyReport) -> Self {
        Self {
            transactions: report.transactions,
            entries: report.entries,
            accounts: report.accounts,
            users: report.users,
            events: report.events,
            blocks: report.blocks,
            head: report.head.clone(),
        }
    }
}

impl Manifest {
    /// The manifest of a ledger that was looked at.
    pub fn new(
        saved_at: Timestamp,
        description: &Description,
        keys: &Keyring,
        database_bytes: u64,
        counts: Counts,
    ) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            saved_at,
            mode: description.mode.name().to_owned(),
            epoch: description.epoch,
            key: keys.expose(),
            database_bytes,
            counts,
        }
    }

    /// The ledger's mode; none if this version knows none of that name.
    pub fn mode(&self) -> Option<Mode> {
        Mode::from_name(&self.mode)
    }

    /// The ledger's keys; none if they are not readable.
    pub fn keys(&self) -> Option<Keyring> {
        Keyring::parse(&self.key)
    }

    /// The bytes in the file.
    ///
    /// # Errors
    /// None that this type can cause; the encoder's are passed on.
    pub fn to_bytes(&self) -> Result<Vec<u8>, SealError> {
        let json = serde_json::to_vec(self).map_err(std::io::Error::from)?;
        let length = u32::try_from(json.len()).map_err(std::io::Error::other)?;
        Ok([&length.to_be_bytes()[..], &json].concat())
    }

    /// Reads it through a function that fills a buffer as far as there is anything.
    ///
    /// # Errors
    /// What the function says; [`SealError::NoBackup`] if another program wrote it.
    pub fn read(mut read: impl FnMut(&mut [u8]) -> Result<usize, SealError>) -> Result<Self, SealError> {
        let mut length = [0; 4];
        let is_whole = read(&mut length)? == length.len();
        let length = u32::from_be_bytes(length);
        if !is_whole || length > LONGEST_BYTES {
            return Err(SealError::NoBackup);
        }
        let mut json = vec![0; usize::try_from(length).map_err(|_| SealError::NoBackup)?];
        if read(&mut json)? != json.len() {
            return Err(SealError::NoBackup);
        }
        serde_json::from_slice(&json).map_err(|_| SealError::NoBackup)
    }
}
