//! Where events come in: HTTP requests become submissions, and what became of them becomes the
//! answer.
//!
//! A 2xx means that event, idempotency record and deliveries are safe on disk; it leaves after the
//! commit and never before. Everything else is `application/problem+json` with a word for programs
//! and a sentence for people. Nothing here decides: form is checked, limits are held, the
//! [`Desk`] (the hub) answers the rest.
//!
//! | request | becomes |
//! |---|---|
//! | `POST /v1/events/{type}` | one event; the body is the payload, byte for byte |
//! | `POST /v1/events` | one event in a JSON envelope, or CloudEvents (structured, binary, batch) |
//! | `POST /v1/events:batch` | up to `max_batch` envelopes, as NDJSON or a JSON array |
//! | `GET /v1/events/{id}` | what became of an event of one's own |
//!
//! Providers' webhooks come in elsewhere, at the paths of their sources ([`webhook`]).

pub mod answer;
mod attributes;
mod batch;
mod body;
mod cloudevents;
mod desk;
mod envelope;
mod rates;
mod raw;
mod results;
mod said;
mod service;
mod terms;
pub mod webhook;

pub use desk::Desk;
pub use desk::Listener;
pub use desk::Outcome;
pub use desk::Own;
pub use service::Intake;
pub use service::Peer;
pub use webhook::Provider;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::Rate;
use crate::model::TypeGlob;

/// Whether an idempotency key must come with a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idempotency {
    /// Without one it is refused.
    Required,
    /// It may.
    Optional,
    /// It is not looked at.
    Off,
}

/// Limits and habits of the intake.
#[derive(Debug)]
pub struct Settings {
    /// The largest payload, in bytes.
    pub payload_bytes_max: usize,
    /// The most events in one request.
    pub batch_events_max: usize,
    /// The largest batch request, in bytes.
    pub batch_bytes_max: usize,
    /// How fast one source may submit events; `None`: as fast as it can.
    pub rate_max: Option<Rate>,
    /// What sources with names are held to besides, by identity.
    pub sources: HashMap<Arc<str>, SourceTerms>,
    /// The sources whose webhooks come in, by path.
    pub providers: HashMap<String, Provider>,
    /// The most relays that an event may have passed through.
    pub hops_max: u8,
    /// Whether payloads must be JSON.
    pub json_only: bool,
    /// Whether an idempotency key must come with a submission.
    pub idempotency: Idempotency,
    /// How long a request's body may take to arrive.
    pub body_timeout: Duration,
}

/// What a source with a name is held to.
#[derive(Clone, Debug)]
pub struct SourceTerms {
    /// Its name.
    pub name: Arc<str>,
    /// It may submit events of these types.
    pub types: Vec<TypeGlob>,
    /// Its largest payload, in bytes, if that is less than anybody's.
    pub payload_bytes_max: Option<usize>,
    /// How fast it may submit events, in place of what holds for all.
    pub rate: Option<Rate>,
}
