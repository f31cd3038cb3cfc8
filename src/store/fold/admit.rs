//! New events.
//!
//! An event with all its parts is one atomic unit. One that needs more page operations than a
//! batch may hold is written in several, under an [`Intent`] that rides in each of them: first the
//! body, which nobody looks for without the head; then, in one batch, the head, the idempotency
//! key and the deliveries in flight; then the due entries. Whatever is cut off before the head is
//! undone when the store is opened, and after it, done.

use bytes::Bytes;

use crate::model::Admit;
use crate::model::DeadReason;
use crate::model::Dedupe;
use crate::model::DeliveryId;
use crate::model::Due;
use crate::model::EndpointNo;
use crate::model::EventId;
use crate::model::Next;
use crate::model::Order;
use crate::model::Progress;
use crate::model::Receipt;
use crate::model::Step;
use crate::model::StepKind;
use crate::model::Time;
use crate::store::batches::Batches;
use crate::store::batches::CommitError;
use crate::store::batches::LANES_PER_PAGE;
use crate::store::batches::UNIT_OPERATIONS_MAX;
use crate::store::fold::dedupe;
use crate::store::fold::dedupe::DEDUPE_OPERATIONS_MAX;
use crate::store::fold::gone;
use crate::store::fold::log;
use crate::store::fold::order;
use crate::store::fold::order::ORDER_OPERATIONS_MAX;
use crate::store::fold::order::Seat;
use crate::store::fold::put_due;
use crate::store::fold::put_flight;
use crate::store::fold::write_step;
use crate::store::large;
use crate::store::layout;
use crate::store::layout::CHUNK_BYTES_MAX;
use crate::store::layout::EventHead;
use crate::store::layout::Intent;
use crate::store::layout::KeyEntry;
use crate::store::packed::ReadError;

/// Deliveries of one event that stand in one page of the flight table, at least.
const FLIGHTS_PER_PAGE: usize = 50;
/// Page operations of an idempotency key and the intent, at most.
const EXTRA_OPERATIONS_MAX: usize = 6;
/// Page operations of one due entry, at most: its page may split.
const DUE_OPERATIONS_MAX: usize = 2;
/// Page operations that a delivery takes besides if it is ordered, at most: its place, or its end.
const SEAT_OPERATIONS_MAX: usize = ORDER_OPERATIONS_MAX + 4;
/// Page operations of the step of a delivery that is put aside on arrival, at most.
const STEP_OPERATIONS_MAX: usize = 2;

/// Stages a new event, unless its idempotency key is known.
pub(super) fn apply(batches: &mut Batches, admit: &Admit) -> Result<Receipt, CommitError> {
    if let Some(duplicate) = duplicate(batches, admit)? {
        return Ok(duplicate);
    }
    let event = &admit.event;
    debug_assert!(event.targets.is_sorted(), "targets are in order");
    let head = EventHead::of(event, admit.key.map(|key| key.hash));
    let raw = layout::encode(&head);
    let head_operations = large::operations_max(raw.len())
        + EXTRA_OPERATIONS_MAX
        + admit.started.len() / FLIGHTS_PER_PAGE
        + 2;
    let chunks = event.body.len().div_ceil(CHUNK_BYTES_MAX);
    let dues = event.targets.len().saturating_sub(admit.started.len());
    let lanes = event.targets.len() / LANES_PER_PAGE + 1;
    let keyed = event.orders.len() * SEAT_OPERATIONS_MAX
        + event.dedupes.len() * DEDUPE_OPERATIONS_MAX
        + event.held.len() * STEP_OPERATIONS_MAX;
    let all = head_operations + chunks + 2 + dues * DUE_OPERATIONS_MAX + keyed + lanes;
    if all <= UNIT_OPERATIONS_MAX {
        batches.room(all)?;
        put_body(batches, event.id, &event.body)?;
        put_head(batches, admit, raw)?;
        let mut seats = Seats::default();
        for target in waiting(admit) {
            seats.place(batches, &head, DeliveryId::new(event.id, *target))?;
        }
        return Ok(seats.receipt());
    }
    batches.emit()?;
    put_intent(batches, Intent::Body { event: event.id })?;
    put_body(batches, event.id, &event.body)?;
    batches.room(head_operations)?;
    put_head(batches, admit, raw)?;
    put_intent(batches, Intent::Targets { event: event.id, next: 0 })?;
    Ok(spread(batches, event.id, &head, 0)?.receipt())
}

