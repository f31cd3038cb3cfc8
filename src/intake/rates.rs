//! How fast each source may submit.
//!
//! A source may send a burst of events at once, and after that as fast as its rate.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use crate::model::Rate;
use crate::model::Time;
use crate::policy::rate::Meter;
use crate::policy::rate::Spacing;

/// Sources that are told apart; those beyond it share one rate.
const SOURCES_MAX: usize = 4096;

/// How far each source has come, by which rate: under another one, it begins anew.
#[derive(Debug, Default)]
pub(super) struct Rates(Mutex<HashMap<Arc<str>, (Rate, Meter)>>);

impl Rates {
    /// Counts events of a source, or tells how long it has to wait: then, and not
    /// before, one is taken if the source sends nothing else meanwhile. A batch that is larger than
    /// what may come at once is taken like any other, and waited for afterwards.
    pub(super) fn take(
        &self,
        source: &Arc<str>,
        events: usize,
        rate: &Rate,
        now: Time,
    ) -> Result<(), Duration> {
        let mut meters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if meters.len() >= SOURCES_MAX && !meters.contains_key(source) {
            meters.retain(|_, (_, meter)| !meter.is_full(now));
        }
        let full = meters.len() >= SOURCES_MAX && !meters.contains_key(source);
        let source = if full { Arc::from("") } else { Arc::clone(source) };
        let fresh = (*rate, Meter::default());
        let (held, meter) = meters.entry(source).or_insert(fresh);
        if held != rate && !full {
            (*held, *meter) = fresh;
        }
        let spacing = Spacing::exact(rate);
        let next = meter.next(&spacing);
        if next > now {
            return Err(next.since(now));
        }
        meter.take(&spacing, u32::try_from(events).unwrap_or(u32::MAX), now, now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_secs(1_795_256_102);
    const TEN: Rate = Rate { count: 10, per: Duration::from_secs(1), burst: 10 };
    const TENTH: Duration = Duration::from_millis(100);

    fn later(millis: u64) -> Time {
        Time::from_millis(NOW.as_millis() + millis)
    }

    #[test]
    fn a_second_s_worth_may_come_at_once_and_then_the_rate_holds() {
        let (rates, source) = (Rates::default(), "uid:1".into());
        let take = |at: Time| rates.take(&source, 1, &TEN, at);
        assert_eq!([0; 10].map(|_| take(NOW)), [Ok(()); 10]);
        assert_eq!(take(NOW), Err(TENTH));
        assert_eq!([take(later(100)), take(later(100))], [Ok(()), Err(TENTH)]);
        assert_eq!([0; 10].map(|_| take(later(9_000))), [Ok(()); 10], "idle time is not saved up");
        assert!(take(later(9_000)).is_err());
    }

    #[test]
    fn a_large_batch_is_taken_and_waited_for() {
        let (rates, source) = (Rates::default(), "uid:1".into());
        assert_eq!(rates.take(&source, 100, &TEN, NOW), Ok(()));
        assert_eq!(rates.take(&source, 1, &TEN, NOW), Err(Duration::from_secs(9) + TENTH));
        assert_eq!(rates.take(&source, 1, &TEN, later(9_000)), Err(TENTH));
        assert!(rates.take(&source, 1, &TEN, later(9_099)).is_err());
        assert_eq!(rates.take(&source, 1, &TEN, later(9_100)), Ok(()), "what was told is true");
    }

    #[test]
    fn a_burst_of_one_is_as_even_as_can_be() {
        let (rates, source) = (Rates::default(), "uid:1".into());
        let even = Rate { burst: 1, ..TEN };
        assert_eq!(rates.take(&source, 1, &even, NOW), Ok(()));
        assert_eq!(rates.take(&source, 1, &even, NOW), Err(TENTH));
        assert_eq!(rates.take(&source, 100, &TEN, NOW), Ok(()), "another rule holds at once");
        let faster = Rate { count: 1_000, burst: 1_000, ..TEN };
        assert!(rates.take(&source, 1, &TEN, NOW).is_err());
        assert_eq!(rates.take(&source, 1, &faster, NOW), Ok(()), "what was owed is forgotten");
    }

    #[test]
    fn sources_do_not_slow_each_other_down_until_there_are_too_many() {
        let rates = Rates::default();
        for n in 0..SOURCES_MAX {
            assert_eq!(rates.take(&format!("uid:{n}").into(), 100, &TEN, NOW), Ok(()));
        }
        assert_eq!(rates.take(&"uid:a".into(), 100, &TEN, NOW), Ok(()));
        assert!(rates.take(&"uid:b".into(), 1, &TEN, NOW).is_err(), "it shares with the other");
        assert_eq!(rates.take(&"uid:b".into(), 1, &TEN, later(20_000)), Ok(()), "room again");
        assert_eq!(rates.0.lock().unwrap().len(), 1);
    }
}
