//! One key is one event.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use serde_json::json;

use crate::harness::client::Request;
use crate::harness::daemon::Home;
use crate::harness::daemon::binary;
use crate::harness::receiver::Receiver;

fn order(key: &str, body: &str) -> Request {
    Request::post("/v1/events/order.created", body).key(key)
}

#[test]
fn the_same_request_gets_the_first_answer() {
    let receiver = Receiver::start();
    let home = Home::new().endpoint("billing", &receiver, "");
    let daemon = home.start();
    let first = daemon.submit(&order("order-42", "{\"n\":1}"));
    let again = daemon.submit(&order("order-42", "{\"n\":1}"));
    assert_eq!(first.headers.get("idempotent-replayed"), None);
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(again.headers["location"], first.headers["location"]);
    let (mut before, mut after) = (first.json(), again.json());
    assert_eq!(before["duplicate"].take(), false);
    assert_eq!(after["duplicate"].take(), true);
    assert_eq!(before, after, "all else is the same");
    let other = daemon.submit(&order("order-43", "{\"n\":1}"));
    assert_ne!(other.id(), first.id());
    let arrived: BTreeSet<_> =
        receiver.arrivals(2).iter().map(|arrival| arrival.id().to_owned()).collect();
    assert_eq!(arrived, BTreeSet::from([first.id(), other.id()]));
    daemon.stop();
    assert_eq!(receiver.so_far().len(), 2);
}

#[test]
fn another_request_with_the_same_key_is_told_of_the_first() {
    let receiver = Receiver::start();
    let home = Home::new().endpoint("billing", &receiver, "");
    let daemon = home.start();
    let first = daemon.submit(&order("order-42", "{\"n\":1}")).id();
    let others = [
        order("order-42", "{\"n\":2}"),
        Request::post("/v1/events/order.paid", "{\"n\":1}").key("order-42"),
        order("order-42", "{\"n\":1}").header("content-type", "text/plain"),
        order("order-42", "{\"n\":1}").header("postrider-tenant", "acme"),
        order("order-42", "{\"n\":1}").header("postrider-delay", "1h"),
    ];
    for other in others {
        let answer = daemon.submit(&other);
        assert_eq!(answer.status, 422, "{other:?}");
        let problem = answer.json();
        assert_eq!(problem["code"], "idempotency-key-reused");
        assert_eq!(problem["event_id"], first);
        assert!(problem["detail"].as_str().unwrap().contains(&first));
        assert_eq!(problem["retryable"], false);
    }
}

