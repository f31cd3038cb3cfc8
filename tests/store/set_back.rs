//! A clock that was ahead in one run and is right in the next.

use std::time::Duration;

use bytes::Bytes;
use postrider::model::*;

use crate::support::*;

/// By how much the clock was ahead, in seconds.
const AHEAD_S: u64 = 7_200;

fn after_start(seconds: u64) -> Time {
    START + Duration::from_secs(seconds)
}

fn entry(open: Option<Opened>) -> Record {
    Record::Endpoint(Box::new(EndpointEntry {
        no: EndpointNo(3),
        name: "billing".to_owned(),
        state: EndpointState { open, ..EndpointState::default() },
        definition: None,
        removed: None,
    }))
}

fn open(since: u64, until: u64) -> Opened {
    let (since, until) = (after_start(since), after_start(until));
    Opened { since, failures: 10, outcome: Outcome::Http5xx, probes: 0, until }
}

fn rows(store: &mut Store) -> Vec<(EventId, Time, Progress)> {
    let rows = store.reader().load(EndpointNo(3), Class::Timed, None, 99).unwrap();
    rows.into_iter().map(|(due, progress)| (due.event, due.at, progress)).collect()
}

fn reopen_at(store: &mut Store, seconds: u64) -> Option<postrider::store::fold::Redated> {
    store.opened = None;
    let options = postrider::store::open::Options { now: after_start(seconds), ..store.options() };
    store.opened = Some(open_when_free(&options).unwrap());
    store.opened().recovered.redated
}

#[test]
fn what_was_dated_ahead_waits_for_what_was_left() {
    let mut store = Store::new();
    // at() is a minute after the start, plus so many milliseconds
    let ahead = AHEAD_S * 1_000;
    let (failed, delayed, held, fresh) = (ahead - 3, ahead - 2, ahead - 1, ahead);
    let mut delayed_event = event(delayed, Bytes::from_static(b"{}"), &[3]);
    delayed_event.attributes.deliver_at = Some(id(delayed).time() + Duration::from_secs(100));
    let in_five_minutes =
        Next::Wait { due: at(failed) + Duration::from_secs(300), why: WaitReason::Schedule };
    store.commit(vec![
        entry(Some(open(AHEAD_S, AHEAD_S + 150))),
        simple(1, &[3], &[3]),
        attempt(1, 3, Outcome::Http5xx, wait(600)),
        simple(failed, &[3], &[3]),
        attempt(failed, 3, Outcome::Http5xx, in_five_minutes),
        admit(delayed_event, &[]),
        simple(held, &[3], &[]),
        command(held, 3, Next::Wait { due: Time::MAX, why: WaitReason::OnHold }),
        simple(fresh, &[3], &[]),
    ]);
    let counts = store.lane(3);

    let redated = reopen_at(&mut store, 120).unwrap();
    assert_eq!(redated.deliveries, 2);
    assert_eq!(redated.ahead.as_secs(), AHEAD_S - 120);
    let found = rows(&mut store);
    let dues: Vec<_> = found.iter().map(|(event, due, _)| (*event, *due)).collect();
    let expected = [
        (id(delayed), after_start(120 + 100)),
        (id(failed), after_start(120 + 300)),
        (id(1), after_start(600)),
        (id(held), Time::MAX),
    ];
    assert_eq!(dues, expected, "what was dated by a clock that was right stays");
    let since: Vec<_> = found.iter().map(|(_, _, progress)| progress.since).collect();
    assert_eq!(since[0], Some(after_start(220)), "it is not late before that");
    assert_eq!((found[1].2.steps, found[1].2.attempts, found[1].2.plan_from), (2, 1, 0));
    assert_eq!(store.lane(3), counts);
    let last = store.reader().delivery(delivery(failed, 3)).unwrap().steps.pop().unwrap();
    let next = Next::Wait { due: after_start(420), why: WaitReason::ClockSetBack };
    assert_eq!(last, Step { at: after_start(120), kind: StepKind::Rule, next });
    let endpoints = &store.opened().recovered.endpoints;
    assert_eq!(endpoints[0].state.open, Some(open(120, 270)));

    assert_eq!(reopen_at(&mut store, 130).unwrap().deliveries, 0, "once is enough");
    assert_eq!(rows(&mut store), found);
}

#[test]
fn a_clock_that_is_right_or_little_off_changes_nothing() {
    let mut store = Store::new();
    store.commit(vec![entry(None), simple(1, &[3], &[3])]);
    store.one(attempt(1, 3, Outcome::Http5xx, wait(600)));
    assert_eq!(reopen_at(&mut store, 0), None, "the step lies a minute ahead, the event does not");
    assert_eq!(rows(&mut store)[0].1, after_start(600));
    let mut store = Store::new();
    assert_eq!(reopen_at(&mut store, 0), None, "nothing is there");
}
