//! Rates: when the next one may come (the generic cell rate algorithm, ITU-T I.371).
//!
//! One meter for two uses. Of an endpoint, attempts are spaced a little further apart than its rate
//! asks ([`Spacing::spared`]). Of a source, events are counted as they come, many at once in a
//! batch ([`Spacing::exact`]).

use std::time::Duration;

use crate::model::Rate;
use crate::model::Time;

/// An interval is longer than the rate asks by one part in so many. Two thirds of what that spares
/// are for attempts that come late ([`LATE`]), the rest for the network, where it pushes two
/// together: a receiver that counts arrivals does not see more than the rate.
const SPARE: u32 = 33;
/// An attempt that comes late, because the machine is busy, does not put the next one off if it is
/// not later than this part of the rate's span ...
const LATE: u32 = 50;
/// ... and this.
const LATE_MAX: Duration = Duration::from_secs(1);
/// The shortest interval: what time is counted in.
const INTERVAL_MIN: Duration = Duration::from_micros(1);

/// How far apart things come, and how many may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spacing {
    interval: Duration,
    burst: u32,
    /// So late one may come without putting the next one off.
    late: Duration,
}

impl Spacing {
    /// As the rate says, rounded up to whole nanoseconds.
    pub fn exact(rate: &Rate) -> Spacing {
        let nanos = rate.per.as_nanos().div_ceil(u128::from(rate.count.max(1)));
        let interval = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let interval = interval.max(INTERVAL_MIN);
        Spacing { interval, burst: rate.burst.max(1), late: Duration::ZERO }
    }

    /// A little further apart, so that lateness is made up for.
    pub fn spared(rate: &Rate) -> Spacing {
        let Spacing { interval, burst, .. } = Spacing::exact(rate);
        let late = (rate.per / LATE).min(LATE_MAX);
        Spacing { interval: interval + interval / SPARE, burst, late }
    }
}

/// What is left of a rate. Only its time is kept: when the next one would come if all were spaced
/// evenly.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meter {
    /// Since the epoch; finer than a [`Time`], so that what is rounded does not add up.
    even: Duration,
}

