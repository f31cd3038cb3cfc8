//! How long what has ended is kept.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::model::id::EventId;
use crate::model::time::Time;

/// How long things are kept. All but the keys count from the last step of any delivery of an event
/// that has ended; `events >= dead_payload >= delivered_payload` and `events >= keys`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Horizons {
    /// Idempotency keys, from the admission of their event on.
    pub keys: Duration,
    /// The payload of an event that has ended, and of which nothing is dead.
    pub delivered_payload: Duration,
    /// The payload of an event of which a delivery is dead.
    pub dead_payload: Duration,
    /// Everything else of an event.
    pub events: Duration,
    /// Payload bytes kept in all. Over it, payloads of events that have ended, and of which nothing
    /// is dead, go before their time. `None`: no limit.
    pub payload_bytes_max: Option<u64>,
}

/// Something that is due to be looked at again: when, and which event.
pub type Look = (Time, EventId);

/// A step of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prune {
    /// The time.
    pub now: Time,
    /// How long things are kept.
    pub horizons: Horizons,
    /// Deliveries that are looked at, about (an event without any counts as one).
    pub limit: u16,
    /// How far this sweep has looked ahead of time; `None` at its beginning.
    pub ahead: Option<Look>,
}

/// What a step of a sweep took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Events with all that was left of them.
    pub events: u64,
    /// Payloads, those of these events included.
    pub payloads: u64,
    /// Idempotency keys, those of these events included.
    pub keys: u64,
    /// Entries and pages that cannot be read. Some of them stay for longer than they should.
    pub damaged: u64,
}

/// Something that a sweep could not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// What it belongs to, or is next to.
    pub event: EventId,
    /// What is wrong.
    pub what: String,
}

impl Pruned {
    /// Both together.
    pub fn add(&mut self, other: Pruned) {
        self.events += other.events;
        self.payloads += other.payloads;
        self.keys += other.keys;
        self.damaged += other.damaged;
    }
}

/// What the store keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Events, with or without their payloads.
    pub events: u64,
    /// Bytes of payloads.
    pub payload_bytes: u64,
}
