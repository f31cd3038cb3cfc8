//! Gives every answer the id of its request (`X-Request-Id`), problems their body, and every
//! command a line in the audit log: who asked for what, and how it was answered.

use std::sync::Arc;

use axum::extract::Request;
use axum::extract::State;
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderName;
use http::HeaderValue;

use crate::admin::backend::Actor;
use crate::admin::refusal;

/// Makes the id of a request (`req_...`); the daemon gives it, because ids need time and chance.
pub type RequestIds = Arc<dyn Fn() -> String + Send + Sync>;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The outermost layer of the router.
pub(crate) async fn layer(State(ids): State<RequestIds>, request: Request, next: Next) -> Response {
    let id = ids();
    let command = (!request.method().is_safe()).then(|| Command::of(&request));
    let mut response = refusal::written(next.run(request).await, &id);
    if let Some(command) = command {
        command.audit(&id, response.status().as_u16());
    }
    if let Ok(value) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// What the audit log says of a request that may change something.
struct Command {
    actor: Option<Actor>,
    /// Method and path; neither the query nor the body, which may hold secrets.
    action: String,
}

impl Command {
    fn of(request: &Request) -> Command {
        Command {
            actor: request.extensions().get::<Actor>().cloned(),
            action: format!("{} {}", request.method(), request.uri().path()),
        }
    }

    fn audit(&self, request_id: &str, status: u16) {
        let actor = self.actor.as_ref().map_or("unknown", |actor| &actor.0);
        tracing::info!(
            target: "postrider::audit",
            event = "audit.command",
            actor,
            action = self.action,
            status,
            request_id,
        );
    }
}
