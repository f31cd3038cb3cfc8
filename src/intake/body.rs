//! Reading a request's body within its limits.

use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use bytes::BytesMut;
use http::HeaderMap;
use http::header;
use http_body_util::BodyExt;
use http_body_util::LengthLimitError;
use http_body_util::Limited;
use hyper::body::Body;

use crate::model::problem::Code;
use crate::model::view::Problem;

/// The body, if it is no longer than `bytes_max`, the limit of `key`, and arrives in time. What
/// says at the start that it is longer is refused before a byte of it is read.
pub(super) async fn read<B>(
    headers: &HeaderMap,
    body: B,
    (bytes_max, key): (usize, &(dyn Display + Sync)),
    timeout: Duration,
) -> Result<Bytes, Problem>
where
    B: Body<Data = Bytes> + Send,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    if headers.get_all(header::CONTENT_ENCODING).iter().any(|value| value != "identity") {
        let detail = "send the payload as it is, without Content-Encoding";
        return Err(Problem::new(Code::UnsupportedMediaType, detail));
    }
    let too_large = || {
        let detail = format!("the body is longer than {bytes_max} bytes, the limit of {key}");
        Problem::new(Code::PayloadTooLarge, detail)
    };
    let announced = body.size_hint().exact();
    if announced.is_some_and(|bytes| bytes > u64::try_from(bytes_max).unwrap_or(u64::MAX)) {
        return Err(too_large());
    }
    match tokio::time::timeout(timeout, gather(Limited::new(body, bytes_max))).await {
        Ok(Ok(whole)) => Ok(whole),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::new(Code::MalformedRequest, "the body ended before its end")),
        Err(_) => Err(Problem::new(Code::RequestTimeout, "the body took too long to arrive")),
    }
}

/// The body in one piece: what comes in many small ones takes no more room than its length.
async fn gather<B: Body<Data = Bytes>>(body: B) -> Result<Bytes, B::Error> {
    let mut body = std::pin::pin!(body);
    let (mut first, mut whole) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if whole.is_empty() && first.is_empty() {
            first = data;
            continue;
        }
        if whole.is_empty() {
            whole.extend_from_slice(&first);
        }
        whole.extend_from_slice(&data);
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}
