//! What a lane may dial, and when: its window, its rate, the pause that its endpoint asked for, and
//! its breaker.

use std::time::Duration;

use crate::engine::lane::Lane;
use crate::engine::lane::Row;
use crate::model::Due;
use crate::model::EventId;
use crate::model::Opened;
use crate::model::Progress;
use crate::model::Time;
use crate::policy::backoff::expires;
use crate::policy::rate::Meter;
use crate::policy::rate::Spacing;
use crate::policy::signs::Sign;
use crate::policy::window::Window;

/// A lane with a rate keeps as many deliveries ready as it dials in this time: enough to dial on
/// while starts are written, and no more, since places in flight are for all lanes ...
const PACED_AHEAD: Duration = Duration::from_millis(50);
/// ... and so many at least ...
const PACED_MIN: usize = 2;
/// ... but none that could not be dialled in this time: what is not dialled soon goes back to its
/// queue, and the next one to be taken would be of the same queue again.
const PACED_WITHIN: Duration = Duration::from_millis(500);

/// The state of a lane's flow control. It is not on disk: after a start an endpoint is met anew,
/// carefully.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    window: Window,
    meter: Meter,
    /// Not before this, the endpoint has asked.
    asked: Time,
    /// Failures of the endpoint in a row.
    pub(crate) failures: u16,
}

impl Gate {
    /// After the endpoint was not called for a while: one attempt, then more and more.
    pub(crate) fn restart(&mut self, now: Time) {
        self.window.restart(now);
    }

    /// The endpoint asks not to be called before this.
    pub(crate) fn pause_until(&mut self, at: Time) {
        self.asked = self.asked.max(at);
    }

    /// Learns from an attempt. `full` says whether the window was used in full.
    pub(crate) fn learn(&mut self, sign: Sign, began: Time, now: Time, full: bool, max: usize) {
        if sign.is_failure() {
            self.failures = self.failures.saturating_add(1);
        } else if sign != Sign::None {
            self.failures = 0;
        }
        if sign.is_strain() {
            self.window.strained(began, now);
        } else if sign == Sign::Well {
            self.window.answered(began, now, full, max);
        }
    }
}

impl Lane {
    /// Its breaker, where that is open.
    pub(crate) fn open(&self) -> Option<&Opened> {
        self.endpoint.flow.breaker.as_ref()?;
        self.endpoint.state.open.as_ref()
    }

    fn spacing(&self) -> Option<Spacing> {
        self.endpoint.flow.rate.as_ref().map(Spacing::spared)
    }

    /// The time from which it may dial the next one.
    pub(crate) fn dials_from(&self) -> Time {
        let open = self.open().map_or(Time::ZERO, |open| open.until);
        let even = self.spacing().map_or(Time::ZERO, |spacing| self.gate.meter.next(&spacing));
        open.max(even).max(self.gate.asked)
    }

    /// Whether only a time, and nobody's word, keeps its deliveries back. Only then a delivery
    /// that waits is late.
    pub(crate) fn is_callable(&self, now: Time) -> bool {
        let open = self.open().map_or(Time::ZERO, |open| open.until);
        self.endpoint.state.is_active() && open.max(self.gate.asked) <= now
    }

    /// Attempts at once that the endpoint has borne, within its own limit. An open breaker lets
    /// one through.
    pub(crate) fn own_window(&self) -> usize {
        if self.open().is_some() {
            return 1;
        }
        self.gate.window.size(self.window_max())
    }

    pub(crate) fn window_max(&self) -> usize {
        usize::try_from(self.endpoint.max_in_flight).unwrap_or(usize::MAX)
    }

    /// Deliveries that may be started: as many ready as dialling, so that the window stays full
    /// while starts are written; with a rate, as many as are dialled meanwhile.
    pub(crate) fn places(&self, window: usize, now: Time) -> usize {
        if self.open().is_some() {
            // what is tried is alone, until all of it is over
            return usize::from(self.flights == self.started);
        }
        let Some((rate, spacing)) = self.endpoint.flow.rate.as_ref().zip(self.spacing()) else {
            return 2 * window;
        };
        let ahead = PACED_AHEAD.as_micros().div_ceil(rate.gap().as_micros().max(1));
        let ahead = usize::try_from(ahead).unwrap_or(usize::MAX);
        let burst = usize::try_from(rate.burst).unwrap_or(usize::MAX);
        let soon = self.gate.meter.count_until(&spacing, now + PACED_WITHIN);
        let ready = ahead.max(PACED_MIN).max(burst).min(soon);
        self.dialling.saturating_add(ready).min(2 * window)
    }

    /// The process has just begun; what its predecessor dialled last is not known.
    pub(crate) fn begin(&mut self, now: Time) {
        self.last_event = now;
        if let Some(spacing) = self.spacing() {
            self.gate.meter.begin(&spacing, now);
        }
    }

    /// A delivery that was due since then is dialled now.
    pub(crate) fn dialled(&mut self, due: Time, now: Time) {
        if let Some(spacing) = self.spacing() {
            self.gate.meter.take(&spacing, 1, due, now);
        }
        self.dialling += 1;
    }

    /// Whether a delivery of this event is too old to be tried.
    pub(crate) fn has_expired(&self, event: EventId, progress: Progress, now: Time) -> bool {
        expires(&self.endpoint.retry, progress, event).is_some_and(|at| at < now)
    }

    /// Takes the first of a queue if it is too old to be tried: that needs no leave of anybody.
    pub(crate) fn expired_head(&self, now: Time) -> Option<Due> {
        let mut heads = [self.fresh.head(), self.timed.head()].into_iter().flatten();
        heads.find(|(due, row)| self.has_expired(due.event, row.progress, now)).map(|(due, _)| due)
    }

    /// When to look at it again if nothing happens before: something becomes due, may be dialled,
    /// or expires.
    pub(crate) fn next_look(&self, now: Time) -> Option<Time> {
        let heads = [self.fresh.head(), self.timed.head()];
        let retry = &self.endpoint.retry;
        let ends = |(due, row): &(Due, &Row)| expires(retry, row.progress, due.event);
        let expiry = heads.iter().flatten().filter_map(ends).min();
        // only what is past its age is expired
        let expiry = expiry.map(|at| at + Duration::from_micros(1));
        let from = self.dials_from();
        let due = heads.iter().flatten().map(|(due, _)| due.at).min();
        let ready = (!self.ready.is_empty()).then_some(Time::ZERO);
        let dial = ready.or(due).map(|at| at.max(from));
        let dial = dial.filter(|_| self.endpoint.state.is_active());
        [expiry, dial].into_iter().flatten().filter(|at| *at > now).min()
    }
}
