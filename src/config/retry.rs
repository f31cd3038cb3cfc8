//! From the keys of `[retry]` to the rule that the engine follows.

use crate::config::sections::Retry;
use crate::config::value::Dur;
use crate::config::value::RetryPlan;
use crate::model::RetryPolicy;
use crate::model::Schedule;

impl Retry {
    /// The rule that these settings stand for.
    pub fn policy(&self) -> RetryPolicy {
        let schedule = match self.policy {
            RetryPlan::Schedule => {
                Schedule::Steps(self.schedule.iter().copied().map(Dur::get).collect())
            }
            RetryPlan::Exponential => Schedule::Exponential {
                base: self.base.get(),
                factor: self.factor,
                max: self.max.get(),
                attempts: self.max_attempts,
            },
        };
        RetryPolicy {
            schedule,
            jitter: self.jitter,
            honor_retry_after: self.honor_retry_after,
            retry_after_max: self.retry_after_max.get(),
            give_up_on: self.give_up_on.clone(),
            disable_on: self.disable_on.clone(),
            max_age: self.max_age.unless_zero(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_plan_is_that_of_standard_webhooks() {
        let policy = Retry::default().policy();
        let Schedule::Steps(steps) = policy.schedule else { panic!("not a schedule") };
        let total: u64 = steps.iter().map(std::time::Duration::as_secs).sum();
        assert_eq!(steps.len(), 9);
        assert_eq!(total, 5 + 5 * 60 + 30 * 60 + (2 + 5 + 10 + 14 + 20 + 24) * 3600);
        assert_eq!(policy.max_age, None, "only the plan ends it");
    }

    #[test]
    fn exponential_takes_its_own_keys() {
        let retry =
            Retry { policy: RetryPlan::Exponential, max_age: Dur::days(1), ..Retry::default() };
        let policy = retry.policy();
        assert!(matches!(policy.schedule, Schedule::Exponential { attempts: 12, .. }));
        assert_eq!(policy.max_age, Some(Dur::days(1).get()));
    }
}
