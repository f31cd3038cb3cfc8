//! New event ids: later than every id before, also when the clock jumps back.

use fastrand::Rng;

use crate::model::EventId;
use crate::model::Time;

/// Gives out event ids in strictly ascending order.
#[derive(Debug)]
pub(crate) struct Mint {
    last: EventId,
}

impl Mint {
    /// Goes on after the last id in the store.
    pub(crate) fn after(last: Option<EventId>) -> Mint {
        Mint { last: last.unwrap_or(EventId::MIN) }
    }

    /// The next id: of this time, or just after the last one where that is later.
    ///
    /// The 12 bits after the version hold the microsecond within the millisecond, a new one for
    /// each id: so ids keep their order without a counter, and [`EventId::sequence`] ascends. The
    /// 61 random bits keep ids of two stores apart; the last of them marks operational events.
    pub(crate) fn next(&mut self, now: Time, operational: bool, rng: &mut Rng) -> EventId {
        let at = Time::from_micros(now.as_micros().max(self.last.sequence() + 1));
        let micros = u16::try_from(at.as_micros() % 1_000).unwrap_or(0);
        let low = rng.u64(..) & !1 | u64::from(operational);
        self.last = EventId::v7(at, micros << 2, low);
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_ascend_at_any_rate_and_when_the_clock_jumps_back() {
        let mut rng = Rng::with_seed(3);
        let mut mint = Mint::after(None);
        let start = Time::from_secs(1_800_000_000);
        let mut last = EventId::MIN;
        for step in 0..10_000_u64 {
            // two of each microsecond, and an hour back in the middle
            let now = if step < 5_000 { step / 2 } else { step / 2 - 2_500 };
            let now = Time::from_micros(start.as_micros() + now);
            let now =
                if step < 5_000 { now } else { now.minus(std::time::Duration::from_secs(3_600)) };
            let id = mint.next(now, false, &mut rng);
            assert!(id > last && id.sequence() > last.sequence(), "step {step}");
            last = id;
        }
        assert!(last.time() < start + std::time::Duration::from_millis(20), "runs not far ahead");
    }

    #[test]
    fn goes_on_after_what_is_stored() {
        let stored = EventId::v7(Time::from_secs(2_000_000_000), 9, 9);
        let id = Mint::after(Some(stored)).next(Time::from_secs(1), true, &mut Rng::with_seed(1));
        assert!(id > stored && id.is_operational());
    }
}
