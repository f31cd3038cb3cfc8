//! What is damaged stops no sweep, and nothing else is kept for it.

use std::sync::Arc;

use bytes::Bytes;
use postrider::model::*;
use postrider::store::key::Key;
use postrider::store::layout;
use postrider::store::packed::Table;
use postrider::store::page::Page;

use crate::support::*;

const TABLES: [Table; 6] = [
    layout::EVENTS,
    layout::BODIES,
    layout::STEPS,
    layout::DEAD,
    layout::IDEMPOTENCY,
    layout::PIECES,
];

/// Of the idempotency key of an event.
fn hash(n: u64) -> [u8; 16] {
    [u8::try_from(n).unwrap(); 16]
}

fn secs(seconds: u64) -> Time {
    Time::from_secs(START.as_secs() + seconds)
}

fn sweep(store: &mut Store, seconds: u64) -> (Pruned, Vec<Damage>) {
    let (mut sum, mut from, mut all) = (Pruned::default(), None, Vec::new());
    loop {
        let prune = Prune { now: secs(seconds), horizons: HORIZONS, limit: 3, ahead: from };
        let receipt = store.one(Record::Prune(Box::new(prune)));
        let Receipt::Pruned { gone, more, ahead, damaged } = receipt else { unreachable!() };
        sum.add(gone);
        all.extend(damaged);
        from = ahead;
        if !more {
            return (sum, all);
        }
    }
}

fn ends(n: u64, no: u32, seconds: u64, next: Next, detail: &str) -> Record {
    let detail = Some(detail.to_owned());
    let attempt = Attempt { detail, ..Attempt::without_response(Outcome::Http5xx) };
    let step = Box::new(Step { at: secs(seconds), kind: StepKind::Attempt(attempt), next });
    Record::Step { delivery: delivery(n, no), step, parks: false }
}

/// Two events with a bit of everything: delivered and dead, tried twice, with values in pieces.
/// Both have ended at 5 s. Behind them are small ones without deliveries.
fn full() -> Store {
    let mut store = Store::new();
    for n in [1, 2] {
        let targets: Vec<u32> = (3..200).collect();
        let mut event = event(n, Bytes::from(vec![7; 40_000]), &targets);
        event.attributes.tenant = Some("s".repeat(9_000));
        let key = Some(KeyRef { hash: hash(n), fingerprint: [1; 16] });
        let (event, started) = (Arc::new(event), nos(&targets));
        let admit = Admit { event, started, key, keys_since: Time::ZERO };
        store.one(Record::Admit(Box::new(admit)));
        let due = secs(3);
        let again = Next::Wait { due, why: WaitReason::Schedule };
        store.one(ends(n, 3, 2, again, "first"));
        let from = Due::timed(due, id(n));
        store.one(Record::Start { delivery: delivery(n, 3), from });
        let dead = Next::Dead { reason: DeadReason::Exhausted };
        store.one(ends(n, 3, 5, dead, &"x".repeat(9_000)));
        store.commit(targets[1..].iter().map(|no| ends(n, *no, 5, Next::Delivered, "")).collect());
    }
    store.commit((10..250).map(|n| simple(n, &[], &[])).collect());
    store
}

/// What is done to a database that nobody has open.
fn operate(store: &mut Store, damage: impl FnOnce(&sled::Db)) {
    store.opened = None;
    let path = store.options().path.join("outbox");
    let db = loop {
        match sled::Config::new().path(&path).flush_every_ms(None).open() {
            Ok(db) => break db,
            Err(_) => std::thread::yield_now(),
        }
    };
    damage(&db);
    db.flush().unwrap();
    drop(db);
    store.opened = Some(open_when_free(&store.options()).unwrap());
}

/// The page that an entry stands in.
fn page_of(db: &sled::Db, key: &Key) -> Page {
    let low = &key.as_slice()[..1];
    let (base, raw) = db.range(low..=key.as_slice()).next_back().unwrap().unwrap();
    Page::decode(Key::from_slice(&base).unwrap(), &raw).unwrap()
}

