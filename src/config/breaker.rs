//! From the keys of `[breaker]` to the rule that the engine follows.

use crate::config::sections::Breaker;
use crate::model::BreakerPolicy;

impl Breaker {
    /// The rule that these settings stand for; `None` where it is off.
    pub fn policy(&self) -> Option<BreakerPolicy> {
        self.enabled.then(|| BreakerPolicy {
            failures: self.failures,
            open_for: self.open_for.get(),
            open_max: self.open_max.get(),
            disable_after: self.disable_after.unless_zero(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::value::Dur;

    #[test]
    fn zero_is_never_and_off_is_nothing() {
        let never = Breaker { disable_after: Dur::ZERO, ..Breaker::default() };
        assert_eq!(never.policy().map(|policy| policy.disable_after), Some(None));
        let policy = Breaker::default().policy().unwrap();
        assert_eq!((policy.failures, policy.disable_after), (10, Some(Dur::days(5).get())));
        assert_eq!(Breaker { enabled: false, ..Breaker::default() }.policy(), None);
    }
}
