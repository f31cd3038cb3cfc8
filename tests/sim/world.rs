//! The simulated world: virtual time, a disk that may die between writing and syncing, endpoints
//! with moods, clients that lose their answers. One seed is one history.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use fastrand::Rng;
use postrider::engine::Caller;
use postrider::engine::Effect;
use postrider::engine::Engine;
use postrider::engine::Input;
use postrider::engine::Limits;
use postrider::engine::Scan;
use postrider::engine::Ticket;
use postrider::model::Attempt;
use postrider::model::Class;
use postrider::model::DeliveryId;
use postrider::model::Due;
use postrider::model::Endpoint;
use postrider::model::EndpointEntry;
use postrider::model::EndpointNo;
use postrider::model::EndpointState;
use postrider::model::Progress;
use postrider::model::Receipt;
use postrider::model::Record;
use postrider::model::ReplayId;
use postrider::model::StandingHold;
use postrider::model::Time;

use crate::bugs::Bug;
use crate::clients::Clients;
use crate::crowd::Crowd;
use crate::flow::Watch;
use crate::marks::Marks;
use crate::outbox::Outbox;
use crate::receivers::Mood;
use crate::receivers::Receivers;
use crate::replays::Begun;
use crate::reports::Told;
use crate::reports::sources;

/// Something that happens at a time. What belongs to a process carries its number: it never
/// happens to the next one.
pub enum Happening {
    /// The writer applies what waits.
    Apply(u32),
    /// What was applied is safe.
    Synced(u32),
    Loaded {
        process: u32,
        lane: EndpointNo,
        class: Class,
        after: Option<Due>,
        limit: usize,
    },
    Scanned {
        process: u32,
        scan: Box<Scan>,
    },
    Finished {
        process: u32,
        delivery: DeliveryId,
        attempt: Box<Attempt>,
        began: Time,
    },
    /// The engine asked to be woken at this time.
    Wake(u32, Time),
    /// A client does something.
    Client,
    /// A person does something.
    Operator,
    /// An endpoint changes its mood.
    Mood,
    /// The process dies.
    Crash(u32),
}

/// Attempts under way, by endpoint.
#[derive(Default)]
pub struct Underway {
    pub deliveries: BTreeMap<DeliveryId, Time>,
    pub by_endpoint: BTreeMap<EndpointNo, u32>,
}

pub struct World {
    pub now: Time,
    pub rng: Rng,
    pub seed: u64,
    pub bug: Bug,
    pub limits: Limits,
    pub endpoints: Vec<Endpoint>,
    pub engine: Engine,
    pub process: u32,
    /// What survives a crash.
    pub disk: Outbox,
    /// What the process sees: applied, perhaps not yet synced.
    pub applied: Outbox,
    pub waiting: Vec<(Ticket, Vec<Record>)>,
    pub syncing: Vec<(Ticket, Vec<Record>, Vec<Receipt>)>,
    pub writing: bool,
    /// What the engine has been told of endpoints.
    pub told: BTreeMap<EndpointNo, EndpointEntry>,
    /// What it has decided of endpoints, in the order of its commits, safe or not.
    pub decided: BTreeMap<EndpointNo, EndpointState>,
    /// When the process is to be woken.
    pub alarm: Option<Time>,
    pub agenda: BTreeMap<(Time, u64), Happening>,
    /// How much of it has happened.
    pub happened: u64,
    pub next_entry: u64,
    pub underway: Underway,
    pub receivers: Receivers,
    pub clients: Clients,
    pub marks: Marks,
    /// Deliveries that a person sent again: success more than once is then no fault.
    pub sent_again: BTreeSet<DeliveryId>,
    /// Deliveries that were under way when a process died.
    pub torn: BTreeSet<DeliveryId>,
    /// No more faults: everything must come to its end.
    pub healed: bool,
    pub drained: bool,
    pub removed: BTreeSet<EndpointNo>,
    pub watch: Watch,
    pub reported: Told,
    /// When the last event came in for each endpoint, and from each source.
    pub heard: BTreeMap<String, Time>,
    /// Nothing goes wrong but at endpoints.
    pub calm: bool,
    /// A crowd that is watched.
    pub crowd: Option<Crowd>,
    /// Replays that people began.
    pub begun: Begun,
    /// The holds that have been told to stand, since when.
    pub holding: BTreeMap<ReplayId, (StandingHold, Time)>,
    /// A digest of everything that happened.
    pub history: u64,
}

