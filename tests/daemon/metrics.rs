//! What monitoring sees.

use std::collections::BTreeMap;

use crate::harness::client::Request;
use crate::harness::daemon::Daemon;
use crate::harness::daemon::Home;
use crate::harness::receiver::Receiver;

/// The samples of `/metrics`, by name and labels. What is not OpenMetrics fails.
pub(crate) fn samples(daemon: &Daemon) -> BTreeMap<String, f64> {
    let answer = daemon.ask(&Request::new("GET", "/metrics"));
    assert_eq!(answer.status, 200);
    assert!(
        answer.headers["content-type"].starts_with("application/openmetrics-text; version=1.0.0")
    );
    let text = String::from_utf8(answer.body).unwrap();
    let text = text.strip_suffix("# EOF\n").unwrap();
    let mut typed = Vec::new();
    let mut samples = BTreeMap::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let words: Vec<_> = comment.splitn(3, ' ').collect();
            assert!(["HELP", "TYPE", "UNIT"].contains(&words[0]) && words.len() == 3, "{line}");
            if words[0] == "TYPE" {
                typed.push(words[1].to_owned());
            }
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        let family = name.split('{').next().unwrap();
        assert!(typed.iter().any(|typed| family.starts_with(typed.as_str())), "no type: {line}");
        let before = samples.insert(name.to_owned(), value.parse().unwrap());
        assert_eq!(before, None, "twice: {line}");
    }
    samples
}

/// Series of submission, attempts, queue and store that alerts are written against; they exist
/// before anything has happened.
const SERIES: [&str; 27] = [
    "postrider_build_info{version=",
    "postrider_ingest_requests_total{listener=\"ingest\",result=\"rate_limited\"}",
    "postrider_ingest_request_duration_seconds_count{listener=\"ingest\"}",
    "postrider_ingest_payload_size_bytes_count",
    "postrider_events_accepted_total{source=\"local\",type=\"_other\"}",
    "postrider_idempotency_lookups_total{result=\"conflict\"}",
    "postrider_deliveries_created_total{endpoint=\"billing\"}",
    "postrider_deliveries_finished_total{endpoint=\"billing\",state=\"dead\"}",
    "postrider_delivery_duration_seconds_count{first_attempt=\"true\"}",
    "postrider_attempts_total{endpoint=\"billing\",outcome=\"blocked_address\"}",
    "postrider_attempt_duration_seconds_count{result=\"failed\"}",
    "postrider_attempt_phase_duration_seconds_count{phase=\"body\"}",
    "postrider_attempts_in_flight",
    "postrider_queue_deliveries{state=\"held\"}",
    "postrider_queue_oldest_due_age_seconds",
    "postrider_endpoint_backlog_deliveries{endpoint=\"billing\"}",
    "postrider_store_commit_duration_seconds_count",
    "postrider_store_commit_events_count",
    "postrider_store_size_bytes",
    "postrider_store_records{kind=\"fresh\"}",
    "postrider_store_records{kind=\"events\"}",
    "postrider_store_payload_bytes",
    "postrider_store_gc_deleted_total{kind=\"keys\"}",
    "postrider_store_errors_total{op=\"read\"}",
    "postrider_store_errors_total{op=\"write\"}",
    "postrider_endpoint_last_success_timestamp_seconds{endpoint=\"billing\"}",
    "postrider_disk_free_bytes",
];

#[test]
fn what_alerts_need_is_there_from_the_start() {
    let receiver = Receiver::start();
    let home = Home::new().endpoint("billing", &receiver, "");
    let samples = samples(&home.start());
    for series in SERIES {
        assert!(samples.keys().any(|name| name.starts_with(series)), "{series}");
    }
    assert!(samples["postrider_store_size_bytes"] > 0.0);
    assert!(samples["postrider_disk_free_bytes"] > 0.0);
    let loaded = samples["postrider_config_last_reload_success_timestamp_seconds"];
    assert!(loaded > 1.7e9, "it was loaded at the start: {loaded}");
}

