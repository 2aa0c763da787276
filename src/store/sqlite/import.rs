//! Taking in a ledger that comes from elsewhere. The rows go the same way as those of a batch, and are folded as they
//! come, so that the file is like one that was always served.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::engine::Engine;
use super::fault::Fault;
use super::fold::FoldPace;
use super::{Shared, connect, properties, records, save, statements};
use crate::clock::Clock;
use crate::ledger::{
    AmountLimits, Currency, Mode, Money, Record, RiskRules, Rules, Session, SessionId, TokenHash, User,
    WebhookRules,
};
use crate::store::OpenError;
use crate::store::journal::{Block, Head, JournalWriter, Properties};

/// Takes a ledger into one folder. The caller holds the folder's lock.
pub struct SqliteImport {
    folder: PathBuf,
    clock: Clock,
    engine: Option<Engine>,
}

impl SqliteImport {
    /// Nothing is touched before the import begins.
    pub fn new(folder: &Path, clock: Clock) -> Self {
        Self { folder: folder.to_owned(), clock, engine: None }
    }

    fn engine(&mut self) -> Result<&mut Engine, OpenError> {
        self.engine.as_mut().ok_or_else(|| OpenError::Unusable("the import has not begun".into()))
    }

    /// Runs writes in one transaction. After an error the import is over: its file is as after a crash.
    fn in_transaction(
        &mut self,
        write: impl FnOnce(&rusqlite::Connection) -> Result<(), Fault>,
    ) -> Result<(), OpenError> {
        let connection = &self.engine()?.connection;
        let transaction = connection.unchecked_transaction()?;
        write(&transaction)?;
        Ok(transaction.commit()?)
    }
}

impl JournalWriter for SqliteImport {
    fn begin(&mut self, properties: &Properties) -> Result<Head, OpenError> {
        let mut connection = connect::writer(&self.folder)?;
        properties::begin_migration(&mut connection, properties)?;
        let (shared, rules) = (Arc::new(Shared::default()), no_rules(properties.mode)?);
        let engine = Engine::new(connection, shared, rules, self.clock.clone(), FoldPace::default())?;
        let head = engine.head;
        self.engine = Some(engine);
        Ok(head)
    }

    fn append(&mut self, blocks: &[Block]) -> Result<(), OpenError> {
        let appended = self.engine()?.import(blocks);
        if appended.is_err() {
            // What is in memory is not what is in the file any more.
            self.engine = None;
        }
        Ok(appended?)
    }

    fn put_users(&mut self, users: &[(i64, Arc<User>)]) -> Result<(), OpenError> {
        self.in_transaction(|connection| {
            users.iter().try_for_each(|(_, user)| save::save_user(connection, user))
        })
    }

    fn put_sessions(&mut self, sessions: &[Arc<Session>]) -> Result<(), OpenError> {
        self.in_transaction(|connection| {
            sessions.iter().try_for_each(|session| save::save_session(connection, session))
        })
    }

    fn put_spent_tokens(&mut self, tokens: &[(TokenHash, SessionId)]) -> Result<(), OpenError> {
        self.in_transaction(|connection| {
            let mut put = connection.prepare_cached(statements::PUT_SPENT_TOKEN)?;
            for (token, session) in tokens {
                put.execute(rusqlite::params![token.0, session.uuid()])?;
            }
            Ok(())
        })
    }

    fn put_records(&mut self, records: &[(i64, Arc<Record>)]) -> Result<(), OpenError> {
        self.in_transaction(|connection| {
            records.iter().try_for_each(|(no, record)| records::take_in(connection, *no, record))
        })
    }

    fn settle(&mut self) -> Result<(), OpenError> {
        Ok(self.engine()?.fold_all()?)
    }

    fn finish(&mut self) -> Result<(), OpenError> {
        properties::end_migration(&self.engine()?.connection)?;
        self.engine = None;
        Ok(())
    }
}

impl Engine {
    /// Appends blocks that were written elsewhere, in one transaction, and folds when it is time.
    fn import(&mut self, blocks: &[Block]) -> Result<(), Fault> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let before = self.head.transaction;
        let mut head = self.head;
        for Block { stored, transactions, events } in blocks {
            self.write_transactions(head.transaction, transactions)?;
            save::events(&self.connection, events, head.event)?;
            head = stored.head;
            save::block(&self.connection, &head, &stored.rows)?;
        }
        self.connection.execute_batch("COMMIT").map_err(Fault::Commit)?;
        self.head = head;
        let imported = || blocks.iter().flat_map(|block| &block.transactions);
        self.remember(before, imported, std::iter::empty());
        while self.wants_to_fold(false) {
            self.fold_slice(false)?;
        }
        Ok(())
    }
}

/// Nothing is decided in an import, so it does not matter by which rules.
fn no_rules(mode: Mode) -> Result<Rules, OpenError> {
    let grant = Money::from_minor(1, Currency::USD);
    Ok(Rules {
        mode,
        duplicate_window_ms: 0,
        hold_ttl_ms: 0,
        four_eyes_above: None,
        access_ttl_ms: 0,
        refresh_ttl_ms: 0,
        grant: grant.map_err(|error| OpenError::Unusable(error.to_string()))?,
        house_name: String::new(),
        webhooks: WebhookRules { most: 0, schedule_ms: Vec::new() },
        step_up_above: AmountLimits::OFF,
        risk: RiskRules { enabled: false, ..RiskRules::default() },
    })
}
