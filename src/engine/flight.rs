//! Deliveries on their way from a queue to the end of their attempt.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::words::Caller;
use crate::model::DeliveryId;
use crate::model::Due;
use crate::model::EndpointNo;
use crate::model::Event;
use crate::model::Progress;
use crate::model::Time;

/// Where a flight is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Its start is being written.
    Starting,
    /// Its start is safe; it waits for a place in its lane's window.
    Ready,
    /// Its attempt is under way.
    Dialling,
    /// Its step is being written.
    Settling,
}

/// A person who wants the flight ended.
#[derive(Clone, Debug)]
pub(crate) struct CancelBy {
    pub(crate) caller: Caller,
    pub(crate) actor: String,
}

/// One delivery under way.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    pub(crate) phase: Phase,
    pub(crate) progress: Progress,
    /// Since when it was due.
    pub(crate) due: Time,
    /// Whether it had been due for long when it was taken up.
    pub(crate) backlog: bool,
    /// Its event, where it still is in memory.
    pub(crate) event: Option<Arc<Event>>,
    pub(crate) cancel: Option<CancelBy>,
    /// Where somebody has moved it while its start was being written: the start will be found
    /// stale, and it waits there.
    pub(crate) moved_to: Option<(Due, Progress)>,
}

/// All deliveries under way, and those found in flight at the start, not yet dealt with.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    by_delivery: BTreeMap<DeliveryId, Flight>,
    /// How many of them are dialling.
    pub(crate) dialling: usize,
    /// Found in flight at the start; each is written down as interrupted before anything else.
    pub(crate) interrupted: Vec<(DeliveryId, Progress)>,
}

impl Flights {
    pub(crate) fn len(&self) -> usize {
        self.by_delivery.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_delivery.is_empty() && self.interrupted.is_empty()
    }

    pub(crate) fn has(&self, delivery: DeliveryId) -> bool {
        self.by_delivery.contains_key(&delivery)
    }

    pub(crate) fn get_mut(&mut self, delivery: DeliveryId) -> Option<&mut Flight> {
        self.by_delivery.get_mut(&delivery)
    }

    /// The attempts under way to an endpoint.
    pub(crate) fn dialling_to(&self, no: EndpointNo) -> impl Iterator<Item = DeliveryId> {
        let to = move |(delivery, flight): (&DeliveryId, &Flight)| {
            (delivery.endpoint == no && flight.phase == Phase::Dialling).then_some(*delivery)
        };
        self.by_delivery.iter().filter_map(to)
    }

    pub(crate) fn insert(&mut self, delivery: DeliveryId, flight: Flight) {
        let before = self.by_delivery.insert(delivery, flight);
        debug_assert!(before.is_none(), "a delivery is in flight once");
    }

    pub(crate) fn remove(&mut self, delivery: DeliveryId) -> Option<Flight> {
        self.by_delivery.remove(&delivery)
    }
}
