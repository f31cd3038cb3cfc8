//! What does not fit into one entry, one page or one batch.

use bytes::Bytes;
use postrider::model::*;

use crate::support::*;

fn bytes(len: usize) -> Bytes {
    (0..len).map(|n| u8::try_from(n % 251).unwrap()).collect::<Vec<_>>().into()
}

#[test]
fn bodies_of_every_length_come_back_byte_for_byte() {
    let mut store = Store::new();
    let lengths = [0, 1, 6_499, 6_500, 6_501, 13_000, 100_000, 1_048_576, 5_000_000];
    for (n, len) in (0..).zip(lengths) {
        assert_eq!(store.one(admit(event(n, bytes(len), &[3]), &[3])), Receipt::Applied);
    }
    store.reopen();
    for (n, len) in (0..).zip(lengths) {
        let event = store.reader().event(id(n)).unwrap().unwrap();
        assert_eq!(event.body.len(), len);
        assert!(event.body == bytes(len), "{len} bytes");
    }
    let blobs = store.options().path.join("outbox/blobs");
    assert_eq!(std::fs::read_dir(blobs).unwrap().count(), 0, "the underlying store syncs no blobs");
}

#[test]
fn an_event_goes_to_thousands_of_endpoints() {
    let mut store = Store::new();
    let targets: Vec<u32> = (0..3_000).collect();
    let started: Vec<u32> = (0..3_000).step_by(3).collect();
    store.one(admit(event(1, bytes(50), &targets), &started));
    store.reopen();
    let recovered = &store.opened().recovered;
    assert_eq!(recovered.in_flight.len(), 1_000);
    assert_eq!(recovered.lanes.iter().map(|(_, lane)| lane.fresh).sum::<u64>(), 2_000);
    let reader = store.reader();
    for endpoint in 0..3_000 {
        let state = reader.delivery(delivery(1, endpoint)).unwrap().state;
        let waits = reader.load(EndpointNo(endpoint), Class::Fresh, None, 2).unwrap().len();
        let expected = match endpoint % 3 {
            0 => (DeliveryState::Sending, 0),
            _ => (DeliveryState::Queued, 1),
        };
        assert_eq!((state, waits), expected, "endpoint {endpoint}");
    }
}

#[test]
fn long_heads_steps_and_definitions_come_back() {
    let mut store = Store::new();
    let mut long = event(1, bytes(10), &[3]);
    long.attributes.metadata = vec![("note".into(), "x".repeat(40_000))];
    let head = long.clone();
    let mut failed = Attempt::without_response(Outcome::Http5xx);
    let content_type = "text/plain".to_owned();
    failed.response = Some(Excerpt { content_type, body: bytes(30_000) });
    let step = Step { at: START, kind: StepKind::Attempt(failed), next: wait(60) };
    let entry = |bytes: usize| EndpointEntry {
        no: EndpointNo(3),
        name: "crm".into(),
        state: EndpointState::default(),
        definition: Some("d".repeat(bytes)),
        removed: None,
    };
    let kind = Box::new(step.clone());
    store.commit(vec![
        admit(long, &[3]),
        Record::Step { delivery: delivery(1, 3), step: kind, parks: false },
        Record::Endpoint(Box::new(entry(50_000))),
    ]);
    store.reopen();
    assert_eq!(store.opened().recovered.endpoints, [entry(50_000)]);
    assert_eq!(store.reader().event(id(1)).unwrap().unwrap(), head);
    assert_eq!(store.reader().delivery(delivery(1, 3)).unwrap().steps, [step]);
    store.one(Record::Endpoint(Box::new(entry(5))));
    assert_eq!(store.reader().endpoints().unwrap(), [entry(5)]);
    let again = Next::Wait { due: at(1), why: WaitReason::Requested };
    let Receipt::Moved { progress, .. } = store.one(command(1, 3, again)) else { panic!() };
    assert_eq!((progress.steps, progress.attempts), (2, 1));
}
