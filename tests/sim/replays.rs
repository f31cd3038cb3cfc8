//! Replays in the simulated world: what people begin, what is read for it, and what must have come
//! of it at the end.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use postrider::engine::Command;
use postrider::engine::NewReplay;
use postrider::engine::ReplayPage;
use postrider::engine::Scan;
use postrider::model::DeadReason;
use postrider::model::DeliveryId;
use postrider::model::DeliveryState;
use postrider::model::EndpointNo;
use postrider::model::EventId;
use postrider::model::Next;
use postrider::model::Rate;
use postrider::model::Record;
use postrider::model::Replay;
use postrider::model::ReplayAction;
use postrider::model::ReplayFilter;
use postrider::model::ReplayId;
use postrider::model::ReplayState;
use postrider::model::StandingHold;
use postrider::model::Step;
use postrider::model::StepKind;
use postrider::model::Time;
use postrider::model::TypeGlob;
use postrider::model::replay::REPLAYS_RUNNING_MAX;
use postrider::model::replay::REPLAYS_SPARE;
use postrider::policy::routing;

use crate::outbox::Outbox;
use crate::world::Happening;
use crate::world::World;

/// A step is safe so long after it was decided, at most.
const SAFE_WITHIN: Duration = Duration::from_secs(5);

/// What stood in a replay's list when it was asked for.
#[derive(Default)]
pub struct Begun(BTreeMap<ReplayId, BTreeSet<DeliveryId>>);

/// Where a delivery stands in a list.
type Place = [u8; 28];

impl Outbox {
    /// Whether a filter finds a delivery.
    fn is_found(&self, action: ReplayAction, filter: &ReplayFilter, delivery: DeliveryId) -> bool {
        let fits =
            |glob: &TypeGlob| routing::covers(glob, &self.events[&delivery.event].event_type);
        filter.endpoint.is_none_or(|no| no == delivery.endpoint)
            && filter.types.as_ref().is_none_or(fits)
            && filter.takes(action, self.state_of_known(delivery))
    }

    /// The place of a delivery: that of what is dead begins with when it died.
    fn place(&self, filter: &ReplayFilter, delivery: DeliveryId) -> (Place, DeliveryId) {
        let dead = filter.state == Some(DeliveryState::Dead);
        let last = || self.steps.get(&delivery).and_then(|steps| steps.last());
        let at = if dead { last().map_or(Time::ZERO, |step| step.at) } else { Time::ZERO };
        let mut place = [0; 28];
        place[..8].copy_from_slice(&at.as_micros().to_be_bytes());
        place[8..].copy_from_slice(&delivery.to_bytes());
        (place, delivery)
    }

    /// The deliveries of events up to this one that a filter finds, the latest first.
    fn walked<'a>(
        &'a self,
        action: ReplayAction,
        filter: &'a ReplayFilter,
        last: EventId,
    ) -> impl Iterator<Item = (Place, DeliveryId)> + 'a {
        let events = self.events.range(..=last).rev();
        let all = events
            .flat_map(|(id, event)| event.targets.iter().rev().map(|no| DeliveryId::new(*id, *no)));
        let found = all.filter(move |delivery| self.is_found(action, filter, *delivery));
        found.map(|delivery| self.place(filter, delivery))
    }

    /// The deliveries that a filter finds, in the order of the list, with their places in it.
    fn found(&self, action: ReplayAction, filter: &ReplayFilter) -> Vec<(Place, DeliveryId)> {
        let mut found: Vec<_> = self.walked(action, filter, EventId::MAX).collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        found
    }

    /// The next of them behind a place, `limit` and one more. Where the order of the list is that
    /// of ids, nothing else is looked at.
    fn found_behind(&self, scan: &Scan, limit: usize) -> Vec<(Place, DeliveryId)> {
        let Scan { action, filter, after, .. } = scan;
        let behind =
            |(place, _): &(Place, _)| after.as_deref().is_none_or(|after| place[..] < *after);
        if filter.state == Some(DeliveryState::Dead) {
            let found = self.found(*action, filter).into_iter();
            return found.filter(behind).take(limit + 1).collect();
        }
        let after = after.as_deref().and_then(|after| after[8..24].try_into().ok());
        let last = after.map_or(EventId::MAX, EventId::from_bytes);
        self.walked(*action, filter, last).filter(behind).take(limit + 1).collect()
    }
}

