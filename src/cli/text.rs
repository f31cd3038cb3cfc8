//! Times, spans, sizes and numbers as people read and write them.

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::model::Time;

/// Stands where there is nothing to show.
pub const NONE: &str = "\u{2013}";
/// Between two facts on a line.
pub const DOT: &str = "\u{b7}";

/// A point in time as it is given on a command line; relative ones count from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// This long ago.
    Ago(Duration),
    /// At this time.
    At(Time),
}

impl When {
    /// Reads `15m`, `2026-11-21` (midnight UTC) or RFC 3339.
    ///
    /// # Errors
    /// A sentence that says what is expected.
    pub fn parse(text: &str) -> Result<When, String> {
        if let Ok(time) = text.parse() {
            return Ok(When::At(time));
        }
        if let Ok(date) = text.parse::<Date>() {
            let midnight = date.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp());
            let second = midnight.ok().and_then(|stamp| u64::try_from(stamp.as_second()).ok());
            return second.map(|s| When::At(Time::from_secs(s))).ok_or_else(|| "too early".into());
        }
        humantime::parse_duration(text)
            .map(When::Ago)
            .map_err(|_| "expected 15m, 2026-11-21 or 2026-11-21T10:15:02Z".into())
    }

    /// The time that is meant.
    pub fn resolve(self, now: Time) -> Time {
        match self {
            When::Ago(span) => now.minus(span),
            When::At(time) => time,
        }
    }
}

/// A span in its one or two largest units: `83 ms`, `5.2 s`, `4m 12s`, `3d 4h`.
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let two = |large: u64, small: u64, names: [&str; 2]| match small {
        0 => format!("{large}{}", names[0]),
        _ => format!("{large}{} {small}{}", names[0], names[1]),
    };
    match seconds {
        0 => format!("{} ms", span.as_millis()),
        1..=9 if span.subsec_millis() >= 100 => format!("{:.1} s", span.as_secs_f64()),
        1..=59 => format!("{seconds} s"),
        60..=3_599 => two(seconds / 60, seconds % 60, ["m", "s"]),
        3_600..=86_399 => two(seconds / 3_600, seconds / 60 % 60, ["h", "m"]),
        _ => two(seconds / 86_400, seconds / 3_600 % 24, ["d", "h"]),
    }
}

/// A span in its largest unit alone, for a narrow column: `83ms`, `5s`, `4m`, `3d`.
pub fn short_span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 => format!("{}ms", span.as_millis()),
        1..=59 => format!("{seconds}s"),
        60..=3_599 => format!("{}m", seconds / 60),
        3_600..=86_399 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// How long ago, or in how long, a time is.
pub fn relative(now: Time, time: Time) -> String {
    if time > now {
        format!("in {}", span(time.since(now)))
    } else {
        span(now.since(time)) + " ago"
    }
}

/// A span that was measured in microseconds, or the sign for none.
pub fn micros(micros: u32) -> String {
    match micros {
        0 => NONE.to_owned(),
        1..=999 => format!("{micros} \u{b5}s"),
        _ => span(Duration::from_micros(micros.into())),
    }
}

/// The time of day in UTC, for lines that stand close together in time.
pub fn clock(time: Time) -> String {
    time.to_string().get(11..19).unwrap_or_default().to_owned()
}

/// A number of bytes in its largest binary unit: `512 B`, `1.2 KiB`.
pub fn bytes(bytes: u64) -> String {
    bytesize::ByteSize(bytes).display().iec().to_string()
}

/// A number in groups of three digits.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things: `1 event`, `1,200 events`.
pub fn things(number: u64, one: &str, many: &str) -> String {
    let name = if number == 1 { one } else { many };
    format!("{} {name}", count(number))
}

/// What came from outside, fit for a terminal and for one cell: no control characters, so that
/// nobody's payload moves the cursor or ends a row.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// The same for text of several lines: only their ends are kept of what controls.
pub fn clean_lines(text: &str) -> String {
    text.split('\n').map(clean).collect::<Vec<_>>().join("\n")
}

/// That a payload is no longer kept, and since when, where it is so.
pub(super) fn gone(since: Option<Time>) -> String {
    since.map(|since| format!(", no longer kept since {since}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_relative_dates_or_rfc_3339() {
        let now = Time::from_secs(1_795_256_102);
        let resolve = |text: &str| When::parse(text).unwrap().resolve(now);
        assert_eq!(resolve("15m"), Time::from_secs(1_795_255_202));
        assert_eq!(resolve("2026-11-21"), Time::from_secs(1_795_219_200));
        assert_eq!(resolve("2026-11-21T10:15:02Z"), now);
        assert!(When::parse("yesterday").is_err());
    }

    #[test]
    fn spans_keep_their_largest_units() {
        let text = |millis: u64| span(Duration::from_millis(millis));
        let texts = [83, 5_200, 8_000, 42_000, 252_000, 300_000, 273_600_000].map(text);
        assert_eq!(texts, ["83 ms", "5.2 s", "8 s", "42 s", "4m 12s", "5m", "3d 4h"]);
        let short = |seconds: u64| short_span(Duration::from_secs(seconds));
        assert_eq!([1, 82, 7_300, 200_000].map(short), ["1s", "1m", "2h", "2d"]);
        let now = Time::from_secs(100);
        assert_eq!(relative(now, Time::from_secs(40)), "1m ago");
        assert_eq!(relative(now, Time::from_secs(105)), "in 5 s");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_204_331].map(count), ["0", "999", "1,000", "1,204,331"]);
        assert_eq!(bytes(1_229), "1.2 KiB");
        assert_eq!(things(1, "event", "events"), "1 event");
        assert_eq!(things(1_200, "event", "events"), "1,200 events");
    }

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb\tc\n"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}");
        assert_eq!(clean_lines("a\u{1b}\nb\r"), "a\u{fffd}\nb\u{fffd}");
    }
}
