//! What of an event may go, and when to look again.
//!
//! An event has ended when each of its deliveries is delivered, dead or cancelled; one without any
//! has ended at once. Until then all of it is kept. From then on, time counts from its last step.

use std::time::Duration;

use crate::model::Horizons;
use crate::model::Time;

/// How long to wait, at least, before what is pending is looked at again.
const LOOK_AGAIN_MIN: Duration = Duration::from_secs(1);

/// Where the deliveries of an event stand, all together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// One of them has not ended, or keeps its place in the order of a key.
    Pending,
    /// All have ended, none is dead.
    Ended,
    /// All have ended, one at least is dead.
    Dead,
}

/// What is known of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where its deliveries stand.
    pub standing: Standing,
    /// Its last step, or its admission where there is none.
    pub last: Time,
    /// Whether its payload is still kept.
    pub has_payload: bool,
}

/// What becomes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays as it is. To be looked at again at this time.
    Keep(Time),
    /// Its payload goes. To be looked at again at this time.
    DropPayload(Time),
    /// All of it goes.
    DropEvent,
}

/// Judges an event. `over_size`: more bytes of payloads are kept than may be.
pub fn judge(record: Record, horizons: &Horizons, now: Time, over_size: bool) -> Fate {
    let payload_for = match record.standing {
        Standing::Pending => {
            // Its first moment is the end of the shorter horizon from now: it may end at once.
            return Fate::Keep(now + horizons.delivered_payload.max(LOOK_AGAIN_MIN));
        }
        Standing::Ended => horizons.delivered_payload,
        Standing::Dead => horizons.dead_payload,
    };
    let event_until = record.last + horizons.events;
    let payload_until = event_until.min(record.last + payload_for);
    if event_until <= now {
        Fate::DropEvent
    } else if !record.has_payload {
        Fate::Keep(event_until)
    } else if payload_until <= now || over_size && record.standing == Standing::Ended {
        Fate::DropPayload(event_until)
    } else {
        Fate::Keep(payload_until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HORIZONS: Horizons = Horizons {
        keys: Duration::from_secs(7),
        delivered_payload: Duration::from_secs(10),
        dead_payload: Duration::from_secs(20),
        events: Duration::from_secs(30),
        payload_bytes_max: None,
    };

    /// At `now` seconds, of an event whose last step was at 100 s.
    fn fate(standing: Standing, has_payload: bool, over_size: bool, now: u64) -> Fate {
        let last = Time::from_secs(100);
        let record = Record { standing, last, has_payload };
        judge(record, &HORIZONS, Time::from_secs(now), over_size)
    }

    #[test]
    fn each_case_has_its_fate() {
        use Fate::DropEvent;
        use Standing::{Dead, Ended, Pending};
        let keep = |at| Fate::Keep(Time::from_secs(at));
        let bare = |at| Fate::DropPayload(Time::from_secs(at));
        let table = [
            (Pending, true, false, 100, keep(110)),
            (Pending, true, true, 9_000, keep(9_010)),
            (Ended, true, false, 100, keep(110)),
            (Ended, true, false, 109, keep(110)),
            (Ended, true, false, 110, bare(130)),
            (Ended, false, false, 110, keep(130)),
            (Ended, true, true, 101, bare(130)),
            (Ended, true, true, 99, bare(130)),
            (Ended, false, true, 101, keep(130)),
            (Ended, true, false, 130, DropEvent),
            (Ended, false, false, 130, DropEvent),
            (Dead, true, false, 119, keep(120)),
            (Dead, true, true, 119, keep(120)),
            (Dead, true, false, 120, bare(130)),
            (Dead, true, false, 130, DropEvent),
        ];
        for (standing, has_payload, over_size, now, expected) in table {
            let found = fate(standing, has_payload, over_size, now);
            assert_eq!(found, expected, "{standing:?} {has_payload} {over_size} at {now}");
        }
    }

    #[test]
    fn what_is_pending_is_never_looked_at_without_a_pause() {
        let record = Record { standing: Standing::Pending, last: Time::ZERO, has_payload: true };
        let at_once = Horizons { delivered_payload: Duration::ZERO, ..HORIZONS };
        let now = Time::from_secs(5);
        assert_eq!(judge(record, &at_once, now, false), Fate::Keep(Time::from_secs(6)));
    }
}
