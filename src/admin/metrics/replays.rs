//! Replays: how many run, and what they have come to.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::admin::metrics::Metrics;
use crate::admin::metrics::queue::set;

#[derive(Debug)]
pub(super) struct Series {
    running: Gauge,
    submitted: Counter,
}

impl Series {
    pub(super) fn register(registry: &mut Registry) -> Series {
        let series = Series { running: Gauge::default(), submitted: Counter::default() };
        registry.register("replays_running", "Replays that run", series.running.clone());
        let help = "Deliveries that replays have sent again, or done otherwise";
        registry.register("replay_deliveries", help, series.submitted.clone());
        series
    }
}

impl Metrics {
    /// Replays have done their thing to this many deliveries.
    pub fn replayed(&self, count: u64) {
        self.replays.submitted.inc_by(count);
    }

    /// This many replays run.
    pub(super) fn set_replays(&self, running: usize) {
        set(&self.replays.running, u64::try_from(running).unwrap_or(u64::MAX));
    }
}
