//! Deliveries in the order of a key.
//!
//! Of each key, one delivery stands in its lane or in flight (or is dead and keeps its place); the
//! others wait behind it, in the order of admission. When it has ended, the first of these goes
//! into the lane, with the same commit. So there is never more than one under way, whatever the
//! process does.

use bytes::Bytes;

use crate::model::DeliveryId;
use crate::model::Due;
use crate::model::EndpointNo;
use crate::model::EventId;
use crate::model::Order;
use crate::model::OrderKey;
use crate::model::Progress;
use crate::model::Step;
use crate::model::Time;
use crate::store::batches::Batches;
use crate::store::batches::CommitError;
use crate::store::fold::log;
use crate::store::fold::put_due;
use crate::store::key::Key;
use crate::store::layout;
use crate::store::layout::Behind;
use crate::store::packed::ReadError;

/// Page operations of ordering one delivery, at most: its version, its place, and what is promoted.
pub(super) const ORDER_OPERATIONS_MAX: usize = 8;

/// Where an ordered delivery of a new event stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seat {
    /// It may go.
    First,
    /// It waits behind another.
    Behind,
    /// It is dead: a later version was admitted before it.
    Stale,
}

/// Finds the place of a delivery of a new event. One that may go is not put into its lane here.
pub(super) fn enter(
    batches: &mut Batches,
    event: EventId,
    order: &Order,
    progress: Progress,
    due: Due,
) -> Result<Seat, CommitError> {
    let (no, key) = (order.endpoint, order.key);
    if let Some(version) = order.version {
        let at = layout::version_key(no, key);
        let highest = match batches.packed.get(&layout::VERSIONS, &at)? {
            Some(raw) => Some(layout::decode::<u64>(&at, &raw)?),
            None => None,
        };
        if highest.is_some_and(|highest| version < highest) {
            return Ok(Seat::Stale);
        }
        let value = Bytes::from(layout::encode(&version));
        batches.packed.insert(&layout::VERSIONS, at, value)?;
    }
    let first = take_place(batches, DeliveryId::new(event, no), key, progress, due.at)?;
    Ok(if first { Seat::First } else { Seat::Behind })
}

/// Gives a delivery the first place, if nobody has it, or a place behind. Says whether it is the
/// first.
pub(super) fn take_place(
    batches: &mut Batches,
    delivery: DeliveryId,
    key: OrderKey,
    progress: Progress,
    at: Time,
) -> Result<bool, ReadError> {
    match first(batches, delivery.endpoint, key)? {
        None => put_first(batches, delivery, key)?,
        Some(first) if first == delivery.event => {}
        Some(_) => {
            put_behind(batches, delivery, key, Behind { progress, at })?;
            return Ok(false);
        }
    }
    Ok(true)
}

/// Takes a delivery from where it waits behind another.
pub(super) fn take_behind(
    batches: &mut Batches,
    delivery: DeliveryId,
    key: OrderKey,
) -> Result<Option<Behind>, ReadError> {
    let at = layout::order_key(delivery.endpoint, key, Some(delivery.event));
    let Some(raw) = batches.packed.remove(&layout::ORDER, &at)? else { return Ok(None) };
    batches.count(delivery.endpoint, |lane| lane.behind = lane.behind.saturating_sub(1));
    layout::decode(&at, &raw).map(Some)
}

/// Puts a delivery behind the first of its key.
pub(super) fn put_behind(
    batches: &mut Batches,
    delivery: DeliveryId,
    key: OrderKey,
    behind: Behind,
) -> Result<(), ReadError> {
    let at = layout::order_key(delivery.endpoint, key, Some(delivery.event));
    batches.packed.insert(&layout::ORDER, at, Bytes::from(layout::encode(&behind)))?;
    batches.count(delivery.endpoint, |lane| lane.behind += 1);
    Ok(())
}

/// A delivery has ended. If it had the first place, what comes after it has it now, and goes into
/// the lane.
pub(super) fn leave(
    batches: &mut Batches,
    delivery: DeliveryId,
    key: OrderKey,
) -> Result<Option<(Due, Progress)>, ReadError> {
    let no = delivery.endpoint;
    if first(batches, no, key)? != Some(delivery.event) {
        return Ok(None);
    }
    let place = layout::order_key(no, key, None);
    let from = place.joined(&[0]);
    let next = batches.packed.first_from(&layout::ORDER, &from)?;
    let next = next.and_then(|(at, _)| match layout::order_of(&at) {
        Some((found, Some(event))) if found == key => Some(DeliveryId::new(event, no)),
        _ => None,
    });
    let Some(next) = next else {
        batches.packed.remove(&layout::ORDER, &place)?;
        return Ok(None);
    };
    let Some(Behind { progress, at }) = take_behind(batches, next, key)? else { return Ok(None) };
    put_first(batches, next, key)?;
    let fresh = at == Time::ZERO;
    let due = if fresh { Due::fresh(next.event) } else { Due::timed(at, next.event) };
    put_due(batches, next, due, progress)?;
    Ok(Some((due, progress)))
}

/// Ends at most `limit` deliveries that wait behind others at an endpoint, and frees all first
/// places on the way. Says how many.
pub(super) fn sweep(
    batches: &mut Batches,
    endpoint: EndpointNo,
    step: &Step,
    limit: usize,
    operations: usize,
) -> Result<u16, CommitError> {
    let lane = layout::ORDER.key(&[&endpoint.to_bytes()]);
    let mut ended = 0;
    while usize::from(ended) < limit {
        batches.room(operations)?;
        let Some((at, raw)) = batches.packed.first_from(&layout::ORDER, &lane)? else { break };
        let (key, event) = layout::order_of(&at).ok_or_else(|| layout::bad_key(&at))?;
        let Some(event) = event else {
            batches.packed.remove(&layout::ORDER, &layout::order_key(endpoint, key, None))?;
            continue;
        };
        let behind: Behind = layout::decode(&at, &raw)?;
        let delivery = DeliveryId::new(event, endpoint);
        take_behind(batches, delivery, key)?;
        log(batches, delivery, behind.progress, step)?;
        ended += 1;
    }
    Ok(ended)
}

/// The event whose delivery has the first place.
pub(super) fn first(
    batches: &mut Batches,
    endpoint: EndpointNo,
    key: OrderKey,
) -> Result<Option<EventId>, ReadError> {
    let at: Key = layout::order_key(endpoint, key, None);
    let Some(raw) = batches.packed.get(&layout::ORDER, &at)? else { return Ok(None) };
    layout::decode(&at, &raw).map(Some)
}

fn put_first(batches: &mut Batches, delivery: DeliveryId, key: OrderKey) -> Result<(), ReadError> {
    let value = Bytes::from(layout::encode(&delivery.event));
    let at = layout::order_key(delivery.endpoint, key, None);
    batches.packed.insert(&layout::ORDER, at, value)
}
