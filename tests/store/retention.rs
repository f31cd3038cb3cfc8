//! What was kept for long enough goes, and nothing else: the real writer does what the simulator's
//! plain model does.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use postrider::model::*;

use crate::outbox::Outbox;
use crate::support::*;

const ENDED: Next = Next::Dead { reason: DeadReason::Exhausted };

fn secs(seconds: u64) -> Time {
    Time::from_secs(START.as_secs() + seconds)
}

/// Sweeps to the end, and says how much has gone.
fn sweep(store: &mut Store, now: Time, horizons: Horizons, limit: u16) -> Pruned {
    let (mut sum, mut from) = (Pruned::default(), None);
    loop {
        let prune = Box::new(Prune { now, horizons, limit, ahead: from });
        let Receipt::Pruned { gone, more, ahead, .. } = store.one(Record::Prune(prune)) else {
            unreachable!()
        };
        sum.add(gone);
        from = ahead;
        if !more {
            return sum;
        }
    }
}

fn all(store: &mut Store, seconds: u64) -> Pruned {
    sweep(store, secs(seconds), HORIZONS, 64)
}

fn gone(events: u64, payloads: u64, keys: u64) -> Pruned {
    Pruned { events, payloads, keys, damaged: 0 }
}

/// The end of a flight at a time.
fn ends(n: u64, seconds: u64, next: Next) -> Record {
    let kind = StepKind::Attempt(Attempt::without_response(Outcome::Ok));
    let step = Box::new(Step { at: secs(seconds), kind, next });
    Record::Step { delivery: delivery(n, 3), step, parks: false }
}

fn kept(store: &mut Store) -> Kept {
    store.reader().tally().unwrap().kept
}

#[test]
fn the_payload_goes_first_and_then_the_event() {
    let mut store = Store::new();
    store.commit(vec![simple(1, &[3], &[3]), ends(1, 5, Next::Delivered)]);
    assert_eq!(kept(&mut store), Kept { events: 1, payload_bytes: 9 });
    assert_eq!(all(&mut store, 14), gone(0, 0, 0), "it ended at 5 s");
    assert_eq!(all(&mut store, 15), gone(0, 1, 0));
    store.reopen();
    let reader = store.reader();
    assert_eq!(reader.event(id(1)).unwrap(), None);
    let head = reader.event_head(id(1)).unwrap().unwrap();
    assert_eq!((head.payload_gone, head.body_bytes), (Some(secs(15)), 9));
    assert_eq!(reader.delivery(delivery(1, 3)).unwrap().state, DeliveryState::Delivered);
    drop(reader);
    assert_eq!(kept(&mut store), Kept { events: 1, payload_bytes: 0 });
    let again = Next::Wait { due: secs(16), why: WaitReason::Requested };
    assert_eq!(store.one(command(1, 3, again)), Receipt::PayloadGone);
    assert_eq!(all(&mut store, 64), gone(0, 0, 0));
    assert_eq!(all(&mut store, 65), gone(1, 0, 0));
    let reader = store.reader();
    assert_eq!(reader.event_head(id(1)).unwrap(), None);
    assert_eq!(reader.delivery(delivery(1, 3)).unwrap().state, DeliveryState::Unknown);
    drop(reader);
    assert_eq!(kept(&mut store), Kept::default());
}

#[test]
fn what_is_pending_stays_and_what_is_dead_stays_longer() {
    let mut store = Store::new();
    store.commit(vec![simple(1, &[3], &[]), simple(2, &[3], &[3]), ends(2, 5, ENDED)]);
    assert_eq!(all(&mut store, 34), gone(0, 0, 0));
    assert_eq!(all(&mut store, 35), gone(0, 1, 0));
    assert_eq!(store.lane(3).dead, 1);
    assert_eq!(all(&mut store, 65), gone(1, 0, 0));
    assert_eq!((store.lane(3).dead, store.lane(3).fresh), (0, 1));
    assert_eq!(store.reader().dead(EndpointNo(3), None, 9).unwrap(), []);
    for later in [100, 1_000, 10_000] {
        assert_eq!(all(&mut store, later), gone(0, 0, 0));
        store.reopen();
    }
    assert_eq!(store.reader().event(id(1)).unwrap().unwrap().body, "body of 1");
    let start = Record::Start { delivery: delivery(1, 3), from: Due::fresh(id(1)) };
    store.commit(vec![start, ends(1, 10_001, Next::Delivered)]);
    assert_eq!(all(&mut store, 10_010), gone(0, 0, 0));
    assert_eq!(all(&mut store, 10_011), gone(0, 1, 0));
    assert_eq!(all(&mut store, 10_061), gone(1, 0, 0));
}

