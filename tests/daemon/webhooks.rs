//! Providers' webhooks: only what proves itself comes in, once, and goes on as it came.

use std::net::TcpListener;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::Value;

use crate::harness::client::Answer;
use crate::harness::client::Connection;
use crate::harness::client::Request;
use crate::harness::daemon::Daemon;
use crate::harness::daemon::Home;
use crate::harness::receiver::Receiver;

const SECRET: &str = "It's a Secret to Everybody";
const BODY: &str = "{\"id\":\"evt_1\",\"type\":\"invoice.paid\"}";

/// A home that receives on a unix socket, with a source at `/in/NAME` of this scheme.
fn home(name: &str, verify: &str, more: &str) -> Home {
    let home = Home::new();
    let socket = format!("unix:{}", home.path("http.sock").display());
    home.set("POSTRIDER_LISTEN__HTTP", socket).more(&source(name, verify, more))
}

fn source(name: &str, verify: &str, more: &str) -> String {
    format!(
        "[[source]]\nname = \"{name}\"\npath = \"/in/{name}\"\nverify = \"{verify}\"\n\
         secret = {{ value = \"{SECRET}\" }}\n{more}\n"
    )
}

fn receive(home: &Home, request: &Request) -> Answer {
    Connection::open(&home.path("http.sock")).unwrap().send(request).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn signed(text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    hex(hmac::sign(&key, text.as_bytes()).as_ref())
}

#[expect(clippy::disallowed_methods, reason = "the daemon under test has the real clock")]
fn now_secs() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

fn github(body: &str, delivery: &str) -> Request {
    Request::post("/in/github", body)
        .header("content-type", "application/json")
        .header("x-github-event", "pull_request")
        .header("x-github-delivery", delivery)
        .header("user-agent", "GitHub-Hookshot/1")
        .header("x-hub-signature-256", &format!("sha256={}", signed(body)))
}

/// What Stripe would send now, or a while ago.
fn stripe(path: &str, body: &str, age_s: u64) -> Request {
    let at = now_secs() - age_s;
    let signature = format!("t={at},v1={}", signed(&format!("{at}.{body}")));
    Request::post(path, body).header("stripe-signature", &signature)
}

fn delivered(daemon: &Daemon, count: u64) {
    daemon.until("all are delivered", || daemon.show("/v1/status")["delivered"] == count);
}

#[test]
fn a_webhook_is_made_safe_once_and_goes_on_as_it_came() {
    let receiver = Receiver::start();
    let home = home("github", "github", "")
        .set("POSTRIDER_INGEST__IDEMPOTENCY", "required")
        .endpoint("build", &receiver, "types = [\"github.pull_request\"]");
    let daemon = home.start();
    let body = "{ \"action\":\"opened\",\r\n \"n\":1.0 }\n";
    let first = receive(&home, &github(body, "72d3162e-cc78-11e3-81ab-4c9367dc0958"));
    assert_eq!((first.status, first.body.len()), (200, 0), "{first:?}");
    let id = &first.headers["postrider-event-id"];
    let again = receive(&home, &github(body, "72d3162e-cc78-11e3-81ab-4c9367dc0958"));
    assert_eq!((again.status, &again.headers["postrider-event-id"]), (200, id));
    assert_eq!(again.headers["idempotent-replayed"], "true");
    let played_back = receive(&home, &github(body, "another-id-which-nobody-signed"));
    assert_eq!((played_back.status, &played_back.headers["postrider-event-id"]), (200, id));

    let arrival = receiver.arrivals(1).remove(0);
    assert_eq!(arrival.body, body.as_bytes(), "byte for byte");
    let sent = |name: &str| arrival.headers.get(name).map(String::as_str);
    assert_eq!(sent("content-type"), Some("application/json"));
    assert_eq!(sent("x-github-event"), Some("pull_request"));
    assert_eq!(sent("x-hub-signature-256"), Some(&*format!("sha256={}", signed(body))));
    assert_eq!(sent("user-agent"), Some("GitHub-Hookshot/1"));
    assert_eq!(sent("webhook-id"), Some(&**id), "ours is there as well");
    assert_eq!(sent("postrider-event-type"), Some("github.pull_request"));
    delivered(&daemon, 1);
    assert_eq!(receiver.so_far().len(), 1);
    let event = daemon.show(&format!("/v1/events/{id}"));
    assert_eq!(
        (&event["source"], &event["source_id"]),
        (&"github".into(), &"webhook:github".into())
    );
}

#[test]
fn what_does_not_prove_itself_is_refused_and_told_once() {
    let (receiver, ops) = (Receiver::start(), Receiver::start());
    let home = home("github", "github", "")
        .endpoint("build", &receiver, "types = [\"github.*\"]")
        .endpoint("ops", &ops, "types = [\"postrider.source.*\"]");
    let daemon = home.start();
    for signature in ["sha256=00", "sha1=00", ""] {
        let request = Request::post("/in/github", BODY).header("x-hub-signature-256", signature);
        let answer = receive(&home, &request);
        assert_eq!(answer.status, 401, "{signature}");
        let problem = answer.json();
        assert_eq!(problem["code"], "unauthenticated");
        let detail = problem["detail"].as_str().unwrap();
        assert!(!detail.contains("signature"), "why is not the sender's business: {detail}");
    }
    let told: Value = serde_json::from_slice(&ops.arrivals(1)[0].body).unwrap();
    assert_eq!(told["type"], "postrider.source.verification_failed");
    assert_eq!(
        (&told["data"]["source"], &told["data"]["reason"]),
        (&"github".into(), &"no_match".into())
    );
    assert_eq!(receive(&home, &github(BODY, "1")).status, 200);
    delivered(&daemon, 2);
    assert_eq!((receiver.so_far().len(), ops.so_far().len()), (1, 1));
    let log = daemon.log();
    assert!(log.contains("source.unverified") && !log.contains(SECRET) && !log.contains("sha1=00"));
    let metrics = daemon.ask(&Request::new("GET", "/metrics")).body;
    let metrics = String::from_utf8(metrics).unwrap();
    let refused = "events_refused_total{source=\"github\",reason=\"unverified\"} 3";
    assert!(metrics.contains(refused), "{metrics}");
    assert!(metrics.contains("listener=\"http\""), "{metrics}");
    let source = daemon.show("/v1/sources/github");
    assert_eq!((&source["refused"], &source["path"]), (&3.into(), &"/in/github".into()));
}

#[test]
fn a_request_that_is_old_is_refused_also_where_it_is_signed() {
    let receiver = Receiver::start();
    let home = home("stripe", "stripe", "tolerance = \"1m\"")
        .more(&source("lasting", "stripe", "tolerance = \"0\""))
        .endpoint("billing", &receiver, "");
    let daemon = home.start();
    assert_eq!(receive(&home, &stripe("/in/stripe", BODY, 120)).status, 401);
    assert_eq!(receive(&home, &stripe("/in/stripe", BODY, 20)).status, 200);
    assert_eq!(receive(&home, &stripe("/in/stripe", BODY, 0)).status, 200, "the same event");
    let other = "{\"id\":\"evt_1\",\"type\":\"invoice.void\"}";
    assert_eq!(receive(&home, &stripe("/in/stripe", other, 0)).status, 200, "its id, and not it");
    daemon.logged("source.said_otherwise");
    assert_eq!(receive(&home, &stripe("/in/lasting", BODY, 9_999)).status, 200);
    let mut types: Vec<_> = receiver
        .arrivals(2)
        .iter()
        .map(|arrival| arrival.headers["postrider-event-type"].clone())
        .collect();
    types.sort();
    assert_eq!(types, ["lasting.invoice.paid", "stripe.invoice.paid"]);
    delivered(&daemon, 2);
    assert_eq!(receiver.so_far().len(), 2);
}

#[test]
fn signatures_of_the_same_names_do_not_hide_each_other() {
    let receiver = Receiver::start();
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let home = Home::new();
    let socket = format!("unix:{}", home.path("http.sock").display());
    let home = home.set("POSTRIDER_LISTEN__HTTP", socket).more(&format!(
        "[[source]]\nname = \"shop\"\npath = \"/in\"\nverify = \"standardwebhooks\"\n\
         secret = {{ value = \"{secret}\" }}\nevent_type = \"order.paid\"\ntype_prefix = \"\"\n\
         [[source]]\nname = \"token\"\npath = \"/token\"\nverify = \"shared_token\"\n\
         secret = {{ value = \"{SECRET}\" }}\n"
    ));
    let own = "secret = { value = \"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD\" }";
    let home = home.endpoint("billing", &receiver, own);
    let daemon = home.start();
    let at = now_secs();
    let key = postrider::policy::keys::SigningKey::parse(secret).unwrap();
    let list = postrider::policy::sign::sign(&[key], "msg_1", at, BODY.as_bytes());
    let request = Request::post("/in", BODY)
        .header("webhook-id", "msg_1")
        .header("webhook-timestamp", &at.to_string())
        .header("webhook-signature", &list)
        .header("postrider-signature", "v1,made-up");
    assert_eq!(receive(&home, &request).status, 200);
    let headers = receiver.arrivals(1).remove(0).headers;
    assert_eq!((headers["webhook-id"].as_str(), &headers["webhook-signature"]), ("msg_1", &list));
    assert!(headers["postrider-id"].starts_with("evt_"));
    let ours = &headers["postrider-signature"];
    assert!(ours.starts_with("v1,") && ours != "v1,made-up", "{ours}");
    assert_eq!(headers["postrider-event-type"], "order.paid");

    let request = Request::post("/token", BODY).header("x-webhook-token", SECRET);
    assert_eq!(receive(&home, &request).status, 200);
    let headers = receiver.arrivals(2).remove(1).headers;
    assert!(!headers.contains_key("x-webhook-token"), "the secret itself goes nowhere");
    assert!(headers.contains_key("webhook-id"));
    delivered(&daemon, 2);
    let event = daemon.show(&format!("/v1/events/{}", headers["webhook-id"]));
    assert!(!event.to_string().contains(SECRET), "{event}");
}

/// Where neither id nor type are signed, what was signed counts, as long as its time fits.
#[test]
fn what_is_played_back_under_another_id_is_known() {
    let receiver = Receiver::start();
    let home = home("shop", "generic_ts_hmac", "").endpoint("billing", &receiver, "");
    let daemon = home.start();
    let at = now_secs();
    let signature = signed(&format!("{at}.{BODY}"));
    let ask = |id: &str| {
        let request = Request::post("/in/shop?tenant=7", BODY)
            .header("x-timestamp", &at.to_string())
            .header("x-signature", &signature)
            .header("x-event-id", id)
            .header("webhook-id", "not ours");
        receive(&home, &request)
    };
    let first = ask("1");
    let id = &first.headers["postrider-event-id"];
    for other in ["1", "2", "3"] {
        let again = ask(other);
        assert_eq!((again.status, &again.headers["postrider-event-id"]), (200, id), "{other}");
    }
    let arrival = receiver.arrivals(1).remove(0);
    assert_eq!(&arrival.headers["webhook-id"], id, "no header hides ours");
    assert_eq!(arrival.headers["postrider-query"], "tenant=7");
    delivered(&daemon, 1);
    assert_eq!(receiver.so_far().len(), 1);
}

#[test]
fn a_provider_that_asks_first_is_answered_if_it_proves_itself() {
    let receiver = Receiver::start();
    let home = home("slack", "slack", "").endpoint("chat", &receiver, "");
    let daemon = home.start();
    let body = "{\"type\":\"url_verification\",\"challenge\":\"3eZbrw1aB\"}";
    let ask = |at: u64, signature: &str| {
        Request::post("/in/slack", body)
            .header("x-slack-request-timestamp", &at.to_string())
            .header("x-slack-signature", signature)
    };
    let at = now_secs();
    let good = receive(&home, &ask(at, &format!("v0={}", signed(&format!("v0:{at}:{body}")))));
    assert_eq!((good.status, good.json()), (200, serde_json::json!({ "challenge": "3eZbrw1aB" })));
    let bad = receive(&home, &ask(at, &format!("v0={}", signed("else"))));
    assert_eq!(bad.status, 401);
    assert!(!String::from_utf8_lossy(&bad.body).contains("3eZbrw1aB"));
    assert_eq!(daemon.show("/v1/status")["accepted"], 0, "it is no event");
}

/// What providers ask first, as the vectors beside the tests have it. Those of CloudEvents have no
/// scheme: nothing is signed there.
#[test]
fn every_handshake_of_a_known_scheme_is_met() {
    let file: Value = serde_json::from_str(include_str!("../data/signature-vectors.json")).unwrap();
    let vectors = file["vectors"].as_array().unwrap().iter();
    let vectors: Vec<_> = vectors
        .filter(|vector| vector["kind"] == "handshake" && vector["scheme"] != "cloudevents")
        .collect();
    assert!(vectors.len() >= 11);
    let mut home = Home::new();
    let socket = format!("unix:{}", home.path("http.sock").display());
    home = home.set("POSTRIDER_LISTEN__HTTP", socket);
    for (index, vector) in vectors.iter().enumerate() {
        home = home.more(&format!(
            "[[source]]\nname = \"v{index}\"\npath = \"/in/{index}\"\nverify = {}\n\
             secret = {{ value = {} }}\n",
            vector["scheme"], vector["secret"]
        ));
        home = home.more(&match vector["scheme"].as_str().unwrap() {
            "meta" => format!("verify_token = {{ value = {} }}\n", vector["secret"]),
            _ => "tolerance = \"0\"\n".to_owned(),
        });
    }
    let daemon = home.start();
    for (index, vector) in vectors.iter().enumerate() {
        let url = vector["url"].as_str().unwrap();
        let query = url.split_once('?').map(|(_, query)| format!("?{query}")).unwrap_or_default();
        let method = vector["method"].as_str().unwrap();
        let body = STANDARD.decode(vector["body_base64"].as_str().unwrap()).unwrap();
        let mut request = Request::new(method, &format!("/in/{index}{query}")).body(body);
        for (name, value) in vector["headers"].as_object().unwrap() {
            request = request.header(name, value.as_str().unwrap());
        }
        let (answer, expected) = (receive(&home, &request), &vector["expect_response"]);
        let (id, text) = (&vector["id"], String::from_utf8_lossy(&answer.body).into_owned());
        let statuses = expected["status"].as_array().unwrap();
        assert!(statuses.contains(&answer.status.into()), "{id}: {answer:?}");
        if let Some(bodies) = expected["body_any_of"].as_array() {
            let fits = |body: &Value| match body.get("json") {
                Some(json) => serde_json::from_str::<Value>(&text).is_ok_and(|own| own == *json),
                None => body["text"] == *text,
            };
            assert!(bodies.iter().any(fits), "{id}: {text}");
        }
        if let Some(secret) = expected["body_must_not_contain"].as_str() {
            assert!(!text.contains(secret), "{id}: {text}");
        }
        if let Some(media) = expected["headers_must"]["content-type"].as_str() {
            let begin = media.trim_end_matches('*');
            assert!(answer.headers["content-type"].starts_with(begin), "{id}: {answer:?}");
        }
    }
    assert_eq!(daemon.show("/v1/status")["accepted"], 0, "none of them is an event");
}

#[test]
fn other_paths_methods_and_forms_are_refused() {
    let home = home("github", "github", "max_payload = \"1KiB\"\nrate = \"1/h\"\nburst = 1");
    let daemon = home.start();
    let status = |request: &Request| receive(&home, request).status;
    assert_eq!(status(&Request::post("/in/other", BODY)), 404);
    assert_eq!(status(&Request::post("/v1/events/order.paid", BODY)), 404, "not from outside");
    assert_eq!(status(&Request::new("GET", "/in/github")), 405);
    assert_eq!(status(&github(BODY, "1").header("content-encoding", "gzip")), 415);
    assert_eq!(status(&github(&"x".repeat(1_025), "2")), 413);
    assert_eq!(status(&github(BODY, "3")), 200);
    let late = receive(&home, &github(BODY, "4"));
    assert_eq!(late.status, 429, "{late:?}");
    assert!(late.headers["retry-after"].parse::<u64>().unwrap() > 3_000);
    assert_eq!(daemon.show("/v1/status")["accepted"], 1);
}

#[test]
fn webhooks_come_in_over_tcp_and_outlive_a_crash() {
    let receiver = Receiver::start();
    receiver.always(503);
    // free a moment ago, and most likely still
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let home = Home::new()
        .set("POSTRIDER_LISTEN__HTTP", format!("tcp:{address}"))
        .more(&source("github", "github", ""))
        .endpoint("build", &receiver, "");
    let daemon = home.start();
    let answer = Connection::dial(address).unwrap().send(&github(BODY, "1")).unwrap();
    assert_eq!(answer.status, 200);
    daemon.kill();
    receiver.always(200);
    let daemon = home.start();
    delivered(&daemon, 1);
    let again = Connection::dial(address).unwrap().send(&github(BODY, "1")).unwrap();
    assert_eq!(again.headers["idempotent-replayed"], "true");
    let arrival = receiver.so_far().pop().unwrap();
    assert_eq!(arrival.headers["x-github-delivery"], "1", "headers are kept with the event");
}
