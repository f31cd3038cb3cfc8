//! Attempts in the simulated world, and what must hold of each.

use std::time::Duration;

use postrider::engine::Dial;
use postrider::engine::Input;
use postrider::engine::Notice;
use postrider::model::Attempt;
use postrider::model::DeadReason;
use postrider::model::DeliveryId;
use postrider::model::Next;
use postrider::model::Outcome;
use postrider::model::Receipt;
use postrider::model::Record;
use postrider::model::Step;
use postrider::model::StepKind;
use postrider::model::Time;
use postrider::model::WaitReason;

use crate::world::Happening;
use crate::world::World;

impl World {
    pub fn dialled(&mut self, dial: &Dial) {
        let (seed, delivery) = (self.seed, dial.delivery);
        let event = self.disk.events.get(&delivery.event);
        let event = event.unwrap_or_else(|| panic!("seed {seed}: dialled what is not on disk"));
        assert!(event.targets.contains(&delivery.endpoint), "seed {seed}: not routed there");
        let kept = !self.disk.bare.contains(&event.id);
        assert!(kept, "seed {seed}: dialled without a payload");
        let progress = self.disk.flight.get(&delivery);
        let progress = progress.unwrap_or_else(|| panic!("seed {seed}: dialled before started"));
        assert_eq!(dial.attempt, progress.attempts + 1, "seed {seed}: attempts are counted");
        if let Some(body) = &dial.event {
            assert_eq!(body.id, event.id, "seed {seed}: another event's payload");
        }
        let last = self.disk.steps.get(&delivery).and_then(|steps| steps.last()).cloned();
        match last.map(|step| step.next) {
            None => {
                let at = event.attributes.deliver_at.unwrap_or(Time::ZERO);
                assert!(at <= self.now, "seed {seed}: dialled before its time");
            }
            Some(Next::Wait { due, .. }) => {
                assert!(due <= self.now, "seed {seed}: dialled before it was due");
            }
            Some(ended) => panic!("seed {seed}: dialled after {ended:?}"),
        }
        let entry = self.told.get(&delivery.endpoint);
        let active = entry.is_none_or(|entry| entry.state.is_active() && entry.removed.is_none());
        assert!(active, "seed {seed}: dialled an endpoint that is held back");
        self.dial_counted(delivery);
        self.check_order(delivery);
        self.check_flow(delivery);
        self.check_holds(delivery);
        self.check_lateness(dial);
        self.poison_or_answer(delivery, dial.attempt);
    }

    fn dial_counted(&mut self, delivery: DeliveryId) {
        let seed = self.seed;
        let before = self.underway.deliveries.insert(delivery, self.now);
        assert!(before.is_none(), "seed {seed}: dialled while under way");
        assert!(self.underway.deliveries.len() <= self.limits.attempts_max, "seed {seed}");
        let count = self.underway.by_endpoint.entry(delivery.endpoint).or_default();
        *count += 1;
        let endpoint = self.endpoints.iter().find(|e| e.no == delivery.endpoint).unwrap();
        assert!(*count <= endpoint.max_in_flight, "seed {seed}: more at once than allowed");
    }

    fn poison_or_answer(&mut self, delivery: DeliveryId, number: u16) {
        let seen = self.receivers.seen.entry(delivery).or_default();
        seen.attempts += 1;
        seen.last_number = number;
        // one event in 300 kills whoever touches it
        let poisonous = u128::from_be_bytes(delivery.event.to_bytes()) % 300 == 7;
        if poisonous && !self.healed && !self.calm {
            self.schedule(Duration::from_micros(10), Happening::Crash(self.process));
            return;
        }
        let mood = self.receivers.moods[delivery.endpoint.0 as usize - 1];
        let (takes, attempt) = mood.answer(self.now, &mut self.rng);
        let began = self.now;
        let process = self.process;
        if attempt.outcome == Outcome::Ok {
            self.receivers.seen.entry(delivery).or_default().successes += 1;
        }
        let attempt = Box::new(attempt);
        self.schedule(takes, Happening::Finished { process, delivery, attempt, began });
    }

    pub fn finished(&mut self, delivery: DeliveryId, mut attempt: Box<Attempt>, began: Time) {
        // an aborted attempt was told already
        if self.underway.deliveries.get(&delivery) != Some(&began) {
            return;
        }
        self.landed(delivery);
        self.watch_attempt(delivery.endpoint, &attempt);
        self.bug.in_attempt(&mut attempt);
        self.tell(Input::Finished { delivery, attempt, began });
    }

