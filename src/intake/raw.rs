//! One event whose payload is the request's body.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::header;

use crate::intake::batch::Item;
use crate::intake::said::Said;

/// Reads the submission that path, headers and body are.
pub(super) fn read(event_type: &str, headers: &HeaderMap, body: Bytes, source: &Arc<str>) -> Item {
    let mut said = Said::in_headers(headers);
    let event_type = said.event_type(event_type);
    said.submission(event_type, (body, content_type(headers)), source)
}

/// The media type of the request; of what does not say, the one that claims nothing.
pub(super) fn content_type(headers: &HeaderMap) -> Arc<str> {
    let named = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    named.filter(|value| !value.is_empty()).unwrap_or("application/octet-stream").into()
}
