//! Steps of a replay: what is done to some deliveries, with the replay's new place and counts, as
//! one atomic unit.
//!
//! A delivery's log names each replay that has changed its course. So a replay that meets one again
//! (it died again, and the clock was set back meanwhile) leaves it alone.

use bytes::Bytes;

use crate::model::DeliveryId;
use crate::model::Next;
use crate::model::Receipt;
use crate::model::Replay;
use crate::model::ReplayAction;
use crate::model::ReplayMove;
use crate::model::ReplayStep;
use crate::model::Step;
use crate::model::StepKind;
use crate::model::Time;
use crate::model::replay::REPLAY_STEP_MAX;
use crate::model::replay::REPLAYS_KEPT_MAX;
use crate::store::batches::Batches;
use crate::store::batches::CommitError;
use crate::store::batches::UNIT_OPERATIONS_MAX;
use crate::store::fold::MOVE_OPERATIONS_MAX;
use crate::store::fold::command;
use crate::store::large;
use crate::store::layout;
use crate::store::layout::CHUNK_BYTES_MAX;
use crate::store::layout::EventHead;
use crate::store::packed::ReadError;

/// Page operations of one delivery, at most; the step in its log is short.
const OPERATIONS_EACH: usize = MOVE_OPERATIONS_MAX + 2;
/// Page operations of the replay's own entry, and of an older one that goes for it, at most.
const ENTRY_OPERATIONS: usize = 4;
const _: () = assert!(REPLAY_STEP_MAX * OPERATIONS_EACH + ENTRY_OPERATIONS <= UNIT_OPERATIONS_MAX);

/// Stages a step.
pub(super) fn apply(batches: &mut Batches, step: &ReplayStep) -> Result<Receipt, CommitError> {
    debug_assert!(step.moves.len() <= REPLAY_STEP_MAX, "a step is bounded");
    batches.room(step.moves.len() * OPERATIONS_EACH + ENTRY_OPERATIONS)?;
    let key = layout::replay_key(step.replay.id);
    if batches.packed.get(&layout::REPLAYS, &key)?.is_none() {
        forget_oldest(batches)?;
    }
    let mut receipts = Vec::with_capacity(step.moves.len());
    for each in &step.moves {
        receipts.push(move_one(batches, step, *each)?);
    }
    let raw = layout::encode(&step.counted(&receipts));
    debug_assert!(raw.len() <= CHUNK_BYTES_MAX, "a filter is bounded");
    batches.packed.insert(&layout::REPLAYS, key, Bytes::from(raw))?;
    Ok(Receipt::Replayed(receipts))
}

fn move_one(
    batches: &mut Batches,
    step: &ReplayStep,
    ReplayMove { delivery, due }: ReplayMove,
) -> Result<Receipt, CommitError> {
    let actor = step.replay.actor_of_steps();
    let place = command::find(batches, delivery)?;
    if has_been_there(batches, delivery, &actor)? {
        return Ok(Receipt::Stale);
    }
    let state = place.stands.state();
    if !step.replay.takes(state) {
        return Ok(Receipt::Refused(state));
    }
    let kind = StepKind::Command { actor };
    let due = match step.replay.action {
        ReplayAction::Release => due.max(due_before_hold(batches, delivery)?),
        _ => due,
    };
    let step = Step { at: step.at, kind, next: step.replay.next_of(due) };
    command::judge(batches, delivery, &step, place)
}

/// When a delivery that is on hold would have been due.
fn due_before_hold(batches: &mut Batches, delivery: DeliveryId) -> Result<Time, ReadError> {
    let first = layout::step_key(delivery, 0);
    let hold = command::last_step(batches, delivery)?;
    let before = match &hold {
        Some((hold, _)) => batches.packed.last_before(&layout::STEPS, hold)?,
        None => None,
    };
    if let Some((key, raw)) = before.filter(|(key, _)| *key >= first) {
        let raw = large::joined_by_writer(&mut batches.packed, &key, raw)?;
        return Ok(match layout::decode::<Step>(&key, &raw)?.next {
            Next::Wait { due, .. } => due,
            _ => Time::ZERO,
        });
    }
    let key = layout::event_key(delivery.event);
    let Some(raw) = large::get(&mut batches.packed, &layout::EVENTS, &key)? else {
        return Ok(Time::ZERO);
    };
    Ok(layout::decode::<EventHead>(&key, &raw)?.first_due(delivery.event).at)
}

/// Whether a delivery's log names this actor.
fn has_been_there(
    batches: &mut Batches,
    delivery: DeliveryId,
    actor: &str,
) -> Result<bool, ReadError> {
    let mut from = layout::step_key(delivery, 0);
    let last = layout::step_key(delivery, u16::MAX);
    while let Some((key, raw)) = batches.packed.first_from(&layout::STEPS, &from)? {
        if key > last {
            break;
        }
        // a step in pieces holds a long answer of the endpoint, and is nobody's command
        if let Ok(Step { kind: StepKind::Command { actor: known }, .. }) =
            layout::decode(&key, &raw)
            && known == actor
        {
            return Ok(true);
        }
        from = key.joined(&[0]);
    }
    Ok(false)
}

/// Makes room for a new one.
fn forget_oldest(batches: &mut Batches) -> Result<(), ReadError> {
    let (mut kept, mut oldest) = (0, None);
    let mut from = layout::REPLAYS.key(&[]);
    while let Some((key, raw)) = batches.packed.first_from(&layout::REPLAYS, &from)? {
        let replay: Replay = layout::decode(&key, &raw)?;
        kept += 1;
        if oldest.is_none() && !replay.is_running() {
            oldest = Some(key);
        }
        from = key.joined(&[0]);
    }
    if let Some(oldest) = oldest.filter(|_| kept >= REPLAYS_KEPT_MAX) {
        batches.packed.remove(&layout::REPLAYS, &oldest)?;
    }
    Ok(())
}
