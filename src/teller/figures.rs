//! Figures of the last two weeks, for the desk: counted from the journal and the security events as these grow.
//!
//! Nothing is counted while nobody looks, and nothing twice: a look reads what is new since the one before, a piece of
//! [`PIECE`] rows (about a millisecond) before it answers and the rest beside it. The first look after a start has two weeks
//! to count, some microseconds a row: until that is done the figures say that they are not complete. Each node counts for
//! itself and keeps a few numbers for each hour and currency; of another ledger that takes the place of this one it begins anew.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::ledger::{
    Currency, EventKind, SecurityEvent, SecurityEventId, Severity, Timestamp, Transaction, TransactionKind,
};
use crate::store::oversight::EventQuery;
use crate::store::{JournalQuery, LedgerName, PageRequest};

use super::{Teller, TellerError};

/// Over how many hours is counted: two weeks, and the one that has begun.
const HOURS: i64 = 14 * 24;
/// Over how many minutes payments are counted one by one.
const MINUTES: i64 = 60;
/// Rows that are read at a time.
const PIECE: usize = 500;
/// Security events that are read first: mostly there are no more.
const FEW: usize = 20;
const HOUR_MS: i64 = 3_600_000;
const MINUTE_MS: i64 = 60_000;

/// What happened in a span of time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Payments that were made, held ones included.
    pub payments: u64,
    /// How much that was, in minor units, by currency.
    pub volumes: BTreeMap<Currency, i128>,
    /// Payments that were declined, by why.
    pub declines: BTreeMap<&'static str, u64>,
    /// Logins that failed.
    pub login_failures: u64,
    /// Security events of severity high.
    pub grave: u64,
}

impl Tally {
    /// Payments that were declined.
    pub fn declined(&self) -> u64 {
        self.declines.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    fn add(&mut self, other: &Self) {
        self.payments = self.payments.saturating_add(other.payments);
        for (currency, minor) in &other.volumes {
            let volume = self.volumes.entry(*currency).or_default();
            *volume = volume.saturating_add(*minor);
        }
        for (why, count) in &other.declines {
            let declined = self.declines.entry(why).or_default();
            *declined = declined.saturating_add(*count);
        }
        self.login_failures = self.login_failures.saturating_add(other.login_failures);
        self.grave = self.grave.saturating_add(other.grave);
    }

    fn count(&mut self, payment: &Transaction) {
        if let Some(decline) = payment.decline {
            let declined = self.declines.entry(decline.name()).or_default();
            *declined = declined.saturating_add(1);
        } else {
            self.payments = self.payments.saturating_add(1);
            let volume = self.volumes.entry(payment.money.currency()).or_default();
            *volume = volume.saturating_add(i128::from(payment.money.amount_minor()));
        }
    }

    fn count_event(&mut self, event: &SecurityEvent) {
        if event.kind == EventKind::LoginFail {
            self.login_failures = self.login_failures.saturating_add(times(event));
        }
        if event.severity == Severity::High {
            self.grave = self.grave.saturating_add(1);
        }
    }
}

/// How often it happened: a row without a known user may stand for many.
fn times(event: &SecurityEvent) -> u64 {
    let detail: BTreeMap<String, String> = serde_json::from_str(&event.detail).unwrap_or_default();
    detail.get("count").and_then(|count| count.parse().ok()).unwrap_or(1)
}

/// The figures as far as they are counted.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// By hours since 1970.
    hours: BTreeMap<i64, Tally>,
    /// Payments by minutes since 1970.
    minutes: BTreeMap<i64, u64>,
    /// Whether everything is counted that there was.
    pub is_complete: bool,
}

impl Figures {
    /// What happened from this hour on and before that one, in hours since 1970.
    pub fn between(&self, from: i64, to: i64) -> Tally {
        let mut sum = Tally::default();
        for (_, hour) in self.hours.range(from..to.max(from)) {
            sum.add(hour);
        }
        sum
    }

    /// The payments of a minute, in minutes since 1970.
    pub fn minute(&self, minute: i64) -> u64 {
        self.minutes.get(&minute).copied().unwrap_or_default()
    }

    fn count(&mut self, transaction: &Transaction) {
        if transaction.kind == TransactionKind::Payment {
            let at = transaction.created_at.as_millis();
            self.hours.entry(at.div_euclid(HOUR_MS)).or_default().count(transaction);
            if transaction.decline.is_none() {
                let minute = self.minutes.entry(at.div_euclid(MINUTE_MS)).or_default();
                *minute = minute.saturating_add(1);
            }
        }
    }

    fn count_event(&mut self, event: &SecurityEvent) {
        if event.kind == EventKind::LoginFail || event.severity == Severity::High {
            self.hours.entry(event.at.as_millis().div_euclid(HOUR_MS)).or_default().count_event(event);
        }
    }

