//! What is kept of the journal outside of its database: the file of signed checkpoints, and the tree's hashes.
//!
//! The file of checkpoints is appended to and never rewritten, a line each. The tree's file is a cache: 32 bytes for
//! each 256 rows, made anew from the journal whenever it does not lead to the root that the last checkpoint signs.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Bound;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::journal::{Head, Properties};
use super::{LedgerName, Location, OpenError, VerifyReport, reader, verification};
use crate::auth::sign::PublicKey;
use crate::ledger::Transaction;
use crate::ledger::chain::Hash;
use crate::proof::checkpoint::CheckpointFault;
use crate::proof::tree::{TILE, Tiles};
use crate::proof::{Checkpoint, Position, Statement, Tree};

/// A line of a file of checkpoints: its number, and what it holds.
pub type Line = (usize, Result<Checkpoint, CheckpointFault>);

/// The file of signed checkpoints.
#[derive(Debug, Clone)]
pub struct CheckpointFile {
    path: PathBuf,
}

impl CheckpointFile {
    /// The file at that path, there or not.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every line. No file has no lines, and one that a crash cut short at the end of the file is none.
    ///
    /// # Errors
    /// The system's.
    pub fn read(&self) -> io::Result<Vec<Line>> {
        let text = match std::fs::read_to_string(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            text => text?,
        };
        let is_whole = text.ends_with('\n');
        let mut lines: Vec<Line> =
            (1..).zip(text.lines()).map(|(number, line)| (number, Checkpoint::parse(line))).collect();
        if !is_whole && lines.last().is_some_and(|(_, line)| line.is_err()) {
            lines.pop();
        }
        Ok(lines)
    }

    /// Appends a checkpoint, durable.
    ///
    /// # Errors
    /// The system's.
    pub fn append(&self, checkpoint: &Checkpoint) -> io::Result<()> {
        let line = checkpoint.to_line()?;
        let is_new = !self.path.exists();
        let mut file =
            OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(&self.path)?;
        self.cut_torn_line(&mut file)?;
        // In one call, so that nodes that share the file do not write into each other's lines.
        file.write_all(line.as_bytes())?;
        file.sync_data()?;
        if is_new {
            let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        }
        Ok(())
    }

