//! What a submitter says about an event, from headers.

use std::str::FromStr;
use std::time::Duration;

use http::HeaderMap;

use crate::model::Attributes;
use crate::model::IdempotencyKey;
use crate::model::Time;
use crate::model::view::Fault;

/// The longest value of a text attribute, in bytes.
pub(super) const TEXT_BYTES_MAX: usize = 255;
/// The most tags, and the most metadata entries, of one event.
pub(super) const ENTRIES_MAX: usize = 64;
const TAG_PREFIX: &str = "postrider-tag-";
const METADATA_PREFIX: &str = "postrider-metadata-";

/// What the headers say besides the payload. Faults are collected, so that all are told at once.
pub(super) struct FromHeaders {
    pub(super) attributes: Attributes,
    pub(super) delay: Option<Duration>,
    pub(super) endpoints: Option<Vec<String>>,
    pub(super) key: Option<IdempotencyKey>,
    pub(super) faults: Vec<Fault>,
}

impl FromHeaders {
    pub(super) fn read(headers: &HeaderMap) -> FromHeaders {
        let mut faults = Vec::new();
        let mut of = |name: &str| text(headers, name, &mut faults);
        let mut attributes = Attributes {
            ordering_key: of("postrider-ordering-key"),
            tenant: of("postrider-tenant"),
            correlation_id: of("postrider-correlation-id"),
            schema_version: of("postrider-schema-version"),
            traceparent: of("traceparent").filter(|value| is_traceparent(value)),
            ..Attributes::default()
        };
        let endpoints = of("postrider-endpoint")
            .map(|names| names.split(',').map(|name| name.trim().to_owned()).collect());
        attributes.occurred_at = parsed(headers, "postrider-occurred-at", &mut faults);
        attributes.deliver_at = parsed(headers, "postrider-deliver-at", &mut faults);
        let delay = parsed::<Delay>(headers, "postrider-delay", &mut faults).map(|delay| delay.0);
        let key = parsed(headers, "idempotency-key", &mut faults);
        for (name, value) in headers {
            let entry = |name: &str| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.to_owned(), value)
            };
            if let Some(tag) = name.as_str().strip_prefix(TAG_PREFIX) {
                attributes.tags.push(entry(tag));
            } else if let Some(name) = name.as_str().strip_prefix(METADATA_PREFIX) {
                attributes.metadata.push(entry(name));
            }
        }
        faults.extend(check(&attributes));
        FromHeaders { attributes, delay, endpoints, key, faults }
    }
}

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

fn text(headers: &HeaderMap, name: &str, faults: &mut Vec<Fault>) -> Option<String> {
    let value = headers.get(name)?;
    match value.to_str() {
        Ok(text) => Some(text.to_owned()),
        Err(_) => {
            faults.push(Fault::new(name, "header", "has characters outside visible ASCII"));
            None
        }
    }
}

fn parsed<T: FromStr>(headers: &HeaderMap, name: &str, faults: &mut Vec<Fault>) -> Option<T>
where
    T::Err: ToString,
{
    match text(headers, name, faults)?.parse() {
        Ok(value) => Some(value),
        Err(error) => {
            faults.push(Fault::new(name, "header", T::Err::to_string(&error)));
            None
        }
    }
}

/// Times that contradict each other.
pub(super) fn check_times(deliver_at: Option<Time>, delay: Option<Duration>) -> Option<Fault> {
    (deliver_at.is_some() && delay.is_some())
        .then(|| Fault::new("/delay", "conflict", "say deliver_at or delay, not both"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (k.parse().unwrap(), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn headers_become_attributes() {
        let read = FromHeaders::read(&headers(&[
            ("idempotency-key", "order-42"),
            ("postrider-delay", "1h 30m"),
            ("postrider-endpoint", "billing, crm"),
            ("postrider-tenant", "acme"),
            ("postrider-tag-region", "eu"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ]));
        assert!(read.faults.is_empty(), "{:?}", read.faults);
        assert_eq!(read.key.unwrap().as_str(), "order-42");
        assert_eq!(read.delay, Some(Duration::from_secs(5_400)));
        assert_eq!(read.endpoints.unwrap(), ["billing", "crm"]);
        assert_eq!(read.attributes.tags, [("region".to_owned(), "eu".to_owned())]);
        assert!(read.attributes.traceparent.is_some());
    }

    #[test]
    fn every_fault_is_told() {
        let read = FromHeaders::read(&headers(&[
            ("idempotency-key", "order 42"),
            ("postrider-delay", "soon"),
            ("postrider-occurred-at", "yesterday"),
        ]));
        let places: Vec<_> = read.faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(places, ["postrider-occurred-at", "postrider-delay", "idempotency-key"]);
    }

    #[test]
    fn a_broken_traceparent_is_as_good_as_none() {
        assert!(!is_traceparent("00-00000000000000000000000000000000-b7ad6b7169203331-01"));
        assert!(!is_traceparent("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        assert!(!is_traceparent("00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        assert!(!is_traceparent("00-0af7651916cd43dd8448eb211c80319c"));
    }
}
