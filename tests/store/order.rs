//! Deliveries in the order of a key: the real writer does what the simulator's plain model does.

use std::sync::Arc;

use bytes::Bytes;
use fastrand::Rng;
use postrider::model::*;

use crate::outbox::Outbox;
use crate::support::*;

const ENDPOINT: EndpointNo = EndpointNo(3);

/// An event of this key, for two endpoints, of which one is ordered.
fn ordered(n: u64, key: u64, version: Option<u64>, delayed: bool) -> Record {
    let mut event = event(n, Bytes::from_static(b"{}"), &[3, 4]);
    event.orders = vec![Order { endpoint: ENDPOINT, key: OrderKey(key), version }];
    event.attributes.deliver_at = delayed.then(|| at(n));
    admit(event, &[4])
}

/// As above, put aside on arrival.
fn held(n: u64, key: u64, version: Option<u64>) -> Record {
    let Record::Admit(mut admit) = ordered(n, key, version, false) else { unreachable!() };
    Arc::make_mut(&mut admit.event).held = vec![ENDPOINT];
    Record::Admit(admit)
}

fn start(n: u64) -> Record {
    Record::Start { delivery: delivery(n, 3), from: Due::fresh(id(n)) }
}

fn state(store: &mut Store, n: u64) -> DeliveryState {
    store.reader().delivery(delivery(n, 3)).unwrap().state
}

fn rows(store: &mut Store) -> Vec<EventId> {
    let rows = store.reader().load(ENDPOINT, Class::Fresh, None, 99).unwrap();
    rows.into_iter().map(|(due, _)| due.event).collect()
}

#[test]
fn one_of_a_key_stands_in_the_lane_and_the_next_follows() {
    let mut store = Store::new();
    let behind =
        Receipt::Seated { behind: vec![ENDPOINT], stale: Vec::new(), duplicates: Vec::new() };
    assert_eq!(store.one(ordered(1, 7, None, false)), Receipt::Applied);
    assert_eq!(store.one(ordered(2, 7, None, false)), behind);
    assert_eq!(store.one(ordered(3, 8, None, false)), Receipt::Applied, "another key");
    assert_eq!(store.one(ordered(4, 7, None, false)), behind);
    assert_eq!((rows(&mut store), store.lane(3).behind), (vec![id(1), id(3)], 2));
    store.one(start(1));
    store.reopen();
    let after = store.one(attempt(1, 3, Outcome::Ok, Next::Delivered));
    let progress = Progress { order: Some(OrderKey(7)), ..Progress::default() };
    assert_eq!(after, Receipt::Promoted { due: Due::fresh(id(2)), progress });
    assert_eq!((rows(&mut store), store.lane(3).behind), (vec![id(2), id(3)], 1));
    assert_eq!(state(&mut store, 4), DeliveryState::Queued);
}

#[test]
fn a_dead_one_that_is_parked_keeps_its_place_until_a_person_acts() {
    let mut store = Store::new();
    store.commit(vec![ordered(1, 7, None, false), ordered(2, 7, None, false), start(1)]);
    let Record::Step { delivery, step, .. } =
        attempt(1, 3, Outcome::Http5xx, Next::Dead { reason: DeadReason::Exhausted })
    else {
        unreachable!()
    };
    assert_eq!(store.one(Record::Step { delivery, step, parks: true }), Receipt::Applied);
    assert_eq!(rows(&mut store), [], "nothing goes");
    store.reopen();
    let Receipt::Moved { promoted, .. } = store.one(command(1, 3, Next::Cancelled)) else {
        unreachable!()
    };
    assert_eq!(promoted.map(|(due, _)| due), Some(Due::fresh(id(2))));
    assert_eq!(rows(&mut store), [id(2)]);
}

#[test]
fn an_older_version_is_dead_on_arrival() {
    let mut store = Store::new();
    store.one(ordered(1, 7, Some(5), false));
    let stale =
        Receipt::Seated { behind: Vec::new(), stale: vec![ENDPOINT], duplicates: Vec::new() };
    assert_eq!(store.one(ordered(2, 7, Some(4), false)), stale);
    store.reopen();
    let record = store.reader().delivery(delivery(2, 3)).unwrap();
    assert_eq!(record.next, Some(Next::Dead { reason: DeadReason::Stale }));
    assert_eq!(store.reader().dead(ENDPOINT, None, 9).unwrap().len(), 1);
    let behind =
        Receipt::Seated { behind: vec![ENDPOINT], stale: Vec::new(), duplicates: Vec::new() };
    assert_eq!(store.one(ordered(3, 7, Some(5), false)), behind, "the same version is not older");
}

