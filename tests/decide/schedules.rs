//! Random schedules, made, ended, and run by two workers over one store in memory, while a sandbox's clock is moved,
//! against a naive model. After each step every schedule stands as the model says, each payment is there once, and every
//! wallet is what they add up to.

use std::collections::BTreeSet;
use std::sync::Arc;

use farthing::auth::hasher::{Hasher, Pepper};
use farthing::auth::keyring::Keyring;
use farthing::auth::password::Policy;
use farthing::auth::seal::Sealer;
use farthing::auth::throttle::Throttle;
use farthing::clock::Clock;
use farthing::ledger::{
    AccountKind, Action, Authority, Caller, ChangeUser, Currency, EndSchedule, EventKind, Memo, Missed,
    Money, MoveClock, Outcome, PaymentId, RecordKey, Refusal, Reply, Role, Rules, RunOutcome, RunSchedule,
    Schedule, ScheduleId, SessionKind, Timestamp, Topup, TopupMethod, Transaction, TransactionId,
    TransactionKind,
};
use farthing::store::memory::MemoryStore;
use farthing::store::oversight::EventQuery;
use farthing::store::{JournalQuery, PageRequest, Store};
use farthing::teller::{Identity, NewSchedule, Recipient, Teller, TellerError, TellerParts};
use farthing::webhook::{Guard, TargetRules};

use super::random::Random;
use super::timetable::{DAY, Happened, PAYERS, PEOPLE, Plan, Standing, Sum};
use super::{Dice, command, newcomer, rules, with_seeds};

const ADMIN: usize = PEOPLE - 1;
const WORLDS: u32 = 12;
const STEPS: u32 = 250;

/// What was said, without its details.
fn said(result: Result<(), Refusal>) -> &'static str {
    match result {
        Ok(()) => "yes",
        Err(Refusal::AccountFrozen) => "frozen",
        Err(Refusal::PermissionDenied) => "denied",
        Err(Refusal::ScheduleNotFound) => "not found",
        Err(Refusal::SelfPayment) => "self",
        Err(other) => panic!("{other:?}"),
    }
}

struct World {
    dice: Dice,
    clock: Clock,
    store: Arc<MemoryStore>,
    /// Two, as on two nodes.
    tellers: [Teller; 2],
    callers: Vec<Caller>,
    list: Vec<Happened>,
    /// How often the clock was moved by somebody who may.
    moved: usize,
}

fn teller(store: &Arc<MemoryStore>, clock: &Clock, rules: &Rules) -> Teller {
    let store: Arc<dyn Store> = Arc::<MemoryStore>::clone(store);
    Teller::new(TellerParts {
        store,
        clock: clock.clone(),
        rules: rules.clone(),
        hasher: Hasher::start(1, 1, Pepper::default(), clock.clone()).unwrap(),
        policy: Policy::default(),
        throttle: Throttle::new(None),
        sealer: Sealer::new(Keyring::random(clock).unwrap(), clock.clone()),
        proofs: None,
        verifier: Arc::new(|| Err("nothing is verified here".into())),
        targets: TargetRules { guard: Guard::default(), ports: Vec::new(), allow_http: false },
    })
}

