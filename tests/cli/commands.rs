//! What commands ask for, and what they print of the answer.

use serde_json::Value;
use serde_json::json;

use crate::world::Daemon;

fn delivery(state: &str) -> Value {
    json!({
        "id": "dlv_06awjhmfs9zp6yan1vy8vwgnz4000000", "event_id": "evt_01k9qv5m2teh8s3k4p1c7wz0dx",
        "event_type": "order.created", "endpoint": "crm", "state": state, "attempts": 1,
        "next_at": null, "reason": null, "last_outcome": "http_5xx",
    })
}

fn endpoint(status: &str) -> Value {
    json!({
        "name": "crm", "number": 7, "url": "https://crm.example.com/hooks", "types": ["order.*"],
        "status": status, "state": {"paused": null, "disabled": null, "open": null},
        "breaker": "closed", "rate": "50/s", "burst": 5, "origin": "api", "in_flight": 1,
        "window": 4, "recent": {"attempts": 9, "failures": 2, "delivered": 7, "slow": 1},
        "fresh": 2, "timed": 3, "dead": 4, "behind": 0,
    })
}

fn status() -> Value {
    json!({
        "version": "1.0.0", "pid": 812, "started_at": "2026-11-21T10:15:02.000Z",
        "state": "running", "durability": "fsync", "accepted": 1204331, "duplicates": 212,
        "rejected": 17, "queued": 318, "waiting": 12904, "sending": 38, "dead": 41,
        "oldest_due_ms": 400, "delivered": 9, "attempts": 10, "disk_free_bytes": 44023414784_u64,
        "store_bytes": 1932735283, "kept": {"events": 700, "payload_bytes": 9000}, "replays": [],
        "endpoints": [endpoint("active")],
    })
}

#[test]
fn status_is_a_screen_or_a_document() {
    let daemon = Daemon::scripted(vec![(200, status()), (200, status())]);
    let shown = daemon.run(&["status"]);
    assert_eq!((shown.code, shown.stderr.as_str()), (0, ""));
    for part in [
        "postrider 1.0.0  running",
        "pid 812",
        "accepted 1,204,331   duplicates 212   rejected 17",
        "318 queued",
        "oldest due 400 ms",
        "disk free 41.0 GiB",
        "crm       active              5         1         4",
        "! 41 dead deliveries.",
        "postrider delivery list --state dead",
    ] {
        assert!(shown.stdout.contains(part), "{part} in\n{}", shown.stdout);
    }
    assert!(!shown.stdout.contains('\u{1b}'), "no colour in a pipe");
    assert_eq!(daemon.request().line, "GET /v1/status");
    let document: Value = serde_json::from_str(&daemon.run(&["status", "--json"]).stdout).unwrap();
    assert_eq!(document, status());
}

#[test]
fn an_open_breaker_is_said() {
    let mut open = endpoint("open");
    open["breaker"] = "open".into();
    open["state"]["open"] = json!({
        "since": "2026-11-21T10:15:02.000Z", "failures": 14, "outcome": "connect_refused",
        "probes": 4, "until": "2026-11-21T10:23:02.000Z",
    });
    let mut seen = status();
    seen["endpoints"] = json!([open]);
    let daemon = Daemon::scripted(vec![(200, open), (200, seen.clone()), (200, seen)]);
    let card = daemon.run(&["endpoint", "show", "crm"]).stdout;
    assert!(card.starts_with("Endpoint   crm   open\n"), "{card}");
    assert!(card.contains("\nRate       50/s, burst 5\nBreaker    open since "), "{card}");
    assert!(card.contains(": 14 failures in a row, the last connect_refused; 4 tries"), "{card}");
    let screen = daemon.run(&["status"]).stdout;
    let warning = "! crm has failed 14 times in a row (connect_refused). ";
    assert!(screen.contains(warning) && screen.contains("  crm       open "), "{screen}");
    let health = daemon.run(&["health"]);
    assert_eq!((health.code, health.stdout.as_str()), (0, "WARNING: crm is open\n"));
}

