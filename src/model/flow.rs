//! How much an endpoint is asked to bear, and in what order: the rules of flow control.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::model::dedupe::DedupePolicy;

/// At most so many in a span of time, spaced evenly (GCRA).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// How many; at least 1.
    pub count: u32,
    /// In this span; at least a microsecond for each.
    pub per: Duration,
    /// How many may come at once after a pause; at least 1.
    pub burst: u32,
}

impl Rate {
    /// From one to the next, at this rate, in whole microseconds: never less.
    pub fn gap(&self) -> Duration {
        let micros = self.per.as_micros().div_ceil(u128::from(self.count.max(1)));
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

/// When an endpoint that fails is left alone, and how it is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// Failures of the endpoint in a row that open the breaker.
    pub failures: u16,
    /// How long it stays open before a delivery is tried; doubled each time that fails.
    pub open_for: Duration,
    /// The longest that it stays open between two tries.
    pub open_max: Duration,
    /// Open without one success for so long, the endpoint is disabled. `None`: never.
    pub disable_after: Option<Duration>,
}

/// What becomes of later events of a key while an earlier one fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// They wait until it is delivered or dead.
    #[default]
    Block,
    /// They wait until it is delivered, or a person sends it again or cancels it.
    Park,
    /// Its first failure makes it dead, and they go on.
    Skip,
}

/// Deliveries of one key go out one at a time, in the order of admission.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderPolicy {
    /// Where the key stands in a JSON payload (RFC 6901). An ordering key that was submitted wins.
    pub key: Option<String>,
    /// What becomes of later events while an earlier one fails.
    pub on_failure: OnFailure,
    /// An event that fails is dead when it is older than this, so that the others do not wait for
    /// ever.
    pub deadline: Option<Duration>,
    /// Where a whole number stands in a JSON payload that grows with each change (RFC 6901): an
    /// event with a lower one than an earlier event of its key is stale, and dead.
    pub version: Option<String>,
}

/// What an endpoint is expected to keep; what it misses is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    /// A delivery that has been due for longer is late.
    pub late_after: Option<Duration>,
    /// A delivery that is accepted later than so long after its admission is slow.
    pub latency: Option<Duration>,
    /// Of a hundred attempts, so many may not fail.
    pub error_percent: Option<u8>,
    /// Without a new event for so long, it is silent.
    pub silent_after: Option<Duration>,
}

/// The rules of flow control of one endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Attempts in a span of time. `None`: as many as its window allows.
    pub rate: Option<Rate>,
    /// `None`: it is tried however often it fails.
    pub breaker: Option<BreakerPolicy>,
    /// `None`: in any order.
    pub order: Option<OrderPolicy>,
    /// `None`: it gets every event, however alike.
    pub dedupe: Option<DedupePolicy>,
    /// What it is expected to keep.
    pub targets: Targets,
}
