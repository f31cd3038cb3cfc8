//! Replays: what the engine walks over is read here, and what people want of it is given to it.
//!
//! What a filter finds is decided twice by the same rule ([`ReplayFilter::takes`]): here, and by
//! the writer when it comes to it. What is under way when its turn comes is passed over
//! and counted.
//!
//! The list of dead deliveries is walked from the newest on: what is sent again and dies again
//! meanwhile comes in at its beginning. Any other is walked in the order of events, which never
//! changes. Neither does a place in them, so that a walk goes on there after a restart.

use std::sync::Arc;
use std::time::Duration;

use crate::admin::backend::Actor;
use crate::admin::backend::Answer;
use crate::admin::backend::BackendError;
use crate::admin::backend::DeliveryFilter;
use crate::admin::backend::ReplayOrder;
use crate::admin::backend::Window;
use crate::config::value::pace;
use crate::daemon::backend::commands::give;
use crate::daemon::backend::deliveries;
use crate::daemon::backend::misunderstood;
use crate::daemon::backend::read;
use crate::daemon::backend::stopping;
use crate::daemon::backend::unreadable;
use crate::daemon::backend::views::Lens;
use crate::daemon::book::Book;
use crate::daemon::shared::Message;
use crate::daemon::shared::Shared;
use crate::daemon::shared::Sight;
use crate::engine::Command;
use crate::engine::NewReplay;
use crate::engine::ReplayPage;
use crate::engine::Reply;
use crate::engine::Scan;
use crate::engine::stands_for;
use crate::model::Code;
use crate::model::DeliveryId;
use crate::model::DeliveryState;
use crate::model::HoldView;
use crate::model::Replay;
use crate::model::ReplayAction;
use crate::model::ReplayFilter;
use crate::model::ReplayId;
use crate::model::StandingHold;
use crate::model::Time;
use crate::model::hold::HOLDS_MAX;
use crate::model::replay::REPLAYS_RUNNING_MAX;
use crate::model::replay::view::DryRunView;
use crate::model::replay::view::FilterView;
use crate::model::replay::view::ReplayView;
use crate::store::read::Reader;

/// Rows that are counted with one read.
const COUNTED_ROWS: usize = 500;
/// How long a list that could not be read is left alone.
const READ_AGAIN: Duration = Duration::from_secs(30);

/// Reads the rows that the engine asks for, and tells it.
pub(crate) async fn scan(shared: Arc<Shared>, scan: Scan) {
    let replay = scan.replay;
    let page = match page(&shared, scan).await {
        Ok(page) => Some(page),
        // its endpoint is gone for good, and with it the list
        Err(BackendError::NotFound(_)) => Some(ReplayPage::default()),
        Err(error) => {
            tracing::error!(event = "replay.stuck", id = %replay, %error, "its list is unreadable");
            tokio::time::sleep(READ_AGAIN).await;
            None
        }
    };
    // fails only when the hub has ended
    let _ = shared.hub.send(Message::Scanned { replay, page });
}

async fn page(shared: &Shared, scan: Scan) -> Answer<ReplayPage> {
    let lens = Lens::take(shared).await?;
    let Scan { filter, action, after, limit, .. } = scan;
    read(shared, move |reader| {
        if filter.ids.is_empty() {
            listed(reader, &lens, &filter, action, Window { limit, after })
        } else {
            named(reader, &lens, &filter, action, Window { limit, after })
        }
    })
    .await
}

