//! When a failed delivery is tried again.

use std::time::Duration;

use fastrand::Rng;

use crate::model::Attempt;
use crate::model::DeadReason;
use crate::model::EventId;
use crate::model::Next;
use crate::model::Progress;
use crate::model::RetryPolicy;
use crate::model::Schedule;
use crate::model::Time;
use crate::model::WaitReason;
use crate::policy::verdict::Verdict;
use crate::policy::verdict::verdict;

/// How often in a row the process may die during a delivery's attempts before the delivery is put
/// aside as poisoned.
pub const INTERRUPTED_MAX: u16 = 5;
/// Deliveries that were cut short together come back spread over this time, and over four, nine
/// times as long after the second and third time: so one that kills the process is soon alone.
const SPREAD: Duration = Duration::from_secs(2);

/// The delay before the next attempt, after `failures` failed ones of this plan, with jitter;
/// `None` when the plan is at its end.
pub fn delay(policy: &RetryPolicy, failures: u16, rng: &mut Rng) -> Option<Duration> {
    let planned = planned(&policy.schedule, failures)?;
    let jitter = policy.jitter.clamp(0.0, 1.0);
    let factor = 1.0 - jitter + 2.0 * jitter * rng.f64();
    Some(planned.mul_f64(factor))
}

fn planned(schedule: &Schedule, failures: u16) -> Option<Duration> {
    match schedule {
        Schedule::Steps(steps) => steps.get(usize::from(failures.max(1)) - 1).copied(),
        Schedule::Exponential { base, factor, max, attempts } => {
            if failures >= *attempts {
                return None;
            }
            let exponent = i32::from(failures.max(1)) - 1;
            let seconds = base.as_secs_f64() * factor.max(1.0).powi(exponent);
            // beyond the cap, or beyond what a float holds: the cap
            Some(Duration::try_from_secs_f64(seconds).map_or(*max, |delay| delay.min(*max)))
        }
    }
}

/// What follows from an attempt of a delivery that had this progress before it.
///
/// `Retry-After` may only put an attempt off, never bring it forward, and never by more than
/// `retry_after_max`.
pub fn after_attempt(
    policy: &RetryPolicy,
    before: Progress,
    event: EventId,
    attempt: &Attempt,
    now: Time,
    rng: &mut Rng,
) -> Next {
    match verdict(policy, attempt) {
        Verdict::Delivered => return Next::Delivered,
        Verdict::Dead | Verdict::Disable => return Next::Dead { reason: DeadReason::Refused },
        Verdict::Retry => {}
    }
    let failures = before.attempts.saturating_add(1).saturating_sub(before.plan_from);
    let Some(delay) = delay(policy, failures, rng) else {
        return Next::Dead { reason: DeadReason::Exhausted };
    };
    let planned = now + delay;
    let asked = attempt
        .retry_after
        .filter(|_| policy.honor_retry_after)
        .map_or(Time::ZERO, |asked| asked.min(now + policy.retry_after_max));
    let (due, why) = if asked > planned {
        (asked, WaitReason::RetryAfter)
    } else {
        (planned, WaitReason::Schedule)
    };
    match expires(policy, before, event) {
        Some(at) if due > at => Next::Dead { reason: DeadReason::Expired },
        _ => Next::Wait { due, why },
    }
}

/// When a delivery gets too old to be tried, if ever. One that a person has asked for does not.
pub fn expires(policy: &RetryPolicy, progress: Progress, event: EventId) -> Option<Time> {
    policy.max_age.filter(|_| !progress.requested).map(|age| event.time() + age)
}

