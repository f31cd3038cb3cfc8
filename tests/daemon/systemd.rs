//! Under a service manager: readiness, the watchdog, inherited sockets.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::process::Stdio;

use rustix::process::Signal;

use crate::harness::PATIENCE;
use crate::harness::client::Connection;
use crate::harness::client::Request;
use crate::harness::daemon::Home;
use crate::harness::receiver::Receiver;

/// A service manager's ear.
struct Manager(UnixDatagram);

impl Manager {
    fn of(home: Home) -> (Manager, Home) {
        let path = home.path("notify.sock");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        (Manager(socket), home.set("NOTIFY_SOCKET", path))
    }

    /// Waits for this variable and gives its value.
    fn hears(&self, variable: &str) -> String {
        self.hears_of(variable)[variable].clone()
    }

    /// Waits for this variable and gives all that is said with it.
    fn hears_of(&self, variable: &str) -> BTreeMap<String, String> {
        let mut buffer = [0; 4096];
        loop {
            let count = self.0.recv(&mut buffer).unwrap_or_else(|e| panic!("{variable}: {e}"));
            let text = std::str::from_utf8(&buffer[..count]).unwrap();
            let said = text.lines().map(|line| line.split_once('=').unwrap());
            let said: BTreeMap<_, _> =
                said.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            if said.contains_key(variable) {
                return said;
            }
        }
    }
}

#[test]
fn it_says_when_it_is_ready_alive_and_stopping() {
    let receiver = Receiver::start();
    let home = Home::new().endpoint("billing", &receiver, "paused = true");
    let (manager, home) = Manager::of(home.set("WATCHDOG_USEC", "200000"));
    home.write_config();
    let mut daemon = home.spawn(home.command());
    assert_eq!(manager.hears("READY"), "1");
    daemon.submit(&Request::post("/v1/events/order.created", "{}"));
    while manager.hears("STATUS") != "0 sending, 1 waiting, billing paused" {}
    for _ in 0..3 {
        assert_eq!(manager.hears("WATCHDOG"), "1");
    }
    daemon.signal(Signal::TERM);
    assert_eq!(manager.hears("STOPPING"), "1");
    assert_eq!(daemon.exit_code(), Some(0));
}

#[test]
fn a_reload_by_signal_is_told_from_its_beginning_to_its_end() {
    let (manager, home) = Manager::of(Home::new());
    let daemon = home.start();
    manager.hears("READY");
    let reload = || {
        daemon.signal(Signal::HUP);
        let begin = manager.hears_of("RELOADING");
        assert!(begin["MONOTONIC_USEC"].parse::<u64>().unwrap() > 0);
        manager.hears_of("READY")["STATUS"].clone()
    };
    assert_eq!(reload(), "configuration reloaded");
    std::fs::write(home.path("config.toml"), "config_version = 1\n[ingets]\n").unwrap();
    let status = reload();
    assert!(status.starts_with("configuration refused, the old one stays: "), "{status}");
    assert!(status.contains("config.toml:2:2: unknown"), "{status}");
}

#[test]
fn a_daemon_that_is_stopped_says_nothing() {
    let home = Home::new().set("WATCHDOG_USEC", "200000");
    let (manager, home) = Manager::of(home);
    let daemon = home.start();
    manager.hears("WATCHDOG");
    daemon.signal(Signal::STOP);
    manager.0.set_read_timeout(Some(std::time::Duration::from_millis(500))).unwrap();
    // what was on its way may still come
    let silent = (0..20).any(|_| manager.0.recv(&mut [0; 4096]).is_err());
    assert!(silent, "the watchdog is fed by nobody");
    daemon.signal(Signal::CONT);
    manager.0.set_read_timeout(Some(PATIENCE)).unwrap();
    manager.hears("WATCHDOG");
}

#[test]
fn a_daemon_without_a_store_says_nothing() {
    let (manager, home) = Manager::of(Home::new().set("WATCHDOG_USEC", "200000"));
    home.write_config();
    std::fs::write(home.path("store"), "no directory").unwrap();
    let mut daemon = home.spawn(home.command());
    assert_ne!(daemon.exit_code(), Some(0), "{}", daemon.log());
    manager.0.set_nonblocking(true).unwrap();
    let heard = manager.0.recv(&mut [0; 4096]).map_err(|error| error.kind());
    assert_eq!(heard, Err(std::io::ErrorKind::WouldBlock), "neither ready nor alive");
}

/// Sockets with these names in the places where a service manager puts them.
fn activated(home: &Home, names: &str, first: UnixListener, second: UnixListener) -> Command {
    let run = home.command();
    let mut command = Command::new("sh");
    let script = "exec 3<&0 4<&1 </dev/null >/dev/null; LISTEN_PID=$$ exec \"$@\"";
    command.args(["-c", script, "sh"]).arg(run.get_program()).args(run.get_args());
    command.env_clear().env("LISTEN_FDS", "2").env("LISTEN_FDNAMES", names);
    let stdio = |listener: UnixListener| Stdio::from(OwnedFd::from(listener));
    command.stdin(stdio(first)).stdout(stdio(second)).stderr(Stdio::piped());
    command
}

#[test]
fn inherited_sockets_are_found_by_their_names() {
    let receiver = Receiver::start();
    let home = Home::new().endpoint("billing", &receiver, "");
    home.write_config();
    for names in ["ingest:admin", "admin:ingest"] {
        let bind = |name: &str| UnixListener::bind(home.path(name)).unwrap();
        let (ingest, admin) = (bind("ingest.sock"), bind("admin.sock"));
        // submitted before there is a daemon: it waits in the socket
        let mut early = Connection::open(&home.path("ingest.sock")).unwrap();
        let before = receiver.so_far().len();
        let submitting = std::thread::spawn(move || {
            early.send(&Request::post("/v1/events/order.created", "early")).unwrap()
        });
        let (first, second) =
            if names.starts_with('i') { (ingest, admin) } else { (admin, ingest) };
        let daemon = home.spawn(activated(&home, names, first, second));
        let id = submitting.join().unwrap().id();
        assert_eq!(receiver.arrivals(before + 1)[before].id(), id);
        assert_eq!(daemon.show("/v1/status")["accepted"], 1, "admin is the other");
        daemon.stop();
        for name in ["ingest.sock", "admin.sock"] {
            assert!(home.path(name).exists(), "{name} belongs to the service manager");
            std::fs::remove_file(home.path(name)).unwrap();
        }
    }
}
