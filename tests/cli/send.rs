//! Submitting: one event, many, and waiting for the end.

use serde_json::Value;
use serde_json::json;

use crate::world::Daemon;

const EVENT: &str = "evt_01k9qv5m2teh8s3k4p1c7wz0dx";
const DELIVERY: &str = "dlv_06awjhmfs9zp6yan1vy8vwgnz4000000";

fn accepted(duplicate: bool) -> Value {
    json!({
        "id": EVENT, "type": "order.created", "accepted_at": "2026-11-21T10:15:02.114Z",
        "deliveries": [{"id": DELIVERY, "endpoint": "crm"}], "duplicate": duplicate,
    })
}

fn event(state: &str) -> Value {
    json!({
        "id": EVENT, "type": "order.created", "accepted_at": "2026-11-21T10:15:02.114Z",
        "source": "uid:1000", "content_type": "application/json", "payload_bytes": 9,
        "occurred_at": null, "deliver_at": null, "ordering_key": null, "tenant": null,
        "correlation_id": null, "schema_version": null, "traceparent": null, "tags": [],
        "metadata": [], "cloudevents": [],
        "deliveries": [{
            "id": DELIVERY, "event_id": EVENT, "event_type": "order.created", "endpoint": "crm",
            "state": state, "attempts": 1, "next_at": null, "reason": null, "last_outcome": "ok",
        }],
    })
}

#[test]
fn one_event_is_its_payload_and_headers() {
    let daemon = Daemon::scripted(vec![(202, accepted(false))]);
    let args = [
        "send",
        "order.created",
        "--data",
        "-",
        "--key",
        "order-42",
        "--endpoint",
        "crm",
        "--endpoint",
        "billing",
        "--tag",
        "region=eu",
        "--delay",
        "5s",
        "--tenant",
        "acme",
        "--ordering-key",
        "customer-7",
    ];
    let sent = daemon.run_with(&args, b"{\"id\":42}");
    assert_eq!((sent.code, sent.stderr.as_str()), (0, ""));
    assert_eq!(sent.stdout, format!("accepted {EVENT}   1 delivery\n"));
    let request = daemon.request();
    assert_eq!(request.line, "POST /v1/events/order.created");
    assert_eq!(request.body, b"{\"id\":42}");
    for header in [
        "content-type: application/json\r\n",
        "idempotency-key: order-42\r\n",
        "postrider-endpoint: crm,billing\r\n",
        "postrider-tag-region: eu\r\n",
        "postrider-delay: 5000ms\r\n",
        "postrider-tenant: acme\r\n",
        "postrider-ordering-key: customer-7\r\n",
    ] {
        assert!(request.head.contains(header), "{header} in {}", request.head);
    }
}

#[test]
fn payloads_are_sent_byte_for_byte() {
    let daemon = Daemon::scripted(vec![(202, accepted(true)), (202, accepted(false))]);
    let bytes: Vec<u8> = (0..=255).collect();
    let file = format!("@{}", daemon.file("payload", &bytes).display());
    let sent = daemon.run(&["send", "order.created", "--data", &file]);
    assert!(sent.stdout.ends_with("1 delivery   known already\n"), "{}", sent.stdout);
    let request = daemon.request();
    assert_eq!(request.body, bytes);
    assert!(request.head.contains("content-type: application/octet-stream\r\n"));
    let text = ["send", "a", "--data", "<a/>", "--content-type", "application/xml", "-o", "id"];
    assert_eq!(daemon.run(&text).stdout, format!("{EVENT}\n"));
    let request = daemon.request();
    assert_eq!(request.body, b"<a/>");
    assert!(request.head.contains("content-type: application/xml\r\n"));
}

#[test]
fn waiting_ends_with_the_last_delivery() {
    let daemon = Daemon::scripted(vec![
        (202, accepted(false)),
        (200, event("queued")),
        (200, event("sending")),
        (200, event("delivered")),
    ]);
    let sent = daemon.run(&["send", "order.created", "--data", "{}", "--wait"]);
    assert_eq!((sent.code, sent.stderr.as_str()), (0, ""));
    let lines = format!("accepted {EVENT}   1 delivery\n  \u{2713} crm   delivered ok\n");
    assert_eq!(sent.stdout, lines);
    daemon.request();
    assert_eq!(daemon.request().line, format!("GET /v1/events/{EVENT}"));
}

