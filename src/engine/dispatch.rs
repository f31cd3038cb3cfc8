//! Who is dialled next: lanes in turn, each within its window.

use std::time::Duration;

use crate::engine::Draining;
use crate::engine::Engine;
use crate::engine::Pending;
use crate::engine::backlog::due_since;
use crate::engine::backlog::is_backlog;
use crate::engine::flight::Flight;
use crate::engine::flight::Phase;
use crate::engine::lane::LOAD_ROWS;
use crate::engine::lane::Lane;
use crate::engine::lane::Row;
use crate::engine::words::Dial;
use crate::engine::words::Effect;
use crate::engine::words::Notice;
use crate::model::Class;
use crate::model::DeliveryId;
use crate::model::Due;
use crate::model::EndpointNo;
use crate::model::Receipt;
use crate::model::Record;
use crate::model::Time;

/// Starts that one commit holds at most.
const STARTS_MAX: usize = 128;
/// What is ready goes back to its queue where it would have to wait for longer than this.
const PATIENCE: Duration = Duration::from_secs(1);
/// One part in so many of all attempts is kept for lanes that have less than their share.
const SPARE_PARTS: usize = 4;

/// Starts whose commit is being put together.
#[derive(Default)]
struct Starts {
    records: Vec<Record>,
    deliveries: Vec<(DeliveryId, Due)>,
}

/// What one step for a lane came to.
enum Served {
    /// There may be another step.
    Again,
    /// Too many deliveries are in flight for another to start, or backlogs have to wait.
    CrowdedOut,
    /// Not before something happens to this lane.
    Nothing,
}

impl Engine {
    /// Serves the lanes in the ring until none can go on. Lanes that only lack a place in flight
    /// keep their turn.
    pub(crate) fn dispatch(&mut self, now: Time, out: &mut Vec<Effect>) {
        let mut starts = Starts::default();
        let mut crowded_out = Vec::new();
        self.backlogs.next = None;
        while self.flights.dialling < self.limits.attempts_max
            && let Some(no) = self.ring.pop_front()
        {
            if let Some(lane) = self.lanes.get_mut(&no) {
                lane.in_ring = false;
            }
            match self.serve(now, no, &mut starts, out) {
                Served::Again => self.ring_in(no),
                Served::CrowdedOut => crowded_out.push(no),
                Served::Nothing => self.look_again(now, no),
            }
            self.load(no, out);
            if starts.records.len() >= STARTS_MAX {
                self.commit_starts(&mut starts, out);
            }
        }
        crowded_out.into_iter().for_each(|no| self.ring_in(no));
        self.commit_starts(&mut starts, out);
    }

    fn commit_starts(&mut self, starts: &mut Starts, out: &mut Vec<Effect>) {
        if !starts.records.is_empty() {
            let Starts { records, deliveries } = std::mem::take(starts);
            self.commit(records, Pending::Starts(deliveries), out);
        }
    }

    /// One step for one lane: dials what is ready, or takes the next from its queue.
    fn serve(
        &mut self,
        now: Time,
        no: EndpointNo,
        starts: &mut Starts,
        out: &mut Vec<Effect>,
    ) -> Served {
        let window = self.window(no);
        let few_left = self.few_places_left();
        let draining = self.draining != Draining::No;
        let Some(lane) = self.lanes.get_mut(&no) else { return Served::Nothing };
        let expired = lane.expired_head(now).filter(|_| !draining && lane.removal.is_none());
        let from = lane.dials_from();
        if draining || !lane.endpoint.state.is_active() || from > now + PATIENCE {
            self.put_back_ready(now, no, out);
        } else if from <= now && lane.dialling < window && !lane.ready.is_empty() {
            // the last places are not for endpoints that have just failed: so those that hang,
            // however many, leave some to the others
            if few_left && lane.gate.failures > 0 {
                return Served::CrowdedOut;
            }
            if let Some(delivery) = lane.ready.pop_front() {
                self.dial(now, delivery, out);
            }
            return Served::Again;
        }
        let Some(lane) = self.lanes.get_mut(&no) else { return Served::Nothing };
        let dials = !draining && lane.endpoint.state.is_active() && from <= now;
        if expired.is_none() && !(dials && lane.started < lane.places(window, now)) {
            return Served::Nothing;
        }
        if self.flights.len() >= self.limits.flights_max {
            return Served::CrowdedOut;
        }
        let taken = match expired {
            Some(due) => lane.shelf(due.class).remove(due).map(|row| (due, row)),
            None => lane.take_due(now, &mut self.backlogs),
        };
        let Some((due, row)) = taken else {
            // it was held back, if something is due
            let due = lane.oldest_due(now).is_some();
            return if due { Served::CrowdedOut } else { Served::Nothing };
        };
        self.rows -= 1;
        self.forget(&row);
        self.take_up(now, DeliveryId::new(due.event, no), due, row, starts);
        Served::Again
    }

