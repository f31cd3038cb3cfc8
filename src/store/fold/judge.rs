//! What is known of an event whose time may have come.

use crate::model::DeliveryId;
use crate::model::EndpointNo;
use crate::model::EventId;
use crate::model::Next;
use crate::policy::retention::Record;
use crate::policy::retention::Standing;
use crate::store::batches::Batches;
use crate::store::fold::clear::Span;
use crate::store::fold::gone;
use crate::store::fold::gone::Past;
use crate::store::fold::order;
use crate::store::large;
use crate::store::layout;
use crate::store::layout::EventHead;
use crate::store::packed::ReadError;

/// An event as it is found.
pub(super) struct Found {
    /// Its head; nothing if that cannot be read.
    pub(super) head: Option<EventHead>,
    /// Its steps.
    pub(super) past: Past,
    /// What follows from both.
    pub(super) record: Record,
}

/// The head of an event, if there is one.
pub(super) fn head(batches: &mut Batches, event: EventId) -> Result<Option<EventHead>, ReadError> {
    let key = layout::event_key(event);
    let raw = large::get(&mut batches.packed, &layout::EVENTS, &key)?;
    raw.map(|raw| layout::decode(&key, &raw)).transpose()
}

/// An event, if it is there.
///
/// # Errors
/// [`ReadError::Io`]; damage is noted and passed by.
pub(super) fn find(batches: &mut Batches, event: EventId) -> Result<Option<Found>, ReadError> {
    let head = head(batches, event);
    let head = match batches.sound(event, head)? {
        Some(Some(head)) => Some(head),
        Some(None) => return Ok(None),
        None => None,
    };
    let past = gone::past(batches, event)?;
    let record = match &head {
        Some(head) => whole(batches, event, head, &past)?,
        None => headless(batches, event, &past)?,
    };
    Ok(Some(Found { head, past, record }))
}

fn whole(
    batches: &mut Batches,
    event: EventId,
    head: &EventHead,
    past: &Past,
) -> Result<Record, ReadError> {
    let mut standing = Standing::Ended;
    let mut last = head.accepted_at;
    for target in &head.targets {
        let delivery = DeliveryId::new(event, *target);
        match stands(batches, delivery, head, past)? {
            Standing::Ended => {}
            Standing::Dead => standing = Standing::Dead,
            Standing::Pending => {
                standing = Standing::Pending;
                break;
            }
        }
        let step = past.last.get(target).and_then(Option::as_ref);
        last = step.map_or(last, |step| last.max(step.at));
    }
    Ok(Record { standing, last, has_payload: head.payload_gone.is_none() })
}

fn stands(
    batches: &mut Batches,
    delivery: DeliveryId,
    head: &EventHead,
    past: &Past,
) -> Result<Standing, ReadError> {
    let DeliveryId { event, endpoint } = delivery;
    let flight = batches.packed.get(&layout::FLIGHT, &layout::flight_key(delivery));
    let flies = batches.sound(event, flight)?.is_none_or(|flight| flight.is_some());
    let place = match head.order_key(endpoint) {
        Some(key) => order::first(batches, endpoint, key),
        None => Ok(None),
    };
    let is_parked = batches.sound(event, place)?.is_none_or(|first| first == Some(event));
    let step = past.last.get(&endpoint);
    Ok(match step {
        _ if flies => Standing::Pending,
        None if !past.has_holes => Standing::Pending,
        Some(Some(step)) if !past.has_holes => match step.next {
            Next::Delivered | Next::Cancelled => Standing::Ended,
            Next::Dead { .. } if !is_parked => Standing::Dead,
            Next::Dead { .. } | Next::Wait { .. } => Standing::Pending,
        },
        // It is not known how it stands; only where nothing waits, it does not.
        _ if waits(batches, endpoint) || is_parked => Standing::Pending,
        _ => Standing::Dead,
    })
}

/// Of an event whose head cannot be read, and so cannot be sent any more. Its payload stays for as
/// long as the event.
fn headless(batches: &mut Batches, event: EventId, past: &Past) -> Result<Record, ReadError> {
    let mut standing = Standing::Ended;
    let mut last = event.time();
    for (endpoint, step) in &past.last {
        match step {
            Some(step) if matches!(step.next, Next::Wait { .. }) => standing = Standing::Pending,
            Some(step) => last = last.max(step.at),
            None if waits(batches, *endpoint) => standing = Standing::Pending,
            None => {}
        }
    }
    if !Span::of(event).flights().is_empty(batches)? {
        standing = Standing::Pending;
    }
    Ok(Record { standing, last, has_payload: false })
}

/// Whether anything waits in a lane.
fn waits(batches: &Batches, endpoint: EndpointNo) -> bool {
    let lane = batches.lane(endpoint);
    lane.fresh > 0 || lane.timed > 0 || lane.behind > 0
}
