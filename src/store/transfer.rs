//! Moving a ledger from one place to another, on whatever engines, with proof that both are equal.
//!
//! In order: the source is proved; the blocks that the target lacks are copied, whole blocks at a time; users, sessions,
//! spent tokens and records, which change, are copied in full; the target is proved; both are compared; and only then the
//! target loses the mark that keeps servers away from it. What is interrupted goes on when it is run again.
//! Memory: as for a verification of each, one after the other.

use std::collections::HashMap;
use std::sync::Arc;

use super::journal::{
    AccountRow, Block, Head, JournalReader, JournalWriter, Numbered, Properties, StoredBlock, StoredEntry,
};
use super::verification::{Audit, PIECE, audit};
use super::{OpenError, VerifyReport};
use crate::ledger::{
    AccountKey, Entry, Record, SecurityEvent, Session, SessionId, TokenHash, Transaction, User,
};

/// Users, sessions, tokens and records that are copied at a time.
const PAGE: usize = 1_000;

/// How far a transfer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The source's books are being proved.
    ProvingSource,
    /// The journal is being copied.
    Copying {
        /// Transactions and events that the target has.
        done: i64,
        /// Transactions and events of the source.
        total: i64,
    },
    /// Users, sessions, spent tokens and records are being copied.
    CopyingIdentities,
    /// The target's books are being proved.
    ProvingTarget,
}

/// Why a ledger was not moved. The target, if anything is in it, is not served before a later try has succeeded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// The source cannot be read.
    #[error("the source: {0}")]
    Source(OpenError),
    /// The target cannot be used, or there is something else.
    #[error("the target: {0}")]
    Target(OpenError),
    /// The source's books do not balance, and would not elsewhere.
    #[error("the source is damaged and was not moved:\n{}", .0.join("\n"))]
    SourceDamaged(Vec<String>),
    /// The source was written to meanwhile.
    #[error("the source was written to while it was moved; stop its servers and run this again")]
    SourceMoved,
    /// What is in the target is not what is in the source.
    #[error("the target is not equal to the source:\n{}", .0.join("\n"))]
    Unequal(Vec<String>),
}

/// Moves the ledger and proves both equal. Nobody writes to either meanwhile; `tell` hears how far it is. Gives back
/// what the target's verification counted. `target` hands out what `writer` takes in, and is asked for only once there
/// is something to hand out.
///
/// # Errors
/// [`TransferError`].
pub fn transfer(
    source: &mut dyn JournalReader,
    writer: &mut dyn JournalWriter,
    target: &mut dyn FnMut() -> Result<Box<dyn JournalReader>, OpenError>,
    tell: &mut dyn FnMut(Progress),
) -> Result<VerifyReport, TransferError> {
    let properties = source.properties().map_err(TransferError::Source)?;
    tell(Progress::ProvingSource);
    let proved = audit(source, None).map_err(TransferError::Source)?;
    if !proved.report.discrepancies.is_empty() {
        return Err(TransferError::SourceDamaged(proved.report.discrepancies));
    }
    let mut copied = writer.begin(&properties).map_err(TransferError::Target)?;
    let total = proved.head.rows();
    refuse_another_past(source, &copied)?;
    while copied.block < proved.head.block {
        tell(Progress::Copying { done: copied.rows(), total });
        let blocks = read_blocks(source, &proved.accounts, &copied, proved.head.block)?;
        copied = blocks.last().map(|block| block.stored.head).ok_or(TransferError::SourceMoved)?;
        writer.append(&blocks).map_err(TransferError::Target)?;
    }
    tell(Progress::CopyingIdentities);
    copy_identities(source, writer)?;
    writer.settle().map_err(TransferError::Target)?;
    tell(Progress::ProvingTarget);
    let mut target = target().map_err(TransferError::Target)?;
    let arrived = audit(&mut *target, None).map_err(TransferError::Target)?;
    let differences = compare(&proved, &arrived, source, &mut *target, &properties)?;
    if !differences.is_empty() {
        return Err(TransferError::Unequal(differences));
    }
    if source.begin().map_err(TransferError::Source)?.head != proved.head {
        return Err(TransferError::SourceMoved);
    }
    drop(target);
    writer.finish().map_err(TransferError::Target)?;
    Ok(arrived.report)
}

