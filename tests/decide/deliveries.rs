//! Random webhooks and what is sent to them, by two couriers, against a naive model. After each step what happened was told
//! once and in its order, and there is one delivery, as the model says it stands, of each event to each webhook that wants it.

mod resend;

use std::collections::{BTreeSet, HashSet};
use std::mem::{Discriminant, discriminant};

use farthing::ledger::{
    Action, Authority, Caller, Capture, ChangeUser, Claim, Currency, Delivery, DeliveryCommand, EventSource,
    EventType, FanOut, FeedPosition, Keeper, Memo, Mode, Money, NewDelivery, NewSecret, Notice, Outcome, Pay,
    PaymentId, Record, RecordKey, RecordKind, Refusal, Rename, Replay, Reply, Role, Rules, SettleDelivery,
    Shown, Timestamp, TryResult, UserId, Webhook, WebhookCommand, WebhookDraft, WebhookId, WebhookPatch,
    WebhookRules, WebhookState, WorkingSet, decide,
};
use uuid::Uuid;

use super::post::{Event, Happened, Hook, KINDS, LEASE, MOST, Post, Resending, Sum, WAITS, What};
use super::random::Random;
use super::{Dice, command, make_user, rules, stay_logged_in, with_seeds};

/// Three customers and an admin, who keeps the house's webhooks, too.
const PEOPLE: usize = 4;
const ADMIN: usize = 3;
/// For how long a courier claims what is due.
const CLAIM: i64 = 10_000;
const WORLDS: u32 = 8;
const STEPS: u32 = 250;

/// What was said, without its details.
fn said(outcome: &Outcome) -> &'static str {
    match &outcome.result {
        Ok(_) => "yes",
        Err(Refusal::WebhookNotFound) => "not found",
        Err(Refusal::WebhookLimit { .. }) => "too many",
        Err(Refusal::WebhookDisabled) => "disabled",
        Err(Refusal::Overtaken) => "overtaken",
        Err(Refusal::SandboxOnly) => "sandbox only",
        Err(other) => panic!("{other:?}"),
    }
}

/// An event as a courier reads it.
struct Told {
    event: Event,
    source: EventSource,
    position: FeedPosition,
}

struct World {
    dice: Dice,
    rules: Rules,
    set: WorkingSet,
    callers: Vec<Caller>,
    list: Vec<Happened>,
    /// How many rows and notices there were before anything happened.
    begun: [usize; 2],
    /// How many events each courier believes to be handed out.
    couriers: [usize; 2],
    /// What was sent again last, as a courier knew it before.
    resent: Option<Resending>,
    /// Of which kinds of things something came.
    came: HashSet<Discriminant<What>>,
}

impl World {
    fn new(seed: u64) -> Self {
        let webhooks = WebhookRules { most: MOST, schedule_ms: WAITS.to_vec() };
        let rules = Rules { webhooks, ..rules() };
        let mut dice = Dice(Random::new(seed));
        let mut set = WorkingSet::at(Timestamp::from_millis(1_800_000_000_000));
        let callers: Vec<Caller> =
            (0..PEOPLE).map(|number| make_user(&rules, &mut set, &mut dice, number)).collect();
        let (by, user) = (Authority::Host, callers[ADMIN].user);
        let promote = Action::ChangeUser(ChangeUser { by, user, role: Some(Role::Admin), frozen: None });
        decide(&rules, &mut set, &command(&mut dice, promote)).result.unwrap();
        let begun = [set.changes.transactions.len(), notices(&set).count()];
        let (list, came) = (Vec::new(), HashSet::new());
        Self { dice, rules, set, callers, list, begun, couriers: [0; 2], resent: None, came }
    }

    fn sum(&self) -> Sum {
        Sum::of(&self.list, UserId::HOUSE.uuid())
    }

    fn decide(&mut self, action: Action) -> Outcome {
        stay_logged_in(&mut self.set, &self.callers);
        let command = command(&mut self.dice, action);
        decide(&self.rules, &mut self.set, &command)
    }