impl World {
    pub fn schedule(&mut self, after: Duration, happening: Happening) {
        self.next_entry += 1;
        self.agenda.insert((self.now + after, self.next_entry), happening);
    }

    /// Tells the engine something, and carries out what it wants.
    pub fn tell(&mut self, input: Input) {
        let mut effects = Vec::new();
        self.engine.handle(self.now, input, &mut effects);
        self.carry_out(effects);
    }

    pub fn wake(&mut self) {
        let mut effects = Vec::new();
        self.engine.wake(self.now, &mut effects);
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            self.note(&effect);
            match effect {
                Effect::Commit { ticket, records } => self.commit(ticket, records),
                Effect::Reply { caller, reply } => self.replied(caller, reply),
                Effect::Load { lane, class, after, limit } => {
                    self.marks.hit("queue read from disk");
                    let wait = Duration::from_micros(self.rng.u64(10..20_000));
                    let process = self.process;
                    self.schedule(wait, Happening::Loaded { process, lane, class, after, limit });
                }
                Effect::Scan(scan) => self.scans(*scan),
                Effect::Dial(dial) => self.dialled(&dial),
                Effect::Abort(delivery) => self.aborted(delivery),
                Effect::Publish(notice) => self.published(&notice),
                Effect::Drained => self.drained = true,
            }
        }
        assert!(self.engine.flights() <= self.limits.flights_max + self.torn.len(), "flights");
        let wanted = self.engine.next_wake();
        if let Some(at) = wanted.filter(|_| wanted != self.alarm) {
            self.alarm = wanted;
            self.schedule(at.since(self.now), Happening::Wake(self.process, at));
        }
    }

    fn note(&mut self, effect: &Effect) {
        let text = match effect {
            Effect::Commit { ticket, records } => format!("commit {ticket} {}", records.len()),
            Effect::Dial(dial) => format!("dial {} {}", dial.delivery, dial.attempt),
            Effect::Load { lane, after, .. } => format!("load {lane:?} {after:?}"),
            Effect::Scan(scan) => format!("scan {} {:?}", scan.replay, scan.after),
            Effect::Reply { caller, .. } => format!("reply {caller}"),
            Effect::Abort(delivery) => format!("abort {delivery}"),
            Effect::Publish(_) => "publish".to_owned(),
            Effect::Drained => "drained".to_owned(),
        };
        for byte in text.bytes().chain(self.now.as_micros().to_be_bytes()) {
            self.history = (self.history ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn commit(&mut self, ticket: Ticket, mut records: Vec<Record>) {
        self.bug.in_commit(&mut records, &mut self.rng);
        self.check_reports(&records);
        if self.bug == Bug::AnswersBeforeTheFlush {
            let receipts = records.iter().map(|_| Receipt::Applied).collect();
            self.waiting.push((ticket, records));
            self.writer_goes_on();
            self.tell(Input::Committed { ticket, receipts });
            return;
        }
        self.waiting.push((ticket, records));
        self.writer_goes_on();
    }

    fn writer_goes_on(&mut self) {
        if !self.writing {
            self.writing = true;
            let wait = Duration::from_micros(self.rng.u64(1..500));
            self.schedule(wait, Happening::Apply(self.process));
        }
    }

    fn apply(&mut self) {
        for (ticket, records) in std::mem::take(&mut self.waiting) {
            records.iter().for_each(|record| self.check_admission(record));
            let receipts = self.bug.apply_all(&mut self.applied, &records);
            for (record, receipt) in records.iter().zip(&receipts) {
                self.mark_receipt(record, receipt);
                if let Record::Prune(_) = record {
                    self.applied.check_kept();
                }
            }
            for record in &records {
                if let Record::Endpoint(entry) = record {
                    self.decided.insert(entry.no, entry.state.clone());
                }
            }
            self.syncing.push((ticket, records, receipts));
        }
        let wait = Duration::from_micros(self.rng.u64(500..20_000));
        self.schedule(wait, Happening::Synced(self.process));
    }

    fn synced(&mut self) {
        let group = std::mem::take(&mut self.syncing);
        for (_, records, _) in &group {
            self.bug.apply_all(&mut self.disk, records);
        }
        self.writing = false;
        if !self.waiting.is_empty() {
            self.writer_goes_on();
        }
        for (ticket, records, receipts) in group {
            for record in &records {
                if let Record::Endpoint(entry) = record {
                    self.told.insert(entry.no, (**entry).clone());
                }
            }
            if self.bug != Bug::AnswersBeforeTheFlush {
                self.tell(Input::Committed { ticket, receipts });
            }
        }
    }

    fn loaded(&mut self, lane: EndpointNo, class: Class, after: Option<Due>, limit: usize) {
        let queue = self.applied.due.get(&lane);
        let rows: Vec<(Due, Progress)> = queue
            .into_iter()
            .flatten()
            .filter(|(due, _)| due.class == class && after.is_none_or(|after| **due > after))
            .take(limit)
            .map(|(due, progress)| (*due, *progress))
            .collect();
        let end = rows.len() < limit;
        let rows = self.bug.in_rows(rows);
        self.tell(Input::Loaded { lane, class, rows, end });
    }

    /// The process dies. Of the group that was being synced, some of the first commits survive.
    fn crash(&mut self) {
        let survive =
            if self.syncing.is_empty() { 0 } else { self.rng.usize(..=self.syncing.len()) };
        if 0 < survive && survive < self.syncing.len() {
            self.marks.hit("crash with commits half written");
        }
        for (_, records, _) in self.syncing.drain(..).take(survive).collect::<Vec<_>>() {
            self.bug.apply_all(&mut self.disk, &records);
        }
        if self.engine.replays().any(|replay| replay.cursor.is_some()) {
            self.marks.hit("crash with a replay half done");
        }
        if !self.holding.is_empty() {
            self.marks.hit("crash under a standing hold");
        }
        if !self.underway.deliveries.is_empty() {
            self.marks.hit("crash with deliveries in flight");
        }
        let torn: Vec<_> = self.disk.flight.keys().copied().collect();
        self.torn.extend(torn);
        self.torn.extend(self.underway.deliveries.keys().copied());
        self.applied = self.disk.clone();
        self.waiting.clear();
        self.writing = false;
        self.underway = Underway::default();
        self.clients.process_died();
        self.watch.process_died();
        self.process += 1;
        self.start_process();
    }

    pub fn start_process(&mut self) {
        let mut endpoints = self.endpoints.clone();
        endpoints.retain(|endpoint| {
            self.disk.entries.get(&endpoint.no).is_none_or(|entry| entry.removed.is_none())
        });
        for endpoint in &mut endpoints {
            if let Some(entry) = self.disk.entries.get(&endpoint.no) {
                endpoint.state = entry.state.clone();
            }
        }
        self.bug.in_endpoints(&mut endpoints);
        self.alarm = None;
        self.told = self.disk.entries.clone();
        self.decided = self.told.iter().map(|(no, entry)| (*no, entry.state.clone())).collect();
        let seed = self.rng.u64(..);
        self.reported.clear();
        let limits = self.bug.in_limits(self.limits.clone());
        self.engine = Engine::new(limits, seed, endpoints, &self.disk.recovered());
        self.engine.know_sources(self.now, sources(self.bug));
        self.wake();
    }

    pub fn happen(&mut self, happening: Happening) {
        let current = self.process;
        match happening {
            Happening::Apply(process) if process == current => self.apply(),
            Happening::Synced(process) if process == current => self.synced(),
            Happening::Wake(process, at) if process == current && self.alarm == Some(at) => {
                self.alarm = None;
                self.wake();
            }
            Happening::Loaded { process, lane, class, after, limit } if process == current => {
                self.loaded(lane, class, after, limit);
            }
            Happening::Scanned { process, scan } if process == current => self.scanned(&scan),
            Happening::Finished { process, delivery, attempt, began } if process == current => {
                self.finished(delivery, attempt, began);
            }
            Happening::Client => self.client(),
            Happening::Operator => self.operator(),
            Happening::Mood => self.change_mood(),
            Happening::Crash(process) if process == current => self.crash(),
            _ => {}
        }
    }

    fn change_mood(&mut self) {
        if self.healed {
            return;
        }
        let which = self.rng.usize(..self.receivers.moods.len());
        self.receivers.moods[which] = Mood::any(&mut self.rng);
        let wait = Duration::from_secs(self.rng.u64(1..120));
        self.schedule(wait, Happening::Mood);
    }

    /// A caller's number: unique over processes.
    pub fn new_caller(&mut self) -> Caller {
        self.next_entry += 1;
        self.next_entry
    }
}
