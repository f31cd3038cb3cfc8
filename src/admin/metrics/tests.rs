//! What the text says after what happened.

use std::sync::Arc;
use std::time::Duration;

use tracing_subscriber::layer::SubscriberExt;

use crate::admin::Metrics;
use crate::admin::metrics::ENDPOINTS_MAX;
use crate::admin::metrics::IngestResult;
use crate::admin::metrics::Lookup;
use crate::model::Attempt;
use crate::model::Code;
use crate::model::DeliveryState;
use crate::model::EndpointState;
use crate::model::LaneCounts;
use crate::model::Opened;
use crate::model::Outcome;
use crate::model::Phases;
use crate::model::Time;
use crate::model::WaitReason;
use crate::model::view::EndpointView;
use crate::model::view::RecentView;
use crate::model::view::StatusView;

const AT: Time = Time::from_secs(1_795_000_000);

/// The value of a series, by its name and labels as they stand in the text.
fn value(metrics: &Metrics, series: &str) -> Option<f64> {
    let text = metrics.encode().unwrap();
    let rest = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    rest?.parse().ok()
}

#[test]
fn closed_sets_exist_from_the_start() {
    let metrics = Metrics::new(&[]);
    metrics.listener("ingest");
    metrics.endpoint("crm");
    for series in [
        "postrider_ingest_requests_total{listener=\"ingest\",result=\"overloaded\"}",
        "postrider_attempts_total{endpoint=\"crm\",outcome=\"timeout_tls\"}",
        "postrider_deliveries_finished_total{endpoint=\"crm\",state=\"dead\"}",
        "postrider_retries_scheduled_total{reason=\"retry_after\"}",
        "postrider_idempotency_lookups_total{result=\"in_progress\"}",
        "postrider_config_reloads_total{result=\"refused\"}",
        "postrider_store_errors_total{op=\"read\"}",
        "postrider_store_errors_total{op=\"write\"}",
        "postrider_endpoint_last_success_timestamp_seconds{endpoint=\"crm\"}",
        "postrider_log_messages_total{level=\"error\"}",
        "postrider_delivery_duration_seconds_count{first_attempt=\"false\"}",
        "postrider_attempt_phase_duration_seconds_count{phase=\"tls\"}",
        "postrider_events_accepted_total{source=\"local\",type=\"_other\"}",
    ] {
        assert_eq!(value(&metrics, series), Some(0.0), "{series}");
    }
}

#[test]
fn submissions_are_counted_by_their_answer() {
    let metrics = Metrics::new(&["order.paid".to_owned()]);
    let ingest = metrics.listener("ingest");
    ingest.request_answered(IngestResult::Accepted, Duration::from_micros(900));
    ingest.request_answered(IngestResult::of(Code::IdempotencyKeyReused), Duration::ZERO);
    ingest.request_answered(IngestResult::of(Code::QueueFull), Duration::ZERO);
    ingest.payload_read(1_000);
    metrics.local_sources().event_accepted("order.paid");
    metrics.local_sources().event_accepted("order.made");
    metrics.key_looked_up(Lookup::Replayed);
    let requests = |result: &str| {
        let labels = format!("{{listener=\"ingest\",result=\"{result}\"}}");
        value(&metrics, &format!("postrider_ingest_requests_total{labels}"))
    };
    assert_eq!(["accepted", "conflict", "overloaded"].map(requests), [Some(1.0); 3]);
    for series in [
        "postrider_ingest_payload_size_bytes_bucket{le=\"1024.0\"}",
        "postrider_events_accepted_total{source=\"local\",type=\"order.paid\"}",
        "postrider_events_accepted_total{source=\"local\",type=\"_other\"}",
        "postrider_idempotency_lookups_total{result=\"replayed\"}",
    ] {
        assert_eq!(value(&metrics, series), Some(1.0), "{series}");
    }
    let count = "postrider_ingest_request_duration_seconds_count{listener=\"ingest\"}";
    assert_eq!(value(&metrics, count), Some(3.0));
}

