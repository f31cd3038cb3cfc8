//! A receiver that does to each connection exactly what a test says, byte by byte.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A listening receiver; it goes away with the test's runtime.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    accepted: Arc<AtomicUsize>,
}

/// A request as it was heard.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) line: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Receiver {
    /// Gives each TCP connection to `handle`, with its number from 0.
    pub(crate) async fn plain<F, Fut>(handle: F) -> Receiver
    where
        F: Fn(usize, TcpStream) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(handle(number, stream));
            }
        });
        Receiver { address, accepted }
    }

    /// The same with a TLS session on each.
    pub(crate) async fn secure<F, Fut>(acceptor: TlsAcceptor, handle: F) -> Receiver
    where
        F: Fn(usize, TlsStream<TcpStream>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Receiver::plain(move |number, stream| {
            let (acceptor, handle) = (acceptor.clone(), handle.clone());
            async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    handle(number, stream).await;
                }
            }
        })
        .await
    }

    /// One that reads a request on each connection, answers these bytes and closes.
    pub(crate) async fn answering(bytes: impl Into<Vec<u8>>) -> Receiver {
        let bytes: Arc<[u8]> = bytes.into().into();
        Receiver::plain(move |_, mut stream| {
            let bytes = Arc::clone(&bytes);
            async move {
                hear(&mut stream).await;
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
                drain(&mut stream).await;
            }
        })
        .await
    }

    /// How many connections were made to it.
    pub(crate) fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook?a=b", self.address)
    }
}

/// Reads one request; `None` at the end of the connection.
pub(crate) async fn hear<S: AsyncRead + Unpin>(stream: &mut S) -> Option<Heard> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.trim_end().lines();
    let line = lines.next().unwrap().to_owned();
    let headers: BTreeMap<String, String> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut body = vec![0; headers["content-length"].parse().unwrap()];
    stream.read_exact(&mut body).await.ok()?;
    Some(Heard { line, headers, body })
}

/// Answers each request of a connection with these bytes.
pub(crate) async fn keep_answering<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, bytes: &[u8]) {
    while hear(&mut stream).await.is_some() {
        stream.write_all(bytes).await.unwrap();
    }
}

/// Reads until the other side closes.
pub(crate) async fn drain<S: AsyncRead + Unpin>(stream: &mut S) {
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
}

/// Closes with a reset in place of a proper end.
pub(crate) fn reset(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
}
