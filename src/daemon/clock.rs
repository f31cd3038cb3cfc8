//! The clocks, read in one place.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use crate::model::Time;

/// Now, by the system's wall clock; a clock before 1970 reads as 1970.
#[expect(clippy::disallowed_methods, reason = "this is the place that reads the clock")]
pub fn now() -> Time {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Time::ZERO + since_epoch
}

/// The time of a process: the wall clock's, but it never runs backwards. When the wall clock jumps
/// ahead it follows at once; when that jumps back it goes on at its own pace, so that nothing
/// waits for the time to come round again. What goes to others, who have clocks of their own, bears
/// the wall clock's time as it is ([`now`]).
#[derive(Debug)]
pub struct Clock {
    /// A wall time, and the moment that it belongs to.
    anchor: Mutex<(Time, Instant)>,
}

impl Clock {
    /// Begins with the wall clock's time.
    #[expect(clippy::disallowed_methods, reason = "this is the place that reads the clock")]
    pub fn start() -> Clock {
        Clock { anchor: Mutex::new((now(), Instant::now())) }
    }

    /// The time.
    #[expect(clippy::disallowed_methods, reason = "this is the place that reads the clock")]
    pub fn now(&self) -> Time {
        self.at(now(), Instant::now())
    }

    /// How far it is ahead of the wall clock, because that was set back.
    pub fn ahead(&self) -> Duration {
        let time = self.now();
        time.since(now())
    }

    fn at(&self, wall: Time, moment: Instant) -> Time {
        let mut anchor = self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        let (time, since) = *anchor;
        let steady = time + moment.saturating_duration_since(since);
        // threads may come here in another order than they read the clock
        *anchor = (wall.max(steady), moment.max(since));
        anchor.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a moment to count from")]
    fn follows_ahead_and_never_runs_back() {
        let (wall, moment) = (Time::from_secs(1_000_000), Instant::now());
        let clock = Clock { anchor: Mutex::new((wall, moment)) };
        let later = |secs| moment + Duration::from_secs(secs);
        let at = |wall_secs, secs| clock.at(Time::from_secs(wall_secs), later(secs)).as_secs();
        assert_eq!(at(1_000_001, 1), 1_000_001);
        assert_eq!(at(1_007_200, 2), 1_007_200, "two hours ahead");
        assert_eq!(at(1_000_003, 3), 1_007_201, "and back: goes on");
        assert_eq!(at(1_000_004, 2), 1_007_201, "a moment out of turn");
    }
}
