//! The daemon itself: probes, metrics, status, and the commands that concern all of it.

use axum::extract::Request;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::Response;
use http::HeaderValue;
use http::StatusCode;
use http::Uri;
use http::header;

use crate::admin;
use crate::admin::Room;
use crate::admin::backend::Backend;
use crate::admin::body;
use crate::admin::metrics::OPENMETRICS_CONTENT_TYPE;
use crate::admin::query::Query;
use crate::admin::refusal::Refusal;
use crate::model::Code;

/// The process answers: alive.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// The daemon takes events: ready.
pub(super) async fn readyz<B: Backend>(
    State(room): State<Room<B>>,
) -> Result<&'static str, Refusal> {
    room.backend.ready().await?;
    Ok("ready\n")
}

pub(super) async fn metrics<B: Backend>(State(room): State<Room<B>>) -> Result<Response, Refusal> {
    // counters are worth having even where the status cannot be read
    if let Ok(status) = room.backend.status().await {
        room.metrics.set_status(&status);
    }
    if let Ok(queue) = room.backend.queue().await {
        room.metrics.set_queue(&queue);
    }
    let text = room.metrics.encode();
    let text = text.map_err(|error| Refusal::new(Code::Internal, error.to_string()))?;
    let content_type = HeaderValue::from_static(OPENMETRICS_CONTENT_TYPE);
    Ok(([(header::CONTENT_TYPE, content_type)], text).into_response())
}

pub(super) async fn status<B: Backend>(
    State(room): State<Room<B>>,
    uri: Uri,
) -> Result<Response, Refusal> {
    Query::parse(uri.query())?.finish()?;
    Ok(body::json(StatusCode::OK, &room.backend.status().await?))
}

pub(super) async fn queue<B: Backend>(
    State(room): State<Room<B>>,
    uri: Uri,
) -> Result<Response, Refusal> {
    Query::parse(uri.query())?.finish()?;
    Ok(body::json(StatusCode::OK, &room.backend.queue().await?))
}

pub(super) async fn reload<B: Backend>(
    State(room): State<Room<B>>,
    request: Request,
) -> Result<Response, Refusal> {
    let actor = admin::bare_command(request).await?;
    Ok(body::json(StatusCode::OK, &room.backend.reload(actor).await?))
}

pub(super) async fn drain<B: Backend>(
    State(room): State<Room<B>>,
    request: Request,
) -> Result<Response, Refusal> {
    let actor = admin::bare_command(request).await?;
    Ok(body::json(StatusCode::OK, &room.backend.drain(actor).await?))
}

pub(super) async fn undrain<B: Backend>(
    State(room): State<Room<B>>,
    request: Request,
) -> Result<Response, Refusal> {
    let actor = admin::bare_command(request).await?;
    Ok(body::json(StatusCode::OK, &room.backend.undrain(actor).await?))
}
