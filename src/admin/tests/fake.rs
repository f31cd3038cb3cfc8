//! A daemon of a few rows in memory, for the API to be tested against.

use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;

use crate::admin::backend::*;
use crate::model::queue::AGES_S;
use crate::model::queue::QueueRow;
use crate::model::queue::QueueView;
use crate::model::replay::view::*;
use crate::model::source::SourceView;
use crate::model::view::*;
use crate::model::*;

pub(super) struct Fake {
    pub(super) deliveries: Vec<DeliveryView>,
    /// What was asked for, in order: the method and its arguments.
    pub(super) calls: Mutex<Vec<String>>,
    pub(super) draining: bool,
}

pub(super) fn event_id(millis: u64) -> EventId {
    EventId::v7(Time::from_millis(1_795_256_102_000 + millis), 0, millis)
}

pub(super) fn delivery(millis: u64, state: DeliveryState) -> DeliveryView {
    let event_id = event_id(millis);
    DeliveryView {
        id: DeliveryId::new(event_id, EndpointNo(1)),
        event_id,
        event_type: Some("order.created".into()),
        payload_gone_at: None,
        endpoint: "crm".into(),
        state,
        attempts: 1,
        next_at: None,
        reason: None,
        duplicate_of: None,
        last_outcome: Some("http_5xx".into()),
        steps: Vec::new(),
    }
}

pub(super) fn endpoint(name: &str) -> EndpointView {
    EndpointView {
        name: name.into(),
        number: 1,
        url: "https://crm.example.com/hooks".into(),
        types: vec!["order.*".into()],
        status: "active".into(),
        state: EndpointState::default(),
        breaker: "closed".into(),
        rate: None,
        burst: None,
        origin: "api".into(),
        in_flight: 0,
        window: 4,
        recent: RecentView::default(),
        counts: LaneCounts { fresh: 3, timed: 4, dead: 1, behind: 0 },
    }
}

fn source() -> SourceView {
    SourceView {
        name: "shop".into(),
        id: "uid:1000".into(),
        unix_user: Some("shop-api".into()),
        path: None,
        description: None,
        types: vec!["order.*".into()],
        max_payload_bytes: 65_536,
        rate: Some("500/s".into()),
        burst: Some(500),
        silent_after_s: None,
        defined_in: Some("config.toml:7".into()),
        last_event_at: None,
        accepted: 3,
        refused: 1,
    }
}

pub(super) fn replay(state: ReplayState) -> ReplayView {
    ReplayView {
        id: ReplayId::from_bytes(event_id(7).to_bytes()),
        action: ReplayAction::Replay,
        filter: FilterView::default(),
        rate: "100/s".into(),
        actor: "uid:0".into(),
        created_at: Time::from_secs(1_795_256_102),
        state,
        ended_at: None,
        ended_by: None,
        counts: ReplayCounts { matched: 41, submitted: 3, expired: 1, skipped: 0 },
    }
}

fn event(delivery: &DeliveryView) -> EventView {
    EventView {
        id: delivery.event_id,
        event_type: "order.created".into(),
        accepted_at: delivery.event_id.time(),
        source: "shop".into(),
        source_id: "uid:1000".into(),
        content_type: "application/octet-stream".into(),
        payload_bytes: 4,
        payload_gone_at: None,
        attributes: Attributes::default(),
        deliveries: vec![delivery.clone()],
    }
}

impl Fake {
    pub(super) fn new() -> Fake {
        let states = [DeliveryState::Dead, DeliveryState::Delivered, DeliveryState::Dead];
        let rows = states.into_iter().zip([40_000, 20_000, 0]);
        let deliveries = rows.map(|(state, millis)| delivery(millis, state)).collect();
        Fake { deliveries, calls: Mutex::default(), draining: false }
    }

    fn note(&self, call: String) {
        self.calls.lock().unwrap().push(call);
    }

    fn find(&self, id: EventId) -> Answer<&DeliveryView> {
        let found = self.deliveries.iter().find(|delivery| delivery.event_id == id);
        found.ok_or(BackendError::NotFound("event"))
    }

    fn named(&self, name: &str) -> Answer<EndpointView> {
        match name {
            "crm" => Ok(endpoint("crm")),
            _ => Err(BackendError::NotFound("endpoint")),
        }
    }
}