impl World {
    /// A person begins one.
    pub fn begin_replay(&mut self, endpoint: EndpointNo) {
        let states = [DeliveryState::Dead, DeliveryState::Delivered, DeliveryState::Cancelled];
        let state = if self.rng.bool() { 0 } else { self.rng.usize(..states.len()) };
        use ReplayAction::{Cancel, Hold, Release, Replay};
        let action = [Replay, Replay, Replay, Cancel, Hold, Release][self.rng.usize(..6)];
        let filter = ReplayFilter {
            state: Some(states[state]).filter(|_| action == Replay),
            endpoint: self.rng.bool().then_some(endpoint),
            ..ReplayFilter::default()
        };
        self.begin(action, filter, false);
    }

    /// A person wants what comes in put aside as well.
    pub fn begin_hold(&mut self, endpoint: EndpointNo) {
        let globs = ["order.*", "order.paid", "user.**", "postrider.**"];
        let filter = ReplayFilter {
            endpoint: self.rng.bool().then_some(endpoint),
            types: Some(globs[self.rng.usize(..globs.len())].parse().unwrap()),
            ..ReplayFilter::default()
        };
        self.begin(ReplayAction::Hold, filter, true);
    }

    /// A person lifts any hold that stands, and says whether there was one.
    pub fn lift_a_hold(&mut self) -> bool {
        let holds = self.engine.holds();
        if holds.is_empty() {
            return false;
        }
        let hold = holds[self.rng.usize(..holds.len())].clone();
        let (types, endpoint) = (Some(hold.types), hold.endpoint);
        let filter = ReplayFilter { types, endpoint, ..ReplayFilter::default() };
        self.begin(ReplayAction::Release, filter, false);
        let stands = self.engine.holds().iter().any(|other| other.id == hold.id);
        let most = REPLAYS_RUNNING_MAX + REPLAYS_SPARE;
        let few = self.engine.replays().count() < most;
        assert!(!(stands && few), "seed {}: a hold that cannot be lifted", self.seed);
        assert!(self.engine.replays().count() <= most, "seed {}: too many replays", self.seed);
        if stands {
            return true;
        }
        self.marks.hit("standing hold lifted");
        self.holding.remove(&hold.id);
        true
    }

    fn begin(&mut self, action: ReplayAction, filter: ReplayFilter, standing: bool) {
        let rate = Rate {
            count: self.rng.u32(1..200),
            per: Duration::from_secs(self.rng.u64(1..4)),
            burst: 1,
        };
        let found = self.applied.found(action, &filter);
        let matched = found.len() as u64;
        let before: BTreeSet<_> = self.engine.replays().map(|replay| replay.id).collect();
        let new = NewReplay { action, filter, rate, standing, matched };
        self.command(Command::Replay(Box::new(new)));
        let mut running = self.engine.replays().map(|replay| replay.id);
        if let Some(id) = running.find(|id| !before.contains(id)) {
            let found = found.into_iter().map(|(_, delivery)| delivery).collect();
            self.begun.0.insert(id, found);
        } else {
            self.marks.hit("as many replays as may run");
        }
    }

    /// A person ends one.
    pub fn cancel_any_replay(&mut self) {
        let id = self.engine.replays().map(|replay| replay.id).next();
        if let Some(id) = id {
            self.command(Command::CancelReplay(id));
        }
    }

