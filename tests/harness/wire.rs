//! HTTP/1.1 messages as they are on a connection.

use std::collections::BTreeMap;
use std::io;
use std::io::BufRead;
use std::net::TcpListener;
use std::net::TcpStream;

/// A request or a response.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) line: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// Serves each connection in a thread of its own, for as long as the process runs. How one ends
/// is nobody's concern: the daemon may be killed at any time.
pub(crate) fn serve_each(
    listener: TcpListener,
    serve: impl Fn(&TcpStream) -> io::Result<()> + Clone + Send + 'static,
) {
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            std::thread::spawn(move || drop(serve(&stream)));
        }
    });
}

/// Reads the next message; `None` where the other side has ended the connection.
pub(crate) fn read(stream: &mut impl BufRead) -> io::Result<Option<Message>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        if stream.read_line(&mut header)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").map_or(Ok(0), |text| text.parse());
    let length = length.map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Some(Message { line: line.trim_end().to_owned(), headers, body }))
}
