//! Retention in the plain model: all that may go, by looking at everything.

use std::time::Duration;

use postrider::model::DeliveryId;
use postrider::model::DeliveryState;
use postrider::model::Event;
use postrider::model::EventId;
use postrider::model::Order;
use postrider::model::Prune;
use postrider::model::Pruned;
use postrider::model::Receipt;
use postrider::model::Time;

use crate::outbox::Outbox;

impl Outbox {
    /// Takes away what has been kept for long enough, of `limit` events at most.
    pub fn prune(&mut self, prune: &Prune) -> Receipt {
        let (now, horizons) = (prune.now, &prune.horizons);
        let mut gone = Pruned::default();
        let mut left = prune.limit;
        let since = EventId::first_at(now.minus(horizons.keys));
        let keys = self.keys.len();
        self.keys.retain(|_, (event, _)| *event >= since);
        gone.keys += (keys - self.keys.len()) as u64;
        self.seen.retain(|_, seen| seen.until > now);
        let mut payload_bytes = self.payload_bytes();
        let older = |age: Duration| EventId::first_at(now.minus(age));
        let (payload_old, event_old) =
            (older(horizons.delivered_payload.min(horizons.dead_payload)), older(horizons.events));
        let size_max = horizons.payload_bytes_max.unwrap_or(u64::MAX);
        for id in self.events.keys().copied().collect::<Vec<_>>() {
            let bare = self.bare.contains(&id);
            let may = !bare && (id < payload_old || payload_bytes > size_max);
            if !may && id >= event_old {
                continue;
            }
            let Some((last, dead)) = self.ended(&self.events[&id]) else { continue };
            let payload_for = if dead { horizons.dead_payload } else { horizons.delivered_payload };
            let max = horizons.payload_bytes_max.filter(|_| !dead);
            let over = max.is_some_and(|max| payload_bytes > max);
            let drops_payload = !bare && (last + payload_for <= now || over);
            let drops_event = last + horizons.events <= now;
            if left == 0 || !drops_payload && !drops_event {
                continue;
            }
            left -= 1;
            gone.payloads += u64::from(!bare);
            if !bare {
                payload_bytes -= self.events[&id].body.len() as u64;
            }
            self.bare.insert(id);
            if drops_event {
                gone.events += 1;
                gone.keys += self.drop_event(id);
            }
        }
        Receipt::Pruned { gone, more: left == 0, ahead: None, damaged: Vec::new() }
    }

    fn drop_event(&mut self, id: EventId) -> u64 {
        let event = self.events.remove(&id).unwrap();
        self.bare.remove(&id);
        for no in &event.targets {
            let steps = self.steps.get(&DeliveryId::new(id, *no));
            let last = steps.and_then(|steps| steps.last()).map(|step| step.next);
            if matches!(last, Some(postrider::model::Next::Dead { .. })) {
                *self.dead.get_mut(no).unwrap() -= 1;
            }
        }
        self.gone.insert(id, event);
        let keys = self.keys.len();
        self.keys.retain(|_, (event, _)| *event != id);
        (keys - self.keys.len()) as u64
    }

    /// When an event came to its end, and whether a delivery of it is dead; `None` as long as it is
    /// pending, or keeps others of its key waiting.
    pub fn ended(&self, event: &Event) -> Option<(Time, bool)> {
        let (mut last, mut dead) = (event.accepted_at, false);
        for no in &event.targets {
            let delivery = DeliveryId::new(event.id, *no);
            match self.state_of_known(delivery) {
                DeliveryState::Delivered | DeliveryState::Cancelled => {}
                DeliveryState::Dead => dead = true,
                _ => return None,
            }
            let key = Order::at(&event.orders, *no).map(|order| (*no, order.key));
            if key.is_some_and(|key| self.first.get(&key) == Some(&event.id)) {
                return None;
            }
            last = last.max(self.steps[&delivery].last()?.at);
        }
        Some((last, dead))
    }

    /// Whether the payload of an event, or all of it, is no longer kept.
    pub fn is_bare(&self, event: EventId) -> bool {
        self.bare.contains(&event) || self.gone.contains_key(&event)
    }

    /// Bytes of payloads that are kept.
    pub fn payload_bytes(&self) -> u64 {
        let kept = self.events.values().filter(|event| !self.bare.contains(&event.id));
        kept.map(|event| event.body.len() as u64).sum()
    }

    /// What waits or is under way has all that it needs.
    pub fn check_kept(&self) {
        let due = self
            .due
            .iter()
            .flat_map(|(no, queue)| queue.keys().map(|due| DeliveryId::new(due.event, *no)));
        let behind = self.behind.keys().map(|(no, _, event)| DeliveryId::new(*event, *no));
        for delivery in due.chain(behind).chain(self.flight.keys().copied()) {
            let event = delivery.event;
            assert!(self.events.contains_key(&event), "{delivery} waits, and its event is gone");
            assert!(!self.bare.contains(&event), "{delivery} waits, and its payload is gone");
        }
    }

    /// What is dead is counted.
    pub fn check_dead(&self) {
        for (no, counted) in &self.dead {
            let of =
                |event: &&EventId| self.state(DeliveryId::new(**event, *no)) == DeliveryState::Dead;
            let dead = self.events.keys().filter(of).count();
            assert_eq!(*counted, dead as u64, "dead deliveries of {no:?} are counted");
        }
    }

    /// Nothing is kept for longer than it may be, and this much.
    pub fn check_gone(&self, prune: &Prune, late: Duration) {
        let (now, horizons) = (prune.now, &prune.horizons);
        for event in self.events.values() {
            let Some((last, dead)) = self.ended(event) else { continue };
            let id = event.id;
            assert!(last + horizons.events + late > now, "{id} should be gone");
            let payload_for = if dead { horizons.dead_payload } else { horizons.delivered_payload };
            let kept = !self.bare.contains(&id);
            assert!(!kept || last + payload_for + late > now, "the payload of {id} should be gone");
        }
    }
}
