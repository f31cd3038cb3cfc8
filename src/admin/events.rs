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
use crate::admin::id::find;
use crate::admin::paging;
use crate::admin::query::Query;
use crate::admin::refusal::Refusal;

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
