//! What the store must do with each record, written as plainly as can be: the model that the engine
//! is simulated against, and that the real writer is compared with.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use postrider::engine::Recovered;
use postrider::model::DedupeKey;
use postrider::model::DeliveryId;
use postrider::model::DeliveryState;
use postrider::model::Due;
use postrider::model::EndpointEntry;
use postrider::model::EndpointNo;
use postrider::model::Event;
use postrider::model::EventId;
use postrider::model::KeyRef;
use postrider::model::LaneCounts;
use postrider::model::Next;
use postrider::model::OrderKey;
use postrider::model::Progress;
use postrider::model::Receipt;
use postrider::model::Record;
use postrider::model::Replay;
use postrider::model::ReplayAction;
use postrider::model::ReplayId;
use postrider::model::ReplayStep;
use postrider::model::Seen;
use postrider::model::StandingHold;
use postrider::model::Step;
use postrider::model::StepKind;
use postrider::model::Time;
use postrider::model::replay::REPLAYS_KEPT_MAX;

/// Everything on the disk.
#[derive(Clone, Default)]
pub struct Outbox {
    pub events: BTreeMap<EventId, Arc<Event>>,
    pub keys: BTreeMap<[u8; 16], (EventId, [u8; 16])>,
    pub due: BTreeMap<EndpointNo, BTreeMap<Due, Progress>>,
    pub flight: BTreeMap<DeliveryId, Progress>,
    pub steps: BTreeMap<DeliveryId, Vec<Step>>,
    pub entries: BTreeMap<EndpointNo, EndpointEntry>,
    /// Of each key of an endpoint, the delivery that may go.
    pub first: BTreeMap<(EndpointNo, OrderKey), EventId>,
    /// Those that wait behind it, and when they are due.
    pub behind: BTreeMap<(EndpointNo, OrderKey, EventId), (Progress, Due)>,
    pub versions: BTreeMap<(EndpointNo, OrderKey), u64>,
    /// Events whose payload is no longer kept.
    pub bare: BTreeSet<EventId>,
    /// Dead deliveries, counted.
    pub dead: BTreeMap<EndpointNo, u64>,
    /// Not on the disk any more: what has been there. Their steps stay above.
    pub gone: BTreeMap<EventId, Arc<Event>>,
    pub replays: BTreeMap<ReplayId, Replay>,
    pub holds: BTreeMap<ReplayId, StandingHold>,
    /// The event that has gone out last for all of its key.
    pub seen: BTreeMap<(EndpointNo, DedupeKey), Seen>,
}

impl Outbox {
    pub fn apply(&mut self, record: &Record) -> Receipt {
        match record {
            Record::Admit(admit) => self.admit(admit),
            Record::Guard { keys, since } => self.guard(keys, *since),
            Record::Start { delivery, from } => self.start(*delivery, *from),
            Record::Step { delivery, step, parks } => self.step(*delivery, step, *parks),
            Record::Command { delivery, at, actor, next } => {
                let kind = StepKind::Command { actor: actor.clone() };
                self.command(*delivery, Step { at: *at, kind, next: *next })
            }
            Record::Sweep { endpoint, step, limit } => self.sweep(*endpoint, step, *limit),
            Record::Replay(step) => self.replay(step),
            Record::Endpoint(entry) => {
                self.entries.insert(entry.no, (**entry).clone());
                Receipt::Applied
            }
            Record::Prune(prune) => self.prune(prune),
            Record::Hold(hold) => {
                self.holds.insert(hold.id, (**hold).clone());
                Receipt::Applied
            }
            Record::Lift(id) => {
                self.holds.remove(id);
                Receipt::Applied
            }
        }
    }

    fn guard(&self, keys: &[KeyRef], since: Time) -> Receipt {
        for (index, key) in (0_u16..).zip(keys) {
            let known = self.keys.get(&key.hash).filter(|(id, _)| id.time() >= since);
            if let Some((first, _)) = known.filter(|(_, print)| *print != key.fingerprint) {
                return Receipt::Conflict { index, first: Some(*first) };
            }
            let mut earlier = keys.iter().take(usize::from(index));
            if earlier.any(|e| e.hash == key.hash && e.fingerprint != key.fingerprint) {
                return Receipt::Conflict { index, first: None };
            }
        }
        Receipt::Applied
    }

    /// Whether a delivery may stand in its lane; if not, it is put behind the one that may.
    pub fn seat(&mut self, delivery: DeliveryId, progress: Progress, due: Due) -> bool {
        let Some(key) = progress.order else { return true };
        let (no, event) = (delivery.endpoint, delivery.event);
        let first = *self.first.entry((no, key)).or_insert(event);
        if first != event {
            self.behind.insert((no, key, event), (progress, due));
        }
        first == event
    }

