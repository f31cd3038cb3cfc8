//! How fast what is pending goes down, and how long whoever is refused because of it has to wait.

use std::time::Duration;

use crate::model::Time;
use crate::model::problem::NOBODY_KNOWS;

/// What is further back than this is forgotten, a slot at a time.
const SPAN: Duration = Duration::from_secs(60);
const SLOTS: usize = 12;
const SLOT_SECS: u64 = 5;
/// The shortest wait.
const WAIT_MIN: Duration = Duration::from_secs(1);
/// The longest wait: by then the pace is another.
const WAIT_MAX: Duration = Duration::from_secs(3_600);
/// The shortest wait where nothing has gone down lately.
const STUCK_MIN: Duration = Duration::from_secs(30);

/// Deliveries that have ended in the last minute.
#[derive(Clone, Debug, Default)]
pub struct Ebb {
    began: Option<Time>,
    /// Each with its number, counted from the epoch.
    slots: [(u64, u64); SLOTS],
}

/// So many in so much time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// How many.
    pub count: u64,
    /// In which time; not zero if there were any.
    pub span: Duration,
}

impl Ebb {
    /// Time counts from here, if it does not yet.
    pub fn begin(&mut self, now: Time) {
        self.began.get_or_insert(now);
    }

    /// So many have ended.
    pub fn went(&mut self, now: Time, count: u64) {
        let number = now.as_secs() / SLOT_SECS;
        let place = usize::try_from(number % SLOTS as u64).unwrap_or(0);
        let Some((held, slot)) = self.slots.get_mut(place) else { return };
        if *held < number {
            (*held, *slot) = (number, 0);
        }
        *slot = slot.saturating_add(count);
    }

    /// The pace of the last minute, or of the time since the beginning.
    pub fn pace(&self, now: Time) -> Pace {
        let first = (now.as_secs() / SLOT_SECS + 1).saturating_sub(SLOTS as u64);
        let recent = self.slots.iter().filter(|(number, _)| *number >= first);
        let count = recent.fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
        let since_began = self.began.map_or(SPAN, |began| now.since(began));
        Pace { count, span: since_began.clamp(WAIT_MIN, SPAN) }
    }
}

/// How long it takes until so many have gone at this pace: from a second to an hour. Where nothing
/// has gone lately, it is the time until something is tried, half a minute at least; and where
/// nothing will be tried, nobody knows.
pub fn wait(excess: u64, pace: Pace, next_try: Option<Duration>) -> Duration {
    if pace.count == 0 {
        return next_try.map_or(NOBODY_KNOWS, |span| span.clamp(STUCK_MIN, WAIT_MAX));
    }
    let nanos = pace.span.as_nanos().saturating_mul(u128::from(excess)) / u128::from(pace.count);
    let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
    Duration::from_nanos(nanos).clamp(WAIT_MIN, WAIT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_secs(1_800_000_000);

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn waits_are_as_long_as_the_pace_says_within_bounds() {
        let pace = |count: u64, span: u64| Pace { count, span: secs(span) };
        for (excess, pace, next_try, expected) in [
            (1, pace(60, 60), None, secs(1)),
            (30, pace(60, 60), None, secs(30)),
            (30, pace(60, 60), Some(secs(900)), secs(30)),
            (1, pace(4, 60), None, secs(15)),
            (10, pace(20, 5), None, Duration::from_millis(2_500)),
            (1, pace(6_000_000, 60), None, secs(1)),
            (u64::MAX, pace(1, 60), None, secs(3_600)),
            (1, pace(0, 60), Some(secs(0)), secs(30)),
            (1, pace(0, 60), Some(secs(300)), secs(300)),
            (1, pace(0, 60), Some(secs(86_400)), secs(3_600)),
            (1_000, pace(0, 60), None, secs(60)),
        ] {
            assert_eq!(wait(excess, pace, next_try), expected, "{excess} {pace:?} {next_try:?}");
        }
    }

    #[test]
    fn the_pace_is_that_of_the_last_minute() {
        let mut ebb = Ebb::default();
        ebb.begin(NOW);
        assert_eq!(ebb.pace(NOW), Pace { count: 0, span: secs(1) }, "no time has passed yet");
        for second in 0..300 {
            let now = NOW + secs(second);
            ebb.begin(now);
            ebb.went(now, 10);
            let Pace { count, span } = ebb.pace(now);
            assert_eq!(span, secs(second.clamp(1, 60)));
            // of the oldest five seconds, what is not a whole slot is forgotten
            let held = second.min(55 + second % 5) + 1;
            assert_eq!(count, 10 * held, "after {second} s");
        }
        assert_eq!(ebb.pace(NOW + secs(359)).count, 0);
        ebb.went(NOW, 5);
        assert_eq!(ebb.pace(NOW + secs(359)).count, 0, "a clock set back does no harm");
    }
}
