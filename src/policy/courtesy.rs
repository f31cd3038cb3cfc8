//! How much of the machine a backlog may take while new events come in.
//!
//! What has waited for long (an endpoint was down, the daemon was) is worked off as fast as its
//! endpoint bears. On a busy machine that would come out of the share of live traffic: attempts
//! cost processor time, commits and reads, whoever they are for. So all backlogs together have a
//! window of their own. It grows as long as live traffic does not feel it, and shrinks when a new
//! event takes markedly longer to become safe than it does without them (the principle of LEDBAT,
//! RFC 6817: the background yields to the foreground by its own measurement).
//!
//! What "without them" is has to be measured again and again: every [`EBB_EVERY`] backlogs hold
//! back for one look. Without live traffic there is nobody to yield to, and no window.

use std::time::Duration;

use crate::model::Time;

/// A look at live traffic lasts so long at least ...
const LOOK: Duration = Duration::from_millis(200);
/// ... and until so many of its commits have been seen.
const LOOK_COMMITS: usize = 8;
/// Commits of one look that are remembered, at most.
const LOOK_COMMITS_MAX: usize = 256;
/// Where a look has not come to its end in this time, there is hardly any live traffic, and
/// nothing is held back for it.
const THIN: Duration = Duration::from_secs(2);
/// So often backlogs hold back for one look.
const EBB_EVERY: Duration = Duration::from_secs(10);
/// Live traffic feels it when the median commit takes longer than without backlogs, by this factor
/// and by this time.
const FELT_FACTOR: f64 = 1.5;
const FELT_US: f64 = 300.0;
/// What is left of the window when live traffic feels it.
const AFTER_FELT: f64 = 0.6;
/// The window grows by this part of itself, and by one at least.
const GROWTH: f64 = 0.25;
/// The window when a backlog meets live traffic.
const START: f64 = 4.0;

/// What all backlogs together may have under way.
#[derive(Clone, Debug)]
pub struct Courtesy {
    window: f64,
    /// The median commit of live traffic while backlogs hold back, in microseconds.
    alone_us: f64,
    tide: Tide,
    look: Option<Look>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Tide {
    /// Backlogs hold back, so that live traffic is seen alone.
    Ebb,
    /// They use the window.
    Flow { since: Time },
}

#[derive(Clone, Debug)]
struct Look {
    began: Time,
    took_us: Vec<f64>,
    /// The most that backlogs had under way.
    most: usize,
    /// Whether the window was used in full.
    full: bool,
}

impl Default for Courtesy {
    fn default() -> Courtesy {
        Courtesy { window: START, alone_us: 0.0, tide: Tide::Ebb, look: None }
    }
}

impl Courtesy {
    /// Deliveries of backlogs that may be under way now, from 1 to `max`.
    pub fn places(&self, now: Time, max: usize) -> usize {
        let Some(look) = &self.look else { return max };
        if now.since(look.began) > THIN {
            return max;
        }
        match self.tide {
            Tide::Ebb => 1,
            Tide::Flow { .. } => self.window_size().min(max).max(1),
        }
    }

    /// A commit of new events that took so long has become safe, while backlogs had this many
    /// deliveries under way.
    pub fn committed(&mut self, now: Time, took: Duration, under_way: usize) {
        if under_way == 0 && self.look.is_none() {
            return;
        }
        let places = self.places(now, usize::MAX);
        let look = self.look.get_or_insert_with(|| Look::begin(now));
        // what is still under way from before an ebb would be taken for live traffic alone
        let clouded = self.tide == Tide::Ebb && under_way > 1;
        if clouded || now.since(look.began) > THIN {
            *look = Look::begin(now);
        }
        look.most = look.most.max(under_way);
        look.full |= under_way >= places;
        if look.took_us.len() < LOOK_COMMITS_MAX {
            look.took_us.push(took.as_secs_f64() * 1e6);
        }
        if look.took_us.len() >= LOOK_COMMITS && now.since(look.began) >= LOOK {
            self.judge(now);
        }
    }

