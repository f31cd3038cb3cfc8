//! Request bodies of commands: small JSON texts, read within a limit, and with faults that say
//! where they are.

use axum::body::Body;
use axum::response::IntoResponse;
use axum::response::Response;
use bytes::Bytes;
use http::HeaderValue;
use http::StatusCode;
use http::header;
use http_body_util::BodyExt;
use http_body_util::LengthLimitError;
use http_body_util::Limited;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::admin::refusal::Refusal;
use crate::model::Code;
use crate::model::view::Fault;
use crate::model::view::Page;
use crate::model::view::Problem;

/// The body of a command, at most, in bytes. Payloads of events go to the ingest socket.
pub(crate) const COMMAND_BYTES_MAX: usize = 65_536;

/// Reads a JSON body; where there is none, the default.
pub(crate) async fn optional<T: DeserializeOwned + Default>(body: Body) -> Result<T, Refusal> {
    let bytes = read(body).await?;
    if bytes.is_empty() { Ok(T::default()) } else { parse(&bytes) }
}

/// Reads a JSON body.
pub(crate) async fn required<T: DeserializeOwned>(body: Body) -> Result<T, Refusal> {
    parse(&read(body).await?)
}

async fn read(body: Body) -> Result<Bytes, Refusal> {
    match Limited::new(body, COMMAND_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let detail = format!("a command has at most {COMMAND_BYTES_MAX} bytes");
            Err(Refusal::new(Code::PayloadTooLarge, detail))
        }
        Err(_) => Err(Refusal::new(Code::MalformedRequest, "the body ended early")),
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(bytes).map_err(|error| {
        // serde_json appends the position; a fault has its own place for that
        if error.is_data() {
            let place = format!("line {}, column {}", error.line(), error.column());
            let text = error.to_string();
            let detail = text.split(" at line ").next().unwrap_or_default();
            Problem::invalid(vec![Fault::new("", "value", format!("{detail} ({place})"))]).into()
        } else {
            Refusal::new(Code::MalformedJson, error.to_string())
        }
    })
}

/// The answer that a list is which always fits one page.
pub(super) fn list<T: Serialize>(data: Vec<T>) -> Response {
    json(StatusCode::OK, &Page { data, next_cursor: None })
}

/// A JSON answer.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => {
            let content_type = HeaderValue::from_static("application/json");
            (status, [(header::CONTENT_TYPE, content_type)], bytes).into_response()
        }
        Err(error) => Refusal::new(Code::Internal, error.to_string()).into_response(),
    }
}
