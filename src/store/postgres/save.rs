//! Write: one statement per table, the chain's head and what is numbered after it last, and the commit, all sent
//! together: one round trip.

use deadpool_postgres::ClientWrapper;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::fault::{Fault, describe};
use super::load::account_id;
use super::records::Changed;
use super::rows::get;
use super::statements;
use crate::ledger::chain::{BlockDigest, Digested};
use crate::ledger::{
    AccountKey, Decline, IdempotencyKey, SecurityEvent, Session, Timestamp, TopupMethod, Transaction, User,
    UserId, WorkingSet,
};
use crate::store::journal::Life;

/// What a committed batch learned about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Committed {
    /// The number of its block.
    pub(super) block: i64,
    /// The number of its last transaction.
    pub(super) last_transaction: i64,
    /// The time that its rows got: the batch's, or the one of a block that was quicker.
    pub(super) at: Timestamp,
}

/// Everything that a batch writes, column by column.
#[derive(Default)]
struct Columns<'a> {
    updated: Users<'a>,
    registered: Users<'a>,
    sessions: Sessions<'a>,
    spent: (Vec<&'a [u8]>, Vec<Uuid>),
    records: Changed<'a>,
    opened: Accounts,
    moved: Accounts,
    transactions: Transactions<'a>,
    entries: Entries,
    events: Events<'a>,
}

#[derive(Default)]
pub(super) struct Users<'a> {
    pub(super) ids: Vec<Uuid>,
    pub(super) emails: Vec<&'a str>,
    pub(super) folded: Vec<&'a str>,
    pub(super) names: Vec<Option<&'a str>>,
    pub(super) hashes: Vec<&'a str>,
    pub(super) roles: Vec<&'a str>,
    pub(super) frozen: Vec<bool>,
    pub(super) created: Vec<i64>,
    pub(super) changed: Vec<i64>,
    pub(super) long: Vec<bool>,
    pub(super) factors: Vec<Option<String>>,
    pub(super) new_addresses: Vec<Option<i64>>,
}

#[derive(Default)]
pub(super) struct Sessions<'a> {
    pub(super) ids: Vec<Uuid>,
    pub(super) users: Vec<Uuid>,
    pub(super) created: Vec<i64>,
    pub(super) seen: Vec<i64>,
    pub(super) ips: Vec<Option<String>>,
    pub(super) agents: Vec<Option<&'a str>>,
    pub(super) access: Vec<&'a [u8]>,
    pub(super) access_expires: Vec<i64>,
    pub(super) refresh: Vec<&'a [u8]>,
    pub(super) refresh_expires: Vec<i64>,
    pub(super) ended: Vec<Option<i64>>,
    pub(super) why: Vec<Option<&'a str>>,
    pub(super) api_keys: Vec<Option<String>>,
}

#[derive(Default)]
pub(super) struct Accounts {
    pub(super) ids: Vec<Uuid>,
    pub(super) owners: Vec<Uuid>,
    pub(super) kinds: Vec<&'static str>,
    pub(super) currencies: Vec<&'static str>,
    pub(super) balances: Vec<i64>,
}

#[derive(Default)]
pub(super) struct Transactions<'a> {
    pub(super) ids: Vec<Uuid>,
    pub(super) kinds: Vec<&'a str>,
    pub(super) from: Vec<Uuid>,
    pub(super) from_names: Vec<Option<&'a str>>,
    pub(super) to: Vec<Uuid>,
    pub(super) to_names: Vec<Option<&'a str>>,
    pub(super) owners: Vec<Uuid>,
    pub(super) amounts: Vec<i64>,
    pub(super) currencies: Vec<&'a str>,
    pub(super) descriptions: Vec<&'a str>,
    pub(super) references: Vec<&'a str>,
    pub(super) metadata: Vec<&'a str>,
    pub(super) methods: Vec<Option<&'a str>>,
    pub(super) declines: Vec<Option<&'a str>>,
    pub(super) available: Vec<Option<i64>>,
    pub(super) keys: Vec<Option<&'a str>>,
    pub(super) captures: Vec<Option<&'a str>>,
    pub(super) about: Vec<Option<Uuid>>,
    pub(super) statuses: Vec<Option<&'a str>>,
    pub(super) captured: Vec<Option<i64>>,
    pub(super) refunded: Vec<Option<i64>>,
    pub(super) notes: Vec<Option<&'a str>>,
    pub(super) actors: Vec<Option<Uuid>>,
    pub(super) from_after: Vec<Option<i64>>,
    pub(super) to_after: Vec<Option<i64>>,
}

