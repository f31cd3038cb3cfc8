//! `Retry-After` (RFC 9110, section 10.2.3): when an endpoint asks to be called again.

use std::time::Duration;
use std::time::UNIX_EPOCH;

use crate::model::time::Time;

/// The time that a value stands for: a number of seconds from `now`, or a date in one of the three
/// forms of HTTP. A date in the past means now; anything else is ignored.
pub fn parse(value: &str, now: Time) -> Option<Time> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a u64 holds is a very long time, not an error.
        let secs = value.parse().unwrap_or(u64::MAX);
        return Some(now + Duration::from_secs(secs));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let secs = date.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Some(Time::from_secs(secs).max(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_secs(784_111_000);

    #[test]
    fn seconds_count_from_now() {
        assert_eq!(parse("120", NOW), Some(Time::from_secs(784_111_120)));
        assert_eq!(parse(" 0 ", NOW), Some(NOW));
        assert_eq!(parse("99999999999999999999999", NOW), Some(Time::MAX));
    }

    #[test]
    fn the_three_forms_of_dates() {
        let then = Some(Time::from_secs(784_111_777));
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:37 GMT", NOW), then);
        assert_eq!(parse("Sunday, 06-Nov-94 08:49:37 GMT", NOW), then);
        assert_eq!(parse("Sun Nov  6 08:49:37 1994", NOW), then);
    }

    #[test]
    fn a_past_date_is_now() {
        assert_eq!(parse("Sun, 06 Nov 1994 08:00:00 GMT", NOW), Some(NOW));
    }

    #[test]
    fn anything_else_is_ignored() {
        for value in ["", "soon", "-5", "1.5", "+5", "5s", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(parse(value, NOW), None, "{value:?}");
        }
    }
}
