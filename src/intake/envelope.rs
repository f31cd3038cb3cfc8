//! An event in a JSON envelope.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::intake::attributes;
use crate::intake::attributes::Delay;
use crate::intake::batch::Item;
use crate::intake::said;
use crate::intake::said::Said;
use crate::model::Attributes;
use crate::model::Time;
use crate::model::event::KeyError;
use crate::model::view::Fault;

/// The envelope as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    event_type: String,
    /// The payload, taken as it stands, byte for byte.
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    /// A payload that is not JSON.
    data_base64: Option<String>,
    content_type: Option<String>,
    occurred_at: Option<Time>,
    deliver_at: Option<Time>,
    delay: Option<String>,
    endpoints: Option<Vec<String>>,
    ordering_key: Option<String>,
    tenant: Option<String>,
    correlation_id: Option<String>,
    schema_version: Option<String>,
    traceparent: Option<String>,
    idempotency_key: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

/// Reads one envelope. Faults carry pointers into it.
pub(super) fn read(text: &[u8], source: &Arc<str>) -> Item {
    let envelope: Envelope<'_> = serde_json::from_slice(text).map_err(|e| said::unread(&e))?;
    let mut said = Said::default();
    let event_type = said.event_type(&envelope.event_type);
    let payload = payload(&envelope, &mut said.faults);
    said.delay = envelope.delay.as_deref().and_then(|delay| {
        let delay = delay.parse::<Delay>().map(|delay| delay.0);
        delay.map_err(|error| said.faults.push(Fault::new("/delay", "duration", error))).ok()
    });
    said.key = envelope.idempotency_key.as_deref().and_then(|key| {
        let fault = |error: KeyError| Fault::new("/idempotency_key", "key", error.to_string());
        key.parse().map_err(|error| said.faults.push(fault(error))).ok()
    });
    said.endpoints = envelope.endpoints;
    said.attributes = Attributes {
        occurred_at: envelope.occurred_at,
        deliver_at: envelope.deliver_at,
        ordering_key: envelope.ordering_key,
        tenant: envelope.tenant,
        correlation_id: envelope.correlation_id,
        schema_version: envelope.schema_version,
        hops: 0,
        traceparent: envelope.traceparent.filter(|value| attributes::is_traceparent(value)),
        tags: envelope.tags.into_iter().collect(),
        metadata: envelope.metadata.into_iter().collect(),
        cloudevents: Vec::new(),
        headers: Vec::new(),
    };
    said.faults.extend(attributes::check(&said.attributes));
    said.submission(event_type, payload, source)
}

fn payload(envelope: &Envelope<'_>, faults: &mut Vec<Fault>) -> (Bytes, Arc<str>) {
    let named = envelope.content_type.as_deref();
    match (envelope.data, envelope.data_base64.as_deref()) {
        (Some(data), None) => {
            let body = Bytes::copy_from_slice(data.get().as_bytes());
            (body, named.unwrap_or("application/json").into())
        }
        (None, Some(base64)) => {
            let body = STANDARD.decode(base64).unwrap_or_else(|error| {
                faults.push(Fault::new("/data_base64", "base64", error.to_string()));
                Vec::new()
            });
            (body.into(), named.unwrap_or("application/octet-stream").into())
        }
        (None, None) => {
            faults.push(Fault::new("/data", "missing", "say data or data_base64"));
            (Bytes::new(), "".into())
        }
        (Some(_), Some(_)) => {
            faults.push(Fault::new("/data", "conflict", "say data or data_base64, not both"));
            (Bytes::new(), "".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Item {
        read(text.as_bytes(), &"uid:1".into())
    }

    #[test]
    fn the_payload_is_taken_byte_for_byte() {
        let text = r#"{"type":"order.created", "data": {"b": 1.10,  "a":"\u00e9"} }"#;
        let submission = read_text(text).unwrap();
        assert_eq!(&submission.body[..], br#"{"b": 1.10,  "a":"\u00e9"}"#);
        assert_eq!(&*submission.content_type, "application/json");
    }

    #[test]
    fn other_payloads_come_in_base64() {
        let text = r#"{"type":"x","data_base64":"AP8=","content_type":"application/pdf"}"#;
        let submission = read_text(text).unwrap();
        assert_eq!(&submission.body[..], [0, 255]);
        assert_eq!(&*submission.content_type, "application/pdf");
    }

    #[test]
    fn every_fault_is_told_with_its_place() {
        let text = r#"{"type":"order..x","delay":"soon","idempotency_key":"a b","tenant":""}"#;
        let faults = read_text(text).unwrap_err();
        let places: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(places, ["/type", "/data", "/delay", "/idempotency_key", "/tenant"]);
    }

    #[test]
    fn unknown_fields_are_refused() {
        let faults = read_text(r#"{"type":"x","data":1,"endpoint":["a"]}"#).unwrap_err();
        assert!(faults[0].detail.contains("unknown field `endpoint`"), "{faults:?}");
    }
}