#[test]
fn the_queue_is_a_table_of_ages() {
    let row = |name: &str, total: u64, ages: [u64; 9], uncounted: u64| {
        let ages = ages.to_vec();
        json!({"endpoint": name, "total": total, "ages": ages, "uncounted": uncounted})
    };
    let queue = json!({
        "counted_at": "2026-11-21T10:15:02.000Z",
        "ages_s": [5, 20, 60, 300, 1200, 3600, 18000, 86400],
        "endpoints": [
            row("crm", 1204, [1, 2, 0, 0, 0, 0, 0, 0, 1000], 201),
            row("billing", 3, [0, 0, 0, 3, 0, 0, 0, 0, 0], 0),
        ],
    });
    let daemon = Daemon::scripted(vec![(200, queue.clone()); 3]);
    let table = daemon.run(&["queue", "-o", "table"]);
    let rows: Vec<Vec<&str>> =
        table.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0].join(" "), "ENDPOINT TOTAL 5S 20S 1M 5M 20M 1H 5H 1D OLDER");
    assert_eq!(rows[1].join(" "), "(all) 1207 1 2 0 3 0 0 0 0 1000");
    assert_eq!(rows[2].join(" "), "crm 1204 1 2 0 0 0 0 0 0 1000");
    assert!(table.stderr.starts_with("201 deliveries are in no column"), "{}", table.stderr);
    assert_eq!(daemon.request().line, "GET /v1/queue");
    let plain = daemon.run(&["queue"]).stdout;
    assert_eq!(plain.lines().nth(1), Some("billing\t3\t0\t0\t0\t3\t0\t0\t0\t0\t0\t0"));
    let whole: Value = serde_json::from_str(&daemon.run(&["queue", "--json"]).stdout).unwrap();
    assert_eq!(whole, queue);
}

#[test]
fn health_is_a_line() {
    let mut late = status();
    late["oldest_due_ms"] = json!(61_000);
    let daemon = Daemon::scripted(vec![(200, status()), (200, late)]);
    let plugin = daemon.run(&["health", "--format", "nagios"]);
    let line = "OK - all is well | queued=318 waiting=12904 dead=41 oldest_due=400ms \
                disk_free=44023414784B\n";
    assert_eq!((plugin.code, plugin.stdout.as_str()), (0, line));
    let plain = daemon.run(&["health"]);
    assert_eq!((plain.code, plain.stdout.as_str()), (69, "CRITICAL: oldest due 1m 1s\n"));
}

#[test]
fn lists_are_rows_pages_or_ids() {
    let page = |next: Value| json!({"data": [delivery("dead")], "next_cursor": next});
    let daemon = Daemon::scripted(vec![
        (200, page(json!("AQcursor"))),
        (200, page(Value::Null)),
        (200, page(json!("AQcursor"))),
        (200, page(Value::Null)),
    ]);
    let all = daemon.run(&["delivery", "list", "--state", "dead", "--all"]);
    let row = "dlv_06awjhmfs9zp6yan1vy8vwgnz4000000\tcrm\tdead\t1\thttp_5xx\t\u{2013}\t\u{2013}\t\
               order.created\tevt_01k9qv5m2teh8s3k4p1c7wz0dx\n";
    assert_eq!(all.stdout, row.repeat(2));
    assert_eq!(daemon.request().line, "GET /v1/deliveries?state=dead&limit=500");
    let second = daemon.request().line;
    assert_eq!(second, "GET /v1/deliveries?state=dead&limit=500&cursor=AQcursor");

    let first = daemon.run(&["delivery", "list", "--limit", "1", "-o", "table"]);
    assert!(first.stdout.starts_with("DELIVERY"), "{}", first.stdout);
    assert!(first.stderr.contains("--cursor AQcursor"), "{}", first.stderr);
    let ids = daemon.run(&["delivery", "list", "--output", "id"]);
    assert_eq!(ids.stdout, "dlv_06awjhmfs9zp6yan1vy8vwgnz4000000\n");
}

#[test]
fn colour_does_not_move_columns() {
    let page = json!({"data": [endpoint("active")], "next_cursor": null});
    let daemon = Daemon::scripted(vec![(200, page.clone()), (200, page)]);
    let plain = daemon.run(&["endpoint", "list", "-o", "table"]).stdout;
    let coloured = daemon.run(&["endpoint", "list", "-o", "table", "--color", "always"]).stdout;
    assert!(coloured.contains("\u{1b}[1m"), "{coloured:?}");
    let mut bare = String::new();
    for (index, part) in coloured.split('\u{1b}').enumerate() {
        let rest = part.split_once('m').filter(|_| index > 0);
        bare.push_str(rest.map_or(part, |(_, rest)| rest));
    }
    let lines = |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect();
    let (bare, plain): (Vec<String>, Vec<String>) = (lines(&bare), lines(&plain));
    assert_eq!(bare, plain);
}

