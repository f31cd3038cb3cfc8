//! The layout's promises: parked deliveries cost little memory, a restart does not depend on the
//! backlog, and an event costs a bounded number of bytes written.
//!
//! The short form runs with every test. The long form, which decided the layout:
//!
//! ```sh
//! LAYOUT_EVENTS=10000000 LAYOUT_GROUP=64 LAYOUT_HOME=/dev/shm \
//!     cargo test --release --test layout -- --nocapture
//! ```
//!
//! Each measurement runs in a process of its own (this same binary, told by `LAYOUT_ROLE`), so that
//! its memory is the store's.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measurement reads the clock and says what it saw; one that fails has failed"
)]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use postrider::model::*;
use postrider::store::CommitError;
use postrider::store::open::Durability;
use postrider::store::open::Opened;
use postrider::store::open::Options;
use postrider::store::open::open;
use postrider::store::writer::Commit;
use postrider::store::writer::Receipts;
use postrider::store::writer::Writer;

const MIB: u64 = 1024 * 1024;
const ENDPOINT: EndpointNo = EndpointNo(3);

/// A number from the environment.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn parked_deliveries_cost_little_memory_and_no_time_to_start() {
    let events = number("LAYOUT_EVENTS", 50_000);
    match std::env::var("LAYOUT_ROLE").as_deref() {
        Ok("park") => return park(events),
        Ok("start") => return start(),
        Ok(_) => return,
        Err(_) => {}
    }
    let home = home();
    let test = "parked_deliveries_cost_little_memory_and_no_time_to_start";
    let parked = child(test, "park", home.path());
    let started = child(test, "start", home.path());
    // What the process takes by itself, and the cache, which is filled first.
    let allowed = 60 * MIB + events * 24;
    assert!(parked.resident < allowed, "{} of {allowed} bytes resident", parked.resident);
    assert!(started.resident < allowed, "{} of {allowed} bytes resident", started.resident);
    assert!(started.took < Duration::from_secs(3), "a start took {:?}", started.took);
}

#[test]
fn an_event_costs_a_bounded_number_of_bytes_written() {
    let events = number("LAYOUT_EVENTS", 20_000);
    match std::env::var("LAYOUT_ROLE").as_deref() {
        Ok("deliver") => return deliver(events),
        Ok(_) => return,
        Err(_) => {}
    }
    let home = home();
    let delivered =
        child("an_event_costs_a_bounded_number_of_bytes_written", "deliver", home.path());
    let each = delivered.written / events;
    assert!(each < 12 * 1024, "{each} bytes written for an event of 1 KiB and its delivery");
}

/// Admits events of 200 bytes and delivers none.
fn park(events: u64) {
    let (opened, begun) = begin();
    let group = number("LAYOUT_GROUP", 64);
    let desk = Desk::over(opened.writer);
    for first in (0..events).step_by(usize::try_from(group).unwrap()) {
        let last = events.min(first + group);
        desk.commit((first..last).map(|n| admit(n, 200, &[])).collect());
    }
    desk.close();
    report(begun);
}

/// Opens what [`park`] left and loads the head of the lane.
fn start() {
    let (opened, begun) = begin();
    let rows = opened.readers.reader().unwrap().load(ENDPOINT, Class::Fresh, None, 64).unwrap();
    assert_eq!(rows.len(), 64);
    report(begun);
}

/// Admits events of 1 KiB, each dialled at once and delivered by the next group.
fn deliver(events: u64) {
    let (opened, begun) = begin();
    let group = number("LAYOUT_GROUP", 64);
    let desk = Desk::over(opened.writer);
    let mut commits = Vec::new();
    for first in (0..events).step_by(usize::try_from(group).unwrap()) {
        let last = events.min(first + group);
        commits.extend((first..last).map(|n| admit(n, 1024, &[ENDPOINT])));
        desk.commit(commits);
        commits = (first..last).map(delivered).collect();
    }
    desk.commit(commits);
    desk.close();
    assert_eq!(opened.readers.reader().unwrap().in_flight().unwrap(), []);
    report(begun);
}

/// The writer in its own thread, as the daemon has it.
struct Desk {
    commits: Sender<Commit>,
    receipts: Receiver<Receipts>,
    writer: JoinHandle<Result<(), CommitError>>,
}

impl Desk {
    fn over(writer: Writer) -> Desk {
        let (commits, inbox) = channel();
        let (done, receipts) = channel();
        let run = move || writer.run(&inbox, |receipts| done.send(receipts).unwrap());
        Desk { commits, receipts, writer: std::thread::spawn(run) }
    }

