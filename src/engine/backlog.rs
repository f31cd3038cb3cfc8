//! Backlogs: what has been due for long. All of them together go no faster than live traffic bears
//! (see [`courtesy`](crate::policy::courtesy)).

use std::time::Duration;

use crate::engine::Engine;
use crate::engine::flight::Flight;
use crate::model::Class;
use crate::model::Due;
use crate::model::Time;
use crate::policy::courtesy::Courtesy;

/// What has been due for longer than this belongs to a backlog.
const BACKLOG_AFTER: Duration = Duration::from_secs(10);

/// The pace of all backlogs, and what is under way of them.
#[derive(Debug, Default)]
pub(crate) struct Backlogs {
    courtesy: Courtesy,
    under_way: usize,
    /// When one that was held back may go, or all the others after it.
    pub(crate) next: Option<Time>,
}

impl Backlogs {
    /// Whether a delivery of a backlog may be taken up.
    pub(crate) fn may_go(&mut self, now: Time) -> bool {
        match self.courtesy.may_go(now) {
            Ok(()) => true,
            Err(at) => {
                self.next = Some(at);
                false
            }
        }
    }

    /// A delivery goes into flight.
    pub(crate) fn taken_up(&mut self, now: Time, flight: &Flight) {
        if flight.backlog {
            self.under_way += 1;
            self.courtesy.taken_up(now);
        }
    }

    /// A flight is over.
    pub(crate) fn ended(&mut self, flight: &Flight) {
        debug_assert!(self.under_way > 0 || !flight.backlog, "a flight ends once");
        self.under_way = self.under_way.saturating_sub(usize::from(flight.backlog));
    }
}

impl Engine {
    /// New events that came in then are safe now.
    pub(crate) fn live_commit(&mut self, since: Time, now: Time) {
        let Backlogs { courtesy, under_way, next } = &mut self.backlogs;
        courtesy.committed(now, now.since(since), *under_way > 0 || next.is_some());
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