impl World {
    async fn new(seed: u64) -> Self {
        // Sessions do not end here: days go by.
        let rules = Rules { access_ttl_ms: i64::MAX / 4, ..rules() };
        let clock = Clock::fixed(Timestamp::from_millis(1_800_000_000_000));
        let store = Arc::new(MemoryStore::new(rules.clone(), clock.clone()));
        let tellers = [(); 2].map(|()| teller(&store, &clock, &rules));
        let (mut callers, mut dice) = (Vec::new(), Dice(Random::new(seed)));
        for number in 0..PEOPLE {
            let (caller, actions) = newcomer(&mut dice, number);
            for action in actions {
                store.execute(command(&mut dice, action)).await.unwrap().result.unwrap();
            }
            callers.push(caller);
        }
        let mut world = Self { dice, clock, store, tellers, callers, list: Vec::new(), moved: 0 };
        let (by, user) = (Authority::Host, world.callers[ADMIN].user);
        let promote = ChangeUser { by, user, role: Some(Role::Admin), frozen: None };
        world.execute(Action::ChangeUser(promote)).await.result.unwrap();
        world
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.dice.below(u64::try_from(bound).unwrap())).unwrap()
    }

    async fn execute(&mut self, action: Action) -> Outcome {
        let command = command(&mut self.dice, action);
        self.store.execute(command).await.unwrap()
    }

    async fn step(&mut self, answers: &mut BTreeSet<&'static str>) {
        let answer = match self.dice.below(20) {
            0..6 => self.make().await,
            6 => self.end().await,
            7 => self.freeze().await,
            8 | 9 => self.add().await,
            10..14 => self.move_clock().await,
            14..16 => self.run_again().await,
            _ => self.work().await,
        };
        answers.insert(answer);
    }

    async fn make(&mut self) -> &'static str {
        let owner = self.below(PAYERS);
        let payee = if self.dice.below(8) == 0 { owner } else { PAYERS + self.below(2) };
        let sum = Sum::of(&self.list);
        if sum.running(owner).is_some() {
            return "yes";
        }
        let now = self.clock.now().as_millis();
        let minor = self.dice.pick(&[1, 10_000, 45_000]);
        // Whole seconds are what a rule can say.
        let at = now - now % 1_000 + self.dice.pick(&[1_000, 3_600_000, DAY]);
        let (days, missed) = (self.dice.pick(&[1, 2, 5]), self.dice.pick(&Missed::ALL));
        let user = self.store.user(self.callers[owner].user).await.unwrap().unwrap();
        let who =
            Identity { caller: self.callers[owner], user, kind: SessionKind::Login, is_recalled: false };
        let new = NewSchedule {
            to: Recipient::Id(self.callers[payee].user),
            money: Money::from_minor(minor, Currency::USD).unwrap(),
            memo: Memo::default(),
            at: Timestamp::from_millis(at),
            rule: (days > 1).then(|| format!("FREQ=DAILY;COUNT={days}")),
            missed,
            key: None,
        };
        let origin = command(&mut self.dice, Action::Note(Vec::new())).origin;
        let made = self.tellers[0].make_schedule(&who, origin, new).await.map(|(record, _)| record);
        let expected = match (sum.is_frozen(owner), payee == owner) {
            (true, _) => "frozen",
            (false, true) => "self",
            (false, false) => "yes",
        };
        match made {
            Ok(record) => {
                assert_eq!(expected, "yes");
                let id = ScheduleId::new(record.key.id);
                self.list.push(Happened::Made(Plan { id, owner, payee, minor, at, days, missed }));
            }
            Err(TellerError::Refused { refusal, .. }) => assert_eq!(said(Err(refusal)), expected),
            Err(other) => panic!("{other}"),
        }
        expected
    }

    async fn end(&mut self) -> &'static str {
        let sum = Sum::of(&self.list);
        if sum.standings.is_empty() {
            return "yes";
        }
        let standing = sum.standings[self.below(sum.standings.len())].clone();
        let user = if self.dice.below(4) == 0 { self.below(PEOPLE) } else { standing.owner };
        let end = EndSchedule { caller: self.callers[user], schedule: standing.id };
        let outcome = self.execute(Action::EndSchedule(end)).await;
        let expected = match (sum.is_frozen(user), user == standing.owner) {
            (true, _) => "frozen",
            (false, false) => "not found",
            (false, true) => "yes",
        };
        assert_eq!(said(outcome.result.map(|_| ())), expected);
        if expected == "yes" {
            self.list.push(Happened::Ended { schedule: standing.id });
        }
        expected
    }

    async fn freeze(&mut self) -> &'static str {
        let (user, frozen) = (self.below(PEOPLE), self.dice.below(3) == 0);
        let (by, whom) = (Authority::Host, self.callers[user].user);
        let change = ChangeUser { by, user: whom, role: None, frozen: Some(frozen) };
        self.execute(Action::ChangeUser(change)).await.result.unwrap();
        self.list.push(Happened::Frozen { user, frozen });
        "yes"
    }

    async fn add(&mut self) -> &'static str {
        let (user, minor) = (self.below(PAYERS), 60_000);
        let topup = Topup {
            caller: self.callers[user],
            transaction: TransactionId::new(self.dice.uuid()),
            money: Money::from_minor(minor, Currency::USD).unwrap(),
            method: TopupMethod::Ok,
            key: None,
        };
        let outcome = self.execute(Action::Topup(topup)).await;
        let expected = if Sum::of(&self.list).is_frozen(user) { "frozen" } else { "yes" };
        assert_eq!(said(outcome.result.map(|_| ())), expected);
        if expected == "yes" {
            self.list.push(Happened::Added { user, minor });
        }
        expected
    }

    /// Time goes by, at once; who moved the clock writes it down.
    async fn move_clock(&mut self) -> &'static str {
        let minute = 60_000;
        let by_ms = self.dice.pick(&[minute, 4 * minute, 5 * minute, 6 * minute, 3_600_000, DAY, 3 * DAY]);
        let before = self.clock.now();
        self.clock.advance_ms(by_ms);
        let user = if self.dice.below(4) == 0 { self.below(PEOPLE) } else { ADMIN };
        let outcome =
            self.execute(Action::MoveClock(MoveClock { caller: self.callers[user], before, by_ms })).await;
        let expected = match (user == ADMIN, Sum::of(&self.list).is_frozen(user)) {
            (false, _) => "denied",
            (true, true) => "frozen",
            (true, false) => "yes",
        };
        self.moved += usize::from(expected == "yes");
        assert_eq!(said(outcome.result.map(|_| ())), expected);
        expected
    }

    /// What one of two workers does until nothing is due.
    async fn work(&mut self) -> &'static str {
        let node = self.below(2);
        while self.tellers[node].run_schedules().await.unwrap() > 0 {}
        self.list.push(Happened::Worked { at: self.clock.now().as_millis() });
        "yes"
    }

    /// A worker that read a schedule before another ran it, or whose clock is ahead, asks for a run.
    async fn run_again(&mut self) -> &'static str {
        let plan_of = |happened: &Happened| match happened {
            Happened::Made(plan) => Some(*plan),
            _ => None,
        };
        let made: Vec<Plan> = self.list.iter().filter_map(plan_of).collect();
        if made.is_empty() {
            return "yes";
        }
        let plan = self.dice.pick(&made);
        let due = plan.at + i64::try_from(self.below(6)).unwrap() * DAY;
        let standing =
            Sum::of(&self.list).standings.into_iter().find(|standing| standing.id == plan.id).unwrap();
        if standing.next == Some(due) && due <= self.clock.now().as_millis() {
            return "yes";
        }
        let run = RunSchedule {
            owner: self.callers[plan.owner].user,
            payee: self.callers[plan.payee].user,
            money: Money::from_minor(plan.minor, Currency::USD).unwrap(),
            schedule: plan.id,
            due: Timestamp::from_millis(due),
            payment: PaymentId::new(self.dice.uuid()),
            skips: self.dice.below(2) == 0,
            next: None,
        };
        assert_eq!(self.execute(Action::RunSchedule(run)).await.result, Ok(Reply::Done), "{standing:?}");
        "nothing due"
    }

    async fn journal(&self) -> Vec<Arc<Transaction>> {
        let query = JournalQuery { seer: None, after: 0, limit: usize::MAX };
        let rows = self.store.journal(query).await.unwrap();
        rows.into_iter().map(|row| row.transaction).collect()
    }

    async fn check(&self) {
        let sum = Sum::of(&self.list);
        for (user, caller) in self.callers.iter().enumerate() {
            let wallets = self.store.wallets(caller.user).await.unwrap();
            let wallet = wallets.iter().find(|account| account.kind == AccountKind::Wallet);
            assert_eq!(wallet.map_or(0, |wallet| wallet.balance.amount_minor), sum.wallets[user]);
        }
        for standing in &sum.standings {
            assert_eq!(self.found(standing).await, *standing);
        }
        let journal = self.journal().await;
        let payments = journal.iter().filter(|row| row.kind == TransactionKind::Payment);
        let payer = |row: &Transaction| self.callers.iter().position(|caller| caller.user == row.from.id);
        let mut found: Vec<_> = payments
            .map(|row| {
                (
                    row.created_at.as_millis(),
                    payer(row).unwrap(),
                    row.money.amount_minor(),
                    row.decline.is_none(),
                )
            })
            .collect();
        let mut expected = sum.payments;
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }

    /// The schedule as the store has it.
    async fn found(&self, standing: &Standing) -> Standing {
        let record = self.store.record(RecordKey::of::<Schedule>(standing.id.uuid())).await.unwrap().unwrap();
        let schedule: Schedule = record.read().unwrap();
        let last = schedule.last.as_ref().map(|last| {
            let outcome = match last.outcome {
                RunOutcome::Paid(_) => "paid",
                RunOutcome::Declined(_) => "declined",
                RunOutcome::Refused(_) => "refused",
                RunOutcome::Skipped => "skipped",
            };
            (last.due.as_millis(), last.at.as_millis(), outcome)
        });
        let owner = self.callers.iter().position(|caller| caller.user == record.filing.owner).unwrap();
        let (next, status) = (record.filing.due_at.map(Timestamp::as_millis), schedule.status());
        Standing { id: standing.id, owner, next, runs: schedule.runs, last, status }
    }

    /// Each move of the clock was written down once.
    async fn check_moves(&self) {
        let (kind, page) = (Some(EventKind::PrivilegeUse), PageRequest { after: None, limit: usize::MAX });
        let query = EventQuery { kind, severity: None, user: None, from: None, to: None, page };
        let events = farthing::store::oversight::Oversight::find_events(&*self.store, query).await.unwrap();
        let moves = events.rows.iter().filter(|event| event.detail.contains("move_clock"));
        assert_eq!(moves.count(), self.moved);
    }
}

async fn run(seed: u64) {
    let (mut random, mut answers) = (Random::new(seed), BTreeSet::new());
    let mut outcomes = BTreeSet::new();
    for _ in 0..WORLDS {
        let mut world = World::new(random.next()).await;
        for _ in 0..STEPS {
            world.step(&mut answers).await;
            world.check().await;
            let standings = Sum::of(&world.list).standings;
            outcomes.extend(standings.iter().filter_map(|standing| Some(standing.last?.2)));
            outcomes.extend(standings.iter().map(|standing| standing.status));
        }
        world.check_moves().await;
    }
    let all = ["denied", "frozen", "not found", "nothing due", "self", "yes"];
    assert!(answers.iter().eq(&all), "{answers:?}");
    let all = ["active", "cancelled", "declined", "done", "paid", "refused", "skipped"];
    assert!(outcomes.iter().eq(&all), "{outcomes:?}");
}

#[test]
fn schedules_agree_with_the_naive_model() {
    with_seeds(&[1], |seed| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(seed));
    });
}
