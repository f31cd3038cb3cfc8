//! What postrider tells of itself: operational events at an endpoint that names them.

use serde_json::Value;

use crate::harness::client::Request;
use crate::harness::daemon::Home;
use crate::harness::receiver::Receiver;

const ORDER: &str = "/v1/events/order.created";

#[test]
fn an_endpoint_that_fails_and_recovers_is_told_to_those_who_name_it_and_not_to_itself() {
    let (billing, all, ops) = (Receiver::start(), Receiver::start(), Receiver::start());
    billing.always(503);
    let fails = "types = [\"order.*\", \"postrider.**\"]\n\
                 breaker = { failures = 2, open_for = \"200ms\" }\n\
                 retry = { schedule = [\"10ms\", \"10ms\", \"10ms\"] }";
    let home = Home::new()
        .endpoint("billing", &billing, fails)
        .endpoint("all", &all, "types = [\"**\"]")
        .endpoint("ops", &ops, "types = [\"postrider.endpoint.*\"]");
    let daemon = home.start();
    assert_eq!(daemon.submit(&Request::post(ORDER, "{}")).status, 202);
    daemon.logged("breaker.opened");
    let opened = ops.arrivals(1).remove(0);
    assert_eq!(opened.headers["postrider-event-type"], "postrider.endpoint.opened");
    let body: Value = serde_json::from_slice(&opened.body).unwrap();
    assert_eq!(body["type"], "postrider.endpoint.opened");
    assert_eq!(
        (&body["data"]["endpoint"], &body["data"]["failures"]),
        (&"billing".into(), &2.into())
    );
    billing.always(200);
    let recovered = ops.arrivals(2).remove(1);
    assert_eq!(recovered.headers["postrider-event-type"], "postrider.endpoint.recovered");
    daemon.until("it is delivered", || daemon.show("/v1/status")["delivered"] == 4);
    let types = |receiver: &Receiver| {
        let arrivals = receiver.so_far();
        let kinds = arrivals.iter().map(|arrival| arrival.headers["postrider-event-type"].clone());
        kinds.filter(|kind| kind.starts_with("postrider.")).count()
    };
    assert_eq!((types(&billing), types(&all)), (0, 0), "not to itself, nor to those who want all");
}

#[test]
fn a_refused_configuration_is_told() {
    let ops = Receiver::start();
    let home = Home::new().endpoint("ops", &ops, "types = [\"postrider.**\"]");
    let daemon = home.start();
    std::fs::write(home.path("config.toml"), "[delivery]\nmax_in_flight = \"many\"\n").unwrap();
    daemon.signal(rustix::process::Signal::HUP);
    daemon.logged("config.rejected");
    let told = ops.arrivals(1).remove(0);
    assert_eq!(told.headers["postrider-event-type"], "postrider.config.rejected");
    let body: Value = serde_json::from_slice(&told.body).unwrap();
    assert_eq!(body["data"]["line"], "2");
}

#[test]
fn endpoints_that_miss_their_targets_are_told() {
    let (fails, slow, quiet, ops) =
        (Receiver::start(), Receiver::start(), Receiver::start(), Receiver::start());
    fails.always(400);
    slow.hold();
    let home = Home::new()
        .endpoint("fails", &fails, "types = [\"order.fails\"]\nretry = { max_attempts = 1 }")
        .endpoint("slow", &slow, "types = [\"order.slow\"]\ntargets = { latency = \"1ms\" }")
        .endpoint("quiet", &quiet, "types = [\"order.x\"]\ntargets = { silent_after = \"1s\" }")
        .endpoint("ops", &ops, "types = [\"postrider.endpoint.*\"]");
    let daemon = home.start();
    for _ in 0..20 {
        assert_eq!(daemon.submit(&Request::post("/v1/events/order.slow", "{}")).status, 202);
        assert_eq!(daemon.submit(&Request::post("/v1/events/order.fails", "{}")).status, 202);
    }
    slow.release();
    slow.arrivals(20);
    let mut told: Vec<Value> = ops
        .arrivals(3)
        .iter()
        .map(|arrival| serde_json::from_slice(&arrival.body).unwrap())
        .collect();
    told.sort_by_key(|body| body["type"].to_string());
    let words: Vec<_> =
        told.iter().map(|body| (&body["type"], &body["data"]["endpoint"])).collect();
    let expected = [
        ("postrider.endpoint.failing", "fails"),
        ("postrider.endpoint.silent", "quiet"),
        ("postrider.endpoint.slow", "slow"),
    ]
    .map(|(kind, about)| (Value::from(kind), Value::from(about)));
    assert_eq!(words, expected.each_ref().map(|(kind, about)| (kind, about)));
    assert_eq!(
        (&told[0]["data"]["failures"], &told[2]["data"]["delivered"]),
        (&20.into(), &20.into())
    );
    let recent = &daemon.show("/v1/endpoints/fails")["recent"];
    assert_eq!((&recent["attempts"], &recent["failures"]), (&20.into(), &20.into()));
}

#[test]
fn a_source_that_is_silent_is_told_once() {
    let ops = Receiver::start();
    let source = |name: &str, uid: u32, after: &str| {
        format!("[[source]]\nname = \"{name}\"\nunix_user = {uid}\nsilent_after = \"{after}\"\n")
    };
    let home = Home::new()
        .endpoint("ops", &ops, "types = [\"postrider.source.*\"]")
        .more(&source("cron", 4_000_000, "1s"))
        .more(&source("never", 4_000_001, "0"))
        .more(&source("weekly", 4_000_002, "7d"));
    let daemon = home.start();
    let told = ops.arrivals(1).remove(0);
    let body: Value = serde_json::from_slice(&told.body).unwrap();
    assert_eq!(body["type"], "postrider.source.silent");
    let data = &body["data"];
    assert_eq!((&data["source"], &data["source_id"]), (&"cron".into(), &"uid:4000000".into()));
    assert_eq!(data["silent_after_s"], 1);
    daemon.until("it is delivered", || daemon.show("/v1/status")["delivered"] == 1);
    assert_eq!(ops.so_far().len(), 1);
}
