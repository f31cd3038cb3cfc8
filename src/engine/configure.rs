//! A new configuration: which endpoints there are, and by which rules.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::engine::Engine;
use crate::engine::words::Effect;
use crate::model::Endpoint;
use crate::model::EndpointEntry;
use crate::model::EndpointState;
use crate::model::Held;
use crate::model::LaneCounts;
use crate::model::RetryPolicy;
use crate::model::Time;

impl Engine {
    /// These are the endpoints now. What waits for one that is gone is held until it comes back.
    pub(crate) fn configure(
        &mut self,
        now: Time,
        endpoints: Vec<Endpoint>,
        entries: Vec<EndpointEntry>,
        out: &mut Vec<Effect>,
    ) {
        self.entries.extend(entries.into_iter().map(|entry| (entry.no, entry)));
        let kept: BTreeSet<_> = endpoints.iter().map(|endpoint| endpoint.no).collect();
        for endpoint in endpoints {
            self.install(endpoint, LaneCounts::default());
        }
        let gone: Vec<_> = self.lanes.keys().copied().filter(|no| !kept.contains(no)).collect();
        for no in gone {
            if let Some(entry) = self.entries.get(&no).filter(|entry| entry.removed.is_none()) {
                let endpoint = undefined(entry);
                self.names.remove(&endpoint.name);
                self.install(endpoint, LaneCounts::default());
            }
            self.put_back_ready(now, no, out);
        }
    }
}

/// The rules of an endpoint that is defined nowhere any more: it takes nothing, and what waits for
/// it is held until it is defined again.
pub(crate) fn undefined(entry: &EndpointEntry) -> Endpoint {
    let held = Held {
        since: Time::ZERO,
        actor: "postrider".to_owned(),
        reason: "no longer in the configuration".to_owned(),
    };
    Endpoint {
        no: entry.no,
        name: entry.name.as_str().into(),
        types: Vec::new(),
        max_in_flight: 1,
        retry: Arc::new(RetryPolicy::never()),
        flow: Arc::default(),
        state: EndpointState { disabled: Some(held), ..entry.state.clone() },
    }
}

/// Whether an endpoint is defined, unlike what [`undefined`] makes: that alone takes no types.
pub(crate) fn is_defined(endpoint: &Endpoint) -> bool {
    !endpoint.types.is_empty()
}
