//! Backlogs: what has been due for long. All of them together have no more under way than live
//! traffic bears (see [`courtesy`](crate::policy::courtesy)).

use std::time::Duration;

use crate::engine::Engine;
use crate::engine::flight::Flight;
use crate::model::Class;
use crate::model::Due;
use crate::model::Time;
use crate::policy::courtesy::Courtesy;

/// What has been due for longer than this belongs to a backlog.
const BACKLOG_AFTER: Duration = Duration::from_secs(10);

/// What is under way of all backlogs.
#[derive(Debug, Default)]
pub(crate) struct Backlogs {
    courtesy: Courtesy,
    under_way: usize,
}

impl Backlogs {
    /// Whether one more delivery of a backlog may be taken up.
    pub(crate) fn may_go(&self, now: Time, flights_max: usize) -> bool {
        self.under_way < self.courtesy.places(now, flights_max)
    }

    /// A delivery goes into flight.
    pub(crate) fn taken_up(&mut self, flight: &Flight) {
        self.under_way += usize::from(flight.backlog);
    }

    /// A flight is over.
    pub(crate) fn ended(&mut self, flight: &Flight) {
        debug_assert!(self.under_way > 0 || !flight.backlog, "a flight ends once");
        self.under_way = self.under_way.saturating_sub(usize::from(flight.backlog));
    }
}

impl Engine {
    /// New events that came in then are safe now.
    pub(crate) fn live_commit(&mut self, began: Time, now: Time) {
        let Backlogs { courtesy, under_way } = &mut self.backlogs;
        courtesy.committed(now, now.since(began), *under_way);
    }
}

/// Since when a delivery that stands there has been due.
pub(crate) fn due_since(due: Due) -> Time {
    match due.class {
        Class::Fresh => due.event.time(),
        Class::Timed => due.at,
    }
}

/// Whether a delivery that stands there belongs to a backlog.
pub(crate) fn is_backlog(due: Due, now: Time) -> bool {
    now.since(due_since(due)) > BACKLOG_AFTER
}
