//! The commands of submitters and developers, with a daemon between them.

use std::io::BufRead;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use serde_json::Value;

use crate::harness::client::Request;
use crate::harness::daemon::Home;
use crate::harness::daemon::binary;
use crate::harness::receiver::Receiver;
use crate::signing::check;
use crate::signing::secret;

/// `postrider listen` on a free port; killed at the end of the test if it has not ended before.
struct Listener {
    child: Option<Child>,
    url: String,
}

impl Listener {
    fn start(home: &Home, secret: &str, args: &[&str]) -> Listener {
        let mut command = Command::new(binary());
        command.env_clear().args(["listen", "127.0.0.1:0", "--secret-file"]);
        command.arg(file(home, &format!("listen-{}", args.concat()), secret)).args(args);
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
        let url = said.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
        Listener { url: format!("{url}/hook"), child: Some(child) }
    }

    /// Waits for its end: exit code and lines.
    fn ended(mut self) -> (Option<i32>, Vec<String>) {
        let output = self.child.take().unwrap().wait_with_output().unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), shown.lines().map(str::to_owned).collect())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // it may have ended already
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn file(home: &Home, name: &str, content: &str) -> PathBuf {
    let path = home.path(&name.replace(['/', ':'], "-"));
    std::fs::write(&path, content).unwrap();
    path
}

