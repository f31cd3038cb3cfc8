//! The bounds that the engine keeps.

use std::time::Duration;

use crate::engine::prune::Retention;

/// Bounds on everything.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Deliveries not yet ended, on disk and off: `ingest.max_pending`.
    pub pending_max: u64,
    /// Attempts at once: `delivery.max_in_flight`.
    pub attempts_max: usize,
    /// Deliveries on their way from a queue to the end of their attempt.
    pub flights_max: usize,
    /// Waiting deliveries held in memory, over all lanes.
    pub rows_max: usize,
    /// Payload bytes of waiting deliveries held in memory.
    pub body_bytes_max: usize,
    /// Endpoints that one event may go to.
    pub targets_max: usize,
    /// The furthest `deliver_at`.
    pub delay_max: Duration,
    /// How long things are kept, idempotency keys among them.
    pub retention: Retention,
    /// Whether an event that no endpoint takes is refused.
    pub refuse_unmatched: bool,
    /// The same operational event about the same endpoint is told once in this time.
    pub report_window: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            pending_max: 20_000_000,
            attempts_max: 256,
            flights_max: 1_024,
            rows_max: 20_000,
            body_bytes_max: 16 << 20,
            targets_max: 1_000,
            delay_max: Duration::from_secs(30 * 86_400),
            retention: Retention::default(),
            refuse_unmatched: false,
            report_window: Duration::from_secs(15 * 60),
        }
    }
}
