//! Identifiers: what they are made of, and their text.
//!
//! An event is a UUIDv7 (RFC 9562), written as a TypeID: `evt_` and 26 base32 characters. A
//! delivery is not numbered at all: its id is its event's id and its endpoint's number, `dlv_` and
//! 32 characters, so that nothing has to map one to the other.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;

use crate::model::time::Time;

/// Crockford's base32 in lower case, as TypeID writes it.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// An event: a UUIDv7, so that the order of ids is the order of admission.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(u128);

/// An endpoint's number: given once, bound to its name in the store, never used again.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct EndpointNo(pub u32);

/// A delivery: an event on its way to one endpoint.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId {
    /// The event.
    pub event: EventId,
    /// The endpoint it goes to.
    pub endpoint: EndpointNo,
}

/// A replay: a UUIDv7, so that the order of ids is the order in which they began.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplayId(u128);

/// Why a text is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// It does not begin with the prefix of its kind.
    #[error("expected an id that begins with \"{0}_\"")]
    Prefix(&'static str),
    /// It is too short or too long.
    #[error("expected {0} characters after the underscore")]
    Length(usize),
    /// It has a character outside the alphabet, or its value is too large.
    #[error("not a valid id")]
    Invalid,
}

impl EventId {
    /// Characters of the text after `evt_`.
    pub const TEXT_CHARS: usize = 26;
    /// The smallest id there is; never minted.
    pub const MIN: EventId = EventId(0);
    /// The largest id there is; never minted.
    pub const MAX: EventId = EventId(u128::MAX);

    /// From the sixteen bytes of its UUID.
    pub const fn from_bytes(bytes: [u8; 16]) -> EventId {
        EventId(u128::from_be_bytes(bytes))
    }

    /// The sixteen bytes of its UUID; their order is the order of ids.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// A UUIDv7 of this millisecond: `high` fills the 12 bits after the version (a finer time, so
    /// that ids of one millisecond keep their order), `low` the 62 bits after the variant.
    pub const fn v7(at: Time, high: u16, low: u64) -> EventId {
        let millis = (at.as_millis() as u128) & 0xFFFF_FFFF_FFFF;
        let high = (high as u128) & 0x0FFF;
        let low = (low as u128) & 0x3FFF_FFFF_FFFF_FFFF;
        EventId((millis << 80) | (0x7 << 76) | (high << 64) | (0b10 << 62) | low)
    }

    /// The smallest id that an event of this time could have: where a range of time begins.
    pub const fn first_at(at: Time) -> EventId {
        EventId((at.as_millis() as u128 & 0xFFFF_FFFF_FFFF) << 80)
    }

    /// The millisecond that it was minted in.
    pub fn time(self) -> Time {
        Time::from_millis(u64::try_from(self.0 >> 80).unwrap_or(u64::MAX))
    }

    /// The microsecond that it was minted in, as far as its 12 bits tell: strictly ascending in the
    /// order of ids, since no two are minted in the same one.
    pub fn sequence(self) -> u64 {
        let finer = u64::try_from((self.0 >> 66) & 0x3FF).unwrap_or(0);
        self.time().as_micros().saturating_add(finer)
    }

    /// Whether postrider itself submitted the event: the last bit says so, so that nothing has to
    /// be read to know it.
    pub const fn is_operational(self) -> bool {
        self.0 & 1 == 1
    }

    /// The next larger id (not itself a UUIDv7): where a scan goes on after this one.
    #[must_use]
    pub const fn successor(self) -> EventId {
        EventId(self.0.saturating_add(1))
    }

    /// The range of ids whose text begins with `prefix` (with or without `evt_`).
    ///
    /// # Errors
    /// [`IdError`] if no id could begin with it.
    pub fn range_of_prefix(prefix: &str) -> Result<(EventId, EventId), IdError> {
        let chars = prefix.strip_prefix("evt_").unwrap_or(prefix);
        if chars.len() > EventId::TEXT_CHARS {
            return Err(IdError::Length(EventId::TEXT_CHARS));
        }
        let low = format!("{chars:0<26}");
        let high = format!("{chars:z<26}");
        let low = decode(&low, 16)?;
        // "z" in the first place is more than 128 bits hold: the largest id stands for it
        let high = decode(&high, 16).unwrap_or([0xFF; 20]);
        Ok((EventId::from_bytes(first_16(low)), EventId::from_bytes(first_16(high))))
    }
}

