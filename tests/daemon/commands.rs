//! What operators do with endpoints and deliveries, and when an event may leave.

use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::harness::client::Request;
use crate::harness::daemon::Daemon;
use crate::harness::daemon::Home;
use crate::harness::daemon::binary;
use crate::harness::daemon::now;
use crate::harness::receiver::Receiver;

fn order() -> Request {
    Request::post("/v1/events/order.created", "{}")
}

fn delivery(daemon: &Daemon, request: &Request) -> String {
    let answer = daemon.submit(request);
    assert_eq!(answer.status, 202);
    format!("/v1/deliveries/{}", answer.json()["deliveries"][0]["id"].as_str().unwrap())
}

fn command(daemon: &Daemon, path: &str) -> (u16, Value) {
    let answer = daemon.ask(&Request::post(path, ""));
    (answer.status, answer.json())
}

#[test]
fn what_is_to_be_delivered_later_is_not_delivered_before() {
    let receiver = Receiver::start();
    let home = Home::new().endpoint("billing", &receiver, "");
    let daemon = home.start();
    let submitted = now();
    let path = delivery(&daemon, &order().header("postrider-delay", "800ms"));
    assert_eq!(daemon.show(&path)["state"], "waiting");
    let next_at = daemon.show(&path)["next_at"].as_str().unwrap().to_owned();
    let taken = receiver.arrivals(1)[0].at.duration_since(submitted);
    assert!(taken >= Duration::from_millis(800), "{taken:?}");
    // the same time, said by the submitter
    let envelope = json!({"type": "order.created", "data": 1, "deliver_at": next_at});
    delivery(&daemon, &Request::post("/v1/events", envelope.to_string()));
    receiver.arrivals(2);
    let both = order().header("postrider-delay", "1s").header("postrider-deliver-at", &next_at);
    assert_eq!(daemon.submit(&both).status, 422);
    let too_far = order().header("postrider-delay", "31days");
    assert_eq!(daemon.submit(&too_far).status, 422);
}

#[test]
fn a_delayed_event_is_due_at_its_time_after_a_restart() {
    let receiver = Receiver::start();
    let home = Home::new().endpoint("billing", &receiver, "");
    let daemon = home.start();
    let submitted = now();
    delivery(&daemon, &order().header("postrider-delay", "1500ms"));
    daemon.kill();
    let _daemon = home.start();
    let taken = receiver.arrivals(1)[0].at.duration_since(submitted);
    assert!(taken >= Duration::from_millis(1_500), "{taken:?}");
}

#[test]
fn a_paused_endpoint_keeps_what_comes_also_across_a_restart() {
    let (paused, other) = (Receiver::start(), Receiver::start());
    let home = Home::new().endpoint("paused", &paused, "").endpoint("other", &other, "");
    let daemon = home.start();
    let why = Request::post("/v1/endpoints/paused/pause", "{\"reason\":\"their weekend\"}");
    let view = daemon.ask(&why).json();
    assert_eq!(
        (view["status"].as_str(), view["state"]["paused"]["reason"].as_str()),
        (Some("paused"), Some("their weekend"))
    );
    let ids = [daemon.submit(&order()).id(), daemon.submit(&order()).id()];
    other.arrivals(2);
    daemon.stop();
    let daemon = home.start();
    assert_eq!(daemon.show("/v1/endpoints/paused")["status"], "paused");
    let held = daemon.show("/v1/deliveries?state=held&endpoint=paused");
    assert_eq!(held["data"].as_array().unwrap().len(), 2);
    assert_eq!(paused.so_far().len(), 0);
    assert_eq!(command(&daemon, "/v1/endpoints/paused/resume").0, 200);
    let mut got: Vec<_> = paused.arrivals(2).iter().map(|a| a.id().to_owned()).collect();
    got.sort();
    assert_eq!(got, ids);
    assert_eq!(other.so_far().len(), 2);
}

#[test]
fn a_waiting_delivery_is_tried_at_once_on_demand() {
    let receiver = Receiver::start();
    receiver.then(500, "");
    let home = Home::new().endpoint("billing", &receiver, "retry = { base = \"1h\" }");
    let daemon = home.start();
    let path = delivery(&daemon, &order());
    daemon.until("it waits", || daemon.show(&path)["state"] == "waiting");
    assert_eq!(daemon.show(&path)["last_outcome"], "http_5xx");
    let (status, _) = command(&daemon, &format!("{path}/retry"));
    assert_eq!(status, 202);
    receiver.arrivals(2);
    daemon.until("it is delivered", || daemon.show(&path)["state"] == "delivered");
}

#[test]
fn a_cancelled_delivery_is_not_sent() {
    let receiver = Receiver::start();
    receiver.then(500, "");
    let home = Home::new().endpoint("billing", &receiver, "retry = { base = \"1s\" }");
    let daemon = home.start();
    let path = delivery(&daemon, &order());
    daemon.until("it waits", || daemon.show(&path)["state"] == "waiting");
    // until what it waits for is written down, the answer is that it is under way
    let cancel = || command(&daemon, &format!("{path}/cancel"));
    daemon.until("it is cancelled", || cancel().1["state"] == "cancelled");
    let (status, problem) = command(&daemon, &format!("{path}/cancel"));
    assert_eq!((status, problem["code"].as_str()), (409, Some("wrong-state")));
    assert!(!receiver.hears_more_within(Duration::from_millis(1_200)));
    assert_eq!(daemon.show(&path)["state"], "cancelled");
}