#[test]
fn waiting_for_a_dead_delivery_is_code_8() {
    let daemon = Daemon::scripted(vec![(202, accepted(false)), (200, event("dead"))]);
    let sent = daemon.run(&["send", "order.created", "--data", "{}", "--wait", "--json"]);
    assert_eq!(sent.code, 8);
    assert!(sent.stderr.contains("1 of 1 deliveries ended without success"), "{}", sent.stderr);
    let document: Value = serde_json::from_str(&sent.stdout).unwrap();
    assert_eq!(document["deliveries"][0]["state"], "dead");
}

#[test]
fn waiting_too_long_is_code_7() {
    let mut answers = vec![(202, accepted(false))];
    answers.extend((0..50).map(|_| (200, event("waiting"))));
    let daemon = Daemon::scripted(answers);
    let args = ["send", "order.created", "--data", "{}", "--wait", "--timeout", "250ms"];
    let sent = daemon.run(&args);
    assert_eq!(sent.code, 7);
    let message = format!(
        "postrider: 1 of 1 deliveries not confirmed within 250ms (they go on). \
         postrider event show {EVENT}\n"
    );
    assert_eq!(sent.stderr, message);
    assert_eq!(sent.stdout.lines().last(), Some("  \u{b7} crm   waiting ok"));
}

#[test]
fn many_events_go_in_batches() {
    let done = json!({"accepted": 0});
    let daemon = Daemon::scripted(vec![(202, done.clone()), (202, done)]);
    let lines = "{\"type\":\"order.created\",\"data\":{}}\n".repeat(1_200);
    let sent = daemon.run_with(&["send", "--from", "-"], lines.as_bytes());
    assert_eq!((sent.code, sent.stdout.as_str()), (0, "accepted 1,200 events\n"));
    let first = daemon.request();
    assert_eq!(first.line, "POST /v1/events:batch");
    assert!(first.head.contains("content-type: application/x-ndjson\r\n"));
    let count = |body: &[u8]| body.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!([count(&first.body), count(&daemon.request().body)], [1_000, 200]);
}

#[test]
fn a_refused_batch_names_its_lines_and_what_is_safe() {
    let refusal = json!({
        "type": "urn:postrider:problem:validation", "title": "", "status": 422,
        "code": "validation", "detail": "/1/type: is empty", "retryable": false,
        "errors": [{"pointer": "/1/type", "code": "type", "detail": "is empty"}],
    });
    let daemon = Daemon::scripted(vec![(202, json!({})), (422, refusal)]);
    let lines = "{}\n".repeat(1_002);
    let file = daemon.file("events.ndjson", lines.as_bytes());
    let sent = daemon.run(&["send", "--from", file.to_str().unwrap()]);
    assert_eq!((sent.code, sent.stdout.as_str()), (2, ""));
    let message = "postrider: line 1002 /type: is empty (validation)\n\
                   of earlier batches, 1,000 events accepted\n";
    assert_eq!(sent.stderr, message);
}

#[test]
fn a_partial_batch_tells_what_was_left_out() {
    let problem = json!({
        "type": "urn:postrider:problem:validation", "title": "", "status": 422,
        "code": "validation", "detail": "type is empty", "retryable": false,
    });
    let answer = json!({
        "results": [{"index": 0, "status": 202, "id": EVENT},
                    {"index": 1, "status": 422, "problem": problem}],
        "accepted": 1, "rejected": 1,
    });
    let daemon = Daemon::scripted(vec![(207, answer)]);
    let sent = daemon.run_with(&["send", "--from", "-", "--partial"], b"{}\n\n{}\n");
    assert_eq!(sent.code, 2);
    assert_eq!(sent.stdout, "accepted 1 event, rejected 1\n");
    assert_eq!(sent.stderr, "postrider: line 3: type is empty\n");
    assert_eq!(daemon.request().line, "POST /v1/events:batch?partial=1");
}
