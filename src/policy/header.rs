//! Which headers an endpoint may be sent besides ours.

/// The most headers an endpoint may add.
pub const HEADERS_MAX: usize = 32;
/// The longest value of an added header, in bytes.
pub const HEADER_VALUE_BYTES_MAX: usize = 4096;

/// Names that HTTP itself or postrider sets.
const RESERVED: [&str; 17] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];
/// What the names of our own headers begin with.
const RESERVED_PREFIXES: [&str; 2] = ["webhook-", "postrider-"];

/// Whether a header is not an endpoint's to add: what it says is said by HTTP or by postrider, and
/// a second value would change how the request is read, or whom the receiver believes. Case does
/// not matter.
pub fn is_reserved(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    RESERVED.contains(&name.as_str())
        || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_http_or_postrider_sets_is_reserved_in_any_case() {
        for name in ["Host", "TE", "content-length", "Webhook-Id", "postrider-x", "Accept-Encoding"]
        {
            assert!(is_reserved(name), "{name}");
        }
        for name in ["x-host", "webhook", "authorization", "accept", "x-webhook-id"] {
            assert!(!is_reserved(name), "{name}");
        }
    }
}
