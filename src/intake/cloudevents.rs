//! CloudEvents 1.0 over HTTP: structured, binary and batched (HTTP protocol binding, section 3).
//!
//! `data` becomes the payload and `datacontenttype` its content type; `type` the event's type,
//! `time` its own time. The other attributes are kept as they are. `source` and `id` name the
//! event, so together they are its idempotency key where the request brings none.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use ring::digest;
use serde_json::Map;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::intake::batch::Item;
use crate::intake::raw;
use crate::intake::said;
use crate::intake::said::Said;
use crate::model::IdempotencyKey;
use crate::model::Time;
use crate::model::problem::Code;
use crate::model::view::Fault;
use crate::model::view::Problem;
use crate::policy::hex::hex;

/// How a request carries CloudEvents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Structured,
    Binary,
    Batch,
}

/// Which it is, if any: by the content type, the batch's first, since it begins like the other.
pub(super) fn mode(headers: &HeaderMap) -> Option<Mode> {
    let content_type = raw::content_type(headers).to_ascii_lowercase();
    if content_type.starts_with("application/cloudevents-batch") {
        Some(Mode::Batch)
    } else if content_type.starts_with("application/cloudevents") {
        Some(Mode::Structured)
    } else {
        headers.contains_key("ce-specversion").then_some(Mode::Binary)
    }
}

/// The event of a structured request.
pub(super) fn structured(headers: &HeaderMap, body: &[u8], source: &Arc<str>) -> Item {
    let event: Members<'_> = serde_json::from_slice(body).map_err(|e| said::unread(&e))?;
    of_json(event, Said::in_headers(headers), source)
}

/// The events of a batch.
pub(super) fn batch(
    headers: &HeaderMap,
    body: &[u8],
    source: &Arc<str>,
    items_max: usize,
) -> Result<Vec<Item>, Problem> {
    let events: Vec<Members<'_>> = serde_json::from_slice(body)
        .map_err(|error| Problem::new(Code::MalformedJson, error.to_string()))?;
    if events.is_empty() || events.len() > items_max {
        let detail = format!("the batch has {} events, 1 to {items_max} are allowed", events.len());
        return Err(Problem::new(Code::PayloadTooLarge, detail));
    }
    Ok(events.into_iter().map(|e| of_json(e, Said::in_headers(headers), source)).collect())
}

