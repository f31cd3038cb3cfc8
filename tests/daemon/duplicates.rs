//! Endpoints that want one event of a key in a window: what is left out is told, and not lost.

use crate::harness::client::Request;
use crate::harness::daemon::Daemon;
use crate::harness::daemon::Home;
use crate::harness::receiver::Receiver;
use crate::metrics::samples;
use crate::tools::postrider;
use crate::tools::said;

/// Submits an event: its id, and that of its delivery to the first endpoint.
fn submit(daemon: &Daemon, kind: &str, body: &str) -> (String, String) {
    let answer = daemon.submit(&Request::post(&format!("/v1/events/{kind}"), body));
    assert_eq!(answer.status, 202);
    let answer = answer.json();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    (text(&answer["id"]), text(&answer["deliveries"][0]["id"]))
}

#[test]
fn one_of_a_key_is_sent_and_the_others_name_it() {
    let (billing, all) = (Receiver::start(), Receiver::start());
    let once = "dedupe_window = \"1h\"\ndedupe_key = \"/order\"";
    let home = Home::new().endpoint("billing", &billing, once).endpoint("all", &all, "");
    let daemon = home.start();
    let created = "order.created";
    let (first, _) = submit(&daemon, created, "{\"order\":7,\"n\":1}");
    let (event, delivery) = submit(&daemon, created, "{\"order\":7,\"n\":2}");
    submit(&daemon, created, "{\"order\":8}");
    submit(&daemon, "order.paid", "{\"order\":7}");
    submit(&daemon, created, "without a key");
    submit(&daemon, created, "without a key");
    all.arrivals(6);
    assert_eq!(billing.arrivals(5).len(), 5, "another key, another type, and what has no key");
    let path = format!("/v1/deliveries/{delivery}");
    let view = daemon.show(&path);
    assert_eq!((&view["state"], &view["attempts"]), (&"cancelled".into(), &0.into()), "{view}");
    assert_eq!(view["duplicate_of"], *first);
    assert_eq!(view["steps"][0]["kind"]["duplicate"]["of"], *first, "{view}");
    let logged = daemon.logged("delivery.duplicate");
    assert!(logged.contains(&delivery) && logged.contains(&first), "{logged}");
    assert_eq!(daemon.show("/v1/status")["dead"], 0);
    let series = "postrider_deliveries_deduplicated_total{endpoint=\"billing\"}";
    assert_eq!(samples(&daemon)[series], 1.0);
    for (line, part) in [
        (format!("delivery show {delivery}"), format!("duplicate of {first}")),
        (format!("event show {event}"), format!("{delivery} was left out as a duplicate of")),
        ("delivery list --state cancelled".to_owned(), delivery.clone()),
    ] {
        let ended = postrider(&home, &line.split(' ').collect::<Vec<_>>());
        assert!(said(&ended).contains(&part), "{line}: {part:?} in {}", said(&ended));
    }
    let body = "{\"order\":8,\"n\":2}";
    let waited = postrider(&home, &["send", created, "--data", body, "--wait"]);
    assert!(waited.status.success(), "it is no failure: {}", said(&waited));
    assert!(said(&waited).contains("cancelled, a duplicate of evt_"), "{}", said(&waited));

    daemon.until("all else is safe", || daemon.show("/v1/status")["delivered"] == 12);
    daemon.kill();
    let daemon = home.start();
    let (_, later) = submit(&daemon, created, "{\"order\":7,\"n\":3}");
    assert_eq!(daemon.show(&format!("/v1/deliveries/{later}"))["duplicate_of"], *first);
    let retried = postrider(&home, &["delivery", "retry", &delivery]);
    assert!(retried.status.success(), "{}", said(&retried));
    let arrivals = billing.arrivals(6);
    assert_eq!(arrivals[5].headers["postrider-delivery-id"], delivery, "a person wants it sent");
    daemon.until("it is delivered", || daemon.show(&path)["state"] == "delivered");
    assert!(!billing.hears_more_within(std::time::Duration::from_millis(200)));
}

#[test]
fn what_is_over_is_sent_again_and_what_postrider_tells_may_be_a_duplicate_too() {
    let (billing, ops) = (Receiver::start(), Receiver::start());
    billing.always(400);
    let once = "types = [\"order.*\"]\ndedupe_window = \"1ms\"\nretry = { max_attempts = 1 }";
    let told =
        "types = [\"postrider.**\"]\ndedupe_window = \"1h\"\ndedupe_key = \"/data/endpoint\"";
    let home = Home::new()
        .endpoint("billing", &billing, once)
        .endpoint("ops", &ops, told)
        .set("POSTRIDER_ALERTS__DEDUPE", "0");
    let daemon = home.start();
    for count in 1..=2 {
        submit(&daemon, "order.created", "{\"the\":\"same\"}");
        billing.arrivals(count);
        daemon.until("it is dead", || daemon.show("/v1/status")["dead"] == count);
    }
    ops.arrivals(1);
    let logged = daemon.logged("delivery.duplicate");
    assert!(logged.contains("\"endpoint\":\"ops\""), "{logged}");
    assert_eq!(ops.so_far().len(), 1);
}