#[derive(Default)]
pub(super) struct Entries {
    pub(super) transactions: Vec<i64>,
    pub(super) indexes: Vec<i64>,
    pub(super) accounts: Vec<Uuid>,
    pub(super) amounts: Vec<i64>,
    pub(super) balances: Vec<i64>,
}

#[derive(Default)]
pub(super) struct Events<'a> {
    pub(super) ids: Vec<Uuid>,
    pub(super) kinds: Vec<&'a str>,
    pub(super) severities: Vec<&'a str>,
    pub(super) users: Vec<Option<Uuid>>,
    pub(super) ips: Vec<Option<String>>,
    pub(super) agents: Vec<Option<&'a str>>,
    pub(super) requests: Vec<Uuid>,
    pub(super) details: Vec<&'a str>,
}

/// What the chain's head learns of a batch beside its transactions.
struct Block<'a> {
    batch: Uuid,
    now: i64,
    digest: &'a [u8],
    marks: &'a [u8],
    events: i64,
    users: i64,
}

/// What the batch found when it loaded: it tells new rows from changed ones.
pub(super) struct Loaded {
    users: std::collections::HashSet<UserId>,
    accounts: std::collections::HashSet<AccountKey>,
}

impl Loaded {
    /// What the working set holds before anything is decided.
    pub(super) fn of(set: &WorkingSet) -> Self {
        Self { users: set.users.keys().copied().collect(), accounts: set.accounts.keys().copied().collect() }
    }
}

/// Writes the difference and commits it, by that statement.
///
/// A fault that came before the COMMIT was sent, or that the server reported, leaves nothing behind; one that lost the
/// answer is [`Fault::Unknown`].
pub(super) async fn write(
    client: &ClientWrapper,
    batch: Uuid,
    (set, loaded): (&WorkingSet, &Loaded),
    commit: &str,
) -> Result<Option<Committed>, Fault> {
    let columns = Columns::of(set, loaded)?;
    let rows = digest(set);
    let Columns { updated: u, registered: new, sessions: s, spent, records: r, opened: o, events, .. } =
        &columns;
    let appends = !set.changes.transactions.is_empty() || !events.ids.is_empty() || !new.ids.is_empty();
    let block = Block {
        batch,
        now: set.now.as_millis(),
        digest: &rows.digest,
        marks: &rows.marks,
        events: i64::try_from(events.ids.len()).unwrap_or(i64::MAX),
        users: i64::try_from(new.ids.len()).unwrap_or(i64::MAX),
    };

    // Sent in this order, and answered in one round trip. If one of them fails, COMMIT rolls back.
    let (
        named,
        users,
        sessions,
        tokens,
        removed,
        updated,
        added,
        accounts,
        appended,
        registered,
        told,
        committed,
    ) = tokio::join! {
        biased;
        run(client, appends, statements::ADD_BATCH, [&batch]),
        run(client, u.ids.is_empty(), statements::UPDATE_USERS,
            [&u.ids, &u.names, &u.hashes, &u.roles, &u.frozen, &u.changed, &u.long, &u.factors,
                &u.new_addresses]),
        run(client, s.ids.is_empty(), statements::SAVE_SESSIONS, s.parameters()),
        run(client, spent.0.is_empty(), statements::SPEND_TOKENS, [&spent.0, &spent.1]),
        run(client, r.removed.1.is_empty(), statements::REMOVE_RECORDS, [&r.removed.0, &r.removed.1]),
        run(client, r.updated.ids.is_empty(), statements::UPDATE_RECORDS, r.updated.parameters()),
        run(client, r.added.ids.is_empty(), statements::ADD_RECORDS, r.added.parameters()),
        run(client, o.ids.is_empty(), statements::OPEN_ACCOUNTS,
            [&o.ids, &o.owners, &o.kinds, &o.currencies, &o.balances]),
        run(client, !appends, statements::APPEND, columns.append_parameters(&block)),
        run(client, new.ids.is_empty(), statements::ADD_USERS,
            [&new.ids, &new.emails, &new.folded, &new.names, &new.hashes, &new.roles, &new.frozen, &new.created, &new.changed, &new.long]),
        run(client, events.ids.is_empty(), statements::ADD_EVENTS,
            [&events.ids, &events.kinds, &events.severities, &events.users, &events.ips, &events.agents, &events.requests, &events.details]),
        client.batch_execute(commit),
    };
    // The first statement that the server refused says why nothing was committed.
    let written = [
        (named, usize::from(!appends)),
        (users, u.ids.len()),
        (sessions, s.ids.len()),
        (tokens, spent.0.len()),
        (removed, r.removed.1.len()),
        (updated, r.updated.ids.len()),
        (added, r.added.ids.len()),
        (accounts, o.ids.len()),
    ];
    for (result, expected) in written {
        expect_rows(result.map_err(before_commit)?.count, expected)?;
    }
    let appended = appended.map_err(before_commit)?.first;
    for (result, expected) in [(registered, new.ids.len()), (told, events.ids.len())] {
        expect_rows(result.map_err(before_commit)?.count, expected)?;
    }
    committed.map_err(at_commit)?;
    appended.as_ref().map(committed_of).transpose()
}

