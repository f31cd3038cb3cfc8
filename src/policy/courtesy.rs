//! How much of the machine backlogs may take while new events come in.
//!
//! What has waited for long (an endpoint was down, the daemon was) is worked off as fast as its
//! endpoint bears. On a busy machine that would come out of the share of live traffic: attempts
//! cost processor time, commits and reads, whoever they are for. So all backlogs together have a
//! pace. It grows as long as live traffic does not feel it, and drops when a new event takes
//! markedly longer, from the read of its request until it is safe, than it does without them (the
//! principle of LEDBAT, RFC 6817: the background yields to the foreground by its own measurement).
//!
//! What "without them" is has to be measured again and again: every `EBB_EVERY` backlogs hold
//! back for a moment. One such look may fall into a bad moment of the machine, so the median of the
//! last few counts. And since what is felt may be somebody else's doing, yielding has a limit:
//! backlogs take up one delivery for so many new events, whatever these feel. Without live traffic
//! there is nobody to yield to, and no pace.
//!
//! It is a pace and not a number of places, because a delivery that hangs costs nothing, and would
//! keep its place from others.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::Time;

/// A look at live traffic lasts so long at least ...
const LOOK: Duration = Duration::from_millis(200);
/// ... and until so many of its commits have been seen.
const LOOK_COMMITS: usize = 16;
/// Commits of one look that are remembered, at most.
const LOOK_COMMITS_MAX: usize = 256;
/// Where a look has not come to its end in this time, there is hardly any live traffic, and
/// nothing is held back for it.
const THIN: Duration = Duration::from_secs(2);
/// So often backlogs hold back ...
const EBB_EVERY: Duration = Duration::from_secs(10);
/// ... and the median of so many of these looks is what a commit takes without them.
const EBBS: usize = 5;
/// Live traffic feels it when the median commit takes longer than without backlogs, by this factor
/// and by this time, in most of so many looks.
const FELT_FACTOR: f64 = 1.3;
const FELT_US: f64 = 200.0;
const FELT_LOOKS: usize = 3;
/// What is left of the pace when live traffic feels it.
const AFTER_FELT: f64 = 0.6;
/// What the pace grows by, while it is used in full and nobody feels it.
const GROWTH: f64 = 1.25;
/// Deliveries a second when a backlog meets live traffic, and the least and the most there are.
const START: f64 = 200.0;
const LEAST: f64 = 20.0;
const MOST: f64 = 100_000.0;
/// Deliveries of backlogs for each commit of live traffic, at least.
const SHARE: f64 = 0.5;
/// What was not used up stays for so long.
const SPARED: Duration = Duration::from_millis(5);

/// The pace of all backlogs together.
#[derive(Clone, Debug)]
pub struct Courtesy {
    per_second: f64,
    /// Not before this, the next delivery of a backlog.
    next: Time,
    /// The median commit of live traffic in the last looks while backlogs held back, in
    /// microseconds; the latest last.
    alone_us: VecDeque<f64>,
    /// The same in the last looks since the pace was lowered.
    lately_us: VecDeque<f64>,
    /// Commits of live traffic a second, in the last look.
    live: f64,
    tide: Tide,
    look: Option<Look>,
    /// Live traffic was too thin to look at, when last it was tried.
    thin: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Tide {
    /// Backlogs have begun to hold back: what they have under way still clouds the view.
    Turning,
    /// They hold back, so that live traffic is seen alone.
    Ebb,
    /// They keep the pace.
    Flow { since: Time },
}

#[derive(Clone, Debug)]
struct Look {
    began: Time,
    took_us: Vec<f64>,
    commits: u32,
    /// Deliveries of backlogs that were taken up.
    taken: u32,
    /// Whether one more would have been.
    wanted: bool,
}

impl Default for Courtesy {
    fn default() -> Courtesy {
        Courtesy {
            per_second: START,
            next: Time::ZERO,
            alone_us: VecDeque::new(),
            lately_us: VecDeque::new(),
            live: 0.0,
            tide: Tide::Turning,
            look: None,
            thin: false,
        }
    }
}

impl Courtesy {
    /// Whether a delivery of a backlog may be taken up now; if not, when one may.
    pub fn may_go(&mut self, now: Time) -> Result<(), Time> {
        if !self.is_paced(now) || self.next <= now {
            return Ok(());
        }
        if let Some(look) = &mut self.look {
            look.wanted = true;
        }
        Err(self.next)
    }

    /// Whether there is live traffic to yield to.
    fn is_paced(&self, now: Time) -> bool {
        !self.thin && self.look.as_ref().is_some_and(|look| now.since(look.began) <= THIN)
    }

    /// A delivery of a backlog is taken up. Whatever is taken up, the next one is a gap or two away
    /// at most: what did not have to ask is no debt of those that do.
    pub fn taken_up(&mut self, now: Time) {
        if let Some(look) = &mut self.look {
            look.taken = look.taken.saturating_add(1);
        }
        if !self.is_paced(now) {
            return;
        }
        let pace = match self.tide {
            Tide::Flow { .. } => self.per_second.max(SHARE * self.live),
            Tide::Turning | Tide::Ebb => LEAST,
        };
        let gap = Duration::from_secs_f64(1.0 / pace);
        self.next = (self.next.max(now.minus(SPARED)) + gap).min(now + 2 * gap);
    }

