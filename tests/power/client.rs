//! The power-cut test's client, inside the guest: makes load, and checks what is left after a cut.
//!
//! `load` submits events from several threads and writes `A NUMBER EVENT` for each 202. `check`
//! reads such lines and asks the daemon for every event it has: each acknowledged one must be
//! there with its body and all its deliveries, each other one whole as well (a commit is there
//! entirely or not at all), and the idempotency keys must lead to the same events. A payload is
//! made from its number, which stands in its first bytes, so that nothing else need be remembered.
//!
//! Every other event is of a type that is soon delivered and then for retention to remove: it is
//! not written down, and may be there without its payload.

use std::collections::HashMap;
use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;

use anyhow::Context;
use anyhow::bail;
use postrider::model::EventId;
use postrider::model::Time;
use postrider::model::view::Accepted;
use postrider::model::view::EventView;
use postrider::model::view::Page;

use crate::http::Connection;

#[path = "http.rs"]
mod http;

/// Digits at the beginning of a payload.
const NUMBER_BYTES: usize = 16;
/// Refusals after which making load ends.
const REFUSED_MAX: u64 = 100;
/// Idempotency keys that a check tries, of events that were admitted so long ago at most: a key is
/// forgotten after `idempotency_window`.
const KEYS_TRIED_MAX: usize = 64;
const KEY_AGE_MAX: Duration = Duration::from_secs(25 * 60);
/// Faults that are described; the others are counted.
const FAULTS_SHOWN_MAX: u64 = 20;
/// An event that one endpoint never ends, so that it is there at every check.
const KEPT_TYPE: &str = "power.cut";
/// An event that is soon done, so that retention removes it.
const DONE_TYPE: &str = "power.done";
/// Where events go, as the configuration has it.
const KEPT_ENDPOINTS: [&str; 3] = ["kept", "refused", "taken"];
const DONE_ENDPOINTS: [&str; 1] = ["taken"];
/// Of what is no longer kept.
const GONE: [u16; 2] = [404, 410];

