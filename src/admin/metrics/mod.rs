//! Metrics: what happened, counted, and how long it took, as `OpenMetrics` text (prefix
//! `postrider_`, base units).
//!
//! Methods are named by what happened. Series are resolved ahead: a listener and an endpoint hold
//! their own ([`ListenerSeries`], [`EndpointSeries`]), so that counting an event neither locks a
//! map nor allocates. Invariants: label values come from closed sets, from the configuration, or
//! from endpoint names (at most [`ENDPOINTS_MAX`], the others together are `_other`), never from
//! what a caller sends; every series of a closed set exists from the start, with zero. Gauges are
//! set at each scrape from the status that the API shows, so that the two agree.

mod ages;
mod attempts;
mod endpoints;
mod ingest;
mod label;
mod log;
mod process;
mod queue;
mod replays;
mod sources;

use prometheus_client::encoding::text;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

pub use endpoints::ENDPOINTS_MAX;
pub use endpoints::EndpointSeries;
pub use ingest::IngestResult;
pub use ingest::ListenerSeries;
pub use ingest::Lookup;
pub use log::LogCounter;
pub use sources::SourceSeries;

/// The media type of [`Metrics::encode`].
pub const OPENMETRICS_CONTENT_TYPE: &str =
    "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All series of the process; shared by reference.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    ingest: ingest::Series,
    attempts: attempts::Series,
    endpoints: endpoints::Family,
    queue: queue::Series,
    ages: ages::Series,
    replays: replays::Series,
    sources: sources::Family,
    log: LogCounter,
}

impl Metrics {
    /// All series at zero. Events of the types in `event_types` are counted by type
    /// (`metrics.event_types`), all others as `_other`.
    pub fn new(event_types: &[String]) -> Metrics {
        let mut registry = Registry::default();
        let ours = registry.sub_registry_with_prefix("postrider");
        let build = Info::new(vec![
            ("version", env!("CARGO_PKG_VERSION")),
            ("commit", option_env!("POSTRIDER_COMMIT").unwrap_or("unknown")),
        ]);
        ours.register("build", "The running binary", build);
        let ingest = ingest::Series::register(ours);
        let sources = sources::Family::register(ours, event_types);
        let attempts = attempts::Series::register(ours);
        let endpoints = endpoints::Family::register(ours);
        let queue = queue::Series::register(ours);
        let ages = ages::Series::register(ours);
        let replays = replays::Series::register(ours);
        let log = LogCounter::register(ours);
        registry.register_collector(Box::new(process::Process));
        Metrics { registry, ingest, attempts, endpoints, queue, ages, replays, sources, log }
    }

    /// All series as text, to be sent as [`OPENMETRICS_CONTENT_TYPE`].
    ///
    /// # Errors
    /// If a series cannot be written, which no series here can.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// Counts log lines by level: a layer for the subscriber.
    pub fn log_counter(&self) -> LogCounter {
        self.log.clone()
    }
}

#[cfg(test)]
mod tests;
