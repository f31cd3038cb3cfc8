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
    doing(ReplayAction::Replay, filter)
}

fn doing(action: ReplayAction, filter: FilterView) -> ReplayOrder {
    ReplayOrder { action, filter, rate: REPLAY_RATE_DEFAULT, standing: false }
}

/// Begins a replay, and waits until it has ended.
async fn replayed(office: &Office, filter: FilterView) -> ReplayView {
    done(office, order(filter)).await
}

async fn done(office: &Office, order: ReplayOrder) -> ReplayView {
    let mut replay = office.replay(order, actor()).await.unwrap();
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
    assert_eq!(counted, DryRunView { matched: 3, dry_run: true, ..DryRunView::default() });
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

#[tokio::test]
async fn what_is_on_hold_is_listed_as_held_and_what_is_held_can_be_cancelled() {
    let World { office, home: _home, .. } = World::new();
    let to = |name: &str| FilterView { endpoint: Some(name.into()), ..FilterView::default() };
    let of = |state| listed(&office, by_state(state));
    let held = done(&office, doing(ReplayAction::Hold, to("crm"))).await;
    assert_eq!((held.counts.matched, held.counts.submitted), (3, 3), "two queued, one waiting");
    let on_hold = [(6, 2), (5, 2), (3, 2)].map(|(n, no)| delivery(n, no));
    let rows = of(DeliveryState::Held).await;
    // one waits at an endpoint that is gone
    let mut found = ids(&rows);
    found.retain(|id| *id != delivery(7, 3));
    assert_eq!(found, on_hold);
    let row = rows.iter().find(|row| row.id == on_hold[0]).unwrap();
    assert_eq!(row.reason, Some(format!("on hold by uid:0 {}", held.id)));
    assert_eq!((row.next_at, of(DeliveryState::Waiting).await.len()), (None, 0));
    let ids = vec![delivery(5, 2), delivery(5, 1)];
    let some = FilterView { ids, ..FilterView::default() };
    let released = done(&office, doing(ReplayAction::Release, some)).await;
    assert_eq!((released.counts.matched, released.counts.submitted), (1, 1));
    assert_eq!(super::ids(&of(DeliveryState::Waiting).await), [delivery(5, 2)]);
    let state = Some(DeliveryState::Held);
    let cancelled = done(&office, doing(ReplayAction::Cancel, FilterView { state, ..to("crm") }));
    assert_eq!(cancelled.await.counts.submitted, 2);
    assert_eq!(super::ids(&of(DeliveryState::Cancelled).await), [delivery(6, 2), delivery(3, 2)]);
}
