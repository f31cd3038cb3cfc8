//! From records to table operations: the writer's judgement.
//!
//! A record is applied to what is stored and to what is staged before it, in order; what does not
//! fit the state of things is answered and changes nothing. Every record is one atomic unit (a
//! sweep: one for each delivery, or each event; a very large event: see `fold/admit.rs` and
//! `fold/gone.rs`).

mod admit;
mod clear;
mod command;
mod dedupe;
mod gone;
mod guard;
mod hold;
mod judge;
mod order;
mod prune;
mod redate;
mod replay;

pub use admit::resume;
pub use redate::Redated;
pub use redate::SET_BACK_MIN;
pub use redate::redate;

use bytes::Bytes;

use crate::model::Class;
use crate::model::DeliveryId;
use crate::model::Due;
use crate::model::EndpointEntry;
use crate::model::LaneCounts;
use crate::model::Next;
use crate::model::Progress;
use crate::model::Receipt;
use crate::model::Record;
use crate::model::Step;
use crate::model::StepKind;
use crate::store::batches::Batches;
use crate::store::batches::CommitError;
use crate::store::large;
use crate::store::layout;
use crate::store::packed::ReadError;

/// Page operations of moving a delivery from one place to another, at most: two places, each with
/// a page that may split, and its lane; and what comes after it in the order of its key.
const MOVE_OPERATIONS_MAX: usize = 8 + order::ORDER_OPERATIONS_MAX;

/// Stages the records of a commit and answers each. Behind a guard that found a conflict, nothing
/// is applied.
///
/// # Errors
/// [`CommitError`]: the store must not be written any more.
pub fn apply_all(batches: &mut Batches, records: &[Record]) -> Result<Vec<Receipt>, CommitError> {
    let mut receipts: Vec<Receipt> = Vec::with_capacity(records.len());
    for record in records {
        let refused = matches!(receipts.first(), Some(Receipt::Conflict { .. }));
        receipts.push(if refused { Receipt::Stale } else { apply(batches, record)? });
    }
    Ok(receipts)
}

/// Stages a record and answers it. The answer holds once what is staged is safe.
///
/// # Errors
/// [`CommitError`]: the store must not be written any more.
pub fn apply(batches: &mut Batches, record: &Record) -> Result<Receipt, CommitError> {
    match record {
        Record::Admit(admit) => admit::apply(batches, admit),
        Record::Guard { keys, since } => guard::apply(batches, keys, *since),
        Record::Start { delivery, from } => start(batches, *delivery, *from),
        Record::Step { delivery, step, parks } => finish(batches, *delivery, step, *parks),
        Record::Command { delivery, at, actor, next } => {
            let kind = StepKind::Command { actor: actor.clone() };
            command::apply(batches, *delivery, &Step { at: *at, kind, next: *next })
        }
        Record::Sweep { endpoint, step, limit } => {
            command::sweep(batches, *endpoint, step, usize::from(*limit))
        }
        Record::Endpoint(entry) => endpoint(batches, entry),
        Record::Hold(hold) => hold::stand(batches, hold),
        Record::Lift(id) => hold::lift(batches, *id),
        Record::Prune(prune) => prune::apply(batches, prune),
        Record::Replay(step) => replay::apply(batches, step),
    }
}

fn start(batches: &mut Batches, delivery: DeliveryId, from: Due) -> Result<Receipt, CommitError> {
    batches.room(MOVE_OPERATIONS_MAX)?;
    if from.event != delivery.event {
        return Ok(Receipt::Stale);
    }
    let Some(progress) = take_due(batches, delivery, from)? else { return Ok(Receipt::Stale) };
    put_flight(batches, delivery, progress.taken_from(from))?;
    Ok(Receipt::Applied)
}