    fn landed(&mut self, delivery: DeliveryId) {
        self.underway.deliveries.remove(&delivery);
        if let Some(count) = self.underway.by_endpoint.get_mut(&delivery.endpoint) {
            *count -= 1;
        }
    }

    /// The attempt is broken off at once; whether the endpoint has it, nobody knows.
    pub fn aborted(&mut self, delivery: DeliveryId) {
        let Some(began) = self.underway.deliveries.get(&delivery).copied() else {
            panic!("seed {}: aborted what is not under way", self.seed);
        };
        self.marks.hit("cancelled in flight");
        self.landed(delivery);
        let attempt = Box::new(Attempt::without_response(Outcome::Cancelled));
        self.tell(Input::Finished { delivery, attempt, began });
    }

    pub fn mark_receipt(&mut self, record: &Record, receipt: &Receipt) {
        match (record, receipt) {
            (Record::Start { .. }, Receipt::Stale) => self.marks.hit("start found stale"),
            (Record::Step { delivery, step, .. }, Receipt::Applied | Receipt::Promoted { .. }) => {
                self.check_probe(*delivery, step);
                self.mark_step(step);
            }
            (Record::Command { .. }, Receipt::PayloadGone) => {
                self.marks.hit("not sent again without a payload");
            }
            (_, Receipt::Replayed(receipts))
                if receipts.iter().any(|receipt| matches!(receipt, Receipt::Refused(_))) =>
            {
                self.marks.hit("replay meets what has gone on");
            }
            (Record::Command { .. }, Receipt::Moved { promoted: Some(_), .. }) => {
                self.marks.hit("cancelled before others of its key");
            }
            (Record::Command { next: Next::Wait { .. }, .. }, Receipt::Moved { behind: 1, .. }) => {
                self.marks.hit("sent again behind another of its key");
            }
            (Record::Admit(admit), Receipt::Seated { behind, .. })
                if behind.iter().any(|no| admit.event.held.contains(no)) =>
            {
                self.marks.hit("put aside on arrival behind another of its key");
            }
            (Record::Command { next, delivery, .. }, Receipt::Moved { from, .. }) => match next {
                Next::Cancelled if from.is_some() => self.marks.hit("cancelled while waiting"),
                Next::Wait { .. } if self.applied.left_out(*delivery).is_some() => {
                    self.marks.hit("sent again though a duplicate");
                }
                Next::Wait { .. } => self.marks.hit("sent again on request"),
                _ => {}
            },
            _ => {}
        }
    }

    fn mark_step(&mut self, step: &Step) {
        match (&step.kind, step.next) {
            (_, Next::Dead { reason }) => self.marks.hit(match reason {
                DeadReason::Exhausted => "dead: exhausted",
                DeadReason::Expired => "dead: expired",
                DeadReason::Poisoned => "dead: poisoned",
                DeadReason::Refused => "dead: refused",
                DeadReason::Deadline => "dead: deadline of its key",
                DeadReason::Skipped => "dead: others of its key go on",
                _ => return,
            }),
            (StepKind::Attempt(_), Next::Wait { why: WaitReason::RetryAfter, .. }) => {
                self.marks.hit("retry after honoured");
            }
            (_, Next::Wait { why: WaitReason::Breaker, .. }) => {
                self.marks.hit("tried in vain while open");
            }
            (StepKind::Rule, Next::Wait { why: WaitReason::Held, .. }) => {
                self.marks.hit("paused with deliveries ready");
            }
            _ => {}
        }
    }

    pub fn published(&mut self, notice: &Notice) {
        match notice {
            Notice::EndpointDisabled { reason, .. } if reason.contains("answered") => {
                self.marks.hit("endpoint disabled");
            }
            Notice::EndpointDisabled { .. } => self.marks.hit("endpoint given up"),
            Notice::BreakerOpened { .. } => self.marks.hit("breaker opened"),
            Notice::EndpointRecovered { .. } => self.marks.hit("endpoint recovered"),
            Notice::Died { reason: DeadReason::Stale, .. } => self.marks.hit("dead: stale version"),
            Notice::Pruned(gone) if gone.events > 0 => self.marks.hit("events gone"),
            Notice::Pruned(gone) if gone.payloads > 0 => self.marks.hit("payloads gone"),
            Notice::Died { .. } => self.marks.hit("expired while waiting"),
            Notice::Disagreement { delivery, doing: "step" } => {
                panic!("seed {}: {delivery} was settled, but not in flight", self.seed);
            }
            _ => {}
        }
        if self.engine.flights() >= self.limits.flights_max {
            self.marks.hit("limit of flights reached");
        }
    }
}
