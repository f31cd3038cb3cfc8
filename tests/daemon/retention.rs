//! What was kept for long enough goes; what is pending stays.

use crate::harness::client::Request;
use crate::harness::daemon::Daemon;
use crate::harness::daemon::Home;
use crate::harness::receiver::Receiver;
use crate::metrics::samples;

/// Payloads for a second, of dead deliveries for three, events for eight.
fn short(home: Home) -> Home {
    home.set("POSTRIDER_INGEST__IDEMPOTENCY_WINDOW", "2s")
        .set("POSTRIDER_RETENTION__DELIVERED_PAYLOAD", "1s")
        .set("POSTRIDER_RETENTION__DEAD_PAYLOAD", "3s")
        .set("POSTRIDER_RETENTION__EVENTS", "8s")
        .set("POSTRIDER_RETENTION__SWEEP_EVERY", "100ms")
}

fn submit(daemon: &Daemon, kind: &str, body: impl AsRef<[u8]>) -> String {
    daemon.submit(&Request::post(&format!("/v1/events/{kind}"), body)).id()
}

fn is_bare(daemon: &Daemon, event: &str) -> bool {
    daemon.show(&format!("/v1/events/{event}"))["payload_gone_at"].is_string()
}

fn is_gone(daemon: &Daemon, event: &str) -> bool {
    daemon.ask(&Request::new("GET", &format!("/v1/events/{event}"))).status == 404
}

/// What sending the only delivery of an event again is answered.
fn retry(daemon: &Daemon, event: &str) -> (u16, Option<String>) {
    let shown = daemon.show(&format!("/v1/events/{event}"));
    let delivery = shown["deliveries"][0]["id"].as_str().unwrap();
    let again = daemon.ask(&Request::post(&format!("/v1/deliveries/{delivery}/retry"), "{}"));
    let code = again.json()["code"].as_str().map(str::to_owned);
    (again.status, code)
}

#[test]
fn what_is_delivered_goes_and_what_is_pending_stays() {
    let (good, bad) = (Receiver::start(), Receiver::start());
    bad.always(503);
    let home = Home::new().endpoint("good", &good, "types = [\"a.*\"]");
    let home = home.endpoint("bad", &bad, "types = [\"b.*\"]\nbreaker = { enabled = false }");
    let home = short(home);
    let daemon = home.start();
    let body: Vec<u8> = (0..=255).cycle().take(20_000).collect();
    let pending = submit(&daemon, "b.one", &body);
    let delivered = submit(&daemon, "a.one", "{}");
    daemon.until("the payload is gone", || is_bare(&daemon, &delivered));
    let payload = Request::new("GET", &format!("/v1/events/{delivered}/payload"));
    let answer = daemon.ask(&payload);
    assert_eq!((answer.status, answer.json()["code"].as_str()), (410, Some("payload-expired")));
    assert_eq!(retry(&daemon, &delivered), (410, Some("payload-expired".to_owned())));
    let counted = samples(&daemon);
    assert_eq!(counted["postrider_store_gc_deleted_total{kind=\"payloads\"}"], 1.0);
    assert_eq!(counted["postrider_store_records{kind=\"events\"}"], 2.0);
    assert_eq!(counted["postrider_store_payload_bytes"], 20_000.0);
    daemon.kill();
    let daemon = home.start();
    daemon.until("the event is gone", || is_gone(&daemon, &delivered));
    assert!(!is_bare(&daemon, &pending), "it waits");
    let counted = samples(&daemon);
    assert_eq!(counted["postrider_store_gc_deleted_total{kind=\"events\"}"], 1.0);
    assert_eq!(counted["postrider_store_records{kind=\"events\"}"], 1.0);
    bad.always(200);
    daemon.until("it is delivered", || daemon.show("/v1/status")["delivered"] == 1);
    let arrival = bad.so_far().pop().unwrap();
    assert_eq!((arrival.id(), arrival.body == body), (pending.as_str(), true));
    daemon.until("it goes as well", || is_gone(&daemon, &pending));
    assert_eq!(samples(&daemon)["postrider_store_payload_bytes"], 0.0);
    daemon.logged("gc.swept");
    daemon.stop();
}