impl Meter {
    /// The time from which the next one may come.
    pub fn next(&self, spacing: &Spacing) -> Time {
        let ahead = spacing.interval.saturating_mul(spacing.burst.saturating_sub(1));
        let micros = self.even.saturating_sub(ahead).as_nanos().div_ceil(1_000);
        Time::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// How many may come until then.
    pub fn count_until(&self, spacing: &Spacing, until: Time) -> usize {
        let next = self.next(spacing);
        if next > until {
            return 0;
        }
        let more = until.since(next).as_nanos() / spacing.interval.as_nanos().max(1);
        usize::try_from(more).unwrap_or(usize::MAX).saturating_add(1)
    }

    /// One after another may have come until now: the next one comes an interval later.
    pub fn begin(&mut self, spacing: &Spacing, now: Time) {
        self.even = since_epoch(now) + spacing.interval.saturating_mul(spacing.burst);
    }

    /// So many come now, and nothing but the rate kept them since `due`. They may be more than are
    /// left: then the next one waits for all of them.
    pub fn take(&mut self, spacing: &Spacing, count: u32, due: Time, now: Time) {
        let cost = spacing.interval.saturating_mul(count);
        let from = since_epoch(due.min(now)).max(since_epoch(now).saturating_sub(spacing.late));
        self.even = self.even.max(from).saturating_add(cost);
    }

    /// Whether as many may come now as if none had ever come.
    pub fn is_full(&self, now: Time) -> bool {
        self.even <= since_epoch(now)
    }
}

fn since_epoch(time: Time) -> Duration {
    Duration::from_micros(time.as_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything is due from the start; each comes so much later than it may.
    fn dialled(rate: &Rate, for_secs: u64, mut late: impl Iterator<Item = Duration>) -> Vec<Time> {
        let start = Time::from_secs(1_000);
        let spacing = Spacing::spared(rate);
        let (mut meter, mut now, mut times) = (Meter::default(), start, Vec::new());
        while now < start + Duration::from_secs(for_secs) {
            now = now.max(meter.next(&spacing));
            now = now + late.next().unwrap_or_default();
            meter.take(&spacing, 1, start, now);
            times.push(now);
        }
        times
    }

    fn most_in(times: &[Time], span: Duration) -> usize {
        let inside = |from: Time| times.iter().filter(|t| **t >= from && **t < from + span).count();
        times.iter().map(|from| inside(*from)).max().unwrap_or(0)
    }

    #[test]
    fn no_window_holds_more_than_the_rate() {
        let second = Duration::from_secs(1);
        for count in [1, 7, 50, 333] {
            let times = dialled(&Rate { count, per: second, burst: 1 }, 5, std::iter::empty());
            assert!(most_in(&times, second) <= usize::try_from(count).unwrap_or(0), "{count}");
            assert!(times.len() * 100 >= 95 * 5 * usize::try_from(count).unwrap_or(0), "{count}");
        }
    }

    #[test]
    fn what_comes_late_is_made_up_for_and_never_more_than_the_rate() {
        let second = Duration::from_secs(1);
        for seed in 0..50 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let late = std::iter::from_fn(|| Some(Duration::from_micros(rng.u64(0..15_000))));
            let times = dialled(&Rate { count: 50, per: second, burst: 1 }, 20, late);
            assert!(most_in(&times, second) <= 50, "seed {seed}: {}", most_in(&times, second));
            assert!(times.len() >= 48 * 20, "seed {seed}: {} in 20 s", times.len());
        }
    }

    #[test]
    fn what_nobody_asked_for_is_not_made_up_for() {
        let rate = Rate { count: 50, per: Duration::from_secs(1), burst: 1 };
        let (spacing, mut meter) = (Spacing::spared(&rate), Meter::default());
        let now = Time::from_secs(1_000);
        meter.take(&spacing, 1, now, now);
        assert!(meter.next(&spacing) > now + Duration::from_millis(20), "the second is not due");
    }

    #[test]
    fn as_many_are_counted_as_may_come() {
        let rate = Rate { count: 10, per: Duration::from_secs(1), burst: 3 };
        let (spacing, mut meter, now) =
            (Spacing::exact(&rate), Meter::default(), Time::from_secs(1_000));
        meter.begin(&spacing, now);
        assert_eq!(meter.count_until(&spacing, now), 0);
        let later = now + Duration::from_millis(100);
        assert_eq!(meter.count_until(&spacing, later), 1);
        assert_eq!(meter.count_until(&spacing, now + Duration::from_millis(250)), 2);
        meter.take(&spacing, 1, later, later);
        assert_eq!(meter.count_until(&spacing, later), 0);
    }

    #[test]
    fn a_burst_is_allowed_once() {
        let second = Duration::from_secs(1);
        let times = dialled(&Rate { count: 10, per: second, burst: 5 }, 3, std::iter::empty());
        assert_eq!(times.iter().filter(|time| **time == Time::from_secs(1_000)).count(), 5);
        assert!(most_in(&times, second) <= 14, "{}", most_in(&times, second));
    }

    #[test]
    fn a_pause_saves_no_more_than_the_burst() {
        let rate = Rate { count: 10, per: Duration::from_secs(1), burst: 1 };
        let spacing = Spacing::spared(&rate);
        let mut meter = Meter::default();
        meter.take(&spacing, 1, Time::from_secs(1_000), Time::from_secs(1_000));
        let later = Time::from_secs(2_000);
        assert!(meter.next(&spacing) <= later && meter.is_full(later));
        meter.take(&spacing, 1, later, later);
        assert!(meter.next(&spacing) > later && !meter.is_full(later));
    }

    #[test]
    fn what_is_taken_at_once_is_waited_for_to_the_microsecond() {
        let third = Rate { count: 3, per: Duration::from_secs(1), burst: 3 };
        let (spacing, now) = (Spacing::exact(&third), Time::from_secs(1_000));
        let mut meter = Meter::default();
        meter.take(&spacing, 30, now, now);
        // ten seconds for all, of which two thirds may come ahead
        assert_eq!(meter.next(&spacing), Time::from_micros(1_009_333_334));
        let mut slow = Meter::default();
        slow.take(&spacing, 3_000_000, now, now);
        let told = slow.next(&spacing).since(now).as_millis();
        assert!((999_999_333..=999_999_336).contains(&told), "nothing adds up: {told}");
    }
}
