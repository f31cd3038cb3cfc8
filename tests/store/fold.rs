//! What each record does, and what answers it.

use bytes::Bytes;
use postrider::model::*;
use proptest::prelude::*;

use crate::support::*;

const EXHAUSTED: Next = Next::Dead { reason: DeadReason::Exhausted };

#[test]
fn an_event_stands_in_flight_or_in_its_lanes() {
    let mut store = Store::new();
    assert_eq!(store.one(simple(1, &[3, 5, 9], &[5])), Receipt::Applied);
    for _ in 0..2 {
        let reader = store.reader();
        let event = reader.event(id(1)).unwrap().unwrap();
        assert_eq!(event.body, "body of 1");
        assert_eq!(event.targets, nos(&[3, 5, 9]));
        let load = |endpoint| reader.load(EndpointNo(endpoint), Class::Fresh, None, 10).unwrap();
        assert_eq!(load(3), [(Due::fresh(id(1)), Progress::default())]);
        assert_eq!(load(5), []);
        assert_eq!(reader.in_flight().unwrap(), [(delivery(1, 5), Progress::default())]);
        assert_eq!(reader.delivery(delivery(1, 5)).unwrap().state, DeliveryState::Sending);
        assert_eq!(reader.delivery(delivery(1, 9)).unwrap().state, DeliveryState::Queued);
        assert_eq!(reader.delivery(delivery(1, 4)).unwrap().state, DeliveryState::Unknown);
        drop(reader);
        assert_eq!(store.lane(3), LaneCounts { fresh: 1, timed: 0, dead: 0, behind: 0 });
        assert_eq!(store.lane(5), LaneCounts::default());
        store.reopen();
    }
}

#[test]
fn a_delivery_starts_from_where_it_stands_and_only_once() {
    let mut store = Store::new();
    let start = |from| Record::Start { delivery: delivery(1, 3), from };
    let receipts = store.commit(vec![
        simple(1, &[3], &[]),
        start(Due::timed(START, id(1))),
        start(Due::fresh(id(2))),
        start(Due::fresh(id(1))),
        start(Due::fresh(id(1))),
    ]);
    let (yes, no) = (Receipt::Applied, Receipt::Stale);
    assert_eq!(receipts, [yes.clone(), no.clone(), no.clone(), yes, no]);
    assert_eq!(store.lane(3), LaneCounts::default());
}

#[test]
fn steps_lead_from_flight_to_what_follows() {
    let mut store = Store::new();
    let receipts = store.commit(vec![
        simple(1, &[3], &[3]),
        attempt(1, 3, Outcome::Http5xx, wait(60)),
        attempt(1, 3, Outcome::Http5xx, wait(60)),
        Record::Start { delivery: delivery(1, 3), from: wait_due(1, 60) },
        attempt(1, 3, Outcome::Http5xx, EXHAUSTED),
        simple(2, &[3], &[3]),
        attempt(2, 3, Outcome::Ok, Next::Delivered),
    ]);
    assert_eq!(receipts[2], Receipt::Stale, "it is in flight no more");
    assert_eq!(receipts.iter().filter(|receipt| **receipt == Receipt::Applied).count(), 6);
    store.reopen();
    let reader = store.reader();
    let dead = reader.dead(EndpointNo(3), None, 10).unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].event, dead[0].at), (id(1), at(1)));
    assert_eq!(dead[0].entry.progress.attempts, 2);
    let first = reader.delivery(delivery(1, 3)).unwrap();
    assert_eq!((first.state, first.steps.len()), (DeliveryState::Dead, 2));
    assert_eq!(first.progress, dead[0].entry.progress);
    let second = reader.delivery(delivery(2, 3)).unwrap();
    assert_eq!(second.state, DeliveryState::Delivered);
    drop(reader);
    assert_eq!(store.lane(3), LaneCounts { fresh: 0, timed: 0, dead: 1, behind: 0 });
}

#[test]
fn delayed_events_wait_for_their_time() {
    let mut store = Store::new();
    let mut delayed = event(1, Bytes::new(), &[3]);
    delayed.attributes.deliver_at = Some(START);
    store.one(admit(delayed, &[]));
    let due = Due::timed(START, id(1));
    let rows = store.reader().load(EndpointNo(3), Class::Timed, None, 10).unwrap();
    assert_eq!(rows, [(due, Progress::default())]);
    let state = store.reader().delivery(delivery(1, 3)).unwrap().state;
    assert_eq!(state, DeliveryState::Waiting);
    let moved = store.one(command(1, 3, Next::Cancelled));
    assert!(matches!(moved, Receipt::Moved { from: Some(from), to: None, .. } if from == due));
}

