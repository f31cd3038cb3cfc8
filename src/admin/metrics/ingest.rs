//! Submission: requests, payloads, idempotency keys.

use std::borrow::Cow;
use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::histogram::exponential_buckets;
use prometheus_client::registry::Registry;

use crate::admin::metrics::Metrics;
use crate::admin::metrics::label::CounterSet;
use crate::admin::metrics::label::Counters;
use crate::admin::metrics::label::Histograms;
use crate::admin::metrics::label::short_seconds;
use crate::model::Code;

/// How a submission was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IngestResult {
    /// Admitted and safe.
    Accepted,
    /// It repeated an earlier one.
    Duplicate,
    /// Its idempotency key belongs to another payload, or to a request under way.
    Conflict,
    /// It cannot be read or is not valid.
    Invalid,
    /// Its payload is too large.
    TooLarge,
    /// The caller is over its rate.
    RateLimited,
    /// postrider takes no more now.
    Overloaded,
    /// The caller may not submit, or not this.
    Unauthorized,
    /// postrider's own fault.
    Error,
}

impl IngestResult {
    const WORDS: [&str; 9] = [
        "accepted",
        "duplicate",
        "conflict",
        "invalid",
        "too_large",
        "rate_limited",
        "overloaded",
        "unauthorized",
        "error",
    ];

    /// The result that a refusal stands for.
    pub const fn of(code: Code) -> IngestResult {
        match code {
            Code::IdempotencyInProgress | Code::IdempotencyKeyReused => IngestResult::Conflict,
            _ => match code.status() {
                401 | 403 => IngestResult::Unauthorized,
                413 => IngestResult::TooLarge,
                429 => IngestResult::RateLimited,
                503 => IngestResult::Overloaded,
                500..=599 => IngestResult::Error,
                _ => IngestResult::Invalid,
            },
        }
    }
}

/// What an idempotency key turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Not seen before.
    New,
    /// Seen with the same request: answered as then.
    Replayed,
    /// Seen with another request.
    Conflict,
    /// Its first request is under way.
    InProgress,
}

impl Lookup {
    const WORDS: [&str; 4] = ["new", "replayed", "conflict", "in_progress"];
}

/// The series of one listener.
#[derive(Clone, Debug)]
pub struct ListenerSeries {
    requests: CounterSet,
    duration: Histogram,
    payload: Histogram,
}

impl ListenerSeries {
    /// A submission was answered after `took`; a batch counts once.
    pub fn request_answered(&self, result: IngestResult, took: Duration) {
        self.requests.inc(result as usize);
        self.duration.observe(took.as_secs_f64());
    }

    /// A payload of this many bytes arrived.
    pub fn payload_read(&self, bytes: u32) {
        self.payload.observe(f64::from(bytes));
    }
}

/// The series of all listeners together, and the families of each.
#[derive(Debug)]
pub(super) struct Series {
    requests: Counters<2>,
    duration: Histograms,
    payload: Histogram,
    lookups: CounterSet,
}

impl Series {
    pub(super) fn register(registry: &mut Registry) -> Series {
        let requests = Counters::<2>::default();
        registry.register("ingest_requests", "Submissions by answer", requests.clone());
        let duration: Histograms = Histograms::new_with_constructor(short_seconds);
        let help = "From the request head to the answer";
        registry.register("ingest_request_duration_seconds", help, duration.clone());
        let payload = Histogram::new(exponential_buckets(256.0, 4.0, 8));
        registry.register("ingest_payload_size_bytes", "Payloads by size", payload.clone());
        let lookups = CounterSet::register(
            registry,
            ("idempotency_lookups", "Idempotency keys by what they turned out to be"),
            "result",
            Lookup::WORDS.into_iter(),
        );
        Series { requests, duration, payload, lookups }
    }
}

impl Metrics {
    /// The series of a listener (`ingest`); to be asked for once, when it is bound.
    pub fn listener(&self, name: &'static str) -> ListenerSeries {
        let listener = ("listener", Cow::Borrowed(name));
        let words = IngestResult::WORDS.into_iter();
        ListenerSeries {
            duration: self.ingest.duration.get_or_create_owned(std::array::from_ref(&listener)),
            requests: CounterSet::of_two(&self.ingest.requests, listener, "result", words),
            payload: self.ingest.payload.clone(),
        }
    }

    /// An idempotency key was looked up.
    pub fn key_looked_up(&self, lookup: Lookup) {
        self.ingest.lookups.inc(lookup as usize);
    }
}
