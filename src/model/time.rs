//! Points in time, in one unit everywhere: microseconds since the Unix epoch.

use std::fmt;
use std::ops::Add;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;

/// A point in time: microseconds since 1970-01-01T00:00:00Z, on the wall clock.
///
/// In text (JSON, logs) it is RFC 3339 in UTC with milliseconds; in stored records a plain integer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The earliest time there is.
    pub const ZERO: Time = Time(0);
    /// Later than anything that happens: 9999-12-31T23:59:59Z, the end of RFC 3339.
    pub const MAX: Time = Time(253_402_300_799_000_000);

    /// From microseconds since the Unix epoch.
    pub const fn from_micros(micros: u64) -> Time {
        if micros > Time::MAX.0 { Time::MAX } else { Time(micros) }
    }

    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: u64) -> Time {
        Time::from_micros(millis.saturating_mul(1_000))
    }

    /// From whole seconds since the Unix epoch.
    pub const fn from_secs(secs: u64) -> Time {
        Time::from_micros(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000
    }

    /// Whole seconds since the Unix epoch, as `webhook-timestamp` wants them.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000
    }

    /// How long after `earlier` this is; zero if it is not later.
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// This much earlier; never before the epoch.
    pub fn minus(self, span: Duration) -> Time {
        Time(self.0.saturating_sub(micros(span)))
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

impl Add<Duration> for Time {
    type Output = Time;

    /// Saturates at [`Time::MAX`].
    fn add(self, span: Duration) -> Time {
        Time::from_micros(self.0.saturating_add(micros(span)))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = i64::try_from(self.0).unwrap_or(i64::MAX);
        let stamp = jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::MAX);
        write!(f, "{stamp:.3}")
    }
}

/// Why a text is no [`Time`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a time: expected RFC 3339, for example 2026-11-21T10:15:02Z")]
pub struct TimeError;

impl FromStr for Time {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Time, TimeError> {
        let stamp: jiff::Timestamp = text.parse().map_err(|_| TimeError)?;
        u64::try_from(stamp.as_microsecond()).map(Time::from_micros).map_err(|_| TimeError)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() { to.collect_str(self) } else { self.0.serialize(to) }
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Time, D::Error> {
        if from.is_human_readable() {
            let text = String::deserialize(from)?;
            text.parse().map_err(serde::de::Error::custom)
        } else {
            u64::deserialize(from).map(Time::from_micros)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_rfc_3339_in_utc_with_milliseconds() {
        let time = Time::from_micros(1_795_256_102_114_999);
        assert_eq!(time.to_string(), "2026-11-21T10:15:02.114Z");
        assert_eq!(
            "2026-11-21T11:15:02.114+01:00".parse(),
            Ok(Time::from_millis(1_795_256_102_114))
        );
        assert!("yesterday".parse::<Time>().is_err());
        assert!("1969-12-31T23:59:59Z".parse::<Time>().is_err());
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Time::MAX + Duration::MAX, Time::MAX);
        assert_eq!(Time::ZERO.minus(Duration::from_secs(1)), Time::ZERO);
        assert_eq!(Time::from_secs(1).since(Time::from_secs(2)), Duration::ZERO);
    }
}
