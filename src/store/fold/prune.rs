//! Retention: what was kept for long enough goes, a few looks at a time.
//!
//! The order of event ids is that of time, so three marks over the events ([`Tally`]) say how
//! far it has been looked: for idempotency keys, for payloads, for whole events. What a mark passes
//! by and cannot go yet gets a row that says when to look again: so only exceptions cost a row, and
//! nothing is looked at twice without need.
//!
//! Invariant: an event has a row, and one only, exactly if it has been passed for its payload,
//! which is still kept, or as a whole. Where that no longer is so, since rows were lost to damage,
//! or where rows are too late, since things are kept for less time than when they were written, all
//! rows go, and the marks begin anew ([`Tally::anew`]).
//!
//! Damage stops nothing: what cannot be read is noted and passed by. What cannot be judged without
//! it stays.

use std::time::Duration;

use bytes::Bytes;

use crate::model::EventId;
use crate::model::Look;
use crate::model::Prune;
use crate::model::Pruned;
use crate::model::Receipt;
use crate::model::Time;
use crate::policy::retention;
use crate::policy::retention::Fate;
use crate::store::batches::Batches;
use crate::store::batches::CommitError;
use crate::store::fold::clear::Span;
use crate::store::fold::dedupe;
use crate::store::fold::gone;
use crate::store::fold::judge;
use crate::store::fold::judge::Found;
use crate::store::layout;
use crate::store::layout::Ahead;
use crate::store::layout::RowsBy;
use crate::store::layout::Tally;
use crate::store::packed::ReadError;
use crate::store::packed::Sight;

/// Page operations of a row that goes or comes.
const ROW_OPERATIONS: usize = 4;
/// Page operations of an idempotency key that goes.
const KEY_OPERATIONS: usize = 1;

/// Where too much is kept, and all was looked at in vain: it is not looked again until deliveries
/// have ended, one for so many events as were looked at.
const LOOKS_PER_END: u64 = 16;

/// Stages a step of a sweep. Each event is an atomic unit of its own.
pub(super) fn apply(batches: &mut Batches, prune: &Prune) -> Result<Receipt, CommitError> {
    let left = usize::from(prune.limit);
    let mut sweep = Sweep { batches, prune, gone: Pruned::default(), left, ahead: prune.ahead };
    sweep.begin_anew()?;
    sweep.keys()?;
    sweep.payloads()?;
    // before anything of what is younger goes: what bounds a page that cannot be read is the next
    sweep.events()?;
    sweep.due_rows()?;
    sweep.over_size()?;
    sweep.duplicates()?;
    let more = sweep.left == 0 || sweep.tally().anew;
    let (mut gone, ahead) = (sweep.gone, sweep.ahead);
    let (damaged, count) = batches.take_damages();
    gone.damaged = count;
    Ok(Receipt::Pruned { gone, more, ahead, damaged })
}

/// What led to an event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// A row that is due.
    Row(Look),
    /// A row that is not due, since too much is kept.
    Ahead(Look),
    /// The mark for payloads.
    Payloads,
    /// The mark for whole events.
    Events,
}

/// How far it has been looked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Keys,
    Payloads,
    Events,
}

impl Mark {
    fn of(self, tally: &Tally) -> EventId {
        match self {
            Mark::Keys => tally.keys_from,
            Mark::Payloads => tally.payloads_from,
            Mark::Events => tally.events_from,
        }
    }

    fn of_mut(self, tally: &mut Tally) -> &mut EventId {
        match self {
            Mark::Keys => &mut tally.keys_from,
            Mark::Payloads => &mut tally.payloads_from,
            Mark::Events => &mut tally.events_from,
        }
    }
}

struct Sweep<'a> {
    batches: &'a mut Batches,
    prune: &'a Prune,
    gone: Pruned,
    /// Looks left in this step.
    left: usize,
    ahead: Option<Look>,
}

