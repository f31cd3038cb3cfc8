//! `/v1/endpoints`: where events go.

use axum::extract::Path;
use axum::extract::Request;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::Response;
use bytes::Bytes;
use http::HeaderValue;
use http::StatusCode;
use http::Uri;
use http::header;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::admin;
use crate::admin::Room;
use crate::admin::backend::Actor;
use crate::admin::backend::Backend;
use crate::admin::backend::Leftovers;
use crate::admin::backend::Sample;
use crate::admin::body;
use crate::admin::query::Query;
use crate::admin::refusal::Refusal;
use crate::model::Code;
use crate::model::EventType;
use crate::model::Outcome;
use crate::model::view::Fault;
use crate::model::view::Problem;

/// The type of the event that an endpoint is tried with.
const SAMPLE_TYPE: &str = "postrider.ping";
/// The longest reason for a pause, in characters.
const REASON_CHARS_MAX: usize = 200;

pub(super) async fn list<B: Backend>(
    State(room): State<Room<B>>,
    uri: Uri,
) -> Result<Response, Refusal> {
    Query::parse(uri.query())?.finish()?;
    Ok(body::list(room.backend.endpoints().await?))
}

pub(super) async fn show<B: Backend>(
    State(room): State<Room<B>>,
    Path(name): Path<String>,
    uri: Uri,
) -> Result<Response, Refusal> {
    Query::parse(uri.query())?.finish()?;
    Ok(body::json(StatusCode::OK, &room.backend.endpoint(name).await?))
}

/// The keys of a definition are the configuration's matter; here it is an object.
pub(super) async fn create<B: Backend>(
    State(room): State<Room<B>>,
    request: Request,
) -> Result<Response, Refusal> {
    let (actor, body) = admin::command(request)?;
    let definition = body::required(body).await?;
    let created = room.backend.create_endpoint(definition, actor).await?;
    let location = HeaderValue::try_from(format!("/v1/endpoints/{}", created.endpoint.name));
    let mut response = body::json(StatusCode::CREATED, &created);
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

pub(super) async fn remove<B: Backend>(
    State(room): State<Room<B>>,
    Path(name): Path<String>,
    uri: Uri,
    request: Request,
) -> Result<Response, Refusal> {
    let mut query = Query::parse(uri.query())?;
    let leftovers = match query.text("deliveries").as_deref() {
        None | Some("keep") => Leftovers::Keep,
        Some("cancel") => Leftovers::Cancel,
        Some(_) => {
            query.fault("deliveries", "value", "expected \"keep\" or \"cancel\"");
            Leftovers::Keep
        }
    };
    query.finish()?;
    let actor = admin::actor(&request)?;
    room.backend.remove_endpoint(name, leftovers, actor).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The body of a pause.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Pause {
    reason: String,
}

pub(super) async fn pause<B: Backend>(
    State(room): State<Room<B>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let (actor, body) = admin::command(request)?;
    let Pause { reason } = body::optional(body).await?;
    if reason.chars().count() > REASON_CHARS_MAX {
        let detail = format!("must have at most {REASON_CHARS_MAX} characters");
        return Err(Problem::invalid(vec![Fault::new("/reason", "length", detail)]).into());
    }
    Ok(body::json(StatusCode::OK, &room.backend.pause(name, reason, actor).await?))
}

pub(super) async fn resume<B: Backend>(
    State(room): State<Room<B>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let actor = admin::bare_command(request).await?;
    Ok(body::json(StatusCode::OK, &room.backend.resume(name, actor).await?))
}

pub(super) async fn enable<B: Backend>(
    State(room): State<Room<B>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let actor = admin::bare_command(request).await?;
    Ok(body::json(StatusCode::OK, &room.backend.enable(name, actor).await?))
}

/// The body of a test.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Test {
    #[serde(rename = "type")]
    event_type: Option<EventType>,
    data: Option<Box<RawValue>>,
}

pub(super) async fn test<B: Backend>(
    State(room): State<Room<B>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let (actor, body) = admin::command(request)?;
    let sample = sample(body::optional(body).await?)?;
    call(&*room.backend, name, sample, actor).await
}

fn sample(test: Test) -> Result<Sample, Refusal> {
    let event_type = match test.event_type {
        Some(event_type) => event_type,
        None => SAMPLE_TYPE
            .parse()
            .map_err(|_| Refusal::new(Code::Internal, "the sample's type is not valid"))?,
    };
    let data = test.data.map_or_else(|| "{}".to_owned(), |data| data.get().to_owned());
    Ok(Sample { event_type, body: Bytes::from(data) })
}

async fn call<B: Backend>(
    backend: &B,
    name: String,
    sample: Sample,
    actor: Actor,
) -> Result<Response, Refusal> {
    let attempt = backend.test(name, sample, actor).await?;
    if attempt.outcome == Outcome::BlockedAddress {
        let detail = attempt.detail.unwrap_or_else(|| "see [egress] in the configuration".into());
        return Err(Refusal::new(Code::BlockedAddress, detail));
    }
    Ok(body::json(StatusCode::OK, &attempt))
}