/// The slice of these rows; the position is the index of the row that comes next.
fn slice<T: Clone>(rows: &[T], window: &Window) -> Answer<Slice<T>> {
    let start = match window.after.as_deref() {
        None => 0,
        Some([index]) => usize::from(*index),
        Some(_) => return Err(BackendError::BadPosition),
    };
    let end = rows.len().min(start + window.limit);
    let next = (end < rows.len()).then(|| vec![u8::try_from(end).unwrap()]);
    Ok(Slice { rows: rows[start..end].to_vec(), next })
}

impl Backend for Fake {
    async fn ready(&self) -> Answer<()> {
        let draining = BackendError::Unavailable { code: Code::Draining, detail: "later".into() };
        if self.draining { Err(draining) } else { Ok(()) }
    }

    async fn status(&self) -> Answer<StatusView> {
        Ok(StatusView {
            state: "running".into(),
            queued: 3,
            waiting: 4,
            sending: 2,
            dead: 2,
            oldest_due_ms: 1_500,
            endpoints: vec![endpoint("crm")],
            ..StatusView::default()
        })
    }

    async fn queue(&self) -> Answer<QueueView> {
        let mut row = QueueRow::of("crm".into());
        [3, 30, 90_000].map(Duration::from_secs).into_iter().for_each(|age| row.count(age));
        (row.total, row.uncounted) = (7, 4);
        let ages_s = AGES_S.to_vec();
        Ok(QueueView { counted_at: Time::ZERO, ages_s, endpoints: vec![row] })
    }

    async fn events(&self, filter: EventFilter, window: Window) -> Answer<Slice<EventView>> {
        self.note(format!("events {filter:?}"));
        slice(&self.deliveries.iter().map(event).collect::<Vec<_>>(), &window)
    }

    async fn event(&self, id: EventId) -> Answer<EventView> {
        self.find(id).map(event)
    }

    async fn events_between(&self, low: EventId, high: EventId) -> Answer<Vec<EventId>> {
        let ids = self.deliveries.iter().map(|delivery| delivery.event_id);
        Ok(ids.filter(|id| (low..=high).contains(id)).take(2).collect())
    }

    async fn payload(&self, id: EventId) -> Answer<Payload> {
        if self.find(id)?.state == DeliveryState::Delivered {
            return Err(BackendError::PayloadExpired);
        }
        let content_type = "application/octet-stream".into();
        Ok(Payload { content_type, body: Bytes::from_static(b"\x00\xFF\x0A!") })
    }

    async fn deliveries(
        &self,
        filter: DeliveryFilter,
        window: Window,
    ) -> Answer<Slice<DeliveryView>> {
        self.note(format!("deliveries {filter:?}"));
        slice(&self.deliveries, &window)
    }

    async fn delivery(&self, id: DeliveryId) -> Answer<DeliveryView> {
        let mut view = self.find(id.event)?.clone();
        let attempt = Attempt {
            status: Some(503),
            response: Some(Excerpt {
                content_type: "text/html".into(),
                body: Bytes::from_static(b"<h1>"),
            }),
            ..Attempt::without_response(Outcome::Http5xx)
        };
        let next = Next::Dead { reason: DeadReason::Exhausted };
        view.steps = vec![Step { at: Time::ZERO, kind: StepKind::Attempt(attempt), next }];
        Ok(view)
    }

    async fn deliveries_between(
        &self,
        low: DeliveryId,
        high: DeliveryId,
    ) -> Answer<Vec<DeliveryId>> {
        let ids = self.deliveries.iter().map(|delivery| delivery.id);
        Ok(ids.filter(|id| (low..=high).contains(id)).take(2).collect())
    }

    async fn retry(&self, id: DeliveryId, actor: Actor) -> Answer<DeliveryView> {
        self.note(format!("retry {}", actor.0));
        Ok(DeliveryView { state: DeliveryState::Queued, ..self.find(id.event)?.clone() })
    }

    async fn cancel(&self, id: DeliveryId, _actor: Actor) -> Answer<DeliveryView> {
        Err(BackendError::WrongState(self.find(id.event)?.state))
    }

    async fn sources(&self) -> Answer<Vec<SourceView>> {
        Ok(vec![source()])
    }

    async fn source(&self, name: String) -> Answer<SourceView> {
        Some(source()).filter(|one| one.name == name).ok_or(BackendError::NotFound("source"))
    }