impl Sweep<'_> {
    /// Takes all rows away and puts the marks back, where rows are too late, or not there.
    fn begin_anew(&mut self) -> Result<(), CommitError> {
        let rows_by = RowsBy::of(&self.prune.horizons);
        let before = self.tally().rows_by;
        if rows_by != before {
            let tally = self.batches.tally_mut();
            tally.anew |= rows_by.is_shorter_than(&before);
            tally.rows_by = rows_by;
        }
        while self.tally().anew && self.left > 0 {
            self.left -= 1;
            self.batches.room(ROW_OPERATIONS)?;
            match self.batches.packed.see_from(&layout::EXPIRY, &layout::EXPIRY.key(&[]))? {
                Sight::Entry(key, _) => {
                    self.batches.packed.remove(&layout::EXPIRY, &key)?;
                }
                Sight::Hole(hole) => self.batches.packed.discard(&layout::EXPIRY, hole.base)?,
                Sight::Nothing => {
                    let tally = self.batches.tally_mut();
                    (tally.payloads_from, tally.events_from) = (EventId::MIN, EventId::MIN);
                    tally.anew = false;
                }
            }
        }
        Ok(())
    }

    fn due_rows(&mut self) -> Result<(), CommitError> {
        while let Some(row) = self.row_after(None)?.filter(|(at, _)| *at <= self.prune.now) {
            self.look(row.1, Way::Row(row))?;
        }
        Ok(())
    }

    fn keys(&mut self) -> Result<(), CommitError> {
        let until = self.passed_by(self.prune.horizons.keys);
        while let Some(event) = self.event_from(Mark::Keys, until)? {
            self.left = self.left.saturating_sub(1);
            self.batches.room(KEY_OPERATIONS)?;
            let head = judge::head(self.batches, event);
            let taken = match self.batches.sound(event, head)? {
                Some(Some(head)) => gone::take_key(self.batches, event, &head)?,
                _ => false,
            };
            self.gone.keys += u64::from(taken);
            self.batches.tally_mut().keys_from = event.successor();
        }
        Ok(())
    }

    fn payloads(&mut self) -> Result<(), CommitError> {
        let until = self.passed_by(self.prune.horizons.delivered_payload);
        while let Some(event) = self.event_from(Mark::Payloads, until)? {
            self.look(event, Way::Payloads)?;
        }
        Ok(())
    }

    fn events(&mut self) -> Result<(), CommitError> {
        let until = self.passed_by(self.prune.horizons.events).min(self.tally().payloads_from);
        while let Some(event) = self.event_from(Mark::Events, until)? {
            self.look(event, Way::Events)?;
        }
        Ok(())
    }

    /// What has been passed by is older than what has not, so it goes first.
    fn over_size(&mut self) -> Result<(), CommitError> {
        let again = self.is_over_size() && self.may_look_ahead();
        while again
            && self.is_over_size()
            && let Some(row) = self.row_after(self.ahead)?
        {
            self.ahead = Some(row);
            self.batches.tally_mut().ahead.looked += 1;
            self.look(row.1, Way::Ahead(row))?;
        }
        if again && self.left > 0 {
            // what is passed by from here on has been looked at
            self.ahead = Some((Time::MAX, EventId::MAX));
        }
        while self.is_over_size()
            && let Some(event) = self.event_from(Mark::Payloads, EventId::MAX)?
        {
            self.batches.tally_mut().ahead.looked += 1;
            self.look(event, Way::Payloads)?;
        }
        if self.is_over_size() && self.left > 0 && !self.tally().anew {
            self.batches.tally_mut().ahead.in_vain = true;
        }
        Ok(())
    }

    /// Windows that have ended are forgotten.
    fn duplicates(&mut self) -> Result<(), CommitError> {
        while self.left > 0 {
            self.batches.room(dedupe::FORGET_OPERATIONS_MAX)?;
            if !dedupe::forget_one(self.batches, self.prune.now)? {
                break;
            }
            self.left -= 1;
        }
        Ok(())
    }

    /// Whether it may help to look at what was passed by.
    fn may_look_ahead(&mut self) -> bool {
        let Ahead { looked, ended, in_vain } = self.tally().ahead;
        if in_vain && ended.saturating_mul(LOOKS_PER_END) < looked.max(1) {
            return false;
        }
        if in_vain || self.ahead.is_none() {
            self.batches.tally_mut().ahead = Ahead::default();
        }
        true
    }

    fn is_over_size(&self) -> bool {
        let max = self.prune.horizons.payload_bytes_max;
        max.is_some_and(|max| self.tally().kept.payload_bytes > max)
    }

    fn tally(&self) -> &Tally {
        self.batches.tally()
    }

    /// Events below this one are older than that.
    fn passed_by(&self, age: Duration) -> EventId {
        EventId::first_at(self.prune.now.minus(age))
    }

    /// Judges an event, and does what is judged.
    fn look(&mut self, event: EventId, way: Way) -> Result<(), CommitError> {
        let Some(Found { head, past, record }) = judge::find(self.batches, event)? else {
            self.left = self.left.saturating_sub(1);
            self.batches.room(ROW_OPERATIONS)?;
            return Ok(mark(self.batches, event, way, None)?);
        };
        let targets = head.as_ref().map_or(1, |head| head.targets.len().max(1));
        self.left = self.left.saturating_sub(targets);
        if way == Way::Events && record.has_payload {
            // It has a row.
            self.batches.tally_mut().events_from = event.successor();
            return Ok(());
        }
        let now = self.prune.now;
        match retention::judge(record, &self.prune.horizons, now, self.is_over_size()) {
            Fate::Keep(_) if matches!(way, Way::Ahead(_)) => {}
            Fate::Keep(at) => {
                self.batches.room(ROW_OPERATIONS)?;
                let again = record.has_payload || self.is_passed(event, way);
                mark(self.batches, event, way, again.then_some(at))?;
            }
            Fate::DropPayload(at) => {
                let Some(mut head) = head else { return Ok(()) };
                head.payload_gone = Some(now);
                let again = self.is_passed(event, way).then_some(at);
                let marked = |batches: &mut Batches| mark(batches, event, way, again);
                gone::drop_payload(self.batches, event, &head, marked)?;
                self.gone.payloads += 1;
            }
            Fate::DropEvent => {
                let marked = |batches: &mut Batches| mark(batches, event, way, None);
                let keyed = match &head {
                    Some(head) => gone::drop_event(self.batches, event, head, &past, marked)?,
                    None => gone::drop_headless(self.batches, event, marked).map(|()| false)?,
                };
                self.gone.events += 1;
                self.gone.payloads += u64::from(record.has_payload);
                self.gone.keys += u64::from(keyed);
            }
        }
        Ok(())
    }

    /// Whether an event has been passed by as a whole.
    fn is_passed(&self, event: EventId, way: Way) -> bool {
        way == Way::Events || event < self.tally().events_from
    }

    /// The first row after this one, while looks are left.
    fn row_after(&mut self, after: Option<Look>) -> Result<Option<Look>, CommitError> {
        let from = match after {
            Some(after) => layout::expiry_key(after).joined(&[0]),
            None => layout::EXPIRY.key(&[]),
        };
        if self.left == 0 || self.tally().anew {
            return Ok(None);
        }
        let found = self.batches.packed.first_from(&layout::EXPIRY, &from);
        let row = found.and_then(|found| {
            let row = |(key, _)| layout::expiry_of(&key).ok_or_else(|| layout::bad_key(&key));
            found.map(row).transpose()
        });
        match row {
            Ok(row) => Ok(row),
            Err(error) => {
                rows_lost(self.batches, EventId::MIN, error)?;
                Ok(None)
            }
        }
    }

    /// The first event from a mark on and below `until`, while looks are left.
    fn event_from(&mut self, mark: Mark, until: EventId) -> Result<Option<EventId>, CommitError> {
        while self.left > 0 {
            let from = mark.of(self.tally());
            let hole =
                match self.batches.packed.see_from(&layout::EVENTS, &layout::event_key(from))? {
                    Sight::Nothing => return Ok(None),
                    Sight::Entry(key, _) => {
                        let event = layout::event_of(&key).ok_or_else(|| layout::bad_key(&key))?;
                        return Ok(Some(event).filter(|event| *event < until));
                    }
                    Sight::Hole(hole) => hole,
                };
            // nobody can say which events are in it
            let first = layout::event_of(&hole.base).unwrap_or(EventId::MIN);
            let behind = hole.upper.as_ref().and_then(layout::event_of);
            let wanted =
                |behind: &EventId| if mark == Mark::Events { *behind } else { first } < until;
            let Some(behind) = behind.filter(wanted) else { return Ok(None) };
            let error = ReadError::Page { key: hole.base, fault: hole.fault };
            self.batches.pass_by(first, &error);
            if mark == Mark::Events {
                gone::drop_heads(self.batches, hole.base, Span::between(first, behind))?;
            }
            *mark.of_mut(self.batches.tally_mut()) = behind;
            self.left -= 1;
        }
        Ok(None)
    }
}

/// Stages what a look leaves behind: the mark it came from is moved, its row goes, and there is
/// another one if it is to be looked at `again`.
fn mark(
    batches: &mut Batches,
    event: EventId,
    way: Way,
    again: Option<Time>,
) -> Result<(), ReadError> {
    match way {
        Way::Row(row) | Way::Ahead(row) => {
            batches.packed.remove(&layout::EXPIRY, &layout::expiry_key(row))?;
        }
        Way::Payloads => batches.tally_mut().payloads_from = event.successor(),
        Way::Events => batches.tally_mut().events_from = event.successor(),
    }
    let Some(at) = again else { return Ok(()) };
    let value = Bytes::from(layout::encode(&()));
    let put = batches.packed.insert(&layout::EXPIRY, layout::expiry_key((at, event)), value);
    put.or_else(|error| rows_lost(batches, event, error))
}

/// Rows cannot be read: which, only their events can say.
fn rows_lost(batches: &mut Batches, event: EventId, error: ReadError) -> Result<(), ReadError> {
    if let ReadError::Io(_) = error {
        return Err(error);
    }
    batches.pass_by(event, &error);
    batches.tally_mut().anew = true;
    Ok(())
}
