//! One delivery through an outage of its endpoint, on a virtual clock, by the rules that the daemon
//! follows.
//!
//! The delivery is accepted at the moment when the outage begins. Until its end every attempt at
//! the endpoint fails at once; from then on every attempt succeeds. Other events for the endpoint
//! count as far as they matter to this delivery: their failures open the breaker, and one of them
//! is tried where this delivery is not due yet. It is the oldest, so that where both are due it is
//! tried first.

use std::time::Duration;

use fastrand::Rng;

use crate::model::Attempt;
use crate::model::BreakerPolicy;
use crate::model::DeadReason;
use crate::model::EventId;
use crate::model::Next;
use crate::model::Opened;
use crate::model::Outcome;
use crate::model::Progress;
use crate::model::RetryPolicy;
use crate::model::Step;
use crate::model::StepKind;
use crate::model::Time;
use crate::model::WaitReason;
use crate::policy::backoff;
use crate::policy::breaker;

/// Things that happen in one run, at most; a plan that takes more is not worth reading.
pub(super) const MOMENTS_MAX: usize = 10_000;
/// What the virtual clock shows at the beginning.
const BEGINNING: Time = Time::from_secs(1_000_000);

/// What the run is about.
#[derive(Clone, Debug)]
pub(super) struct World {
    /// When the delivery is tried again.
    pub(super) retry: RetryPolicy,
    /// When the endpoint is left alone.
    pub(super) breaker: Option<BreakerPolicy>,
    /// How long the endpoint fails.
    pub(super) outage: Duration,
    /// The time between two other events for it; `None`: there are none.
    pub(super) others_every: Option<Duration>,
}

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The delivery is tried, in vain. `probe`: to see whether the endpoint is well again.
    Failed { number: u16, probe: bool },
    /// The delivery is tried, and delivered.
    Delivered { number: u16 },
    /// The delivery is dead.
    Dead { reason: DeadReason },
    /// Another delivery is tried to see whether the endpoint is well again.
    OtherTried { well: bool },
    /// The breaker opens.
    Opened,
    /// The endpoint is disabled; the delivery waits until a person enables it.
    Disabled,
}

/// What happens, and how long after the beginning.
pub(super) type Moment = (Duration, What);

/// The run would take more than [`MOMENTS_MAX`] moments.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// Runs it from its beginning to the end of the delivery.
///
/// # Errors
/// [`TooLong`] if that does not come soon enough.
pub(super) fn run(world: &World, rng: &mut Rng) -> Result<Vec<Moment>, TooLong> {
    let mut run = Run {
        world,
        moments: Vec::new(),
        due: BEGINNING,
        progress: Progress::default(),
        failures: 0,
        open: None,
        other: world.others_every.map(|every| BEGINNING + every),
    };
    while run.moments.len() < MOMENTS_MAX {
        if run.step(rng) {
            return Ok(run.moments);
        }
    }
    Err(TooLong)
}

struct Run<'w> {
    world: &'w World,
    moments: Vec<Moment>,
    /// When the delivery is due.
    due: Time,
    progress: Progress,
    /// Failures of the endpoint in a row.
    failures: u16,
    open: Option<Opened>,
    /// When another one is due.
    other: Option<Time>,
}

