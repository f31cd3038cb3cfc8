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

/// A connection that is kept between requests.
pub(crate) struct Connection(BufReader<UnixStream>);

impl Connection {
    pub(crate) fn open(path: &str) -> anyhow::Result<Connection> {
        let stream = UnixStream::connect(path).with_context(|| format!("cannot reach {path}"))?;
        Ok(Connection(BufReader::new(stream)))
    }

    pub(crate) fn get(&mut self, path: &str) -> anyhow::Result<(u16, Vec<u8>)> {
        write!(self.0.get_mut(), "GET {path} HTTP/1.1\r\nhost: postrider\r\n\r\n")?;
        self.answer()
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
        self.0.get_mut().write_all(&request)?;
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
        self.0.read_exact(&mut body)?;
        Ok((status, body))
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        ensure!(self.0.read_line(&mut line)? > 0, "the connection was closed");
        Ok(line.trim_end().to_owned())
    }
}
