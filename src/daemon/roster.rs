//! The sources as the shell knows them: which identity has which name, what it may submit, and
//! what came of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::admin::Metrics;
use crate::admin::metrics::SourceSeries;
use crate::config::Config;
use crate::config::SourceConfig;
use crate::model;

/// A source that has a name.
#[derive(Debug)]
pub(crate) struct Named {
    /// Its definition.
    pub(crate) definition: SourceConfig,
    /// Its metrics.
    pub(crate) series: SourceSeries,
}

/// The sources that have names, and what all others share.
#[derive(Debug)]
pub(crate) struct Roster {
    named: BTreeMap<Arc<str>, Named>,
    local: SourceSeries,
}

impl Roster {
    /// Those of a configuration, which is in force from now on.
    pub(crate) fn new(config: &Config, metrics: &Metrics) -> Roster {
        let names: Vec<_> = config.sources.iter().map(|source| Arc::clone(&source.name)).collect();
        let series = metrics.name_sources(&names);
        let named = config.sources.iter().cloned().zip(series);
        let named =
            named.map(|(definition, series)| (definition.identity(), Named { definition, series }));
        Roster { named: named.collect(), local: metrics.local_sources() }
    }

    /// What a source is called: its name or, where it has none, its identity.
    pub(crate) fn name<'a>(&'a self, identity: &'a str) -> &'a str {
        self.named.get(identity).map_or(identity, |named| &*named.definition.name)
    }

    /// The identity that a name stands for; a text that is no name stands for itself.
    pub(crate) fn identity(&self, text: String) -> String {
        self.by_name(&text).map_or(text, |(identity, _)| identity.to_string())
    }

    /// The source of a name.
    pub(crate) fn by_name(&self, name: &str) -> Option<(&Arc<str>, &Named)> {
        self.named.iter().find(|(_, named)| *named.definition.name == *name)
    }

    /// The metrics of a source.
    pub(crate) fn series(&self, identity: &str) -> &SourceSeries {
        self.named.get(identity).map_or(&self.local, |named| &named.series)
    }

    /// All that have names, with their identities.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&Arc<str>, &Named)> {
        self.named.iter()
    }
}

/// What the engine has to know of the sources of a configuration.
pub(crate) fn sources(config: &Config) -> Vec<model::Source> {
    let source = |source: &SourceConfig| model::Source {
        identity: source.identity(),
        name: Arc::clone(&source.name),
        silent_after: source.silent_after,
    };
    config.sources.iter().map(source).collect()
}
