//! Random commands beside payments: cash and its second operator, schedules and their runs, many payments at once, looked-up
//! keys, a sandbox's moved clock, webhooks and their deliveries.

use farthing::ledger::{
    Action, Caller, Capture, Cash, CashDirection, Claim, Currency, DecideCash, Delivery, DeliveryCommand,
    EndSchedule, EventSource, EventType, FanOut, FeedPosition, FindKey, IdempotencyKey, Keeper, MakeSchedule,
    Memo, Missed, Money, MoveClock, NewDelivery, NewSecret, Outcome, Pay, PayMany, PaymentId, RecordKey,
    Redeliver, Refusal, Replay, Reply, Role, RunSchedule, Schedule, ScheduleId, SettleDelivery, Shown,
    Timestamp, TransactionId, TryResult, UserId, WebhookCommand, WebhookDraft, WebhookId, WebhookPatch,
};
use serde_json::json;
use uuid::Uuid;

use super::dice::{Dice, World};

/// What these commands have made.
#[derive(Default)]
pub struct Beside {
    /// Cash that waited for a second operator: whose wallet, in which currency.
    pub cash: Vec<(TransactionId, UserId, Currency)>,
    /// Schedules, with whose they are, and when each is due.
    pub schedules: Vec<(ScheduleId, Caller, Schedule, Option<Timestamp>)>,
    pub webhooks: Vec<(Uuid, Keeper)>,
    /// How far events were handed out.
    pub cursor: Option<FeedPosition>,
    pub deliveries: Vec<NewDelivery>,
    pub replays: Vec<(Uuid, Uuid, Replay)>,
}

impl Beside {
    /// What waits for a delivery, as far as this knows: the next about the same thing.
    fn next(&self, of: &NewDelivery) -> Option<Uuid> {
        let lane = |new: &&NewDelivery| (new.webhook, new.object) == (of.webhook, of.object);
        let mut after = self.deliveries.iter().filter(lane).skip_while(|new| new.id != of.id).skip(1);
        after.next().map(|new| new.id)
    }

    /// A webhook and who keeps it, or one that is none.
    fn webhook(&self, dice: &mut Dice, caller: Caller) -> (Uuid, Keeper) {
        let own = Keeper { caller, owner: caller.user };
        dice.pick(&self.webhooks).filter(|_| dice.below(8) > 0).unwrap_or((dice.uuid(), own))
    }

    /// Some of the newest deliveries.
    fn some_deliveries(&self, dice: &mut Dice) -> Vec<NewDelivery> {
        let lately = &self.deliveries[self.deliveries.len().saturating_sub(12)..];
        let mut some: Vec<_> = lately.iter().filter(|_| dice.below(3) == 0).cloned().collect();
        some.truncate(4);
        some
    }
}

/// One of them.
pub fn command(
    dice: &mut Dice,
    world: &World,
    caller: Caller,
    money: Money,
    key: Option<IdempotencyKey>,
) -> Action {
    let user = dice.pick(&world.users).unwrap_or(UserId::HOUSE);
    match dice.below(40) {
        0..6 => {
            let direction = dice.pick(&[CashDirection::Deposit, CashDirection::Withdrawal]).unwrap();
            let reference = dice.pick(&["slip 1", "slip 2"]).unwrap().to_owned();
            let transaction = TransactionId::new(dice.uuid());
            Action::Cash(Cash {
                caller: cashier(dice, world, caller),
                transaction,
                direction,
                user,
                money,
                reference,
                key,
            })
        }
        6..10 => {
            let waits = dice.pick(&world.beside.cash);
            let (transaction, user, currency) =
                waits.unwrap_or((TransactionId::new(dice.uuid()), user, Currency::USD));
            let caller = cashier(dice, world, caller);
            let (approved, note) = (dice.below(3) > 0, "counted".to_owned());
            Action::DecideCash(DecideCash { caller, transaction, user, currency, approved, note })
        }
        10..17 => schedule(dice, world, caller, user, money),
        17 | 18 => Action::MoveClock(MoveClock {
            caller: world.operator(dice, &[Role::Admin], caller),
            before: world.now,
            by_ms: 60_000,
        }),
        19 | 20 => {
            let key = IdempotencyKey::parse(&format!("key-{}", dice.below(40))).unwrap();
            Action::FindKey(FindKey { caller, key })
        }
        21..23 => pay_many(dice, world, caller, money),
        23..29 => webhook(dice, world, caller),
        _ => Action::Delivery(delivery(dice, world, caller)),
    }
}

