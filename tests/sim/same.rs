//! Duplicates: of a key, one goes out in a window. What the store does, and what must come of it.

use std::collections::BTreeMap;

use postrider::model::Dedupe;
use postrider::model::DeliveryId;
use postrider::model::Event;
use postrider::model::EventId;
use postrider::model::Next;
use postrider::model::Progress;
use postrider::model::Seen;
use postrider::model::Step;
use postrider::model::StepKind;

use crate::outbox::Outbox;

impl Outbox {
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
            let seen = Seen { event: event.id, until: event.accepted_at + dedupe.window };
            self.seen.insert((delivery.endpoint, dedupe.key), seen);
        }
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