#[test]
fn over_size_what_is_delivered_goes_before_its_time_and_the_oldest_first() {
    let mut store = Store::new();
    let body = Bytes::from(vec![7; 1_000]);
    for n in 1..=10 {
        store.one(admit(event(n, body.clone(), &[3]), &[3]));
        let next = [Next::Delivered, ENDED][usize::from(n == 2)];
        if n != 3 {
            store.one(ends(n, 1, next));
        }
    }
    let horizons = Horizons { payload_bytes_max: Some(5_000), ..HORIZONS };
    assert_eq!(sweep(&mut store, secs(2), horizons, 2), gone(0, 5, 0));
    let bodies: Vec<_> =
        (1..=10).filter(|n| store.reader().event(id(*n)).unwrap().is_some()).collect();
    assert_eq!(bodies, [2, 3, 8, 9, 10]);
    store.one(ends(3, 3, Next::Delivered));
    let horizons = Horizons { payload_bytes_max: Some(4_000), ..HORIZONS };
    assert_eq!(sweep(&mut store, secs(4), horizons, 2), gone(0, 1, 0), "it was passed by before");
    assert_eq!(store.reader().event(id(3)).unwrap(), None);
    let horizons = Horizons { payload_bytes_max: Some(1), ..HORIZONS };
    assert_eq!(sweep(&mut store, secs(5), horizons, 64), gone(0, 3, 0), "not the dead one");
    assert_eq!(kept(&mut store), Kept { events: 10, payload_bytes: 1_000 });
}

#[test]
fn what_does_not_fit_into_a_batch_goes_as_well() {
    let mut store = Store::new();
    let targets: Vec<u32> = (1..=700).collect();
    let body = Bytes::from(vec![7; 4_000_000]);
    store.one(admit(event(1, body.clone(), &targets), &targets));
    store.one(admit(event(2, body, &[900]), &[]));
    let step = |no: u32| {
        let kind = StepKind::Attempt(Attempt::without_response(Outcome::Http5xx));
        let step = Box::new(Step { at: secs(1), kind, next: ENDED });
        Record::Step { delivery: delivery(1, no), step, parks: false }
    };
    store.commit(targets.iter().map(|no| step(*no)).collect());
    assert_eq!(all(&mut store, 31), gone(0, 1, 0));
    store.reopen();
    assert_eq!(store.reader().event(id(1)).unwrap(), None);
    assert_eq!(kept(&mut store), Kept { events: 2, payload_bytes: 4_000_000 });
    assert_eq!(all(&mut store, 61), gone(1, 0, 0));
    assert_eq!(store.reader().lanes().unwrap().iter().map(|(_, lane)| lane.dead).sum::<u64>(), 0);
    assert!(store.reader().event(id(2)).unwrap().is_some(), "it is pending");
}

#[test]
fn what_is_kept_for_less_time_from_now_on_goes_at_once() {
    let mut store = Store::new();
    store.commit(vec![simple(1, &[3], &[3]), simple(2, &[3], &[3]), simple(3, &[3], &[3])]);
    store.commit(vec![ends(1, 5, Next::Delivered), ends(2, 5, ENDED), ends(3, 5, ENDED)]);
    let long = Horizons { dead_payload: Duration::from_secs(3_000), ..HORIZONS };
    let long = Horizons { events: Duration::from_secs(6_000), ..long };
    assert_eq!(sweep(&mut store, secs(15), long, 1), gone(0, 1, 0));
    assert_eq!(sweep(&mut store, secs(64), long, 1), gone(0, 0, 0));
    store.reopen();
    assert_eq!(sweep(&mut store, secs(64), HORIZONS, 1), gone(0, 2, 0), "what was dead");
    assert_eq!(sweep(&mut store, secs(65), HORIZONS, 1), gone(3, 0, 0));
    assert_eq!(kept(&mut store), Kept::default());
}

