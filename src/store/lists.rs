//! Lists: lanes, dead deliveries, events, endpoints, in pages that go on from a cursor.

use bytes::Bytes;

use crate::model::Class;
use crate::model::DeliveryId;
use crate::model::Due;
use crate::model::EndpointEntry;
use crate::model::EndpointNo;
use crate::model::EventId;
use crate::model::LaneCounts;
use crate::model::Progress;
use crate::model::Time;
use crate::store::key::Key;
use crate::store::large;
use crate::store::layout;
use crate::store::layout::DeadEntry;
use crate::store::layout::EventHead;
use crate::store::packed::ReadError;
use crate::store::packed::Table;
use crate::store::read::Reader;
use crate::store::scan;

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
        let low = layout::EVENTS.key(&[]);
        let below = before.map_or(last_of(&low), layout::event_key);
        self.event_rows(|| scan::descending(&self.tree, &below, &low, limit))
    }

    /// The event that was admitted last, whether or not it can be read.
    ///
    /// # Errors
    /// [`ReadError`] names what cannot be read.
    pub fn last_event(&self) -> Result<Option<EventId>, ReadError> {
        let low = layout::EVENTS.key(&[]);
        let rows = scan::descending(&self.tree, &last_of(&low), &low, 1)?;
        let id =
            |(key, _): &(Key, Bytes)| layout::event_of(key).ok_or_else(|| layout::bad_key(key));
        rows.first().map(id).transpose()
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
        self.event_rows(|| scan::ascending(&self.tree, &from, &to, limit))
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
        let row = |(key, raw): (Key, Bytes)| {
            let raw = large::joined(&self.tree, &layout::ENDPOINTS, &key, raw).transpose()?;
            Some(raw.and_then(|raw| layout::decode(&key, &raw)))
        };
        self.all(&layout::ENDPOINTS)?.into_iter().filter_map(row).collect()
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

    /// Reads until none of the events goes away meanwhile.
    fn event_rows(
        &self,
        read: impl Fn() -> Result<Vec<(Key, Bytes)>, ReadError>,
    ) -> Result<Vec<(EventId, EventHead)>, ReadError> {
        loop {
            let rows = read()?.into_iter().map(|row| self.event_row(row));
            let rows: Option<Vec<_>> = rows.collect::<Result<_, _>>()?;
            if let Some(rows) = rows {
                return Ok(rows);
            }
        }
    }

    fn event_row(
        &self,
        (key, raw): (Key, Bytes),
    ) -> Result<Option<(EventId, EventHead)>, ReadError> {
        let id = layout::event_of(&key).ok_or_else(|| layout::bad_key(&key))?;
        let raw = large::joined(&self.tree, &layout::EVENTS, &key, raw)?;
        raw.map(|raw| Ok((id, layout::decode(&key, &raw)?))).transpose()
    }

    pub(super) fn all(&self, table: &Table) -> Result<Vec<(Key, Bytes)>, ReadError> {
        let low = table.key(&[]);
        scan::ascending(&self.tree, &low, &last_of(&low), usize::MAX)
    }
}

/// A key behind all those that begin with `lane`: no event and no time is all ones.
pub(super) fn last_of(lane: &Key) -> Key {
    lane.joined(&[0xFF; 24])
}

fn due_row(key: &Key, raw: &Bytes) -> Result<(Due, Progress), ReadError> {
    let due = layout::due_of(key).ok_or_else(|| layout::bad_key(key))?;
    Ok((due, layout::decode(key, raw)?))
}