    /// A commit of new events that took so long has become safe. `backlog` says whether a delivery
    /// of a backlog is under way.
    pub fn committed(&mut self, now: Time, took: Duration, backlog: bool) {
        if !backlog && self.look.is_none() {
            return;
        }
        let look = self.look.get_or_insert_with(|| Look::begin(now));
        if now.since(look.began) > THIN {
            *look = Look::begin(now);
            self.thin = true;
        }
        look.commits = look.commits.saturating_add(1);
        if look.took_us.len() < LOOK_COMMITS_MAX {
            look.took_us.push(took.as_secs_f64() * 1e6);
        }
        if look.took_us.len() >= LOOK_COMMITS && now.since(look.began) >= LOOK {
            self.judge(now, backlog);
        }
    }

    fn judge(&mut self, now: Time, backlog: bool) {
        let Some(look) = self.look.replace(Look::begin(now)) else { return };
        self.thin = false;
        if look.taken == 0 && !look.wanted && !backlog {
            // the next backlog begins anew
            *self = Courtesy::default();
            return;
        }
        self.live = f64::from(look.commits) / now.since(look.began).as_secs_f64();
        let took_us = median(&look.took_us);
        self.tide = match self.tide {
            Tide::Turning => Tide::Ebb,
            Tide::Ebb => {
                remember(&mut self.alone_us, took_us, EBBS);
                Tide::Flow { since: now }
            }
            Tide::Flow { since } => {
                let felt_us = FELT_FACTOR * median(&self.alone_us) + FELT_US;
                remember(&mut self.lately_us, took_us, FELT_LOOKS);
                if self.lately_us.len() == FELT_LOOKS && median(&self.lately_us) > felt_us {
                    self.per_second = (self.per_second * AFTER_FELT).max(LEAST);
                    self.lately_us.clear();
                } else if look.wanted && took_us <= felt_us {
                    self.per_second = (self.per_second * GROWTH).min(MOST);
                }
                if now.since(since) >= EBB_EVERY { Tide::Turning } else { self.tide }
            }
        };
    }
}

impl Look {
    fn begin(now: Time) -> Look {
        Look { began: now, took_us: Vec::new(), commits: 0, taken: 0, wanted: false }
    }
}

fn median<'a>(values: impl IntoIterator<Item = &'a f64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().copied().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// The last so many values.
fn remember(values: &mut VecDeque<f64>, value: f64, most: usize) {
    if values.len() == most {
        values.pop_front();
    }
    values.push_back(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Live traffic of 500 commits a second for so long. A backlog takes what it may, up to 20 at
    /// a time; `cost` says how long a commit takes, in us, where so many of them are taken up a
    /// second. Answers these paces, averaged over a second each.
    fn live(
        courtesy: &mut Courtesy,
        from: Time,
        secs: u64,
        mut cost: impl FnMut(u64) -> u64,
    ) -> Vec<u64> {
        let mut paces = Vec::new();
        let mut taken_lately = VecDeque::new();
        for second in 0..secs {
            let mut taken = 0;
            for tick in 0..500 {
                let now = from + Duration::from_millis(1_000 * second + 2 * tick);
                let mut now_taken = 0;
                while now_taken < 20 && courtesy.may_go(now).is_ok() {
                    courtesy.taken_up(now);
                    now_taken += 1;
                }
                taken += now_taken;
                taken_lately.push_back(now_taken);
                if taken_lately.len() > 50 {
                    taken_lately.pop_front();
                }
                let pace = taken_lately.iter().sum::<u64>() * 10;
                courtesy.committed(now, Duration::from_micros(cost(pace)), true);
            }
            paces.push(taken);
        }
        paces
    }

    #[test]
    fn nobody_is_yielded_to_where_nobody_comes() {
        let mut courtesy = Courtesy::default();
        for _ in 0..1_000 {
            assert_eq!(courtesy.may_go(Time::from_secs(1)), Ok(()));
            courtesy.taken_up(Time::from_secs(1));
        }
    }

    #[test]
    fn the_pace_grows_where_nobody_feels_it() {
        let mut courtesy = Courtesy::default();
        let paces = live(&mut courtesy, Time::from_secs(1), 10, |_| 2_000);
        assert!(paces[0] < 300, "live traffic is first seen alone: {paces:?}");
        assert!(paces[9] > 5_000, "nothing is held back in vain: {paces:?}");
    }

    #[test]
    fn the_pace_stays_where_live_traffic_does_not_feel_it() {
        let mut courtesy = Courtesy::default();
        // 1,300 a second make commits half as long again, and a bit
        let paces = live(&mut courtesy, Time::from_secs(1), 60, |pace| 2_000 + pace);
        let later = &paces[10..];
        let mean = later.iter().sum::<u64>() / 50;
        assert!((500..=1_400).contains(&mean), "{mean}: {later:?}");
        assert!(later.iter().any(|pace| *pace < mean / 2 + 200), "again and again it is an ebb");
    }

    #[test]
    fn live_traffic_that_gets_slow_by_itself_is_found_out() {
        let mut courtesy = Courtesy::default();
        live(&mut courtesy, Time::from_secs(1), 4, |_| 2_000);
        let paces = live(&mut courtesy, Time::from_secs(5), 30, |_| 20_000);
        let least = paces.iter().min();
        assert!(least < Some(&500), "at first it may be the backlog's fault: {paces:?}");
        assert!(paces.last() > Some(&1_000), "and then it turns out not to be: {paces:?}");
    }

    #[test]
    fn whatever_is_felt_backlogs_get_their_share() {
        let mut courtesy = Courtesy::default();
        let paces = live(&mut courtesy, Time::from_secs(1), 30, |pace| 2_000 + 100 * pace);
        let mean = paces[10..].iter().sum::<u64>() / 20;
        assert!((200..300).contains(&mean), "half of 500 a second: {mean}: {paces:?}");
    }

    #[test]
    fn a_machine_that_is_slow_now_and_then_holds_nothing_back() {
        for seed in 0..20 {
            let (mut rng, mut courtesy) = (fastrand::Rng::with_seed(seed), Courtesy::default());
            let (mut commits, mut percent) = (0, 100);
            let paces = live(&mut courtesy, Time::from_secs(1), 60, |_| {
                commits += 1;
                if commits % 100 == 0 {
                    percent = rng.u64(50..200);
                }
                20 * percent
            });
            let mean = paces[30..].iter().sum::<u64>() / 30;
            assert!(mean > 1_500, "seed {seed}: {mean}: {paces:?}");
        }
    }

    #[test]
    fn when_the_backlog_ends_nothing_is_remembered() {
        let mut courtesy = Courtesy::default();
        live(&mut courtesy, Time::from_secs(1), 1, |_| 2_000);
        for n in 0..500 {
            let now = Time::from_secs(2) + Duration::from_millis(2 * n);
            courtesy.committed(now, Duration::from_millis(2), false);
        }
        assert!(courtesy.look.is_none());
    }

    #[test]
    fn a_backlog_that_is_through_for_a_moment_is_no_new_one() {
        let mut courtesy = Courtesy::default();
        live(&mut courtesy, Time::from_secs(1), 10, |_| 2_000);
        let learned = courtesy.per_second;
        for n in 0..330 {
            let now = Time::from_secs(11) + Duration::from_millis(2 * n);
            if n % 50 == 0 {
                courtesy.taken_up(now);
            }
            courtesy.committed(now, Duration::from_millis(2), false);
        }
        assert!(learned > START && courtesy.per_second >= learned, "{learned}: {courtesy:?}");
    }

    #[test]
    fn when_live_traffic_ends_nothing_is_held_back() {
        let mut courtesy = Courtesy::default();
        live(&mut courtesy, Time::from_secs(1), 1, |_| 2_000);
        let wait = courtesy.may_go(Time::from_secs(2)).and_then(|()| {
            courtesy.taken_up(Time::from_secs(2));
            courtesy.may_go(Time::from_secs(2))
        });
        assert!(wait.is_err_and(|at| at < Time::from_secs(3)), "a pace, and no end: {wait:?}");
        assert_eq!(courtesy.may_go(Time::from_secs(5)), Ok(()));
    }

    #[test]
    fn what_goes_without_live_traffic_is_no_debt_when_that_comes_back() {
        let mut courtesy = Courtesy::default();
        live(&mut courtesy, Time::from_secs(1), 1, |_| 2_000);
        for n in 0..60_000 {
            let now = Time::from_secs(5) + Duration::from_millis(n);
            assert_eq!(courtesy.may_go(now), Ok(()));
            courtesy.taken_up(now);
        }
        let paces = live(&mut courtesy, Time::from_secs(66), 10, |_| 2_000);
        assert!(paces[0] > 0 && paces[9] > 2_000, "{paces:?}");
        // nor is what is taken up without asking, such as what has expired
        (0..100_000).for_each(|_| courtesy.taken_up(Time::from_secs(76)));
        let paces = live(&mut courtesy, Time::from_secs(76), 1, |_| 2_000);
        assert!(paces[0] > 10, "{paces:?}");
    }

    #[test]
    fn thin_traffic_holds_nothing_back() {
        let mut courtesy = Courtesy::default();
        let mut held_back = 0;
        for n in 0..100 {
            let now = Time::from_secs(1) + Duration::from_millis(450 * n);
            courtesy.committed(now, Duration::from_millis(2), true);
            for _ in 0..100 {
                held_back += u32::from(courtesy.may_go(now).is_err());
                courtesy.taken_up(now);
            }
        }
        assert!(held_back < 600, "only until it is known how thin it is: {held_back}");
    }
}
