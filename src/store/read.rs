//! Reads, beside the writer. They block: call them off the async workers.
//!
//! What is read may not be synced yet. It is acted on only by way of a commit, and commits are
//! synced in order.

use bytes::Bytes;

use crate::model::Class;
use crate::model::DeliveryId;
use crate::model::DeliveryState;
use crate::model::Due;
use crate::model::EndpointEntry;
use crate::model::EndpointNo;
use crate::model::Event;
use crate::model::EventId;
use crate::model::LaneCounts;
use crate::model::Next;
use crate::model::Progress;
use crate::model::Step;
use crate::model::Time;
use crate::store::key::Key;
use crate::store::large;
use crate::store::layout;
use crate::store::layout::CHUNK_BYTES_MAX;
use crate::store::layout::DeadEntry;
use crate::store::layout::EventHead;
use crate::store::packed::ReadError;
use crate::store::packed::Table;
use crate::store::scan;

/// Reads the store; as many of them as are wanted.
#[derive(Clone, Debug)]
pub struct Reader {
    tree: sled::Tree,
}

/// A delivery, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRecord {
    /// Its state; [`DeliveryState::Held`] is not known here.
    pub state: DeliveryState,
    /// Its past.
    pub progress: Progress,
    /// What follows from its last step; `None` before the first one.
    pub next: Option<Next>,
    /// Its log.
    pub steps: Vec<Step>,
}

/// A dead delivery in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadRow {
    /// Its event.
    pub event: EventId,
    /// The time of its last step.
    pub at: Time,
    /// Why it was given up, and its past.
    pub entry: DeadEntry,
}

impl Reader {
    /// A reader of this tree.
    pub(super) fn new(tree: sled::Tree) -> Reader {
        Reader { tree }
    }

    /// Waiting deliveries of an endpoint, in order, after `after`.
    ///
    /// # Errors
    /// [`ReadError`] names what cannot be read.
    pub fn load(
        &self,
        endpoint: EndpointNo,
        class: Class,
        after: Option<Due>,
        limit: usize,
    ) -> Result<Vec<(Due, Progress)>, ReadError> {
        let table = layout::due_table(class);
        let lane = table.key(&[&endpoint.to_bytes()]);
        // The key itself is passed over: the byte behind it begins the next possible key.
        let from = match after.filter(|after| after.class == class) {
            Some(after) => layout::due_key(endpoint, after).joined(&[0]),
            None => lane,
        };
        let rows = scan::ascending(&self.tree, &from, &last_of(&lane), limit)?;
        rows.iter().map(|(key, raw)| due_row(key, raw)).collect()
    }

    /// Waiting deliveries of an endpoint, the one that is due last first, before `before`.
    ///
    /// # Errors
    /// [`ReadError`] names what cannot be read.
    pub fn waiting(
        &self,
        endpoint: EndpointNo,
        class: Class,
        before: Option<Due>,
        limit: usize,
    ) -> Result<Vec<(Due, Progress)>, ReadError> {
        let table = layout::due_table(class);
        let lane = table.key(&[&endpoint.to_bytes()]);
        let below = match before.filter(|before| before.class == class) {
            Some(before) => layout::due_key(endpoint, before),
            None => last_of(&lane),
        };
        let rows = scan::descending(&self.tree, &below, &lane, limit)?;
        rows.iter().map(|(key, raw)| due_row(key, raw)).collect()
    }

    /// Dead deliveries of an endpoint, newest first, before `before`.
    ///
    /// # Errors
    /// [`ReadError`] names what cannot be read.
    pub fn dead(
        &self,
        endpoint: EndpointNo,
        before: Option<(Time, EventId)>,
        limit: usize,
    ) -> Result<Vec<DeadRow>, ReadError> {
        let lane = layout::DEAD.key(&[&endpoint.to_bytes()]);
        let below = match before {
            Some((at, event)) => layout::dead_key(endpoint, at, event),
            None => last_of(&lane),
        };
        let rows = scan::descending(&self.tree, &below, &lane, limit)?;
        let row = |(key, raw): &(Key, Bytes)| {
            let (at, event) = layout::dead_of(key).ok_or_else(|| layout::bad_key(key))?;
            Ok(DeadRow { event, at, entry: layout::decode(key, raw)? })
        };
        rows.iter().map(row).collect()
    }

