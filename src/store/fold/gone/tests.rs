//! Events too large for one batch that are taken away, cut off between two batches.

use std::sync::Arc;

use super::*;
use crate::model::Admit;
use crate::model::DeadReason;
use crate::model::Event;
use crate::model::LaneCounts;
use crate::model::Record;
use crate::model::StepKind;
use crate::model::Time;
use crate::store::checkpoint::Checkpoint;
use crate::store::fold;
use crate::store::layout::Tally;
use crate::store::packed::Packed;
use crate::store::packed::Table;
use crate::store::read::Reader;
use crate::store::tests::journal;

const AT: Time = Time::from_secs(1_795_000_000);
const TARGETS: u32 = 300;

fn open(db: &sled::Db) -> Batches {
    let reader = Reader::new((**db).clone());
    let lanes = reader.lanes().unwrap().into_iter().collect();
    Batches::new(
        Packed::new((**db).clone()),
        journal(),
        Checkpoint::new(db.clone()),
        lanes,
        reader.tally().unwrap(),
    )
}

/// An event of which all deliveries are dead.
fn dead_event(batches: &mut Batches) -> EventId {
    let targets: Vec<_> = (0..TARGETS).map(EndpointNo).collect();
    let event = Event {
        id: EventId::v7(AT, 1, 1),
        event_type: "order.created".parse().unwrap(),
        accepted_at: AT,
        source: "uid:1000".into(),
        content_type: "text/plain".into(),
        body: Bytes::from(vec![7; 3_000_000]),
        attributes: Box::default(),
        targets: targets.clone(),
        orders: Vec::new(),
        dedupes: Vec::new(),
        held: Vec::new(),
    };
    let id = event.id;
    let started = targets.clone();
    let admit = Admit { event: Arc::new(event), started, key: None, keys_since: Time::ZERO };
    fold::apply(batches, &Record::Admit(Box::new(admit))).unwrap();
    let next = Next::Dead { reason: DeadReason::Exhausted };
    for target in targets {
        let step = Box::new(Step { at: AT, kind: StepKind::Rule, next });
        let delivery = DeliveryId::new(id, target);
        fold::apply(batches, &Record::Step { delivery, step, parks: false }).unwrap();
    }
    batches.emit().unwrap();
    id
}

fn count(db: &sled::Db, table: &Table) -> usize {
    let (low, high) = (table.key(&[]), table.key(&[&[0xFF; 29]]));
    crate::store::scan::ascending(db, &low, &high, usize::MAX).unwrap().len()
}

#[test]
fn what_is_left_of_an_event_without_a_head_goes_at_the_next_start() {
    for already in [0, 1, 150, 300] {
        let home = tempfile::tempdir().unwrap();
        let db = sled::Config::new().path(home.path()).flush_every_ms(None).open().unwrap();
        let mut cut = open(&db);
        let id = dead_event(&mut cut);
        assert_eq!((count(&db, &layout::STEPS), count(&db, &layout::DEAD)), (300, 300));
        large::remove(&mut cut.packed, &layout::EVENTS, &layout::event_key(id)).unwrap();
        cut.tally_mut().kept.events = 0;
        put_intent(&mut cut, Intent::Rest { event: id }).unwrap();
        for no in 0..already {
            let delivery = DeliveryId::new(id, EndpointNo(no));
            let key = layout::step_key(delivery, 0);
            let raw = cut.packed.get(&layout::STEPS, &key).unwrap().unwrap();
            cut.room(4).unwrap();
            take_dead(&mut cut, delivery, &layout::decode(&key, &raw).unwrap()).unwrap();
            large::remove(&mut cut.packed, &layout::STEPS, &key).unwrap();
        }
        cut.emit().unwrap();
        let mut next = open(&db);
        fold::resume(&mut next).unwrap();
        next.emit().unwrap();
        for table in [&layout::EVENTS, &layout::BODIES, &layout::STEPS, &layout::DEAD] {
            assert_eq!(count(&db, table), 0, "from {already}: table {}", table.byte);
        }
        assert_eq!(count(&db, &layout::META), 2, "what is kept and the mark, and no intent");
        let lanes = Reader::new((*db).clone()).lanes().unwrap();
        assert!(lanes.iter().all(|(_, lane)| *lane == LaneCounts::default()), "from {already}");
    }
}

#[test]
fn a_body_that_was_going_is_gone_at_the_next_start() {
    let home = tempfile::tempdir().unwrap();
    let db = sled::Config::new().path(home.path()).flush_every_ms(None).open().unwrap();
    let mut cut = open(&db);
    let id = dead_event(&mut cut);
    let key = layout::event_key(id);
    let raw = large::get(&mut cut.packed, &layout::EVENTS, &key).unwrap().unwrap();
    let head = EventHead { payload_gone: Some(AT), ..layout::decode(&key, &raw).unwrap() };
    large::replace(&mut cut.packed, &layout::EVENTS, key, layout::encode(&head)).unwrap();
    put_intent(&mut cut, Intent::Body { event: id }).unwrap();
    cut.packed.remove(&layout::BODIES, &layout::body_key(id, 0)).unwrap();
    cut.emit().unwrap();
    assert!(count(&db, &layout::BODIES) > UNIT_OPERATIONS_MAX, "it takes more than one batch");
    let mut next = open(&db);
    fold::resume(&mut next).unwrap();
    next.emit().unwrap();
    assert_eq!(count(&db, &layout::BODIES), 0);
    assert_eq!((count(&db, &layout::EVENTS), count(&db, &layout::STEPS)), (1, 300));
    assert_eq!(count(&db, &layout::META), 2);
}

#[test]
fn a_unit_never_grows_beyond_a_batch() {
    let home = tempfile::tempdir().unwrap();
    let db = sled::Config::new().path(home.path()).flush_every_ms(None).open().unwrap();
    let mut batches = open(&db);
    let id = dead_event(&mut batches);
    let key = layout::event_key(id);
    let raw = large::get(&mut batches.packed, &layout::EVENTS, &key).unwrap().unwrap();
    let head: EventHead = layout::decode(&key, &raw).unwrap();
    let steps = past(&mut batches, id).unwrap();
    assert_eq!(steps.last.len(), 300);
    // `emit` checks what a batch holds
    drop_event(&mut batches, id, &head, &steps, |_| Ok(())).unwrap();
    batches.emit().unwrap();
    assert_eq!(batches.tally(), &Tally::default());
    assert_eq!(count(&db, &layout::LANES), 300);
}
