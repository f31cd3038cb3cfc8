//! A daemon that answers from a script, and the binary run against it.

use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;

use tempfile::TempDir;

/// A request as it arrived.
#[derive(Debug)]
pub(crate) struct Request {
    /// Method and target.
    pub(crate) line: String,
    /// The rest of the head, in lower case.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// A socket with a script behind it.
pub(crate) struct Daemon {
    dir: TempDir,
    requests: mpsc::Receiver<Request>,
}

/// How a run of the binary ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Daemon {
    /// Answers one request after the other with a status and a JSON body, then no more.
    pub(crate) fn scripted(answers: Vec<(u16, serde_json::Value)>) -> Daemon {
        let answers = answers.into_iter().map(|(status, body)| (status, body.to_string().into()));
        Daemon::with_bodies(answers.collect())
    }

    /// The same with any bodies.
    pub(crate) fn with_bodies(answers: Vec<(u16, Vec<u8>)>) -> Daemon {
        let dir = TempDir::new().unwrap();
        let listener = UnixListener::bind(dir.path().join("sock")).unwrap();
        let (note, requests) = mpsc::channel();
        std::thread::spawn(move || {
            for (status, body) in answers {
                let (stream, _) = listener.accept().unwrap();
                // the test may have ended before its script
                if note.send(serve(stream, status, &body)).is_err() {
                    return;
                }
            }
        });
        Daemon { dir, requests }
    }

    /// Runs the binary against it.
    pub(crate) fn run(&self, args: &[&str]) -> Run {
        self.run_with(args, b"")
    }

    /// Runs the binary with something on stdin.
    pub(crate) fn run_with(&self, args: &[&str], stdin: &[u8]) -> Run {
        let socket = self.dir.path().join("sock");
        let mut child = postrider()
            .env("POSTRIDER_SOCKET", &socket)
            .env("POSTRIDER_INGEST_SOCKET", &socket)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // a command that reads no input may be gone already
        child.stdin.take().unwrap().write_all(stdin).unwrap_or_default();
        let output = child.wait_with_output().unwrap();
        Run {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The next request that arrived.
    pub(crate) fn request(&self) -> Request {
        self.requests.try_recv().unwrap()
    }

    /// A file beside the socket.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

/// The binary in an empty environment, with a terminal of known width.
pub(crate) fn postrider() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postrider"));
    command.env_clear().env("COLUMNS", "100");
    command
}

/// Runs the binary without a daemon.
pub(crate) fn run(args: &[&str]) -> Run {
    let output = postrider().args(args).stdin(Stdio::null()).output().unwrap();
    Run {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn serve(mut stream: UnixStream, status: u16, body: &[u8]) -> Request {
    let mut bytes = Vec::new();
    let end = loop {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).unwrap();
        assert!(count > 0, "the request ended early");
        bytes.extend_from_slice(&chunk[..count]);
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let (line, rest) = head.split_once("\r\n").unwrap();
    let rest = rest.to_lowercase();
    let length = rest.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.map_or(0, |length| length.parse().unwrap());
    let mut sent = bytes[end..].to_vec();
    let received = sent.len();
    sent.resize(length, 0);
    stream.read_exact(&mut sent[received..]).unwrap();
    let kind = if status < 400 { "json" } else { "problem+json" };
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/{kind}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let line = line.strip_suffix(" HTTP/1.1").unwrap().to_owned();
    Request { line, head: rest, body: sent }
}
