//! What people do to deliveries: send again, cancel, one by one or a lane at a time.

use bytes::Bytes;

use crate::model::Class;
use crate::model::DeliveryId;
use crate::model::DeliveryState;
use crate::model::Due;
use crate::model::EndpointNo;
use crate::model::Next;
use crate::model::Progress;
use crate::model::Receipt;
use crate::model::Step;
use crate::model::Time;
use crate::store::batches::Batches;
use crate::store::batches::CommitError;
use crate::store::fold::MOVE_OPERATIONS_MAX;
use crate::store::fold::log;
use crate::store::fold::take_due;
use crate::store::key::Key;
use crate::store::large;
use crate::store::layout;
use crate::store::layout::EventHead;
use crate::store::packed::ReadError;

/// Stages a person's step: a delivery is taken from where it stands and put where they want it.
pub(super) fn apply(
    batches: &mut Batches,
    delivery: DeliveryId,
    step: &Step,
) -> Result<Receipt, CommitError> {
    let raw_bytes = layout::encode(step).len();
    batches.room(MOVE_OPERATIONS_MAX + large::operations_max(raw_bytes))?;
    let place = find(batches, delivery)?;
    let again = matches!(step.next, Next::Wait { .. });
    let cancel = matches!(step.next, Next::Cancelled);
    let (from, progress) = match place {
        Place::Lane(due) if again || cancel => match take_due(batches, delivery, due)? {
            Some(progress) => (Some(due), progress),
            None => (None, past(batches, delivery)?),
        },
        Place::Dead(at) if again || cancel => (None, take_dead(batches, delivery, at)?),
        Place::Ended(_) if again => (None, past(batches, delivery)?),
        other => return Ok(Receipt::Refused(other.state())),
    };
    let (progress, to) = log(batches, delivery, progress, step)?;
    Ok(Receipt::Moved { from, to, progress })
}

/// Stages the end of at most `limit` waiting deliveries of an endpoint, fresh ones first; each is
/// an atomic unit of its own.
pub(super) fn sweep(
    batches: &mut Batches,
    endpoint: EndpointNo,
    step: &Step,
    limit: usize,
) -> Result<Receipt, CommitError> {
    debug_assert!(matches!(step.next, Next::Cancelled | Next::Dead { .. }), "a sweep ends");
    let operations = MOVE_OPERATIONS_MAX + large::operations_max(layout::encode(step).len());
    let mut swept = Vec::new();
    for class in [Class::Fresh, Class::Timed] {
        let table = layout::due_table(class);
        let lane = table.key(&[&endpoint.to_bytes()]);
        while swept.len() < limit {
            batches.room(operations)?;
            let Some((key, _)) = batches.packed.first_from(table, &lane)? else { break };
            let due = layout::due_of(&key).ok_or_else(|| layout::bad_key(&key))?;
            let delivery = DeliveryId::new(due.event, endpoint);
            let progress = take_due(batches, delivery, due)?.unwrap_or_default();
            log(batches, delivery, progress, step)?;
            swept.push(due);
        }
    }
    Ok(Receipt::Swept(swept))
}

/// Where a delivery stands.
enum Place {
    Flight,
    Lane(Due),
    Dead(Time),
    Ended(DeliveryState),
    Nowhere,
}

impl Place {
    fn state(&self) -> DeliveryState {
        match self {
            Place::Flight => DeliveryState::Sending,
            Place::Lane(due) if due.class == Class::Fresh => DeliveryState::Queued,
            Place::Lane(_) => DeliveryState::Waiting,
            Place::Dead(_) => DeliveryState::Dead,
            Place::Ended(state) => *state,
            Place::Nowhere => DeliveryState::Unknown,
        }
    }
}

fn find(batches: &mut Batches, delivery: DeliveryId) -> Result<Place, ReadError> {
    let packed = &mut batches.packed;
    if packed.get(&layout::FLIGHT, &layout::flight_key(delivery))?.is_some() {
        return Ok(Place::Flight);
    }
    if let Some((key, raw)) = last_step(batches, delivery)? {
        let raw = large::joined_by_writer(&mut batches.packed, &key, raw)?;
        let last: Step = layout::decode(&key, &raw)?;
        return Ok(match last.next {
            Next::Delivered => Place::Ended(DeliveryState::Delivered),
            Next::Cancelled => Place::Ended(DeliveryState::Cancelled),
            Next::Wait { due, .. } => Place::Lane(Due::timed(due, delivery.event)),
            Next::Dead { .. } => Place::Dead(last.at),
        });
    }
    let key = layout::event_key(delivery.event);
    let head = match large::get(&mut batches.packed, &layout::EVENTS, &key)? {
        Some(raw) => layout::decode::<EventHead>(&key, &raw)?,
        None => return Ok(Place::Nowhere),
    };
    Ok(match head.targets.binary_search(&delivery.endpoint) {
        Ok(_) => Place::Lane(head.first_due(delivery.event)),
        Err(_) => Place::Nowhere,
    })
}

fn last_step(
    batches: &mut Batches,
    delivery: DeliveryId,
) -> Result<Option<(Key, Bytes)>, ReadError> {
    let (first, last) = (layout::step_key(delivery, 0), layout::step_key(delivery, u16::MAX));
    if let Some(raw) = batches.packed.get(&layout::STEPS, &last)? {
        return Ok(Some((last, raw)));
    }
    let before = batches.packed.last_before(&layout::STEPS, &last)?;
    Ok(before.filter(|(key, _)| *key >= first))
}

/// The progress of a delivery whose place does not hold it, from its log.
fn past(batches: &mut Batches, delivery: DeliveryId) -> Result<Progress, ReadError> {
    let mut progress = Progress::default();
    let mut from = layout::step_key(delivery, 0);
    let last = layout::step_key(delivery, u16::MAX);
    while let Some((key, raw)) = batches.packed.first_from(&layout::STEPS, &from)? {
        if key > last {
            break;
        }
        let raw = large::joined_by_writer(&mut batches.packed, &key, raw)?;
        progress = progress.after(&layout::decode(&key, &raw)?);
        if progress.steps == u16::MAX {
            break;
        }
        from = layout::step_key(delivery, progress.steps);
    }
    Ok(progress)
}

fn take_dead(batches: &mut Batches, delivery: DeliveryId, at: Time) -> Result<Progress, ReadError> {
    let key = layout::dead_key(delivery.endpoint, at, delivery.event);
    let Some(raw) = batches.packed.remove(&layout::DEAD, &key)? else {
        return past(batches, delivery);
    };
    batches.count(delivery.endpoint, |lane| lane.dead = lane.dead.saturating_sub(1));
    layout::decode::<layout::DeadEntry>(&key, &raw).map(|dead| dead.progress)
}
