//! The ledger's proofs: the tree follows the journal, checkpoints are signed and written outside of the database, and
//! receipts are given.
//!
//! Nothing of this stands in the way of a payment: the journal's rows are read behind the commits, by a reader. Each
//! node keeps a file of its own; what one signs holds for all, as they share journal and key. Before anything is
//! signed, what was signed last must be found in the ledger: a ledger whose tail was cut is not opened. Where a reset puts
//! another sandbox in the place of this one, on whichever node and while this one runs or not, the proofs begin anew and
//! what was signed is moved aside.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::TellerError;
use crate::auth::sign::{PublicKey, Signer};
use crate::ledger::{Mode, PaymentId, Timestamp, Transaction};
use crate::proof::receipt::Row;
use crate::proof::tree::{MissingLeaves, TILE, Tiles};
use crate::proof::{Checkpoint, Position, Receipt, Statement, Tree};
use crate::store::checkpoints::{CheckpointFile, TreeFile, kept_tree, number, position_at};
use crate::store::journal::Head;
use crate::store::{JournalQuery, LedgerName, Store, StoreError};

/// Rows of the journal that are read and hashed at a time: whoever is to be answered by the same thread waits for it.
const PIECE: u64 = 256;
/// Rows that the last checkpoint, at a stop, may lag behind: a stop must not take long.
const LAG_AT_STOP: u64 = 50_000;

/// Where proofs are kept, and what signs them.
#[derive(Debug)]
pub struct ProofSettings {
    /// The file of checkpoints.
    pub checkpoints: PathBuf,
    /// The file of the tree's hashes.
    pub tree: PathBuf,
    /// What signs.
    pub signer: Signer,
    /// Play money may begin anew.
    pub mode: Mode,
}

/// Why the proofs of a ledger cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ProofFault {
    /// The ledger is not the one that was signed.
    #[error("{0}")]
    Contradiction(String),
    /// The store could not say.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// A file could not be read or written.
    #[error("the file of checkpoints {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Our own bug: a tree without the leaves that a proof takes.
    #[error("the tree: {0}")]
    Tree(#[from] MissingLeaves),
}

/// What is known of the proofs, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProofStatus {
    /// Transactions that the last written checkpoint signs.
    pub signed: u64,
    /// When it was written; none if none was since the start.
    pub written_at: Option<Timestamp>,
    /// Checkpoints that could not be written since the start.
    pub failures: u64,
}

/// The proofs of one ledger.
pub struct Proofs {
    store: Arc<dyn Store>,
    signer: Signer,
    mode: Mode,
    file: CheckpointFile,
    tree_file: TreeFile,
    state: Mutex<State>,
    status: std::sync::Mutex<ProofStatus>,
}

struct State {
    name: LedgerName,
    /// None until it is first asked for: making it can take a while, and a server need not wait for it.
    tree: Option<Tree>,
    /// How many of its tiles are in the file.
    kept_tiles: u64,
    /// The last one in the file.
    written: Option<Checkpoint>,
}

impl Proofs {
    /// Finds in the ledger what its last checkpoint signs.
    ///
    /// # Errors
    /// [`ProofFault::Contradiction`] if the ledger does not hold it.
    pub async fn open(store: Arc<dyn Store>, settings: ProofSettings) -> Result<Self, ProofFault> {
        let ProofSettings { checkpoints, tree, signer, mode } = settings;
        let file = CheckpointFile::new(checkpoints);
        let name = store.name().await?;
        let mut written = last_signed(&file, &signer)?;
        if let Some(other) = written.as_ref().filter(|last| mode == Mode::Sandbox && !last.is_of(name.ledger))
        {
            move_aside(&file, other.ledger())?;
            tracing::warn!(
                "the checkpoints of another sandbox, {}, were moved aside: this one has begun anew",
                other.ledger()
            );
            written = last_signed(&file, &signer)?;
        }
        if let Some(last) = &written {
            let head = store.head(Some(last.blocks())).await?;
            if let Err(why) = compare(last, name, head.as_ref()) {
                let path = file.path().display();
                return Err(ProofFault::Contradiction(format!(
                    "{why}. Restore a backup, or the database's own; if you know why and want to go on from here, move \
                     {path} away, and keep it"
                )));
            }
        }
        let status = ProofStatus {
            signed: written.as_ref().map_or(0, Checkpoint::transactions),
            ..ProofStatus::default()
        };
        let state = Mutex::new(State { name, tree: None, kept_tiles: 0, written });
        let tree_file = TreeFile::new(tree);
        Ok(Self { store, signer, mode, file, tree_file, state, status: std::sync::Mutex::new(status) })
    }

