//! One try of a delivery, what came back, and what follows from it.

use bytes::Bytes;
use serde::Deserialize;
use serde::Serialize;

use crate::model::id::EventId;
use crate::model::time::Time;

macro_rules! outcomes {
    ($($(#[$doc:meta])* $name:ident = $text:literal),* $(,)?) => {
        /// What came back from one attempt: a closed set, at most 40, the same words in the API,
        /// the CLI, metrics and logs. On disk it is its place in this list: append only.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(rename_all = "snake_case")]
        pub enum Outcome {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl Outcome {
            /// All of them, in stored order.
            pub const ALL: &'static [Outcome] = &[$(Outcome::$name),*];

            /// Its word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Outcome::$name => $text),* }
            }
        }
    };
}

outcomes! {
    /// A status from 200 to 299.
    Ok = "ok",
    /// A redirect; never followed.
    Http3xx = "http_3xx",
    /// The endpoint refuses this event.
    Http4xx = "http_4xx",
    /// 408 Request Timeout.
    Http408 = "http_408",
    /// 410 Gone: the endpoint is retired.
    Http410 = "http_410",
    /// 429 Too Many Requests.
    Http429 = "http_429",
    /// The endpoint failed.
    Http5xx = "http_5xx",
    /// No answer from the name service in time.
    TimeoutDns = "timeout_dns",
    /// No connection in time.
    TimeoutConnect = "timeout_connect",
    /// No TLS session in time.
    TimeoutTls = "timeout_tls",
    /// No response head in time.
    TimeoutResponse = "timeout_response",
    /// The whole exchange took too long.
    TimeoutTotal = "timeout_total",
    /// The name does not resolve.
    DnsError = "dns_error",
    /// Too many names are being resolved at once.
    DnsOverloaded = "dns_overloaded",
    /// Nobody listens there.
    ConnectRefused = "connect_refused",
    /// Any other failure to connect.
    ConnectError = "connect_error",
    /// The TLS handshake failed.
    TlsError = "tls_error",
    /// No cipher suite or protocol version in common.
    TlsNoCommonCipher = "tls_no_common_cipher",
    /// The endpoint's certificate is not trusted, expired, or another name's.
    TlsBadCertificate = "tls_bad_certificate",
    /// The connection was closed or reset before the answer was complete.
    ConnectionReset = "connection_reset",
    /// What came back is not HTTP.
    ProtocolError = "protocol_error",
    /// The address is one that must not be called.
    BlockedAddress = "blocked_address",
    /// The payload could not be shaped.
    TemplateError = "template_error",
    /// Cancelled while under way.
    Cancelled = "cancelled",
    /// postrider's own fault.
    Internal = "internal",
    /// The process ended while the attempt was under way; what became of it is unknown.
    Interrupted = "interrupted",
    /// A plugin asked to be run again.
    ExitTemporary = "exit_temporary",
    /// A plugin failed for good.
    ExitPermanent = "exit_permanent",
    /// A pipe's consumer gave it back.
    Nack = "nack",
}

impl Outcome {
    /// The outcome that a response status stands for.
    pub const fn of_status(status: u16) -> Outcome {
        match status {
            200..=299 => Outcome::Ok,
            300..=399 => Outcome::Http3xx,
            408 => Outcome::Http408,
            410 => Outcome::Http410,
            429 => Outcome::Http429,
            400..=499 => Outcome::Http4xx,
            500..=599 => Outcome::Http5xx,
            _ => Outcome::ProtocolError,
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How long each phase of an attempt took, in microseconds; 0 where there was none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phases {
    /// Resolving the name.
    pub dns_us: u32,
    /// TCP connection.
    pub connect_us: u32,
    /// TLS handshake.
    pub tls_us: u32,
    /// From the request being sent to the response head.
    pub wait_us: u32,
    /// Everything.
    pub total_us: u32,
}

/// The beginning of a response, kept for people to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excerpt {
    /// Its media type, if it named one.
    pub content_type: String,
    /// At most `delivery.capture_response` bytes; as JSON the text that it is, with U+FFFD for
    /// what is not UTF-8.
    #[serde(with = "body_text")]
    pub body: Bytes,
}

/// The body of an excerpt: bytes on disk, text for people.
mod body_text {
    use bytes::Bytes;
    use serde::Deserialize;
    use serde::Deserializer;
    use serde::Serialize;
    use serde::Serializer;

    pub(super) fn serialize<S: Serializer>(body: &Bytes, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() {
            to.serialize_str(&String::from_utf8_lossy(body))
        } else {
            body.serialize(to)
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
        if from.is_human_readable() {
            String::deserialize(from).map(Bytes::from)
        } else {
            Bytes::deserialize(from)
        }
    }
}

/// One try of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// What came back.
    pub outcome: Outcome,
    /// The HTTP status, if there was a response.
    pub status: Option<u16>,
    /// The address and port that was called, if a connection was made.
    pub remote: Option<String>,
    /// How long it took.
    pub phases: Phases,
    /// When the endpoint asked not to be called before, already as a time.
    pub retry_after: Option<Time>,
    /// A sentence for people where the outcome alone does not say enough.
    pub detail: Option<String>,
    /// The beginning of the response, where it was not a success.
    pub response: Option<Excerpt>,
}

impl Attempt {
    /// An attempt that ended without a response.
    pub fn without_response(outcome: Outcome) -> Attempt {
        Attempt {
            outcome,
            status: None,
            remote: None,
            phases: Phases::default(),
            retry_after: None,
            detail: None,
            response: None,
        }
    }
}

/// Why a delivery waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitReason {
    /// The next step of its retry plan.
    Schedule,
    /// The endpoint said `Retry-After`, and that is later than the plan.
    RetryAfter,
    /// A person asked for it to be sent again.
    Requested,
    /// The submitter asked for a later delivery.
    Delayed,
    /// It was about to be dialled when its endpoint was held back, or postrider stopped.
    Held,
    /// The process died during its attempt: again, as soon as may be.
    Interrupted,
    /// It was tried while the breaker of its endpoint was open. That is no step of its retry plan.
    Breaker,
    /// A person or a standing hold has put it aside; it is due at [`Time::MAX`], which is never.
    OnHold,
    /// A person has let it go again, and its retry plan goes on.
    Released,
    /// The clock was set back and postrider started again: as long as was left of its wait.
    ClockSetBack,
}

impl WaitReason {
    /// All of them, in stored order.
    pub const ALL: &'static [WaitReason] = &[
        WaitReason::Schedule,
        WaitReason::RetryAfter,
        WaitReason::Requested,
        WaitReason::Delayed,
        WaitReason::Held,
        WaitReason::Interrupted,
        WaitReason::Breaker,
        WaitReason::OnHold,
        WaitReason::Released,
        WaitReason::ClockSetBack,
    ];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            WaitReason::Schedule => "schedule",
            WaitReason::RetryAfter => "retry_after",
            WaitReason::Requested => "requested",
            WaitReason::Delayed => "delayed",
            WaitReason::Held => "held",
            WaitReason::Interrupted => "interrupted",
            WaitReason::Breaker => "breaker",
            WaitReason::OnHold => "on_hold",
            WaitReason::Released => "released",
            WaitReason::ClockSetBack => "clock_set_back",
        }
    }
}

