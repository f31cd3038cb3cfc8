//! Deliveries: lists, one.
//!
//! A list by state is read from the table that holds this state, if there is one; any other walks
//! the events and looks at their deliveries.

use std::ops::ControlFlow;

use crate::admin::backend::Answer;
use crate::admin::backend::BackendError;
use crate::admin::backend::DeliveryFilter;
use crate::admin::backend::Position;
use crate::admin::backend::Slice;
use crate::admin::backend::Window;
use crate::daemon::backend::SCANNED_MAX;
use crate::daemon::backend::events;
use crate::daemon::backend::position::List;
use crate::daemon::backend::position::Spot;
use crate::daemon::backend::read;
use crate::daemon::backend::streams::Merged;
use crate::daemon::backend::streams::Table;
use crate::daemon::backend::unreadable;
use crate::daemon::backend::views::Lens;
use crate::daemon::shared::Shared;
use crate::model::Class;
use crate::model::DeliveryId;
use crate::model::DeliveryState;
use crate::model::EndpointNo;
use crate::model::EventId;
use crate::model::view::DeliveryView;
use crate::policy::routing;
use crate::store::layout::EventHead;
use crate::store::packed::ReadError;
use crate::store::read::Reader;

pub(super) async fn list(
    shared: &Shared,
    filter: DeliveryFilter,
    window: Window,
) -> Answer<Slice<DeliveryView>> {
    let lens = Lens::take(shared).await?;
    read(shared, move |reader| slice(reader, &lens, &filter, &window)).await
}

pub(super) async fn show(shared: &Shared, id: DeliveryId) -> Answer<DeliveryView> {
    let lens = Lens::take(shared).await?;
    read(shared, move |reader| {
        let record = reader.delivery(id).map_err(unreadable)?;
        if record.state == DeliveryState::Unknown {
            return Err(BackendError::NotFound("delivery"));
        }
        let head = reader.event_head(id.event).map_err(unreadable)?;
        Ok(lens.delivery(id, head.as_ref(), record))
    })
    .await
}

pub(super) async fn between(
    shared: &Shared,
    low: DeliveryId,
    high: DeliveryId,
) -> Answer<Vec<DeliveryId>> {
    read(shared, move |reader| {
        let events = reader.events_between(low.event, high.event, SCANNED_MAX);
        let deliveries = events
            .map_err(unreadable)?
            .into_iter()
            .flat_map(|(id, head)| head.targets.into_iter().map(move |no| DeliveryId::new(id, no)));
        Ok(deliveries.filter(|id| (low..=high).contains(id)).take(2).collect())
    })
    .await
}

/// A slice of the list, without steps.
pub(super) fn slice(
    reader: &Reader,
    lens: &Lens,
    filter: &DeliveryFilter,
    window: &Window,
) -> Answer<Slice<DeliveryView>> {
    let query = Query { reader, lens, filter, only: only(lens, filter)?, takes: &|_| true };
    let sources = query.sources()?;
    let list = sources.first().map(|(table, _)| table.list());
    let after = |list| Spot::read(list, window.after.as_ref());
    let mut page = Page::of(window.limit);
    let read = match (filter.state, list) {
        (Some(DeliveryState::Sending), _) => query.sending(after(List::Deliveries)?, &mut page),
        // those that wait behind another of their key stand in no queue
        (Some(state), _) if waits(state) && query.any_behind()? => {
            query.walked(after(List::Deliveries)?, &mut page)
        }
        (_, Some(list)) => query.merged(&sources, after(list)?, &mut page),
        (Some(state), None) if is_in_a_table(state) => Ok(None),
        (_, None) => query.walked(after(List::Deliveries)?, &mut page),
    };
    let next = read.map_err(unreadable)?;
    Ok(Slice { rows: page.rows, next })
}