/// The next rows of a list. What nobody can call is passed over.
fn listed(
    reader: &Reader,
    lens: &Lens,
    filter: &ReplayFilter,
    action: ReplayAction,
    window: Window,
) -> Answer<ReplayPage> {
    let takes = |state| filter.takes(action, state);
    let wanted = DeliveryFilter {
        state: filter.state,
        endpoint: filter.endpoint.map(|no| lens.rules.book.name(no)),
        types: filter.types.clone(),
        outcome: None,
        since: filter.since,
        until: filter.until,
    };
    let mut slice = match filter.state {
        Some(DeliveryState::Dead) => deliveries::slice(reader, lens, &wanted, &window)?,
        _ => deliveries::walk(reader, lens, &wanted, &takes, &window)?,
    };
    slice.rows.retain(|row| lens.rules.book.page(row.id.endpoint).is_some());
    let found = slice.rows.len();
    slice.rows.retain(|row| row.event_type.is_some() && has_all(action, row.payload_gone_at));
    let rows: Vec<_> = slice.rows.into_iter().map(|row| row.id).collect();
    Ok(ReplayPage { expired: length(found - rows.len()), rows, next: slice.next })
}

/// The next of those that the filter names, which are in order.
fn named(
    reader: &Reader,
    lens: &Lens,
    filter: &ReplayFilter,
    action: ReplayAction,
    window: Window,
) -> Answer<ReplayPage> {
    let Window { limit, after } = window;
    let takes = |state| filter.takes(action, state);
    let after = after.map(|bytes| <[u8; 20]>::try_from(bytes).map(DeliveryId::from_bytes));
    let after = after.transpose().map_err(|_| BackendError::BadPosition)?;
    let mut left = filter.ids.iter().filter(|id| after.is_none_or(|after| **id > after));
    let mut page = ReplayPage::default();
    for id in left.by_ref().take(limit) {
        page.next = Some(id.to_bytes().to_vec());
        let head = reader.event_head(id.event).map_err(unreadable)?;
        if !head.is_some_and(|head| has_all(action, head.payload_gone)) {
            page.expired += 1;
        } else if lens.rules.book.page(id.endpoint).is_some() {
            let list = DeliveryFilter { state: filter.state, ..DeliveryFilter::default() };
            let fits = deliveries::fits(reader, lens, &list, &takes, *id)?;
            page.rows.extend(fits.then_some(*id));
        }
    }
    page.next = page.next.filter(|_| left.next().is_some());
    Ok(page)
}

/// Whether what is kept of an event is enough: what is not sent needs no payload.
fn has_all(action: ReplayAction, payload_gone: Option<Time>) -> bool {
    action != ReplayAction::Replay || payload_gone.is_none()
}

/// What a replay would find.
pub(super) async fn count(shared: &Shared, order: &ReplayOrder) -> Answer<DryRunView> {
    let filter = understood(&shared.rules.load().book, &order.filter)?;
    let sight = shared.look().await.ok_or_else(stopping)?;
    let lifts = order.action == ReplayAction::Release
        && sight.holds.iter().any(|hold| stands_for(hold, &filter));
    let standing = order.standing || lifts;
    let mut view = DryRunView { dry_run: true, standing, ..DryRunView::default() };
    let mut after = None;
    loop {
        let (action, filter) = (order.action, filter.clone());
        let replay = ReplayId::from_bytes([0; 16]);
        let found = page(shared, Scan { replay, action, filter, after, limit: COUNTED_ROWS });
        let ReplayPage { rows, expired, next } = found.await?;
        view.matched += length(rows.len()) + expired;
        view.expired += expired;
        after = next;
        if after.is_none() {
            return Ok(view);
        }
    }
}

/// Begins one.
pub(super) async fn begin(
    shared: &Shared,
    order: ReplayOrder,
    actor: &Actor,
) -> Answer<ReplayView> {
    let filter = understood(&shared.rules.load().book, &order.filter)?;
    let matched = count(shared, &order).await?.matched;
    let ReplayOrder { action, rate, standing, .. } = order;
    let new = NewReplay { action, filter, rate, standing, matched };
    match give(shared, actor, Command::Replay(Box::new(new))).await? {
        Reply::Replay(replay) => Ok(view(&shared.rules.load().book, *replay)),
        Reply::TooManyReplays => Err(BackendError::Unavailable {
            code: Code::RateLimited,
            detail: format!(
                "{REPLAYS_RUNNING_MAX} replays run already: wait for one to end, or cancel it"
            ),
        }),
        Reply::TooManyHolds => Err(BackendError::Unavailable {
            code: Code::RateLimited,
            detail: format!("{HOLDS_MAX} holds stand already: release what is held by one first"),
        }),
        _ => Err(misunderstood()),
    }
}

