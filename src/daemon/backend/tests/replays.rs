//! Replays over a real store and a real engine.

use super::*;
use crate::admin::backend::ReplayOrder;
use crate::model::replay::REPLAY_RATE_DEFAULT;
use crate::model::replay::view::DryRunView;
use crate::model::replay::view::FilterView;
use crate::model::replay::view::ReplayView;

fn order(filter: FilterView) -> ReplayOrder {
    let state = filter.state.or(Some(DeliveryState::Dead));
    let filter = FilterView { state, ..filter };
    ReplayOrder { action: ReplayAction::Replay, filter, rate: REPLAY_RATE_DEFAULT }
}

/// Begins a replay, and waits until it has ended.
async fn replayed(office: &Office, filter: FilterView) -> ReplayView {
    let mut replay = office.replay(order(filter), actor()).await.unwrap();
    while replay.state == ReplayState::Running {
        tokio::task::yield_now().await;
        replay = office.shown_replay(replay.id).await.unwrap();
    }
    replay
}

#[tokio::test]
async fn a_replay_sends_again_what_its_dry_run_counted() {
    let World { office, home: _home, .. } = World::new();
    let filter = FilterView { endpoint: Some("billing".into()), ..FilterView::default() };
    let counted = office.count_replay(order(filter.clone())).await.unwrap();
    assert_eq!(counted, DryRunView { matched: 3, expired: 0, dry_run: true });
    let done = replayed(&office, filter.clone()).await;
    let counts = ReplayCounts { matched: 3, submitted: 3, expired: 0, skipped: 0 };
    assert_eq!((done.state, done.counts), (ReplayState::Done, counts));
    assert_eq!(office.count_replay(order(filter)).await.unwrap().matched, 0);
    let left = listed(&office, by_state(DeliveryState::Dead)).await;
    assert_eq!(ids(&left), [delivery(2, 2), delivery(1, 2)], "crm's are left alone");
    let steps = office.delivery(delivery(3, 1)).await.unwrap().steps;
    let kind = StepKind::Command { actor: format!("uid:0 {}", done.id) };
    assert_eq!(steps.last().unwrap().kind, kind, "the log says which replay it was");
    let filter = FilterView { state: Some(DeliveryState::Delivered), ..FilterView::default() };
    let delivered = replayed(&office, filter).await;
    assert_eq!((delivered.counts.matched, delivered.counts.submitted), (1, 1));
    let listed: Vec<_> = office.replays().await.unwrap().iter().map(|one| one.id).collect();
    assert_eq!(listed, [delivered.id, done.id], "the newest first");
    let late = office.cancel_replay(done.id, actor()).await;
    assert_eq!(late, Err(BackendError::ReplayEnded(ReplayState::Done)));
}

#[tokio::test]
async fn only_those_that_are_named_are_sent_again() {
    let World { office, home: _home, .. } = World::new();
    // the second waits, the third is of no event
    let ids = vec![delivery(1, 2), delivery(3, 2), delivery(99, 1), delivery(1, 1)];
    let done = replayed(&office, FilterView { ids, ..FilterView::default() }).await;
    let counts = ReplayCounts { matched: 3, submitted: 2, expired: 1, skipped: 0 };
    assert_eq!((done.state, done.counts), (ReplayState::Done, counts));
    let dead = listed(&office, by_state(DeliveryState::Dead)).await;
    assert_eq!(super::ids(&dead), [delivery(3, 1), delivery(2, 2), delivery(2, 1)]);
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_has_nothing_to_replay() {
    let World { office, home: _home, .. } = World::new();
    let filter = FilterView { endpoint: Some("nope".into()), ..FilterView::default() };
    let gone = BackendError::NotFound("endpoint");
    assert_eq!(office.count_replay(order(filter.clone())).await, Err(gone.clone()));
    assert_eq!(office.replay(order(filter), actor()).await, Err(gone));
}
