//! Answers: JSON or a problem, always with the request's id.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header;
use http_body_util::Full;
use serde::Serialize;

use crate::engine::Refusal;
use crate::model::EventId;
use crate::model::problem::Code;
use crate::model::problem::PROBLEM_CONTENT_TYPE;
use crate::model::view::Problem;

/// A whole answer.
pub type Answer = Response<Full<Bytes>>;

/// An answer with a JSON body.
pub fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    with_body(status, "application/json", body)
}

/// Why a request is refused, and when it is worth coming back.
#[derive(Debug)]
pub(super) struct Rejection {
    /// What is wrong.
    pub(super) problem: Problem,
    /// How long to wait, where that is known better than the problem's code says.
    pub(super) wait: Option<Duration>,
}

impl From<Problem> for Rejection {
    fn from(problem: Problem) -> Rejection {
        Rejection { problem, wait: None }
    }
}

/// The answer that a refused request gets. `Retry-After` is in whole seconds, and never less than
/// the wait.
pub(super) fn rejection(rejection: &Rejection) -> Answer {
    let problem = &rejection.problem;
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = with_body(status, PROBLEM_CONTENT_TYPE, problem);
    let usual = || problem.known_code().and_then(Code::retry_after);
    if let Some(wait) = rejection.wait.or_else(usual) {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds(wait)));
    }
    answer
}

/// Whole seconds, never less than the span.
fn seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

fn with_body(status: StatusCode, content_type: &'static str, body: &impl Serialize) -> Answer {
    // our own views have string keys only, and nothing in them can fail to be written
    let bytes = serde_json::to_vec(body).unwrap_or_default();
    let mut answer = Response::new(Full::new(Bytes::from(bytes)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// Says which event the answer is about.
pub fn located(mut answer: Answer, event: EventId) -> Answer {
    if let Ok(value) = HeaderValue::try_from(format!("/v1/events/{event}")) {
        answer.headers_mut().insert(header::LOCATION, value);
    }
    answer
}

/// The answer that a refusal is.
pub(super) fn refused(refusal: &Refusal) -> Rejection {
    let wait = match refusal {
        Refusal::QueueFull { wait } => Some(*wait),
        _ => None,
    };
    Rejection { problem: problem(refusal), wait }
}

fn problem(refusal: &Refusal) -> Problem {
    match refusal {
        Refusal::QueueFull { wait } => Problem::new(
            Code::QueueFull,
            format!(
                "as many deliveries are pending as ingest.max_pending allows; try again in {} s",
                seconds(*wait)
            ),
        ),
        Refusal::DiskLow => Problem::new(
            Code::DiskLow,
            "the store's disk has less free space than storage.min_free_disk; deliveries go on",
        ),
        Refusal::Draining => Problem::new(
            Code::Draining,
            "the daemon is drained or about to stop; try again shortly",
        ),
        Refusal::NoEndpointMatches => Problem::new(
            Code::NoEndpointMatches,
            "no endpoint takes events of this type, and ingest.unmatched is \"reject\"",
        ),
        Refusal::UnknownEndpoint(name) => {
            Problem::new(Code::Validation, format!("there is no endpoint named {name:?}"))
        }
        Refusal::TooFarAhead => {
            Problem::new(Code::Validation, "deliver_at is later than ingest.max_delay allows")
        }
        Refusal::TooManyTargets => {
            Problem::new(Code::Validation, "the event would go to more endpoints than one may")
        }
        Refusal::KeyReused(first) => Problem::new(
            Code::IdempotencyKeyReused,
            format!("this idempotency key belongs to {first}, which is not the same request"),
        )
        .of_event(*first),
        Refusal::KeyTwice => Problem::new(
            Code::IdempotencyKeyReused,
            "another event of this batch has the same idempotency key, and is not the same",
        ),
        Refusal::WithOthers => {
            Problem::new(Code::Validation, "not admitted, because another event was refused")
        }
    }
}
