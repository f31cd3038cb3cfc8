//! What the daemon is doing, and whether it takes events.

use std::collections::BTreeMap;

use crate::admin::backend::Answer;
use crate::admin::backend::BackendError;
use crate::daemon::backend::read;
use crate::daemon::backend::replay;
use crate::daemon::backend::stopping;
use crate::daemon::backend::unreadable;
use crate::daemon::backend::views::Lens;
use crate::daemon::shared::Shared;
use crate::daemon::shared::Sight;
use crate::model::Code;
use crate::model::EndpointNo;
use crate::model::view::EndpointView;
use crate::model::view::IntakeView;
use crate::model::view::StatusView;
use crate::store::read::Reader;

/// Whether events are taken: the hub and the store answer, and nothing stands in the way.
pub(super) async fn ready(shared: &Shared) -> Answer<()> {
    let sight = shared.look().await.ok_or_else(stopping)?;
    let space = shared.space.clone();
    let low = read(shared, move |reader| {
        reader.ping().map_err(unreadable)?;
        // A disk that does not say how full it is shows at the next write.
        Ok(space.is_low().unwrap_or(false))
    });
    let unavailable = |code: Code, detail: &str| {
        Err(BackendError::Unavailable { code, detail: detail.to_owned() })
    };
    if sight.draining {
        return unavailable(Code::Draining, "the daemon takes no more events");
    }
    if low.await? {
        return unavailable(Code::DiskLow, "the disk is nearly full: make room");
    }
    Ok(())
}

/// Everything that the status shows.
pub(super) async fn status(shared: &Shared) -> Answer<StatusView> {
    let lens = Lens::take(shared).await?;
    let (seen, space) = (lens.clone(), shared.space.clone());
    let read = read(shared, move |reader| {
        let dead = dead_counts(reader)?;
        // What the file system does not tell is shown as nothing, not as a failure of it all.
        let (store, free) = (space.used_bytes(), space.free_bytes());
        let endpoints = views(&seen, &dead);
        let kept = reader.tally().map_err(unreadable)?.kept;
        Ok((endpoints, dead.values().sum(), store.unwrap_or(0), free.unwrap_or(0), kept))
    });
    let (endpoints, dead, store_bytes, disk_free_bytes, kept) = read.await?;
    let sight = &*lens.sight;
    let counters = &shared.counters;
    let sum = |count: fn(&EndpointView) -> u64| endpoints.iter().map(count).sum();
    let now = shared.clock.now();
    let replays = sight.replays.iter().cloned();
    let replays = replays.map(|running| replay::view(&lens.rules.book, running)).collect();
    let holds = replay::holds(&lens.rules.book, sight);
    let oldest_due = sight.oldest_due.map(|due| now.since(due).as_millis()).unwrap_or(0);
    Ok(StatusView {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        started_at: shared.started_at,
        state: word(sight).to_owned(),
        durability: shared.durability.to_owned(),
        accepted: counters.accepted.value(),
        duplicates: counters.duplicates.value(),
        rejected: counters.rejected.value(),
        queued: sum(|endpoint| endpoint.counts.fresh),
        waiting: sum(|endpoint| endpoint.counts.timed + endpoint.counts.behind),
        sending: sending(sight),
        dead,
        oldest_due_ms: u64::try_from(oldest_due).unwrap_or(u64::MAX),
        delivered: counters.delivered.value(),
        attempts: counters.attempts.value(),
        disk_free_bytes,
        store_bytes,
        kept,
        replays,
        holds,
        endpoints,
    })
}

/// Whether events are taken, and what is still under way.
pub(super) fn intake(sight: &Sight) -> IntakeView {
    IntakeView { state: word(sight).to_owned(), sending: sending(sight) }
}

/// How many dead deliveries each endpoint has, removed ones included.
pub(super) fn dead_counts(reader: &Reader) -> Answer<BTreeMap<EndpointNo, u64>> {
    let lanes = reader.lanes().map_err(unreadable)?;
    Ok(lanes.into_iter().map(|(no, counts)| (no, counts.dead)).collect())
}

/// All endpoints, by name.
pub(super) fn views(lens: &Lens, dead: &BTreeMap<EndpointNo, u64>) -> Vec<EndpointView> {
    let pages = lens.rules.book.pages();
    let mut views: Vec<_> =
        pages.map(|page| lens.endpoint(page, dead.get(&page.no).copied().unwrap_or(0))).collect();
    views.sort_by(|a, b| a.name.cmp(&b.name));
    views
}

fn word(sight: &Sight) -> &'static str {
    if sight.draining { "draining" } else { "running" }
}

fn sending(sight: &Sight) -> u64 {
    let sending: usize = sight.lanes.iter().map(|(.., in_flight)| *in_flight).sum();
    u64::try_from(sending).unwrap_or(u64::MAX)
}
