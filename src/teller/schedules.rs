//! Schedules: made, listed, ended, and run when they are due.
//!
//! When a rule runs is computed here and nowhere else, within bounds: at most [`MAX_RUNS`] runs, at least an hour between
//! two of them, the first within [`MAX_AHEAD_MS`]. A rule outside of them is refused when the schedule is made.

use std::sync::Arc;

use rrule::RRuleSet;
use sha2::{Digest, Sha256};

use crate::ledger::{
    Action, EndSchedule, IdempotencyKey, MakeSchedule, Memo, Missed, Money, Origin, PaymentId, Record,
    RecordKey, RunSchedule, Schedule, ScheduleId, Stored, Timestamp,
};
use crate::store::{Order, Page, PageRequest, RecordQuery, StoreError};

use super::{Identity, Recipient, Teller, TellerError, expect_record};

/// The most runs that a rule may have; it ends with the last of them.
const MAX_RUNS: usize = 10_000;
/// The least time between two runs.
const LEAST_GAP_MS: i64 = 3_600_000;
/// How far ahead the first run may be: five years.
const MAX_AHEAD_MS: i64 = 5 * 366 * 86_400_000;
/// How late a run may be that is not missed yet.
const GRACE_MS: i64 = 5 * 60_000;
/// Runs of a rule that are looked at for their distance.
const LOOKED_AT: usize = 400;
/// The longest rule.
const MAX_RULE: usize = 300;
/// Schedules that are run before the others of the worker have their turn.
const AT_ONCE: usize = 100;

/// A schedule that somebody wants.
#[derive(Debug, Clone)]
pub struct NewSchedule {
    /// To whom.
    pub to: Recipient,
    /// How much.
    pub money: Money,
    /// What is said about it; of it the description and the reference are kept.
    pub memo: Memo,
    /// The first time.
    pub at: Timestamp,
    /// The rule, if it runs more than once.
    pub rule: Option<String>,
    /// What is done about missed runs.
    pub missed: Missed,
    /// The key under which the answer is repeated.
    pub key: Option<IdempotencyKey>,
}

/// What is wrong with when a schedule is to run: a stable code and a sentence that names the cure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RuleFault {
    /// The first time is over.
    #[error("must be in the future")]
    Past,
    /// The first time is too far away.
    #[error("must be within five years")]
    TooFar,
    /// It is no rule.
    #[error(
        "must be a recurrence rule (RFC 5545) such as \"FREQ=MONTHLY;BYMONTHDAY=1\", of at most 300 characters"
    )]
    Malformed,
    /// It runs too often.
    #[error(
        "must leave an hour at least between two runs; use FREQ=HOURLY, DAILY, WEEKLY, MONTHLY or YEARLY"
    )]
    TooOften,
    /// It never runs.
    #[error("never comes to pass; check its days, and that it ends after 'at'")]
    Never,
}

impl RuleFault {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Past => "in_the_past",
            Self::TooFar => "too_far",
            Self::Malformed => "malformed_rule",
            Self::TooOften => "too_often",
            Self::Never => "never_runs",
        }
    }

    /// The field that it is about.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Past | Self::TooFar => "at",
            Self::Malformed | Self::TooOften | Self::Never => "rrule",
        }
    }
}

/// When a schedule first runs.
///
/// # Errors
/// [`RuleFault`].
pub fn first_run(at: Timestamp, rule: Option<&str>, now: Timestamp) -> Result<Timestamp, RuleFault> {
    if at < now {
        return Err(RuleFault::Past);
    }
    if at > now.plus_millis(MAX_AHEAD_MS) {
        return Err(RuleFault::TooFar);
    }
    let Some(rule) = rule else { return Ok(at) };
    let set = read_rule(at, rule)?;
    let runs: Vec<i64> = set.into_iter().take(LOOKED_AT).map(|run| run.timestamp_millis()).collect();
    let gaps = runs.windows(2).filter_map(|pair| Some(pair.last()?.saturating_sub(*pair.first()?)));
    if gaps.min().is_some_and(|gap| gap < LEAST_GAP_MS) {
        return Err(RuleFault::TooOften);
    }
    let first = runs.first().copied().map(Timestamp::from_millis).ok_or(RuleFault::Never)?;
    if first > now.plus_millis(MAX_AHEAD_MS) { Err(RuleFault::Never) } else { Ok(first) }
}

/// When the schedule runs next after a time; none if it does not.
fn next_run(schedule: &Schedule, after: Timestamp) -> Option<Timestamp> {
    let set = read_rule(schedule.at, schedule.rule.as_deref()?).ok()?;
    let mut runs = set.into_iter().take(MAX_RUNS).map(|run| run.timestamp_millis());
    runs.find(|run| *run > after.as_millis()).map(Timestamp::from_millis)
}

