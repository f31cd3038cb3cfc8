//! What the outcome of an attempt means for the delivery.

use crate::model::Attempt;
use crate::model::Outcome;
use crate::model::RetryPolicy;

/// What an outcome means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The endpoint has it.
    Delivered,
    /// Try again, as long as the plan says.
    Retry,
    /// Never again, unless a person asks.
    Dead,
    /// Never again, and the endpoint is to be called no more.
    Disable,
}

/// The verdict on an attempt. Only a status from 200 to 299 is a success (Standard Webhooks,
/// SW-39); a redirect is a failure (SW-40); everything else is tried again unless the policy or
/// the nature of the outcome says that trying is useless.
pub fn verdict(policy: &RetryPolicy, attempt: &Attempt) -> Verdict {
    if attempt.outcome == Outcome::Ok {
        return Verdict::Delivered;
    }
    if let Some(status) = attempt.status {
        if policy.disable_on.contains(&status) {
            return Verdict::Disable;
        }
        if policy.give_up_on.contains(&status) {
            return Verdict::Dead;
        }
    }
    match attempt.outcome {
        Outcome::TemplateError | Outcome::ExitPermanent => Verdict::Dead,
        _ => Verdict::Retry,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::Schedule;

    fn of(outcome: Outcome, status: Option<u16>) -> Verdict {
        let policy = RetryPolicy {
            schedule: Schedule::Steps(Vec::new()),
            jitter: 0.0,
            honor_retry_after: true,
            retry_after_max: Duration::ZERO,
            give_up_on: vec![410, 422],
            disable_on: vec![410],
            max_age: None,
        };
        verdict(&policy, &Attempt { status, ..Attempt::without_response(outcome) })
    }

    #[test]
    fn only_success_is_delivered() {
        assert_eq!(of(Outcome::Ok, Some(204)), Verdict::Delivered);
        for outcome in Outcome::ALL.iter().filter(|outcome| **outcome != Outcome::Ok) {
            assert_ne!(of(*outcome, None), Verdict::Delivered, "{outcome}");
        }
    }

    #[test]
    fn statuses_of_the_policy_end_it() {
        assert_eq!(of(Outcome::Http410, Some(410)), Verdict::Disable);
        assert_eq!(of(Outcome::Http4xx, Some(422)), Verdict::Dead);
        assert_eq!(of(Outcome::Http4xx, Some(404)), Verdict::Retry);
        assert_eq!(of(Outcome::Http3xx, Some(301)), Verdict::Retry);
        assert_eq!(of(Outcome::Http5xx, Some(503)), Verdict::Retry);
    }

    #[test]
    fn what_can_never_succeed_is_not_tried_again() {
        assert_eq!(of(Outcome::TemplateError, None), Verdict::Dead);
        assert_eq!(of(Outcome::ExitPermanent, None), Verdict::Dead);
    }
}