pub(crate) fn postrider(home: &Home, args: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.env_clear().env("POSTRIDER_SOCKET", home.path("admin.sock"));
    command.env("POSTRIDER_INGEST_SOCKET", home.path("ingest.sock"));
    command.args(args).stdin(Stdio::null()).output().unwrap()
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

fn signed_by(secret: &str) -> String {
    format!("secret = {{ value = \"{secret}\" }}")
}

#[test]
fn a_listener_fails_as_told_and_send_waits_until_it_recovers() {
    let (home, secret) = (Home::new(), secret(1));
    let failing = ["--fail-each", "503x2", "--json", "--max", "3"];
    let listener = Listener::start(&home, &secret, &failing);
    let home = home.endpoint_at("billing", &listener.url, &signed_by(&secret));
    let _daemon = home.start();
    let sent = postrider(&home, &["send", "order.created", "--data", "{\"n\": 1}", "--wait"]);
    assert_eq!(sent.status.code(), Some(0), "{}", said(&sent));
    assert!(said(&sent).contains("billing   delivered ok"), "{}", said(&sent));
    let (code, lines) = listener.ended();
    assert_eq!((code, lines.len()), (Some(0), 3), "{lines:?}");
    let heard: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (index, one) in heard.iter().enumerate() {
        assert_eq!((&one["id"], &one["signature"]), (&heard[0]["id"], &Value::from("ok")));
        assert_eq!(one["attempt"], index + 1);
    }
}

#[test]
fn a_listener_drops_connections_and_prints_arrows() {
    let (home, secret) = (Home::new(), secret(1));
    let listener = Listener::start(&home, &secret, &["--fail", "dropx1", "--max", "2"]);
    let home = home.endpoint_at("billing", &listener.url, &signed_by(&secret));
    let daemon = home.start();
    let id = daemon.submit(&Request::post("/v1/events/order.created", "{}")).id();
    daemon.until("it is delivered", || daemon.show("/v1/status")["delivered"] == 1);
    let (code, lines) = listener.ended();
    let parts = [
        format!("--> order.created [{id}] 2 B application/octet-stream signature ok"),
        "<-- [dropped]".to_owned(),
        "signature ok (attempt 2)".to_owned(),
        "<-- [200]".to_owned(),
    ];
    assert_eq!((code, lines.len()), (Some(0), parts.len()), "{lines:?}");
    for (line, part) in lines.iter().zip(parts) {
        assert!(line.contains(&part), "{part} in {line}");
    }
}

#[test]
fn a_listener_hands_on_what_it_was_sent_byte_for_byte() {
    let (home, secret, program) = (Home::new(), secret(1), Receiver::start());
    let url = program.url();
    let listener = Listener::start(&home, &secret, &["--forward-to", &url, "--max", "2"]);
    let home = home.endpoint_at("billing", &listener.url, &signed_by(&secret));
    let daemon = home.start();
    program.then(500, "");
    let body = b"{ \"odd\" :\t1.10 }\xff";
    let id = daemon.submit(&Request::post("/v1/events/order.created", body)).id();
    let arrivals = program.arrivals(2);
    for arrival in arrivals {
        assert_eq!((arrival.id(), arrival.body.as_slice()), (id.as_str(), &body[..]));
        assert_eq!(check(&arrival, &secret), Ok(()), "the program can verify it by itself");
    }
    daemon.until("it is delivered", || daemon.show("/v1/status")["delivered"] == 1);
    let (code, lines) = listener.ended();
    assert_eq!(code, Some(0));
    assert!(lines[1].contains(&format!("<-- [500] POST {url}")), "{lines:?}");
}

#[test]
fn a_listener_with_another_secret_ends_with_code_1() {
    let home = Home::new();
    let listener = Listener::start(&home, &secret(1), &["--max", "1"]);
    let home = home.endpoint_at("billing", &listener.url, &signed_by(&secret(2)));
    let daemon = home.start();
    daemon.submit(&Request::post("/v1/events/order.created", "{}"));
    let (code, lines) = listener.ended();
    assert_eq!(code, Some(1), "{lines:?}");
    assert!(lines[1].contains("<-- [401]"), "{lines:?}");
}

#[test]
fn send_tells_what_became_of_the_event_by_its_code() {
    let receiver = Receiver::start();
    receiver.always(500);
    let home = Home::new().endpoint("billing", &receiver, "retry = { max_attempts = 1 }");
    let _daemon = home.start();
    let send = |args: &[&str]| postrider(&home, &[&["send", "order.created"], args].concat());
    let dead = send(&["--data", "1", "--wait"]);
    assert_eq!(dead.status.code(), Some(8), "{}", said(&dead));
    let late = send(&["--data", "2", "--delay", "1h", "--wait", "--timeout", "2s"]);
    assert_eq!(late.status.code(), Some(7), "{}", said(&late));
    assert!(said(&late).contains("billing   waiting, next attempt in "), "{}", said(&late));
    assert_eq!(send(&["--data", "3", "--key", "k"]).status.code(), Some(0));
    let other = send(&["--data", "4", "--key", "k"]);
    assert_eq!(other.status.code(), Some(2));
    assert!(said(&other).contains("idempotency-key-reused"), "{}", said(&other));
}

#[test]
fn a_file_of_events_is_sent_whole_or_what_is_valid_of_it() {
    let receiver = Receiver::start();
    let home = Home::new().endpoint("billing", &receiver, "");
    let daemon = home.start();
    let lines = "{\"type\":\"order.created\",\"data\":1}\n{\"type\":\"order..x\",\"data\":2}\n";
    let path = file(&home, "events.ndjson", lines);
    let send = |more: &[&str]| {
        postrider(&home, &[&["send", "--from", path.to_str().unwrap()], more].concat())
    };
    let whole = send(&[]);
    assert_eq!(whole.status.code(), Some(2));
    assert!(said(&whole).contains("line 2 /type"), "{}", said(&whole));
    assert_eq!(daemon.show("/v1/status")["accepted"], 0);
    let partial = send(&["--partial"]);
    assert_eq!(partial.status.code(), Some(2), "one was rejected");
    assert!(said(&partial).contains("accepted 1 event, rejected 1"), "{}", said(&partial));
    assert_eq!(receiver.arrivals(1)[0].body, b"1");
}

/// What commands are told of in other tests by a script, they are told here by the daemon itself.
#[test]
fn every_command_understands_the_daemon() {
    let receiver = Receiver::start();
    receiver.always(410);
    let home = Home::new().endpoint("billing", &receiver, "");
    let daemon = home.start();
    let answer = daemon.submit(&Request::post("/v1/events/order.created", "{}")).json();
    let (event, delivery) = (&answer["id"], &answer["deliveries"][0]["id"]);
    let (event, delivery) = (event.as_str().unwrap(), delivery.as_str().unwrap());
    daemon.until("it is dead", || daemon.show("/v1/status")["dead"] == 1);
    receiver.always(200);
    let script = [
        ("status", "! billing is disabled: the endpoint answered 410."),
        ("health", "WARNING: billing is disabled"),
        ("event list", event),
        ("event show EVENT", delivery),
        ("event show EVENT --payload", "{}"),
        ("delivery list --state dead --outcome http_410 --since 1h", delivery),
        ("delivery show DELIVERY", "dead: refused for good"),
        ("endpoint list", "billing\tdisabled"),
        ("endpoint show billing", "the endpoint answered 410"),
        ("endpoint resume billing", "It stays so: postrider endpoint enable billing"),
        ("endpoint enable billing", "billing is active"),
        ("endpoint pause billing --reason weekend", "billing is paused"),
        ("replay --endpoint billing --dry-run", "Would send 1 delivery again"),
        ("replay --endpoint billing", "again"),
        ("delivery list --state held", "paused by uid:"),
        ("delivery cancel DELIVERY --yes", "cancelled"),
        ("endpoint resume billing", "billing is active"),
        ("delivery retry DELIVERY", delivery),
        ("endpoint test billing", "billing   ok 200 in"),
        ("drain", "draining"),
        ("drain --resume", "running"),
        ("reload", "reloaded, nothing changed"),
    ];
    for (line, part) in script {
        let line = line.replace("EVENT", event).replace("DELIVERY", delivery);
        let ended = postrider(&home, &line.split(' ').collect::<Vec<_>>());
        assert!(ended.status.success(), "{line}: {}", said(&ended));
        assert!(said(&ended).contains(part), "{line}: {part:?} in {}", said(&ended));
    }
}
