//! Taking away: the body of an event, or all of it.
//!
//! Each is one atomic unit with the mark of how far the sweep has come. Where it needs more page
//! operations than a batch may hold, the head goes (or says that the body is gone) in the first
//! batch, under an [`Intent`] that rides in each: so what is half gone is never taken for an event,
//! and opening finishes it.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::model::DeliveryId;
use crate::model::EndpointNo;
use crate::model::EventId;
use crate::model::Next;
use crate::model::Step;
use crate::store::batches::Batches;
use crate::store::batches::CommitError;
use crate::store::batches::UNIT_OPERATIONS_MAX;
use crate::store::fold::admit::fulfil;
use crate::store::fold::admit::put_intent;
use crate::store::key::Key;
use crate::store::large;
use crate::store::layout;
use crate::store::layout::CHUNK_BYTES_MAX;
use crate::store::layout::EventHead;
use crate::store::layout::Intent;
use crate::store::layout::KeyEntry;
use crate::store::packed::ReadError;

/// Page operations of what comes with a head that goes or changes, at most: its idempotency key,
/// the intent, and the rows that say when to look again.
const EXTRA_OPERATIONS_MAX: usize = 8;

/// The last steps of the deliveries of an event.
pub(super) struct Past {
    /// Of each delivery that has one.
    pub(super) last: BTreeMap<EndpointNo, Step>,
    /// Page operations that it takes to remove all steps, at most.
    operations: usize,
}

/// Reads the steps of an event.
pub(super) fn past(batches: &mut Batches, event: EventId) -> Result<Past, ReadError> {
    let mut found: BTreeMap<EndpointNo, (Key, Bytes)> = BTreeMap::new();
    let mut operations = 0;
    let mut from = first_step(event);
    while let Some((key, raw)) = next_step(batches, event, &from)? {
        operations += 1 + usize::from(large::pieces(&raw));
        from = key.joined(&[0]);
        found.insert(delivery_of(&key)?.endpoint, (key, raw));
    }
    // A dead delivery has an entry, and its lane counts it.
    operations += 2 * found.len();
    let mut last = BTreeMap::new();
    for (endpoint, (key, raw)) in found {
        let raw = large::joined_by_writer(&mut batches.packed, &key, raw)?;
        last.insert(endpoint, layout::decode(&key, &raw)?);
    }
    Ok(Past { last, operations })
}

/// Takes the body of an event away. `marked` stages what rides with it.
pub(super) fn drop_payload(
    batches: &mut Batches,
    event: EventId,
    head: &EventHead,
    marked: impl FnOnce(&mut Batches) -> Result<(), ReadError>,
) -> Result<(), CommitError> {
    debug_assert!(head.payload_gone.is_some(), "the head says that the body is gone");
    let raw = layout::encode(head);
    let first = 2 * large::operations_max(raw.len()) + EXTRA_OPERATIONS_MAX;
    let whole = first + chunks(head) <= UNIT_OPERATIONS_MAX;
    batches.room(if whole { first + chunks(head) } else { first })?;
    large::replace(&mut batches.packed, &layout::EVENTS, layout::event_key(event), raw)?;
    let kept = &mut batches.tally_mut().kept;
    kept.payload_bytes = kept.payload_bytes.saturating_sub(head.body_bytes);
    marked(batches)?;
    if whole {
        return take_body(batches, event);
    }
    put_intent(batches, Intent::Body { event })?;
    take_body(batches, event)?;
    fulfil(batches)
}

/// Takes an event away. `marked` stages what rides with it. Says whether its idempotency key went
/// with it.
pub(super) fn drop_event(
    batches: &mut Batches,
    event: EventId,
    head: &EventHead,
    past: &Past,
    marked: impl FnOnce(&mut Batches) -> Result<(), ReadError>,
) -> Result<bool, CommitError> {
    let first = large::operations_max(layout::encode(head).len()) + EXTRA_OPERATIONS_MAX;
    let all = first + past.operations + chunks(head);
    let whole = all <= UNIT_OPERATIONS_MAX;
    batches.room(if whole { all } else { first })?;
    large::remove(&mut batches.packed, &layout::EVENTS, &layout::event_key(event))?;
    let keyed = take_key(batches, event, head)?;
    let bytes = if head.payload_gone.is_some() { 0 } else { head.body_bytes };
    let kept = &mut batches.tally_mut().kept;
    kept.events = kept.events.saturating_sub(1);
    kept.payload_bytes = kept.payload_bytes.saturating_sub(bytes);
    marked(batches)?;
    if whole {
        take_rest(batches, event)?;
        return Ok(keyed);
    }
    put_intent(batches, Intent::Rest { event })?;
    take_rest(batches, event)?;
    fulfil(batches)?;
    Ok(keyed)
}