    async fn endpoints(&self) -> Answer<Vec<EndpointView>> {
        Ok(vec![endpoint("crm")])
    }

    async fn endpoint(&self, name: String) -> Answer<EndpointView> {
        self.named(&name)
    }

    async fn create_endpoint(
        &self,
        definition: serde_json::Map<String, serde_json::Value>,
        _actor: Actor,
    ) -> Answer<CreatedEndpoint> {
        match definition.get("name").and_then(|name| name.as_str()) {
            Some("crm") => Err(BackendError::NameTaken),
            Some(name) => {
                Ok(CreatedEndpoint { endpoint: endpoint(name), secret: Some("whsec_x".into()) })
            }
            None => Err(BackendError::Invalid(vec![Fault::new("/name", "missing", "is missing")])),
        }
    }

    async fn remove_endpoint(
        &self,
        name: String,
        leftovers: Leftovers,
        actor: Actor,
    ) -> Answer<()> {
        self.note(format!("remove {name} {leftovers:?} {}", actor.0));
        self.named(&name).map(drop)
    }

    async fn pause(&self, name: String, reason: String, actor: Actor) -> Answer<EndpointView> {
        self.note(format!("pause {name} {reason:?} {}", actor.0));
        self.named(&name)
    }

    async fn resume(&self, name: String, actor: Actor) -> Answer<EndpointView> {
        self.note(format!("resume {name} {}", actor.0));
        self.named(&name)
    }

    async fn enable(&self, _name: String, _actor: Actor) -> Answer<EndpointView> {
        Err(BackendError::ManagedByConfig)
    }

    async fn test(&self, name: String, sample: Sample, _actor: Actor) -> Answer<Attempt> {
        self.named(&name)?;
        self.note(format!("test {} {:?}", sample.event_type, sample.body));
        match sample.event_type.as_str() {
            "blocked" => Ok(Attempt::without_response(Outcome::BlockedAddress)),
            _ => Ok(Attempt::without_response(Outcome::ConnectRefused)),
        }
    }

    async fn count_replay(&self, order: ReplayOrder) -> Answer<DryRunView> {
        self.note(format!("count {order:?}"));
        Ok(DryRunView { matched: 41, expired: 1, dry_run: true, standing: order.standing })
    }

    async fn replay(&self, order: ReplayOrder, actor: Actor) -> Answer<ReplayView> {
        self.note(format!("replay {order:?} {}", actor.0));
        Ok(ReplayView { filter: order.filter, ..replay(ReplayState::Running) })
    }

    async fn replays(&self) -> Answer<Vec<ReplayView>> {
        Ok(vec![replay(ReplayState::Running)])
    }

    async fn holds(&self) -> Answer<Vec<HoldView>> {
        let types = "order.*".parse().unwrap();
        let ReplayView { id, created_at, actor, .. } = replay(ReplayState::Running);
        Ok(vec![HoldView { id, types, endpoint: None, since: created_at, actor }])
    }

    async fn shown_replay(&self, _id: ReplayId) -> Answer<ReplayView> {
        Ok(replay(ReplayState::Done))
    }

    async fn replays_between(&self, low: ReplayId, high: ReplayId) -> Answer<Vec<ReplayId>> {
        let id = replay(ReplayState::Running).id;
        Ok(Some(id).filter(|id| (low..=high).contains(id)).into_iter().collect())
    }

    async fn cancel_replay(&self, id: ReplayId, actor: Actor) -> Answer<ReplayView> {
        self.note(format!("cancel {id} {}", actor.0));
        Err(BackendError::ReplayEnded(ReplayState::Done))
    }

    async fn reload(&self, _actor: Actor) -> Answer<ReloadView> {
        let detail = "unknown key \"retries\"";
        Err(BackendError::Invalid(vec![Fault::new("config.toml:3:1", "unknown-key", detail)]))
    }

    async fn drain(&self, actor: Actor) -> Answer<IntakeView> {
        self.note(format!("drain {}", actor.0));
        Ok(IntakeView { state: "draining".into(), sending: 2 })
    }

    async fn undrain(&self, _actor: Actor) -> Answer<IntakeView> {
        Ok(IntakeView { state: "running".into(), sending: 2 })
    }
}