#[test]
fn sources_are_counted_by_name_up_to_a_number_of_them() {
    let metrics = Metrics::new(&[]);
    let names: Vec<Arc<str>> = (0..=200).map(|n| format!("source-{n}").into()).collect();
    let series = metrics.name_sources(&names);
    series[0].events_refused(Some(Code::TypeNotAllowed), 3);
    series[0].events_refused(Some(Code::QueueFull), 1);
    series[0].events_refused(None, 1);
    for source in &series {
        source.event_accepted("order.paid");
    }
    assert_eq!((series[200].accepted(), series[0].refused()), (1, 5), "each has its own count");
    let refused = |source: &str, reason: &str| {
        let labels = format!("{{source=\"{source}\",reason=\"{reason}\"}}");
        value(&metrics, &format!("postrider_events_refused_total{labels}"))
    };
    let reasons = ["type_not_allowed", "overloaded", "other", "rate_limited"];
    let counts = reasons.map(|reason| refused("source-0", reason));
    assert_eq!(counts, [Some(3.0), Some(1.0), Some(1.0), Some(0.0)]);
    let accepted = |source: &str| {
        let labels = format!("{{source=\"{source}\",type=\"_other\"}}");
        value(&metrics, &format!("postrider_events_accepted_total{labels}"))
    };
    let all = ["source-199", "source-200", "_other", "local"].map(accepted);
    assert_eq!(all, [Some(1.0), None, Some(1.0), Some(0.0)]);
    let kept = metrics.name_sources(&names[..1]);
    assert_eq!(
        (kept[0].accepted(), accepted("source-0"), accepted("source-1")),
        (1, Some(1.0), None)
    );
    assert_eq!(refused("source-1", "other"), None, "it has no name any more");
}

#[test]
fn attempts_are_counted_with_their_phases() {
    let metrics = Metrics::new(&[]);
    let crm = metrics.endpoint("crm");
    let phases =
        Phases { dns_us: 0, connect_us: 1_000, tls_us: 0, wait_us: 5_000, total_us: 8_000 };
    let ok = Attempt { status: Some(200), phases, ..Attempt::without_response(Outcome::Ok) };
    metrics.delivery_created(&crm);
    metrics.attempt_started(Duration::from_millis(2));
    metrics.attempt_finished(&crm, &ok, AT);
    metrics.attempt_finished(&crm, &Attempt::without_response(Outcome::Nack), AT);
    metrics.retry_scheduled(WaitReason::RetryAfter);
    metrics.delivery_finished(&crm, DeliveryState::Delivered, 2, Duration::from_secs(9));
    metrics.delivery_finished(&crm, DeliveryState::Dead, 2, Duration::from_secs(9));
    metrics.commit_flushed(64, Duration::from_millis(1));
    for series in [
        "postrider_deliveries_created_total{endpoint=\"crm\"}",
        "postrider_attempts_total{endpoint=\"crm\",outcome=\"ok\"}",
        "postrider_attempts_total{endpoint=\"crm\",outcome=\"nack\"}",
        "postrider_attempt_duration_seconds_count{result=\"failed\"}",
        "postrider_attempt_phase_duration_seconds_count{phase=\"connect\"}",
        "postrider_scheduler_lag_seconds_count",
        "postrider_retries_scheduled_total{reason=\"retry_after\"}",
        "postrider_delivery_duration_seconds_count{first_attempt=\"false\"}",
        "postrider_deliveries_finished_total{endpoint=\"crm\",state=\"delivered\"}",
        "postrider_deliveries_finished_total{endpoint=\"crm\",state=\"dead\"}",
        "postrider_store_commit_duration_seconds_count",
    ] {
        assert_eq!(value(&metrics, series), Some(1.0), "{series}");
    }
    let phase =
        |name: &str| format!("postrider_attempt_phase_duration_seconds_{name}{{phase=\"body\"}}");
    assert_eq!(value(&metrics, &phase("sum")), Some(0.002), "what the other phases leave");
    let dns = "postrider_attempt_phase_duration_seconds_count{phase=\"dns\"}";
    assert_eq!(value(&metrics, dns), Some(0.0), "no lookup took place");
    assert_eq!(value(&metrics, "postrider_store_commit_events_sum"), Some(64.0));
}