    fn judge(&mut self, now: Time) {
        let Some(look) = self.look.replace(Look::begin(now)) else { return };
        if look.most == 0 {
            // the next backlog begins anew
            *self = Courtesy::default();
            return;
        }
        let took_us = median(look.took_us);
        match self.tide {
            Tide::Ebb => {
                self.alone_us = took_us;
                self.tide = Tide::Flow { since: now };
            }
            Tide::Flow { since } => {
                if took_us > FELT_FACTOR * self.alone_us + FELT_US {
                    self.window = (self.window * AFTER_FELT).max(1.0);
                } else if look.full {
                    self.window += (self.window * GROWTH).max(1.0);
                }
                if now.since(since) >= EBB_EVERY {
                    self.tide = Tide::Ebb;
                }
            }
        }
    }

    fn window_size(&self) -> usize {
        // a float to an integer saturates, and the window is never negative
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "see above")]
        let whole = self.window as usize;
        whole
    }
}

impl Look {
    fn begin(now: Time) -> Look {
        Look { began: now, took_us: Vec::new(), most: 0, full: false }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 256;

    /// Live traffic of 500 commits a second, each of which takes `cost` of the deliveries of
    /// backlogs that are under way, for so long; the backlogs take what they may.
    fn live(courtesy: &mut Courtesy, from: Time, secs: u64, cost: fn(usize) -> u64) -> Vec<usize> {
        let mut windows = Vec::new();
        let mut under_way = courtesy.places(from, MAX);
        for n in 0..secs * 500 {
            let now = from + Duration::from_millis(2 * n);
            courtesy.committed(now, Duration::from_micros(cost(under_way)), under_way);
            under_way = courtesy.places(now, MAX);
            windows.push(under_way);
        }
        windows
    }

    #[test]
    fn nobody_is_yielded_to_where_nobody_comes() {
        let courtesy = Courtesy::default();
        assert_eq!(courtesy.places(Time::from_secs(1), MAX), MAX);
    }

    #[test]
    fn the_window_grows_where_nobody_feels_it() {
        let mut courtesy = Courtesy::default();
        let windows = live(&mut courtesy, Time::from_secs(1), 9, |_| 2_000);
        assert_eq!(windows.first(), Some(&1), "live traffic is first seen alone");
        assert_eq!(windows.last(), Some(&MAX), "nothing is held back in vain");
    }

    #[test]
    fn the_window_stays_where_live_traffic_does_not_feel_it() {
        let mut courtesy = Courtesy::default();
        // ten at once make commits half as long again
        let cost = |under_way: usize| 2_000 + 100 * u64::try_from(under_way).unwrap();
        let windows = live(&mut courtesy, Time::from_secs(1), 60, cost);
        let later: Vec<_> = windows.into_iter().skip(5_000).collect();
        assert!(later.iter().all(|window| *window <= 20), "{:?}", later.iter().max());
        let mean = later.iter().sum::<usize>() / later.len();
        assert!((5..=14).contains(&mean), "{mean}");
        assert!(later.contains(&1), "again and again, live traffic is seen alone");
    }

    #[test]
    fn live_traffic_that_gets_slow_by_itself_is_found_out() {
        let mut courtesy = Courtesy::default();
        live(&mut courtesy, Time::from_secs(1), 9, |_| 2_000);
        let windows = live(&mut courtesy, Time::from_secs(10), 60, |_| 20_000);
        let least = windows.iter().min();
        assert!(least < Some(&16), "at first it may be the backlog's fault: {least:?}");
        assert_eq!(windows.last(), Some(&MAX), "and then it turns out not to be");
    }

    #[test]
    fn when_the_backlog_ends_nothing_is_remembered() {
        let mut courtesy = Courtesy::default();
        live(&mut courtesy, Time::from_secs(1), 1, |_| 2_000);
        for n in 0..500 {
            let now = Time::from_secs(2) + Duration::from_millis(2 * n);
            courtesy.committed(now, Duration::from_millis(2), 0);
        }
        assert!(courtesy.look.is_none());
    }

    #[test]
    fn when_live_traffic_ends_nothing_is_held_back() {
        let mut courtesy = Courtesy::default();
        live(&mut courtesy, Time::from_secs(1), 1, |_| 2_000);
        assert!(courtesy.places(Time::from_secs(3), MAX) < MAX);
        assert_eq!(courtesy.places(Time::from_secs(5), MAX), MAX);
    }
}