fn main() -> anyhow::Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["ready", admin] => {
            let (status, _) = Connection::open(admin)?.get("/readyz")?;
            Ok(if status == 200 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        ["load", ingest, bytes, first, clients] => {
            load(ingest, bytes.parse()?, first.parse()?, clients.parse()?)?;
            Ok(ExitCode::SUCCESS)
        }
        ["check", ingest, admin, bytes, acknowledged] => {
            check(ingest, admin, bytes.parse()?, acknowledged)?;
            Ok(ExitCode::SUCCESS)
        }
        _ => bail!(
            "usage: ready ADMIN | load INGEST BYTES FIRST CLIENTS | check INGEST ADMIN BYTES FILE"
        ),
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

fn submit(to: &mut Connection, number: u64, bytes: usize) -> anyhow::Result<(u16, Vec<u8>)> {
    let key = format!("power-{number}");
    to.post(&format!("/v1/events/{}", type_of(number)), &key, &payload(number, bytes))
}

fn load(ingest: &str, bytes: usize, first: u64, clients: usize) -> anyhow::Result<()> {
    let next = AtomicU64::new(first);
    let refused = AtomicU64::new(0);
    let one = || -> anyhow::Result<()> {
        let mut connection = Connection::open(ingest)?;
        while refused.load(Ordering::Relaxed) < REFUSED_MAX {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let (status, answer) = submit(&mut connection, number, bytes)?;
            if status == 202 {
                let accepted: Accepted = serde_json::from_slice(&answer)?;
                if type_of(number) == DONE_TYPE {
                    continue;
                }
                let line = format!("A {number} {}\n", accepted.id);
                std::io::stdout().lock().write_all(line.as_bytes())?;
            } else {
                refused.fetch_add(1, Ordering::Relaxed);
                let answer = String::from_utf8_lossy(&answer).into_owned();
                writeln!(std::io::stderr().lock(), "FAULT refused {status} {answer}")?;
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

fn acknowledged(path: &str) -> anyhow::Result<HashMap<EventId, u64>> {
    let text = std::fs::read_to_string(path).context("the acknowledgements")?;
    let mut numbers = HashMap::new();
    for line in text.lines() {
        let (number, id) = line.split_once(' ').context("NUMBER EVENT")?;
        numbers.insert(id.parse()?, number.parse()?);
    }
    Ok(numbers)
}

/// What a check found.
#[derive(Default)]
struct Found {
    events: u64,
    payloads_gone: u64,
    broken: u64,
    keys_tried: u64,
    keys_broken: u64,
    shown: u64,
}

impl Found {
    fn fault(&mut self, what: &str) -> std::io::Result<()> {
        self.shown += 1;
        if self.shown > FAULTS_SHOWN_MAX {
            return Ok(());
        }
        writeln!(std::io::stdout().lock(), "FAULT {what}")
    }
}

fn check(ingest: &str, admin: &str, bytes: usize, path: &str) -> anyhow::Result<()> {
    let acknowledged = acknowledged(path)?;
    let mut missing = acknowledged.clone();
    let mut found = Found::default();
    let mut connection = Connection::open(admin)?;
    let mut cursor = String::new();
    loop {
        let (status, answer) = connection.get(&format!("/v1/events?limit=500{cursor}"))?;
        anyhow::ensure!(status == 200, "list answered {status}");
        let page: Page<EventView> = serde_json::from_slice(&answer)?;
        for event in page.data {
            found.events += 1;
            let expected = missing.remove(&event.id);
            let done = event.event_type == DONE_TYPE;
            match state_of(&mut connection, &event.id, expected, bytes)? {
                State::Whole => {}
                State::Gone if done => found.payloads_gone += 1,
                State::Gone => {
                    found.broken += 1;
                    found.fault(&format!("{} is not there as a whole", event.id))?;
                }
                State::Broken(what) => {
                    found.broken += 1;
                    found.fault(&format!("{} {what}", event.id))?;
                }
            }
        }
        match page.next_cursor {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    for (id, number) in &missing {
        found.fault(&format!("{id} (number {number}) was acknowledged and is gone"))?;
    }
    check_keys(ingest, &acknowledged, bytes, &mut found)?;
    writeln!(
        std::io::stdout().lock(),
        "RESULT acknowledged={} lost={} events={} payloads_gone={} broken={} keys={} \
         keys_broken={}",
        acknowledged.len(),
        missing.len(),
        found.events,
        found.payloads_gone,
        found.broken,
        found.keys_tried,
        found.keys_broken,
    )?;
    Ok(())
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
    connection: &mut Connection,
    id: &EventId,
    expected: Option<u64>,
    bytes: usize,
) -> anyhow::Result<State> {
    let (status, answer) = connection.get(&format!("/v1/events/{id}"))?;
    if GONE.contains(&status) {
        return Ok(State::Gone);
    }
    if status != 200 {
        return Ok(State::Broken(format!("is listed and answers {status}")));
    }
    let event: EventView = serde_json::from_slice(&answer)?;
    let mut endpoints: Vec<_> = event.deliveries.iter().map(|one| one.endpoint.as_str()).collect();
    endpoints.sort_unstable();
    let routed: &[&str] =
        if event.event_type == DONE_TYPE { &DONE_ENDPOINTS } else { &KEPT_ENDPOINTS };
    if endpoints != routed {
        return Ok(State::Broken(format!("has deliveries to {endpoints:?}")));
    }
    let (status, body) = connection.get(&format!("/v1/events/{id}/payload"))?;
    if GONE.contains(&status) {
        return Ok(State::Gone);
    }
    if status != 200 {
        return Ok(State::Broken(format!("has a payload that answers {status}")));
    }
    let digits = body.get(..NUMBER_BYTES).and_then(|digits| std::str::from_utf8(digits).ok());
    let Some(number) = digits.and_then(|digits| digits.parse().ok()) else {
        return Ok(State::Broken("has a payload without its number".to_owned()));
    };
    if expected.is_some_and(|expected| expected != number) || body != payload(number, bytes) {
        let what = format!("has a payload of {} bytes that is not its own", body.len());
        return Ok(State::Broken(what));
    }
    Ok(State::Whole)
}

/// A key that is submitted again must lead to the event that was acknowledged for it.
#[expect(clippy::disallowed_methods, reason = "the daemon in the guest has the real clock")]
fn check_keys(
    ingest: &str,
    acknowledged: &HashMap<EventId, u64>,
    bytes: usize,
    found: &mut Found,
) -> anyhow::Result<()> {
    let mut connection = Connection::open(ingest)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let known = |id: &EventId| Time::from_secs(now.as_secs()).since(id.time()) < KEY_AGE_MAX;
    let mut latest: Vec<_> = acknowledged.iter().filter(|(id, _)| known(id)).collect();
    latest.sort_unstable_by_key(|(_, number)| std::cmp::Reverse(**number));
    for (id, number) in latest.into_iter().take(KEYS_TRIED_MAX) {
        found.keys_tried += 1;
        let (status, answer) = submit(&mut connection, *number, bytes)?;
        let same = status == 202
            && serde_json::from_slice::<Accepted>(&answer)
                .is_ok_and(|accepted| accepted.duplicate && accepted.id == *id);
        if !same {
            found.keys_broken += 1;
            let answer = String::from_utf8_lossy(&answer).into_owned();
            found.fault(&format!("{id}: its key answers {status} {answer}"))?;
        }
    }
    Ok(())
}
