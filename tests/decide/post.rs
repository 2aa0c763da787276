//! The naive model of webhooks: a list of everything that happened, gone through from its beginning after each step.

use uuid::Uuid;

/// How long a new delivery is its courier's alone, and how long one that came to its end is listed.
pub const LEASE: i64 = 30_000;
const LISTED: i64 = 30 * 86_400_000;
/// About when a webhook last took something is known to the hour.
const HOUR: i64 = 3_600_000;
/// How long each attempt waits after the one before.
pub const WAITS: [i64; 3] = [0, 5_000, 60_000];
/// How many webhooks an owner may have.
pub const MOST: usize = 3;

/// Something that happened, and when.
#[derive(Debug, Clone)]
pub struct Happened {
    pub at: i64,
    pub what: What,
}

#[derive(Debug, Clone)]
pub enum What {
    /// A payment, told to both its sides.
    Paid {
        payment: Uuid,
        sides: [Uuid; 2],
    },
    Renamed {
        user: Uuid,
    },
    /// Told though it did not happen.
    Triggered {
        user: Uuid,
        name: &'static str,
        object: Uuid,
    },
    Made {
        webhook: Uuid,
        owner: Uuid,
        events: &'static str,
        secret: u64,
    },
    Changed {
        webhook: Uuid,
        events: Option<&'static str>,
        enabled: Option<bool>,
    },
    /// Another secret; the one before signs, too, for so long.
    Rotated {
        webhook: Uuid,
        secret: u64,
        keep: i64,
    },
    Tested {
        webhook: Uuid,
    },
    Deleted {
        webhook: Uuid,
    },
    /// So many events were handed out; each delivery has an id.
    Handed {
        events: usize,
        ids: Vec<Uuid>,
    },
    Claimed {
        deliveries: Vec<Uuid>,
        lease: i64,
    },
    Tried {
        delivery: Uuid,
        number: usize,
        status: Option<u16>,
    },
    Again {
        of: Uuid,
        new: Uuid,
    },
    /// From one event on and before another, everything is to be sent again.
    Replaying {
        replay: Uuid,
        webhook: Uuid,
        from: usize,
        end: usize,
    },
    /// It was, before that event; each delivery has an id.
    Resent {
        replay: Uuid,
        to: usize,
        ids: Vec<Uuid>,
    },
    Purged,
}

/// How many kinds of things happen.
pub const KINDS: usize = 15;

/// An event: its name, what it is about, whom it concerns, when it happened, and the only webhook that gets it.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub name: &'static str,
    pub object: Uuid,
    pub concerns: Vec<Uuid>,
    pub at: i64,
    pub only: Option<Uuid>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Hook {
    pub id: Uuid,
    pub owner: Uuid,
    events: &'static str,
    made_at: i64,
    pub enabled: bool,
    pub deleted: bool,
    success: Option<i64>,
    pub secret: u64,
    /// What was the secret before, each with the time until when it was to be kept.
    old_secrets: Vec<(u64, i64)>,
}

impl Hook {
    /// What signs at that time: the secret, and the one before it while that is kept.
    pub fn signing(&self, at: i64) -> Vec<u64> {
        let old = self.old_secrets.last().filter(|(_, until)| at < *until);
        [self.secret].into_iter().chain(old.map(|(secret, _)| *secret)).collect()
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Post {
    pub id: Uuid,
    pub webhook: Uuid,
    /// Which of the events, from 0.
    pub event: usize,
    pub again: bool,
    pub name: &'static str,
    pub object: Uuid,
    pub state: &'static str,
    pub tries: usize,
    pub due: Option<i64>,
    pub made_at: i64,
}

/// What is sent again: the events from one on and before another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Resending {
    pub id: Uuid,
    pub webhook: Uuid,
    pub from: usize,
    pub end: usize,
}

/// What all of it comes to.
#[derive(Debug, Default)]
pub struct Sum {
    pub events: Vec<Event>,
    pub hooks: Vec<Hook>,
    pub posts: Vec<Post>,
    pub replays: Vec<Resending>,
    /// How many events were handed out.
    pub handed: usize,
    house: Uuid,
}

impl Sum {
    /// Goes through the list. `house` is whose webhooks get everything.
    pub fn of(list: &[Happened], house: Uuid) -> Self {
        let mut sum = Self { house, ..Self::default() };
        for Happened { at, what } in list {
            sum.take(*at, what);
        }
        sum
    }

