//! Gives every answer the id of its request (`X-Request-Id`), and problems their body.

use std::sync::Arc;

use axum::extract::Request;
use axum::extract::State;
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderName;
use http::HeaderValue;

use crate::admin::refusal;

/// Makes the id of a request (`req_...`); the daemon gives it, because ids need time and chance.
pub type RequestIds = Arc<dyn Fn() -> String + Send + Sync>;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The outermost layer of the router.
pub(crate) async fn layer(State(ids): State<RequestIds>, request: Request, next: Next) -> Response {
    let id = ids();
    let mut response = refusal::written(next.run(request).await, &id);
    if let Ok(value) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}
