//! `/v1/replays`: one thing is done to many deliveries.

use axum::extract::Path;
use axum::extract::Request;
use axum::extract::State;
use axum::response::Response;
use http::HeaderValue;
use http::StatusCode;
use http::Uri;
use http::header;
use serde::Deserialize;

use crate::admin;
use crate::admin::Room;
use crate::admin::backend::Backend;
use crate::admin::backend::ReplayOrder;
use crate::admin::body;
use crate::admin::id::find;
use crate::admin::query::Query;
use crate::admin::refusal::Refusal;
use crate::config::value::pace::Pace;
use crate::model::DeliveryState;
use crate::model::Rate;
use crate::model::ReplayAction;
use crate::model::replay::REPLAY_GAP_MIN;
use crate::model::replay::REPLAY_IDS_MAX;
use crate::model::replay::view::FilterView;
use crate::model::view::Fault;
use crate::model::view::Problem;

/// The body of a replay.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    filter: FilterView,
    #[serde(default)]
    action: ReplayAction,
    rate: Option<Pace>,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    standing: bool,
}

pub(super) async fn create<B: Backend>(
    State(room): State<Room<B>>,
    request: Request,
) -> Result<Response, Refusal> {
    let (actor, body) = admin::command(request)?;
    let body: Body = body::required(body).await?;
    let dry_run = body.dry_run;
    let order = checked(body)?;
    if dry_run {
        return Ok(body::json(StatusCode::OK, &room.backend.count_replay(order).await?));
    }
    let replay = room.backend.replay(order, actor).await?;
    let mut answer = body::json(StatusCode::ACCEPTED, &replay);
    if let Ok(place) = HeaderValue::try_from(format!("/v1/replays/{}", replay.id)) {
        answer.headers_mut().insert(header::LOCATION, place);
    }
    Ok(answer)
}

pub(super) async fn list<B: Backend>(
    State(room): State<Room<B>>,
    uri: Uri,
) -> Result<Response, Refusal> {
    Query::parse(uri.query())?.finish()?;
    Ok(body::list(room.backend.replays().await?))
}

pub(super) async fn holds<B: Backend>(
    State(room): State<Room<B>>,
    uri: Uri,
) -> Result<Response, Refusal> {
    Query::parse(uri.query())?.finish()?;
    Ok(body::list(room.backend.holds().await?))
}

pub(super) async fn show<B: Backend>(
    State(room): State<Room<B>>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, Refusal> {
    Query::parse(uri.query())?.finish()?;
    let id = find(&*room.backend, &id).await?;
    Ok(body::json(StatusCode::OK, &room.backend.shown_replay(id).await?))
}

pub(super) async fn cancel<B: Backend>(
    State(room): State<Room<B>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let actor = admin::bare_command(request).await?;
    let id = find(&*room.backend, &id).await?;
    Ok(body::json(StatusCode::OK, &room.backend.cancel_replay(id, actor).await?))
}

/// What is asked for, if it can be done. Dead deliveries are what people mean to send again, if
/// they do not say.
fn checked(body: Body) -> Result<ReplayOrder, Refusal> {
    let Body { mut filter, action, rate, standing, .. } = body;
    let mut faults = Vec::new();
    if action == ReplayAction::Replay {
        filter.state.get_or_insert(DeliveryState::Dead);
    }
    let legal = states(action);
    if let Some(state) = filter.state.filter(|state| !legal.contains(state)) {
        let (word, legal) = (action.as_str(), words(legal));
        let detail = format!("{word} is not for {state} deliveries: {legal}");
        faults.push(Fault::new("/filter/state", "state", detail));
    }
    if standing {
        let types = filter.types.clone();
        let plain =
            FilterView { types, endpoint: filter.endpoint.clone(), ..FilterView::default() };
        if action != ReplayAction::Hold {
            faults.push(Fault::new("/standing", "conflict", "only a hold can stand"));
        } else if filter.types.is_none() || filter != plain {
            let detail = "a standing hold is for a type, and for one endpoint or all of them";
            faults.push(Fault::new("/standing", "conflict", detail));
        }
    }
    if filter.ids.len() > REPLAY_IDS_MAX {
        let detail = format!("names more than {REPLAY_IDS_MAX} deliveries");
        faults.push(Fault::new("/filter/ids", "range", detail));
    }
    let rate = rate.map(|pace| Rate { count: pace.count(), per: pace.per(), burst: 1 });
    let rate = rate.unwrap_or(action.rate_default());
    if rate.per < REPLAY_GAP_MIN * rate.count {
        faults.push(Fault::new("/rate", "range", "must be 1000/s at most"));
    }
    if faults.is_empty() {
        Ok(ReplayOrder { action, filter, rate, standing })
    } else {
        Err(Problem::invalid(faults).into())
    }
}

/// The states of deliveries that an action may be asked for.
fn states(action: ReplayAction) -> &'static [DeliveryState] {
    use DeliveryState::{Cancelled, Dead, Delivered, Held, Queued, Waiting};
    match action {
        ReplayAction::Replay => &[Dead, Cancelled, Delivered],
        ReplayAction::Cancel => &[Queued, Waiting, Held, Dead],
        ReplayAction::Hold => &[Queued, Waiting, Held],
        ReplayAction::Release => &[Held],
    }
}

fn words(states: &[DeliveryState]) -> String {
    states.iter().map(|state| state.as_str()).collect::<Vec<_>>().join(", ")
}
