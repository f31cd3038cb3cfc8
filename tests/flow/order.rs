//! Deliveries of one key arrive in the order of submission, one at a time: while three in ten
//! attempts fail, and while the daemon is killed again and again.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::harness::client::Connection;
use crate::harness::client::Request;
use crate::harness::daemon::Daemon;
use crate::harness::daemon::Home;
use crate::sink::Manner;
use crate::sink::Seen;
use crate::sink::Sink;
use crate::sink::payload;

const KEYS: u32 = 6;
const FAILING_PERCENT: u8 = 30;
/// An attempt takes so long, so that two at once would be seen.
const TAKES: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn a_key_keeps_its_order_through_failures_and_kills() {
    let kills = crate::number("FLOW_KILLS").unwrap_or(3);
    let each = crate::number("FLOW_EVENTS").unwrap_or(40);
    let seed = crate::seed();
    let mut rng = fastrand::Rng::with_seed(seed);
    let sink = Sink::with(&Manner { failing_percent: FAILING_PERCENT, seed, takes: TAKES });
    let more = "ordering = \"key\"\nbreaker = { enabled = false }\nretry = { base = \"10ms\" }";
    let home = Home::new().endpoint_at("ordered", &sink.url(), more);
    let mut next = vec![0; usize::try_from(KEYS).unwrap()];
    for kill in 1..=kills {
        // what is done when it is killed: so many, spread over all
        let part = KEYS * each / (kills + 1);
        let done = part * kill - rng.u32(..part.max(1));
        let daemon = home.start();
        let socket = daemon.ingest_socket().to_owned();
        std::thread::scope(|scope| {
            for (key, next) in next.iter_mut().enumerate() {
                let (key, socket) = (u32::try_from(key).unwrap(), &socket);
                scope.spawn(move || submit(socket, key, next, each));
            }
            sink.wait_for_any(usize::try_from(done).unwrap(), PATIENCE);
            daemon.kill();
        });
        sink.settle(PATIENCE);
    }
    let daemon = home.start();
    for (key, next) in next.iter_mut().enumerate() {
        submit(daemon.ingest_socket(), u32::try_from(key).unwrap(), next, each);
        assert_eq!(*next, each);
    }
    wait_until_nothing_is_pending(&daemon);
    let suspected = suspected(&daemon);
    daemon.stop();
    println!("{kills} kills: {}, {suspected} suspected", check(&sink.seen(), each, suspected));
}

/// Submits the events of a key one after another, from the next one on, until all are acknowledged
/// or the daemon is gone. What was not acknowledged is submitted again under its idempotency key.
fn submit(socket: &Path, key: u32, next: &mut u32, end: u32) {
    let Ok(mut connection) = Connection::open(socket) else { return };
    while *next < end {
        let request = Request::post("/v1/events/order.changed", payload(key, *next, 100))
            .key(&format!("{key}-{next}"))
            .header("postrider-ordering-key", &format!("customer-{key}"));
        let Ok(answer) = connection.send(&request) else { return };
        answer.id();
        *next += 1;
    }
}

fn wait_until_nothing_is_pending(daemon: &Daemon) {
    daemon.until("nothing is pending", || {
        let status = daemon.show("/v1/status");
        ["queued", "waiting", "sending"].iter().all(|state| status[state] == 0)
    });
}

/// Deliveries that three crashes in a row have met in flight, and that are dead for it: the only
/// ones that may be missing.
fn suspected(daemon: &Daemon) -> usize {
    let dead = daemon.show("/v1/deliveries?state=dead&limit=500");
    let rows = dead["data"].as_array().unwrap();
    for row in rows {
        assert_eq!(row["reason"], "poisoned", "{row}");
    }
    rows.len()
}

/// Order and solitude hold for each key; gives the counts.
fn check(seen: &[Seen], each: u32, suspected: usize) -> String {
    let mut keys: BTreeMap<u32, Vec<&Seen>> = BTreeMap::new();
    for seen in seen {
        keys.entry(seen.stream).or_default().push(seen);
    }
    assert_eq!(keys.len(), usize::try_from(KEYS).unwrap());
    let (mut done, mut again) = (0, 0);
    for (key, seen) in &mut keys {
        seen.sort_by_key(|seen| seen.at);
        for pair in seen.windows(2) {
            assert!(pair[0].answered <= pair[1].at, "two of key {key} at once: {pair:?}");
        }
        let mut last = None;
        for seen in seen.iter().filter(|seen| seen.status == 200) {
            if last == Some(seen.place) {
                // a kill has cut off the news of its arrival
                again += 1;
                continue;
            }
            assert!(last < Some(seen.place), "key {key}: {seen:?} after {last:?}");
            last = Some(seen.place);
            done += 1;
        }
    }
    let all = usize::try_from(KEYS * each).unwrap();
    assert!(done <= all && done + suspected >= all, "{done} and {suspected} of {all}");
    let failed = seen.iter().filter(|seen| seen.status == 500).count();
    assert!(failed > done / 5, "the receiver was too tame: {failed} failures");
    format!("{done} of {KEYS} keys in order, {failed} failures, {again} arrived again")
}
