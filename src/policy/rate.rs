//! Rates: when the next one may come (the generic cell rate algorithm, ITU-T I.371).

use std::time::Duration;

use crate::model::Rate;
use crate::model::Time;

/// The interval is longer than the rate asks by one part in so many, so that a receiver that
/// counts arrivals does not see more than the rate where the network pushes two together.
const SPARE: u32 = 50;

/// What is left of a rate. Only its time is kept: when the next one would come if all were spaced
/// evenly.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meter {
    even: Time,
}

impl Meter {
    /// The time from which the next one may come.
    pub fn next(&self, rate: &Rate) -> Time {
        self.even.minus(interval(rate) * rate.burst.saturating_sub(1))
    }

    /// One after another may have come until now: the next one comes an interval later.
    pub fn begin(&mut self, rate: &Rate, now: Time) {
        self.even = now + interval(rate) * rate.burst;
    }

    /// One comes now.
    pub fn take(&mut self, rate: &Rate, now: Time) {
        self.even = self.even.max(now) + interval(rate);
    }
}

fn interval(rate: &Rate) -> Duration {
    let even = rate.per / rate.count.max(1);
    (even + even / SPARE).max(Duration::from_micros(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialled(rate: &Rate, for_secs: u64) -> Vec<Time> {
        let start = Time::from_secs(1_000);
        let (mut meter, mut now, mut times) = (Meter::default(), start, Vec::new());
        while now < start + Duration::from_secs(for_secs) {
            now = now.max(meter.next(rate));
            meter.take(rate, now);
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
            let times = dialled(&Rate { count, per: second, burst: 1 }, 5);
            assert!(most_in(&times, second) <= usize::try_from(count).unwrap_or(0), "{count}");
            assert!(times.len() * 100 >= 95 * 5 * usize::try_from(count).unwrap_or(0), "{count}");
        }
    }

    #[test]
    fn a_burst_is_allowed_once() {
        let second = Duration::from_secs(1);
        let times = dialled(&Rate { count: 10, per: second, burst: 5 }, 3);
        assert_eq!(times.iter().filter(|time| **time == Time::from_secs(1_000)).count(), 5);
        assert!(most_in(&times, second) <= 14, "{}", most_in(&times, second));
    }

    #[test]
    fn a_pause_saves_no_more_than_the_burst() {
        let rate = Rate { count: 10, per: Duration::from_secs(1), burst: 1 };
        let mut meter = Meter::default();
        meter.take(&rate, Time::from_secs(1_000));
        let later = Time::from_secs(2_000);
        assert!(meter.next(&rate) <= later);
        meter.take(&rate, later);
        assert!(meter.next(&rate) > later);
    }
}
