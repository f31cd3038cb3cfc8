//! Reads, beside the writer. They block: call them off the async workers.
//!
//! What is read may not be synced yet. It is acted on only by way of a commit, and commits are
//! synced in order.

use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;

use bytes::Bytes;

use crate::model::Class;
use crate::model::DeliveryId;
use crate::model::DeliveryState;
use crate::model::Event;
use crate::model::EventId;
use crate::model::Next;
use crate::model::Progress;
use crate::model::Step;
use crate::store::batches::CommitError;
use crate::store::key::Key;
use crate::store::large;
use crate::store::layout;
use crate::store::layout::CHUNK_BYTES_MAX;
use crate::store::layout::EventHead;
use crate::store::layout::Tally;
use crate::store::packed::ReadError;
use crate::store::scan;
use crate::store::shown::Shown;

/// Where readers come from, as many as are wanted.
#[derive(Clone, Debug)]
pub struct Readers {
    tree: sled::Tree,
    shown: Arc<Shown>,
}

/// Reads the store: what was safe when it was made, and much of what came later.
#[derive(Debug)]
pub struct Reader {
    pub(super) tree: sled::Tree,
}

impl Readers {
    pub(super) fn new(tree: sled::Tree, shown: Arc<Shown>) -> Readers {
        Readers { tree, shown }
    }

    /// A reader that sees everything that is safe by now. It may have to wait for that, for as long
    /// as it takes to sync the underlying store.
    ///
    /// # Errors
    /// [`ReadError::Io`] if the writer has failed.
    pub fn reader(&self) -> Result<Reader, ReadError> {
        if self.shown.wait() {
            return Ok(Reader::new(self.tree.clone()));
        }
        Err(ReadError::Io("the writer has failed".to_owned()))
    }

    /// Lets go of the store, which the last one to do so syncs once more.
    ///
    /// # Errors
    /// [`CommitError`] if that failed; what was acknowledged is safe all the same.
    pub fn let_go(self) -> Result<(), CommitError> {
        let_go(self)
    }
}

/// Drops what may be the last hold on the underlying store: it syncs then, and has no other way to
/// say that this failed than to panic.
pub(super) fn let_go<T>(last: T) -> Result<(), CommitError> {
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(last)));
    dropped.map_err(|_| CommitError::Io("the last sync failed".to_owned()))
}

/// A delivery, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRecord {
    /// Its state; [`DeliveryState::Held`] is only what a person has put aside.
    pub state: DeliveryState,
    /// Its past.
    pub progress: Progress,
    /// What follows from its last step; `None` before the first one.
    pub next: Option<Next>,
    /// Its log.
    pub steps: Vec<Step>,
}

impl Reader {
    /// A reader of this tree.
    pub(super) fn new(tree: sled::Tree) -> Reader {
        Reader { tree }
    }

    /// An event without its body.
    ///
    /// # Errors
    /// [`ReadError`] names what cannot be read.
    pub fn event_head(&self, id: EventId) -> Result<Option<EventHead>, ReadError> {
        let key = layout::event_key(id);
        let Some(raw) = scan::get(&self.tree, &layout::EVENTS, &key)? else { return Ok(None) };
        let raw = large::joined(&self.tree, &layout::EVENTS, &key, raw)?;
        raw.map(|raw| layout::decode(&key, &raw)).transpose()
    }

    /// What is kept, and how far the sweeps have come.
    ///
    /// # Errors
    /// [`ReadError`] names what cannot be read.
    pub fn tally(&self) -> Result<Tally, ReadError> {
        let key = layout::tally_key();
        let raw = scan::get(&self.tree, &layout::META, &key)?;
        raw.map_or(Ok(Tally::default()), |raw| layout::decode(&key, &raw))
    }

    /// Whether the store was left in order.
    ///
    /// # Errors
    /// [`ReadError`] names what cannot be read.
    pub fn is_clean(&self) -> Result<bool, ReadError> {
        Ok(scan::get(&self.tree, &layout::META, &layout::clean_key())?.is_some())
    }

    /// An event with its body; `None` if it, or its body, is no longer kept.
    ///
    /// # Errors
    /// [`ReadError`] names what cannot be read.
    pub fn event(&self, id: EventId) -> Result<Option<Event>, ReadError> {
        let kept = |head: &EventHead| head.payload_gone.is_none();
        let Some(head) = self.event_head(id)?.filter(kept) else { return Ok(None) };
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
            // It may have gone since its head was read.
            if self.event_head(id)?.filter(kept).is_none() {
                return Ok(None);
            }
            return Err(ReadError::Entry { key: from, fault: "a part of the body is missing" });
        }
        Ok(Some(head.with_body(id, body)))
    }

    /// A delivery with its log.
    ///
    /// # Errors
    /// [`ReadError`] names what cannot be read.
    pub fn delivery(&self, delivery: DeliveryId) -> Result<DeliveryRecord, ReadError> {
        // In this order: a delivery that leaves flight meanwhile has its step by then.
        let flight = scan::get(&self.tree, &layout::FLIGHT, &layout::flight_key(delivery))?;
        let (from, to) = (layout::step_key(delivery, 0), layout::step_key(delivery, u16::MAX));
        let rows = scan::ascending(&self.tree, &from, &to, usize::from(u16::MAX))?;
        let step = |(key, raw): (Key, Bytes)| -> Result<Option<Step>, ReadError> {
            let raw = large::joined(&self.tree, &layout::STEPS, &key, raw)?;
            raw.map(|raw| layout::decode(&key, &raw)).transpose()
        };
        let steps: Option<Vec<Step>> = rows.into_iter().map(step).collect::<Result<_, _>>()?;
        // Steps that go, go with their event: what is left of them says nothing.
        let event = scan::get(&self.tree, &layout::EVENTS, &layout::event_key(delivery.event));
        let is_gone = flight.is_none() && matches!(event, Ok(None));
        let steps = steps.filter(|_| !is_gone).unwrap_or_default();
        let progress = steps.iter().fold(Progress::default(), Progress::after);
        let next = steps.last().map(|last| last.next);
        let state = match (flight, next) {
            (Some(_), _) => DeliveryState::Sending,
            (None, Some(Next::Delivered)) => DeliveryState::Delivered,
            (None, Some(next)) if next.is_on_hold() => DeliveryState::Held,
            (None, Some(Next::Wait { .. })) => DeliveryState::Waiting,
            (None, Some(Next::Dead { .. })) => DeliveryState::Dead,
            (None, Some(Next::Cancelled)) => DeliveryState::Cancelled,
            (None, None) => self.state_before_steps(delivery)?,
        };
        Ok(DeliveryRecord { state, progress, next, steps })
    }

    fn state_before_steps(&self, delivery: DeliveryId) -> Result<DeliveryState, ReadError> {
        let Some(head) = self.event_head(delivery.event)? else {
            return Ok(DeliveryState::Unknown);
        };
        if head.targets.binary_search(&delivery.endpoint).is_err() {
            return Ok(DeliveryState::Unknown);
        }
        Ok(match head.first_due(delivery.event).class {
            Class::Fresh => DeliveryState::Queued,
            Class::Timed => DeliveryState::Waiting,
        })
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
}
