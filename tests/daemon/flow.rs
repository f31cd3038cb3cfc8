//! What endpoints are spared: rates, pauses that they ask for, breakers, and deliveries that are
//! too old.

use std::time::Duration;

use serde_json::Value;

use crate::harness::client::Request;
use crate::harness::daemon::Daemon;
use crate::harness::daemon::Home;
use crate::harness::receiver::Arrival;
use crate::harness::receiver::Receiver;
use crate::metrics::samples;

const SECOND: Duration = Duration::from_secs(1);

/// Submits an event and gives the path of its delivery.
fn submit(daemon: &Daemon) -> String {
    let answer = daemon.submit(&Request::post("/v1/events/order.created", "{}"));
    assert_eq!(answer.status, 202);
    format!("/v1/deliveries/{}", answer.json()["deliveries"][0]["id"].as_str().unwrap())
}

fn delivery_of(arrival: &Arrival) -> String {
    format!("/v1/deliveries/{}", arrival.headers["postrider-delivery-id"])
}

fn billing(daemon: &Daemon) -> Value {
    daemon.show("/v1/endpoints/billing")
}

/// The most that arrived in any one second.
fn most_in_a_second(arrivals: &[Arrival]) -> usize {
    let inside = |from: &Arrival| {
        let later = arrivals.iter().filter(|other| other.at >= from.at);
        later.filter(|other| other.at.duration_since(from.at) < SECOND).count()
    };
    arrivals.iter().map(inside).max().unwrap_or(0)
}

/// The machine may stall and push arrivals together, but not in each of three rounds; a daemon
/// that is too fast is so in all of them.
#[test]
fn a_rate_is_not_exceeded_in_any_second() {
    const EVENTS: usize = 110;
    let receiver = Receiver::start();
    let home = Home::new().endpoint("billing", &receiver, "rate = \"50/s\"");
    let daemon = home.start();
    let mut most = Vec::new();
    for round in 0..3 {
        let batch = "{\"type\":\"order.created\",\"data\":1}\n".repeat(EVENTS);
        assert_eq!(daemon.submit(&Request::post("/v1/events:batch", batch)).status, 202);
        let arrivals = receiver.arrivals((round + 1) * EVENTS).split_off(round * EVENTS);
        let took = arrivals[EVENTS - 1].at.duration_since(arrivals[0].at);
        assert!(took >= 2 * SECOND, "{EVENTS} in {took:?}");
        most.push(most_in_a_second(&arrivals));
        if most[round] <= 50 {
            return;
        }
    }
    panic!("in one second at most 50, and not {most:?}");
}

#[test]
fn an_endpoint_that_fails_is_left_alone_and_loses_nothing() {
    let receiver = Receiver::start();
    receiver.always(500);
    // three failures in a row open it; were tries counted, the fourth attempt would be the last
    let more = "retry = { policy = \"schedule\", \
                schedule = [\"50ms\", \"50ms\", \"50ms\"] }\n\
                breaker = { failures = 3, open_for = \"200ms\", open_max = \"400ms\" }";
    let home = Home::new().endpoint("billing", &receiver, more);
    let daemon = home.start();
    let first = submit(&daemon);
    daemon.logged("breaker.opened");
    let parked = [submit(&daemon), submit(&daemon), submit(&daemon)];
    let view = billing(&daemon);
    assert_eq!((view["status"].as_str(), view["breaker"].as_str()), (Some("open"), Some("open")));
    assert_eq!(view["state"]["open"]["outcome"], "http_5xx", "{view}");
    for path in &parked {
        let waiting = daemon.show(path);
        assert_eq!((&waiting["state"], &waiting["attempts"]), (&"held".into(), &0.into()));
        assert!(waiting["reason"].as_str().unwrap().starts_with("breaker open: "), "{waiting}");
    }
    let seen = samples(&daemon);
    assert_eq!(seen["postrider_endpoint_up{endpoint=\"billing\"}"], 0.0);
    assert!(seen["postrider_endpoint_consecutive_failures{endpoint=\"billing\"}"] >= 3.0);

    let tries = receiver.arrivals(7);
    let tried: Vec<_> = tries.iter().map(delivery_of).collect();
    assert_eq!(tried, vec![first.clone(); tries.len()], "the oldest is tried");
    for (pair, gap) in tries[2..].windows(2).zip([200, 400, 400, 400]) {
        let waited = pair[1].at.duration_since(pair[0].at);
        assert!(waited >= Duration::from_millis(gap), "{waited:?} and not {gap} ms");
    }
    receiver.always(200);
    daemon.logged("endpoint.recovered");
    for path in std::iter::once(&first).chain(&parked) {
        daemon.until("it is delivered", || daemon.show(path)["state"] == "delivered");
    }
    assert_eq!(billing(&daemon)["breaker"], "closed");
    let steps = daemon.show(&first)["steps"].to_string();
    assert!(steps.matches("\"breaker\"").count() >= 4, "{steps}");
    let seen = samples(&daemon);
    for to in ["open", "closed"] {
        let labels = format!("{{endpoint=\"billing\",to=\"{to}\"}}");
        assert_eq!(seen[&format!("postrider_endpoint_breaker_transitions_total{labels}")], 1.0);
    }
}

