//! Rates as people write them: `"50/s"`, `"1000/m"`, `"10/h"`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::model::Rate;

/// The highest count of a rate, whatever its unit.
pub const COUNT_MAX: u32 = 1_000_000;
/// What a rate looks like, for error messages.
const EXPECTED: &str = "a rate such as \"50/s\", \"1000/m\" or \"10/h\", from 1 to 1000000";
/// The units with their lengths in seconds.
const UNITS: [(&str, u64); 3] = [("s", 1), ("m", 60), ("h", 3_600)];

/// So many in a second, a minute or an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    count: u32,
    unit: &'static str,
    secs: u64,
}

/// The text is no rate, or one outside the limits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {EXPECTED}")]
pub struct PaceError;

impl Pace {
    /// How many, from 1 to [`COUNT_MAX`].
    pub const fn count(self) -> u32 {
        self.count
    }

    /// In which span of time.
    pub const fn per(self) -> Duration {
        Duration::from_secs(self.secs)
    }
}

/// A rule as it is written; one that no text stands for, in seconds.
pub fn written(rate: &Rate) -> String {
    let secs = rate.per.as_secs();
    let unit = UNITS.into_iter().find(|(_, length)| *length == secs);
    unit.map_or_else(
        || format!("{}/{secs}s", rate.count),
        |(name, _)| format!("{}/{name}", rate.count),
    )
}

impl FromStr for Pace {
    type Err = PaceError;

    fn from_str(text: &str) -> Result<Pace, PaceError> {
        let (count, unit) = text.split_once('/').ok_or(PaceError)?;
        let digits = count.bytes().all(|byte| byte.is_ascii_digit());
        let count = count.parse().ok().filter(|count| digits && (1..=COUNT_MAX).contains(count));
        let unit = UNITS.into_iter().find(|(name, _)| *name == unit);
        match (count, unit) {
            (Some(count), Some((unit, secs))) => Ok(Pace { count, unit, secs }),
            _ => Err(PaceError),
        }
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.unit)
    }
}

as_text!(Pace, EXPECTED);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        for (text, count, secs) in [("50/s", 50, 1), ("1000000/m", COUNT_MAX, 60), ("1/h", 1, 3600)]
        {
            let pace: Pace = text.parse().unwrap();
            assert_eq!((pace.count(), pace.per()), (count, Duration::from_secs(secs)));
            assert_eq!(pace.to_string(), text);
            assert_eq!(written(&Rate { count, per: pace.per(), burst: 1 }), text);
        }
    }

    #[test]
    fn what_has_no_unit_or_is_out_of_bounds_is_refused() {
        for text in ["50", "/s", "0/s", "1000001/s", "+5/s", "5 /s", "5/d", "5/s/s", "1.5/s", ""] {
            assert_eq!(text.parse::<Pace>(), Err(PaceError), "{text}");
        }
    }
}