#[test]
fn what_a_removed_endpoint_did_not_get_stays_under_its_name() {
    let receiver = Receiver::start();
    receiver.always(500);
    let home = Home::new();
    let daemon = home.start();
    let definition = json!({"name": "crm", "url": receiver.url(), "types": ["**"]}).to_string();
    assert_eq!(daemon.ask(&Request::post("/v1/endpoints", &definition)).status, 201);
    let path = delivery(&daemon, &order());
    receiver.arrivals(1);
    assert_eq!(daemon.ask(&Request::new("DELETE", "/v1/endpoints/crm")).status, 204);
    let look = |daemon: &Daemon| {
        let ended = daemon.show(&path);
        assert_eq!((&ended["state"], &ended["endpoint"]), (&json!("dead"), &json!("crm#1")));
        let listed = daemon.show("/v1/deliveries?state=dead&endpoint=crm%231");
        assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    };
    look(&daemon);
    daemon.stop();
    look(&home.start());
}

#[test]
fn dead_letters_are_listed_and_replayed() {
    let receiver = Receiver::start();
    receiver.always(500);
    let home = Home::new().endpoint("billing", &receiver, "retry = { max_attempts = 2 }");
    let daemon = home.start();
    let kinds = ["order.created", "order.paid", "user.made"];
    for kind in kinds {
        daemon.submit(&Request::post(&format!("/v1/events/{kind}"), kind));
    }
    daemon.until("three are dead", || daemon.show("/v1/status")["dead"] == 3);
    assert_eq!(receiver.so_far().len(), 6, "two attempts each");
    let dead = daemon.show("/v1/deliveries?state=dead&endpoint=billing");
    let rows = dead["data"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row["reason"] == "exhausted" && row["attempts"] == 2), "{dead}");

    receiver.always(200);
    let replay = |dry_run: bool| {
        let body = json!({"dry_run": dry_run,
            "filter": {"endpoint": "billing", "state": "dead", "type": "order.*"}});
        let answer = daemon.ask(&Request::post("/v1/replays", body.to_string()));
        assert_eq!(answer.status, if dry_run { 200 } else { 202 });
        answer.json()
    };
    assert_eq!(replay(true)["matched"], 2);
    assert_eq!(daemon.show("/v1/status")["dead"], 3, "a dry run changes nothing");
    assert_eq!(replay(false)["matched"], 2);
    let arrivals = receiver.arrivals(8);
    let mut bodies: Vec<_> =
        arrivals[6..].iter().map(|a| String::from_utf8(a.body.clone()).unwrap()).collect();
    bodies.sort();
    assert_eq!(bodies, ["order.created", "order.paid"]);
    daemon.until("one is left", || daemon.show("/v1/status")["dead"] == 1);
    let left = daemon.show("/v1/deliveries?state=dead")["data"][0].clone();
    assert_eq!(left["event_type"], "user.made");
    let path = format!("/v1/deliveries/{}", left["id"].as_str().unwrap());
    assert_eq!(command(&daemon, &format!("{path}/retry")).0, 202);
    daemon.until("it is delivered", || daemon.show(&path)["state"] == "delivered");
}

#[test]
fn an_endpoint_is_drained() {
    let (billing, crm) = (Receiver::start(), Receiver::start());
    billing.hold();
    let one = "types = [\"order.created\"]\nmax_in_flight = 1";
    let home = Home::new().endpoint("billing", &billing, one).endpoint("crm", &crm, "");
    let daemon = home.start();
    for _ in 0..3 {
        delivery(&daemon, &order());
    }
    let under_way = || daemon.show("/v1/endpoints/billing")["in_flight"].as_u64();
    daemon.until("one is under way", || under_way() > Some(0));
    let drain = |limit: &str| {
        let socket = home.path("admin.sock");
        let mut command = Command::new(binary());
        command.args(["endpoint", "drain", "billing", "--reason", "move", "--timeout", limit]);
        command.arg("--socket").arg(socket).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let ended = drain("200ms").wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(7));
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.starts_with("postrider: billing: 1 in flight still; it stays paused"), "{said}");
    let draining = drain("60s");
    assert_eq!(crm.arrivals(3).len(), 3, "others go on");
    billing.release();
    let ended = draining.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    let said = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(said, "billing: nothing in flight, 2 waiting\n");
    assert_eq!(billing.so_far().len(), 1);
    assert_eq!(daemon.show("/v1/endpoints/billing")["state"]["paused"]["reason"], "move");
    assert_eq!(command(&daemon, "/v1/endpoints/billing/resume").0, 200);
    assert_eq!(billing.arrivals(3).len(), 3);
}

#[test]
fn a_delayed_event_that_is_tried_again_is_not_late_by_its_delay() {
    let receiver = Receiver::start();
    receiver.then(503, "");
    let more = "targets = { latency = \"1s\" }\nretry = { schedule = [\"10ms\"] }";
    let home = Home::new().endpoint("billing", &receiver, more);
    let daemon = home.start();
    delivery(&daemon, &order().header("postrider-delay", "1500ms"));
    assert_eq!(receiver.arrivals(2)[1].status, 200);
    let recent = || daemon.show("/v1/endpoints/billing")["recent"].clone();
    daemon.until("it is delivered", || recent()["delivered"] == 1);
    assert_eq!((&recent()["failures"], &recent()["slow"]), (&1.into(), &0.into()));
}
