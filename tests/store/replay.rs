//! Steps of a replay: what is done, what is left alone, and what is remembered of them.

use std::time::Duration;

use fastrand::Rng;
use postrider::model::replay::*;
use postrider::model::*;

use crate::outbox::Outbox;
use crate::support::*;

const EXHAUSTED: Next = Next::Dead { reason: DeadReason::Exhausted };

fn replay(n: u64) -> Replay {
    Replay {
        id: ReplayId::from_bytes(id(1_000 + n).to_bytes()),
        action: ReplayAction::Replay,
        filter: ReplayFilter { state: Some(DeliveryState::Dead), ..ReplayFilter::default() },
        rate: REPLAY_RATE_DEFAULT,
        actor: "uid:0".to_owned(),
        created: at(0),
        state: ReplayState::Running,
        ended: None,
        ended_by: None,
        next: at(0),
        cursor: None,
        counts: ReplayCounts::default(),
    }
}

fn step(replay: Replay, deliveries: impl IntoIterator<Item = DeliveryId>) -> Record {
    let moves = deliveries.into_iter().zip(1..).map(|(delivery, n)| {
        let due = at(n) + Duration::from_secs(600);
        ReplayMove { delivery, due }
    });
    let moves = moves.collect();
    Record::Replay(Box::new(ReplayStep { replay, at: at(9), moves }))
}

/// The state, and how often anybody has changed the course of a delivery.
fn turns(store: &mut Store, n: u64) -> (DeliveryState, usize) {
    let record = store.reader().delivery(delivery(n, 3)).unwrap();
    let command = |step: &&Step| matches!(step.kind, StepKind::Command { .. });
    (record.state, record.steps.iter().filter(command).count())
}

#[test]
fn a_step_moves_what_is_dead_and_counts_it() {
    let mut store = Store::new();
    store.commit((1..=4).map(|n| simple(n, &[3], &[3])).collect());
    store.commit((1..=3).map(|n| attempt(n, 3, Outcome::Http5xx, EXHAUSTED)).collect());
    store.one(command(3, 3, wait(60)));
    let begun = Replay { cursor: Some(vec![1]), ..replay(1) };
    // the third waits again, the fourth is under way, the fifth is none
    let receipt = store.one(step(begun.clone(), (1..=5).map(|n| delivery(n, 3))));
    let Receipt::Replayed(receipts) = receipt else { panic!("{receipt:?}") };
    assert!(receipts[..2].iter().all(|receipt| matches!(receipt, Receipt::Moved { .. })));
    let refused = [DeliveryState::Waiting, DeliveryState::Sending, DeliveryState::Unknown];
    assert_eq!(receipts[2..], refused.map(Receipt::Refused));
    store.reopen();
    let known = store.reader().replay(begun.id).unwrap().unwrap();
    assert_eq!((known.counts.submitted, known.counts.skipped), (2, 3));
    assert_eq!(known.cursor, begun.cursor);
    assert_eq!(store.opened().recovered.replays, [known]);
    assert_eq!(store.lane(3), LaneCounts { timed: 3, ..LaneCounts::default() });
    assert_eq!(turns(&mut store, 1), (DeliveryState::Waiting, 1));
}

#[test]
fn no_delivery_is_met_twice_by_the_same_replay() {
    let mut store = Store::new();
    store.commit(vec![simple(1, &[3], &[3]), attempt(1, 3, Outcome::Http5xx, EXHAUSTED)]);
    store.one(step(replay(1), [delivery(1, 3)]));
    let due = Due::timed(at(1) + Duration::from_secs(600), id(1));
    let start = Record::Start { delivery: delivery(1, 3), from: due };
    assert_eq!(store.one(start), Receipt::Applied);
    store.one(attempt(1, 3, Outcome::Http5xx, EXHAUSTED));
    let again = store.one(step(replay(1), [delivery(1, 3)]));
    assert_eq!(again, Receipt::Replayed(vec![Receipt::Stale]));
    assert_eq!(turns(&mut store, 1), (DeliveryState::Dead, 1));
    // another one may
    store.one(step(replay(2), [delivery(1, 3)]));
    assert_eq!(turns(&mut store, 1), (DeliveryState::Waiting, 2));
}

#[test]
fn the_oldest_that_has_ended_is_forgotten() {
    let mut store = Store::new();
    let kept = REPLAYS_KEPT_MAX as u64;
    let state = |n| if n == 1 { ReplayState::Running } else { ReplayState::Done };
    for n in 1..=kept + 5 {
        store.one(step(Replay { state: state(n), ..replay(n) }, []));
    }
    let known: Vec<_> = store.reader().replays().unwrap().iter().map(|one| one.id).collect();
    let expected = [1].into_iter().chain(7..=kept + 5).map(|n| replay(n).id);
    assert_eq!(known, expected.collect::<Vec<_>>());
}