fn finish(
    batches: &mut Batches,
    delivery: DeliveryId,
    step: &Step,
    parks: bool,
) -> Result<Receipt, CommitError> {
    let raw = layout::encode(step);
    batches.room(MOVE_OPERATIONS_MAX + large::operations_max(raw.len()))?;
    let key = layout::flight_key(delivery);
    let Some(flying) = batches.packed.remove(&layout::FLIGHT, &key)? else {
        return Ok(Receipt::Stale);
    };
    let before: Progress = layout::decode(&key, &flying)?;
    log(batches, delivery, before, step)?;
    let keeps =
        matches!(step.next, Next::Wait { .. }) || parks && matches!(step.next, Next::Dead { .. });
    let Some(key) = before.order.filter(|_| !keeps) else { return Ok(Receipt::Applied) };
    Ok(match order::leave(batches, delivery, key)? {
        Some((due, progress)) => Receipt::Promoted { due, progress },
        None => Receipt::Applied,
    })
}

fn endpoint(batches: &mut Batches, entry: &EndpointEntry) -> Result<Receipt, CommitError> {
    let raw = layout::encode(entry);
    // The old value's pieces may go besides.
    batches.room(2 * large::operations_max(raw.len()) + PIECES_SPARE)?;
    large::replace(&mut batches.packed, &layout::ENDPOINTS, layout::endpoint_key(entry.no), raw)?;
    Ok(Receipt::Applied)
}

/// Page operations kept for the removal of an older, longer endpoint definition.
const PIECES_SPARE: usize = 100;

/// Appends a step to a delivery's log and puts the delivery where the step says. Answers its
/// progress and its place in the lane, if it waits.
fn log(
    batches: &mut Batches,
    delivery: DeliveryId,
    before: Progress,
    step: &Step,
) -> Result<(Progress, Option<Due>), CommitError> {
    let progress = before.after(step);
    write_step(batches, delivery, before, step)?;
    let to = match step.next {
        Next::Delivered | Next::Cancelled => {
            batches.ended(delivery.event);
            None
        }
        Next::Wait { due, .. } => {
            let due = Due::timed(due, delivery.event);
            put_due(batches, delivery, due, progress)?;
            Some(due)
        }
        Next::Dead { reason } => {
            let key = layout::dead_key(delivery.endpoint, step.at, delivery.event);
            let value = layout::encode(&layout::DeadEntry { reason, progress });
            batches.packed.insert(&layout::DEAD, key, Bytes::from(value))?;
            batches.count(delivery.endpoint, |lane| lane.dead += 1);
            None
        }
    };
    Ok((progress, to))
}

/// Appends a step to a delivery's log, and nothing else.
fn write_step(
    batches: &mut Batches,
    delivery: DeliveryId,
    before: Progress,
    step: &Step,
) -> Result<(), ReadError> {
    let key = layout::step_key(delivery, before.steps);
    large::put(&mut batches.packed, &layout::STEPS, key, layout::encode(step))
}

fn put_flight(
    batches: &mut Batches,
    delivery: DeliveryId,
    progress: Progress,
) -> Result<(), ReadError> {
    let value = Bytes::from(layout::encode(&progress));
    batches.packed.insert(&layout::FLIGHT, layout::flight_key(delivery), value)
}

fn put_due(
    batches: &mut Batches,
    delivery: DeliveryId,
    due: Due,
    progress: Progress,
) -> Result<(), ReadError> {
    let key = layout::due_key(delivery.endpoint, due);
    let value = Bytes::from(layout::encode(&progress));
    batches.packed.insert(layout::due_table(due.class), key, value)?;
    batches.count(delivery.endpoint, |lane| *lane_class(lane, due) += 1);
    Ok(())
}

fn take_due(
    batches: &mut Batches,
    delivery: DeliveryId,
    due: Due,
) -> Result<Option<Progress>, ReadError> {
    let key = layout::due_key(delivery.endpoint, due);
    let Some(raw) = batches.packed.remove(layout::due_table(due.class), &key)? else {
        return Ok(None);
    };
    batches.count(delivery.endpoint, |lane| {
        let count = lane_class(lane, due);
        debug_assert!(*count > 0, "a lane counts what it holds");
        *count = count.saturating_sub(1);
    });
    layout::decode(&key, &raw).map(Some)
}

fn lane_class(lane: &mut LaneCounts, due: Due) -> &mut u64 {
    match due.class {
        Class::Fresh => &mut lane.fresh,
        Class::Timed => &mut lane.timed,
    }
}
