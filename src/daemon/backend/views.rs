//! From rows of the store to what people are shown. The store knows where a delivery stands; the
//! engine knows whether its endpoint may be called, which makes a waiting one a held one.

use std::sync::Arc;

use crate::admin::backend::Answer;
use crate::config::value::pace;
use crate::daemon::backend::stopping;
use crate::daemon::book::Page;
use crate::daemon::shared::Rules;
use crate::daemon::shared::Shared;
use crate::daemon::shared::Sight;
use crate::model::DeliveryId;
use crate::model::DeliveryState;
use crate::model::EndpointNo;
use crate::model::EventId;
use crate::model::LaneCounts;
use crate::model::Next;
use crate::model::StepKind;
use crate::model::Time;
use crate::model::WaitReason;
use crate::model::view::DeliveryView;
use crate::model::view::EndpointView;
use crate::model::view::EventView;
use crate::model::view::RecentView;
use crate::policy::pulse::Beats;
use crate::store::layout::EventHead;
use crate::store::packed::ReadError;
use crate::store::read::DeliveryRecord;
use crate::store::read::Reader;

/// What rows are seen through: the rules and the engine's state, as they were when a request came.
#[derive(Clone)]
pub(super) struct Lens {
    /// The rules.
    pub(super) rules: Arc<Rules>,
    /// The engine.
    pub(super) sight: Arc<Sight>,
}

impl Lens {
    /// Looks at the rules and the engine.
    pub(super) async fn take(shared: &Shared) -> Answer<Lens> {
        let sight = Arc::new(shared.look().await.ok_or_else(stopping)?);
        Ok(Lens { rules: shared.rules.load_full(), sight })
    }

    /// Why deliveries to an endpoint are held; `None` if they are not.
    pub(super) fn held(&self, no: EndpointNo) -> Option<String> {
        let Some(state) = self.sight.state(no) else {
            return Some("the endpoint was removed".to_owned());
        };
        let Some(held) = state.disabled.as_ref().or(state.paused.as_ref()) else {
            let open = state.open.filter(|_| self.has_breaker(no))?;
            let (failures, outcome, until) = (open.failures, open.outcome, open.until);
            let so_often = format!("{failures} failures in a row, the last {outcome}");
            return Some(format!("breaker open: {so_often}; one is tried at {until}"));
        };
        let word = state.word();
        let (actor, reason) = (&held.actor, &held.reason);
        let why = if reason.is_empty() { "" } else { ": " };
        Some(format!("{word} by {actor}{why}{reason}"))
    }

    /// Whether the endpoint has a breaker. Its state may be kept although it has none any more.
    fn has_breaker(&self, no: EndpointNo) -> bool {
        let page = self.rules.book.page(no);
        let definition = page.and_then(|page| page.definition.as_deref());
        definition.is_some_and(|definition| definition.flow.breaker.is_some())
    }

    /// A delivery with its steps. `head` is that of its event, where it is still kept.
    pub(super) fn delivery(
        &self,
        id: DeliveryId,
        head: Option<&EventHead>,
        record: DeliveryRecord,
    ) -> DeliveryView {
        let waits = matches!(record.state, DeliveryState::Queued | DeliveryState::Waiting);
        let held = match record.state {
            DeliveryState::Held => Some(put_aside(&record)),
            _ if waits => self.held(id.endpoint),
            _ => None,
        };
        let (next_at, why) = match record.next {
            _ if !waits && record.state != DeliveryState::Dead => (None, None),
            Some(Next::Wait { due, why }) => (Some(due), Some(why.as_str())),
            Some(Next::Dead { reason }) => (None, Some(reason.as_str())),
            None => (delayed(head), delayed(head).map(|_| WaitReason::Delayed.as_str())),
            Some(Next::Delivered | Next::Cancelled) => (None, None),
        };
        let duplicate_of = record.steps.last().and_then(|step| match step.kind {
            StepKind::Duplicate { of } => Some(of),
            _ => None,
        });
        let outcomes = record.steps.iter().rev().filter_map(|step| match &step.kind {
            StepKind::Attempt(attempt) => Some(attempt.outcome.as_str().to_owned()),
            StepKind::Command { .. } | StepKind::Rule | StepKind::Duplicate { .. } => None,
        });
        let last_outcome = outcomes.into_iter().next();
        DeliveryView {
            id,
            event_id: id.event,
            event_type: head.map(|head| head.event_type.to_string()),
            payload_gone_at: head.and_then(|head| head.payload_gone),
            endpoint: self.rules.book.name(id.endpoint),
            state: if held.is_some() { DeliveryState::Held } else { record.state },
            attempts: record.progress.attempts,
            next_at,
            reason: held.or(why.map(str::to_owned)),
            last_outcome,
            duplicate_of,
            steps: record.steps,
        }
    }