/// Fewer rows than were to be written: a row that was loaded under a lock is gone, which only damage explains.
fn expect_rows(count: usize, expected: usize) -> Result<(), Fault> {
    if count == expected {
        Ok(())
    } else {
        Err(Fault::Damaged(format!("{expected} rows were to be written, and {count} were")))
    }
}

/// What a block says about its batch, from its number, last transaction and time.
pub(super) fn committed_of(row: &tokio_postgres::Row) -> Result<Committed, Fault> {
    Ok(Committed {
        block: get(row, 0)?,
        last_transaction: get(row, 1)?,
        at: Timestamp::from_millis(get(row, 2)?),
    })
}

/// The COMMIT was on its way behind the statement: what the server itself refuses is sure not to be committed, and a
/// connection that broke says nothing.
fn before_commit(error: tokio_postgres::Error) -> Fault {
    if error.code().is_some() { Fault::from(error) } else { Fault::Unknown(describe(&error)) }
}

/// Of what a COMMIT reports, only a constraint (class 23) is sure to have rolled back: a conflict may be the next
/// transaction's, which begins along with it.
pub(super) fn at_commit(error: tokio_postgres::Error) -> Fault {
    match error.code().and_then(|state| state.code().get(..2)) {
        Some("23") => Fault::from(error),
        _ => Fault::Unknown(describe(&error)),
    }
}

/// What a statement did.
#[derive(Default)]
struct Written {
    count: usize,
    first: Option<tokio_postgres::Row>,
}

async fn run<const N: usize>(
    client: &ClientWrapper,
    nothing: bool,
    sql: &str,
    parameters: [&(dyn ToSql + Sync); N],
) -> Result<Written, tokio_postgres::Error> {
    if nothing {
        return Ok(Written::default());
    }
    let statement = client.prepare_cached(sql).await?;
    if statement.columns().is_empty() {
        let count = client.execute(&statement, &parameters).await?;
        Ok(Written { count: usize::try_from(count).unwrap_or(usize::MAX), first: None })
    } else {
        let rows = client.query(&statement, &parameters).await?;
        Ok(Written { count: rows.len(), first: rows.into_iter().next() })
    }
}