impl ReplayId {
    /// From the sixteen bytes of its UUID.
    pub const fn from_bytes(bytes: [u8; 16]) -> ReplayId {
        ReplayId(u128::from_be_bytes(bytes))
    }

    /// The sixteen bytes of its UUID; their order is the order of ids.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The range of ids whose text begins with `prefix` (with or without `rpl_`).
    ///
    /// # Errors
    /// [`IdError`] if no id could begin with it.
    pub fn range_of_prefix(prefix: &str) -> Result<(ReplayId, ReplayId), IdError> {
        let chars = prefix.strip_prefix("rpl_").unwrap_or(prefix);
        let (low, high) = EventId::range_of_prefix(chars)?;
        Ok((ReplayId::from_bytes(low.to_bytes()), ReplayId::from_bytes(high.to_bytes())))
    }
}

impl EndpointNo {
    /// Big-endian, so that the order of keys is the order of numbers.
    pub const fn to_bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }
}

impl DeliveryId {
    /// Characters of the text after `dlv_`.
    pub const TEXT_CHARS: usize = 32;

    /// The delivery of this event to this endpoint.
    pub const fn new(event: EventId, endpoint: EndpointNo) -> DeliveryId {
        DeliveryId { event, endpoint }
    }

    /// Event, then endpoint: the twenty bytes behind the text.
    pub fn to_bytes(self) -> [u8; 20] {
        let mut bytes = [0; 20];
        let (event, endpoint) = bytes.split_at_mut(16);
        event.copy_from_slice(&self.event.to_bytes());
        endpoint.copy_from_slice(&self.endpoint.to_bytes());
        bytes
    }

    /// The range of ids whose text begins with `prefix` (with or without `dlv_`).
    ///
    /// # Errors
    /// [`IdError`] if no id could begin with it.
    pub fn range_of_prefix(prefix: &str) -> Result<(DeliveryId, DeliveryId), IdError> {
        let chars = prefix.strip_prefix("dlv_").unwrap_or(prefix);
        if chars.len() > DeliveryId::TEXT_CHARS {
            return Err(IdError::Length(DeliveryId::TEXT_CHARS));
        }
        let low = decode(&format!("{chars:0<32}"), 20)?;
        let high = decode(&format!("{chars:z<32}"), 20)?;
        Ok((DeliveryId::from_bytes(low), DeliveryId::from_bytes(high)))
    }

    /// From the twenty bytes of [`DeliveryId::to_bytes`].
    pub fn from_bytes(bytes: [u8; 20]) -> DeliveryId {
        let mut endpoint = [0; 4];
        endpoint.copy_from_slice(bytes.split_at(16).1);
        DeliveryId {
            event: EventId::from_bytes(first_16(bytes)),
            endpoint: EndpointNo(u32::from_be_bytes(endpoint)),
        }
    }
}

fn first_16(bytes: [u8; 20]) -> [u8; 16] {
    let mut first = [0; 16];
    first.copy_from_slice(bytes.split_at(16).0);
    first
}

/// Base32 of big-endian `bytes`, padded with zero bits in front (TypeID's way). Every request and
/// every attempt writes several ids, so it is done in one go.
fn encode(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut text = [0_u8; DeliveryId::TEXT_CHARS];
    let (text, _) = text.split_at_mut((bytes.len() * 8).div_ceil(5));
    let mut rest = bytes.iter().rev();
    let (mut value, mut bits) = (0_u16, 0);
    for letter in text.iter_mut().rev() {
        if bits < 5 {
            value |= u16::from(rest.next().copied().unwrap_or(0)) << bits;
            bits += 8;
        }
        *letter = ALPHABET.get(usize::from(value & 31)).copied().unwrap_or(b'0');
        value >>= 5;
        bits -= 5;
    }
    f.write_str(std::str::from_utf8(text).map_err(|_| fmt::Error)?)
}

/// The reverse of [`encode`]: the first `len` bytes of the answer hold the value.
fn decode(text: &str, len: usize) -> Result<[u8; 20], IdError> {
    let chars = (len * 8).div_ceil(5);
    if text.len() != chars {
        return Err(IdError::Length(chars));
    }
    let pad = chars * 5 - len * 8;
    let mut bytes = [0_u8; 20];
    for (index, letter) in text.bytes().enumerate() {
        let value = ALPHABET.iter().position(|l| *l == letter).ok_or(IdError::Invalid)?;
        for offset in (0..5).filter(|offset| value >> (4 - offset) & 1 == 1) {
            let at = (index * 5 + offset).checked_sub(pad).ok_or(IdError::Invalid)?;
            let byte = bytes.get_mut(at / 8).ok_or(IdError::Invalid)?;
            *byte |= 1 << (7 - at % 8);
        }
    }
    Ok(bytes)
}

