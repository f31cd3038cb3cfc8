//! What stands where: the tables, their keys, and how their values are written.
//!
//! Keys are big-endian and in order; a value is a version byte and postcard. Everything here is
//! pure and held by a golden file, because what is on disk outlives every release: a new kind of
//! value gets a new version byte, and the old one is read for ever.
//!
//! | table | key | value |
//! |---|---|---|
//! | meta | a word of one byte | [`FORMAT`], the clean mark, [`Intent`] |
//! | events | event | [`EventHead`] |
//! | bodies | event, chunk (u16) | at most [`CHUNK_BYTES_MAX`] bytes as they were submitted |
//! | due, fresh | endpoint, event | [`Progress`] |
//! | due, timed | endpoint, due time in us (u64), event | [`Progress`] |
//! | flight | event, endpoint | [`Progress`]: deliveries that are being dialled |
//! | steps | event, endpoint, n (u16) | [`Step`] |
//! | dead | endpoint, time of the last step in us (u64), event | reason and [`Progress`] |
//! | idempotency | hash of source and key (16 bytes) | event and fingerprint |
//! | lanes | endpoint | [`LaneCounts`] |
//! | endpoints | endpoint | [`EndpointEntry`] |
//! | pieces | a key of another table, piece (u16) | the rest of a value too long for one entry |

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::Attributes;
use crate::model::Class;
use crate::model::DeadReason;
use crate::model::DeliveryId;
use crate::model::Due;
use crate::model::EndpointNo;
use crate::model::EventId;
use crate::model::EventType;
use crate::model::Progress;
use crate::model::Time;
use crate::store::key::Key;
use crate::store::packed::ReadError;
use crate::store::packed::Table;
use crate::store::page::PAGE_BYTES_MAX;

/// The format of the whole store. A store of a higher one is not opened.
pub const FORMAT: u32 = 1;

/// The longest chunk of a body, in bytes.
pub const CHUNK_BYTES_MAX: usize = 6_500;

/// Pages of tables that are written in order.
const ORDERED_BYTES: usize = 4_096;
/// Pages of tables that are written anywhere: each entry writes its whole page again.
const SCATTERED_BYTES: usize = 2_048;
const REWRITE_BYTES: usize = 2_048;

const fn table(byte: u8, lane_bytes: usize, split_bytes: usize) -> Table {
    assert!(split_bytes <= PAGE_BYTES_MAX, "a page that is not split must be legal");
    Table { byte, lane_bytes, split_bytes, rewrite_bytes: REWRITE_BYTES }
}

/// Facts about the store itself.
pub const META: Table = table(1, 1, SCATTERED_BYTES);
/// Events without their bodies.
pub const EVENTS: Table = table(2, 1, ORDERED_BYTES);
/// Bodies, in chunks.
pub const BODIES: Table = table(3, 1, ORDERED_BYTES);
/// Waiting deliveries that were never tried.
pub const DUE_FRESH: Table = table(4, 5, SCATTERED_BYTES);
/// Deliveries that wait for a time.
pub const DUE_TIMED: Table = table(5, 5, SCATTERED_BYTES);
/// Deliveries that are being dialled.
pub const FLIGHT: Table = table(6, 1, SCATTERED_BYTES);
/// The logs of deliveries.
pub const STEPS: Table = table(7, 1, SCATTERED_BYTES);
/// Dead deliveries.
pub const DEAD: Table = table(8, 5, SCATTERED_BYTES);
/// Idempotency keys.
pub const IDEMPOTENCY: Table = table(9, 1, SCATTERED_BYTES);
/// How much stands in each lane.
pub const LANES: Table = table(10, 1, SCATTERED_BYTES);
/// Endpoints: numbers, names, states.
pub const ENDPOINTS: Table = table(11, 1, SCATTERED_BYTES);
/// What is too long for one entry.
pub const PIECES: Table = table(12, 1, ORDERED_BYTES);
// Numbers from 13 on are for tables to come (keyed lanes, quarantine, sources, tokens, replays).

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
    /// The hash of its idempotency key, so that the key can be forgotten with it.
    pub key_hash: Option<[u8; 16]>,
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

/// An entry of the idempotency table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyEntry {
    /// The event that came with the key.
    pub event: EventId,
    /// What makes a request the same request.
    pub fingerprint: [u8; 16],
}

/// An event too large for one atomic batch that is being written. Opening finishes or undoes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Intent {
    /// Parts of its body stand, its head does not: they are orphans.
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
}

/// Of the format number.
pub fn format_key() -> Key {
    META.key(&[&[1]])
}

/// Of the mark of an orderly end.
pub fn clean_key() -> Key {
    META.key(&[&[2]])
}

/// Of the [`Intent`].
pub fn intent_key() -> Key {
    META.key(&[&[3]])
}

/// Of an [`EventHead`].
pub fn event_key(event: EventId) -> Key {
    EVENTS.key(&[&event.to_bytes()])
}

/// The event that [`event_key`] was made of.
pub fn event_of(key: &Key) -> Option<EventId> {
    event_at(key.as_slice(), 1)
}

/// Of a chunk of a body.
pub fn body_key(event: EventId, chunk: u16) -> Key {
    BODIES.key(&[&event.to_bytes(), &chunk.to_be_bytes()])
}