/// The same in the order of events, which never changes, of those that stand in one of the states
/// that `takes` says. States are as the store knows them.
pub(super) fn walk(
    reader: &Reader,
    lens: &Lens,
    filter: &DeliveryFilter,
    takes: &dyn Fn(DeliveryState) -> bool,
    window: &Window,
) -> Answer<Slice<DeliveryView>> {
    let query = Query { reader, lens, filter, only: only(lens, filter)?, takes };
    let mut page = Page::of(window.limit);
    let after = Spot::read(List::Deliveries, window.after.as_ref())?;
    let next = query.walked(after, &mut page).map_err(unreadable)?;
    Ok(Slice { rows: page.rows, next })
}

/// Whether a delivery fits the filter.
pub(super) fn fits(
    reader: &Reader,
    lens: &Lens,
    filter: &DeliveryFilter,
    takes: &dyn Fn(DeliveryState) -> bool,
    id: DeliveryId,
) -> Answer<bool> {
    let query = Query { reader, lens, filter, only: only(lens, filter)?, takes };
    Ok(query.row(id, None).map_err(unreadable)?.is_some())
}

/// The endpoint that the filter names, as it is shown.
fn only(lens: &Lens, filter: &DeliveryFilter) -> Answer<Option<EndpointNo>> {
    let Some(name) = &filter.endpoint else { return Ok(None) };
    lens.rules.book.number(name).map(Some).ok_or(BackendError::NotFound("endpoint"))
}

fn is_in_a_table(state: DeliveryState) -> bool {
    use DeliveryState::Dead;
    use DeliveryState::Held;
    use DeliveryState::Queued;
    use DeliveryState::Waiting;
    matches!(state, Dead | Queued | Waiting | Held)
}

fn waits(state: DeliveryState) -> bool {
    matches!(state, DeliveryState::Queued | DeliveryState::Waiting | DeliveryState::Held)
}

/// A page that fills.
struct Page {
    rows: Vec<DeliveryView>,
    limit: usize,
    looked: usize,
    last: Option<Spot>,
}

impl Page {
    fn of(limit: usize) -> Page {
        Page { rows: Vec::new(), limit, looked: 0, last: None }
    }

    fn is_full(&self) -> bool {
        self.rows.len() >= self.limit || self.looked >= SCANNED_MAX
    }

    fn look(&mut self, spot: Spot, row: Option<DeliveryView>) {
        self.looked += 1;
        self.last = Some(spot);
        self.rows.extend(row);
    }

    fn position(&self, list: List) -> Option<Position> {
        self.last.map(|spot| spot.written(list))
    }
}

struct Query<'a> {
    reader: &'a Reader,
    lens: &'a Lens,
    filter: &'a DeliveryFilter,
    only: Option<EndpointNo>,
    /// Which states, as the store knows them.
    takes: &'a dyn Fn(DeliveryState) -> bool,
}

