//! The end of an attempt: what follows from it, written down before anything else follows.

use crate::engine::Engine;
use crate::engine::Pending;
use crate::engine::flight::CancelBy;
use crate::engine::flight::Phase;
use crate::engine::words::Effect;
use crate::engine::words::LaneEnd;
use crate::engine::words::Notice;
use crate::engine::words::Reply;
use crate::model::Attempt;
use crate::model::DeliveryId;
use crate::model::DeliveryState;
use crate::model::Due;
use crate::model::EndpointEntry;
use crate::model::EndpointNo;
use crate::model::EndpointState;
use crate::model::Held;
use crate::model::Next;
use crate::model::Outcome;
use crate::model::Progress;
use crate::model::Receipt;
use crate::model::Record;
use crate::model::Step;
use crate::model::StepKind;
use crate::model::Time;
use crate::model::WaitReason;
use crate::policy::backoff;
use crate::policy::verdict::Verdict;
use crate::policy::verdict::verdict;

/// A step whose commit is under way.
#[derive(Debug)]
pub(crate) struct Settlement {
    pub(crate) delivery: DeliveryId,
    pub(crate) step: Step,
    /// The delivery's past, without this step.
    pub(crate) before: Progress,
    /// Who waits to hear that it was cancelled.
    pub(crate) cancel: Option<CancelBy>,
    /// The endpoint's state changes with it, because of this status.
    pub(crate) disabled: Option<(EndpointState, u16)>,
}

impl Settlement {
    pub(crate) fn new(delivery: DeliveryId, step: Step, before: Progress) -> Settlement {
        Settlement { delivery, step, before, cancel: None, disabled: None }
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
        let cancel = flight.cancel.take();
        self.flights.dialling = self.flights.dialling.saturating_sub(1);
        if let Some(lane) = self.lanes.get_mut(&delivery.endpoint) {
            lane.dialling = lane.dialling.saturating_sub(1);
        }
        self.free_place(delivery);
        let (next, disabled) = self.what_follows(now, delivery, &attempt, before, cancel.is_some());
        let step = Step { at: began, kind: StepKind::Attempt(*attempt), next };
        self.settle(vec![Settlement { delivery, step, before, cancel, disabled }], out);
    }

    fn what_follows(
        &mut self,
        now: Time,
        delivery: DeliveryId,
        attempt: &Attempt,
        before: Progress,
        cancelled: bool,
    ) -> (Next, Option<(EndpointState, u16)>) {
        let Some(lane) = self.lanes.get(&delivery.endpoint) else { return (Next::Cancelled, None) };
        if attempt.outcome != Outcome::Ok {
            if cancelled {
                return (Next::Cancelled, None);
            }
            if let Some(end) = lane.removed {
                return (end.next(), None);
            }
        }
        let policy = &lane.endpoint.retry;
        let rng = &mut self.rng;
        let next = backoff::after_attempt(policy, before, delivery.event, attempt, now, rng);
        let disable = verdict(policy, attempt) == Verdict::Disable;
        let Some(status) = attempt.status.filter(|_| disable) else { return (next, None) };
        if lane.endpoint.state.disabled.is_some() {
            return (next, None);
        }
        let mut state = lane.endpoint.state.clone();
        state.disabled = Some(Held {
            since: now,
            actor: "postrider".to_owned(),
            reason: format!("the endpoint answered {status}"),
        });
        (next, Some((state, status)))
    }

    /// Ready deliveries of a lane that is held back go back to its queue.
    pub(crate) fn put_back_ready(&mut self, now: Time, no: EndpointNo, out: &mut Vec<Effect>) {
        let Some(lane) = self.lanes.get_mut(&no) else { return };
        let removed = lane.removed;
        let ready = std::mem::take(&mut lane.ready);
        let mut steps = Vec::with_capacity(ready.len());
        for delivery in ready {
            let Some(flight) = self.flights.get_mut(delivery) else { continue };
            flight.phase = Phase::Settling;
            let (before, due) = (flight.progress, flight.due);
            self.free_place(delivery);
            let next = removed.map_or(Next::Wait { due, why: WaitReason::Held }, LaneEnd::next);
            let step = Step { at: now, kind: StepKind::Rule, next };
            steps.push(Settlement::new(delivery, step, before));
        }
        if !steps.is_empty() {
            self.settle(steps, out);
        }
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
        self.settle(vec![Settlement { delivery, step, before, cancel, disabled: None }], out);
    }

    /// Writes steps down.
    pub(crate) fn settle(&mut self, settlements: Vec<Settlement>, out: &mut Vec<Effect>) {
        let steps = settlements.iter().map(|settlement| Record::Step {
            delivery: settlement.delivery,
            step: Box::new(settlement.step.clone()),
        });
        let states = settlements.iter().filter_map(|settlement| {
            let (state, _) = settlement.disabled.as_ref()?;
            let entry = self.entries.get(&settlement.delivery.endpoint)?;
            let entry = EndpointEntry { state: state.clone(), ..entry.clone() };
            Some(Record::Endpoint(Box::new(entry)))
        });
        let records = steps.chain(states).collect();
        self.commit(records, Pending::Settlements(settlements), out);
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
            self.flights.remove(delivery);
            self.ring_in(delivery.endpoint);
            if receipt != Receipt::Applied {
                let doing = "step";
                out.push(Effect::Publish(Notice::Disagreement { delivery, doing }));
                continue;
            }
            self.follow(now, settlement, out);
        }
    }

    fn follow(&mut self, now: Time, settlement: Settlement, out: &mut Vec<Effect>) {
        let Settlement { delivery, step, before, cancel, disabled } = settlement;
        let progress = before.after(&step);
        let Step { kind, next, at: _ } = step;
        if let Next::Wait { due, .. } = next {
            self.queue(delivery.endpoint, Due::timed(due, delivery.event), progress, None);
        }
        if let Some(by) = cancel {
            let done = match next {
                Next::Cancelled => Ok(()),
                _ => Err(DeliveryState::Delivered),
            };
            out.push(Effect::Reply { caller: by.caller, reply: Reply::Cancelled(done) });
        }
        if let StepKind::Attempt(attempt) = kind {
            let (number, attempt) = (progress.attempts, Box::new(attempt));
            out.push(Effect::Publish(Notice::AttemptFinished { delivery, number, attempt, next }));
        }
        if let Some((state, status)) = disabled {
            let endpoint = delivery.endpoint;
            self.set_state(now, endpoint, state, out);
            out.push(Effect::Publish(Notice::EndpointDisabled { endpoint, status }));
        }
    }
}
