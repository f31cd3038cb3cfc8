//! What waits, by endpoint and age, as it was counted last.

use std::borrow::Cow;
use std::collections::BTreeMap;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::admin::metrics::Metrics;
use crate::admin::metrics::endpoints::OTHER;
use crate::admin::metrics::label::Labels;
use crate::model::queue::AGES_S;
use crate::model::queue::QueueView;

#[derive(Debug)]
pub(super) struct Series(Family<Labels<2>, Gauge>);

impl Series {
    pub(super) fn register(registry: &mut Registry) -> Series {
        let ages = Family::default();
        let help = "Deliveries that wait and are at most so many seconds old";
        registry.register("queue_age_deliveries", help, Family::clone(&ages));
        Series(ages)
    }
}

impl Metrics {
    /// Sets how much waits. `le` is an upper end, as in a histogram: each includes the ones before,
    /// and `+Inf` is everything, what was not looked at as well.
    pub fn set_queue(&self, queue: &QueueView) {
        let mut sums: BTreeMap<&str, [u64; AGES_S.len() + 1]> = BTreeMap::new();
        for row in &queue.endpoints {
            let name = if self.has_own_series(&row.endpoint) { &row.endpoint } else { OTHER };
            let mut below = 0;
            let sums = sums.entry(name).or_default();
            for (sum, count) in sums.iter_mut().zip(&row.ages) {
                below += count;
                *sum += below;
            }
            if let Some(all) = sums.last_mut() {
                *all += row.uncounted;
            }
        }
        let family = &self.ages.0;
        // those of endpoints that were removed go with it
        family.clear();
        let ends = AGES_S.iter().map(u64::to_string).chain(["+Inf".to_owned()]);
        let ends: Vec<Cow<'static, str>> = ends.map(Cow::Owned).collect();
        for (name, sums) in sums {
            for (end, sum) in ends.iter().zip(sums) {
                let labels = [("endpoint", Cow::Owned(name.to_owned())), ("le", end.clone())];
                family.get_or_create_owned(&labels).set(i64::try_from(sum).unwrap_or(i64::MAX));
            }
        }
    }
}
