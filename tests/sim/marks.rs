//! Rare paths that the suite must have met: a path that was never taken was never tested.

use std::collections::BTreeMap;

/// Each rare path, by name.
pub const ALL: &[&str] = &[
    "a replay's list unreadable",
    "as many replays as may run",
    "batch refused as a whole",
    "breaker opened",
    "cancelled before others of its key",
    "cancelled in flight",
    "cancelled while waiting",
    "crash with commits half written",
    "crash under a standing hold",
    "crash with a replay half done",
    "crash with deliveries in flight",
    "dead: deadline of its key",
    "dead: exhausted",
    "dead: expired",
    "dead: others of its key go on",
    "dead: poisoned",
    "dead: refused",
    "dead: stale version",
    "delayed event",
    "duplicate key",
    "endpoint disabled",
    "endpoint given up",
    "endpoint recovered",
    "endpoint removed",
    "events gone",
    "expired while waiting",
    "in the order of a key",
    "key let go by a person",
    "key reused for another request",
    "key twice in a batch",
    "lane paused by its endpoint",
    "left out as a duplicate",
    "limit of flights reached",
    "many cancelled",
    "no duplicate any more",
    "not sent again without a payload",
    "paused with deliveries ready",
    "payloads gone",
    "put aside on arrival behind another of its key",
    "put on hold",
    "queue full",
    "queue read from disk",
    "rate used in full",
    "released",
    "replay cancelled",
    "replay done",
    "replay meets what has gone on",
    "replay meets what has no payload",
    "replay of many steps",
    "reply lost and asked again",
    "retry after honoured",
    "sent after it was put aside on arrival",
    "sent again behind another of its key",
    "sent again on request",
    "sent again though a duplicate",
    "standing hold lifted",
    "start found stale",
    "start refused while draining",
    "told after others were left out",
    "told: delivery dead",
    "told: endpoint disabled",
    "told: endpoint failing",
    "told: endpoint opened",
    "told: endpoint recovered",
    "told: endpoint silent",
    "told: endpoint slow",
    "told: queue late",
    "told: source silent",
    "tried in vain while open",
    "unmatched event kept",
];

/// How often each path was met.
#[derive(Default)]
pub struct Marks(BTreeMap<&'static str, u64>);

impl Marks {
    pub fn hit(&mut self, name: &'static str) {
        assert!(ALL.contains(&name), "{name:?} is no mark");
        *self.0.entry(name).or_default() += 1;
    }

    pub fn add(&mut self, other: &Marks) {
        for (name, count) in &other.0 {
            *self.0.entry(name).or_default() += count;
        }
    }

    pub fn missing(&self) -> Vec<&'static str> {
        ALL.iter().copied().filter(|name| !self.0.contains_key(name)).collect()
    }
}