impl Query<'_> {
    /// Whether deliveries wait behind others of their key.
    fn any_behind(&self) -> Answer<bool> {
        let lanes = self.reader.lanes().map_err(unreadable)?;
        let wanted = |no: &EndpointNo| self.only.is_none_or(|only| only == *no);
        Ok(lanes.iter().any(|(no, counts)| counts.behind > 0 && wanted(no)))
    }

    /// The tables and endpoints in which deliveries of the wanted state stand.
    fn sources(&self) -> Answer<Vec<(Table, EndpointNo)>> {
        let tables: &[(Table, bool)] = match self.filter.state {
            Some(DeliveryState::Dead) => &[(Table::Dead, true)],
            Some(DeliveryState::Queued) => &[(Table::Due(Class::Fresh), false)],
            Some(DeliveryState::Waiting) => &[(Table::Due(Class::Timed), false)],
            Some(DeliveryState::Held) => &[
                (Table::Due(Class::Fresh), true),
                (Table::Due(Class::Timed), true),
                (Table::OnHold, false),
            ],
            _ => return Ok(Vec::new()),
        };
        let mut lanes = self.reader.lanes().map_err(unreadable)?;
        lanes.retain(|(no, _)| self.only.is_none_or(|only| only == *no));
        let mut sources = Vec::new();
        for (no, counts) in lanes {
            let is_held = self.lens.held(no).is_some();
            for (table, held) in tables {
                let (rows, fits) = match table {
                    Table::Dead => (counts.dead, true),
                    Table::Due(Class::Fresh) => (counts.fresh, *held == is_held),
                    Table::Due(Class::Timed) | Table::OnHold => (counts.timed, *held == is_held),
                };
                if rows > 0 && fits {
                    sources.push((*table, no));
                }
            }
        }
        Ok(sources)
    }

    fn merged(
        &self,
        sources: &[(Table, EndpointNo)],
        after: Option<Spot>,
        page: &mut Page,
    ) -> Result<Option<Position>, ReadError> {
        let mut merged = Merged::new(self.reader, sources, after)?;
        while !page.is_full() {
            let Some(spot) = merged.next()? else { return Ok(None) };
            let row = self.row(spot.delivery(), None)?;
            page.look(spot, row);
        }
        let list = sources.first().map(|(table, _)| table.list());
        let list = list.filter(|_| !merged.is_empty());
        Ok(list.and_then(|list| page.position(list)))
    }

    fn sending(&self, after: Option<Spot>, page: &mut Page) -> Result<Option<Position>, ReadError> {
        let in_flight = self.reader.in_flight()?;
        let mut spots: Vec<_> =
            in_flight.iter().map(|(id, _)| Spot::of(id.event, id.endpoint)).collect();
        spots.retain(|spot| after.is_none_or(|after| *spot < after));
        spots.sort_unstable_by(|a, b| b.cmp(a));
        for spot in spots {
            if page.is_full() {
                return Ok(page.position(List::Deliveries));
            }
            let row = self.row(spot.delivery(), None)?;
            page.look(spot, row);
        }
        Ok(None)
    }

    fn walked(&self, after: Option<Spot>, page: &mut Page) -> Result<Option<Position>, ReadError> {
        let mut next = None;
        // The event itself may have more deliveries behind the last one shown.
        let first = after.map(|spot| spot.event.successor());
        let before = events::beginning(first, self.filter.until);
        events::walk(self.reader, before, self.filter.since, |id, head| {
            if page.is_full() {
                next = page.position(List::Deliveries);
                return Ok(ControlFlow::Break(()));
            }
            for no in head.targets.iter().rev() {
                let spot = Spot::of(id, *no);
                if after.is_some_and(|after| spot >= after) {
                    continue;
                }
                if page.is_full() {
                    next = page.position(List::Deliveries);
                    return Ok(ControlFlow::Break(()));
                }
                let row = self.row(spot.delivery(), Some(&head))?;
                page.look(spot, row);
            }
            page.look(Spot::of(id, EndpointNo(0)), None);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(next)
    }

    /// The delivery as a row, if it fits the filter.
    fn row(
        &self,
        id: DeliveryId,
        head: Option<&EventHead>,
    ) -> Result<Option<DeliveryView>, ReadError> {
        let filter = self.filter;
        let old_enough = filter.until.is_none_or(|until| id.event < EventId::first_at(until));
        let new_enough = filter.since.is_none_or(|since| id.event >= EventId::first_at(since));
        let to_it = self.only.is_none_or(|only| only == id.endpoint);
        if !(old_enough && new_enough && to_it) {
            return Ok(None);
        }
        let own;
        let head = match head {
            Some(head) => Some(head),
            None => {
                own = self.reader.event_head(id.event)?;
                own.as_ref()
            }
        };
        let covers = |glob| head.is_some_and(|head| routing::covers(glob, &head.event_type));
        if !filter.types.as_ref().is_none_or(covers) {
            return Ok(None);
        }
        let record = self.reader.delivery(id)?;
        // it may have gone since it was found in a list
        if record.state == DeliveryState::Unknown || !(self.takes)(record.state) {
            return Ok(None);
        }
        let view = self.lens.delivery(id, head, record);
        let outcome = filter.outcome.map(|outcome| outcome.as_str());
        let fits = filter.state.is_none_or(|state| state == view.state)
            && outcome.is_none_or(|outcome| view.last_outcome.as_deref() == Some(outcome));
        Ok(fits.then(|| DeliveryView { steps: Vec::new(), ..view }))
    }
}