#[test]
fn idempotency_keys_make_no_second_event() {
    let mut store = Store::new();
    let keyed = |n: u64, hash: u8, print: u8, since: Time| {
        let Record::Admit(mut admit) = simple(n, &[3, 4], &[3]) else { unreachable!() };
        admit.key = Some(KeyRef { hash: [hash; 16], fingerprint: [print; 16] });
        admit.keys_since = since;
        Record::Admit(admit)
    };
    let duplicate = |same| Receipt::Duplicate {
        first: id(1),
        targets: nos(&[3, 4]),
        accepted_at: id(1).time(),
        same,
    };
    let since = id(1).time();
    let receipts = store.commit(vec![keyed(1, 1, 1, since), keyed(2, 1, 1, since)]);
    assert_eq!(receipts, [Receipt::Applied, duplicate(true)], "in one group");
    store.reopen();
    assert_eq!(store.one(keyed(3, 1, 2, since)), duplicate(false));
    assert_eq!(store.one(keyed(4, 2, 1, since)), Receipt::Applied, "another key");
    let later = Time::from_millis(since.as_millis() + 1);
    assert_eq!(store.one(keyed(5, 1, 2, later)), Receipt::Applied, "the key is forgotten");
    assert_eq!(store.reader().event(id(2)).unwrap(), None);
    assert_eq!(store.lane(4).fresh, 3);
}

#[test]
fn people_send_again_and_cancel() {
    let mut store = Store::new();
    let again = Next::Wait { due: at(9), why: WaitReason::Requested };
    let to = |n| Some(Due::timed(at(9), id(n)));
    store.commit(vec![
        simple(1, &[3], &[]),
        simple(2, &[3], &[3]),
        simple(3, &[3], &[3]),
        attempt(3, 3, Outcome::Http4xx, Next::Dead { reason: DeadReason::Refused }),
        simple(4, &[3], &[3]),
        attempt(4, 3, Outcome::Ok, Next::Delivered),
        simple(5, &[3], &[3]),
        attempt(5, 3, Outcome::Http5xx, wait(60)),
    ]);
    let refused = |state| Receipt::Refused(state);
    let moved = |from, to: Option<Due>, steps, attempts| {
        let (plan_from, since) = (attempts, Some(at(9)));
        let requested = to.is_some();
        let rest = Progress { since, ..Progress::default() };
        let progress = Progress { steps, attempts, plan_from, requested, ..rest };
        Receipt::Moved { from, to, progress, promoted: None, behind: 0 }
    };
    let fresh = Some(Due::fresh(id(1)));
    assert_eq!(store.one(command(1, 3, again)), moved(fresh, to(1), 1, 0));
    assert_eq!(store.one(command(1, 3, Next::Cancelled)), moved(to(1), None, 2, 0));
    assert_eq!(
        store.one(command(1, 3, Next::Cancelled)),
        refused(DeliveryState::Cancelled),
        "once is enough"
    );
    assert_eq!(store.one(command(1, 3, again)), moved(None, to(1), 3, 0));
    assert_eq!(store.one(command(2, 3, again)), refused(DeliveryState::Sending));
    assert_eq!(store.one(command(3, 3, again)), moved(None, to(3), 2, 1));
    assert_eq!(store.one(command(4, 3, Next::Cancelled)), refused(DeliveryState::Delivered));
    assert_eq!(store.one(command(4, 3, again)), moved(None, to(4), 2, 1));
    assert_eq!(store.one(command(5, 3, again)), moved(Some(wait_due(5, 60)), to(5), 2, 1));
    assert_eq!(store.one(command(6, 3, again)), refused(DeliveryState::Unknown));
    assert_eq!(store.one(command(5, 7, again)), refused(DeliveryState::Unknown), "not a target");
    assert_eq!(store.lane(3), LaneCounts { fresh: 0, timed: 4, dead: 0, behind: 0 });
    let record = store.reader().delivery(delivery(3, 3)).unwrap();
    let actor = "uid:0".to_owned();
    assert_eq!(record.steps[1], Step { at: at(3), kind: StepKind::Command { actor }, next: again });
}

#[test]
fn a_sweep_ends_what_waits_fresh_first() {
    let mut store = Store::new();
    let admits = (0..300).map(|n| simple(n, &[3, 4], &[])).collect();
    store.commit(admits);
    store.one(command(299, 3, wait(5)));
    let kind = StepKind::Command { actor: "uid:0".into() };
    let step = Box::new(Step { at: at(0), kind, next: EXHAUSTED });
    let sweep = |limit| Record::Sweep { endpoint: EndpointNo(3), step: step.clone(), limit };
    let Receipt::Swept { dues: first, .. } = store.one(sweep(250)) else { panic!() };
    assert_eq!(first, (0..250).map(|n| Due::fresh(id(n))).collect::<Vec<_>>());
    let Receipt::Swept { dues: rest, .. } = store.one(sweep(250)) else { panic!() };
    assert_eq!(rest.len(), 50);
    assert_eq!(rest[49], wait_due(299, 5));
    assert_eq!(store.one(sweep(250)), Receipt::Swept { dues: Vec::new(), behind: 0 });
    assert_eq!(store.lane(3), LaneCounts { fresh: 0, timed: 0, dead: 300, behind: 0 });
    assert_eq!(store.lane(4), LaneCounts { fresh: 300, timed: 0, dead: 0, behind: 0 });
    let record = store.reader().delivery(delivery(299, 3)).unwrap();
    assert_eq!((record.state, record.progress.steps), (DeliveryState::Dead, 2));
}

