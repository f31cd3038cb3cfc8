//! What was measured, and how it compares.

use std::fmt;
use std::time::Duration;

/// From when an event was to be submitted until it arrived: 50 and 99 in a hundred took no longer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latency {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

impl Latency {
    pub(crate) fn of(mut spans: Vec<Duration>) -> Latency {
        assert!(!spans.is_empty(), "nothing arrived");
        spans.sort_unstable();
        let of = |percent: usize| spans[(spans.len() * percent / 100).min(spans.len() - 1)];
        Latency { p50: of(50), p99: of(99) }
    }
}

/// Of the floor. Rates are in events a second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floor {
    pub(crate) single: f64,
    pub(crate) cpu_us: f64,
    pub(crate) latency: Latency,
}

/// Of the daemon.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Own {
    /// Deliveries, where one endpoint takes each event ...
    pub(crate) single: f64,
    /// ... and where ten do.
    pub(crate) ten: f64,
    /// Events accepted in batches, and one by one.
    pub(crate) batch: f64,
    pub(crate) accepted: f64,
    pub(crate) latency: Latency,
    /// CPU of all threads for an event, in microseconds.
    pub(crate) cpu_us: f64,
    /// What the kernel counts as written for an event, in KiB.
    pub(crate) written_kib: f64,
    pub(crate) idle_mib: f64,
    pub(crate) loaded_mib: f64,
}

/// Both, measured one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) floor: Floor,
    pub(crate) own: Own,
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pair { floor, own } = self;
        write!(
            f,
            "floor {:.0}/s, {:.0} us; own {:.0}/s, {:.0} us, to ten {:.0}/s, in batches {:.0}/s; \
             p50 {:.1?} and {:.1?}, p99 {:.1?} and {:.1?}",
            floor.single,
            floor.cpu_us,
            own.single,
            own.cpu_us,
            own.ten,
            own.batch,
            floor.latency.p50,
            own.latency.p50,
            floor.latency.p99,
            own.latency.p99,
        )
    }
}

/// The one in the middle.
pub(crate) fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// The medians over all pairs, each beside its goal.
pub(crate) fn table(pairs: &[Pair]) {
    let of = |figure: fn(&Pair) -> f64| median(pairs.iter().map(figure));
    let rows: [(&str, f64, &str); 9] = [
        ("delivered, of the floor", of(|p| p.own.single / p.floor.single), ">= 0.5"),
        ("to ten endpoints, of the floor", of(|p| p.own.ten / p.floor.single), ">= 0.7"),
        ("in batches of 100, of one by one", of(|p| p.own.batch / p.own.accepted), ">= 3"),
        (
            "p50 at 50/s, of the floor's",
            of(|p| ratio(p.own.latency.p50, p.floor.latency.p50)),
            "<= 1.5",
        ),
        (
            "p99 at 50/s, of the floor's",
            of(|p| ratio(p.own.latency.p99, p.floor.latency.p99)),
            "<= 2",
        ),
        ("CPU an event, us", of(|p| p.own.cpu_us), "<= 80"),
        ("written an event, KiB", of(|p| p.own.written_kib), "<= 6"),
        ("resident idle, MiB", of(|p| p.own.idle_mib), "<= 20"),
        ("resident under load, MiB", of(|p| p.own.loaded_mib), "<= 120"),
    ];
    println!("medians of {} pairs:", pairs.len());
    for (what, figure, goal) in rows {
        println!("  {what:<34} {figure:>8.2}   goal {goal}");
    }
}

fn ratio(own: Duration, floor: Duration) -> f64 {
    own.as_secs_f64() / floor.as_secs_f64()
}
