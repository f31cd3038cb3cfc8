//! Retention: what was kept for long enough goes, a few looks at a time.
//!
//! The order of event ids is that of time, so three marks over the events ([`Tally`]) say how
//! far it has been looked: for idempotency keys, for payloads, for whole events. What a mark passes
//! by and cannot go yet gets a row that says when to look again: so only exceptions cost a row, and
//! nothing is looked at twice without need.
//!
//! Invariant: an event has a row, and one only, exactly if it has been passed for its payload,
//! which is still kept, or as a whole.

use std::time::Duration;

use bytes::Bytes;

use crate::model::DeliveryId;
use crate::model::EventId;
use crate::model::Look;
use crate::model::Next;
use crate::model::Prune;
use crate::model::Pruned;
use crate::model::Receipt;
use crate::model::Time;
use crate::policy::retention;
use crate::policy::retention::Fate;
use crate::policy::retention::Standing;
use crate::store::batches::Batches;
use crate::store::batches::CommitError;
use crate::store::fold::dedupe;
use crate::store::fold::gone;
use crate::store::fold::gone::Past;
use crate::store::fold::order;
use crate::store::key::Key;
use crate::store::large;
use crate::store::layout;
use crate::store::layout::EventHead;
use crate::store::layout::Tally;
use crate::store::packed::ReadError;
use crate::store::packed::Table;

/// Page operations of a row that goes or comes.
const ROW_OPERATIONS: usize = 4;
/// Page operations of an idempotency key that goes.
const KEY_OPERATIONS: usize = 1;

/// Stages a step of a sweep. Each event is an atomic unit of its own.
pub(super) fn apply(batches: &mut Batches, prune: &Prune) -> Result<Receipt, CommitError> {
    let left = usize::from(prune.limit);
    let mut sweep =
        Sweep { batches, prune, gone: Pruned::default(), left, ahead: prune.ahead, stuck: false };
    sweep.due_rows()?;
    sweep.keys()?;
    sweep.payloads()?;
    sweep.events()?;
    sweep.over_size()?;
    sweep.duplicates()?;
    let more = sweep.left == 0 && !sweep.stuck;
    Ok(Receipt::Pruned { gone: sweep.gone, more, ahead: sweep.ahead })
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

/// An event as it is found.
struct Found {
    head: EventHead,
    past: Past,
    record: retention::Record,
}

struct Sweep<'a> {
    batches: &'a mut Batches,
    prune: &'a Prune,
    gone: Pruned,
    /// Looks left in this step.
    left: usize,
    ahead: Option<Look>,
    /// Whether something cannot be read that cannot be passed by.
    stuck: bool,
}