/// Takes the idempotency key of an event away, if it still is its own. Says whether it was.
pub(super) fn take_key(
    batches: &mut Batches,
    event: EventId,
    head: &EventHead,
) -> Result<bool, ReadError> {
    let Some(hash) = head.key_hash else { return Ok(false) };
    let at = layout::idempotency_key(hash);
    let Some(raw) = batches.packed.get(&layout::IDEMPOTENCY, &at)? else { return Ok(false) };
    let own = layout::decode::<KeyEntry>(&at, &raw)?.event == event;
    if own {
        batches.packed.remove(&layout::IDEMPOTENCY, &at)?;
    }
    Ok(own)
}

/// Takes away what is left of a body, in as many batches as it takes. A unit that has its room
/// already makes none.
pub(super) fn take_body(batches: &mut Batches, event: EventId) -> Result<(), CommitError> {
    let from = layout::body_key(event, 0);
    while let Some((key, _)) = batches.packed.first_from(&layout::BODIES, &from)? {
        if key > layout::body_key(event, u16::MAX) {
            break;
        }
        batches.room(1)?;
        batches.packed.remove(&layout::BODIES, &key)?;
    }
    Ok(())
}

/// Takes away what is left of an event without a head: steps, dead entries and body.
pub(super) fn take_rest(batches: &mut Batches, event: EventId) -> Result<(), CommitError> {
    let first = first_step(event);
    while let Some((key, raw)) = next_step(batches, event, &first)? {
        let operations = 1 + usize::from(large::pieces(&raw));
        let raw = large::joined_by_writer(&mut batches.packed, &key, raw)?;
        let step: Step = layout::decode(&key, &raw)?;
        let dead = matches!(step.next, Next::Dead { .. });
        batches.room(operations + if dead { 2 } else { 0 })?;
        if dead {
            take_dead(batches, delivery_of(&key)?, &step)?;
        }
        large::remove(&mut batches.packed, &layout::STEPS, &key)?;
    }
    take_body(batches, event)
}

/// Takes the entry of a dead delivery away, if this was its last step.
fn take_dead(batches: &mut Batches, delivery: DeliveryId, step: &Step) -> Result<(), ReadError> {
    let key = layout::dead_key(delivery.endpoint, step.at, delivery.event);
    if batches.packed.remove(&layout::DEAD, &key)?.is_some() {
        batches.count(delivery.endpoint, |lane| lane.dead = lane.dead.saturating_sub(1));
    }
    Ok(())
}

/// Chunks of a body that are kept.
fn chunks(head: &EventHead) -> usize {
    let bytes = if head.payload_gone.is_some() { 0 } else { head.body_bytes };
    usize::try_from(bytes).unwrap_or(usize::MAX).div_ceil(CHUNK_BYTES_MAX)
}

fn first_step(event: EventId) -> Key {
    layout::step_key(DeliveryId::new(event, EndpointNo(0)), 0)
}

/// The first step from `from` on, if it is one of this event.
fn next_step(
    batches: &mut Batches,
    event: EventId,
    from: &Key,
) -> Result<Option<(Key, Bytes)>, ReadError> {
    let last = layout::step_key(DeliveryId::new(event, EndpointNo(u32::MAX)), u16::MAX);
    let found = batches.packed.first_from(&layout::STEPS, from)?;
    Ok(found.filter(|(key, _)| *key <= last))
}

fn delivery_of(key: &Key) -> Result<DeliveryId, ReadError> {
    layout::step_of(key).ok_or_else(|| layout::bad_key(key))
}

#[cfg(test)]
mod tests;