    /// What is known, for metrics.
    pub fn status(&self) -> ProofStatus {
        *self.status.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Lets the tree catch up with the journal.
    ///
    /// # Errors
    /// Faults of the store; [`ProofFault::Contradiction`] if the ledger is not what was signed.
    pub async fn follow(&self) -> Result<(), ProofFault> {
        let mut state = self.state.lock().await;
        self.position(&mut state).await.map(|_| ())
    }

    /// Writes a checkpoint, if there is anything new.
    ///
    /// # Errors
    /// As [`Proofs::follow`]; [`ProofFault::File`] if the file cannot be written.
    pub async fn write(&self, now: Timestamp) -> Result<(), ProofFault> {
        let written = self.try_write(now).await;
        if written.is_err() {
            let mut status = self.status.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            status.failures = status.failures.saturating_add(1);
        }
        written
    }

    async fn try_write(&self, now: Timestamp) -> Result<(), ProofFault> {
        let mut state = self.state.lock().await;
        let Some(position) = self.position(&mut state).await? else { return Ok(()) };
        let is_known = |last: &Checkpoint| (last.blocks(), last.epoch()) == (position.blocks, position.epoch);
        if state.written.as_ref().is_some_and(is_known) {
            return Ok(());
        }
        let checkpoint = Checkpoint::sign(&position, &self.signer);
        let path = self.file.path();
        self.file.append(&checkpoint).map_err(|source| ProofFault::File { path: path.into(), source })?;
        state.written = Some(checkpoint);
        let mut status = self.status.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        (status.signed, status.written_at) = (position.transactions, Some(now));
        Ok(())
    }

    /// Writes the last checkpoint before a stop, unless that would take long.
    pub async fn close(&self, now: Timestamp) {
        let lag = {
            let state = self.state.lock().await;
            let size = state.tree.as_ref().map_or(0, Tree::size);
            self.store.status().sequence.saturating_sub(size)
        };
        if lag > LAG_AT_STOP {
            tracing::info!("the last checkpoint waits for the next start: {lag} transactions are not in it");
        } else if let Err(fault) = self.write(now).await {
            tracing::warn!(%fault, "the last checkpoint could not be written: {fault}");
        }
    }

    /// A receipt of a payment: its rows, and a checkpoint of this moment that holds it.
    ///
    /// # Errors
    /// As [`Proofs::follow`].
    pub async fn receipt(
        &self,
        payment: PaymentId,
        rows: &[(u64, Arc<Transaction>)],
    ) -> Result<Receipt, ProofFault> {
        let mut state = self.state.lock().await;
        let last = rows.iter().map(|(sequence, _)| *sequence).max().unwrap_or_default();
        let position = self.position(&mut state).await?.filter(|position| position.transactions >= last);
        let lags = || StoreError::Unavailable("the tree is behind the journal".into());
        let (position, tree) = position.zip(state.tree.as_ref()).ok_or_else(lags)?;
        let size = position.transactions;
        let mut proved = Vec::new();
        for (sequence, transaction) in rows {
            let leaf = sequence.saturating_sub(1);
            let tiles = self.tiles(&tree.tiles_for_proof(leaf, size)).await?;
            proved.push(Row::new(Statement::of(*sequence, transaction), &tree.proof(leaf, size, &tiles)?));
        }
        Ok(Receipt::new(payment.to_string(), proved, Checkpoint::sign(&position, &self.signer)))
    }

    /// Where the journal ends, with the tree caught up to there; none while there is nothing to sign.
    async fn position(&self, state: &mut State) -> Result<Option<Position>, ProofFault> {
        let found = self.position_of(state).await;
        // Asked last: if the ledger is the same still, whatever was read before is of it.
        let name = self.store.name().await?;
        if name == state.name {
            return found;
        }
        if self.mode != Mode::Sandbox {
            return Err(ProofFault::Contradiction("this is not the ledger that was signed any more".into()));
        }
        move_aside(&self.file, &state.name.ledger.to_string())?;
        *state = State { name, tree: None, kept_tiles: 0, written: None };
        let mut status = self.status.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *status = ProofStatus::default();
        Ok(None)
    }

    async fn position_of(&self, state: &mut State) -> Result<Option<Position>, ProofFault> {
        let Some(head) = self.store.head(None).await? else { return Ok(None) };
        let transactions = number(head.transaction);
        if state.tree.is_none() {
            let (tree, kept) = self.make_tree(state.written.as_ref()).await?;
            (state.tree, state.kept_tiles) = (Some(tree), kept);
        }
        let Some(tree) = &mut state.tree else { return Ok(None) };
        self.extend(tree, transactions).await?;
        let new = tree.tiles_after(state.kept_tiles);
        if !new.is_empty() {
            match self.tree_file.write(state.kept_tiles, new) {
                Ok(()) => state.kept_tiles = tree.whole_tiles(),
                // It is a cache: what is not in it is made anew.
                Err(error) => tracing::debug!(%error, "the tree's file cannot be written: {error}"),
            }
        }
        Ok(Some(position_at(state.name, &head, tree.root(transactions, &Tiles::new())?)))
    }

    /// The tree as it was kept, if it leads to what was signed last; else made anew from the journal. And how many tiles
    /// of it are in the file.
    async fn make_tree(&self, signed: Option<&Checkpoint>) -> Result<(Tree, u64), ProofFault> {
        let Some(signed) = signed else {
            return Ok((Tree::default(), 0));
        };
        for mut tree in [kept_tree(&self.tree_file, signed.transactions()), Tree::default()] {
            let kept = tree.whole_tiles();
            self.extend(&mut tree, signed.transactions()).await?;
            let tiles = self.tiles(&tree.tiles_for_root(signed.transactions())).await?;
            if tree.root(signed.transactions(), &tiles).ok() == signed.root() {
                return Ok((tree, kept));
            }
        }
        Err(ProofFault::Contradiction(format!(
            "the first {} transactions are not those that the checkpoint of {} signs: the journal was written anew; \
             'farthing verify' says more",
            signed.transactions(),
            signed.at()
        )))
    }

    /// Lets a tree grow to so many leaves.
    async fn extend(&self, tree: &mut Tree, size: u64) -> Result<(), ProofFault> {
        while tree.size() < size {
            let limit = usize::try_from(size.saturating_sub(tree.size()).min(PIECE)).unwrap_or_default();
            for leaf in self.leaves(tree.size(), limit).await? {
                tree.push(leaf);
            }
        }
        Ok(())
    }

    async fn tiles(&self, wanted: &[u64]) -> Result<Tiles, ProofFault> {
        let mut tiles = Tiles::new();
        for tile in wanted {
            let limit = usize::try_from(TILE).unwrap_or_default();
            tiles.insert(*tile, self.leaves(tile.saturating_mul(TILE), limit).await?);
        }
        Ok(tiles)
    }

    /// The leaves of so many rows of the journal, which has them.
    async fn leaves(&self, after: u64, limit: usize) -> Result<Vec<[u8; 32]>, ProofFault> {
        let rows = self.store.journal(JournalQuery { seer: None, after, limit }).await?;
        let is_dense = (after.saturating_add(1)..).zip(&rows).all(|(expected, row)| row.sequence == expected);
        if rows.len() != limit || !is_dense {
            let what = format!("transactions behind row {after} are missing");
            return Err(StoreError::Damaged(what).into());
        }
        Ok(rows.iter().map(|row| Statement::of(row.sequence, &row.transaction).leaf()).collect())
    }
}

impl std::fmt::Debug for Proofs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proofs").field("signer", &self.signer).finish_non_exhaustive()
    }
}

