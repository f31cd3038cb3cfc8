//! The state machine: what to admit, what to dial, what follows from an attempt.
//!
//! It touches nothing. Time and chance are arguments, decisions leave as [`Effect`]s, and what
//! follows from a decision happens only once its records are safe ([`Input::Committed`]). The
//! store's writer sees every record in order and is the judge; what the engine holds in memory is
//! the head of what is on disk, and where the two disagree, the writer's receipt says so and the
//! engine lets go. So no answer of a stale read can lose or double a delivery.
//!
//! A delivery that waits stands in a queue (on disk, its head in memory). Taken from there, it is
//! a *flight*: being written as started, then ready, then dialling, then settling (its step is
//! being written); once that is safe, it is gone or waits again. A new event goes straight into
//! flight with its own commit where its lane has room, so that the common case writes no queue.

mod admit;
mod backlog;
mod batch;
mod command;
mod configure;
mod dispatch;
mod flight;
mod gate;
mod holds;
mod health;
mod lane;
mod limits;
mod mint;
mod prune;
mod queue;
mod recover;
mod replay;
mod report;
mod settle;
mod sources;
mod targets;
pub mod words;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::sync::Arc;

use fastrand::Rng;

use crate::engine::admit::Admission;
use crate::engine::backlog::Backlogs;
use crate::engine::command::Order;
use crate::engine::configure::is_defined;
use crate::engine::flight::Flights;
pub use crate::engine::holds::stands_for;
use crate::engine::lane::Lane;
pub use crate::engine::limits::Limits;
use crate::engine::mint::Mint;
pub use crate::engine::prune::Retention;
use crate::engine::prune::Sweeps;
pub use crate::engine::recover::Recovered;
use crate::engine::replay::Replays;
use crate::engine::replay::Stepped;
pub use crate::engine::replay::words::*;
pub use crate::engine::report::About;
pub use crate::engine::report::Report;
use crate::engine::report::Told;
use crate::engine::settle::Settlement;
use crate::engine::sources::Sources;
pub use crate::engine::words::*;
use crate::model::Class;
use crate::model::DeliveryId;
use crate::model::Due;
use crate::model::Endpoint;
use crate::model::EndpointEntry;
use crate::model::EndpointNo;
use crate::model::LaneCounts;
use crate::model::Progress;
use crate::model::Receipt;
use crate::model::Record;
use crate::model::StandingHold;
use crate::model::Time;
use crate::policy::ebb::Ebb;
use crate::policy::routing::Routes;

/// What a commit was for: what to do when it is safe.
#[derive(Debug)]
enum Pending {
    Admission(Admission),
    Starts(Vec<(DeliveryId, Due)>),
    Settlements(Vec<Settlement>),
    Order(Order),
    /// A step of a sweep, begun then.
    Prune(Time),
    Replay(Stepped),
    Hold {
        hold: StandingHold,
        lifted_by: Option<String>,
    },
}

/// The state machine.
#[derive(Debug)]
pub struct Engine {
    limits: Limits,
    rng: Rng,
    mint: Mint,
    lanes: BTreeMap<EndpointNo, Lane>,
    names: BTreeMap<Arc<str>, EndpointNo>,
    /// Which of the lanes take which types.
    routes: Routes,
    /// What the store will know of each endpoint once all pending commits are safe.
    entries: BTreeMap<EndpointNo, EndpointEntry>,
    flights: Flights,
    /// Commits that are not safe yet, in order.
    tickets: VecDeque<(Ticket, Pending)>,
    next_ticket: Ticket,
    /// Lanes that may have something to do now, each at most once, served in turn.
    ring: VecDeque<EndpointNo>,
    /// When lanes that only wait for a time are to be looked at again.
    timers: BTreeSet<(Time, EndpointNo)>,
    /// Rows in memory, over all lanes.
    rows: usize,
    /// Deliveries in queues, on disk.
    waiting: i64,
    /// Lanes that have deliveries under way.
    busy: usize,
    backlogs: Backlogs,
    /// Payload bytes that rows in memory hold.
    body_bytes: usize,
    /// Deliveries promised to submissions whose commit is not safe yet.
    promised: u64,
    /// How fast what is pending goes down.
    ebb: Ebb,
    replays: Replays,
    holds: Vec<StandingHold>,
    sources: Sources,
    disk_low: bool,
    draining: Draining,
    /// What it has told of itself.
    told: Told,
    sweeps: Sweeps,
    /// Whether it has been woken for the first time.
    begun: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Draining {
    No,
    Asked,
    Done,
}

impl Engine {
    /// An engine over what the store recovered. Its endpoints are those that are defined and, held
    /// back, those that only the store still knows. [`Engine::wake`] gets it going.
    pub fn new(
        limits: Limits,
        seed: u64,
        endpoints: Vec<Endpoint>,
        recovered: &Recovered,
    ) -> Engine {
        let counts: BTreeMap<_, _> = recovered.lanes.iter().copied().collect();
        let mut engine = Engine {
            limits,
            rng: Rng::with_seed(seed),
            mint: Mint::after(recovered.last_event),
            lanes: BTreeMap::new(),
            names: BTreeMap::new(),
            routes: Routes::default(),
            entries: recovered.entries.iter().map(|entry| (entry.no, entry.clone())).collect(),
            flights: Flights::default(),
            tickets: VecDeque::new(),
            next_ticket: 1,
            ring: VecDeque::new(),
            timers: BTreeSet::new(),
            rows: 0,
            waiting: 0,
            busy: 0,
            backlogs: Backlogs::default(),
            body_bytes: 0,
            promised: 0,
            ebb: Ebb::default(),
            replays: Replays::after(&recovered.replays),
            holds: recovered.holds.clone(),
            sources: Sources::default(),
            disk_low: false,
            draining: Draining::No,
            told: Told::default(),
            sweeps: Sweeps::default(),
            begun: false,
        };
        let defined: BTreeSet<_> = endpoints.iter().map(|endpoint| endpoint.no).collect();
        let known = recovered.entries.iter().filter(|entry| entry.removed.is_none());
        let undefined =
            known.filter(|entry| !defined.contains(&entry.no)).map(configure::undefined);
        for endpoint in endpoints.into_iter().chain(undefined) {
            let counts = counts.get(&endpoint.no).copied().unwrap_or_default();
            engine.install(endpoint, counts);
        }
        engine.found_in_flight(&recovered.in_flight);
        engine
    }