    fn take(&mut self, at: i64, what: &What) {
        match what {
            What::Paid { payment, sides } => {
                self.tell(at, "payment.succeeded", *payment, sides.to_vec(), None);
            }
            What::Renamed { user } => self.tell(at, "user.updated", *user, vec![*user], None),
            What::Triggered { user, name, object } => self.tell(at, name, *object, vec![*user], None),
            What::Made { webhook, owner, events, secret } => {
                let (id, owner, events, secret) = (*webhook, *owner, *events, *secret);
                self.hooks.push(Hook {
                    id,
                    owner,
                    events,
                    made_at: at,
                    enabled: true,
                    deleted: false,
                    success: None,
                    secret,
                    old_secrets: Vec::new(),
                });
                self.tell_hook(at, "webhook.created", id);
            }
            What::Changed { webhook, events, enabled } => {
                let hook = self.hook(*webhook);
                hook.events = events.unwrap_or(hook.events);
                hook.enabled = enabled.unwrap_or(hook.enabled);
                self.tell_hook(at, "webhook.updated", *webhook);
            }
            What::Rotated { webhook, secret, keep } => {
                let hook = self.hook(*webhook);
                hook.old_secrets.push((hook.secret, at + keep));
                hook.secret = *secret;
                self.tell_hook(at, "webhook.updated", *webhook);
            }
            What::Tested { webhook } => self.tell_hook(at, "webhook.test", *webhook),
            What::Deleted { webhook } => {
                self.hook(*webhook).deleted = true;
                self.tell_hook(at, "webhook.deleted", *webhook);
            }
            What::Handed { events, ids } => {
                let mut ids = ids.iter().copied();
                for event in self.handed..self.handed + events {
                    for webhook in self.takers(event) {
                        self.post(self.fresh(ids.next().unwrap(), webhook, event, at));
                    }
                }
                assert_eq!(ids.next(), None, "a delivery of nothing");
                self.handed += events;
            }
            What::Claimed { deliveries, lease } => {
                for id in deliveries {
                    let post = self.find(*id).clone();
                    if post.state == "pending" && post.due.is_some_and(|due| due <= at) {
                        if self.gets(post.webhook) {
                            self.find(*id).due = Some(at + lease);
                        } else {
                            self.end(*id, "canceled", at);
                        }
                    }
                }
            }
            What::Tried { delivery, number, status } => self.tried(at, *delivery, *number, *status),
            What::Again { of, new } => {
                let Post { webhook, event, .. } = *self.find(*of);
                let post = self.fresh(*new, webhook, event, at);
                self.post(Post { again: true, due: Some(at), ..post });
            }
            What::Replaying { replay, webhook, from, end } => {
                self.replays.push(Resending { id: *replay, webhook: *webhook, from: *from, end: *end });
            }
            What::Resent { replay, to, ids } => self.resent(at, *replay, *to, ids),
            What::Purged => {
                self.posts.retain(|post| post.state == "pending" || post.due.is_none_or(|due| due > at));
            }
        }
    }

    fn tell(&mut self, at: i64, name: &'static str, object: Uuid, concerns: Vec<Uuid>, only: Option<Uuid>) {
        self.events.push(Event { name, object, concerns, at, only });
    }

    fn tell_hook(&mut self, at: i64, name: &'static str, webhook: Uuid) {
        let owner = self.hook(webhook).owner;
        self.tell(at, name, webhook, vec![owner], (name == "webhook.test").then_some(webhook));
    }

    fn hook(&mut self, id: Uuid) -> &mut Hook {
        self.hooks.iter_mut().find(|hook| hook.id == id).unwrap()
    }

    fn find(&mut self, id: Uuid) -> &mut Post {
        self.posts.iter_mut().find(|post| post.id == id).unwrap()
    }

    /// Whether the webhook gets anything.
    pub fn gets(&self, id: Uuid) -> bool {
        self.hooks.iter().any(|hook| hook.id == id && hook.enabled && !hook.deleted)
    }

