//! How an endpoint fares: its attempts and deliveries of the last five minutes, and whether they
//! are within its targets.

use std::time::Duration;

use crate::model::Targets;
use crate::model::Time;

/// What is further back than this is forgotten, a slot at a time.
pub const SPAN: Duration = Duration::from_secs(300);
const SLOTS: usize = 10;
const SLOT_SECS: u64 = 30;
/// Fewer attempts, or deliveries, than this in the span say nothing.
const SAID_MIN: u32 = 20;
/// One delivery in so many may be slower than the target.
const SLOW_PARTS: u32 = 20;

/// What happened in a span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beats {
    /// Attempts that have ended.
    pub attempts: u32,
    /// Those of them that failed, whoever's fault it was.
    pub failures: u32,
    /// Deliveries that were accepted.
    pub delivered: u32,
    /// Those of them that took longer than the target.
    pub slow: u32,
}

/// The last five minutes of one endpoint.
#[derive(Clone, Debug, Default)]
pub struct Pulse {
    /// Each with its number, counted from the epoch.
    slots: [(u64, Beats); SLOTS],
}

/// What an endpoint has missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// More of its attempts have failed than may.
    Failing,
    /// More than one delivery in twenty took longer than it should.
    Slow,
}

impl Pulse {
    /// An attempt has ended; if it was accepted, the delivery took so long in all.
    pub fn beat(&mut self, now: Time, took: Option<Duration>, targets: &Targets) {
        let number = now.as_secs() / SLOT_SECS;
        let Some((held, slot)) = self.slots.get_mut(place(number)) else { return };
        // a clock that was set back counts where it was
        if *held < number {
            (*held, *slot) = (number, Beats::default());
        }
        slot.attempts = slot.attempts.saturating_add(1);
        match took {
            None => slot.failures = slot.failures.saturating_add(1),
            Some(took) => {
                slot.delivered = slot.delivered.saturating_add(1);
                let slow = targets.latency.is_some_and(|target| took > target);
                slot.slow = slot.slow.saturating_add(u32::from(slow));
            }
        }
    }

    /// All of the span.
    pub fn beats(&self, now: Time) -> Beats {
        let first = (now.as_secs() / SLOT_SECS + 1).saturating_sub(SLOTS as u64);
        let mut sum = Beats::default();
        for (_, slot) in self.slots.iter().filter(|(number, _)| *number >= first) {
            sum.attempts = sum.attempts.saturating_add(slot.attempts);
            sum.failures = sum.failures.saturating_add(slot.failures);
            sum.delivered = sum.delivered.saturating_add(slot.delivered);
            sum.slow = sum.slow.saturating_add(slot.slow);
        }
        sum
    }
}

impl Beats {
    /// What of the targets is missed.
    pub fn misses(&self, targets: &Targets) -> impl Iterator<Item = Miss> {
        let failing = targets.error_percent.is_some_and(|percent| {
            let part = u64::from(self.failures) * 100;
            self.attempts >= SAID_MIN && part >= u64::from(percent) * u64::from(self.attempts)
        });
        let slow = self.delivered >= SAID_MIN
            && targets.latency.is_some()
            && self.slow > self.delivered / SLOW_PARTS;
        let failing = failing.then_some(Miss::Failing);
        [failing, slow.then_some(Miss::Slow)].into_iter().flatten()
    }
}

fn place(number: u64) -> usize {
    usize::try_from(number % SLOTS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGETS: Targets = Targets {
        late_after: None,
        latency: Some(Duration::from_secs(2)),
        error_percent: Some(50),
        silent_after: None,
    };

    fn at(secs: u64) -> Time {
        Time::from_secs(1_800_000_000 + secs)
    }

    fn misses(pulse: &Pulse, now: Time) -> Vec<Miss> {
        pulse.beats(now).misses(&TARGETS).collect()
    }

    #[test]
    fn half_of_enough_attempts_is_too_many_to_fail() {
        let mut pulse = Pulse::default();
        let quick = Some(Duration::from_millis(5));
        for n in 0..19 {
            pulse.beat(at(n), quick.filter(|_| n % 2 == 0), &TARGETS);
        }
        assert_eq!(misses(&pulse, at(20)), [], "too few to say");
        pulse.beat(at(20), None, &TARGETS);
        assert_eq!(misses(&pulse, at(20)), [Miss::Failing]);
        pulse.beat(at(21), quick, &TARGETS);
        assert_eq!(misses(&pulse, at(21)), [], "less than half");
    }

    #[test]
    fn one_in_twenty_may_be_slow() {
        let mut pulse = Pulse::default();
        for n in 0..40 {
            let took = Duration::from_secs(if n < 2 { 3 } else { 2 });
            pulse.beat(at(n), Some(took), &TARGETS);
        }
        assert_eq!(misses(&pulse, at(40)), []);
        pulse.beat(at(41), Some(Duration::from_secs(3)), &TARGETS);
        assert_eq!(misses(&pulse, at(41)), [Miss::Slow]);
        let expected = Beats { attempts: 41, failures: 0, delivered: 41, slow: 3 };
        assert_eq!(pulse.beats(at(41)), expected);
    }

    #[test]
    fn what_is_past_is_forgotten() {
        let mut pulse = Pulse::default();
        for n in 0..600 {
            pulse.beat(at(n), None, &TARGETS);
            let span = u32::try_from(n % 30 + 1 + 30 * (n / 30).min(9)).unwrap();
            assert_eq!(pulse.beats(at(n)).attempts, span, "at {n}");
        }
        assert_eq!(pulse.beats(at(600 + 299)).attempts, 0);
        pulse.beat(at(900), None, &TARGETS);
        pulse.beat(at(0), None, &TARGETS);
        assert_eq!(pulse.beats(at(900)).attempts, 2, "a clock set back loses nothing");
    }
}