impl Sweep<'_> {
    fn due_rows(&mut self) -> Result<(), CommitError> {
        while let Some(row) = self.row_after(None)?.filter(|(at, _)| *at <= self.prune.now) {
            self.look(row.1, Way::Row(row))?;
        }
        Ok(())
    }

    fn keys(&mut self) -> Result<(), CommitError> {
        let until = self.passed_by(self.prune.horizons.keys);
        while let Some(event) = self.event_from(self.tally().keys_from, until)? {
            self.left = self.left.saturating_sub(1);
            self.batches.room(KEY_OPERATIONS)?;
            let taken = match self.head(event)? {
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
        while let Some(event) = self.event_from(self.tally().payloads_from, until)? {
            self.look(event, Way::Payloads)?;
        }
        Ok(())
    }

    fn events(&mut self) -> Result<(), CommitError> {
        let until = self.passed_by(self.prune.horizons.events).min(self.tally().payloads_from);
        while let Some(event) = self.event_from(self.tally().events_from, until)? {
            self.look(event, Way::Events)?;
        }
        Ok(())
    }

    /// What has been passed by is older than what has not, so it goes first.
    fn over_size(&mut self) -> Result<(), CommitError> {
        while self.is_over_size()
            && let Some(row) = self.row_after(self.ahead)?
        {
            self.ahead = Some(row);
            self.look(row.1, Way::Ahead(row))?;
        }
        while self.is_over_size()
            && let Some(event) = self.event_from(self.tally().payloads_from, EventId::MAX)?
        {
            self.look(event, Way::Payloads)?;
        }
        Ok(())
    }

    /// Windows that have ended are forgotten.
    fn duplicates(&mut self) -> Result<(), CommitError> {
        while self.left > 0 {
            self.batches.room(dedupe::FORGET_OPERATIONS_MAX)?;
            let forgot = dedupe::forget_one(self.batches, self.prune.now);
            if self.readable(forgot)? != Some(true) {
                break;
            }
            self.left -= 1;
        }
        Ok(())
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
        let Some(found) = self.find(event)? else {
            self.left = self.left.saturating_sub(1);
            self.batches.room(ROW_OPERATIONS)?;
            return Ok(mark(self.batches, event, way, None)?);
        };
        let Found { mut head, past, record } = found;
        self.left = self.left.saturating_sub(head.targets.len().max(1));
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
                head.payload_gone = Some(now);
                let again = self.is_passed(event, way).then_some(at);
                let marked = |batches: &mut Batches| mark(batches, event, way, again);
                gone::drop_payload(self.batches, event, &head, marked)?;
                self.gone.payloads += 1;
            }
            Fate::DropEvent => {
                let marked = |batches: &mut Batches| mark(batches, event, way, None);
                let keyed = gone::drop_event(self.batches, event, &head, &past, marked)?;
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
        let Some(key) = self.first(&layout::EXPIRY, &from)? else { return Ok(None) };
        Ok(Some(layout::expiry_of(&key).ok_or_else(|| layout::bad_key(&key))?))
    }

    /// The first event from `from` on and below `until`, while looks are left.
    fn event_from(
        &mut self,
        from: EventId,
        until: EventId,
    ) -> Result<Option<EventId>, CommitError> {
        let Some(key) = self.first(&layout::EVENTS, &layout::event_key(from))? else {
            return Ok(None);
        };
        let event = layout::event_of(&key).ok_or_else(|| layout::bad_key(&key))?;
        Ok(Some(event).filter(|event| *event < until))
    }

    fn first(&mut self, table: &Table, from: &Key) -> Result<Option<Key>, CommitError> {
        if self.left == 0 {
            return Ok(None);
        }
        let found = self.batches.packed.first_from(table, from);
        let found = self.readable(found)?;
        self.stuck |= found.is_none();
        Ok(found.flatten().map(|(key, _)| key))
    }

    /// The head of an event: none if there is none, nothing if it cannot be read.
    fn head(&mut self, event: EventId) -> Result<Option<Option<EventHead>>, CommitError> {
        let head = head(self.batches, event);
        self.readable(head)
    }

    /// An event, if it is there and can be read.
    fn find(&mut self, event: EventId) -> Result<Option<Found>, CommitError> {
        let found = find(self.batches, event);
        Ok(self.readable(found)?.flatten())
    }

    /// Nothing instead of what is damaged: it stays, and is counted, and the sweep goes on.
    fn readable<T>(&mut self, read: Result<T, ReadError>) -> Result<Option<T>, CommitError> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(error @ ReadError::Io(_)) => Err(error.into()),
            Err(ReadError::Page { .. } | ReadError::Entry { .. }) => {
                self.gone.unreadable += 1;
                Ok(None)
            }
        }
    }
}

fn head(batches: &mut Batches, event: EventId) -> Result<Option<EventHead>, ReadError> {
    let key = layout::event_key(event);
    let raw = large::get(&mut batches.packed, &layout::EVENTS, &key)?;
    raw.map(|raw| layout::decode(&key, &raw)).transpose()
}

fn find(batches: &mut Batches, event: EventId) -> Result<Option<Found>, ReadError> {
    let Some(head) = head(batches, event)? else { return Ok(None) };
    let past = gone::past(batches, event)?;
    let mut standing = Standing::Ended;
    let mut last = head.accepted_at;
    for target in &head.targets {
        let delivery = DeliveryId::new(event, *target);
        let flies = batches.packed.get(&layout::FLIGHT, &layout::flight_key(delivery))?.is_some();
        let step = past.last.get(target).filter(|_| !flies);
        let parked = match head.order_key(*target) {
            Some(key) => order::first(batches, *target, key)? == Some(event),
            None => false,
        };
        match step.map(|step| step.next) {
            Some(Next::Delivered | Next::Cancelled) => {}
            Some(Next::Dead { .. }) if !parked => standing = Standing::Dead,
            _ => {
                standing = Standing::Pending;
                break;
            }
        }
        last = step.map_or(last, |step| last.max(step.at));
    }
    let has_payload = head.payload_gone.is_none();
    let record = retention::Record { standing, last, has_payload };
    Ok(Some(Found { head, past, record }))
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
    if let Some(at) = again {
        let value = Bytes::from(layout::encode(&()));
        batches.packed.insert(&layout::EXPIRY, layout::expiry_key((at, event)), value)?;
    }
    Ok(())
}