fn digest(set: &WorkingSet) -> Digested {
    let mut digest = BlockDigest::default();
    for transaction in &set.changes.transactions {
        digest.transaction(transaction);
    }
    for event in &set.changes.events {
        digest.event(event);
    }
    digest.finish()
}

impl<'a> Columns<'a> {
    fn of(set: &'a WorkingSet, loaded: &Loaded) -> Result<Self, Fault> {
        let mut columns = Self { records: Changed::of(set)?, ..Self::default() };
        for id in &set.changes.users {
            let user = set.users.get(id).ok_or_else(|| missing("user"))?;
            let users =
                if loaded.users.contains(id) { &mut columns.updated } else { &mut columns.registered };
            users.push(user);
        }
        let mut sessions = set
            .changes
            .sessions
            .iter()
            .map(|id| set.sessions.get(id).ok_or_else(|| missing("session")))
            .collect::<Result<Vec<_>, _>>()?;
        // In the order of ids, so that two nodes never wait for each other.
        sessions.sort_by_key(|session| session.id);
        for session in sessions {
            columns.sessions.push(session);
        }
        for (token, session) in &set.changes.spent_tokens {
            columns.spent.0.push(&token.0);
            columns.spent.1.push(session.uuid());
        }
        let mut touched = std::collections::BTreeMap::new();
        for (place, transaction) in (1_i64..).zip(&set.changes.transactions) {
            columns.transactions.push(transaction);
            for (index, entry) in (0_i64..).zip(&transaction.entries) {
                columns.entries.transactions.push(place);
                columns.entries.indexes.push(index);
                columns.entries.accounts.push(account_id(&entry.account));
                columns.entries.amounts.push(entry.amount_minor);
                columns.entries.balances.push(entry.balance_after_minor);
                touched.insert(account_id(&entry.account), (entry.account, entry.balance_after_minor));
            }
        }
        for (id, (account, balance)) in touched {
            let accounts =
                if loaded.accounts.contains(&account) { &mut columns.moved } else { &mut columns.opened };
            accounts.push(id, &account, balance);
        }
        for event in &set.changes.events {
            columns.events.push(event);
        }
        Ok(columns)
    }

    /// The parameters of [`statements::APPEND`].
    fn append_parameters<'p>(&'p self, block: &'p Block<'p>) -> [&'p (dyn ToSql + Sync); 38] {
        let (t, e) = (&self.transactions, &self.entries);
        [
            &self.moved.ids,
            &self.moved.balances,
            &block.batch,
            &block.now,
            &block.digest,
            &block.marks,
            &block.events,
            &block.users,
            &t.ids,
            &t.kinds,
            &t.from,
            &t.from_names,
            &t.to,
            &t.to_names,
            &t.owners,
            &t.amounts,
            &t.currencies,
            &t.descriptions,
            &t.references,
            &t.metadata,
            &t.methods,
            &t.declines,
            &t.available,
            &t.keys,
            &t.captures,
            &t.about,
            &t.statuses,
            &t.captured,
            &t.refunded,
            &t.notes,
            &t.actors,
            &t.from_after,
            &t.to_after,
            &e.transactions,
            &e.indexes,
            &e.accounts,
            &e.amounts,
            &e.balances,
        ]
    }
}

impl<'a> Users<'a> {
    pub(super) fn push(&mut self, user: &'a User) {
        self.ids.push(user.id.uuid());
        self.emails.push(user.email.as_str());
        self.folded.push(user.email.folded());
        self.names.push(user.name.as_deref());
        self.hashes.push(user.password.as_phc());
        self.roles.push(user.role.name());
        self.frozen.push(user.frozen);
        self.created.push(user.created_at.as_millis());
        self.changed.push(user.password_changed_at.as_millis());
        self.long.push(user.password.is_long());
        let factor = user.second_factor.as_ref();
        self.new_addresses.push(user.new_address_at.map(Timestamp::as_millis));
        self.factors.push(factor.map(|factor| serde_json::to_string(factor).unwrap_or_default()));
    }
}

