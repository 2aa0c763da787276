//! What is sent again: one delivery, or everything between two events, a piece at a time.

use farthing::ledger::{Action, DeliveryCommand, Keeper, Redeliver, UserId};

use super::{
    ADMIN, NewDelivery, RecordKey, RecordKind, Replay, Resending, Sum, Told, Webhook, WebhookState, What,
    World, place, selects,
};

impl World {
    /// A delivery is made once more.
    pub(super) fn again(&mut self) -> &'static str {
        let Some(post) = self.some_posts().pop() else { return "yes" };
        let sum = self.sum();
        let hook = sum.hooks.iter().find(|hook| hook.id == post.webhook).unwrap();
        let (owner, new) = (UserId::new(hook.owner), self.dice.uuid());
        let caller = self.callers.iter().find(|caller| caller.user == owner).unwrap_or(&self.callers[ADMIN]);
        let asked = Redeliver {
            keeper: Keeper { caller: *caller, owner },
            delivery: post.id,
            webhook: post.webhook,
            object: post.object,
            new,
        };
        let expected = match (hook.deleted, hook.enabled) {
            (true, _) => "not found",
            (false, false) => "disabled",
            (false, true) => "yes",
        };
        let what = What::Again { of: post.id, new };
        self.expect(Action::Delivery(DeliveryCommand::Redeliver(asked)), expected, what)
    }

    /// Somebody asks for everything from one event on, up to now or to another.
    pub(super) fn begin_replay(&mut self) -> &'static str {
        let Some((hook, keeper, expected)) = self.some_hook() else { return "yes" };
        let (feed, id, webhook) = (self.feed(), self.dice.uuid(), hook.id);
        let mut below = |bound: usize| usize::try_from(self.dice.next()).unwrap() % bound;
        let from = feed.len().saturating_sub(below(12));
        let end = if below(3) == 0 { from + below(feed.len() - from + 1) } else { feed.len() };
        let replay = Replay { position: place(&feed, from), end: place(&feed, end) };
        let begin = DeliveryCommand::BeginReplay { keeper, id, webhook, replay };
        self.expect(Action::Delivery(begin), expected, What::Replaying { replay: id, webhook, from, end })
    }

    /// A courier sends a piece; another may have done so, or it did not hear yet that the webhook was switched off.
    pub(super) fn go_on_with_replay(&mut self) -> &'static str {
        let (known, feed) = (self.sum().replays, self.feed());
        let some = (!known.is_empty()).then(|| self.dice.pick(&known));
        let Some(resending) = self.resent.filter(|_| self.dice.below(4) == 0).or(some) else {
            return "yes";
        };
        let Resending { id, webhook, from, end } = resending;
        let record = self.set.records.get(&RecordKey::of::<Webhook>(webhook)).cloned();
        let stored = record.and_then(|record| Some((record.read::<Webhook>()?, record)));
        let stored =
            stored.filter(|(webhook, _)| webhook.state == WebhookState::Enabled || self.dice.below(2) == 0);
        let (mut to, mut deliveries) = (end, Vec::new());
        if let Some((wants, record)) = stored {
            to = end.min(from + 1 + usize::try_from(self.dice.below(6)).unwrap());
            for (number, told) in feed.iter().enumerate().take(to).skip(from) {
                if selects(&record, &wants, &told.event) {
                    let new = self.new_delivery(webhook, number, told);
                    deliveries.push(NewDelivery { again: true, ..new });
                }
            }
        }
        let ids = deliveries.iter().map(|new| new.id).collect();
        let (at, goal) = (place(&feed, from), place(&feed, to));
        let piece = DeliveryCommand::Replay { id, from: at, to: goal, deliveries };
        let expected = if known.contains(&resending) { "yes" } else { "overtaken" };
        self.resent = Some(resending);
        self.expect(Action::Delivery(piece), expected, What::Resent { replay: id, to, ids })
    }

    /// What is still to be sent again is known, and nothing else.
    pub(super) fn check_replays(&self, sum: &Sum, feed: &[Told]) {
        let records = self.set.records.values().filter(|record| record.key.kind == RecordKind::Replay);
        let found = records.map(|record| {
            let Replay { position, end } = record.read().unwrap();
            (record.key.id, record.filing.parent, position, end)
        });
        let expected = sum.replays.iter().map(|known| {
            let (from, end) = (place(feed, known.from), place(feed, known.end));
            (known.id, Some(known.webhook), from, end)
        });
        let (mut found, mut expected): (Vec<_>, Vec<_>) = (found.collect(), expected.collect());
        found.sort_unstable_by_key(|(id, ..)| *id);
        expected.sort_unstable_by_key(|(id, ..)| *id);
        assert_eq!(found, expected);
    }
}
