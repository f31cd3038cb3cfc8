//! What is refused, and what is cut off.

use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::harness::PATIENCE;
use crate::harness::client::Connection;
use crate::harness::client::Request;
use crate::harness::daemon::Home;
use crate::harness::daemon::now;
use crate::harness::receiver::Receiver;

fn raw(body: impl AsRef<[u8]>) -> Request {
    Request::post("/v1/events/order.created", body)
}

#[test]
fn bodies_are_limited_and_taken_as_they_are() {
    let home = Home::new()
        .set("POSTRIDER_INGEST__MAX_PAYLOAD", "1KiB")
        .set("POSTRIDER_INGEST__MAX_BATCH", "2")
        .set("POSTRIDER_INGEST__REQUIRE_JSON", "false");
    let daemon = home.start();
    let refusal = |request: &Request| {
        let answer = daemon.submit(request);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert_eq!(
            answer.json()["instance"].as_str(),
            Some(answer.headers["x-request-id"].as_str())
        );
        (answer.status, answer.json()["code"].as_str().unwrap().to_owned())
    };
    let is = |status: u16, code: &str| (status, code.to_owned());
    assert_eq!(daemon.submit(&raw([b'x'; 1024])).status, 202);
    assert_eq!(refusal(&raw([b'x'; 1025])), is(413, "payload-too-large"));
    let large = format!("{{\"type\":\"a.b\",\"data\":\"{}\"}}", "x".repeat(1025));
    assert_eq!(refusal(&Request::post("/v1/events", large)), is(413, "payload-too-large"));
    let batch = "{\"type\":\"a.b\",\"data\":1}\n".repeat(3);
    assert_eq!(refusal(&Request::post("/v1/events:batch", batch)), is(413, "payload-too-large"));
    let packed = raw("x").header("content-encoding", "gzip");
    assert_eq!(refusal(&packed), is(415, "unsupported-media-type"));
    assert_eq!(daemon.submit(&raw("x").header("content-encoding", "identity")).status, 202);
    assert_eq!(refusal(&Request::post("/v1/events/a..b", "x")), is(422, "validation"));
    let envelope = |text: &str| refusal(&Request::post("/v1/events", text));
    assert_eq!(envelope("{\"type\":"), is(400, "malformed-json"));
    assert_eq!(envelope("{\"type\":1}"), is(422, "validation"), "it is JSON");
    assert_eq!(refusal(&raw("x").header("postrider-endpoint", "none")), is(422, "validation"));
    assert_eq!(refusal(&raw("1").header("postrider-hops", "9")), is(508, "loop-detected"));
    assert_eq!(refusal(&raw("1").header("postrider-hops", "x")), is(422, "validation"));
    let own = Request::post("/v1/events/postrider.endpoint.opened", "{}");
    assert_eq!(refusal(&own), is(422, "validation"), "nobody speaks in postrider's name");
    assert_eq!(refusal(&Request::post("/v1/other", "x")), is(404, "not-found"));
    assert_eq!(refusal(&Request::new("PUT", "/v1/events/a")), is(405, "method-not-allowed"));
    assert_eq!(daemon.show("/v1/status")["accepted"], 2);
}

#[test]
fn json_can_be_required() {
    let home = Home::new().set("POSTRIDER_INGEST__REQUIRE_JSON", "true");
    let daemon = home.start();
    assert_eq!(daemon.submit(&raw("{\"n\": 1}")).status, 202);
    assert_eq!(daemon.submit(&raw("<a/>")).status, 415);
}

