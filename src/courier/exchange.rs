//! Reading a response, so that whatever an endpoint sends costs us no more than was agreed.

use std::net::SocketAddr;

use bytes::BytesMut;
use http::HeaderMap;
use http::Response;
use http::header::CONTENT_TYPE;
use http::header::HeaderName;
use http::header::LOCATION;
use http::header::RETRY_AFTER;
use http_body_util::BodyExt;
use hyper::body::Body;
use hyper::body::Incoming;

use crate::courier::failure::Failure;
use crate::courier::failure::Phase;
use crate::courier::settings::Limits;
use crate::model::Phases;
use crate::model::Time;
use crate::policy::retry_after;

/// The longest value of a response header that is kept, in bytes.
pub const KEPT_VALUE_BYTES_MAX: usize = 200;

/// What is known of an attempt so far. It is filled in as the attempt goes on, so that an attempt
/// that is cut short still tells how far it came.
#[derive(Debug, Default)]
pub struct Trace {
    /// How long each phase took.
    pub phases: Phases,
    /// Whom it called.
    pub remote: Option<SocketAddr>,
    /// The head of the response, once it is there.
    pub head: Option<Head>,
    /// The beginning of the body, as far as it is kept.
    pub captured: BytesMut,
}

/// What is kept of the head of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The status.
    pub status: u16,
    /// When the endpoint asks to be called again.
    pub retry_after: Option<Time>,
    /// The media type, if it named one.
    pub content_type: String,
    /// Where a redirect leads, as it was written.
    pub location: String,
}

/// Whether a connection can carry a further request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// The response was read to its end.
    Reusable,
    /// It was longer than we read.
    Cut,
}

impl Head {
    /// Of a response that came now. A date in it is one of the wall clock, where it is this time;
    /// the time that is kept of it is one of ours.
    pub fn of(response: &Response<Incoming>, now: Time, wall: Time) -> Head {
        let headers = response.headers();
        let asked = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        Head {
            status: response.status().as_u16(),
            retry_after: asked
                .and_then(|value| retry_after::parse(value, wall))
                .map(|at| now + at.since(wall)),
            content_type: kept(headers, &CONTENT_TYPE),
            location: kept(headers, &LOCATION),
        }
    }
}

fn kept(headers: &HeaderMap, name: &HeaderName) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // `to_str` gave visible ASCII only, so that every byte is a character.
    value.chars().take(KEPT_VALUE_BYTES_MAX).collect()
}

/// Reads the body to its end, or as far as the limit, keeping its beginning in `captured`.
///
/// # Errors
/// [`Failure`] if it broke off or is not what it said it was.
pub async fn read_body(
    mut body: Incoming,
    limits: &Limits,
    captured: &mut BytesMut,
) -> Result<After, Failure> {
    let mut read = 0_usize;
    while !body.is_end_stream() {
        let Some(frame) = body.frame().await else { break };
        let frame = frame.map_err(|error| Failure::of(Phase::Exchange, &error))?;
        // Trailers tell nothing that is needed here.
        let data = frame.into_data().unwrap_or_default();
        let room = limits.capture_response.saturating_sub(captured.len());
        captured.extend_from_slice(data.get(..room).unwrap_or(&data));
        read = read.saturating_add(data.len());
        if read > limits.max_response {
            return Ok(After::Cut);
        }
    }
    Ok(After::Reusable)
}
