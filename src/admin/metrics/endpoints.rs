//! The series of each endpoint. At most [`ENDPOINTS_MAX`] have their own; the others share
//! `_other`, so that a store with thousands of endpoints does not flood whoever scrapes it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family as GaugeFamily;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::admin::metrics::Metrics;
use crate::admin::metrics::label::CounterSet;
use crate::admin::metrics::label::Counters;
use crate::admin::metrics::label::Labels;
use crate::model::Outcome;
use crate::model::view::EndpointView;

/// Endpoints with series of their own, at most.
pub const ENDPOINTS_MAX: usize = 200;
/// The name that the others share; not legal as the name of an endpoint.
pub(super) const OTHER: &str = "_other";
const FINISHED: [&str; 3] = ["delivered", "dead", "cancelled"];
const TRANSITIONS: [&str; 3] = ["open", "closed", "disabled"];

/// The series of one endpoint; cheap to clone.
#[derive(Clone, Debug)]
pub struct EndpointSeries {
    pub(super) created: Counter,
    pub(super) finished: CounterSet,
    pub(super) deduplicated: Counter,
    pub(super) attempts: CounterSet,
    pub(super) transitions: CounterSet,
    pub(super) failures: Gauge,
    pub(super) succeeded_at: Gauge,
    backlog: Gauge,
    up: Gauge,
}

type Gauges = GaugeFamily<Labels<1>, Gauge>;

#[derive(Debug)]
pub(super) struct Family {
    created: Counters<1>,
    finished: Counters<2>,
    deduplicated: Counters<1>,
    attempts: Counters<2>,
    transitions: Counters<2>,
    failures: Gauges,
    succeeded_at: Gauges,
    backlog: Gauges,
    up: Gauges,
    known: Mutex<HashMap<Arc<str>, EndpointSeries>>,
}

impl Family {
    pub(super) fn register(registry: &mut Registry) -> Family {
        let created = Counters::<1>::default();
        registry.register("deliveries_created", "Deliveries made", created.clone());
        let finished = Counters::<2>::default();
        registry.register("deliveries_finished", "Deliveries by their end", finished.clone());
        let deduplicated = Counters::<1>::default();
        let help = "Deliveries left out as duplicates; they are among the cancelled ones";
        registry.register("deliveries_deduplicated", help, deduplicated.clone());
        let attempts = Counters::<2>::default();
        registry.register("attempts", "Attempts by what came back", attempts.clone());
        let transitions = Counters::<2>::default();
        let help = "What became of the endpoint's breaker; disabled: also by its own answer";
        registry.register("endpoint_breaker_transitions", help, transitions.clone());
        let failures = Gauges::default();
        let help = "Failures of the endpoint in a row; of several, the most";
        registry.register("endpoint_consecutive_failures", help, failures.clone());
        let succeeded_at = Gauges::default();
        let help = "When an attempt ended well last, since 1970; 0: not since the start";
        registry.register("endpoint_last_success_timestamp_seconds", help, succeeded_at.clone());
        let backlog = Gauges::default();
        let help = "Deliveries that stand in the endpoint's lane";
        registry.register("endpoint_backlog_deliveries", help, backlog.clone());
        let up = Gauges::default();
        let help = "1 if deliveries go out, 0 if its breaker is open, or it is paused or disabled";
        registry.register("endpoint_up", help, up.clone());
        let known = Mutex::default();
        Family {
            created,
            finished,
            deduplicated,
            attempts,
            transitions,
            failures,
            succeeded_at,
            backlog,
            up,
            known,
        }
    }

    fn series(&self, name: &str) -> EndpointSeries {
        let endpoint = || ("endpoint", Cow::<'static, str>::Owned(name.to_owned()));
        let outcomes = Outcome::ALL.iter().map(|outcome| outcome.as_str());
        EndpointSeries {
            created: self.created.get_or_create_owned(&[endpoint()]),
            finished: CounterSet::of_two(&self.finished, endpoint(), "state", FINISHED.into_iter()),
            deduplicated: self.deduplicated.get_or_create_owned(&[endpoint()]),
            attempts: CounterSet::of_two(&self.attempts, endpoint(), "outcome", outcomes),
            transitions: CounterSet::of_two(
                &self.transitions,
                endpoint(),
                "to",
                TRANSITIONS.into_iter(),
            ),
            failures: self.failures.get_or_create_owned(&[endpoint()]),
            succeeded_at: self.succeeded_at.get_or_create_owned(&[endpoint()]),
            backlog: self.backlog.get_or_create_owned(&[endpoint()]),
            up: self.up.get_or_create_owned(&[endpoint()]),
        }
    }

    fn remove(&self, name: &str) {
        let endpoint = ("endpoint", Cow::<'static, str>::Owned(name.to_owned()));
        let one = [endpoint.clone()];
        self.created.remove(&one);
        self.deduplicated.remove(&one);
        self.backlog.remove(&one);
        self.up.remove(&one);
        self.failures.remove(&one);
        self.succeeded_at.remove(&one);
        for to in TRANSITIONS {
            self.transitions.remove(&[endpoint.clone(), ("to", Cow::Borrowed(to))]);
        }
        for state in FINISHED {
            self.finished.remove(&[endpoint.clone(), ("state", Cow::Borrowed(state))]);
        }
        for outcome in Outcome::ALL {
            let outcome = ("outcome", Cow::Borrowed(outcome.as_str()));
            self.attempts.remove(&[endpoint.clone(), outcome]);
        }
    }
}

impl Metrics {
    /// The series of an endpoint; to be asked for once, when it becomes known, and kept.
    pub fn endpoint(&self, name: &str) -> EndpointSeries {
        let mut known = self.endpoints.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = known.get(name) {
            return series.clone();
        }
        let own = known.len() < ENDPOINTS_MAX;
        let mut series = self.endpoints.series(if own { name } else { OTHER });
        if own {
            known.insert(name.into(), series.clone());
        } else {
            // rows of failures do not add up: of the others, the longest is set at each scrape
            series.failures = Gauge::default();
        }
        series
    }

    /// Whether an endpoint has series of its own.
    pub(super) fn has_own_series(&self, name: &str) -> bool {
        let known = self.endpoints.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains_key(name)
    }

    /// An endpoint was removed: its series are no longer shown.
    pub fn endpoint_removed(&self, name: &str) {
        let mut known = self.endpoints.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.remove(name).is_some() {
            self.endpoints.remove(name);
        }
    }

    /// Sets the gauges of all endpoints; of those that share a series, the sum.
    pub(super) fn set_endpoints(&self, endpoints: &[EndpointView]) {
        let known = self.endpoints.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (mut others, mut others_up, mut others_failures) = (0_i64, 1_i64, 0_i64);
        for endpoint in endpoints {
            let waiting = endpoint.counts.pending();
            let waiting = i64::try_from(waiting).unwrap_or(i64::MAX);
            let up = i64::from(endpoint.state.is_up());
            let failures = endpoint.state.open.map(|open| i64::from(open.failures));
            if let Some(series) = known.get(endpoint.name.as_str()) {
                series.backlog.set(waiting);
                series.up.set(up);
                if let Some(failures) = failures {
                    series.failures.set(failures);
                }
            } else {
                others = others.saturating_add(waiting);
                others_up = others_up.min(up);
                others_failures = others_failures.max(failures.unwrap_or(0));
            }
        }
        if endpoints.iter().any(|endpoint| !known.contains_key(endpoint.name.as_str())) {
            let shared = self.endpoints.series(OTHER);
            shared.backlog.set(others);
            shared.up.set(others_up);
            shared.failures.set(others_failures);
        }
    }
}
