//! A client of the daemon's sockets.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use super::PATIENCE;
use super::wire;

/// A request in the making.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    head: String,
    body: Vec<u8>,
}

/// What was answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// A connection that is kept.
#[derive(Debug)]
pub(crate) struct Connection(BufReader<Box<dyn Wire>>);

/// Either kind of socket.
trait Wire: Read + Write + Send + Debug {}

impl<T: Read + Write + Send + Debug> Wire for T {}

impl Request {
    pub(crate) fn new(method: &str, path: &str) -> Request {
        Request { head: format!("{method} {path} HTTP/1.1\r\nhost: test\r\n"), body: Vec::new() }
    }

    pub(crate) fn post(path: &str, body: impl AsRef<[u8]>) -> Request {
        Request { body: body.as_ref().to_vec(), ..Request::new("POST", path) }
    }

    pub(crate) fn body(self, body: Vec<u8>) -> Request {
        Request { body, ..self }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Request {
        self.head.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// With an idempotency key.
    pub(crate) fn key(self, key: &str) -> Request {
        self.header("idempotency-key", key)
    }
}

impl Connection {
    pub(crate) fn open(socket: &Path) -> io::Result<Connection> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Connection(BufReader::new(Box::new(stream))))
    }

    pub(crate) fn dial(address: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Connection(BufReader::new(Box::new(stream))))
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn send(&mut self, request: &Request) -> io::Result<Answer> {
        let head = format!("{}content-length: {}\r\n\r\n", request.head, request.body.len());
        let written = self.write(&[head.as_bytes(), &request.body].concat());
        // a refusal may be there although the daemon did not read everything
        match self.answer() {
            Ok(answer) => Ok(answer),
            Err(error) => written.and(Err(error)),
        }
    }

    /// Sends bytes as they are.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    /// The next answer; an error where the connection ends before it.
    pub(crate) fn answer(&mut self) -> io::Result<Answer> {
        let message = wire::read(&mut self.0)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = message.line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or(io::ErrorKind::InvalidData)?;
        Ok(Answer { status, headers: message.headers, body: message.body })
    }
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {self:?} {text}"))
    }

    /// The id of the event that was accepted.
    pub(crate) fn id(&self) -> String {
        assert_eq!(self.status, 202, "{}", String::from_utf8_lossy(&self.body));
        self.json()["id"].as_str().unwrap().to_owned()
    }
}
