//! Why a request is refused: a closed set of words, each with its status and title, and the answer
//! that is made of one (`application/problem+json`, RFC 9457). The API's two sides, submission and
//! management, make their refusals here, so that one word always means one thing.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::model::id::EventId;
use crate::model::view::Fault;
use crate::model::view::Problem;

/// How long a caller is asked to wait where nobody knows how long that takes.
pub const NOBODY_KNOWS: Duration = Duration::from_secs(60);
/// The media type of a [`Problem`] (RFC 9457, section 3).
pub const PROBLEM_CONTENT_TYPE: &str = "application/problem+json";

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $status:literal, $title:literal;)*) => {
        /// Why a request is refused. Words only ever grow in number; none changes its meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// All of them.
            pub const ALL: &'static [Code] = &[$(Code::$name),*];

            /// Its word, as programs compare it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$name => $word),* }
            }

            /// The HTTP status that it is answered with.
            pub const fn status(self) -> u16 {
                match self { $(Code::$name => $status),* }
            }

            /// The word as a sentence.
            pub const fn title(self) -> &'static str {
                match self { $(Code::$name => $title),* }
            }
        }
    };
}

codes! {
    /// The request line, a header or a parameter cannot be read.
    MalformedRequest = "malformed-request", 400, "The request cannot be read";
    /// The body is not JSON.
    MalformedJson = "malformed-json", 400, "The body is not valid JSON";
    /// The cursor is not one of ours, or was made for other filters.
    BadCursor = "bad-cursor", 400, "The cursor does not fit this list";
    /// An idempotency key is required here.
    IdempotencyKeyMissing = "idempotency-key-missing", 400, "An idempotency key is required";
    /// Nobody says who is calling.
    Unauthenticated = "unauthenticated", 401, "The caller is not known";
    /// The caller may not do this.
    Forbidden = "forbidden", 403, "The caller may not do this";
    /// The caller may not submit this event type.
    TypeNotAllowed = "type-not-allowed", 403, "The caller may not submit this event type";
    /// There is no such thing.
    NotFound = "not-found", 404, "There is no such thing";
    /// The path exists, but not with this method.
    MethodNotAllowed = "method-not-allowed", 405, "The method does not fit this path";
    /// The request did not arrive in time.
    RequestTimeout = "request-timeout", 408, "The request did not arrive in time";
    /// The first request with this idempotency key is still under way.
    IdempotencyInProgress = "idempotency-in-progress", 409,
        "The first request with this idempotency key is still under way";
    /// The state of the thing does not allow it.
    WrongState = "wrong-state", 409, "The state does not allow this";
    /// Several things begin with this prefix.
    Ambiguous = "ambiguous", 409, "Several things match";
    /// The name belongs to another thing.
    NameTaken = "name-taken", 409, "The name is taken";
    /// It is defined in the configuration file and changed there.
    ManagedByConfig = "managed-by-config", 409, "This is managed in the configuration file";
    /// The event is still known, its payload is no longer kept.
    PayloadExpired = "payload-expired", 410, "The payload is no longer kept";
    /// The thing has changed since it was read.
    EtagMismatch = "etag-mismatch", 412, "The thing has changed in the meantime";
    /// The body, or one item of it, is too large.
    PayloadTooLarge = "payload-too-large", 413, "The payload is too large";
    /// The content type is not accepted here.
    UnsupportedMediaType = "unsupported-media-type", 415, "The content type is not accepted here";
    /// The request is readable, but its content is not valid; `errors` says where.
    Validation = "validation", 422, "The request is not valid";
    /// The idempotency key belongs to another payload.
    IdempotencyKeyReused = "idempotency-key-reused", 422,
        "The idempotency key was used for another request";
    /// The URL leads to an address that must not be called.
    BlockedAddress = "blocked-address", 422, "The address must not be called";
    /// No endpoint takes this event, and that is configured to be an error.
    NoEndpointMatches = "no-endpoint-matches", 422, "No endpoint takes this event";
    /// The caller is over its rate.
    RateLimited = "rate-limited", 429, "Too many requests";
    /// The event has passed through too many relays.
    LoopDetected = "loop-detected", 508, "The event goes round in a circle";
    /// postrider's own fault.
    Internal = "internal", 500, "Internal error";
    /// More events wait than are allowed to.
    QueueFull = "queue-full", 503, "Too many events are waiting";
    /// Too little room is left on the store's disk.
    DiskLow = "disk-low", 503, "The disk is nearly full";
    /// The store has reached its size limit.
    StoreFull = "store-full", 503, "The store is full";
    /// The daemon is about to stop.
    Draining = "draining", 503, "The daemon takes no more events";
    /// The daemon is not ready yet.
    Starting = "starting", 503, "The daemon is starting";
}

