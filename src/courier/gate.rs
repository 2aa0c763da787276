//! Which jobs may start: webhooks that answer are never held up by those that do not.
//!
//! A webhook that answered last time is *proven* and may have several attempts under way; any other has one at a time, and
//! all of those together have places of their own. An attempt that hangs gives its place back after a second, so that the
//! others' turn comes; how many may hang is bounded, too. A webhook that has enough waiting gets no more until later.

use std::collections::{HashMap, VecDeque};

use uuid::Uuid;

/// Attempts at proven webhooks at once, in all and at one.
const PROVEN: usize = 256;
const PER_PROVEN: usize = 16;
/// Attempts at other webhooks at once; one each.
const UNPROVEN: usize = 128;
/// Attempts that may hang before no unproven one starts.
const HANGING: usize = 512;
/// Jobs that wait, of one webhook and of all.
const WAITING_PER_WEBHOOK: usize = 64;
const WAITING: usize = 20_000;

/// The jobs that wait, by webhook, and what is under way.
#[derive(Debug)]
pub(super) struct Gate<J> {
    lanes: HashMap<Uuid, Lane<J>>,
    /// Webhooks that may have something to start, in the order of their turn.
    proven: Turn,
    unproven: Turn,
    hanging: usize,
    waiting: usize,
}

#[derive(Debug, Default)]
struct Turn {
    queue: VecDeque<Uuid>,
    under_way: usize,
}

#[derive(Debug)]
struct Lane<J> {
    jobs: VecDeque<J>,
    under_way: usize,
    hanging: usize,
    is_proven: bool,
    /// Whether it stands in a queue.
    is_queued: bool,
}

impl<J> Default for Gate<J> {
    fn default() -> Self {
        Self {
            lanes: HashMap::new(),
            proven: Turn::default(),
            unproven: Turn::default(),
            hanging: 0,
            waiting: 0,
        }
    }
}

impl<J> Default for Lane<J> {
    fn default() -> Self {
        Self { jobs: VecDeque::new(), under_way: 0, hanging: 0, is_proven: false, is_queued: false }
    }
}

impl<J> Gate<J> {
    /// Whether a job of that webhook would be let in.
    pub(super) fn has_room(&self, webhook: Uuid) -> bool {
        let own = self.lanes.get(&webhook).map_or(0, |lane| lane.jobs.len());
        own < WAITING_PER_WEBHOOK && self.waiting < WAITING
    }

    /// Takes a job, if there is room.
    pub(super) fn offer(&mut self, webhook: Uuid, job: J) {
        if self.has_room(webhook) {
            self.waiting = self.waiting.saturating_add(1);
            self.lanes.entry(webhook).or_default().jobs.push_back(job);
            self.queue(webhook);
        }
    }

    /// The next job that may start.
    pub(super) fn next(&mut self) -> Option<J> {
        self.next_of(true).or_else(|| self.next_of(false))
    }

    fn next_of(&mut self, is_proven: bool) -> Option<J> {
        loop {
            let turn = if is_proven { &mut self.proven } else { &mut self.unproven };
            let is_full = if is_proven {
                turn.under_way >= PROVEN
            } else {
                turn.under_way >= UNPROVEN || self.hanging >= HANGING
            };
            if is_full {
                return None;
            }
            let webhook = turn.queue.pop_front()?;
            let Some(lane) = self.lanes.get_mut(&webhook) else { continue };
            lane.is_queued = false;
            if lane.is_proven != is_proven {
                // It changed sides while it waited.
                self.queue(webhook);
                continue;
            }
            let most = if is_proven { PER_PROVEN } else { 1 };
            if lane.under_way.saturating_add(lane.hanging) >= most {
                continue;
            }
            let Some(job) = lane.jobs.pop_front() else { continue };
            lane.under_way = lane.under_way.saturating_add(1);
            self.waiting = self.waiting.saturating_sub(1);
            self.turn(is_proven).under_way = self.turn(is_proven).under_way.saturating_add(1);
            self.queue(webhook);
            return Some(job);
        }
    }

    /// An attempt hangs: it gives its place back, and its webhook is no longer proven.
    pub(super) fn hang(&mut self, webhook: Uuid) {
        let Some(lane) = self.lanes.get_mut(&webhook) else { return };
        let was_proven = lane.is_proven;
        lane.under_way = lane.under_way.saturating_sub(1);
        lane.hanging = lane.hanging.saturating_add(1);
        self.hanging = self.hanging.saturating_add(1);
        self.leave(was_proven);
        self.set_proven(webhook, false);
    }