    /// Events, newest first, before `before`.
    ///
    /// # Errors
    /// [`ReadError`] names what cannot be read.
    pub fn events(
        &self,
        before: Option<EventId>,
        limit: usize,
    ) -> Result<Vec<(EventId, EventHead)>, ReadError> {
        let below = match before {
            Some(before) => layout::event_key(before),
            None => last_of(&layout::EVENTS.key(&[])),
        };
        let rows = scan::descending(&self.tree, &below, &layout::EVENTS.key(&[]), limit)?;
        let row = |(key, raw): (Key, Bytes)| {
            let id = layout::event_of(&key).ok_or_else(|| layout::bad_key(&key))?;
            Ok((id, layout::decode(&key, &large::joined(&self.tree, &key, raw)?)?))
        };
        rows.into_iter().map(row).collect()
    }

    /// Events from `from` to `to` (both included), oldest first.
    ///
    /// # Errors
    /// [`ReadError`] names what cannot be read.
    pub fn events_between(
        &self,
        from: EventId,
        to: EventId,
        limit: usize,
    ) -> Result<Vec<(EventId, EventHead)>, ReadError> {
        let (from, to) = (layout::event_key(from), layout::event_key(to));
        let rows = scan::ascending(&self.tree, &from, &to, limit)?;
        let row = |(key, raw): (Key, Bytes)| {
            let id = layout::event_of(&key).ok_or_else(|| layout::bad_key(&key))?;
            Ok((id, layout::decode(&key, &large::joined(&self.tree, &key, raw)?)?))
        };
        rows.into_iter().map(row).collect()
    }

    /// An event without its body.
    ///
    /// # Errors
    /// [`ReadError`] names what cannot be read.
    pub fn event_head(&self, id: EventId) -> Result<Option<EventHead>, ReadError> {
        let key = layout::event_key(id);
        let Some(raw) = scan::get(&self.tree, &layout::EVENTS, &key)? else { return Ok(None) };
        layout::decode(&key, &large::joined(&self.tree, &key, raw)?).map(Some)
    }

    /// An event with its body.
    ///
    /// # Errors
    /// [`ReadError`] names what cannot be read.
    pub fn event(&self, id: EventId) -> Result<Option<Event>, ReadError> {
        let Some(head) = self.event_head(id)? else { return Ok(None) };
        let bytes = usize::try_from(head.body_bytes).unwrap_or(usize::MAX);
        let (from, to) = (layout::body_key(id, 0), layout::body_key(id, u16::MAX));
        let rows = scan::ascending(&self.tree, &from, &to, bytes.div_ceil(CHUNK_BYTES_MAX))?;
        let body = match &rows[..] {
            [(_, only)] => only.clone(),
            chunks => {
                Bytes::from(chunks.iter().flat_map(|(_, chunk)| chunk).copied().collect::<Vec<_>>())
            }
        };
        if body.len() != bytes {
            return Err(ReadError::Entry { key: from, fault: "a part of the body is missing" });
        }
        Ok(Some(head.with_body(id, body)))
    }

    /// A delivery with its log.
    ///
    /// # Errors
    /// [`ReadError`] names what cannot be read.
    pub fn delivery(&self, delivery: DeliveryId) -> Result<DeliveryRecord, ReadError> {
        let (from, to) = (layout::step_key(delivery, 0), layout::step_key(delivery, u16::MAX));
        let rows = scan::ascending(&self.tree, &from, &to, usize::from(u16::MAX))?;
        let step = |(key, raw): (Key, Bytes)| -> Result<Step, ReadError> {
            layout::decode(&key, &large::joined(&self.tree, &key, raw)?)
        };
        let steps = rows.into_iter().map(step).collect::<Result<Vec<_>, _>>()?;
        let progress = steps.iter().fold(Progress::default(), Progress::after);
        let next = steps.last().map(|last| last.next);
        let state = self.state(delivery, next)?;
        Ok(DeliveryRecord { state, progress, next, steps })
    }

