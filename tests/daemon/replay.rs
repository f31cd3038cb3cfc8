//! Sending many deliveries again: at a rate, across a crash, until somebody ends it.

use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::harness::client::Connection;
use crate::harness::client::Request;
use crate::harness::daemon::Daemon;
use crate::harness::daemon::Home;
use crate::harness::receiver::Receiver;

/// An endpoint with this many dead deliveries, which would take them now.
fn with_dead(count: usize) -> (Receiver, Home, Daemon) {
    let receiver = Receiver::start();
    receiver.always(400);
    let home = Home::new().endpoint("billing", &receiver, "retry = { max_attempts = 1 }");
    let daemon = home.start();
    let mut connection = Connection::open(daemon.ingest_socket()).unwrap();
    for _ in 0..count {
        let answer = connection.send(&Request::post("/v1/events/order.created", "{}")).unwrap();
        assert_eq!(answer.status, 202);
    }
    daemon.until("all are dead", || daemon.show("/v1/status")["dead"] == count);
    receiver.always(200);
    (receiver, home, daemon)
}

/// Begins a replay of all of them, and gives its path.
fn replay(daemon: &Daemon, rate: &str) -> String {
    begin(daemon, json!({"filter": {"endpoint": "billing"}, "rate": rate}))
}

fn begin(daemon: &Daemon, body: Value) -> String {
    let body = body.to_string();
    let answer = daemon.ask(&Request::post("/v1/replays", body));
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.headers["location"].clone()
}

fn counts(replay: &Value) -> [u64; 3] {
    ["matched", "submitted", "skipped"].map(|count| replay[count].as_u64().unwrap())
}

#[test]
fn a_replay_keeps_its_rate_and_says_how_far_it_is() {
    let (receiver, _home, daemon) = with_dead(150);
    let path = replay(&daemon, "100/s");
    receiver.arrivals(190);
    let status = daemon.show("/v1/status");
    assert_eq!(status["replays"][0]["filter"]["endpoint"], "billing", "{status}");
    let midway = daemon.show(&path);
    let [matched, submitted, _] = counts(&midway);
    assert_eq!((midway["state"].as_str(), matched), (Some("running"), 150));
    assert!((40..150).contains(&submitted), "{midway}");
    daemon.until("it has ended", || daemon.show(&path)["state"] == "done");
    assert_eq!(counts(&daemon.show(&path)), [150, 150, 0]);
    let arrivals = receiver.arrivals(300);
    // 101 of them span a second; a busy machine hears some of them late
    let spans = arrivals[150..].windows(101).map(|some| some[100].at.duration_since(some[0].at));
    let shortest = spans.min().unwrap();
    assert!(shortest > Duration::from_millis(800), "{shortest:?}");
    daemon.logged("replay.started");
    let line = daemon.logged("replay.finished");
    assert!(line.contains("\"submitted\":150"), "{line}");
    assert_eq!(daemon.show("/v1/status")["replays"], json!([]));
    let text = daemon.ask(&Request::new("GET", "/metrics")).body;
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("postrider_replay_deliveries_total 150\n"), "{text}");
}

#[test]
fn a_replay_goes_on_after_a_crash_and_sends_each_once() {
    let (receiver, home, daemon) = with_dead(120);
    let path = replay(&daemon, "100/s");
    receiver.arrivals(150);
    daemon.kill();
    let daemon = home.start();
    daemon.until("it has ended", || daemon.show(&path)["state"] == "done");
    assert_eq!(counts(&daemon.show(&path)), [120, 120, 0]);
    daemon.until("all are delivered", || {
        let status = daemon.show("/v1/status");
        ["dead", "waiting", "queued", "sending"].iter().all(|state| status[state] == 0)
    });
    let id = path.rsplit('/').next().unwrap();
    let rows = daemon.show("/v1/deliveries?limit=500");
    for row in rows["data"].as_array().unwrap() {
        let delivery = daemon.show(&format!("/v1/deliveries/{}", row["id"].as_str().unwrap()));
        let steps = delivery["steps"].as_array().unwrap();
        let actor = |step: &Value| step["kind"]["command"]["actor"].as_str().map(str::to_owned);
        let by_it = steps.iter().filter_map(actor).filter(|actor| actor.ends_with(id));
        assert_eq!(by_it.count(), 1, "{delivery}");
    }
}

