//! What the daemon holds, second by second, and whether it has grown.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::harness::client::Request;
use crate::harness::daemon::Daemon;
use crate::harness::daemon::Home;
use crate::load::Stream;
use crate::measure::resident_bytes;
use crate::measure::status;

/// More than this, and a hundredth of what was, is growth: allocators and caches breathe.
const RESIDENT_MORE_MAX: u64 = 16 << 20;
const STORE_MORE_MAX: u64 = 64 << 20;
/// The connections of one endpoint.
const DESCRIPTORS_MORE_MAX: u64 = 64;
/// Six seconds of load.
const KEPT_MORE_MAX: u64 = 15_000;
/// Threads that wait for work end after 10 s.
const THREADS_MORE_MAX: u64 = 8;

/// One second.
#[derive(Clone, Copy, Debug)]
struct Sample {
    second: u64,
    resident: u64,
    store: u64,
    descriptors: u64,
    threads: u64,
    accepted: u64,
    attempts: u64,
    delivered: u64,
    /// Events in the store.
    kept: u64,
}

/// All seconds.
#[derive(Debug)]
pub(crate) struct Watch {
    store: PathBuf,
    csv: Option<File>,
    samples: Vec<Sample>,
}

impl Watch {
    pub(crate) fn new(home: &Home, csv: Option<String>) -> Watch {
        let mut csv = csv.map(|path| File::create(path).unwrap());
        if let Some(csv) = &mut csv {
            let columns = "second,resident,store,descriptors,threads,accepted,attempts,delivered";
            writeln!(csv, "{columns},kept").unwrap();
        }
        Watch { store: home.path("store"), csv, samples: Vec::new() }
    }

    pub(crate) fn sample(&mut self, daemon: &Daemon, streams: &[Arc<Stream>], second: u64) {
        let scrape = daemon.ask(&Request::new("GET", "/metrics"));
        assert_eq!(scrape.status, 200, "{scrape:?}");
        let sum = |of: fn(&Stream) -> u64| streams.iter().map(|stream| of(stream)).sum();
        let sample = Sample {
            second,
            resident: resident_bytes(daemon.pid()),
            store: bytes_below(&self.store),
            descriptors: entries(Path::new(&format!("/proc/{}/fd", daemon.pid()))),
            threads: status(daemon.pid(), "Threads:"),
            accepted: sum(Stream::accepted),
            attempts: sum(|stream| stream.sink.state().attempts),
            delivered: sum(|stream| stream.sink.state().taken.count()),
            kept: kept(&String::from_utf8_lossy(&scrape.body)),
        };
        if let Some(csv) = &mut self.csv {
            let Sample { second, resident, store, descriptors, threads, .. } = sample;
            let Sample { accepted, attempts, delivered, kept, .. } = sample;
            let held = format!("{second},{resident},{store},{descriptors},{threads}");
            writeln!(csv, "{held},{accepted},{attempts},{delivered},{kept}").unwrap();
        }
        self.samples.push(sample);
    }

    /// Says what was seen, and fails if something was lost or has grown.
    pub(crate) fn judge(&self, took: Duration, streams: &[Arc<Stream>]) {
        let (mut lost, mut disorder) = (0, 0);
        for stream in streams {
            let (accepted, missing) = (stream.accepted(), stream.missing());
            let state = stream.sink.state();
            let (attempts, again) = (state.attempts, state.again);
            println!(
                "{:<8} accepted {accepted}, attempts {attempts}, delivered {}, again {again}, \
                 lost {missing}",
                stream.name,
                state.taken.count(),
            );
            lost += missing;
            if stream.name == "ordered" {
                disorder += state.out_of_order;
            }
            assert!(attempts > 0 && accepted > 0, "{} got nothing", stream.name);
        }
        let last = self.samples.last().unwrap();
        let rate = last.attempts / took.as_secs().max(1);
        println!(
            "in {took:.0?}: {} events accepted, {} attempts ({rate} a second), {} delivered, \
             {lost} lost",
            last.accepted, last.attempts, last.delivered,
        );
        let mut grown = Vec::new();
        let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
        let plain = |count: u64| count.to_string();
        type Of = fn(&Sample) -> u64;
        type Text<'a> = &'a dyn Fn(u64) -> String;
        let held: [(&str, Of, u64, Text<'_>); 5] = [
            ("resident", |sample| sample.resident, RESIDENT_MORE_MAX, &mib),
            ("store on disk", |sample| sample.store, STORE_MORE_MAX, &mib),
            ("descriptors", |sample| sample.descriptors, DESCRIPTORS_MORE_MAX, &plain),
            ("threads", |sample| sample.threads, THREADS_MORE_MAX, &plain),
            ("events kept", |sample| sample.kept, KEPT_MORE_MAX, &plain),
        ];
        for (what, of, more_max, text) in held {
            let (first, middle, end) = (self.third(0, of), self.third(1, of), self.third(2, of));
            let line = format!("{what}: {}, {}, {}", text(first), text(middle), text(end));
            if end > middle + middle / 100 + more_max {
                println!("grown: {line}");
                grown.push(what);
            } else {
                println!("ok: {line} at most in nine of ten seconds of each third");
            }
        }
        assert!(lost == 0, "{lost} events are lost");
        println!("ok: nothing that was acknowledged is lost");
        assert!(disorder == 0, "{disorder} events came before one that was submitted earlier");
        println!("ok: what has a key came in the order of its key");
        assert!(grown.is_empty(), "grown: {grown:?}");
    }

    /// What nine of ten seconds of a third do not exceed.
    fn third(&self, number: usize, of: fn(&Sample) -> u64) -> u64 {
        let length = self.samples.len() / 3;
        let mut values: Vec<_> =
            self.samples[number * length..(number + 1) * length].iter().map(of).collect();
        values.sort_unstable();
        values[values.len() * 9 / 10]
    }
}

/// The events in the store, as the metrics tell.
fn kept(metrics: &str) -> u64 {
    let line = |line: &&str| line.starts_with("postrider_store_records{kind=\"events\"}");
    let line = metrics.lines().find(line).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// What the files take on the disk.
fn bytes_below(folder: &Path) -> u64 {
    let Ok(found) = std::fs::read_dir(folder) else { return 0 };
    let sizes = found.flatten().map(|entry| match entry.metadata() {
        Ok(data) if data.is_dir() => bytes_below(&entry.path()),
        Ok(data) => std::os::unix::fs::MetadataExt::blocks(&data) * 512,
        Err(_) => 0,
    });
    sizes.sum()
}

fn entries(folder: &Path) -> u64 {
    std::fs::read_dir(folder).map_or(0, |found| u64::try_from(found.count()).unwrap())
}
