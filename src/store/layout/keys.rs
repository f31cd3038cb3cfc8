//! Keys, made and taken apart.

use crate::model::Class;
use crate::model::DedupeKey;
use crate::model::DeliveryId;
use crate::model::Due;
use crate::model::EndpointNo;
use crate::model::EventId;
use crate::model::Look;
use crate::model::OrderKey;
use crate::model::ReplayId;
use crate::model::Time;
use crate::store::key::Key;
use crate::store::layout::BODIES;
use crate::store::layout::DEAD;
use crate::store::layout::DUE_FRESH;
use crate::store::layout::DUE_TIMED;
use crate::store::layout::ENDPOINTS;
use crate::store::layout::EVENTS;
use crate::store::layout::EXPIRY;
use crate::store::layout::FADES;
use crate::store::layout::FLIGHT;
use crate::store::layout::HOLDS;
use crate::store::layout::IDEMPOTENCY;
use crate::store::layout::LANES;
use crate::store::layout::META;
use crate::store::layout::ORDER;
use crate::store::layout::PIECES;
use crate::store::layout::REPLAYS;
use crate::store::layout::SEEN;
use crate::store::layout::STEPS;
use crate::store::layout::VERSIONS;
use crate::store::packed::ReadError;
use crate::store::packed::Table;

/// Of the format number.
pub fn format_key() -> Key {
    META.key(&[&[1]])
}

/// Of the mark of an orderly end.
pub fn clean_key() -> Key {
    META.key(&[&[2]])
}

/// Of the [`Intent`](crate::store::layout::Intent).
pub fn intent_key() -> Key {
    META.key(&[&[3]])
}

/// Of the [`Tally`](crate::store::layout::Tally).
pub fn tally_key() -> Key {
    META.key(&[&[4]])
}

/// Of the [`Mark`](crate::store::journal::Mark) of the last frame whose changes stand here.
pub fn mark_key() -> Key {
    META.key(&[&[5]])
}

/// Of an [`EventHead`](crate::store::layout::EventHead).
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

/// The delivery that [`step_key`] was made of.
pub fn step_of(key: &Key) -> Option<DeliveryId> {
    let bytes = key.as_slice().get(1..21)?;
    bytes.try_into().ok().map(DeliveryId::from_bytes)
}

/// Of an event that is to be looked at again.
pub fn expiry_key((at, event): Look) -> Key {
    EXPIRY.key(&[&at.as_micros().to_be_bytes(), &event.to_bytes()])
}

/// What [`expiry_key`] was made of.
pub fn expiry_of(key: &Key) -> Option<Look> {
    let rest = key.as_slice().get(1..)?;
    Some((time_at(rest, 0)?, event_at(rest, 8)?))
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

/// Of the delivery of a key that may go, and, with an event, of one that waits behind it.
pub fn order_key(endpoint: EndpointNo, key: OrderKey, behind: Option<EventId>) -> Key {
    let event = behind.unwrap_or(EventId::MIN).to_bytes();
    ORDER.key(&[&endpoint.to_bytes(), &key.0.to_be_bytes(), &event])
}

/// The key and the event that [`order_key`] was made of.
pub fn order_of(key: &Key) -> Option<(OrderKey, Option<EventId>)> {
    let rest = key.as_slice().get(1..)?;
    let order = rest.get(4..12)?.try_into().ok()?;
    let event = event_at(rest, 12)?;
    Some((OrderKey(u64::from_be_bytes(order)), Some(event).filter(|event| *event > EventId::MIN)))
}

/// Of the highest version of a key.
pub fn version_key(endpoint: EndpointNo, key: OrderKey) -> Key {
    VERSIONS.key(&[&endpoint.to_bytes(), &key.0.to_be_bytes()])
}

/// Of the event that has gone out for all of its key.
pub fn seen_key(endpoint: EndpointNo, key: DedupeKey) -> Key {
    SEEN.key(&[&endpoint.to_bytes(), &key.0])
}

/// Of the end of its window.
pub fn fades_key(until: Time, endpoint: EndpointNo, key: DedupeKey) -> Key {
    FADES.key(&[&until.as_micros().to_be_bytes(), &endpoint.to_bytes(), &key.0])
}

/// What [`fades_key`] was made of.
pub fn fades_of(key: &Key) -> Option<(Time, EndpointNo, DedupeKey)> {
    let rest = key.as_slice().get(1..)?;
    let no = u32::from_be_bytes(rest.get(8..12)?.try_into().ok()?);
    let hash = rest.get(12..)?.try_into().ok()?;
    Some((time_at(rest, 0)?, EndpointNo(no), DedupeKey(hash)))
}

/// Of a replay.
pub fn replay_key(replay: ReplayId) -> Key {
    REPLAYS.key(&[&replay.to_bytes()])
}

/// Of a standing hold, by the replay that it came with.
pub fn hold_key(replay: ReplayId) -> Key {
    HOLDS.key(&[&replay.to_bytes()])
}

/// Of a piece of a value that is too long for its own entry.
pub fn piece_key(whole: &Key, piece: u16) -> Key {
    PIECES.key(&[whole.as_slice(), &piece.to_be_bytes()])
}

/// A key that is not as its table's keys are.
pub fn bad_key(key: &Key) -> ReadError {
    ReadError::Entry { key: *key, fault: "its key is not of this table's form" }
}

fn event_at(bytes: &[u8], at: usize) -> Option<EventId> {
    let bytes = bytes.get(at..at + 16)?.try_into().ok()?;
    Some(EventId::from_bytes(bytes))
}

fn time_at(bytes: &[u8], at: usize) -> Option<Time> {
    let bytes = bytes.get(at..at + 8)?.try_into().ok()?;
    Some(Time::from_micros(u64::from_be_bytes(bytes)))
}