    fn state(&self, delivery: DeliveryId, next: Option<Next>) -> Result<DeliveryState, ReadError> {
        let flight = layout::flight_key(delivery);
        if scan::get(&self.tree, &layout::FLIGHT, &flight)?.is_some() {
            return Ok(DeliveryState::Sending);
        }
        Ok(match next {
            Some(Next::Delivered) => DeliveryState::Delivered,
            Some(Next::Wait { .. }) => DeliveryState::Waiting,
            Some(Next::Dead { .. }) => DeliveryState::Dead,
            Some(Next::Cancelled) => DeliveryState::Cancelled,
            None => match self.event_head(delivery.event)? {
                Some(head) if head.targets.binary_search(&delivery.endpoint).is_ok() => {
                    match head.first_due(delivery.event).class {
                        Class::Fresh => DeliveryState::Queued,
                        Class::Timed => DeliveryState::Waiting,
                    }
                }
                _ => DeliveryState::Unknown,
            },
        })
    }

    /// How much stands in each lane.
    ///
    /// # Errors
    /// [`ReadError`] names what cannot be read.
    pub fn lanes(&self) -> Result<Vec<(EndpointNo, LaneCounts)>, ReadError> {
        let row = |(key, raw): (Key, Bytes)| {
            let no = layout::lane_of(&key).ok_or_else(|| layout::bad_key(&key))?;
            Ok((no, layout::decode(&key, &raw)?))
        };
        self.all(&layout::LANES)?.into_iter().map(row).collect()
    }

    /// All endpoints there ever were, by number.
    ///
    /// # Errors
    /// [`ReadError`] names what cannot be read.
    pub fn endpoints(&self) -> Result<Vec<EndpointEntry>, ReadError> {
        let row =
            |(key, raw): (Key, Bytes)| layout::decode(&key, &large::joined(&self.tree, &key, raw)?);
        self.all(&layout::ENDPOINTS)?.into_iter().map(row).collect()
    }

    /// Deliveries that are being dialled.
    ///
    /// # Errors
    /// [`ReadError`] names what cannot be read.
    pub fn in_flight(&self) -> Result<Vec<(DeliveryId, Progress)>, ReadError> {
        let row = |(key, raw): (Key, Bytes)| {
            let delivery = layout::flight_of(&key).ok_or_else(|| layout::bad_key(&key))?;
            Ok((delivery, layout::decode(&key, &raw)?))
        };
        self.all(&layout::FLIGHT)?.into_iter().map(row).collect()
    }

    /// One cheap real read, to see that the store answers.
    ///
    /// # Errors
    /// [`ReadError`] if it does not.
    pub fn ping(&self) -> Result<(), ReadError> {
        let key = layout::format_key();
        match scan::get(&self.tree, &layout::META, &key)? {
            Some(_) => Ok(()),
            None => Err(ReadError::Entry { key, fault: "it is missing" }),
        }
    }

    fn all(&self, table: &Table) -> Result<Vec<(Key, Bytes)>, ReadError> {
        let low = table.key(&[]);
        scan::ascending(&self.tree, &low, &last_of(&low), usize::MAX)
    }
}

/// A key behind all those that begin with `lane`: no event and no time is all ones.
fn last_of(lane: &Key) -> Key {
    lane.joined(&[0xFF; 24])
}

fn due_row(key: &Key, raw: &Bytes) -> Result<(Due, Progress), ReadError> {
    let due = layout::due_of(key).ok_or_else(|| layout::bad_key(key))?;
    Ok((due, layout::decode(key, raw)?))
}
