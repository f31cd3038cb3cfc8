//! What waits, by endpoint and age, counted in the store.
//!
//! A count looks at [`COUNTED_MAX`] rows at most, in steps of [`STEP_ROWS`], off the async workers.
//! It holds for [`HOLDS_FOR_ROW`] times the rows it took, so that whoever asks, and however often,
//! no more than about a million rows are looked at in a minute, and no count is older than that.
//! Where more waits than may be looked at, each endpoint has its share, the oldest rows of each
//! queue are counted first, and the rest is said to be uncounted.

use std::time::Duration;

use tokio::sync::Mutex;

use crate::admin::backend::Answer;
use crate::daemon::backend::read;
use crate::daemon::backend::unreadable;
use crate::daemon::backend::views::Lens;
use crate::daemon::shared::Shared;
use crate::model::Class;
use crate::model::EndpointNo;
use crate::model::Time;
use crate::model::queue::AGES_S;
use crate::model::queue::QueueRow;
use crate::model::queue::QueueView;

/// Rows that one count looks at, at most.
pub(super) const COUNTED_MAX: u64 = 1_000_000;
/// Rows that are read at once.
const STEP_ROWS: usize = 10_000;
/// How long a count holds for each row that it looked at: at most a minute in all.
const HOLDS_FOR_ROW: Duration = Duration::from_micros(60);

/// The last count.
#[derive(Debug, Default)]
pub(crate) struct Census(Mutex<Option<Count>>);

#[derive(Debug)]
struct Count {
    view: QueueView,
    holds_until: Time,
}

/// What waits, as it was counted last, or now if that does not hold any more. Of several that ask
/// at once, one counts.
pub(super) async fn view(shared: &Shared, census: &Census) -> Answer<QueueView> {
    let mut last = census.0.lock().await;
    let now = shared.clock.now();
    if let Some(count) = last.as_ref().filter(|count| now < count.holds_until) {
        return Ok(count.view.clone());
    }
    let view = count(shared, now, COUNTED_MAX).await?;
    let rows: u64 = view.endpoints.iter().map(QueueRow::counted).sum();
    *last = Some(Count { view: view.clone(), holds_until: shared.clock.now() + holds_for(rows) });
    Ok(view)
}

/// How long a count of so many rows holds.
pub(super) fn holds_for(rows: u64) -> Duration {
    HOLDS_FOR_ROW.saturating_mul(u32::try_from(rows).unwrap_or(u32::MAX))
}

/// Counts what waits now.
pub(super) async fn count(shared: &Shared, now: Time, rows_max: u64) -> Answer<QueueView> {
    let lens = Lens::take(shared).await?;
    let mut lanes: Vec<_> = lens
        .sight
        .lanes
        .iter()
        .map(|(no, _, counts, _)| (counts.pending(), counts.behind, *no))
        .collect();
    lanes.sort_unstable();
    let (mut left, mut lanes_left) = (rows_max, u64::try_from(lanes.len()).unwrap_or(u64::MAX));
    let mut endpoints = Vec::with_capacity(lanes.len());
    // what the small ones leave of their share goes to the large ones
    for (total, behind, no) in lanes {
        let share = left / lanes_left.max(1);
        lanes_left -= 1;
        let mut row = QueueRow::of(lens.rules.book.name(no));
        let mut whole = true;
        for class in [Class::Fresh, Class::Timed] {
            let most = share - row.counted();
            whole &= count_queue(shared, &mut row, (no, class), now, most).await?;
        }
        left -= row.counted();
        // those behind others of their key stand in no queue
        let known = row.counted() + behind;
        row.total = if whole { known } else { total.max(known) };
        row.uncounted = row.total - row.counted();
        endpoints.push(row);
    }
    endpoints.sort_by(|a, b| b.total.cmp(&a.total).then_with(|| a.endpoint.cmp(&b.endpoint)));
    Ok(QueueView { counted_at: now, ages_s: AGES_S.to_vec(), endpoints })
}

/// Counts one queue of one endpoint, so many rows at most. Whether that was all of it.
async fn count_queue(
    shared: &Shared,
    row: &mut QueueRow,
    (no, class): (EndpointNo, Class),
    now: Time,
    most: u64,
) -> Answer<bool> {
    let (mut after, mut left) = (None, usize::try_from(most).unwrap_or(usize::MAX));
    while left > 0 {
        let limit = left.min(STEP_ROWS);
        let load = read(shared, move |reader| {
            let rows = reader.load(no, class, after, limit).map_err(unreadable)?;
            Ok(rows.into_iter().map(|(due, _)| due).collect::<Vec<_>>())
        });
        let rows = load.await?;
        rows.iter().for_each(|due| row.count(now.since(due.event.time())));
        if rows.len() < limit {
            return Ok(true);
        }
        left -= rows.len();
        after = rows.last().copied();
    }
    Ok(false)
}
