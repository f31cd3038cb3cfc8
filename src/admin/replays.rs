//! `/v1/replays`: sending many deliveries again.

use axum::extract::Request;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

use crate::admin;
use crate::admin::Room;
use crate::admin::backend::Backend;
use crate::admin::backend::DeliveryFilter;
use crate::admin::body;
use crate::admin::refusal::Refusal;
use crate::model::DeliveryState;
use crate::model::Time;
use crate::model::TypeGlob;
use crate::model::view::Fault;
use crate::model::view::Problem;

/// The body of a replay.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Replay {
    filter: Filter,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    endpoint: Option<String>,
    state: Option<DeliveryState>,
    #[serde(rename = "type")]
    types: Option<TypeGlob>,
    since: Option<Time>,
    until: Option<Time>,
}

pub(super) async fn create<B: Backend>(
    State(room): State<Room<B>>,
    request: Request,
) -> Result<Response, Refusal> {
    let (actor, body) = admin::command(request)?;
    let replay: Replay = body::required(body).await?;
    let filter = checked(replay.filter)?;
    if replay.dry_run {
        return Ok(body::json(StatusCode::OK, &room.backend.count_replay(filter).await?));
    }
    Ok(body::json(StatusCode::OK, &room.backend.replay(filter, actor).await?))
}

/// Only what has come to an end can be sent again, and dead deliveries are what people mean.
fn checked(filter: Filter) -> Result<DeliveryFilter, Refusal> {
    let state = filter.state.unwrap_or(DeliveryState::Dead);
    if !matches!(state, DeliveryState::Dead | DeliveryState::Cancelled | DeliveryState::Delivered) {
        let detail = format!("{state} deliveries cannot be replayed: dead, cancelled, delivered");
        return Err(Problem::invalid(vec![Fault::new("/filter/state", "state", detail)]).into());
    }
    Ok(DeliveryFilter {
        state: Some(state),
        endpoint: filter.endpoint,
        types: filter.types,
        outcome: None,
        since: filter.since,
        until: filter.until,
    })
}
