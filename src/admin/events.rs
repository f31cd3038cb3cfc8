//! `/v1/events`: what was submitted.

use axum::body::Body;
use axum::extract::Path;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::Response;
use http::HeaderName;
use http::HeaderValue;
use http::StatusCode;
use http::Uri;
use http::header;

use crate::admin::Room;
use crate::admin::backend::Backend;
use crate::admin::backend::EventFilter;
use crate::admin::body;
use crate::admin::paging;
use crate::admin::query::Query;
use crate::admin::refusal::Refusal;
use crate::model::Code;
use crate::model::EventId;

/// The shortest abbreviation of an id, in characters after the prefix.
pub(crate) const ID_CHARS_MIN: usize = 8;

pub(super) async fn list<B: Backend>(
    State(room): State<Room<B>>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let mut query = Query::parse(uri.query())?;
    let (window, filters) = query.window()?;
    let filter = EventFilter {
        types: query.parsed("type"),
        source: query.text("source"),
        tenant: query.text("tenant"),
        tags: tags(&mut query),
        since: query.parsed("since"),
        until: query.parsed("until"),
        has_state: query.state("has_state"),
    };
    query.finish()?;
    let limit = window.limit;
    let slice = room.backend.events(filter, window).await?;
    Ok(paging::page(uri.path(), limit, &filters, slice))
}

fn tags(query: &mut Query) -> Vec<(String, String)> {
    let mut tags = Vec::new();
    for text in query.all("tag") {
        match text.split_once('=') {
            Some((name, value)) => tags.push((name.to_owned(), value.to_owned())),
            None => query.fault("tag", "value", "expected name=value"),
        }
    }
    tags
}

pub(super) async fn show<B: Backend>(
    State(room): State<Room<B>>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, Refusal> {
    Query::parse(uri.query())?.finish()?;
    let id = find(&*room.backend, &id).await?;
    Ok(body::json(StatusCode::OK, &room.backend.event(id).await?))
}

/// The payload as it was submitted. A browser must neither guess its type nor run it.
pub(super) async fn payload<B: Backend>(
    State(room): State<Room<B>>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, Refusal> {
    const NO_SNIFF: HeaderName = HeaderName::from_static("x-content-type-options");
    Query::parse(uri.query())?.finish()?;
    let id = find(&*room.backend, &id).await?;
    let payload = room.backend.payload(id).await?;
    let content_type = HeaderValue::try_from(payload.content_type)
        .unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (NO_SNIFF, HeaderValue::from_static("nosniff")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment")),
    ];
    Ok((headers, Body::from(payload.body)).into_response())
}

/// The event that an id, or an unambiguous beginning of one, stands for.
async fn find<B: Backend>(backend: &B, text: &str) -> Result<EventId, Refusal> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let chars = text.strip_prefix("evt_").unwrap_or(text);
    if chars.len() < ID_CHARS_MIN {
        return Err(too_short("event"));
    }
    let range = EventId::range_of_prefix(chars);
    let (low, high) = range.map_err(|_| Refusal::new(Code::NotFound, "not the id of an event"))?;
    one(&backend.events_between(low, high).await?, "event")
}

pub(super) fn too_short(what: &str) -> Refusal {
    let detail = format!("give the id of an {what}, or its first {ID_CHARS_MIN} characters");
    Refusal::new(Code::NotFound, detail)
}

/// The only one of these.
pub(super) fn one<T: Copy>(found: &[T], what: &str) -> Result<T, Refusal> {
    match found {
        [] => Err(Refusal::new(Code::NotFound, format!("no {what} begins with this"))),
        [only] => Ok(*only),
        _ => Err(Refusal::new(Code::Ambiguous, "give more characters of the id")),
    }
}
