//! Taking away: the body of an event, or all of it.
//!
//! Each is one atomic unit with the mark of how far the sweep has come. Where it needs more page
//! operations than a batch may hold, the head goes (or says that the body is gone) in the first
//! batch, under an [`Intent`] that rides in each: so what is half gone is never taken for an event,
//! and opening finishes it.
//!
//! What is damaged stops nothing: it is noted, and the rest goes. An entry that cannot be read goes
//! by its key; a page that cannot be read goes if nothing else can be in it.

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
use crate::store::fold::clear::Span;
use crate::store::key::Key;
use crate::store::large;
use crate::store::layout;
use crate::store::layout::CHUNK_BYTES_MAX;
use crate::store::layout::EventHead;
use crate::store::layout::Intent;
use crate::store::layout::KeyEntry;
use crate::store::packed::ReadError;
use crate::store::packed::Sight;

/// Page operations of what comes with a head that goes or changes, at most: its idempotency key,
/// the intent, and the rows that say when to look again.
const EXTRA_OPERATIONS_MAX: usize = 8;
/// Page operations of a step that goes, its pieces not counted: a dead delivery has an entry, and
/// its lane counts it.
const STEP_OPERATIONS: usize = 3;

/// The last steps of the deliveries of an event.
pub(super) struct Past {
    /// Of each delivery that has one; nothing where it cannot be read.
    pub(super) last: BTreeMap<EndpointNo, Option<Step>>,
    /// Whether there may be more, in pages that cannot be read.
    pub(super) has_holes: bool,
    /// Page operations that it takes to remove all steps, at most.
    operations: usize,
}