fn view(name: &str, fresh: u64, paused: bool) -> EndpointView {
    let held =
        crate::model::Held { since: Time::ZERO, actor: "uid:0".into(), reason: String::new() };
    EndpointView {
        name: name.into(),
        number: 1,
        url: String::new(),
        types: Vec::new(),
        status: String::new(),
        state: EndpointState { paused: paused.then_some(held), disabled: None, open: None },
        breaker: "closed".into(),
        rate: None,
        burst: None,
        origin: String::new(),
        in_flight: 0,
        window: 4,
        recent: RecentView::default(),
        counts: LaneCounts { fresh, timed: 1, dead: 0, behind: 0 },
    }
}

#[test]
fn endpoints_beyond_the_limit_share_one_series() {
    let metrics = Metrics::new(&[]);
    for index in 0..ENDPOINTS_MAX + 2 {
        let series = metrics.endpoint(&format!("e{index}"));
        metrics.delivery_created(&series);
    }
    let created = |name: &str| format!("postrider_deliveries_created_total{{endpoint=\"{name}\"}}");
    assert_eq!(value(&metrics, &created("e199")), Some(1.0));
    assert_eq!(value(&metrics, &created("e200")), None);
    assert_eq!(value(&metrics, &created("_other")), Some(2.0));

    let endpoints = vec![view("e0", 4, false), view("e200", 1, false), view("e201", 2, true)];
    metrics.set_status(&StatusView { queued: 9, waiting: 5, endpoints, ..StatusView::default() });
    let gauge = |name: &str, endpoint: &str| {
        value(&metrics, &format!("postrider_{name}{{endpoint=\"{endpoint}\"}}"))
    };
    assert_eq!(gauge("endpoint_backlog_deliveries", "e0"), Some(5.0));
    assert_eq!(gauge("endpoint_up", "e0"), Some(1.0));
    assert_eq!(gauge("endpoint_backlog_deliveries", "_other"), Some(5.0));
    assert_eq!(gauge("endpoint_up", "_other"), Some(0.0));
    let state =
        |word: &str| value(&metrics, &format!("postrider_queue_deliveries{{state=\"{word}\"}}"));
    assert_eq!(["queued", "waiting", "held"].map(state), [Some(7.0), Some(4.0), Some(3.0)]);

    metrics.endpoint_removed("e0");
    assert_eq!(value(&metrics, &created("e0")), None);
    metrics.endpoint("e200");
    assert_eq!(value(&metrics, &created("e200")), Some(0.0), "a removal makes room");
}

#[test]
fn an_open_breaker_is_seen() {
    let metrics = Metrics::new(&[]);
    let crm = metrics.endpoint("crm");
    let failures = || value(&metrics, "postrider_endpoint_consecutive_failures{endpoint=\"crm\"}");
    let attempt = |outcome| metrics.attempt_finished(&crm, &Attempt::without_response(outcome), AT);
    attempt(Outcome::ConnectRefused);
    attempt(Outcome::TimeoutTotal);
    attempt(Outcome::Cancelled);
    assert_eq!(failures(), Some(2.0), "what was our own doing is no failure of the endpoint");
    attempt(Outcome::Http4xx);
    assert_eq!(failures(), Some(0.0), "it answers");

    let (now, mut open) = (Time::from_secs(1_000), view("crm", 7, false));
    let outcome = Outcome::ConnectRefused;
    open.state.open = Some(Opened { since: now, failures: 12, outcome, probes: 2, until: now });
    let endpoints = vec![open];
    metrics.set_status(&StatusView { queued: 7, waiting: 1, endpoints, ..StatusView::default() });
    metrics.breaker_opened(&crm);
    let up = value(&metrics, "postrider_endpoint_up{endpoint=\"crm\"}");
    assert_eq!((failures(), up), (Some(12.0), Some(0.0)));
    assert_eq!(value(&metrics, "postrider_queue_deliveries{state=\"held\"}"), Some(8.0));
    let moved = |to: &str| {
        let labels = format!("{{endpoint=\"crm\",to=\"{to}\"}}");
        value(&metrics, &format!("postrider_endpoint_breaker_transitions_total{labels}"))
    };
    assert_eq!(["open", "closed", "disabled"].map(moved), [Some(1.0), Some(0.0), Some(0.0)]);
}

