//! What becomes of a new event in the plain model: where its deliveries stand, which of them are
//! duplicates, and which a standing hold puts aside.

use std::collections::BTreeMap;
use std::sync::Arc;

use postrider::model::Admit;
use postrider::model::DeadReason;
use postrider::model::Dedupe;
use postrider::model::DeliveryId;
use postrider::model::Due;
use postrider::model::EndpointNo;
use postrider::model::Event;
use postrider::model::EventId;
use postrider::model::Next;
use postrider::model::Order;
use postrider::model::Progress;
use postrider::model::Receipt;
use postrider::model::Seen;
use postrider::model::Step;
use postrider::model::StepKind;
use postrider::model::Time;
use postrider::policy::routing;

use crate::outbox::Outbox;

impl Outbox {
    /// A new event.
    pub fn admit(&mut self, admit: &Admit) -> Receipt {
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
        let (mut behind, mut stale, mut duplicates) = (vec![], vec![], vec![]);
        for no in &event.targets {
            let delivery = DeliveryId::new(event.id, *no);
            let later = event.attributes.deliver_at;
            let due = later.map_or(Due::fresh(event.id), |at| Due::timed(at, event.id));
            let order = event.orders.iter().find(|order| order.endpoint == *no);
            let progress = Progress { order: order.map(|o| o.key), ..Progress::default() };
            if admit.started.contains(no) {
                self.flight.insert(delivery, progress);
                continue;
            }
            if let Some(of) = self.leave_out(event, delivery, progress) {
                duplicates.push((*no, of));
            } else if order.is_some_and(|order| self.is_stale(order)) {
                let next = Next::Dead { reason: DeadReason::Stale };
                let step = Step { at: event.accepted_at, kind: StepKind::Rule, next };
                self.follow(delivery, progress, &step);
                stale.push(*no);
            } else {
                self.see(event, delivery);
                let (progress, due) = self.put_aside(event, delivery, progress, due);
                if self.seat(delivery, progress, due) {
                    self.due.entry(*no).or_default().insert(due, progress);
                } else {
                    behind.push(*no);
                }
            }
        }
        if behind.is_empty() && stale.is_empty() && duplicates.is_empty() {
            return Receipt::Applied;
        }
        Receipt::Seated { behind, stale, duplicates }
    }

    fn is_stale(&mut self, order: &Order) -> bool {
        let Some(version) = order.version else { return false };
        let highest = self.versions.entry((order.endpoint, order.key)).or_insert(version);
        let stale = version < *highest;
        *highest = version.max(*highest);
        stale
    }

    /// Ends a delivery that is a duplicate, and says of which event.
    pub fn leave_out(
        &mut self,
        event: &Event,
        delivery: DeliveryId,
        progress: Progress,
    ) -> Option<EventId> {
        let dedupe = Dedupe::at(&event.dedupes, delivery.endpoint)?;
        let seen = self.seen.get(&(delivery.endpoint, dedupe.key))?;
        let of = seen.covers(event.accepted_at, dedupe.window).then_some(seen.event)?;
        let kind = StepKind::Duplicate { of };
        let step = Step { at: event.accepted_at, kind, next: Next::Cancelled };
        self.follow(delivery, progress, &step);
        Some(of)
    }

    /// A delivery goes out, and is the first of its window.
    pub fn see(&mut self, event: &Event, delivery: DeliveryId) {
        if let Some(dedupe) = Dedupe::at(&event.dedupes, delivery.endpoint) {
            let seen = Seen {
                event: event.id,
                admitted: event.accepted_at,
                until: event.accepted_at + dedupe.window,
            };
            self.seen.insert((delivery.endpoint, dedupe.key), seen);
        }
    }

    /// Puts a delivery aside that is held on arrival; its past, and when it is due.
    pub fn put_aside(
        &mut self,
        event: &Event,
        delivery: DeliveryId,
        progress: Progress,
        due: Due,
    ) -> (Progress, Due) {
        if !event.held.contains(&delivery.endpoint) {
            return (progress, due);
        }
        let step = Step::held_on_arrival(event.accepted_at);
        let progress = progress.after(&step);
        self.steps.entry(delivery).or_default().push(step);
        (progress, Due::timed(Time::MAX, event.id))
    }

    /// Whether a delivery was put aside as it came in.
    pub fn put_aside_on_arrival(&self, delivery: DeliveryId) -> bool {
        let first = self.steps.get(&delivery).and_then(|steps| steps.first());
        first.is_some_and(|step| step.kind == StepKind::Rule && step.next.is_on_hold())
    }

    /// The targets of an event at which it is to be put aside.
    pub fn to_put_aside(&self, event: &Event) -> Vec<EndpointNo> {
        let covers = |no: &EndpointNo| {
            let mut holds = self.holds.values();
            holds.any(|hold| {
                routing::covers(&hold.types, &event.event_type)
                    && (hold.endpoint.is_none() || hold.endpoint == Some(*no))
            })
        };
        event.targets.iter().copied().filter(covers).collect()
    }

    /// The step that left a delivery out: the first of its log.
    pub fn left_out(&self, delivery: DeliveryId) -> Option<EventId> {
        match self.steps.get(&delivery)?.first()?.kind {
            StepKind::Duplicate { of } => Some(of),
            _ => None,
        }
    }

    /// All events that ever were, by endpoint and key, in the order of their admission.
    pub fn of_each_key(&self) -> BTreeMap<(u32, [u8; 16]), Vec<&Event>> {
        let mut found: BTreeMap<_, Vec<&Event>> = BTreeMap::new();
        let mut all: Vec<&Event> =
            self.events.values().chain(self.gone.values()).map(|event| &**event).collect();
        all.sort_by_key(|event| event.id);
        for event in all {
            for dedupe in &event.dedupes {
                found.entry((dedupe.endpoint.0, dedupe.key.0)).or_default().push(event);
            }
        }
        found
    }
}