/// The holds that stand, the oldest first.
pub(super) fn holds(book: &Book, sight: &Sight) -> Vec<HoldView> {
    let view = |hold: &StandingHold| HoldView {
        id: hold.id,
        types: hold.types.clone(),
        endpoint: hold.endpoint.map(|no| book.name(no)),
        since: hold.since,
        actor: hold.actor.clone(),
    };
    sight.holds.iter().map(view).collect()
}

/// All that are remembered, the newest first.
pub(super) async fn list(shared: &Shared) -> Answer<Vec<ReplayView>> {
    let rules = shared.rules.load_full();
    read(shared, move |reader| {
        let replays = reader.replays().map_err(unreadable)?;
        Ok(replays.into_iter().rev().map(|replay| view(&rules.book, replay)).collect())
    })
    .await
}

/// One of them.
pub(super) async fn show(shared: &Shared, id: ReplayId) -> Answer<ReplayView> {
    let rules = shared.rules.load_full();
    read(shared, move |reader| {
        let replay = reader.replay(id).map_err(unreadable)?;
        Ok(view(&rules.book, replay.ok_or(BackendError::NotFound("replay"))?))
    })
    .await
}

/// The first two, at most, whose ids are in this range.
pub(super) async fn between(
    shared: &Shared,
    low: ReplayId,
    high: ReplayId,
) -> Answer<Vec<ReplayId>> {
    read(shared, move |reader| {
        let ids = reader.replays().map_err(unreadable)?.into_iter().map(|replay| replay.id);
        Ok(ids.filter(|id| (low..=high).contains(id)).take(2).collect())
    })
    .await
}

/// Ends one before its time.
pub(super) async fn cancel(shared: &Shared, id: ReplayId, actor: &Actor) -> Answer<ReplayView> {
    match give(shared, actor, Command::CancelReplay(id)).await? {
        Reply::Replay(replay) => Ok(view(&shared.rules.load().book, *replay)),
        Reply::NoSuchReplay => {
            let ended = show(shared, id).await?;
            Err(BackendError::ReplayEnded(ended.state))
        }
        _ => Err(misunderstood()),
    }
}

/// A filter as the engine knows it. Of an endpoint that was removed, deliveries are listed, but
/// nothing is done to them.
fn understood(book: &Book, filter: &FilterView) -> Answer<ReplayFilter> {
    let endpoint = match &filter.endpoint {
        Some(name) => {
            Some(book.by_name(name).map(|page| page.no).ok_or(BackendError::NotFound("endpoint"))?)
        }
        None => None,
    };
    let mut ids = filter.ids.clone();
    ids.sort_unstable();
    ids.dedup();
    Ok(ReplayFilter {
        state: filter.state,
        endpoint,
        types: filter.types.clone(),
        since: filter.since,
        until: filter.until,
        ids,
    })
}

/// A replay as people see it.
pub(super) fn view(book: &Book, replay: Replay) -> ReplayView {
    let filter = replay.filter;
    ReplayView {
        id: replay.id,
        action: replay.action,
        filter: FilterView {
            state: filter.state,
            endpoint: filter.endpoint.map(|no| book.name(no)),
            types: filter.types,
            since: filter.since,
            until: filter.until,
            ids: filter.ids,
        },
        rate: pace::written(&replay.rate),
        actor: replay.actor,
        created_at: replay.created,
        state: replay.state,
        ended_at: replay.ended,
        ended_by: replay.ended_by,
        counts: replay.counts,
    }
}

fn length(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