    /// What is on hold is sent after all. Returns by when that has come to its end.
    pub fn release_all(&mut self) -> Time {
        while self.lift_a_hold() {
            // places may all be taken by replays that wait for room, which only a release makes
            if self.engine.replays().count() >= REPLAYS_RUNNING_MAX + REPLAYS_SPARE {
                self.cancel_any_replay();
            }
            let end = self.now + Duration::from_secs(60);
            crate::run_until(self, end);
        }
        let all = self.disk.found(ReplayAction::Release, &ReplayFilter::default());
        let all: Vec<_> = all.into_iter().map(|(_, delivery)| delivery).collect();
        self.sent_again.extend(all.iter().copied());
        if !all.is_empty() {
            self.command(Command::Retry(all));
        }
        self.now + Duration::from_secs(7_200)
    }

    /// Goes on until nothing waits any more, within bounds.
    pub fn come_to_an_end(&mut self) {
        // a slow endpoint to which people have sent much again takes its time
        for _ in 0..24 {
            if self.engine.lanes().any(|(_, counts, _)| counts.pending() > 0) {
                let end = self.now + Duration::from_secs(3_600);
                crate::run_until(self, end);
            }
        }
        // endpoints may be told just now, as in every minute, that another one is silent; one with
        // a rate takes a while to hear it
        for _ in 0..50 {
            let waits = self.engine.lanes().any(|(_, counts, _)| counts.pending() > 0);
            if waits || self.engine.flights() > 0 {
                let end = self.now + Duration::from_secs(1);
                crate::run_until(self, end);
            }
        }
    }

    /// The engine asks for rows. The page may be short, and it may fail.
    pub fn scans(&mut self, scan: Scan) {
        let wait = Duration::from_micros(self.rng.u64(10..40_000));
        let process = self.process;
        self.schedule(wait, Happening::Scanned { process, scan: Box::new(scan) });
    }

    pub fn scanned(&mut self, scan: &Scan) {
        let replay = scan.replay;
        if self.rng.u32(0..20) == 0 {
            self.marks.hit("a replay's list unreadable");
            return self.tell(postrider::engine::Input::Scanned { replay, page: None });
        }
        let limit = self.rng.usize(0..=scan.limit);
        let left = self.applied.found_behind(scan, limit);
        let mut rows: Vec<_> = left.iter().take(limit).map(|(_, delivery)| *delivery).collect();
        let read = rows.len();
        rows.retain(|row| scan.action != ReplayAction::Replay || !self.applied.is_bare(row.event));
        let expired = (read - rows.len()) as u64;
        let last = limit.checked_sub(1).and_then(|last| left.get(last));
        // a page without rows goes on where it began
        let place = last.map(|(place, _)| place.to_vec()).or(scan.after.clone());
        let next = place.or(Some(vec![0xFF; 28])).filter(|_| left.len() > limit);
        self.sent_again.extend(rows.iter().copied());
        let page = Some(ReplayPage { rows, expired, next });
        self.tell(postrider::engine::Input::Scanned { replay, page });
    }

    /// A replay has begun: its hold stands, also when the process dies.
    pub fn hold_is_safe(&mut self, id: ReplayId) {
        if let Some(hold) = self.engine.holds().iter().find(|hold| hold.id == id) {
            self.holding.insert(id, (hold.clone(), self.now));
        }
    }

    /// An attempt begins: no hold has covered its event when it came in, or it was put aside then.
    pub fn check_holds(&mut self, delivery: DeliveryId) {
        let event = &self.disk.events[&delivery.event];
        let covers = |(hold, safe): &&(StandingHold, Time)| {
            event.accepted_at > *safe
                && routing::covers(&hold.types, &event.event_type)
                && hold.endpoint.is_none_or(|no| no == delivery.endpoint)
        };
        let aside = self.disk.put_aside_on_arrival(delivery);
        if aside {
            self.marks.hit("sent after it was put aside on arrival");
        }
        let held = self.holding.values().find(covers);
        // a person may send what came to its end as it came in
        let steps = self.disk.steps.get(&delivery);
        let ended = steps.and_then(|steps| steps.first()).is_some_and(|step| {
            let stale = Next::Dead { reason: DeadReason::Stale };
            step.next == stale || matches!(step.kind, StepKind::Duplicate { .. })
        });
        assert!(
            aside || ended || held.is_none(),
            "seed {}: {delivery} in spite of {held:?}",
            self.seed
        );
    }