#[test]
fn a_cancelled_replay_sends_no_more() {
    let (receiver, home, daemon) = with_dead(60);
    let path = replay(&daemon, "10/s");
    receiver.arrivals(63);
    let cancel = || daemon.ask(&Request::post(&format!("{path}/cancel"), ""));
    let ended = cancel().json();
    assert_eq!(ended["state"], "cancelled");
    let [_, submitted, _] = counts(&ended);
    assert!((3..20).contains(&submitted), "{ended}");
    assert_eq!(cancel().json()["code"], "wrong-state");
    receiver.arrivals(60 + usize::try_from(submitted).unwrap());
    assert!(!receiver.hears_more_within(Duration::from_millis(500)));
    assert_eq!(daemon.show("/v1/status")["dead"], 60 - submitted);
    daemon.logged("replay.cancelled");
    daemon.stop();
    let daemon = home.start();
    assert_eq!(counts(&daemon.show(&path)), [60, submitted, 0]);
}

#[test]
fn more_replays_than_may_run_are_refused() {
    let (_receiver, _home, daemon) = with_dead(10);
    let paths = [(); 4].map(|()| replay(&daemon, "1/m"));
    let body = "{\"filter\":{}}";
    let answer = daemon.ask(&Request::post("/v1/replays", body));
    assert_eq!((answer.status, answer.json()["code"].as_str()), (429, Some("rate-limited")));
    let listed = daemon.show("/v1/replays");
    let ids: Vec<_> =
        listed["data"].as_array().unwrap().iter().rev().map(|one| &one["id"]).collect();
    assert_eq!(ids.len(), 4);
    assert!(ids.iter().zip(&paths).all(|(id, path)| path.ends_with(id.as_str().unwrap())));
    let cancelled = daemon.ask(&Request::post(&format!("{}/cancel", paths[0]), ""));
    assert_eq!(cancelled.status, 200);
    assert_eq!(daemon.ask(&Request::post("/v1/replays", body)).status, 202);
}

#[test]
fn what_is_put_on_hold_waits_until_it_is_released_or_cancelled() {
    let receiver = Receiver::start();
    let home = Home::new().endpoint("billing", &receiver, "");
    let daemon = home.start();
    let state = |verb: &str| {
        let path = format!("/v1/endpoints/billing/{verb}");
        assert_eq!(daemon.ask(&Request::post(&path, "")).status, 200);
    };
    let done = |action: &str, filter: Value| {
        let path = begin(&daemon, json!({"action": action, "filter": filter}));
        daemon.until("it has ended", || daemon.show(&path)["state"] == "done");
        counts(&daemon.show(&path))
    };
    state("pause");
    for kind in ["order.made", "order.paid", "user.made", "user.paid"] {
        daemon.submit(&Request::post(&format!("/v1/events/{kind}"), kind));
    }
    assert_eq!(done("hold", json!({"type": "order.*"})), [2, 2, 0]);
    state("resume");
    let bodies = |count| {
        let mut bodies: Vec<_> = receiver.arrivals(count).into_iter().map(|a| a.body).collect();
        bodies.sort();
        bodies
    };
    assert_eq!(bodies(2), [&b"user.made"[..], b"user.paid"]);
    let held = daemon.show("/v1/deliveries?state=held");
    let rows = held["data"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "{held}");
    assert!(rows.iter().all(|row| row["next_at"].is_null()), "{held}");
    let reason = rows[0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("on hold by uid:"), "{reason}");
    daemon.stop();
    let daemon = home.start();
    let done = |action: &str, filter: Value| {
        let path = begin(&daemon, json!({"action": action, "filter": filter}));
        daemon.until("it has ended", || daemon.show(&path)["state"] == "done");
        counts(&daemon.show(&path))
    };
    assert_eq!(done("release", json!({"type": "order.made"})), [1, 1, 0]);
    assert_eq!(bodies(3)[0], b"order.made");
    assert_eq!(done("cancel", json!({"endpoint": "billing"})), [1, 1, 0]);
    let ended = daemon.show("/v1/deliveries?state=cancelled");
    assert_eq!(ended["data"][0]["event_type"], "order.paid");
    assert!(!receiver.hears_more_within(Duration::from_millis(300)));
}
