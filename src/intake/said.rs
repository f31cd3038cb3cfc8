//! What a submitter says about an event besides its payload, and the submission that comes of it.
//! Each way to submit ends here.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use crate::intake::attributes;
use crate::intake::attributes::Delay;
use crate::intake::batch::Item;
use crate::model::Attributes;
use crate::model::EventType;
use crate::model::IdempotencyKey;
use crate::model::Submission;
use crate::model::event::TypeError;
use crate::model::view::Fault;

const TAG_PREFIX: &str = "postrider-tag-";
const METADATA_PREFIX: &str = "postrider-metadata-";

/// What is said besides type and payload. Faults are collected, so that all are told at once.
#[derive(Default)]
pub(super) struct Said {
    pub(super) attributes: Attributes,
    pub(super) delay: Option<Duration>,
    pub(super) endpoints: Option<Vec<String>>,
    pub(super) key: Option<IdempotencyKey>,
    pub(super) faults: Vec<Fault>,
}

impl Said {
    /// What headers say.
    pub(super) fn in_headers(headers: &HeaderMap) -> Said {
        let mut faults = Vec::new();
        let mut of = |name: &str| text(headers, name, &mut faults);
        let mut attributes = Attributes {
            ordering_key: of("postrider-ordering-key"),
            tenant: of("postrider-tenant"),
            correlation_id: of("postrider-correlation-id"),
            schema_version: of("postrider-schema-version"),
            traceparent: of("traceparent").filter(|value| attributes::is_traceparent(value)),
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
        faults.extend(attributes::check(&attributes));
        Said { attributes, delay, endpoints, key, faults }
    }

    /// The type that a text names.
    pub(super) fn event_type(&mut self, text: &str) -> Option<EventType> {
        let fault = |error: TypeError| Fault::new("/type", "type", error.to_string());
        text.parse().map_err(|error| self.faults.push(fault(error))).ok()
    }

    /// The submission that all of this is, if there is nothing wrong with it.
    pub(super) fn submission(
        mut self,
        event_type: Option<EventType>,
        (body, content_type): (Bytes, Arc<str>),
        source: &Arc<str>,
    ) -> Item {
        self.faults.extend(attributes::check_times(self.attributes.deliver_at, self.delay));
        let (Some(event_type), true) = (event_type, self.faults.is_empty()) else {
            return Err(self.faults);
        };
        Ok(Submission {
            source: Arc::clone(source),
            event_type,
            content_type,
            body,
            attributes: Box::new(self.attributes),
            delay: self.delay,
            ahead: Duration::ZERO,
            endpoints: self.endpoints,
            idempotency_key: self.key,
        })
    }
}

/// The code of the fault that a text has which is no JSON at all.
pub(super) const MALFORMED: &str = "malformed";

/// Why a JSON text could not be taken for what it should be: no JSON, or another shape.
pub(super) fn unread(error: &serde_json::Error) -> Vec<Fault> {
    let code = if error.is_data() { "shape" } else { MALFORMED };
    vec![Fault::new("", code, error.to_string())]
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

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (k.parse().unwrap(), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn headers_become_attributes() {
        let read = Said::in_headers(&headers(&[
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
        let read = Said::in_headers(&headers(&[
            ("idempotency-key", "order 42"),
            ("postrider-delay", "soon"),
            ("postrider-occurred-at", "yesterday"),
        ]));
        let places: Vec<_> = read.faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(places, ["postrider-occurred-at", "postrider-delay", "idempotency-key"]);
    }
}