    /// An attempt has ended.
    pub(super) fn finish(&mut self, webhook: Uuid, hung: bool, is_well: bool) {
        let Some(lane) = self.lanes.get_mut(&webhook) else { return };
        if hung {
            lane.hanging = lane.hanging.saturating_sub(1);
            self.hanging = self.hanging.saturating_sub(1);
        } else {
            lane.under_way = lane.under_way.saturating_sub(1);
            let was_proven = lane.is_proven;
            self.leave(was_proven);
        }
        self.set_proven(webhook, is_well && !hung);
        self.queue(webhook);
        let is_idle = |lane: &Lane<J>| {
            lane.jobs.is_empty()
                && lane.under_way == 0
                && lane.hanging == 0
                && !lane.is_queued
                && !lane.is_proven
        };
        if self.lanes.get(&webhook).is_some_and(is_idle) {
            self.lanes.remove(&webhook);
        }
    }

    /// Moves a webhook to the other side, with what it has under way.
    fn set_proven(&mut self, webhook: Uuid, is_proven: bool) {
        let Some(lane) = self.lanes.get_mut(&webhook) else { return };
        if lane.is_proven != is_proven {
            lane.is_proven = is_proven;
            let moved = lane.under_way;
            let from = self.turn(!is_proven);
            from.under_way = from.under_way.saturating_sub(moved);
            let to = self.turn(is_proven);
            to.under_way = to.under_way.saturating_add(moved);
        }
    }

    fn leave(&mut self, is_proven: bool) {
        let turn = self.turn(is_proven);
        turn.under_way = turn.under_way.saturating_sub(1);
    }

    fn turn(&mut self, is_proven: bool) -> &mut Turn {
        if is_proven { &mut self.proven } else { &mut self.unproven }
    }

    /// Gives a webhook its turn, if it has something to start and does not wait for one already.
    fn queue(&mut self, webhook: Uuid) {
        let Some(lane) = self.lanes.get_mut(&webhook) else { return };
        if lane.jobs.is_empty() || lane.is_queued {
            return;
        }
        lane.is_queued = true;
        let is_proven = lane.is_proven;
        self.turn(is_proven).queue.push_back(webhook);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    /// Every job that may start now.
    fn started(gate: &mut Gate<u128>) -> Vec<u128> {
        std::iter::from_fn(|| gate.next()).collect()
    }

    #[test]
    fn an_unproven_webhook_has_one_attempt_at_a_time_and_a_proven_one_several() {
        let mut gate = Gate::default();
        for _ in 0..20 {
            gate.offer(webhook(1), 1);
        }
        assert_eq!(started(&mut gate).len(), 1);
        gate.finish(webhook(1), false, true);
        assert_eq!(started(&mut gate).len(), PER_PROVEN);
        gate.finish(webhook(1), false, false);
        // Not proven any more, and more than one under way.
        assert_eq!(started(&mut gate), []);
    }

    #[test]
    fn webhooks_that_hang_take_no_place_from_those_that_answer() {
        let mut gate = Gate::default();
        for number in 0..1_000 {
            gate.offer(webhook(number), number);
        }
        let (mut answered, mut hanging, mut seconds) = (0, Vec::new(), 0);
        while answered < 500 {
            seconds += 1;
            assert!(seconds < 30, "{answered} answered, {} hang", hanging.len());
            // Odd ones answer at once; the others hang for five rounds.
            let mut batch = started(&mut gate);
            while let Some(number) = batch.pop() {
                if number % 2 == 1 {
                    answered += 1;
                    gate.finish(webhook(number), false, true);
                } else {
                    gate.hang(webhook(number));
                    hanging.push((number, seconds + 5));
                }
                batch.extend(started(&mut gate));
            }
            hanging.retain(|(number, until)| {
                if seconds >= *until {
                    gate.finish(webhook(*number), true, false);
                }
                seconds < *until
            });
        }
        assert!(hanging.len() <= HANGING);
    }

    #[test]
    fn what_is_counted_comes_back_to_nothing() {
        let mut gate = Gate::default();
        for number in 0..300 {
            for _ in 0..3 {
                gate.offer(webhook(number), number);
            }
        }
        let mut left = 900;
        while left > 0 {
            for number in started(&mut gate) {
                left -= 1;
                let (hung, is_well) = (number % 3 == 0, number % 2 == 0);
                if hung {
                    gate.hang(webhook(number));
                }
                gate.finish(webhook(number), hung, is_well);
            }
        }
        assert_eq!((gate.hanging, gate.waiting), (0, 0));
        assert_eq!((gate.proven.under_way, gate.unproven.under_way), (0, 0));
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut gate = Gate::default();
        for _ in 0..WAITING_PER_WEBHOOK * 2 {
            gate.offer(webhook(1), 1);
        }
        assert!(!gate.has_room(webhook(1)) && gate.has_room(webhook(2)));
        assert_eq!(gate.waiting, WAITING_PER_WEBHOOK);
    }
}