    /// A row was taken from its queue.
    fn take_up(
        &mut self,
        now: Time,
        delivery: DeliveryId,
        due: Due,
        row: Row,
        starts: &mut Starts,
    ) {
        if let Some(flight) = self.flights.get_mut(delivery) {
            // Of the two places, one is from a reading that was overtaken. While the start of the
            // other is being written, it is open which; later, it is this one.
            if flight.phase == Phase::Starting {
                flight.moved_to = Some((due, row.progress));
                self.count(delivery.endpoint, due.class, -1);
            }
        } else {
            self.start(now, delivery, due, row, starts);
        }
    }

    fn start(&mut self, now: Time, delivery: DeliveryId, due: Due, row: Row, starts: &mut Starts) {
        self.count(delivery.endpoint, due.class, -1);
        let flight = Flight {
            phase: Phase::Starting,
            progress: row.progress.taken_from(due),
            due: due_since(due).min(now),
            backlog: is_backlog(due, now),
            event: row.event,
            cancel: None,
            moved_to: None,
        };
        self.take_off(now, delivery, flight);
        starts.records.push(Record::Start { delivery, from: due });
        starts.deliveries.push((delivery, due));
    }

    /// Starts are safe: they are ready.
    pub(crate) fn started(
        &mut self,
        starts: Vec<(DeliveryId, Due)>,
        receipts: Vec<Receipt>,
        out: &mut Vec<Effect>,
    ) {
        for ((delivery, from), receipt) in starts.into_iter().zip(receipts) {
            let moved_to = self.flights.get_mut(delivery).and_then(|flight| flight.moved_to.take());
            if receipt == Receipt::Applied {
                // then it never stood elsewhere
                if let Some((due, _)) = moved_to {
                    self.count(delivery.endpoint, due.class, 1);
                }
                self.make_ready(delivery);
            } else {
                // then it was not taken from where it was believed to stand
                self.count(delivery.endpoint, from.class, 1);
                self.land(delivery, out);
                if let Some((due, progress)) = moved_to {
                    self.queue(delivery.endpoint, due, progress, None);
                }
                let doing = "start";
                out.push(Effect::Publish(Notice::Disagreement { delivery, doing }));
            }
        }
    }

    fn dial(&mut self, now: Time, delivery: DeliveryId, out: &mut Vec<Effect>) {
        let Some(lane) = self.lanes.get_mut(&delivery.endpoint) else { return };
        let Some(flight) = self.flights.get_mut(delivery) else { return };
        if lane.has_expired(delivery.event, flight.progress, now) {
            self.settle_ready(now, vec![delivery], out);
            return;
        }
        debug_assert_eq!(flight.phase, Phase::Ready);
        flight.phase = Phase::Dialling;
        let dial = Dial {
            delivery,
            attempt: flight.progress.attempts.saturating_add(1),
            event: flight.event.take(),
            due: flight.due,
        };
        self.flights.dialling += 1;
        lane.dialled(dial.due, now);
        out.push(Effect::Dial(dial));
    }

    /// A delivery goes into flight.
    pub(crate) fn take_off(&mut self, now: Time, delivery: DeliveryId, flight: Flight) {
        self.backlogs.taken_up(now, &flight);
        self.flights.insert(delivery, flight);
        if let Some(lane) = self.lanes.get_mut(&delivery.endpoint) {
            self.busy += usize::from(lane.started == 0);
            lane.started += 1;
            lane.flights += 1;
        }
    }