/// What the target has must be what the source began with: the block in which it ends says so of all before it.
fn refuse_another_past(source: &mut dyn JournalReader, copied: &Head) -> Result<(), TransferError> {
    if copied.block == 0 {
        return Ok(());
    }
    let before = Head { block: copied.block.saturating_sub(1), ..Head::default() };
    let blocks = source.blocks(&before, copied.block, 0).map_err(TransferError::Source)?;
    if blocks.first().is_some_and(|block| block.head == *copied) {
        return Ok(());
    }
    Err(TransferError::Unequal(vec![format!(
        "blocks row {}: the target's journal is not the beginning of the source's",
        copied.block
    )]))
}

/// The next blocks with their rows.
fn read_blocks(
    source: &mut dyn JournalReader,
    accounts: &HashMap<AccountRow, AccountKey>,
    after: &Head,
    to: i64,
) -> Result<Vec<Block>, TransferError> {
    let stored = source.blocks(after, to, PIECE).map_err(TransferError::Source)?;
    let last = stored.last().map_or(*after, |block| block.head);
    let transactions = source.transactions(after.transaction, last.transaction);
    let transactions = readable(transactions.map_err(TransferError::Source)?)?;
    let entries = source.entries(after.transaction, last.transaction).map_err(TransferError::Source)?;
    let events = readable(source.events(after.event, last.event).map_err(TransferError::Source)?)?;
    assemble(&stored, transactions, &entries, events, accounts)
}

fn assemble(
    stored: &[StoredBlock],
    mut transactions: Vec<(i64, Transaction)>,
    entries: &[StoredEntry],
    events: Vec<(i64, SecurityEvent)>,
    accounts: &HashMap<AccountRow, AccountKey>,
) -> Result<Vec<Block>, TransferError> {
    let mut waiting = transactions.iter_mut().peekable();
    for entry in entries {
        while waiting.next_if(|(no, _)| *no < entry.transaction).is_some() {}
        let account = accounts.get(&entry.account);
        let (Some((_, transaction)), Some(account)) = (waiting.peek_mut(), account) else {
            return Err(TransferError::SourceMoved);
        };
        transaction.entries.push(Entry {
            account: *account,
            amount_minor: entry.amount_minor,
            balance_after_minor: entry.balance_after_minor,
        });
    }
    let mut transactions = transactions.into_iter().peekable();
    let mut events = events.into_iter().peekable();
    let mut blocks = Vec::with_capacity(stored.len());
    for block in stored {
        let Head { transaction: last_transaction, event: last_event, .. } = block.head;
        let mut own = Block { stored: block.clone(), transactions: Vec::new(), events: Vec::new() };
        while let Some((_, transaction)) = transactions.next_if(|(no, _)| *no <= last_transaction) {
            own.transactions.push(Arc::new(transaction));
        }
        while let Some((_, event)) = events.next_if(|(no, _)| *no <= last_event) {
            own.events.push(event);
        }
        blocks.push(own);
    }
    Ok(blocks)
}

fn readable<T>(numbered: Numbered<T>) -> Result<Vec<(i64, T)>, TransferError> {
    if numbered.wrong.is_empty() {
        Ok(numbered.rows)
    } else {
        Err(TransferError::SourceDamaged(numbered.wrong))
    }
}

/// Users first: sessions name them, and spent tokens name sessions.
fn copy_identities(
    source: &mut dyn JournalReader,
    writer: &mut dyn JournalWriter,
) -> Result<(), TransferError> {
    let mut pages = Pages::default();
    while let Some(page) = pages.users(source).map_err(TransferError::Source)? {
        writer.put_users(&page).map_err(TransferError::Target)?;
    }
    while let Some(page) = pages.sessions(source).map_err(TransferError::Source)? {
        writer.put_sessions(&page).map_err(TransferError::Target)?;
    }
    while let Some(page) = pages.spent_tokens(source).map_err(TransferError::Source)? {
        writer.put_spent_tokens(&page).map_err(TransferError::Target)?;
    }
    while let Some(page) = pages.records(source).map_err(TransferError::Source)? {
        writer.put_records(&page).map_err(TransferError::Target)?;
    }
    Ok(())
}

/// Where the next pages of users, sessions, spent tokens and records begin.
#[derive(Default)]
struct Pages {
    user: i64,
    session: Option<SessionId>,
    token: Option<TokenHash>,
    record: i64,
}

type Users = Vec<(i64, Arc<User>)>;
type Sessions = Vec<Arc<Session>>;
type Tokens = Vec<(TokenHash, SessionId)>;
type Records = Vec<(i64, Arc<Record>)>;

