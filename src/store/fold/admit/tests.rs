//! Events too large for one batch, cut off between two of them.

use std::sync::Arc;

use super::*;
use crate::model::Event;
use crate::store::tests::batches;

fn admit(body_bytes: usize, targets: u32, started: &[u32]) -> Admit {
    let event = Event {
        id: EventId::v7(Time::from_secs(1_795_000_000), 1, 1),
        event_type: "order.created".parse().unwrap(),
        accepted_at: Time::from_secs(1_795_000_000),
        source: "uid:1000".into(),
        content_type: "text/plain".into(),
        body: Bytes::from(vec![7; body_bytes]),
        attributes: Box::default(),
        targets: (0..targets).map(EndpointNo).collect(),
        orders: Vec::new(),
        dedupes: Vec::new(),
        held: Vec::new(),
    };
    Admit {
        event: Arc::new(event),
        started: started.iter().copied().map(EndpointNo).collect(),
        key: None,
        keys_since: Time::ZERO,
    }
}

fn count(db: &sled::Db, table: &crate::store::packed::Table) -> usize {
    let (low, high) = (table.key(&[]), table.key(&[&[0xFF; 29]]));
    crate::store::scan::ascending(db, &low, &high, usize::MAX).unwrap().len()
}

#[test]
fn a_body_without_a_head_is_taken_away() {
    let home = tempfile::tempdir().unwrap();
    let db = sled::Config::new().path(home.path()).flush_every_ms(None).open().unwrap();
    let admit = admit(4_000_000, 1, &[]);
    let mut cut = batches(&db);
    put_intent(&mut cut, Intent::Body { event: admit.event.id }).unwrap();
    put_body(&mut cut, admit.event.id, &admit.event.body).unwrap();
    cut.emit().unwrap();
    let chunks = 4_000_000_usize.div_ceil(CHUNK_BYTES_MAX);
    assert!(chunks > UNIT_OPERATIONS_MAX, "it takes more than one batch");
    assert_eq!(count(&db, &layout::BODIES), chunks);
    let mut next = batches(&db);
    resume(&mut next).unwrap();
    next.emit().unwrap();
    assert_eq!(count(&db, &layout::BODIES), 0);
    assert_eq!(count(&db, &layout::META), 1, "the mark, and no intent");
    assert_eq!(apply(&mut next, &admit).unwrap(), Receipt::Applied, "the same event, again");
    next.emit().unwrap();
    assert_eq!(count(&db, &layout::BODIES), chunks);
    assert_eq!(count(&db, &layout::META), 2, "what is kept and the mark, and no intent");
}

#[test]
fn a_head_without_all_its_deliveries_gets_them() {
    let started = [0, 5, 700];
    let admit = admit(10, 1_000, &started);
    let head = EventHead::of(&admit.event, None);
    for already in [0_u32, 1, 100, 999, 1_000] {
        let home = tempfile::tempdir().unwrap();
        let db = sled::Config::new().path(home.path()).flush_every_ms(None).open().unwrap();
        let mut cut = batches(&db);
        let id = admit.event.id;
        put_body(&mut cut, id, &admit.event.body).unwrap();
        put_head(&mut cut, &admit, layout::encode(&head)).unwrap();
        for target in (0..already).filter(|target| !started.contains(target)) {
            let delivery = DeliveryId::new(id, EndpointNo(target));
            cut.room(4).unwrap();
            put_due(&mut cut, delivery, head.first_due(id), Progress::default()).unwrap();
        }
        put_intent(&mut cut, Intent::Targets { event: id, next: already }).unwrap();
        cut.emit().unwrap();
        let mut next = batches(&db);
        resume(&mut next).unwrap();
        next.emit().unwrap();
        assert_eq!(count(&db, &layout::DUE_FRESH), 997, "from {already}");
        assert_eq!(count(&db, &layout::FLIGHT), 3);
        assert_eq!(count(&db, &layout::META), 2, "what is kept and the mark; the intent is done");
        let mut again = batches(&db);
        resume(&mut again).unwrap();
        assert_eq!(again.packed.operations(), 0, "nothing is left to do");
    }
}
