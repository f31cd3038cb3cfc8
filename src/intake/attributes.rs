//! Limits and forms of what a submitter says about an event, wherever it is said.

use std::str::FromStr;
use std::time::Duration;

use crate::model::Attributes;
use crate::model::Time;
use crate::model::view::Fault;

/// The longest value of a text attribute, in bytes.
pub(super) const TEXT_BYTES_MAX: usize = 255;
/// The most tags, and the most metadata entries, of one event.
pub(super) const ENTRIES_MAX: usize = 64;

/// Limits that hold wherever attributes come from.
pub(super) fn check(attributes: &Attributes) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (name, entries) in [("tags", &attributes.tags), ("metadata", &attributes.metadata)] {
        if entries.len() > ENTRIES_MAX {
            let detail = format!("has more than {ENTRIES_MAX} entries");
            faults.push(Fault::new(format!("/{name}"), "too-many", detail));
        }
        let long = |(key, value): &&(String, String)| {
            key.len() > TEXT_BYTES_MAX || value.len() > TEXT_BYTES_MAX
        };
        if let Some((key, _)) = entries.iter().find(long) {
            let detail = format!("a name and a value have at most {TEXT_BYTES_MAX} bytes each");
            faults.push(Fault::new(format!("/{name}/{key}"), "too-long", detail));
        }
    }
    let texts = [
        ("ordering_key", &attributes.ordering_key),
        ("tenant", &attributes.tenant),
        ("correlation_id", &attributes.correlation_id),
        ("schema_version", &attributes.schema_version),
    ];
    for (name, text) in texts {
        let Some(text) = text else { continue };
        if text.is_empty() || text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control) {
            let detail = format!("must have 1 to {TEXT_BYTES_MAX} bytes and no control characters");
            faults.push(Fault::new(format!("/{name}"), "text", detail));
        }
    }
    faults
}

/// A delay such as `90s` or `1h 30m`.
#[derive(Debug)]
pub(super) struct Delay(pub(super) Duration);

impl FromStr for Delay {
    type Err = String;

    fn from_str(text: &str) -> Result<Delay, String> {
        humantime::parse_duration(text)
            .map(Delay)
            .map_err(|_| "expected a number and a unit, such as 90s or 1h 30m".to_owned())
    }
}

/// Version 00 of W3C Trace Context, and what later versions must look like; anything else is as
/// good as none (section 4.3 there).
pub(super) fn is_traceparent(value: &str) -> bool {
    let mut fields = value.split('-');
    let mut field = |chars: usize| {
        fields.next().is_some_and(|field| {
            field.len() == chars
                && field.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        })
    };
    let shaped = field(2) && field(32) && field(16) && field(2);
    let zero = |range: std::ops::Range<usize>| {
        value.get(range).is_none_or(|field| field.bytes().all(|b| b == b'0'))
    };
    shaped && !value.starts_with("ff") && !zero(3..35) && !zero(36..52)
}

/// Times that contradict each other.
pub(super) fn check_times(deliver_at: Option<Time>, delay: Option<Duration>) -> Option<Fault> {
    (deliver_at.is_some() && delay.is_some())
        .then(|| Fault::new("/delay", "conflict", "say deliver_at or delay, not both"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_traceparent_is_as_good_as_none() {
        assert!(!is_traceparent("00-00000000000000000000000000000000-b7ad6b7169203331-01"));
        assert!(!is_traceparent("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        assert!(!is_traceparent("00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        assert!(!is_traceparent("00-0af7651916cd43dd8448eb211c80319c"));
    }
}