#[test]
fn counters_tell_what_happened() {
    let (good, bad) = (Receiver::start(), Receiver::start());
    bad.then(500, "");
    let home = Home::new().endpoint("good", &good, "").endpoint("bad", &bad, "");
    let daemon = home.start();
    let before = samples(&daemon);
    let order = Request::post("/v1/events/order.created", "{}").key("order-42");
    for _ in 0..3 {
        daemon.submit(&order);
    }
    daemon.submit(&Request::post("/v1/events/order.created", "[]").key("order-42"));
    daemon.submit(&Request::post("/v1/events/a..b", "{}"));
    daemon.until("both are delivered", || daemon.show("/v1/status")["delivered"] == 2);
    let after = samples(&daemon);
    let grown = |name: &str, labels: &[&str]| {
        let of = |samples: &BTreeMap<String, f64>| -> f64 {
            let fits = |key: &str| {
                key.strip_prefix("postrider_").and_then(|key| key.strip_prefix(name)).is_some_and(
                    |rest| {
                        (rest.is_empty() || rest.starts_with('{'))
                            && labels.iter().all(|label| rest.contains(label))
                    },
                )
            };
            samples.iter().filter(|(key, _)| fits(key)).map(|(_, value)| value).sum()
        };
        of(&after) - of(&before)
    };
    let good = "endpoint=\"good\"";
    let bad = "endpoint=\"bad\"";
    assert_eq!(grown("events_accepted_total", &[]), 1.0);
    assert_eq!(
        grown("ingest_requests_total", &["result=\"accepted\""])
            + grown("ingest_requests_total", &["result=\"duplicate\""]),
        3.0
    );
    assert_eq!(grown("ingest_requests_total", &["result=\"conflict\""]), 1.0);
    assert_eq!(grown("ingest_requests_total", &["result=\"invalid\""]), 1.0);
    assert_eq!(grown("idempotency_lookups_total", &["result=\"replayed\""]), 2.0);
    assert_eq!(grown("deliveries_created_total", &[good]), 1.0);
    assert_eq!(grown("attempts_total", &[good, "outcome=\"ok\""]), 1.0);
    assert_eq!(grown("attempts_total", &[bad, "outcome=\"http_5xx\""]), 1.0);
    assert_eq!(grown("attempts_total", &[bad]), 2.0);
    assert_eq!(grown("deliveries_finished_total", &[bad, "state=\"delivered\""]), 1.0);
    assert_eq!(grown("retries_scheduled_total", &["reason=\"schedule\""]), 1.0);
    assert_eq!(grown("attempt_duration_seconds_count", &[]), 3.0);
    assert!(grown("store_commit_duration_seconds_count", &[]) >= 1.0);
    assert_eq!(after["postrider_endpoint_up{endpoint=\"good\"}"], 1.0);
    let succeeded = "postrider_endpoint_last_success_timestamp_seconds{endpoint=\"bad\"}";
    assert_eq!(before[succeeded], 0.0);
    assert!(after[succeeded] >= after["postrider_config_last_reload_success_timestamp_seconds"]);
}

#[test]
fn probes_tell_alive_from_ready() {
    let home = Home::new();
    let daemon = home.start();
    let status = |path: &str| daemon.ask(&Request::new("GET", path)).status;
    assert_eq!((status("/healthz"), status("/readyz")), (200, 200));
    daemon.ask(&Request::post("/v1/admin/drain", ""));
    assert_eq!((status("/healthz"), status("/readyz")), (200, 503));
    let refused = daemon.submit(&Request::post("/v1/events/a", ""));
    assert_eq!((refused.status, refused.json()["code"].as_str()), (503, Some("draining")));
    daemon.ask(&Request::post("/v1/admin/resume", ""));
    assert_eq!((status("/healthz"), status("/readyz")), (200, 200));
    assert_eq!(daemon.submit(&Request::post("/v1/events/a", "")).status, 202);
}