/// Sweeps to the end, one look at a time: how much has gone, and in how many looks.
fn looks(store: &mut Store, now: Time, horizons: Horizons) -> (Pruned, usize) {
    let (mut sum, mut from, mut looks) = (Pruned::default(), None, 0);
    loop {
        let prune = Box::new(Prune { now, horizons, limit: 1, ahead: from });
        let Receipt::Pruned { gone, more, ahead, .. } = store.one(Record::Prune(prune)) else {
            unreachable!()
        };
        sum.add(gone);
        from = ahead;
        if !more {
            return (sum, looks);
        }
        looks += 1;
    }
}

#[test]
fn a_size_that_cannot_be_reached_is_not_looked_for_again_and_again() {
    let mut store = Store::new();
    let body = Bytes::from(vec![7; 1_000]);
    store.commit((1..=100).map(|n| admit(event(n, body.clone(), &[3]), &[3])).collect());
    let small = Horizons { payload_bytes_max: Some(5_000), ..HORIZONS };
    let nothing = gone(0, 0, 0);
    assert_eq!(looks(&mut store, secs(2), small), (nothing, 100), "the first time, at all");
    assert_eq!(looks(&mut store, secs(3), small), (nothing, 0));
    store.one(admit(event(101, body, &[3]), &[3]));
    assert_eq!(looks(&mut store, secs(4), small), (nothing, 1), "at what is new");
    store.one(ends(50, 4, Next::Delivered));
    store.reopen();
    assert_eq!(looks(&mut store, secs(4), small), (nothing, 0), "one in a hundred helps little");
    store.commit((51..=56).map(|n| ends(n, 4, Next::Delivered)).collect());
    let (went, looked) = looks(&mut store, secs(5), small);
    assert_eq!(went, gone(0, 7, 0));
    assert!((101..=102).contains(&looked), "{looked} looks");
    assert_eq!(looks(&mut store, secs(6), small), (nothing, 0));
}

/// One of everything that can be done to the events there are.
fn any_record(rng: &mut Rng, ids: &mut Vec<EventId>, now: Time, outbox: &Outbox) -> Record {
    let some = (!ids.is_empty()).then(|| ids[rng.usize(ids.len().saturating_sub(12)..ids.len())]);
    let no = EndpointNo(rng.u32(3..=4));
    let delivery = DeliveryId::new(some.unwrap_or(EventId::MIN), no);
    let due = Time::from_micros(now.as_micros() + 1_000_000 * rng.u64(0..20));
    let again = Next::Wait { due, why: WaitReason::Requested };
    match rng.u32(0..12) {
        0..=3 => {
            let n = ids.len() as u64;
            let id = EventId::v7(now, 0, n);
            // of a millisecond, each is later than the one before
            let id = ids.last().map_or(id, |last| id.max(last.successor()));
            ids.push(id);
            let len = [0, 5, 900, 20_000, 3_000_000][rng.usize(..40).saturating_sub(35)];
            let mut event = event(n, Bytes::from(vec![7; len]), &[3, 4][..rng.usize(0..3)]);
            (event.id, event.accepted_at) = (id, now);
            let order =
                Order { endpoint: EndpointNo(3), key: OrderKey(rng.u64(..3)), version: None };
            event.orders.extend(event.targets.first().filter(|_| rng.bool()).map(|_| order));
            let started: Vec<_> = event.targets.get(1).copied().into_iter().collect();
            let hash = [rng.u8(..6); 16];
            let key = rng.bool().then_some(KeyRef { hash, fingerprint: [1; 16] });
            let keys_since = now.minus(HORIZONS.keys);
            let event = Arc::new(event);
            Record::Admit(Box::new(Admit { event, started, key, keys_since }))
        }
        4..=6 => {
            let waiting = outbox.waiting(delivery);
            let from = waiting.map_or(Due::fresh(delivery.event), |(due, _)| due);
            Record::Start { delivery, from }
        }
        7..=9 => {
            let flying = outbox.flight.keys().nth(rng.usize(..outbox.flight.len().max(1)));
            let next = [Next::Delivered, Next::Delivered, ENDED, again][rng.usize(..4)];
            let kind = StepKind::Attempt(Attempt::without_response(Outcome::Ok));
            let step = Box::new(Step { at: now, kind, next });
            let delivery = flying.copied().unwrap_or(delivery);
            Record::Step { delivery, step, parks: rng.u32(..4) == 0 }
        }
        10 => {
            let next = if rng.bool() { Next::Cancelled } else { again };
            Record::Command { delivery, at: now, actor: "uid:0".into(), next }
        }
        _ => {
            let Horizons { delivered_payload, dead_payload, events, .. } = HORIZONS;
            let shorter = rng.u32(1..4);
            let horizons = Horizons {
                delivered_payload: delivered_payload / shorter,
                dead_payload: dead_payload / shorter,
                events: events / rng.u32(1..=shorter),
                ..HORIZONS
            };
            let limit = u16::MAX;
            Record::Prune(Box::new(Prune { now, horizons, limit, ahead: None }))
        }
    }
}