    /// A delivery has ended: the next of its key stands in the lane now.
    fn leave(&mut self, delivery: DeliveryId, key: OrderKey) -> Option<(Due, Progress)> {
        let (no, event) = (delivery.endpoint, delivery.event);
        if self.first.get(&(no, key)) != Some(&event) {
            return None;
        }
        self.first.remove(&(no, key));
        let mut behind = self.behind.range((no, key, EventId::MIN)..=(no, key, EventId::MAX));
        let next = behind.next().map(|((_, _, event), _)| *event)?;
        let (progress, due) = self.behind.remove(&(no, key, next))?;
        self.first.insert((no, key), next);
        self.due.entry(no).or_default().insert(due, progress);
        Some((due, progress))
    }

    fn start(&mut self, delivery: DeliveryId, from: Due) -> Receipt {
        let queue = self.due.entry(delivery.endpoint).or_default();
        match queue.remove(&from) {
            Some(progress) => {
                self.flight.insert(delivery, progress.taken_from(from));
                Receipt::Applied
            }
            None => Receipt::Stale,
        }
    }

    fn step(&mut self, delivery: DeliveryId, step: &Step, parks: bool) -> Receipt {
        let Some(progress) = self.flight.remove(&delivery) else { return Receipt::Stale };
        self.follow(delivery, progress.after(step), step);
        let over = match step.next {
            Next::Wait { .. } => false,
            Next::Dead { .. } => !parks,
            Next::Delivered | Next::Cancelled => true,
        };
        let key = progress.order.filter(|_| over);
        match key.and_then(|key| self.leave(delivery, key)) {
            Some((due, progress)) => Receipt::Promoted { due, progress },
            None => Receipt::Applied,
        }
    }

    pub fn follow(&mut self, delivery: DeliveryId, progress: Progress, step: &Step) -> Option<Due> {
        self.steps.entry(delivery).or_default().push(step.clone());
        if let Next::Dead { .. } = step.next {
            *self.dead.entry(delivery.endpoint).or_default() += 1;
        }
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
        self.state_of_known(delivery)
    }

    /// The state of a delivery of an event that is there. What has ended is told by its last step
    /// alone: whoever sends it again writes another one.
    pub fn state_of_known(&self, delivery: DeliveryId) -> DeliveryState {
        let last = self.steps.get(&delivery).and_then(|steps| steps.last()).map(|step| step.next);
        match last {
            Some(Next::Delivered) => DeliveryState::Delivered,
            Some(Next::Dead { .. }) => DeliveryState::Dead,
            Some(Next::Cancelled) => DeliveryState::Cancelled,
            _ if self.flight.contains_key(&delivery) => DeliveryState::Sending,
            None => DeliveryState::Queued,
            Some(next) if next.is_on_hold() => DeliveryState::Held,
            Some(Next::Wait { .. }) => DeliveryState::Waiting,
        }
    }

    fn progress(&self, delivery: DeliveryId) -> Progress {
        let steps = self.steps.get(&delivery).map(Vec::as_slice).unwrap_or_default();
        steps.iter().fold(Progress::default(), |progress, step| progress.after(step))
    }

    pub fn command(&mut self, delivery: DeliveryId, step: Step) -> Receipt {
        let state = self.state(delivery);
        let ends = step.next == Next::Cancelled;
        let allowed = match state {
            DeliveryState::Queued | DeliveryState::Waiting => true,
            DeliveryState::Held | DeliveryState::Dead => true,
            DeliveryState::Delivered | DeliveryState::Cancelled => !ends,
            _ => false,
        };
        if !allowed {
            return Receipt::Refused(state);
        }
        let ended = !matches!(state, DeliveryState::Queued | DeliveryState::Waiting);
        if !ends && ended && self.bare.contains(&delivery.event) {
            return Receipt::PayloadGone;
        }
        if state == DeliveryState::Dead {
            *self.dead.get_mut(&delivery.endpoint).unwrap() -= 1;
        }
        let order = self.events[&delivery.event]
            .orders
            .iter()
            .find(|order| order.endpoint == delivery.endpoint)
            .map(|order| order.key);
        let from = self.waiting(delivery);
        let place = order.map(|key| (delivery.endpoint, key, delivery.event));
        let was_behind = place.and_then(|place| self.behind.remove(&place));
        let progress = match (from, was_behind) {
            (Some((_, progress)), _) | (None, Some((progress, _))) => progress,
            (None, None) => self.progress(delivery),
        };
        if let Some((due, _)) = from {
            self.due.entry(delivery.endpoint).or_default().remove(&due);
        }
        let progress = Progress { order, ..progress }.after(&step);
        let mut behind = -i8::from(was_behind.is_some());
        let (mut to, mut promoted) = (None, None);
        match step.next {
            Next::Wait { due, .. } => {
                let due = Due::timed(due, delivery.event);
                if self.seat(delivery, progress, due) {
                    to = self.follow(delivery, progress, &step);
                } else {
                    behind += 1;
                    self.steps.entry(delivery).or_default().push(step);
                }
            }
            _ => {
                to = self.follow(delivery, progress, &step);
                promoted = order.and_then(|key| self.leave(delivery, key));
            }
        }
        Receipt::Moved { from: from.map(|(due, _)| due), to, progress, promoted, behind }
    }