#[test]
fn the_largest_step_is_one_unit_and_the_writer_does_what_the_plain_model_does() {
    for seed in 0..10 {
        let mut rng = Rng::with_seed(seed);
        let (mut store, mut outbox) = (Store::new(), Outbox::default());
        let mut both = |record: Record| {
            let expected = outbox.apply(&record);
            assert_eq!(store.one(record.clone()), expected, "seed {seed}: {record:?}");
        };
        let most = REPLAY_STEP_MAX as u64;
        for n in 1..=2 * most {
            let mut event = event(n, bytes::Bytes::from_static(b"{}"), &[3]);
            let key = OrderKey(rng.u64(0..5));
            let order = Order { endpoint: EndpointNo(3), key, version: None };
            event.orders.extend(rng.bool().then_some(order));
            let started = if event.orders.is_empty() { &[3][..] } else { &[] };
            both(admit(event, started));
            if !started.is_empty() {
                let next = [EXHAUSTED, Next::Delivered][rng.usize(..2)];
                both(attempt(n, 3, Outcome::Http4xx, next));
            } else if rng.bool() {
                both(command(n, 3, Next::Cancelled));
            }
        }
        let states = [DeliveryState::Dead, DeliveryState::Cancelled, DeliveryState::Delivered];
        for (round, state) in (1..).zip(states) {
            let filter = ReplayFilter { state: Some(state), ..ReplayFilter::default() };
            let mut of = Replay { filter, ..replay(round) };
            for half in [1..=most, most + 1..=2 * most] {
                both(step(of.clone(), half.map(|n| delivery(n, 3))));
                of.cursor = Some(vec![1]);
            }
        }
        let known = store.reader().replays().unwrap();
        assert_eq!(known, outbox.replays.values().cloned().collect::<Vec<_>>(), "seed {seed}");
    }
}

#[test]
fn what_is_on_hold_is_due_again_when_it_would_have_been() {
    let mut store = Store::new();
    let mut delayed = event(1, bytes::Bytes::new(), &[3]);
    delayed.attributes.deliver_at = Some(at(3_600_000));
    store.commit(vec![admit(delayed, &[]), simple(2, &[3], &[])]);
    let of = |n, action| Replay { action, filter: ReplayFilter::default(), ..replay(n) };
    store.one(step(of(1, ReplayAction::Hold), [1, 2].map(|n| delivery(n, 3))));
    store.reopen();
    for n in [1, 2] {
        assert_eq!(turns(&mut store, n), (DeliveryState::Held, 1));
    }
    let rows = store.reader().load(EndpointNo(3), Class::Timed, None, 9).unwrap();
    assert!(rows.iter().all(|(due, _)| due.is_on_hold()), "{rows:?}");
    let again = store.one(step(of(2, ReplayAction::Hold), [delivery(1, 3)]));
    assert_eq!(again, Receipt::Replayed(vec![Receipt::Refused(DeliveryState::Held)]));
    store.one(step(of(3, ReplayAction::Release), [1, 2].map(|n| delivery(n, 3))));
    let rows = store.reader().load(EndpointNo(3), Class::Timed, None, 9).unwrap();
    let turn = at(2) + Duration::from_secs(600);
    let dues: Vec<_> = rows.iter().map(|(due, _)| *due).collect();
    assert_eq!(dues, [Due::timed(turn, id(2)), Due::timed(at(3_600_000), id(1))]);
    store.one(step(of(4, ReplayAction::Cancel), [1, 2].map(|n| delivery(n, 3))));
    assert_eq!(turns(&mut store, 2), (DeliveryState::Cancelled, 3));
    assert_eq!(store.lane(3), LaneCounts::default());
}

#[test]
fn a_hold_does_not_begin_the_retry_plan_anew() {
    let mut store = Store::new();
    store.commit(vec![simple(1, &[3], &[3]), attempt(1, 3, Outcome::Http5xx, wait(60))]);
    let of = |n, action| Replay { action, filter: ReplayFilter::default(), ..replay(n) };
    store.one(step(of(1, ReplayAction::Hold), [delivery(1, 3)]));
    store.one(step(of(2, ReplayAction::Release), [delivery(1, 3)]));
    let progress = store.reader().delivery(delivery(1, 3)).unwrap().progress;
    assert_eq!((progress.attempts, progress.plan_from, progress.steps), (1, 0, 3));
    store.one(command(1, 3, wait(60)));
    let progress = store.reader().delivery(delivery(1, 3)).unwrap().progress;
    assert_eq!((progress.attempts, progress.plan_from), (1, 1), "to be sent again does");
}
