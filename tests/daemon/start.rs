//! When it cannot start, it says why, and its exit code says what kind of reason it is.

use std::os::unix::fs::PermissionsExt;

use crate::harness::client::Request;
use crate::harness::daemon::Home;
use crate::harness::receiver::Receiver;

/// The store: nothing that a restart repairs.
const STORE: Option<i32> = Some(74);
/// The configuration, which a person has to change.
const CONFIG: Option<i32> = Some(78);

/// Runs a daemon that does not start; its exit code and what it says.
fn refused(home: &Home) -> (Option<i32>, String) {
    let mut daemon = home.spawn(home.command());
    let code = daemon.exit_code();
    let log = daemon.log();
    assert!(!log.contains("daemon.ready"), "{log}");
    (code, log)
}

fn assert_refused(home: &Home, code: Option<i32>, words: &[&str]) {
    let (got, log) = refused(home);
    assert_eq!(got, code, "{log}");
    for word in words {
        assert!(log.contains(word), "{word:?}: {log}");
    }
}

#[test]
fn a_second_daemon_on_the_same_store_is_refused() {
    let home = Home::new();
    let daemon = home.start();
    assert_refused(&home, STORE, &["in use by another process", "running already"]);
    let other = home.path("other.sock");
    let home = home.set("POSTRIDER_LISTEN__INGEST", format!("unix:{}", other.display()));
    assert_refused(&home, STORE, &["in use by another process"]);
    assert_eq!(daemon.submit(&Request::post("/v1/events/a", "")).status, 202, "the first goes on");
}

#[test]
fn a_second_daemon_on_the_same_sockets_is_refused() {
    let home = Home::new();
    let daemon = home.start();
    let store = home.path("other").into_os_string();
    let home = home.set("POSTRIDER_STORAGE__PATH", store);
    assert_refused(&home, Some(1), &["ingest.sock", "another process is listening"]);
    assert_eq!(daemon.submit(&Request::post("/v1/events/a", "")).status, 202, "the first goes on");
}

#[test]
fn a_socket_that_was_left_behind_is_replaced_and_a_file_is_not() {
    let home = Home::new();
    home.start().kill();
    assert!(home.path("ingest.sock").exists(), "a crash leaves it");
    home.start().stop();
    std::fs::write(home.path("ingest.sock"), "precious").unwrap();
    assert_refused(&home, Some(1), &["ingest.sock", "not a socket"]);
    assert_eq!(std::fs::read(home.path("ingest.sock")).unwrap(), b"precious");
}

#[test]
fn a_wrong_path_is_named() {
    let home = Home::new();
    home.write_config();
    let missing = home.path("a/b");
    let home = home.set("POSTRIDER_STORAGE__PATH", missing.as_os_str());
    assert_refused(&home, STORE, &[missing.to_str().unwrap(), "no such directory"]);
    let file = home.path("file");
    std::fs::write(&file, "").unwrap();
    let home = home.set("POSTRIDER_STORAGE__PATH", file.as_os_str());
    assert_refused(&home, STORE, &[file.to_str().unwrap(), "not a directory"]);
}

#[test]
fn a_store_of_another_user_is_named() {
    if rustix::process::geteuid().is_root() {
        println!("skipped: nothing is forbidden to root");
        return;
    }
    let home = Home::new();
    home.start().stop();
    let mode = |mode| std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(home.path("store"), mode(0)).unwrap();
    assert_refused(&home, STORE, &[home.path("store").to_str().unwrap(), "permission denied"]);
    std::fs::set_permissions(home.path("store"), mode(0o700)).unwrap();
}

#[test]
fn a_store_of_a_later_version_is_not_touched() {
    let home = Home::new();
    home.start().stop();
    let note = home.path("store/outbox/format");
    let ours = std::fs::read(&note).unwrap();
    std::fs::write(&note, "99\n").unwrap();
    assert_refused(&home, STORE, &["its format is 99"]);
    std::fs::write(&note, ours).unwrap();
    home.start().stop();
}

#[test]
fn a_wrong_configuration_is_refused_with_every_place() {
    let home = Home::new();
    assert_refused(&home, CONFIG, &["config.toml"]);
    let path = home.write_config();
    let text = std::fs::read_to_string(&path).unwrap();
    let wrong = text.replace("ballast = \"1MiB\"", "balast = \"1MiB\"");
    std::fs::write(&path, wrong.replace("jitter = 0.0", "jitter = 7")).unwrap();
    let at = |key: &str| {
        let text = std::fs::read_to_string(&path).unwrap();
        let line = 1 + text.lines().position(|line| line.starts_with(key)).unwrap();
        format!("config.toml:{line}:")
    };
    assert_refused(&home, CONFIG, &[&at("balast"), "`ballast`", &at("jitter"), "2 errors"]);
    assert!(!home.path("store").exists(), "nothing was begun");
}

#[test]
fn an_endpoint_that_must_not_be_called_is_refused() {
    let receiver = Receiver::start();
    let home = Home::new().endpoint("billing", &receiver, "https_only = true");
    home.write_config();
    assert_refused(&home, CONFIG, &["endpoint[0].url", "must be https"]);
}
