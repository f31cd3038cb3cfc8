//! What was submitted is what arrives, byte for byte.

use std::collections::BTreeSet;

use serde_json::json;

use crate::harness::client::Request;
use crate::harness::daemon::Daemon;
use crate::harness::daemon::Home;
use crate::harness::receiver::Arrival;
use crate::harness::receiver::Receiver;

/// JSON that anyone who parses and writes it again would change.
const ODD_JSON: &str = "{ \"b\":1.10,\"a\" : 12345678901234567890123456789, \"a\":\"\\u00e9\\/\" }";

fn one_endpoint() -> (Receiver, Home, Daemon) {
    let receiver = Receiver::start();
    let home = Home::new().endpoint("billing", &receiver, "");
    let daemon = home.start();
    (receiver, home, daemon)
}

fn arrived(receiver: &Receiver, count: usize, id: &str) -> Arrival {
    let arrivals = receiver.arrivals(count);
    arrivals.into_iter().find(|arrival| arrival.id() == id).unwrap()
}

#[test]
fn raw_payloads_of_any_kind() {
    let (receiver, _home, daemon) = one_endpoint();
    let all_bytes: Vec<u8> = (0..=255).collect();
    let mebibyte: Vec<u8> =
        (0..1_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let payloads: [(&str, &[u8]); 6] = [
        ("application/octet-stream", b""),
        ("application/octet-stream", &all_bytes),
        ("image/png", &mebibyte),
        ("application/xml; charset=iso-8859-1", b"<?xml version=\"1.0\"?>\r\n<a>\xe9</a>\n"),
        ("application/json", ODD_JSON.as_bytes()),
        ("text/plain", b"\r\n\r\n\0"),
    ];
    for (index, (content_type, body)) in payloads.into_iter().enumerate() {
        let request = Request::post("/v1/events/file.made", body);
        let answer = daemon.submit(&request.header("content-type", content_type));
        let id = answer.id();
        let arrival = arrived(&receiver, index + 1, &id);
        assert!(arrival.body == body, "{content_type}: {} bytes", arrival.body.len());
        assert_eq!(arrival.headers["content-type"], content_type);
        let kept = daemon.ask(&Request::new("GET", &format!("/v1/events/{id}/payload")));
        assert!(kept.body == body, "{content_type}: {} bytes kept", kept.body.len());
        assert_eq!(kept.headers["content-type"], content_type);
    }
}

#[test]
fn payloads_survive_a_restart_before_they_are_delivered() {
    let receiver = Receiver::start();
    receiver.always(503);
    let home = Home::new().endpoint("billing", &receiver, "");
    let daemon = home.start();
    let body: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).take(1 << 20).collect();
    let id = daemon.submit(&Request::post("/v1/events/file.made", &body)).id();
    receiver.arrivals(1);
    daemon.kill();
    receiver.always(200);
    receiver.forget();
    let _daemon = home.start();
    let last = receiver.arrivals(1).pop().unwrap();
    assert_eq!(last.id(), id);
    assert!(last.body == body);
}

#[test]
fn data_of_an_envelope_is_taken_verbatim() {
    let (receiver, _home, daemon) = one_endpoint();
    let envelope = format!("{{\"type\":\"order.created\",\"data\": {ODD_JSON} }}");
    let id = daemon.submit(&Request::post("/v1/events", envelope)).id();
    let arrival = arrived(&receiver, 1, &id);
    assert_eq!(String::from_utf8(arrival.body).unwrap(), ODD_JSON);
    assert_eq!(arrival.headers["content-type"], "application/json");
    let envelope = json!({"type": "file.made", "data_base64": "AP8K", "content_type": "x/y"});
    let id = daemon.submit(&Request::post("/v1/events", envelope.to_string())).id();
    let arrival = arrived(&receiver, 2, &id);
    assert_eq!(arrival.body, [0, 255, 10]);
    assert_eq!(arrival.headers["content-type"], "x/y");
}

#[test]
fn batches_are_taken_verbatim_as_lines_and_as_an_array() {
    let (receiver, _home, daemon) = one_endpoint();
    let one = format!("{{\"type\":\"a.b\",\"data\":{ODD_JSON}}}");
    let two = "{\"type\":\"a.c\",\"data\":\"x\"}";
    let bodies = [format!("{one}\n{two}\n"), format!("[{one}, {two}]")];
    for (index, body) in bodies.iter().enumerate() {
        let answer = daemon.submit(&Request::post("/v1/events:batch", body));
        assert_eq!(answer.status, 202, "{answer:?}");
        let results = answer.json();
        assert_eq!(
            (results["accepted"].as_u64(), results["rejected"].as_u64()),
            (Some(2), Some(0))
        );
        for (item, data) in [(0, ODD_JSON), (1, "\"x\"")] {
            let result = &results["results"][item];
            assert_eq!(result["index"], item);
            let arrival = arrived(&receiver, 2 * (index + 1), result["id"].as_str().unwrap());
            assert_eq!(String::from_utf8(arrival.body).unwrap(), data);
        }
    }
}

