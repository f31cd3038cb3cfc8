//! A process that is measured: the floor, or the daemon with a configuration of its own.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use crate::load::Load;
use crate::receiver::Receiver;

/// How long a process may take to listen.
const START_WITHIN: Duration = Duration::from_secs(60);
/// The kernel counts CPU in hundredths of a second.
const TICK_US: f64 = 10_000.0;

pub(crate) struct Subject {
    pub(crate) socket: PathBuf,
    /// What it had spent when it began to listen.
    pub(crate) started: Spent,
    program: PathBuf,
    arguments: Vec<String>,
    child: Child,
    home: tempfile::TempDir,
}

/// CPU of all threads, and what was written to the disk.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    pub(crate) cpu_us: f64,
    pub(crate) written_bytes: f64,
}

impl Subject {
    pub(crate) fn floor(to: SocketAddr) -> Subject {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name).display().to_string();
        let arguments = ["floor".to_owned(), at("socket"), at("log"), to.to_string()];
        let program = std::env::current_exe().unwrap();
        Subject::start(home, program, arguments.to_vec(), "socket")
    }

    /// With so many endpoints that each take every event, and one that is there to be paused.
    pub(crate) fn daemon(program: &str, to: SocketAddr, endpoints: usize) -> Subject {
        let each = (0..endpoints).map(|no| endpoint(&format!("e{no}"), "bench.made", to));
        let parked = endpoint("parked", "park.made", to);
        Subject::daemon_with(program, &each.chain([parked]).collect::<String>())
    }

    /// With so many endpoints that each take a type of their own.
    pub(crate) fn daemon_of_types(program: &str, to: SocketAddr, endpoints: usize) -> Subject {
        let each =
            (0..endpoints).map(|no| endpoint(&format!("e{no}"), &format!("bench.n{no}"), to));
        Subject::daemon_with(program, &each.collect::<String>())
    }

    fn daemon_with(program: &str, endpoints: &str) -> Subject {
        let home = tempfile::tempdir().unwrap();
        let at = home.path().display();
        let mut config = format!(
            "[listen]\ningest = \"unix:{at}/ingest\"\nadmin = \"unix:{at}/admin\"\n\
             [storage]\npath = \"{at}/store\"\nballast = \"1MiB\"\n[log]\nlevel = \"warn\"\n\
             [egress]\nhttps_only = false\nallow = [\"127.0.0.0/8\"]\nports = []\n"
        );
        config.push_str(endpoints);
        let file = home.path().join("config.toml");
        fs::write(&file, config).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let arguments = ["run", "--config"].map(str::to_owned).into_iter();
        let arguments = arguments.chain([file.display().to_string()]).collect();
        Subject::start(home, PathBuf::from(program), arguments, "ingest")
    }

    fn start(
        home: tempfile::TempDir,
        program: PathBuf,
        arguments: Vec<String>,
        socket: &str,
    ) -> Subject {
        let socket = home.path().join(socket);
        let child = command(&program, &arguments).spawn().unwrap();
        let mut subject =
            Subject { socket, started: Spent::default(), program, arguments, child, home };
        subject.wait_until_it_listens();
        subject.started = subject.spent();
        subject
    }

    fn wait_until_it_listens(&mut self) {
        let until = Instant::now() + START_WITHIN;
        while UnixStream::connect(&self.socket).is_err() {
            assert!(Instant::now() < until, "{:?} does not listen", self.socket);
            assert!(self.child.try_wait().unwrap().is_none(), "it has ended");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(Path::new("/proc").join(self.child.id().to_string()).join(file)).unwrap()
    }

    pub(crate) fn spent(&self) -> Spent {
        let stat = self.proc("stat");
        let (_, rest) = stat.rsplit_once(')').unwrap();
        let ticks = rest.split_whitespace().skip(11).take(2);
        let ticks: f64 = ticks.map(|ticks| ticks.parse::<f64>().unwrap()).sum();
        let written_bytes = field(&self.proc("io"), "write_bytes:");
        Spent { cpu_us: ticks * TICK_US, written_bytes }
    }

    pub(crate) fn spent_since(&self, before: &Spent) -> Spent {
        let now = self.spent();
        Spent {
            cpu_us: now.cpu_us - before.cpu_us,
            written_bytes: now.written_bytes - before.written_bytes,
        }
    }

    pub(crate) fn resident_mib(&self) -> f64 {
        field(&self.proc("status"), "VmRSS:") / 1024.0
    }

    /// Pauses an endpoint.
    pub(crate) fn pause(&self, endpoint: &str) {
        let admin = self.home.path().join("admin").display().to_string();
        let words = ["endpoint", "pause", endpoint, "--socket", &admin];
        let words = words.map(str::to_owned);
        let done = command(&self.program, &words).status().unwrap();
        assert!(done.success(), "{endpoint} cannot be paused");
    }

    /// Kills it, starts it again, and gives how long the start took until something was delivered.
    pub(crate) async fn die_and_start_again(
        &mut self,
        load: &Load,
        receiver: &Receiver,
    ) -> Duration {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        fs::remove_file(&self.socket).unwrap();
        let before = receiver.count();
        let began = Instant::now();
        self.child = command(&self.program, &self.arguments).spawn().unwrap();
        self.wait_until_it_listens();
        load.one().await;
        receiver.wait_for(before + 1).await;
        began.elapsed()
    }

    /// Ends it in order.
    pub(crate) fn end(mut self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success(), "it did not end well");
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        // it may have ended before
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Says nothing, and hears nothing of what the tests are told.
fn command(program: &Path, arguments: &[String]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::null()).env_remove("POSTRIDER_BIN");
    command
}

fn field(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn endpoint(name: &str, event_type: &str, to: SocketAddr) -> String {
    format!(
        "[[endpoint]]\nname = \"{name}\"\nurl = \"http://{to}/{name}\"\n\
         types = [\"{event_type}\"]\n\
         secret = {{ value = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\" }}\n"
    )
}
