//! A connection that can carry requests: HTTP/1.1 one after the other, HTTP/2 side by side.
//!
//! The connection itself runs beside the attempts. It ends when its peer ends it, or within
//! [`CLOSE_TIMEOUT`] after the last [`Link`] to it is gone, so that nothing is left behind by
//! attempts that were cut short.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::Response;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1;
use hyper::client::conn::http2;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::sync::oneshot;

use crate::courier::settings::Spawner;

/// How long a connection that nobody needs may take to say goodbye.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a connection that waited may take to be ready for a request.
const READY_TIMEOUT: Duration = Duration::from_millis(100);
/// The longest head of a response, in bytes.
pub const RESPONSE_HEAD_BYTES_MAX: usize = 32 * 1024;
/// The most headers of a response.
pub const RESPONSE_HEADERS_MAX: usize = 100;
/// How much of a response body an HTTP/2 peer may send ahead, in bytes.
const H2_STREAM_WINDOW_BYTES: u32 = 64 * 1024;
/// The same for all streams of a connection together.
const H2_CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

/// What a request carries.
pub type RequestBody = Full<Bytes>;

/// A connection, or one's share of it.
pub struct Link {
    /// Whom it leads to.
    pub peer: SocketAddr,
    /// Whether it carried a request before.
    pub reused: bool,
    wire: Wire,
    life: Arc<Life>,
}

enum Wire {
    H1(http1::SendRequest<RequestBody>),
    H2(http2::SendRequest<RequestBody>),
}

/// Dropped with the last link to a connection, which ends it.
struct Life {
    suspect: AtomicBool,
    _end: oneshot::Sender<()>,
}

/// Unless it is lifted, nobody gets a share of the connection once it is dropped, also where the
/// attempt was cut short: the connection may be dead without anyone having been told. Requests that
/// run on it already go on.
pub struct Doubt(Option<Arc<Life>>);

impl Doubt {
    /// The request ended well.
    pub fn lift(mut self) {
        self.0 = None;
    }
}

impl Drop for Doubt {
    fn drop(&mut self) {
        if let Some(life) = self.0.take() {
            life.suspect.store(true, Ordering::Relaxed);
        }
    }
}

/// How many connections are open.
#[derive(Clone, Debug, Default)]
pub struct OpenCount(Arc<AtomicUsize>);

impl OpenCount {
    /// Right now.
    pub fn value(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn opened(&self) -> Opened {
        self.0.fetch_add(1, Ordering::Relaxed);
        Opened(self.clone())
    }
}

struct Opened(OpenCount);

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Link {
    /// Speaks HTTP/1.1 over this stream.
    ///
    /// # Errors
    /// What hyper says.
    pub async fn h1<S>(
        stream: S,
        peer: SocketAddr,
        spawner: &Spawner,
        open: &OpenCount,
    ) -> hyper::Result<Link>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(RESPONSE_HEAD_BYTES_MAX)
            .max_headers(RESPONSE_HEADERS_MAX)
            .handshake(TokioIo::new(stream))
            .await?;
        let life = keep_running(connection, spawner, open);
        Ok(Link { peer, reused: false, wire: Wire::H1(sender), life })
    }

    /// Speaks HTTP/2 over this stream.
    ///
    /// # Errors
    /// What hyper says.
    pub async fn h2<S>(
        stream: S,
        peer: SocketAddr,
        spawner: &Spawner,
        open: &OpenCount,
    ) -> hyper::Result<Link>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let head_max = u32::try_from(RESPONSE_HEAD_BYTES_MAX).unwrap_or(u32::MAX);
        let (sender, connection) = http2::Builder::new(spawner.clone())
            .initial_stream_window_size(H2_STREAM_WINDOW_BYTES)
            .initial_connection_window_size(H2_CONNECTION_WINDOW_BYTES)
            .max_header_list_size(head_max)
            .handshake(TokioIo::new(stream))
            .await?;
        let life = keep_running(connection, spawner, open);
        Ok(Link { peer, reused: false, wire: Wire::H2(sender), life })
    }

    /// Whether requests want the form of HTTP/2.
    pub fn is_h2(&self) -> bool {
        matches!(self.wire, Wire::H2(_))
    }

    /// Whether it is known to be of no more use.
    pub fn is_spent(&self) -> bool {
        let closed = match &self.wire {
            Wire::H1(sender) => sender.is_closed(),
            Wire::H2(sender) => sender.is_closed(),
        };
        closed || self.life.suspect.load(Ordering::Relaxed)
    }

    /// A further share of it, where requests run side by side.
    pub fn share(&self) -> Option<Link> {
        let Wire::H2(sender) = &self.wire else { return None };
        Some(Link {
            peer: self.peer,
            reused: true,
            wire: Wire::H2(sender.clone()),
            life: Arc::clone(&self.life),
        })
    }

    /// To be held while a request is under way.
    pub fn doubt(&self) -> Doubt {
        Doubt(Some(Arc::clone(&self.life)))
    }

    /// Whether it takes a request right now. Of a connection that waited, what came meanwhile, its
    /// end above all, has to be noticed before a request is written to it: afterwards nobody could
    /// tell whether it arrived. Nor is it of use if its last request was answered before it was
    /// read, and still is not.
    pub async fn is_ready(&mut self) -> bool {
        // Lets the connection look at its socket, where both share a thread.
        tokio::task::yield_now().await;
        let ready = match &mut self.wire {
            Wire::H1(sender) => tokio::time::timeout(READY_TIMEOUT, sender.ready()).await,
            Wire::H2(sender) => tokio::time::timeout(READY_TIMEOUT, sender.ready()).await,
        };
        matches!(ready, Ok(Ok(())))
    }

    /// Sends a request and waits for the head of the response.
    ///
    /// # Errors
    /// What hyper says, with the request if nothing of it was sent.
    pub async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<RequestBody>>> {
        match &mut self.wire {
            Wire::H1(sender) => sender.try_send_request(request).await,
            Wire::H2(sender) => sender.try_send_request(request).await,
        }
    }
}

fn keep_running<C>(connection: C, spawner: &Spawner, open: &OpenCount) -> Arc<Life>
where
    C: Future<Output = hyper::Result<()>> + Send + 'static,
{
    let (end, ended) = oneshot::channel();
    let opened = open.opened();
    spawner.run(async move {
        let mut connection = std::pin::pin!(connection);
        // What goes wrong here is told to the request that it concerns, by its own result.
        tokio::select! {
            _ = &mut connection => {}
            _ = ended => {
                let _ = tokio::time::timeout(CLOSE_TIMEOUT, connection).await;
            }
        }
        drop(opened);
    });
    Arc::new(Life { suspect: AtomicBool::new(false), _end: end })
}
