//! What was promised to whoever submitted, and the check that a store holds it, whatever became of
//! the process, the machine or the disk meanwhile.
//!
//! A payload is made from its number, which stands in its first bytes, so that nothing else need be
//! remembered than the numbers and events that were acknowledged. A check asks the daemon for every
//! event it has: each acknowledged one must be there with its body and all its deliveries, each
//! other one whole as well (a commit is there entirely or not at all), and the idempotency keys
//! must lead to the same events.
//!
//! Every other event is of a type that is soon delivered and then for retention to remove: it is
//! not remembered, and may be there without its payload.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;

use anyhow::bail;
use anyhow::ensure;
use postrider::model::EventId;
use postrider::model::Time;
use postrider::model::view::Accepted;
use postrider::model::view::EventView;
use postrider::model::view::Page;

use super::client::Answer;
use super::client::Connection;
use super::client::Request;

/// Digits at the beginning of a payload.
const NUMBER_BYTES: usize = 16;
/// Refusals after which making load ends.
const REFUSED_MAX: u64 = 100;
/// Idempotency keys that a check tries, of events that were admitted so long ago at most: a key is
/// forgotten after `idempotency_window`.
const KEYS_TRIED_MAX: usize = 64;
const KEY_AGE_MAX: Duration = Duration::from_secs(25 * 60);
/// Faults that are described; the others are counted.
const FAULTS_SHOWN_MAX: usize = 20;
/// A slow machine may let a connection lapse between two requests: a request is made again so
/// often, each time over a new one. All of ours may be repeated.
const TRIES: usize = 5;
/// An event that one endpoint never ends, so that it is there at every check.
const KEPT_TYPE: &str = "pledge.kept";
/// An event that is soon done, so that retention removes it.
const DONE_TYPE: &str = "pledge.done";
/// Where events go, as the configuration has it.
const KEPT_ENDPOINTS: [&str; 3] = ["kept", "refused", "taken"];
const DONE_ENDPOINTS: [&str; 1] = ["taken"];
/// Of what is no longer kept.
const GONE: [u16; 2] = [404, 410];

/// What was acknowledged: events of the type that is kept, and their numbers.
pub(crate) type Acknowledged = HashMap<EventId, u64>;

/// The bytes of the payload with a number.
pub(crate) type Length<'a> = &'a (dyn Fn(u64) -> usize + Sync);

/// A connection that is opened again where it breaks.
pub(crate) struct Line {
    socket: PathBuf,
    connection: Connection,
}

impl Line {
    pub(crate) fn open(socket: &Path) -> io::Result<Line> {
        Ok(Line { socket: socket.to_owned(), connection: Connection::open(socket)? })
    }

    fn send(&mut self, request: &Request) -> io::Result<Answer> {
        for _ in 1..TRIES {
            if let Ok(answer) = self.connection.send(request) {
                return Ok(answer);
            }
            self.connection = Connection::open(&self.socket)?;
        }
        self.connection.send(request)
    }

    pub(crate) fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send(&Request::new("GET", path))
    }
}

/// The payload with this number: its number, then bytes that follow from it.
fn payload(number: u64, bytes: usize) -> Vec<u8> {
    let mut payload = format!("{number:016}").into_bytes();
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    while payload.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        payload.extend_from_slice(&state.to_le_bytes());
    }
    payload.truncate(bytes);
    payload
}

/// Odd numbers are of events that are soon done.
fn type_of(number: u64) -> &'static str {
    if number.is_multiple_of(2) { KEPT_TYPE } else { DONE_TYPE }
}

/// How the event with a number is submitted; even ones are kept.
pub(crate) fn submission(number: u64, length: Length<'_>) -> Request {
    let path = format!("/v1/events/{}", type_of(number));
    let request = Request::post(&path, payload(number, length(number)));
    let request = request.header("content-type", "application/octet-stream");
    request.key(&format!("pledge-{number}"))
}

/// Submits from several threads, numbers from `first` on, until there is no answer any more.
/// `heard` is told of each event that is kept, once there is a 202 for it, and of each refusal.
pub(crate) fn load(
    ingest: &Path,
    length: Length<'_>,
    first: u64,
    clients: usize,
    heard: &(dyn Fn(u64, Result<EventId, Answer>) + Sync),
) -> anyhow::Result<()> {
    let next = AtomicU64::new(first);
    let refused = AtomicU64::new(0);
    let one = || -> anyhow::Result<()> {
        let mut line = Line::open(ingest)?;
        while refused.load(Ordering::Relaxed) < REFUSED_MAX {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let answer = line.send(&submission(number, length))?;
            if answer.status != 202 {
                refused.fetch_add(1, Ordering::Relaxed);
                heard(number, Err(answer));
            } else if type_of(number) == KEPT_TYPE {
                heard(number, Ok(serde_json::from_slice::<Accepted>(&answer.body)?.id));
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..clients).map(|_| scope.spawn(one)).collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(result) => result,
            Err(_) => bail!("a client panicked"),
        })
    })
}

/// What a check found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    acknowledged: usize,
    pub(crate) lost: usize,
    events: u64,
    pub(crate) payloads_gone: u64,
    broken: u64,
    keys_tried: u64,
    keys_broken: u64,
    /// What is wrong, in words.
    pub(crate) faults: Vec<String>,
}

