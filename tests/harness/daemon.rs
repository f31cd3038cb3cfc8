//! The daemon under test, on a directory of its own.

use std::ffi::OsString;
use std::io::BufRead;
use std::io::BufReader;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Pid;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::PATIENCE;
use super::client::Answer;
use super::client::Connection;
use super::client::Request;
use super::receiver::Receiver;

/// What a condition is looked at again after, where no log line announces it.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Configuration, store and sockets. They stay when a daemon goes.
#[derive(Debug)]
pub(crate) struct Home {
    dir: TempDir,
    endpoints: String,
    environment: Vec<(OsString, OsString)>,
}

/// A process of the daemon; killed at the end of the test if it has not ended before.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    log: Arc<(Mutex<Log>, Condvar)>,
    ingest: PathBuf,
    admin: PathBuf,
}

#[derive(Debug, Default)]
struct Log {
    text: String,
    ended: bool,
}

/// The binary under test.
pub(crate) fn binary() -> PathBuf {
    let given = std::env::var_os("POSTRIDER_BIN").map(PathBuf::from);
    given.unwrap_or_else(|| env!("CARGO_BIN_EXE_postrider").into())
}

/// The time by which arrivals and answers are compared.
#[expect(clippy::disallowed_methods, reason = "the daemon under test has the real clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

impl Home {
    pub(crate) fn new() -> Home {
        let dir = tempfile::Builder::new().prefix("pr").tempdir().unwrap();
        Home { dir, endpoints: String::new(), environment: Vec::new() }
    }

    /// With an endpoint, of which `more` says what is to be said in TOML.
    pub(crate) fn endpoint(self, name: &str, receiver: &Receiver, more: &str) -> Home {
        self.endpoint_at(name, &receiver.url(), more)
    }

    /// The same, with somebody else behind the URL.
    pub(crate) fn endpoint_at(mut self, name: &str, url: &str, more: &str) -> Home {
        self.endpoints
            .push_str(&format!("[[endpoint]]\nname = \"{name}\"\nurl = \"{url}\"\n{more}\n"));
        self
    }

    /// With this text at the end of the configuration file.
    pub(crate) fn more(mut self, text: &str) -> Home {
        self.endpoints.push_str(text);
        self
    }

    /// With an environment variable, such as one that overrides the configuration.
    pub(crate) fn set(mut self, name: &str, value: impl Into<OsString>) -> Home {
        self.environment.push((name.into(), value.into()));
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes the configuration file. Retries come after 50 ms each, and do not end.
    pub(crate) fn write_config(&self) -> PathBuf {
        let path = self.path("config.toml");
        let (ingest, admin) = (self.path("ingest.sock"), self.path("admin.sock"));
        let (ingest, admin, store) = (ingest.display(), admin.display(), self.path("store"));
        let text = format!(
            "config_version = 1\n\
            [listen]\ningest = \"unix:{ingest}\"\nadmin = \"unix:{admin}\"\n\
            [storage]\npath = \"{}\"\nballast = \"1MiB\"\nmin_free_disk = \"0\"\n\
            [egress]\nhttps_only = false\nallow = [\"127.0.0.0/8\"]\nports = []\n\
            [log]\nlevel = \"debug\"\nformat = \"json\"\n\
            [retry]\npolicy = \"exponential\"\nbase = \"50ms\"\nfactor = 1.0\njitter = 0.0\n\
            max_attempts = 1000\n\n{}",
            store.display(),
            self.endpoints,
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The command that runs the daemon here.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(binary());
        command.env_clear().envs(self.environment.iter().cloned());
        command.args(["run", "--config"]).arg(self.path("config.toml"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Starts a daemon and waits until it is ready.
    pub(crate) fn start(&self) -> Daemon {
        self.write_config();
        let daemon = self.spawn(self.command());
        daemon.logged("daemon.ready");
        daemon
    }

    /// Starts a daemon by a command, whether or not it will be ready.
    pub(crate) fn spawn(&self, mut command: Command) -> Daemon {
        let mut child = command.spawn().unwrap();
        let log: Arc<(Mutex<Log>, Condvar)> = Arc::default();
        let stderr = child.stderr.take().unwrap();
        let lines = Arc::clone(&log);
        std::thread::spawn(move || {
            let (log, changed) = &*lines;
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                log.lock().unwrap().text.push_str(&format!("{line}\n"));
                changed.notify_all();
            }
            log.lock().unwrap().ended = true;
            changed.notify_all();
        });
        Daemon { child, log, ingest: self.path("ingest.sock"), admin: self.path("admin.sock") }
    }
}

impl Daemon {
    pub(crate) fn ingest_socket(&self) -> &Path {
        &self.ingest
    }

    pub(crate) fn admin_socket(&self) -> &Path {
        &self.admin
    }

    /// Sends a request to the ingest socket.
    pub(crate) fn submit(&self, request: &Request) -> Answer {
        Connection::open(&self.ingest).unwrap().send(request).unwrap()
    }

    /// Asks the admin socket.
    pub(crate) fn ask(&self, request: &Request) -> Answer {
        Connection::open(self.admin_socket()).unwrap().send(request).unwrap()
    }

    /// What the admin socket shows at a path.
    pub(crate) fn show(&self, path: &str) -> Value {
        let answer = self.ask(&Request::new("GET", path));
        assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    /// Waits until something holds, looking again whenever the daemon logs something.
    pub(crate) fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let (log, changed) = &*self.log;
        let began = now();
        while !holds() {
            assert!(began.elapsed() < PATIENCE, "not in time: {what}\n{}", self.log());
            drop(changed.wait_timeout(log.lock().unwrap(), LOOK_AGAIN).unwrap());
        }
    }

    /// Waits for a log line that contains this, and gives the first.
    pub(crate) fn logged(&self, what: &str) -> String {
        let line = self.logged_or_ended(what);
        line.unwrap_or_else(|| panic!("{what:?} is not in the log:\n{}", self.log()))
    }

    /// The same, or `None` where it is not in the log of a daemon that has ended, or not in time.
    pub(crate) fn logged_or_ended(&self, what: &str) -> Option<String> {
        let (log, changed) = &*self.log;
        let find = |log: &Log| log.text.lines().find(|line| line.contains(what)).map(str::to_owned);
        let waiting = changed.wait_timeout_while(log.lock().unwrap(), PATIENCE, |log| {
            find(log).is_none() && !log.ended
        });
        find(&waiting.unwrap().0)
    }

    /// Whether it has ended, by itself or not.
    pub(crate) fn has_ended(&self) -> bool {
        self.log.0.lock().unwrap().ended
    }

    /// Everything that it said.
    pub(crate) fn log(&self) -> String {
        self.log.0.lock().unwrap().text.clone()
    }

    /// The number of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for its end and gives the exit code; `None` where a signal ended it.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        let (log, changed) = &*self.log;
        let ended = changed.wait_timeout_while(log.lock().unwrap(), PATIENCE, |log| !log.ended);
        drop(ended);
        assert!(self.has_ended(), "it has not ended:\n{}", self.log());
        self.child.wait().unwrap().code()
    }

    /// Lets it end in order.
    pub(crate) fn stop(mut self) {
        self.signal(Signal::TERM);
        assert_eq!(self.exit_code(), Some(0), "{}", self.log());
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // it may have ended already
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
