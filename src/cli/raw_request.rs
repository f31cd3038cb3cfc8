//! A captured HTTP/1.1 request in a file: headers, an empty line, the body.
//!
//! Files come from proxies and people's editors, so that lines may end in LF alone and the request
//! line may be missing; the body is taken byte for byte, because it is what was signed.

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::header;

/// Why a file is no request.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RawRequestError {
    /// No empty line after the headers.
    #[error("no empty line that ends the headers; give headers with --header to check a bare body")]
    NoHead,
    /// A line of the head is neither the request line nor a header.
    #[error("line {line} is no header: expected \"name: value\"")]
    Header {
        /// Counted from one.
        line: usize,
    },
    /// It says to have more body than there is.
    #[error("content-length is {stated}, but the body has {actual} bytes")]
    Short {
        /// What the header says.
        stated: usize,
        /// What is there.
        actual: usize,
    },
    /// The body is written in chunks.
    #[error("the body is in chunked encoding: save it decoded, as the application received it")]
    Chunked,
}

/// One `name: value`, as options and files hold it.
///
/// # Errors
/// If it has no colon, or a name or value that HTTP does not allow.
pub fn header_line(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let fault = || format!("{text:?} is no header: expected \"name: value\"");
    let (name, value) = text.split_once(':').ok_or_else(fault)?;
    let name = name.trim().parse().map_err(|_| fault())?;
    let value = value.trim().parse().map_err(|_| fault())?;
    Ok((name, value))
}

/// The headers and the body of a captured request.
///
/// # Errors
/// [`RawRequestError`]
pub fn parse(file: &[u8]) -> Result<(HeaderMap, &[u8]), RawRequestError> {
    let (head, body) = split_head(file).ok_or(RawRequestError::NoHead)?;
    let head = String::from_utf8_lossy(head);
    let mut headers = HeaderMap::new();
    for (index, line) in head.lines().enumerate() {
        if index == 0 && is_request_line(line) {
            continue;
        }
        let fault = |_| RawRequestError::Header { line: index + 1 };
        let (name, value) = header_line(line).map_err(fault)?;
        headers.append(name, value);
    }
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return Err(RawRequestError::Chunked);
    }
    let stated = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let Some(stated) = stated.and_then(|value| value.parse().ok()) else {
        return Ok((headers, body));
    };
    // what follows the stated length was added by an editor, or is the next request
    let short = RawRequestError::Short { stated, actual: body.len() };
    body.get(..stated).map(|body| (headers, body)).ok_or(short)
}

fn split_head(file: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut from = 0;
    while let Some(length) = file.get(from..)?.iter().position(|byte| *byte == b'\n') {
        let line = file.get(from..from + length)?;
        let next = from + length + 1;
        if line.is_empty() || line == b"\r" {
            return Some((file.get(..from)?, file.get(next..)?));
        }
        from = next;
    }
    None
}

fn is_request_line(line: &str) -> bool {
    line.trim_end().rsplit(' ').next().is_some_and(|version| version.starts_with("HTTP/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_and_body_are_told_apart_whatever_ends_the_lines() {
        for newline in ["\r\n", "\n"] {
            let text = ["POST /hook HTTP/1.1", "Webhook-Id: evt_1", "", "{\n\n}"].join(newline);
            let (headers, body) = parse(text.as_bytes()).unwrap();
            assert_eq!(headers["webhook-id"], "evt_1");
            assert_eq!(body, b"{\n\n}");
        }
        let (headers, body) = parse(b"webhook-id: evt_1\n\n").unwrap();
        assert_eq!((headers.len(), body), (1, b"".as_slice()));
    }

    #[test]
    fn the_stated_length_cuts_what_an_editor_added() {
        let (_, body) = parse(b"content-length: 2\r\n\r\n{}\n").unwrap();
        assert_eq!(body, b"{}");
        let short = RawRequestError::Short { stated: 3, actual: 2 };
        assert_eq!(parse(b"content-length: 3\n\n{}"), Err(short));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        assert_eq!(parse(b"{\"a\": 1}"), Err(RawRequestError::NoHead));
        assert_eq!(parse(b"a: b\nnothing\n\n"), Err(RawRequestError::Header { line: 2 }));
        let chunked = b"transfer-encoding: chunked\n\n2\r\n{}\r\n0\r\n\r\n";
        assert_eq!(parse(chunked), Err(RawRequestError::Chunked));
    }
}