    /// Tells the engine something; what it wants done is appended to `out`.
    pub fn handle(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Submit { caller, since, submissions, mode } => {
                self.submit(now, (caller, since), submissions, mode, out);
            }
            Input::Committed { ticket, receipts } => self.committed(now, ticket, receipts, out),
            Input::Loaded { lane, class, rows, end } => {
                self.loaded(lane, class, rows, end);
            }
            Input::Scanned { replay, page } => self.scanned(now, replay, page, out),
            Input::Finished { delivery, attempt, began } => {
                self.finished(now, delivery, attempt, began, out);
            }
            Input::Command { caller, actor, command } => {
                self.command(now, caller, actor, command, out);
            }
            Input::DiskLow(low) => self.disk_is_low(now, low, out),
            Input::Report(report) => self.report(now, report, out),
        }
        self.wake(now, out);
    }

    /// Does what has become due.
    pub fn wake(&mut self, now: Time, out: &mut Vec<Effect>) {
        if !std::mem::replace(&mut self.begun, true) {
            self.lanes.values_mut().for_each(|lane| lane.begin(now));
            self.first_sweep(now);
            self.replays.begin(now);
            self.sources.begin(now);
            self.ebb.begin(now);
        }
        while let Some((at, lane)) = self.timers.first().copied()
            && at <= now
        {
            self.timers.pop_first();
            if let Some(found) = self.lanes.get_mut(&lane) {
                found.timer = None;
            }
            self.ring_in(lane);
        }
        self.settle_interrupted(now, out);
        self.look_at_targets(now, out);
        self.prune(now, out);
        self.go_on_with_replays(now, out);
        self.dispatch(now, out);
        if self.draining == Draining::Asked && self.flights.is_empty() && self.tickets.is_empty() {
            self.draining = Draining::Done;
            out.push(Effect::Drained);
        }
    }