#[test]
fn a_full_queue_is_said_with_a_time_to_come_back() {
    let receiver = Receiver::start();
    let home = Home::new()
        .endpoint("billing", &receiver, "paused = true")
        .set("POSTRIDER_INGEST__MAX_PENDING", "2");
    let daemon = home.start();
    assert_eq!([0; 2].map(|_| daemon.submit(&raw("x")).status), [202; 2]);
    let full = daemon.submit(&raw("x"));
    assert_eq!((full.status, full.json()["code"].as_str()), (503, Some("queue-full")));
    assert_eq!(
        (full.headers["retry-after"].as_str(), full.json()["retryable"].as_bool()),
        ("60", Some(true)),
        "nobody knows when a person lets the endpoint's deliveries go"
    );
    assert!(full.json()["detail"].as_str().unwrap().ends_with("try again in 60 s"));
    daemon.ask(&Request::post("/v1/endpoints/billing/resume", ""));
    receiver.arrivals(2);
    daemon.until("there is room", || daemon.submit(&raw("x")).status == 202);
    daemon.until("all are delivered", || daemon.show("/v1/status")["delivered"] == 3);
    daemon.ask(&Request::post("/v1/endpoints/billing/pause", "{}"));
    let batch = "{\"type\":\"a.b\",\"data\":1}\n".repeat(2);
    assert_eq!(daemon.submit(&Request::post("/v1/events:batch", &batch)).status, 202);
    let batch = daemon.submit(&Request::post("/v1/events:batch", &batch));
    let full = daemon.submit(&raw("x"));
    assert_eq!((batch.status, full.status), (503, 503));
    // three have gone in the few seconds since the start: one more takes a third of these
    let told: u64 = full.headers["retry-after"].parse().unwrap();
    let told_all: u64 = batch.headers["retry-after"].parse().unwrap();
    assert!(told_all >= told && (1..=20).contains(&told), "{told} {told_all}");
    drop(daemon);
    let home = home.set("POSTRIDER_STORAGE__MIN_FREE_DISK", "1PiB");
    let low = home.start().submit(&raw("x"));
    assert_eq!((low.status, low.json()["code"].as_str()), (503, Some("disk-low")));
    assert_eq!(low.headers["retry-after"], "60");
}

#[test]
fn a_source_that_is_too_fast_is_told_to_come_back() {
    let home = Home::new().set("POSTRIDER_INGEST__MAX_RATE", "3");
    let daemon = home.start();
    let batch = "{\"type\":\"a.b\",\"data\":1}\n".repeat(30);
    let began = now();
    assert_eq!(daemon.submit(&Request::post("/v1/events:batch", &batch)).status, 202);
    for request in [raw("x"), Request::post("/v1/events:batch?partial=1", &batch)] {
        let refused = daemon.submit(&request);
        assert_eq!((refused.status, refused.json()["code"].as_str()), (429, Some("rate-limited")));
        assert_eq!(refused.json()["retryable"], true);
        // thirty events are ten seconds' worth, one second of which may come at once
        let told: u64 = refused.headers["retry-after"].parse().unwrap();
        assert!(told <= 10 && told + began.elapsed().as_secs() + 1 >= 9, "{told}");
        let millis = refused.json()["detail"].as_str().unwrap().rsplit(' ').nth(1).unwrap().parse();
        assert_eq!(Ok(told), millis.map(|millis: u64| millis.div_ceil(1_000)), "both say the same");
    }
    assert_eq!(daemon.show("/v1/status")["accepted"], 30);
}

#[test]
fn a_head_that_does_not_end_is_not_waited_for() {
    let home = Home::new().set("POSTRIDER_LISTEN__HEADER_READ_TIMEOUT", "300ms");
    let daemon = home.start();
    let mut connection = Connection::open(daemon.ingest_socket()).unwrap();
    let began = now();
    connection.write(b"POST /v1/events/a HTTP/1.1\r\nhost: x\r\ncontent-le").unwrap();
    let status = connection.answer().map(|answer| answer.status);
    assert!(matches!(status, Err(_) | Ok(408)), "{status:?}");
    let taken = began.elapsed();
    assert!((Duration::from_millis(250)..PATIENCE).contains(&taken), "{taken:?}");
    assert_eq!(daemon.submit(&raw("x")).status, 202, "others are served");
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let home = Home::new().set("POSTRIDER_LISTEN__REQUEST_TIMEOUT", "300ms");
    let daemon = home.start();
    let mut connection = Connection::open(daemon.ingest_socket()).unwrap();
    let head = b"POST /v1/events/a HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n12345";
    connection.write(head).unwrap();
    assert_eq!(connection.answer().unwrap().status, 408);
    assert_eq!(daemon.show("/v1/status")["accepted"], 0);
}

#[test]
fn connections_are_limited_and_wait_for_their_turn() {
    let home = Home::new().set("POSTRIDER_LISTEN__MAX_CONNECTIONS", "2");
    let daemon = home.start();
    let open = || Connection::open(daemon.ingest_socket()).unwrap();
    let (mut first, mut second) = (open(), open());
    assert_eq!(first.send(&raw("1")).unwrap().status, 202);
    assert_eq!(second.send(&raw("2")).unwrap().status, 202);
    let mut third = UnixStream::connect(daemon.ingest_socket()).unwrap();
    third.write_all(b"POST /v1/events/a HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").unwrap();
    third.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let waiting = third.read(&mut [0]).unwrap_err().kind();
    assert_eq!(waiting, std::io::ErrorKind::WouldBlock);
    drop(first);
    third.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut status = [0; 12];
    third.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 202");
}