#[test]
fn what_is_held_on_arrival_waits_for_a_person_and_keeps_its_place() {
    let mut store = Store::new();
    assert_eq!(store.one(held(1, 7, None)), Receipt::Applied);
    let aside = Receipt::Seated { behind: vec![ENDPOINT], stale: vec![], duplicates: vec![] };
    assert_eq!(store.one(held(2, 7, None)), aside);
    assert_eq!(store.one(ordered(3, 7, None, false)), aside, "what comes later waits behind it");
    store.reopen();
    let record = store.reader().delivery(delivery(1, 3)).unwrap();
    assert_eq!(record.state, DeliveryState::Held);
    assert_eq!(record.steps, [Step::held_on_arrival(id(1).time())]);
    assert_eq!(store.reader().delivery(delivery(1, 4)).unwrap().state, DeliveryState::Sending);
    let lane = store.lane(3);
    assert_eq!((lane.fresh, lane.timed, lane.behind), (0, 1, 2));
    let released = Next::Wait { due: at(1), why: WaitReason::Released };
    store.one(command(1, 3, released));
    store.one(Record::Start { delivery: delivery(1, 3), from: Due::timed(at(1), id(1)) });
    let Receipt::Promoted { due, progress } =
        store.one(attempt(1, 3, Outcome::Ok, Next::Delivered))
    else {
        panic!()
    };
    assert!(due.is_on_hold() && due.event == id(2), "the next one is on hold as well");
    assert_eq!((progress.steps, progress.attempts), (1, 0));
}

#[test]
fn holds_stand_until_they_are_lifted() {
    let mut store = Store::new();
    let hold = |n: u64, endpoint| StandingHold {
        id: ReplayId::from_bytes(id(n).to_bytes()),
        types: "order.*".parse().unwrap(),
        endpoint,
        since: at(n),
        actor: "uid:0".to_owned(),
    };
    let (all, one) = (hold(1, None), hold(2, Some(ENDPOINT)));
    store.commit(vec![Record::Hold(Box::new(all.clone())), Record::Hold(Box::new(one.clone()))]);
    store.reopen();
    assert_eq!(store.opened().recovered.holds, [all.clone(), one.clone()]);
    store.one(Record::Lift(all.id));
    store.reopen();
    assert_eq!(store.opened().recovered.holds, [one]);
}

/// One of everything that can be done to the first few events.
fn any_record(rng: &mut Rng, next: &mut u64, outbox: &Outbox) -> Record {
    let n = rng.u64(1..=(*next).max(1));
    let again = Next::Wait { due: at(rng.u64(1..50)), why: WaitReason::Requested };
    match rng.u32(0..10) {
        0..=3 => {
            *next += 1;
            let version = rng.bool().then(|| rng.u64(1..4));
            let (key, delayed) = (rng.u64(1..3), rng.u32(0..5) == 0);
            if rng.u32(0..4) == 0 {
                held(*next, key, version)
            } else {
                ordered(*next, key, version, delayed)
            }
        }
        4..=5 => {
            let waiting = outbox.waiting(delivery(n, 3));
            let from = waiting.map_or(Due::fresh(id(n)), |(due, _)| due);
            Record::Start { delivery: delivery(n, 3), from }
        }
        6..=7 => {
            let dead = Next::Dead { reason: DeadReason::Exhausted };
            let next = [Next::Delivered, dead, again, dead][rng.usize(..4)];
            let outcome = if next == Next::Delivered { Outcome::Ok } else { Outcome::Http5xx };
            let Record::Step { delivery, step, .. } = attempt(n, 3, outcome, next) else {
                unreachable!()
            };
            Record::Step { delivery, step, parks: rng.bool() }
        }
        8 => command(n, 3, if rng.bool() { Next::Cancelled } else { again }),
        _ if rng.u32(0..20) == 0 => {
            let kind = StepKind::Command { actor: "uid:0".to_owned() };
            let step = Box::new(Step { at: at(1), kind, next: Next::Cancelled });
            Record::Sweep { endpoint: ENDPOINT, step, limit: 500 }
        }
        _ => command(n, 3, again),
    }
}

#[test]
fn the_writer_does_what_the_plain_model_does() {
    for seed in 0..60 {
        let mut rng = Rng::with_seed(seed);
        let (mut store, mut outbox, mut next) = (Store::new(), Outbox::default(), 0);
        for step in 0..120 {
            let record = any_record(&mut rng, &mut next, &outbox);
            let expected = outbox.apply(&record);
            assert_eq!(store.one(record.clone()), expected, "seed {seed}, {step}: {record:?}");
            if rng.u32(0..60) == 0 {
                store.reopen();
            }
        }
        let counts = store.lane(3);
        let behind = outbox.behind.len() as u64;
        let waiting = outbox.due.get(&ENDPOINT).map_or(0, |queue| queue.len() as u64);
        assert_eq!((counts.behind, counts.fresh + counts.timed), (behind, waiting), "seed {seed}");
        for n in 1..=next {
            let expected = outbox.state(delivery(n, 3));
            let found = state(&mut store, n);
            let early = [DeliveryState::Queued, DeliveryState::Waiting];
            let same = found == expected || early.contains(&found) && early.contains(&expected);
            assert!(same, "seed {seed}: {n} is {found}, not {expected}");
        }
    }
}