/// The table that keeps this class.
pub fn due_table(class: Class) -> &'static Table {
    match class {
        Class::Fresh => &DUE_FRESH,
        Class::Timed => &DUE_TIMED,
    }
}

/// Of a waiting delivery.
pub fn due_key(endpoint: EndpointNo, due: Due) -> Key {
    let lane = endpoint.to_bytes();
    match due.class {
        Class::Fresh => DUE_FRESH.key(&[&lane, &due.event.to_bytes()]),
        Class::Timed => {
            let at = due.at.as_micros().to_be_bytes();
            DUE_TIMED.key(&[&lane, &at, &due.event.to_bytes()])
        }
    }
}

/// What [`due_key`] was made of, without the endpoint.
pub fn due_of(key: &Key) -> Option<Due> {
    match key.as_slice().split_first()? {
        (&byte, rest) if byte == DUE_FRESH.byte => Some(Due::fresh(event_at(rest, 4)?)),
        (&byte, rest) if byte == DUE_TIMED.byte => {
            Some(Due::timed(time_at(rest, 4)?, event_at(rest, 12)?))
        }
        _ => None,
    }
}

/// Of a delivery in flight.
pub fn flight_key(delivery: DeliveryId) -> Key {
    FLIGHT.key(&[&delivery.to_bytes()])
}

/// What [`flight_key`] was made of.
pub fn flight_of(key: &Key) -> Option<DeliveryId> {
    let bytes = key.as_slice().get(1..)?;
    bytes.try_into().ok().map(DeliveryId::from_bytes)
}

/// Of a step in a delivery's log.
pub fn step_key(delivery: DeliveryId, n: u16) -> Key {
    STEPS.key(&[&delivery.to_bytes(), &n.to_be_bytes()])
}

/// Of a dead delivery: its endpoint, the time of its last step, its event.
pub fn dead_key(endpoint: EndpointNo, at: Time, event: EventId) -> Key {
    let at = at.as_micros().to_be_bytes();
    DEAD.key(&[&endpoint.to_bytes(), &at, &event.to_bytes()])
}

/// The time and the event that [`dead_key`] was made of.
pub fn dead_of(key: &Key) -> Option<(Time, EventId)> {
    let rest = key.as_slice().get(1..)?;
    Some((time_at(rest, 4)?, event_at(rest, 12)?))
}

/// Of an idempotency key's hash.
pub fn idempotency_key(hash: [u8; 16]) -> Key {
    IDEMPOTENCY.key(&[&hash])
}

/// Of a lane's counts.
pub fn lane_key(endpoint: EndpointNo) -> Key {
    LANES.key(&[&endpoint.to_bytes()])
}

/// The endpoint that [`lane_key`] was made of.
pub fn lane_of(key: &Key) -> Option<EndpointNo> {
    let bytes = key.as_slice().get(1..)?.try_into().ok()?;
    Some(EndpointNo(u32::from_be_bytes(bytes)))
}

/// Of an endpoint's entry.
pub fn endpoint_key(endpoint: EndpointNo) -> Key {
    ENDPOINTS.key(&[&endpoint.to_bytes()])
}

/// Of a piece of a value that is too long for its own entry.
pub fn piece_key(whole: &Key, piece: u16) -> Key {
    PIECES.key(&[whole.as_slice(), &piece.to_be_bytes()])
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

/// A key that is not as its table's keys are.
pub fn bad_key(key: &Key) -> ReadError {
    ReadError::Entry { key: *key, fault: "its key is not of this table's form" }
}

const VERSION: u8 = 1;

fn event_at(bytes: &[u8], at: usize) -> Option<EventId> {
    let bytes = bytes.get(at..at + 16)?.try_into().ok()?;
    Some(EventId::from_bytes(bytes))
}

fn time_at(bytes: &[u8], at: usize) -> Option<Time> {
    let bytes = bytes.get(at..at + 8)?.try_into().ok()?;
    Some(Time::from_micros(u64::from_be_bytes(bytes)))
}

impl EventHead {
    /// The head of this event.
    pub fn of(event: &crate::model::Event, key_hash: Option<[u8; 16]>) -> EventHead {
        EventHead {
            event_type: event.event_type.clone(),
            accepted_at: event.accepted_at,
            source: event.source.to_string(),
            content_type: event.content_type.to_string(),
            body_bytes: u64::try_from(event.body.len()).unwrap_or(u64::MAX),
            targets: event.targets.clone(),
            key_hash,
            attributes: (*event.attributes).clone(),
        }
    }

    /// The event with this head and body.
    pub fn with_body(self, id: EventId, body: bytes::Bytes) -> crate::model::Event {
        crate::model::Event {
            id,
            event_type: self.event_type,
            accepted_at: self.accepted_at,
            source: Arc::from(self.source),
            content_type: Arc::from(self.content_type),
            body,
            attributes: Box::new(self.attributes),
            targets: self.targets,
        }
    }

    /// Where a delivery of this event stands before its first step.
    pub fn first_due(&self, id: EventId) -> Due {
        match self.attributes.deliver_at {
            Some(at) => Due::timed(at, id),
            None => Due::fresh(id),
        }
    }
}
