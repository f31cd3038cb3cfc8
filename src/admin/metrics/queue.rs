//! What waits, and the store that it waits in.

use std::borrow::Cow;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::histogram::exponential_buckets;
use prometheus_client::registry::Registry;

use crate::admin::metrics::Metrics;
use crate::admin::metrics::label::CounterSet;
use crate::admin::metrics::label::Labels;
use crate::admin::metrics::label::short_seconds;
use crate::model::Pruned;
use crate::model::Time;
use crate::model::view::StatusView;

/// What the store has of events, and of deliveries that have not ended well.
const KINDS: [&str; 6] = ["fresh", "timed", "behind", "dead", "in_flight", "events"];
/// What sweeps take away.
const SWEPT: [&str; 3] = ["events", "payloads", "keys"];

type Seconds = Gauge<f64, AtomicU64>;

#[derive(Debug)]
pub(super) struct Series {
    in_flight: Gauge,
    queued: Gauge,
    sending: Gauge,
    waiting: Gauge,
    held: Gauge,
    dead: Gauge,
    oldest_due: Seconds,
    commit_duration: Histogram,
    commit_events: Histogram,
    store_bytes: Gauge,
    disk_free: Gauge,
    reloads: CounterSet,
    loaded_at: Gauge,
    store_errors: CounterSet,
    records: [Gauge; KINDS.len()],
    payload_bytes: Gauge,
    swept: CounterSet,
}

impl Series {
    pub(super) fn register(registry: &mut Registry) -> Series {
        let states: Family<Labels<1>, Gauge> = Family::default();
        registry.register("queue_deliveries", "Deliveries by state", states.clone());
        let state = |word: &'static str| {
            states.get_or_create_owned(&[("state", Cow::<'static, str>::Borrowed(word))])
        };
        let reloads = CounterSet::register(
            registry,
            ("config_reloads", "Attempts to apply the configuration file again"),
            "result",
            ["applied", "refused"].into_iter(),
        );
        let help = "Reads of the store that failed, and writes: the daemon ends with one";
        let store_errors = CounterSet::register(
            registry,
            ("store_errors", help),
            "op",
            ["read", "write"].into_iter(),
        );
        let swept = CounterSet::register(
            registry,
            ("store_gc_deleted", "What was kept for long enough, and is gone"),
            "kind",
            SWEPT.into_iter(),
        );
        let kinds: Family<Labels<1>, Gauge> = Family::default();
        registry.register(
            "store_records",
            "Events, and deliveries that have not ended well, in the store",
            kinds.clone(),
        );
        let records = KINDS.map(|kind| kinds.get_or_create_owned(&[("kind", kind.into())]));
        let mut gauge = |name: &'static str, help: &'static str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let in_flight = gauge("attempts_in_flight", "Attempts under way");
        let store_bytes = gauge("store_size_bytes", "Bytes that the store's files take");
        let payload_bytes = gauge("store_payload_bytes", "Bytes of payloads in the store");
        let disk_free = gauge("disk_free_bytes", "Free bytes on the store's file system");
        let help = "When the configuration in force was loaded, since 1970";
        let loaded_at = gauge("config_last_reload_success_timestamp_seconds", help);
        let oldest_due = Seconds::default();
        let help = "How long the oldest due delivery of an active endpoint has been due";
        registry.register("queue_oldest_due_age_seconds", help, oldest_due.clone());
        let commit_duration = short_seconds();
        let help = "Commits, from the first write to the end of the flush";
        registry.register("store_commit_duration_seconds", help, commit_duration.clone());
        let commit_events = Histogram::new(exponential_buckets(1.0, 2.0, 9));
        registry.register("store_commit_events", "Records in a commit", commit_events.clone());
        Series {
            in_flight,
            queued: state("queued"),
            sending: state("sending"),
            waiting: state("waiting"),
            held: state("held"),
            dead: state("dead"),
            oldest_due,
            commit_duration,
            commit_events,
            store_bytes,
            disk_free,
            reloads,
            loaded_at,
            store_errors,
            records,
            payload_bytes,
            swept,
        }
    }
}

impl Metrics {
    /// A commit is safe: this many records in this time.
    pub fn commit_flushed(&self, records: u32, took: Duration) {
        self.queue.commit_duration.observe(took.as_secs_f64());
        self.queue.commit_events.observe(f64::from(records));
    }

    /// A step of a sweep has taken this away.
    pub fn store_pruned(&self, gone: Pruned) {
        for (index, count) in [gone.events, gone.payloads, gone.keys].into_iter().enumerate() {
            self.queue.swept.add(index, count);
        }
    }

    /// The store could not be read.
    pub fn store_read_failed(&self) {
        self.queue.store_errors.inc(0);
    }

    /// The store could not be written.
    pub fn store_write_failed(&self) {
        self.queue.store_errors.inc(1);
    }

    /// The daemon starts with this configuration file.
    pub fn config_loaded(&self, at: Time) {
        set(&self.queue.loaded_at, at.as_secs());
    }

    /// The configuration file was applied again.
    pub fn config_applied(&self, at: Time) {
        self.queue.reloads.inc(0);
        self.config_loaded(at);
    }

    /// The configuration file was refused; the old configuration stays.
    pub fn config_refused(&self) {
        self.queue.reloads.inc(1);
    }

    /// Sets all gauges from the daemon's status.
    pub fn set_status(&self, status: &StatusView) {
        let series = &self.queue;
        // of what is queued or waiting, that which no endpoint takes now is held
        let held = status.endpoints.iter().filter(|endpoint| !endpoint.state.is_up());
        let (fresh, timed) = held.fold((0_u64, 0_u64), |(fresh, timed), endpoint| {
            let counts = &endpoint.counts;
            (
                fresh.saturating_add(counts.fresh),
                timed.saturating_add(counts.timed).saturating_add(counts.behind),
            )
        });
        set(&series.queued, status.queued.saturating_sub(fresh));
        set(&series.waiting, status.waiting.saturating_sub(timed));
        set(&series.held, fresh.saturating_add(timed));
        set(&series.sending, status.sending);
        set(&series.in_flight, status.sending);
        set(&series.dead, status.dead);
        set(&series.store_bytes, status.store_bytes);
        set(&series.disk_free, status.disk_free_bytes);
        set(&series.payload_bytes, status.kept.payload_bytes);
        let behind = status.endpoints.iter().map(|endpoint| endpoint.counts.behind).sum();
        let timed = status.waiting.saturating_sub(behind);
        let kinds = [status.queued, timed, behind, status.dead, status.sending, status.kept.events];
        series.records.iter().zip(kinds).for_each(|(gauge, count)| set(gauge, count));
        let oldest = Duration::from_millis(status.oldest_due_ms);
        series.oldest_due.set(oldest.as_secs_f64());
        self.set_replays(status.replays.len());
        self.set_endpoints(&status.endpoints);
    }
}

pub(super) fn set(gauge: &Gauge, value: u64) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}