impl From<ProofFault> for TellerError {
    fn from(fault: ProofFault) -> Self {
        match fault {
            ProofFault::Store(fault) => Self::Store(fault),
            other => Self::Store(StoreError::Damaged(other.to_string())),
        }
    }
}

/// What was signed last, as far as the file tells; every line must be by these keys.
fn last_signed(file: &CheckpointFile, signer: &Signer) -> Result<Option<Checkpoint>, ProofFault> {
    let keys: Vec<PublicKey> = signer.all().iter().map(|(_, key)| *key).collect();
    let lines = file.read().map_err(|source| ProofFault::File { path: file.path().into(), source })?;
    let mut written: Option<Checkpoint> = None;
    for (number, line) in lines {
        let checked = line.and_then(|checkpoint| checkpoint.check(&keys).map(|()| checkpoint));
        let checkpoint = checked.map_err(|fault| {
            ProofFault::Contradiction(format!("line {number} of {}: {fault}", file.path().display()))
        })?;
        if written.as_ref().is_none_or(|last| order(last) <= order(&checkpoint)) {
            written = Some(checkpoint);
        }
    }
    Ok(written)
}

fn move_aside(file: &CheckpointFile, ledger: &str) -> Result<(), ProofFault> {
    file.move_aside(ledger).map_err(|source| ProofFault::File { path: file.path().into(), source })
}

fn order(checkpoint: &Checkpoint) -> (u64, u64) {
    (checkpoint.epoch(), checkpoint.blocks())
}

/// Whether the ledger holds what was signed, as far as the chain tells.
fn compare(signed: &Checkpoint, name: LedgerName, head: Option<&Head>) -> Result<(), String> {
    let (at, blocks) = (signed.at(), signed.blocks());
    if !signed.is_of(name.ledger) {
        return Err("the file of checkpoints is of another ledger".into());
    }
    if signed.epoch() > name.epoch {
        return Err(format!(
            "the checkpoint of {at} is of epoch {}, and this ledger is in epoch {}: it was set back to an earlier life",
            signed.epoch(),
            name.epoch
        ));
    }
    let Some(head) = head else {
        return Err(format!(
            "the checkpoint of {at} signs {blocks} blocks with {} transactions, and this ledger has fewer: the journal's \
             tail was cut",
            signed.transactions()
        ));
    };
    let counts = (number(head.transaction), number(head.event));
    if signed.head() != Some(head.hash) || counts != (signed.transactions(), signed.events()) {
        return Err(format!(
            "block {blocks} is not the one that the checkpoint of {at} signs: the journal was written anew"
        ));
    }
    Ok(())
}