/// The event of a binary request: attributes in `ce-` headers, the body untouched.
pub(super) fn binary(headers: &HeaderMap, body: Bytes, source: &Arc<str>) -> Item {
    let mut event = Map::new();
    let mut faults = Vec::new();
    for (name, value) in headers {
        let Some(name) = name.as_str().strip_prefix("ce-") else { continue };
        match decode(value) {
            Some(text) => {
                event.insert(name.to_owned(), Value::String(text));
            }
            None => faults.push(Fault::new(format!("ce-{name}"), "header", "is not valid UTF-8")),
        }
    }
    if event.remove("datacontenttype").is_some() {
        let detail = "in binary mode Content-Type says it";
        faults.push(Fault::new("ce-datacontenttype", "conflict", detail));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let content_type = raw::content_type(headers);
    build(event, Said::in_headers(headers), (body, content_type), source)
}

/// The members of an event as they are written: its data is to arrive byte for byte.
type Members<'a> = BTreeMap<String, &'a RawValue>;

fn of_json(mut members: Members<'_>, said: Said, source: &Arc<str>) -> Item {
    let data = members.remove("data");
    let mut event = Map::new();
    for (name, text) in members {
        let value = serde_json::from_str(text.get());
        let fault = |e: serde_json::Error| Fault::new(format!("/{name}"), "value", e.to_string());
        event.insert(name.clone(), value.map_err(|error| vec![fault(error)])?);
    }
    let content_type = match event.remove("datacontenttype") {
        Some(Value::String(text)) => text,
        Some(Value::Null) | None => "application/json".to_owned(),
        Some(_) => return Err(vec![Fault::new("/datacontenttype", "type", "must be a string")]),
    };
    let body = match (data, event.remove("data_base64")) {
        (Some(_), Some(_)) => {
            let detail = "data and data_base64 exclude each other";
            return Err(vec![Fault::new("/data", "conflict", detail)]);
        }
        (None, Some(Value::String(base64))) => STANDARD
            .decode(base64)
            .map_err(|e| vec![Fault::new("/data_base64", "base64", e.to_string())])?,
        (None, Some(_)) => {
            return Err(vec![Fault::new("/data_base64", "type", "must be a string")]);
        }
        (Some(data), None) => written(data, &content_type),
        (None, None) => Vec::new(),
    };
    build(event, said, (body.into(), content_type.into()), source)
}

/// The payload that data is: text that is not JSON stands in a string, all else is taken verbatim.
fn written(data: &RawValue, content_type: &str) -> Vec<u8> {
    let text = || serde_json::from_str::<String>(data.get()).ok();
    let text = if is_json(content_type) { None } else { text() };
    text.unwrap_or_else(|| data.get().to_owned()).into_bytes()
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.ends_with("/json") || essence.ends_with("+json")
}

fn build(
    event: Map<String, Value>,
    mut said: Said,
    payload: (Bytes, Arc<str>),
    source: &Arc<str>,
) -> Item {
    let mut texts = Vec::new();
    for (name, value) in event {
        match value {
            Value::Null => {}
            Value::String(text) => texts.push((name, text)),
            Value::Bool(_) | Value::Number(_) => texts.push((name, value.to_string())),
            Value::Array(_) | Value::Object(_) => {
                said.faults.push(Fault::new(format!("/{name}"), "type", "must be a simple value"));
            }
        }
    }
    let mut take = |name: &str| {
        let at = texts.iter().position(|(key, _)| key == name)?;
        Some(texts.remove(at).1).filter(|text| !text.is_empty())
    };
    if take("specversion").as_deref() != Some("1.0") {
        said.faults.push(Fault::new("/specversion", "version", "must be 1.0"));
    }
    let event_type = said.event_type(&take("type").unwrap_or_default());
    if let Some(time) = take("time") {
        match time.parse::<Time>() {
            Ok(time) => said.attributes.occurred_at = Some(time),
            Err(error) => said.faults.push(Fault::new("/time", "time", error.to_string())),
        }
    }
    let of = |name: &str| texts.iter().find(|(key, _)| key == name).map(|(_, text)| text.as_str());
    let named =
        of("id").zip(of("source")).filter(|(id, source)| !(id.is_empty() || source.is_empty()));
    let Some((id, origin)) = named else {
        said.faults.push(Fault::new("/id", "missing", "id and source must be present"));
        return Err(said.faults);
    };
    said.key = said.key.or_else(|| own_key(origin, id));
    said.attributes.cloudevents = texts;
    said.submission(event_type, payload, source)
}

/// The key that source and id are: `ce-` and a hash, since either may be longer than a key.
fn own_key(origin: &str, id: &str) -> Option<IdempotencyKey> {
    let digest = digest::digest(&digest::SHA256, format!("{origin}\n{id}").as_bytes());
    format!("ce-{}", hex(digest.as_ref())).parse().ok()
}

/// The text of a `ce-` header: a double-quoted string is undone, then one round of
/// percent-decoding (HTTP protocol binding, section 3.1.3.2).
fn decode(value: &HeaderValue) -> Option<String> {
    let text = value.to_str().ok()?;
    let unquoted = match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => inner.replace("\\\"", "\"").replace("\\\\", "\\"),
        None => text.to_owned(),
    };
    let mut bytes = Vec::with_capacity(unquoted.len());
    let mut rest = unquoted.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        let hex = (*first == b'%').then(|| others.get(..2)).flatten();
        let decoded = hex
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match decoded {
            Some(byte) => {
                bytes.push(byte);
                rest = others.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = others;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (k.parse().unwrap(), HeaderValue::from_static(v))).collect()
    }

    const JSON: &str = r#"{"specversion":"1.0","id":"A-1","source":"/shop","type":"order.created",
        "time":"2026-11-21T10:15:02Z","subject":"42","data":{"n": 1}}"#;

    #[test]
    fn structured_and_binary_are_the_same_event() {
        let json = structured(&HeaderMap::new(), JSON.as_bytes(), &"uid:1".into()).unwrap();
        let headers = headers(&[
            ("content-type", "application/json"),
            ("ce-specversion", "1.0"),
            ("ce-id", "A-1"),
            ("ce-source", "/shop"),
            ("ce-subject", "42"),
            ("ce-type", "order.created"),
            ("ce-time", "2026-11-21T10:15:02Z"),
        ]);
        assert_eq!(mode(&headers), Some(Mode::Binary));
        let mut plain =
            binary(&headers, Bytes::from_static(b"{\"n\": 1}"), &"uid:1".into()).unwrap();
        plain.attributes.cloudevents.sort();
        assert_eq!(json, plain);
        assert!(json.idempotency_key.is_some());
    }

    #[test]
    fn data_is_taken_byte_for_byte() {
        let odd = "{ \"b\":1.10, \"a\":12345678901234567890123456789, \"a\":\"\\u00e9\" }";
        let text = format!(
            "{{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"t\",\
             \"data\": {odd} }}"
        );
        let event = structured(&HeaderMap::new(), text.as_bytes(), &"uid:1".into()).unwrap();
        assert_eq!(event.body, odd);
        let events = format!("[{text}]");
        let events = batch(&HeaderMap::new(), events.as_bytes(), &"uid:1".into(), 1).unwrap();
        assert_eq!(events[0].as_ref().unwrap().body, odd);
    }

    #[test]
    fn text_and_binary_data_keep_their_form() {
        let text = r#"{"specversion":"1.0","id":"1","source":"s","type":"t",
            "datacontenttype":"text/xml","data":"<a/>"}"#;
        let event = structured(&HeaderMap::new(), text.as_bytes(), &"uid:1".into()).unwrap();
        assert_eq!(&event.body[..], b"<a/>");
        let binary = r#"{"specversion":"1.0","id":"1","source":"s","type":"t",
            "datacontenttype":"application/pdf","data_base64":"AP8="}"#;
        let event = structured(&HeaderMap::new(), binary.as_bytes(), &"uid:1".into()).unwrap();
        assert_eq!(&event.body[..], [0, 255]);
    }

    #[test]
    fn what_a_cloudevent_must_have_is_asked_for() {
        let of = |text: &str| structured(&HeaderMap::new(), text.as_bytes(), &"uid:1".into());
        let places = |item: Item| -> Vec<_> {
            item.unwrap_err().into_iter().map(|fault| fault.pointer).collect()
        };
        assert_eq!(places(of("{}")), ["/specversion", "/type", "/id"]);
        let wrong = r#"{"specversion":"1.0","id":"1","source":"s","type":"t","ext":{}}"#;
        assert_eq!(places(of(wrong)), ["/ext"]);
    }

    #[test]
    fn header_values_are_decoded_once() {
        let of = |text: &'static str| decode(&HeaderValue::from_static(text));
        assert_eq!(of("Euro%20%E2%82%AC").as_deref(), Some("Euro \u{20ac}"));
        assert_eq!(of("\"a \\\"b\\\"\"").as_deref(), Some("a \"b\""));
        assert_eq!(of("%2541").as_deref(), Some("%41"));
        assert_eq!(of("%C0%A0"), None);
    }
}