#[test]
fn what_is_dead_keeps_its_payload_longer_and_is_counted_until_it_goes() {
    let (good, bad) = (Receiver::start(), Receiver::start());
    bad.always(500);
    let home = Home::new().endpoint("good", &good, "types = [\"a.*\"]");
    let more = "types = [\"b.*\"]\nretry = { max_attempts = 1 }";
    let home = short(home.endpoint("bad", &bad, more));
    let daemon = home.start();
    let dead = submit(&daemon, "b.one", "{}");
    let dead_now = |count: u64| daemon.show("/v1/status")["dead"] == count;
    daemon.until("it is dead", || dead_now(1));
    let delivered = submit(&daemon, "a.one", "{}");
    daemon.until("the other payload is gone", || is_bare(&daemon, &delivered));
    assert_eq!(retry(&daemon, &dead).0, 202, "its own is still there");
    daemon.until("it is dead again", || dead_now(1));
    daemon.until("its payload is gone", || is_bare(&daemon, &dead));
    assert_eq!(retry(&daemon, &dead), (410, Some("payload-expired".to_owned())));
    let filter = "{\"filter\":{\"endpoint\":\"bad\",\"state\":\"dead\"},\"dry_run\":false}";
    let replayed = daemon.ask(&Request::post("/v1/replays", filter)).json();
    let path = format!("/v1/replays/{}", replayed["id"].as_str().unwrap());
    daemon.until("the replay has ended", || daemon.show(&path)["state"] == "done");
    let replayed = daemon.show(&path);
    let counts = ["matched", "expired", "submitted", "skipped"]
        .map(|count| replayed[count].as_u64().unwrap());
    assert_eq!(counts, [1, 1, 0, 0], "{replayed}");
    assert!(dead_now(1));
    daemon.until("it goes", || is_gone(&daemon, &dead));
    assert!(dead_now(0));
}

#[test]
fn a_reload_changes_how_long_things_are_kept() {
    let receiver = Receiver::start();
    let home = Home::new().endpoint("billing", &receiver, "");
    let daemon = home.start();
    let event = submit(&daemon, "a.one", "{}");
    daemon.until("it is delivered", || daemon.show("/v1/status")["delivered"] == 1);
    let path = home.path("config.toml");
    let before = std::fs::read_to_string(&path).unwrap();
    let more = "[retention]\ndelivered_payload = \"100ms\"\nsweep_every = \"100ms\"\n";
    std::fs::write(&path, format!("{before}{more}")).unwrap();
    let answer = daemon.ask(&Request::post("/v1/admin/reload", ""));
    assert_eq!(answer.status, 200);
    daemon.until("the payload is gone", || is_bare(&daemon, &event));
}

#[test]
fn a_reload_reaches_what_was_passed_by_before() {
    let (good, bad) = (Receiver::start(), Receiver::start());
    bad.always(400);
    let home = Home::new().endpoint("good", &good, "types = [\"a.*\"]");
    let home = home.endpoint("bad", &bad, "types = [\"b.*\"]\nretry = { max_attempts = 1 }");
    let daemon = home.start();
    let dead = submit(&daemon, "b.one", "{}");
    daemon.until("it is dead", || daemon.show("/v1/status")["dead"] == 1);
    let delivered = submit(&daemon, "a.one", "{}");
    let path = home.path("config.toml");
    let before = std::fs::read_to_string(&path).unwrap();
    let keep = |more: &str| {
        let retention = "[retention]\ndelivered_payload = \"100ms\"\nsweep_every = \"100ms\"\n";
        std::fs::write(&path, format!("{before}{retention}{more}")).unwrap();
        assert_eq!(daemon.ask(&Request::post("/v1/admin/reload", "")).status, 200);
    };
    keep("");
    daemon.until("the later payload is gone", || is_bare(&daemon, &delivered));
    assert!(!is_bare(&daemon, &dead), "it is kept for 30 days");
    keep("dead_payload = \"100ms\"\n");
    daemon.until("its payload is gone", || is_bare(&daemon, &dead));
}