/// A rule that begins at that time. What it gives is bounded by the library's own limits, too: a rule that no date can
/// fulfil ends.
fn read_rule(at: Timestamp, rule: &str) -> Result<RRuleSet, RuleFault> {
    let rule = rule.to_ascii_uppercase();
    let rule = rule.strip_prefix("RRULE:").unwrap_or(&rule);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"=;,+-".contains(&byte);
    if rule.len() > MAX_RULE || !rule.bytes().all(is_plain) {
        return Err(RuleFault::Malformed);
    }
    if rule.contains("FREQ=SECONDLY") || rule.contains("FREQ=MINUTELY") {
        return Err(RuleFault::TooOften);
    }
    // Whole seconds are what a rule can say.
    let start: String = at.to_string().chars().take(19).filter(char::is_ascii_alphanumeric).collect();
    let set: Result<RRuleSet, _> = format!("DTSTART:{start}Z\nRRULE:{rule}").parse();
    set.map(RRuleSet::limit).map_err(|_| RuleFault::Malformed)
}

impl Teller {
    /// Makes a schedule; also says whether this is the first answer to its key, given again.
    ///
    /// # Errors
    /// `Refusal::RecipientNotFound`, `Refusal::SelfPayment`, `Refusal::AccountFrozen`,
    /// `Refusal::IdempotencyKeyReused`, [`TellerError::Schedule`]; faults of the store.
    pub async fn make_schedule(
        &self,
        who: &Identity,
        origin: Origin,
        new: NewSchedule,
    ) -> Result<(Arc<Record>, bool), TellerError> {
        let NewSchedule { to, money, memo, at, rule, missed, key } = new;
        let due = match first_run(at, rule.as_deref(), self.clock.now()) {
            Ok(due) => due,
            // What was answered once is answered again, whatever time it is by now.
            Err(_) if self.has_made_schedule(who, key.as_ref()).await? => at,
            Err(fault) => return Err(TellerError::Schedule(fault)),
        };
        let payee = self.payee(&to).await?;
        let schedule = Schedule {
            payee: payee.id,
            payee_name: payee.name,
            money,
            description: memo.description,
            reference: memo.reference,
            at,
            rule,
            missed,
            runs: 0,
            last: None,
            end: None,
            first_due: None,
        };
        let id = ScheduleId::new(self.clock.uuid()?);
        let make = MakeSchedule { caller: who.caller, id, due, schedule, key };
        let (reply, replayed) = self.execute(origin, Action::MakeSchedule(make)).await?;
        Ok((expect_record(reply)?, replayed))
    }

    async fn has_made_schedule(
        &self,
        who: &Identity,
        key: Option<&IdempotencyKey>,
    ) -> Result<bool, TellerError> {
        let Some(key) = key else { return Ok(false) };
        let (kind, lookup) = Schedule::lookup(who.user.id, key);
        Ok(self.store.record_by_lookup(kind, lookup).await?.is_some())
    }

    /// Ends one of the caller's schedules. One that has ended stays as it is.
    ///
    /// # Errors
    /// `Refusal::ScheduleNotFound`, `Refusal::AccountFrozen`; faults of the store.
    pub async fn end_schedule(
        &self,
        who: &Identity,
        origin: Origin,
        schedule: ScheduleId,
    ) -> Result<Arc<Record>, TellerError> {
        let end = EndSchedule { caller: who.caller, schedule };
        expect_record(self.execute(origin, Action::EndSchedule(end)).await?.0)
    }

