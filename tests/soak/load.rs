//! Clients that submit what their receiver can take: so many events may be under way, and no more,
//! so that what is measured is a steady state. Who gets no answer asks again, with the same key.

use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::harness::client::Answer;
use crate::harness::client::Connection;
use crate::harness::client::Request;
use crate::pause;
use crate::sink::KEYS;
use crate::sink::Manner;
use crate::sink::Places;
use crate::sink::Sink;

const BYTES: usize = 600;
const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// While the daemon is away, or refuses.
const TRY_AGAIN: Duration = Duration::from_millis(50);

/// The events of one type, for one endpoint.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) name: &'static str,
    pub(crate) sink: Sink,
    pub(crate) clients: u32,
    batch: u32,
    window: u32,
    next: AtomicU32,
    acknowledged: Mutex<Places>,
    ended: AtomicBool,
    /// From an answer to the next request.
    every: Duration,
    /// Keys of this run.
    salt: u32,
}

impl Stream {
    pub(crate) fn new(
        name: &'static str,
        manner: Manner,
        clients: u32,
        batch: u32,
        window: u32,
    ) -> Stream {
        Stream {
            name,
            sink: Sink::start(manner),
            clients,
            batch,
            window,
            next: AtomicU32::new(0),
            acknowledged: Mutex::default(),
            ended: AtomicBool::new(false),
            every: if batch > 1 { at_pace(batch) } else { Duration::ZERO },
            salt: fastrand::u32(..),
        }
    }

    /// Nothing more is submitted.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    pub(crate) fn accepted(&self) -> u64 {
        self.acknowledged.lock().unwrap().count()
    }

    /// What was acknowledged and has not been taken.
    pub(crate) fn missing(&self) -> u64 {
        self.acknowledged.lock().unwrap().beyond(&self.sink.state().taken)
    }

    /// Submits until the end, on a connection that is kept as long as it holds.
    pub(crate) fn client(&self, socket: &Path) {
        let mut line = None;
        while !self.ended.load(Ordering::Relaxed) {
            let taken = self.sink.state().taken.count();
            if self.accepted() >= taken + u64::from(self.window) {
                pause(LOOK_AGAIN);
                continue;
            }
            let first = self.next.fetch_add(self.batch, Ordering::Relaxed);
            let request = self.request(first);
            let answer = insist(&mut line, socket, &request);
            assert_eq!(answer.status, 202, "{}", String::from_utf8_lossy(&answer.body));
            let mut acknowledged = self.acknowledged.lock().unwrap();
            for place in first..first + self.batch {
                acknowledged.add(place);
            }
            drop(acknowledged);
            pause(self.every);
        }
    }

    fn request(&self, first: u32) -> Request {
        let (name, salt) = (self.name, self.salt);
        if self.batch == 1 {
            let request = Request::post(&format!("/v1/events/{name}.made"), payload(first));
            let request = request.key(&format!("{name}-{salt}-{first}"));
            return request.header("postrider-ordering-key", &format!("{}", first % KEYS));
        }
        let line = |place: u32| {
            let (key, data) = (format!("{name}-{salt}-{place}"), payload(place));
            format!("{{\"type\":\"{name}.made\",\"idempotency_key\":\"{key}\",\"data\":{data}}}\n")
        };
        let lines: String = (first..first + self.batch).map(line).collect();
        Request::post("/v1/events:batch", lines)
    }
}

fn at_pace(batch: u32) -> Duration {
    let pace = crate::number("SOAK_PACE").unwrap_or(crate::PACE);
    Duration::from_secs(u64::from(batch)).checked_div(pace).unwrap_or_default()
}

fn payload(place: u32) -> String {
    format!("\"{:<BYTES$}\"", format!("{place} "))
}

/// Asks until there is an answer, other than that it is to be tried again.
fn insist(line: &mut Option<Connection>, socket: &Path, request: &Request) -> Answer {
    loop {
        let answer = once(line, socket, request);
        match answer {
            Ok(answer) if ![429, 503].contains(&answer.status) => return answer,
            Ok(_) => {}
            Err(_) => *line = None,
        }
        pause(TRY_AGAIN);
    }
}

fn once(line: &mut Option<Connection>, socket: &Path, request: &Request) -> io::Result<Answer> {
    match line {
        Some(line) => line.send(request),
        None => line.insert(Connection::open(socket)?).send(request),
    }
}
