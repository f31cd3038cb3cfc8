//! How fast each source may submit.
//!
//! A source may send a second's worth of events at once, and after that as fast as its rate. Kept
//! of it is one time: how far into the future what it has sent reaches at that rate.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use crate::model::Time;

/// Sources that are told apart; those beyond it share one rate.
const SOURCES_MAX: usize = 4096;
/// How far ahead of its rate a source may be.
const AHEAD_MAX: Duration = Duration::from_secs(1);
/// What time is counted in.
const TICK: Duration = Duration::from_micros(1);

/// How far each source has come.
#[derive(Debug, Default)]
pub(super) struct Rates(Mutex<HashMap<Arc<str>, Time>>);

impl Rates {
    /// Counts events of a source, or tells how long it has to wait: then, and not
    /// before, one is taken if the source sends nothing else meanwhile. A batch that is larger than
    /// what may come at once is taken like any other, and waited for afterwards.
    pub(super) fn take(
        &self,
        source: &Arc<str>,
        events: usize,
        per_second: NonZeroU32,
        now: Time,
    ) -> Result<(), Duration> {
        let mut reached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if reached.len() >= SOURCES_MAX && !reached.contains_key(source) {
            reached.retain(|_, time| *time > now);
        }
        let full = reached.len() >= SOURCES_MAX && !reached.contains_key(source);
        let source = if full { Arc::from("") } else { Arc::clone(source) };
        let time = reached.entry(source).or_insert(now);
        let ahead = time.since(now);
        if ahead >= AHEAD_MAX {
            return Err(ahead - AHEAD_MAX + TICK);
        }
        let events = u64::try_from(events).unwrap_or(u64::MAX);
        let cost = events.saturating_mul(1_000_000) / u64::from(per_second.get());
        *time = Time::from_micros(now.max(*time).as_micros().saturating_add(cost));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_secs(1_795_256_102);
    const TEN: NonZeroU32 = NonZeroU32::new(10).unwrap();

    fn later(millis: u64) -> Time {
        Time::from_millis(NOW.as_millis() + millis)
    }

    #[test]
    fn a_second_s_worth_may_come_at_once_and_then_the_rate_holds() {
        let (rates, source) = (Rates::default(), "uid:1".into());
        let take = |at: Time| rates.take(&source, 1, TEN, at);
        assert_eq!([0; 10].map(|_| take(NOW)), [Ok(()); 10]);
        assert_eq!(take(NOW), Err(TICK));
        assert_eq!([take(later(100)), take(later(100))], [Ok(()), Err(TICK)]);
        assert_eq!([0; 10].map(|_| take(later(9_000))), [Ok(()); 10], "idle time is not saved up");
        assert!(take(later(9_000)).is_err());
    }

    #[test]
    fn a_large_batch_is_taken_and_waited_for() {
        let (rates, source) = (Rates::default(), "uid:1".into());
        assert_eq!(rates.take(&source, 100, TEN, NOW), Ok(()));
        assert_eq!(rates.take(&source, 1, TEN, NOW), Err(Duration::from_secs(9) + TICK));
        assert_eq!(rates.take(&source, 1, TEN, later(9_000)), Err(TICK));
        let told = Time::from_micros(later(9_000).as_micros() + 1);
        assert_eq!(rates.take(&source, 1, TEN, told), Ok(()), "what was told is true");
    }

    #[test]
    fn sources_do_not_slow_each_other_down_until_there_are_too_many() {
        let rates = Rates::default();
        for n in 0..SOURCES_MAX {
            assert_eq!(rates.take(&format!("uid:{n}").into(), 100, TEN, NOW), Ok(()));
        }
        assert_eq!(rates.take(&"uid:a".into(), 100, TEN, NOW), Ok(()));
        assert!(rates.take(&"uid:b".into(), 1, TEN, NOW).is_err(), "it shares with the one before");
        assert_eq!(rates.take(&"uid:b".into(), 1, TEN, later(20_000)), Ok(()), "room again");
        assert_eq!(rates.0.lock().unwrap().len(), 1);
    }
}
