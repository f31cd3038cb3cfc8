//! What the store must do with each record, written as plainly as can be: the model that the engine
//! is simulated against, and that the real writer is compared with.

use std::collections::BTreeMap;
use std::sync::Arc;

use postrider::engine::Recovered;
use postrider::model::Admit;
use postrider::model::DeliveryId;
use postrider::model::DeliveryState;
use postrider::model::Due;
use postrider::model::EndpointEntry;
use postrider::model::EndpointNo;
use postrider::model::Event;
use postrider::model::EventId;
use postrider::model::LaneCounts;
use postrider::model::Next;
use postrider::model::Progress;
use postrider::model::Receipt;
use postrider::model::Record;
use postrider::model::Step;
use postrider::model::StepKind;

/// Everything on the disk.
#[derive(Clone, Default)]
pub struct Outbox {
    pub events: BTreeMap<EventId, Arc<Event>>,
    pub keys: BTreeMap<[u8; 16], (EventId, [u8; 16])>,
    pub due: BTreeMap<EndpointNo, BTreeMap<Due, Progress>>,
    pub flight: BTreeMap<DeliveryId, Progress>,
    pub steps: BTreeMap<DeliveryId, Vec<Step>>,
    pub entries: BTreeMap<EndpointNo, EndpointEntry>,
}

impl Outbox {
    pub fn apply(&mut self, record: &Record) -> Receipt {
        match record {
            Record::Admit(admit) => self.admit(admit),
            Record::Start { delivery, from } => self.start(*delivery, *from),
            Record::Step { delivery, step } => self.step(*delivery, step),
            Record::Command { delivery, at, actor, next } => {
                let kind = StepKind::Command { actor: actor.clone() };
                self.command(*delivery, Step { at: *at, kind, next: *next })
            }
            Record::Sweep { endpoint, step, limit } => self.sweep(*endpoint, step, *limit),
            Record::Endpoint(entry) => {
                self.entries.insert(entry.no, (**entry).clone());
                Receipt::Applied
            }
        }
    }

    fn admit(&mut self, admit: &Admit) -> Receipt {
        let event = &admit.event;
        if let Some(key) = &admit.key {
            let known = self.keys.get(&key.hash).filter(|(id, _)| id.time() >= admit.keys_since);
            if let Some((first, fingerprint)) = known {
                let earlier = &self.events[first];
                return Receipt::Duplicate {
                    first: *first,
                    targets: earlier.targets.clone(),
                    accepted_at: earlier.accepted_at,
                    same: *fingerprint == key.fingerprint,
                };
            }
            self.keys.insert(key.hash, (event.id, key.fingerprint));
        }
        self.events.insert(event.id, Arc::clone(event));
        for no in &event.targets {
            let delivery = DeliveryId::new(event.id, *no);
            if admit.started.contains(no) {
                self.flight.insert(delivery, Progress::default());
            } else {
                let later = event.attributes.deliver_at.filter(|at| *at > event.accepted_at);
                let due = later.map_or(Due::fresh(event.id), |at| Due::timed(at, event.id));
                self.due.entry(*no).or_default().insert(due, Progress::default());
            }
        }
        Receipt::Applied
    }

    fn start(&mut self, delivery: DeliveryId, from: Due) -> Receipt {
        let queue = self.due.entry(delivery.endpoint).or_default();
        match queue.remove(&from) {
            Some(progress) => {
                self.flight.insert(delivery, progress);
                Receipt::Applied
            }
            None => Receipt::Stale,
        }
    }

    fn step(&mut self, delivery: DeliveryId, step: &Step) -> Receipt {
        let Some(progress) = self.flight.remove(&delivery) else { return Receipt::Stale };
        self.follow(delivery, progress.after(step), step);
        Receipt::Applied
    }

    fn follow(&mut self, delivery: DeliveryId, progress: Progress, step: &Step) -> Option<Due> {
        self.steps.entry(delivery).or_default().push(step.clone());
        let Next::Wait { due, .. } = step.next else { return None };
        let due = Due::timed(due, delivery.event);
        self.due.entry(delivery.endpoint).or_default().insert(due, progress);
        Some(due)
    }

    /// Where a delivery waits.
    pub fn waiting(&self, delivery: DeliveryId) -> Option<(Due, Progress)> {
        let queue = self.due.get(&delivery.endpoint)?;
        queue.iter().find(|(due, _)| due.event == delivery.event).map(|(due, p)| (*due, *p))
    }

    pub fn state(&self, delivery: DeliveryId) -> DeliveryState {
        let known = self.events.get(&delivery.event);
        if !known.is_some_and(|event| event.targets.contains(&delivery.endpoint)) {
            return DeliveryState::Unknown;
        }
        if self.flight.contains_key(&delivery) {
            return DeliveryState::Sending;
        }
        match self.steps.get(&delivery).and_then(|steps| steps.last()).map(|step| step.next) {
            None => DeliveryState::Queued,
            Some(Next::Delivered) => DeliveryState::Delivered,
            Some(Next::Wait { .. }) => DeliveryState::Waiting,
            Some(Next::Dead { .. }) => DeliveryState::Dead,
            Some(Next::Cancelled) => DeliveryState::Cancelled,
        }
    }

    fn progress(&self, delivery: DeliveryId) -> Progress {
        let steps = self.steps.get(&delivery).map(Vec::as_slice).unwrap_or_default();
        steps.iter().fold(Progress::default(), |progress, step| progress.after(step))
    }

    fn command(&mut self, delivery: DeliveryId, step: Step) -> Receipt {
        let state = self.state(delivery);
        let ends = step.next == Next::Cancelled;
        let allowed = match state {
            DeliveryState::Queued | DeliveryState::Waiting | DeliveryState::Dead => true,
            DeliveryState::Delivered | DeliveryState::Cancelled => !ends,
            _ => false,
        };
        if !allowed {
            return Receipt::Refused(state);
        }
        let from = self.waiting(delivery);
        let progress = from.map_or_else(|| self.progress(delivery), |(_, progress)| progress);
        if let Some((due, _)) = from {
            self.due.entry(delivery.endpoint).or_default().remove(&due);
        }
        let progress = progress.after(&step);
        let to = self.follow(delivery, progress, &step);
        Receipt::Moved { from: from.map(|(due, _)| due), to, progress }
    }

    fn sweep(&mut self, endpoint: EndpointNo, step: &Step, limit: u16) -> Receipt {
        let queue = self.due.entry(endpoint).or_default();
        let dues: Vec<_> =
            queue.iter().take(usize::from(limit)).map(|(due, p)| (*due, *p)).collect();
        for (due, progress) in &dues {
            self.due.entry(endpoint).or_default().remove(due);
            self.follow(DeliveryId::new(due.event, endpoint), progress.after(step), step);
        }
        Receipt::Swept(dues.into_iter().map(|(due, _)| due).collect())
    }

    /// What the engine is told at a start.
    pub fn recovered(&self) -> Recovered {
        let counts = |queue: &BTreeMap<Due, Progress>| {
            let fresh =
                queue.keys().filter(|due| **due < Due::timed(Default::default(), EventId::MIN));
            let fresh = fresh.count() as u64;
            LaneCounts { fresh, timed: queue.len() as u64 - fresh, dead: 0 }
        };
        Recovered {
            in_flight: self.flight.iter().map(|(d, p)| (*d, *p)).collect(),
            lanes: self.due.iter().map(|(no, queue)| (*no, counts(queue))).collect(),
            entries: self.entries.values().cloned().collect(),
            last_event: self.events.last_key_value().map(|(id, _)| *id),
        }
    }
}
