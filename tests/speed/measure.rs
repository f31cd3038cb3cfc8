//! How fast a daemon is, as fractions of a floor that is measured beside it.
//!
//! ```sh
//! cargo run --release --example speed -- PROGRAM [--secs N] [--pairs N]
//!     [--endpoints N] [--parked N]
//! ```
//!
//! The floor (`floor.rs`) is the least that a durable relay can do; absolute figures say more of
//! the machine than of a program. Floor and daemon are loaded in turn, pair by pair, each in a
//! process of its own; load and receiver share this one. `--endpoints` and `--parked` add what
//! takes longer: so many endpoints served in turn, and speed, memory and start beside so many
//! deliveries that wait. Everything is on the file system of `TMPDIR`.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measurement reads the clock and says what it saw; one that fails has failed"
)]

mod figures;
mod floor;
mod load;
mod receiver;
mod subject;

use std::time::Duration;

use crate::figures::Pair;
use crate::figures::median;
use crate::load::Load;
use crate::receiver::Receiver;
use crate::subject::Subject;

/// Connections that submit as fast as they are answered.
const CONNECTIONS: usize = 64;
/// Connections that submit at a pace, and events a second.
const PACED: (usize, u32) = (8, 50);
/// Bytes of a payload.
const BYTES: usize = 1_024;
/// Events in a batch.
const BATCH: usize = 100;
/// The ratio below which something is broken, not slow: the goal is 0.5.
const BROKEN: f64 = 0.2;

struct Options {
    program: String,
    secs: u64,
    pairs: usize,
    endpoints: usize,
    parked: usize,
}

fn options() -> Option<Options> {
    let mut words = std::env::args().skip(1);
    let program = words.next()?;
    let mut options = Options { program, secs: 5, pairs: 3, endpoints: 0, parked: 0 };
    while let Some(word) = words.next() {
        let value = words.next()?;
        match word.as_str() {
            "--secs" => options.secs = value.parse().ok()?,
            "--pairs" => options.pairs = value.parse().ok().filter(|pairs| *pairs > 0)?,
            "--endpoints" => options.endpoints = value.parse().ok()?,
            "--parked" => options.parked = value.parse().ok()?,
            _ => return None,
        }
    }
    Some(options)
}

fn main() {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if let [role, socket, file, to] = &words[..]
        && role == "floor"
    {
        return runtime.block_on(floor::serve(socket, file, to));
    }
    let Some(options) = options() else {
        println!("usage: speed PROGRAM [--secs N] [--pairs N] [--endpoints N] [--parked N]");
        std::process::exit(2);
    };
    runtime.block_on(measure(&options));
}

async fn measure(options: &Options) {
    let receiver = Receiver::start().await;
    let time = Duration::from_secs(options.secs);
    let mut pairs = Vec::new();
    for number in 1..=options.pairs {
        let floor = against_floor(&receiver, time).await;
        let own = against_daemon(options, &receiver, time).await;
        let pair = Pair { floor, own };
        println!("pair {number}: {pair}");
        pairs.push(pair);
    }
    figures::table(&pairs);
    let alone = median(pairs.iter().map(|pair| pair.own.single));
    if options.endpoints > 0 {
        many_endpoints(options, &receiver, time, alone).await;
    }
    if options.parked > 0 {
        beside_parked(options, &receiver, time).await;
    }
    let ratio = median(pairs.iter().map(|pair| pair.own.single / pair.floor.single));
    assert!(ratio > BROKEN, "{ratio:.2} of the floor");
    println!("speed: {ratio:.2} of the floor");
}

/// What the floor does of it all.
async fn against_floor(receiver: &Receiver, time: Duration) -> figures::Floor {
    let floor = Subject::floor(receiver.address());
    let load = Load::to(&floor.socket, "/x", BYTES);
    let flood = load.flood(receiver, CONNECTIONS, time).await;
    let cpu = floor.spent_since(&floor.started).cpu_us / flood.accepted;
    let latency = load.paced(receiver, PACED, time).await;
    figures::Floor { single: flood.arrived / time.as_secs_f64(), cpu_us: cpu, latency }
}

async fn against_daemon(options: &Options, receiver: &Receiver, time: Duration) -> figures::Own {
    let daemon = Subject::daemon(&options.program, receiver.address(), 1);
    let idle_mib = daemon.resident_mib();
    let load = Load::to(&daemon.socket, "/v1/events/bench.made", BYTES);
    // what is met once (connections, pages, a window that opens) is met before
    load.flood(receiver, CONNECTIONS, Duration::from_secs(1)).await;
    let before = daemon.spent();
    let flood = load.flood(receiver, CONNECTIONS, time).await;
    let spent = daemon.spent_since(&before);
    let loaded_mib = daemon.resident_mib();
    let latency = load.paced(receiver, PACED, time).await;
    let batch = Load::to(&daemon.socket, "/v1/events:batch", BYTES).of_batches(BATCH);
    let batch = batch.flood(receiver, CONNECTIONS / 8, time).await;
    daemon.end();
    let daemon = Subject::daemon(&options.program, receiver.address(), 10);
    let load = Load::to(&daemon.socket, "/v1/events/bench.made", BYTES);
    let ten = load.flood(receiver, CONNECTIONS, time).await;
    daemon.end();
    let secs = time.as_secs_f64();
    figures::Own {
        single: flood.arrived / secs,
        ten: ten.arrived / secs,
        batch: batch.accepted / secs,
        accepted: flood.accepted / secs,
        latency,
        cpu_us: spent.cpu_us / flood.accepted,
        written_kib: spent.written_bytes / flood.accepted / 1024.0,
        idle_mib,
        loaded_mib,
    }
}

/// One event for each of many endpoints, in turn.
async fn many_endpoints(options: &Options, receiver: &Receiver, time: Duration, alone: f64) {
    let daemon = Subject::daemon_of_types(&options.program, receiver.address(), options.endpoints);
    let load = Load::to(&daemon.socket, "/v1/events/bench.n", BYTES).in_turn(options.endpoints);
    let flood = load.flood(receiver, CONNECTIONS, time).await;
    let rate = flood.arrived / time.as_secs_f64();
    let (count, mib) = (options.endpoints, daemon.resident_mib());
    println!("{count} endpoints in turn: {:.2} of one alone, {mib:.0} MiB", rate / alone);
    daemon.end();
}

/// The same load beside deliveries that wait, and a start with them.
async fn beside_parked(options: &Options, receiver: &Receiver, time: Duration) {
    let mut daemon = Subject::daemon(&options.program, receiver.address(), 1);
    let load = Load::to(&daemon.socket, "/v1/events/bench.made", BYTES);
    let empty = load.flood(receiver, CONNECTIONS, time).await.arrived;
    daemon.pause("parked");
    let park = Load::to(&daemon.socket, "/v1/events:batch", 200).of_batches(1_000).of_type("park");
    park.submit(options.parked).await;
    let parked_mib = daemon.resident_mib();
    let beside = load.flood(receiver, CONNECTIONS, time).await.arrived;
    let loaded_mib = daemon.resident_mib();
    receiver.forget();
    let took = daemon.die_and_start_again(&load, receiver).await;
    println!(
        "{} parked: {:.2} of the speed without, {parked_mib:.0} MiB ({loaded_mib:.0} under load, \
         {:.0} after kill -9), first delivery {took:.2?} after the start",
        options.parked,
        beside / empty,
        daemon.resident_mib()
    );
    daemon.end();
}