#[test]
fn an_event_is_shown_with_what_was_said_of_it() {
    let view = json!({
        "id": "evt_01k9qv5m2teh8s3k4p1c7wz0dx", "type": "order.created",
        "accepted_at": "2026-11-21T10:15:02.114Z", "source": "uid:1000",
        "content_type": "application/json", "payload_bytes": 1229, "occurred_at": null,
        "deliver_at": null, "ordering_key": null, "tenant": "acme", "correlation_id": null,
        "schema_version": null, "traceparent": null, "tags": [["region", "eu"]], "metadata": [],
        "cloudevents": [], "deliveries": [delivery("dead")],
    });
    let daemon = Daemon::scripted(vec![(200, view)]);
    let shown = daemon.run(&["event", "show", "evt_01k9qv5m"]);
    for part in [
        "Event      evt_01k9qv5m2teh8s3k4p1c7wz0dx   order.created\n",
        "Accepted   2026-11-21T10:15:02.114Z (",
        "Payload    1.2 KiB, application/json\n",
        "Tenant     acme\n",
        "Tag        region=eu\n",
        "dlv_06awjhmfs9zp6yan1vy8vwgnz4000000  crm       dead   1         http_5xx  \u{2013}",
    ] {
        assert!(shown.stdout.contains(part), "{part} in\n{}", shown.stdout);
    }
}

#[test]
fn an_empty_list_is_no_failure() {
    let empty = json!({"data": [], "next_cursor": null});
    let daemon = Daemon::scripted(vec![(200, empty.clone()), (200, empty)]);
    let shown = daemon.run(&["event", "list", "-o", "table", "--tag", "a=b", "--tag", "c=d"]);
    assert_eq!((shown.code, shown.stdout.as_str()), (0, ""));
    assert_eq!(shown.stderr, "Nothing matches.\n");
    assert_eq!(daemon.request().line, "GET /v1/events?tag=a%3Db&tag=c%3Dd&limit=50");
    assert_eq!(daemon.run(&["event", "list", "-o", "table", "--quiet"]).stderr, "");
}

#[test]
fn a_delivery_is_shown_with_its_log() {
    let mut view = delivery("waiting");
    view["reason"] = json!("retry_after");
    view["next_at"] = json!("2026-11-21T10:31:40.000Z");
    let attempt = json!({
        "outcome": "http_5xx", "status": 503, "remote": "203.0.113.9:443",
        "phases": {"dns_us": 0, "connect_us": 11000, "tls_us": 30000, "wait_us": 240000,
                   "total_us": 282000},
        "retry_after": "2026-11-21T10:30:16.000Z", "detail": null,
        "response": {"content_type": "text/html", "body": "<h1>Service\u{1b}[2J</h1>"},
    });
    view["steps"] = json!([{
        "at": "2026-11-21T10:20:16.000Z", "kind": {"attempt": attempt},
        "next": {"wait": {"due": "2026-11-21T10:31:40.000Z", "why": "retry_after"}},
    }]);
    let daemon = Daemon::scripted(vec![(200, view)]);
    let shown = daemon.run(&["delivery", "show", "dlv_06awjhmfs9"]);
    assert_eq!(daemon.request().line, "GET /v1/deliveries/dlv_06awjhmfs9");
    for part in [
        "waiting, attempt 2",
        "(retry_after)",
        "1  10:20:16  http_5xx  503     \u{2013}    11 ms  30 ms  240 ms  282 ms  +11m 24s (Retry-",
        "Response to #1: text/html",
        "  <h1>Service\u{fffd}[2J</h1>",
    ] {
        assert!(shown.stdout.contains(part), "{part} in\n{}", shown.stdout);
    }
    assert!(!shown.stdout.contains('\u{1b}'), "a response cannot write to the terminal");
}

