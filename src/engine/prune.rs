//! Retention: when the store is told to let go of what was kept for long enough.
//!
//! A sweep is many small steps, each a commit of its own, with a pause after each that is so long
//! that sweeping takes a quarter of the writer's time at most. A sweep that lasts for longer than
//! the time until the next one falls behind: its steps grow, and take half of the writer's time.
//! Deliveries wait for no sweep, and none begins while the process drains.

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
/// Deliveries that a step looks at ...
const LOOKS_MIN: u16 = 64;
/// ... and at most, twice as many each time, where the sweep falls behind.
const LOOKS_MAX: u16 = 512;
/// The pause after a step, in times of what the step took ...
const PAUSE: u32 = 3;
/// ... and where the sweep falls behind.
const PAUSE_BEHIND: u32 = 1;

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
#[derive(Debug)]
pub(crate) struct Sweeps {
    /// When the next step begins; `None` while one is under way.
    pub(crate) next: Option<Time>,
    /// When this sweep began; `None` between two.
    began: Option<Time>,
    /// What it has taken away.
    gone: Pruned,
    /// How far it has looked ahead of time.
    ahead: Option<Look>,
    looks: u16,
}

impl Default for Sweeps {
    fn default() -> Sweeps {
        Sweeps { next: None, began: None, gone: Pruned::default(), ahead: None, looks: LOOKS_MIN }
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
        let (limit, ahead) = (self.sweeps.looks, self.sweeps.ahead);
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
        if more {
            let behind = sweeps.began.is_some_and(|began| now.since(began) > every);
            let (pause, looks) = if behind {
                (PAUSE_BEHIND, (sweeps.looks * 2).min(LOOKS_MAX))
            } else {
                (PAUSE, LOOKS_MIN)
            };
            (sweeps.next, sweeps.ahead, sweeps.looks) = (Some(now + took * pause), ahead, looks);
            return;
        }
        let took = sweeps.began.map_or(Duration::ZERO, |began| now.since(began));
        out.push(Effect::Publish(Notice::Swept { gone: sweeps.gone, took }));
        self.sweeps = Sweeps { next: Some(now + every), ..Sweeps::default() };
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