    /// Decides it; what the model says is to be said, and what happened if that is yes.
    fn expect(&mut self, action: Action, expected: &'static str, what: What) -> &'static str {
        let outcome = self.decide(action);
        assert_eq!(said(&outcome), expected, "{what:?}: {outcome:?}");
        if expected == "yes" {
            let (at, before, kind) = (self.set.now.as_millis(), self.sum(), discriminant(&what));
            let is_only_begun = matches!(what, What::Replaying { .. });
            self.list.push(Happened { at, what });
            let sum = self.sum();
            let is_same =
                (&before.events, &before.hooks, &before.posts) == (&sum.events, &sum.hooks, &sum.posts);
            if is_only_begun || !is_same {
                self.came.insert(kind);
            }
            if let Ok(Reply::Claimed(claimed)) = outcome.result {
                // To be tried are those whose turn has come, and no others.
                let is_claimed = |post: &&Post| {
                    let until = post.due.filter(|_| post.state == "pending" && !before.posts.contains(*post));
                    until == Some(at + LEASE) || until == Some(at + CLAIM)
                };
                let expected: BTreeSet<Uuid> =
                    sum.posts.iter().filter(is_claimed).map(|post| post.id).collect();
                assert_eq!(claimed.into_iter().collect::<BTreeSet<_>>(), expected);
            }
        }
        expected
    }

    fn somebody(&mut self) -> Caller {
        self.dice.pick(&self.callers.clone())
    }

    fn step(&mut self) -> &'static str {
        let pause = self.dice.pick(&[1, 1, 6_000, 40_000, 70_000]);
        let pause = if self.dice.below(60) == 0 { 31 * 86_400_000 } else { pause };
        self.set.now = self.set.now.plus_millis(pause);
        match self.dice.below(28) {
            0..3 => self.make(),
            3 | 4 => self.change(),
            5..8 => self.happen(),
            8..14 => self.hand_out(),
            14..17 => self.claim(),
            17..22 => self.attempt(),
            22 | 23 => self.again(),
            24 => self.begin_replay(),
            25 | 26 => self.go_on_with_replay(),
            _ => {
                let keys = self.sum().posts.iter().map(|post| RecordKey::of::<Delivery>(post.id)).collect();
                self.expect(Action::Delivery(DeliveryCommand::Purge(keys)), "yes", What::Purged)
            }
        }
    }

