//! As much HTTP/1.1 over a unix socket as a test client needs: one request after the other, bodies
//! with a stated length.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixStream;

use anyhow::Context;
use anyhow::ensure;

/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// A slow machine may let a connection lapse between two requests: a request is made again so
/// often, each time over a new one. All of ours may be repeated.
const TRIES: usize = 5;

/// A connection that is kept between requests.
pub(crate) struct Connection {
    path: String,
    stream: BufReader<UnixStream>,
}

impl Connection {
    pub(crate) fn open(path: &str) -> anyhow::Result<Connection> {
        let stream = UnixStream::connect(path).with_context(|| format!("cannot reach {path}"))?;
        Ok(Connection { path: path.to_owned(), stream: BufReader::new(stream) })
    }

    pub(crate) fn get(&mut self, path: &str) -> anyhow::Result<(u16, Vec<u8>)> {
        self.exchange(format!("GET {path} HTTP/1.1\r\nhost: postrider\r\n\r\n").as_bytes())
    }

    pub(crate) fn post(
        &mut self,
        path: &str,
        key: &str,
        body: &[u8],
    ) -> anyhow::Result<(u16, Vec<u8>)> {
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nhost: postrider\r\nidempotency-key: {key}\r\n\
             content-type: application/octet-stream\r\ncontent-length: {}\r\n\r\n",
            body.len(),
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.exchange(&request)
    }

    fn exchange(&mut self, request: &[u8]) -> anyhow::Result<(u16, Vec<u8>)> {
        for _ in 1..TRIES {
            let written = self.stream.get_mut().write_all(request).map_err(anyhow::Error::from);
            if let Ok(answer) = written.and_then(|()| self.answer()) {
                return Ok(answer);
            }
            let path = std::mem::take(&mut self.path);
            *self = Connection::open(&path)?;
        }
        self.stream.get_mut().write_all(request)?;
        self.answer()
    }

    fn answer(&mut self) -> anyhow::Result<(u16, Vec<u8>)> {
        let status = self.line()?;
        let status = status.split(' ').nth(1).context("no status")?.parse()?;
        let mut length = 0;
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            ensure!(!line.starts_with("transfer-encoding:"), "an answer without a stated length");
            if let Some(stated) = line.strip_prefix("content-length:") {
                length = stated.trim().parse()?;
            }
        }
        ensure!(length <= ANSWER_BYTES_MAX, "an answer of {length} bytes");
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((status, body))
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        ensure!(self.stream.read_line(&mut line)? > 0, "the connection was closed");
        Ok(line.trim_end().to_owned())
    }
}