fn cashier(dice: &mut Dice, world: &World, caller: Caller) -> Caller {
    world.operator(dice, &[Role::Cashier, Role::Admin], caller)
}

fn pay_many(dice: &mut Dice, world: &World, caller: Caller, money: Money) -> Action {
    let pays = (0..=dice.below(4)).map(|_| {
        if dice.below(8) == 0 {
            return Err(Refusal::RecipientNotFound);
        }
        Ok(Pay {
            caller,
            payment: PaymentId::new(dice.uuid()),
            payee: dice.pick(&world.users).unwrap_or(UserId::HOUSE),
            money,
            memo: Memo::default(),
            capture: dice.pick(&[Capture::Automatic, Capture::Manual]).unwrap(),
            shown: Shown::Nothing,
            key: IdempotencyKey::parse(&format!("many-{}", dice.below(200))).ok(),
        })
    });
    let pays = pays.collect();
    Action::PayMany(PayMany { caller, pays, all_or_nothing: dice.below(2) == 0, shown: Shown::Nothing })
}

fn schedule(dice: &mut Dice, world: &World, caller: Caller, payee: UserId, money: Money) -> Action {
    let lately = world.beside.schedules.len().saturating_sub(8);
    let known = world.beside.schedules[lately..].to_vec();
    let place = usize::try_from(dice.below(8)).unwrap();
    let Some((id, owner, schedule, due)) = known.get(place).filter(|_| dice.below(4) > 0) else {
        let due = world.now.plus_millis(i64::try_from(dice.below(40_000)).unwrap());
        let schedule = Schedule {
            payee,
            payee_name: None,
            money,
            description: "rent".into(),
            reference: String::new(),
            at: due,
            rule: None,
            missed: dice.pick(&Missed::ALL).unwrap(),
            runs: 0,
            last: None,
            end: None,
            first_due: None,
        };
        let key = IdempotencyKey::parse(&format!("rent-{}", dice.below(20))).ok();
        return Action::MakeSchedule(MakeSchedule {
            caller,
            id: ScheduleId::new(dice.uuid()),
            due,
            schedule,
            key: key.filter(|_| dice.below(4) == 0),
        });
    };
    if dice.below(4) == 0 {
        let of_owner = world.live.iter().find(|caller| caller.user == owner.user);
        let caller = of_owner.copied().filter(|_| dice.below(4) > 0).unwrap_or(caller);
        return Action::EndSchedule(EndSchedule { caller, schedule: *id });
    }
    let next = (dice.below(3) > 0).then(|| world.now.plus_millis(20_000));
    Action::RunSchedule(RunSchedule {
        owner: owner.user,
        payee: schedule.payee,
        money: schedule.money,
        schedule: *id,
        // Now and then what was due before.
        due: due.filter(|_| dice.below(8) > 0).unwrap_or(schedule.at),
        payment: PaymentId::new(dice.uuid()),
        skips: dice.below(4) == 0,
        next,
    })
}