    /// Every webhook that is to get an event: it gets something, it is to see this, and it is not younger.
    fn takers(&self, event: usize) -> Vec<Uuid> {
        let at = self.events[event].at;
        let takes = |hook: &&Hook| self.gets(hook.id) && self.selects(hook, event) && at >= hook.made_at;
        self.hooks.iter().filter(takes).map(|hook| hook.id).collect()
    }

    /// Whether an event is its owner's business, or the house's, and of a type that it wants.
    fn selects(&self, hook: &Hook, event: usize) -> bool {
        let event = &self.events[event];
        let is_concerned = event.concerns.contains(&hook.owner) || hook.owner == self.house;
        let is_wanted = match event.only {
            Some(only) => only == hook.id,
            None => hook.events == "*" || event.name.starts_with(hook.events.trim_end_matches('*')),
        };
        is_concerned && is_wanted
    }

    /// The same events once more, in their order, those from before the webhook, too; nothing if it is off.
    fn resent(&mut self, at: i64, replay: Uuid, to: usize, ids: &[Uuid]) {
        let Resending { webhook, from, end, .. } =
            *self.replays.iter().find(|known| known.id == replay).unwrap();
        if self.gets(webhook) {
            let hook = self.hook(webhook).clone();
            let selected: Vec<usize> = (from..to).filter(|event| self.selects(&hook, *event)).collect();
            assert_eq!(selected.len(), ids.len());
            for (event, id) in selected.into_iter().zip(ids) {
                let post = self.fresh(*id, webhook, event, at);
                self.post(Post { again: true, ..post });
            }
        }
        self.replays.retain(|known| known.id != replay || to < end);
        for known in self.replays.iter_mut().filter(|known| known.id == replay) {
            known.from = to;
        }
    }

    fn fresh(&self, id: Uuid, webhook: Uuid, event: usize, at: i64) -> Post {
        let Event { name, object, .. } = self.events[event];
        let (state, due) = ("pending", Some(at + LEASE));
        Post { id, webhook, event, again: false, name, object, state, tries: 0, due, made_at: at }
    }

    /// A new one waits for those about the same thing on their way to the same webhook.
    fn post(&mut self, mut post: Post) {
        post.due = post.due.filter(|_| self.waiting(post.webhook, post.object).is_none());
        self.posts.push(post);
    }

    /// The first of those on their way.
    fn waiting(&self, webhook: Uuid, object: Uuid) -> Option<Uuid> {
        let first = self
            .posts
            .iter()
            .find(|post| (post.webhook, post.object, post.state) == (webhook, object, "pending"));
        first.map(|post| post.id)
    }

    fn end(&mut self, id: Uuid, state: &'static str, at: i64) {
        let post = self.find(id);
        (post.state, post.due) = (state, Some(at + LISTED));
        let (webhook, object) = (post.webhook, post.object);
        if let Some(next) = self.waiting(webhook, object) {
            self.find(next).due = Some(at + LEASE);
        }
    }

    fn tried(&mut self, at: i64, id: Uuid, number: usize, status: Option<u16>) {
        // What another courier recorded already counts.
        let post = self.find(id);
        if post.state != "pending" || post.tries != number {
            return;
        }
        post.tries += 1;
        let (tries, webhook, made_at) = (post.tries, post.webhook, post.made_at);
        let hook = self.hooks.iter_mut().find(|hook| hook.id == webhook && !hook.deleted);
        if status == Some(200) {
            if let Some(hook) = hook
                && hook.success.is_none_or(|success| success + HOUR <= at)
            {
                hook.success = Some(at);
            }
            return self.end(id, "delivered", at);
        }
        if status != Some(410) && tries < WAITS.len() {
            self.find(id).due = Some(at + WAITS[tries]);
            return;
        }
        // It gets nothing any more if it says so, or took nothing since this was on its way.
        let gives_up = hook.is_some_and(|hook| {
            let took_others = hook.success.is_some_and(|success| success + HOUR > made_at);
            hook.enabled && (status == Some(410) || !took_others)
        });
        self.end(id, "failed", at);
        if gives_up {
            self.hook(webhook).enabled = false;
            self.tell_hook(at, "webhook.disabled", webhook);
        }
    }
}