#[test]
fn log_lines_are_counted_by_level() {
    let metrics = Metrics::new(&[]);
    let subscriber = tracing_subscriber::registry().with(metrics.log_counter());
    tracing::subscriber::with_default(subscriber, || {
        tracing::warn!("one");
        tracing::warn!("two");
    });
    assert_eq!(value(&metrics, "postrider_log_messages_total{level=\"warn\"}"), Some(2.0));
}

#[test]
fn the_process_is_described_under_the_usual_names() {
    let metrics = Metrics::new(&[]);
    let read = |name: &str| value(&metrics, name).unwrap_or_default();
    assert!(read("process_resident_memory_bytes") > 1e5);
    assert!(read("process_open_fds") >= 3.0);
    assert!(read("process_max_fds") >= read("process_open_fds"));
    assert!(read("process_start_time_seconds") > 1e9);
    let text = metrics.encode().unwrap();
    assert!(text.contains("process_cpu_seconds_total "));
    let build = format!("postrider_build_info{{version=\"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(text.contains(&build) && text.ends_with("# EOF\n"));
}

#[test]
fn what_the_store_has_is_shown_by_kind_and_its_errors_by_what_was_done() {
    let metrics = Metrics::new(&[]);
    let counts = LaneCounts { fresh: 1, timed: 2, behind: 3, dead: 4 };
    let endpoints = vec![EndpointView { counts, ..view("crm", 0, false) }];
    let (queued, waiting, sending, dead) = (1, 5, 6, 4);
    let rest = StatusView::default();
    let status = StatusView { queued, waiting, sending, dead, endpoints, ..rest };
    metrics.set_status(&status);
    for (kind, count) in [("fresh", 1), ("timed", 2), ("behind", 3), ("dead", 4), ("in_flight", 6)]
    {
        let series = format!("postrider_store_records{{kind=\"{kind}\"}}");
        assert_eq!(value(&metrics, &series), Some(f64::from(count)), "{kind}");
    }
    metrics.store_read_failed();
    metrics.store_read_failed();
    metrics.store_write_failed();
    let errors = |op| value(&metrics, &format!("postrider_store_errors_total{{op=\"{op}\"}}"));
    assert_eq!((errors("read"), errors("write")), (Some(2.0), Some(1.0)));
}

#[test]
fn what_went_well_last_has_a_time() {
    let metrics = Metrics::new(&[]);
    let crm = metrics.endpoint("crm");
    let later = |secs: u64| Time::from_secs(AT.as_secs() + secs);
    let ok = Attempt::without_response(Outcome::Ok);
    metrics.attempt_finished(&crm, &ok, later(1));
    metrics.attempt_finished(&crm, &Attempt::without_response(Outcome::Http5xx), later(2));
    metrics.config_loaded(AT);
    let config = || value(&metrics, "postrider_config_last_reload_success_timestamp_seconds");
    let succeeded = "postrider_endpoint_last_success_timestamp_seconds{endpoint=\"crm\"}";
    assert_eq!((value(&metrics, succeeded), config()), (Some(1_795_000_001.0), Some(1.795e9)));
    metrics.config_refused();
    assert_eq!(config(), Some(1.795e9), "the old one stays");
    metrics.config_applied(later(3));
    assert_eq!(config(), Some(1_795_000_003.0));
}