impl Code {
    /// Whether the same request (with the same idempotency key) may succeed later.
    pub const fn retryable(self) -> bool {
        matches!(self, Code::RequestTimeout | Code::IdempotencyInProgress | Code::RateLimited)
            || self.status() >= 500 && !matches!(self, Code::LoopDetected)
    }

    /// What the answer's `Retry-After` says, unless the caller knows better.
    pub const fn retry_after(self) -> Option<Duration> {
        match self {
            Code::IdempotencyInProgress | Code::RateLimited | Code::Starting => {
                Some(Duration::from_secs(1))
            }
            Code::Draining => Some(Duration::from_secs(5)),
            // nobody knows when a person will make room
            Code::QueueFull | Code::DiskLow | Code::StoreFull => Some(NOBODY_KNOWS),
            _ => None,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a text is no [`Code`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not one of the API's problem codes")]
pub struct CodeError;

impl FromStr for Code {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Code, CodeError> {
        Code::ALL.iter().copied().find(|code| code.as_str() == text).ok_or(CodeError)
    }
}

impl Problem {
    /// A refusal: `detail` says what is wrong here and what to do about it.
    pub fn new(code: Code, detail: impl Into<String>) -> Problem {
        Problem {
            problem_type: format!("urn:postrider:problem:{code}"),
            title: code.title().to_owned(),
            status: code.status(),
            code: code.as_str().to_owned(),
            detail: detail.into(),
            retryable: code.retryable(),
            ..Problem::default()
        }
    }

    /// A request with these faults, of which there must be one at least.
    pub fn invalid(faults: Vec<Fault>) -> Problem {
        let detail = match faults.as_slice() {
            [only] if only.pointer.is_empty() => only.detail.clone(),
            [only] => format!("{}: {}", only.pointer, only.detail),
            several => format!("{} fields are not valid", several.len()),
        };
        Problem { errors: faults, ..Problem::new(Code::Validation, detail) }
    }

    /// The same, with the event that the idempotency key belongs to.
    #[must_use]
    pub fn of_event(self, event: EventId) -> Problem {
        Problem { event_id: Some(event), ..self }
    }

    /// The same, with the id of the request.
    #[must_use]
    pub fn of_request(self, request_id: impl Into<String>) -> Problem {
        Problem { instance: Some(request_id.into()), ..self }
    }

    /// Which of the closed set it is; `None` if a newer daemon made it.
    pub fn known_code(&self) -> Option<Code> {
        self.code.parse().ok()
    }
}

impl Fault {
    /// A fault at `pointer` (a JSON pointer, or the name of a query parameter after `?`).
    pub fn new(
        pointer: impl Into<String>,
        code: impl Into<String>,
        detail: impl Into<String>,
    ) -> Fault {
        Fault { pointer: pointer.into(), code: code.into(), detail: detail.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_one_word_each_and_an_error_status() {
        let mut words: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!((400..=599).contains(&code.status()), "{code}");
            assert_eq!(code.as_str().parse(), Ok(*code));
            let legal = |c: char| c.is_ascii_lowercase() || c == '-';
            assert!(code.as_str().chars().all(legal), "{code}");
        }
        assert_eq!("teapot".parse::<Code>(), Err(CodeError));
    }

    #[test]
    fn what_is_answered_503_or_429_says_when_to_come_back() {
        for code in Code::ALL.iter().filter(|code| matches!(code.status(), 429 | 503)) {
            assert!(code.retryable() && code.retry_after().is_some(), "{code}");
        }
    }

    #[test]
    fn a_problem_is_what_the_rfc_and_the_api_say() {
        let faults = vec![
            Fault::new("/url", "scheme", "must be https"),
            Fault::new("/types/0", "glob", "has an empty segment"),
        ];
        let problem = Problem::invalid(faults).of_request("req_1");
        let json = serde_json::to_value(&problem).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "type": "urn:postrider:problem:validation", "title": "The request is not valid",
                "status": 422, "code": "validation", "detail": "2 fields are not valid",
                "retryable": false, "instance": "req_1",
                "errors": [
                    {"pointer": "/url", "code": "scheme", "detail": "must be https"},
                    {"pointer": "/types/0", "code": "glob", "detail": "has an empty segment"}],
            })
        );
        assert_eq!(problem.known_code(), Some(Code::Validation));
    }
}
