//! How a refusal becomes an answer. A handler fails with a [`Refusal`]; as a response it carries
//! its problem in the extensions, and [`crate::admin::identify`] writes the body, because only
//! there the id of the request is known.

use axum::response::IntoResponse;
use axum::response::Response;
use http::HeaderValue;
use http::StatusCode;
use http::header;

use crate::admin::backend::BackendError;
use crate::model::Code;
use crate::model::problem::PROBLEM_CONTENT_TYPE;
use crate::model::view::Problem;

/// A problem on its way to the caller.
#[derive(Clone, Debug)]
pub(crate) struct Refusal(Box<Problem>);

impl Refusal {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Refusal {
        Refusal(Box::new(Problem::new(code, detail)))
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Refusal {
        Refusal(Box::new(problem))
    }
}

impl From<BackendError> for Refusal {
    fn from(error: BackendError) -> Refusal {
        let code = match error {
            BackendError::Invalid(faults) => return Problem::invalid(faults).into(),
            BackendError::Unavailable { code, detail } => return Refusal::new(code, detail),
            BackendError::NotFound(_) => Code::NotFound,
            BackendError::PayloadExpired => Code::PayloadExpired,
            BackendError::WrongState(_) | BackendError::ReplayEnded(_) => Code::WrongState,
            BackendError::NameTaken => Code::NameTaken,
            BackendError::ManagedByConfig => Code::ManagedByConfig,
            BackendError::BadPosition => Code::BadCursor,
            BackendError::Internal(_) | BackendError::Unreadable(_) => Code::Internal,
        };
        Refusal::new(code, error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status);
        let mut response = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the problem that a response carries, if it does, into its body.
pub(crate) fn written(mut response: Response, request_id: &str) -> Response {
    let carried = response.extensions_mut().remove::<Refusal>();
    // the only refusals that are not ours are of paths that cannot be decoded
    let alien = || Refusal::new(Code::MalformedRequest, "the path is not valid UTF-8");
    let is_alien = response.status().is_client_error();
    let Some(Refusal(problem)) = carried.or_else(|| is_alien.then(alien)) else {
        return response;
    };
    let retry_after = problem.known_code().and_then(Code::retry_after);
    let problem = problem.of_request(request_id);
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let (mut parts, _empty) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    let content_type = HeaderValue::from_static(PROBLEM_CONTENT_TYPE);
    parts.headers.insert(header::CONTENT_TYPE, content_type);
    if let Some(after) = retry_after {
        parts.headers.insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs()));
    }
    Response::from_parts(parts, body.into())
}
