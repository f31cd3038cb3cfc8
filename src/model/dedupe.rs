//! Events that say the same thing: of those that come close together, an endpoint may want the
//! first one only.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::model::id::EndpointNo;
use crate::model::id::EventId;
use crate::model::time::Time;

/// Of events with the same key, one in a window goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DedupePolicy {
    /// Where the key stands in a JSON payload (RFC 6901). `None`: the whole payload is the key.
    pub key: Option<String>,
    /// From the admission of the one that goes out.
    pub window: Duration,
}

/// What makes two events the same to an endpoint: the first half of a SHA-256 over their type and
/// their key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DedupeKey(pub [u8; 16]);

/// How a delivery may turn out to be a duplicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dedupe {
    /// At this endpoint.
    pub endpoint: EndpointNo,
    /// Of another one with this key.
    pub key: DedupeKey,
    /// That was admitted less than so long before.
    pub window: Duration,
}

impl Dedupe {
    /// How the delivery to an endpoint may be a duplicate, if it may; `dedupes` are those of an
    /// event.
    pub fn at(dedupes: &[Dedupe], endpoint: EndpointNo) -> Option<&Dedupe> {
        dedupes.iter().find(|dedupe| dedupe.endpoint == endpoint)
    }
}

/// The event that goes out for all of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Which.
    pub event: EventId,
    /// When it was admitted.
    pub admitted: Time,
    /// The end of its window, as that was when it was admitted.
    pub until: Time,
}

impl Seen {
    /// Whether an event that is admitted now, at an endpoint with this window now, is a duplicate
    /// of this one. Of two windows, the one that was in force then and the one now, the shorter
    /// counts: so it does not matter whether what is over has been forgotten yet. One that was
    /// admitted further ahead than a window, by a clock that was wrong, covers nothing.
    pub fn covers(&self, now: Time, window: Duration) -> bool {
        self.admitted <= now + window && now < self.until.min(self.admitted + window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_ends_at_its_end_and_the_shorter_one_counts() {
        let start = Time::from_secs(1_800_000_000);
        let minute = Duration::from_secs(60);
        let seen = Seen { event: EventId::v7(start, 0, 1), admitted: start, until: start + minute };
        let at = |seconds: u64, window| seen.covers(start + Duration::from_secs(seconds), window);
        assert!(at(0, minute) && at(59, minute));
        assert!(!at(60, minute), "the end is outside");
        assert!(!at(61, 2 * minute), "longer by now, but over when it was made");
        assert!(at(29, minute / 2) && !at(30, minute / 2), "shorter by now");
        assert!(seen.covers(start.minus(minute), minute), "the clock was set back a little");
        assert!(!seen.covers(start.minus(2 * minute), minute), "it was wrong by far");
    }
}
