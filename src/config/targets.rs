//! From the keys of `[targets]` to what the engine holds endpoints to.

use crate::config::sections::Targets;
use crate::model;

impl Targets {
    /// What these settings stand for; what is zero is not expected.
    pub fn expected(&self) -> model::Targets {
        model::Targets {
            late_after: self.late_after.unless_zero(),
            latency: self.latency.unless_zero(),
            error_percent: Some(self.error_percent).filter(|percent| *percent > 0),
            silent_after: self.silent_after.unless_zero(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn zero_is_not_expected() {
        let expected = model::Targets {
            late_after: Some(Duration::from_secs(300)),
            latency: None,
            error_percent: Some(50),
            silent_after: None,
        };
        assert_eq!(Targets::default().expected(), expected);
        let none = Targets { error_percent: 0, ..Targets::default() };
        assert_eq!(none.expected().error_percent, None);
    }
}
