//! Sending many deliveries again, in bounded steps.
//!
//! The list is walked once, from the newest row on. What is sent again and dies again meanwhile
//! comes in at the beginning of the list and is not met; should the clock have been set back, so
//! that it is, the count of what stood there at first ends the walk.

use crate::admin::backend::Actor;
use crate::admin::backend::Answer;
use crate::admin::backend::BackendError;
use crate::admin::backend::DeliveryFilter;
use crate::admin::backend::Position;
use crate::admin::backend::Window;
use crate::daemon::backend::commands::give;
use crate::daemon::backend::deliveries;
use crate::daemon::backend::misunderstood;
use crate::daemon::backend::read;
use crate::daemon::backend::views::Lens;
use crate::daemon::shared::Shared;
use crate::engine::Command;
use crate::engine::Reply;
use crate::engine::Unmoved;
use crate::model::DeliveryId;
use crate::model::DeliveryState;
use crate::model::view::DeliveryView;
use crate::model::view::ReplayView;

/// Deliveries that one command sends again.
const STEP_DELIVERIES: usize = 100;

/// What would be sent again.
pub(super) async fn count(shared: &Shared, filter: DeliveryFilter) -> Answer<ReplayView> {
    let filter = ended(filter);
    there_is(shared, filter.endpoint.as_deref())?;
    let (mut view, mut after) = (ReplayView { dry_run: true, ..ReplayView::default() }, None);
    loop {
        let (rows, next) = step(shared, &filter, after).await?;
        view.matched += length(&rows);
        view.expired += length(&rows) - length(&sendable(&rows));
        after = next;
        if after.is_none() {
            return Ok(view);
        }
    }
}

/// Sends all of it again.
pub(super) async fn run(
    shared: &Shared,
    filter: DeliveryFilter,
    actor: &Actor,
) -> Answer<ReplayView> {
    let filter = ended(filter);
    let standing = count(shared, filter.clone()).await?.matched;
    let by = &*actor.0;
    tracing::info!(
        target: "postrider::audit", event = "replay.started", actor = by, matched = standing,
    );
    let (mut view, mut after) = (ReplayView::default(), None);
    let done = loop {
        let (rows, next) = match step(shared, &filter, after).await {
            Ok(step) => step,
            Err(error) => break Err(error),
        };
        let ids = sendable(&rows);
        view.matched += length(&rows);
        view.expired += length(&rows) - length(&ids);
        match send(shared, ids, actor).await {
            Ok((sent, expired)) => {
                view.submitted += sent;
                view.expired += expired;
            }
            Err(error) => break Err(error),
        }
        after = next;
        if after.is_none() || view.matched >= standing {
            break Ok(view);
        }
    };
    let (matched, ok) = (view.matched, view.submitted);
    let failed = matched.saturating_sub(ok);
    tracing::info!(
        target: "postrider::audit", event = "replay.finished", actor = by, matched, ok, failed,
    );
    done
}

/// Of an endpoint that was removed, deliveries are listed but not sent again.
fn there_is(shared: &Shared, endpoint: Option<&str>) -> Answer<()> {
    let rules = shared.rules.load();
    match endpoint {
        Some(name) if rules.book.by_name(name).is_none() => Err(BackendError::NotFound("endpoint")),
        _ => Ok(()),
    }
}

/// Dead deliveries are what people mean if they do not say.
fn ended(filter: DeliveryFilter) -> DeliveryFilter {
    DeliveryFilter { state: filter.state.or(Some(DeliveryState::Dead)), ..filter }
}

/// The next rows to endpoints that are there; what nobody can call is not sent again.
async fn step(
    shared: &Shared,
    filter: &DeliveryFilter,
    after: Option<Position>,
) -> Answer<(Vec<DeliveryView>, Option<Position>)> {
    let lens = Lens::take(shared).await?;
    let (filter, window) = (filter.clone(), Window { limit: STEP_DELIVERIES, after });
    read(shared, move |reader| {
        let mut slice = deliveries::slice(reader, &lens, &filter, &window)?;
        slice.rows.retain(|row| lens.rules.book.page(row.id.endpoint).is_some());
        Ok((slice.rows, slice.next))
    })
    .await
}

/// Those whose payload is still kept.
fn sendable(rows: &[DeliveryView]) -> Vec<DeliveryId> {
    let kept = |row: &&DeliveryView| row.event_type.is_some() && row.payload_gone_at.is_none();
    rows.iter().filter(kept).map(|row| row.id).collect()
}

/// How many of them stand in their lanes again, and of how many the payload has gone since. One
/// that has been sent again by somebody else meanwhile, and is under way, does not.
async fn send(shared: &Shared, ids: Vec<DeliveryId>, actor: &Actor) -> Answer<(u64, u64)> {
    if ids.is_empty() {
        return Ok((0, 0));
    }
    let reply = give(shared, actor, Command::Retry(ids)).await?;
    let Reply::Retried(answers) = reply else { return Err(misunderstood()) };
    let count = |is: fn(&&Result<(), Unmoved>) -> bool| answers.iter().filter(is).count();
    let sent = count(|answer| answer.is_ok());
    let expired = count(|answer| **answer == Err(Unmoved::PayloadGone));
    let wide = |count| u64::try_from(count).unwrap_or(u64::MAX);
    Ok((wide(sent), wide(expired)))
}

fn length<T>(rows: &[T]) -> u64 {
    u64::try_from(rows.len()).unwrap_or(u64::MAX)
}