    fn make(&mut self) -> &'static str {
        let caller = self.somebody();
        let owner = if self.dice.below(3) == 0 { UserId::HOUSE } else { caller.user };
        let (id, secret) = (self.dice.uuid(), self.dice.next());
        let events = self.dice.pick(&["*", "payment.*", "user.updated", "webhook.*"]);
        let draft = WebhookDraft {
            url: "https://example.com/".into(),
            events: vec![events.into()],
            description: String::new(),
            scheme: "v1".into(),
            secret: new_secret(secret),
        };
        let sum = self.sum();
        let has = sum.hooks.iter().filter(|hook| hook.owner == owner.uuid() && !hook.deleted).count();
        let may = owner == caller.user || caller.user == self.callers[ADMIN].user;
        let expected = if !may {
            "not found"
        } else if has < MOST {
            "yes"
        } else {
            "too many"
        };
        let create =
            WebhookCommand::Create { keeper: Keeper { caller, owner }, id: WebhookId::new(id), draft };
        let what = What::Made { webhook: id, owner: owner.uuid(), events, secret };
        self.expect(Action::Webhook(create), expected, what)
    }

    /// One of the newest webhooks, somebody who asks for something about it, and what is to be said; now and then it is
    /// somebody else's.
    fn some_hook(&mut self) -> Option<(Hook, Keeper, &'static str)> {
        let hooks = self.sum().hooks;
        let lately = &hooks[hooks.len().saturating_sub(6)..];
        let index = usize::try_from(self.dice.next() % 6).unwrap().checked_rem(lately.len())?;
        let hook = lately[index].clone();
        let owner = UserId::new(hook.owner);
        let caller = self.callers.iter().find(|caller| caller.user == owner).copied();
        let caller = caller.filter(|_| self.dice.below(5) > 0).unwrap_or(self.callers[ADMIN]);
        let keeper = Keeper { caller, owner: if self.dice.below(8) == 0 { caller.user } else { owner } };
        let may = keeper.owner == owner && (owner == caller.user || owner == UserId::HOUSE) && !hook.deleted;
        Some((hook, keeper, if may { "yes" } else { "not found" }))
    }

    /// Changes or tests a webhook, gives it another secret or deletes it.
    fn change(&mut self) -> &'static str {
        let Some((hook, keeper, expected)) = self.some_hook() else { return "yes" };
        let (webhook, id) = (hook.id, WebhookId::new(hook.id));
        let (asked, what) = match self.dice.below(10) {
            0 => (WebhookCommand::Delete { keeper, id }, What::Deleted { webhook }),
            1 => (WebhookCommand::Test { keeper, id }, What::Tested { webhook }),
            2 | 3 => {
                let (secret, keep) = (self.dice.next(), self.dice.pick(&[0, 60_000, 86_400_000]));
                let rotate = WebhookCommand::Rotate { keeper, id, secret: new_secret(secret), keep_ms: keep };
                (rotate, What::Rotated { webhook, secret, keep })
            }
            _ => {
                let enabled = self.dice.pick(&[None, Some(true), Some(true), Some(false)]);
                let events = self.dice.pick(&[None, Some("*"), Some("payment.*")]);
                let named = events.map(|events: &str| vec![events.to_owned()]);
                let patch = WebhookPatch { enabled, events: named, ..WebhookPatch::default() };
                (WebhookCommand::Update { keeper, id, patch }, What::Changed { webhook, events, enabled })
            }
        };
        self.expect(Action::Webhook(asked), expected, what)
    }

    /// Tells what did not happen; a ledger with real money refuses that.
    fn trigger(&mut self) -> &'static str {
        let (caller, object) = (self.somebody(), self.dice.uuid());
        let name = self.dice.pick(&["payment.succeeded", "refund.succeeded", "user.updated", "webhook.test"]);
        let kind = EventType::from_name(name).unwrap();
        let trigger = WebhookCommand::Trigger { caller, kind, object, data: serde_json::json!({}) };
        self.rules.mode = self.dice.pick(&[Mode::Sandbox, Mode::Sandbox, Mode::Live]);
        let expected = if self.rules.mode == Mode::Sandbox { "yes" } else { "sandbox only" };
        let what = What::Triggered { user: caller.user.uuid(), name, object };
        self.expect(Action::Webhook(trigger), expected, what);
        self.rules.mode = Mode::Sandbox;
        expected
    }

    fn happen(&mut self) -> &'static str {
        if self.dice.below(6) == 0 {
            return self.trigger();
        }
        let (caller, other) = (self.somebody(), self.somebody());
        if caller.user == other.user {
            let rename = Action::Rename(Rename { caller, name: Some("Ann".into()) });
            return self.expect(rename, "yes", What::Renamed { user: caller.user.uuid() });
        }
        let payment = self.dice.uuid();
        let pay = Action::Pay(Pay {
            caller,
            payment: PaymentId::new(payment),
            payee: other.user,
            money: Money::from_minor(1, Currency::USD).unwrap(),
            memo: Memo { reference: payment.to_string(), ..Memo::default() },
            capture: Capture::Automatic,
            shown: Shown::Nothing,
            key: None,
        });
        self.expect(pay, "yes", What::Paid { payment, sides: [caller.user.uuid(), other.user.uuid()] })
    }

    /// A courier hands out what it believes to be next; the other may have done so.
    fn hand_out(&mut self) -> &'static str {
        let node = usize::try_from(self.dice.below(2)).unwrap();
        let (feed, from) = (self.feed(), self.couriers[node]);
        let count = usize::try_from(1 + self.dice.below(6)).unwrap().min(feed.len() - from);
        if count == 0 {
            return "yes";
        }
        // A courier that knows no webhook hands nothing out.
        let of_webhooks = |record: &&std::sync::Arc<Record>| record.key.kind == RecordKind::Webhook;
        let Some(webhook) = self.set.records.values().find(of_webhooks).map(|record| record.key.id) else {
            return "yes";
        };
        let mut deliveries = Vec::new();
        for (number, told) in feed.iter().enumerate().skip(from).take(count) {
            for webhook in self.takers(&told.event) {
                deliveries.push(self.new_delivery(webhook, number, told));
            }
        }
        let ids = deliveries.iter().map(|new| new.id).collect();
        let to = place(&feed, from + count);
        let fan_out = FanOut { from: (from > 0).then(|| place(&feed, from)), to, webhook, deliveries };
        let handed = self.sum().handed;
        let expected = if handed == from { "yes" } else { "overtaken" };
        let what = What::Handed { events: count, ids };
        self.expect(Action::Delivery(DeliveryCommand::FanOut(fan_out)), expected, what);
        // Whoever was overtaken reads again where the other got to.
        self.couriers[node] = if expected == "yes" { from + count } else { handed };
        expected
    }

    /// Who gets an event, by what is stored.
    fn takers(&self, event: &Event) -> Vec<Uuid> {
        let stored = self.set.records.values().filter_map(|record| Some((record, record.read::<Webhook>()?)));
        let takes = |(record, webhook): &(&std::sync::Arc<Record>, Webhook)| {
            webhook.state == WebhookState::Enabled
                && selects(record, webhook, event)
                && event.at >= record.created_at.as_millis()
        };
        let mut takers: Vec<_> =
            stored.filter(takes).map(|(record, _)| (record.created_at, record.key.id)).collect();
        takers.sort_unstable();
        takers.into_iter().map(|(_, id)| id).collect()
    }

    fn new_delivery(
        &mut self,
        webhook: Uuid,
        number: usize,
        Told { event, source, .. }: &Told,
    ) -> NewDelivery {
        let (id, event_id) = (self.dice.uuid(), Uuid::from_u128(u128::try_from(number).unwrap()));
        let (name, source, object) = (event.name.into(), *source, event.object);
        NewDelivery { id, webhook, event: event_id, name, source, object, again: false }
    }

    fn delivery(&self, id: Uuid) -> Option<Delivery> {
        self.set.records.get(&RecordKey::of::<Delivery>(id))?.read()
    }

    /// Some of the newest deliveries.
    fn some_posts(&mut self) -> Vec<Post> {
        let posts = self.sum().posts;
        let lately = posts[posts.len().saturating_sub(20)..].iter();
        lately.filter(|_| self.dice.below(3) == 0).cloned().collect()
    }

    fn claim(&mut self) -> &'static str {
        let posts = self.some_posts();
        let claims = posts.iter().map(|post| Claim {
            delivery: post.id,
            webhook: post.webhook,
            next: self.delivery(post.id).and_then(|delivery| delivery.next),
            lease_ms: CLAIM,
        });
        let claims = Action::Delivery(DeliveryCommand::Claim(claims.collect()));
        let deliveries = posts.iter().map(|post| post.id).collect();
        self.expect(claims, "yes", What::Claimed { deliveries, lease: CLAIM })
    }

    /// What came of an attempt at a delivery whose turn it is is recorded; now and then one that counts no more.
    fn attempt(&mut self) -> &'static str {
        let Some(post) = self.some_posts().into_iter().find(|post| post.due.is_some()) else { return "yes" };
        let number = if self.dice.below(6) == 0 { 0 } else { post.tries };
        let status = self.dice.pick(&[Some(200), Some(200), Some(200), Some(410), Some(500), None, None]);
        let result =
            TryResult { status, failure: None, elapsed_ms: 1, body: String::new(), retry_after_ms: None };
        let next = self.delivery(post.id).and_then(|delivery| delivery.next);
        let (delivery, webhook) = (post.id, post.webhook);
        let settle = SettleDelivery { delivery, webhook, next, number, result, jitter_permille: 0 };
        let settle = Action::Delivery(DeliveryCommand::Settle(vec![settle]));
        self.expect(settle, "yes", What::Tried { delivery, number, status })
    }

    /// What was told since the beginning: rows of the journal and notices, in the order of their times.
    fn feed(&self) -> Vec<Told> {
        let rows = (1..).zip(&self.set.changes.transactions).skip(self.begun[0]).map(|(number, row)| {
            let concerns = row.seen_by().map(UserId::uuid).collect();
            let (object, at) = (row.id.uuid(), row.created_at.as_millis());
            let event = Event { name: EventType::of(row).name(), object, concerns, at, only: None };
            (event, EventSource::Journal(number), [1, 0])
        });
        let notices = notices(&self.set).skip(self.begun[1]).map(|record| {
            let notice: Notice = record.read().unwrap();
            let (name, at) =
                (EventType::from_name(&notice.name).unwrap().name(), record.created_at.as_millis());
            let concerns = vec![record.filing.owner.uuid()];
            let event = Event { name, object: notice.object, concerns, at, only: notice.only };
            (event, EventSource::Notice(record.key.id), [0, 1])
        });
        let mut all: Vec<_> = rows.chain(notices).collect();
        all.sort_by_key(|(event, ..)| event.at);
        let mut position = FeedPosition::default();
        all.into_iter()
            .map(|(event, source, [row, notice])| {
                position.transaction += row;
                position.notice += notice;
                Told { event, source, position }
            })
            .collect()
    }

    fn check(&self) {
        let (sum, feed) = (self.sum(), self.feed());
        self.check_replays(&sum, &feed);
        let mut told: Vec<Event> = feed.into_iter().map(|told| told.event).collect();
        let mut expected = sum.events;
        for event in told.iter_mut().chain(&mut expected) {
            event.concerns.sort_unstable();
        }
        assert_eq!(told, expected);
        let records = self.set.records.values().filter(|record| record.key.kind == RecordKind::Delivery);
        let found = records.map(|record| found(record));
        let sorted = |mut posts: Vec<Post>| {
            posts.sort_by_key(|post| post.id);
            posts
        };
        assert_eq!(sorted(found.collect()), sorted(sum.posts));
        for hook in &sum.hooks {
            let webhook = self.set.records.get(&RecordKey::of::<Webhook>(hook.id));
            let webhook = webhook.and_then(|record| record.read::<Webhook>());
            let found = webhook.map(|webhook| {
                let retired = webhook.retired.filter(|retired| self.set.now < retired.until);
                let secrets = std::iter::once(webhook.secret).chain(retired.map(|retired| retired.secret));
                (webhook.state == WebhookState::Enabled, secrets.collect(), webhook.public_key)
            });
            let secrets: Vec<_> = hook.signing(self.set.now.as_millis()).iter().map(u64::to_string).collect();
            let public_key = new_secret(hook.secret).public_key;
            assert_eq!(found, (!hook.deleted).then_some((hook.enabled, secrets, public_key)));
        }
    }
}

