//! A webhook receiver: takes requests, checks their signatures, answers as its script says, and
//! keeps a log of what came.
//!
//! It is what `postrider listen` prints from, and what the demo and the tests send to. An arrival
//! is in the log before its request is answered, so that whoever saw an answer finds the arrival.
//! When it is told to stop, it takes no new connection and lets answers under way leave.

pub mod forward;
pub mod script;

use std::future::Future;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header;
use http_body_util::BodyExt;
use http_body_util::Full;
use http_body_util::Limited;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::cli::key_options::Signature;
use crate::cli::key_options::VerifyKeys;
use crate::cli::receiver::forward::ForwardTo;
use crate::cli::receiver::script::Answer;
use crate::cli::receiver::script::Progress;
use crate::cli::receiver::script::Script;
use crate::model::Time;

/// The largest body that is taken, in bytes; a longer one is answered 413.
pub const BODY_BYTES_MAX: usize = 64 << 20;
/// Connections served at once; more wait to be accepted.
pub const CONNECTIONS_MAX: usize = 1024;
/// Notes that wait to be read; beyond it requests wait for the reader.
pub const NOTES_PENDING_MAX: usize = 1024;
/// How long a sender may take to send the head of a request.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long answers under way may take to leave when the receiver stops.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Tells the time: given by the caller, because nothing here reads a clock.
pub type Clock = Arc<dyn Fn() -> Time + Send + Sync>;

/// What a receiver is made of.
pub struct Receiver {
    /// What signatures are checked with; with none they are not checked. What does not verify is
    /// answered 401, and handed to nobody.
    pub keys: VerifyKeys,
    /// How requests are answered.
    pub script: Script,
    /// The program behind it that accepted requests are handed to.
    pub forward_to: Option<ForwardTo>,
    /// The time of arrivals, and that signatures are checked at.
    pub clock: Clock,
}

/// What happened, in order.
#[derive(Debug)]
pub enum Note {
    /// A request came.
    Arrived(Arrival),
    /// It was answered, or its connection dropped.
    Answered(Answered),
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// When it was complete.
    pub at: Time,
    /// `webhook-id`, or `-` where there is none.
    pub id: String,
    /// `postrider-event-type`, or `-`.
    pub event_type: String,
    /// `postrider-attempt`, if it is a number.
    pub attempt: Option<u16>,
    /// `content-type`, or `-`.
    pub content_type: String,
    /// Every header.
    pub headers: HeaderMap,
    /// The body, as it came.
    pub body: Bytes,
    /// What the signature is worth.
    pub signature: Signature,
}

/// How a request was answered.
#[derive(Clone, Debug)]
pub struct Answered {
    /// When.
    pub at: Time,
    /// How long after the arrival.
    pub took: Duration,
    /// The `webhook-id`, or `-`.
    pub id: String,
    /// The status; `None` if the connection was dropped.
    pub status: Option<StatusCode>,
    /// Why the program behind did not answer.
    pub forward_error: Option<String>,
}

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("dropped as the script says")]
struct Dropped;

struct Shared {
    receiver: Receiver,
    progress: Mutex<Progress>,
    log: mpsc::Sender<Note>,
}

/// Serves the listener until `stop` is ready, then until the answers under way have left (at most
/// [`STOP_TIMEOUT`]). Each request is noted in `log`; whoever holds its other end has to read it.
pub async fn serve(
    listener: TcpListener,
    receiver: Receiver,
    log: mpsc::Sender<Note>,
    stop: impl Future<Output = ()>,
) {
    let shared = Arc::new(Shared { receiver, progress: Mutex::default(), log });
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (stopping, stopped) = watch::channel(false);
    let accepting = async {
        // a failed accept is one connection's trouble; the listener itself stays good
        while let Ok(permit) = Arc::clone(&room).acquire_owned().await {
            let Ok((stream, _peer)) = listener.accept().await else { continue };
            let connection = connection(stream, Arc::clone(&shared), stopped.clone());
            TokioExecutor::new().execute(async move {
                connection.await;
                drop(permit);
            });
        }
    };
    tokio::select! {
        () = accepting => {}
        () = stop => {}
    }
    drop(listener);
    stopping.send_replace(true);
    let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
    // what has not left by then is cut off: the sender sees a broken connection and tries again
    let _in_time = timeout(STOP_TIMEOUT, room.acquire_many(all)).await;
}

async fn connection(stream: TcpStream, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { shared.handle(request).await }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let stop = async {
        let _told_or_gone = stopped.wait_for(|stop| *stop).await.is_ok();
    };
    // a connection that breaks is the sender's to report
    tokio::select! {
        _broken = &mut serving => {}
        () = stop => {
            serving.as_mut().graceful_shutdown();
            let _broken = serving.await;
        }
    }
}

impl Shared {
    async fn handle(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Dropped> {
        let (head, body) = request.into_parts();
        let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
            return Ok(plain(StatusCode::PAYLOAD_TOO_LARGE));
        };
        let arrival = self.arrival(head.headers, body.to_bytes());
        let answer = self.next_answer(&arrival.id);
        self.note(Note::Arrived(arrival.clone())).await;
        if !self.receiver.script.delay.is_zero() {
            tokio::time::sleep(self.receiver.script.delay).await;
        }
        let (status, forward_error) = match answer {
            Answer::Drop => (None, None),
            Answer::Status(status) => (StatusCode::from_u16(status).ok(), None),
            Answer::Accept => self.accept(&arrival).await,
        };
        let at = (self.receiver.clock)();
        let took = at.since(arrival.at);
        let answered = Answered { at, took, id: arrival.id, status, forward_error };
        self.note(Note::Answered(answered)).await;
        Ok(self.dressed(status.ok_or(Dropped)?))
    }

    fn arrival(&self, headers: HeaderMap, body: Bytes) -> Arrival {
        let at = (self.receiver.clock)();
        let text = |name: &str| {
            let value = headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
            value.map_or_else(|| "-".to_owned(), |value| printable(&value))
        };
        Arrival {
            at,
            id: text("webhook-id"),
            event_type: text("postrider-event-type"),
            attempt: text("postrider-attempt").parse().ok(),
            content_type: text("content-type"),
            signature: self.receiver.keys.check(&headers, &body, at),
            headers,
            body,
        }
    }

    fn next_answer(&self, id: &str) -> Answer {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.next(&self.receiver.script, Some(id))
    }

    async fn accept(&self, arrival: &Arrival) -> (Option<StatusCode>, Option<String>) {
        if matches!(arrival.signature, Signature::Bad(_)) {
            return (Some(StatusCode::UNAUTHORIZED), None);
        }
        let Some(to) = &self.receiver.forward_to else { return (Some(StatusCode::OK), None) };
        match to.post(&arrival.headers, arrival.body.clone()).await {
            Ok(status) => (Some(status), None),
            Err(error) => (Some(error.status()), Some(error.to_string())),
        }
    }

    /// Whoever read the log may be gone; requests are answered all the same.
    async fn note(&self, note: Note) {
        let _reader_gone = self.log.send(note).await;
    }

    fn dressed(&self, status: StatusCode) -> Response<Full<Bytes>> {
        let mut response = plain(status);
        if let Some(secs) = self.receiver.script.retry_after
            && !status.is_success()
        {
            response.headers_mut().insert(header::RETRY_AFTER, secs.into());
        }
        response
    }
}

fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

/// A header value may hold anything; a terminal is told only what is printable.
fn printable(value: &str) -> String {
    value.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests;
