//! A start with the clock set back: what was dated ahead is dated again.
//!
//! A process goes on by its own time when the wall clock is set back, so what it writes from then
//! on bears times that have not come yet. Its successor starts by the wall clock, and would let
//! everything wait for as much longer. So what was put where it waits at a time that has not come
//! yet, waits from now on for as long as was left when it was put there. Each delivery that is
//! moved is an atomic unit, and its log says so; a start that is cut short goes on at the next.

use std::time::Duration;

use crate::model::Class;
use crate::model::DeliveryId;
use crate::model::Due;
use crate::model::EndpointEntry;
use crate::model::EndpointNo;
use crate::model::EventId;
use crate::model::Next;
use crate::model::Opened;
use crate::model::Progress;
use crate::model::Step;
use crate::model::StepKind;
use crate::model::Time;
use crate::model::WaitReason;
use crate::store::batches::Batches;
use crate::store::batches::CommitError;
use crate::store::fold::MOVE_OPERATIONS_MAX;
use crate::store::fold::command::last_step;
use crate::store::fold::endpoint;
use crate::store::fold::log;
use crate::store::fold::take_due;
use crate::store::large;
use crate::store::layout;
use crate::store::layout::EventHead;
use crate::store::packed::ReadError;

/// Less than this the clock may have been set back without anything being dated again.
pub const SET_BACK_MIN: Duration = Duration::from_secs(60);

/// What a start found dated ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redated {
    /// By how much the last event was admitted ahead of now.
    pub ahead: Duration,
    /// Deliveries that were dated again.
    pub deliveries: u64,
}

/// Dates again what waits for the endpoints, if the event that was admitted last says that the
/// clock has been set back since. What cannot be read stays as it is.
///
/// # Errors
/// [`CommitError`] if the store cannot be written.
pub fn redate(
    batches: &mut Batches,
    endpoints: impl FnOnce() -> Result<Vec<EndpointEntry>, ReadError>,
    now: Time,
) -> Result<Option<Redated>, CommitError> {
    let last = last_admitted(batches);
    let last = batches.sound(EventId::MIN, last)?.flatten();
    let ahead = last.map_or(Duration::ZERO, |at| at.since(now));
    if ahead < SET_BACK_MIN {
        return Ok(None);
    }
    let mut redated = Redated { ahead, deliveries: 0 };
    for entry in &endpoints()? {
        redated.deliveries += lane(batches, entry.no, now)?;
        if let Some(entry) = breaker(entry, now, ahead) {
            endpoint(batches, &entry)?;
        }
    }
    Ok(Some(redated))
}

/// When the last event was admitted, by the clock of then.
fn last_admitted(batches: &mut Batches) -> Result<Option<Time>, ReadError> {
    let end = layout::event_key(EventId::MAX);
    let Some((key, _)) = batches.packed.last_before(&layout::EVENTS, &end)? else {
        return Ok(None);
    };
    let last = layout::event_of(&key).ok_or_else(|| layout::bad_key(&key))?;
    Ok(head(batches, last)?.map(|head| head.accepted_at))
}

/// Of the lane, what is due at a time to come and was put there at one. Answers how many.
fn lane(batches: &mut Batches, no: EndpointNo, now: Time) -> Result<u64, CommitError> {
    let table = layout::due_table(Class::Timed);
    let mut redated = 0;
    let mut from = Due::timed(now, EventId::MIN);
    loop {
        batches.room(MOVE_OPERATIONS_MAX + large::operations_max(0))?;
        let key = layout::due_key(no, from);
        let row = batches.packed.first_from(table, &key);
        let Some((key, _)) = batches.sound(EventId::MIN, row)?.flatten() else { break };
        let ours = key.as_slice().starts_with(table.key(&[&no.to_bytes()]).as_slice());
        let Some(due) = layout::due_of(&key).filter(|due| ours && !due.is_on_hold()) else { break };
        from = Due::timed(due.at, due.event.successor());
        let delivery = DeliveryId::new(due.event, no);
        let written = written(batches, delivery);
        let Some(written) = batches.sound(due.event, written)?.flatten() else { continue };
        if written > now {
            let row = take_due(batches, delivery, due);
            let Some(progress) = batches.sound(due.event, row)?.flatten() else { continue };
            let due = now + due.at.since(written);
            // not tried yet, it was first due then: nothing is late by the time that never was
            let since = progress.since.or((progress.steps == 0).then_some(due));
            let next = Next::Wait { due, why: WaitReason::ClockSetBack };
            let step = Step { at: now, kind: StepKind::Rule, next };
            log(batches, delivery, Progress { since, ..progress }, &step)?;
            redated += 1;
        }
    }
    Ok(redated)
}

/// When a delivery was put where it waits.
fn written(batches: &mut Batches, delivery: DeliveryId) -> Result<Option<Time>, ReadError> {
    let Some((key, raw)) = last_step(batches, delivery)? else {
        return Ok(head(batches, delivery.event)?.map(|head| head.accepted_at));
    };
    let raw = large::joined_by_writer(&mut batches.packed, &key, raw)?;
    Ok(Some(layout::decode::<Step>(&key, &raw)?.at))
}

fn head(batches: &mut Batches, event: EventId) -> Result<Option<EventHead>, ReadError> {
    let key = layout::event_key(event);
    let raw = large::get(&mut batches.packed, &layout::EVENTS, &key)?;
    raw.map(|raw| layout::decode(&key, &raw)).transpose()
}

/// The entry of an endpoint whose breaker is open until a time to come, with as much of that left
/// as there was.
fn breaker(entry: &EndpointEntry, now: Time, ahead: Duration) -> Option<EndpointEntry> {
    let open = entry.state.open.as_ref().filter(|open| open.until > now)?;
    let until = now.max(open.until.minus(ahead));
    let open = Opened { since: open.since.min(now), until, ..*open };
    let mut entry = entry.clone();
    entry.state.open = Some(open);
    Some(entry)
}
