//! The management API and the metrics: what operators and the CLI see of the daemon.
//!
//! [`router`] is a tower service over a [`Backend`]; the hub serves it on the admin socket, whose
//! permissions are the authentication, and puts the caller ([`Actor`]) into each request. Answers
//! are JSON of `model::view`; refusals are `application/problem+json`. Invariants:
//! - every answer carries `X-Request-Id`;
//! - what is not known (a query parameter, a field) is refused with 422, never ignored;
//! - bodies, pages, queries and cursors have limits.

pub mod backend;
pub mod metrics;

mod body;
mod cursor;
mod deliveries;
mod endpoints;
mod events;
mod id;
mod identify;
mod paging;
mod query;
mod refusal;
mod replays;
mod sources;
mod system;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware;
use axum::routing::get;
use axum::routing::post;
use http::Method;
use http::Uri;
use serde::Deserialize;

pub use backend::Actor;
pub use backend::Backend;
pub use backend::BackendError;
pub use identify::RequestIds;
pub use metrics::LogCounter;
pub use metrics::Metrics;

use crate::model::Code;
use query::Query;
use refusal::Refusal;

/// What the handlers share.
struct Room<B> {
    backend: Arc<B>,
    metrics: Arc<Metrics>,
}

impl<B> Clone for Room<B> {
    fn clone(&self) -> Room<B> {
        Room { backend: Arc::clone(&self.backend), metrics: Arc::clone(&self.metrics) }
    }
}

/// The management API. Requests must carry an [`Actor`] in their extensions for what changes
/// something.
pub fn router<B: Backend>(backend: Arc<B>, metrics: Arc<Metrics>, ids: RequestIds) -> Router {
    let room = Room { backend, metrics };
    Router::new()
        .merge(read_routes::<B>())
        .merge(change_routes::<B>())
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .with_state(room)
        .layer(middleware::from_fn_with_state(ids, identify::layer))
}

fn read_routes<B: Backend>() -> Router<Room<B>> {
    Router::new()
        .route("/healthz", get(system::healthz))
        .route("/readyz", get(system::readyz::<B>))
        .route("/metrics", get(system::metrics::<B>))
        .route("/v1/status", get(system::status::<B>))
        .route("/v1/queue", get(system::queue::<B>))
        .route("/v1/events", get(events::list::<B>))
        .route("/v1/events/{id}", get(events::show::<B>))
        .route("/v1/events/{id}/payload", get(events::payload::<B>))
        .route("/v1/holds", get(replays::holds::<B>))
        .route("/v1/sources", get(sources::list::<B>))
        .route("/v1/sources/{name}", get(sources::show::<B>))
        .route("/v1/deliveries", get(deliveries::list::<B>))
        .route("/v1/deliveries/{id}", get(deliveries::show::<B>))
}

fn change_routes<B: Backend>() -> Router<Room<B>> {
    Router::new()
        .route("/v1/deliveries/{id}/retry", post(deliveries::retry::<B>))
        .route("/v1/deliveries/{id}/cancel", post(deliveries::cancel::<B>))
        .route("/v1/endpoints", get(endpoints::list::<B>).post(endpoints::create::<B>))
        .route("/v1/endpoints/{name}", get(endpoints::show::<B>).delete(endpoints::remove::<B>))
        .route("/v1/endpoints/{name}/pause", post(endpoints::pause::<B>))
        .route("/v1/endpoints/{name}/resume", post(endpoints::resume::<B>))
        .route("/v1/endpoints/{name}/enable", post(endpoints::enable::<B>))
        .route("/v1/endpoints/{name}/test", post(endpoints::test::<B>))
        .route("/v1/replays", get(replays::list::<B>).post(replays::create::<B>))
        .route("/v1/replays/{id}", get(replays::show::<B>))
        .route("/v1/replays/{id}/cancel", post(replays::cancel::<B>))
        .route("/v1/admin/reload", post(system::reload::<B>))
        .route("/v1/admin/drain", post(system::drain::<B>))
        .route("/v1/admin/resume", post(system::undrain::<B>))
}

async fn no_such_path(uri: Uri) -> Refusal {
    Refusal::new(Code::NotFound, format!("there is no {}", uri.path()))
}

async fn no_such_method(method: Method, uri: Uri) -> Refusal {
    Refusal::new(Code::MethodNotAllowed, format!("{} does not take {method}", uri.path()))
}

/// Who is calling.
fn actor(request: &Request) -> Result<Actor, Refusal> {
    let actor = request.extensions().get::<Actor>().cloned();
    actor.ok_or_else(|| Refusal::new(Code::Unauthenticated, "the caller is not known"))
}

/// A request that changes something: who makes it, and its body.
fn command(request: Request) -> Result<(Actor, Body), Refusal> {
    Query::parse(request.uri().query())?.finish()?;
    Ok((actor(&request)?, request.into_body()))
}

/// A request that changes something and needs nothing besides its path.
async fn bare_command(request: Request) -> Result<Actor, Refusal> {
    let (actor, body) = command(request)?;
    let Nothing {} = body::optional(body).await?;
    Ok(actor)
}

/// The body of a command without parameters: none, or an empty object.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[cfg(test)]
mod tests;
