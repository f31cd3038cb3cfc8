//! `postrider replay`, against a daemon that answers from a script.

use serde_json::Value;
use serde_json::json;

use crate::world::Daemon;

const ID: &str = "rpl_01kawg3x4bfwea724h75qc655w";

fn found(matched: u64) -> Value {
    json!({"matched": matched, "expired": 1, "dry_run": true})
}

fn replay(state: &str, submitted: u64) -> Value {
    json!({
        "id": ID, "action": "replay", "filter": {"state": "dead", "endpoint": "crm"},
        "rate": "100/s", "actor": "uid:0", "created_at": "2026-11-21T10:00:00.000Z",
        "state": state, "matched": 41, "submitted": submitted, "expired": 1, "skipped": 0,
    })
}

#[test]
fn it_is_counted_first_and_watched_to_its_end() {
    let daemon = Daemon::scripted(vec![
        (200, found(41)),
        (202, replay("running", 0)),
        (200, replay("running", 20)),
        (200, replay("done", 40)),
    ]);
    let done = daemon.run(&["replay", "--endpoint", "crm", "--rate", "50/s"]);
    let line = format!("{ID} done: 40 of 41 sent again, 1 without payload\n");
    assert_eq!((done.code, done.stdout), (0, line));
    let said = format!(
        "Would send 40 deliveries again. Of 1 more the payload is gone.\n\
         {ID} runs at 100/s at most.\n"
    );
    assert_eq!(done.stderr, said);
    let body =
        |daemon: &Daemon| -> Value { serde_json::from_slice(&daemon.request().body).unwrap() };
    let (dry, wet) = (body(&daemon), body(&daemon));
    assert_eq!((&dry["dry_run"], &wet["dry_run"]), (&json!(true), &json!(false)));
    assert_eq!((&wet["filter"]["state"], &wet["rate"]), (&json!("dead"), &json!("50/s")));
    assert_eq!(daemon.request().line, format!("GET /v1/replays/{ID}"));
}

#[test]
fn many_are_sent_again_only_if_somebody_says_so() {
    let daemon = Daemon::scripted(vec![(200, found(41)), (200, found(1_001)), (200, found(0))]);
    let dry = daemon.run(&["replay", "--dry-run", "--output", "id"]);
    assert_eq!((dry.code, dry.stdout.as_str()), (0, "41\n"));
    let many = daemon.run(&["replay"]);
    assert_eq!(many.code, 2);
    assert!(many.stderr.ends_with("Confirm with --yes.\n"), "{}", many.stderr);
    assert_eq!(daemon.run(&["replay"]).code, 3, "nothing matched");
}

#[test]
fn whoever_does_not_wait_is_told_the_id() {
    let daemon = Daemon::scripted(vec![
        (200, found(41)),
        (202, replay("running", 0)),
        (200, json!({"data": [replay("running", 7)], "next_cursor": null})),
        (200, replay("running", 7)),
        (200, replay("cancelled", 7)),
    ]);
    let begun = daemon.run(&["replay", "--detach", "--quiet"]);
    assert_eq!((begun.code, begun.stdout), (0, format!("{ID}\n")));
    let list = daemon.run(&["replay", "list"]);
    assert!(list.stdout.starts_with(&format!("{ID}\treplay\trunning\t")), "{}", list.stdout);
    let shown = daemon.run(&["replay", "show", &ID[..14]]);
    let line = format!("{ID} running: 7 of 41 sent again, 1 without payload\n");
    assert!(shown.stdout.starts_with(&line), "{}", shown.stdout);
    assert!(shown.stdout.ends_with("Filter     dead, to crm\n"), "{}", shown.stdout);
    let ended = daemon.run(&["replay", "cancel", ID]);
    assert!(ended.stdout.starts_with(&format!("{ID} cancelled: 7 of 41")), "{}", ended.stdout);
}

#[test]
fn many_are_put_on_hold_released_or_cancelled_by_a_filter() {
    let done = |action: &str| {
        let mut done = replay("done", 40);
        done["action"] = json!(action);
        done
    };
    let daemon = Daemon::scripted(vec![(200, found(41)), (202, done("hold")), (200, found(41))]);
    let held = daemon.run(&["delivery", "hold", "--endpoint", "crm", "--type", "order.*"]);
    assert_eq!(held.code, 0, "{}", held.stderr);
    assert!(held.stdout.contains("done: 40 of 41 put on hold"), "{}", held.stdout);
    assert!(held.stderr.starts_with("Would put 40 deliveries on hold."), "{}", held.stderr);
    let body: Value = serde_json::from_slice(&daemon.request().body).unwrap();
    assert_eq!((&body["action"], &body["filter"]["type"]), (&json!("hold"), &json!("order.*")));
    assert_eq!(body["filter"]["state"], json!(null));
    daemon.request();
    let dry = daemon.run(&["delivery", "cancel", "--state", "held", "--dry-run"]);
    assert_eq!(
        (dry.code, dry.stdout.as_str()),
        (0, "Would cancel 40 deliveries. Of 1 more the payload is gone.\n")
    );
    let body: Value = serde_json::from_slice(&daemon.request().body).unwrap();
    assert_eq!((&body["action"], &body["filter"]["state"]), (&json!("cancel"), &json!("held")));
    for all in ["cancel", "hold", "release"] {
        let refused = daemon.run(&["delivery", all]);
        assert_eq!(refused.code, 2, "it does not say which");
    }
    let both = daemon.run(&["delivery", "release", ID, "--endpoint", "crm"]);
    assert_eq!(both.code, 2);
}

#[test]
fn a_standing_hold_is_for_a_type_and_also_where_nothing_waits() {
    let nothing = json!({"matched": 0, "expired": 0, "dry_run": true, "standing": true});
    let hold = json!({
        "id": ID, "type": "order.*", "since": "2026-11-21T10:00:00.000Z", "actor": "uid:0",
    });
    let daemon = Daemon::scripted(vec![
        (200, nothing),
        (202, replay("done", 0)),
        (200, json!({"data": [hold], "next_cursor": null})),
    ]);
    let held = daemon.run(&["delivery", "hold", "--type", "order.*", "--standing"]);
    assert_eq!(held.code, 0, "{}", held.stderr);
    assert_eq!(
        held.stderr.lines().next(),
        Some("Would put 0 deliveries on hold, and what comes in.")
    );
    let body: Value = serde_json::from_slice(&daemon.request().body).unwrap();
    assert_eq!((&body["standing"], &body["filter"]["type"]), (&json!(true), &json!("order.*")));
    let holds = daemon.run(&["delivery", "holds"]);
    assert_eq!(holds.stdout, format!("order.*\tall\t2026-11-21T10:00:00.000Z\tuid:0\t{ID}\n"));
    for more in [&["--endpoint", "crm"][..], &["--type", "a", "--state", "waiting"], &[ID]] {
        let refused = daemon.run(&[&["delivery", "hold", "--standing"], more].concat());
        assert_eq!(refused.code, 2, "{more:?}");
    }
}
