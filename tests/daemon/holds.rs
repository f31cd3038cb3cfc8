//! Standing holds: what comes in of a type waits until a person releases it.

use std::time::Duration;

use serde_json::Value;

use crate::harness::client::Request;
use crate::harness::daemon::Daemon;
use crate::harness::daemon::Home;
use crate::harness::receiver::Receiver;
use crate::tools::postrider;
use crate::tools::said;

fn run(home: &Home, line: &str) -> String {
    let ended = postrider(home, &line.split(' ').collect::<Vec<_>>());
    assert!(ended.status.success(), "{line}: {}", said(&ended));
    said(&ended)
}

/// Submits an event and gives the states of its deliveries.
fn submit(daemon: &Daemon, kind: &str) -> Vec<Value> {
    let answer = daemon.submit(&Request::post(&format!("/v1/events/{kind}"), "{}"));
    assert_eq!(answer.status, 202);
    let event = answer.json()["id"].as_str().unwrap().to_owned();
    let event = daemon.show(&format!("/v1/events/{event}"));
    event["deliveries"].as_array().unwrap().clone()
}

#[test]
fn what_comes_in_is_put_aside_until_the_hold_is_lifted() {
    let (billing, crm) = (Receiver::start(), Receiver::start());
    let home = Home::new().endpoint("billing", &billing, "").endpoint("crm", &crm, "");
    let daemon = home.start();
    run(&home, "delivery hold --type order.* --standing");
    run(&home, "delivery hold --type user.gone --endpoint crm --standing");
    for delivery in submit(&daemon, "order.created") {
        assert_eq!((&delivery["state"], &delivery["attempts"]), (&"held".into(), &0.into()));
        assert_eq!(delivery["reason"], "on hold by a standing hold", "{delivery}");
    }
    submit(&daemon, "user.gone");
    assert_eq!(billing.arrivals(1).len(), 1, "held at one endpoint only");
    submit(&daemon, "user.came");
    crm.arrivals(1);
    daemon.until("all else is safe", || daemon.show("/v1/status")["delivered"] == 3);
    daemon.kill();

    let daemon = home.start();
    submit(&daemon, "order.paid");
    submit(&daemon, "user.came");
    assert_eq!((billing.arrivals(3).len(), crm.arrivals(2).len()), (3, 2), "no order");
    let holds = daemon.show("/v1/holds");
    assert_eq!(holds["data"][0]["type"], "order.*", "{holds}");
    assert_eq!(holds["data"][1]["endpoint"], "crm");
    assert!(run(&home, "delivery holds").contains("user.gone\tcrm\t"));
    assert!(run(&home, "status").contains("order.* to all endpoints is put on hold."));
    assert_eq!(
        postrider(&home, &["delivery", "release", "--type", "user.gone"]).status.code(),
        Some(0)
    );
    crm.arrivals(3);
    assert_eq!(daemon.show("/v1/holds")["data"].as_array().unwrap().len(), 2, "not its words");

    let released = run(&home, "delivery release --type order.*");
    assert!(released.contains("4 of 4 released"), "{released}");
    assert_eq!((billing.arrivals(5).len(), crm.arrivals(5).len()), (5, 5));
    let lifted = run(&home, "delivery release --type user.gone --endpoint crm");
    assert!(lifted.contains("0 of 0 released"), "{lifted}");
    assert_eq!(daemon.show("/v1/holds")["data"], Value::Array(Vec::new()));
    submit(&daemon, "order.created");
    submit(&daemon, "user.gone");
    assert_eq!((billing.arrivals(7).len(), crm.arrivals(7).len()), (7, 7));
    daemon.logged("hold.lifted");
    assert!(!billing.hears_more_within(Duration::from_millis(100)), "nothing twice");
}

/// Without this, a hold's walk would go on putting aside what nobody would ever let go, or a
/// release would let go what is to be put aside.
#[test]
fn a_hold_and_its_release_do_not_run_at_once() {
    let receiver = Receiver::start();
    let home = Home::new().endpoint("billing", &receiver, "paused = true");
    let daemon = home.start();
    (0..5).for_each(|_| drop(submit(&daemon, "order.created")));
    let slowly = "--type order.* --rate 1/s --detach";
    let held = run(&home, &format!("delivery hold {slowly} --standing"));
    assert!(held.contains("What comes in of order.* is put on hold from now on"), "{held}");
    let state = |place: usize| daemon.show("/v1/replays")["data"][place]["state"].clone();
    let released = run(&home, &format!("delivery release {slowly}"));
    assert!(released.contains("What comes in of order.* is put on hold no longer."), "{released}");
    daemon.until("the hold's walk is ended", || state(1) == "cancelled");
    run(&home, &format!("delivery hold {slowly} --standing"));
    daemon.until("the release is ended", || state(1) != "running" && state(2) == "cancelled");
    assert_eq!(daemon.show("/v1/holds")["data"].as_array().unwrap().len(), 1);
}
