//! Load on the ingest socket: as fast as it is answered, or at a pace; and what comes of it.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

use crate::harness::client::Connection;
use crate::harness::client::Request;
use crate::harness::daemon::now;
use crate::sink::Seen;
use crate::sink::Sink;
use crate::sink::payload;

/// Connections of clients.
pub(crate) const CLIENTS: u32 = 8;
/// Bytes of a payload.
const BYTES: usize = 1024;
/// And of one in a batch.
const SMALL_BYTES: usize = 200;
/// Events in a batch.
const BATCH: usize = 1000;
/// The type of events for the healthy endpoint.
pub(crate) const GOOD: &str = "good.made";
/// How long what was submitted may take to arrive.
const PATIENCE: Duration = Duration::from_secs(60);

/// How an endpoint fares.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fares {
    /// Arrivals a second, of events submitted as fast as they are accepted.
    pub(crate) throughput: f64,
    /// From when an event was to be submitted until it arrived, at a pace: 50 and 99 in a hundred
    /// took no longer.
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

impl Fares {
    /// As multiples of another's.
    pub(crate) fn against(&self, other: Fares) -> Compared {
        let p99 = self.p99.as_secs_f64() / other.p99.as_secs_f64();
        Compared { throughput: self.throughput / other.throughput, p99 }
    }
}

/// How an endpoint fares, compared with how it fares elsewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compared {
    pub(crate) throughput: f64,
    pub(crate) p99: f64,
}

impl Compared {
    /// The medians of so many rounds.
    pub(crate) fn over(rounds: u32, mut round: impl FnMut() -> Compared) -> Compared {
        let all: Vec<_> = (0..rounds).map(|_| round()).collect();
        println!("rounds: {all:.2?}");
        let median = |of: fn(&Compared) -> f64| {
            let mut figures: Vec<_> = all.iter().map(of).collect();
            figures.sort_by(f64::total_cmp);
            figures[figures.len() / 2]
        };
        Compared { throughput: median(|round| round.throughput), p99: median(|round| round.p99) }
    }
}

pub(crate) fn say(who: &str, fares: Fares) {
    let Fares { throughput, p50, p99 } = fares;
    println!("{who}: {throughput:.0} a second, p50 {p50:?}, p99 {p99:?}");
}

/// Measures both for this long each, in two streams: this one and the next.
pub(crate) fn measure(socket: &Path, sink: &Sink, stream: u32, time: Duration) -> Fares {
    let throughput = flood(socket, sink, stream, time);
    let pace = crate::number("FLOW_PACE").unwrap_or(100);
    let mut latencies = paced(socket, sink, stream + 1, pace, time);
    latencies.sort();
    let of = |percent: usize| latencies[(latencies.len() * percent / 100).min(latencies.len() - 1)];
    Fares { throughput, p50: of(50), p99: of(99) }
}

/// Submits as fast as it is answered, for this long. Gives the arrivals a second.
pub(crate) fn flood(socket: &Path, sink: &Sink, stream: u32, time: Duration) -> f64 {
    let next = AtomicU32::new(0);
    let end = now() + time;
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut connection = Connection::open(socket).unwrap();
                while now() < end {
                    submit(&mut connection, stream, next.fetch_add(1, Ordering::Relaxed));
                }
            });
        }
    });
    sink.wait_for(stream, usize::try_from(next.into_inner()).unwrap(), PATIENCE);
    let in_time = sink.seen_of(stream).iter().filter(|seen| seen.at < end).count();
    f64::from(u32::try_from(in_time).unwrap()) / time.as_secs_f64()
}

/// Submits so many a second, for this long. Gives how long each took to arrive.
fn paced(socket: &Path, sink: &Sink, stream: u32, pace: u32, time: Duration) -> Vec<Duration> {
    let count = u32::try_from(time.as_millis() * u128::from(pace) / 1000).unwrap();
    let begin = now();
    let due = |place: u32| begin + Duration::from_secs(1) * place / pace;
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || {
                let mut connection = Connection::open(socket).unwrap();
                for place in (client..count).step_by(usize::try_from(CLIENTS).unwrap()) {
                    wait_until(due(place));
                    submit(&mut connection, stream, place);
                }
            });
        }
    });
    sink.wait_for(stream, usize::try_from(count).unwrap(), PATIENCE);
    let first = |seen: &Seen| seen.at.saturating_duration_since(due(seen.place));
    sink.seen_of(stream).iter().map(first).collect()
}

fn wait_until(at: Instant) {
    let (_open, never) = mpsc::channel::<()>();
    assert!(never.recv_timeout(at.saturating_duration_since(now())).is_err());
}

/// Submits an event for the healthy endpoint.
pub(crate) fn submit(connection: &mut Connection, stream: u32, place: u32) {
    let path = format!("/v1/events/{GOOD}");
    connection.send(&Request::post(&path, payload(stream, place, BYTES))).unwrap().id();
}

/// Submits small events, in batches: places of stream 0, each of the type that `kind` gives.
pub(crate) fn batches(socket: &Path, places: Range<u32>, kind: impl Fn(u32) -> String) {
    let mut connection = Connection::open(socket).unwrap();
    for first in places.clone().step_by(BATCH) {
        let last = places.end.min(first + u32::try_from(BATCH).unwrap());
        let line = |place: u32| {
            let (kind, body) = (kind(place), payload(0, place, SMALL_BYTES));
            format!("{{\"type\":\"{kind}\",\"data\":{body}}}\n")
        };
        let body: String = (first..last).map(line).collect();
        let answer = connection.send(&Request::post("/v1/events:batch", body)).unwrap();
        assert_eq!(answer.status, 202, "{}", String::from_utf8_lossy(&answer.body));
    }
}
