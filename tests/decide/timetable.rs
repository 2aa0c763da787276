//! The naive model of schedules: a list of everything that happened, gone through from its beginning after each step.

use farthing::ledger::{Missed, ScheduleId};

use super::GRANT_MINOR;

/// Four who pay, two who are paid, and an admin.
pub const PAYERS: usize = 4;
/// All of them.
pub const PEOPLE: usize = 7;
/// A day in milliseconds.
pub const DAY: i64 = 86_400_000;
const FIVE_MINUTES: i64 = 300_000;

/// A schedule as it was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub id: ScheduleId,
    pub owner: usize,
    pub payee: usize,
    pub minor: i64,
    pub at: i64,
    /// On how many days in a row.
    pub days: i64,
    pub missed: Missed,
}

/// Something that happened.
#[derive(Debug, Clone, Copy)]
pub enum Happened {
    Made(Plan),
    Ended {
        schedule: ScheduleId,
    },
    Frozen {
        user: usize,
        frozen: bool,
    },
    Added {
        user: usize,
        minor: i64,
    },
    /// The worker did what was due then.
    Worked {
        at: i64,
    },
}

/// How a schedule stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    pub id: ScheduleId,
    pub owner: usize,
    pub next: Option<i64>,
    pub runs: u64,
    /// For when the last run was, when it was made, and what became of it.
    pub last: Option<(i64, i64, &'static str)>,
    pub status: &'static str,
}

/// What all of it comes to.
#[derive(Debug, Default)]
pub struct Sum {
    pub wallets: [i64; PEOPLE],
    pub standings: Vec<Standing>,
    /// Each payment that was made or declined: when, by whom, how much, and whether it was made.
    pub payments: Vec<(i64, usize, i64, bool)>,
    frozen: [bool; PEOPLE],
}

impl Sum {
    /// Goes through the list.
    pub fn of(list: &[Happened]) -> Self {
        let mut sum = Self { wallets: [GRANT_MINOR; PEOPLE], ..Self::default() };
        let mut plans: Vec<Plan> = Vec::new();
        for happened in list {
            match *happened {
                Happened::Made(plan) => {
                    plans.push(plan);
                    sum.standings.push(Standing {
                        id: plan.id,
                        owner: plan.owner,
                        next: Some(plan.at),
                        runs: 0,
                        last: None,
                        status: "active",
                    });
                }
                Happened::Ended { schedule } => {
                    for standing in sum.standings.iter_mut().filter(|standing| standing.id == schedule) {
                        if standing.status == "active" {
                            (standing.status, standing.next) = ("cancelled", None);
                        }
                    }
                }
                Happened::Frozen { user, frozen } => sum.frozen[user] = frozen,
                Happened::Added { user, minor } => sum.wallets[user] += minor,
                Happened::Worked { at } => {
                    // Nobody has two that run, so that it does not matter which is first.
                    for (place, plan) in plans.iter().enumerate() {
                        while sum.standings[place].next.is_some_and(|next| next <= at) {
                            sum.run(place, plan, at);
                        }
                    }
                }
            }
        }
        sum
    }

    /// One run: paid, or left out because it was missed.
    fn run(&mut self, place: usize, plan: &Plan, at: i64) {
        let due = self.standings[place].next.unwrap();
        let every_day = (0..plan.days).map(|day| plan.at + day * DAY);
        let is_left_out = plan.missed == Missed::Skip && at > due + FIVE_MINUTES;
        let outcome = if is_left_out { "skipped" } else { self.pay(plan, at) };
        let standing = &mut self.standings[place];
        standing.runs += u64::from(!is_left_out);
        standing.last = Some((due, at, outcome));
        // What is made up for comes one after another; else the next one is to come.
        let since = if plan.missed == Missed::RunAll { due } else { at };
        standing.next = every_day.into_iter().find(|day| *day > since);
        if standing.next.is_none() {
            standing.status = "done";
        }
    }

    fn pay(&mut self, plan: &Plan, at: i64) -> &'static str {
        if self.frozen[plan.owner] {
            return "refused";
        }
        let is_paid = self.wallets[plan.owner] >= plan.minor;
        self.payments.push((at, plan.owner, plan.minor, is_paid));
        if !is_paid {
            return "declined";
        }
        self.wallets[plan.owner] -= plan.minor;
        self.wallets[plan.payee] += plan.minor;
        "paid"
    }

    /// The schedule of that owner that still runs.
    pub fn running(&self, owner: usize) -> Option<&Standing> {
        self.standings.iter().find(|standing| standing.owner == owner && standing.status == "active")
    }

    pub fn is_frozen(&self, user: usize) -> bool {
        self.frozen[user]
    }
}
