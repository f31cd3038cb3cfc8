//! The breaker: when an endpoint is left alone, how it is tried again, and when it is given up.
//!
//! It never costs a delivery: what waits, waits; a delivery that is tried while it is open loses
//! no step of its retry plan.

use std::time::Duration;

use crate::model::BreakerPolicy;
use crate::model::Opened;
use crate::model::Outcome;
use crate::model::Time;

/// Opens it after so many failures in a row, the last with this outcome; `None` if these are not
/// enough.
pub fn opens(policy: &BreakerPolicy, failures: u16, outcome: Outcome, now: Time) -> Option<Opened> {
    let enough = failures >= policy.failures;
    let until = now + policy.open_for;
    enough.then_some(Opened { since: now, failures, outcome, probes: 0, until })
}

/// Keeps it open after a delivery that was tried has failed, too.
#[must_use]
pub fn stays_open(policy: &BreakerPolicy, open: Opened, outcome: Outcome, now: Time) -> Opened {
    let probes = open.probes.saturating_add(1);
    Opened {
        since: open.since,
        failures: open.failures.saturating_add(1),
        outcome,
        probes,
        until: now + pause(policy, probes),
    }
}

/// Whether it has been open for so long that the endpoint is to be disabled.
pub fn gives_up(policy: &BreakerPolicy, open: &Opened, now: Time) -> bool {
    policy.disable_after.is_some_and(|after| now.since(open.since) >= after)
}

/// How long it stays open after so many failed tries.
pub fn pause(policy: &BreakerPolicy, probes: u16) -> Duration {
    let doubled = 2_u32.checked_pow(u32::from(probes)).unwrap_or(u32::MAX);
    policy.open_for.saturating_mul(doubled).min(policy.open_max.max(policy.open_for))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: BreakerPolicy = BreakerPolicy {
        failures: 10,
        open_for: Duration::from_secs(30),
        open_max: Duration::from_secs(900),
        disable_after: Some(Duration::from_secs(5 * 86_400)),
    };
    const NOW: Time = Time::from_secs(1_800_000_000);

    #[test]
    fn it_opens_after_so_many_failures() {
        assert_eq!(opens(&POLICY, 9, Outcome::Http5xx, NOW), None);
        let open = opens(&POLICY, 10, Outcome::Http5xx, NOW);
        assert_eq!(open.map(|open| open.until), Some(NOW + Duration::from_secs(30)));
    }

    #[test]
    fn each_failed_try_doubles_the_pause_up_to_its_limit() {
        let mut open = opens(&POLICY, 10, Outcome::Http5xx, NOW).unwrap();
        let mut pauses = Vec::new();
        for _ in 0..7 {
            let now = open.until;
            open = stays_open(&POLICY, open, Outcome::TimeoutConnect, now);
            pauses.push(open.until.since(now).as_secs());
        }
        assert_eq!(pauses, [60, 120, 240, 480, 900, 900, 900]);
        assert_eq!((open.since, open.outcome), (NOW, Outcome::TimeoutConnect));
        assert_eq!(pause(&POLICY, u16::MAX), POLICY.open_max);
    }

    #[test]
    fn it_gives_up_in_the_end_and_only_if_asked() {
        let open = opens(&POLICY, 10, Outcome::Http5xx, NOW).unwrap();
        assert!(!gives_up(&POLICY, &open, NOW + Duration::from_secs(4 * 86_400)));
        assert!(gives_up(&POLICY, &open, NOW + Duration::from_secs(5 * 86_400)));
        let never = BreakerPolicy { disable_after: None, ..POLICY };
        assert!(!gives_up(&never, &open, Time::MAX));
    }
}
