//! Spans of time as people write them: `"250ms"`, `"5m"`, `"1h 30m"`, `"7d"`; `"0"` for none.
//!
//! Months and years are refused, because they have no fixed length and a retry plan must.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What a duration looks like, for error messages.
pub const EXPECTED: &str = "a duration such as \"30s\" or \"1h 30m\"";

/// A span of time in the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dur(Duration);

/// The text is no span of time, or has no fixed length.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {EXPECTED}")]
pub struct DurError;

impl Dur {
    /// No time at all.
    pub const ZERO: Dur = Dur(Duration::ZERO);

    /// From milliseconds.
    pub const fn millis(millis: u64) -> Dur {
        Dur(Duration::from_millis(millis))
    }

    /// From seconds.
    pub const fn secs(secs: u64) -> Dur {
        Dur(Duration::from_secs(secs))
    }

    /// From minutes.
    pub const fn mins(mins: u64) -> Dur {
        Dur::secs(mins * 60)
    }

    /// From hours.
    pub const fn hours(hours: u64) -> Dur {
        Dur::mins(hours * 60)
    }

    /// From days of 24 hours.
    pub const fn days(days: u64) -> Dur {
        Dur::hours(days * 24)
    }

    /// The span itself.
    pub const fn get(self) -> Duration {
        self.0
    }

    /// The span, where zero stands for "no limit".
    pub fn unless_zero(self) -> Option<Duration> {
        (!self.0.is_zero()).then_some(self.0)
    }
}

impl FromStr for Dur {
    type Err = DurError;

    fn from_str(text: &str) -> Result<Dur, DurError> {
        let mut units = text.split(|c: char| !c.is_ascii_alphabetic());
        let vague = |unit: &str| {
            matches!(unit, "M" | "month" | "months" | "y" | "yr" | "yrs" | "year" | "years")
        };
        if units.any(vague) {
            return Err(DurError);
        }
        humantime::parse_duration(text).map(Dur).map_err(|_| DurError)
    }
}

impl fmt::Display for Dur {
    /// The shortest text that reads back as the same span.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u128, &str); 7] = [
            (86_400_000_000_000, "d"),
            (3_600_000_000_000, "h"),
            (60_000_000_000, "m"),
            (1_000_000_000, "s"),
            (1_000_000, "ms"),
            (1_000, "us"),
            (1, "ns"),
        ];
        let mut left = self.0.as_nanos();
        if left == 0 {
            return f.write_str("0");
        }
        let mut gap = "";
        for (nanos, unit) in UNITS {
            let count = left / nanos;
            if count > 0 {
                write!(f, "{gap}{count}{unit}")?;
                gap = " ";
            }
            left %= nanos;
        }
        Ok(())
    }
}

as_text!(Dur, EXPECTED);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        let cases = [
            ("250ms", "250ms"),
            ("15s", "15s"),
            ("90m", "1h 30m"),
            ("1h 30m", "1h 30m"),
            ("7d", "7d"),
            ("1w", "7d"),
            ("0", "0"),
            ("1s 1ns", "1s 1ns"),
        ];
        for (text, shown) in cases {
            let span: Dur = text.parse().unwrap();
            assert_eq!(span.to_string(), shown);
            assert_eq!(shown.parse(), Ok(span));
        }
    }

    #[test]
    fn what_has_no_unit_or_no_fixed_length_is_refused() {
        for text in ["15", "", "30 minits", "1month", "2M", "1y", "-1s", "1 year 2s"] {
            assert_eq!(text.parse::<Dur>(), Err(DurError), "{text}");
        }
    }
}