#[test]
fn many_clients_with_one_key_make_one_event() {
    let receiver = Receiver::start();
    let home = Home::new().endpoint("billing", &receiver, "");
    let daemon = home.start();
    let all: Vec<_> = std::thread::scope(|scope| {
        let submit = || daemon.submit(&order("same", "{}"));
        let clients: Vec<_> = (0..64).map(|_| scope.spawn(submit)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let ids: BTreeSet<_> = all.iter().map(|answer| answer.id()).collect();
    assert_eq!(ids.len(), 1);
    let fresh = all.iter().filter(|answer| answer.json()["duplicate"] == false).count();
    assert_eq!(fresh, 1, "one of them was the first");
    assert_eq!(daemon.show("/v1/status")["accepted"], 1);
    assert_eq!(daemon.show("/v1/status")["duplicates"], 63);
    receiver.arrivals(1);
    daemon.stop();
    assert_eq!(receiver.so_far().len(), 1);
}

#[test]
fn keys_are_known_after_a_restart_and_after_a_crash() {
    let receiver = Receiver::start();
    let home = Home::new().endpoint("billing", &receiver, "");
    let daemon = home.start();
    let first = daemon.submit(&order("order-42", "{}")).id();
    daemon.stop();
    let daemon = home.start();
    let again = daemon.submit(&order("order-42", "{}"));
    assert_eq!(
        (again.id(), again.headers["idempotent-replayed"].as_str()),
        (first.clone(), "true")
    );
    let second = daemon.submit(&order("order-43", "{}")).id();
    daemon.kill();
    let daemon = home.start();
    for (key, id) in [("order-42", &first), ("order-43", &second)] {
        assert_eq!(daemon.submit(&order(key, "{}")).id(), *id);
        assert_eq!(daemon.submit(&order(key, "[]")).json()["event_id"], **id);
    }
}

#[test]
fn keys_can_be_required_and_must_be_readable() {
    let home = Home::new().set("POSTRIDER_INGEST__IDEMPOTENCY", "required");
    let daemon = home.start();
    let without = daemon.submit(&Request::post("/v1/events/order.created", "{}"));
    assert_eq!(
        (without.status, without.json()["code"].as_str()),
        (400, Some("idempotency-key-missing"))
    );
    for wrong in [String::new(), "k".repeat(256), "a b\u{e9}".to_owned()] {
        assert_eq!(daemon.submit(&order(&wrong, "{}")).status, 422, "{wrong:?}");
    }
    assert_eq!(
        daemon.submit(&order("\"quoted\"", "{}")).id(),
        daemon.submit(&order("quoted", "{}")).id()
    );
}

#[test]
fn the_source_is_the_uid_behind_the_socket() {
    let home = Home::new();
    let daemon = home.start();
    let id = daemon.submit(&order("order-42", "{}")).id();
    let source = format!("uid:{}", rustix::process::geteuid().as_raw());
    let path = format!("/v1/events/{id}");
    assert_eq!(daemon.show(&path)["source"], source);
    let own = daemon.submit(&Request::new("GET", &path));
    assert_eq!((own.status, own.json()["source"].as_str()), (200, Some(source.as_str())));
    let other = Request::new("GET", "/v1/events/evt_01h2e8kqvbfwea724h75qc655w");
    assert_eq!(daemon.submit(&other).status, 404);
}

/// `send` as another user, who need not be known to the system. `None` where that is not possible.
#[expect(clippy::print_stdout, reason = "a test that cannot be made says so")]
fn send_as(uid: u32, home: &Home, program: &Path, key: &str, data: &str) -> Option<Output> {
    if !rustix::process::geteuid().is_root() {
        println!("not root: nobody else can be made to submit");
        return None;
    }
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={uid}"), "--clear-groups"]).arg(program);
    command.args(["send", "order.created", "--key", key, "--data", data]);
    command.env("POSTRIDER_INGEST_SOCKET", home.path("ingest.sock")).stdin(Stdio::null());
    match command.output() {
        Ok(output) => Some(output),
        Err(error) => {
            println!("setpriv: {error}: nobody else can be made to submit");
            None
        }
    }
}

#[test]
fn a_key_is_the_key_of_one_uid() {
    let home = Home::new().set("POSTRIDER_LISTEN__INGEST_MODE", "0666");
    let daemon = home.start();
    let mode = |path, bits| std::fs::set_permissions(path, PermissionsExt::from_mode(bits));
    mode(home.path(""), 0o711).unwrap();
    let program = home.path("postrider");
    std::fs::copy(binary(), &program).unwrap();
    mode(program.clone(), 0o755).unwrap();
    let first = daemon.submit(&order("order-42", "{\"n\":1}")).id();
    let send = |uid, data| send_as(uid, &home, &program, "order-42", data);
    // the same key for another payload would be refused to the first
    let Some(other) = send(65534, "{\"n\":2}") else { return };
    let said = String::from_utf8_lossy(&[other.stdout, other.stderr].concat()).into_owned();
    assert_eq!(other.status.code(), Some(0), "{said}");
    assert!(!said.contains("known already") && !said.contains(&first), "{said}");
    let again = send(65534, "{\"n\":2}").unwrap();
    assert!(String::from_utf8_lossy(&again.stdout).contains("known already"), "{again:?}");
    assert_eq!(send(65533, "{\"n\":2}").unwrap().status.code(), Some(0), "nor is it of a group");
    let again = daemon.submit(&order("order-42", "{\"n\":1}"));
    assert_eq!((again.id(), &again.json()["duplicate"]), (first, &json!(true)));
    let status = daemon.show("/v1/status");
    assert_eq!((&status["accepted"], &status["duplicates"]), (&json!(3), &json!(2)));
    let events = daemon.show("/v1/events")["data"].clone();
    let sources: Vec<_> = events.as_array().unwrap().iter().map(|e| e["source"].clone()).collect();
    assert_eq!(sources, ["uid:65533", "uid:65534", "uid:0"], "newest first");
}

#[test]
fn one_key_cannot_stand_for_a_batch() {
    let home = Home::new();
    let daemon = home.start();
    let events = "{\"type\":\"order.created\",\"data\":1}\n".repeat(2);
    let cloud = r#"[{"specversion":"1.0","id":"1","source":"/shop","type":"order.created"}]"#;
    let batches = [
        Request::post("/v1/events:batch", events),
        Request::post("/v1/events", cloud)
            .header("content-type", "application/cloudevents-batch+json"),
    ];
    for batch in batches {
        let refused = daemon.submit(&batch.key("order-42"));
        assert_eq!((refused.status, refused.json()["code"].as_str()), (422, Some("validation")));
        assert!(refused.json()["detail"].as_str().unwrap().contains("idempotency_key"));
    }
    assert_eq!(daemon.show("/v1/status")["accepted"], 0);
}

#[test]
fn the_keys_of_a_batch_are_those_of_its_events() {
    let receiver = Receiver::start();
    let home = Home::new().endpoint("billing", &receiver, "");
    let daemon = home.start();
    let first = daemon.submit(&order("known", "1").header("content-type", "application/json")).id();
    let event = |key: &str, data: u32| {
        let event = json!({"type": "order.created", "data": data, "idempotency_key": key});
        format!("{event}\n")
    };
    let batch = event("known", 1) + &event("new", 2) + &event("new", 2) + &event("known", 3);
    let whole = daemon.submit(&Request::post("/v1/events:batch", &batch));
    assert_eq!((whole.status, &whole.json()["event_id"]), (422, &json!(first)), "all or none");
    let twice = event("twice", 1) + &event("twice", 2);
    let twice = daemon.submit(&Request::post("/v1/events:batch", twice));
    assert_eq!(twice.status, 422, "nor two of one key");
    assert_eq!(daemon.show("/v1/status")["accepted"], 1);
    let answer = daemon.submit(&Request::post("/v1/events:batch?partial=1", batch));
    assert_eq!(answer.status, 207);
    let results = answer.json()["results"].clone();
    assert_eq!((&results[0]["id"], &results[0]["duplicate"]), (&json!(first), &json!(true)));
    assert_eq!((&results[1]["id"], &results[1]["duplicate"]), (&results[2]["id"], &json!(false)));
    assert_eq!(results[2]["duplicate"], true);
    assert_eq!(
        (&results[3]["status"], &results[3]["problem"]["event_id"]),
        (&json!(422), &json!(first))
    );
    daemon.until("both are delivered", || daemon.show("/v1/status")["delivered"] == 2);
    assert_eq!(receiver.so_far().len(), 2);
}
