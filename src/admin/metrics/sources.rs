//! The series of each source. Those that have no name share `local`; of those that have one, at
//! most [`SOURCES_MAX`] have their own, and the others share `_other`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use crate::admin::metrics::Metrics;
use crate::admin::metrics::endpoints::OTHER;
use crate::admin::metrics::label::CounterSet;
use crate::admin::metrics::label::Counters;
use crate::model::Code;

/// Sources with series of their own, at most.
const SOURCES_MAX: usize = 200;
/// What those that have no name share; no source can have it as its name.
const LOCAL: &str = "local";
const REASONS: [&str; 6] =
    ["type_not_allowed", "too_large", "rate_limited", "overloaded", "other", "unverified"];

/// The series of one source; cheap to clone.
#[derive(Clone, Debug)]
pub struct SourceSeries {
    types: Arc<HashMap<String, Counter>>,
    other_types: Counter,
    reasons: CounterSet,
    /// Its own counts, also where its series are shared.
    accepted: Counter,
    refused: Counter,
}

impl SourceSeries {
    /// An event of this type is safe.
    pub fn event_accepted(&self, event_type: &str) {
        self.types.get(event_type).unwrap_or(&self.other_types).inc();
        self.accepted.inc();
    }

    /// So many events were refused.
    pub fn events_refused(&self, code: Option<Code>, count: u64) {
        let place = match (code, code.map(Code::status)) {
            (Some(Code::TypeNotAllowed), _) => 0,
            (Some(Code::Unauthenticated), _) => 5,
            (_, Some(413)) => 1,
            (_, Some(429)) => 2,
            (_, Some(503)) => 3,
            _ => 4,
        };
        self.reasons.add(place, count);
        self.refused.inc_by(count);
    }

    /// Events that are safe, since the start.
    pub fn accepted(&self) -> u64 {
        self.accepted.get()
    }

    /// Events that were refused, since the start.
    pub fn refused(&self) -> u64 {
        self.refused.get()
    }
}

#[derive(Debug)]
pub(super) struct Family {
    accepted: Counters<2>,
    refused: Counters<2>,
    event_types: Vec<String>,
    local: SourceSeries,
    /// With whether the series are its own.
    named: Mutex<HashMap<Arc<str>, (SourceSeries, bool)>>,
}

impl Family {
    pub(super) fn register(registry: &mut Registry, event_types: &[String]) -> Family {
        let accepted = Counters::<2>::default();
        registry.register("events_accepted", "Events that are safe", accepted.clone());
        let refused = Counters::<2>::default();
        registry.register("events_refused", "Events that were refused", refused.clone());
        let event_types = event_types.to_vec();
        let local = series(&accepted, &refused, &event_types, LOCAL);
        Family { accepted, refused, event_types, local, named: Mutex::default() }
    }

    fn remove(&self, name: &str) {
        let source = ("source", Cow::<'static, str>::Owned(name.to_owned()));
        let types = self.event_types.iter().map(|word| Cow::Owned(word.clone()));
        for word in types.chain([Cow::Borrowed(OTHER)]) {
            self.accepted.remove(&[source.clone(), ("type", word)]);
        }
        for reason in REASONS {
            self.refused.remove(&[source.clone(), ("reason", Cow::Borrowed(reason))]);
        }
    }
}

fn series(
    accepted: &Counters<2>,
    refused: &Counters<2>,
    event_types: &[String],
    name: &str,
) -> SourceSeries {
    let source = || ("source", Cow::<'static, str>::Owned(name.to_owned()));
    let of = |word| accepted.get_or_create_owned(&[source(), ("type", word)]);
    let types = event_types.iter().map(|word| (word.clone(), of(Cow::Owned(word.clone()))));
    SourceSeries {
        types: Arc::new(types.collect()),
        other_types: of(Cow::Borrowed(OTHER)),
        reasons: CounterSet::of_two(refused, source(), "reason", REASONS.into_iter()),
        accepted: Counter::default(),
        refused: Counter::default(),
    }
}

impl Metrics {
    /// The series that sources without names share.
    pub fn local_sources(&self) -> SourceSeries {
        self.sources.local.clone()
    }

    /// The series of the sources that have names from now on, in this order. Those of others are
    /// no longer shown.
    pub fn name_sources(&self, names: &[Arc<str>]) -> Vec<SourceSeries> {
        let family = &self.sources;
        let mut named = family.named.lock().unwrap_or_else(PoisonError::into_inner);
        named.retain(|name, (_, own)| {
            let stays = names.contains(name);
            if *own && !stays {
                family.remove(name);
            }
            stays
        });
        let mut owners = named.values().filter(|(_, own)| *own).count();
        let mut series_of = |name: &Arc<str>| {
            if let Some((known, _)) = named.get(name) {
                return known.clone();
            }
            let own = owners < SOURCES_MAX;
            owners += usize::from(own);
            let label = if own { name } else { OTHER };
            let new = series(&family.accepted, &family.refused, &family.event_types, label);
            named.insert(Arc::clone(name), (new.clone(), own));
            new
        };
        names.iter().map(&mut series_of).collect()
    }
}
