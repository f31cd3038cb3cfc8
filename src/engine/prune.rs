//! Retention: when the store is told to let go of what was kept for long enough.
//!
//! A sweep is many small steps, each a commit of its own, with a pause after each that is so long
//! that sweeping takes a quarter of the writer's time at most. A sweep that lasts for longer than
//! the time until the next one falls behind, and goes about it harder; the next one begins as hard.
//! At the hardest, one step follows the other: what goes then shares the writer's time with what
//! comes, so that the store does not grow for ever. Deliveries wait for no sweep, and none begins
//! while the process drains.

use std::time::Duration;

use crate::engine::Draining;
use crate::engine::Engine;
use crate::engine::Pending;
use crate::engine::words::Effect;
use crate::engine::words::Notice;
use crate::model::Horizons;
use crate::model::Look;
use crate::model::Prune;
use crate::model::Pruned;
use crate::model::Receipt;
use crate::model::Record;
use crate::model::Time;

/// The first sweep begins so long after the start, at the latest.
const FIRST_AFTER: Duration = Duration::from_secs(10);
/// How hard a sweep goes about it: how many deliveries a step looks at, and the pause after it in
/// times of what the step took.
const PACES: [(u16, u32); 5] = [(64, 3), (128, 1), (256, 1), (512, 1), (512, 0)];

/// How long things are kept, and how often it is looked for what may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// How long things are kept.
    pub horizons: Horizons,
    /// From the end of a sweep to the next one.
    pub sweep_every: Duration,
}

impl Default for Retention {
    fn default() -> Retention {
        let days = |days: u64| Duration::from_secs(days * 86_400);
        let horizons = Horizons {
            keys: days(7),
            delivered_payload: days(3),
            dead_payload: days(30),
            events: days(30),
            payload_bytes_max: None,
        };
        Retention { horizons, sweep_every: Duration::from_secs(600) }
    }
}

/// Where the sweeps stand.
#[derive(Debug, Default)]
pub(crate) struct Sweeps {
    /// When the next step begins; `None` while one is under way.
    pub(crate) next: Option<Time>,
    /// When this sweep began; `None` between two.
    began: Option<Time>,
    /// What it has taken away.
    gone: Pruned,
    /// How far it has looked ahead of time.
    ahead: Option<Look>,
    pace: Pace,
}

/// How hard sweeps go about it, as a place in [`PACES`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Pace(usize);

impl Pace {
    /// Of a sweep that has taken so long and goes on: harder for each time that it has fallen
    /// behind.
    fn going_on(self, took: Duration, every: Duration) -> Pace {
        let times = took.as_micros() / every.as_micros().max(1);
        let hardest = PACES.len() - 1;
        let harder = usize::try_from(times).unwrap_or(hardest).min(hardest);
        Pace(self.0.max(harder))
    }

    /// For the sweep after one that took so long.
    fn next(self, took: Duration, every: Duration) -> Pace {
        if took < every / 2 { Pace(self.0.saturating_sub(1)) } else { self }
    }

    fn looks_and_pause(self) -> (u16, u32) {
        let [first, ..] = PACES;
        PACES.get(self.0).copied().unwrap_or(first)
    }
}

impl Engine {
    /// The process has begun.
    pub(crate) fn first_sweep(&mut self, now: Time) {
        self.sweeps.next = Some(now + FIRST_AFTER.min(self.limits.retention.sweep_every));
    }

    /// When the next step of a sweep begins.
    pub(crate) fn next_prune(&self) -> Option<Time> {
        self.sweeps.next.filter(|_| self.draining == Draining::No)
    }

    /// Begins the next step, if it is time.
    pub(crate) fn prune(&mut self, now: Time, out: &mut Vec<Effect>) {
        if self.next_prune().is_none_or(|at| at > now) {
            return;
        }
        self.sweeps.next = None;
        self.sweeps.began.get_or_insert(now);
        let ((limit, _), ahead) = (self.sweeps.pace.looks_and_pause(), self.sweeps.ahead);
        let horizons = self.limits.retention.horizons;
        let prune = Box::new(Prune { now, horizons, limit, ahead });
        self.commit(vec![Record::Prune(prune)], Pending::Prune(now), out);
    }

    /// A step is safe.
    pub(crate) fn pruned(
        &mut self,
        now: Time,
        since: Time,
        receipts: Vec<Receipt>,
        out: &mut Vec<Effect>,
    ) {
        let (gone, more, ahead, damaged) = match receipts.into_iter().next() {
            Some(Receipt::Pruned { gone, more, ahead, damaged }) => (gone, more, ahead, damaged),
            _ => (Pruned::default(), false, None, Vec::new()),
        };
        out.extend(damaged.into_iter().map(|damage| Effect::Publish(Notice::Damaged(damage))));
        if gone != Pruned::default() {
            out.push(Effect::Publish(Notice::Pruned(gone)));
        }
        let every = self.limits.retention.sweep_every;
        let took = now.since(since);
        let sweeps = &mut self.sweeps;
        sweeps.gone.add(gone);
        let lasts = sweeps.began.map_or(Duration::ZERO, |began| now.since(began));
        if more {
            sweeps.pace = sweeps.pace.going_on(lasts, every);
            let (_, pause) = sweeps.pace.looks_and_pause();
            (sweeps.next, sweeps.ahead) = (Some(now + took * pause), ahead);
            return;
        }
        out.push(Effect::Publish(Notice::Swept { gone: sweeps.gone, took: lasts }));
        let pace = sweeps.pace.next(lasts, every);
        self.sweeps = Sweeps { next: Some(now + every), pace, ..Sweeps::default() };
    }

    /// From now on, things are kept for so long. What waits for its sweep does not wait longer than
    /// it would have anyway.
    pub(crate) fn retain(&mut self, now: Time, retention: Retention) {
        let next = now + retention.sweep_every;
        self.limits.retention = retention;
        if self.sweeps.began.is_none() {
            self.sweeps.next = self.sweeps.next.map(|at| at.min(next));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(600);

    #[test]
    fn a_sweep_that_falls_behind_goes_about_it_harder() {
        let pace = |minutes: u64| Pace::default().going_on(minutes_of(minutes), EVERY);
        assert_eq!(pace(9).looks_and_pause(), (64, 3));
        assert_eq!(pace(10).looks_and_pause(), (128, 1));
        assert_eq!(pace(30).looks_and_pause(), (512, 1));
        assert_eq!(pace(40).looks_and_pause(), (512, 0), "one step follows the other");
        assert_eq!(pace(4_000), pace(40));
        assert_eq!(pace(40).going_on(minutes_of(1), EVERY), pace(40), "it does not ease off early");
    }

    #[test]
    fn the_next_sweep_begins_as_hard_and_eases_off_once_there_is_time() {
        let hard = Pace(4);
        assert_eq!(hard.next(minutes_of(30), EVERY), hard);
        assert_eq!(hard.next(minutes_of(4), EVERY), Pace(3));
        assert_eq!(Pace::default().next(minutes_of(4), EVERY), Pace::default());
    }

    fn minutes_of(minutes: u64) -> Duration {
        Duration::from_secs(60 * minutes)
    }
}
