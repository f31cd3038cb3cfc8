//! The systemd units agree with the defaults of the configuration, and stay hardened.

use std::path::Path;
use std::process::Command;

use postrider::config::Config;
use postrider::config::STOP_TIMEOUT;
use postrider::config::value::UnixSocket;

/// The worst exposure that `systemd-analyze security` may find, in tenths.
const EXPOSURE_MAX: &str = "15";

const SERVICE: &str = include_str!("../systemd/postrider.service");
const INGEST: &str = include_str!("../systemd/postrider.socket");
const ADMIN: &str = include_str!("../systemd/postrider-admin.socket");
const USERS: &str = include_str!("../systemd/postrider.sysusers");
const MANIFEST: &str = include_str!("../Cargo.toml");
const CHANGELOG: &str = include_str!("../systemd/deb/changelog");

/// All values of a key of a unit.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    let lines = unit.lines().filter_map(|line| line.split_once('='));
    lines.filter(|(name, _)| *name == key).map(|(_, value)| value).collect()
}

fn value<'a>(unit: &'a str, key: &str) -> &'a str {
    match values(unit, key).as_slice() {
        [one] => one,
        other => panic!("{key} has the values {other:?}"),
    }
}

fn assert_socket(unit: &str, name: &str, at: &UnixSocket, mode: &str, group: &str) {
    assert_eq!(value(unit, "FileDescriptorName"), name);
    assert_eq!(value(unit, "Service"), "postrider.service");
    assert_eq!(Path::new(value(unit, "ListenStream")), at.path());
    assert_eq!(value(unit, "SocketMode"), mode);
    assert_eq!(value(unit, "SocketGroup"), group);
    let declared = USERS.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.starts_with(&["g", group])
    });
    assert!(declared, "nobody makes the group {group}");
}

#[test]
fn sockets_are_where_the_configuration_expects_them() {
    let listen = Config::default().listen;
    let ingest_mode = listen.ingest_mode.to_string();
    assert_socket(INGEST, "ingest", &listen.ingest, &ingest_mode, &listen.ingest_group);
    let admin_mode = listen.admin_mode.to_string();
    assert_socket(ADMIN, "admin", &listen.admin, &admin_mode, &listen.admin_group);
}

#[test]
fn directories_are_those_of_the_configuration() {
    let config = Config::default();
    let state = Path::new("/var/lib").join(value(SERVICE, "StateDirectory"));
    assert_eq!(state, config.storage.path);
}

/// The directory of the sockets is theirs, and root's: as a runtime directory of the service, all
/// in it would be given to the daemon's user and group, whatever the socket units say.
#[test]
fn the_directory_of_the_sockets_is_not_the_daemons() {
    assert_eq!(values(SERVICE, "RuntimeDirectory"), [] as [&str; 0]);
    for unit in [INGEST, ADMIN] {
        assert_eq!(value(unit, "DirectoryMode"), "0755");
    }
}

#[test]
fn a_stop_lasts_longer_than_a_drain() {
    let seconds: u64 = value(SERVICE, "TimeoutStopSec").parse().unwrap();
    assert_eq!(seconds, STOP_TIMEOUT.get().as_secs());
    assert!(seconds > Config::default().delivery.drain_timeout.get().as_secs());
}

#[test]
fn the_daemon_may_install_its_own_system_call_filter() {
    let filters = values(SERVICE, "SystemCallFilter");
    let last = filters.iter().rposition(|filter| filter.split(' ').any(|call| call == "seccomp"));
    assert_eq!(last, Some(filters.len() - 1), "allowed after everything that is not: {filters:?}");
    assert_eq!(value(SERVICE, "NoNewPrivileges"), "yes");
}

#[test]
fn a_wrong_configuration_is_not_restarted() {
    assert_eq!(value(SERVICE, "RestartPreventExitStatus"), "78");
    assert_eq!(values(SERVICE, "ExecStartPre"), [] as [&str; 0]);
    let start = value(SERVICE, "ExecStart");
    assert!(start.starts_with("/usr/bin/postrider run --config /etc/postrider/config.toml"));
    assert_eq!(value(SERVICE, "ExecReload"), "/usr/bin/postrider reload --wait");
}

#[test]
fn the_package_has_every_file_for_systemd() {
    for entry in std::fs::read_dir("systemd").unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // the maintainer scripts are not files of the package
        let packed = name == "deb"
            || MANIFEST.contains(&format!("[\"systemd/{name}\", \"usr/"))
            || (name.ends_with(".socket") && MANIFEST.contains("[\"systemd/*.socket\", \"usr/"));
        assert!(packed, "systemd/{name} is not among the assets of the package");
    }
}

#[test]
fn the_packages_changelog_begins_with_this_version() {
    let version = concat!("postrider (", env!("CARGO_PKG_VERSION"), "-");
    assert!(CHANGELOG.starts_with(version), "{version}");
}

/// Asks systemd itself, where it is installed; its own service manager need not run.
#[test]
fn systemd_accepts_the_units_and_finds_them_hardened() {
    let directory = tempfile::tempdir().unwrap();
    let units = [
        ("postrider.service", SERVICE),
        ("postrider.socket", INGEST),
        ("postrider-admin.socket", ADMIN),
    ];
    for (name, unit) in units {
        // verify wants the program to exist
        let unit = unit.replace("/usr/bin/postrider", "/bin/true");
        std::fs::write(directory.path().join(name), unit).unwrap();
    }
    let analyze = |arguments: &[&str]| {
        Command::new("systemd-analyze").args(arguments).current_dir(&directory).output()
    };
    let names = ["./postrider.service", "./postrider.socket", "./postrider-admin.socket"];
    let mut verify = vec!["verify", "--man=no"];
    verify.extend(names);
    let Ok(verified) = analyze(&verify) else {
        println!("skipped: systemd-analyze is not installed");
        return;
    };
    let complaints = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success(), "{complaints}");
    assert!(!complaints.contains("postrider"), "{complaints}");
    let threshold = format!("--threshold={EXPOSURE_MAX}");
    let secure = ["security", "--offline=true", &threshold, "./postrider.service"];
    let report = analyze(&secure).unwrap();
    assert!(report.status.success(), "{}", String::from_utf8_lossy(&report.stdout));
}
