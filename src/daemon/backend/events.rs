//! Events: lists, one, its payload.

use std::ops::ControlFlow;

use crate::admin::backend::Answer;
use crate::admin::backend::BackendError;
use crate::admin::backend::EventFilter;
use crate::admin::backend::Payload;
use crate::admin::backend::Slice;
use crate::admin::backend::Window;
use crate::daemon::backend::SCANNED_MAX;
use crate::daemon::backend::position::List;
use crate::daemon::backend::position::Spot;
use crate::daemon::backend::read;
use crate::daemon::backend::unreadable;
use crate::daemon::backend::views::Lens;
use crate::daemon::shared::Shared;
use crate::model::DeliveryState;
use crate::model::EndpointNo;
use crate::model::EventId;
use crate::model::Time;
use crate::model::view::EventView;
use crate::policy::routing;
use crate::store::layout::EventHead;
use crate::store::packed::ReadError;
use crate::store::read::Reader;

/// Events read at once.
const CHUNK_EVENTS: usize = 100;

/// Calls `each` for every event before `before`, newest first, until it breaks or one is older
/// than `since`.
///
/// # Errors
/// [`ReadError`] names what cannot be read.
pub(super) fn walk(
    reader: &Reader,
    mut before: Option<EventId>,
    since: Option<Time>,
    mut each: impl FnMut(EventId, EventHead) -> Result<ControlFlow<()>, ReadError>,
) -> Result<(), ReadError> {
    let oldest = since.map_or(EventId::MIN, EventId::first_at);
    loop {
        let events = reader.events(before, CHUNK_EVENTS)?;
        let Some((last, _)) = events.last() else { return Ok(()) };
        before = Some(*last);
        for (id, head) in events {
            if id < oldest || each(id, head)?.is_break() {
                return Ok(());
            }
        }
    }
}

/// Where a walk begins: behind the last row shown, or at the newest event that is old enough.
pub(super) fn beginning(after: Option<EventId>, until: Option<Time>) -> Option<EventId> {
    after.or_else(|| until.map(EventId::first_at))
}

pub(super) async fn list(
    shared: &Shared,
    filter: EventFilter,
    window: Window,
) -> Answer<Slice<EventView>> {
    let after = Spot::read(List::Events, window.after.as_ref())?;
    let before = beginning(after.map(|spot| spot.event), filter.until);
    let lens = Lens::take(shared).await?;
    let source = filter.source.map(|text| lens.rules.sources.identity(text));
    let filter = EventFilter { source, ..filter };
    read(shared, move |reader| {
        slice(reader, &lens, &filter, before, window.limit).map_err(unreadable)
    })
    .await
}

fn slice(
    reader: &Reader,
    lens: &Lens,
    filter: &EventFilter,
    before: Option<EventId>,
    limit: usize,
) -> Result<Slice<EventView>, ReadError> {
    let (mut rows, mut last, mut looked) = (Vec::new(), None, 0_usize);
    let mut next = None;
    walk(reader, before, filter.since, |id, head| {
        if rows.len() >= limit || looked >= SCANNED_MAX {
            next = last.map(|last| Spot::of(last, EndpointNo(0)).written(List::Events));
            return Ok(ControlFlow::Break(()));
        }
        (last, looked) = (Some(id), looked + 1);
        if fits(filter, &head) {
            looked += head.targets.len();
            let Some(view) = lens.event(reader, id, head)? else {
                return Ok(ControlFlow::Continue(()));
            };
            let has = |state: DeliveryState| view.deliveries.iter().any(|d| d.state == state);
            if filter.has_state.is_none_or(has) {
                rows.push(view);
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(Slice { rows, next })
}

fn fits(filter: &EventFilter, head: &EventHead) -> bool {
    let said = &head.attributes;
    filter.types.as_ref().is_none_or(|glob| routing::covers(glob, &head.event_type))
        && filter.source.as_ref().is_none_or(|source| *source == head.source)
        && filter.tenant.as_ref().is_none_or(|tenant| said.tenant.as_ref() == Some(tenant))
        && filter.tags.iter().all(|tag| said.tags.contains(tag))
}

pub(super) async fn show(shared: &Shared, id: EventId) -> Answer<EventView> {
    let lens = Lens::take(shared).await?;
    read(shared, move |reader| {
        let head = reader.event_head(id).map_err(unreadable)?;
        let head = head.ok_or(BackendError::NotFound("event"))?;
        let view = lens.event(reader, id, head).map_err(unreadable)?;
        view.ok_or(BackendError::NotFound("event"))
    })
    .await
}

pub(super) async fn between(shared: &Shared, low: EventId, high: EventId) -> Answer<Vec<EventId>> {
    read(shared, move |reader| {
        let events = reader.events_between(low, high, 2).map_err(unreadable)?;
        Ok(events.into_iter().map(|(id, _)| id).collect())
    })
    .await
}

pub(super) async fn payload(shared: &Shared, id: EventId) -> Answer<Payload> {
    read(shared, move |reader| {
        let event = reader.event(id).map_err(unreadable)?;
        let Some(event) = event else {
            let head = reader.event_head(id).map_err(unreadable)?;
            return Err(
                head.map_or(BackendError::NotFound("event"), |_| BackendError::PayloadExpired)
            );
        };
        Ok(Payload { content_type: event.content_type.to_string(), body: event.body })
    })
    .await
}