/// Finishes, or undoes, an event that was cut off in the middle when the process last ended.
///
/// # Errors
/// [`CommitError`] as for any record.
pub fn resume(batches: &mut Batches) -> Result<(), CommitError> {
    let key = layout::intent_key();
    let Some(raw) = batches.packed.get(&layout::META, &key)? else { return Ok(()) };
    match layout::decode(&key, &raw)? {
        Intent::Body { event } => {
            gone::take_body(batches, event)?;
            fulfil(batches)?;
        }
        Intent::Rest { event } => {
            gone::take_rest(batches, event)?;
            fulfil(batches)?;
        }
        Intent::Targets { event, next } => {
            let head_key = layout::event_key(event);
            let raw = large::get(&mut batches.packed, &layout::EVENTS, &head_key)?;
            let missing = ReadError::Entry { key: head_key, fault: "it is missing" };
            let head: EventHead = layout::decode(&head_key, &raw.ok_or(missing)?)?;
            spread(batches, event, &head, usize::try_from(next).unwrap_or(usize::MAX))?;
        }
    }
    Ok(())
}

fn duplicate(batches: &mut Batches, admit: &Admit) -> Result<Option<Receipt>, CommitError> {
    let Some(key) = admit.key else { return Ok(None) };
    let Some((first, fingerprint)) = known(batches, key.hash, admit.keys_since)? else {
        return Ok(None);
    };
    let head_key = layout::event_key(first);
    let Some(raw) = large::get(&mut batches.packed, &layout::EVENTS, &head_key)? else {
        return Ok(None);
    };
    let head: EventHead = layout::decode(&head_key, &raw)?;
    Ok(Some(Receipt::Duplicate {
        first,
        targets: head.targets,
        accepted_at: head.accepted_at,
        same: fingerprint == key.fingerprint,
    }))
}

/// The event that came with a key since then, and what made it the same request.
pub(super) fn known(
    batches: &mut Batches,
    hash: [u8; 16],
    since: Time,
) -> Result<Option<(EventId, [u8; 16])>, CommitError> {
    let at = layout::idempotency_key(hash);
    let Some(raw) = batches.packed.get(&layout::IDEMPOTENCY, &at)? else { return Ok(None) };
    let known: KeyEntry = layout::decode(&at, &raw)?;
    let lives = known.event >= EventId::first_at(since);
    Ok(lives.then_some((known.event, known.fingerprint)))
}

fn put_head(batches: &mut Batches, admit: &Admit, raw: Vec<u8>) -> Result<(), ReadError> {
    let id = admit.event.id;
    let bytes = u64::try_from(admit.event.body.len()).unwrap_or(u64::MAX);
    let kept = &mut batches.tally_mut().kept;
    (kept.events, kept.payload_bytes) = (kept.events + 1, kept.payload_bytes + bytes);
    large::put(&mut batches.packed, &layout::EVENTS, layout::event_key(id), raw)?;
    if let Some(key) = admit.key {
        let entry = KeyEntry { event: id, fingerprint: key.fingerprint };
        let value = Bytes::from(layout::encode(&entry));
        batches.packed.insert(&layout::IDEMPOTENCY, layout::idempotency_key(key.hash), value)?;
    }
    for target in &admit.started {
        debug_assert!(admit.event.targets.contains(target), "what is started is a target");
        put_flight(batches, DeliveryId::new(id, *target), Progress::default())?;
    }
    Ok(())
}

/// Stages a body, in as many batches as it takes. Those of a unit that has its room already make
/// none.
fn put_body(batches: &mut Batches, event: EventId, body: &Bytes) -> Result<(), CommitError> {
    for (chunk, bytes) in (0_u16..=u16::MAX).zip(body.chunks(CHUNK_BYTES_MAX)) {
        batches.room(1)?;
        let key = layout::body_key(event, chunk);
        // A copy: a slice would keep the whole body in memory for as long as its page is cached.
        batches.packed.insert(&layout::BODIES, key, Bytes::copy_from_slice(bytes))?;
    }
    Ok(())
}

