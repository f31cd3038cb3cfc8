//! The demo holds what it promises, and leaves nothing behind.
#![expect(clippy::unwrap_used, reason = "where the demo cannot run, the test has failed")]

use std::fs;
use std::process::Command;
use std::process::Output;

use tempfile::TempDir;

fn demo(place: &TempDir, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postrider"));
    command.arg("demo").args(args).env("TMPDIR", place.path());
    // what would break a daemon that listened to it
    command.env("POSTRIDER_STORAGE__PATH", "relative").output().unwrap()
}

#[test]
fn shows_deliveries_retries_and_a_crash_without_loss() {
    let place = TempDir::new().unwrap();
    let ended = demo(&place, &[]);
    let shown = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{shown}\n{}", String::from_utf8_lossy(&ended.stderr));
    for claim in [
        "ok: 3 of 3 arrived, signatures verified",
        "ok: delivered by the 4th attempt",
        "Deliveries: acknowledged 800, delivered 800, lost 0, duplicates",
        "ok: nothing that was acknowledged was lost",
        "All checks passed in ",
    ] {
        assert!(shown.contains(claim), "{claim:?} is not in:\n{shown}");
    }
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0, "something is left");
}

#[test]
fn says_why_it_cannot_run() {
    let place = TempDir::new().unwrap();
    let nowhere = place.path().join("missing");
    let mut command = Command::new(env!("CARGO_BIN_EXE_postrider"));
    let ended = command.arg("demo").env("TMPDIR", &nowhere).output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(said.contains("cannot make") && said.contains("No such file"), "{said}");
}

#[test]
fn keeps_the_directory_when_asked() {
    let place = TempDir::new().unwrap();
    let ended = demo(&place, &["--keep"]);
    assert!(ended.status.success());
    let left = fs::read_dir(place.path()).unwrap().next().unwrap().unwrap().path();
    assert!(left.join("store").is_dir());
    let mut check = Command::new(env!("CARGO_BIN_EXE_postrider"));
    let checked = check.args(["config", "check", "--config"]).arg(left.join("config.toml"));
    assert!(checked.output().unwrap().status.success());
}
