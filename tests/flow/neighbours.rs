//! One healthy endpoint beside twenty that hang, refuse, reset, fail or drip.

use std::time::Duration;

use crate::bad::Bad;
use crate::bad::MANNERS;
use crate::bad::Manner;
use crate::harness::daemon::Daemon;
use crate::harness::daemon::Home;
use crate::load::Compared;
use crate::load::Fares;
use crate::load::GOOD;
use crate::load::batches;
use crate::load::flood;
use crate::load::measure;
use crate::load::say;
use crate::sink::Sink;

/// Bad endpoints of each manner.
const EACH: usize = 4;
/// Events that wait for each bad endpoint while the healthy one is measured.
const BACKLOG: u32 = 200;
/// Time-outs that the bad ones exhaust, again and again.
const SHORT: &str = "response_timeout = \"2s\"\nattempt_timeout = \"3s\"\n\
    breaker = { open_for = \"500ms\", open_max = \"2s\" }";
/// What is left of the healthy one's throughput, and how much longer its deliveries may take.
const THROUGHPUT_MIN: f64 = 0.9;
const LATENCY_MAX: f64 = 1.5;

/// Everything goes to everybody, and places for attempts are scarce: if a bad endpoint could keep
/// them, or the queue, the healthy one would wait for the bad ones' time-outs, which are long.
#[test]
fn bad_endpoints_do_not_keep_a_healthy_one_waiting() {
    let sink = Sink::start();
    let bad = start();
    let long =
        "response_timeout = \"10m\"\nattempt_timeout = \"10m\"\nbreaker = { enabled = false }";
    let mut home = home(&sink).set("POSTRIDER_DELIVERY__MAX_IN_FLIGHT", "64");
    for (n, bad) in bad.iter().enumerate() {
        home = home.endpoint_at(&format!("bad-{n}"), &bad.url(), long);
    }
    let daemon = home.start();
    let throughput = flood(daemon.ingest_socket(), &sink, 1, Duration::from_secs(2));
    for bad in bad.iter().filter(|bad| bad.manner != Manner::Refuses) {
        assert!(bad.met() > 0, "{:?} was not called", bad.manner);
    }
    let status = daemon.show("/v1/status");
    assert!(status["sending"].as_u64().unwrap() > 0, "none hangs: {status}");
    println!("beside {} bad ones: {throughput:.0} a second", bad.len());
    daemon.kill();
}

/// The figures: alone and beside the bad ones in turn, each on a store of
/// its own. The bad ones have events of their own, so that the machine's work is the same.
#[test]
#[ignore = "compares figures, for which the machine must not be busy"]
fn a_healthy_endpoint_fares_as_well_as_alone() {
    let secs = crate::number("FLOW_SECS").unwrap_or(5);
    let time = Duration::from_secs(secs);
    let compared = Compared::over(crate::number("FLOW_ROUNDS").unwrap_or(3), || {
        let alone = fares(&[], time);
        let beside = fares(&start(), time);
        say("alone", alone);
        say(&format!("beside {} bad ones", MANNERS.len() * EACH), beside);
        beside.against(alone)
    });
    println!("{compared:.2?} of alone");
    assert!(compared.throughput >= THROUGHPUT_MIN && compared.p99 <= LATENCY_MAX);
}

fn start() -> Vec<Bad> {
    MANNERS.iter().flat_map(|manner| (0..EACH).map(|_| Bad::start(*manner))).collect()
}

fn home(sink: &Sink) -> Home {
    let types = format!("types = [\"{GOOD}\"]");
    Home::new().endpoint_at("good", &sink.url(), &types).set("POSTRIDER_LOG__LEVEL", "info")
}

fn fares(bad: &[Bad], time: Duration) -> Fares {
    let sink = Sink::start();
    let mut home = home(&sink);
    for (n, bad) in bad.iter().enumerate() {
        let more = format!("types = [\"bad.n{n}\"]\n{SHORT}");
        home = home.endpoint_at(&format!("bad-{n}"), &bad.url(), &more);
    }
    let daemon = home.start();
    let ends = u32::try_from(bad.len()).unwrap();
    let kind = |place: u32| format!("bad.n{}", place % ends);
    batches(daemon.ingest_socket(), 0..BACKLOG * ends, kind);
    let fares = measure(daemon.ingest_socket(), &sink, 1, time);
    tell(&daemon, bad);
    daemon.kill();
    fares
}

/// The bad ones have not been left alone all the time.
fn tell(daemon: &Daemon, bad: &[Bad]) {
    for manner in MANNERS.iter().filter(|manner| **manner != Manner::Refuses) {
        let met: Vec<_> = bad.iter().filter(|bad| bad.manner == *manner).map(Bad::met).collect();
        assert!(met.iter().all(|met| *met > 0), "{manner:?}: {met:?}\n{}", daemon.log());
    }
}
