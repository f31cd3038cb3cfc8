//! The end of an attempt: what follows from it, written down before anything else follows.

use crate::engine::Engine;
use crate::engine::Pending;
use crate::engine::flight::CancelBy;
use crate::engine::flight::Phase;
use crate::engine::health::Change;
use crate::engine::words::Effect;
use crate::engine::words::Notice;
use crate::engine::words::Reply;
use crate::engine::words::Unmoved;
use crate::model::Attempt;
use crate::model::DeadReason;
use crate::model::DeliveryId;
use crate::model::DeliveryState;
use crate::model::Due;
use crate::model::EndpointNo;
use crate::model::Next;
use crate::model::OnFailure;
use crate::model::Outcome;
use crate::model::Progress;
use crate::model::Receipt;
use crate::model::Record;
use crate::model::Step;
use crate::model::StepKind;
use crate::model::Time;
use crate::model::WaitReason;
use crate::policy::backoff;

/// A step whose commit is under way.
#[derive(Debug)]
pub(crate) struct Settlement {
    pub(crate) delivery: DeliveryId,
    pub(crate) step: Step,
    /// The delivery's past, without this step.
    pub(crate) before: Progress,
    /// Who waits to hear that it was cancelled.
    pub(crate) cancel: Option<CancelBy>,
    /// The endpoint's state changes with it.
    pub(crate) change: Option<Change>,
}

impl Settlement {
    pub(crate) fn new(delivery: DeliveryId, step: Step, before: Progress) -> Settlement {
        Settlement { delivery, step, before, cancel: None, change: None }
    }
}

impl Engine {
    pub(crate) fn finished(
        &mut self,
        now: Time,
        delivery: DeliveryId,
        attempt: Box<Attempt>,
        began: Time,
        out: &mut Vec<Effect>,
    ) {
        let Some(flight) = self.flights.get_mut(delivery) else {
            debug_assert!(false, "an attempt that nobody asked for has ended");
            return;
        };
        flight.phase = Phase::Settling;
        let before = flight.progress;
        let due = flight.due;
        let cancel = flight.cancel.take();
        self.feel_pulse(now, delivery, &attempt, before, due);
        let health = self.examine(now, delivery.endpoint, &attempt, began);
        self.flights.dialling = self.flights.dialling.saturating_sub(1);
        if let Some(lane) = self.lanes.get_mut(&delivery.endpoint) {
            lane.dialling = lane.dialling.saturating_sub(1);
        }
        self.free_place(delivery);
        let planned = self.what_follows(now, delivery, &attempt, before, cancel.is_some());
        let next = match (planned, health.not_before) {
            (Next::Wait { .. } | Next::Dead { reason: DeadReason::Exhausted }, Some(due)) => {
                Next::Wait { due, why: WaitReason::Breaker }
            }
            (planned, _) => planned,
        };
        let next = self.in_order(delivery, before, next);
        let step = Step { at: began, kind: StepKind::Attempt(*attempt), next };
        let change = health.change;
        self.settle(vec![Settlement { delivery, step, before, cancel, change }], out);
    }

    fn what_follows(
        &mut self,
        now: Time,
        delivery: DeliveryId,
        attempt: &Attempt,
        before: Progress,
        cancelled: bool,
    ) -> Next {
        let Some(lane) = self.lanes.get(&delivery.endpoint) else { return Next::Cancelled };
        if attempt.outcome != Outcome::Ok {
            if cancelled {
                return Next::Cancelled;
            }
            if let Some(removal) = &lane.removal {
                return removal.next;
            }
        }
        let policy = &lane.endpoint.retry;
        backoff::after_attempt(policy, before, delivery.event, attempt, now, &mut self.rng)
    }

    /// What others of its key have to say to a delivery that is to be tried again.
    fn in_order(&self, delivery: DeliveryId, before: Progress, next: Next) -> Next {
        let (Next::Wait { due, why }, Some(_)) = (next, before.order) else { return next };
        let lane = self.lanes.get(&delivery.endpoint);
        let Some(policy) = lane.and_then(|lane| lane.endpoint.flow.order.as_ref()) else {
            return next;
        };
        if policy.deadline.is_some_and(|deadline| due > delivery.event.time() + deadline) {
            return Next::Dead { reason: DeadReason::Deadline };
        }
        // an endpoint that does not answer has not refused this one
        if policy.on_failure == OnFailure::Skip && why != WaitReason::Breaker {
            return Next::Dead { reason: DeadReason::Skipped };
        }
        next
    }

    /// Ready deliveries of a lane that is held back go back to its queue.
    pub(crate) fn put_back_ready(&mut self, now: Time, no: EndpointNo, out: &mut Vec<Effect>) {
        let Some(lane) = self.lanes.get_mut(&no) else { return };
        let ready = std::mem::take(&mut lane.ready);
        if !ready.is_empty() {
            self.settle_ready(now, ready.into(), out);
        }
    }

