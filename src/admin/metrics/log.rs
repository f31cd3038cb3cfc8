//! Log lines by level: a layer that only counts.

use prometheus_client::registry::Registry;
use tracing::Event;
use tracing::Level;
use tracing::Subscriber;
use tracing_subscriber::layer::Context;
use tracing_subscriber::layer::Layer;

use crate::admin::metrics::label::CounterSet;

/// Counts the log lines that reach it, by level; cheap to clone.
#[derive(Clone, Debug)]
pub struct LogCounter(CounterSet);

impl LogCounter {
    pub(super) fn register(registry: &mut Registry) -> LogCounter {
        LogCounter(CounterSet::register(
            registry,
            ("log_messages", "Log lines by level"),
            "level",
            ["error", "warn", "info", "debug", "trace"].into_iter(),
        ))
    }
}

impl<S: Subscriber> Layer<S> for LogCounter {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let level = *event.metadata().level();
        let levels = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];
        if let Some(index) = levels.iter().position(|known| *known == level) {
            self.0.inc(index);
        }
    }
}
