//! Where a row stands in a list, in an order that does not change while rows come and go.

use crate::admin::backend::Answer;
use crate::admin::backend::BackendError;
use crate::admin::backend::Position;
use crate::model::Class;
use crate::model::DeliveryId;
use crate::model::EndpointNo;
use crate::model::EventId;
use crate::model::Time;

/// Lists whose positions are not each other's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum List {
    /// Events.
    Events = b'e',
    /// Deliveries, by event.
    Deliveries = b'd',
    /// Deliveries in lanes, by when they are due.
    Due = b'w',
    /// Dead deliveries, by when they died.
    Dead = b'x',
}

/// The place of a row; the order of places is the order of rows, last ones shown first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    /// The queue of a row that stands in one; of others, [`Class::Fresh`].
    pub(super) class: Class,
    /// When it is due or died; of others, [`Time::ZERO`].
    pub(super) at: Time,
    /// Its event.
    pub(super) event: EventId,
    /// Its endpoint; of an event, the number 0.
    pub(super) endpoint: EndpointNo,
}

impl Spot {
    /// Of a row that is ordered by its event alone.
    pub(super) fn of(event: EventId, endpoint: EndpointNo) -> Spot {
        Spot { class: Class::Fresh, at: Time::ZERO, event, endpoint }
    }

    /// The delivery that stands there.
    pub(super) fn delivery(self) -> DeliveryId {
        DeliveryId::new(self.event, self.endpoint)
    }

    /// As bytes: list, class, time in microseconds (u64), delivery.
    pub(super) fn written(self, list: List) -> Position {
        let class = match self.class {
            Class::Fresh => 0,
            Class::Timed => 1,
        };
        let head = [list as u8, class];
        [&head[..], &self.at.as_micros().to_be_bytes(), &self.delivery().to_bytes()].concat()
    }

    /// From the bytes of [`Spot::written`], if they are of this list.
    pub(super) fn read(list: List, after: Option<&Position>) -> Answer<Option<Spot>> {
        let Some(bytes) = after else { return Ok(None) };
        parsed(list, bytes).map(Some).ok_or(BackendError::BadPosition)
    }
}

fn parsed(list: List, bytes: &[u8]) -> Option<Spot> {
    let (head, rest) = bytes.split_first_chunk::<2>()?;
    let (at, delivery) = rest.split_first_chunk::<8>()?;
    let delivery = DeliveryId::from_bytes(delivery.try_into().ok()?);
    let [kind, class] = *head;
    let class = match class {
        0 => Class::Fresh,
        1 => Class::Timed,
        _ => return None,
    };
    let at = Time::from_micros(u64::from_be_bytes(*at));
    let spot = Spot { class, at, event: delivery.event, endpoint: delivery.endpoint };
    (kind == list as u8).then_some(spot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::backend::POSITION_BYTES_MAX;

    #[test]
    fn a_position_is_read_back_in_its_own_list_only() {
        let event = EventId::v7(Time::from_secs(1_795_000_000), 1, 2);
        let at = Time::from_micros(1_795_000_001_000_007);
        let spot = Spot { class: Class::Timed, at, event, endpoint: EndpointNo(7) };
        let bytes = spot.written(List::Dead);
        assert!(bytes.len() <= POSITION_BYTES_MAX);
        assert_eq!(Spot::read(List::Dead, Some(&bytes)), Ok(Some(spot)));
        assert_eq!(Spot::read(List::Due, Some(&bytes)), Err(BackendError::BadPosition));
        let cut = bytes[..bytes.len() - 1].to_vec();
        assert_eq!(Spot::read(List::Dead, Some(&cut)), Err(BackendError::BadPosition));
        let odd = [&[b'x', 9], &bytes[2..]].concat();
        assert_eq!(Spot::read(List::Dead, Some(&odd)), Err(BackendError::BadPosition));
    }
}