#[test]
fn a_batch_is_admitted_whole_or_item_by_item() {
    let (receiver, _home, daemon) = one_endpoint();
    let event = |kind: &str, data: u32| format!("{{\"type\":\"{kind}\",\"data\":{data}}}\n");
    let batch = event("a.b", 1) + &event("a..b", 2) + &event("a.b", 3);
    let whole = daemon.submit(&Request::post("/v1/events:batch", &batch));
    assert_eq!(whole.status, 422);
    assert_eq!(whole.json()["errors"][0]["pointer"], "/1/type");
    assert_eq!(daemon.show("/v1/status")["accepted"], 0);
    let partial = daemon.submit(&Request::post("/v1/events:batch?partial=1", batch));
    assert_eq!(partial.status, 207);
    let results = partial.json();
    assert_eq!((results["accepted"].as_u64(), results["rejected"].as_u64()), (Some(2), Some(1)));
    let statuses: Vec<_> =
        (0..3).map(|n| results["results"][n]["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [202, 422, 202]);
    let bodies: Vec<_> = receiver.arrivals(2).into_iter().map(|arrival| arrival.body).collect();
    assert!(bodies.contains(&b"1".to_vec()) && bodies.contains(&b"3".to_vec()), "{bodies:?}");
}

#[test]
fn the_largest_batch_is_safe_as_a_whole_when_it_is_answered() {
    let receiver = Receiver::start();
    let home = Home::new().endpoint("billing", &receiver, "paused = true");
    let daemon = home.start();
    let batch = |count: usize| {
        let line = |n| format!("{{\"type\":\"a.b\",\"data\":{n}}}\n");
        Request::post("/v1/events:batch", (0..count).map(line).collect::<String>())
    };
    assert_eq!(daemon.submit(&batch(1_001)).status, 413);
    let answer = daemon.submit(&batch(1_000));
    assert_eq!((answer.status, answer.json()["accepted"].as_u64()), (202, Some(1_000)));
    daemon.kill();
    let daemon = home.start();
    daemon.ask(&Request::post("/v1/endpoints/billing/resume", ""));
    let arrivals = receiver.arrivals(1_000);
    let bodies: BTreeSet<_> = arrivals.iter().map(|arrival| arrival.body.clone()).collect();
    assert_eq!(bodies, (0..1_000).map(|n| n.to_string().into_bytes()).collect());
    let results = answer.json()["results"].clone();
    let told: BTreeSet<_> = (0..1_000).map(|n| results[n]["id"].as_str().unwrap()).collect();
    assert_eq!(arrivals.iter().map(Arrival::id).collect::<BTreeSet<_>>(), told);
}

#[test]
fn cloud_events_in_their_three_modes() {
    let (receiver, _home, daemon) = one_endpoint();
    let event = |id: &str, rest: &str| {
        format!(
            "{{\"specversion\":\"1.0\",\"id\":\"{id}\",\"source\":\"/shop\",\
             \"type\":\"order.created\",{rest}}}"
        )
    };
    let structured = |body: String| {
        let request = Request::post("/v1/events", body);
        daemon.submit(&request.header("content-type", "application/cloudevents+json"))
    };
    let first = structured(event("A-1", &format!("\"data\":{ODD_JSON}")));
    let arrival = arrived(&receiver, 1, &first.id());
    assert_eq!(String::from_utf8(arrival.body).unwrap(), ODD_JSON);
    let again = structured(event("A-1", &format!("\"data\":{ODD_JSON}")));
    assert_eq!(again.id(), first.id(), "source and id are the key");

    let binary = Request::post("/v1/events", b"<a>\xff</a>")
        .header("content-type", "text/xml")
        .header("ce-specversion", "1.0")
        .header("ce-id", "A-2")
        .header("ce-source", "/shop")
        .header("ce-type", "order.created");
    let arrival = arrived(&receiver, 2, &daemon.submit(&binary).id());
    assert_eq!(arrival.body, b"<a>\xff</a>");
    assert_eq!(arrival.headers["content-type"], "text/xml");

    let xml = event("A-3", "\"datacontenttype\":\"text/xml\",\"data\":\"<a/>\"");
    let bytes = event("A-4", "\"datacontenttype\":\"x/y\",\"data_base64\":\"AP8=\"");
    let batch = Request::post("/v1/events", format!("[{xml},{bytes}]"))
        .header("content-type", "application/cloudevents-batch+json");
    let results = daemon.submit(&batch).json();
    for (item, body) in [(0, &b"<a/>"[..]), (1, &[0, 255])] {
        let id = results["results"][item]["id"].as_str().unwrap();
        assert_eq!(arrived(&receiver, 4, id).body, body);
    }
}
