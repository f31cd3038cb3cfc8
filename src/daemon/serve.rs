//! Serving HTTP/1.1 on a socket: bounded in connections and in time.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http::Response;
use hyper::body::Body;
use hyper::body::Bytes;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::net::UnixListener;
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The longest request head, in bytes.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// How long to wait when no connection can be accepted (out of descriptors, say).
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Limits of a listener.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Connections at once; further ones wait in the kernel's backlog.
    pub(crate) connections: usize,
    /// For a request head, and for the time between two requests.
    pub(crate) head_timeout: Duration,
}

/// Who is at the other end, as the kernel says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Uid(pub(crate) u32);

/// Where connections come in.
pub(crate) trait Listener: Send + 'static {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// Who is at its other end.
    type Peer: Copy + Send + Sync + 'static;

    /// The next connection.
    fn next(&self) -> impl Future<Output = io::Result<(Self::Stream, Self::Peer)>> + Send;
}

impl Listener for UnixListener {
    type Stream = UnixStream;
    type Peer = Uid;

    async fn next(&self) -> io::Result<(UnixStream, Uid)> {
        let (stream, _) = self.accept().await?;
        let peer = Uid(stream.peer_cred()?.uid());
        Ok((stream, peer))
    }
}

impl Listener for TcpListener {
    type Stream = TcpStream;
    type Peer = SocketAddr;

    async fn next(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.accept().await?;
        stream.set_nodelay(true)?;
        Ok((stream, peer))
    }
}

/// Accepts and serves until `stop` turns true; then lets requests under way end.
pub(crate) async fn serve<L, H, F, B>(
    listener: L,
    limits: Limits,
    handler: H,
    mut stop: watch::Receiver<bool>,
) where
    L: Listener + Sync,
    H: Fn(L::Peer, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = accept(&listener, &places) => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let Some((stream, peer, place)) = accepted else { continue };
        let (handler, stop) = (handler.clone(), stop.clone());
        connections.spawn(async move {
            connection(stream, peer, limits, handler, stop).await;
            drop(place);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn accept<L: Listener>(
    listener: &L,
    places: &Arc<Semaphore>,
) -> Option<(L::Stream, L::Peer, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.next().await {
        Ok((stream, peer)) => Some((stream, peer, place)),
        Err(error) => {
            tracing::warn!(event = "listener.failed", %error, "cannot accept a connection");
            tokio::time::sleep(ACCEPT_AGAIN).await;
            None
        }
    }
}

async fn connection<S, P, H, F, B>(
    stream: S,
    peer: P,
    limits: Limits,
    handler: H,
    mut stop: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    P: Copy,
    H: Fn(P, Request<Incoming>) -> F,
    F: Future<Output = Response<B>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let service = service_fn(|request| {
        let answer = handler(peer, request);
        async { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // a client that breaks off, or speaks no HTTP, harms itself only
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stop.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