    /// Hands commits over one by one, and waits until all of them are safe.
    fn commit(&self, commits: Vec<Commit>) {
        let mut missing = commits.len();
        commits.into_iter().for_each(|commit| self.commits.send(commit).unwrap());
        while missing > 0 {
            missing -= self.receipts.recv().unwrap().len();
        }
    }

    fn close(self) {
        drop(self.commits);
        self.writer.join().unwrap().unwrap();
    }
}

fn id(n: u64) -> EventId {
    let low = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 2;
    EventId::v7(Time::from_micros(1_795_000_000_000_000 + n * 100), 0, low)
}

fn admit(n: u64, body_bytes: usize, started: &[EndpointNo]) -> Commit {
    // Bytes that do not repeat, as those of real payloads after compression of the disk's.
    let mut state = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let body = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    let body: Vec<u8> = body.flatten().take(body_bytes).collect();
    let id = id(n);
    let event = Event {
        id,
        event_type: "order.created".parse().unwrap(),
        accepted_at: id.time(),
        source: "uid:1000".into(),
        content_type: "application/json".into(),
        body: Bytes::from(body),
        attributes: Box::default(),
        targets: vec![ENDPOINT],
        orders: Vec::new(),
        dedupes: Vec::new(),
        held: Vec::new(),
    };
    let mut hash = [0; 16];
    hash.copy_from_slice(
        &u128::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835).to_be_bytes(),
    );
    let key = (number("LAYOUT_KEYS", 0) == 1).then_some(KeyRef { hash, fingerprint: [7; 16] });
    let (event, started) = (Arc::new(event), started.to_vec());
    let admit = Admit { event, started, key, keys_since: Time::ZERO };
    Commit { ticket: n, records: vec![Record::Admit(Box::new(admit))] }
}

fn delivered(n: u64) -> Commit {
    let delivery = DeliveryId::new(id(n), ENDPOINT);
    let mut attempt = Attempt::without_response(Outcome::Ok);
    attempt.status = Some(200);
    attempt.remote = Some("127.0.0.1:8080".to_owned());
    let at = id(n).time();
    let step = Step { at, kind: StepKind::Attempt(attempt), next: Next::Delivered };
    Commit {
        ticket: n,
        records: vec![Record::Step { delivery, step: Box::new(step), parks: false }],
    }
}

fn home() -> tempfile::TempDir {
    match std::env::var("LAYOUT_HOME") {
        Ok(home) => tempfile::tempdir_in(home).unwrap(),
        Err(_) => tempfile::tempdir().unwrap(),
    }
}

fn begin() -> (Opened, Instant) {
    let begun = Instant::now();
    let durability = match std::env::var("LAYOUT_DURABILITY").as_deref() {
        Ok("fsync") => Durability::Fsync,
        _ => Durability::Process,
    };
    let options = Options {
        path: std::env::var("LAYOUT_STORE").unwrap().into(),
        durability,
        cache_bytes: number("LAYOUT_CACHE_MIB", 16) * MIB,
        min_free_bytes: 0,
        ballast_bytes: 0,
        now: Time::ZERO,
    };
    (open(&options).unwrap(), begun)
}

/// What a process says of itself in its last line: time, resident memory, bytes written.
struct Measured {
    took: Duration,
    resident: u64,
    written: u64,
}

fn report(begun: Instant) {
    let took = begun.elapsed();
    let resident = field("/proc/self/status", "VmRSS:") * 1024;
    let peak = field("/proc/self/status", "VmHWM:") / 1024;
    let written = field("/proc/self/io", "wchar:");
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let ticks: Vec<u64> = stat.split(' ').skip(13).take(2).map(|n| n.parse().unwrap()).collect();
    let user_and_system: u64 = ticks.iter().sum();
    println!("\ncpu {} ms, peak {peak} MiB", user_and_system * 10);
    println!("measured {} {resident} {written}", took.as_millis());
}

fn field(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn child(test: &str, role: &str, home: &Path) -> Measured {
    let store = home.join("store");
    let output = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env("LAYOUT_ROLE", role)
        .env("LAYOUT_STORE", &store)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let last = text.lines().find_map(|line| line.strip_prefix("measured ")).unwrap();
    let numbers: Vec<u64> = last.split(' ').map(|n| n.parse().unwrap()).collect();
    let [took, resident, written] = numbers[..] else { panic!("{last}") };
    let disk: u64 = std::fs::read_dir(store.join("outbox"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    let cpu = text.lines().find(|line| line.starts_with("cpu")).unwrap();
    println!(
        "{role}: {took} ms, {cpu}, resident {} MiB, written {} MiB, on disk {} MiB",
        resident / MIB,
        written / MIB,
        disk / MIB
    );
    Measured { took: Duration::from_millis(took), resident, written }
}
