//! How it ends, and what is left then.

use std::time::Duration;

use rustix::process::Signal;

use crate::harness::client::Request;
use crate::harness::daemon::Daemon;
use crate::harness::daemon::Home;
use crate::harness::daemon::now;
use crate::harness::receiver::Receiver;

fn order() -> Request {
    Request::post("/v1/events/order.created", "{}")
}

/// A receiver that does not answer yet, and a home with it as the only endpoint.
fn slow() -> (Receiver, Home) {
    let receiver = Receiver::start();
    receiver.hold();
    let home = Home::new().endpoint("billing", &receiver, "");
    (receiver, home)
}

/// A daemon that was told to stop in the middle of an attempt, and the event that it sends.
fn told_while_sending(receiver: &Receiver, home: &Home) -> (Daemon, String) {
    let daemon = home.start();
    let id = daemon.submit(&order()).id();
    receiver.arrivals(1);
    daemon.signal(Signal::TERM);
    daemon.logged("daemon.draining");
    (daemon, id)
}

#[test]
fn an_idle_daemon_ends_at_once() {
    let receiver = Receiver::start();
    let home = Home::new().endpoint("billing", &receiver, "");
    // a busy machine may take one of them from the processor
    let fastest = [Signal::TERM, Signal::INT, Signal::TERM].map(|signal| {
        let mut daemon = home.start();
        daemon.submit(&order());
        daemon.until("it is idle", || daemon.show("/v1/status")["delivered"] == 1);
        let told = now();
        daemon.signal(signal);
        assert_eq!(daemon.exit_code(), Some(0));
        let taken = told.elapsed();
        assert!(daemon.log().contains("daemon.stopped"));
        taken
    });
    let fastest = fastest.into_iter().min().unwrap();
    assert!(fastest < Duration::from_millis(200), "{fastest:?}");
    assert!(!home.path("ingest.sock").exists() && !home.path("admin.sock").exists());
    let log = home.start().logged("store.opened");
    assert!(log.contains("\"clean\":true"), "{log}");
}

#[test]
fn attempts_under_way_end_before_the_daemon_does() {
    let (receiver, home) = slow();
    let (mut daemon, id) = told_while_sending(&receiver, &home);
    daemon.until("submissions are refused", || {
        let refused = daemon.submit(&order());
        refused.status == 503
            && refused.json()["code"] == "draining"
            && refused.headers.contains_key("retry-after")
    });
    let shown = daemon.show("/v1/status");
    assert_eq!((shown["state"].as_str(), shown["sending"].as_u64()), (Some("draining"), Some(1)));
    receiver.release();
    assert_eq!(daemon.exit_code(), Some(0));
    let log = daemon.log();
    assert!(log.contains("\"in_flight_abandoned\":0"), "{log}");
    let daemon = home.start();
    let event = daemon.show(&format!("/v1/events/{id}"));
    assert_eq!(event["deliveries"][0]["state"], "delivered", "its outcome was kept");
}

#[test]
fn told_twice_it_stops_at_once_and_the_attempt_is_made_again() {
    let (receiver, home) = slow();
    let (mut daemon, id) = told_while_sending(&receiver, &home);
    let told = now();
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.exit_code(), Some(0));
    let taken = told.elapsed();
    assert!(taken < Duration::from_secs(5), "{taken:?}");
    daemon.logged("daemon.hurried");
    receiver.release();
    let _daemon = home.start();
    let arrivals = receiver.arrivals(2);
    assert_eq!(arrivals[1].id(), id);
}

#[test]
fn an_attempt_that_takes_too_long_is_left_for_the_next_start() {
    let (receiver, home) = slow();
    let home = home.set("POSTRIDER_DELIVERY__DRAIN_TIMEOUT", "300ms");
    let (mut daemon, id) = told_while_sending(&receiver, &home);
    assert_eq!(daemon.exit_code(), Some(0));
    assert!(daemon.log().contains("\"in_flight_abandoned\":1"), "{}", daemon.log());
    receiver.release();
    let _daemon = home.start();
    assert_eq!(receiver.arrivals(2)[1].id(), id);
}
