//! `/v1/deliveries`: events on their way, and the commands that change one's course.

use axum::extract::Path;
use axum::extract::Request;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use http::Uri;

use crate::admin;
use crate::admin::Room;
use crate::admin::backend::Backend;
use crate::admin::backend::DeliveryFilter;
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
    let filter = DeliveryFilter {
        state: query.state("state"),
        endpoint: query.text("endpoint"),
        types: query.parsed("type"),
        outcome: query.word("outcome"),
        since: query.parsed("since"),
        until: query.parsed("until"),
    };
    query.finish()?;
    let limit = window.limit;
    let slice = room.backend.deliveries(filter, window).await?;
    Ok(paging::page(uri.path(), limit, &filters, slice))
}

pub(super) async fn show<B: Backend>(
    State(room): State<Room<B>>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, Refusal> {
    Query::parse(uri.query())?.finish()?;
    let id = find(&*room.backend, &id).await?;
    Ok(body::json(StatusCode::OK, &room.backend.delivery(id).await?))
}

pub(super) async fn retry<B: Backend>(
    State(room): State<Room<B>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let actor = admin::bare_command(request).await?;
    let id = find(&*room.backend, &id).await?;
    Ok(body::json(StatusCode::ACCEPTED, &room.backend.retry(id, actor).await?))
}

pub(super) async fn cancel<B: Backend>(
    State(room): State<Room<B>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let actor = admin::bare_command(request).await?;
    let id = find(&*room.backend, &id).await?;
    Ok(body::json(StatusCode::OK, &room.backend.cancel(id, actor).await?))
}