/// The value of an entry is none that anybody can read.
fn garble_entry(db: &sled::Db, key: &Key) {
    let mut page = page_of(db, key);
    assert!(page.get(key).is_some(), "there is something under {key}");
    page.insert(*key, Bytes::from_static(&[77, 1, 2]));
    db.insert(page.base().as_slice(), page.encode()).unwrap();
}

/// A bit of the page that holds an entry is another.
fn garble_page(db: &sled::Db, key: &Key) {
    let page = page_of(db, key);
    assert!(page.get(key).is_some(), "there is something under {key}");
    let mut raw = page.encode();
    let middle = raw.len() / 2;
    raw[middle] ^= 8;
    db.insert(page.base().as_slice(), raw).unwrap();
}

fn take_out(db: &sled::Db, key: &Key) {
    let mut page = page_of(db, key);
    page.remove(key).unwrap();
    db.insert(page.base().as_slice(), page.encode()).unwrap();
}

/// Whether a table still has something of an event.
fn left_of(store: &mut Store, n: u64) -> Vec<u8> {
    let mut found = Vec::new();
    let id = id(n).to_bytes();
    operate(store, |db| {
        for table in TABLES {
            let of = |key: &[u8]| {
                let keyed = table.byte == layout::IDEMPOTENCY.byte && key[1..] == hash(n);
                keyed || key.windows(16).any(|part| part == id)
            };
            let pages = db.scan_prefix([table.byte]).map(Result::unwrap);
            let pages = pages
                .filter_map(|(base, raw)| Page::decode(Key::from_slice(&base).unwrap(), &raw).ok());
            let entries: Vec<_> = pages.flat_map(|page| page.entries().to_vec()).collect();
            if entries.iter().any(|(key, _)| of(key.as_slice())) {
                found.push(table.byte);
            }
        }
    });
    found
}

/// Every kind of value that a sweep reads, of event 1.
fn places() -> Vec<(&'static str, Key)> {
    let head = layout::event_key(id(1));
    let step = |no, n| layout::step_key(delivery(1, no), n);
    vec![
        ("head", head),
        ("piece of a head", layout::piece_key(&head, 1)),
        ("body", layout::body_key(id(1), 2)),
        ("first step", step(3, 0)),
        ("last step", step(3, 1)),
        ("piece of a step", layout::piece_key(&step(3, 1), 0)),
        ("only step", step(90, 0)),
        ("dead entry", layout::dead_key(EndpointNo(3), secs(5), id(1))),
        ("idempotency key", layout::idempotency_key([1; 16])),
    ]
}

type Harm = fn(&sled::Db, &Key);

#[test]
fn damage_stops_no_sweep() {
    let harms: [(&str, Harm); 2] = [("entry", garble_entry), ("page", garble_page)];
    for (what, key) in places() {
        for (kind, harm) in harms {
            let case = format!("{what}, {kind}");
            let mut store = full();
            operate(&mut store, |db| harm(db, &key));
            let mut damaged = 0;
            for seconds in [0, 16, 36, 60, 66, 80, 10_000] {
                let (gone, told) = sweep(&mut store, seconds);
                assert_eq!(gone.damaged > 0, !told.is_empty(), "{case}");
                damaged += gone.damaged;
                store.reopen();
            }
            let silent = ["body", "dead entry"].contains(&what) && kind == "entry";
            assert_eq!(damaged > 0, !silent, "{case}");
            let kept = store.reader().tally().unwrap().kept;
            if kind == "entry" {
                // which key is its own, only its head says, and when it died, its last step
                let expected: &[u8] = match what {
                    "head" | "piece of a head" => &[layout::IDEMPOTENCY.byte],
                    "last step" | "piece of a step" => &[layout::DEAD.byte],
                    _ => &[],
                };
                assert_eq!(left_of(&mut store, 1), expected, "{case}");
                assert_eq!(kept, Kept::default(), "{case}");
            }
            // next to it, a page that cannot be read may hold what belongs to it
            let expected: &[u8] = if kind == "page" { &[key.as_slice()[0]] } else { &[] };
            let left = left_of(&mut store, 2);
            let strange = left.iter().any(|byte| !expected.contains(byte));
            // of a page of heads, nobody knows whose they are
            assert!(!strange || what == "head" && kind == "page", "{case}: {left:?}");
            assert_eq!(left_of(&mut store, 249), [0_u8; 0], "{case}");
        }
    }
}

