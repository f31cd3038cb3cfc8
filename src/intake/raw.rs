//! One event whose payload is the request's body.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::header;

use crate::intake::attributes;
use crate::intake::attributes::FromHeaders;
use crate::model::EventType;
use crate::model::Submission;
use crate::model::view::Fault;

/// Reads the submission that path, headers and body are.
pub(super) fn read(
    event_type: &str,
    headers: &HeaderMap,
    body: Bytes,
    source: &Arc<str>,
) -> Result<Submission, Vec<Fault>> {
    let mut said = FromHeaders::read(headers);
    let event_type = event_type
        .parse::<EventType>()
        .map_err(|error| said.faults.push(Fault::new("/type", "type", error.to_string())))
        .ok();
    said.faults.extend(attributes::check_times(said.attributes.deliver_at, said.delay));
    let (Some(event_type), true) = (event_type, said.faults.is_empty()) else {
        return Err(said.faults);
    };
    Ok(Submission {
        source: Arc::clone(source),
        event_type,
        content_type: content_type(headers),
        body,
        attributes: Box::new(said.attributes),
        delay: said.delay,
        endpoints: said.endpoints,
        idempotency_key: said.key,
    })
}

/// The media type of the request; of what does not say, the one that claims nothing.
pub(super) fn content_type(headers: &HeaderMap) -> Arc<str> {
    let named = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    named.filter(|value| !value.is_empty()).unwrap_or("application/octet-stream").into()
}
