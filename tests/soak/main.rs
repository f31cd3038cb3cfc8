//! Hours of use: load on endpoints of all kinds, short retention, reloads, replays, restarts; then
//! nothing is lost, and memory, disk, descriptors and threads are what they were.
//!
//! Ignored, since it takes a while: `tests/soak/run [--secs N]`. `SOAK_SECS` says how long (60),
//! `SOAK_CSV` where the samples of each second go, `SOAK_PACE` how many events a second come in
//! batches (2000), besides those that clients submit one by one. The daemon is restarted three
//! times in the first quarter of that time, twice after a `kill -9`; what it holds in the second
//! third is compared with what it holds in the last.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "what helpers of a test cannot do fails the test; a measurement says what it saw"
)]

#[expect(dead_code, reason = "only a part of it is needed here")]
#[path = "../harness/mod.rs"]
mod harness;
#[path = "../harness/measure.rs"]
mod measure;

mod load;
mod sink;
mod watch;

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use harness::client::Connection;
use harness::client::Request;
use harness::daemon::Daemon;
use harness::daemon::Home;
use harness::daemon::now;
use measure::number;

use crate::load::Stream;
use crate::sink::Manner;
use crate::watch::Watch;

const SECS: u64 = 60;
const PACE: u32 = 2_000;
/// How often something is done to the daemon, in seconds.
const ACT_EVERY: u64 = 5;
/// What is still under way at the end has so long.
const SETTLE_MAX: Duration = Duration::from_secs(60);

/// Name, how its receiver is, what more is said of it, clients, events in a request, and events
/// that may be under way.
const STREAMS: [(&str, Manner, &str, u32, u32, u32); 7] = [
    ("well", Manner::Well, "", 4, 1, 2_000),
    ("batch", Manner::Well, "", 1, 100, 4_000),
    ("failing", Manner::FailsOften, "breaker = { enabled = false }", 1, 1, 200),
    ("slow", Manner::Slow, "max_in_flight = 16", 1, 1, 100),
    ("breaker", Manner::GoesDown, "breaker = { open_for = \"1s\", open_max = \"2s\" }", 1, 1, 500),
    ("ordered", Manner::FailsOften, "ordering = \"key\"\nbreaker = { enabled = false }", 1, 1, 100),
    ("rate", Manner::Well, "rate = \"100/s\"", 1, 1, 100),
];
/// Deliveries to this one die, and are replayed.
const DYING: (&str, &str) =
    ("dying", "retry = { max_attempts = 2 }\nbreaker = { enabled = false }");

fn settings(home: Home) -> Home {
    home.set("POSTRIDER_INGEST__IDEMPOTENCY_WINDOW", "10s")
        .set("POSTRIDER_RETENTION__DELIVERED_PAYLOAD", "5s")
        .set("POSTRIDER_RETENTION__DEAD_PAYLOAD", "20s")
        .set("POSTRIDER_RETENTION__EVENTS", "20s")
        .set("POSTRIDER_RETENTION__PAYLOAD_MAX", "8MiB")
        .set("POSTRIDER_RETENTION__SWEEP_EVERY", "1s")
        .set("POSTRIDER_DELIVERY__POOL_IDLE_TIMEOUT", "2s")
        .set("POSTRIDER_LOG__LEVEL", "warn")
}

/// Waits for a while; nothing here is woken by anything else.
fn pause(span: Duration) {
    let (_open, never) = mpsc::channel::<()>();
    assert!(never.recv_timeout(span).is_err(), "nothing is ever sent");
}

#[test]
#[ignore = "takes a minute, or as long as SOAK_SECS says"]
fn nothing_is_lost_and_nothing_grows() {
    let secs = number("SOAK_SECS").unwrap_or(SECS);
    let mut home = settings(Home::new());
    let mut streams = Vec::new();
    for (name, manner, more, clients, batch, window) in STREAMS {
        let stream = Stream::new(name, manner, clients, batch, window);
        home = home.endpoint_at(name, &stream.sink.url(), &wants(name, more));
        streams.push(Arc::new(stream));
    }
    let dying = Stream::new(DYING.0, Manner::FailsTwice, 1, 1, 20);
    home = home.endpoint_at(DYING.0, &dying.sink.url(), &wants(DYING.0, DYING.1));
    streams.push(Arc::new(dying));
    home.write_config();

    let mut daemon = start(&home);
    let mut watch = Watch::new(&home, std::env::var("SOAK_CSV").ok());
    let socket = daemon.ingest_socket().to_owned();
    let began = now();
    let clients: Vec<_> = streams
        .iter()
        .flat_map(|stream| {
            let client = |_| {
                let (stream, socket) = (Arc::clone(stream), socket.clone());
                std::thread::spawn(move || stream.client(&socket))
            };
            (0..stream.clients).map(client)
        })
        .collect();
    for second in 1..=secs {
        pause((Duration::from_secs(second)).saturating_sub(began.elapsed()));
        watch.sample(&daemon, &streams, second);
        if let Some(orderly) = restarts(secs, second) {
            daemon = restart(&home, daemon, orderly);
        }
        if second.is_multiple_of(ACT_EVERY) {
            act(&daemon);
        }
    }
    let took = began.elapsed();
    streams.iter().for_each(|stream| stream.end());
    clients.into_iter().for_each(|client| client.join().unwrap());
    settle(&daemon, &streams);
    daemon.stop();
    watch.judge(took, &streams);
}

fn wants(name: &str, more: &str) -> String {
    format!("types = [\"{name}.made\"]\n{more}")
}

/// Whether there is a restart after so many seconds, and whether it is an orderly one.
fn restarts(secs: u64, second: u64) -> Option<bool> {
    let every = (secs / 12).max(1);
    (second <= 3 * every && second.is_multiple_of(every)).then_some(second / every == 2)
}

fn start(home: &Home) -> Daemon {
    let daemon = home.spawn(home.command());
    daemon.until("it is ready", || {
        let asked = Connection::open(&home.path("admin.sock"));
        let answer = asked.and_then(|mut admin| admin.send(&Request::new("GET", "/readyz")));
        answer.is_ok_and(|answer| answer.status == 200)
    });
    daemon
}

fn restart(home: &Home, daemon: Daemon, orderly: bool) -> Daemon {
    let began = now();
    if orderly {
        daemon.stop();
    } else {
        daemon.kill();
    }
    let daemon = start(home);
    println!("restarted ({}) in {:.1?}", if orderly { "TERM" } else { "KILL" }, began.elapsed());
    daemon
}

/// What people and their programs do: a reload, a replay of what is dead, a look at the lists.
fn act(daemon: &Daemon) {
    let reload = daemon.ask(&Request::post("/v1/admin/reload", ""));
    assert_eq!(reload.status, 200, "{reload:?}");
    replay(daemon);
    for path in ["/v1/events?limit=100", "/v1/deliveries?state=waiting&limit=100", "/v1/queue"] {
        daemon.show(path);
    }
}

fn replay(daemon: &Daemon) {
    let filter = "{\"filter\":{\"state\":\"dead\"}}";
    let replay = daemon.ask(&Request::post("/v1/replays", filter));
    assert!([200, 201, 202].contains(&replay.status), "{replay:?}");
}

/// Waits until everything that was acknowledged has arrived, sending again what is dead.
fn settle(daemon: &Daemon, streams: &[Arc<Stream>]) {
    let began = now();
    while streams.iter().any(|stream| stream.missing() > 0) && began.elapsed() < SETTLE_MAX {
        replay(daemon);
        pause(Duration::from_secs(1));
    }
    println!("settled in {:.1?}", began.elapsed());
}