impl Found {
    fn fault(&mut self, what: String) {
        if self.faults.len() < FAULTS_SHOWN_MAX {
            self.faults.push(what);
        }
    }

    /// Nothing is wrong.
    pub(crate) fn is_whole(&self) -> bool {
        self.lost == 0 && self.broken == 0 && self.keys_broken == 0
    }
}

impl fmt::Display for Found {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "acknowledged={} lost={} events={} payloads_gone={} broken={} keys={} keys_broken={}",
            self.acknowledged,
            self.lost,
            self.events,
            self.payloads_gone,
            self.broken,
            self.keys_tried,
            self.keys_broken,
        )
    }
}

/// Compares what was acknowledged with what there is.
pub(crate) fn check(
    ingest: &Path,
    admin: &Path,
    length: Length<'_>,
    acknowledged: &Acknowledged,
) -> anyhow::Result<Found> {
    let mut missing = acknowledged.clone();
    let mut found = Found { acknowledged: acknowledged.len(), ..Found::default() };
    let mut line = Line::open(admin)?;
    let mut cursor = String::new();
    loop {
        let answer = line.get(&format!("/v1/events?limit=500{cursor}"))?;
        ensure!(answer.status == 200, "list answered {}", answer.status);
        let page: Page<EventView> = serde_json::from_slice(&answer.body)?;
        for event in page.data {
            found.events += 1;
            let expected = missing.remove(&event.id);
            let done = event.event_type == DONE_TYPE;
            match state_of(&mut line, &event.id, expected, length)? {
                State::Whole => {}
                State::Gone if done => found.payloads_gone += 1,
                State::Gone => {
                    found.broken += 1;
                    found.fault(format!("{} is not there as a whole", event.id));
                }
                State::Broken(what) => {
                    found.broken += 1;
                    found.fault(format!("{} {what}", event.id));
                }
            }
        }
        match page.next_cursor {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    found.lost = missing.len();
    for (id, number) in &missing {
        found.fault(format!("{id} (number {number}) was acknowledged and is gone"));
    }
    check_keys(ingest, acknowledged, length, &mut found)?;
    Ok(found)
}

/// What there is of a listed event.
enum State {
    Whole,
    /// It, or its payload, is no longer kept.
    Gone,
    Broken(String),
}

/// `expected` is the event's number, if it was acknowledged.
fn state_of(
    line: &mut Line,
    id: &EventId,
    expected: Option<u64>,
    length: Length<'_>,
) -> anyhow::Result<State> {
    let answer = line.get(&format!("/v1/events/{id}"))?;
    if GONE.contains(&answer.status) {
        return Ok(State::Gone);
    }
    if answer.status != 200 {
        return Ok(State::Broken(format!("is listed and answers {}", answer.status)));
    }
    let event: EventView = serde_json::from_slice(&answer.body)?;
    let mut endpoints: Vec<_> = event.deliveries.iter().map(|one| one.endpoint.as_str()).collect();
    endpoints.sort_unstable();
    let routed: &[&str] =
        if event.event_type == DONE_TYPE { &DONE_ENDPOINTS } else { &KEPT_ENDPOINTS };
    if endpoints != routed {
        return Ok(State::Broken(format!("has deliveries to {endpoints:?}")));
    }
    let answer = line.get(&format!("/v1/events/{id}/payload"))?;
    if GONE.contains(&answer.status) {
        return Ok(State::Gone);
    }
    if answer.status != 200 {
        return Ok(State::Broken(format!("has a payload that answers {}", answer.status)));
    }
    let body = answer.body;
    let digits = body.get(..NUMBER_BYTES).and_then(|digits| std::str::from_utf8(digits).ok());
    let Some(number) = digits.and_then(|digits| digits.parse().ok()) else {
        return Ok(State::Broken("has a payload without its number".to_owned()));
    };
    let other = expected.is_some_and(|expected| expected != number);
    if other || body != payload(number, length(number)) {
        let what = format!("has a payload of {} bytes that is not its own", body.len());
        return Ok(State::Broken(what));
    }
    Ok(State::Whole)
}

/// A key that is submitted again must lead to the event that was acknowledged for it.
#[expect(clippy::disallowed_methods, reason = "the daemon under test has the real clock")]
fn check_keys(
    ingest: &Path,
    acknowledged: &Acknowledged,
    length: Length<'_>,
    found: &mut Found,
) -> anyhow::Result<()> {
    let mut line = Line::open(ingest)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let known = |id: &EventId| Time::from_secs(now.as_secs()).since(id.time()) < KEY_AGE_MAX;
    let mut latest: Vec<_> = acknowledged.iter().filter(|(id, _)| known(id)).collect();
    latest.sort_unstable_by_key(|(_, number)| std::cmp::Reverse(**number));
    for (id, number) in latest.into_iter().take(KEYS_TRIED_MAX) {
        found.keys_tried += 1;
        let answer = line.send(&submission(*number, length))?;
        let same = answer.status == 202
            && serde_json::from_slice::<Accepted>(&answer.body)
                .is_ok_and(|accepted| accepted.duplicate && accepted.id == *id);
        if !same {
            found.keys_broken += 1;
            let body = String::from_utf8_lossy(&answer.body);
            found.fault(format!("{id}: its key answers {} {body}", answer.status));
        }
    }
    Ok(())
}