/// Stages the due entries of the targets from `next` on that are not in flight, in as many batches
/// as it takes, and takes the intent back with the last one.
fn spread(
    batches: &mut Batches,
    event: EventId,
    head: &EventHead,
    next: usize,
) -> Result<Seats, CommitError> {
    let mut seats = Seats::default();
    for (index, target) in head.targets.iter().enumerate().skip(next) {
        let delivery = DeliveryId::new(event, *target);
        let flight = layout::flight_key(delivery);
        if batches.packed.get(&layout::FLIGHT, &flight)?.is_some() {
            continue;
        }
        // One for the entry's lane, and those of the intent.
        let seat = SEAT_OPERATIONS_MAX + DEDUPE_OPERATIONS_MAX + STEP_OPERATIONS_MAX;
        let operations = DUE_OPERATIONS_MAX + seat + 1 + EXTRA_OPERATIONS_MAX;
        if !batches.fits(operations) {
            let next = u32::try_from(index).unwrap_or(u32::MAX);
            put_intent(batches, Intent::Targets { event, next })?;
            batches.emit()?;
        }
        seats.place(batches, head, delivery)?;
    }
    batches.packed.remove(&layout::META, &layout::intent_key())?;
    Ok(seats)
}

/// Where the deliveries of a new event stand that are not in their lanes.
#[derive(Default)]
struct Seats {
    behind: Vec<EndpointNo>,
    stale: Vec<EndpointNo>,
    duplicates: Vec<(EndpointNo, EventId)>,
}

impl Seats {
    /// Puts a delivery into its lane, or where its keys want it. A duplicate takes no place in an
    /// order, and no event is a duplicate of one that is dead on arrival.
    fn place(
        &mut self,
        batches: &mut Batches,
        head: &EventHead,
        delivery: DeliveryId,
    ) -> Result<(), CommitError> {
        let (no, event, now) = (delivery.endpoint, delivery.event, head.accepted_at);
        let Some(dedupe) = Dedupe::at(&head.dedupes, no) else {
            self.seat(batches, head, delivery)?;
            return Ok(());
        };
        let seen = dedupe::seen(batches, dedupe)?;
        if let Some(of) = dedupe::first_of(seen.as_ref(), event, dedupe, now) {
            let step = Step { at: now, kind: StepKind::Duplicate { of }, next: Next::Cancelled };
            let progress = Progress { order: head.order_key(no), ..Progress::default() };
            log(batches, delivery, progress, &step)?;
            self.duplicates.push((no, of));
        } else if self.seat(batches, head, delivery)? != Seat::Stale {
            dedupe::remember(batches, seen.as_ref(), event, dedupe, now)?;
        }
        Ok(())
    }

    /// Puts a delivery into its lane, or where its order wants it. Says what became of it.
    fn seat(
        &mut self,
        batches: &mut Batches,
        head: &EventHead,
        delivery: DeliveryId,
    ) -> Result<Seat, CommitError> {
        let order = Order::at(&head.orders, delivery.endpoint);
        let before = Progress { order: order.map(|order| order.key), ..Progress::default() };
        let (mut progress, mut due) = (before, head.first_due(delivery.event));
        let held = head.held.binary_search(&delivery.endpoint).is_ok();
        let held = held.then(|| Step::held_on_arrival(head.accepted_at));
        if let Some(step) = &held {
            (progress, due) = (before.after(step), Due::timed(Time::MAX, delivery.event));
        }
        let seat = match order {
            Some(order) => order::enter(batches, delivery.event, order, progress, due)?,
            None => Seat::First,
        };
        if let Some(step) = held.filter(|_| seat != Seat::Stale) {
            write_step(batches, delivery, before, &step)?;
        }
        match seat {
            Seat::First => put_due(batches, delivery, due, progress)?,
            Seat::Behind => self.behind.push(delivery.endpoint),
            Seat::Stale => {
                let next = Next::Dead { reason: DeadReason::Stale };
                let step = Step { at: head.accepted_at, kind: StepKind::Rule, next };
                log(batches, delivery, before, &step)?;
                self.stale.push(delivery.endpoint);
            }
        }
        Ok(seat)
    }

    fn receipt(self) -> Receipt {
        let Seats { behind, stale, duplicates } = self;
        if behind.is_empty() && stale.is_empty() && duplicates.is_empty() {
            Receipt::Applied
        } else {
            Receipt::Seated { behind, stale, duplicates }
        }
    }
}

pub(super) fn put_intent(batches: &mut Batches, intent: Intent) -> Result<(), ReadError> {
    let value = Bytes::from(layout::encode(&intent));
    batches.packed.insert(&layout::META, layout::intent_key(), value)
}

/// Takes the intent back: what it stood for is done.
pub(super) fn fulfil(batches: &mut Batches) -> Result<(), CommitError> {
    batches.room(1)?;
    batches.packed.remove(&layout::META, &layout::intent_key())?;
    Ok(())
}

fn waiting(admit: &Admit) -> impl Iterator<Item = &EndpointNo> {
    admit.event.targets.iter().filter(|target| admit.started.binary_search(target).is_err())
}

#[cfg(test)]
mod tests;