    /// Ready deliveries are not dialled: they are too old, their endpoint is being removed, or it
    /// is held back.
    pub(crate) fn settle_ready(
        &mut self,
        now: Time,
        ready: Vec<DeliveryId>,
        out: &mut Vec<Effect>,
    ) {
        let mut steps = Vec::with_capacity(ready.len());
        for delivery in ready {
            let Some(lane) = self.lanes.get(&delivery.endpoint) else { continue };
            let removal = lane.removal.as_ref().map(|removal| removal.next);
            let Some(flight) = self.flights.get_mut(delivery) else { continue };
            flight.phase = Phase::Settling;
            let (before, due) = (flight.progress, flight.due);
            let expired = lane.has_expired(delivery.event, before, now);
            self.free_place(delivery);
            let next = match removal {
                Some(next) => next,
                None if expired => Next::Dead { reason: DeadReason::Expired },
                None => Next::Wait { due, why: WaitReason::Held },
            };
            let step = Step { at: now, kind: StepKind::Rule, next };
            steps.push(Settlement::new(delivery, step, before));
        }
        self.settle(steps, out);
    }

    /// A ready delivery that a person wants ended.
    pub(crate) fn cancel_ready(
        &mut self,
        now: Time,
        delivery: DeliveryId,
        by: CancelBy,
        out: &mut Vec<Effect>,
    ) {
        let Some(flight) = self.flights.get_mut(delivery) else { return };
        flight.phase = Phase::Settling;
        let before = flight.progress;
        self.free_place(delivery);
        let kind = StepKind::Command { actor: by.actor.clone() };
        let step = Step { at: now, kind, next: Next::Cancelled };
        let cancel = Some(by);
        self.settle(vec![Settlement { delivery, step, before, cancel, change: None }], out);
    }

    /// Writes steps down.
    pub(crate) fn settle(&mut self, settlements: Vec<Settlement>, out: &mut Vec<Effect>) {
        let steps = settlements.iter().map(|settlement| Record::Step {
            delivery: settlement.delivery,
            step: Box::new(settlement.step.clone()),
            parks: self.parks(settlement.delivery.endpoint, settlement.step.next),
        });
        let states = settlements.iter().filter_map(|settlement| {
            settlement.change.as_ref()?;
            let entry = self.entries.get(&settlement.delivery.endpoint)?;
            Some(Record::Endpoint(Box::new(entry.clone())))
        });
        let records = steps.chain(states).collect();
        self.commit(records, Pending::Settlements(settlements), out);
    }

    /// Whether a delivery that dies keeps others of its key waiting. One that is too old does not:
    /// nobody wants it any more.
    fn parks(&self, no: EndpointNo, next: Next) -> bool {
        let Next::Dead { reason } = next else { return false };
        if reason == DeadReason::Expired {
            return false;
        }
        let lane = self.lanes.get(&no).filter(|lane| lane.removal.is_none());
        let order = lane.and_then(|lane| lane.endpoint.flow.order.as_ref());
        order.is_some_and(|order| order.on_failure == OnFailure::Park)
    }

    /// Steps are safe: what follows from them happens now.
    pub(crate) fn settled(
        &mut self,
        now: Time,
        settlements: Vec<Settlement>,
        receipts: Vec<Receipt>,
        out: &mut Vec<Effect>,
    ) {
        for (settlement, receipt) in settlements.into_iter().zip(receipts) {
            let delivery = settlement.delivery;
            let promoted = match &receipt {
                Receipt::Promoted { due, progress } => Some((*due, *progress)),
                _ => None,
            };
            if promoted.is_some() || receipt == Receipt::Applied {
                self.follow(now, settlement, out);
                if let Some((due, progress)) = promoted {
                    self.promoted(delivery.endpoint, due, progress);
                }
            } else {
                let doing = "step";
                out.push(Effect::Publish(Notice::Disagreement { delivery, doing }));
            }
            self.end_flight(delivery, out);
        }
    }

    fn follow(&mut self, now: Time, settlement: Settlement, out: &mut Vec<Effect>) {
        let Settlement { delivery, step, before, cancel, change } = settlement;
        let progress = before.after(&step);
        let Step { kind, next, at: _ } = step;
        if let Next::Wait { due, .. } = next {
            self.queue(delivery.endpoint, Due::timed(due, delivery.event), progress, None);
        }
        if let Some(by) = cancel {
            let done = match next {
                Next::Cancelled => Ok(()),
                _ => Err(Unmoved::State(DeliveryState::Delivered)),
            };
            out.push(Effect::Reply { caller: by.caller, reply: Reply::Cancelled(done) });
        }
        match (kind, next) {
            (StepKind::Attempt(attempt), _) => {
                let (number, attempt) = (progress.attempts, Box::new(attempt));
                let notice = Notice::AttemptFinished { delivery, number, attempt, next };
                self.announce(now, notice, out);
            }
            (StepKind::Rule, Next::Dead { reason }) => {
                self.announce(now, Notice::Died { delivery, reason }, out);
            }
            (StepKind::Rule | StepKind::Command { .. } | StepKind::Duplicate { .. }, _) => {}
        }
        if let Some(Change { state, notices }) = change {
            self.set_state(now, delivery.endpoint, state, out);
            for notice in notices {
                self.announce(now, notice, out);
            }
        }
    }
}