    /// What comes in is put aside where a hold covers it, and nowhere else.
    pub fn check_admission(&self, record: &Record) {
        let Record::Admit(admit) = record else { return };
        let expected = self.applied.to_put_aside(&admit.event);
        assert_eq!(admit.event.held, expected, "seed {}: {}", self.seed, admit.event.id);
        let held = |no: &EndpointNo| expected.contains(no);
        assert!(!admit.started.iter().any(held), "seed {}: on hold, and started", self.seed);
    }

    /// What must have come of each replay.
    pub fn check_replays(&mut self) {
        let replays: Vec<_> = self.disk.replays.values().cloned().collect();
        for replay in &replays {
            self.check_replay(replay);
        }
    }

    fn check_replay(&mut self, replay: &Replay) {
        let (seed, id) = (self.seed, replay.id);
        let actor = replay.actor_of_steps();
        assert!(!replay.is_running(), "seed {seed}: {replay:?} never ends");
        let steps: Vec<_> = self
            .disk
            .steps
            .keys()
            .flat_map(|delivery| self.disk.turned_by(*delivery, &actor).map(|s| (*delivery, s)))
            .collect();
        let deliveries: BTreeSet<_> = steps.iter().map(|(delivery, _)| *delivery).collect();
        assert_eq!(deliveries.len(), steps.len(), "seed {seed}: {id} was somewhere twice");
        let submitted = replay.counts.submitted;
        assert_eq!(submitted, steps.len() as u64, "seed {seed}: {id} counts wrongly");
        let end = replay.ended.unwrap();
        assert!(steps.iter().all(|(_, step)| step.at <= end), "seed {seed}: {id} after its end");
        let due = |step: &Step| match step.next {
            Next::Wait { due, .. } => due,
            _ => step.at,
        };
        let mut dues: Vec<_> = steps.iter().map(|(_, step)| due(step)).collect();
        dues.sort_unstable();
        if replay.action != ReplayAction::Replay {
            dues.clear();
        }
        let gap = replay.rate.gap();
        let even = dues.windows(2).all(|pair| pair[1].since(pair[0]) >= gap);
        assert!(even, "seed {seed}: {id} is faster than {:?}", replay.rate);
        let matched = &self.begun.0[&id];
        assert_eq!(replay.counts.matched, matched.len() as u64, "seed {seed}: {id}");
        if replay.state == ReplayState::Cancelled {
            self.marks.hit("replay cancelled");
            return;
        }
        let others = |delivery: &DeliveryId| {
            let steps = self.disk.steps[delivery].iter();
            // what was asked for before may have become safe after
            let mut late = steps.filter(|step| step.at + SAFE_WITHIN >= replay.created);
            // what waits goes on by itself
            let by_other = |kind: &StepKind| match kind {
                StepKind::Command { actor: other } => *other != actor,
                _ => replay.action != ReplayAction::Replay,
            };
            late.any(|step| by_other(&step.kind))
                || self.removed.contains(&delivery.endpoint)
                || self.disk.is_bare(delivery.event)
        };
        let left = matched.difference(&deliveries).filter(|delivery| !others(delivery));
        let left: Vec<_> = left.map(|left| (left, &self.disk.steps[left])).collect();
        assert!(left.is_empty(), "seed {seed}: {replay:?} left out {left:?}");
        if replay.counts.expired > 0 {
            self.marks.hit("replay meets what has no payload");
        }
        if submitted > 0 {
            match replay.action {
                ReplayAction::Replay => {}
                ReplayAction::Cancel => self.marks.hit("many cancelled"),
                ReplayAction::Hold => self.marks.hit("put on hold"),
                ReplayAction::Release => self.marks.hit("released"),
            }
        }
        self.marks.hit(if submitted > 20 { "replay of many steps" } else { "replay done" });
    }
}