/// Reads the steps of an event.
pub(super) fn past(batches: &mut Batches, event: EventId) -> Result<Past, ReadError> {
    let mut found: BTreeMap<EndpointNo, (Key, Bytes)> = BTreeMap::new();
    let (mut operations, mut has_holes) = (0_usize, false);
    let steps = Span::of(event).steps();
    let mut from = steps.low;
    loop {
        match steps.see(batches, &from)? {
            Sight::Nothing => break,
            Sight::Entry(key, raw) => {
                operations += STEP_OPERATIONS + usize::from(large::pieces(&raw));
                from = key.joined(&[0]);
                if let Some(delivery) = batches.sound(event, delivery_of(&key))? {
                    found.insert(delivery.endpoint, (key, raw));
                }
            }
            Sight::Hole(hole) => {
                has_holes = true;
                from = steps.pass(batches, hole);
            }
        }
    }
    let mut last = BTreeMap::new();
    for (endpoint, (key, raw)) in found {
        let step = read_step(batches, &key, raw);
        last.insert(endpoint, batches.sound(event, step)?);
    }
    Ok(Past { last, has_holes, operations })
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
    let whole = all <= UNIT_OPERATIONS_MAX && !past.has_holes;
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

/// Takes an event away whose head cannot be read, as far as that is possible. `marked` stages what
/// rides with it.
pub(super) fn drop_headless(
    batches: &mut Batches,
    event: EventId,
    marked: impl FnOnce(&mut Batches) -> Result<(), ReadError>,
) -> Result<(), CommitError> {
    let bytes = Span::of(event).bodies().bytes(batches)?;
    batches.room(1 + EXTRA_OPERATIONS_MAX)?;
    let head = batches.packed.remove(&layout::EVENTS, &layout::event_key(event));
    let head = batches.sound(event, head)?.flatten();
    let kept = &mut batches.tally_mut().kept;
    kept.events = kept.events.saturating_sub(u64::from(head.is_some()));
    kept.payload_bytes = kept.payload_bytes.saturating_sub(bytes);
    marked(batches)?;
    put_intent(batches, Intent::Rest { event })?;
    take_rest(batches, event)?;
    fulfil(batches)
}

/// Takes the idempotency key of an event away, if it still is its own, or cannot be read. Says
/// whether it went.
pub(super) fn take_key(
    batches: &mut Batches,
    event: EventId,
    head: &EventHead,
) -> Result<bool, ReadError> {
    let Some(hash) = head.key_hash else { return Ok(false) };
    let at = layout::idempotency_key(hash);
    let raw = batches.packed.get(&layout::IDEMPOTENCY, &at);
    let Some(raw) = batches.sound(event, raw)?.flatten() else { return Ok(false) };
    let entry = batches.sound(event, layout::decode::<KeyEntry>(&at, &raw))?;
    let goes = entry.is_none_or(|entry| entry.event == event);
    if goes {
        batches.packed.remove(&layout::IDEMPOTENCY, &at)?;
    }
    Ok(goes)
}

/// Takes away what is left of a body, in as many batches as it takes. A unit that has its room
/// already makes none.
pub(super) fn take_body(batches: &mut Batches, event: EventId) -> Result<(), CommitError> {
    Span::of(event).bodies().clear(batches)
}

/// Takes a page of heads away that cannot be read, with all that is left of the events that may
/// have been in it. What is cut off is begun again: the page goes last.
pub(super) fn drop_heads(batches: &mut Batches, page: Key, span: Span) -> Result<(), CommitError> {
    let bytes = span.bodies().bytes(batches)?;
    take_span(batches, span)?;
    batches.room(1)?;
    batches.packed.discard(&layout::EVENTS, page)?;
    let kept = &mut batches.tally_mut().kept;
    kept.payload_bytes = kept.payload_bytes.saturating_sub(bytes);
    Ok(())
}

/// Takes away what is left of an event without a head: steps, dead entries and body.
pub(super) fn take_rest(batches: &mut Batches, event: EventId) -> Result<(), CommitError> {
    take_span(batches, Span::of(event))
}

fn take_span(batches: &mut Batches, span: Span) -> Result<(), CommitError> {
    let steps = span.steps();
    let mut from = steps.low;
    loop {
        match steps.see(batches, &from)? {
            Sight::Nothing => break,
            Sight::Entry(key, raw) => {
                take_step(batches, &key, raw)?;
                from = key;
            }
            Sight::Hole(hole) => {
                from = steps.pass(batches, hole);
                steps.drop_hole(batches, hole)?;
            }
        }
    }
    steps.pieces().clear(batches)?;
    span.heads().pieces().clear(batches)?;
    span.bodies().clear(batches)
}

/// Takes a step away, but for its pieces.
fn take_step(batches: &mut Batches, key: &Key, raw: Bytes) -> Result<(), CommitError> {
    batches.room(STEP_OPERATIONS)?;
    if let Ok(delivery) = delivery_of(key) {
        let step = read_step(batches, key, raw);
        let step = batches.sound(delivery.event, step)?;
        if let Some(step) = step.filter(|step| matches!(step.next, Next::Dead { .. })) {
            take_dead(batches, delivery, &step)?;
        }
    }
    batches.packed.remove(&layout::STEPS, key)?;
    Ok(())
}

/// Takes the entry of a dead delivery away, if this was its last step.
fn take_dead(batches: &mut Batches, delivery: DeliveryId, step: &Step) -> Result<(), ReadError> {
    let key = layout::dead_key(delivery.endpoint, step.at, delivery.event);
    let entry = batches.packed.remove(&layout::DEAD, &key);
    if batches.sound(delivery.event, entry)?.flatten().is_some() {
        batches.count(delivery.endpoint, |lane| lane.dead = lane.dead.saturating_sub(1));
    }
    Ok(())
}

fn read_step(batches: &mut Batches, key: &Key, raw: Bytes) -> Result<Step, ReadError> {
    let raw = large::joined_by_writer(&mut batches.packed, key, raw)?;
    layout::decode(key, &raw)
}

/// Chunks of a body that are kept.
fn chunks(head: &EventHead) -> usize {
    let bytes = if head.payload_gone.is_some() { 0 } else { head.body_bytes };
    usize::try_from(bytes).unwrap_or(usize::MAX).div_ceil(CHUNK_BYTES_MAX)
}

fn delivery_of(key: &Key) -> Result<DeliveryId, ReadError> {
    layout::step_of(key).ok_or_else(|| layout::bad_key(key))
}

#[cfg(test)]
mod tests;
