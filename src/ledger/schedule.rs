//! Schedules: payments that run by themselves, once at a time or by a recurrence rule (RFC 5545).
//!
//! The record is due when the schedule runs next. A run pays and says when the next one is in one change, and only if
//! the record is due when it says, so that each runs exactly once, whoever else tries. When a rule runs next is computed
//! outside, and carried by the command.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::chain::Hash;
use super::feed::ToldParty;
use super::{
    Caller, IdempotencyKey, Money, PaymentId, Record, RecordKind, ScheduleId, Stored, Timestamp, UserId,
};

/// A payment that runs by itself. The record's owner pays; the record is due at the next run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Who is paid.
    pub payee: UserId,
    /// By which name they were known when the schedule was made.
    pub payee_name: Option<String>,
    /// How much.
    pub money: Money,
    /// What for; empty if nothing was said.
    pub description: String,
    /// For the books; empty if nothing was said.
    pub reference: String,
    /// The first time.
    pub at: Timestamp,
    /// The rule, if it runs more than once.
    pub rule: Option<String>,
    /// What is done about runs that were missed.
    pub missed: Missed,
    /// How often it ran.
    pub runs: u64,
    /// What became of the last run.
    pub last: Option<LastRun>,
    /// What ended it, if anything did.
    pub end: Option<ScheduleEnd>,
    /// When it was to run first, where it was made under a key: what its key is answered with tells that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_due: Option<Timestamp>,
}

/// What is done about runs whose time passed while nothing ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// They are left out.
    Skip,
    /// One payment stands for all of them.
    RunOnce,
    /// Each is made up for.
    RunAll,
}

impl Missed {
    /// Every policy.
    pub const ALL: [Self; 3] = [Self::Skip, Self::RunOnce, Self::RunAll];

    /// The policy's name, as in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::RunOnce => "run_once",
            Self::RunAll => "run_all",
        }
    }

    /// The policy of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|missed| missed.name() == name)
    }
}

/// A run that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// For which time it was.
    pub due: Timestamp,
    /// When it ran.
    pub at: Timestamp,
    /// What became of it.
    pub outcome: RunOutcome,
}

impl LastRun {
    fn told(&self) -> Value {
        let (outcome, payment, reason) = match &self.outcome {
            RunOutcome::Paid(payment) => ("paid", Some(payment), None),
            RunOutcome::Declined(payment) => ("declined", Some(payment), None),
            RunOutcome::Refused(reason) => ("refused", None, Some(reason)),
            RunOutcome::Skipped => ("skipped", None, None),
        };
        json!({
            "due_at": self.due.to_string(),
            "at": self.at.to_string(),
            "outcome": outcome,
            "payment": payment,
            "reason": reason,
        })
    }
}

/// What became of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// It was paid.
    Paid(PaymentId),
    /// There was too little money.
    Declined(PaymentId),
    /// Nothing was tried, for this reason.
    Refused(String),
    /// It was missed, and left out.
    Skipped,
}

/// What ends a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleEnd {
    /// It has no further run.
    Done,
    /// Its owner ended it.
    Cancelled,
}

impl Schedule {
    /// What it is found by, where it was made under a key.
    pub fn lookup(owner: UserId, key: &IdempotencyKey) -> (RecordKind, Hash) {
        (Self::KIND, key.digest(owner))
    }

    /// How it stands, in the words of the API.
    pub const fn status(&self) -> &'static str {
        match self.end {
            None => "active",
            Some(ScheduleEnd::Done) => "done",
            Some(ScheduleEnd::Cancelled) => "cancelled",
        }
    }

    /// The schedule as its owner is told of it, in answers and in events.
    pub fn told(&self, record: &Record) -> Value {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        json!({
            "id": ScheduleId::new(record.key.id),
            "status": self.status(),
            "amount": self.money.to_string(),
            "currency": self.money.currency(),
            "to": ToldParty::new(self.payee, self.payee_name.as_deref()),
            "description": text(&self.description),
            "reference": text(&self.reference),
            "at": self.at.to_string(),
            "rrule": self.rule,
            "missed": self.missed,
            "next_at": record.filing.due_at.map(|at| at.to_string()),
            "runs": self.runs,
            "last": self.last.as_ref().map(LastRun::told),
            "created_at": record.created_at.to_string(),
        })
    }

    /// Every word for how one stands.
    pub const STATUSES: [&'static str; 3] = ["active", "done", "cancelled"];
}

/// Let a payment run by itself.
#[derive(Debug, Clone)]
pub struct MakeSchedule {
    /// Who pays.
    pub caller: Caller,
    /// The id that the schedule gets.
    pub id: ScheduleId,
    /// When it runs first.
    pub due: Timestamp,
    /// What it is to be.
    pub schedule: Schedule,
    /// The key under which the answer is repeated.
    pub key: Option<IdempotencyKey>,
}

/// Let a schedule run no more.
#[derive(Debug, Clone)]
pub struct EndSchedule {
    /// Who asks.
    pub caller: Caller,
    /// Which schedule.
    pub schedule: ScheduleId,
}

/// Run a schedule that is due.
#[derive(Debug, Clone)]
pub struct RunSchedule {
    /// Whose it is.
    pub owner: UserId,
    /// Who is paid.
    pub payee: UserId,
    /// How much.
    pub money: Money,
    /// Which schedule.
    pub schedule: ScheduleId,
    /// For which time. If it is not due for that any more, it has run.
    pub due: Timestamp,
    /// The id that the payment gets.
    pub payment: PaymentId,
    /// Whether the run is left out, because it was missed.
    pub skips: bool,
    /// When it runs next; none if it does not.
    pub next: Option<Timestamp>,
}