impl Pages {
    fn users(&mut self, reader: &mut dyn JournalReader) -> Result<Option<Users>, OpenError> {
        let page = reader.users(self.user, PAGE)?;
        self.user = page.last().map_or(self.user, |(position, _)| *position);
        Ok((!page.is_empty()).then_some(page))
    }

    fn sessions(&mut self, reader: &mut dyn JournalReader) -> Result<Option<Sessions>, OpenError> {
        let page = reader.sessions(self.session, PAGE)?;
        self.session = page.last().map_or(self.session, |session| Some(session.id));
        Ok((!page.is_empty()).then_some(page))
    }

    fn spent_tokens(&mut self, reader: &mut dyn JournalReader) -> Result<Option<Tokens>, OpenError> {
        let page = reader.spent_tokens(self.token, PAGE)?;
        self.token = page.last().map_or(self.token, |(token, _)| Some(*token));
        Ok((!page.is_empty()).then_some(page))
    }

    fn records(&mut self, reader: &mut dyn JournalReader) -> Result<Option<Records>, OpenError> {
        let page = reader.records(self.record, PAGE)?;
        self.record = page.last().map_or(self.record, |(position, _)| *position);
        Ok((!page.is_empty()).then_some(page))
    }
}

/// Everything in which the target is not the source.
fn compare(
    proved: &Audit,
    arrived: &Audit,
    source: &mut dyn JournalReader,
    target: &mut dyn JournalReader,
    properties: &Properties,
) -> Result<Vec<String>, TransferError> {
    let mut differences = arrived.report.discrepancies.clone();
    let counts = |report: &VerifyReport| {
        [
            ("transactions", report.transactions),
            ("entries", report.entries),
            ("accounts", report.accounts),
            ("users", report.users),
            ("records", report.records),
            ("security events", report.events),
            ("blocks", report.blocks),
        ]
    };
    for ((what, has), (_, got)) in counts(&proved.report).into_iter().zip(counts(&arrived.report)) {
        if has != got {
            differences.push(format!("{got} {what} instead of {has}"));
        }
    }
    if proved.head != arrived.head {
        differences.push("the chain ends otherwise".into());
    }
    for (key, balance) in &proved.balances {
        if arrived.balances.get(key) != Some(balance) {
            differences.push(format!(
                "the account of {} in {} does not hold {balance} minor units",
                key.owner, key.currency
            ));
        }
    }
    if target.properties().map_err(TransferError::Target)? != *properties {
        differences.push("it says of itself to be another ledger".into());
    }
    compare_identities(source, target, &mut differences)?;
    Ok(differences)
}

fn compare_identities(
    source: &mut dyn JournalReader,
    target: &mut dyn JournalReader,
    differences: &mut Vec<String>,
) -> Result<(), TransferError> {
    let (mut here, mut there) = (Pages::default(), Pages::default());
    loop {
        let ours = here.users(source).map_err(TransferError::Source)?.unwrap_or_default();
        let theirs = there.users(target).map_err(TransferError::Target)?.unwrap_or_default();
        // The order counts, and the positions are each engine's own.
        let is_equal = ours.iter().map(|(_, user)| user).eq(theirs.iter().map(|(_, user)| user));
        if !tell_pages("users", is_equal, ours.is_empty(), differences) {
            break;
        }
    }
    loop {
        let ours = here.sessions(source).map_err(TransferError::Source)?.unwrap_or_default();
        let theirs = there.sessions(target).map_err(TransferError::Target)?.unwrap_or_default();
        if !tell_pages("sessions", ours == theirs, ours.is_empty(), differences) {
            break;
        }
    }
    loop {
        let ours = here.spent_tokens(source).map_err(TransferError::Source)?.unwrap_or_default();
        let theirs = there.spent_tokens(target).map_err(TransferError::Target)?.unwrap_or_default();
        if !tell_pages("spent tokens", ours == theirs, ours.is_empty(), differences) {
            break;
        }
    }
    loop {
        let ours = here.records(source).map_err(TransferError::Source)?.unwrap_or_default();
        let theirs = there.records(target).map_err(TransferError::Target)?.unwrap_or_default();
        if !tell_pages("records", ours == theirs, ours.is_empty(), differences) {
            break;
        }
    }
    Ok(())
}

/// Tells of pages that differ; says whether there are more to compare.
fn tell_pages(what: &str, is_equal: bool, is_end: bool, differences: &mut Vec<String>) -> bool {
    if !is_equal {
        differences.push(format!("the {what} are not the same"));
    }
    is_equal && !is_end
}
