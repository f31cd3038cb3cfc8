//! People in the simulated world.

use std::time::Duration;

use postrider::engine::Caller;
use postrider::engine::Command;
use postrider::engine::Input;
use postrider::engine::Reply;
use postrider::model::DeliveryId;
use postrider::model::DeliveryState;
use postrider::model::EndpointEntry;
use postrider::model::EndpointNo;
use postrider::model::Next;
use postrider::model::Time;

use crate::reports::sources;
use crate::world::Happening;
use crate::world::World;

impl World {
    pub fn operator(&mut self) {
        if self.healed {
            return;
        }
        let wait = Duration::from_millis(self.rng.u64(100..20_000));
        self.schedule(wait, Happening::Operator);
        let endpoint = EndpointNo(self.rng.u32(1..=u32::try_from(self.endpoints.len()).unwrap()));
        match self.rng.u32(0..48) {
            0..=3 => {
                let reason = "maintenance".to_owned();
                self.command(Command::Pause { endpoint, reason });
            }
            4..=10 => self.command(Command::Resume(endpoint)),
            11..=17 => self.command(Command::Enable(endpoint)),
            18..=26 => {
                let some: Vec<_> = (0..3).filter_map(|_| self.any_delivery()).collect();
                self.sent_again.extend(some.iter().copied());
                self.command(Command::Retry(some));
            }
            27..=32 => {
                let under_way = self.underway.deliveries.keys().next().copied();
                let delivery = if self.rng.bool() { under_way } else { self.any_delivery() };
                if let Some(delivery) = delivery {
                    self.command(Command::Cancel(delivery));
                }
            }
            33 if self.seed.is_multiple_of(7) && self.endpoints.len() > 2 => self.remove(endpoint),
            34..=35 => {
                // while several commits are being written
                (0..3).for_each(|_| self.schedule(Duration::ZERO, Happening::Client));
                let wait = Duration::from_micros(self.rng.u64(0..20_000));
                self.schedule(wait, Happening::Crash(self.process));
            }
            36 => self.command(Command::Drain),
            40..=42 => self.begin_replay(endpoint),
            // more than may run
            43 => (0..6).for_each(|_| self.begin_replay(endpoint)),
            44 => self.cancel_any_replay(),
            45 => self.begin_hold(endpoint),
            46..=47 => _ = self.lift_a_hold(),
            _ => {
                let endpoints = self.known_endpoints();
                self.command(Command::Configure { endpoints, entries: Vec::new() });
                self.command(Command::Sources(sources(self.bug)));
            }
        }
    }

    fn known_endpoints(&self) -> Vec<postrider::model::Endpoint> {
        let mut endpoints = self.endpoints.clone();
        endpoints.retain(|endpoint| !self.removed.contains(&endpoint.no));
        for endpoint in &mut endpoints {
            endpoint.state = self.applied.entries[&endpoint.no].state.clone();
        }
        self.bug.in_endpoints(&mut endpoints);
        endpoints
    }

    /// Any delivery, or just the one that a lane would take next.
    fn any_delivery(&mut self) -> Option<DeliveryId> {
        if self.rng.bool() {
            let lane = self.rng.usize(..self.endpoints.len());
            let no = self.endpoints[lane].no;
            let first = self.applied.due.get(&no).and_then(|queue| queue.keys().next());
            if let Some(due) = first {
                return Some(DeliveryId::new(due.event, no));
            }
        }
        let count = self.disk.events.len();
        if count == 0 {
            return None;
        }
        let event = self.disk.events.values().nth(self.rng.usize(..count)).unwrap();
        let target = event.targets.first()?;
        Some(DeliveryId::new(event.id, *target))
    }

    fn remove(&mut self, endpoint: EndpointNo) {
        if !self.removed.insert(endpoint) {
            return;
        }
        self.marks.hit("endpoint removed");
        self.holding.retain(|_, (hold, _)| hold.endpoint != Some(endpoint));
        let entry = &self.disk.entries[&endpoint];
        let entry = EndpointEntry { removed: Some(self.now), ..entry.clone() };
        let next = Next::Cancelled;
        self.command(Command::Remove { entry: Box::new(entry), next });
    }

    /// What is dead and keeps others of its key waiting is cancelled. Returns by when these have
    /// come to their end.
    pub fn let_parked_keys_go(&mut self) -> Time {
        let dead = |delivery: &DeliveryId| self.disk.state(*delivery) == DeliveryState::Dead;
        let first = self.disk.first.iter().map(|((no, _), event)| DeliveryId::new(*event, *no));
        for delivery in first.filter(dead).collect::<Vec<_>>() {
            self.marks.hit("key let go by a person");
            self.command(Command::Cancel(delivery));
        }
        self.now + Duration::from_secs(7_200)
    }

    pub fn command(&mut self, command: Command) {
        if let Command::Enable(no) = &command {
            self.watch.enabled(*no);
        }
        let caller = self.new_caller();
        self.tell(Input::Command { caller, actor: "uid:0".to_owned(), command });
    }

    pub fn replied(&mut self, caller: Caller, reply: Reply) {
        match reply {
            Reply::Submitted(answers) => self.answered(caller, answers),
            Reply::Replay(replay) => self.hold_is_safe(replay.id),
            _ => {}
        }
    }

    /// A drained process has nothing under way, and stops; the next one starts.
    pub fn restart_after_drain(&mut self) {
        let seed = self.seed;
        assert!(self.underway.deliveries.is_empty(), "seed {seed}: drained, but under way");
        assert!(self.disk.flight.is_empty(), "seed {seed}: drained, but in flight on disk");
        self.drained = false;
        self.clients.process_died();
        self.watch.process_died();
        self.applied = self.disk.clone();
        self.waiting.clear();
        self.writing = false;
        self.process += 1;
        self.start_process();
    }
}