fn webhook(dice: &mut Dice, world: &World, caller: Caller) -> Action {
    let (id, keeper) = world.beside.webhook(dice, caller);
    let secret = NewSecret { sealed: format!("sealed {}", dice.below(9)), public_key: None };
    let keeper = if dice.below(8) == 0 { Keeper { caller, ..keeper } } else { keeper };
    let known = WebhookId::new(id);
    Action::Webhook(match dice.below(12) {
        0..4 => {
            let owner = if dice.below(4) == 0 { UserId::HOUSE } else { caller.user };
            let draft = WebhookDraft {
                url: "https://example.com/hook".into(),
                events: vec![dice.pick(&["*", "payment.*", "user.updated"]).unwrap().into()],
                description: String::new(),
                scheme: "v1".into(),
                secret,
            };
            WebhookCommand::Create {
                keeper: Keeper { caller, owner },
                id: WebhookId::new(dice.uuid()),
                draft,
            }
        }
        4..7 => {
            let enabled = dice.pick(&[None, Some(true), Some(true), Some(false)]).flatten();
            let patch =
                WebhookPatch { enabled, description: Some("changed".into()), ..WebhookPatch::default() };
            WebhookCommand::Update { keeper, id: known, patch }
        }
        7 => WebhookCommand::Rotate { keeper, id: known, secret, keep_ms: dice.pick(&[0, 60_000]).unwrap() },
        8 | 9 => WebhookCommand::Delete { keeper, id: known },
        10 => WebhookCommand::Test { keeper, id: known },
        _ => {
            let (kind, object) = (EventType::PaymentSucceeded, dice.uuid());
            WebhookCommand::Trigger { caller, kind, object, data: json!({"id": "pay_1"}) }
        }
    })
}

fn new_delivery(dice: &mut Dice, world: &World, webhook: Uuid) -> NewDelivery {
    // Few things, so that lanes have more than one in them.
    let object = Uuid::from_u128(u128::from(dice.below(2)));
    let (id, event, name) = (dice.uuid(), dice.uuid(), "payment.succeeded".to_owned());
    let source = EventSource::Journal(u64::try_from(world.transactions.len()).unwrap());
    NewDelivery { id, webhook, event, name, source, object, again: false }
}

fn new_deliveries(dice: &mut Dice, world: &World, caller: Caller) -> Vec<NewDelivery> {
    let count = 1 + dice.below(4);
    let webhooks: Vec<_> = (0..count).map(|_| world.beside.webhook(dice, caller).0).collect();
    webhooks.into_iter().map(|webhook| new_delivery(dice, world, webhook)).collect()
}

fn delivery(dice: &mut Dice, world: &World, caller: Caller) -> DeliveryCommand {
    let beside = &world.beside;
    match dice.below(16) {
        0..5 => {
            // Now and then one that another node has overtaken.
            let from = if dice.below(8) == 0 { None } else { beside.cursor };
            let mut to = from.unwrap_or_default();
            to.transaction += 1 + dice.below(4);
            to.notice += dice.below(2);
            let deliveries = new_deliveries(dice, world, caller);
            let (webhook, _) = beside.webhook(dice, caller);
            DeliveryCommand::FanOut(FanOut { from, to, webhook, deliveries })
        }
        5..8 => {
            let claim = |new: NewDelivery| {
                let (delivery, webhook, next) = (new.id, new.webhook, beside.next(&new));
                Claim { delivery, webhook, next, lease_ms: 10_000 }
            };
            DeliveryCommand::Claim(beside.some_deliveries(dice).into_iter().map(claim).collect())
        }
        8..12 => {
            let some = beside.some_deliveries(dice).into_iter();
            let settles = some.map(|new| SettleDelivery {
                delivery: new.id,
                webhook: new.webhook,
                next: beside.next(&new),
                number: usize::try_from(dice.below(2)).unwrap(),
                result: TryResult {
                    status: dice.pick(&[Some(200), Some(204), Some(500), Some(410), None]).flatten(),
                    failure: None,
                    elapsed_ms: 12,
                    body: "thank you".into(),
                    retry_after_ms: dice.pick(&[None, Some(7_000)]).flatten(),
                },
                jitter_permille: 10,
            });
            DeliveryCommand::Settle(settles.collect())
        }
        12 | 13 => {
            let (own, keeper) = beside.webhook(dice, caller);
            let known = beside.deliveries.iter().rev().find(|new| new.webhook == own);
            let (delivery, object) = known.map_or((dice.uuid(), own), |new| (new.id, new.object));
            DeliveryCommand::Redeliver(Redeliver { keeper, delivery, webhook: own, object, new: dice.uuid() })
        }
        14 => replay(dice, world, caller),
        _ => {
            let old = beside.deliveries.iter().take(40).map(|new| RecordKey::of::<Delivery>(new.id));
            DeliveryCommand::Purge(old.collect())
        }
    }
}