    /// A flight ends without an attempt.
    pub(crate) fn land(&mut self, delivery: DeliveryId, out: &mut Vec<Effect>) -> Option<Flight> {
        self.free_place(delivery);
        self.end_flight(delivery, out)
    }

    /// A flight is over.
    pub(crate) fn end_flight(
        &mut self,
        delivery: DeliveryId,
        out: &mut Vec<Effect>,
    ) -> Option<Flight> {
        let flight = self.flights.remove(delivery)?;
        self.backlogs.ended(&flight);
        let no = delivery.endpoint;
        if let Some(lane) = self.lanes.get_mut(&no) {
            debug_assert!(lane.flights > 0, "a flight ends once");
            lane.flights = lane.flights.saturating_sub(1);
            self.ring_in(no);
            self.remove_rest(no, out);
        }
        Some(flight)
    }

    /// Its place in the lane is free for another.
    pub(crate) fn free_place(&mut self, delivery: DeliveryId) {
        if let Some(lane) = self.lanes.get_mut(&delivery.endpoint) {
            debug_assert!(lane.started > 0, "a place is freed once");
            lane.started = lane.started.saturating_sub(1);
            self.busy -= usize::from(lane.started == 0);
        }
        self.ring_in(delivery.endpoint);
    }

    /// A flight's start is safe.
    pub(crate) fn make_ready(&mut self, delivery: DeliveryId) {
        if let Some(flight) = self.flights.get_mut(delivery) {
            flight.phase = Phase::Ready;
        }
        if let Some(lane) = self.lanes.get_mut(&delivery.endpoint) {
            lane.ready.push_back(delivery);
        }
        self.ring_in(delivery.endpoint);
    }

    /// Whether a new event of this lane may go straight into flight: only if nothing waits that
    /// would be overtaken, and it could be dialled now.
    pub(crate) fn has_room(&self, now: Time, no: EndpointNo) -> bool {
        let Some(lane) = self.lanes.get(&no) else { return false };
        lane.endpoint.state.is_active()
            && lane.fresh.is_idle()
            && lane.open().is_none()
            && lane.dials_from() <= now
            && self.draining == Draining::No
            && lane.started < lane.places(self.window(no), now)
            && self.flights.len() < self.limits.flights_max
    }

    /// Attempts that a lane may have under way: its own window, and where many are under way, no
    /// more than its share among the lanes that are busy.
    fn window(&self, no: EndpointNo) -> usize {
        let own = self.lanes.get(&no).map_or(1, Lane::own_window);
        if !self.few_places_left() {
            return own;
        }
        own.min(self.limits.attempts_max / self.busy.max(1)).max(1)
    }

    /// Whether so many attempts are under way that lanes are held to their share.
    fn few_places_left(&self) -> bool {
        let spare = self.limits.attempts_max / SPARE_PARTS;
        self.flights.dialling >= self.limits.attempts_max - spare
    }

    /// Sets the lane's timer to when it may go on.
    fn look_again(&mut self, now: Time, no: EndpointNo) {
        let draining = self.draining != Draining::No;
        let Some(lane) = self.lanes.get_mut(&no) else { return };
        let wanted = lane.next_look(now).filter(|_| !draining && lane.removal.is_none());
        if lane.timer == wanted {
            return;
        }
        if let Some(before) = lane.timer.take() {
            self.timers.remove(&(before, no));
        }
        if let Some(at) = wanted {
            lane.timer = wanted;
            self.timers.insert((at, no));
        }
    }

    /// Asks for more rows where a shelf runs dry.
    fn load(&mut self, no: EndpointNo, out: &mut Vec<Effect>) {
        let rows_max = self.shelf_rows_max();
        let limit = LOAD_ROWS.min(rows_max);
        let Some(lane) = self.lanes.get_mut(&no) else { return };
        // what is held back can still expire
        let held = !lane.endpoint.state.is_active() || lane.removal.is_some();
        if held && lane.endpoint.retry.max_age.is_none() {
            return;
        }
        for class in [Class::Fresh, Class::Timed] {
            if let Some(after) = lane.shelf(class).wants(rows_max) {
                out.push(Effect::Load { lane: no, class, after, limit });
            }
        }
    }
}