    /// Gives the file, if there is one, another name that ends so. Where there is one of that name, a node that shares this file
    /// has done it, and what is here is new.
    ///
    /// # Errors
    /// The system's.
    pub fn move_aside(&self, ending: &str) -> io::Result<()> {
        let aside = self.path.with_added_extension(ending);
        match renameat_with(CWD, &self.path, CWD, &aside, RenameFlags::NOREPLACE) {
            Ok(()) | Err(Errno::NOENT | Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes what a crash left of a line.
    fn cut_torn_line(&self, file: &mut File) -> io::Result<()> {
        let length = file.seek(SeekFrom::End(0))?;
        let mut last = [0_u8; 1];
        if length == 0 || (file.read_exact_at(&mut last, length.saturating_sub(1)).is_ok() && last == *b"\n")
        {
            return Ok(());
        }
        let mut text = String::new();
        file.seek(SeekFrom::Start(0))?;
        file.read_to_string(&mut text)?;
        let last_line = text.rsplit('\n').next().unwrap_or_default();
        if Checkpoint::parse(last_line).is_ok() {
            return file.write_all(b"\n");
        }
        tracing::warn!(
            "{} ends with a line that was cut short by a crash; it is removed",
            self.path.display()
        );
        file.set_len(u64::try_from(text.len().saturating_sub(last_line.len())).unwrap_or(length))
    }
}

/// The file of the tree's hashes.
#[derive(Debug, Clone)]
pub struct TreeFile {
    path: PathBuf,
}

impl TreeFile {
    /// The file at that path, there or not.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The hashes of the tree's whole tiles, as far as they were kept.
    pub fn read(&self) -> Vec<Hash> {
        // A cache that cannot be read is one that is empty.
        let bytes = std::fs::read(&self.path).unwrap_or_default();
        bytes.chunks_exact(Hash::default().len()).filter_map(|hash| hash.try_into().ok()).collect()
    }

    /// Keeps the hashes of tiles from the one with that number on, and forgets what stood there.
    ///
    /// # Errors
    /// The system's.
    pub fn write(&self, from: u64, tiles: &[Hash]) -> io::Result<()> {
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&self.path)?;
        let offset = from.saturating_mul(32);
        file.set_len(offset)?;
        file.write_all_at(&tiles.concat(), offset)
    }
}

/// Compares a journal, as it is read from its beginning, with the checkpoints that were signed on the way.
#[derive(Debug)]
pub struct Comparison {
    tree: Tree,
    /// In the order of their blocks.
    due: VecDeque<Checkpoint>,
    looked_at: u64,
    wrong: Vec<String>,
}

impl Comparison {
    /// With the lines of a file: what is not signed with one of the keys, or is of another ledger, is wrong.
    ///
    /// A ledger that was restored goes on otherwise from there, in an epoch of its own. What earlier epochs signed behind
    /// the first block that the newer one signed is history that was given up, and not compared. Only what is signed
    /// begins an epoch: a cut tail cannot be passed off as a restore without the key.
    pub fn new(lines: Vec<Line>, keys: &[PublicKey], name: LedgerName) -> Self {
        let mut comparison =
            Self { tree: Tree::default(), due: VecDeque::new(), looked_at: 0, wrong: Vec::new() };
        let mut believed = Vec::new();
        for (number, line) in lines {
            comparison.looked_at = comparison.looked_at.saturating_add(1);
            match line.and_then(|checkpoint| checkpoint.check(keys).map(|()| checkpoint)) {
                Err(fault) => comparison.wrong.push(format!("checkpoints line {number}: {fault}")),
                Ok(checkpoint) if !checkpoint.is_of(name.ledger) => {
                    comparison.wrong.push(format!("checkpoints line {number}: it is of another ledger"));
                }
                Ok(checkpoint) if checkpoint.epoch() > name.epoch => comparison.wrong.push(format!(
                    "checkpoints line {number}: it is of epoch {}, and this ledger is in epoch {}: it was set back to an \
                     earlier life",
                    checkpoint.epoch(),
                    name.epoch
                )),
                Ok(checkpoint) => believed.push(checkpoint),
            }
        }
        let mut begins: BTreeMap<u64, u64> = BTreeMap::new();
        for checkpoint in &believed {
            let begin = begins.entry(checkpoint.epoch()).or_insert(u64::MAX);
            *begin = checkpoint.blocks().min(*begin);
        }
        believed.retain(|checkpoint| {
            let later = (Bound::Excluded(checkpoint.epoch()), Bound::Unbounded);
            begins.range(later).all(|(_, begin)| checkpoint.blocks() < *begin)
        });
        believed.sort_by_key(|checkpoint| (checkpoint.blocks(), checkpoint.transactions()));
        comparison.due = believed.into();
        comparison
    }

    /// Takes the next row of the journal.
    pub fn transaction(&mut self, no: i64, transaction: &Transaction) {
        // Behind the last checkpoint nothing is compared.
        if !self.due.is_empty() {
            self.tree.push(Statement::of(number(no), transaction).leaf());
        }
    }

    /// Compares what was signed when the journal ended with this block.
    pub fn block(&mut self, head: &Head) {
        while self.due.front().is_some_and(|checkpoint| checkpoint.blocks() <= number(head.block)) {
            let Some(checkpoint) = self.due.pop_front() else { return };
            let signed = (checkpoint.blocks(), checkpoint.transactions(), checkpoint.events());
            if signed != (number(head.block), number(head.transaction), number(head.event)) {
                self.differs(&checkpoint, "how many rows there were");
            } else if checkpoint.head() != Some(head.hash) {
                self.differs(&checkpoint, "the chain's hash");
            } else if checkpoint.root() != self.tree.root(checkpoint.transactions(), &Tiles::new()).ok() {
                self.differs(&checkpoint, "the transactions up to there");
            }
        }
    }

    fn differs(&mut self, checkpoint: &Checkpoint, what: &str) {
        self.wrong.push(format!(
            "blocks row {}: {what} are not what the checkpoint of {} signs: the journal was written anew",
            checkpoint.blocks(),
            checkpoint.at()
        ));
    }

    /// How many checkpoints were looked at, and what is wrong: those beyond the journal's end, too.
    pub fn finish(mut self, end: &Head) -> (u64, Vec<String>) {
        if let Some(furthest) = self.due.back() {
            self.wrong.push(format!(
                "blocks row {} is the last, and the checkpoint of {} signs {} blocks with {} transactions: the journal's \
                 tail was cut",
                end.block,
                furthest.at(),
                furthest.blocks(),
                furthest.transactions()
            ));
        }
        (self.looked_at, self.wrong)
    }
}

/// Recomputes everything as [`verify`](super::verify) does, and compares the journal with checkpoints that were signed with
/// one of these keys: how far it went at each of them, and what it held up to there. They were read before.
///
/// # Errors
/// [`OpenError::Unusable`] if there is no ledger, or it cannot be read.
pub fn verify(
    location: &Location,
    checkpoints: Vec<Line>,
    keys: &[PublicKey],
) -> Result<VerifyReport, OpenError> {
    let mut reader = reader(location)?;
    let name = name_of(&reader.properties()?)?;
    let comparison = Comparison::new(checkpoints, keys, name);
    Ok(verification::audit(&mut *reader, Some(comparison))?.report)
}

/// Where the journal of the ledger ends, to be signed; also while a server writes. Blocks.
///
/// # Errors
/// [`OpenError::Unusable`] if there is no ledger, or it cannot be read.
pub fn position(location: &Location) -> Result<Position, OpenError> {
    let mut reader = reader(location)?;
    let name = name_of(&reader.properties()?)?;
    let head = reader.begin()?.head;
    let (mut tree, mut after) = (Tree::default(), 0);
    while after < head.transaction {
        let to = after.saturating_add(verification::PIECE).min(head.transaction);
        for (no, transaction) in reader.transactions(after, to)?.rows {
            tree.push(Statement::of(number(no), &transaction).leaf());
        }
        after = to;
    }
    let root = tree.root(number(head.transaction), &Tiles::new());
    Ok(position_at(
        name,
        &head,
        root.map_err(|_| OpenError::Unusable("rows of the journal are missing".into()))?,
    ))
}

/// What is signed of a journal that ends there, with that root.
pub fn position_at(name: LedgerName, head: &Head, root: Hash) -> Position {
    Position {
        ledger: name.ledger,
        epoch: name.epoch,
        transactions: number(head.transaction),
        root,
        events: number(head.event),
        blocks: number(head.block),
        head: head.hash,
        at: head.at,
    }
}

/// A number of the journal, which are none below zero.
pub fn number(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

fn name_of(properties: &Properties) -> Result<LedgerName, OpenError> {
    let epoch = properties.others.get("epoch").map_or(Ok(1), |epoch| epoch.parse());
    let epoch = epoch.map_err(|_| OpenError::Unusable("the ledger's epoch is not readable".into()))?;
    Ok(LedgerName { ledger: properties.ledger, epoch })
}

/// A tree as it was kept, up to a row that is to be checked: what was kept beyond is not believed.
pub fn kept_tree(file: &TreeFile, transactions: u64) -> Tree {
    let whole = usize::try_from(transactions.div_euclid(TILE)).unwrap_or(usize::MAX);
    Tree::of_tiles(file.read().into_iter().take(whole))
}
