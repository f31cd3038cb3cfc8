//! Submissions over a unix socket: as fast as they are answered, or at a pace.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use http::Request;
use http::StatusCode;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use crate::figures::Latency;
use crate::receiver::Receiver;
use crate::receiver::now_us;
use crate::receiver::payload;

/// What is submitted, and where.
#[derive(Clone)]
pub(crate) struct Load {
    socket: PathBuf,
    path: String,
    bytes: usize,
    /// Events in a request; without, the request is the event.
    batch: Option<usize>,
    /// So many types are used in turn; the path ends with the number.
    types: Option<usize>,
    event_type: &'static str,
    next: Arc<AtomicUsize>,
}

/// What came of it within the time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flood {
    pub(crate) accepted: f64,
    pub(crate) arrived: f64,
}

impl Load {
    pub(crate) fn to(socket: &Path, path: &str, bytes: usize) -> Load {
        Load {
            socket: socket.to_owned(),
            path: path.to_owned(),
            bytes,
            batch: None,
            types: None,
            event_type: "bench",
            next: Arc::default(),
        }
    }

    pub(crate) fn of_batches(self, events: usize) -> Load {
        Load { batch: Some(events), ..self }
    }

    pub(crate) fn in_turn(self, types: usize) -> Load {
        Load { types: Some(types), ..self }
    }

    /// The first word of the type of what is in a batch.
    pub(crate) fn of_type(self, event_type: &'static str) -> Load {
        Load { event_type, ..self }
    }

    fn request(&self, at_us: u64) -> Request<Full<Bytes>> {
        let payload = payload(at_us, self.bytes);
        let body = match self.batch {
            Some(events) => {
                let line =
                    format!("{{\"type\":\"{}.made\",\"data\":{payload}}}\n", self.event_type);
                line.repeat(events)
            }
            None => payload,
        };
        let path = match self.types {
            Some(types) => {
                let turn = self.next.fetch_add(1, Ordering::Relaxed) % types;
                format!("{}{turn}", self.path)
            }
            None => self.path.clone(),
        };
        let request = Request::post(path).header("host", "localhost");
        let request = request.header("content-type", "application/json");
        request.body(Full::new(Bytes::from(body))).unwrap()
    }

    async fn connect(&self) -> SendRequest<Full<Bytes>> {
        let stream = UnixStream::connect(&self.socket).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(async move { connection.await.ok() });
        sender
    }

    async fn send(&self, sender: &mut SendRequest<Full<Bytes>>, at_us: u64) {
        sender.ready().await.unwrap();
        let answer = sender.send_request(self.request(at_us)).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(status, StatusCode::ACCEPTED, "{}", String::from_utf8_lossy(&body));
    }

    /// Submits as fast as it is answered, and waits until the last one has arrived.
    pub(crate) async fn flood(
        &self,
        receiver: &Receiver,
        connections: usize,
        time: Duration,
    ) -> Flood {
        receiver.forget();
        let end = Instant::now() + time;
        let clients = (0..connections).map(|_| {
            let load = self.clone();
            tokio::spawn(async move {
                let mut sender = load.connect().await;
                let mut accepted = 0;
                while Instant::now() < end {
                    load.send(&mut sender, now_us()).await;
                    accepted += load.batch.unwrap_or(1);
                }
                accepted
            })
        });
        let clients: Vec<_> = clients.collect();
        tokio::time::sleep_until(end.into()).await;
        let arrived = receiver.count();
        let mut accepted = 0;
        for client in clients {
            accepted += client.await.unwrap();
        }
        receiver.wait_for(accepted).await;
        Flood { accepted: whole(accepted), arrived: whole(arrived) }
    }

    /// Submits so many events and waits for nothing else.
    pub(crate) async fn submit(&self, events: usize) {
        let mut sender = self.connect().await;
        for _ in 0..events.div_ceil(self.batch.unwrap_or(1)) {
            self.send(&mut sender, now_us()).await;
        }
    }

    /// Submits one.
    pub(crate) async fn one(&self) {
        self.send(&mut self.connect().await, now_us()).await;
    }

    /// Submits so many a second over so many connections.
    pub(crate) async fn paced(
        &self,
        receiver: &Receiver,
        (connections, pace): (usize, u32),
        time: Duration,
    ) -> Latency {
        receiver.forget();
        let count = usize::try_from(time.as_secs()).unwrap() * usize::try_from(pace).unwrap();
        let begin = (Instant::now(), now_us());
        let gap = Duration::from_secs(1) / pace;
        let clients = (0..connections).map(|client| {
            let load = self.clone();
            tokio::spawn(async move {
                let mut sender = load.connect().await;
                for place in (client..count).step_by(connections) {
                    let after = gap * u32::try_from(place).unwrap();
                    tokio::time::sleep_until((begin.0 + after).into()).await;
                    let due_us = begin.1 + u64::try_from(after.as_micros()).unwrap();
                    load.send(&mut sender, due_us).await;
                }
            })
        });
        for client in clients.collect::<Vec<_>>() {
            client.await.unwrap();
        }
        Latency::of(receiver.wait_for(count).await)
    }
}

fn whole(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}