    /// Forgets what is past.
    fn forget(&mut self, now: Timestamp) {
        self.hours = self.hours.split_off(&now.as_millis().div_euclid(HOUR_MS).saturating_sub(HOURS));
        let minute = now.as_millis().div_euclid(MINUTE_MS).saturating_sub(MINUTES);
        self.minutes = self.minutes.split_off(&minute);
    }
}

/// How far it was counted.
#[derive(Debug, Default)]
struct Counted {
    /// Of which ledger.
    ledger: Option<LedgerName>,
    figures: Figures,
    /// The last transaction that is counted; none before the first look.
    transaction: Option<u64>,
    /// The last security event that is counted.
    event: Option<SecurityEventId>,
}

/// What the teller keeps of it.
#[derive(Debug, Default)]
pub(super) struct Counting {
    counted: tokio::sync::Mutex<Counted>,
    shown: Mutex<Arc<Figures>>,
}

impl Counting {
    fn shown(&self) -> Arc<Figures> {
        Arc::clone(&self.shown.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn show(&self, figures: &Figures) {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(figures.clone());
    }
}

impl Teller {
    /// The figures, with what is new since somebody last looked; where that is much, it is counted beside this.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn figures(self: &Arc<Self>) -> Result<Arc<Figures>, TellerError> {
        // Whoever counts already counts for everybody.
        if let Ok(mut counted) = self.counting.counted.try_lock()
            && self.count_piece(&mut counted).await?
        {
            drop(counted);
            let teller = Arc::clone(self);
            tokio::spawn(async move {
                if let Err(error) = teller.count_on().await {
                    // The next look goes on where this one ended.
                    tracing::debug!(%error, "figures could not be counted: {error}");
                }
            });
        }
        Ok(self.counting.shown())
    }

    async fn count_on(&self) -> Result<(), TellerError> {
        let mut counted = self.counting.counted.lock().await;
        while self.count_piece(&mut counted).await? {}
        Ok(())
    }

    /// Counts the next rows; says whether there are more. What is complete is shown.
    async fn count_piece(&self, counted: &mut Counted) -> Result<bool, TellerError> {
        let ledger = Some(self.store.name().await?);
        if counted.ledger != ledger {
            *counted = Counted { ledger, ..Counted::default() };
            self.counting.show(&counted.figures);
        }
        let now = self.clock.now();
        let since = Timestamp::from_millis(
            now.as_millis().div_euclid(HOUR_MS).saturating_sub(HOURS).saturating_mul(HOUR_MS),
        );
        let after = match counted.transaction {
            Some(transaction) => transaction,
            None => self.transaction_before(since).await?,
        };
        counted.transaction = Some(after);
        let rows = self.store.journal(JournalQuery { seer: None, after, limit: PIECE }).await?;
        for row in &rows {
            counted.figures.count(&row.transaction);
            counted.transaction = Some(row.sequence);
        }
        if rows.len() >= PIECE {
            return Ok(true);
        }
        self.count_events(counted, since).await?;
        counted.figures.forget(now);
        counted.figures.is_complete = true;
        self.counting.show(&counted.figures);
        Ok(false)
    }

    /// Counts the security events that came since the last one that is counted, the newest first.
    async fn count_events(&self, counted: &mut Counted, since: Timestamp) -> Result<(), TellerError> {
        let mut page = PageRequest { after: None, limit: FEW };
        let mut fresh = Vec::new();
        let mut newest = None;
        'pages: loop {
            let query = EventQuery { kind: None, severity: None, user: None, from: None, to: None, page };
            let found = self.store.find_events(query).await?;
            newest = newest.or(found.rows.first().map(|event| event.id));
            for event in found.rows {
                if Some(event.id) == counted.event || event.at < since {
                    break 'pages;
                }
                if event.kind == EventKind::LoginFail || event.severity == Severity::High {
                    fresh.push(event);
                }
            }
            page = PageRequest { after: found.next, limit: PIECE };
            if page.after.is_none() {
                break;
            }
        }
        // Only when all are there: a fault in between would count some of them twice.
        for event in &fresh {
            counted.figures.count_event(event);
        }
        counted.event = newest.or(counted.event);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_add_up_and_what_is_past_is_forgotten() {
        let mut figures = Figures::default();
        for hour in [0, 1, 2, HOURS] {
            let tally = figures.hours.entry(hour).or_default();
            tally.payments = 1;
            tally.volumes.insert(Currency::USD, 250);
            tally.declines.insert("insufficient_funds", 2);
        }
        let sum = figures.between(0, 2);
        assert_eq!((sum.payments, sum.declined(), sum.volumes.get(&Currency::USD)), (2, 4, Some(&500)));
        assert_eq!(figures.between(5, 1), Tally::default());
        figures.minutes.insert(7, 3);
        figures.forget(Timestamp::from_millis(HOUR_MS * (HOURS + 2)));
        assert_eq!((figures.between(0, HOURS + 1).payments, figures.minute(7)), (2, 0));
    }
}
