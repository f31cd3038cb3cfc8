//! Headers that an endpoint is sent besides ours.

use figment::value::Dict;
use http::HeaderName;
use http::HeaderValue;

use crate::policy::header::HEADER_VALUE_BYTES_MAX;
use crate::policy::header::is_reserved;

/// Parts of names whose values are secrets.
const SENSITIVE: [&str; 7] = ["auth", "cookie", "key", "password", "secret", "signature", "token"];

/// Why a header cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The name has characters that a name must not have.
    #[error("not a legal header name")]
    Name,
    /// The name is ours to give.
    #[error("this header is set by postrider{0}")]
    Reserved(&'static str),
    /// The value is no text.
    #[error("expected text in quotes")]
    Type,
    /// The value has characters that a value must not have, or is too long.
    #[error("not a legal header value of at most {HEADER_VALUE_BYTES_MAX} bytes")]
    Value,
}

/// Headers that can be sent.
pub type Headers = Vec<(HeaderName, HeaderValue)>;

/// The headers of a table; each that cannot be sent goes to `refuse` with its name.
pub fn headers(table: &Dict, mut refuse: impl FnMut(&str, HeaderError)) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in table {
        match header(name, value.as_str()) {
            Ok(header) => headers.push(header),
            Err(error) => refuse(name, error),
        }
    }
    headers
}

/// Whether a header's value is nobody's business.
pub fn is_sensitive(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SENSITIVE.iter().any(|part| name.contains(part))
}

fn header(name: &str, value: Option<&str>) -> Result<(HeaderName, HeaderValue), HeaderError> {
    let name: HeaderName = name.parse().map_err(|_| HeaderError::Name)?;
    if name == http::header::CONTENT_TYPE {
        return Err(HeaderError::Reserved("; use the key `content_type`"));
    }
    if is_reserved(name.as_str()) {
        return Err(HeaderError::Reserved(""));
    }
    let value = value.ok_or(HeaderError::Type)?;
    let legal = value.len() <= HEADER_VALUE_BYTES_MAX;
    let mut value = HeaderValue::from_str(value).map_err(|_| HeaderError::Value)?;
    // keeps it out of debug output and out of HTTP/2's compression tables
    value.set_sensitive(is_sensitive(name.as_str()));
    if legal { Ok((name, value)) } else { Err(HeaderError::Value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_and_those_of_http_are_refused() {
        for name in ["Host", "webhook-id", "Postrider-Attempt", "Content-Length", "TE"] {
            assert_eq!(header(name, Some("x")), Err(HeaderError::Reserved("")), "{name}");
        }
        assert!(matches!(header("Content-Type", Some("x")), Err(HeaderError::Reserved(_))));
        assert_eq!(header("X Y", Some("x")), Err(HeaderError::Name));
        assert_eq!(header("X-Y", Some("a\nb")), Err(HeaderError::Value));
        assert_eq!(header("X-Y", None), Err(HeaderError::Type));
        assert!(header("X-Tenant", Some("acme")).is_ok());
    }

    #[test]
    fn sensitive_values_stay_out_of_debug_output() {
        let (_, value) = header("Authorization", Some("Bearer canary")).unwrap();
        assert!(!format!("{value:?}").contains("canary"));
    }
}