/// What follows when the process died during an attempt: again at once the first time, then with
/// more and more of a spread, until it has died too often.
pub fn after_interruption(before: Progress, now: Time, rng: &mut Rng) -> Next {
    if before.interrupted.saturating_add(1) >= INTERRUPTED_MAX {
        return Next::Dead { reason: DeadReason::Poisoned };
    }
    let times = f64::from(before.interrupted);
    let due = now + SPREAD.mul_f64(times * times * rng.f64());
    Next::Wait { due, why: WaitReason::Interrupted }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Outcome;

    const NOW: Time = Time::from_secs(1_800_000_000);

    fn policy(schedule: Schedule) -> RetryPolicy {
        RetryPolicy {
            schedule,
            jitter: 0.0,
            honor_retry_after: true,
            retry_after_max: Duration::from_secs(3_600),
            give_up_on: vec![410],
            disable_on: vec![410],
            max_age: None,
        }
    }

    fn steps(secs: &[u64]) -> Schedule {
        Schedule::Steps(secs.iter().map(|s| Duration::from_secs(*s)).collect())
    }

    fn failed(retry_after: Option<Time>) -> Attempt {
        let status = Some(503);
        Attempt { status, retry_after, ..Attempt::without_response(Outcome::Http5xx) }
    }

    fn next(policy: &RetryPolicy, attempts_before: u16, attempt: &Attempt) -> Next {
        let before = Progress { attempts: attempts_before, ..Progress::default() };
        let event = EventId::first_at(NOW);
        after_attempt(policy, before, event, attempt, NOW, &mut Rng::with_seed(1))
    }

    fn wait(secs: u64, why: WaitReason) -> Next {
        Next::Wait { due: NOW + Duration::from_secs(secs), why }
    }

    #[test]
    fn a_schedule_is_followed_to_its_end() {
        let policy = policy(steps(&[5, 300]));
        assert_eq!(next(&policy, 0, &failed(None)), wait(5, WaitReason::Schedule));
        assert_eq!(next(&policy, 1, &failed(None)), wait(300, WaitReason::Schedule));
        let dead = Next::Dead { reason: DeadReason::Exhausted };
        assert_eq!(next(&policy, 2, &failed(None)), dead);
    }

    #[test]
    fn exponential_grows_to_its_cap_and_counts_attempts() {
        let (base, max) = (Duration::from_secs(5), Duration::from_secs(60));
        let policy = policy(Schedule::Exponential { base, factor: 3.0, max, attempts: 5 });
        let secs = |failures| delay(&policy, failures, &mut Rng::with_seed(1)).map(|d| d.as_secs());
        assert_eq!([secs(1), secs(2), secs(3), secs(4)], [Some(5), Some(15), Some(45), Some(60)]);
        assert_eq!(secs(5), None);
    }

    #[test]
    fn exponential_survives_any_numbers() {
        let max = Duration::from_secs(60);
        let base = Duration::from_secs(u64::MAX / 2);
        let policy =
            policy(Schedule::Exponential { base, factor: f64::MAX, max, attempts: u16::MAX });
        assert_eq!(delay(&policy, u16::MAX - 1, &mut Rng::with_seed(1)), Some(max));
    }

    #[test]
    fn jitter_stays_within_its_share_on_both_sides() {
        let mut policy = policy(steps(&[100]));
        policy.jitter = 0.2;
        let mut rng = Rng::with_seed(7);
        let delays: Vec<_> = (0..1_000).filter_map(|_| delay(&policy, 1, &mut rng)).collect();
        assert!(delays.iter().all(|d| (80.0..=120.0).contains(&d.as_secs_f64())));
        assert!(delays.iter().any(|d| d.as_secs_f64() < 85.0));
        assert!(delays.iter().any(|d| d.as_secs_f64() > 115.0));
    }

    #[test]
    fn retry_after_puts_off_but_never_forward_and_never_beyond_its_cap() {
        let mut policy = policy(steps(&[300]));
        let at = |secs| Some(NOW + Duration::from_secs(secs));
        assert_eq!(next(&policy, 0, &failed(at(10))), wait(300, WaitReason::Schedule));
        // what is asked for and planned at the same time is the plan
        assert_eq!(next(&policy, 0, &failed(at(300))), wait(300, WaitReason::Schedule));
        assert_eq!(next(&policy, 0, &failed(at(600))), wait(600, WaitReason::RetryAfter));
        assert_eq!(next(&policy, 0, &failed(at(9_999))), wait(3_600, WaitReason::RetryAfter));
        policy.honor_retry_after = false;
        assert_eq!(next(&policy, 0, &failed(at(600))), wait(300, WaitReason::Schedule));
    }

    #[test]
    fn what_would_come_after_its_lifetime_is_dead_now() {
        let mut policy = policy(steps(&[300]));
        policy.max_age = Some(Duration::from_secs(299));
        let dead = Next::Dead { reason: DeadReason::Expired };
        assert_eq!(next(&policy, 0, &failed(None)), dead);
        // its last moment is still part of it
        policy.max_age = Some(Duration::from_secs(300));
        assert_eq!(next(&policy, 0, &failed(None)), wait(300, WaitReason::Schedule));
    }

    #[test]
    fn a_delivery_that_keeps_killing_the_process_is_soon_alone_and_then_put_aside() {
        let mut rng = Rng::with_seed(5);
        let mut after = |interrupted| {
            let before = Progress { interrupted, ..Progress::default() };
            after_interruption(before, NOW, &mut rng)
        };
        assert_eq!(after(0), Next::Wait { due: NOW, why: WaitReason::Interrupted });
        for (times, secs) in [(1, 2), (2, 8), (3, 18)] {
            let dues: Vec<_> = (0..100)
                .map(|_| match after(times) {
                    Next::Wait { due, why: WaitReason::Interrupted } => {
                        due.since(NOW).as_secs_f64()
                    }
                    other => panic!("{other:?}"),
                })
                .collect();
            assert!(dues.iter().all(|due| *due <= f64::from(secs)), "{times}");
            assert!(dues.iter().any(|due| *due > f64::from(secs) * 0.8), "{times}");
        }
        assert_eq!(after(4), Next::Dead { reason: DeadReason::Poisoned });
    }
}