#[test]
fn what_was_cut_off_is_finished_whatever_of_it_is_damaged() {
    let step = layout::step_key(delivery(1, 3), 0);
    let harms: [(&str, Harm, Key); 3] = [
        ("a step", garble_entry, step),
        ("a page of steps", garble_page, layout::step_key(delivery(1, 90), 0)),
        ("a page of the body", garble_page, layout::body_key(id(1), 2)),
    ];
    for (case, harm, key) in harms {
        let mut store = full();
        operate(&mut store, |db| {
            let intent = layout::intent_key();
            let mut meta = page_of(db, &layout::tally_key());
            let rest = layout::encode(&layout::Intent::Rest { event: id(1) });
            meta.insert(intent, Bytes::from(rest));
            db.insert(meta.base().as_slice(), meta.encode()).unwrap();
            take_out(db, &layout::event_key(id(1)));
            harm(db, &key);
        });
        let left = left_of(&mut store, 1);
        assert_eq!(left, [layout::IDEMPOTENCY.byte], "{case}: the key has no head to go with");
        let (gone, told) = sweep(&mut store, 1);
        assert_eq!((gone.damaged, told.len()), (0, 0), "{case}: it is not there any more");
        assert_eq!(sweep(&mut store, 66).0.events, 241, "{case}");
    }
}

#[test]
fn rows_that_are_lost_are_made_anew() {
    let mut store = Store::new();
    store.commit((1..=300).map(|n| simple(n, &[3], &[3])).collect());
    assert_eq!(sweep(&mut store, 11), (Pruned::default(), Vec::new()), "all are pending");
    operate(&mut store, |db| {
        let rows: Vec<_> = db.scan_prefix([layout::EXPIRY.byte]).map(Result::unwrap).collect();
        assert!(rows.len() > 2, "{} pages", rows.len());
        let (base, raw) = &rows[rows.len() / 2];
        let mut raw = raw.to_vec();
        raw[9] ^= 1;
        db.insert(base, raw).unwrap();
    });
    store.commit((1..=300).map(|n| ends(n, 3, 12, Next::Delivered, "")).collect());
    let (gone, told) = sweep(&mut store, 22);
    assert_eq!((gone.payloads, gone.damaged, told.len()), (300, 1, 1));
    assert_eq!(sweep(&mut store, 72).0.events, 300);
    assert_eq!(store.reader().tally().unwrap().kept, Kept::default());
}

#[test]
fn what_is_half_gone_is_gone() {
    let mut store = full();
    operate(&mut store, |db| take_out(db, &layout::event_key(id(1))));
    let reader = store.reader();
    assert_eq!(reader.event_head(id(1)).unwrap(), None);
    for no in [3, 90] {
        let record = reader.delivery(delivery(1, no)).unwrap();
        assert_eq!((record.state, record.steps.len()), (DeliveryState::Unknown, 0));
    }
    let listed = reader.events_between(EventId::MIN, id(2), 9).unwrap();
    assert_eq!(listed.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [id(2)]);
}

/// Whether the clock was set back is read off the last event; one that cannot be read says nothing.
#[test]
fn a_store_opens_whose_last_event_is_damaged() {
    let mut store = full();
    operate(&mut store, |db| garble_entry(db, &layout::event_key(id(249))));
    assert_eq!(store.opened().recovered.redated, None);
    assert_eq!(store.opened().recovered.last_event, Some(id(249)));
}