#[test]
fn lists_go_on_from_a_cursor() {
    let mut store = Store::new();
    store.commit((0..100).map(|n| simple(n, &[3], &[])).collect());
    let reader = store.reader();
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let rows = reader.load(EndpointNo(3), Class::Fresh, after, 7).unwrap();
        let Some((last, _)) = rows.last() else { break };
        after = Some(*last);
        seen.extend(rows.into_iter().map(|(due, _)| due.event));
    }
    assert_eq!(seen, (0..100).map(id).collect::<Vec<_>>());
    let newest = reader.waiting(EndpointNo(3), Class::Fresh, None, 3).unwrap();
    assert_eq!(
        newest.iter().map(|(due, _)| due.event).collect::<Vec<_>>(),
        [id(99), id(98), id(97)]
    );
    let next = reader.waiting(EndpointNo(3), Class::Fresh, Some(newest[2].0), 1).unwrap();
    assert_eq!(next[0].0.event, id(96));
    let events = reader.events(Some(id(50)), 2).unwrap();
    assert_eq!(events.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [id(49), id(48)]);
    let between = reader.events_between(id(10), id(12), 50).unwrap();
    assert_eq!(between.len(), 3);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Whatever is done, a delivery stands in exactly one place and the counts are true.
    #[test]
    fn a_delivery_stands_in_one_place(
        steps in proptest::collection::vec((0_u8..7, 0_u64..6, 3_u32..5), 1..120),
    ) {
        let mut store = Store::new();
        let started = |n: u64| if n.is_multiple_of(2) { &[3][..] } else { &[] };
        store.commit((0..6).map(|n| simple(n, &[3, 4], started(n))).collect());
        let mut clock = 0;
        for group in steps.chunks(5) {
            let records = group.iter().map(|(what, n, endpoint)| {
                clock += 1;
                let of = store.reader().delivery(delivery(*n, *endpoint)).unwrap();
                let from = match of.next {
                    Some(Next::Wait { due, .. }) => Due::timed(due, id(*n)),
                    _ => Due::fresh(id(*n)),
                };
                match what {
                    0 | 1 => Record::Start { delivery: delivery(*n, *endpoint), from },
                    2 => attempt(*n, *endpoint, Outcome::Http5xx, wait(clock)),
                    3 => attempt(*n, *endpoint, Outcome::Http4xx, EXHAUSTED),
                    4 => attempt(*n, *endpoint, Outcome::Ok, Next::Delivered),
                    5 => command(*n, *endpoint, wait(clock)),
                    _ => command(*n, *endpoint, Next::Cancelled),
                }
            }).collect();
            store.commit(records);
        }
        store.reopen();
        check_places(&mut store);
    }
}

fn check_places(store: &mut Store) {
    let reader = store.reader();
    for endpoint in [3, 4] {
        let no = EndpointNo(endpoint);
        let fresh = reader.load(no, Class::Fresh, None, 99).unwrap();
        let timed = reader.load(no, Class::Timed, None, 99).unwrap();
        let dead = reader.dead(no, None, 99).unwrap();
        let flight = reader.in_flight().unwrap();
        let counts = LaneCounts {
            fresh: fresh.len() as u64,
            timed: timed.len() as u64,
            dead: dead.len() as u64,
            behind: 0,
        };
        assert_eq!(store.lane(endpoint), counts);
        for n in 0..6 {
            let record = reader.delivery(delivery(n, endpoint)).unwrap();
            let waits = |rows: &[(Due, Progress)]| {
                rows.iter()
                    .filter(|(due, _)| due.event == id(n))
                    .map(|(_, p)| *p)
                    .collect::<Vec<_>>()
            };
            let places = [
                flight
                    .iter()
                    .filter(|(at, _)| *at == delivery(n, endpoint))
                    .map(|(_, p)| *p)
                    .collect(),
                waits(&fresh),
                waits(&timed),
                dead.iter().filter(|row| row.event == id(n)).map(|r| r.entry.progress).collect(),
            ];
            let of = |place: usize| {
                let all: usize = places.iter().map(Vec::len).sum();
                assert_eq!((all, places[place].as_slice()), (1, &[record.progress][..]));
            };
            match record.state {
                DeliveryState::Sending => of(0),
                DeliveryState::Queued => of(1),
                DeliveryState::Waiting => of(2),
                DeliveryState::Dead => of(3),
                _ => assert!(places.iter().all(Vec::is_empty)),
            }
        }
    }
}