/// Why a delivery is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadReason {
    /// The retry plan ended without success.
    Exhausted,
    /// It was older than the endpoint allows.
    Expired,
    /// The endpoint's answer ends the delivery at once.
    Refused,
    /// The process died during its attempts too often.
    Poisoned,
    /// Its endpoint was removed.
    EndpointRemoved,
    /// Its event or payload could not be read.
    Unreadable,
    /// A later version of what it tells was admitted before it.
    Stale,
    /// It failed while later events of its ordering key had waited for too long.
    Deadline,
    /// It failed, and its endpoint lets later events of its ordering key go on then.
    Skipped,
}

impl DeadReason {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            DeadReason::Exhausted => "exhausted",
            DeadReason::Expired => "expired",
            DeadReason::Refused => "refused",
            DeadReason::Poisoned => "poisoned",
            DeadReason::EndpointRemoved => "endpoint_removed",
            DeadReason::Unreadable => "unreadable",
            DeadReason::Stale => "stale",
            DeadReason::Deadline => "deadline",
            DeadReason::Skipped => "skipped",
        }
    }
}

/// What follows from a step: the state of the delivery until the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// It is done.
    Delivered,
    /// It will be tried at this time.
    Wait {
        /// Not before.
        due: Time,
        /// Why then.
        why: WaitReason,
    },
    /// It will not be tried again unless someone asks.
    Dead {
        /// Why.
        reason: DeadReason,
    },
    /// A person ended it, or it is a duplicate.
    Cancelled,
}

impl Next {
    /// Whether it waits until a person lets it go.
    pub const fn is_on_hold(self) -> bool {
        matches!(self, Next::Wait { why: WaitReason::OnHold, .. })
    }

    /// Whether a person has let it go.
    pub const fn is_released(self) -> bool {
        matches!(self, Next::Wait { why: WaitReason::Released, .. })
    }
}

/// What happened in a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// It was tried.
    Attempt(Attempt),
    /// A person changed its course.
    Command {
        /// Who: `uid:0`, a token's name.
        actor: String,
    },
    /// postrider itself changed its course without an attempt (expired, endpoint removed, a
    /// standing hold, the clock set back).
    Rule,
    /// It was left out on arrival: its endpoint wants one of its key in a window, and has got
    /// another one.
    Duplicate {
        /// The event that goes out in its place.
        of: EventId,
    },
}

/// An entry in the log of a delivery. The last one is its state; none yet means that it is fresh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When it began.
    pub at: Time,
    /// What happened.
    pub kind: StepKind,
    /// What follows.
    pub next: Next,
}

impl Step {
    /// A standing hold puts a delivery aside as it comes in.
    pub fn held_on_arrival(at: Time) -> Step {
        let next = Next::Wait { due: Time::MAX, why: WaitReason::OnHold };
        Step { at, kind: StepKind::Rule, next }
    }
}

#[cfg(test)]
mod tests;
