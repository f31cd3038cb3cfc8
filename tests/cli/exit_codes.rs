//! How commands end. The numbers are part of the interface.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;
use tempfile::TempDir;

use crate::world::Daemon;
use crate::world::run;

fn problem(status: u16, code: &str) -> (u16, serde_json::Value) {
    let problem = json!({
        "type": format!("urn:postrider:problem:{code}"), "title": "", "status": status,
        "code": code, "detail": "because of the test", "retryable": false,
    });
    (status, problem)
}

#[test]
fn refusals_end_with_the_code_of_their_kind() {
    let cases = [(422, 2), (404, 3), (409, 4), (410, 4), (403, 5), (503, 1), (500, 1)];
    for (status, code) in cases {
        let daemon = Daemon::scripted(vec![problem(status, "some-code")]);
        let ended = daemon.run(&["endpoint", "show", "crm"]);
        assert_eq!(ended.code, code, "{status}");
        assert_eq!(ended.stderr, "postrider: because of the test (some-code)\n");
        assert_eq!(ended.stdout, "");
    }
}

#[test]
fn a_daemon_that_is_not_there_is_code_6() {
    let ended = run(&["status", "--socket", "/nonexistent/admin.sock"]);
    assert_eq!(ended.code, 6);
    assert_eq!(
        ended.stderr,
        "postrider: cannot reach the daemon at /nonexistent/admin.sock: no such file. \
         Is it running?  systemctl status postrider\n"
    );
}

#[test]
fn nobody_behind_the_socket_is_code_6() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let ended = run(&["status", "--socket", path.to_str().unwrap()]);
    assert_eq!(ended.code, 6);
    assert!(ended.stderr.contains("nobody listens"), "{}", ended.stderr);
}

#[test]
fn a_daemon_that_does_not_answer_is_code_7() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sock");
    // connections wait in the backlog, and nobody takes them
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let ended = run(&["status", "--timeout", "50ms", "--socket", path.to_str().unwrap()]);
    assert_eq!(ended.code, 7);
    assert!(ended.stderr.contains("within 50ms"), "{}", ended.stderr);
}

#[test]
fn wrong_arguments_are_code_2() {
    for args in [
        &["status", "--output", "xml"][..],
        &["status", "--timeout", "0s"],
        &["status", "--json", "--output", "id"],
        &["delivery", "retry"],
        &["delivery", "list", "--since", "yesterday"],
        &["send", "order..created", "--data", "x"],
        &["send", "order.created"],
        &["send", "order.created", "--data", "x", "--from", "y"],
        &["event", "show", ".."],
        &[],
    ] {
        let ended = run(args);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{args:?}");
        assert!(!ended.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn health_of_a_daemon_that_is_not_there() {
    let plain = run(&["health", "--socket", "/nonexistent"]);
    assert_eq!(plain.code, 69);
    assert!(plain.stdout.starts_with("CRITICAL: cannot reach the daemon"), "{}", plain.stdout);
    let plugin = run(&["health", "--socket", "/nonexistent", "--format", "nagios"]);
    assert_eq!(plugin.code, 2);
    assert!(plugin.stdout.starts_with("CRITICAL - cannot reach"), "{}", plugin.stdout);
}

#[test]
fn a_refused_configuration_is_code_78() {
    let (status, mut refusal) = problem(422, "validation");
    refusal["errors"] =
        json!([{"pointer": "config.toml:3:1", "code": "x", "detail": "unknown key \"retries\""}]);
    let daemon = Daemon::scripted(vec![(status, refusal)]);
    let ended = daemon.run(&["reload", "--wait"]);
    assert_eq!(ended.code, 78);
    assert!(ended.stderr.contains("the old configuration stays"), "{}", ended.stderr);
    assert!(ended.stderr.contains("\n  config.toml:3:1: unknown key"), "{}", ended.stderr);
}

#[test]
fn a_configuration_with_a_warning_is_valid() {
    let home = TempDir::new().unwrap();
    let (secret, path) = (home.path().join("secret"), home.path().join("config.toml"));
    std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o644)).unwrap();
    let text = format!(
        "config_version = 1\n[[endpoint]]\nname = \"crm\"\nurl = \"https://crm.example.com/\"\n\
         secret = {{ file = \"{}\" }}\n",
        secret.display()
    );
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    let checked = run(&["config", "check", "--config", path]);
    assert_eq!(checked.code, 0, "{}", checked.stderr);
    assert!(checked.stderr.contains("can be read or changed by others"), "{}", checked.stderr);
    let end = format!("\n1 warning\n{path}: valid, 1 endpoint\n");
    assert!(checked.stderr.ends_with(&end), "{}", checked.stderr);
}