/// A secret and what its signatures are verified with.
fn new_secret(number: u64) -> NewSecret {
    NewSecret { sealed: number.to_string(), public_key: Some(format!("of {number}")) }
}

/// Where a feed is after so many events.
fn place(feed: &[Told], events: usize) -> FeedPosition {
    events.checked_sub(1).map_or_else(FeedPosition::default, |last| feed[last].position)
}

/// Whether a webhook is to see an event, by what is stored.
fn selects(record: &Record, webhook: &Webhook, event: &Event) -> bool {
    let (kind, owner) = (EventType::from_name(event.name).unwrap(), record.filing.owner);
    let is_concerned = event.concerns.contains(&owner.uuid()) || owner == UserId::HOUSE;
    is_concerned && event.only.map_or_else(|| webhook.wants(kind), |only| only == record.key.id)
}

fn notices(set: &WorkingSet) -> impl Iterator<Item = &std::sync::Arc<Record>> {
    let added = set.changes.added_records.iter().filter(|key| key.kind == RecordKind::Notice);
    added.map(|key| &set.records[key])
}

fn found(record: &Record) -> Post {
    let delivery: Delivery = record.read().unwrap();
    Post {
        id: record.key.id,
        webhook: record.filing.parent.unwrap(),
        event: usize::try_from(delivery.event.as_u128()).unwrap(),
        again: delivery.again,
        name: EventType::from_name(&delivery.name).unwrap().name(),
        object: delivery.object,
        state: delivery.state.name(),
        tries: delivery.tries.len(),
        due: record.filing.due_at.map(Timestamp::as_millis),
        made_at: record.created_at.as_millis(),
    }
}

