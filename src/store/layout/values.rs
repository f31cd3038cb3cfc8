//! Values: what is written besides the nouns of the model, and how.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::Attributes;
use crate::model::DeadReason;
use crate::model::Dedupe;
use crate::model::Due;
use crate::model::EndpointNo;
use crate::model::Event;
use crate::model::EventId;
use crate::model::EventType;
use crate::model::Horizons;
use crate::model::Kept;
use crate::model::Order;
use crate::model::OrderKey;
use crate::model::Progress;
use crate::model::Time;
use crate::store::key::Key;
use crate::store::packed::ReadError;

const VERSION: u8 = 1;

/// An event without its body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventHead {
    /// The name of what happened.
    pub event_type: EventType,
    /// When it was admitted.
    pub accepted_at: Time,
    /// The stable identity of who submitted it.
    pub source: String,
    /// The media type of the body.
    pub content_type: String,
    /// The length of the body in bytes.
    pub body_bytes: u64,
    /// The endpoints that it goes to, in ascending order.
    pub targets: Vec<EndpointNo>,
    /// Those of them that get it in the order of a key.
    pub orders: Vec<Order>,
    /// Those of them that leave it out if it is a duplicate.
    pub dedupes: Vec<Dedupe>,
    /// Those of them at which a standing hold puts it aside.
    pub held: Vec<EndpointNo>,
    /// The hash of its idempotency key, so that the key can be forgotten with it.
    pub key_hash: Option<[u8; 16]>,
    /// Since when its body is no longer kept.
    pub payload_gone: Option<Time>,
    /// What else the submitter said.
    pub attributes: Attributes,
}

/// An entry of the dead table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadEntry {
    /// Why it was given up.
    pub reason: DeadReason,
    /// Its past.
    pub progress: Progress,
}

/// A delivery that waits behind an earlier one of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behind {
    /// Its past.
    pub progress: Progress,
    /// When it is due, once nothing is before it; [`Time::ZERO`]: at once, as a fresh one.
    pub at: Time,
}

/// An entry of the idempotency table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyEntry {
    /// The event that came with the key.
    pub event: EventId,
    /// What makes a request the same request.
    pub fingerprint: [u8; 16],
}

/// What is kept, and how far the sweeps have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// What is kept.
    pub kept: Kept,
    /// Events from here on still have their idempotency keys.
    pub keys_from: EventId,
    /// Events from here on have not been looked at for their payloads.
    pub payloads_from: EventId,
    /// Events from here on have not been looked at as a whole. Never behind the one above.
    pub events_from: EventId,
    /// How long things were kept when the rows were written that say when to look again.
    pub rows_by: RowsBy,
    /// Whether all rows go, and then the marks for payloads and for whole events begin anew.
    pub anew: bool,
    /// What came of looking ahead of time.
    pub ahead: Ahead,
}

/// What the times of rows depend on, as in [`Horizons`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowsBy {
    /// The payload of an event that has ended, and of which nothing is dead.
    pub delivered_payload: Duration,
    /// The payload of an event of which a delivery is dead.
    pub dead_payload: Duration,
    /// Everything else of an event.
    pub events: Duration,
}

impl RowsBy {
    /// Those of these horizons.
    pub fn of(horizons: &Horizons) -> RowsBy {
        let &Horizons { delivered_payload, dead_payload, events, .. } = horizons;
        RowsBy { delivered_payload, dead_payload, events }
    }

    /// Whether something is kept for less time than by the other.
    pub fn is_shorter_than(&self, other: &RowsBy) -> bool {
        self.delivered_payload < other.delivered_payload
            || self.dead_payload < other.dead_payload
            || self.events < other.events
    }
}

/// Where too much is kept: what came of looking at all that was passed by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ahead {
    /// Events that were looked at.
    pub looked: u64,
    /// Deliveries of such events that have ended since the first look.
    pub ended: u64,
    /// Whether that was all of them, and too much is kept nevertheless.
    pub in_vain: bool,
}

impl Default for Tally {
    fn default() -> Tally {
        let kept = Kept::default();
        let from = EventId::MIN;
        Tally {
            kept,
            keys_from: from,
            payloads_from: from,
            events_from: from,
            rows_by: RowsBy::default(),
            anew: false,
            ahead: Ahead::default(),
        }
    }
}

/// An event too large for one atomic batch that is being written or taken away. Opening finishes or
/// undoes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Intent {
    /// Parts of its body stand; its head does not, or says that it is gone: they are orphans.
    Body {
        /// Which.
        event: EventId,
    },
    /// Its head stands; targets from this place on have no due entry yet unless they fly.
    Targets {
        /// Which.
        event: EventId,
        /// Index into its targets.
        next: u32,
    },
    /// Its head is gone; what is left of it goes too.
    Rest {
        /// Which.
        event: EventId,
    },
}

impl EventHead {
    /// The head of this event.
    pub fn of(event: &Event, key_hash: Option<[u8; 16]>) -> EventHead {
        EventHead {
            event_type: event.event_type.clone(),
            accepted_at: event.accepted_at,
            source: event.source.to_string(),
            content_type: event.content_type.to_string(),
            body_bytes: u64::try_from(event.body.len()).unwrap_or(u64::MAX),
            targets: event.targets.clone(),
            orders: event.orders.clone(),
            dedupes: event.dedupes.clone(),
            held: event.held.clone(),
            key_hash,
            payload_gone: None,
            attributes: (*event.attributes).clone(),
        }
    }

    /// The event with this head and body.
    pub fn with_body(self, id: EventId, body: Bytes) -> Event {
        Event {
            id,
            event_type: self.event_type,
            accepted_at: self.accepted_at,
            source: Arc::from(self.source),
            content_type: Arc::from(self.content_type),
            body,
            attributes: Box::new(self.attributes),
            targets: self.targets,
            orders: self.orders,
            dedupes: self.dedupes,
            held: self.held,
        }
    }

    /// The key that its delivery to this endpoint is ordered by.
    pub fn order_key(&self, endpoint: EndpointNo) -> Option<OrderKey> {
        Order::at(&self.orders, endpoint).map(|order| order.key)
    }

    /// Where a delivery of this event stands before its first step.
    pub fn first_due(&self, id: EventId) -> Due {
        match self.attributes.deliver_at {
            Some(at) => Due::timed(at, id),
            None => Due::fresh(id),
        }
    }
}

/// A value as it is stored: the version byte 1 and postcard.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let encoded = postcard::to_extend(value, vec![VERSION]);
    debug_assert!(encoded.is_ok(), "our own types can be written");
    encoded.unwrap_or_default()
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// [`ReadError::Entry`] if it is not that.
pub fn decode<T: DeserializeOwned>(key: &Key, raw: &[u8]) -> Result<T, ReadError> {
    let fault = |fault| ReadError::Entry { key: *key, fault };
    match raw.split_first() {
        Some((&VERSION, rest)) => {
            postcard::from_bytes(rest).map_err(|_| fault("it is not well formed"))
        }
        Some(_) => Err(fault("its format is not known to this version of postrider")),
        None => Err(fault("it is empty")),
    }
}