    /// An event with its deliveries, without their steps; nothing if it has gone meanwhile.
    ///
    /// # Errors
    /// [`ReadError`] if one of them cannot be read.
    pub(super) fn event(
        &self,
        reader: &Reader,
        id: EventId,
        head: EventHead,
    ) -> Result<Option<EventView>, ReadError> {
        let one = |no: &EndpointNo| {
            let delivery = DeliveryId::new(id, *no);
            let record = reader.delivery(delivery)?;
            if record.state == DeliveryState::Unknown {
                return Ok(None);
            }
            let view = self.delivery(delivery, Some(&head), record);
            Ok(Some(DeliveryView { steps: Vec::new(), ..view }))
        };
        let deliveries = head.targets.iter().map(one).collect::<Result<_, ReadError>>()?;
        let Some(deliveries) = deliveries else { return Ok(None) };
        Ok(Some(EventView {
            id,
            event_type: head.event_type.to_string(),
            accepted_at: head.accepted_at,
            source: self.rules.sources.name(&head.source).to_owned(),
            source_id: head.source,
            content_type: head.content_type,
            payload_bytes: head.body_bytes,
            payload_gone_at: head.payload_gone,
            attributes: head.attributes,
            deliveries,
        }))
    }

    /// An endpoint. Its dead deliveries are counted by the store.
    pub(super) fn endpoint(&self, page: &Page, dead: u64) -> EndpointView {
        let lane = self.sight.lanes.iter().find(|(no, ..)| *no == page.no);
        let (mut state, counts, in_flight) = match lane {
            Some((_, state, counts, in_flight)) => (state.clone(), *counts, *in_flight),
            None => Default::default(),
        };
        let breaker = match (self.has_breaker(page.no), &state.open) {
            (false, _) => "off",
            (true, None) => "closed",
            (true, Some(_)) => "open",
        };
        let (window, beats) = self.sight.fares.get(&page.no).copied().unwrap_or_default();
        let Beats { attempts, failures, delivered, slow } = beats;
        state.open = state.open.filter(|_| breaker == "open");
        let definition = page.definition.as_deref();
        let rate = definition.and_then(|definition| definition.flow.rate.as_ref());
        let types = definition.map(|d| d.types.iter().map(ToString::to_string).collect());
        EndpointView {
            name: page.name.to_string(),
            number: page.no.0,
            url: definition.map(|d| shown(&d.url)).unwrap_or_default(),
            types: types.unwrap_or_default(),
            status: state.word().to_owned(),
            state,
            breaker: breaker.to_owned(),
            rate: rate.map(pace::written),
            burst: rate.map(|rate| rate.burst),
            origin: page.origin.as_str().to_owned(),
            in_flight: u32::try_from(in_flight).unwrap_or(u32::MAX),
            window: u32::try_from(window).unwrap_or(u32::MAX),
            recent: RecentView { attempts, failures, delivered, slow },
            counts: LaneCounts { dead, ..counts },
        }
    }
}

/// Who has put a delivery aside.
fn put_aside(record: &DeliveryRecord) -> String {
    let by = record.steps.last().and_then(|step| match &step.kind {
        StepKind::Command { actor } => Some(format!(" by {actor}")),
        StepKind::Rule => Some(" by a standing hold".to_owned()),
        StepKind::Attempt(_) | StepKind::Duplicate { .. } => None,
    });
    format!("on hold{}", by.unwrap_or_default())
}

/// When an event is to be delivered, where its submitter said so.
fn delayed(head: Option<&EventHead>) -> Option<Time> {
    head.and_then(|head| head.attributes.deliver_at)
}

/// A URL without what may be secret in it.
fn shown(url: &url::Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // A URL that has no host has no user either, and cannot be an endpoint's.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}