#[test]
fn webhooks_and_their_deliveries_agree_with_the_naive_model() {
    with_seeds(&[1], |seed| {
        let (mut random, mut came) = (Random::new(seed), HashSet::new());
        let (mut answers, mut states) = (BTreeSet::new(), BTreeSet::new());
        for _ in 0..WORLDS {
            let mut world = World::new(random.next());
            for _ in 0..STEPS {
                answers.insert(world.step());
                world.check();
                let (sum, now) = (world.sum(), world.set.now.as_millis());
                states.extend(sum.posts.iter().map(|post| post.state));
                states.extend(
                    sum.events.iter().map(|event| event.name).filter(|name| *name == "webhook.disabled"),
                );
                states.extend(
                    sum.hooks.iter().filter(|hook| hook.signing(now).len() > 1).map(|_| "two secrets"),
                );
            }
            came.extend(world.came);
        }
        let all = ["disabled", "not found", "overtaken", "sandbox only", "too many", "yes"];
        assert!(answers.iter().eq(&all), "{answers:?}");
        let all = ["canceled", "delivered", "failed", "pending", "two secrets", "webhook.disabled"];
        assert!(states.iter().eq(&all), "{states:?}");
        assert_eq!(came.len(), KINDS, "nothing came of some kind of thing: {came:?}");
    });
}
