use std::time::Duration;

use crate::admin::backend::Backend;
use crate::daemon::backend::queue;
use crate::daemon::backend::tests::world::START;
use crate::daemon::backend::tests::world::World;
use crate::model::queue::QueueView;

/// Endpoint, total, those of up to 5 s, up to 20 s, uncounted.
fn rows(view: &QueueView) -> Vec<(&str, u64, u64, u64, u64)> {
    let rows = view.endpoints.iter();
    rows.map(|row| (&*row.endpoint, row.total, row.ages[0], row.ages[1], row.uncounted)).collect()
}

#[tokio::test]
async fn what_waits_is_counted_by_age() {
    let World { office, home: _home, .. } = World::new();
    let at = |secs| START + Duration::from_secs(secs);
    let young = queue::count(&office.shared, at(1), 1_000).await.unwrap();
    assert_eq!(rows(&young), [("crm", 3, 3, 0, 0), ("billing", 2, 2, 0, 0), ("old", 1, 1, 0, 0)]);
    let older = queue::count(&office.shared, at(10), 1_000).await.unwrap();
    assert_eq!(rows(&older), [("crm", 3, 0, 3, 0), ("billing", 2, 0, 2, 0), ("old", 1, 0, 1, 0)]);
    assert_eq!(older.counted_at, at(10));
}

#[tokio::test]
async fn where_not_all_may_be_looked_at_each_has_its_share() {
    let World { office, home: _home, .. } = World::new();
    let view = queue::count(&office.shared, START, 4).await.unwrap();
    assert_eq!(rows(&view), [("crm", 3, 2, 0, 1), ("billing", 2, 1, 0, 1), ("old", 1, 1, 0, 0)]);
    let none = queue::count(&office.shared, START, 0).await.unwrap();
    assert_eq!(rows(&none)[0], ("crm", 3, 0, 0, 3));
}

#[tokio::test]
async fn a_count_holds_the_longer_the_more_it_cost_and_never_over_a_minute() {
    let World { office, home: _home, .. } = World::new();
    let view = office.queue().await.unwrap();
    assert_eq!(view.endpoints.iter().map(|row| row.total).sum::<u64>(), 6);
    assert!(queue::holds_for(6) < Duration::from_millis(1), "what is cheap is counted anew");
    assert_eq!(queue::holds_for(queue::COUNTED_MAX), Duration::from_secs(60));
}
