//! `/v1/sources`: where events come from.

use axum::extract::Path;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use http::Uri;

use crate::admin::Room;
use crate::admin::backend::Backend;
use crate::admin::body;
use crate::admin::query::Query;
use crate::admin::refusal::Refusal;

pub(super) async fn list<B: Backend>(
    State(room): State<Room<B>>,
    uri: Uri,
) -> Result<Response, Refusal> {
    Query::parse(uri.query())?.finish()?;
    Ok(body::list(room.backend.sources().await?))
}

pub(super) async fn show<B: Backend>(
    State(room): State<Room<B>>,
    Path(name): Path<String>,
    uri: Uri,
) -> Result<Response, Refusal> {
    Query::parse(uri.query())?.finish()?;
    Ok(body::json(StatusCode::OK, &room.backend.source(name).await?))
}