    /// The caller's own schedules, newest first.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn schedules(
        &self,
        who: &Identity,
        page: PageRequest,
    ) -> Result<Page<Arc<Record>>, TellerError> {
        let (kind, owner, order) = (Schedule::KIND, Some(who.user.id), Order::NewestFirst);
        let found = self.store.records(RecordQuery { kind, owner, parent: None, order, page }).await?;
        Ok(Page { rows: found.rows.into_iter().map(|(_, record)| record).collect(), next: found.next })
    }

    /// One of the caller's own schedules, if there is one of that id.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn schedule(&self, who: &Identity, id: ScheduleId) -> Result<Option<Arc<Record>>, TellerError> {
        let record = self.store.record(RecordKey::of::<Schedule>(id.uuid())).await?;
        Ok(record.filter(|record| record.filing.owner == who.user.id))
    }

    /// Runs what is due; called by the worker of every node. What another node has run by now is left alone by the
    /// decision. Says how many runs there were.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn run_schedules(&self) -> Result<usize, TellerError> {
        let mut runs: usize = 0;
        while runs < AT_ONCE {
            let due = self.store.due_records(Schedule::KIND, self.clock.now(), AT_ONCE).await?;
            if due.is_empty() {
                break;
            }
            for record in due {
                self.run_schedule(&record).await?;
                runs = runs.saturating_add(1);
            }
        }
        Ok(runs)
    }

    async fn run_schedule(&self, record: &Record) -> Result<(), TellerError> {
        let damaged = || StoreError::Damaged(format!("records row {}: it cannot be read", record.key));
        let schedule: Schedule = record.read().ok_or_else(damaged)?;
        let due = record.filing.due_at.ok_or_else(damaged)?;
        let now = self.clock.now();
        let is_missed = now > due.plus_millis(GRACE_MS);
        let (skips, next) = match schedule.missed {
            Missed::RunAll => (false, next_run(&schedule, due)),
            Missed::RunOnce => (false, next_run(&schedule, now.max(due))),
            Missed::Skip => (is_missed, next_run(&schedule, now.max(due))),
        };
        let id = ScheduleId::new(record.key.id);
        let run = RunSchedule {
            owner: record.filing.owner,
            payee: schedule.payee,
            money: schedule.money,
            schedule: id,
            due,
            payment: payment_id(id, due),
            skips,
            next,
        };
        match self.execute(self.host_origin()?, Action::RunSchedule(run)).await {
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The payment of a run has an id that follows from it, so that whoever tries a run tries the same payment: a `UUIDv7`
/// (RFC 9562) of the time that the run is due, and of a hash where others have random bits.
fn payment_id(schedule: ScheduleId, due: Timestamp) -> PaymentId {
    let mut hasher = Sha256::new();
    hasher.update(b"scheduled payment");
    hasher.update(schedule.uuid().as_bytes());
    hasher.update(due.as_millis().to_be_bytes());
    let digest: [u8; 32] = hasher.finalize().into();
    let mut id = [0; 10];
    id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    let due_ms = u64::try_from(due.as_millis()).unwrap_or_default();
    PaymentId::new(uuid::Builder::from_unix_timestamp_millis(due_ms, &id).into_uuid())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// 2026-01-31T09:30:00Z.
    const AT: Timestamp = Timestamp::from_millis(1_769_851_800_000);

    #[rstest]
    #[case("FREQ=DAILY", Ok("2026-01-31T09:30:00.000Z"))]
    #[case("RRULE:FREQ=MONTHLY;BYMONTHDAY=1", Ok("2026-02-01T09:30:00.000Z"))]
    #[case("freq=weekly;byday=mo;count=3", Ok("2026-02-02T09:30:00.000Z"))]
    #[case("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", Ok("2028-02-29T09:30:00.000Z"))]
    #[case("FREQ=HOURLY", Ok("2026-01-31T09:30:00.000Z"))]
    #[case("FREQ=SECONDLY", Err(RuleFault::TooOften))]
    #[case("FREQ=MINUTELY;INTERVAL=90", Err(RuleFault::TooOften))]
    #[case("FREQ=DAILY;BYHOUR=9,10;BYMINUTE=0,30", Err(RuleFault::TooOften))]
    #[case("FREQ=HOURLY;BYSECOND=0,1,2", Err(RuleFault::TooOften))]
    #[case("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", Err(RuleFault::Never))]
    #[case("FREQ=YEARLY;INTERVAL=1000;BYMONTH=1;BYMONTHDAY=1", Err(RuleFault::Never))]
    #[case("FREQ=DAILY;UNTIL=20200101T000000Z", Err(RuleFault::Malformed))]
    #[case("FREQ=DAILY;COUNT=0", Err(RuleFault::Never))]
    #[case("FREQ=FORTNIGHTLY", Err(RuleFault::Malformed))]
    #[case("every day", Err(RuleFault::Malformed))]
    #[case("", Err(RuleFault::Malformed))]
    #[case("FREQ=DAILY\nRDATE:20260101T000000Z", Err(RuleFault::Malformed))]
    #[case("FREQ=DAILY;UNTIL=99991231T235959Z", Ok("2026-01-31T09:30:00.000Z"))]
    fn a_rule_runs_when_it_says_or_is_refused(#[case] rule: &str, #[case] expected: Result<&str, RuleFault>) {
        let first = first_run(AT, Some(rule), AT).map(|first| first.to_string());
        assert_eq!(first, expected.map(str::to_owned), "{rule}");
    }

    #[test]
    fn the_first_time_is_neither_over_nor_far_away() {
        assert_eq!(first_run(AT, None, AT.plus_millis(1)), Err(RuleFault::Past));
        assert_eq!(first_run(AT.plus_millis(MAX_AHEAD_MS + 1), None, AT), Err(RuleFault::TooFar));
        assert_eq!(first_run(AT, None, AT), Ok(AT));
    }
}
