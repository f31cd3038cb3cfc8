//! Fan-out, retries, and what receivers may ask for.

use std::time::Duration;

use crate::harness::client::Request;
use crate::harness::daemon::Home;
use crate::harness::receiver::Receiver;

#[test]
fn an_event_goes_to_every_endpoint_that_wants_its_type() {
    let (all, orders, bills) = (Receiver::start(), Receiver::start(), Receiver::start());
    let home = Home::new()
        .endpoint("all", &all, "")
        .endpoint("orders", &orders, "types = [\"order.*\"]")
        .endpoint("bills", &bills, "types = [\"invoice.**\", \"order.paid\"]");
    let daemon = home.start();
    let submit = |kind: &str| daemon.submit(&Request::post(&format!("/v1/events/{kind}"), "{}"));
    let created = submit("order.created").id();
    let paid = submit("order.paid");
    let names: Vec<_> =
        (0..3).map(|n| paid.json()["deliveries"][n]["endpoint"].to_string()).collect();
    assert_eq!(names, ["\"all\"", "\"orders\"", "\"bills\""]);
    let other = submit("user.made").id();
    daemon.until("all are delivered", || daemon.show("/v1/status")["delivered"] == 6);
    let ids = |receiver: &Receiver| {
        let mut ids: Vec<_> =
            receiver.so_far().iter().map(|arrival| arrival.id().to_owned()).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(&all), [created.clone(), paid.id(), other]);
    assert_eq!(ids(&orders), [created, paid.id()]);
    assert_eq!(ids(&bills), [paid.id()]);
    let only = Request::post("/v1/events/user.made", "{}").header("postrider-endpoint", "bills");
    assert_eq!(ids(&bills).len(), 1);
    let only = daemon.submit(&only).id();
    assert_eq!(bills.arrivals(2)[1].id(), only);
}

#[test]
fn a_failing_endpoint_is_tried_until_it_recovers() {
    let (good, bad) = (Receiver::start(), Receiver::start());
    for status in [500, 503, 301, 404] {
        bad.then(status, "");
    }
    let home = Home::new().endpoint("good", &good, "").endpoint("bad", &bad, "");
    let daemon = home.start();
    let id = daemon.submit(&Request::post("/v1/events/order.created", "{}")).id();
    let tries = bad.arrivals(5);
    assert_eq!(good.arrivals(1).len(), 1, "the other endpoint is not concerned");
    let answers: Vec<_> = tries.iter().map(|arrival| arrival.status).collect();
    assert_eq!(answers, [500, 503, 301, 404, 200]);
    for (index, arrival) in tries.iter().enumerate() {
        assert_eq!(arrival.id(), id, "the same id each time");
        assert_eq!(arrival.headers["postrider-attempt"], (index + 1).to_string());
    }
    for pair in tries.windows(2) {
        let gap = pair[1].at.duration_since(pair[0].at);
        assert!(gap >= Duration::from_millis(50), "{gap:?}");
    }
    let path = format!("/v1/deliveries/{}", tries[0].headers["postrider-delivery-id"]);
    daemon.until("it is delivered", || daemon.show(&path)["state"] == "delivered");
    let steps = daemon.show(&path)["steps"].clone();
    assert_eq!(steps.as_array().unwrap().len(), 5, "{steps}");
}

#[test]
fn retry_after_is_honoured_in_seconds_and_as_a_date() {
    let receiver = Receiver::start();
    let home = Home::new().endpoint("billing", &receiver, "");
    let daemon = home.start();
    receiver.then(503, "retry-after: 1\r\n");
    daemon.submit(&Request::post("/v1/events/order.created", "{}"));
    let tries = receiver.arrivals(2);
    let gap = tries[1].at.duration_since(tries[0].at);
    assert!(gap >= Duration::from_millis(900), "{gap:?}");
    // a date has whole seconds: three from now are more than two
    let sent: u64 = tries[1].headers["webhook-timestamp"].parse().unwrap();
    let date = std::time::UNIX_EPOCH + Duration::from_secs(sent + 3);
    let header = format!("retry-after: {}\r\n", httpdate::fmt_http_date(date));
    receiver.then(429, &header);
    daemon.submit(&Request::post("/v1/events/order.created", "{}"));
    let tries = receiver.arrivals(4);
    let at: u64 = tries[3].headers["webhook-timestamp"].parse().unwrap();
    assert!(at >= sent + 3, "asked for {}, came at {at}", sent + 3);
    let delivery = &tries[3].headers["postrider-delivery-id"];
    let steps = daemon.show(&format!("/v1/deliveries/{delivery}"))["steps"].to_string();
    assert!(steps.contains("retry_after"), "{steps}");
}

#[test]
fn a_gone_endpoint_is_disabled_and_gets_what_was_kept_once_enabled() {
    let receiver = Receiver::start();
    receiver.then(410, "");
    let home = Home::new().endpoint("billing", &receiver, "");
    let daemon = home.start();
    let submit = || daemon.submit(&Request::post("/v1/events/order.created", "{}")).id();
    let gone = submit();
    let view = || daemon.show("/v1/endpoints/billing");
    daemon.until("it is disabled", || view()["status"] == "disabled");
    let kept = [submit(), submit(), submit()];
    let list = daemon.show("/v1/deliveries?state=held&endpoint=billing");
    assert_eq!(list["data"].as_array().unwrap().len(), 3, "{list}");
    assert_eq!(receiver.so_far().len(), 1, "nothing is sent to it");
    let enabled = daemon.ask(&Request::post("/v1/endpoints/billing/enable", ""));
    assert_eq!((enabled.status, enabled.json()["status"].as_str()), (200, Some("active")));
    let mut after: Vec<_> =
        receiver.arrivals(4)[1..].iter().map(|arrival| arrival.id().to_owned()).collect();
    after.sort();
    assert_eq!(after, kept);
    let dead = daemon.show("/v1/deliveries?state=dead");
    assert_eq!(dead["data"][0]["event_id"], gone, "{dead}");
    assert_eq!(dead["data"][0]["reason"], "refused");
}