#[test]
fn commands_say_what_changed() {
    let daemon = Daemon::scripted(vec![
        (202, delivery("queued")),
        (200, endpoint("paused")),
        (200, json!({"changed": ["endpoint.crm"], "needs_restart": ["storage.path"]})),
        (200, json!({"state": "draining", "sending": 2})),
    ]);
    let retried = daemon.run(&["delivery", "retry", "dlv_06awjhmfs9"]);
    assert_eq!(retried.stdout, "dlv_06awjhmfs9zp6yan1vy8vwgnz4000000 to crm: queued\n");
    assert_eq!(daemon.request().line, "POST /v1/deliveries/dlv_06awjhmfs9/retry");
    let paused = daemon.run(&["endpoint", "pause", "crm", "--reason", "move"]);
    assert_eq!(paused.stdout, "crm is paused, 5 deliveries waiting\n");
    assert_eq!(daemon.request().body, br#"{"reason":"move"}"#);
    let reloaded = daemon.run(&["reload"]);
    let text = "reloaded: endpoint.crm\nonly after a restart: storage.path\n";
    assert_eq!(reloaded.stdout, text);
    assert_eq!(daemon.run(&["drain"]).stdout, "draining, 2 attempts under way\n");
}

#[test]
fn draining_waits_until_nothing_is_in_flight() {
    let idle = json!({"in_flight": 0});
    let mut drained = endpoint("paused");
    drained.as_object_mut().unwrap().extend(idle.as_object().unwrap().clone());
    let busy = || (200, endpoint("paused"));
    let daemon = Daemon::scripted(vec![busy(), busy(), (200, drained)]);
    let ended = daemon.run(&["endpoint", "drain", "crm"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "crm: nothing in flight, 5 waiting\n"));
    let asked = daemon.request();
    assert_eq!(asked.line, "POST /v1/endpoints/crm/pause");
    assert_eq!(asked.body, br#"{"reason":"drained"}"#);
    let daemon = Daemon::scripted((0..50).map(|_| busy()).collect());
    let ended = daemon.run(&["endpoint", "drain", "crm", "--timeout", "300ms"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (7, ""));
    let said = "crm: 1 in flight still; it stays paused. postrider endpoint resume crm";
    assert_eq!(ended.stderr, format!("postrider: {said}\n"));
}

#[test]
fn payloads_are_written_as_they_are() {
    let daemon = Daemon::with_bodies(vec![(200, b"\x00\x01ab\n".to_vec())]);
    let shown = daemon.run(&["event", "show", "evt_01k9qv5m", "--payload"]);
    assert_eq!(shown.stdout, "\u{0}\u{1}ab\n");
    assert_eq!(daemon.request().line, "GET /v1/events/evt_01k9qv5m/payload");
}

#[test]
fn removing_asks_first() {
    let daemon = Daemon::scripted(vec![
        (200, endpoint("active")),
        (200, endpoint("active")),
        (200, json!(null)),
    ]);
    let asked = daemon.run(&["endpoint", "remove", "crm"]);
    assert_eq!(asked.code, 2);
    assert!(asked.stderr.contains("Waiting: 5 deliveries, to end dead. Confirm with --yes."));
    assert_eq!(daemon.request().line, "GET /v1/endpoints/crm");
    let removed = daemon.run(&["endpoint", "remove", "crm", "--cancel", "--yes"]);
    assert_eq!((removed.code, removed.stdout.as_str()), (0, "removed crm\n"));
    daemon.request();
    assert_eq!(daemon.request().line, "DELETE /v1/endpoints/crm?deliveries=cancel");
}

#[test]
fn an_added_endpoint_shows_its_secret_once() {
    let mut created = endpoint("active");
    created["secret"] = json!("whsec_made");
    let daemon = Daemon::scripted(vec![(201, created)]);
    let secret = daemon.file("secret", b"whsec_given\n");
    let url = "https://crm.example.com/hooks";
    let file = secret.to_str().unwrap();
    let args = ["endpoint", "add", "crm", url, "--type", "order.*", "--secret-file", file];
    let added = daemon.run(&args);
    let text = format!("added crm -> {url}\nSecret, shown this once: whsec_made\n");
    assert_eq!(added.stdout, text);
    let body: Value = serde_json::from_slice(&daemon.request().body).unwrap();
    let expected =
        json!({"name": "crm", "url": url, "types": ["order.*"], "secret": "whsec_given"});
    assert_eq!(body, expected);
}

#[test]
fn a_failed_test_call_is_a_failure() {
    let attempt = json!({
        "outcome": "connect_refused", "status": null, "remote": null,
        "phases": {"dns_us": 0, "connect_us": 900, "tls_us": 0, "wait_us": 0, "total_us": 950},
        "retry_after": null, "detail": "nobody listens on 203.0.113.9:443", "response": null,
    });
    let daemon = Daemon::scripted(vec![(200, attempt)]);
    let tried = daemon.run(&["endpoint", "test", "crm", "--data", "[1,2]"]);
    assert_eq!(tried.code, 1);
    let line = "\u{2717} crm   connect_refused in 950 \u{b5}s: nobody listens on 203.0.113.9:443\n";
    assert_eq!(tried.stdout, line);
    assert_eq!(daemon.request().body, br#"{"data":[1,2],"type":"postrider.ping"}"#);
}

#[test]
fn whoever_reads_the_beginning_has_read_enough() {
    let page = json!({"data": vec![delivery("dead"); 2_000], "next_cursor": null});
    let daemon = Daemon::scripted(vec![(200, page)]);
    let script = "\"$0\" delivery list --limit 2000 | head -1; exit ${PIPESTATUS[0]}";
    let mut bash = std::process::Command::new("bash");
    bash.args(["-c", script, env!("CARGO_BIN_EXE_postrider")]);
    let output =
        bash.env("POSTRIDER_SOCKET", daemon.file("x", b"").with_file_name("sock")).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