/// A piece of what is sent once more, or the beginning of it.
fn replay(dice: &mut Dice, world: &World, caller: Caller) -> DeliveryCommand {
    let begun = world.beside.replays.last().filter(|_| dice.below(2) == 0);
    if let Some((id, webhook, replay)) = begun {
        let mut to = replay.position;
        to.transaction = replay.end.transaction.min(to.transaction + 2);
        let deliveries = vec![new_delivery(dice, world, *webhook)];
        return DeliveryCommand::Replay { id: *id, from: replay.position, to, deliveries };
    }
    let (webhook, keeper) = world.beside.webhook(dice, caller);
    let end = FeedPosition { transaction: 3, notice: 0 };
    let replay = Replay { position: FeedPosition::default(), end };
    DeliveryCommand::BeginReplay { keeper, id: dice.uuid(), webhook, replay }
}

/// What came of one of them.
pub fn learn(beside: &mut Beside, action: &Action, outcome: &Outcome) {
    let Ok(reply) = &outcome.result else { return };
    match (reply, action) {
        (Reply::CashWaits(_), Action::Cash(cash)) if !outcome.replayed => {
            beside.cash.push((cash.transaction, cash.user, cash.money.currency()));
        }
        (Reply::Record(record), Action::MakeSchedule(made)) => {
            beside.schedules.push((made.id, made.caller, made.schedule.clone(), record.filing.due_at));
        }
        (
            Reply::Record(record),
            Action::RunSchedule(RunSchedule { schedule, .. })
            | Action::EndSchedule(EndSchedule { schedule, .. }),
        ) => {
            let known = beside.schedules.iter_mut().find(|(id, ..)| id == schedule);
            if let Some((_, _, _, due)) = known {
                *due = record.filing.due_at;
            }
        }
        (Reply::Record(_), Action::Webhook(WebhookCommand::Create { id, keeper, .. })) => {
            beside.webhooks.push((id.uuid(), *keeper));
        }
        (_, Action::Webhook(WebhookCommand::Delete { id, .. })) => {
            // Deliveries to it are still known.
            let deleted = id.uuid();
            beside.webhooks.retain(|(known, _)| *known != deleted || known.as_u128() % 2 == 0);
        }
        (_, Action::Delivery(DeliveryCommand::FanOut(FanOut { to, deliveries, .. }))) => {
            beside.cursor = Some(*to);
            beside.deliveries.extend(deliveries.iter().cloned());
        }
        (Reply::Record(_), Action::Delivery(DeliveryCommand::Redeliver(asked))) => {
            let first = beside.deliveries.iter().find(|new| new.id == asked.delivery).cloned();
            beside.deliveries.extend(first.map(|first| NewDelivery { id: asked.new, ..first }));
        }
        (_, Action::Delivery(DeliveryCommand::BeginReplay { id, webhook, replay, .. })) => {
            beside.replays.push((*id, *webhook, *replay));
        }
        (_, Action::Delivery(DeliveryCommand::Replay { id, to, deliveries, .. })) => {
            for (_, _, replay) in beside.replays.iter_mut().filter(|(known, ..)| known == id) {
                replay.position = *to;
            }
            beside.replays.retain(|(_, _, replay)| replay.position != replay.end);
            beside.deliveries.extend(deliveries.iter().cloned());
        }
        _ => {}
    }
}
