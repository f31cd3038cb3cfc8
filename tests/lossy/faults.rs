//! One call of a small history fails, for every call in turn.
//!
//! The history: a new store, five events one by one, their deliveries, a stop, and all of it again
//! on the same store. Whatever fails in it, once or from then on: a daemon that cannot go on says
//! why and ends, and one that goes on refuses or does what it is asked. A sync that failed has lost
//! what it should have written. Then the power goes, the disk is good again, and everything that
//! was acknowledged is there.

use std::io::ErrorKind;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

use crate::client::Connection;
use crate::disk::Disk;
use crate::disk::Fault;
use crate::harness::daemon::Daemon;
use crate::place::Place;
use crate::pledge;
use crate::pledge::Acknowledged;

/// Numbers of events; even ones are kept.
const LIVES: [Range<u64>; 2] = [0..10, 10..20];
/// What a daemon ends with whose store failed.
const STORE_FAILED: i32 = 74;
/// What the system says of an error of the disk.
const SAID: &str = "Input/output error";

/// Bytes of a payload: two of them take more than one page of the store.
fn length(number: u64) -> usize {
    if number.is_multiple_of(4) { 20_000 } else { 500 }
}

/// Tries so many of the calls, picked at random, or all; gives the counts.
pub(crate) fn run(tried: usize, seed: u64) -> String {
    let mut rng = fastrand::Rng::with_seed(seed);
    let place = Place::new("fsync");
    let calm = Disk::new(rng.fork());
    let acknowledged = history(&place, &calm);
    let all = acknowledged.len();
    assert_eq!(all, 10);
    let counts = calm.calls();
    let mut faults = Vec::new();
    for (call, count) in &counts {
        for sticky in [false, true] {
            faults.extend((1..=*count).map(|nth| Fault { call: *call, nth, sticky }));
        }
    }
    rng.shuffle(&mut faults);
    faults.truncate(tried);
    let (mut reached, mut felt, mut bad) = (0, 0, Vec::new());
    for fault in &faults {
        let disk = Disk::new(rng.fork());
        disk.fail(*fault);
        let survived = catch_unwind(AssertUnwindSafe(|| {
            let acknowledged = history(&place, &disk);
            afterwards(&place, &disk, &acknowledged);
            acknowledged.len()
        }));
        reached += u64::from(disk.failed() > 0);
        match survived {
            Ok(acknowledged) => felt += u64::from(acknowledged < all),
            Err(_) => bad.push(*fault),
        }
    }
    assert!(bad.is_empty(), "{} of {} calls that failed: {bad:#?}", bad.len(), faults.len());
    assert!(felt > 0, "no call failed that mattered");
    format!("{counts:?}: {} tried, {reached} failed, {felt} of them were felt", faults.len())
}

/// Lives on this disk as far as it can be; gives what was acknowledged.
fn history(place: &Place, disk: &Disk) -> Acknowledged {
    let mut acknowledged = Acknowledged::new();
    for numbers in LIVES {
        let mut running = place.start(disk);
        if running.is_ready() {
            let new = submit(&running.daemon, numbers);
            running.daemon.until("what was acknowledged is delivered", || {
                let arrived = place.taken.so_far();
                let arrived = |id| arrived.iter().any(|arrival| arrival.id() == id);
                running.daemon.has_ended() || new.keys().all(|id| arrived(id.to_string()))
            });
            acknowledged.extend(new);
        } else {
            assert!(running.daemon.has_ended(), "it hangs:\n{}", running.daemon.log());
        }
        let (code, log) = (running.stop(), running.daemon.log());
        match code {
            Some(0) => {}
            Some(STORE_FAILED) if log.contains(SAID) => return acknowledged,
            _ => panic!("it ended with {code:?}:\n{log}"),
        }
    }
    acknowledged
}

/// Submits one by one what is kept of these numbers, until there is no answer any more.
fn submit(daemon: &Daemon, numbers: Range<u64>) -> Acknowledged {
    let mut acknowledged = Acknowledged::new();
    let Ok(mut connection) = Connection::open(daemon.ingest_socket()) else { return acknowledged };
    for number in numbers.step_by(2) {
        match connection.send(&pledge::submission(number, &length)) {
            Ok(answer) if answer.status == 202 => {
                acknowledged.insert(answer.id().parse().unwrap(), number);
            }
            Ok(answer) => {
                let problem = &answer.headers["content-type"] == "application/problem+json";
                assert!(problem && answer.status >= 500, "{answer:?}");
            }
            Err(error) => {
                let hangs = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
                assert!(!hangs, "it does not answer:\n{}", daemon.log());
                break;
            }
        }
    }
    acknowledged
}

/// On the good disk again, everything is there and goes on.
fn afterwards(place: &Place, disk: &Disk, acknowledged: &Acknowledged) {
    disk.lose_unsynced();
    let mut running = place.start(disk);
    let daemon = &running.daemon;
    assert!(running.is_ready(), "it does not start again:\n{}", daemon.log());
    let (ingest, admin) = (daemon.ingest_socket(), daemon.admin_socket());
    let found = pledge::check(ingest, admin, &length, acknowledged).unwrap();
    assert!(found.is_whole(), "{found}\n{:#?}", found.faults);
    assert_eq!(running.stop(), Some(0), "it does not stop in order");
}
