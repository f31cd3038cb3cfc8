//! The receiver: answers 200 at once, and keeps how long each event was on its way.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use http::Request;
use http::Response;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// How long what was accepted may take to arrive.
const PATIENCE: Duration = Duration::from_secs(120);

/// A listening receiver.
#[derive(Clone)]
pub(crate) struct Receiver {
    address: SocketAddr,
    spans: Arc<Mutex<Vec<Duration>>>,
    more: Arc<Notify>,
}

/// Microseconds since 1970.
pub(crate) fn now_us() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_micros()).unwrap()
}

/// A payload that says when it was to be submitted. The rest is noise: what is alike would be
/// stored in less.
pub(crate) fn payload(at_us: u64, bytes: usize) -> String {
    let head = format!("{{\"at\":{at_us},\"pad\":\"");
    let pad = bytes.saturating_sub(head.len() + 2);
    let noise: String = (0..pad).map(|_| fastrand::alphanumeric()).collect();
    format!("{head}{noise}\"}}")
}

fn said_at(body: &[u8]) -> Option<u64> {
    let digits = body.strip_prefix(b"{\"at\":")?.split(|byte| *byte == b',').next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

impl Receiver {
    pub(crate) async fn start() -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let receiver = Receiver { address, spans: Arc::default(), more: Arc::default() };
        let all = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                let receiver = all.clone();
                let service = service_fn(move |request| {
                    let receiver = receiver.clone();
                    async move { Ok::<_, Infallible>(receiver.take(request).await) }
                });
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                // a daemon may be killed at any time
                tokio::spawn(async move { connection.await.ok() });
            }
        });
        receiver
    }

    async fn take(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if let Ok(body) = request.into_body().collect().await
            && let Some(at) = said_at(&body.to_bytes())
        {
            let span = Duration::from_micros(now_us().saturating_sub(at));
            self.spans.lock().unwrap().push(span);
            self.more.notify_waiters();
        }
        Response::new(Full::default())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Forgets what has arrived.
    pub(crate) fn forget(&self) {
        self.spans.lock().unwrap().clear();
    }

    /// How many have arrived.
    pub(crate) fn count(&self) -> usize {
        self.spans.lock().unwrap().len()
    }

    /// Waits for so many, and gives how long each took.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Duration> {
        let all = async {
            loop {
                let more = self.more.notified();
                if self.count() >= count {
                    return self.spans.lock().unwrap().clone();
                }
                more.await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, all).await;
        waited.unwrap_or_else(|_| panic!("{} of {count} have arrived", self.count()))
    }
}