impl<'a> Sessions<'a> {
    pub(super) fn push(&mut self, session: &'a Session) {
        self.ids.push(session.id.uuid());
        self.users.push(session.user.uuid());
        self.created.push(session.created_at.as_millis());
        self.seen.push(session.last_seen_at.as_millis());
        self.ips.push(session.ip.map(|ip| ip.to_string()));
        self.agents.push(session.user_agent.as_deref());
        self.access.push(&session.access.0);
        self.access_expires.push(session.access_expires_at.as_millis());
        self.refresh.push(&session.refresh.0);
        self.refresh_expires.push(session.refresh_expires_at.as_millis());
        self.ended.push(session.ended.map(|(at, _)| at.as_millis()));
        self.why.push(session.ended.map(|(_, why)| why.name()));
        let key = session.kind.api_key();
        self.api_keys.push(key.map(|key| serde_json::to_string(key).unwrap_or_default()));
    }

    pub(super) fn parameters(&self) -> [&(dyn ToSql + Sync); 13] {
        [
            &self.ids,
            &self.users,
            &self.created,
            &self.seen,
            &self.ips,
            &self.agents,
            &self.access,
            &self.access_expires,
            &self.refresh,
            &self.refresh_expires,
            &self.ended,
            &self.why,
            &self.api_keys,
        ]
    }
}

impl Accounts {
    pub(super) fn push(&mut self, id: Uuid, account: &AccountKey, balance: i64) {
        self.ids.push(id);
        self.owners.push(account.owner.uuid());
        self.kinds.push(account.kind.name());
        self.currencies.push(account.currency.code());
        self.balances.push(balance);
    }
}

impl<'a> Transactions<'a> {
    pub(super) fn push(&mut self, transaction: &'a Transaction) {
        self.ids.push(transaction.id.uuid());
        self.kinds.push(transaction.kind.name());
        self.from.push(transaction.from.id.uuid());
        self.from_names.push(transaction.from.name.as_deref());
        self.to.push(transaction.to.id.uuid());
        self.to_names.push(transaction.to.name.as_deref());
        self.owners.push(transaction.owner().uuid());
        self.amounts.push(transaction.money.amount_minor());
        self.currencies.push(transaction.money.currency().code());
        self.descriptions.push(&transaction.memo.description);
        self.references.push(&transaction.memo.reference);
        self.metadata.push(&transaction.memo.metadata);
        self.methods.push(transaction.method.map(TopupMethod::name));
        self.declines.push(transaction.decline.map(Decline::name));
        self.available.push(match transaction.decline {
            Some(Decline::InsufficientFunds { available_minor }) => Some(available_minor),
            Some(Decline::Risk | Decline::Topup(_)) | None => None,
        });
        self.keys.push(transaction.key.as_ref().map(IdempotencyKey::as_str));
        let life = Life::of(transaction);
        self.captures.push(life.capture);
        self.about.push(life.about);
        self.statuses.push(life.status);
        self.captured.push(life.captured);
        self.refunded.push(life.refunded);
        self.notes.push(life.note);
        self.actors.push(transaction.actor.map(UserId::uuid));
        self.from_after.push(transaction.after.from);
        self.to_after.push(transaction.after.to);
    }
}

impl<'a> Events<'a> {
    pub(super) fn push(&mut self, event: &'a SecurityEvent) {
        self.ids.push(event.id.uuid());
        self.kinds.push(event.kind.name());
        self.severities.push(event.severity.name());
        self.users.push(event.user.map(UserId::uuid));
        self.ips.push(event.ip.map(|ip| ip.to_string()));
        self.agents.push(event.user_agent.as_deref());
        self.requests.push(event.request.uuid());
        self.details.push(&event.detail);
    }
}

/// A changed row is always in the working set: anything else is our bug, and must not be committed.
fn missing(what: &str) -> Fault {
    Fault::Damaged(format!("a changed {what} is not in the working set"))
}