    /// When [`Engine::wake`] is to be called next, if nothing happens before.
    pub fn next_wake(&self) -> Option<Time> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let backlog = self.backlogs.next;
        let times = [timer, self.told.look, self.next_prune(), self.next_turn(), backlog];
        times.into_iter().flatten().min()
    }

    /// The name of an endpoint.
    pub fn name(&self, no: EndpointNo) -> Option<&Arc<str>> {
        self.lanes.get(&no).map(|lane| &lane.endpoint.name)
    }

    /// The number of an endpoint.
    pub fn number(&self, name: &str) -> Option<EndpointNo> {
        self.names.get(name).copied()
    }

    /// Each endpoint with what stands in its lane, and how many of its deliveries have left that
    /// and are under way: what is pending is always in one of the two.
    pub fn lanes(&self) -> impl Iterator<Item = (&Endpoint, LaneCounts, usize)> {
        self.lanes.values().map(|lane| (&lane.endpoint, lane.counts(), lane.flights))
    }

    /// Since when the longest-waiting due delivery has been due, of all endpoints that may be
    /// called now.
    pub fn oldest_due(&self, now: Time) -> Option<Time> {
        let callable = self.lanes.values().filter(|lane| lane.is_callable(now));
        callable.filter_map(|lane| lane.oldest_due(now)).min()
    }

    /// Deliveries on their way from a queue to the end of their attempt.
    pub fn flights(&self) -> usize {
        self.flights.len()
    }

    /// Whether new events are refused because the daemon is about to stop.
    pub fn is_draining(&self) -> bool {
        self.draining != Draining::No
    }

    fn disk_is_low(&mut self, now: Time, low: bool, out: &mut Vec<Effect>) {
        if low && !self.disk_low {
            let data = serde_json::json!({});
            let about = About::Postrider;
            self.report(now, Report { kind: "disk.low", about, data }, out);
        }
        self.disk_low = low;
    }

    fn loaded(&mut self, no: EndpointNo, class: Class, mut rows: Vec<(Due, Progress)>, end: bool) {
        // what is on hold is the end of the queue, as far as anything there will ever be due
        let end = end || rows.last().is_some_and(|(due, _)| due.is_on_hold());
        rows.retain(|(due, _)| !due.is_on_hold());
        // what went into flight meanwhile is told apart; where it goes from there, it is queued
        rows.retain(|(due, _)| !self.flights.has(DeliveryId::new(due.event, no)));
        let rows_max = self.shelf_rows_max();
        self.on_shelf(no, class, |shelf| shelf.read(rows.into_iter(), end, rows_max));
        self.ring_in(no);
    }

    fn committed(
        &mut self,
        now: Time,
        ticket: Ticket,
        receipts: Vec<Receipt>,
        out: &mut Vec<Effect>,
    ) {
        let before = self.pending();
        // the writer answers in order, so that it is the first; the engine does not rely on it
        let place = self.tickets.iter().position(|(own, _)| *own == ticket);
        let pending = place.and_then(|place| self.tickets.remove(place));
        match pending.map(|(_, pending)| pending) {
            // what is admitted has made no room, also where it turns out to be a duplicate
            Some(Pending::Admission(admission)) => {
                return self.admitted(now, admission, receipts, out);
            }
            Some(Pending::Starts(starts)) => self.started(starts, receipts, out),
            Some(Pending::Settlements(settled)) => self.settled(now, settled, receipts, out),
            Some(Pending::Order(order)) => self.ordered(now, order, receipts, out),
            Some(Pending::Prune(since)) => self.pruned(now, since, receipts, out),
            Some(Pending::Hold { hold, lifted_by }) => Engine::hold_is_safe(hold, lifted_by, out),
            Some(Pending::Replay(stepped)) => self.stepped(now, stepped, receipts, out),
            None => debug_assert!(false, "a ticket is answered once"),
        }
        self.ebb.went(now, before.saturating_sub(self.pending()));
    }

    fn commit(&mut self, records: Vec<Record>, pending: Pending, out: &mut Vec<Effect>) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.tickets.push_back((ticket, pending));
        out.push(Effect::Commit { ticket, records });
    }

    /// Adds a lane, or gives an existing one its new rules. Whether it may be called, the store
    /// knows best.
    fn install(&mut self, mut endpoint: Endpoint, counts: LaneCounts) {
        let no = endpoint.no;
        if is_defined(&endpoint) {
            // of a lane that is there, what is safe: the entry may be ahead of it
            let lane = self.lanes.get(&no).filter(|lane| is_defined(&lane.endpoint));
            let safe = lane.map(|lane| &lane.endpoint.state);
            if let Some(state) = safe.or(self.entries.get(&no).map(|entry| &entry.state)) {
                endpoint.state = state.clone();
            }
        }
        self.names.insert(Arc::clone(&endpoint.name), no);
        self.listens(&endpoint.types);
        self.routes.set(no, &endpoint.types);
        match self.lanes.get_mut(&no) {
            Some(lane) => {
                if !is_defined(&lane.endpoint) {
                    // nothing could come in for it until now
                    lane.last_event = Time::ZERO;
                }
                lane.endpoint = endpoint;
            }
            None => {
                self.waiting += i64::try_from(counts.pending()).unwrap_or(i64::MAX);
                self.lanes.insert(no, Lane::new(endpoint, counts));
            }
        }
        self.ring_in(no);
    }

    /// Deliveries that have not ended.
    fn pending(&self) -> u64 {
        u64::try_from(self.waiting).unwrap_or(0)
            + self.promised
            + u64::try_from(self.flights.len()).unwrap_or(u64::MAX)
    }

    fn ring_in(&mut self, no: EndpointNo) {
        if let Some(lane) = self.lanes.get_mut(&no)
            && !lane.in_ring
        {
            lane.in_ring = true;
            self.ring.push_back(no);
        }
    }
}