#[test]
fn a_breaker_stays_open_when_the_process_dies() {
    let receiver = Receiver::start();
    receiver.always(500);
    let more = "breaker = { failures = 2, open_for = \"1h\", open_max = \"1h\" }";
    let home = Home::new().endpoint("billing", &receiver, more);
    let daemon = home.start();
    let first = submit(&daemon);
    daemon.logged("breaker.opened");
    let second = submit(&daemon);
    let before = billing(&daemon)["state"]["open"].clone();
    daemon.kill();
    let daemon = home.start();
    let after = billing(&daemon);
    assert_eq!((after["status"].as_str(), &after["state"]["open"]), (Some("open"), &before));
    assert_eq!(daemon.show(&second)["state"], "held");
    let queue = daemon.show("/v1/queue")["endpoints"][0].clone();
    assert_eq!((&queue["endpoint"], &queue["total"]), (&"billing".into(), &2.into()), "{queue}");
    assert!(!receiver.hears_more_within(Duration::from_millis(300)), "it is left alone");
    receiver.always(200);
    let enabled = daemon.ask(&Request::post("/v1/endpoints/billing/enable", ""));
    assert_eq!((enabled.status, enabled.json()["status"].as_str()), (200, Some("active")));
    for path in [first, second] {
        daemon.until("it is delivered", || daemon.show(&path)["state"] == "delivered");
    }
}

#[test]
fn what_an_endpoint_asks_for_holds_for_all_its_deliveries() {
    let receiver = Receiver::start();
    receiver.then(429, "retry-after: 2\r\n");
    let home = Home::new().endpoint("billing", &receiver, "");
    let daemon = home.start();
    let first = submit(&daemon);
    daemon.until("the answer is known", || daemon.show(&first)["attempts"] == 1);
    let second = submit(&daemon);
    let arrivals = receiver.arrivals(3);
    for arrival in &arrivals[1..] {
        let waited = arrival.at.duration_since(arrivals[0].at);
        assert!(waited >= Duration::from_millis(1_900), "{waited:?}");
    }
    for path in [first, second] {
        daemon.until("it is delivered", || daemon.show(&path)["state"] == "delivered");
    }
}

#[test]
fn what_is_too_old_dies_where_it_waits() {
    let receiver = Receiver::start();
    let more = "paused = true\nretry = { max_age = \"700ms\" }";
    let home = Home::new().endpoint("billing", &receiver, more);
    let daemon = home.start();
    let path = submit(&daemon);
    assert_eq!(daemon.show(&path)["state"], "held");
    daemon.until("it is dead", || daemon.show(&path)["state"] == "dead");
    assert_eq!(daemon.show(&path)["reason"], "expired");
    assert_eq!(receiver.so_far().len(), 0);
    let line = daemon.logged("delivery.dead");
    assert!(line.contains("\"reason\":\"expired\""), "{line}");
    // who asks for it again knows how old it is
    assert_eq!(daemon.ask(&Request::post(&format!("{path}/retry"), "{}")).status, 202);
    assert_eq!(daemon.show(&path)["state"], "held");
    daemon.ask(&Request::post("/v1/endpoints/billing/resume", "{}"));
    daemon.until("it is delivered", || daemon.show(&path)["state"] == "delivered");
}
