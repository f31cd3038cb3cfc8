//! A rate is exact, over more than ten seconds.

use std::time::Duration;

use crate::harness::daemon::Home;
use crate::load::batches;
use crate::sink::Sink;

const RATE: usize = 50;
const EVENTS: u32 = 600;
const SECOND: Duration = Duration::from_secs(1);

#[test]
#[ignore = "takes 12 s and a machine that is not busy; tests/daemon has a short one"]
fn a_rate_is_not_exceeded_in_any_second() {
    let sink = Sink::start();
    let home = Home::new().endpoint_at("paced", &sink.url(), &format!("rate = \"{RATE}/s\""));
    let daemon = home.start();
    batches(daemon.ingest_socket(), 0..EVENTS, |_| "order.created".to_owned());
    sink.wait_for(0, usize::try_from(EVENTS).unwrap(), 60 * SECOND);
    daemon.stop();
    let seen = sink.seen();
    let at = |place: usize| seen[place].at.duration_since(seen[0].at);
    // the arrival that comes so many later is in another second
    let least = (RATE..seen.len()).map(|place| at(place) - at(place - RATE)).min().unwrap();
    let took = at(seen.len() - 1);
    println!("{} arrivals in {took:?}; any {} span at least {least:?}", seen.len(), RATE + 1);
    assert!(least >= SECOND, "{} arrivals in {least:?}", RATE + 1);
    assert!(took < 20 * SECOND, "it took {took:?}");
}