macro_rules! text_form {
    ($id:ident, $prefix:literal, $len:literal, $from:expr) => {
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!($prefix, "_"))?;
                encode(&self.to_bytes(), f)
            }
        }

        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $id {
            type Err = IdError;

            fn from_str(text: &str) -> Result<$id, IdError> {
                let chars =
                    text.strip_prefix(concat!($prefix, "_")).ok_or(IdError::Prefix($prefix))?;
                decode(chars, $len).map($from)
            }
        }

        impl Serialize for $id {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                if to.is_human_readable() {
                    to.collect_str(self)
                } else {
                    self.to_bytes().serialize(to)
                }
            }
        }

        impl<'de> Deserialize<'de> for $id {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<$id, D::Error> {
                if from.is_human_readable() {
                    let text = String::deserialize(from)?;
                    text.parse().map_err(serde::de::Error::custom)
                } else {
                    <[u8; $len]>::deserialize(from).map($id::from_bytes)
                }
            }
        }
    };
}

text_form!(EventId, "evt", 16, |bytes| EventId::from_bytes(first_16(bytes)));
text_form!(ReplayId, "rpl", 16, |bytes| ReplayId::from_bytes(first_16(bytes)));
text_form!(DeliveryId, "dlv", 20, DeliveryId::from_bytes);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_text_is_a_type_id() {
        // vector of the TypeID specification, with our prefix
        let bytes = 0x0188_9c89_df6b_7f1c_a388_9139_6ec3_14bc_u128.to_be_bytes();
        let id = EventId::from_bytes(bytes);
        assert_eq!(id.to_string(), "evt_01h2e8kqvbfwea724h75qc655w");
        assert_eq!("evt_01h2e8kqvbfwea724h75qc655w".parse(), Ok(id));
    }

    #[test]
    fn wrong_texts_are_refused() {
        let parse = |text: &str| text.parse::<EventId>();
        assert_eq!(parse("dlv_01h2e8kqvbfwea724h75qc655w"), Err(IdError::Prefix("evt")));
        assert_eq!(parse("evt_01h2"), Err(IdError::Length(26)));
        assert_eq!(parse("evt_81h2e8kqvbfwea724h75qc655w"), Err(IdError::Invalid), "too large");
        assert_eq!(parse("evt_01h2e8kqvbfwea724h75qc655u"), Err(IdError::Invalid), "no u");
    }

    #[test]
    fn a_delivery_id_is_its_event_and_endpoint() {
        let event = EventId::v7(Time::from_millis(1_795_256_102_114), 7, 99);
        let delivery = DeliveryId::new(event, EndpointNo(41));
        let text = delivery.to_string();
        assert_eq!(text.len(), 4 + DeliveryId::TEXT_CHARS);
        assert_eq!(text.parse(), Ok(delivery));
        assert_eq!(event.time(), Time::from_millis(1_795_256_102_114));
    }

    #[test]
    fn a_prefix_is_a_range() {
        let id: EventId = "evt_01h2e8kqvbfwea724h75qc655w".parse().unwrap();
        let (low, high) = EventId::range_of_prefix("evt_01h2e8kq").unwrap();
        assert!(low <= id && id <= high);
        let (low, high) = EventId::range_of_prefix("01h2e8kr").unwrap();
        assert!(!(low <= id && id <= high));
        assert!(EventId::range_of_prefix("evt_u").is_err());
    }

    #[test]
    fn a_prefix_of_a_delivery_is_a_range_too() {
        let event: EventId = "evt_01h2e8kqvbfwea724h75qc655w".parse().unwrap();
        let id = DeliveryId::new(event, EndpointNo(41));
        let text = id.to_string();
        let (low, high) = DeliveryId::range_of_prefix(&text[..14]).unwrap();
        assert!(low <= id && id <= high);
        assert_eq!(DeliveryId::range_of_prefix(&text), Ok((id, id)));
        assert!(DeliveryId::range_of_prefix("dlv_u").is_err());
    }
}