impl Run<'_> {
    /// The next thing that happens. Whether it was the last.
    fn step(&mut self, rng: &mut Rng) -> bool {
        let from = self.open.map_or(Time::ZERO, |open| open.until);
        let (own, other) = (self.due.max(from), self.other.map(|due| due.max(from)));
        // those that come while all is well, or where nothing counts them, change nothing
        let counts = self.open.is_some() || !self.is_well(other.unwrap_or(own));
        let other = other.filter(|at| counts && self.world.breaker.is_some() && *at < own);
        let expires = self.world.retry.max_age.map(|age| BEGINNING + age);
        let now = other.unwrap_or(own);
        if let Some(at) = expires.filter(|at| *at < now) {
            self.note(at, What::Dead { reason: DeadReason::Expired });
            return true;
        }
        if other.is_some() { self.try_other(now) } else { self.try_own(now, rng) }
    }

    fn is_well(&self, now: Time) -> bool {
        now >= BEGINNING + self.world.outage
    }

    fn note(&mut self, at: Time, what: What) {
        self.moments.push((at.since(BEGINNING), what));
    }

    fn try_own(&mut self, now: Time, rng: &mut Rng) -> bool {
        let number = self.progress.attempts.saturating_add(1);
        if self.is_well(now) {
            self.note(now, What::Delivered { number });
            return true;
        }
        let outcome = Outcome::ConnectRefused;
        let (attempt, event) = (Attempt::without_response(outcome), EventId::first_at(BEGINNING));
        let policy = &self.world.retry;
        let planned = backoff::after_attempt(policy, self.progress, event, &attempt, now, rng);
        let probe = self.open.is_some();
        self.note(now, What::Failed { number, probe });
        let disabled = self.failed(now, outcome);
        let tried_again = self.open.filter(|_| probe).map(|open| open.until);
        let next = match (planned, tried_again) {
            // an attempt that is made to see whether the endpoint is well is none of the plan
            (Next::Wait { .. } | Next::Dead { reason: DeadReason::Exhausted }, Some(due)) => {
                Next::Wait { due, why: WaitReason::Breaker }
            }
            (planned, _) => planned,
        };
        match next {
            Next::Wait { due, .. } => self.due = due,
            Next::Dead { reason } => self.note(now, What::Dead { reason }),
            Next::Delivered | Next::Cancelled => {}
        }
        let step = Step { at: now, kind: StepKind::Attempt(attempt), next };
        self.progress = self.progress.after(&step);
        disabled || !matches!(next, Next::Wait { .. })
    }

    /// Another delivery is tried.
    fn try_other(&mut self, now: Time) -> bool {
        if self.is_well(now) {
            self.note(now, What::OtherTried { well: true });
            (self.open, self.failures) = (None, 0);
            return false;
        }
        if self.open.is_some() {
            self.note(now, What::OtherTried { well: false });
        }
        self.other = self.other.zip(self.world.others_every).map(|(at, every)| at + every);
        self.failed(now, Outcome::ConnectRefused)
    }

    /// The endpoint has failed. Whether it is disabled for it.
    fn failed(&mut self, now: Time, outcome: Outcome) -> bool {
        self.failures = self.failures.saturating_add(1);
        let Some(policy) = &self.world.breaker else { return false };
        match self.open {
            Some(open) => {
                let open = breaker::stays_open(policy, open, outcome, now);
                self.open = Some(open);
                if breaker::gives_up(policy, &open, now) {
                    self.note(now, What::Disabled);
                    return true;
                }
            }
            None => {
                self.open = breaker::opens(policy, self.failures, outcome, now);
                if self.open.is_some() {
                    self.note(now, What::Opened);
                }
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn world(outage_secs: u64) -> World {
        let config = Config::default();
        let retry = RetryPolicy { jitter: 0.0, ..config.retry.policy() };
        let outage = Duration::from_secs(outage_secs);
        World { retry, breaker: config.breaker.policy(), outage, others_every: None }
    }

    fn moments(world: &World) -> Vec<(u64, What)> {
        let run = run(world, &mut Rng::with_seed(1)).unwrap();
        run.into_iter().map(|(at, what)| (at.as_secs(), what)).collect()
    }

    #[test]
    fn alone_it_follows_the_plan_of_retries() {
        let seen = moments(&world(7_200));
        let failed = |number| What::Failed { number, probe: false };
        let expected = [(0, failed(1)), (5, failed(2)), (305, failed(3)), (2_105, failed(4))];
        assert_eq!(seen[..4], expected);
        assert_eq!(seen[4..], [(9_305, What::Delivered { number: 5 })]);
    }

    #[test]
    fn among_others_it_is_what_the_endpoint_is_tried_with() {
        let busy = World { others_every: Some(Duration::from_millis(500)), ..world(7_200) };
        let seen = moments(&busy);
        let probe = |number| What::Failed { number, probe: true };
        assert_eq!(
            seen[..3],
            [(0, What::Failed { number: 1, probe: false }), (4, What::Opened), (34, probe(2)),]
        );
        assert_eq!(seen.last(), Some(&(7_234, What::Delivered { number: 13 })));
        assert!(!seen.contains(&(0, What::OtherTried { well: false })));
    }

    #[test]
    fn another_is_tried_where_this_one_is_not_due() {
        let mut busy = World { others_every: Some(Duration::from_secs(1)), ..world(3_600) };
        busy.retry.schedule = crate::model::Schedule::Steps(vec![Duration::from_secs(7_200)]);
        let seen = moments(&busy);
        assert!(seen.iter().any(|(_, what)| *what == What::OtherTried { well: false }));
        let tail: Vec<_> =
            seen.iter().rev().take(2).map(|(at, what)| (*at >= 3_600, *what)).collect();
        let delivered = What::Delivered { number: 2 };
        assert_eq!(tail, [(true, delivered), (true, What::OtherTried { well: true })]);
        assert_eq!(seen.last(), Some(&(7_200, delivered)));
    }

    #[test]
    fn a_long_outage_ends_as_the_rules_say() {
        let week = 7 * 86_400;
        let dead = |reason| What::Dead { reason };
        assert_eq!(moments(&world(week)).last(), Some(&(272_105, dead(DeadReason::Exhausted))));
        let mut old = world(week);
        old.retry.max_age = Some(Duration::from_secs(3_600));
        assert_eq!(moments(&old).last().map(|(_, what)| *what), Some(dead(DeadReason::Expired)));
        let busy = World { others_every: Some(Duration::from_secs(1)), ..world(week) };
        let (at, last) = *moments(&busy).last().unwrap();
        assert_eq!(last, What::Disabled);
        assert!((5 * 86_400..5 * 86_400 + 1_000).contains(&at), "{at}");
    }

    #[test]
    fn what_does_not_end_is_given_up() {
        let mut busy = World { others_every: Some(Duration::from_secs(1)), ..world(86_400) };
        let policy = busy.breaker.unwrap();
        let second = Duration::from_secs(1);
        busy.breaker = Some(BreakerPolicy { open_for: second, open_max: second, ..policy });
        assert_eq!(run(&busy, &mut Rng::with_seed(1)), Err(TooLong));
    }
}
