//! Duplicates: the real writer does what the simulator's plain model does.

use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use postrider::model::*;

use crate::outbox::Outbox;
use crate::support::*;

const ENDPOINT: EndpointNo = EndpointNo(3);
const WINDOW: Duration = Duration::from_millis(10);

/// The first of a key may be followed by another one in a window.
fn dedupe(key: u8, window: Duration) -> Dedupe {
    Dedupe { endpoint: ENDPOINT, key: DedupeKey([key; 16]), window }
}

/// An event of this key, admitted `n` milliseconds after the start, for two endpoints, of which
/// one wants no duplicates.
fn keyed(n: u64, key: u8, order: Option<Order>) -> Record {
    let mut event = event(n, Bytes::from_static(b"{}"), &[3, 4]);
    event.dedupes = vec![dedupe(key, WINDOW)];
    event.orders.extend(order);
    admit(event, &[4])
}

fn left_out(of: u64) -> Receipt {
    let duplicates = vec![(ENDPOINT, id(of))];
    Receipt::Seated { behind: Vec::new(), stale: Vec::new(), duplicates }
}

fn sweep(store: &mut Store, n: u64) -> Receipt {
    let day = Duration::from_secs(86_400);
    let horizons = Horizons {
        keys: day,
        delivered_payload: day,
        dead_payload: day,
        events: day,
        payload_bytes_max: None,
    };
    store.one(Record::Prune(Box::new(Prune {
        now: id(n).time(),
        horizons,
        limit: 64,
        ahead: None,
    })))
}

#[test]
fn one_of_a_key_goes_out_in_a_window() {
    let mut store = Store::new();
    assert_eq!(store.one(keyed(1, 7, None)), Receipt::Applied);
    let receipts = store.commit(vec![keyed(2, 7, None), keyed(3, 8, None), keyed(4, 7, None)]);
    assert_eq!(receipts, [left_out(1), Receipt::Applied, left_out(1)], "also in one group");
    store.reopen();
    assert_eq!(store.one(keyed(10, 7, None)), left_out(1));
    assert_eq!(
        store.one(keyed(11, 7, None)),
        Receipt::Applied,
        "what was left out extends nothing"
    );
    assert_eq!(store.one(keyed(12, 7, None)), left_out(11));
    let record = store.reader().delivery(delivery(2, 3)).unwrap();
    assert_eq!(record.state, DeliveryState::Cancelled);
    let kind = StepKind::Duplicate { of: id(1) };
    let at = id(2).time();
    assert_eq!(record.steps, [Step { at, kind, next: Next::Cancelled }]);
    assert_eq!(store.lane(3), LaneCounts { fresh: 3, ..LaneCounts::default() });
    let again = Next::Wait { due: at, why: WaitReason::Requested };
    let moved = store.one(command(2, 3, again));
    assert!(matches!(moved, Receipt::Moved { from: None, to: Some(_), .. }), "{moved:?}");
    assert_eq!(store.lane(3).timed, 1, "a person may have it sent");
}

#[test]
fn a_duplicate_takes_no_place_in_an_order_and_a_stale_event_has_no_duplicates() {
    let mut store = Store::new();
    let order =
        |version| Some(Order { endpoint: ENDPOINT, key: OrderKey(1), version: Some(version) });
    assert_eq!(store.one(keyed(1, 7, order(5))), Receipt::Applied);
    assert_eq!(store.one(keyed(2, 7, order(9))), left_out(1));
    assert_eq!(store.lane(3), LaneCounts { fresh: 1, ..LaneCounts::default() });
    let Receipt::Seated { stale, .. } = store.one(keyed(3, 8, order(4))) else { panic!() };
    assert_eq!(stale, [ENDPOINT], "the version of a duplicate does not count");
    let Receipt::Seated { behind, .. } = store.one(keyed(4, 8, order(6))) else { panic!() };
    assert_eq!(behind, [ENDPOINT], "what was dead on arrival did not go out");
}

#[test]
fn an_event_in_many_pieces_leaves_out_each_duplicate_once() {
    let mut store = Store::new();
    let wide = |n| {
        let targets: Vec<u32> = (1..=600).collect();
        let mut event = event(n, Bytes::new(), &targets);
        let of = |endpoint: &EndpointNo| Dedupe { endpoint: *endpoint, ..dedupe(7, WINDOW) };
        event.dedupes = event.targets.iter().map(of).collect();
        admit(event, &[])
    };
    assert_eq!(store.one(wide(1)), Receipt::Applied);
    let Receipt::Seated { duplicates, .. } = store.one(wide(2)) else { panic!() };
    assert_eq!(duplicates, (1..=600).map(|no| (EndpointNo(no), id(1))).collect::<Vec<_>>());
    store.reopen();
    assert_eq!(store.lane(600), LaneCounts { fresh: 1, ..LaneCounts::default() });
}

#[test]
fn the_writer_does_what_the_plain_model_does() {
    for seed in 0..20 {
        let mut rng = Rng::with_seed(seed);
        let (mut store, mut outbox, mut n) = (Store::new(), Outbox::default(), 0);
        for step in 0..150 {
            n += rng.u64(1..5);
            let order = Order {
                endpoint: ENDPOINT,
                key: OrderKey(rng.u64(0..2)),
                version: rng.bool().then(|| rng.u64(1..4)),
            };
            let mut event = event(n, Bytes::new(), &[3, 4]);
            event.orders.extend(rng.bool().then_some(order));
            let window = WINDOW * rng.u32(1..4);
            event.dedupes.extend((rng.u32(0..5) > 0).then(|| dedupe(rng.u8(0..4), window)));
            let record = admit(event, &[4]);
            let expected = outbox.apply(&record);
            assert_eq!(store.one(record.clone()), expected, "seed {seed}, {step}: {record:?}");
            match rng.u32(0..40) {
                0 => store.reopen(),
                // whether what is over has been forgotten changes nothing
                1 => _ = sweep(&mut store, n),
                _ => {}
            }
            assert_eq!(outbox.state(delivery(n, 3)) == DeliveryState::Cancelled, {
                store.reader().delivery(delivery(n, 3)).unwrap().state == DeliveryState::Cancelled
            });
        }
    }
}