    fn sweep(&mut self, endpoint: EndpointNo, step: &Step, limit: u16) -> Receipt {
        self.first.retain(|(no, _), _| *no != endpoint);
        let waits: Vec<_> =
            self.behind.keys().filter(|(no, ..)| *no == endpoint).copied().collect();
        let mut behind = 0;
        for place in waits.into_iter().take(usize::from(limit)) {
            let (progress, _) = self.behind.remove(&place).unwrap();
            self.follow(DeliveryId::new(place.2, endpoint), progress.after(step), step);
            behind += 1;
        }
        let limit = limit - behind;
        let queue = self.due.entry(endpoint).or_default();
        let dues: Vec<_> =
            queue.iter().take(usize::from(limit)).map(|(due, p)| (*due, *p)).collect();
        for (due, progress) in &dues {
            self.due.entry(endpoint).or_default().remove(due);
            self.follow(DeliveryId::new(due.event, endpoint), progress.after(step), step);
        }
        Receipt::Swept { dues: dues.into_iter().map(|(due, _)| due).collect(), behind }
    }

    pub fn replay(&mut self, step: &ReplayStep) -> Receipt {
        let actor = step.replay.actor_of_steps();
        let mut receipts = Vec::new();
        for each in &step.moves {
            let state = self.state(each.delivery);
            receipts.push(if self.turned_by(each.delivery, &actor).next().is_some() {
                Receipt::Stale
            } else if !step.replay.takes(state) {
                Receipt::Refused(state)
            } else {
                let kind = StepKind::Command { actor: actor.clone() };
                let due = match step.replay.action {
                    ReplayAction::Release => each.due.max(self.due_before_hold(each.delivery)),
                    _ => each.due,
                };
                let next = step.replay.next_of(due);
                self.command(each.delivery, Step { at: step.at, kind, next })
            });
        }
        let known = self.replays.insert(step.replay.id, step.counted(&receipts)).is_some();
        let ended = self.replays.values().find(|replay| !replay.is_running());
        if let Some(oldest) = ended.map(|replay| replay.id)
            && !known
            && self.replays.len() > REPLAYS_KEPT_MAX
        {
            self.replays.remove(&oldest);
        }
        Receipt::Replayed(receipts)
    }

    fn due_before_hold(&self, delivery: DeliveryId) -> Time {
        let before = self.steps[&delivery].iter().rev().nth(1);
        let deliver_at = self.events[&delivery.event].attributes.deliver_at;
        match before.map(|step| step.next) {
            Some(Next::Wait { due, .. }) => due,
            Some(_) => Time::ZERO,
            None => deliver_at.unwrap_or(Time::ZERO),
        }
    }

    /// The steps of a delivery that somebody made.
    pub fn turned_by(&self, delivery: DeliveryId, actor: &str) -> impl Iterator<Item = &Step> {
        let steps = self.steps.get(&delivery).into_iter().flatten();
        steps.filter(move |step| match &step.kind {
            StepKind::Command { actor: known } => known == actor,
            _ => false,
        })
    }

    /// What the engine is told at a start.
    pub fn recovered(&self) -> Recovered {
        let counts = |queue: &BTreeMap<Due, Progress>| {
            let fresh =
                queue.keys().filter(|due| **due < Due::timed(Default::default(), EventId::MIN));
            let fresh = fresh.count() as u64;
            LaneCounts { fresh, timed: queue.len() as u64 - fresh, dead: 0, behind: 0 }
        };
        let mut lanes: BTreeMap<_, _> =
            self.due.iter().map(|(no, queue)| (*no, counts(queue))).collect();
        for (no, ..) in self.behind.keys() {
            lanes.entry(*no).or_default().behind += 1;
        }
        for (no, dead) in &self.dead {
            lanes.entry(*no).or_default().dead = *dead;
        }
        Recovered {
            in_flight: self.flight.iter().map(|(d, p)| (*d, *p)).collect(),
            lanes: lanes.into_iter().collect(),
            entries: self.entries.values().cloned().collect(),
            last_event: self.events.last_key_value().map(|(id, _)| *id),
            replays: self.replays.values().cloned().collect(),
            holds: self.holds.values().cloned().collect(),
        }
    }
}
