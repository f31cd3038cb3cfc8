//! What people do to deliveries: send again, cancel, one by one or a lane at a time.
//!
//! One that is ordered by a key and sent again takes the first place of its key, if that is free,
//! and waits behind the one that has it, if it is not.

use bytes::Bytes;

use crate::model::Class;
use crate::model::DeliveryId;
use crate::model::DeliveryState;
use crate::model::Due;
use crate::model::EndpointNo;
use crate::model::Next;
use crate::model::OrderKey;
use crate::model::Progress;
use crate::model::Receipt;
use crate::model::Step;
use crate::model::Time;
use crate::store::batches::Batches;
use crate::store::batches::CommitError;
use crate::store::fold::MOVE_OPERATIONS_MAX;
use crate::store::fold::log;
use crate::store::fold::order;
use crate::store::fold::take_due;
use crate::store::fold::write_step;
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
    judge(batches, delivery, step, place)
}

/// As [`apply`], for a delivery that stands there. The room for it is made.
pub(super) fn judge(
    batches: &mut Batches,
    delivery: DeliveryId,
    step: &Step,
    place: Place,
) -> Result<Receipt, CommitError> {
    let again = matches!(step.next, Next::Wait { .. });
    let cancel = matches!(step.next, Next::Cancelled);
    let ended = matches!(place.stands, Stands::Dead(_) | Stands::Ended(_));
    if again && ended && place.payload_gone {
        return Ok(Receipt::PayloadGone);
    }
    let key = place.key;
    let mut taken = Taken::default();
    let progress = match place.stands {
        Stands::Lane(due) if again || cancel => match take_due(batches, delivery, due)? {
            Some(progress) => {
                taken.from = Some(due);
                progress
            }
            None => match key.map(|key| order::take_behind(batches, delivery, key)).transpose()? {
                Some(Some(behind)) => {
                    taken.behind = true;
                    behind.progress
                }
                _ => past(batches, delivery)?,
            },
        },
        Stands::Dead(at) if again || cancel => take_dead(batches, delivery, at)?,
        Stands::Ended(_) if again => past(batches, delivery)?,
        other => return Ok(Receipt::Refused(other.state())),
    };
    settle(batches, delivery, Progress { order: key, ..progress }, step, &taken)
}

/// Where a delivery was taken from.
#[derive(Default)]
struct Taken {
    /// From its lane.
    from: Option<Due>,
    /// From behind another of its key.
    behind: bool,
}

/// Puts a delivery where a person wants it.
fn settle(
    batches: &mut Batches,
    delivery: DeliveryId,
    before: Progress,
    step: &Step,
    taken: &Taken,
) -> Result<Receipt, CommitError> {
    let from = taken.from;
    let left = -i8::from(taken.behind);
    let moved = |to, progress, promoted, behind| {
        Ok(Receipt::Moved { from, to, progress, promoted, behind })
    };
    let Some(key) = before.order else {
        let (progress, to) = log(batches, delivery, before, step)?;
        return moved(to, progress, None, 0);
    };
    let Next::Wait { due, .. } = step.next else {
        let (progress, to) = log(batches, delivery, before, step)?;
        let promoted = order::leave(batches, delivery, key)?;
        return moved(to, progress, promoted, left);
    };
    let progress = before.after(step);
    if order::take_place(batches, delivery, key, progress, due)? {
        let (progress, to) = log(batches, delivery, before, step)?;
        return moved(to, progress, None, left);
    }
    write_step(batches, delivery, before, step)?;
    moved(None, progress, None, left + 1)
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
    let behind = order::sweep(batches, endpoint, step, limit, operations)?;
    let limit = limit.saturating_sub(usize::from(behind));
    let mut dues = Vec::new();
    for class in [Class::Fresh, Class::Timed] {
        let table = layout::due_table(class);
        let lane = table.key(&[&endpoint.to_bytes()]);
        while dues.len() < limit {
            batches.room(operations)?;
            let Some((key, _)) = batches.packed.first_from(table, &lane)? else { break };
            let due = layout::due_of(&key).ok_or_else(|| layout::bad_key(&key))?;
            let delivery = DeliveryId::new(due.event, endpoint);
            let progress = take_due(batches, delivery, due)?.unwrap_or_default();
            log(batches, delivery, progress, step)?;
            dues.push(due);
        }
    }
    Ok(Receipt::Swept { dues, behind })
}

/// Where a delivery stands, and the key that it is ordered by.
pub(super) struct Place {
    pub(super) stands: Stands,
    key: Option<OrderKey>,
    /// Whether the payload of its event is no longer kept.
    payload_gone: bool,
}

pub(super) enum Stands {
    Flight,
    Lane(Due),
    Dead(Time),
    Ended(DeliveryState),
    Nowhere,
}

impl Stands {
    pub(super) fn state(&self) -> DeliveryState {
        match self {
            Stands::Flight => DeliveryState::Sending,
            Stands::Lane(due) if due.class == Class::Fresh => DeliveryState::Queued,
            Stands::Lane(due) if due.is_on_hold() => DeliveryState::Held,
            Stands::Lane(_) => DeliveryState::Waiting,
            Stands::Dead(_) => DeliveryState::Dead,
            Stands::Ended(state) => *state,
            Stands::Nowhere => DeliveryState::Unknown,
        }
    }
}

pub(super) fn find(batches: &mut Batches, delivery: DeliveryId) -> Result<Place, ReadError> {
    let key = layout::event_key(delivery.event);
    let head = match large::get(&mut batches.packed, &layout::EVENTS, &key)? {
        Some(raw) => layout::decode::<EventHead>(&key, &raw)?,
        None => return Ok(Place { stands: Stands::Nowhere, key: None, payload_gone: true }),
    };
    let key = head.order_key(delivery.endpoint);
    let flight = batches.packed.get(&layout::FLIGHT, &layout::flight_key(delivery))?;
    let stands = match (flight, last_step(batches, delivery)?) {
        (Some(_), _) => Stands::Flight,
        (None, Some((key, raw))) => {
            let raw = large::joined_by_writer(&mut batches.packed, &key, raw)?;
            let last: Step = layout::decode(&key, &raw)?;
            match last.next {
                Next::Delivered => Stands::Ended(DeliveryState::Delivered),
                Next::Cancelled => Stands::Ended(DeliveryState::Cancelled),
                Next::Wait { due, .. } => Stands::Lane(Due::timed(due, delivery.event)),
                Next::Dead { .. } => Stands::Dead(last.at),
            }
        }
        (None, None) => match head.targets.binary_search(&delivery.endpoint) {
            Ok(_) => Stands::Lane(head.first_due(delivery.event)),
            Err(_) => Stands::Nowhere,
        },
    };
    Ok(Place { stands, key, payload_gone: head.payload_gone.is_some() })
}

pub(super) fn last_step(
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
