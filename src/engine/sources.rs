//! Sources that have names: when each was heard of last, and which of them are silent.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use crate::engine::Engine;
use crate::engine::report::About;
use crate::engine::report::Report;
use crate::model::Event;
use crate::model::Source;
use crate::model::Time;

/// All of them, by identity.
#[derive(Debug, Default)]
pub(crate) struct Sources(BTreeMap<Arc<str>, Known>);

#[derive(Debug)]
struct Known {
    source: Source,
    /// Since when it is listened to.
    since: Time,
    /// When an event came in last, since then.
    heard: Option<Time>,
}

impl Sources {
    /// The process has just begun.
    pub(crate) fn begin(&mut self, now: Time) {
        self.0.values_mut().for_each(|known| known.since = now);
    }

    fn silent(&self, now: Time) -> impl Iterator<Item = Report> {
        self.0.values().filter_map(move |Known { source, since, heard }| {
            let after = source.silent_after?;
            let since = heard.unwrap_or(*since);
            let data = json!({
                "source": &*source.name, "source_id": &*source.identity, "since": since,
                "silent_after_s": after.as_secs(),
            });
            let about = About::Source(Arc::clone(&source.identity));
            (now.since(since) > after).then_some(Report { kind: "source.silent", about, data })
        })
    }
}

impl Engine {
    /// These sources have names. Those that had one before are still known by when they were heard
    /// of.
    pub fn know_sources(&mut self, now: Time, sources: Vec<Source>) {
        let mut before = std::mem::take(&mut self.sources.0);
        let known = sources.into_iter().map(|source| {
            let (since, heard) = before
                .remove(&source.identity)
                .map_or((now, None), |known| (known.since, known.heard));
            (Arc::clone(&source.identity), Known { source, since, heard })
        });
        self.sources.0 = known.collect();
    }

    /// The identity of each source that has a name, and when an event came in from it last.
    pub fn sources(&self) -> impl Iterator<Item = (&Arc<str>, Option<Time>)> {
        self.sources.0.iter().map(|(identity, known)| (identity, known.heard))
    }

    /// A source has handed in an event.
    pub(crate) fn heard_from(&mut self, now: Time, event: &Event) {
        if let Some(known) = self.sources.0.get_mut(&event.source) {
            known.heard = Some(now);
        }
    }

    /// What there is to tell of sources.
    pub(crate) fn silent_sources(&self, now: Time) -> Vec<Report> {
        self.sources.silent(now).collect()
    }
}
