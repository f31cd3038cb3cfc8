//! Families with one or two labels, and counters of a closed set resolved ahead.

use std::borrow::Cow;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Names and values of `N` labels.
pub(super) type Labels<const N: usize> = [(&'static str, Cow<'static, str>); N];
/// Counters with `N` labels.
pub(super) type Counters<const N: usize> = Family<Labels<N>, Counter>;
/// Histograms with one label.
pub(super) type Histograms = Family<Labels<1>, Histogram, fn() -> Histogram>;

/// The counters of a closed set, in its order.
#[derive(Clone, Debug)]
pub(super) struct CounterSet(Box<[Counter]>);

impl CounterSet {
    /// One for each of these words of the last label, after `first`.
    pub(super) fn of_two(
        family: &Counters<2>,
        first: (&'static str, Cow<'static, str>),
        name: &'static str,
        words: impl Iterator<Item = &'static str>,
    ) -> CounterSet {
        let labels = words.map(|word| [first.clone(), (name, Cow::Borrowed(word))]);
        CounterSet(labels.map(|labels| family.get_or_create_owned(&labels)).collect())
    }

    /// One for each of these words of the only label, of a new family.
    pub(super) fn register(
        registry: &mut Registry,
        (metric, help): (&'static str, &'static str),
        name: &'static str,
        words: impl Iterator<Item = &'static str>,
    ) -> CounterSet {
        let family = Counters::<1>::default();
        registry.register(metric, help, family.clone());
        let labels = words.map(|word| [(name, Cow::Borrowed(word))]);
        CounterSet(labels.map(|labels| family.get_or_create_owned(&labels)).collect())
    }

    /// Counts one at this place of the set.
    pub(super) fn inc(&self, index: usize) {
        self.add(index, 1);
    }

    /// Counts so many at this place of the set.
    pub(super) fn add(&self, index: usize, count: u64) {
        if let Some(counter) = self.0.get(index) {
            counter.inc_by(count);
        }
    }
}

/// From a millisecond to a bit over a minute: what waits for a network or a disk.
pub(super) fn seconds() -> Histogram {
    Histogram::new([
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    ])
}

/// From 10 microseconds to 10 seconds: what is done on this machine.
pub(super) fn short_seconds() -> Histogram {
    Histogram::new([
        0.000_01, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
        1.0, 10.0,
    ])
}

/// From 10 milliseconds to a week: how long a delivery takes with its retries.
pub(super) fn long_seconds() -> Histogram {
    Histogram::new([
        0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0, 21_600.0, 86_400.0,
        259_200.0, 604_800.0,
    ])
}