fn compare(store: &mut Store, outbox: &Outbox, seed: u64) {
    let reader = store.reader();
    let found: Vec<_> = reader.events_between(EventId::MIN, EventId::MAX, 9_999).unwrap();
    let found: Vec<_> = found.iter().map(|(id, head)| (*id, head.payload_gone.is_some())).collect();
    let expected: Vec<_> = outbox.events.keys().map(|id| (*id, outbox.bare.contains(id))).collect();
    assert_eq!(found, expected, "seed {seed}");
    for (id, event) in outbox.events.iter().filter(|(id, _)| !outbox.bare.contains(id)) {
        assert!(reader.event(*id).unwrap().unwrap().body == event.body, "seed {seed}: {id}");
    }
    for no in [3, 4] {
        let rows = reader.dead(EndpointNo(no), None, 9_999).unwrap().len() as u64;
        let dead = outbox.dead.get(&EndpointNo(no)).copied().unwrap_or(0);
        assert_eq!((rows, store.lane(no).dead), (dead, dead), "seed {seed}: {no}");
    }
    let payload_bytes = outbox.payload_bytes();
    let expected = Kept { events: found.len() as u64, payload_bytes };
    assert_eq!(reader.tally().unwrap().kept, expected, "seed {seed}");
}

#[test]
fn the_writer_lets_go_of_what_the_plain_model_lets_go_of() {
    let mut sum = Pruned::default();
    for seed in 0..10 {
        let mut rng = Rng::with_seed(seed);
        let (mut store, mut outbox) = (Store::new(), Outbox::default());
        let (mut now, mut ids) = (START, Vec::new());
        for step in 0..250 {
            now = now + Duration::from_millis(rng.u64(..2_000));
            let record = any_record(&mut rng, &mut ids, now, &outbox);
            let expected = outbox.apply(&record);
            if let (Record::Prune(prune), Receipt::Pruned { gone, .. }) = (&record, &expected) {
                let limit = rng.u16(1..20);
                let found = sweep(&mut store, now, prune.horizons, limit);
                assert_eq!(found, *gone, "seed {seed}, {step}");
                compare(&mut store, &outbox, seed);
                outbox.check_kept();
                sum.add(found);
            } else {
                assert_eq!(store.one(record.clone()), expected, "seed {seed}, {step}: {record:?}");
            }
            if rng.u32(0..80) == 0 {
                store.reopen();
            }
        }
    }
    assert!(sum.events > 50 && sum.payloads > 100 && sum.keys > 20, "{sum:?}");
}
